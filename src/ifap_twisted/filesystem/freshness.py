"""How far what is known keeps up with what the server says."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.clocks import date_by
from ifap_twisted.filesystem.known import Known

STALE_SECONDS = 2.0
"""How old knowledge may be on a shelf that does not push."""


class Freshness:
    """When the folder was read last, and what was not read since.

    :ivar state: ``connecting``, ``connected``, ``offline`` or ``stopped``.
    :ivar incomplete: the last listing did not agree with EXISTS; nothing was taken for deleted.
    :ivar last_refresh: the date, in Unix time; None before the first listing.
    :ivar compare: something may have been missed, so that a listing has to tell.
    :ivar doubtful: numbers up to this one may have been given again under the same UIDVALIDITY, so that a header has to
        tell; 0 when there is no doubt.
    :ivar behind: there are news that could not be read.
    :ivar heard: until when everything is known that happened, on the elapsed clock.
    """

    def __init__(self, known: Known, clock: IReactorTime) -> None:
        self._known = known
        self._clock = clock
        self._refreshed = float("-inf")
        self.state = "connecting"
        self.incomplete = False
        self.last_refresh: float | None = None
        self.compare = False
        self.doubtful = 0
        self.behind = False
        self.heard = float("-inf")

    def begin(self, *, since: float, online: bool) -> None:
        """The folder was listed for the first time.

        :param since: as for :meth:`renew`.
        :param online: the connection did not break meanwhile.
        """
        self.renew(since)
        self.state = "connected" if online else "offline"

    def renew(self, since: float) -> None:
        """Everything was read.

        :param since: when that was begun, on the elapsed clock: on a slow line what is read may be minutes old.
        """
        self.behind = False
        self._refreshed = since
        self.heard = self._known.elapsed()
        self.last_refresh = date_by(self._clock)

    def doubt(self) -> None:
        """The numbers that are known may be those of other messages by now."""
        self.doubtful = self.doubtful or self._known.index.highest

    def lose_connection(self) -> None:
        """What happens from now on is not told."""
        if self._is_pushed:
            self.heard = self._known.elapsed()

    @property
    def _is_pushed(self) -> bool:
        """Whether the server tells now what happens."""
        return self._known.store.traits.pushes and self.state == "connected"

    @property
    def last_heard(self) -> float:
        """Until when everything is known that happened: now, while the server tells it."""
        return self._known.elapsed() if self._is_pushed else self.heard

    @property
    def is_current(self) -> bool:
        """Nothing has to be asked: the server tells what happens, and all of that was read."""
        return self._is_pushed and self._known.folder is not None and not (self.compare or self.doubtful or self.behind)

    @property
    def is_recent(self) -> bool:
        """The server was asked a moment ago."""
        return not self._known.renumbering and self._known.elapsed() - self._refreshed < STALE_SECONDS

    @property
    def unread(self) -> bool:
        """The server told of messages that were not read yet, or could not tell of them."""
        return self._known.renumbering or self.compare or self.doubtful > 0 or self.behind or self._known.lags
