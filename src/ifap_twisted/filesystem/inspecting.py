"""What can be told of a folder from what is known of it: nothing is asked of the server."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from ifap_twisted.core import paths
from ifap_twisted.core.findings import DAMAGE, NOTE, WARNING, Finding
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import Version
from ifap_twisted.errors import DataError
from ifap_twisted.filesystem.notices import notices
from ifap_twisted.filesystem.view import View

_OF_NOTICES = {
    "listing-incomplete": WARNING,
    "listing-window": WARNING,
    "vanished": DAMAGE,
    "rolled-back": DAMAGE,
    "removed-by-other": WARNING,
    "vid-collision": DAMAGE,
    "name-clash": NOTE,
}
"""How serious it is what the status warns of."""


def inspected(view: View, *, other_dialect: int, require_bound: bool) -> Iterator[Finding]:
    """Everything worth telling.

    :param other_dialect: how many of the messages that are none of ours are of the other dialect.
    :param require_bound: content that nothing binds to its header is not served (FORMAT 1.5).
    """
    yield from _noticed(view)
    yield from _useless(view)
    yield from _spoilt(view)
    versions = [placed for history in view.index.histories().values() for placed in history.versions]
    yield from _unbound(versions, DAMAGE if require_bound else NOTE)
    yield from _numbers(versions)
    yield from _doubled(versions)
    yield from _not_understood(versions)
    yield from _conflicts(view)
    yield from _odd(view)
    yield from _foreign(view.index.foreign(), other_dialect)


def _noticed(view: View) -> Iterator[Finding]:
    """What is missing, collides or clashes, in the words of the status."""
    for notice in notices(view, {}, (), plainly=True):
        if notice.code in _OF_NOTICES:
            yield Finding(notice.code, _OF_NOTICES[notice.code], notice.text, notice.path)


def _useless(view: View) -> Iterator[Finding]:
    """Messages of this folder whose headers cannot be used."""
    found: defaultdict[tuple[str, str | None], list[DataError]] = defaultdict(list)
    for error in view.index.rejected().values():
        found[error.code, error.path].append(error)
    for (code, path), errors in found.items():
        yield Finding(code, DAMAGE, f"{errors[0].title()}.", path, places=len(errors))


def _spoilt(view: View) -> Iterator[Finding]:
    """Versions whose content cannot be used from some of their places, or from none (FORMAT 2.3)."""
    damage = view.rejected
    for history in view.index.histories().values():
        for placed in history.versions:
            bad = [damage[uid] for uid in placed.places if uid in damage]
            if bad:
                disposable = placed.version.path == view.dialect.snapshot_path
                yield _spoilt_version(placed, bad, WARNING if disposable else DAMAGE)


def _spoilt_version(placed: Placed, bad: list[DataError], severity: str) -> Finding:
    version = placed.version
    if len(bad) == len(placed.places):
        return Finding(bad[0].code, severity, bad[0].detail, version.path, version.vid, len(bad))
    text = f"A copy of this version is damaged, another one is whole. {bad[0].title()}."
    return Finding(bad[0].code, WARNING, text, version.path, version.vid, len(bad))


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


def _foreign(foreign: int, other_dialect: int) -> Iterator[Finding]:
    if other_dialect:
        text = "Messages of the other dialect lie in this folder; they are no files of it."
        yield Finding("other-dialect", NOTE, text, places=other_dialect)
    if foreign > other_dialect:
        yield Finding("foreign", NOTE, "Mail of somebody else lies in this folder.", places=foreign - other_dialect)
