"""Bringing a message that the journal kept to its end: it is found, or sent again as it is (FORMAT 4.1, 4.2)."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TypeAlias

from ifap_twisted.core import envelope, planning
from ifap_twisted.core.copies import same_version
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import Sealed, Version
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.drafting import Change, Drafting, replaced_by
from ifap_twisted.filesystem.sending import Sending, Terms
from ifap_twisted.filesystem.underway import Underway
from ifap_twisted.filesystem.view import View
from ifap_twisted.interfaces import IWriterIdentity
from ifap_twisted.workers import Worker

LookAt: TypeAlias = Callable[[bytes, int, str], Awaitable[None]]
"""Sees to it that the chunks of a manifest are there: its content, the size of the file, and its path."""


class Finishing:
    """Finishes what waits, one message at a time.

    :param look: at what a manifest names.
    """

    def __init__(
        self,
        view: View,
        drafting: Drafting,
        sending: Sending,
        backlog: Backlog,
        underway: Underway,
        identity: IWriterIdentity,
        worker: Worker,
        look: LookAt,
    ) -> None:
        self._view = view
        self._drafting = drafting
        self._sending = sending
        self._backlog = backlog
        self._underway = underway
        self._identity = identity
        self._worker = worker
        self._look_at = look

    async def finish(self, sealed: Sealed, terms: Terms, ended: Callable[[Placed | None], None]) -> None:
        """Find a message, or send it again as it is.

        What is on record as collected was there, and was removed on purpose: it has ended, too (FORMAT 5.3). So has
        what had to be numbered anew: then another message waits in its place.

        :param terms: under which it was kept.
        :param ended: called when it has, before the next write to its path; with the version, if it is there.
        :raises StoreError, DataError: it is not known to be there.
        """
        with self._underway:
            async with self._backlog.turns.turn(sealed.version.path):
                await self._view.refresh()
                ended(await self._finished(sealed, terms))

    async def _finished(self, sealed: Sealed, terms: Terms) -> Placed | None:
        if self._view.records.was_collected(sealed.version):
            return None
        placed = await self._sending.found(sealed) or self._sealed_by_others(sealed)
        if placed is None and await self._seals_anew(sealed, terms):
            return None
        if placed is None and not self._is_doubtful(sealed.version, terms):
            await self._look(sealed)
            placed = (await self._sending.stored(sealed, None))[0]
        if placed is None or await is_outlived(self._view, placed):
            await self._number_anew(sealed, terms)
            return None
        await self._look(sealed)
        self._view.index.acknowledge(placed.version)
        return placed

    async def _look(self, sealed: Sealed) -> None:
        """Of a large file nothing is sent, or told as done, while a chunk is not there (FORMAT 7.2).

        :raises ChunkLost:
        """
        version, view = sealed.version, self._view
        if version.chunked:
            reading = partial(envelope.read_message, dialect=view.dialect, keys=view.keys, home=view.home)
            content = (await self._worker(lambda: reading(sealed.message)))[1]
            await self._look_at(content, version.size, version.path)

    def _sealed_by_others(self, sealed: Sealed) -> Placed | None:
        """The same version, sealed anew since by whoever changed the key (FORMAT 8.5).

        Not its own message, changed or cut off by the server: that does not count (FORMAT 4.2).
        """
        index = self._view.index
        there = index.history(sealed.version.path).find(sealed.version.vid)
        same = [one for one in there if same_version(one.version, sealed.version)]
        return next((one for one in same if {*index.sealed_ids(one.places).values()} - {sealed.sealed_id}), None)

    async def _seals_anew(self, sealed: Sealed, terms: Terms) -> bool:
        """Under a key that was given up nothing is sent: the same version then waits under the newest one."""
        view = self._view
        if not view.left:
            return False
        dialect, keys = view.dialect, view.keys

        def work() -> Sealed | None:
            key = envelope.read_header_by(sealed.message, dialect=dialect, keys=keys, home=view.home)[1]
            if key is None or key.fingerprint not in view.left:
                return None
            return envelope.reseal(
                envelope.raw(sealed.message, dialect=dialect, keys=keys),
                sealed.version,
                dialect=dialect,
                key=keys[0],
                home=view.home or "",
                random=self._drafting.random,
            )[0]

        anew = await self._worker(work)
        if anew is not None:
            await self._sending.replaced(sealed, anew, terms)
        return anew is not None

    def _is_doubtful(self, version: Version, terms: Terms) -> bool:
        """Whether it would hide, or be hidden by, what only its number tells of.

        Only what was accepted got its number without a look at the folder. What was stored on top of it since is right.
        """
        if not terms.queue or self._backlog.is_overtaken(version.vid):
            return False
        history = self._view.index.history(version.path)
        return self._view.records.explains(version) or planning.number_is_doubtful(history, version, terms.replaced)

    async def _number_anew(self, sealed: Sealed, terms: Terms) -> None:
        """Let what a message says wait as a version of a new writer, unless it was done before (FORMAT 3.2).

        Its id follows from the message: so it is known again, whatever the journal has forgotten of it.
        """
        version, view = sealed.version, self._view
        vid = _next_vid(sealed)
        if self._is_known(vid, version):
            return
        reading = partial(envelope.read_message, dialect=view.dialect, keys=view.keys, home=view.home)
        content = (await self._worker(lambda: reading(sealed.message)))[1]
        change = _change_of(version, terms.replaced)
        await self._identity.renew()
        history = view.index.history(version.path)
        heads = replaced_by(history, change, locked=False)
        anew = await self._drafting.sealed(version.path, history, heads, change, version.lock, content, vid)
        await self._sending.replaced(sealed, anew, terms)

    def _is_known(self, vid: str, version: Version) -> bool:
        """Whether what a version says waits, is there, or was collected, under another id."""
        there = self._view.index.history(version.path).find(vid)
        waiting = (one.version for one in self._backlog if one.version is not None and one.version.vid == vid)
        alike = any(_says_the_same(one, version) for one in (*waiting, *(placed.version for placed in there)))
        return alike or self._view.records.is_collected(vid)


def _next_vid(sealed: Sealed) -> str:
    digest = hashlib.sha256(b"numbered anew\0" + sealed.sealed_id.encode()).digest()
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode("ascii")


def _says_the_same(one: Version, other: Version) -> bool:
    return (one.sha256, one.deleted, one.directory) == (other.sha256, other.deleted, other.directory)


def _change_of(version: Version, replaced: Collection[str]) -> Change:
    """What a version says."""
    return Change(
        modified=version.modified,
        mode=version.mode,
        mime=version.mime,
        keep=version.keep,
        directory=version.directory,
        deleted=version.deleted,
        moved_from=version.moved_from,
        size=version.size if version.chunked else None,
        extra=version.extra,
        replaced=replaced,
    )


async def is_outlived(view: View, placed: Placed) -> bool:
    """Whether the end of its file is on record, and nobody who removed that can have seen it (FORMAT 5.3)."""
    await view.read_records()
    return view.index.history(placed.version.path).is_outlived(placed)
