"""Writing a version: sealed, appended, read back, and only then done (FORMAT 4.2 to 4.4).

A write that has begun is finished whatever becomes of its caller: a cancelled put leaves the old content or the new.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ifap_twisted.core import envelope, limits, paths, planning
from ifap_twisted.core.frozen import Frozen
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.values import JSON, Draft, Event, Expect, Sealed
from ifap_twisted.errors import (
    Conflict,
    DataError,
    InvalidPath,
    NotSupported,
    OutcomeUnknown,
    QuotaExceeded,
    ReadOnly,
    Refused,
    StoredAsConflict,
    StoreError,
    Throttled,
    TooLarge,
    Unavailable,
)
from ifap_twisted.filesystem.queues import Queues
from ifap_twisted.filesystem.readback import ReadBack
from ifap_twisted.filesystem.slices import Slices
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IJournal, IWriterIdentity
from ifap_twisted.workers import Worker

Random = Callable[[int], bytes]
PAUSES = (0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each look for an appended message: most servers show it at once, some after NOOP, one after SELECT."""

NOT_STORED = (CancelledError, QuotaExceeded, ReadOnly, Refused, Throttled, TooLarge, Unavailable)
"""After these a message was certainly not stored; after anything else that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a new version says otherwise than the version it replaces; None inherits.

    :ivar replaced: the vids of the heads that it descends from; None: all (FORMAT 5.2).
    """

    modified: float | None = None
    mode: int | None = None
    mime: str | None = None
    keep: int | None = None
    directory: bool = False
    deleted: bool = False
    moved_from: str | None = None
    extra: Mapping[str, JSON] | None = None
    replaced: Collection[str] | None = None


