"""Tables of entries, sizes and locks for people."""

from __future__ import annotations

from collections.abc import Sequence

from ifap_twisted.cli.printing import Console, table
from ifap_twisted.cli.times import local_time
from ifap_twisted.core.usage import Usage
from ifap_twisted.core.values import Entry, Lock


def show_versions(console: Console, entries: Sequence[Entry], *, paths: bool) -> None:
    """One line for each version; with its path where several files are shown."""
    if console.json:
        for entry in entries:
            console.object(entry.to_json())
        return
    rows = [_version(entry) + ((f"/{entry.path}",) if paths else ()) for entry in entries]
    for line in table(rows, right=(2,)):
        console.line(line)


def _version(entry: Entry) -> tuple[str, ...]:
    told = (("removed", entry.deleted), ("conflict", entry.conflict), ("missing", entry.missing))
    marks = [word for word, holds in told if holds]
    size = "-" if entry.type == "directory" else str(entry.size)
    return entry.version, local_time(entry.modified), size, entry.writer or "-", " ".join(marks)


def show_usage(console: Console, found: Sequence[Usage]) -> None:
    """One line for each, the whole last."""
    if console.json:
        for usage in found:
            console.object(usage.to_json())
        return
    rows = [(str(one.size), str(one.stored), str(one.shared), f"/{one.path}") for one in found]
    for line in table(rows, right=(0, 1, 2)):
        console.line(line)
    if not found[-1].complete:
        console.warning("Lists of chunks could not be read: more is stored than this. See 'ifap check'.")


def show_locks(console: Console, locks: Sequence[Lock]) -> None:
    """One line for each lock."""
    if console.json:
        for lock in locks:
            console.object(lock.to_json())
        return
    for line in table([_lock(lock) for lock in locks], right=(0,)):
        console.line(line)


def _lock(lock: Lock) -> tuple[str, ...]:
    renewed = "-" if lock.renewed is None else local_time(lock.renewed)
    return f"{lock.seconds} s", renewed, lock.who, "mine" if lock.mine else "", f"/{lock.path}"
