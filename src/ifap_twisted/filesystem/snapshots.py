"""Writing snapshots: asked for, at a quiet moment, after a collection, and at the end (FORMAT 6.2).

A snapshot is disposable (P8): one that is not asked for and cannot be written holds nothing up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ifap_twisted.core import planning, snapshot
from ifap_twisted.deferreds import deferred, detach
from ifap_twisted.errors import CallerError, IFAPError
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.drafting import Change

QUIET_SECONDS = 30.0
"""A snapshot that is due is written when nothing was written for so long."""


class Snapshots:
    """The snapshots of one open folder.

    :param begin: writes one by :meth:`write`, as an accepted write like any other.
    """

    _log = Logger()

    def __init__(self, desk: Desk, *, clock: IReactorTime, begin: Callable[[], Deferred[None]]) -> None:
        self._desk = desk
        self._clock = clock
        self._begin = begin
        self._call: IDelayedCall | None = None
        self._due = False
        self._stopped = False
        self._generation = desk.view.generation

    async def write(self) -> None:
        """Write one, from a complete refresh only.

        :raises CallerError: it would hide files from others.
        """
        view = self._desk.view
        await view.refresh()
        if view.incomplete:
            raise CallerError("The server's listing is incomplete; a snapshot of it would hide files. Try again later.")
        if view.index.missing()[0]:
            raise CallerError("Files are missing, see 'ifap status'; a snapshot now would hide that from others.")
        histories, generation = view.index.histories(), view.generation
        content = await self._desk.worker(lambda: snapshot.encode(planning.plan_snapshot(histories)))
        await self._desk.writer.write(view.dialect.snapshot_path, content, Change())
        self._generation = generation

    async def renew(self) -> None:
        """After a collection, where there is a snapshot: it names what is gone."""
        if self._desk.view.index.history(self._desk.view.dialect.snapshot_path):
            await self._if_possible(self.write())  # what was collected is gone, however this ends

    def note_write(self) -> None:
        """After a write: look at a quiet moment whether a snapshot is due."""
        self._due = True
        if self._call is not None and self._call.active():
            self._call.reset(QUIET_SECONDS)
        elif not self._stopped:
            self._call = self._clock.callLater(QUIET_SECONDS, self._quiet)

    def _quiet(self) -> None:
        self._due = False
        if self._wanted():
            detach(self._if_possible(self._begin()), self._log, "writing a snapshot")

    @property
    def _lies(self) -> bool:
        """The server gave other numbers since: the reference believes a snapshot whatever it says (WIRE-FORMAT 4)."""
        view = self._desk.view
        return view.generation != self._generation and bool(view.index.history(view.dialect.snapshot_path))

    def _wanted(self) -> bool:
        return self._lies or planning.wants_snapshot(self._desk.view.index, self._desk.view.dialect.snapshot_path)

    @deferred
    async def _if_possible(self, writing: Awaitable[None]) -> None:
        """One that cannot be written now is due after the next write, or at the end."""
        try:
            await writing
        except IFAPError as error:
            self._log.info("no snapshot was written yet: {reason}", reason=str(error))
            self._due = True

    def stop(self) -> None:
        """Wait for no quiet moment any more."""
        self._stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()

    async def write_last(self) -> None:
        """Before the end: write one that is due, if that can be done."""
        due = (self._due and self._wanted()) or self._lies
        if not due or self._desk.view.state != "connected":
            return
        try:
            await self.write()
        except IFAPError as error:
            self._log.info("no snapshot was written at the end: {reason}", reason=str(error))
        except Exception:  # noqa: BLE001 -- a snapshot is disposable (P8); the close is not
            self._log.failure("no snapshot was written at the end")