class Writer:
    """Adds versions to the folder.

    :param keep: how many versions a file keeps when nobody said otherwise.
    :param compat: refuse what the reference programs would not see (FORMAT 1.6).
    :ivar pending: writes that have begun and not ended; ``failing``: those among them that had to be tried again.
    :param journal: keeps what is on its way, unless None; ``freeze`` makes an entry of a message.
    :ivar unknown: told of an entry whose outcome is unknown.
    :ivar unseen: paths written that the reference programs do not see.
    """

    _log = Logger()

    def __init__(
        self,
        view: View,
        *,
        identity: IWriterIdentity,
        clock: IReactorTime,
        worker: Worker,
        random: Random,
        watchers: Watchers,
        keep: int = 5,
        compat: bool = False,
        journal: IJournal | None = None,
        freeze: Callable[[Sealed], Frozen] | None = None,
    ) -> None:
        self._view = view
        self._identity = identity
        self._clock = clock
        self._worker = worker
        self._random = random
        self._watchers = watchers
        self._keep = keep
        self._compat = compat
        self._journal = journal
        self._freeze = freeze
        self.unknown: Callable[[Frozen], None] = lambda _frozen: None
        self._slices = Slices(clock)
        self._read_backs = ReadBack(view.advance, clock)
        self._queues = Queues()
        self.pending = 0
        self.failing = 0
        self.unseen: set[str] = set()
        self._idle: list[Deferred[None]] = []

    def when_idle(self) -> Deferred[None]:
        """Fires when no write is pending."""
        if not self.pending:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._idle.append(waiter)
        return waiter

    def stop(self) -> None:
        """Leave nothing behind, once nothing is pending."""
        self._slices.stop()

    async def write(
        self,
        path: str,
        content: bytes,
        change: Change,
        *,
        expect: Expect = None,
        check: Callable[[], None] | None = None,
        sent: Callable[[Sealed], None] | None = None,
    ) -> Placed:
        """Add a version and wait until it was read back.

        :param check: called when the view is fresh, before anything is sent; may raise.
        :param sent: called when the message is on its way.
        :raises Conflict: it is not what was expected; nothing of it stays.
        :raises StoredAsConflict: the same, but it could not be removed.
        :raises OutcomeUnknown: it may or may not have been stored.
        """
        self._begin()
        try:
            turn = self._queues.enter(path)  # one write to a path at a time on this device
            if turn is not None:
                await turn
            try:
                await self._view.current()
                if check is not None:
                    check()
                history = self._view.index.history(path)
                planning.check_expectation(history, expect, path)
                replaced = _replaced(history, change)
                planning.check_understood(replaced, path)
                sealed = await self._sealed(await self._draft(path, history, replaced, change), content)
                placed, certain = await self._journalled(sealed, sent)
                if expect is not None:
                    known = {head.version.vid for head in replaced}
                    await self._check_overtaken(sealed, placed, known, expect, certain=certain)
                return placed
            finally:
                self._queues.leave(path)
        finally:
            self._end()

    async def finish(self, sealed: Sealed) -> Placed:
        """Bring a message of the journal to its end: find it, or send it again as it is (FORMAT 4.1).

        :raises OutcomeUnknown, StoreError, DataError: it is not known to be there.
        """
        self._begin()
        try:
            path = sealed.version.path
            turn = self._queues.enter(path)
            if turn is not None:
                await turn
            try:
                await self._view.refresh()
                return await self._found(sealed) or (await self._stored(sealed, None))[0]
            finally:
                self._queues.leave(path)
        finally:
            self._end()

    async def _found(self, sealed: Sealed) -> Placed | None:
        """The version of a message that is on the server already: its token and its size are equal (FORMAT 4.2)."""
        for placed in self._view.index.history(sealed.version.path).versions:
            for uid in placed.places:
                found = self._view.index.at(uid)
                if found is None or found.sealed_id != sealed.sealed_id:
                    continue
                block = (await self._view.store.headers(uid, uid)).get(uid)
                if block is not None and envelope.same_bytes(sealed, block.fields, block.size, self._view.dialect):
                    return placed
        return None

    # Preparing

    async def _draft(self, path: str, history: History, replaced: list[Placed], change: Change) -> Draft:
        number = await self._identity.take(1)
        behind = number <= self._view.index.greatest(self._identity.writer)
        if behind or planning.would_hide_own(history, replaced, self._identity.writer):
            await self._identity.renew()  # FORMAT 3.2: its record is older than the folder's, or this is a sibling
            number = await self._identity.take(1)
        place = planning.ancestry(history, replaced, writer=self._identity.writer, number=number)
        before = history.current.version if history.current is not None else None
        known = before if before is not None and before.understood else None
        return Draft(
            path=path,
            vid=new_vid(self._random),
            writer=self._identity.writer,
            clock=place.clock,
            parents=place.parents,
            home=self._view.home or "",
            modified=self._clock.seconds() if change.modified is None else change.modified,
            mode=_first(change.mode, known.mode if known and not known.directory else None, 0o644),
            mime=_first(change.mime, known.mime if known else None, None),
            directory=change.directory,
            deleted=change.deleted,
            keep=_first(change.keep, known.keep if known and (known.ours or known.keep > 1) else None, self._keep),
            moved_from=change.moved_from,
            extra=_first(change.extra, known.extra if known else None, {}),
        )

    async def _sealed(self, draft: Draft, content: bytes) -> Sealed:
        if envelope.exceeds_reference(draft, self._view.dialect, length=len(content)):
            if self._compat:
                raise InvalidPath(
                    "The reference programs could not see a path of this length (compat).", path=draft.path
                )
            self.unseen.add(draft.path)
        key = self._view.keys[0] if self._view.keys else None
        now = self._clock.seconds()

        work = partial(envelope.seal, draft, content, dialect=self._view.dialect, key=key, now=now, random=self._random)
        if len(content) <= limits.INLINE_BYTES:
            await self._slices.next()
            sealed = work()
        else:
            sealed = await self._worker(work)
        most = self._view.store.traits.max_message
        if most is not None and len(sealed.message) > most:
            raise TooLarge(
                f"Sealed it has {len(sealed.message)} bytes; the mail server takes at most {most}.",
                path=draft.path,
                limit=largest_file(sealed, most),
                size=len(content),
            )
        return sealed

    # Storing (FORMAT 4.2, 4.3)

    async def _journalled(self, sealed: Sealed, sent: Callable[[Sealed], None] | None) -> tuple[Placed, bool]:
        """As :meth:`_stored`; the message is kept until it is known what became of it. No snapshot is worth it (P8)."""
        journal, freeze = self._journal, self._freeze
        if journal is None or freeze is None or paths.is_reserved(sealed.version.path):
            return await self._stored(sealed, sent)
        frozen = freeze(sealed)
        try:
            await journal.begin(frozen)
        except BaseException:  # nothing was sent
            journal.settle(frozen)
            raise
        try:
            stored = await self._stored(sealed, sent)
        except NOT_STORED:
            journal.settle(frozen)
            raise
        except Exception:
            self.unknown(frozen)
            raise
        journal.settle(frozen)
        return stored

    async def _stored(self, sealed: Sealed, sent: Callable[[Sealed], None] | None) -> tuple[Placed, bool]:
        """Append and read back; after an unknown outcome look first, then send the same bytes again.

        Fires with the version, and whether it is certain that no further copy of it can turn up.

        To send again is safe: the same bytes are at worst another place of the same version (FORMAT 4.2).
        """
        self._view.own.begin(sealed)
        deadline = self._clock.seconds() + limits.SETTLE_SECONDS
        failing = False
        try:
            while True:
                try:
                    await self._append(sealed, sent)
                except OutcomeUnknown:
                    self.failing += not failing
                    failing = True
                    uid = await self._settled(sealed, deadline)
                except StoreError as error:
                    if failing:
                        raise _unknown(sealed) from error
                    raise
                else:
                    uid = await self._read_back(sealed, deadline)
                if uid is not None:
                    return self._placed(sealed, uid), not failing
        except OutcomeUnknown:
            # Should it turn up later, the next version must not seem to descend from it (FORMAT 3.2).
            await self._identity.renew()
            raise
        finally:
            self.failing -= failing
            self._view.forget_own(sealed)

    async def _append(self, sealed: Sealed, sent: Callable[[Sealed], None] | None) -> None:
        appending = self._view.store.append(sealed.message)
        if sent is not None:
            sent(sealed)
        self._read_backs.sending()
        try:
            await appending
        finally:
            self._read_backs.sent()

    async def _read_back(self, sealed: Sealed, deadline: float) -> int:
        """Look until the message shows up: success is reported after reading back, never before."""
        pauses = iter(PAUSES)
        polls = 0
        while True:
            pause = next(pauses, PAUSES[-1])
            if pause:
                await self._pause(pause)
            try:
                if polls:
                    await self._view.store.poll(thorough=polls > 1)
                await self._read_backs.next()
            except (StoreError, DataError):  # the connection broke; what was acknowledged is looked for on the next
                self._log.info("reading back is tried again")
            if (uid := self._view.found_own(sealed)) is not None:
                return uid
            if self._clock.seconds() >= deadline:
                raise _unknown(sealed)
            polls += 1

    async def _settled(self, sealed: Sealed, deadline: float) -> int | None:
        """Whether a message whose answer was lost is there: its UID, or None when a whole look does not find it."""
        while self._clock.seconds() < deadline:
            await self._pause(1.0)
            try:
                await self._view.store.poll(thorough=True)
                await self._view.refresh()
            except (StoreError, DataError):
                self._log.info("a write with an unknown outcome is looked for again")
            else:
                return self._view.found_own(sealed)
        raise _unknown(sealed)

    def _placed(self, sealed: Sealed, uid: int) -> Placed:
        for placed in self._view.index.history(sealed.version.path).versions:
            if uid in placed.places:
                return placed
        raise OutcomeUnknown("The file vanished right after it was stored.", path=sealed.version.path)

    def _pause(self, seconds: float) -> Deferred[None]:
        return deferLater(self._clock, seconds, lambda: None)

    async def _check_overtaken(
        self, sealed: Sealed, own: Placed, replaced: set[str], expect: Expect, *, certain: bool
    ) -> None:
        """Take one's own write back when somebody was faster (FORMAT 4.4).

        :param certain: no further copy of it can turn up; otherwise nobody can say that nothing of it stays.
        """
        path = sealed.version.path
        winner = planning.overtaken(self._view.index.history(path), own, replaced)
        if winner is None:
            return
        found = winner.version.vid
        expected = expect if isinstance(expect, str) else None
        try:
            await self._view.store.remove(own.places)
        except (NotSupported, StoreError) as error:
            raise StoredAsConflict(
                "Somebody changed the file at the same time; both versions were kept, see 'ifap conflicts'.",
                path=path,
                expected=expected,
                found=found,
            ) from error
        self._view.vanished(own.places)
        if not certain:
            await self._identity.renew()  # as for every write that may turn up later (FORMAT 3.2)
            raise _unknown(sealed)
        raise Conflict("Somebody changed the file at the same time.", path=path, expected=expected, found=found)

    # Bookkeeping

    def _begin(self) -> None:
        self.pending += 1
        if self.pending == 1:
            self._watchers.tell(Event(kind="pending", detail={"pending": 1}))

    def _end(self) -> None:
        self.pending -= 1
        if not self.pending:
            self._watchers.tell(Event(kind="pending", detail={"pending": 0}))
            waiters, self._idle = self._idle, []
            for waiter in waiters:
                if not waiter.called:
                    waiter.callback(None)


