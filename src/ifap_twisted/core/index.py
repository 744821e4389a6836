"""What is known of a folder: every UID's version or why it is none, and what follows from that.

The index is a function of the set of what was observed, never of the order; it only ever forgets what it is told to
forget, because not listed is not deleted (FORMAT 2.5). It decides nothing about the server.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import inf
from operator import attrgetter

from ifap_twisted.core import leases, limits, paths
from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.copies import Copies, by_rank, is_identified, remembered, same_version, take_equal
from ifap_twisted.core.history import History, Placed, lost_race, removed_by_reference
from ifap_twisted.core.marks import Mark
from ifap_twisted.core.records import Gone, Records, path_hash
from ifap_twisted.core.tree import Tree
from ifap_twisted.core.values import KEY_SLOT, OTHER_DIALECT, NoVersion, Version
from ifap_twisted.errors import DataError

_NO_HISTORY = History()
_NO_LOCKS = leases.Locks()


class Index(Tree):
    """The versions of all paths, by UID and by path.

    :param records: of what was collected; they outlive an index, because a renumbering does not touch them.
    :param validity: the UIDVALIDITY of the UIDs; lock objects of another one are void (FORMAT 10.2).
    """

    def __init__(self, records: Records | None = None, validity: int = 0) -> None:
        self.records = Records() if records is None else records
        self.validity = validity
        self._places: dict[int, Version | DataError | NoVersion | None] = {}
        self._paths: dict[str, list[Copies]] = {}
        self._vids: dict[str, int] = {}
        self._histories: dict[str, History] = {}
        self._stale: set[str] = set()
        self._live: set[str] = set()
        self._children: dict[str, dict[str, int]] = {}
        self._conflicts: set[str] = set()
        self._gaps: set[str] = set()
        self._reserved: dict[str, set[str]] = {}
        self._greatest: dict[str, int] = {}
        self._greatest_in_files: dict[str, int] = {}
        self._locks: dict[str, set[str]] = {}
        self._locks_known: dict[str, leases.Locks] = {}
        self._touched: set[str] = set()
        self._slots: set[int] = set()
        self.useless: set[int] = set()
        """The UIDs of messages that are no version of ours: damaged ones, key slots, those of others."""
        self.highest = 0
        """The highest UID ever observed."""

    # What was seen

    def observe(self, uid: int, version: Version, moment: float = -inf) -> None:
        """A message is there and says this.

        :param moment: when that was seen, on a clock that nobody sets.
        """
        moment = min(moment, self._seen_at(uid, version))
        self.discard([uid])
        self._note(uid, version)
        copies = self._paths.setdefault(version.path, [])
        for known in copies:
            if same_version(known.version, version) and (is_identified(version) or not known.sealed):
                break
        else:
            known = Copies(version, moment)
            copies.append(known)
        if not known.sealed and is_identified(version):
            self._vids[version.vid] = self._vids.get(version.vid, 0) + 1
        known.sealed[uid] = version
        if version.bound and not known.version.bound:
            known.version = version
        known.recalled = False
        self._stale.add(version.path)
        if version.lease is not None and leases.is_lock_object(version):
            self._locks.setdefault(version.lease.path, set()).add(version.path)
            self._forget_locks(version.lease.path)
        if not version.path.startswith(CHUNKS):  # they have no history, and nobody has the name that is in them
            _raise_to(self._greatest, version.clock)
        if not paths.is_reserved(version.path):
            _raise_to(self._greatest_in_files, version.clock)

    def _seen_at(self, uid: int, version: Version) -> float:
        """Since when it is known at a place of which it may be read once more."""
        there = self._paths.get(version.path, ()) if uid in self._places else ()
        return min((one.seen for one in there if uid in one.sealed and same_version(one.version, version)), default=inf)

    def reject(self, uid: int, error: DataError | NoVersion | None) -> None:
        """A message is there and is no version: None for foreign mail, what else it is, or why it cannot be used."""
        self.discard([uid])
        self._note(uid, error)

    def acknowledge(self, version: Version) -> None:
        """Its writer was told that it is stored: it will not be taken back."""
        for known in self._paths.get(version.path, ()):
            if same_version(known.version, version):
                known.seen = -inf

    def is_settled(self, placed: Placed, moment: float) -> bool:
        """Whether nobody takes a version back any more: its writer was told that it stays, or had the time to (4.4)."""
        known = self._paths.get(placed.version.path, ())
        return any(
            moment - one.seen >= limits.WITHDRAWAL_SECONDS for one in known if same_version(one.version, placed.version)
        )

    def may_be_withdrawn(self, placed: Placed, moment: float) -> bool:
        """Whether another version was there first, and the writer of this one may take it back yet (FORMAT 4.4)."""
        return lost_race(self.history(placed.version.path), placed) and not self.is_settled(placed, moment)

    def forget(self, uids: Iterable[int], moment: float = inf) -> None:
        """The server said that these are gone: who removed them is not known (FORMAT 5.5).

        :param moment: until when they were there for all that is known.
        """
        for uid in uids:
            gone = self._places.pop(uid, None)
            self.useless.discard(uid)
            self._slots.discard(uid)
            if isinstance(gone, Version):
                self._drop(uid, gone, moment, keep=not paths.is_reserved(gone.path))
        self.settle()  # now, so that what replaces them later is known to have come later

    def discard(self, uids: Iterable[int]) -> None:
        """These are gone, and it is known why: nothing is missing."""
        for uid in uids:
            gone = self._places.pop(uid, None)
            self.useless.discard(uid)
            self._slots.discard(uid)
            if isinstance(gone, Version):
                self._drop(uid, gone, inf, keep=False)

    def miss_from(self, before: Index, moment: float) -> None:
        """What an index of other numbers held and this one does not is gone, in its order (FORMAT 2.5, 5.5).

        :param moment: until when it was there for all that is known.
        """
        _raise_to(self._greatest, before._greatest)
        _raise_to(self._greatest_in_files, before._greatest_in_files)
        for path, copies in before._paths.items():
            if paths.is_reserved(path):
                continue
            there = list(self._paths.get(path, ()))
            gone = []
            for known in by_rank(copies):
                same = take_equal(there, known.version)
                if same is None:
                    gone.append(known)
                else:
                    same.seen = min(same.seen, known.seen)
            for number, known in enumerate(gone, 1):
                missing = Copies(known.version, known.seen, last=self.highest + number / (len(gone) + 1))
                missing.spell = moment - known.seen if known.sealed else known.spell
                missing.recalled = known.recalled
                self._paths.setdefault(path, []).append(missing)
                self._stale.add(path)

    def recall(self, marks: Iterable[Mark]) -> None:
        """Heads that were seen once are missing, unless they are there or it is on record who removed them.

        Those that others descend from are settled by that. It is for after the records were read (FORMAT 9.1).
        """
        for mark in marks:
            there = [known for known in self._paths.get(mark.version.path, ()) if known.is_copy(mark.version)]
            if mark.since == -inf:  # its writer takes it back no more, however short a while ago it was written
                for known in there:
                    known.seen = -inf
            if not (there or self._is_on_record(mark)):
                self._miss(mark)

    def _is_on_record(self, mark: Mark) -> bool:
        """It was collected; or what it had lost a race to was, and it was seen for a moment only (FORMAT 4.4)."""
        return self.records.explains(mark.version) or (mark.since > -inf and self.records.has_rival(mark.version))

    def _miss(self, mark: Mark) -> None:
        version = mark.version
        _raise_to(self._greatest, version.clock)
        _raise_to(self._greatest_in_files, version.clock)
        missing = Copies(version, last=self._rank_of(mark))
        missing.spell = inf if mark.since == -inf else 0.0
        missing.recalled = missing.missed = True
        self._paths.setdefault(version.path, []).append(missing)
        self._stale.add(version.path)

    def _rank_of(self, mark: Mark) -> float:
        """Where it was; under other numbers above all, but below what a reference program saved later (FORMAT 3.3)."""
        if mark.validity == self.validity:
            return mark.rank + 0.5 if mark.rank == int(mark.rank) else mark.rank
        copies = self._paths.get(mark.version.path, ())
        later = [known.placed().rank for known in copies if _follows(known, mark.version)]
        return min(later, default=self.highest + 1) - 1 / (len(copies) + 2)  # above one that is last + 0.5

    def _note(self, uid: int, found: Version | DataError | NoVersion | None) -> None:
        self._places[uid] = found
        if not isinstance(found, Version):
            self.useless.add(uid)
        if found is KEY_SLOT:
            self._slots.add(uid)
        self.highest = max(self.highest, uid)

    def _drop(self, uid: int, version: Version, moment: float, *, keep: bool) -> None:
        copies = self._paths[version.path]
        for known in copies:
            if uid in known.sealed:
                del known.sealed[uid]
                known.last = min(known.last, uid + 0.5)
                if not known.sealed:
                    known.spell = moment - known.seen
                    if not keep:
                        copies.remove(known)
                    if is_identified(version):
                        self._count_vid(version.vid)
                break
        self._stale.add(version.path)
        if version.lease is not None and leases.is_lock_object(version):
            self._forget_locks(version.lease.path)
            if not copies:
                self._locks[version.lease.path].discard(version.path)

    def _forget_locks(self, path: str) -> None:
        self._locks_known.pop(path, None)
        self._stale.add(path)

    def _count_vid(self, vid: str) -> None:
        self._vids[vid] -= 1
        if not self._vids[vid]:
            del self._vids[vid]

    # Places

    def __len__(self) -> int:
        """The number of messages known, foreign ones included."""
        return len(self._places)

    def __contains__(self, uid: object) -> bool:
        return uid in self._places

    def uids(self) -> Iterable[int]:
        """All UIDs known, in no order."""
        return self._places.keys()

    def at(self, uid: int) -> Version | None:
        """The version at a UID."""
        found = self._places.get(uid)
        return found if isinstance(found, Version) else None

    def sealed_ids(self, uids: Iterable[int]) -> dict[int, str]:
        """What the messages at these UIDs are known by (FORMAT 2.1), of those at which there is a version."""
        return {uid: found.sealed_id for uid in uids if (found := self.at(uid)) is not None}

    def highest_version(self, uids: Collection[int]) -> int | None:
        """The highest of these UIDs at which there is a version."""
        return next((uid for uid in sorted(uids, reverse=True) if self.at(uid) is not None), None)

    def rejected(self) -> Mapping[int, DataError]:
        """Why the messages that cannot be used cannot be used, by UID."""
        found = ((uid, self._places[uid]) for uid in sorted(self.useless))
        return {uid: error for uid, error in found if isinstance(error, DataError)}

    def foreign(self) -> int:
        """How many messages are mail of somebody else."""
        return sum(self._places[uid] is None for uid in self.useless)

    def other_dialect(self) -> int:
        """How many messages say that they are of the other dialect."""
        return sum(self._places[uid] is OTHER_DIALECT for uid in self.useless)

    def key_slots(self) -> list[int]:
        """The UIDs of messages that say they are key slots (FORMAT 8.4), in no order."""
        return list(self._slots)

    def collisions(self) -> list[str]:
        """Ids that more than one version carries (FORMAT 2.2), sorted."""
        return sorted(vid for vid, count in self._vids.items() if count > 1)

    # Paths

    def histories(self) -> dict[str, History]:
        """The histories of all paths as they are now; they never change, so another thread may read them."""
        self.settle()
        return dict(self._histories)

    def at_moment(self) -> Tree:
        """What is at all paths now."""
        self.settle()
        return Tree(dict(self._histories), {path: tuple(names) for path, names in self._children.items()})

    def objects(self, kind: str) -> list[Placed]:
        """The versions below a reserved name, such as ``IFAP/plans/``, ascending by rank (FORMAT 6.1)."""
        self.settle()
        names = [path for path in self._reserved.get(_kind(kind), ()) if path.startswith(kind)]
        return sorted((one for path in names for one in self._histories[path].versions), key=attrgetter("rank"))

    def conflicts(self) -> list[str]:
        """The paths in conflict, sorted (FORMAT 3.4)."""
        self.settle()
        return sorted(self._conflicts)

    def take_touched(self) -> set[str]:
        """The users' paths of which anything may be another than when this was asked last, what is gone included."""
        self.settle()
        touched, self._touched = self._touched, set()
        return touched

    def spells(self, path: str, moment: float) -> list[tuple[Placed, float]]:
        """The heads of a path, and for how long each has been there, or was; inf for what stays for certain.

        :param moment: now, on the clock of :meth:`observe`.
        """
        known = self._paths.get(path, ())
        spells = {one.placed().rank: moment - one.seen if one.sealed else one.spell for one in known}
        return [(head, spells[head.rank]) for head in self.history(path).heads]

    def missing(self) -> tuple[list[Placed], list[Placed]]:
        """The heads that are gone although nobody is known to have removed them, by path (FORMAT 5.5).

        :return: the vanished, and those that a reference program seems to have removed.
        """
        self.settle()
        found: tuple[list[Placed], list[Placed]] = ([], [])
        for path in sorted(self._gaps):
            history = self._histories[path]
            for head in history.heads:
                if head.missing:
                    found[removed_by_reference(history, head)].append(head)
        return found

    def spoilt(self, placed: Placed) -> DataError | None:
        """Why the message cannot be used that is now where a missing version was; None where there is no such."""
        found = self._places.get(int(placed.rank)) if placed.recalled else None
        return found if isinstance(found, DataError) else None

    def gone(self, path: str) -> list[Version]:
        """Versions of a path that were there and are not any more: the missing, and the last of the replaced."""
        return [known.version for known in self._paths.get(path, ()) if not known.sealed]

    def thinned(self) -> list[str]:
        """The paths of which versions went when others had replaced them, nobody knows by whose hand; sorted."""
        self.settle()
        return [
            path
            for path in sorted(self._gaps)
            if any(not (known.sealed or known.missed) for known in self._paths[path])
        ]

    def files_below(self, path: str) -> Iterator[str]:
        """The paths of all live files below a directory, one by one: who looks for any stops at the first."""
        self.settle()
        waiting = [path]
        while waiting:
            above = waiting.pop()
            for name in self._children.get(above, ()):
                below = paths.join(above, name)
                if self.is_file(below):
                    yield below
                if below in self._children:
                    waiting.append(below)

    def clashes(self) -> list[str]:
        """Paths that are a file and a directory at once, sorted (FORMAT 11.2)."""
        self.settle()
        candidates = {*self._children, *self._conflicts}
        return sorted(path for path in candidates if path and self.is_directory(path) and self.is_file(path))

    def has_children(self, path: str) -> bool:
        """Something live lies below."""
        self.settle()
        return path in self._children

    def locked_paths(self) -> Iterator[str]:
        """The paths of which any lock object is there, whatever became of the lock."""
        return (path for path, objects in self._locks.items() if objects)

    def locks(self, path: str) -> leases.Locks:
        """What the lock objects of a path say."""
        names = self._locks.get(path)
        if not names:  # by far the most
            return _NO_LOCKS
        known = self._locks_known.get(path)
        if known is None:
            objects = (copies for name in names for copies in self._paths.get(name, ()))
            known = self._locks_known[path] = leases.Locks((copies.placed() for copies in objects), self.validity)
        return known

    def greatest(self, writer: str) -> int:
        """The greatest number of a writer that any clock names, observed or on record; 0 for none (FORMAT 3.2)."""
        return max(self._greatest.get(writer, 0), self.records.greatest(writer))

    def greatest_in_files(self, writer: str) -> int:
        """The same, of the clocks of users' files only, also of those that this device saw before (FORMAT 9.2)."""
        return max(self._greatest_in_files.get(writer, 0), self.records.greatest(writer))

    # What was collected (FORMAT 5.3)

    def is_collected(self, vid: str) -> bool:
        """There is a collection record for this id."""
        return self.records.is_collected(vid)

    def note_collected(self, gone: Iterable[Gone]) -> None:
        """Take in what a collection record says; the heads of its paths may be others now."""
        hashes = self.records.add(gone)
        if hashes:
            self.reconsider([path for path in self._paths if path_hash(path) in hashes])

    def reconsider(self, names: Iterable[str]) -> None:
        """Derive anew what follows from these paths: the records say something new of them."""
        self._stale.update(name for name in names if name in self._paths)

    # Deriving

    def settle(self) -> None:
        """Bring up to date what follows from the paths that changed; every question does it, where it is still due."""
        while self._stale:
            path = self._stale.pop()
            history = self._settled(path)
            reserved = paths.is_reserved(path)
            if not reserved:
                self._touched.add(path)
            elif history:
                self._reserved.setdefault(_kind(path), set()).add(path)
            else:
                self._reserved.get(_kind(path), set()).discard(path)
            if history.in_conflict and not reserved:
                self._conflicts.add(path)
            else:
                self._conflicts.discard(path)
            self._enlist(path, live=history.live)

    def _settled(self, path: str) -> History:
        """The history of a path that changed; a missing version is in it only while it is a head."""
        self._gaps.discard(path)
        copies = [known for known in self._paths.get(path, ()) if known.sealed or not self._is_explained(known)]
        whole = self._history(path, copies)
        if any(not known.sealed for known in copies):
            copies = [known for known in copies if not self._was_withdrawn(known, whole)]
            whole = self._without_replaced(path, copies)
        if not copies:
            self._paths.pop(path, None)
            self._histories.pop(path, None)
            return _NO_HISTORY
        self._paths[path] = remembered(copies, whole.heads)
        self._histories[path] = whole
        return whole

    def _history(self, path: str, copies: Iterable[Copies]) -> History:
        placed = [known.placed() for known in copies]
        fences = self.locks(path).fences if path in self._locks else {}
        return History(placed, self.records.bygone(placed), fences)

    def _is_explained(self, known: Copies) -> bool:
        """It is on record who removed it."""
        return self.records.explains(known.version)

    def _was_withdrawn(self, known: Copies, whole: History) -> bool:
        """Its writer took it back; that is done soon or never, so that what was there for longer is missing.

        A spell may be somewhat less than nothing: it was seen after the last look at the whole folder. Should it be far
        less, the clock was put back all the same, and nobody knows how long it was there.
        """
        soon = not known.sealed and abs(known.spell) < limits.WITHDRAWAL_SECONDS
        return soon and lost_race(whole, known.placed())

    def _without_replaced(self, path: str, copies: Sequence[Copies]) -> History:
        whole = self._history(path, copies)
        tops = [head.version for head in whole.heads if head.missing]
        kept = []
        for known in copies:
            if known.sealed or known.version in tops:
                kept.append(known)
                known.missed = known.missed or not known.sealed
        if any(not known.sealed for known in copies):
            self._gaps.add(path)
        return self._history(path, kept)

    def _enlist(self, path: str, *, live: bool) -> None:
        """Keep the children of all directories above in step with whether the path is live."""
        if live == (path in self._live) or not paths.is_writable(path) or paths.is_reserved(path):
            return
        if live:
            self._live.add(path)
        else:
            self._live.discard(path)
        for directory in ["", *paths.ancestors(path)]:
            name = path[len(directory) :].lstrip("/").split("/", 1)[0]
            names = self._children.setdefault(directory, {})
            names[name] = names.get(name, 0) + (1 if live else -1)
            if not names[name]:
                del names[name]
                if not names:
                    del self._children[directory]


def _kind(path: str) -> str:
    """What a reserved name begins with: there may be a hundred thousand chunks, and a few of each other kind."""
    return "/".join(path.split("/", 2)[:2])


def _raise_to(greatest: dict[str, int], clock: Mapping[str, int]) -> None:
    for writer, number in clock.items():
        greatest[writer] = max(number, greatest.get(writer, 0))


def _follows(known: Copies, version: Version) -> bool:
    """It is there, was saved by a reference program over the same version as another one, and after that."""
    there = known.version
    return (
        bool(known.sealed)
        and not (there.ours or version.ours)
        and (there.inherits == version.inherits and there.written > version.written)
    )
