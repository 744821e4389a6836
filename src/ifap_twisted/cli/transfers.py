"""A file of any size onto the local disk, as it comes: little of it is in memory, its name appears with the whole."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ifap_twisted.cli.arriving import Arriving
from ifap_twisted.cli.contents import Lost, content_of, salvage
from ifap_twisted.cli.progress import Progress
from ifap_twisted.cli.targets import Target
from ifap_twisted.deferreds import undivided

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IStream


class Transfer:
    """A stream on its way to a place below a target.

    :param resume: go on with what a cut left, and keep what came when it is cut again.
    :ivar lost: with ``salvaging``, what could not be read; NULs are in its place.
    """

    def __init__(
        self,
        session: Session,
        stream: IStream,
        target: Target,
        parts: tuple[str, ...],
        *,
        replace: bool,
        resume: bool = False,
        salvaging: bool = False,
    ) -> None:
        self.lost: list[Lost] = []
        self._session = session
        self._stream = stream
        self._target = target
        self._parts = parts
        self._replace = replace
        self._resume = resume
        self._salvaging = salvaging

    async def run(self, progress: Progress) -> None:
        """Bring it there."""
        entry, worker = self._stream.entry, self._session.worker
        arriving = await undivided(self._begin(), self._undo)
        try:
            progress.advance(arriving.position)
            async for part in salvage(self._stream) if self._salvaging else content_of(self._stream, arriving.position):
                if isinstance(part, Lost):
                    arriving.skip(part.length)
                    self._note(part)
                    progress.advance(part.length)
                else:
                    await worker(partial(arriving.write, part))
                    progress.advance(len(part))
            await worker(lambda: arriving.finish(entry.mode, entry.modified))
        finally:
            self._close(arriving)

    async def _begin(self) -> Arriving:
        entry, target, parts, worker = self._stream.entry, self._target, self._parts, self._session.worker
        if not self._resume:
            return await worker(lambda: target.begin(parts, replace=self._replace))
        for name in await worker(lambda: target.other_parts(parts, entry.version)):
            self._session.console.warning(f"{name} is of another version and left alone: remove it if nobody wants it.")
        return await worker(lambda: target.take_up(parts, entry.version, entry.size, replace=self._replace))

    async def _undo(self, arriving: Arriving) -> None:
        self._close(arriving)

    def _close(self, arriving: Arriving) -> None:
        if arriving.close():
            shown = self._target.shown(self._parts)
            self._session.console.note(f"{shown}: what came is kept; the same command with --resume goes on with it")

    def _note(self, lost: Lost) -> None:
        last = self.lost[-1] if self.lost else None
        if last is not None and last.offset + last.length == lost.offset:
            self.lost[-1] = Lost(last.offset, last.length + lost.length)
        else:
            self.lost.append(lost)
