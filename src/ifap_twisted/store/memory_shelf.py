"""The contents of an in-memory folder, and the orders by which tests let a server misbehave.

No store is known here: what changes is told to whoever attached itself.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, TypeAlias

from twisted.internet.defer import Deferred, succeed

from ifap_twisted.store.headers import message_id

Gate: TypeAlias = Callable[[str], Deferred[None]]
"""Asked before each call with the name of its method, and by ``append`` with ``answer`` once more after storing."""


class Visibility(enum.Enum):
    """From when on a store shows messages that were appended after it opened the folder."""

    AT_ONCE = "at once"
    POLL = "after any poll"
    THOROUGH = "after a thorough poll only"


class Fate(enum.Enum):
    """What becomes of an append."""

    CUT_BEFORE = "the connection breaks; it is not stored"
    CUT_AFTER = "it is stored; the connection breaks before the answer"
    CUT_LATE = "the connection breaks; it is stored at MemoryShelf.deliver_late()"
    DROPPED = "success is answered, but it is not stored"
    DOUBLED = "it is stored twice, the second time above the UID answered"


class Turnstile:
    """A gate that holds the calls of some methods until they are released, in their order."""

    def __init__(self, *methods: str) -> None:
        self._methods = set(methods)
        self._held: list[tuple[str, Deferred[None]]] = []

    def __call__(self, method: str) -> Deferred[None]:
        """Let the call pass, or hold it."""
        if method not in self._methods:
            return succeed(None)
        held: Deferred[None] = Deferred(self._forget)
        self._held.append((method, held))
        return held

    @property
    def held(self) -> list[str]:
        """The methods of the calls that are held, oldest first."""
        return [method for method, _held in self._held]

    def release(self, count: int | None = None) -> None:
        """Let the oldest calls go on; None: all, and those to come pass freely."""
        if count is None:
            self._methods.clear()
        released = self._held[:count]
        self._held = self._held[len(released) :]
        for _method, held in released:
            held.callback(None)

    def _forget(self, gone: Deferred[None]) -> None:
        self._held = [(method, held) for method, held in self._held if held is not gone]


class Session(Protocol):
    """Who is told what happens on a shelf."""

    def changed(self, gone: Iterable[int] = (), *, own: bool) -> None:
        """Messages came or went, by this session's own doing or another's."""

    def notice_renumbering(self) -> None:
        """The messages have other numbers now."""


class MemoryShelf:
    """The contents of one folder, shared by any number of sessions.

    :param drops_known: to a message whose Message-ID it has ever seen it says OK and does not store it, as some servers
        do even when the first one was removed (FORMAT 2.4).
    :ivar marked: UIDs of messages that somebody marked as deleted and did not expunge.
    """

    def __init__(self, *, uidvalidity: int = 1, uidnext: int = 1, drops_known: bool = False) -> None:
        self.uidvalidity = uidvalidity
        self.uidnext = uidnext
        self.created = False
        self.marked: set[int] = set()
        self._messages: dict[int, bytes] = {}
        self._dates: dict[int, float] = {}
        self._now = 0.0
        self._drops_known = drops_known
        self._known: set[bytes] = set()
        self._late: list[bytes] = []
        self._sessions: list[Session] = []

    @property
    def messages(self) -> Mapping[int, bytes]:
        """All messages by ascending UID, as they are now."""
        return MappingProxyType(self._messages)

    @property
    def dates(self) -> Mapping[int, float]:
        """When each message was received, in Unix time."""
        return MappingProxyType(self._dates)

    def passed(self, now: float) -> None:
        """The server's clock says so much now, or more: it never goes back by itself."""
        self._now = max(self._now, now)

    def date(self, uid: int, moment: float) -> None:
        """Give a message another date, as a server with a wrong clock does."""
        if uid not in self._messages:
            raise KeyError(uid)
        self._dates[uid] = moment

    def attach(self, session: Session) -> None:
        """Tell a session from now on what changes."""
        self.created = True
        if session not in self._sessions:
            self._sessions.append(session)

    def detach(self, session: Session) -> None:
        """Tell a session no more."""
        self._sessions = [other for other in self._sessions if other is not session]

    def drops(self, message: bytes) -> bool:
        """Whether it says OK to this message without storing it."""
        return self._drops_known and message_id(message) in self._known

    def add(self, message: bytes, by: Session | None = None) -> int:
        """Store a message under a new UID, whoever does it; returns the UID."""
        self.created = True
        known = message_id(message)
        if known is not None:
            self._known.add(known)
        uid = self.uidnext
        self.uidnext += 1
        self._messages[uid] = bytes(message)
        self._dates[uid] = float(int(self._now))
        for session in list(self._sessions):
            session.changed(own=session is by)
        return uid

    def remove(self, uids: Iterable[int], by: Session | None = None) -> None:
        """Remove messages and announce it; absent ones are left out."""
        gone = [uid for uid in sorted(set(uids)) if self._messages.pop(uid, None) is not None]
        self.marked.difference_update(gone)
        for session in list(self._sessions):
            session.changed(gone, own=session is by)

    def forget(self, *uids: int) -> None:
        """Lose messages without a word, as a damaged server does."""
        for uid in uids:
            del self._messages[uid]

    def tamper(self, uid: int, message: bytes) -> None:
        """Put other bytes in the place of a message, as a hostile server does."""
        if uid not in self._messages:
            raise KeyError(uid)
        self._messages[uid] = bytes(message)

    def renumber(self, order: Sequence[int] | None = None) -> None:
        """Give all messages new UIDs from 1 under a new UIDVALIDITY, in the order of their present UIDs or a given one.

        Every open session hears of it at once, as after a connection of its own.
        """
        order = list(self._messages) if order is None else order
        if sorted(order) != sorted(self._messages):
            raise ValueError("the order must name each message once")
        self._dates = {uid: self._dates[old] for uid, old in enumerate(order, 1)}
        self.marked = {uid for uid, old in enumerate(order, 1) if old in self.marked}
        self._messages = {uid: self._messages[old] for uid, old in enumerate(order, 1)}
        self.uidnext = len(self._messages) + 1
        self.uidvalidity += 1
        for session in list(self._sessions):
            session.notice_renumbering()

    def back_up(self) -> Callable[[], None]:
        """Keep a copy of the folder; gives a callable that puts it back, as from a backup: no session is told.

        UIDVALIDITY is as before, and UIDs that were given since then are given again.
        """
        messages, dates, marked, uidnext = dict(self._messages), dict(self._dates), set(self.marked), self.uidnext

        def put_back() -> None:
            self._messages, self._dates, self.marked = dict(messages), dict(dates), set(marked)
            self.uidnext = uidnext

        return put_back

    def keep_for_later(self, message: bytes) -> None:
        """Take a message that is stored by :meth:`deliver_late` only."""
        self._late.append(bytes(message))

    def deliver_late(self) -> None:
        """Store what was on its way (:attr:`Fate.CUT_LATE`), in its order."""
        late, self._late = self._late, []
        for message in late:
            if not self.drops(message):
                self.add(message)
