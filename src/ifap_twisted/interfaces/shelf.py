"""What is below the filesystem: a shelf of numbered, immutable messages, and who listens to it."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from ifap_twisted.core.values import FolderState, HeaderBlock, Receipt, Traits

__all__ = ["IFolderListener", "IMessageStore"]


class IFolderListener(Interface):
    """Told of what happens to a shelf; called from the reactor, must not raise."""

    def arrived(state: FolderState) -> None:
        """There may be messages that were not there before: read the headers above the last known UID."""

    def vanished(uids: abc.Collection[int]) -> None:
        """The server said that exactly these are gone (EXPUNGE, VANISHED)."""

    def renumbered(uidvalidity: int) -> None:
        """All UIDs known before mean nothing any more (FORMAT 2.5)."""

    def connected() -> None:
        """The shelf can be reached (again); what happened meanwhile is not known: poll and read."""

    def disconnected(reason: BaseException) -> None:
        """The shelf cannot be reached; it goes on trying by itself."""


class IMessageStore(Interface):
    """A shelf of immutable messages with ascending numbers, which only this folder's messages and foreign mail share.

    Calls while the shelf cannot be reached wait for it up to ``limits.CONNECT_SECONDS`` and then fail with
    ``Unavailable``. Reading is tried again on a new connection; appending never is, once a byte may have left.
    Calls may overlap freely; a shelf pipelines what it can, and appends are stored in the order of the calls.
    """

    traits: Traits = Attribute("what this shelf can do; right once ``open`` has fired")

    def open(*, create: bool = True) -> Deferred[FolderState]:
        """Open the folder, creating it when it is absent and ``create`` is set.

        :raises NotFound: it is absent and ``create`` is not set.
        :raises AuthenticationRefused, NotTrusted, Refused, Unavailable: as the server says.
        """

    def poll(*, thorough: bool = False) -> Deferred[FolderState]:
        """Ask the server for news (NOOP); ``thorough`` selects the folder anew, for servers that show appends late.

        Vanished messages are told to the listeners before this fires.
        """

    def uids(first: int, last: int | None = None) -> Deferred[Sequence[int]]:
        """The UIDs of the messages from ``first`` to ``last`` (None: the highest), ascending.

        Only UIDs inside the range are given, whatever the server answers. A refused listing raises; it is never
        an empty one.
        """

    def headers(first: int, last: int | None = None) -> Deferred[Mapping[int, HeaderBlock]]:
        """The metadata headers of all messages in a range, in bounded portions; an absent UID is an absent key."""

    def message(uid: int) -> Deferred[bytes]:
        """The whole message; never changes its flags.

        :raises MessageGone: there is no such message now.
        """

    def dates(uids: abc.Collection[int]) -> Deferred[Mapping[int, float]]:
        """When the shelf received messages (INTERNALDATE), in Unix time; an absent UID is an absent key.

        It is the server's clock, in whole seconds at best; a date that cannot be one is left out.
        """

    def append(message: bytes) -> Deferred[Receipt]:
        """Add a message, without flags and date; durable on the server when this fires.

        :raises TooLarge: it is larger than the server takes; nothing was sent.
        :raises QuotaExceeded, Refused, Throttled, Unavailable: it was certainly not stored.
        :raises OutcomeUnknown: the connection broke, or the call was cancelled or timed out, after a byte of the
            message may have left: it may or may not be stored.
        """

    def remove(
        uids: abc.Collection[int],
        uidvalidity: int,
        is_expected: Callable[[HeaderBlock], bool],
        due: abc.Collection[int] | None = None,
    ) -> Deferred[None]:
        """Remove exactly these messages for good; no other message is touched; an absent one is no error.

        A mailbox that is put back from a backup gives UIDs again under the same UIDVALIDITY. So the headers are read
        right before, on the connection and in the selection of the folder on which the messages are removed.

        :param uidvalidity: under which the UIDs were learnt: under another one they are those of others (FORMAT 2.5).
        :param is_expected: whether the message with this header is the one that was known by its UID; asked for each
            that is there. It may be called in another thread.
        :param due: where single messages cannot be removed (no UIDPLUS), allows a plain EXPUNGE while no others are
            marked as deleted than these and those to be removed before or after them (FORMAT 5.4). Between that
            look and the EXPUNGE others may mark a message, and lose it.
            Unless the connection is lost, a removal that fails leaves no message marked that is to stay.
        :raises Renumbered: UIDVALIDITY is another one; nothing was removed from then on. Or one of the messages is not
            what is expected; nothing was removed.
        :raises Unavailable: also when one is there and its header is not shown; nothing was removed.
        :raises NotSupported: the shelf cannot remove single messages, and ``due`` is None; nothing was changed.
        :raises MarkedByOthers: others are marked; nothing was removed.
        """

    def marked() -> Deferred[abc.Collection[int]]:
        """The UIDs of the messages that are marked as deleted, whoever marked them: any EXPUNGE removes them."""

    def unmark(
        uids: abc.Collection[int], uidvalidity: int, is_expected: Callable[[HeaderBlock], bool]
    ) -> Deferred[None]:
        """Let these messages not be marked as deleted; an absent one is no error.

        :param is_expected: as for ``remove``: the mark of another message is its owner's.
        :raises Renumbered: UIDVALIDITY is another one than that under which the UIDs were learnt, or one of the
            messages is not what is expected; nothing was changed.
        :raises Unavailable: also when one is there and its header is not shown; nothing was changed.
        :raises ReadOnly: the folder can only be read.
        """

    def listen(listener: IFolderListener) -> Callable[[], None]:
        """Tell a listener from now on; returns a callable that stops it."""

    def close() -> Deferred[None]:
        """Let go of the folder; pending calls fail with ``Unavailable`` or ``OutcomeUnknown``. Never raises."""
