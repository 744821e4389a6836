"""A local Maildir folder as a shelf (account ``maildir:///PATH``), in the layout of the reference.

What others do in it is seen when polled. All file work is done in a worker; what is on the disk and how numbers are
given is told in :mod:`ifap_twisted.store.maildir_files`. An append has fired when file and directory are on the disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from ifap_twisted.core import limits
from ifap_twisted.core.values import FolderState, HeaderBlock, Receipt, Traits
from ifap_twisted.deferreds import deferred, detach
from ifap_twisted.errors import (
    BadSettings,
    IFAPError,
    MessageGone,
    NotFound,
    OutcomeUnknown,
    QuotaExceeded,
    Refused,
    Renumbered,
    TooLarge,
    Unavailable,
)
from ifap_twisted.interfaces import IFolderListener, IMessageStore
from ifap_twisted.store.listeners import Listeners
from ifap_twisted.store.maildir_files import SETTLED_SECONDS, MaildirFiles, is_plain
from ifap_twisted.store.maildir_numbers import View
from ifap_twisted.workers import Worker

T = TypeVar("T")

_LOCK_SECONDS = 0.005, 0.05
"""Between two tries to take the lock that another process holds: at first, and at most."""


@implementer(IMessageStore)
class MaildirStore:
    """One folder below a directory.

    :param path: the directory; made when the folder is created.
    :param folder: the folder's name below it; ``/`` separates levels.
    :param worker: where files are read and written.
    :param clock: for waits while another process holds the folder, up to ``limits.COMMAND_SECONDS``.
    :param max_message: the largest message that is taken, in bytes.
    :param random: gives this many random bytes, for a UIDVALIDITY.
    :raises BadSettings: the name of the folder leads elsewhere or cannot be one.
    """

    _log = Logger()

    def __init__(
        self,
        path: str | Path,
        folder: str,
        *,
        worker: Worker,
        clock: IReactorTime,
        max_message: int = limits.LITERAL,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.traits = Traits(reports_uid=True, expunges_by_uid=True, pushes=False, max_message=max_message)
        self._files = MaildirFiles(Path(path).expanduser().joinpath(*_levels(folder)), random)
        self._worker = worker
        self._clock = clock
        self._max_message = max_message
        self._view: View | None = None
        self._closed = False
        self._listeners = Listeners()
        self._running: set[Deferred[Any]] = set()
        self._queue: list[_Append] = []
        self._batch: list[_Append] = []
        self._storing = False

    @deferred
    async def open(self, *, create: bool = True) -> FolderState:
        """Open the folder."""
        self._closed = False
        if not (create or await self._work(self._files.exists)):
            raise NotFound("The Maildir folder does not exist.")
        await self._work(self._files.create)
        await self._work(self._files.sweep)
        view = await self._look()
        if view.young:  # all that is there may look so new; whoever opens it must not take it for empty
            await deferLater(self._clock, SETTLED_SECONDS)
            view = await self._look()
        return _state(view)

    @deferred
    async def poll(self, *, thorough: bool = False) -> FolderState:
        """Look for changes; ``thorough`` makes no difference, every look is."""
        del thorough
        self._opened()
        return _state(await self._look())

    @deferred
    async def uids(self, first: int, last: int | None = None) -> Sequence[int]:
        """The UIDs in a range."""
        return [uid for uid, _name in _range(await self._look_again(self._opened()), first, last)]

    @deferred
    async def headers(self, first: int, last: int | None = None) -> Mapping[int, HeaderBlock]:
        """The metadata headers in a range."""
        view = await self._look_again(self._opened())
        wanted = _range(view, first, last)
        blocks: dict[int, HeaderBlock] = {}
        for start in range(0, len(wanted), limits.UIDS_IN_A_RANGE):
            portion = wanted[start : start + limits.UIDS_IN_A_RANGE]
            blocks |= await self._work(partial(self._files.blocks, portion))
        await self._look_again(view)
        return blocks

    @deferred
    async def message(self, uid: int) -> bytes:
        """One message."""
        view = self._opened()
        message, certain = await self._work(partial(self._files.read_in, view, uid))
        if message is None or not certain:
            view = await self._look_again(view)
        if message is None:
            message, _certain = await self._work(partial(self._files.read_in, view, uid))
        if message is None:
            raise MessageGone(f"There is no message {uid} in the Maildir folder.")
        return message

    @deferred
    async def dates(self, uids: Collection[int]) -> Mapping[int, float]:
        """When messages were received: the times of their files."""
        view = await self._look_again(self._opened())
        wanted = [(uid, name) for uid, name in view.names.items() if uid in uids]
        found = await self._work(partial(self._files.dates, wanted))
        await self._look_again(view)
        return found

    @deferred
    async def append(self, message: bytes) -> Receipt:
        """Store a message, after those of the calls before; those that wait are stored together."""
        self._opened()
        if len(message) > self._max_message:
            limit = self._max_message
            raise TooLarge(f"The folder takes messages of up to {limit} bytes.", limit=limit, size=len(message))
        if not is_plain(message):
            raise Refused("A message in a Maildir folder has CRLF line ends only.")
        append = _Append(bytes(message), Deferred(self._withdraw))
        self._queue.append(append)
        if not self._storing:
            detach(self._store_all(), self._log, "storing messages in the Maildir folder")
        return await append.stored

    @deferred
    async def remove(
        self,
        uids: Collection[int],
        uidvalidity: int,
        is_expected: Callable[[HeaderBlock], bool],
        due: Collection[int] | None = None,  # noqa: ARG002
    ) -> None:
        """Remove messages, each by its file: ``due`` allows nothing that has to be allowed."""
        self._opened()
        view = await self._work(partial(self._files.remove, frozenset(uids), uidvalidity, is_expected))
        self._adopt(view)
        if view.uidvalidity != uidvalidity:
            raise Renumbered

    @deferred
    async def marked(self) -> Collection[int]:
        """None: a message is removed in one step here."""
        self._opened()
        return ()

    @deferred
    async def unmark(self, uids: Collection[int], uidvalidity: int, is_expected: Callable[[HeaderBlock], bool]) -> None:
        """Nothing is marked: only that they are what is expected is looked at."""
        view = await self._look_again(self._opened())
        if view.uidvalidity != uidvalidity:
            raise Renumbered
        wanted = [(uid, name) for uid, name in view.names.items() if uid in uids]
        blocks = await self._work(partial(self._files.blocks, wanted))
        if not all(map(is_expected, blocks.values())):
            raise Renumbered("There is another message under a number than before.")

    def listen(self, listener: IFolderListener) -> Callable[[], None]:
        """Tell a listener."""
        return self._listeners.add(listener)

    @deferred
    async def close(self) -> None:
        """Let go; appends that are in the worker may still be stored."""
        self._closed = True
        self._view = None
        queue, self._queue = self._queue, []
        _fail(queue, Unavailable("The folder was closed."))
        _fail(self._batch, OutcomeUnknown("The folder was closed while the message was being stored."))
        for running in list(self._running):
            running.cancel()

    # Appending

    @deferred
    async def _store_all(self) -> None:
        self._storing = True
        try:
            while self._queue:
                self._batch = self._next_batch()
                try:
                    await self._store([append.message for append in self._batch])
                except Exception as error:  # noqa: BLE001 -- it is the answer of those that have none yet
                    _fail(self._batch, error)
        finally:
            self._storing = False

    def _next_batch(self) -> list[_Append]:
        size = count = 0
        for append in self._queue[: limits.APPENDS_IN_FLIGHT]:
            size += len(append.message)
            if count and size > limits.BYTES_IN_FLIGHT:
                break
            count += 1
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    async def _store(self, messages: list[bytes]) -> None:
        try:
            temporaries = await self._worker(partial(self._files.write_all, messages))
            try:
                placed = await self._patiently(partial(self._files.place, temporaries))
            finally:
                await self._worker(partial(self._files.discard, temporaries))
        except OSError as error:
            raise _translated(error) from error
        self._adopt(placed.view)
        for append, uid in zip(self._batch, placed.numbers, strict=False):
            if not append.stored.called:
                append.stored.callback(Receipt(uidvalidity=placed.view.uidvalidity, uid=uid))
        if placed.error is not None:
            raise _translated(placed.error)

    def _withdraw(self, stored: Deferred[Receipt]) -> None:
        """An append is cancelled: it leaves the line, or is in the worker already."""
        left = [append for append in self._queue if append.stored is not stored]
        if len(left) == len(self._queue):
            stored.errback(OutcomeUnknown("The call was cancelled while the message was being stored."))
        self._queue = left

    # Looking

    def _opened(self) -> View:
        if self._view is None:
            raise Unavailable("The folder is not open.")
        return self._view

    async def _look(self) -> View:
        return self._adopt(await self._work(self._files.look))

    async def _look_again(self, before: View) -> View:
        """What is there now, when its numbers mean what they meant before."""
        view = await self._look()
        if view.uidvalidity != before.uidvalidity:
            raise Renumbered
        return view

    def _adopt(self, view: View) -> View:
        """Take what is there now, and tell what changed; the newest that is known.

        A thread may be late with what it saw: what came since is not gone.
        """
        known = self._view
        if known is not None and view.moment < known.moment:
            return known
        if not self._closed:
            self._view = view
            if known is not None:
                self._tell(known, view)
        return view

    def _tell(self, known: View, view: View) -> None:
        if known.uidvalidity != view.uidvalidity:
            self._listeners.renumbered(view.uidvalidity)
            return
        self._listeners.vanished(sorted(known.names.keys() - view.names.keys()))
        if view.names.keys() - known.names.keys():
            self._listeners.arrived(_state(view))

    # Working

    async def _work(self, work: Callable[[], T]) -> T:
        """File work; its errors are ours, and the close of the folder ends the wait for it."""
        running = self._patiently(work)
        self._running.add(running)
        try:
            return await running
        except OSError as error:
            raise _translated(error) from error
        except CancelledError:
            if self._closed:
                raise Unavailable("The folder was closed.") from None
            raise
        finally:
            self._running.discard(running)

    @deferred
    async def _patiently(self, work: Callable[[], T]) -> T:
        """Work in the worker, tried again while another process holds the lock."""
        end = self._clock.seconds() + limits.COMMAND_SECONDS
        pause, longest = _LOCK_SECONDS
        while True:
            try:
                return await self._worker(work)
            except BlockingIOError as error:
                if self._closed or self._clock.seconds() >= end:
                    raise Unavailable("Another program holds the Maildir folder.") from error
            await deferLater(self._clock, pause)
            pause = min(2 * pause, longest)


@dataclass(frozen=True, slots=True)
class _Append:
    message: bytes
    stored: Deferred[Receipt]


def _fail(appends: list[_Append], error: Exception) -> None:
    for append in appends:
        if not append.stored.called:
            append.stored.errback(error)


def _range(view: View, first: int, last: int | None) -> list[tuple[int, str]]:
    return [(uid, name) for uid, name in view.names.items() if first <= uid and (last is None or uid <= last)]


def _state(view: View) -> FolderState:
    return FolderState(uidvalidity=view.uidvalidity, uidnext=view.last + 1, exists=len(view.names))


def _levels(folder: str) -> list[str]:
    levels = folder.split("/")
    for level in levels:
        if level in ("", ".", "..", "cur", "new", "tmp") or not level.isprintable():
            raise BadSettings(f"{folder!r} cannot name a Maildir folder.")
    return levels


def _translated(error: OSError) -> IFAPError:
    """Say what a failure of the file system means; ``BlockingIOError`` never comes here."""
    said = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (ENOSPC, EDQUOT):
        return QuotaExceeded(f"The Maildir folder cannot take more: {said}.")
    if error.errno in (EACCES, EPERM, EROFS):
        return Refused(f"The Maildir folder may not be used so: {said}.", response_code="NOPERM")
    return Unavailable(f"The Maildir folder cannot be used now: {said}.")
