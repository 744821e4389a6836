"""What a person should know about a folder, as the status shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from ifap_twisted.core.values import Notice
from ifap_twisted.errors import DataError
from ifap_twisted.filesystem.view import View

MOST = 20
"""Notices of one kind that are told one by one."""


def notices(view: View, rejected: Mapping[int, DataError], unseen: Collection[str]) -> list[Notice]:
    """Everything worth a warning now, most serious first."""
    return [*_listing(view), *_damaged(rejected), *_collisions(view), *_clashes(view), *_unseen(unseen)]


def _listing(view: View) -> list[Notice]:
    if not view.incomplete:
        return []
    text = "The mail server does not list all messages that it says are there; nothing is taken for deleted."
    return [Notice(code="listing-incomplete", text=text)]


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
