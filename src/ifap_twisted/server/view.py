"""A mailbox as one session sees it: its sequence numbers, and what it has not been told yet.

Other sessions change the mailbox at any time; the numbers here change only when ``updates`` is called, at the moments
that RFC 9051 section 5.5 allows. It does no I/O.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping

from ifap_twisted.server.flags import Flags, rendered
from ifap_twisted.server.grammar import SequenceSet

__all__ = ["View"]


class View:
    """Sequence numbers of the UIDs in a mailbox, ascending.

    :ivar deleted: the mailbox itself is gone.
    :ivar notify: called without arguments whenever there is something new to tell.
    """

    def __init__(self, uids: array[int], recent: int) -> None:
        self._uids = uids
        self._recent = recent
        self._arrived: list[int] = []
        self._vanished: set[int] = set()
        self._changed: dict[int, Flags] = {}
        self.deleted = False
        self.notify: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._uids)

    def is_recent(self, uid: int) -> bool:
        """Whether this session is the first to see a message, as far as is known."""
        return uid >= self._recent

    @property
    def recent_count(self) -> int:
        """How many are recent."""
        return len(self._uids) - bisect_left(self._uids, self._recent)

    @property
    def expunged(self) -> bool:
        """Whether messages are gone that this session was not told of."""
        return bool(self._vanished)

    def number(self, uid: int) -> int:
        """The sequence number of a UID that is in the mailbox."""
        return bisect_left(self._uids, uid) + 1

    def resolve(self, ranges: SequenceSet, *, by_uid: bool) -> list[tuple[int, int]]:
        """The (sequence number, UID) pairs that a set means, ascending; numbers that are not there mean nothing."""
        spans = sorted(self._span(first, last, by_uid=by_uid) for first, last in ranges)
        pairs: list[tuple[int, int]] = []
        done = 0
        for start, stop in spans:
            pairs += ((index + 1, self._uids[index]) for index in range(max(start, done), stop))
            done = max(done, stop)
        return pairs

    def all(self) -> list[tuple[int, int]]:
        """Every (sequence number, UID) pair."""
        return list(enumerate(self._uids, 1))

    def messages_arrived(self, uids: Iterable[int]) -> None:
        """There are new messages, of higher UIDs than any before."""
        self._arrived.extend(uids)
        self._tell()

    def messages_vanished(self, uids: Iterable[int]) -> None:
        """Messages were expunged."""
        gone = set(uids)
        self._arrived = [uid for uid in self._arrived if uid not in gone]
        self._vanished.update(uid for uid in gone if self._holds(uid))
        self._tell()

    def flags_changed(self, changed: Mapping[int, Flags]) -> None:
        """Another session changed flags."""
        self._changed.update(changed)
        self._tell()

    def mailbox_deleted(self) -> None:
        """The mailbox is gone."""
        self.deleted = True
        self._tell()

    def updates(self, *, expunge: bool) -> list[bytes]:
        """What is new, as untagged responses; EXPUNGE only when asked for."""
        lines = self._forget() if expunge and self._vanished else []
        if self._arrived:
            self._uids.extend(self._arrived)
            self._arrived = []
            lines += [b"%d EXISTS" % len(self._uids), b"%d RECENT" % self.recent_count]
        for uid, flags in sorted(self._changed.items()):
            if self._holds(uid) and uid not in self._vanished:
                text = rendered(flags, recent=self.is_recent(uid))
                lines.append(b"%d FETCH (UID %d FLAGS %b)" % (self.number(uid), uid, text))
        self._changed = {}
        return lines

    def _forget(self) -> list[bytes]:
        """Highest first: then each number is the one before the expunge."""
        lines = [b"%d EXPUNGE" % self.number(uid) for uid in sorted(self._vanished, reverse=True)]
        self._uids = array("I", (uid for uid in self._uids if uid not in self._vanished))
        self._vanished = set()
        return lines

    def _holds(self, uid: int) -> bool:
        index = bisect_left(self._uids, uid)
        return index < len(self._uids) and self._uids[index] == uid

    def _span(self, first: int | None, last: int | None, *, by_uid: bool) -> tuple[int, int]:
        """Half-open range of indexes."""
        if not self._uids:
            return 0, 0
        star = self._uids[-1] if by_uid else len(self._uids)
        low, high = sorted((star if first is None else first, star if last is None else last))
        if by_uid:
            return bisect_left(self._uids, low), bisect_right(self._uids, high)
        return min(low - 1, len(self._uids)), min(high, len(self._uids))

    def _tell(self) -> None:
        if self.notify is not None:
            self.notify()
