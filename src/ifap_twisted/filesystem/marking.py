"""Remembering over the end of the process which heads were seen, so that an older state is noticed (FORMAT 9.1).

At opening what is remembered and not there becomes missing in the index, as if it had gone while the process looked on.
From then on the index is the truth: a mark is dropped only when the index has no such head any more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ifap_twisted.clocks import date_by
from ifap_twisted.core import limits
from ifap_twisted.core.faults import Faults
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.index import Index
from ifap_twisted.core.marks import Facts, Kept, Mark
from ifap_twisted.core.replays import Seen, in_front, older_than
from ifap_twisted.core.upkeep import RECORD_SECONDS
from ifap_twisted.core.values import Notice
from ifap_twisted.deferreds import detach
from ifap_twisted.errors import IFAPError, NewerVersionNeeded
from ifap_twisted.filesystem.known import Known, do_nothing
from ifap_twisted.filesystem.slices import Slices
from ifap_twisted.filesystem.turns import Turns
from ifap_twisted.interfaces import IMarks

SHOWN_OF_A_VID: Final = 8
MOST: Final = 20
"""Replayed files that are told one by one."""
SOON_SECONDS: Final = 1.0
"""After which what was seen is kept."""
OLD_SECONDS: Final = RECORD_SECONDS - 30 * 86400.0
"""Marks that were confirmed before are not believed: what was collected since is perhaps not on record any more."""
DAY_SECONDS: Final = 86400.0
TOLD_SECONDS: Final = 7 * DAY_SECONDS
"""So long it is told that marks were lost."""


class Marking:
    """The marks of one open folder.

    :param expected: there should be marks, because this device has kept some before.
    :ivar whole: all that this device knew when it ended was recalled.
    """

    _log = Logger()

    def __init__(self, known: Known, marks: IMarks, *, clock: IReactorTime, expected: bool) -> None:
        self._known = known
        self._marks = marks
        self._clock = clock
        self._expected = expected
        self._slices = Slices(clock)
        self._keeping = Turns(self._keep)
        self._stored: dict[str, tuple[Seen, ...]] = {}
        self._replayed: dict[str, Placed] = {}
        self._young: set[str] = set()
        self._waiting: Mapping[str, Sequence[Mark]] = {}
        self._facts = Facts(-math.inf)
        self._index = known.index
        self._soon: IDelayedCall | None = None
        self._later: IDelayedCall | None = None
        self._recalled = self._begun = self._closed = self._given_up = self.whole = False
        self._told: list[Notice] = []
        self._failure: IFAPError | None = None

    async def recall(self) -> None:
        """Let the index know what was seen before; the records have to be known.

        :raises NewerVersionNeeded: a newer version of this program keeps the marks.
        """
        try:
            kept = await self._marks.load()
        except NewerVersionNeeded:
            raise
        except IFAPError as error:  # the folder can be used all the same, and the status tells
            self._log.warn("what this device has seen cannot be read: {why}", why=str(error))
            self._failure = error
            return
        await self._take(kept)
        self.whole = kept is not None and not self._told
        self._recalled = True

    def begin(self) -> None:
        """Remember from now on what is seen, unless what was seen before could not be read."""
        if self._recalled:
            self._begun = True
            self._known.changed = self._changed
            self._changed()

    def forgo(self, error: IFAPError) -> None:
        """Remember nothing anew; what was seen before stays as it is."""
        self._failure = error

    async def _take(self, kept: Kept | None) -> None:
        now = date_by(self._clock)
        if kept is None:
            self._facts = Facts(-math.inf, now if self._expected else None)
            return
        self._facts = kept.facts
        validity = self._known.uidvalidity
        self._known.aside |= kept.facts.aside.under(validity)
        self._known.suspects |= kept.facts.spoilt.under(validity)
        self._known.checked = kept.facts.checked
        if kept.damaged:
            self._told.append(_some_lost(kept.damaged))
        if kept.marks and now - kept.facts.confirmed > OLD_SECONDS:
            self._told.append(_old())
            old = {path: Seen.of(marks) for path, marks in kept.marks.items()}  # no order is believed, either
            self._stored = {path: tuple(one._replace(below=()) for one in seen) for path, seen in old.items()}
            self._young = set(kept.marks)  # of what is not there, nothing is kept
            return
        self._waiting = kept.marks
        await self._recall_waiting()

    async def _recall_waiting(self) -> None:
        """Into an index that stays: one that is being replaced would not pass on what comes now."""
        index = self._known.index
        while self._waiting and self._stays(index):
            late = {version.sealed_id for version in self._known.late.values()}  # it is not missing (FORMAT 8.5)
            for path, marks in self._waiting.items():
                await self._slices.next()
                if not self._stays(index):
                    break
                index.recall([mark for mark in marks if mark.version.sealed_id not in late])
                self._stored[path] = Seen.of(marks)
                if any(mark.below for mark in marks):
                    self._look_for_replay(path, index.history(path))
            else:
                self._waiting = {}
            index = self._known.index

    def _stays(self, index: Index) -> bool:
        return self._known.index is index and not self._known.renumbering

    # Keeping

    def _changed(self) -> None:
        """Something became known, or is gone."""
        if not self._closed and (self._soon is None or not self._soon.active()):
            self._soon = self._clock.callLater(SOON_SECONDS, self._keep_now)

    def _keep_now(self) -> None:
        detach(self._keeping.next(), self._log, "keeping what was seen of the folder")

    async def _keep(self) -> None:
        if self._begun:
            await self._recall_waiting()
        if not self._begun or self._waiting or self._known.renumbering:
            return  # the index has old numbers, and it is told when it has the new ones
        now = date_by(self._clock)
        changes = await self._changes(now)
        facts = self._present_facts()
        same = not changes and facts == self._facts
        if self._given_up or (same and abs(now - self._facts.confirmed) < DAY_SECONDS):
            return
        facts = facts._replace(confirmed=now)
        try:
            await self._marks.keep(changes, facts)
        except Exception as error:
            self._young.update(changes)  # whatever it was: they are tried again
            self._look_later()
            if not isinstance(error, IFAPError):
                raise
            self._log.warn("what was seen of the folder could not be kept: {why}", why=str(error))
            self._failure = error
            return
        self._failure = None
        self._facts = facts
        for path, marks in changes.items():
            self._note_stored(path, marks)
        self._look_later()

    def _present_facts(self) -> Facts:
        known, validity = self._known, self._known.uidvalidity
        aside, spoilt = Faults.of(validity, known.aside), Faults.of(validity, known.spoilt)
        return self._facts._replace(aside=aside, spoilt=spoilt, checked=known.checked)

    async def _changes(self, now: float) -> dict[str, Sequence[Mark]]:
        """What is to be kept in the place of what is kept."""
        index = self._known.index
        names = index.take_touched() | self._young
        if index is not self._index:
            names.update(self._stored)
        self._index = index
        self._young = names  # until all of them were looked at
        young: set[str] = set()
        changes: dict[str, Sequence[Mark]] = {}
        for path in names:
            await self._slices.next()
            if self._look_for_replay(path, index.history(path)):
                continue  # what was seen before stays known until that is settled
            marks = [self._mark(head, spell, now) for head, spell in index.spells(path, self._known.elapsed())]
            if Seen.of(marks) != self._stored.get(path, ()):
                changes[path] = marks
            if any(mark.since > -math.inf for mark in marks):
                young.add(path)
        self._young = young
        return changes

    def _mark(self, head: Placed, spell: float, now: float) -> Mark:
        """A head; what was kept of it may say that it was known before this process was."""
        path, index = head.version.path, self._index
        below = older_than(head, index.history(path), self._stored.get(path, ()))
        return Mark(head.version, head.rank, index.validity, self._since(head, spell, now), below)

    def _since(self, head: Placed, spell: float, now: float) -> float:
        """As in a mark; a head can be missing, and then it is not there any longer than it was."""
        stored = self._stored.get(head.version.path, ())
        since = next((one.since for one in stored if one.vid == head.version.vid), now - spell)
        known = spell if head.missing else max(spell, abs(now - since))
        return -math.inf if abs(known) >= limits.WITHDRAWAL_SECONDS else since

    def is_settled(self, head: Placed, spell: float) -> bool:
        """Its writer cannot take it back any more, for all that this device has ever seen of it (FORMAT 4.4)."""
        return self._since(head, spell, date_by(self._clock)) == -math.inf

    def _look_for_replay(self, path: str, history: History) -> bool:
        """Whether an old message of a reference program was stored again, and is taken for the newest."""
        self._replayed.pop(path, None)
        found = in_front(history, self._stored.get(path, ()))
        if found is not None:
            self._replayed[path] = found
        return found is not None

    def _note_stored(self, path: str, marks: Sequence[Mark]) -> None:
        if marks:
            self._stored[path] = Seen.of(marks)
        else:
            self._stored.pop(path, None)

    def _look_later(self) -> None:
        """When its writer cannot take it back any more, a young mark is an old one."""
        if self._young and not self._closed and (self._later is None or not self._later.active()):
            self._later = self._clock.callLater(limits.WITHDRAWAL_SECONDS, self._keep_now)

    # Around it

    def give_up(self) -> None:
        """Of a folder that was not opened in the end: keep nothing."""
        self._given_up = True
        self._stop()
        detach(self._marks.close(), self._log, "closing what this device has seen")

    def _stop(self) -> None:
        self._closed = True
        self._known.changed = do_nothing
        self._slices.stop()
        for call in (self._soon, self._later):
            if call is not None and call.active():
                call.cancel()

    async def close(self) -> bool:
        """Keep what is left to keep, and let go, while the view is still open; whether all of it is kept."""
        self._closed = True
        await self._keeping.next()
        kept = self._begun and self._failure is None and not (self._waiting or self._known.renumbering)
        self._stop()
        await self._marks.close()
        return kept

    def notices(self) -> list[Notice]:
        """What a person should know of the marks themselves."""
        found = list(self._told)
        lost = self._facts.begun_anew
        if lost is not None and abs(date_by(self._clock) - lost) < TOLD_SECONDS:
            found.append(_all_lost())
        if self._failure is not None:
            found.append(_unkept(self._failure))
        for path in list(self._replayed):  # it may be settled by now
            self._look_for_replay(path, self._known.index.history(path))
        return found + [_replayed(placed) for placed in islice(self._replayed.values(), MOST)]


def _replayed(placed: Placed) -> Notice:
    text = (
        f"Version {placed.version.vid[:SHOWN_OF_A_VID]} of this file, which a reference program saved, was older than "
        "another one that this device has seen, and was stored again: it is taken for the newest. 'ifap versions' shows"
        " what is there; 'ifap restore' or 'ifap put' settles it."
    )
    return Notice(code="replayed", text=text, path=placed.version.path)


def _all_lost() -> Notice:
    text = (
        "What this device had seen of the folder is lost (seen.sqlite): if the mail server shows an older state now "
        "than it did before, that cannot be noticed. From now on it is remembered anew."
    )
    return Notice(code="marks-lost", text=text)


def _some_lost(count: int) -> Notice:
    files = "one file" if count == 1 else f"{count} files"
    text = f"What this device had seen of {files} is damaged (seen.sqlite): older states of them cannot be noticed."
    return Notice(code="marks-lost", text=text)


def _old() -> Notice:
    text = (
        "What this device had seen of the folder is about two years old: what was removed for good since then cannot "
        "be told from what the mail server withholds. From now on it is remembered anew."
    )
    return Notice(code="marks-old", text=text)


def _unkept(error: IFAPError) -> Notice:
    text = f"What this device sees of the folder cannot be kept, so an older state may not be noticed later: {error}"
    return Notice(code="marks-unkept", text=text)
