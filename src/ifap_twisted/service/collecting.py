"""Collecting on schedule (DESIGN 4.6 ``collect.every``)."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ifap_twisted.core import limits
from ifap_twisted.core.collection import COLLECTED, PLANNED, Collection
from ifap_twisted.core.retention import Policy
from ifap_twisted.deferreds import detach
from ifap_twisted.errors import IFAPError
from ifap_twisted.interfaces import IFilesystem
from ifap_twisted.settings import Settings


def policy_of(settings: Settings) -> Policy:
    """What the settings say of what is kept."""
    return Policy(
        keep=settings.retention_keep,
        within=settings.retention_within,
        daily=settings.retention_daily,
        weekly=settings.retention_weekly,
        monthly=settings.retention_monthly,
    )


class Schedule:
    """Collects an open filesystem again and again.

    :param every: seconds from the end of one collection to the next; None never collects.
    """

    _log = Logger()

    def __init__(self, filesystem: IFilesystem, every: float | None, clock: IReactorTime) -> None:
        self._filesystem = filesystem
        self._every = every
        self._clock = clock
        self._call: IDelayedCall | None = None
        self._work: Deferred[None] | None = None

    def start(self) -> None:
        """Collect for the first time when those who wait for the folder have been served."""
        if self._every is not None:
            self._next(min(limits.COLLECT_FIRST_SECONDS, self._every))

    def stop(self) -> None:
        """Collect no more; what is under way is cancelled."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._every = None
        if self._work is not None:
            self._work.cancel()

    def _next(self, seconds: float) -> None:
        self._call = self._clock.callLater(seconds, self._begin)

    def _begin(self) -> None:
        self._work = Deferred.fromCoroutine(self._collect())
        detach(self._work, self._log, "collecting on schedule")

    async def _collect(self) -> None:
        try:
            self._tell(await self._filesystem.collect())
        except CancelledError:
            return
        except IFAPError as error:
            self._log.warn("collecting failed and is tried again later: {error}", error=error.detail)
        finally:  # also after a bug: the next time may be better, and the node goes on
            if self._every is not None:
                self._next(self._every)

    def _tell(self, found: Collection) -> None:
        counts = found.counts()
        self._log.info(
            "collected: {gone} versions removed for good, {planned} more planned",
            gone=counts[COLLECTED],
            planned=counts[PLANNED],
        )
        for message in found.messages:
            self._log.warn("collecting: {text}", text=message.text)
