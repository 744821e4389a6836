"""What is known of a folder: every UID's version or why it is none, and what follows from that.

The index is a function of the set of what was observed, never of the order; it only ever forgets what it is told to
forget, because not listed is not deleted (FORMAT 2.5). It decides nothing about the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ifap_twisted.core import leases, paths
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.records import Gone, Records, path_hash
from ifap_twisted.core.values import Version
from ifap_twisted.errors import DataError

_NO_HISTORY = History()


class _Copies:
    """One version and its places; the sealed bytes of each place may differ (FORMAT 2.2)."""

    __slots__ = ("sealed", "version")

    def __init__(self, version: Version) -> None:
        self.version = version
        self.sealed: dict[int, Version] = {}

    def placed(self) -> Placed:
        places = tuple(sorted(self.sealed))
        return Placed(self.sealed[places[0]], places)


class Index:
    """The versions of all paths, by UID and by path.

    :param records: of what was collected; they outlive an index, because a renumbering does not touch them.
    :param validity: the UIDVALIDITY of the UIDs; lock objects of another one are void (FORMAT 10.2).
    """

    def __init__(self, records: Records | None = None, validity: int = 0) -> None:
        self.records = Records() if records is None else records
        self.validity = validity
        self._places: dict[int, Version | DataError | None] = {}
        self._paths: dict[str, list[_Copies]] = {}
        self._vids: dict[str, int] = {}
        self._histories: dict[str, History] = {}
        self._stale: set[str] = set()
        self._live: set[str] = set()
        self._children: dict[str, dict[str, int]] = {}
        self._conflicts: set[str] = set()
        self._reserved: set[str] = set()
        self._greatest: dict[str, int] = {}
        self._locks: dict[str, set[str]] = {}
        self.highest = 0
        """The highest UID ever observed."""

    # What was seen

    def observe(self, uid: int, version: Version) -> None:
        """A message is there and says this."""
        self.forget([uid])
        self._note(uid, version)
        copies = self._paths.setdefault(version.path, [])
        for known in copies:
            if _is_identified(version) and same_version(known.version, version):
                break
        else:
            known = _Copies(version)
            copies.append(known)
            if _is_identified(version):
                self._vids[version.vid] = self._vids.get(version.vid, 0) + 1
        known.sealed[uid] = version
        self._stale.add(version.path)
        if version.lease is not None and leases.is_lock_object(version):
            self._locks.setdefault(version.lease.path, set()).add(version.path)
            self._stale.add(version.lease.path)
        for writer, number in version.clock.items():
            self._greatest[writer] = max(number, self._greatest.get(writer, 0))

    def reject(self, uid: int, error: DataError | None) -> None:
        """A message is there and is no version: None for foreign mail, else why it cannot be used."""
        self.forget([uid])
        self._note(uid, error)

    def forget(self, uids: Iterable[int]) -> None:
        """The server said that these are gone."""
        for uid in uids:
            gone = self._places.pop(uid, None)
            if isinstance(gone, Version):
                self._drop(uid, gone)

    def _note(self, uid: int, found: Version | DataError | None) -> None:
        self._places[uid] = found
        self.highest = max(self.highest, uid)

    def _drop(self, uid: int, version: Version) -> None:
        copies = self._paths[version.path]
        for known in copies:
            if uid in known.sealed:
                del known.sealed[uid]
                if not known.sealed:
                    copies.remove(known)
                    if _is_identified(version):
                        self._count_vid(version.vid)
                break
        self._stale.add(version.path)
        if version.lease is not None and leases.is_lock_object(version):
            self._stale.add(version.lease.path)
            if not copies:
                self._locks[version.lease.path].discard(version.path)

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

    def rejected(self) -> Mapping[int, DataError]:
        """Why the messages that cannot be used cannot be used, by UID."""
        return {uid: found for uid, found in self._places.items() if isinstance(found, DataError)}

    def foreign(self) -> int:
        """How many messages are mail of somebody else."""
        return sum(found is None for found in self._places.values())

    def collisions(self) -> list[str]:
        """Ids that more than one version carries (FORMAT 2.2), sorted."""
        return sorted(vid for vid, count in self._vids.items() if count > 1)

    # Paths

    def history(self, path: str) -> History:
        """The history of a path; empty when there is nothing of it."""
        self.settle()
        return self._histories.get(path, _NO_HISTORY)

    def paths(self) -> Iterator[str]:
        """All paths of which any version is there, in no order, reserved and odd ones included."""
        self.settle()
        return iter(self._histories)

    def histories(self) -> dict[str, History]:
        """The histories of all paths as they are now; they never change, so another thread may read them."""
        self.settle()
        return dict(self._histories)

    def objects(self, kind: str) -> list[Placed]:
        """The versions below a reserved name, such as ``IFAP/plans/``, in no order (FORMAT 6.1)."""
        self.settle()
        return [one for path in self._reserved if path.startswith(kind) for one in self._histories[path].versions]

    def conflicts(self) -> list[str]:
        """The paths in conflict, sorted (FORMAT 3.4)."""
        self.settle()
        return sorted(self._conflicts)

    def is_directory(self, path: str) -> bool:
        """The root, a path with a live descendant, or one with a marker, whatever its rank (FORMAT 11.2)."""
        self.settle()
        return not path or path in self._children or bool(self.markers(path))

    def markers(self, path: str) -> list[Placed]:
        """The heads that mark a directory, ascending by rank; several when two devices made it at once."""
        heads = self.history(path).heads
        return [head for head in heads if head.version.directory and not head.version.deleted]

    def is_file(self, path: str) -> bool:
        """There is a live file; possibly one whose name a directory keeps (FORMAT 11.2)."""
        return self.file(path) is not None

    def file(self, path: str) -> Placed | None:
        """The live file at a path: the current version, or beside a directory marker the highest file head."""
        history = self.history(path)
        live = [head for head in history.heads if not (head.version.deleted or head.version.directory)]
        return max(live, key=history.precedence) if live else None

    def children(self, path: str) -> list[str]:
        """The names in a directory, sorted by code points: live files, and directories (FORMAT 11.1, 11.2)."""
        self.settle()
        return sorted(self._children.get(path, ()))

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
        copies = (known for name in self._locks.get(path, ()) for known in self._paths.get(name, ()))
        return leases.Locks((known.placed() for known in copies if known.version.lease is not None), self.validity)

    def greatest(self, writer: str) -> int:
        """The greatest number of a writer that any clock ever observed names; 0 for an unknown one (FORMAT 3.2)."""
        return self._greatest.get(writer, 0)

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
            copies = self._paths.get(path)
            if not copies:
                self._paths.pop(path, None)
                self._histories.pop(path, None)
                self._reserved.discard(path)
                history = _NO_HISTORY
            else:
                placed = [known.placed() for known in copies]
                fences = self.locks(path).fences if path in self._locks else {}
                history = self._histories[path] = History(placed, self.records.without_copies(placed), fences)
            if history and paths.is_reserved(path):
                self._reserved.add(path)
            elif history.in_conflict:
                self._conflicts.add(path)
            else:
                self._conflicts.discard(path)
            self._enlist(path, live=history.live)

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


def _is_identified(version: Version) -> bool:
    """Its id tells it from every other version.

    Not so a message of the reference that is not encrypted: its id is a hash of metadata without any randomness, and
    two saves of one length in one second have the same. Each of its places is taken for a version of its own.
    """
    return version.ours or version.encrypted


def same_version(one: Version, other: Version) -> bool:
    """Equal in id and metadata; the sealing may differ (FORMAT 2.2)."""
    return one == other or (
        one.vid == other.vid
        and all(
            getattr(one, name) == getattr(other, name)
            for name in Version._fields
            if name not in {"sealed_id", "encrypted", "written"}
        )
    )
