"""``python -m tests.campaigns.resuming``: kill the put of a large file, and count what the next one sends again.

Each case is a folder on Dovecot or in a Maildir, in which a file lies. A process puts a large one over it from a stream
and is ended by SIGKILL at a step: before or after a call to the server, or while it writes to its basedir. A fresh
client then sees the file of before, whole, or the new one, whole. Another process puts the same file once more: of its
chunks at most those that were on their way at the kill are on the server twice. Exit status: 1 when it was otherwise.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from ifap_twisted.core import limits
from ifap_twisted.core.chunks import CHUNKS
from tests.campaigns.places import Place
from tests.campaigns.seeded import command
from tests.campaigns.victims import Fate, Killed, in_process, make_steps

ACCOUNTS = ("dovecot", "maildir")
PATH = "large"
BEFORE = b"what was there before"
PIECE = 300_001
"""Bytes that the source gives at a time."""


@dataclass(slots=True)
class Size:
    """Of a case."""

    mib: int = 200


SIZE = Size()


def pieces(seed: int, size: int) -> Iterator[bytes]:
    """The source: the same bytes for the same seed."""
    drawn = random.Random(seed)
    while size:
        piece = drawn.randbytes(min(PIECE, size))
        size -= len(piece)
        yield piece


class World:
    """One folder."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.random = random.Random(f"resuming {number}")
        self.place = Place(ACCOUNTS[number % len(ACCOUNTS)])
        self.size = SIZE.mib * limits.MIB
        self.found: Counter[str] = Counter()
        self.wrong: list[str] = []

    # Processes

    async def begin(self, reactor: Any) -> None:
        """Write what is there before."""
        async with self.place.device(reactor) as filesystem:
            await filesystem.put(PATH, BEFORE)

    async def put(self, reactor: Any, last: int | None) -> int:
        """Put the file, and die at a step; how many there were."""
        fate = Fate(last)
        make_steps(fate)
        async with self.place.device(reactor) as filesystem:
            fate.arm()
            entry = await filesystem.put(PATH, pieces(self.number, self.size), size=self.size)
            steps = len(fate.disarm())
            assert entry.size == self.size
        return steps

    async def look(self, reactor: Any) -> tuple[str, int, int]:
        """What a fresh client sees; and how many bytes of chunks there are, and how many of them more than once."""
        async with self.place.fresh(reactor) as filesystem:
            shown = await self._shown(filesystem)
            listed = [entry.path for entry in await filesystem.list("/", recursive=True)]
            if listed != [PATH]:
                shown = f"the files {listed}"
            index = filesystem._service.opened.desk.view.index
            chunks = index.objects(CHUNKS)
            there = sum(one.version.length for one in chunks)
            return shown, there, sum(one.version.length * (len(one.places) - 1) for one in chunks)

    async def _shown(self, filesystem: Any) -> str:
        stream = await filesystem.stream(PATH)
        if stream.entry.size == len(BEFORE):
            return "before" if await stream.read(0, self.size) == BEFORE else "a mix"
        position = 0
        for piece in pieces(self.number, self.size):
            if await stream.read(position, position + len(piece)) != piece:
                return f"another file from {position} on"
            position += len(piece)
        return "after" if stream.entry.size == self.size else f"{stream.entry.size} bytes"

    # The case

    def run(self) -> None:
        """Kill, look, put again, look."""
        in_process(self.begin)
        last = self.random.randint(1, 5 * SIZE.mib)
        try:
            in_process(lambda reactor: self.put(reactor, last))
        except Killed:
            self.found["kills"] += 1
        else:
            self.found["puts that came to their end"] += 1
        shown, there, _twice = in_process(self.look)
        self.found[f"after a kill: {shown}"] += 1
        if shown not in {"before", "after"}:
            self.wrong.append(f"after a kill at step {last}: {shown}")
        self.found["MiB there after the kill"] += there // limits.MIB
        in_process(lambda reactor: self.put(reactor, None))
        shown, there, twice = in_process(self.look)
        self.found["KiB there twice"] += twice // limits.KIB
        if shown != "after":
            self.wrong.append(f"in the end: {shown}")
        if twice > limits.UPLOAD_WINDOW:
            self.wrong.append(f"{twice} bytes of chunks are there twice")


def case(number: int) -> tuple[Counter[str], list[str]]:
    """One folder; the number decides the account, the content and the step."""
    world = World(number)
    try:
        world.run()
    except RuntimeError as error:
        world.wrong.append(str(error))
    finally:
        world.place.remove()
    return world.found, world.wrong


def _sized(_context: click.Context, parameter: click.Parameter, value: int) -> int:
    setattr(SIZE, str(parameter.name), value)
    return value


main = command(case, __doc__ or "")
main.params.append(
    click.Option(["--mib"], type=click.IntRange(min=1), default=200, callback=_sized, expose_value=False)
)

if __name__ == "__main__":
    main()
