"""A user's mailboxes in the database."""

from __future__ import annotations

from contextlib import AbstractContextManager

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ifap_twisted.clocks import date_by
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import ReadOnly
from ifap_twisted.server import storage
from ifap_twisted.server.database import Appender, Database
from ifap_twisted.server.interfaces import IMailAccount
from ifap_twisted.server.mailbox import Mailbox
from ifap_twisted.server.messages import Appended, Draft
from ifap_twisted.server.storage import Counts
from ifap_twisted.server.watching import Watchers

__all__ = ["Account", "Shelf"]


class Shelf:
    """What all accounts of a server share.

    :param clock: its date is that of messages without one.
    """

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self.database = database
        self.clock = clock
        self.watchers = Watchers()
        self.appender = Appender(database, self.watchers)

    def now(self) -> int:
        """Seconds since 1970."""
        return int(date_by(self.clock))


@implementer(IMailAccount)
class Account:
    """The account of one user."""

    def __init__(self, shelf: Shelf, user: int) -> None:
        self._shelf = shelf
        self._user = user

    def mailboxes(self) -> Deferred[dict[str, bool]]:
        """Every name, in order, and whether it is subscribed."""
        return self._shelf.database.run(storage.mailboxes, self._user)

    def create(self, name: str) -> Deferred[None]:
        """Make a mailbox and those above it."""
        return self._shelf.database.run(storage.create_mailbox, self._user, name, self._shelf.now())

    @deferred
    async def delete(self, name: str) -> None:
        """Remove a mailbox; INBOX stays (RFC 9051 section 6.3.4)."""
        if name == storage.INBOX:
            raise ReadOnly("INBOX cannot be deleted.")
        mailbox = await self._shelf.database.run(storage.delete_mailbox, self._user, name)
        self._shelf.watchers.deleted(mailbox)

    def subscribe(self, name: str, *, subscribed: bool) -> Deferred[None]:
        """Put it on the list of LSUB or take it off."""
        return self._shelf.database.run(storage.subscribe, self._user, name, subscribed=subscribed)

    def count(self, name: str) -> Deferred[Counts]:
        """What STATUS tells."""
        return self._shelf.database.run(storage.count, self._user, name)

    @deferred
    async def select(self, name: str, *, writable: bool) -> Mailbox:
        """Open it for a session."""
        opened = await self._shelf.database.run(storage.open_mailbox, self._user, name, claim_recent=writable)
        return Mailbox(self._shelf.database, self._shelf.watchers, opened, writable=writable)

    def append(
        self, name: str, flags: tuple[str, ...], date: tuple[int, int] | None, data: bytearray | bytes
    ) -> Deferred[Appended]:
        """Store a message."""
        seconds, zone = date or (self._shelf.now(), 0)
        draft = Draft(user=self._user, mailbox=name, flags=flags, date=seconds, zone=zone, data=data)
        return self._shelf.appender.append(draft)

    def together(self) -> AbstractContextManager[None]:
        """What is appended inside shares a transaction."""
        return self._shelf.appender.together()
