"""``start`` and ``stop`` for people and scripts, over ``nodes``."""

from __future__ import annotations

from ifap_twisted.basedir import Basedir
from ifap_twisted.cli import nodes
from ifap_twisted.cli.opening import open_basedir
from ifap_twisted.cli.options import Options
from ifap_twisted.cli.printing import Console
from ifap_twisted.cli.problems import DONE, INTERRUPTED, OTHER
from ifap_twisted.errors import TimedOut, Unavailable


def start_node(options: Options) -> int:
    """Start the node, and give the exit status: that of the node when it ended at once."""
    console = Console(as_json=options.json, verbosity=options.verbosity)
    with open_basedir(options) as basedir:
        runs = nodes.answers(basedir)
        status = None if runs else _started(console, basedir, options.wait)
        pid = basedir.holder()
    if status is not None:
        return status
    if console.json:
        console.object({"running": True, "pid": pid, "started": not runs})
    console.note(f"The node runs already (process {pid})." if runs else f"The node runs (process {pid}).")
    return DONE


def _started(console: Console, basedir: Basedir, seconds: float) -> int | None:
    """None when the node answers; else the exit status, after showing what this start wrote into the log last."""
    before = basedir.node_log.stat().st_size if basedir.node_log.exists() else 0
    try:
        ended = nodes.start(basedir, seconds)
    except TimedOut as error:
        console.failed(error)
        ended = console.status
    else:
        if ended is None:
            return None
        console.failed(Unavailable(f"The node ended with status {ended}; {basedir.node_log} says:"))
    for line in nodes.log_tail(basedir.node_log, since=before):
        console.note(line)
    return ended if 0 < ended < INTERRUPTED else OTHER


def stop_node(options: Options) -> int:
    """Stop the node, and give the exit status."""
    console = Console(as_json=options.json, verbosity=options.verbosity)
    with open_basedir(options) as basedir:
        pid = nodes.stop(basedir, options.wait)
    if console.json:
        console.object({"running": False, "pid": pid})
    console.note("No node runs." if pid is None else f"The node has ended (process {pid}).")
    return console.status
