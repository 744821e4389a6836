"""An umpire of removals: it shares nothing with the collector but the decoding of messages (FORMAT 4.4, 5.1, 10.1)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ifap_twisted.core import envelope, paths
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.leases import PREFIX as LOCKS
from ifap_twisted.core.plans import PLANS, Plan
from ifap_twisted.core.records import RECORDS, Record
from ifap_twisted.core.values import Version
from ifap_twisted.errors import IFAPError
from ifap_twisted.store.headers import metadata_fields
from ifap_twisted.store.memory import MemoryShelf
from ifap_twisted.testing.ancestry import Family
from tests.campaigns.holders import Holders
from tests.filesystem.folders import KEY

DAY = 86400.0
GRACE = 2 * DAY
YEAR = 365 * DAY


@dataclass(slots=True)
class Tally:
    """What was covered, and what was wrong."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Umpire:
    """Looks at each removal before it is let through.

    :param keep: how many versions of a file are kept that has no number of its own.
    :ivar stored: the paths of the versions that were reported as stored, by their vids.
    :ivar collected: the vids of those that a collector removed; ``claimed``: UIDVALIDITY and UID of what a collector
        asked to remove.
    """

    def __init__(self, shelf: MemoryShelf, keep: int, holders: Holders, tally: Tally) -> None:
        self._shelf = shelf
        self._keep = keep
        self._holders = holders
        self._tally = tally
        self._decoded: dict[bytes, Version | None] = {}
        self.stored: dict[str, str] = {}
        self.collected: set[str] = set()
        self.claimed: set[tuple[int, int]] = set()

    def version(self, message: bytes) -> Version | None:
        """What a message says; None for what is no version."""
        if message not in self._decoded:
            fields = metadata_fields(message)
            try:
                found = envelope.read_header(fields, dialect=IFAP, keys=[KEY], home=None)
            except IFAPError:
                self._decoded[message] = None
            else:
                self._decoded[message] = found
        return self._decoded[message]

    def shelf(self) -> dict[int, Version]:
        """All versions that are there."""
        messages = self._shelf.messages
        return {uid: found for uid in messages if (found := self.version(messages[uid])) is not None}

    def objects(self, kind: str) -> dict[int, bytes]:
        """The contents of the objects below a name."""
        messages = self._shelf.messages
        return {
            uid: envelope.read_message(messages[uid], dialect=IFAP, keys=[KEY], home=None)[1]
            for uid, version in self.shelf().items()
            if version.path.startswith(kind)
        }

    def look(self, uids: list[int]) -> None:
        """Hold a removal by a collector against the rules."""
        shelf = self.shelf()
        on_record = {one.vid for content in self.objects(RECORDS).values() for one in Record.decode(content).gone}
        for uid in uids:
            if uid not in self._shelf.messages:
                continue
            self._tally.done["removed"] += 1
            version = shelf.get(uid)
            if version is None:
                self._wrong(uid, "is foreign")
            elif not self._planned(uid, version):
                self._wrong(uid, f"{version.path} was not planned a grace ago")
            elif paths.is_reserved(version.path):
                if not version.path.startswith((PLANS, RECORDS, "IFAP/metadata")):
                    self._wrong(uid, f"{version.path} is nobody's to remove")
            elif version.vid not in on_record:
                self._wrong(uid, f"{version.path} is not on record")
            else:
                self._check_history(uid, version, shelf)
        self.claimed.update((self._shelf.uidvalidity, uid) for uid in uids)

    def look_at_withdrawal(self, uids: list[int], writers: set[str]) -> None:
        """Hold against the rules that a device takes back what it wrote (FORMAT 4.4).

        :param writers: the names that it had in the history.
        """
        shelf = self.shelf()
        for uid in uids:
            if uid not in self._shelf.messages:
                continue
            version = shelf.get(uid)
            if version is not None and version.path.startswith(LOCKS):
                self._check_locks(uid, {at: one for at, one in shelf.items() if at not in uids}, writers)
                continue
            self._tally.done["withdrawn"] += 1
            if version is None or version.writer not in writers:
                self._wrong(uid, "is not from the device that withdraws it")
            elif paths.is_reserved(version.path):
                self._wrong(uid, f"{version.path} is nobody's to withdraw")
            elif version.vid in self.stored:
                self._wrong(uid, f"{version.path} {version.vid} was reported as stored, and is withdrawn")
            elif not self._overtaken(uid, version, shelf):
                self._wrong(uid, f"{version.path} {version.vid} is withdrawn, and nobody was faster")

    def _check_locks(self, uid: int, left: dict[int, Version], writers: set[str]) -> None:
        """Of each lock that another device surely holds something is left."""
        self._tally.done["lock messages removed"] += 1
        there = {one.lease.of for one in left.values() if one.lease is not None}
        for hold in self._holders.all():
            if hold.lock not in there and hold.names.isdisjoint(writers):
                self._wrong(uid, f"the lock {hold.lock} of another device holds, and is removed")

    def _overtaken(self, uid: int, version: Version, shelf: dict[int, Version]) -> bool:
        """A content that it does not descend from came before it."""
        places = {at: one for at, one in shelf.items() if one.path == version.path}
        versions = {one.vid: one for one in places.values()}
        family = Family(versions, {vid: min(at for at, one in places.items() if one.vid == vid) for vid in versions})
        return any(
            at < uid and one.vid != version.vid and not one.deleted and not family.descends(version.vid, one.vid)
            for at, one in places.items()
        )

    def _planned(self, uid: int, version: Version) -> bool:
        """A plan of these numbers names it, and is a grace older than the newest message."""
        dates = self._shelf.dates
        now = max(dates.values())
        for at, content in self.objects(PLANS).items():
            plan = Plan.decode(content)
            named = any(one.uid == uid and one.vid == version.vid for one in plan.collect)
            if named and plan.uidvalidity == self._shelf.uidvalidity and now - dates[at] >= GRACE:
                return True
        return False

    def _check_history(self, uid: int, version: Version, shelf: dict[int, Version]) -> None:
        """It is no head, and as many as are kept are newer, or written at the same time."""
        if version.vid in self.collected:
            self._tally.done["collected again"] += 1
            return
        places = {at: one for at, one in shelf.items() if one.path == version.path and one.vid not in self.collected}
        versions = {one.vid: one for one in places.values()}
        ranks = {one.vid: min(at for at, other in places.items() if other.vid == one.vid) for one in versions.values()}
        family = Family(versions, ranks)
        heads = family.heads()
        if version.vid in heads:
            sole = version.deleted and (len(versions) == 1 or self._was_sole(version))
            age = max(self._shelf.dates.values()) - self._shelf.dates[uid]
            if not sole or age < YEAR:
                self._wrong(uid, f"{version.path} {version.vid} is a head of {len(heads)}")
            self._tally.done["ended"] += 1
            return
        current = family.current()
        live = [one for one in versions.values() if not one.deleted]
        over = current is not None and versions[current].deleted and self._age(ranks[current]) >= YEAR
        newer = [one for one in live if one.vid != version.vid and not family.descends(version.vid, one.vid)]
        kept = max([self._keep, *(versions[vid].keep for vid in heads if not versions[vid].ours)])
        kept = max((versions[vid].keep for vid in heads if versions[vid].ours), default=kept)
        if not version.deleted and not over and len(newer) < kept:
            self._wrong(uid, f"{version.path} {version.vid} is one of the last {kept}")

    def _was_sole(self, version: Version) -> bool:
        """A grace ago its end was put on record: what came since was written by who did not need it any more."""
        return any(
            one.vid == version.vid and one.end
            for at, content in self.objects(RECORDS).items()
            if self._age(at) >= GRACE
            for one in Record.decode(content).gone
        )

    def _age(self, uid: int) -> float:
        dates = self._shelf.dates
        return max(dates.values()) - dates[uid]

    def _wrong(self, uid: int, text: str) -> None:
        self._tally.wrong.append(f"UID {uid}: {text}")
