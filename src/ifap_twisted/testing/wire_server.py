"""The embedded server in memory, on a fake clock, without threads: and whatever a mail server can do to its clients.

When nothing is ordered it is a right server: it passes the contract of the shelf through the real driver.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime

from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import IFAPError, NotFound
from ifap_twisted.server import limits, messages, storage
from ifap_twisted.server.account import Shelf
from ifap_twisted.server.connection import Connection
from ifap_twisted.server.credentials import AccountRealm
from ifap_twisted.server.database import Database
from ifap_twisted.server.flags import added
from ifap_twisted.server.framing import Command
from ifap_twisted.server.grammar import BadSyntax, Reader
from ifap_twisted.server.interfaces import IMailAccount
from ifap_twisted.server.messages import Appended, Draft
from ifap_twisted.server.names import parse_name
from ifap_twisted.server.outflow import Closed
from ifap_twisted.server.rows import Box
from ifap_twisted.server.schema import make_tables
from ifap_twisted.store.headers import message_id
from ifap_twisted.store.memory import Fate
from ifap_twisted.testing.wire_account import SimulatedAccount, Treatment

T = TypeVar("T")
FOLDER = "IFAP_DATA"
USER, PASSWORD = "me", "secret"
"""The account of every device."""


def at_once(work: Callable[[], T]) -> Deferred[T]:
    """A worker without a thread."""
    done: Deferred[T] = maybeDeferred(work)
    return done


class MemoryDatabase(Database):
    """The database of the embedded server, in memory, with a user."""

    def __init__(self) -> None:
        super().__init__(Path(":memory:"), at_once)
        self.connection = self._connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=64)
        make_tables(self.connection)
        storage.add_user(self.connection, USER, "", 0)
        self.user = storage.user_id(self.connection, USER)


class AheadShelf(Shelf):
    """One on which days pass at once.

    :ivar ahead: by so many seconds.
    """

    ahead = 0.0

    def now(self) -> int:
        """Seconds since 1970."""
        return int(self.clock.seconds() + self.ahead)


class Told(Exception):
    """A command is answered NO with this text."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


