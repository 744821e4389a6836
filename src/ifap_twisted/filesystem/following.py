"""Following what a shelf tells by itself: when news are read, and what is done about a connection that broke."""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ifap_twisted.core.values import Event, FolderState
from ifap_twisted.deferreds import deferred, detach
from ifap_twisted.errors import DataError, IFAPError, Renumbered, StoreError
from ifap_twisted.filesystem.freshness import Freshness
from ifap_twisted.filesystem.intake import Intake
from ifap_twisted.filesystem.known import Known
from ifap_twisted.filesystem.refreshing import LOOK_AGAIN_SECONDS, Refreshing
from ifap_twisted.filesystem.unmarking import unmark, unmark_kept
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IFolderListener

AGAIN_SECONDS = 10.0
"""After which news that could not be read are looked at again, if nothing else asks before."""
LATE_SECONDS = 1.0
"""How long news may be left to the reading back of our own messages, which a long upload holds up."""


@implementer(IFolderListener)
class Following:
    """Listens to the shelf from the first listing until it is closed."""

    _log = Logger()

    def __init__(
        self,
        known: Known,
        freshness: Freshness,
        intake: Intake,
        refreshing: Refreshing,
        *,
        clock: IReactorTime,
        watchers: Watchers,
    ) -> None:
        self._known = known
        self._freshness = freshness
        self._intake = intake
        self._refreshing = refreshing
        self._clock = clock
        self._watchers = watchers
        self._reading = False
        self._marks_unknown = True
        self._patience = AGAIN_SECONDS
        self._again: IDelayedCall | None = None
        self._late: IDelayedCall | None = None
        self._stop_listening: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Listen; what is new is not read before the first listing was."""
        self._stop_listening = self._known.store.listen(self)

    def begin_reading(self, *, behind: bool) -> None:
        """From now on read what is new.

        :param behind: something is new already.
        """
        self._reading = True
        if behind:
            self._freshness.behind = True
            self._read()

    def stop(self) -> None:
        """Stop listening."""
        self._stop_listening()
        self._enter("stopped")
        for call in (self._again, self._late):
            if call is not None and call.active():
                call.cancel()

    # IFolderListener

    def arrived(self, state: FolderState) -> None:
        """Read what is new, unless the reading back of our own messages is about to; soon in any case."""
        self._known.claimed = state.exists
        if not self._intake.own:
            self._read()
        elif self._late is None or not self._late.active():
            self._late = self._clock.callLater(LATE_SECONDS, self.read_when_behind)

    def vanished(self, uids: Collection[int]) -> None:
        """Forget exactly these."""
        self._intake.lose(uids, self._freshness.last_heard)

    def renumbered(self, uidvalidity: int) -> None:
        """Read everything again."""
        self._log.info("the server renumbered the folder (UIDVALIDITY {uidvalidity})", uidvalidity=uidvalidity)
        self._intake.renumber()
        self._freshness.compare = True
        self._read()

    def connected(self) -> None:
        """Look at everything that may have been missed."""
        self._freshness.compare = self._marks_unknown = True
        self._freshness.doubt()
        self._enter("connected")
        self._read()

    def disconnected(self, reason: BaseException) -> None:
        """Go on with what is known."""
        self._log.info("the mail server cannot be reached: {reason}", reason=str(reason))
        self._freshness.lose_connection()
        self._enter("offline")

    def _enter(self, state: str) -> None:
        if state != self._freshness.state:
            self._freshness.state = state
            self._watchers.tell(Event(kind="connection", detail={"state": state}))

    # Reading

    def read_when_behind(self) -> None:
        """Read what is new where the server counts more than is known."""
        if self._known.lags:
            self._read()

    def _read(self) -> None:
        """Not while the server is away: all is read when it is back, and to ask would hasten the next attempt."""
        if self._reading and self._freshness.state not in {"offline", "stopped"} and not self._known.key_changed:
            detach(self._refresh(), self._log, "refreshing after news from the server")

    @deferred
    async def _refresh(self) -> None:
        try:
            await self._refreshing.refresh()
        except (StoreError, DataError) as error:
            self._log.info("news from the server could not be read yet: {reason}", reason=str(error))
            self._freshness.behind = True
            self._try_again(AGAIN_SECONDS)
        else:
            await self.look_for_marks()

    @deferred
    async def look_for_marks(self) -> None:
        """Unmark, if that was not done since the connection was made; what fails is tried again after a while."""
        if not self._marks_unknown or self._known.home is None:  # whose the messages are is not known before
            return
        self._marks_unknown = False  # until the connection is made anew, be it meanwhile
        try:
            await self.unmark()
        except IFAPError as error:
            self._log.info("marks of a removal that was cut short are looked for again later: {why}", why=str(error))
            self._marks_unknown = True
            self._try_again(self._patience)
            self._patience = min(2 * self._patience, LOOK_AGAIN_SECONDS)
        else:
            self._patience = AGAIN_SECONDS

    async def unmark(self, uids: Collection[int] | None = None) -> None:
        """Take marks as deleted off versions; None: off all that stay.

        :raises Renumbered: there is another message at one of their UIDs; no mark was taken off.
        :raises StoreError, ReadOnly: marks may be left.
        """
        generation = self._known.generation
        try:
            await (unmark_kept(self._known) if uids is None else unmark(self._known, uids))
        except Renumbered:
            self.found_another(generation)
            raise

    def found_another(self, generation: int) -> None:
        """A UID is that of another message than under a generation: read everything anew, UIDVALIDITY or not."""
        if generation == self._known.generation:
            self.renumbered(self._known.uidvalidity)

    def _try_again(self, seconds: float) -> None:
        if self._freshness.state != "stopped" and (self._again is None or not self._again.active()):
            self._again = self._clock.callLater(seconds, self._read)
