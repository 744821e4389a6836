"""What a put reads from, block by block, each read in a worker when it is asked for."""

from __future__ import annotations

import os
from typing import Final

from ifap_twisted.cli.localfiles import BLOCK, Reading
from ifap_twisted.cli.progress import Progress
from ifap_twisted.workers import Worker

STDIN: Final = 0


class FileStream:
    """The blocks of a local file.

    :ivar failure: what reading failed with; it says more than what a put makes of it.
    """

    def __init__(self, opened: Reading, worker: Worker, progress: Progress) -> None:
        self.failure: Exception | None = None
        self._opened = opened
        self._worker = worker
        self._progress = progress

    def __aiter__(self) -> FileStream:
        return self

    async def __anext__(self) -> bytes:
        try:
            block = await self._worker(self._opened.block)
        except OSError as error:
            self.failure = error
            raise
        if not block:
            raise StopAsyncIteration
        self._progress.advance(len(block))
        return block


class StandardInput:
    """The blocks of stdin, as they come."""

    def __init__(self, worker: Worker, progress: Progress, descriptor: int = STDIN) -> None:
        self._worker = worker
        self._progress = progress
        self._descriptor = descriptor

    def __aiter__(self) -> StandardInput:
        return self

    async def __anext__(self) -> bytes:
        block = await self._worker(lambda: os.read(self._descriptor, BLOCK))
        if not block:
            raise StopAsyncIteration
        self._progress.advance(len(block))
        return block
