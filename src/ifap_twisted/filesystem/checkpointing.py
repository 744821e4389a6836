"""Telling other devices how far this one has seen, and noticing that others have seen more (FORMAT 9.2).

Nothing waits for it: what cannot be published or read now is tried again, or told by the next process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ifap_twisted.clocks import date_by
from ifap_twisted.core import limits, paths
from ifap_twisted.core.checkpoints import (
    CHECKPOINTS,
    Accepted,
    Checkpoint,
    acceptances_of,
    accepted_by,
    checkpoints_of,
    hidden,
    is_news,
    left_of,
)
from ifap_twisted.core.findings import DAMAGE, Finding
from ifap_twisted.core.history import Placed, removed_by_reference
from ifap_twisted.core.values import Notice
from ifap_twisted.deferreds import deferred, detach, within
from ifap_twisted.errors import IFAPError, ProtocolViolation, Renumbered, TimedOut
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.marking import Marking
from ifap_twisted.filesystem.slices import Slices
from ifap_twisted.filesystem.turns import Turns

LOOK_SECONDS = 5.0
"""So long a status waits for checkpoints that were not read yet."""
SHOWN_WRITERS = 5
"""Devices that a warning names."""


class Checkpointing:
    """The checkpoints of one open folder.

    :param marking: knows what was seen before this process; None where nothing is kept.
    :param every: seconds between two looks at what there is to tell; None publishes only when it is asked to.
    :param begin: publishes by :meth:`publish`, as an accepted write like any other.
    """

    _log = Logger()

    def __init__(
        self,
        desk: Desk,
        *,
        marking: Marking | None,
        clock: IReactorTime,
        every: float | None,
        begin: Callable[[], Deferred[None]],
    ) -> None:
        self._desk = desk
        self._marking = marking
        self._clock = clock
        self._every = every
        self._begin = begin
        self._slices = Slices(clock)
        self._reading = Turns(desk.objects.read_checkpoints)
        self._call: IDelayedCall | None = None

    # Publishing

    def start(self) -> None:
        """From now on publish what is new, now and then."""
        if self._every is not None:
            self._next(min(limits.CHECKPOINT_FIRST_SECONDS, self._every))

    def stop(self) -> None:
        """Publish nothing by itself any more."""
        self._every = None
        if self._call is not None and self._call.active():
            self._call.cancel()

    def close(self) -> None:
        """Leave nothing behind, once nothing is under way."""
        self.stop()
        self._slices.stop()

    def _next(self, seconds: float) -> None:
        self._call = self._clock.callLater(seconds, lambda: detach(self._now(), self._log, "publishing a checkpoint"))

    @deferred
    async def _now(self) -> None:
        try:
            await self._begin()
        except IFAPError as error:
            self._log.info("no checkpoint could be published yet: {reason}", reason=str(error))
        finally:
            if self._every is not None:
                self._next(self._every)

    async def publish(self) -> None:
        """Tell what this device has seen, as far as no checkpoint of late says it.

        :raises ProtocolViolation: the server does not give it back as it was stored (FORMAT 4.5).
        """
        view = self._desk.view
        await view.refresh()
        if view.incomplete or view.read_only or view.home is None:
            return
        await self._desk.objects.read_checkpoints()
        numbers = await self._numbers()
        if not is_news(numbers, self._desk.objects.checkpoints(), date_by(self._clock)):
            return
        for checkpoint in checkpoints_of(numbers):
            await self._store(checkpoint)

    async def _store(self, checkpoint: Checkpoint) -> None:
        content = checkpoint.encode()
        placed = await self._desk.writer.add_object(CHECKPOINTS, content)
        if await self._desk.reader.content(placed) != content:
            raise ProtocolViolation("The mail server does not give a checkpoint back as it was stored.")

    async def _numbers(self) -> Mapping[str, int]:
        """The greatest number of each writer in what nobody can take back, and is not accepted to be gone."""
        index, found = self._desk.view.index, dict[str, int]()
        accepted = accepted_by(self._desk.objects.checkpoints(), date_by(self._clock))
        for path in [path for path in index.paths() if not paths.is_reserved(path)]:
            await self._slices.next()
            history = index.history(path)
            for head, spell in index.spells(path, self._desk.view.elapsed()):
                cleaned_up = head.missing and removed_by_reference(history, head)
                if self._is_settled(head, spell) and not cleaned_up:
                    for writer, number in head.version.clock.items():
                        said = left_of(number, accepted.get(writer, ())) if head.missing else number
                        found[writer] = max(said, found.get(writer, 0))
        return {writer: number for writer, number in found.items() if number}

    async def accept(self) -> None:
        """Tell everybody that what is hidden is gone for good; whoever remembers to have seen it goes on to say so.

        :raises ProtocolViolation: the server does not give it back as it was stored (FORMAT 4.5).
        """
        greatest = self._desk.view.index.greatest_in_files
        gone = {writer: Accepted(greatest(writer), number) for writer, number in self._hidden().items()}
        for checkpoint in acceptances_of(gone):
            await self._store(checkpoint)
        await self._desk.objects.read_checkpoints()

    def _is_settled(self, head: Placed, spell: float) -> bool:
        if self._marking is not None:
            return self._marking.is_settled(head, spell)
        return abs(spell) >= limits.WITHDRAWAL_SECONDS

    # Looking

    async def look(self) -> None:
        """Read what others published, if that can be done in a moment."""
        if self._desk.view.state == "connected":
            with suppress(TimedOut):  # it goes on, and the next time it is known
                await within(self._reading.next(), LOOK_SECONDS, self._clock, "reading checkpoints")

    def notices(self) -> list[Notice]:
        """What others have seen, and nobody here."""
        found = self._hidden()
        return [_notice(found)] if found else []

    async def findings(self, *, accept: bool) -> list[Finding]:
        """The same, as damage; mended where it could be accepted.

        :raises Renumbered: the server renumbered the folder meanwhile.
        """
        found = [Finding(notice.code, DAMAGE, notice.text) for notice in self.notices()]
        if not (found and accept):
            return found
        try:
            await self.accept()
        except Renumbered:
            raise
        except IFAPError as error:
            return [one._replace(text=f"{one.text} It was not accepted: {error}") for one in found]
        return [one._replace(text=f"{one.text} It was accepted.", mended=True) for one in found]

    def _hidden(self) -> Mapping[str, int]:
        """Nothing while it is not certain what is here."""
        view = self._desk.view
        if view.incomplete or view.renumbering or not self._desk.objects.knows_records:
            return {}
        return hidden(self._desk.objects.checkpoints(), date_by(self._clock), view.index.greatest_in_files)


def _notice(found: Mapping[str, int]) -> Notice:
    writers = list(found)[:SHOWN_WRITERS]
    more = f" and {len(found) - SHOWN_WRITERS} more" if len(found) > SHOWN_WRITERS else ""
    text = (
        f"Another device has seen newer versions, written by {', '.join(writers)}{more}, than the mail server shows to "
        "this one, and nobody is known to have removed them. The server shows different devices different states, or "
        "lost something; or a reference program removed a file. 'ifap status' of the other devices tells of which "
        "files. If all of it is known to be gone for good, 'ifap check --accept' says so."
    )
    return Notice(code="hidden", text=text)
