"""Taking in what a shelf shows: headers are decoded and noted, losses too, and watchers hear what changed.

One message that cannot be decoded never stops the others (FORMAT 2.6).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping
from functools import partial

from ifap_twisted.core import envelope, limits, paths
from ifap_twisted.core.history import History
from ifap_twisted.core.values import KEY_SLOT, OTHER_DIALECT, HeaderBlock, Version
from ifap_twisted.errors import DataError, ForeignFolder, OtherDialect, Oversized, Plaintext, RevokedKey
from ifap_twisted.filesystem.events import news
from ifap_twisted.filesystem.known import Known
from ifap_twisted.filesystem.listing import Decoded, fill, made_of
from ifap_twisted.filesystem.lockbook import LockBook
from ifap_twisted.filesystem.lookout import Lookout
from ifap_twisted.filesystem.unlocking import SLOTS, announced
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.garbage import collected_later
from ifap_twisted.workers import Worker

PORTION = 1000
"""Headers decoded in one go: some hundredths of a second, in a thread."""


class Intake:
    """Writes down in the index what was read.

    :param book: told of the paths of which lock objects came or went.
    :ivar own: our own messages that are being read back.
    """

    def __init__(
        self, known: Known, book: LockBook, *, worker: Worker, watchers: Watchers, date: Callable[[], float]
    ) -> None:
        self._known = known
        self._book = book
        self._worker = worker
        self._watchers = watchers
        self._date = date
        self._absorbing = 0
        self._gone: set[int] = set()
        self.own = Lookout(known.dialect)

    async def build(self, blocks: Mapping[int, HeaderBlock], generation: int, validity: int) -> None:
        """Make the index of a whole listing beside the one that is in use, off the reactor's thread.

        :raises Renumbered: the listing is of numbers that mean nothing any more.
        """
        known = self._known
        self._absorbing += 1
        try:
            decoded, former = await self._decode(blocks, known=())
            before = known.index
            before.settle()
            now = known.elapsed()
            date = self._date()
            fresh = await self._worker(lambda: made_of(decoded, before, validity, now, date))
        finally:
            self._absorbing -= 1
        known.check_read(generation)
        fresh.forget(self._gone)
        self._forget_gone()
        before = known.index
        known.renew(fresh, generation)
        self._note_keys(decoded, former)
        self._weigh(blocks)
        self._book.noticed({*before.locked_paths(), *fresh.locked_paths()})
        known.changed()

    async def absorb(self, blocks: Mapping[int, HeaderBlock]) -> None:
        """Decode headers and note what they say.

        :raises Renumbered: their numbers mean nothing any more.
        """
        generation = self._known.index_generation
        self._absorbing += 1
        try:
            decoded, former = await self._decode(blocks, known=self._known.index)
        finally:
            self._absorbing -= 1
        self._known.check_read(generation)
        self._note({uid: found for uid, found in decoded.items() if uid not in self._gone}, former)
        self._weigh(blocks)
        self._forget_gone()

    async def absorb_again(self, blocks: Mapping[int, HeaderBlock], generation: int) -> None:
        """Decode headers of which nothing could be used, and note of what something can be used now.

        :param generation: of the index when they were asked for.
        :raises Renumbered: their numbers mean nothing any more.
        """
        decoded, former = await self._decode(blocks, known=())
        self._known.check_read(generation)
        useless = self._known.index.useless
        self._note({uid: found for uid, found in decoded.items() if uid in useless and found is not None}, former)
        self._weigh(blocks)

    async def decode_anew(self, blocks: Mapping[int, HeaderBlock], generation: int) -> None:
        """Decode headers that were decoded before, because other keys count now.

        :param generation: of the index when they were asked for.
        :raises Renumbered: their numbers mean nothing any more.
        """
        decoded, former = await self._decode(blocks, known=())
        self._known.check_read(generation)
        index = self._known.index
        self._note({uid: found for uid, found in decoded.items() if uid in index and found is not None}, former)
        self._weigh(blocks)

    def lose(self, uids: Collection[int], moment: float) -> None:
        """They are gone, and were there until that moment for all that is known."""
        known = self._known
        if self._absorbing or known.renumbering:
            self._gone.update(uids)
        if known.renumbering:
            return  # the index has the old numbers until everything was read anew
        versions = [version for uid in uids if (version := known.index.at(uid)) is not None]
        locked = _locked(versions)
        before = self._before({*locked, *(version.path for version in versions)})
        known.claimed -= sum(uid in known.index for uid in uids)
        known.index.discard(known.removing.intersection(uids))
        known.index.forget(uids, moment)
        known.lose(uids)
        known.changed()
        self._tell_of_locks(locked)
        self._announce(before)

    def renumber(self) -> None:
        """Forget the places, keep what they told until everything was read again."""
        self._known.renumber()
        self.own.forget_places()
        self._gone.clear()

    def adopt_home(self, home: str) -> None:
        """From now on messages of another folder are none of ours (FORMAT 1.5 ``home``)."""
        known, strange = self._known, []
        known.home = home
        for uid in list(known.index.uids()):
            version = known.index.at(uid)
            if version is not None and (version.ours or version.bound) and version.home != home:
                strange.append(version)
                error = ForeignFolder("The message was written for another folder.", path=version.path)
                known.index.reject(uid, error)
        self._tell_of_locks(_locked(strange))

    # Decoding

    async def _decode(
        self, blocks: Mapping[int, HeaderBlock], *, known: Container[int]
    ) -> tuple[dict[int, Decoded], set[int]]:
        """What messages are, and the UIDs of those that a former key opened."""
        decoded: dict[int, Decoded] = {}
        former: set[int] = set()
        rest: list[HeaderBlock] = []
        for block in blocks.values():
            own = self.own.recognised(block)
            if own is not None:
                decoded[block.uid] = own
            elif block.uid not in known:
                rest.append(block)
        for start in range(0, len(rest), PORTION):
            work = partial(self._decode_some, rest[start : start + PORTION])
            found = await self._worker(work) if len(rest) > 8 else work()  # less than a thread switch is worth
            decoded.update((uid, one) for uid, (one, _by_former) in found.items())
            former.update(uid for uid, (_one, by_former) in found.items() if by_former)
        return decoded, former

    def _decode_some(self, blocks: Iterable[HeaderBlock]) -> dict[int, tuple[Decoded, bool]]:
        with collected_later():
            return {block.uid: self._decode_one(block) for block in blocks}

    def _decode_one(self, block: HeaderBlock) -> tuple[Decoded, bool]:
        """What a message is, and whether a former key opened it.

        A key slot is never a version: a forged one would bring homes and numbers (FORMAT 8.4).
        """
        known = self._known
        keys = known.keys
        try:
            found, key = envelope.read_header_by(block.fields, dialect=known.dialect, keys=keys, home=known.home)
        except Plaintext as error:
            return (error if announced(block) is None else KEY_SLOT), False
        except OtherDialect:
            return OTHER_DIALECT, False
        except DataError as error:
            return (None if envelope.is_foreign(block.fields, known.dialect) else error), False
        if found.path.startswith(SLOTS) and not found.encrypted:
            return KEY_SLOT, False
        if key is not None and known.revocation.refuses(key.fingerprint, found.sealed_id):
            late = RevokedKey(path=found.path)
            late.found = found
            return late, False
        return found, key is not None and key != keys[0]

    # Noting

    def _note(self, decoded: Mapping[int, Decoded], former: Collection[int]) -> None:
        versions = [found for found in decoded.values() if isinstance(found, Version)]
        locked = _locked(versions)
        before = self._before({*locked, *(found.path for found in versions)})
        now = self._known.elapsed()
        fill(self._known.index, decoded, lambda _version: now)
        self._note_keys(decoded, former)
        self._known.changed()
        self._tell_of_locks(locked)
        self._announce(before)

    def _note_keys(self, decoded: Mapping[int, Decoded], former: Collection[int]) -> None:
        if len(self._known.keys) > 1:
            for uid, found in decoded.items():
                if isinstance(found, Version):
                    self._known.key_use.note(uid, found, former=uid in former)

    def _weigh(self, blocks: Mapping[int, HeaderBlock]) -> None:
        """A message larger than any that is read is never asked for; the file that its header tells of stays listed."""
        for uid, block in blocks.items():
            version = self._known.index.at(uid) if block.size > limits.LITERAL else None
            if version is not None:
                self._known.spoil(uid, Oversized(path=version.path, section="body"))

    def _forget_gone(self) -> None:
        if not self._absorbing:
            self._gone.clear()

    def _tell_of_locks(self, touched: Collection[str]) -> None:
        if touched:
            self._book.noticed(touched)

    def _before(self, touched: Iterable[str]) -> dict[str, History]:
        """What watchers are told the difference to."""
        return {path: self._known.index.history(path) for path in touched} if self._watchers else {}

    def _announce(self, before: Mapping[str, History]) -> None:
        for path, old in before.items():
            if not paths.is_reserved(path):
                for event in news(old, self._known.index.history(path), self._book.locked(path)):
                    self._watchers.tell(event)


def _locked(versions: Iterable[Version]) -> set[str]:
    """The paths that lock objects among these are about."""
    return {version.lease.path for version in versions if version.lease is not None}
