"""What a person should know about a folder, as the status shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from ifap_twisted.core.values import Notice, Version
from ifap_twisted.errors import DataError
from ifap_twisted.filesystem.view import View

SHOWN_OF_A_VID = 8
MOST = 20
"""Notices of one kind that are told one by one."""


def notices(view: View, rejected: Mapping[int, DataError], unseen: Collection[str], *, plainly: bool) -> list[Notice]:
    """Everything worth a warning now, most serious first.

    :param plainly: a collection may send plain EXPUNGE.
    """
    damage = [*_damaged(rejected), *_collisions(view)]
    growing = [] if plainly else _growing(view)
    return [*_listing(view), *_missing(view), *damage, *_clashes(view), *growing, *_unseen(unseen)]


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
    found = [_vanished(placed.version) for placed in vanished[:MOST]]
    if len(vanished) > MOST:
        found.append(Notice(code="vanished", text=f"{len(vanished) - MOST} more versions are gone in the same way."))
    found += [_removed(placed.version) for placed in removed[:MOST]]
    return [*found, *_thinned(view.index.thinned())]


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


def _damaged(rejected: Mapping[int, DataError]) -> list[Notice]:
    """One notice per kind, with how many; the first paths where they are known."""
    counts = Counter(error.code for error in rejected.values())
    titles = {error.code: error.title() for error in rejected.values()}
    return [
        Notice(code=code, text=f"{titles[code]} ({count} message{'s' if count > 1 else ''}).")
        for code, count in sorted(counts.items())
    ]


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
