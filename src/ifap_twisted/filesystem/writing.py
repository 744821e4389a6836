"""Writing a version: drafted from what is there, sealed, sent, and compared with what was expected (FORMAT 3, 4.4).

A write that has begun is finished whatever becomes of its caller: a cancelled put leaves the old content or the new.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from ifap_twisted.clocks import date_by
from ifap_twisted.core import capacity, envelope, leases, limits, paths, planning
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.values import JSON, Draft, Event, Expect, Lease, Sealed, Version
from ifap_twisted.deferreds import Waiters
from ifap_twisted.errors import (
    Conflict,
    InvalidPath,
    LeaseLost,
    NotSupported,
    ReadOnly,
    StoredAsConflict,
    StoreError,
    TooLarge,
)
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.sending import AWAY, Sending, Terms, unknown_error
from ifap_twisted.filesystem.slices import Slices
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IWriterIdentity
from ifap_twisted.workers import Worker

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a new version says otherwise than the version it replaces; None inherits.

    :ivar replaced: the vids of the heads that it descends from; None: all (FORMAT 5.2), but under a lock not those that
        came too late under an older one, unless ``late_too`` (FORMAT 10.2).
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
    late_too: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """That a path may be written to now.

    :ivar lock: the lock under which it is written, or None.
    :ivar taken: by which of its messages it was taken, for this write only; None: it was there, or there is none.
    """

    lock: str | None = None
    taken: int | None = None


class Wish(NamedTuple):
    """What :meth:`Writer.write` was asked for."""

    path: str
    content: bytes
    change: Change
    expect: Expect
    check: Callable[[], None] | None
    sent: Callable[[Sealed], None] | None
    queue: bool


class Guard(Protocol):
    """Who knows the locks."""

    async def admit(self, path: str, *, adding: bool) -> Admission:
        """Let a write begin.

        :param adding: nothing live is there: that never waits for a lock (P7).
        :raises Locked: somebody else holds a lock on the path.
        :raises LeaseLost: the lock that this device held is over.
        """

    def admit_away(self, path: str, *, adding: bool) -> Admission:
        """Let a write be accepted while the server cannot be asked: by the locks that are known here.

        :raises Locked:
        """

    async def leave(self, path: str, admission: Admission) -> None:
        """The write has ended."""

    async def lost(self, path: str) -> LeaseLost:
        """The write came when its lock had been taken over: what its writer is told."""


class Unguarded:
    """There are no locks."""

    async def admit(self, path: str, *, adding: bool) -> Admission:
        """Let everybody write."""
        del path, adding
        return Admission()

    def admit_away(self, path: str, *, adding: bool) -> Admission:
        """Let everybody write."""
        del path, adding
        return Admission()

    async def leave(self, path: str, admission: Admission) -> None:
        """Nothing."""

    async def lost(self, path: str) -> LeaseLost:
        """As for every lock."""
        return LeaseLost(path=path)


class Writer:
    """Adds versions to the folder.

    :param keep: how many versions a file keeps when nobody said otherwise.
    :param compat: refuse what the reference programs would not see (FORMAT 1.6).
    :param backlog: what was accepted and waits: later versions descend from it.
    :ivar sending: brings what is sealed to the server.
    :ivar pending: writes that have begun and not ended; ``waiting`` gives how many others the journal keeps.
    :ivar guard: lets writes begin, or not, because of locks.
    :ivar unseen: paths written that the reference programs do not see.
    """

    def __init__(
        self,
        view: View,
        sending: Sending,
        *,
        identity: IWriterIdentity,
        clock: IReactorTime,
        worker: Worker,
        random: Random,
        watchers: Watchers,
        keep: int = 5,
        compat: bool = False,
        backlog: Backlog | None = None,
    ) -> None:
        self._view = view
        self.sending = sending
        self._identity = identity
        self._clock = clock
        self._worker = worker
        self._random = random
        self._watchers = watchers
        self._keep = keep
        self._compat = compat
        self._slices = Slices(clock)
        self.backlog = Backlog() if backlog is None else backlog
        self.guard: Guard = Unguarded()
        self.pending = 0
        self.waiting: Callable[[], int] = self.backlog.__len__
        self.unseen: set[str] = set()
        self._idle = Waiters()

    def when_idle(self) -> Deferred[None]:
        """Fires when no write is pending."""
        return self._idle.wait() if self.pending else succeed(None)

    @property
    def in_use(self) -> Collection[str]:
        """The paths that are being written."""
        return frozenset(self.backlog.turns)

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
        queue: bool = False,
    ) -> Placed:
        """Add a version and wait until it was read back, or accepted.

        :param check: called when the view is fresh, before anything is sent; may raise.
        :param sent: called when the message is on its way.
        :param queue: while the server is away, or others wait for it at this path, let it wait, too (:meth:`waits`).
        :raises Conflict: it is not what was expected; nothing of it stays.
        :raises StoredAsConflict: the same, but it could not be removed.
        :raises OutcomeUnknown: it may or may not have been stored.
        """
        wish = Wish(path, content, change, expect, check, sent, queue)
        self._begin()
        try:
            turn = self.backlog.turns.enter(path)  # one write to a path at a time on this device
            if turn is not None:
                await turn
            try:
                there = await self.looks_fresh() if queue else await self._look()
                if paths.is_reserved(path):
                    return await self._write(wish, None, there=there)
                return await self._write_guarded(wish, there=there)
            finally:
                self.backlog.turns.leave(path)
        finally:
            self._end()

    async def _write_guarded(self, wish: Wish, *, there: bool) -> Placed:
        """As far as the locks on the path allow it (FORMAT 10.2).

        :raises Locked, LeaseLost:
        """
        admission, there = await self._admitted(wish, there=there)
        try:
            return await self._write(wish, admission.lock, there=there)
        finally:
            await self.guard.leave(wish.path, admission)

    async def _admitted(self, wish: Wish, *, there: bool) -> tuple[Admission, bool]:
        """That it may be written, and whether the server is still there."""
        if there:
            try:
                if not self._adds(wish.path):
                    await self._view.recent()  # a lock that somebody took just now may not have been told yet
                return await self.guard.admit(wish.path, adding=self._adds(wish.path)), True
            except AWAY:
                if not wish.queue:
                    raise
        return self.guard.admit_away(wish.path, adding=self._adds(wish.path)), False

    def _adds(self, path: str) -> bool:
        return not self._view.index.history(path).live

    async def _write(self, wish: Wish, lock: str | None, *, there: bool) -> Placed:
        path, expect = wish.path, wish.expect
        if wish.check is not None:
            wish.check()
        history = self.history(path)
        planning.check_expectation(history, expect, path, locked=lock is not None)
        replaced = _replaced(history, wish.change, locked=lock is not None)
        planning.check_understood(replaced, path)
        began = self._view.elapsed()
        sealed = await self._sealed(await self._draft(path, history, replaced, wish.change, lock), wish.content)
        terms = Terms(expect=expect, replaced=tuple(head.version.vid for head in replaced), queue=wish.queue)
        if not there or (wish.queue and self.backlog.accepted(path)):
            return await self.sending.accepted(sealed, terms)
        placed, certain = await self.sending.journalled(sealed, wish.sent, terms)
        generation = self._view.generation
        if self.waits(placed):
            return placed
        self.backlog.overtake(placed.version)
        if await self._is_outlived(placed):  # its number was none of ours any more: again, as a new writer
            return await self._write(wish, lock, there=there)
        if self._view.index.history(path).is_late(placed):
            raise await self.guard.lost(path)
        if expect is not None:
            known = set(terms.replaced)
            await self._check_overtaken(sealed, placed, known, expect, began, certain=certain, generation=generation)
        self._view.index.acknowledge(placed.version)
        return placed

    async def add_lease(self, vid: str, lease: Lease) -> Placed:
        """Add a lock object, and wait until it was read back (FORMAT 10.1).

        :raises InvalidPath: it would be too long for the reference programs, which plaintext of that kind stops.
        """
        self._begin()
        try:
            number = await self._number()
            draft = Draft(
                path=leases.object_path(vid),
                vid=vid,
                writer=self._identity.writer,
                clock={self._identity.writer: number},
                home=self._view.home or "",
                modified=float(int(date_by(self._clock))),
                lease=lease,
            )
            if not self._view.keys and envelope.exceeds_reference(draft, self._view.dialect, length=0):
                raise InvalidPath("A path of this length cannot be locked in an unencrypted folder.", path=lease.path)
            return (await self.sending.stored(await self._seal(draft, b""), None))[0]
        finally:
            self._end()

    async def add_object(self, kind: str, content: bytes) -> Placed:
        """Store a reserved object under a name of its own (FORMAT 6.1).

        :param kind: what its name begins with, such as ``IFAP/plans/``.
        """
        return await self.write(kind + new_vid(self._random), content, Change())

    async def _look(self) -> bool:
        await self._view.current()
        return True

    async def looks_fresh(self) -> bool:
        """Whether the server is there and the view fresh; not, while the server is away."""
        if self._view.state != "connected":
            return False
        try:
            return await self._look()
        except AWAY:
            return False

    def history(self, path: str) -> History:
        """The history that the next version of a path continues: what is there, and what was accepted."""
        return self.backlog.history(path, self._view.index.history(path))

    def waits(self, placed: Placed) -> bool:
        """Whether a version that was written is not there yet, but accepted."""
        return any(version is placed.version for version in self.backlog.accepted(placed.version.path))

    async def finish(self, sealed: Sealed, terms: Terms, ended: Callable[[Placed | None], None]) -> None:
        """Bring a message of the journal to its end: find it, or send it again as it is (FORMAT 4.1).

        What is on record as collected was there, and was removed on purpose: it has ended, too (FORMAT 5.3).

        :param terms: under which it was kept.
        :param ended: called when it has, before the next write to its path; with the version, if it is there.
        :raises StoreError, DataError: it is not known to be there.
        """
        self._begin()
        try:
            path = sealed.version.path
            turn = self.backlog.turns.enter(path)
            if turn is not None:
                await turn
            try:
                await self._view.refresh()
                collected = self._view.records.was_collected(sealed.version)
                ended(None if collected else await self._finished(sealed, terms))
            finally:
                self.backlog.turns.leave(path)
        finally:
            self._end()

    async def _finished(self, sealed: Sealed, terms: Terms) -> Placed:
        """Where it is in the end; under another number, when its own may have been used twice (FORMAT 3.2)."""
        placed = await self.sending.found(sealed)
        if placed is None and not self._is_doubtful(sealed.version, terms):
            placed = (await self.sending.stored(sealed, None))[0]
        if placed is None or await self._is_outlived(placed):
            placed = await self._written_anew(sealed, terms.replaced)
        self._view.index.acknowledge(placed.version)
        return placed

    def _is_doubtful(self, version: Version, terms: Terms) -> bool:
        """Whether it would hide, or be hidden by, what only its number tells of.

        Only what was accepted got its number without a look at the folder. What was stored on top of it since is right.
        """
        if not terms.queue or self.backlog.is_overtaken(version.vid):
            return False
        history = self._view.index.history(version.path)
        return self._view.records.explains(version) or planning.number_is_doubtful(history, version, terms.replaced)

    async def _written_anew(self, sealed: Sealed, replaced: Collection[str]) -> Placed:
        """Store what a message of the journal says as a version of a new writer."""
        version, view = sealed.version, self._view
        reading = partial(envelope.read_message, dialect=view.dialect, keys=view.keys, home=view.home)
        content = (await self._worker(lambda: reading(sealed.message)))[1]
        change = Change(
            modified=version.modified,
            mode=version.mode,
            mime=version.mime,
            keep=version.keep,
            directory=version.directory,
            deleted=version.deleted,
            moved_from=version.moved_from,
            extra=version.extra,
            replaced=replaced,
        )
        await self._identity.renew()
        history = view.index.history(version.path)
        draft = await self._draft(version.path, history, _replaced(history, change, locked=False), change, version.lock)
        return (await self.sending.stored(await self._sealed(draft, content), None))[0]

    async def _is_outlived(self, placed: Placed) -> bool:
        """Whether the end of its file is on record, and nobody who removed that can have seen it (FORMAT 5.3)."""
        await self._view.read_records()
        return self._view.index.history(placed.version.path).is_outlived(placed)

    # Preparing

    async def _number(self) -> int:
        """This device's next number; of a new writer when the folder knows a greater one (FORMAT 3.2)."""
        if self.backlog.unclean:
            await self._identity.renew()  # what an earlier life sent and nobody sees may arrive yet
            self.backlog.unclean = False
        number = await self._identity.take(1)
        if number > self._view.index.greatest(self._identity.writer):
            return number
        await self._identity.renew()
        return await self._identity.take(1)

    async def _draft(
        self, path: str, history: History, replaced: list[Placed], change: Change, lock: str | None
    ) -> Draft:
        number = await self._number()
        if planning.would_hide_own(history, replaced, self._identity.writer):
            await self._identity.renew()  # FORMAT 3.2: this is a sibling
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
            modified=date_by(self._clock) if change.modified is None else change.modified,
            mode=_first(change.mode, known.mode if known and not known.directory else None, 0o644),
            mime=_first(change.mime, known.mime if known else None, None),
            directory=change.directory,
            deleted=change.deleted,
            keep=_first(change.keep, known.keep if known and (known.ours or known.keep > 1) else None, self._keep),
            moved_from=change.moved_from,
            lock=lock,
            extra=_first(change.extra, known.extra if known else None, {}),
        )

    async def _sealed(self, draft: Draft, content: bytes) -> Sealed:
        if envelope.exceeds_reference(draft, self._view.dialect, length=len(content)):
            if self._compat:
                raise InvalidPath(
                    "The reference programs could not see a path of this length (compat).", path=draft.path
                )
            self.unseen.add(draft.path)
        return await self._seal(draft, content)

    async def _seal(self, draft: Draft, content: bytes) -> Sealed:
        key = self._view.keys[0] if self._view.keys else None
        now = date_by(self._clock)

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
                limit=capacity.largest_file(sealed, most),
                size=len(content),
            )
        return sealed

    # What was expected (FORMAT 4.4)

    async def _check_overtaken(
        self,
        sealed: Sealed,
        own: Placed,
        replaced: set[str],
        expect: Expect,
        began: float,
        *,
        certain: bool,
        generation: int,
    ) -> None:
        """Take one's own write back when somebody was faster (FORMAT 4.4).

        Not after a sleep: what it replaced may have been collected meanwhile, because it was replaced (FORMAT 5.3). Nor
        after a renumbering: the order tells no more who was faster.

        :param began: when it was sealed, by ``View.elapsed``.
        :param generation: under which it was read back.
        :param certain: no further copy of it can turn up; otherwise nobody can say that nothing of it stays.
        """
        path = sealed.version.path
        history = self._view.index.history(path)
        winner = planning.overtaken(history, next(iter(history.find(own.version.vid)), own), replaced)
        if winner is None:
            return
        found = winner.version.vid
        expected = expect if isinstance(expect, str) else None
        stays = StoredAsConflict(
            "Somebody changed the file at the same time; both versions were kept, see 'ifap conflicts'.",
            path=path,
            expected=expected,
            found=found,
        )
        if self._view.elapsed() - began > limits.WITHDRAWAL_SECONDS:
            raise stays
        try:
            await self._view.remove(own.places, generation)
        except (NotSupported, ReadOnly) as error:
            raise stays from error
        except StoreError as error:
            if await self._is_kept(sealed):
                raise stays from error
        if not certain:
            await self._identity.renew()  # as for every write that may turn up later (FORMAT 3.2)
            raise unknown_error(sealed)
        raise Conflict("Somebody changed the file at the same time.", path=path, expected=expected, found=found)

    async def _is_kept(self, sealed: Sealed) -> bool:
        """Whether a message that could not be removed is there; then it is not marked as deleted (FORMAT 5.4).

        :raises OutcomeUnknown: that cannot be seen, or a mark may be left with which anybody removes it.
        """
        view = self._view
        try:
            await view.refresh()
            found = view.index.history(sealed.version.path).find(sealed.version.vid)
            places = [uid for placed in found for uid in placed.places]
            if places:
                view.check_generation(view.generation)
                await view.store.unmark(places, view.uidvalidity)
        except StoreError as error:
            await self._identity.renew()  # as for every write of which nobody knows (FORMAT 3.2)
            raise unknown_error(sealed) from error
        return bool(places)

    # Bookkeeping

    def _begin(self) -> None:
        self.pending += 1
        if self.pending == 1:
            self.tell_pending()

    def _end(self) -> None:
        self.pending -= 1
        if not self.pending:
            self.tell_pending()
            self._idle.tell()

    def tell_pending(self) -> None:
        """Tell those who watch how many writes are not yet known to be on the server."""
        self._watchers.tell(Event(kind="pending", detail={"pending": self.pending + self.waiting()}))


def _replaced(history: History, change: Change, *, locked: bool) -> list[Placed]:
    if change.replaced is None:
        return list(history.timely_heads if locked and not change.late_too else history.heads)
    return [placed for placed in history.versions if placed.version.vid in change.replaced]


def new_vid(random: Random) -> str:
    """128 random bits as base64url (FORMAT 1, ``vid``)."""
    return urlsafe_b64encode(random(16)).rstrip(b"=").decode("ascii")


def _first(*values: Any) -> Any:
    """The first that is not None, else the last."""
    return next((value for value in values if value is not None), values[-1])
