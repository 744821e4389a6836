"""Bringing a message that the journal kept to its end: it is found, or sent again as it is (FORMAT 4.1, 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from ifap_twisted.core import envelope, planning
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import Sealed, Version
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.drafting import Change, Drafting, replaced_by
from ifap_twisted.filesystem.sending import Sending, Terms
from ifap_twisted.filesystem.underway import Underway
from ifap_twisted.filesystem.view import View
from ifap_twisted.interfaces import IWriterIdentity
from ifap_twisted.workers import Worker


class Finishing:
    """Finishes what waits, one message at a time."""

    def __init__(
        self,
        view: View,
        drafting: Drafting,
        sending: Sending,
        backlog: Backlog,
        underway: Underway,
        identity: IWriterIdentity,
        worker: Worker,
    ) -> None:
        self._view = view
        self._drafting = drafting
        self._sending = sending
        self._backlog = backlog
        self._underway = underway
        self._identity = identity
        self._worker = worker

    async def finish(self, sealed: Sealed, terms: Terms, ended: Callable[[Placed | None], None]) -> None:
        """Bring a message of the journal to its end: find it, or send it again as it is (FORMAT 4.1).

        What is on record as collected was there, and was removed on purpose: it has ended, too (FORMAT 5.3).

        :param terms: under which it was kept.
        :param ended: called when it has, before the next write to its path; with the version, if it is there.
        :raises StoreError, DataError: it is not known to be there.
        """
        with self._underway:
            async with self._backlog.turns.turn(sealed.version.path):
                await self._view.refresh()
                collected = self._view.records.was_collected(sealed.version)
                ended(None if collected else await self._finished(sealed, terms))

    async def _finished(self, sealed: Sealed, terms: Terms) -> Placed:
        """Where it is in the end; under another number, when its own may have been used twice (FORMAT 3.2)."""
        placed = await self._sending.found(sealed)
        if placed is None and not self._is_doubtful(sealed.version, terms):
            placed = (await self._sending.stored(sealed, None))[0]
        if placed is None or await is_outlived(self._view, placed):
            placed = await self._written_anew(sealed, terms.replaced)
        self._view.index.acknowledge(placed.version)
        return placed

    def _is_doubtful(self, version: Version, terms: Terms) -> bool:
        """Whether it would hide, or be hidden by, what only its number tells of.

        Only what was accepted got its number without a look at the folder. What was stored on top of it since is right.
        """
        if not terms.queue or self._backlog.is_overtaken(version.vid):
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
        heads = replaced_by(history, change, locked=False)
        anew = await self._drafting.sealed(version.path, history, heads, change, version.lock, content)
        return (await self._sending.stored(anew, None))[0]


async def is_outlived(view: View, placed: Placed) -> bool:
    """Whether the end of its file is on record, and nobody who removed that can have seen it (FORMAT 5.3)."""
    await view.read_records()
    return view.index.history(placed.version.path).is_outlived(placed)
