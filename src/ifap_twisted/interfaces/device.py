"""What a device keeps over the end of the process: its name, its locks, and what was accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from ifap_twisted.core.frozen import Frozen, JournalContent
from ifap_twisted.core.marks import Facts, Kept, Mark

__all__ = ["IJournal", "ILockMemory", "IMarks", "IWriterIdentity"]


class IWriterIdentity(Interface):
    """The name of this device in the folder's history, and its ascending numbers (FORMAT 3.1, 3.2)."""

    writer: str = Attribute("36 random bits in 6 characters")
    has_past: bool = Attribute("something may have been written under this name")
    unsettled: bool = Attribute("the same, and a process that begins may not know of it")

    def take(count: int, above: int = 0) -> Deferred[int]:
        """Reserve ``count`` numbers, greater than ``above`` and than all taken before; fires with the first.

        They are stored durably before this fires; numbers may be left out.
        """

    def renew() -> Deferred[None]:
        """Draw a new writer, because the old one may be used by a copy of this device (FORMAT 3.2)."""

    def settle() -> Deferred[None]:
        """All that was written under this name is known to the next process: it may go on with it.

        Until the next number is taken; durable when this fires.

        :raises IFAPError: it cannot be stored.
        """


class ILockMemory(Interface):
    """The locks that this device took, kept over the end of the process (FORMAT 10)."""

    def find(name: str) -> tuple[str, int] | None:
        """The id of the lock that is kept under a name, and its seconds, 0 when it may be over; None: none is."""

    def keep(name: str, lock: str, seconds: int) -> Deferred[None]:
        """Keep a lock under a name that tells nobody the path; durable when this fires.

        :raises IFAPError: it cannot be kept (the disk is full, for example).
        """

    def forget(name: str) -> Deferred[None]:
        """Forget the lock of that name; harmless when there is none.

        :raises IFAPError: another process may still find it.
        """


class IMarks(Interface):
    """Which heads of a folder this device has seen, kept over the end of the process (FORMAT 9.1)."""

    def load() -> Deferred[Kept | None]:
        """What is kept of the folder; None where nothing is.

        :raises NewerVersionNeeded: a newer version of this program wrote it.
        :raises IFAPError: it cannot be read now.
        """

    def keep(changes: Mapping[str, Sequence[Mark]], facts: Facts) -> Deferred[None]:
        """Keep the marks of some paths in the place of former ones; no marks: forget the path.

        Durable when this fires, and all or nothing.

        :raises IFAPError: they cannot be kept (the disk is full, for example).
        """

    def close() -> Deferred[None]:
        """Let go of whatever they are kept in."""


class IJournal(Interface):
    """What was accepted and may not be on the server yet, kept over the end of the process (FORMAT 4.1)."""

    def begin(frozen: Frozen) -> Deferred[None]:
        """Keep a message; durable on this machine when this fires. Cancelling it does not take it back.

        :raises IFAPError: it cannot be kept (the disk is full, for example), and is not.
        :raises OutcomeUnknown: whether it is kept is not known; it counts as kept until it is settled or discarded.
        """

    def settle(frozen: Frozen) -> None:
        """Let go of a message that is on the server; soon, not at once: to find it, or send it, again is harmless."""

    def discard(frozen: Frozen) -> Deferred[None]:
        """Forget a message that is not on the server and shall never be: when this fires, no later process finds it.

        Also one that was settled, and one whose :meth:`begin` failed or was cancelled. Cancelling this changes nothing.

        :raises IFAPError: this cannot be made durable; then it is as it was.
        """

    def keeps(frozen: Frozen) -> bool:
        """Whether a message was kept, and was neither settled nor discarded."""

    def left() -> Deferred[JournalContent]:
        """What is kept and not settled, in the order in which it was kept: of each message the head."""

    def load(frozen: Frozen) -> Deferred[Frozen | None]:
        """The whole of a message that is kept and that was let go from memory.

        None when :meth:`discard` failed for it, and has had its effect all the same: no later process finds it.

        :raises DataError: it cannot be read any more.
        :raises IFAPError: the disk does not say, or not for good; then it is as it was.
        """

    def close() -> Deferred[None]:
        """Fires when what was let go is gone from the disk. Never raises."""