def _replaced(history: History, change: Change) -> list[Placed]:
    if change.replaced is None:
        return list(history.heads)
    return [placed for placed in history.versions if placed.version.vid in change.replaced]


def _unknown(sealed: Sealed) -> OutcomeUnknown:
    return OutcomeUnknown(
        "The connection broke while the file was being stored: it may or may not be there. "
        "Look with 'ifap versions' before trying again.",
        path=sealed.version.path,
    )


def new_vid(random: Random) -> str:
    """128 random bits as base64url (FORMAT 1, ``vid``)."""
    return urlsafe_b64encode(random(16)).rstrip(b"=").decode("ascii")


def _first(*values: Any) -> Any:
    """The first that is not None, else the last."""
    return next((value for value in values if value is not None), values[-1])


def largest_file(sealed: Sealed, most: int) -> int:
    """How many bytes of content a message of ``most`` bytes can hold, with a header like that of ``sealed``."""
    head = len(sealed.message) - body_length(sealed.version.length) + HEAD_SLACK
    blocks = (most - head) // limits.CONTENT_BLOCK
    while blocks > 0 and head + body_length(blocks * limits.CONTENT_BLOCK - 1) > most:
        blocks -= 1
    return max(0, blocks * limits.CONTENT_BLOCK - 1)


def body_length(size: int) -> int:
    """The length of a sealed body: padded, a Fernet token with its mark, folded, and a line end (WIRE-FORMAT 2.2)."""
    padded = size - size % limits.CONTENT_BLOCK + limits.CONTENT_BLOCK
    token = 1 + 4 * -(-(TOKEN_BYTES + padded) // 3)
    return token + 2 * -(-token // limits.BODY_COLUMNS)


TOKEN_BYTES = 1 + 8 + 16 + 16 + 32
"""Version, time, IV, a block of PKCS#7 padding and HMAC of a Fernet token."""
HEAD_SLACK = 2 * limits.METADATA_BLOCK
"""By how much the header of another file may be longer: a longer number steps over a block, and is folded."""
