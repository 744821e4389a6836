"""Writing a version: drafted from what is there, sealed, sent, and compared with what was expected (FORMAT 3, 4.4).

A write that has begun is finished whatever becomes of its caller: a cancelled put leaves the old content or the new.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple, TypeAlias

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.core import paths, planning
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.values import Expect, Lease, Sealed
from ifap_twisted.errors import ChunkLost
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.drafting import Change, Drafting, Random, replaced_by
from ifap_twisted.filesystem.finishing import Finishing, LookAt, is_outlived
from ifap_twisted.filesystem.guarding import Admission, Guard, Unguarded
from ifap_twisted.filesystem.sending import AWAY, Sending, Terms, unforgotten_error
from ifap_twisted.filesystem.underway import Underway
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.filesystem.withdrawing import Withdrawal
from ifap_twisted.interfaces import IWriterIdentity
from ifap_twisted.workers import Worker

Mend: TypeAlias = Callable[[], Awaitable[bool]]
"""Stores the chunks of a file once more; whether it could."""


class Wish(NamedTuple):
    """What :meth:`Writer.write` was asked for."""

    path: str
    content: bytes
    change: Change
    expect: Expect
    check: Callable[[], None] | None
    sent: Callable[[Sealed], None] | None
    queue: bool
    mend: Mend | None

    @property
    def chunked(self) -> bool:
        """The content is a manifest."""
        return self.change.size is not None


class Writer:
    """Adds versions to the folder.

    :param keep: how many versions a file keeps when nobody said otherwise.
    :param compat: refuse what the reference programs would not see (FORMAT 1.6).
    :ivar backlog: what was accepted and waits: later versions descend from it.
    :ivar drafting: makes sealed messages; ``sending`` brings them to the server; ``finishing`` those of the journal.
    :ivar underway: the writes that have begun and not ended.
    :ivar look: sees to it that the chunks of a manifest are there (``SecondLook.look``); set before a write.
    :ivar guard: lets writes begin, or not, because of locks.
    """

    look: LookAt

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
        self.backlog = Backlog() if backlog is None else backlog
        self.drafting = Drafting(
            view,
            identity=identity,
            clock=clock,
            worker=worker,
            random=random,
            backlog=self.backlog,
            keep=keep,
            compat=compat,
        )
        self.underway = Underway(watchers, self.backlog.__len__)
        self.finishing = Finishing(
            view, self.drafting, sending, self.backlog, self.underway, identity, worker, self._look_at
        )
        self._withdrawal = Withdrawal(view, sending)
        self.guard: Guard = Unguarded()

    @property
    def in_use(self) -> Collection[str]:
        """The paths that are being written."""
        return frozenset(self.backlog.turns)

    def stop(self) -> None:
        """Leave nothing behind, once nothing is under way."""
        self.drafting.stop()

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
        mend: Mend | None = None,
    ) -> Placed:
        """Add a version and wait until it was read back, or accepted.

        :param check: called when the view is fresh, before anything is sent; may raise.
        :param sent: called when the message is on its way.
        :param queue: while the server is away, or others wait for it at this path, let it wait, too (:meth:`waits`).
        :param mend: of a large file, for chunks that are lost before all is done.
        :raises ChunkLost: a chunk of it is not there; the message of the file was removed if that could be done.
        :raises Conflict: it is not what was expected; nothing of it stays.
        :raises StoredAsConflict: the same, but it could not be removed.
        :raises OutcomeUnknown: it may or may not have been stored.
        """
        wish = Wish(path, content, change, expect, check, sent, queue, mend)
        with self.underway:
            async with self.backlog.turns.turn(path):  # one write to a path at a time on this device
                there = await self.looks_fresh() if queue else await self._look()
                if paths.is_reserved(path):
                    return await self._write(wish, None, there=there)
                return await self._write_guarded(wish, there=there)

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
        replaced = replaced_by(history, wish.change, locked=lock is not None)
        planning.check_understood(replaced, path)
        if wish.chunked:
            await self._look_after(wish)
        began = self._view.elapsed()
        sealed = await self.drafting.sealed(path, history, replaced, wish.change, lock, wish.content)
        terms = Terms(expect=expect, replaced=tuple(head.version.vid for head in replaced), queue=wish.queue)
        if not there or (wish.queue and self.backlog.accepted(path)):
            return await self.sending.accepted(sealed, terms)
        placed, certain = await self._sent(sealed, wish, terms, began)
        generation = self._view.generation
        if self.waits(placed):
            return placed
        self.backlog.overtake(placed.version)
        if await is_outlived(self._view, placed):  # its number was none of ours any more: again, as a new writer
            if not await self.sending.forgets(sealed):
                raise unforgotten_error(sealed)
            return await self._write(wish, lock, there=there)
        if self._view.index.history(path).is_late(placed):
            self._view.index.acknowledge(placed.version)  # it stays, and its writer is told so
            raise await self.guard.lost(path)
        if expect is not None:
            await self._withdrawal.check(sealed, placed, terms, began, certain=certain, generation=generation)
        self._view.index.acknowledge(placed.version)
        return placed

    async def _sent(self, sealed: Sealed, wish: Wish, terms: Terms, began: float) -> tuple[Placed, bool]:
        """Send it; of a large file nothing stays without its chunks (FORMAT 7.2)."""
        if not wish.chunked:
            return await self.sending.journalled(sealed, wish.sent, terms)
        try:
            return await self.sending.journalled(sealed, wish.sent, terms, lambda: self._look_after(wish))
        except ChunkLost as error:
            generation = self._view.generation
            own = self._view.index.history(wish.path).find(sealed.version.vid)
            if own and await self._withdrawal.took_back(sealed, own[0], began, generation):
                raise
            await self.sending.forgets(sealed)
            self._view.index.acknowledge(sealed.version)  # it stays, and its caller is told so
            text = f"{error} The version {sealed.version.vid}, which was written already, lacks them."
            raise ChunkLost(text, path=wish.path, offset=error.offset, length=error.length) from error

    async def _look_after(self, wish: Wish) -> None:
        """See to it that all chunks of a large file are there.

        :raises ChunkLost:
        """
        size = wish.change.size or 0
        try:
            await self.look(wish.content, size, wish.path)
        except ChunkLost:
            if wish.mend is None or not await wish.mend():
                raise
            await self.look(wish.content, size, wish.path)

    async def _look_at(self, content: bytes, size: int, path: str) -> None:
        await self.look(content, size, path)

    async def add_lease(self, vid: str, lease: Lease) -> Placed:
        """Add a lock object, and wait until it was read back (FORMAT 10.1)."""
        with self.underway:
            return (await self.sending.stored(await self.drafting.sealed_lease(vid, lease), None))[0]

    async def add_object(self, kind: str, content: bytes) -> Placed:
        """Store a reserved object under a name of its own (FORMAT 6.1).

        :param kind: what its name begins with, such as ``IFAP/plans/``.
        """
        return await self.write(kind + self.drafting.new_vid(), content, Change())

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
