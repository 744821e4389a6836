"""The state of an account, for people."""

from __future__ import annotations

from typing import Final

from ifap_twisted.cli.printing import table
from ifap_twisted.cli.times import local_time
from ifap_twisted.core.values import Status

LEFT_IN_THE_JOURNAL: Final = frozenset({"journal-held", "journal-damaged"})
"""Warnings of writes that are kept here, and that nothing is done about by itself."""

KEYS: Final = {
    "wrapped": "kept under a passphrase",
    "clear": "kept without a passphrase (`ifap passphrase` sets one)",
    "none": "not kept here",
}


AGAIN: Final = (
    "The node does not try again by itself: `ifap stop`, then mend it (`ifap login` takes another password, key or "
    "certificate), then `ifap start`."
)
"""What to do while a node runs and cannot open its folder; a verb without a node does not come so far."""


def status_lines(status: Status) -> list[str]:
    """The answer first, then all of the state, then the warnings."""
    rows = [
        ("state", status.state),
        ("account", status.account),
        ("folder", status.folder),
        ("dialect", status.dialect or "not known yet"),
        ("pending", str(status.pending)),
        ("failing", str(status.failing)),
        ("conflicts", str(status.conflicts)),
        ("locks", str(status.locks)),
        ("damaged", str(status.damaged)),
        ("foreign", str(status.foreign)),
        *([("other dialect", str(status.other_dialect))] if status.other_dialect else []),
        ("key", KEYS[status.key]),
        ("last refresh", "never" if status.last_refresh is None else local_time(status.last_refresh)),
    ]
    warnings = [f"warning: {one.text}" + ("" if one.path is None else f" (/{one.path})") for one in status.warnings]
    return [answer(status), *table(rows), *warnings, *([AGAIN] if status.state == "stopped" else [])]


def is_uploaded(status: Status) -> bool:
    """The mail server was reached, and has everything that was written here."""
    return status.state == "connected" and not status.pending and not _left(status)


def _left(status: Status) -> bool:
    return any(warning.code in LEFT_IN_THE_JOURNAL for warning in status.warnings)


def answer(status: Status) -> str:
    """Whether everything is uploaded, in one sentence."""
    if status.failing and status.state != "stopped":
        return f"Not everything is uploaded: {_writes(status.failing)} failed and will be tried again."
    if status.pending and status.state != "connected":
        verb = "waits" if status.pending == 1 else "wait"
        what = "until what the warnings tell is mended" if status.state == "stopped" else "for the mail server"
        return f"Not everything is uploaded: {_writes(status.pending)} {verb} {what}."
    if status.pending:
        return f"Not everything is uploaded: {_writes(status.pending)} on the way."
    if _left(status):
        return "Not everything is uploaded: the journal holds something that is not sent, see the warnings."
    if status.state == "stopped":
        return "The folder cannot be used until what the warnings tell is mended."
    if status.state != "connected":
        return "Nothing waits to be uploaded, and the mail server is not reached."
    if status.conflicts:
        count = "1 file" if status.conflicts == 1 else f"{status.conflicts} files"
        return f"Everything is uploaded; {count} in conflict (`ifap conflicts`)."
    return "Everything is uploaded."


def _writes(count: int) -> str:
    return "1 write" if count == 1 else f"{count} writes"
