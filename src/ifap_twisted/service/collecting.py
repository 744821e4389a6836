"""Collecting on schedule (DESIGN 4.6 ``collect.every``)."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.core import limits
from ifap_twisted.core.collection import COLLECTED, PLANNED, Collection
from ifap_twisted.core.retention import Policy
from ifap_twisted.interfaces import IFilesystem
from ifap_twisted.service.schedule import Schedule
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


class CollectSchedule(Schedule):
    """Collects an open filesystem again and again.

    :param every: seconds from the end of one collection to the next; None never collects.
    """

    WHAT = "collecting"
    FIRST_SECONDS = limits.COLLECT_FIRST_SECONDS

    def __init__(self, filesystem: IFilesystem, every: float | None, clock: IReactorTime) -> None:
        super().__init__(every, clock)
        self._filesystem = filesystem

    async def _work(self) -> None:
        self._tell(await self._filesystem.collect())

    def _tell(self, found: Collection) -> None:
        counts = found.counts()
        self._log.info(
            "collected: {gone} versions removed for good, {planned} more planned",
            gone=counts[COLLECTED],
            planned=counts[PLANNED],
        )
        for message in found.messages:
            self._log.warn("collecting: {text}", text=message.text)
