"""The state of an account, for people."""

from __future__ import annotations

from ifap_twisted.cli.printing import table
from ifap_twisted.cli.times import local_time
from ifap_twisted.core.values import Status


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
        ("last refresh", "never" if status.last_refresh is None else local_time(status.last_refresh)),
    ]
    warnings = [f"warning: {one.text}" + ("" if one.path is None else f" (/{one.path})") for one in status.warnings]
    return [answer(status), *table(rows), *warnings]


def answer(status: Status) -> str:
    """Whether everything is uploaded, in one sentence."""
    if status.failing:
        return f"Not everything is uploaded: {_files(status.failing)} failed and will be tried again."
    if status.pending and status.state != "connected":
        verb = "waits" if status.pending == 1 else "wait"
        return f"Not everything is uploaded: {_files(status.pending)} {verb} for the mail server."
    if status.pending:
        return f"Not everything is uploaded: {_files(status.pending)} on the way."
    if status.conflicts:
        return f"Everything is uploaded; {_files(status.conflicts)} in conflict (`ifap conflicts`)."
    return "Everything is uploaded."


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