class SimulatedConnection(Connection):
    """A connection of a device.

    :ivar unwelcome: it is greeted with BYE.
    :param profile: words of the profile: ``literal-``, ``synchronising``, ``multiappend``; ``poor``: neither UIDPLUS
        nor IDLE.
    """

    unwelcome = False

    def __init__(
        self,
        server: SimulatedServer,
        treatment: Treatment,
        profile: Collection[str],
        cut: Callable[[], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        super().__init__(server.portal, server.shelf.clock, limits.MESSAGE, on_lost)
        self.treatment = treatment
        self._server = server
        self._profile = profile
        self._cut = cut

    def capabilities(self) -> dict[bytes, list[bytes] | None]:
        """What the profile has of what the server can do."""
        words = super().capabilities()
        absent = {b"LITERAL+"} if {"literal-", "synchronising"} & set(self._profile) else set()
        absent |= {b"UIDPLUS", b"IDLE"} if "poor" in self._profile else set()
        more = [b"LITERAL-"] if "literal-" in self._profile else []
        more += [b"MULTIAPPEND"] if "multiappend" in self._profile else []
        return {**{word: value for word, value in words.items() if word not in absent}, **dict.fromkeys(more)}

    def sendServerGreeting(self) -> None:
        """Greet, or not."""
        if self.unwelcome:
            self.say_goodbye(b"Too many connections.")
        else:
            super().sendServerGreeting()  # type: ignore[no-untyped-call]

    async def open_account(self, name: bytes, password: bytes) -> IMailAccount:
        """The account, with this device's treatment."""
        assert (name, password) == (USER.encode(), PASSWORD.encode())
        return SimulatedAccount(self._server, self._server.database.user, self.treatment, self._cut)

    async def execute(self, command: Command) -> bytes:
        """Do a command, unless it is ordered otherwise."""
        if self.state == "logout":
            return b""  # nobody hears it: it came after what made the server hang up
        name = name_of(command)
        answer = self.treatment.ordered(name)
        if answer is not None:
            self._refuse(answer)
        if name == b"APPEND" and "multiappend" in self._profile and self.state != "unauth":
            text = await self._append(command)
        else:
            text = await super().execute(command)
        return text.rpartition(b"] ")[2] if name == b"APPEND" and "poor" in self._profile else text

    def _refuse(self, answer: bytes) -> None:
        status, _blank, text = answer.partition(b" ")
        if status == b"BYE":
            self.say_goodbye(text)
            raise Closed
        if status == b"BAD":
            raise BadSyntax(text.decode())
        raise Told(text)

    def refusal(self, error: Exception) -> bytes | None:
        """The text of the NO."""
        return error.text if isinstance(error, Told) else super().refusal(error)

    async def _append(self, command: Command) -> bytes:
        """APPEND of one message or several (RFC 3502)."""
        reader = Reader(command)
        reader.tag()
        reader.space()
        reader.atom()
        reader.space()
        name = parse_name(reader.astring())
        drafts: list[tuple[tuple[str, ...], tuple[int, int] | None, bytes]] = []
        while not (drafts and reader.at_end):
            reader.space()
            drafts.append(((), None, bytes(reader.literal())))
        account: Any = self.account
        stored: Sequence[Appended] = await account.append_all(name, drafts)
        uids = b",".join(b"%d" % one.uid for one in stored)
        return b"[APPENDUID %d %b] APPEND completed" % (stored[0].uidvalidity, uids)


def name_of(command: Command) -> bytes:
    """The name of a command in capitals, with what follows UID."""
    words = command.line.upper().split(b" ", 3)
    return b" ".join(words[1:3]) if words[1:2] == [b"UID"] else b"".join(words[1:2])


class SimulatedServer:
    """One mailbox for all devices.

    :param drops_known: it answers OK to a message whose Message-ID it has ever seen, and does not store it.
    :ivar closed_until: no connection is accepted before that moment.
    :ivar dropped: how many messages it answered OK to and did not store.
    """

    def __init__(self, clock: IReactorTime, *, drops_known: bool = False) -> None:
        self.database = MemoryDatabase()
        self._calendar = AheadShelf(self.database, clock)
        self.shelf: Shelf = self._calendar
        self.portal = Portal(AccountRealm(self.shelf), [])
        self.closed_until = 0.0
        self.dropped = 0
        self._drops_known = drops_known
        self._known: set[bytes] = set()
        self._late: list[bytes] = []
        self._times: dict[tuple[int, int], float] = {}
        self._connections: dict[Connection, None] = {}

    def accept(
        self, treatment: Treatment, profile: Collection[str], cut: Callable[[], None]
    ) -> SimulatedConnection | None:
        """The protocol for a new connection of a device, or None while there is no server."""
        if self.shelf.clock.seconds() < self.closed_until:
            return None
        connection = SimulatedConnection(self, treatment, profile, cut, self._connections.pop)
        self._connections[connection] = None
        return connection

    def connections(self, treatment: Treatment | None = None) -> list[SimulatedConnection]:
        """Those that are open, all or those of a device, oldest first."""
        found = [one for one in self._connections if isinstance(one, SimulatedConnection)]
        return [one for one in found if treatment in (None, one.treatment)]

    # What is in the folder

    @property
    def box(self) -> Box | None:
        """The folder, or None before somebody has made it."""
        try:
            return storage.find_mailbox(self.database.connection, self.database.user, FOLDER)
        except NotFound:
            return None

    @property
    def messages(self) -> Mapping[int, bytes]:
        """What is in the folder, by UID."""
        box = self.box
        if box is None:
            return {}
        opened = storage.open_mailbox(self.database.connection, self.database.user, FOLDER, claim_recent=False)
        found = messages.read(self.database.connection, box.id, enumerate(opened.uids, 1))
        return {one.uid: one.header + one.text for one in found}

    def add(self, message: bytes) -> int:
        """Somebody else stores a message; its UID."""
        if self.box is None:
            storage.create_mailbox(self.database.connection, self.database.user, FOLDER, self.shelf.now())
        outcomes: list[Appended] = []
        self._add(FOLDER, (), None, message).addCallback(outcomes.append)  # type: ignore[unused-awaitable]
        return outcomes[0].uid

    def expunge(self, uids: Iterable[int]) -> None:
        """Somebody else removes messages."""
        box = self.box
        if box is not None:
            self.shelf.watchers.vanished(box.id, self._delete(box.id, uids))

    def forget(self, uid: int) -> None:
        """Lose a message without a word."""
        box = self.box
        if box is not None:
            self._delete(box.id, [uid])

    def pass_days(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._calendar.ahead += seconds

    def renumber(self, order: Sequence[int]) -> None:
        """Make the folder anew with the same messages, in this order; who has it selected is thrown out."""
        box, contents = self.box, self.messages
        if box is None:
            return
        connection, user = self.database.connection, self.database.user
        dates = {one.uid: one.date for one in messages.read(connection, box.id, ((0, uid) for uid in contents))}
        storage.delete_mailbox(connection, user, FOLDER)
        storage.create_mailbox(connection, user, FOLDER, self.shelf.now())
        drafts = [
            Draft(user=user, mailbox=FOLDER, flags=(), date=dates[uid], zone=0, data=contents[uid]) for uid in order
        ]
        messages.append(connection, drafts)
        self.shelf.watchers.deleted(box.id)

    def stored_at(self, mailbox: int, uid: int) -> float:
        """When a message was stored; long ago, where that is not known."""
        return self._times.get((mailbox, uid), 0.0)

    # What becomes of an APPEND

    @deferred
    async def store(
        self,
        account: SimulatedAccount,
        fate: Fate | None,
        name: str,
        flags: tuple[str, ...],
        date: tuple[int, int] | None,
        data: bytes,
    ) -> Appended:
        """Store a message, or what its fate makes of that; who is cut off hears no answer."""
        if fate in (Fate.CUT_BEFORE, Fate.CUT_LATE):
            if fate is Fate.CUT_LATE:
                self._late.append(data)
            account.cut()
            return Appended(0, 0, 0)
        if self._drops(data):
            fate = Fate.DROPPED
        if fate is Fate.DROPPED:
            return self._drop(account.user, name, data)
        appended = await self._add(name, flags, date, data)
        if fate is Fate.DOUBLED:
            await self._add(name, flags, date, data)
        if fate is Fate.CUT_AFTER:
            account.cut()
        if account.treatment.misplaced:
            account.treatment.misplaced -= 1
            return replace(appended, uid=max(appended.uid - 1, 1))
        return appended

    def deliver_late(self) -> None:
        """Store what was on its way, in its order."""
        late, self._late = self._late, []
        for message in late:
            if not self._drops(message):
                self.add(message)

    @deferred
    async def _add(self, name: str, flags: tuple[str, ...], date: tuple[int, int] | None, data: bytes) -> Appended:
        seconds, zone = date or (self.shelf.now(), 0)
        known = message_id(data)
        if known is not None:
            self._known.add(known)
        draft = Draft(user=self.database.user, mailbox=name, flags=flags, date=seconds, zone=zone, data=data)
        (outcome,) = messages.append(self.database.connection, [draft])
        if isinstance(outcome, IFAPError):
            raise outcome
        self._times[outcome.mailbox, outcome.uid] = self.shelf.clock.seconds()
        self.shelf.watchers.arrived(outcome.mailbox, [outcome.uid])
        return outcome

    def _drops(self, message: bytes) -> bool:
        """Whether a message is not stored, although the answer will be OK."""
        found = self._drops_known and message_id(message) in self._known
        self.dropped += found
        return found

    def _drop(self, user: int, name: str, data: bytes) -> Appended:
        """Give it a UID, and not keep it."""
        draft = Draft(user=user, mailbox=name, flags=(), date=0, zone=0, data=data)
        (outcome,) = messages.append(self.database.connection, [draft])
        if isinstance(outcome, IFAPError):
            raise outcome
        self._delete(outcome.mailbox, [outcome.uid])
        return outcome

    def _delete(self, mailbox: int, uids: Iterable[int]) -> list[int]:
        gone = list(uids)
        messages.change_flags(self.database.connection, mailbox, gone, added((messages.DELETED,)))
        return messages.expunge(self.database.connection, mailbox, gone)
