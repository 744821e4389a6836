"""``start`` and ``stop`` for people and scripts, over ``nodes``."""

from __future__ import annotations

from ifap_twisted.cli import nodes
from ifap_twisted.cli.opening import open_basedir
from ifap_twisted.cli.options import Options
from ifap_twisted.cli.printing import Console
from ifap_twisted.errors import StoreError


def start_node(options: Options) -> int:
    """Start the node, and give the exit status."""
    console = Console(as_json=options.json, verbosity=options.verbosity)
    with open_basedir(options) as basedir:
        runs = nodes.answers(basedir)
        if not runs:
            try:
                nodes.start(basedir, options.wait)
            except StoreError as error:
                console.failed(error)
                for line in nodes.log_tail(basedir.node_log):
                    console.note(line)
                return console.status
        pid = basedir.holder()
    if console.json:
        console.object({"running": True, "pid": pid, "started": not runs})
    console.note(f"The node runs already (process {pid})." if runs else f"The node runs (process {pid}).")
    return console.status


def stop_node(options: Options) -> int:
    """Stop the node, and give the exit status."""
    console = Console(as_json=options.json, verbosity=options.verbosity)
    with open_basedir(options) as basedir:
        pid = nodes.stop(basedir, options.wait)
    if console.json:
        console.object({"running": False, "pid": pid})
    console.note("No node runs." if pid is None else f"The node has ended (process {pid}).")
    return console.status
