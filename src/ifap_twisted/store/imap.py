"""A shelf on an IMAP server: ``IMessageStore`` in terms of :class:`~ifap_twisted.imap.connector.Connector`.

Reading survives the loss of a connection; an append of which a byte may have left is never sent again. A UID that was
given under one UIDVALIDITY is never used under another.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, TypeVar

from twisted.logger import Logger
from zope.interface import implementer

from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON, FolderState, HeaderBlock, Receipt, Traits
from ifap_twisted.deferreds import deferred, within
from ifap_twisted.errors import IFAPError, OutcomeUnknown, Renumbered, StoreError, Throttled, TimedOut, Unavailable
from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.folder import Folder
from ifap_twisted.imap.session import Session
from ifap_twisted.interfaces import IFolderListener, IMessageStore

__all__ = ["ImapStore"]

T = TypeVar("T")

_ATTEMPTS: Final = 3
"""Connections that a call is tried on before its caller hears of the loss."""


@implementer(IMessageStore)
class ImapStore:
    """The shelf.

    :ivar traits: what the server can do; right once ``open`` has fired.
    """

    _log = Logger()

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._listeners: list[IFolderListener] = []
        self._uidvalidity: int | None = None
        self._open = False
        self.traits = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
        connector.observe(self)

    @property
    def state(self) -> str:
        """``connected``, ``connecting``, ``offline`` or ``stopped``: the last tries no more until :meth:`retry`."""
        return self._connector.state

    @property
    def last_error(self) -> IFAPError | None:
        """Why the server cannot be reached, or None."""
        return self._connector.last_error

    @property
    def heard(self) -> int:
        """How often something came from the server: it grows while an answer arrives."""
        return self._connector.heard

    def retry(self) -> None:
        """Try to connect now, for instance after the password was changed."""
        self._connector.retry()

    # IMessageStore

    @deferred
    async def open(self, *, create: bool = True) -> FolderState:
        """Open the folder, creating it when it is absent and ``create`` is set.

        Only one attempt to reach the server is waited for; the next ones go on meanwhile, for whoever asks again.
        """
        again = self._open and self._connector.state == "connected"
        self._open = True
        if again:
            return await self._call(lambda folder: folder.poll(thorough=False))
        self._connector.start(create=create)
        return (await self._session(hasty=True)).folder.state

    @deferred
    async def poll(self, *, thorough: bool = False) -> FolderState:
        """Ask the server for news."""
        return await self._call(lambda folder: folder.poll(thorough=thorough))

    @deferred
    async def uids(self, first: int, last: int | None = None) -> Sequence[int]:
        """The UIDs in a range, ascending."""
        return await self._call(lambda folder: folder.uids(first, last), numbered=True)

    @deferred
    async def headers(self, first: int, last: int | None = None) -> Mapping[int, HeaderBlock]:
        """The metadata headers of all messages in a range."""
        return await self._call(lambda folder: folder.headers(first, last), numbered=True)

    @deferred
    async def message(self, uid: int) -> bytes:
        """The whole message."""
        return await self._call(lambda folder: folder.message(uid), numbered=True)

    @deferred
    async def dates(self, uids: Collection[int]) -> Mapping[int, float]:
        """When the server received messages."""
        wanted = frozenset(uids)
        return await self._call(lambda folder: folder.dates(wanted), numbered=True)

    @deferred
    async def append(self, message: bytes) -> Receipt:
        """Add a message; sent again only when no byte of it can have left."""
        return await self._call(lambda folder: folder.append(message))

    @deferred
    async def remove(
        self,
        uids: Collection[int],
        uidvalidity: int,
        is_expected: Callable[[HeaderBlock], bool],
        due: Collection[int] | None = None,
    ) -> None:
        """Remove exactly these messages."""
        wanted = frozenset(uids)
        await self._call(lambda folder: folder.remove(wanted, uidvalidity, is_expected, due))

    @deferred
    async def marked(self) -> Collection[int]:
        """The UIDs of all messages that are marked as deleted."""
        return await self._call(lambda folder: folder.marked(), numbered=True)

    @deferred
    async def unmark(self, uids: Collection[int], uidvalidity: int, is_expected: Callable[[HeaderBlock], bool]) -> None:
        """Take the marks off."""
        wanted = frozenset(uids)
        await self._call(lambda folder: folder.unmark(wanted, uidvalidity, is_expected))

    @deferred
    async def server_facts(self) -> Mapping[str, JSON]:
        """What the server says of itself: its capabilities, and bytes used and allowed where it has a quota."""
        session = await self._session()
        quota = await session.quota()
        return {
            "capabilities": sorted(word.decode("ascii", "replace") for word in session.capabilities),
            "quota": None if quota is None else {"used": quota[0], "limit": quota[1]},
        }

    def listen(self, listener: IFolderListener) -> Callable[[], None]:
        """Tell a listener from now on; returns a callable that stops it."""
        self._listeners.append(listener)
        listening = True

        def stop() -> None:
            nonlocal listening
            if listening:
                listening = False
                self._listeners.remove(listener)

        return stop

    @deferred
    async def close(self) -> None:
        """Let go of the folder."""
        self._open = False
        await self._connector.stop()

    # Calls over connections that come and go

    async def _call(self, work: Callable[[Folder], Awaitable[T]], *, numbered: bool = False) -> T:
        """Do something on the connection, and on the next one when that is lost.

        :param numbered: it names UIDs, which mean nothing after a renumbering.
        """
        uidvalidity = self._uidvalidity
        attempt = 0
        while True:
            attempt += 1
            session = await self._session()
            if numbered and uidvalidity not in (None, self._uidvalidity):
                raise Renumbered("The mail server renumbered the folder meanwhile.")
            try:
                return await work(session.folder)
            except OutcomeUnknown:
                raise
            except (Unavailable, TimedOut) as lost:
                if session.alive or attempt == _ATTEMPTS:
                    raise _unavailable(lost) from None

    async def _session(self, *, hasty: bool = False) -> Session:
        if not self._open:
            raise Unavailable("The folder is not open.")
        ready = self._connector.session(hasty=hasty)
        if ready.called:
            return await ready
        try:
            return await within(
                ready,
                limits.CONNECT_SECONDS,
                self._connector.clock,
                "Reaching the mail server",
            )
        except TimedOut as late:
            raise _unavailable(self._connector.last_error or late) from None

    # What the connector tells

    def connected(self, session: Session) -> None:
        """The folder is open on a new connection."""
        self.traits = session.traits
        before, self._uidvalidity = self._uidvalidity, session.folder.state.uidvalidity
        if before not in (None, self._uidvalidity):
            self._tell(lambda listener: listener.renumbered(session.folder.state.uidvalidity))
        self._tell(lambda listener: listener.connected())

    def disconnected(self, reason: IFAPError) -> None:
        """The connection is lost."""
        self._tell(lambda listener: listener.disconnected(reason))

    def arrived(self, state: FolderState) -> None:
        """There may be new messages."""
        self._tell(lambda listener: listener.arrived(state))

    def vanished(self, uids: Collection[int]) -> None:
        """These are gone."""
        self._tell(lambda listener: listener.vanished(uids))

    def renumbered(self, uidvalidity: int) -> None:
        """The folder was renumbered while it was open."""
        self._uidvalidity = uidvalidity
        self._tell(lambda listener: listener.renumbered(uidvalidity))

    def _tell(self, what: Callable[[IFolderListener], None]) -> None:
        for listener in list(self._listeners):
            try:
                what(listener)
            except Exception:  # noqa: BLE001 -- a listener's mistake must not end the connection
                self._log.failure("while telling a listener")


def _unavailable(error: IFAPError) -> StoreError:
    """The error as one that a caller may meet when the server cannot be reached."""
    if isinstance(error, Throttled):
        return copy.copy(error)
    return Unavailable(error.detail)
