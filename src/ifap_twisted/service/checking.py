"""Checking on schedule (DESIGN 4.6 ``check.share_per_day``)."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.clocks import date_by
from ifap_twisted.core import limits
from ifap_twisted.core.findings import Checkup
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.service.schedule import Schedule

DAY_SECONDS: Final = 86400.0


class CheckSchedule(Schedule):
    """Checks an open filesystem again and again, so that all contents were read after a while.

    Where it ended is kept over the end of the process: a node that runs for some minutes a day comes to the end, too.

    :param share: the percentage of the messages whose contents are read each day; 0 never checks.
    """

    WHAT = "checking"
    FIRST_SECONDS = limits.CHECK_FIRST_SECONDS

    def __init__(self, filesystem: Filesystem, share: float, clock: IReactorTime) -> None:
        super().__init__(limits.CHECK_SECONDS if share else None, clock)
        self._filesystem = filesystem
        self._share = share

    async def _work(self) -> None:
        due = self._share * self._days()
        if due:
            self._tell(await self._filesystem.go_on_checking(due))

    def _days(self) -> float:
        """Since the last time, one at most; none when it was just before a restart. The date may be put back."""
        last = self._filesystem.desk.view.checked.time
        passed = DAY_SECONDS if last is None else abs(date_by(self._clock) - last)
        return 0.0 if passed < limits.CHECK_SECONDS / 2 else min(passed, DAY_SECONDS) / DAY_SECONDS

    def _tell(self, found: Checkup) -> None:
        self._log.info(
            "checked {headers} messages and {bodies} contents: {damaged} damaged",
            headers=found.headers,
            bodies=found.bodies,
            damaged=found.damaged,
        )
        if found.damaged:
            self._log.warn("the check found damage: {counts}; see 'ifap check'", counts=dict(found.counts()))
