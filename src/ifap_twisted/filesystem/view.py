"""The index kept in step with a shelf: what is there now, as far as it is known.

Made of rooms with one subject each: what is :mod:`.known`, how far that keeps up (:mod:`.freshness`), taking in what is
read (:mod:`.intake`), reading it (:mod:`.refreshing`), and what the shelf tells by itself (:mod:`.following`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from math import inf

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from ifap_twisted.clocks import date_by
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.index import Index
from ifap_twisted.core.keys import Key
from ifap_twisted.core.records import Records
from ifap_twisted.core.revocations import Revocation
from ifap_twisted.core.values import Checked, FolderState, HeaderBlock, Sealed, Version
from ifap_twisted.errors import DataError, KeyChanged, Renumbered, TimedOut
from ifap_twisted.filesystem.following import Following
from ifap_twisted.filesystem.freshness import Freshness
from ifap_twisted.filesystem.intake import Intake
from ifap_twisted.filesystem.known import Known
from ifap_twisted.filesystem.listing import EarlyNews
from ifap_twisted.filesystem.lockbook import LockBook
from ifap_twisted.filesystem.lookout import Lookout
from ifap_twisted.filesystem.marking import Marking
from ifap_twisted.filesystem.newer_keys import NewerKeys
from ifap_twisted.filesystem.objects import Objects
from ifap_twisted.filesystem.refreshing import Refreshing
from ifap_twisted.filesystem.revoked_keys import RevokedKeys
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IMarks, IMessageStore
from ifap_twisted.workers import Worker


class View:
    """What is known of the folder, for those who work on it.

    :param book: told of lock objects that come or go.
    :param objects: reads the collection records that are new.
    """

    def __init__(
        self,
        known: Known,
        book: LockBook,
        objects: Objects,
        *,
        clock: IReactorTime,
        worker: Worker,
        watchers: Watchers,
    ) -> None:
        self._known = known
        self._objects = objects
        self.elapsed = known.elapsed
        self.freshness = Freshness(known, clock)
        self.intake = Intake(known, book, worker=worker, watchers=watchers, date=partial(date_by, clock))
        self.newer_keys = NewerKeys(known, self.intake, worker)
        self.revoked_keys = RevokedKeys(known, self.intake, self.newer_keys, worker)
        self.refreshing = Refreshing(
            known, self.freshness, self.intake, objects, watchers, self.newer_keys, self.revoked_keys
        )
        self.following = Following(known, self.freshness, self.intake, self.refreshing, clock=clock, watchers=watchers)

    # Opening and closing

    async def load(self, folder: FolderState, blocks: Mapping[int, HeaderBlock], early: EarlyNews) -> None:
        """Take in the first listing; from then on listen.

        :param early: listens from before the listing until it was read.
        :raises Renumbered: the listing is of numbers that mean nothing any more.
        """
        self.following.begin()
        if early.renumbering:
            raise Renumbered("The mail server renumbered the folder while it was opened.")
        self.freshness.begin(since=early.since, online=not early.offline)
        await self.intake.build(blocks, self._known.generation, folder.uidvalidity)
        self._known.folder = folder
        self._known.claimed = folder.exists
        self.freshness.incomplete = len(self.index) != folder.exists
        early.stop()
        self.following.begin_reading(behind=early.any)

    def close(self) -> None:
        """Stop listening."""
        self.following.stop()

    def marking(self, marks: IMarks, *, clock: IReactorTime, expected: bool) -> Marking:
        """What remembers over the end of the process which heads were seen (FORMAT 9.1)."""
        return Marking(self._known, marks, clock=clock, expected=expected)

    def adopt_home(self, home: str) -> None:
        """From now on messages of another folder are none of ours (FORMAT 1.5 ``home``)."""
        self.intake.adopt_home(home)

    # What is known

    @property
    def store(self) -> IMessageStore:
        """The shelf."""
        return self._known.store

    @property
    def dialect(self) -> Dialect:
        """Of the folder."""
        return self._known.dialect

    @property
    def keys(self) -> Sequence[Key]:
        """Those that are tried, the one that is written with first; empty with encryption off."""
        return self._known.keys

    @property
    def revocation(self) -> Revocation:
        """Which keys count no more, and for what all the same (FORMAT 8.5)."""
        return self._known.revocation

    def revoke(self, fingerprints: Collection[str]) -> None:
        """These keys are known to be revoked; called before anything is read."""
        self._known.revocation = self._known.revocation.joined(fingerprints)
        self._known.left |= frozenset(fingerprints)

    @property
    def left(self) -> AbstractSet[str]:
        """The fingerprints of the keys that were given up for one that is known here."""
        return self._known.left

    @property
    def late(self) -> Mapping[int, Version]:
        """What came under a revoked key, by UID: it is set aside."""
        return self._known.late

    @property
    def key_changed(self) -> bool:
        """The key was revoked on another device: nothing is read or written any more."""
        return self._known.key_changed

    def check_key(self) -> None:
        """Nothing is written any more when the key was revoked on another device.

        :raises KeyChanged:
        """
        self._known.check_key()

    def hold_key(self, key: Key) -> None:
        """Read with one more key, which is not written with yet."""
        self._known.keys = tuple(dict.fromkeys((*self._known.keys, key)))

    @property
    def behind(self) -> int:
        """How many files have nothing under the newest key above what is under a former one."""
        return self._known.key_use.behind()

    @property
    def home(self) -> str | None:
        """Of the folder object; None until it was found (FORMAT 8.2)."""
        return self._known.home

    @property
    def index(self) -> Index:
        """Replaced as a whole when the server renumbers."""
        return self._known.index

    @property
    def records(self) -> Records:
        """What is on record of what was collected."""
        return self._known.records

    @property
    def rejected(self) -> Mapping[int, DataError]:
        """Why messages of this folder cannot be used, by UID: their headers, or what was found when they were read."""
        return self._known.rejected

    @property
    def damage(self) -> Mapping[int, str]:
        """What is wrong with messages, by UID: :attr:`rejected`, and what earlier processes found when they read."""
        return self._known.damage

    @property
    def unusable(self) -> Mapping[int, DataError | None]:
        """Why contents of versions could not be used when they were last read, by an earlier process too, by UID."""
        return self._known.unusable

    @property
    def aside(self) -> AbstractSet[tuple[int, str]]:
        """What a repair has set aside: UIDs, with what is wrong there."""
        return self._known.aside

    @property
    def holed(self) -> frozenset[int]:
        """The UIDs of the manifests of which chunks are lost, as far as somebody has looked."""
        return self._known.holed

    @holed.setter
    def holed(self, uids: frozenset[int]) -> None:
        self._known.holed = uids

    def set_aside(self, uids: Collection[int], code: str) -> bool:
        """A person knows that these messages are of no use; whether there is room to remember it."""
        return self._known.set_aside(uids, code)

    @property
    def suspects(self) -> AbstractSet[tuple[int, str]]:
        """Contents that are to be read again by each check: UIDs, with what was wrong there."""
        return self._known.suspects

    def suspect(self, uids: Collection[int], code: str) -> None:
        """These could not be read now."""
        self._known.suspects |= {(uid, code) for uid in uids}
        self._known.changed()

    @property
    def redated(self) -> AbstractSet[int]:
        """Messages that are there, in whose header somebody changed the date, as they were read last."""
        return {uid for uid in self._known.redated if self.index.at(uid) is not None}

    def note_date(self, uid: int, *, redated: bool) -> None:
        """What was found of the date of a message that was read now."""
        (self._known.redated.add if redated else self._known.redated.discard)(uid)

    @property
    def checked(self) -> Checked:
        """How far the checks are that a node makes by itself."""
        return self._known.checked

    def note_checked(self, checked: Checked) -> None:
        """They came so far."""
        self._known.checked = checked
        self._known.changed()

    async def read_records(self) -> None:
        """Let the index know what is on record."""
        await self._objects.read_records()

    @property
    def renumbering(self) -> bool:
        """The server has given new numbers and the index still holds the old ones."""
        return self._known.renumbering

    @property
    def generation(self) -> int:
        """Grows with each renumbering: UIDs that were learnt under another one mean nothing (FORMAT 2.5)."""
        return self._known.generation

    def check_generation(self, generation: int) -> None:
        """UIDs that were learnt under it are still those of the same messages.

        :raises Renumbered:
        """
        self._known.check_generation(generation)

    @property
    def uidvalidity(self) -> int:
        """Of the UIDs in the index; 0 before the first listing."""
        return self._known.uidvalidity

    @property
    def read_only(self) -> bool:
        """The server takes no changes to the folder, as it said last."""
        return self._known.read_only

    # Freshness

    @property
    def state(self) -> str:
        """``connecting``, ``connected``, ``offline`` or ``stopped``."""
        return self.freshness.state

    @property
    def incomplete(self) -> bool:
        """The last listing did not agree with EXISTS; nothing was taken for deleted."""
        return self.freshness.incomplete

    @property
    def unread(self) -> bool:
        """The server told of messages that were not read yet, or could not tell of them."""
        return self.freshness.unread

    @property
    def last_refresh(self) -> float | None:
        """The date, in Unix time; None before the first listing."""
        return self.freshness.last_refresh

    def refresh(self) -> Deferred[None]:
        """Fires when a refresh that began after this call has ended.

        :raises KeyChanged: as :meth:`current` and :meth:`recent`: the key was revoked on another device.
        """
        return fail(KeyChanged()) if self.key_changed else self.refreshing.refresh()

    def current(self) -> Deferred[None]:
        """Fires when the view is fresh enough to answer from."""
        return succeed(None) if self.freshness.is_current and not self.key_changed else self.recent()

    def recent(self) -> Deferred[None]:
        """Fires when the server was asked a moment ago: it may be late with what it tells by itself."""
        return succeed(None) if self.freshness.is_recent and not self.key_changed else self.refresh()

    def advance(self) -> Deferred[None]:
        """Fires when the headers above the last known UID were read, by a FETCH sent after this call."""
        return self.refreshing.advance()

    # Removing

    async def remove(
        self, expected: Mapping[int, str], generation: int, due: Collection[int] | None = None, *, until: float = inf
    ) -> None:
        """Remove messages on purpose: nothing is missing afterwards (FORMAT 5.5).

        :param expected: the sealed id of each, by UID: a message of another one is never removed (FORMAT 2.1).
        :param generation: under which the UIDs were learnt.
        :param due: as for ``IMessageStore.remove``.
        :param until: not after that moment, on the elapsed clock: the call may wait in a line, or through a sleep.
        :raises TimedOut: it is later when the server has shown them; none was removed.
        :raises Renumbered: one of the UIDs is that of another message now; none was removed, and everything is read
            anew, even where UIDVALIDITY is the same.
        :raises NotSupported, MarkedByOthers, StoreError: as ``IMessageStore.remove``.
        """
        self._known.check_generation(generation)
        uids = frozenset(expected)
        removing = self._known.removing
        removing.update(uids)
        try:
            await self.store.remove(uids, self.uidvalidity, partial(self._may_go, expected, until), due)
            if generation == self.generation:
                self.following.vanished(uids)
        except Renumbered:
            self.following.found_another(generation)
            raise
        finally:
            removing.difference_update(uids)

    def _may_go(self, expected: Mapping[int, str], until: float, block: HeaderBlock) -> bool:
        if self.elapsed() > until:
            raise TimedOut("It took too long to remove it.")
        return self._known.is_known_as(expected, block)

    async def unmark(self, uids: Collection[int] | None = None) -> None:
        """Take marks as deleted off versions; None: off all that stay (FORMAT 5.4).

        :raises Renumbered: there is another message at one of their UIDs; no mark was taken off.
        :raises StoreError, ReadOnly: marks may be left.
        """
        await self.following.unmark(uids)

    # Waiting for our own messages (FORMAT 4.2, 4.3)

    @property
    def own(self) -> Lookout:
        """Our own messages that are being read back."""
        return self.intake.own

    def found_own(self, sealed: Sealed) -> int | None:
        """Its UID, once its header was read back equal, its size is right, and the index holds it."""
        uid = self.own.uid(sealed)
        return uid if uid is not None and self.index.at(uid) is sealed.version else None

    def forget_own(self, sealed: Sealed) -> None:
        """Stop looking out; news that were left to the reading back are looked at now."""
        self.own.end(sealed)
        if not self.own:
            self.following.read_when_behind()
