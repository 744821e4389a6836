"""Finishing what was journalled: after a crash, a cut, or an outcome that stayed unknown (FORMAT 4.1, 4.2).

A message is looked for by its sealed id first; found with the right size it is stored. What is not there is sent again:
the same bytes, never with other parents, so that at worst they are another place of the same version. Whether it met
with an edit of somebody else, its clock says: then it is a conflict that is reported, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ifap_twisted.core import envelope, planning
from ifap_twisted.core.frozen import Frozen, JournalContent
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import Event, Notice, Sealed, Version
from ifap_twisted.deferreds import deferred, detach
from ifap_twisted.errors import (
    DataError,
    IFAPError,
    NoRoom,
    OutcomeUnknown,
    QuotaExceeded,
    Renumbered,
    TimedOut,
    Unavailable,
)
from ifap_twisted.filesystem.backlog import Backlog, Waiting
from ifap_twisted.filesystem.entries import entry_of
from ifap_twisted.filesystem.notices import MOST
from ifap_twisted.filesystem.sending import Terms
from ifap_twisted.filesystem.turns import Turns
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.filesystem.writing import Writer
from ifap_twisted.interfaces import IJournal
from ifap_twisted.workers import Worker

AGAIN_SECONDS = 60.0
"""How long after an attempt that did not end well the next one begins; each in vain doubles it."""
FOR_NOW = (NoRoom, QuotaExceeded, OutcomeUnknown, TimedOut, Unavailable, Renumbered)
"""What may pass by itself: who waits for the same path goes on waiting. What is too large, refused, damaged or a bug of
ours may never go, and holds up nothing."""
LONGEST_SECONDS = 3600.0
"""How long at most, unless the connection is made anew or somebody asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the messages of an open folder go: ``Account.key``, and the name of the folder."""

    account: str = ""
    folder: str = ""

    def freeze(self, view: View, sealed: Sealed) -> Frozen:
        """An entry of the journal for a message that goes there (FORMAT 4.1)."""
        return Frozen(
            account=self.account,
            folder=self.folder,
            home=view.home or "",
            dialect=view.dialect.name,
            sealed_id=sealed.sealed_id,
            message=sealed.message,
        )

    def is_of(self, view: View, frozen: Frozen) -> bool:
        """Whether an entry belongs to this folder."""
        place = (self.account, self.folder, view.home, view.dialect.name)
        return place == (frozen.account, frozen.folder, frozen.home, frozen.dialect)


class Recovery:
    """Finishes what waits, oldest first.

    Of one path nothing overtakes what was accepted before it, unless that may never go: then it becomes an old version
    of the file, should it go after all.
    """

    _log = Logger()

    def __init__(
        self,
        journal: IJournal,
        view: View,
        writer: Writer,
        place: Place,
        *,
        clock: IReactorTime,
        worker: Worker,
        watchers: Watchers,
    ) -> None:
        self._journal = journal
        self._view = view
        self._writer = writer
        self._backlog = writer.backlog
        self._place = place
        self._clock = clock
        self._worker = worker
        self._watchers = watchers
        self._reasons: dict[str, Notice] = {}
        self._met: dict[str, Notice] = {}
        self._held = 0
        self._content = JournalContent()
        self._again: IDelayedCall | None = None
        self._patience = AGAIN_SECONDS
        self._stop_watching: Callable[[], None] | None = None
        self._rounds = Turns(self._round)
        self._stopped = False
        self._running: Waiting | None = None

    @deferred
    async def begin(self, content: JournalContent) -> None:
        """Take over what the journal holds, and begin with it."""
        self._content = content
        ours = [frozen for frozen in content.frozen if self._place.is_of(self._view, frozen)]
        self._held = len(content.frozen) - len(ours)
        await fill(self._backlog, self._journal, content, ours, self._view, self._worker)
        self._writer.underway.waiting = self.__len__
        self._backlog.added = self._sooner
        if self._backlog:
            detach(self.next(), self._log, "finishing what was journalled")

    def next(self) -> Deferred[None]:
        """Fires when everything that is left was tried once more, however it ended."""
        return self._rounds.next() if self._backlog and not self._stopped else succeed(None)

    async def paths(self) -> set[str]:
        """The paths of what is left, as far as they can be told."""
        return {waiting.path for waiting in self._backlog if waiting.path is not None}

    def stop(self) -> None:
        """Begin nothing any more; what is left stays in the journal."""
        self._stopped = True
        self._backlog.added = lambda: None
        self._rest()

    def __len__(self) -> int:
        return len(self._backlog) - self._counted

    @property
    def _counted(self) -> int:
        """1 while one of them is being finished, and counts as a pending write of the writer."""
        return int(self._running is not None and self._running in self._backlog)

    @property
    def failing(self) -> int:
        """How many of those that wait were tried in vain."""
        tried = sum(not one.frozen.accepted or one.frozen.sealed_id in self._reasons for one in self._backlog)
        return max(0, tried - self._counted)

    def _soon(self) -> None:
        """Try again after a while, or when the server is back."""
        if self._stopped:
            return
        if self._stop_watching is None:
            self._stop_watching = self._watchers.add(self._heard)
        if self._again is None or not self._again.active():
            self._again = self._clock.callLater(self._patience, self._try)

    def _sooner(self) -> None:
        """One more waits, and shall not wait as long as those that were tried in vain."""
        self._patience = AGAIN_SECONDS
        if self._again is not None and self._again.active():
            left = self._again.getTime() - self._clock.seconds()
            self._again.reset(min(left, AGAIN_SECONDS))
        self._soon()

    def _cancel(self) -> None:
        if self._again is not None and self._again.active():
            self._again.cancel()

    def _rest(self) -> None:
        self._cancel()
        if self._stop_watching is not None:
            self._stop_watching()
            self._stop_watching = None

    def _heard(self, event: Event) -> None:
        if event.kind == "connection" and event.detail.get("state") == "connected":
            self._patience = AGAIN_SECONDS
            self._try()

    def _try(self) -> None:
        detach(self.next(), self._log, "finishing what was journalled")

    async def _round(self) -> None:
        tried: set[str] = set()
        behind: set[str | None] = set()
        before = len(self._backlog)
        while waiting := self._next_of(tried, behind):
            tried.add(waiting.frozen.sealed_id)
            error = await self._finish(waiting)
            if waiting.frozen.accepted and isinstance(error, FOR_NOW):
                behind.add(waiting.path)  # not behind one of which nothing is known: nobody descends from that
            self._writer.underway.tell()
        if self._stopped:
            return
        if self._backlog:
            in_vain = tried and len(self._backlog) >= before
            self._patience = min(2 * self._patience, LONGEST_SECONDS) if in_vain else AGAIN_SECONDS
            self._cancel()
            self._soon()
        else:
            self._rest()

    def _next_of(self, tried: Collection[str], behind: Collection[str | None]) -> Waiting | None:
        """The oldest that was not tried and has to wait for none before it; None while the server is away."""
        if self._stopped or self._view.state != "connected":
            return None
        return next(
            (one for one in self._backlog if one.frozen.sealed_id not in tried and one.path not in behind), None
        )

    async def _finish(self, waiting: Waiting) -> Exception | None:
        """Bring one to its end; what kept it from that."""
        sealed_id = waiting.frozen.sealed_id
        try:
            frozen = await self._journal.load(waiting.frozen)
            if frozen is None:
                self._ended(waiting, None)
                return None
            sealed = await self._worker(lambda: self._sealed(frozen))
            self._running = waiting
            try:
                replaced = self._backlog.replaced(frozen)
                terms = Terms(expect=frozen.expect, replaced=replaced, queue=frozen.accepted)
                await self._writer.finishing.finish(sealed, terms, lambda placed: self._ended(waiting, placed))
            finally:
                self._running = None
        except IFAPError as error:
            self._log.info("a journalled write is not finished yet: {reason}", reason=str(error))
            self._reasons[sealed_id] = _waits(waiting, error)
            return error
        except Exception as bug:  # noqa: BLE001 -- one entry never holds up the others; it stays, and is reported
            self._log.failure("finishing a journalled write failed")
            self._reasons[sealed_id] = _waits(waiting, bug)
            return bug
        return None

    def _ended(self, waiting: Waiting, placed: Placed | None) -> None:
        self._backlog.remove(waiting)
        self._reasons.pop(waiting.frozen.sealed_id, None)
        self._journal.settle(waiting.frozen)
        if placed is not None:
            self._backlog.overtake(placed.version)
            self._compare(waiting.frozen, placed)

    def _compare(self, frozen: Frozen, placed: Placed) -> None:
        """Report what met another change on its way: nobody waits for an answer, so both stay (FORMAT 4.4)."""
        if frozen.expect is None and not frozen.accepted:
            return
        path = placed.version.path
        history = self._view.index.history(path)
        overtaken = planning.overtaken(history, placed, set(frozen.replaced)) is not None
        if history.in_conflict and (overtaken or history.is_late(placed)):
            text = "A write that came late met another change of the file; both were kept, see 'ifap conflicts'."
            self._met[path] = Notice(code="stored-as-conflict", text=text, path=path)
            self._watchers.tell(Event(kind="conflict", entry=entry_of(history, placed)))

    def _sealed(self, frozen: Frozen) -> Sealed:
        """The message as it was when it was sealed.

        :raises DataError: no key of the folder opens it.
        """
        view = self._view
        version = envelope.read_message(frozen.message, dialect=view.dialect, keys=view.keys, home=view.home)[0]
        if version.sealed_id != frozen.sealed_id:
            raise DataError("A journal entry is not the message that it names.", path=version.path)
        return Sealed(message=frozen.message, sealed_id=frozen.sealed_id, version=version)

    def notices(self) -> Collection[Notice]:
        """What a person should know."""
        found = [*self._met_still(), *waiting_notices(self._backlog, self._reasons)]
        return [*found, *journal_notices(self._content, self._held)]

    def _met_still(self) -> list[Notice]:
        """Without what was resolved since."""
        self._met = {path: one for path, one in self._met.items() if self._view.index.history(path).in_conflict}
        return list(self._met.values())


def waiting_notices(backlog: Backlog, reasons: Mapping[str, Notice] | None = None) -> list[Notice]:
    """Of each write that waits, why; of very many the oldest.

    :param reasons: of those that were tried in vain, by their sealed id.
    """
    waiting, known = list(backlog), reasons or {}
    found = [known.get(one.frozen.sealed_id) or _waits(one, None) for one in waiting[:MOST]]
    if len(waiting) > MOST:
        found.append(Notice(code="write-pending", text=f"{len(waiting) - MOST} more writes are kept in the journal."))
    return found


def journal_notices(content: JournalContent, others: int) -> list[Notice]:
    """Of what the journal holds and nothing is done about.

    :param others: how many of its messages go to other folders.
    """
    found, held = [], others + content.foreign
    if held:
        text = f"The journal holds {_many(held, 'write')} of another account, folder or key; none of that is sent here."
        found.append(Notice(code="journal-held", text=text))
    if content.damaged:
        what = _many(content.damaged, "damaged entry")
        text = f"The journal holds {what}, if possible set aside as journal/*.damaged; it may not be stored."
        found.append(Notice(code="journal-damaged", text=text))
    return found


async def fill(
    backlog: Backlog, journal: IJournal, content: JournalContent, ours: Sequence[Frozen], view: View, worker: Worker
) -> None:
    """Let what the journal holds of this folder wait; what is there of it already stays as it is.

    Not what has ended since the journal was read, nor what somebody is just sending: the folder may be open already.
    """
    versions = await worker(lambda: [_version(frozen, view) for frozen in ours])
    for frozen, version in zip(ours, versions, strict=True):
        if journal.keeps(frozen) and not backlog.is_under_way(frozen):
            backlog.add(frozen, version)
    if content.unread or not all(frozen.accepted for frozen in ours):
        backlog.unclean = True


def _version(frozen: Frozen, view: View) -> Version | None:
    try:
        return envelope.read_header(frozen.message, dialect=view.dialect, keys=view.keys, home=view.home)
    except DataError:
        return None


def _waits(waiting: Waiting, error: BaseException | None) -> Notice:
    what = "A write was accepted and waits for the mail server" if waiting.frozen.accepted else WAITS
    return Notice(code="write-pending", text=f"{what}." if error is None else f"{WAITS}: {error}", path=waiting.path)


WAITS = "A write is kept in the journal and tried again"


def _many(count: int, what: str) -> str:
    plural = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"one {what}" if count == 1 else f"{count} {plural}"
