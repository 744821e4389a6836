"""What the commands of the server ask of an account: the seam for other accounts than those in SQLite."""

# ruff: noqa: N805 -- methods of a zope interface have no self

from __future__ import annotations

from contextlib import AbstractContextManager

from twisted.internet.defer import Deferred
from zope.interface import Interface

from ifap_twisted.server.mailbox import Mailbox
from ifap_twisted.server.messages import Appended
from ifap_twisted.server.storage import Counts

__all__ = ["IMailAccount"]


class IMailAccount(Interface):
    """A user's mailboxes. Names are as ``names.parse_name`` leaves them."""

    def mailboxes() -> Deferred[dict[str, bool]]:
        """Every name, in order, and whether it is subscribed."""

    def create(name: str) -> Deferred[None]:
        """Make a mailbox and those above it.

        :raises AlreadyExists: there is one.
        """

    def delete(name: str) -> Deferred[None]:
        """Remove a mailbox with its messages; sessions that have it selected are told.

        :raises NotFound: there is none.
        :raises ReadOnly: it is INBOX.
        :raises DirectoryNotEmpty: there are mailboxes below it.
        """

    def subscribe(name: str, *, subscribed: bool) -> Deferred[None]:
        """Put it on the list of LSUB or take it off.

        :raises NotFound: there is none.
        """

    def count(name: str) -> Deferred[Counts]:
        """What STATUS tells.

        :raises NotFound: there is none.
        """

    def select(name: str, *, writable: bool) -> Deferred[Mailbox]:
        """Open it for a session, which must ``close`` it.

        :raises NotFound: there is none.
        """

    def append(
        name: str, flags: tuple[str, ...], date: tuple[int, int] | None, data: bytearray | bytes
    ) -> Deferred[Appended]:
        """Store a message, byte for byte; it is on the disk when this fires.

        :param date: seconds since 1970 and minutes from UTC; None is now.
        :raises NotFound: there is no such mailbox.
        """

    def together() -> AbstractContextManager[None]:
        """What is appended inside, without waiting, may share a transaction."""
