"""Reading the content of a version: from any of its places, and only if it is what its header says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from twisted.internet.defer import Deferred, succeed

from ifap_twisted.core import envelope, limits
from ifap_twisted.core.copies import same_version
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import Version
from ifap_twisted.errors import (
    DataError,
    IFAPError,
    MessageGone,
    NewerVersionNeeded,
    Oversized,
    ProtocolViolation,
    Renumbered,
    RolledBack,
    Spliced,
    Tampered,
    Unbound,
)
from ifap_twisted.filesystem.known import Known
from ifap_twisted.workers import Worker


def gone(placed: Placed, *, unlisted: bool) -> MessageGone | RolledBack:
    """Of a version that is missing: since this process looks, or since before (FORMAT 5.5, 9.1).

    :param unlisted: the server counts more messages than it lists, so that this may be one of them.
    """
    path = placed.version.path
    if placed.recalled and unlisted:
        return MessageGone(
            f"The message of /{path} is not among what the mail server lists, which is not all that it says is there.",
            path=path,
        )
    if placed.recalled:
        return RolledBack(
            f"The mail server shows an older state of /{path} than this device has seen. 'ifap rm' accepts that the "
            "file is gone, 'ifap put' writes it anew; 'ifap versions' and 'ifap restore' give what is left.",
            path=path,
        )
    return MessageGone(
        f"The message of /{path} is gone from the mail server, and nobody is known to have removed it. "
        "'ifap rm' accepts that; 'ifap put' or 'ifap restore' writes the file anew.",
        path=path,
    )


class Reader:
    """Fetches and opens the bodies of versions.

    :param require_bound: refuse content that nothing binds to its header (FORMAT 1.5).
    """

    def __init__(self, known: Known, *, worker: Worker, require_bound: bool = False) -> None:
        self._known = known
        self._worker = worker
        self._require_bound = require_bound
        self._reading: Counter[str] = Counter()

    @property
    def in_use(self) -> Collection[str]:
        """The paths of the versions that are being read."""
        return frozenset(self._reading)

    async def content(self, placed: Placed) -> bytes:
        """The content, from the first place that verifies (FORMAT 2.3).

        :raises Renumbered: the places mean nothing any more; look the version up again.
        :raises NewerVersionNeeded: it needs a word that is not understood (FORMAT 1.5).
        :raises MessageGone, RolledBack: no place can be read now; never taken as a deletion (FORMAT 5.5, 9.1).
        """
        version = placed.version
        if not version.understood:
            raise NewerVersionNeeded("A newer version of ifap-twisted is needed to read this file.", path=version.path)
        if placed.missing:
            raise self._missing(placed)
        with self._using(version.path):
            return await self._any_content(placed)

    async def verify(
        self,
        uid: int,
        version: Version,
        look: Callable[[bytes], object] | None = None,
        judge: Callable[[bytes], None] | None = None,
    ) -> DataError | None:
        """Read one place, and no other; what is wrong with it, which is also kept for the status.

        :param look: called with the message, where it is the right one and whole.
        :param judge: called with its content then, off the reactor's thread: raises a DataError.
        :raises Renumbered: the place means nothing any more.
        :raises StoreError: it cannot be read now.
        """
        placed = Placed(version, (uid,))
        with self._using(version.path):
            try:
                content = await self._content_at(uid, version, look)
                if judge is not None:
                    await self._worker(partial(judge, content))
            except DataError as error:
                error.path = version.path
                self._note(placed, {uid: error})
                return error
        self._note(placed, {}, good=uid)
        return None

    async def opened(self, uid: int, version: Version) -> tuple[envelope.Raw, Version]:
        """What the message at one place holds, and what it tells of.

        :raises DataError: it is not that version, damaged, or not understood.
        :raises Renumbered: the place means nothing any more.
        :raises StoreError: it cannot be read now.
        """
        known = self._known
        if known.renumbering:
            raise Renumbered
        if isinstance(damage := known.damage_at(uid), Oversized):
            raise damage
        message = await known.store.message(uid)

        def work() -> tuple[envelope.Raw, Version]:
            self._checked(message, version)
            found = envelope.read_header(message, dialect=known.dialect, keys=known.keys, home=known.home)
            return envelope.raw(message, dialect=known.dialect, keys=known.keys), found

        with self._using(version.path):
            return await self._worker(work)

    @contextmanager
    def _using(self, path: str) -> Iterator[None]:
        """Its versions are being read."""
        self._reading[path] += 1
        try:
            yield
        finally:
            self._reading[path] -= 1
            if not self._reading[path]:
                del self._reading[path]

    def _missing(self, placed: Placed) -> IFAPError:
        """Why a version is missing; where its message is there and damaged, that."""
        error: IFAPError = self._known.index.spoilt(placed) or gone(placed, unlisted=self._known.lags)
        error.path = placed.version.path
        return error.with_traceback(None)

    async def _any_content(self, placed: Placed) -> bytes:
        version = placed.version
        failures: dict[int, IFAPError] = {}
        for uid in placed.places:
            try:
                content = await self._content_at(uid, version)
            except (MessageGone, ProtocolViolation, DataError) as error:
                error.path = version.path
                failures[uid] = error
                continue
            self._note(placed, failures, good=uid)
            return content
        if self._are_stale(placed):
            raise Renumbered
        self._note(placed, failures)
        found = list(failures.values())
        raise next((error for error in found if isinstance(error, DataError)), found[0])

    def _note(self, placed: Placed, failures: Mapping[int, IFAPError], good: int | None = None) -> None:
        """Keep what was found for the status; of numbers that mean something else meanwhile, nothing was found."""
        if self._are_stale(placed):
            return
        for uid, error in failures.items():
            if isinstance(error, DataError) and not isinstance(error, Unbound | NewerVersionNeeded):
                self._known.spoil(uid, error)
        if good is not None:
            self._known.heal([good])

    def _are_stale(self, placed: Placed) -> bool:
        """Whether the places were of numbers that the server has changed since: what was read is another message."""
        known = [self._known.index.at(uid) for uid in placed.places]
        return self._known.renumbering or any(v is not None and not same_version(v, placed.version) for v in known)

    async def _content_at(self, uid: int, version: Version, look: Callable[[bytes], object] | None = None) -> bytes:
        if self._known.renumbering:
            raise Renumbered
        damage = self._known.damage_at(uid)
        if isinstance(damage, Oversized) and damage.section == "body":
            raise damage
        message = await self._known.store.message(uid)
        content = await self._open(message, version)
        if look is not None:
            look(message)
        return content

    def _open(self, message: bytes, version: Version) -> Deferred[bytes]:
        if len(message) <= limits.INLINE_BYTES:
            return succeed(self._checked(message, version, require_bound=self._require_bound))
        return self._worker(lambda: self._checked(message, version, require_bound=self._require_bound))

    def _checked(self, message: bytes, version: Version, *, require_bound: bool = False) -> bytes:
        """The content of a message that has to be this version."""
        known = self._known
        found, content = envelope.read_message(
            message, dialect=known.dialect, keys=known.keys, home=known.home, require_bound=require_bound
        )
        if not same_version(found, version):
            raise Tampered("The server gave another message than the one that was asked for.", path=version.path)
        if version.bound and not found.bound and envelope.content_hash(content) != version.sha256:
            raise Spliced("The content is not the one to which the file was bound.", path=version.path)
        return content
