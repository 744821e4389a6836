"""Finishing what was journalled: after a crash, a cut, or an outcome that stayed unknown (FORMAT 4.1, 4.2).

A message is looked for by its sealed id first; found with the right size it is stored. What is not there is sent again:
the same bytes, never with other parents, so that at worst they are another place of the same version. Whether it met
with an edit of somebody else, its clock says: then it is a conflict that is reported, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ifap_twisted.core import envelope
from ifap_twisted.core.frozen import Frozen, JournalContent
from ifap_twisted.core.values import Notice, Sealed
from ifap_twisted.deferreds import detach
from ifap_twisted.errors import DataError, IFAPError
from ifap_twisted.filesystem.turns import Turns
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.writing import Writer
from ifap_twisted.interfaces import IJournal
from ifap_twisted.workers import Worker

AGAIN_SECONDS = 60.0
"""How long after an attempt that did not end well the next one begins."""


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


class Recovery:
    """What is left to be finished, and finishes it.

    :ivar running: entries that are being finished just now, and count as pending writes of the writer.
    """

    _log = Logger()

    def __init__(
        self, journal: IJournal, view: View, writer: Writer, place: Place, *, clock: IReactorTime, worker: Worker
    ) -> None:
        self._journal = journal
        self._view = view
        self._writer = writer
        self._place = place
        self._clock = clock
        self._worker = worker
        self._left: dict[str, Frozen] = {}
        self._reasons: dict[str, Notice] = {}
        self._held = 0
        self._content = JournalContent()
        self._again: IDelayedCall | None = None
        self._rounds = Turns(self._round)
        self._stopped = False
        self.running = 0

    def begin(self, content: JournalContent) -> None:
        """Take over what an earlier process left, and begin with it."""
        self._content = content
        for frozen in content.frozen:
            if self._is_ours(frozen):
                self._left[frozen.sealed_id] = frozen
            else:
                self._held += 1
        if self._left:
            detach(self.next(), self._log, "finishing what was journalled")

    def _is_ours(self, frozen: Frozen) -> bool:
        place = (frozen.account, frozen.folder, frozen.home, frozen.dialect)
        return place == (self._place.account, self._place.folder, self._view.home, self._view.dialect.name)

    def add(self, frozen: Frozen) -> None:
        """Take over a write whose outcome is unknown."""
        self._left[frozen.sealed_id] = frozen
        self._soon()

    def next(self) -> Deferred[None]:
        """Fires when everything that is left was tried once more, however it ended."""
        return self._rounds.next() if self._left and not self._stopped else succeed(None)

    async def paths(self) -> set[str]:
        """The paths of what is left, as far as they can be told."""
        found = set()
        for frozen in list(self._left.values()):
            try:
                sealed = await self._worker(lambda frozen=frozen: self._sealed(frozen))  # type: ignore[misc]
            except DataError:
                self._log.info("a journalled write does not tell its path")
            else:
                found.add(sealed.version.path)
        return found

    def stop(self) -> None:
        """Begin nothing any more; what is left stays in the journal."""
        self._stopped = True
        if self._again is not None and self._again.active():
            self._again.cancel()

    def __len__(self) -> int:
        return len(self._left) - self.running

    def _soon(self) -> None:
        if not self._stopped and (self._again is None or not self._again.active()):
            self._again = self._clock.callLater(
                AGAIN_SECONDS, lambda: detach(self.next(), self._log, "finishing what was journalled")
            )

    async def _round(self) -> None:
        for frozen in list(self._left.values()):
            if self._stopped:
                return
            await self._finish(frozen)
        if self._left:
            self._soon()

    async def _finish(self, frozen: Frozen) -> None:
        path: str | None = None
        try:
            sealed = await self._worker(lambda: self._sealed(frozen))
            path = sealed.version.path
            await self._sent_again(sealed)
        except IFAPError as error:
            self._log.info("a journalled write is not finished yet: {reason}", reason=str(error))
            self._reasons[frozen.sealed_id] = _waits(path, error)
        except Exception as bug:  # noqa: BLE001 -- one entry never holds up the others; it stays, and is reported
            self._log.failure("finishing a journalled write failed")
            self._reasons[frozen.sealed_id] = _waits(path, bug)
        else:
            del self._left[frozen.sealed_id]
            self._reasons.pop(frozen.sealed_id, None)
            self._journal.settle(frozen)

    async def _sent_again(self, sealed: Sealed) -> None:
        self.running += 1
        try:
            await self._writer.finish(sealed)
        finally:
            self.running -= 1

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
        found = [*self._reasons.values()]
        held = self._held + self._content.foreign
        if held:
            text = (
                f"The journal holds {_many(held, 'write')} of another account, folder or key; nothing is done to them."
            )
            found.append(Notice(code="journal-held", text=text))
        if self._content.damaged:
            text = f"The journal holds {_many(self._content.damaged, 'damaged entry')}, set aside in journal/*.damaged."
            found.append(Notice(code="journal-damaged", text=text))
        return found


def _waits(path: str | None, error: BaseException) -> Notice:
    return Notice(code="write-pending", text=f"A write is kept in the journal and tried again: {error}", path=path)


def _many(count: int, what: str) -> str:
    plural = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"one {what}" if count == 1 else f"{count} {plural}"
