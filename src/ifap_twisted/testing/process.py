"""The life of one device in a simulated run: what stands between a filesystem and its world, and ends with a crash.

After a crash nothing more happens in it: no timer fires, no answer arrives, no call goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from random import Random
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.keys import Key
from ifap_twisted.core.plans import PLANS, Plan
from ifap_twisted.core.values import FolderState, HeaderBlock, Receipt, Traits, Version
from ifap_twisted.errors import ForeignKey, Unavailable
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.folder import FOLDER_OBJECTS
from ifap_twisted.interfaces import IFolderListener, IMessageStore
from ifap_twisted.testing.disk import Disk, PowerCutError

T = TypeVar("T")
CALL: ContextVar[int | None] = ContextVar("CALL", default=None)
"""The number of the call in whose name something is sent."""
BOOT = 1_799_900_000.0
"""When the machines were started, by the clock of the world: what elapses is counted from there."""
MOVING: ContextVar[bool] = ContextVar("MOVING", default=False)
"""What is sent belongs to a move: its tombstones descend from exactly what was moved (FORMAT 11.3)."""


@implementer(IReactorTime)
class Lifetime:
    """The clock of a process, which stops when the process dies.

    :ivar skew: by how much it is off; it may jump.
    :ivar slept: seconds that went by while nothing happened.
    """

    def __init__(self, clock: Clock, *, skew: float = 0.0, slept: float = 0.0) -> None:
        self.dead = False
        self.slept = slept
        self._starved: float | None = None
        self._clock = clock
        self.skew = skew
        self._calls: list[IDelayedCall] = []

    def seconds(self) -> float:
        """Now, as this process believes."""
        return self._clock.seconds() + self.skew

    def elapsed(self) -> float:
        """Seconds that run while the machine sleeps, and that nobody sets (FORMAT 10.1); they tell no date."""
        return self._clock.seconds() - BOOT + self.slept

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> IDelayedCall:  # noqa: A002 -- IReactorTime
        """As ``IReactorTime`` says."""
        self._calls = self.getDelayedCalls()
        timer = Timer(self, self._clock, lambda: callable(*args, **kw))
        timer.start(delay)
        if self._starved is not None and self._clock.seconds() > self._starved:
            timer.cancel()
        self._calls.append(timer)
        return timer

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """Those of this process."""
        return [call for call in self._calls if call.active()]

    def end(self) -> None:
        """Die: nothing fires any more, until all is over."""
        self.dead = True

    def bury(self) -> None:
        """Take the process apart: what its timers wait for is let go; what begins again for ever is starved."""
        self.dead = True
        self._starved = self._clock.seconds() + LAST_RITES
        for call in self.getDelayedCalls():
            call.reset(0.0)

    @property
    def buried(self) -> bool:
        """It is being taken apart."""
        return self._starved is not None


FOR_EVER = 1e6
"""Seconds that no run takes."""
LAST_RITES = 2000.0
"""Seconds in which everything ends that ends at all."""


@implementer(IDelayedCall)
class Timer:
    """A delayed call of a process: it waits for ever when the process dies before, until it is buried."""

    def __init__(self, lifetime: Lifetime, clock: Clock, work: Callable[[], object]) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._work = work
        self._call: Any = None

    def start(self, delay: float) -> None:
        """Be due then."""
        self._call = self._clock.callLater(delay, self._fire)

    def _fire(self) -> None:
        if self._lifetime.dead and not self._lifetime.buried:
            self.start(FOR_EVER)
        else:
            self._work()

    def active(self) -> bool:
        """As ``IDelayedCall`` says."""
        return bool(self._call.active())

    def cancel(self) -> None:
        """As ``IDelayedCall`` says."""
        self._call.cancel()

    def getTime(self) -> float:
        """As ``IDelayedCall`` says."""
        return float(self._call.getTime())

    def delay(self, secondsLater: float) -> None:
        """As ``IDelayedCall`` says."""
        self._call.delay(secondsLater)

    def reset(self, secondsFromNow: float) -> None:
        """As ``IDelayedCall`` says."""
        self._call.reset(secondsFromNow)


class Threads:
    """A worker as a thread: what it is given is done now or a moment later, and the result comes a moment later.

    When the process dies, what was not done yet is not done, or done up to some change of the disk.
    """

    def __init__(self, clock: IReactorTime, random: Random, disk: Disk) -> None:
        self._clock = clock
        self._random = random
        self._disk = disk
        self._waiting: dict[int, Callable[[], object]] = {}
        self._count = 0

    def __call__(self, work: Callable[[], T]) -> Deferred[T]:
        """Run ``work``."""
        delay = self._random.choice((0.0, 0.001, 0.05))
        if self._random.random() < 0.5:
            done: Any = maybeDeferred(work)
            return deferLater(self._clock, delay, lambda: done)
        self._count += 1
        number = self._count
        self._waiting[number] = work
        return deferLater(self._clock, delay, self._do, number)

    def _do(self, number: int) -> Any:
        return self._waiting.pop(number)()

    def kill(self) -> None:
        """The process dies in the middle of what is being done."""
        for work in self._waiting.values():
            self._disk.cut_after(self._random.choice((0, 0, 1, 2, 3)))
            with suppress(PowerCutError, Exception):
                work()
        self._disk.cut_after(None)


class Notes(Protocol):
    """Who writes down what a process does."""

    def sent(self, version: Version, known: frozenset[str]) -> None:
        """It sends a version; ``known``: the ids of those of its path that it can possibly descend from."""

    def removed(self, versions: Sequence[Version]) -> None:
        """It removes messages that hold these versions."""

    def planned(self, plan: Plan) -> None:
        """It sends a plan of what is to be collected."""

    def founding(self) -> None:
        """It sends a folder object."""


@implementer(IMessageStore)
class Line:
    """A store as one process sees it: notes what is sent, and is dumb when the process is dead.

    :param notes: told of what it does.
    :ivar filesystem: that of the process, once it is open; ``backlog``: what it has accepted.
    """

    def __init__(
        self,
        store: Any,
        lifetime: Lifetime,
        *,
        key: Callable[[], Key | None],
        notes: Notes,
    ) -> None:
        self.store = store
        self.filesystem: Filesystem | None = None
        self.backlog = Backlog()
        self._lifetime = lifetime
        self._key = key
        self._notes = notes
        self._moved: dict[str, set[str]] = {}
        self._open: dict[int, Deferred[Any]] = {}

    @property
    def traits(self) -> Traits:
        """Of the store."""
        traits: Traits = self.store.traits
        return traits

    def open(self, *, create: bool = True) -> Deferred[FolderState]:
        """Open the folder."""
        return self._pass(lambda: self.store.open(create=create))

    def poll(self, *, thorough: bool = False) -> Deferred[FolderState]:
        """Ask for news."""
        return self._pass(lambda: self.store.poll(thorough=thorough))

    def uids(self, first: int, last: int | None = None) -> Deferred[Sequence[int]]:
        """The UIDs in a range."""
        return self._pass(lambda: self.store.uids(first, last))

    def headers(self, first: int, last: int | None = None) -> Deferred[Mapping[int, HeaderBlock]]:
        """The metadata headers in a range."""
        return self._pass(lambda: self.store.headers(first, last))

    def message(self, uid: int) -> Deferred[bytes]:
        """One message."""
        return self._pass(lambda: self.store.message(uid))

    def dates(self, uids: Collection[int]) -> Deferred[Mapping[int, float]]:
        """When messages were received."""
        return self._pass(lambda: self.store.dates(uids))

    def remove(
        self,
        uids: Collection[int],
        uidvalidity: int,
        is_expected: Callable[[HeaderBlock], bool],
        due: Collection[int] | None = None,
    ) -> Deferred[None]:
        """Remove messages, and note which versions."""
        if self.filesystem is not None and not self._lifetime.dead:
            index = self.filesystem.desk.view.index
            self._notes.removed([version for uid in uids if (version := index.at(uid)) is not None])
        return self._pass(lambda: self.store.remove(uids, uidvalidity, is_expected, due))

    def marked(self) -> Deferred[Collection[int]]:
        """What is marked as deleted."""
        return self._pass(self.store.marked)

    def unmark(
        self, uids: Collection[int], uidvalidity: int, is_expected: Callable[[HeaderBlock], bool]
    ) -> Deferred[None]:
        """Take the marks off."""
        return self._pass(lambda: self.store.unmark(uids, uidvalidity, is_expected))

    def append(self, message: bytes) -> Deferred[Receipt]:
        """Store a message, and note what it can possibly descend from."""
        if not self._lifetime.dead:
            self.note(message)
        return self._pass(lambda: self.store.append(message))

    def listen(self, listener: IFolderListener) -> Callable[[], None]:
        """Tell a listener while the process lives."""
        stop: Callable[[], None] = self.store.listen(_Alive(listener, self._lifetime))
        return stop

    def close(self) -> Deferred[None]:
        """Let go."""
        return self._pass(self.store.close)

    def _pass(self, begin: Callable[[], Deferred[T]]) -> Deferred[T]:
        if self._lifetime.buried:
            return fail(Unavailable("The device is dead."))
        answer: Deferred[T] = Deferred(lambda _answer: work.cancel())
        self._open[id(answer)] = answer
        if self._lifetime.dead:
            return answer
        work = begin()

        def ended(outcome: Any) -> None:
            if not (self._lifetime.dead or answer.called):
                del self._open[id(answer)]
                answer.callback(outcome)

        work.addBoth(ended)  # type: ignore[unused-awaitable]
        return answer

    def bury(self) -> None:
        """Let everything that waits for an answer fail, so that nothing half-run is left for the garbage collector."""
        self._lifetime.bury()
        if self.filesystem is not None:
            self.filesystem.desk.view.close()
        while self._open:
            _key, answer = self._open.popitem()
            if not answer.called:
                answer.errback(Unavailable("The device is dead."))

    def note(self, message: bytes) -> None:
        """A message is about to be sent, or kept until it is: note what it can possibly descend from."""
        key = self._key()
        version = None if key is None else self._read(message, key)
        if key is None or version is None or version.path.startswith(FOLDER_OBJECTS):
            self._notes.founding()  # no file is written before (FORMAT 8.2)
            return
        if version.path.startswith(PLANS):
            content = envelope.read_message(message, dialect=IFAP, keys=(key,), home=None)[1]
            self._notes.planned(Plan.decode(content))
        known = {one.vid for one in self.backlog.accepted(version.path)}
        if self.filesystem is not None:
            index = self.filesystem.desk.view.index
            known |= {placed.version.vid for placed in index.history(version.path).versions}
        if MOVING.get() and version.deleted:
            known &= self._moved.get(version.path, set())
        if MOVING.get() and version.moved_from is not None:  # else its tombstone was not sent
            self._note_moved(version.moved_from)
        self._notes.sent(version, frozenset(known))

    def _read(self, message: bytes, key: Key) -> Version | None:
        """The version of a message; None for one under a key that its device has just made, and others have not."""
        try:
            return envelope.read_header(message, dialect=IFAP, keys=(key,), home=None)
        except ForeignKey:
            if self.filesystem is not None:
                raise
            return None

    def _note_moved(self, vid: str) -> None:
        """What the tombstone of a move may descend from: the version that was moved, and its ancestors."""
        assert self.filesystem is not None
        index = self.filesystem.desk.view.index
        for path in index.paths():
            history = index.history(path)
            for placed in history.find(vid):
                known = {vid, *(ancestor.version.vid for ancestor in history.ancestors(placed))}
                self._moved.setdefault(path, set()).update(known)


@implementer(IFolderListener)
class _Alive:
    """Tells a listener as long as its process lives."""

    def __init__(self, listener: IFolderListener, lifetime: Lifetime) -> None:
        self._listener = listener
        self._lifetime = lifetime

    def arrived(self, state: FolderState) -> None:
        if not self._lifetime.dead:
            self._listener.arrived(state)

    def vanished(self, uids: Collection[int]) -> None:
        if not self._lifetime.dead:
            self._listener.vanished(uids)

    def renumbered(self, uidvalidity: int) -> None:
        if not self._lifetime.dead:
            self._listener.renumbered(uidvalidity)

    def connected(self) -> None:
        if not self._lifetime.dead:
            self._listener.connected()

    def disconnected(self, reason: BaseException) -> None:
        if not self._lifetime.dead:
            self._listener.disconnected(reason)


def code_of(failure: Failure) -> str:
    """How a failure is recorded."""
    code = getattr(failure.value, "code", None)
    return code if isinstance(code, str) else f"bug: {type(failure.value).__name__}: {failure.value}"
