"""Which keys of a folder count no more, in step with what its messages say of that (FORMAT 8.5).

Whoever has a key that was given up, and not the one that came instead, stops. Whoever has both goes on with the newer
one; under the former one counts what was there before, as far as a record under the newer one names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from twisted.logger import Logger

from ifap_twisted.core import envelope
from ifap_twisted.core.history import Placed
from ifap_twisted.core.keys import Key
from ifap_twisted.core.revocations import NOTICES, RECORDS, Revocation, notice_in
from ifap_twisted.errors import DataError, IFAPError, KeyChanged, MessageGone, Tampered
from ifap_twisted.filesystem.intake import Intake
from ifap_twisted.filesystem.known import Known
from ifap_twisted.filesystem.listing import runs
from ifap_twisted.filesystem.newer_keys import Followed, NewerKeys
from ifap_twisted.workers import Worker


class RevokedKeys:
    """The notices and records of an open folder."""

    _log = Logger()

    def __init__(self, known: Known, intake: Intake, newer_keys: NewerKeys, worker: Worker) -> None:
        self._known = known
        self._intake = intake
        self._newer_keys = newer_keys
        self._worker = worker
        self._notices: dict[tuple[int, str], bool] = {}
        self._records: dict[tuple[int, str], tuple[str, Revocation] | None] = {}
        self._applied = True

    async def look(self) -> None:
        """Go on with a newer key that is known here, and let nothing count that came too late.

        :raises KeyChanged: the newer key is not known here.
        :raises Renumbered, StoreError: not all was looked at; it is with the next call.
        """
        if self._known.keys:
            while (newer := await self.check()) is not None:
                await self._take(newer)
            await self._read_records()

    async def check(self) -> Key | None:
        """The key for which the newest one was given up, where that is known here.

        :raises KeyChanged: it is not. :raises StoreError: that cannot be told now.
        """
        known = self._known
        known.check_key()
        keys = {key.fingerprint: key for key in known.keys}
        first: dict[str, str] = {}
        strange: list[int] = []
        for placed in known.index.objects(NOTICES):  # the lowest UID of each key counts
            notice = notice_in(placed.version.path)
            former = None if notice is None else keys.get(notice.former)
            if notice is None or former is None or notice.former in known.revocation.keys or notice.former in first:
                continue
            if await self._is_under(placed, former):
                first[notice.former] = notice.newer
                strange += () if notice.newer in keys else placed.places
        if strange:
            known.key_changed = True
            raise KeyChanged(f"{KeyChanged.title()}. The notice of that is a message of the folder (UID {strange[0]}).")
        known.left |= first.keys()
        newer = first.get(known.keys[0].fingerprint) if known.keys else None
        return None if newer is None else keys[newer]

    async def _is_under(self, placed: Placed, key: Key) -> bool:
        """Whether a notice is sealed under the key that it is about."""
        known = self._known
        for uid in placed.places:
            name = uid, placed.version.vid
            if name not in self._notices:
                block = (await known.store.headers(uid, uid)).get(uid)
                if block is None:
                    continue
                try:
                    found = envelope.read_header(block.fields, dialect=known.dialect, keys=(key,), home=known.home)
                    self._notices[name] = found.path == placed.version.path
                except DataError:
                    self._notices[name] = False
            if self._notices[name]:
                return True
        return False

    async def _take(self, newer: Key) -> None:
        known = self._known
        keys = (newer, *(key for key in known.keys if key != newer))
        await self._remember(keys, known.revocation)
        self._newer_keys.take(keys)

    async def _remember(self, keys: tuple[Key, ...], revocation: Revocation) -> None:
        if self._newer_keys.remember is not None:
            await self._newer_keys.remember(Followed(keys, self._newer_keys.generation, revocation.keys))

    # Records

    async def _read_records(self) -> None:
        known = self._known
        places = [(uid, one.version.vid) for one in known.index.objects(RECORDS) for uid in one.places]
        for uid, vid in places:
            if (uid, vid) not in self._records:
                await self._read(uid, vid)
        found = self._evaluated()
        if found != known.revocation or not self._applied:
            self._applied = False  # until all of it was
            await self._apply(found)
            self._applied = True

    async def _read(self, uid: int, vid: str) -> None:
        known = self._known

        def opened(message: bytes) -> tuple[str, Revocation] | None:
            dialect, keys, home = known.dialect, known.keys, known.home
            key = envelope.read_header_by(message, dialect=dialect, keys=keys, home=home)[1]
            version, content = envelope.read_message(message, dialect=dialect, keys=keys, home=home)
            if not version.path.startswith(RECORDS):  # a file that somebody was given, say
                raise Tampered("The server gave another message than the one that was asked for.", path=version.path)
            return None if key is None else (key.fingerprint, Revocation.decode(content, version.path))

        try:
            message = await known.store.message(uid)
            self._records[uid, vid] = await self._worker(lambda: opened(message))
        except MessageGone:
            return
        except DataError as error:
            self._log.warn("a record of revoked keys cannot be used: {reason}", reason=str(error))
            self._records[uid, vid] = None

    def look_again(self) -> None:
        """Read anew what could not be used, with the next look: the server may have garbled it for a while only."""
        self._records = {name: one for name, one in self._records.items() if one is not None}

    def _evaluated(self) -> Revocation:
        """A record counts under a key that is not revoked itself, and speaks of older keys only.

        What one said counts no more when its key was revoked later: whoever has that could have written it.
        """
        found, passed = Revocation(keys=self._known.revocation.keys), set[str]()
        for key in self._known.keys:
            passed.add(key.fingerprint)
            if key.fingerprint not in found.keys:
                for record in self._under(key):
                    found = found.joined(record.keys - passed, record.accepted)
        return found

    def _under(self, key: Key) -> Iterator[Revocation]:
        return (one[1] for one in self._records.values() if one is not None and one[0] == key.fingerprint)

    def is_on_record(self) -> bool:
        """Whether the newest key has a record of what counts under the former ones."""
        return any(self._under(self._known.keys[0]))

    async def _apply(self, revocation: Revocation) -> None:
        """What came too late counts no more, what was there before does."""
        known = self._known
        known.revocation = revocation
        known.left |= revocation.keys
        try:
            await self._remember(tuple(known.keys), revocation)
        except IFAPError as error:  # the folder tells it again
            self._log.warn("which keys were revoked could not be kept yet: {why}", why=str(error))
        await self.read_anew([*known.late, *self._doubtful(known.key_use.former)])
        known.key_use.count_anew((uid, one) for uid in known.index.uids() if (one := known.index.at(uid)) is not None)

    def _doubtful(self, uids: Collection[int]) -> Iterator[int]:
        """Those that former keys opened, and that were not there before."""
        for uid in uids:
            version = self._known.index.at(uid)
            if version is not None and version.sealed_id not in self._known.revocation.accepted:
                yield uid

    async def read_anew(self, uids: Collection[int]) -> None:
        """Decode headers that were decoded before, or that were not because they are our own.

        :raises Renumbered, StoreError: not all were.
        """
        known = self._known
        for first, last in runs(uids):
            generation = known.index_generation
            await self._intake.decode_anew(await known.store.headers(first, last), generation)
