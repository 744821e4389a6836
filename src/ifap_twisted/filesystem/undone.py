"""What a check tells of retention: what should have gone long ago, and what was removed for good and is there."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.clocks import date_by
from ifap_twisted.core.arrears import LONG, overdue, returned
from ifap_twisted.core.findings import NOTE, Finding
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.surveying import Surveyor


class Undone:
    """Looks for what collections have left undone in one folder."""

    def __init__(self, desk: Desk, surveyor: Surveyor, clock: IReactorTime) -> None:
        self._desk = desk
        self._surveyor = surveyor
        self._clock = clock

    async def findings(self) -> list[Finding]:
        """Notes: it costs room and does no harm.

        :raises Renumbered, StoreError: it could not be looked at.
        """
        found = await self._surveyor.survey(date_by(self._clock))
        old = await self._desk.worker(lambda: overdue(found.histories, found.known))
        back = await self._desk.worker(lambda: returned(found.histories, found.known)) - old
        findings = []
        if old and self._desk.expunges and not self._desk.view.read_only:
            text = (
                f"Versions that nothing keeps could have been removed for good more than {LONG / 86400:.0f} days ago; "
                "'ifap gc' removes them."
            )
            findings.append(Finding("not-collected", NOTE, text, places=len(old)))
        if back:
            text = "Versions that were removed for good are there again; beside others none of them is current."
            findings.append(Finding("collected-again", NOTE, text, places=len(back)))
        return findings
