"""What a person should know about a folder, as the status shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from ifap_twisted.core import paths
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import Notice, Version
from ifap_twisted.errors import DataError, KeyChanged, RevokedKey
from ifap_twisted.filesystem.view import View

SHOWN_OF_A_VID = 8
MOST = 20
"""Notices of one kind that are told one by one."""
REDATED = "The date in the header of a message is not the one at which it was sealed; nothing goes by it."
EARLIER = "Contents could not be used when they were read last"


def notices(view: View, damage: Mapping[int, str], unseen: Collection[str], *, plainly: bool) -> list[Notice]:
    """Everything worth a warning now, most serious first.

    :param damage: what is told as damaged, by UID: as ``View.damage``.
    :param plainly: a collection may send plain EXPUNGE.
    """
    damaged = [*_unreadable(view), *_damaged(view, damage), *_collisions(view)]
    growing = [] if plainly else _growing(view)
    return [
        *_changed(view),
        *_listing(view),
        *_missing(view),
        *damaged,
        *_clashes(view),
        *_rekeying(view),
        *_late(view),
        *growing,
        *_unseen(unseen),
    ]


def _changed(view: View) -> list[Notice]:
    """The key was revoked on another device (FORMAT 8.5)."""
    return [Notice(code="key-changed", text=KeyChanged.title() + ".")] if view.key_changed else []


def _late(view: View) -> list[Notice]:
    """What came under a revoked key (FORMAT 8.5)."""
    count = len(view.late)
    if not count:
        return []
    messages = "One message" if count == 1 else f"{count} messages"
    text = f"{messages} came under a key that had been revoked, and count for nothing; 'ifap check' names the files."
    return [Notice(code="revoked-key", text=text)]


def _rekeying(view: View) -> list[Notice]:
    """The key was changed, and not everything was sealed anew yet (FORMAT 8.5)."""
    behind = view.behind
    if not behind:
        return []
    text = (
        f"The key of the folder was changed, and {behind} files are under a former key still; they can be read and "
        "written. 'ifap rekey' seals anew what is left."
    )
    return [Notice(code="rekeying", text=text)]


def _growing(view: View) -> list[Notice]:
    """Without UIDPLUS nothing is collected (FORMAT 5.4); before the first refresh nobody knows."""
    if view.last_refresh is None or view.store.traits.expunges_by_uid:
        return []
    text = (
        "The mail server cannot remove single messages (no UIDPLUS): old versions stay, and the folder only grows. "
        'The setting expunge = "plain" allows another way.'
    )
    return [Notice(code="no-uidplus", text=text)]


def _listing(view: View) -> list[Notice]:
    if not view.incomplete:
        return []
    text = "The mail server does not list all messages that it says are there; nothing is taken for deleted."
    return [Notice(code="listing-incomplete", text=text)]


def _missing(view: View) -> list[Notice]:
    """What is gone without a word of who removed it (FORMAT 5.5); while the listing is incomplete that is all it is."""
    if view.incomplete:
        return []
    vanished, removed = view.index.missing()
    recalled = [placed for placed in vanished if placed.recalled]
    spoilt = {placed.version.path: error for placed in recalled if (error := view.index.spoilt(placed)) is not None}
    window, back = _out_of_sight(view, [placed for placed in recalled if placed.version.path not in spoilt])
    now = [placed for placed in vanished if not placed.recalled]
    found = [*_some("rolled-back", back, _rolled_back), *_window(window), *_some("vanished", now, _vanished)]
    found += [_spoilt(path, error) for path, error in list(spoilt.items())[:MOST]]
    found += [_removed(placed.version) for placed in removed[:MOST]]
    return [*found, *_thinned(view.index.thinned())]


def _some(code: str, missing: Sequence[Placed], notice: Callable[[Version], Notice]) -> list[Notice]:
    """The first one by one, and how many more there are."""
    found = [notice(placed.version) for placed in missing[:MOST]]
    if len(missing) > MOST:
        found.append(Notice(code=code, text=f"{len(missing) - MOST} more versions are gone in the same way."))
    return found


def _out_of_sight(view: View, recalled: Sequence[Placed]) -> tuple[list[Placed], list[Placed]]:
    """Those below everything that the server shows, and the others; of a folder that is empty nothing is below."""
    lowest = min(view.index.uids(), default=0) if recalled else 0
    window = [placed for placed in recalled if placed.rank < lowest]
    return window, [placed for placed in recalled if placed.rank >= lowest]


def _window(hidden: Sequence[Placed]) -> list[Notice]:
    """A provider may show the newest messages of a folder only: one condition, not many."""
    if not hidden:
        return []
    files = "one file" if len(hidden) == 1 else f"{len(hidden)} files"
    text = (
        "The oldest messages that this device has seen are not shown by the mail server any more: the newest version "
        f"of {files} is among them. Perhaps the server shows only so many; nothing is taken for deleted."
    )
    return [Notice(code="listing-window", text=text)]


def _spoilt(path: str, error: DataError) -> Notice:
    """It is known which file a message was of that is damaged now."""
    text = f"The newest version of this file is there, but cannot be used: {error.title()}."
    return Notice(code=error.code, text=text, path=path)


def _rolled_back(version: Version) -> Notice:
    what = "the removal" if version.deleted else f"version {version.vid[:SHOWN_OF_A_VID]}"
    text = (
        f"The mail server shows an older state of this file than this device has seen: {what} is gone, and nobody is "
        "known to have removed it. 'ifap rm' accepts that; 'ifap put' or 'ifap restore' writes the file anew."
    )
    return Notice(code="rolled-back", text=text, path=version.path)


def _vanished(version: Version) -> Notice:
    text = (
        f"Version {version.vid[:SHOWN_OF_A_VID]} of this file is gone from the mail server, and nobody is known to "
        "have removed it. 'ifap rm' accepts that; 'ifap put' or 'ifap restore' writes the file anew."
    )
    return Notice(code="vanished", text=text, path=version.path)


def _removed(version: Version) -> Notice:
    text = (
        f"A reference program seems to have removed version {version.vid[:SHOWN_OF_A_VID]} of this file. "
        "'ifap rm' accepts that; 'ifap put' or 'ifap restore' writes the file anew."
    )
    return Notice(code="removed-by-other", text=text, path=version.path)


def _thinned(thinned: Sequence[str]) -> list[Notice]:
    """Replaced versions of these went: nothing that is current is missing."""
    if not thinned:
        return []
    files = "this file" if len(thinned) == 1 else f"{len(thinned)} files"
    text = f"Another program removed old versions of {files}."
    return [Notice(code="removed-by-other", text=text, path=thinned[0] if len(thinned) == 1 else None)]


def _unreadable(view: View) -> list[Notice]:
    """The first files of which no message of the current version could be used when it was read, and how many more."""
    bad = view.unusable
    found: dict[str, DataError | None] = {}
    for uid, error in bad.items():
        version = view.index.at(uid)
        reserved = version is None or paths.is_reserved(version.path)
        current = None if version is None or reserved else view.index.history(version.path).current
        if current is not None and uid in current.places and bad.keys() >= set(current.places):
            found[current.version.path] = error
    told = [_unusable(path, error) for path, error in list(found.items())[:MOST]]
    if len(found) > MOST:
        told.append(Notice(code="unreadable", text=f"The newest versions of {len(found) - MOST} more cannot be read."))
    return told


def _unusable(path: str, error: DataError | None) -> Notice:
    why = "could not be read when that was tried last" if error is None else f"cannot be read: {error.title()}"
    text = f"The newest version of this file {why}. 'ifap put' writes the file anew; 'ifap versions' shows older ones."
    return Notice(code="unreadable", text=text, path=path)


def _damaged(view: View, damage: Mapping[int, str]) -> list[Notice]:
    """One notice per kind, with how many."""
    titles = {error.code: error.title() for error in view.rejected.values()}
    counts = Counter(code for code in damage.values() if code != RevokedKey.code)
    return [
        Notice(code=code, text=f"{titles.get(code, EARLIER)} ({count} message{'s' if count > 1 else ''}).")
        for code, count in sorted(counts.items())
    ]


def redated(view: View) -> list[Notice]:
    """That dates were changed, as far as contents were read; a check tells it by itself."""
    count = len(view.redated)
    return [Notice(code="redated", text=f"{REDATED} ({count} found.)")] if count else []


def _collisions(view: View) -> list[Notice]:
    return [
        Notice(code="vid-collision", text=f"Two different versions carry the id {vid}.")
        for vid in view.index.collisions()[:MOST]
    ]


def _clashes(view: View) -> list[Notice]:
    found = [path for path in view.index.clashes() if path]
    return [
        Notice(
            code="name-clash", text="A file and a directory have this name; the file is shown with ~file.", path=path
        )
        for path in found[:MOST]
    ]


def _unseen(unseen: Collection[str]) -> list[Notice]:
    return [
        Notice(code="reference-blind", text="The reference programs do not see this file: its name is long.", path=path)
        for path in sorted(unseen)[:MOST]
    ]
