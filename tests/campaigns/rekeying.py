"""``python -m tests.campaigns.rekeying``: kill a change of the key again and again; nobody misses a file meanwhile.

Each case is a folder with many files, on Dovecot or with the embedded server inside. A process changes its key and is
ended by SIGKILL at a step: before or after a call to the server, before a file of its basedir is made, half written,
synced or renamed, and between two statements of the embedded server's database. After each kill a client that knows the
former key only reads every file, and so does one that knows the newest key only; another write comes, mostly under the
former key, and the change is gone on with. At the end one key alone has to open everything, and so after the copies
under the former one were collected. Exit status: 1 when a file was not readable, or another.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import click

from ifap_twisted.core.keys import Key
from ifap_twisted.deferreds import deferred, settled
from tests.campaigns.ground import KEY
from tests.campaigns.places import Place, messages
from tests.campaigns.seeded import command
from tests.campaigns.victims import SECONDS, Fate, Killed, in_process, make_steps

GRACE = 8 * 86400.0
AT_ONCE = 8
ACCOUNTS = ("dovecot", "embedded")
SOON = 40
"""Steps in which a change begins; some kills are within them."""


@dataclass(slots=True)
class Size:
    """Of a case."""

    files: int = 1000
    kills: int = 50


SIZE = Size()


@dataclass(slots=True)
class World:
    """One folder, and what has to be in it."""

    place: Place
    account: str
    random: random.Random
    files: dict[str, bytes] = field(default_factory=dict)
    found: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    # Processes

    async def populate(self, reactor: Any) -> None:
        """Write the files."""
        async with self.place.device(reactor) as filesystem, filesystem.batch():
            await settled([filesystem.put(path, content) for path, content in self.files.items()])

    async def rekey(self, reactor: Any, last: int | None) -> tuple[dict[str, Any], int]:
        """The life of the process that changes the key; what it did, and in how many steps."""
        fate = Fate(last)
        make_steps(fate)
        fate.arm()
        async with self.place.device(reactor) as filesystem:
            done = await filesystem._service.change_key()
            steps = len(fate.disarm())
        return done.to_json(), steps

    @asynccontextmanager
    async def second(self, reactor: Any) -> AsyncIterator[Any]:
        """Another client, which knows the former key; of our own server it is the device that has it."""
        opened = self.place.device if self.account == "embedded" else self.place.fresh
        async with opened(reactor) as filesystem:
            yield filesystem

    async def look(self, reactor: Any, key: Key) -> list[str]:
        """What a client with this key alone cannot read, or reads otherwise."""
        async with self.place.fresh(reactor, key) as filesystem:
            return await self.read(filesystem)

    async def read(self, filesystem: Any) -> list[str]:
        """All files that are not as they were written."""
        wrong, left = [], sorted(self.files)

        @deferred
        async def read_on() -> None:
            while left:
                path = left.pop()
                try:
                    content = await filesystem.get(path)
                except Exception as error:  # whatever it is: the file cannot be read
                    wrong.append(f"{path} cannot be read: {error!r}")
                else:
                    if content != self.files[path]:
                        wrong.append(f"{path} is another")

        await settled([read_on() for _ in range(AT_ONCE)])
        wrong += [f"{entry.path} is in conflict" for entry in await filesystem.conflicts()]
        listed = {entry.path for entry in await filesystem.list("/", recursive=True) if entry.type == "file"}
        return wrong + [f"{path} is not listed" for path in self.files.keys() - listed]

    async def write(self, reactor: Any, path: str, content: bytes) -> None:
        """Something new while the change is under way."""
        async with self.second(reactor) as filesystem:
            await filesystem.put(path, content)

    async def collect(self, reactor: Any) -> int:
        """Collect as a node does every day; the highest UID afterwards."""
        async with self.place.device(reactor) as filesystem:
            await filesystem.collect()
            return max(await filesystem._service.store.uids(1))

    async def count(self, reactor: Any, key: Key) -> Mapping[str, Any]:
        """How a client with one key finds the folder."""
        async with self.place.fresh(reactor, key) as filesystem:
            status = await filesystem.status()
            return {"damage": dict(status.damage), "messages": len(await messages(filesystem))}

    # The case

    def run(self) -> None:
        """Kill, look, write, and go on; then to the end."""
        self._process(self.populate)
        number = 0
        while self.found["kills"] < SIZE.kills:
            self.found["kills"] += self._killed(self._last_step())
            self._check("after a kill, with the former key", KEY)
            self._check("after a kill, with the newest key alone", self.place.key())
            if self.wrong:
                return
            path = self.random.choice([*self.files, f"new/{number}"])
            content = self.random.randbytes(self.random.randint(0, 300))
            self._process(lambda reactor, path=path, content=content: self.write(reactor, path, content))  # type: ignore[misc]
            self.files[path] = content
            self.found["writes meanwhile"] += 1
            number += 1
        self._finish()

    def _process(self, work: Any) -> Any:
        """Run it in a process of its own, which may take the longer the more files there are."""
        return in_process(work, SECONDS * max(1.0, len(self.files) / 100))

    def _last_step(self) -> int:
        """After which a process is killed: soon at first, and where the change has ended: all kills are made."""
        if self.found["kills"] < SIZE.kills // 5 or self.found["changes that came to their end"]:
            return self.random.randint(1, SOON)
        share = (30 if self.account == "embedded" else 7) * len(self.files) // SIZE.kills
        return self.random.randint(1, max(2, 2 * share))

    def _killed(self, last: int) -> bool:
        try:
            done, _steps = self._process(lambda reactor: self.rekey(reactor, last))
        except Killed:
            return True
        self.found["changes that came to their end"] += 1
        self.found["keys drawn at once"] += done["drawn"]
        return False

    def _check(self, when: str, key: Key) -> None:
        found = self._process(lambda reactor: self.look(reactor, key))
        self.found["files read"] += len(self.files)
        self.wrong += [f"{when}: {what}" for what in found]

    def _finish(self) -> None:
        for _ in range(3):  # what came meanwhile is sealed anew first
            done, _steps = self._process(lambda reactor: self.rekey(reactor, None))
            self.found["sealed by runs to the end"] += done["sealed"]
            self.wrong += [f"{one['path']} could not be sealed anew" for one in done["failed"]]
        newest = self.place.key()
        self._check("at the end, with the new key alone", newest)
        self._check("at the end, with the former key", KEY)
        highest = self._process(self.collect)
        self.place.age(highest, GRACE)
        self._process(self.collect)
        self._check("collected, with the new key alone", newest)
        self._check("collected, with the former key", KEY)
        left = self._process(lambda reactor: self.count(reactor, newest))
        self.found["messages at the end"] += left["messages"]
        if left["messages"] > 2 * len(self.files) + 8 * SIZE.kills + 40:
            self.wrong.append(f"{left} for {len(self.files)} files: copies were left")


def case(number: int) -> tuple[Counter[str], list[str]]:
    """One folder; the number decides the account, the files and the steps."""
    drawn = random.Random(number)
    account = ACCOUNTS[number % len(ACCOUNTS)]
    place = Place(account)
    world = World(place, account, drawn)
    world.files = {f"d{at % 10}/f{at}": drawn.randbytes(drawn.choice((0, 10, 200, 3000))) for at in range(SIZE.files)}
    try:
        world.run()
    except RuntimeError as error:
        world.wrong.append(str(error))
    finally:
        place.remove()
    world.found["folders"] += 1
    return world.found, world.wrong


def _sized(_context: click.Context, parameter: click.Parameter, value: int) -> int:
    setattr(SIZE, str(parameter.name), value)
    return value


main = command(case, __doc__ or "")
main.params += [
    click.Option(["--files"], type=click.IntRange(min=1), default=1000, callback=_sized, expose_value=False),
    click.Option(["--kills"], type=click.IntRange(min=1), default=50, callback=_sized, expose_value=False),
]

if __name__ == "__main__":
    main()
