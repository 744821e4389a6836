"""A device of a simulated run: started, used, closed, killed and started again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from ifap_twisted.basedir.basedir import Basedir
from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.locks import FileLocks
from ifap_twisted.basedir.writer import FileWriter
from ifap_twisted.core import limits
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.core.retention import Policy
from ifap_twisted.deferreds import deferred
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership, Surroundings, open_folder
from ifap_twisted.filesystem.recovery import Place as Account
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IMarks, IMessageStore
from ifap_twisted.service.accepting import Accepting
from ifap_twisted.testing.disk import Disk
from ifap_twisted.testing.journalling import NotedJournal, kept_on
from ifap_twisted.testing.process import Lifetime, Line, Notes, Threads
from ifap_twisted.testing.scenario import Place
from ifap_twisted.testing.seen import DiskMarks

KEY = Key.from_text("a key for simulations")
OPTIONS = Options(keep=2, grace=limits.LEAST_GRACE_SECONDS, checkpoint_every=20.0)
SPARSELY = replace(OPTIONS, retention=Policy(daily=2, weekly=2, monthly=1))
"""With holes in the middle of a history."""
IN_CHUNKS = Cutting(least=32, most=512, bits=6)
CHUNKED_FROM = 200
"""Bytes of a file that goes out in chunks, where that is wanted."""
Plant = Callable[[Any], None]
"""Breaks a filesystem that was just opened, so that the judgement can be seen to find it."""


class Network(Protocol):
    """What a device needs of a world."""

    def connect(self, device: int, place: Place, clock: IReactorTime) -> IMessageStore:
        """A new session; ``clock`` is that of the process."""

    def hang_up(self, device: int, *, before: bool) -> None:
        """The device died."""


class Keyring:
    """The key of the folder, as its user knows it: given from the beginning, or made by the device that comes first."""

    def __init__(self, key: Key | None) -> None:
        self.key = key
        self.torn = False
        """Two devices have the folder open under different keys."""

    def opened_with(self, key: Key) -> None:
        """A device could open the folder: what it made or was given is the key from now on."""
        self.torn = self.torn or (self.key is not None and self.key != key)
        self.key = self.key or key

    def membership(self) -> Membership:
        """What a device is told that knows nothing yet."""
        return Membership(keys=() if self.key is None else (self.key,))


class Device:
    """One of them.

    :ivar incarnation: how often it was started; ``filesystem``: None while it is not open.
    :ivar skew: by how much its clock is off.
    :ivar disk: its basedir, which outlives its processes; ``backup``: a copy of it.
    """

    def __init__(
        self,
        number: int,
        place: Place,
        world: Network,
        clock: Clock,
        keyring: Keyring,
        *,
        seed: int,
        options: Options = OPTIONS,
    ) -> None:
        self.number = number
        self.place = place
        self.incarnation = 0
        self.opening = False
        self.filesystem: Filesystem | None = None
        self.skew = place.skew
        self._slept = 0.0
        self.lifetime = Lifetime(clock, skew=self.skew)
        self.disk = Disk(f"machine {number}")
        self.backup: Disk | None = None
        self._keyring = keyring
        self._membership = keyring.membership()
        self._world = world
        self._clock = clock
        self._seed = seed
        self._options = options
        self._line: Line | None = None
        self._threads: Threads | None = None
        self._marking: Threads | None = None
        self._lines: list[Line] = []
        self._accepting: Accepting | None = None

    @property
    def accepting(self) -> Accepting | None:
        """What accepts writes while the folder is not open; None while it has no process."""
        return None if self.lifetime.dead else self._accepting

    def start(self, notes: Notes) -> Deferred[Filesystem]:
        """Open the folder; a process that was left in the middle of closing is killed."""
        self.incarnation += 1
        random = Random(f"device {self._seed} {self.number} {self.incarnation}")  # noqa: S311 -- repeatable
        self._world.hang_up(self.number, before=False)
        self._die()
        self.opening = True
        self.lifetime = lifetime = Lifetime(self._clock, skew=self.skew, slept=self._slept)
        self._line = line = Line(
            self._world.connect(self.number, self.place, lifetime),
            lifetime,
            key=lambda: self._keyring.key,
            notes=notes,
        )
        self._threads = Threads(lifetime, random, self.disk)
        self._accepting = Accepting(Watchers(), Account(), self._options)
        return self._open(line, lifetime, self._threads, self._accepting, random.randbytes)

    @deferred
    async def _open(
        self, line: Line, clock: Lifetime, worker: Threads, accepting: Accepting, random: Callable[[int], bytes]
    ) -> Filesystem:
        surroundings = await self._surroundings(line, clock, worker, random)
        if self._keyring.key is not None and self._membership.keys != (self._keyring.key,):
            self._membership = self._keyring.membership()  # the user was told that it is another, and gives it
        accepting.prepare(line, self._membership, surroundings)
        try:
            opened = await open_folder(
                line,
                self._membership,
                surroundings,
                options=self._options,
                make_key=self._keyring.key is None,
                remember=self._remember,
            )
        except Exception:
            await line.close()
            self.opening = False
            raise
        self.opening = False
        self._keyring.opened_with(opened.membership.keys[0])
        self.filesystem = line.filesystem = opened.filesystem
        return opened.filesystem

    async def _surroundings(
        self, line: Line, clock: Lifetime, worker: Threads, random: Callable[[int], bytes]
    ) -> Surroundings:
        basedir, disk = cast("Basedir", self.disk), self.disk
        drawn = Random(f"marks {self._seed} {self.number} {self.incarnation}")  # noqa: S311 -- repeatable
        self._marking = marking = Threads(clock, drawn, disk)

        def marks(keys: Sequence[Key], home: str, dialect: Dialect) -> IMarks:
            return DiskMarks(disk, keys, home=home, dialect=dialect.name, random=drawn.randbytes, worker=marking)

        journal = FileJournal(basedir, (), random=random, worker=worker)
        return Surroundings(
            clock=clock,
            elapsed=clock.elapsed,
            worker=worker,
            random=random,
            identity=await FileWriter.open(basedir, random, worker),
            journal=NotedJournal(journal, line.note).use,
            locks=await FileLocks.open(basedir, worker),
            marks=marks,
            backlog=line.backlog,
        )

    async def _remember(self, membership: Membership) -> None:
        if not self.lifetime.dead:
            self._membership = membership

    def stopped(self) -> None:
        """It was closed in good order, or not opened; its process goes on until :meth:`start` or :meth:`kill`."""
        self.filesystem = None
        self.opening = False

    def kill(self, *, before: bool) -> None:
        """Let it die in the middle of whatever it does.

        :param before: what is on its way to the server is not stored any more.
        """
        self._world.hang_up(self.number, before=before)
        self._die()

    def jump(self, seconds: float) -> None:
        """Let its clock jump."""
        self.skew += seconds
        self.lifetime.skew = self.skew

    def sleep(self, seconds: float) -> None:
        """Let time go by, on its clock as on every other one."""
        self.jump(seconds)
        self._slept += seconds
        self.lifetime.slept = self._slept

    def replace(self, disk: Disk) -> None:
        """Give it another basedir while it is dead; with an empty one it is another device in the folder's history."""
        self.disk = disk
        if not disk.files and self._keyring.key is not None:  # a key that nobody else has must not be forgotten
            self._membership = self._keyring.membership()

    def journalled(self) -> set[tuple[str, str]]:
        """Paths and ids of the versions that its journal holds on the disk."""
        keys = [] if self._keyring.key is None else [self._keyring.key]
        return {(version.path, version.vid) for version in kept_on(self.disk, keys)}

    @property
    def at_rest(self) -> bool:
        """It is open, the server can be reached, and nothing is under way."""
        opened = self.filesystem
        return opened is not None and opened.idle and opened.desk.view.state == "connected"

    def bury(self) -> None:
        """When all is over, let every process that it ever had run out: Python must find nothing half-run."""
        self._die()
        for line in self._lines:
            line.bury()

    def _die(self) -> None:
        self.lifetime.end()
        for threads in (self._threads, self._marking):
            if threads is not None:
                threads.kill()
        self._threads = self._marking = None
        if self._line is not None:
            self._lines.append(self._line)
            self._line = None
        self.filesystem = None
        self.opening = False
