"""What can be told of a folder from what is known of it: nothing is asked of the server."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from ifap_twisted.core import paths
from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.copies import same_version
from ifap_twisted.core.findings import (
    DAMAGE,
    FINISH_MOVE,
    NOTE,
    RESTORE,
    REWRITE,
    SET_ASIDE,
    SNAPSHOT,
    WARNING,
    Finding,
)
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.values import Notice, Version
from ifap_twisted.errors import ChunkLost, DataError, RevokedKey
from ifap_twisted.filesystem.manifest_reading import Lost
from ifap_twisted.filesystem.notices import notices
from ifap_twisted.filesystem.view import View

_OF_NOTICES = {
    "listing-incomplete": WARNING,
    "listing-window": WARNING,
    "vanished": DAMAGE,
    "rolled-back": DAMAGE,
    "replayed": WARNING,
    "removed-by-other": WARNING,
    "name-clash": NOTE,
}
"""How serious it is what the status warns of."""


class Case(NamedTuple):
    """A finding, and what a repair needs to know of it.

    :ivar uids: of the messages that it is about, where a repair may have to do with them.
    :ivar placed: the versions that it is about, likewise.
    """

    finding: Finding
    uids: tuple[int, ...] = ()
    placed: tuple[Placed, ...] = ()

    def known(self, aside: Container[tuple[int, str]]) -> Case:
        """A mere note, where a repair has set all of it aside and could do nothing else.

        :param aside: UIDs of what was set aside, with what was wrong there.
        """
        found = self.finding
        if found.remedy != SET_ASIDE or any((uid, found.code) not in aside for uid in self.uids):
            return self
        return self._replace(finding=found._replace(severity=NOTE, remedy="")).told("It was set aside.")

    def told(self, more: str) -> Case:
        """With one more sentence."""
        text = f"{self.finding.text.removesuffix('.')}. {more}"
        return self._replace(finding=self.finding._replace(text=text))


def inspected(
    view: View, changed: Mapping[int, DataError], holes: Iterable[Lost], *, require_bound: bool
) -> Iterator[Case]:
    """Everything worth telling.

    :param holes: the versions of which chunks are lost.
    :param changed: what is known better of messages that cannot be used, by UID.
    :param require_bound: content that nothing binds to its header is not served (FORMAT 1.5).
    """
    lost = list(_lost(view, changed))
    yield from lost
    yield from _useless(view, changed, {uid for case in lost for uid in case.uids})
    yield from _late(view)
    yield from _spoilt(view)
    yield from _holed(view, holes)
    yield from _collisions(view)
    yield from _half_moved(view)
    yield from map(Case, _told(view, require_bound=require_bound))


def _told(view: View, *, require_bound: bool) -> Iterator[Finding]:
    """What no repair has to do with."""
    yield from noticed(notices(view, {}, (), plainly=True))
    histories = view.index.histories().items()
    versions = [one for path, history in histories if not path.startswith(CHUNKS) for one in history.versions]
    yield from _unbound(versions, DAMAGE if require_bound else NOTE)
    yield from _numbers(versions)
    yield from _doubled(versions)
    yield from _not_understood(versions)
    yield from _conflicts(view)
    yield from _odd(view)
    yield from _of_others(view)


def noticed(told: Iterable[Notice]) -> Iterator[Finding]:
    """What is missing, clashes or was stored again, in the words of the status; of its other notices nothing."""
    for notice in told:
        if notice.code in _OF_NOTICES:
            yield Finding(notice.code, _OF_NOTICES[notice.code], notice.text, notice.path)


def _lost(view: View, changed: Mapping[int, DataError]) -> Iterator[Case]:
    """Newest versions whose messages are there with headers that cannot be used any more (FORMAT 9.1)."""
    for placed in view.index.missing()[0]:
        error = view.index.spoilt(placed)
        if error is not None:
            error = changed.get(int(placed.rank), error)
            version = placed.version
            text = f"The newest version of this file is there, but cannot be used: {error.title()}."
            remedy = _remedy_of_head(view, view.index.history(version.path))
            finding = Finding(error.code, DAMAGE, text, version.path, version.vid, 1, remedy)
            yield Case(finding, (int(placed.rank),), (placed,))


def _useless(view: View, changed: Mapping[int, DataError], told: Container[int]) -> Iterator[Case]:
    """Messages of this folder whose headers cannot be used; those that were set aside apart.

    :param told: the UIDs of those that were told already.
    """
    found: defaultdict[tuple[str, str | None, bool], dict[int, DataError]] = defaultdict(dict)
    late = view.late
    for uid, error in {**view.index.rejected(), **changed}.items():
        if uid not in told and uid not in late:
            found[error.code, error.path, (uid, error.code) in view.aside][uid] = error
    for (code, path, _aside), errors in found.items():
        uid, error = next(iter(errors.items()))
        text = error.detail if uid in changed else f"{error.title()}."
        finding = Finding(code, DAMAGE, text, path, places=len(errors), remedy=SET_ASIDE)
        yield Case(finding, tuple(errors)).known(view.aside)


def _late(view: View) -> Iterator[Case]:
    """What came under a revoked key (FORMAT 8.5); not what was sealed anew since, nor what is of no use any more."""
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for uid, version in view.late.items():
        there = view.index.history(version.path).find(version.vid)
        if not (paths.is_reserved(version.path) or any(same_version(one.version, version) for one in there)):
            found[version.path, version.vid].append(uid)
    for (path, vid), uids in found.items():
        text = (
            f"A version of this file came when its key had been revoked, and is set aside: 'ifap cat --version {vid}' "
            f"shows it, 'ifap restore --version {vid}' takes it over."
        )
        finding = Finding(RevokedKey.code, WARNING, text, path, vid, len(uids), SET_ASIDE)
        yield Case(finding, tuple(uids)).known(view.aside)


def _spoilt(view: View) -> Iterator[Case]:
    """Versions whose content cannot be used from some of their places, or from none (FORMAT 2.3)."""
    damage, index = view.rejected, view.index
    for path in dict.fromkeys(version.path for uid in damage if (version := index.at(uid)) is not None):
        history = index.history(path)
        for placed in history.versions:
            bad = {uid: damage[uid] for uid in placed.places if uid in damage}
            if bad:
                finding = _spoilt_version(placed, list(bad.values()), _remedy(view, history, placed, bad))
                # Of the files that need a chunk it is told apart, and nobody needs a snapshot.
                disposable = path == view.dialect.snapshot_path or path.startswith(CHUNKS)
                finding = finding._replace(severity=WARNING) if disposable else finding
                yield Case(finding, tuple(bad), (placed,)).known(view.aside)


def _spoilt_version(placed: Placed, bad: list[DataError], remedy: str) -> Finding:
    version = placed.version
    if len(bad) == len(placed.places):
        return Finding(bad[0].code, DAMAGE, bad[0].detail, version.path, version.vid, len(bad), remedy)
    text = f"A copy of this version is damaged, another one is whole. {bad[0].title()}."
    return Finding(bad[0].code, WARNING, text, version.path, version.vid, len(bad), remedy)


def _holed(view: View, holes: Iterable[Lost]) -> Iterator[Case]:
    """Versions of large files of which chunks are lost (FORMAT 7.1)."""
    for placed, ranges in holes:
        version, history = placed.version, view.index.history(placed.version.path)
        told = ", ".join(f"{one.start}-{one.stop - 1}" for one in ranges)
        text = f"Chunks of this version are gone or damaged: of its {version.size} bytes these are lost: {told}."
        remedy = _remedy_of_head(view, history) if placed in history.heads else SET_ASIDE
        finding = Finding(ChunkLost.code, DAMAGE, text, version.path, version.vid, len(placed.places), remedy)
        yield Case(finding, placed.places, (placed,)).known(view.aside)


def _remedy(view: View, history: History, placed: Placed, bad: Mapping[int, DataError]) -> str:
    """What a repair does about a version with messages that cannot be used."""
    version = placed.version
    if len(bad) == len(placed.places) and placed in history.heads:
        if version.path == view.dialect.snapshot_path:
            return snapshot_remedy(view)
        if not (paths.is_reserved(version.path) or version.deleted or version.directory):
            return _remedy_of_head(view, history)
    return SET_ASIDE


def _remedy_of_head(view: View, history: History) -> str:
    """What a repair does about a newest version that cannot be read.

    Which of several is meant is for a person to decide, and so is what becomes of a file of which no version is left
    that can be read.
    """
    return RESTORE if len(history.heads) == 1 and whole(view, history) else ""


def snapshot_remedy(view: View) -> str:
    """One of a folder in which files are missing, and stay so, would hide that from others (FORMAT 6.2)."""
    restored = {case.finding.path for case in _lost(view, {}) if case.finding.remedy}
    return SNAPSHOT if all(placed.version.path in restored for placed in view.index.missing()[0]) else ""


def whole(view: View, history: History) -> list[Placed]:
    """The versions of a file of which nothing is known against at least one message, nor against its chunks."""
    bad = view.rejected.keys() | view.holed
    return [
        placed
        for placed in history.versions
        if not (placed.version.deleted or placed.version.directory)
        and placed.version.understood
        and any(uid not in bad for uid in placed.places)
    ]


def _collisions(view: View) -> Iterator[Case]:
    """Versions that carry one id (FORMAT 2.2)."""
    found: dict[str, list[Placed]] = {vid: [] for vid in view.index.collisions()}
    for history in view.index.histories().values() if found else ():
        for placed in history.versions:
            if placed.places and placed.version.vid in found:
                found[placed.version.vid].append(placed)
    for vid, placed_there in found.items():
        uids = tuple(uid for placed in placed_there for uid in placed.places)
        names = {placed.version.path for placed in placed_there}
        path = names.pop() if len(names) == 1 else None
        remedy = _remedy_of_collision(view, placed_there)
        text = f"Two different versions carry the id {vid}."
        finding = Finding("vid-collision", DAMAGE, text, path, vid, len(uids), remedy)
        yield Case(finding, uids, tuple(placed_there)).known(view.aside)


def _remedy_of_collision(view: View, carriers: list[Placed]) -> str:
    """Replaced versions may keep the id; of a file in conflict a person decides what is current."""
    files = [placed for placed in carriers if not paths.is_reserved(placed.version.path)]
    histories = [(placed, view.index.history(placed.version.path)) for placed in files]
    current = [history for placed, history in histories if placed in history.heads]
    if any(len(history.heads) > 1 for history in current):
        return ""
    return REWRITE if current else SET_ASIDE


def _half_moved(view: View) -> Iterator[Case]:
    """Files that are still at the place from which they were moved, unchanged: the move was cut (FORMAT 11.3)."""
    histories = view.index.histories()
    arrived: dict[str, Placed] = {
        head.version.moved_from: head
        for path, history in histories.items()
        for head in history.heads
        if head.version.moved_from is not None and not (paths.is_reserved(path) or head.version.deleted)
    }
    for path, history in histories.items() if arrived else ():
        if len(history.heads) == 1 and history.heads[0].version.vid in arrived:
            left = history.heads[0]
            there = arrived[left.version.vid]
            if _is_same(left.version, there.version) and left.places and there.places:
                text = f"A move of this file to /{there.version.path} was cut: it is at both places."
                finding = Finding("half-moved", WARNING, text, path, left.version.vid, 2, FINISH_MOVE)
                yield Case(finding, (), (left, there))


def _is_same(one: Version, other: Version) -> bool:
    """Both are the same file or directory, at different places."""
    return (
        one.path != other.path
        and not one.deleted
        and (one.length, one.directory) == (other.length, other.directory)
        and (one.sha256 or other.sha256) == other.sha256
    )


def _unbound(versions: list[Placed], severity: str) -> Iterator[Finding]:
    places = sum(len(placed.places) for placed in versions if not placed.version.bound)
    if places:
        text = "Nothing proves that the content of messages of the reference programs belongs to their names."
        yield Finding("unbound", severity, text, places=places)


def _numbers(versions: list[Placed]) -> Iterator[Finding]:
    """Two versions of one writer with one number: it was cloned, or put back to an older state (FORMAT 3.2)."""
    found: defaultdict[tuple[str, int], list[Version]] = defaultdict(list)
    for placed in versions:
        version = placed.version
        if version.ours and version.writer in version.clock:
            found[version.writer, version.clock[version.writer]].append(version)
    for (writer, _number), same in found.items():
        if len(same) > 1:
            text = f"The device {writer} wrote two different versions under one number: it was cloned or put back."
            yield Finding("number-used-twice", WARNING, text, same[0].path, same[0].vid, len(same))


def _doubled(versions: list[Placed]) -> Iterator[Finding]:
    more = sum(len(placed.places) - 1 for placed in versions if placed.places)
    if more:
        yield Finding("doubled", NOTE, "Versions are stored more than once; that is harmless.", places=more)


def _not_understood(versions: list[Placed]) -> Iterator[Finding]:
    newer = Counter(placed.version.path for placed in versions if not placed.version.understood)
    for path, count in newer.items():
        text = "A newer version of ifap-twisted is needed to read this."
        yield Finding("newer-version-needed", WARNING, text, path, places=count)


def _conflicts(view: View) -> Iterator[Finding]:
    for path in view.index.conflicts():
        yield Finding("conflict", WARNING, "Versions of this file are in conflict; see 'ifap conflicts'.", path)


def _odd(view: View) -> Iterator[Finding]:
    for path in view.index.paths():
        if not paths.is_reserved(path) and not paths.is_writable(path):
            yield Finding("odd-name", NOTE, "No file of this name can be written here; see 'ifap ls -a'.", path)


def _of_others(view: View) -> Iterator[Finding]:
    if count := view.index.other_dialect():
        text = "Messages of the other dialect lie in this folder; they are no files of it."
        yield Finding("other-dialect", NOTE, text, places=count)
    if count := view.index.foreign():
        yield Finding("foreign", NOTE, "Mail of somebody else lies in this folder.", places=count)
