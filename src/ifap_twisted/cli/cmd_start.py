"""``ifap start``."""

from __future__ import annotations

from ifap_twisted.cli.loading import plain_verb
from ifap_twisted.cli.options import Options


def start(options: Options) -> int:
    """Start the node of the basedir in the background.

    It returns when the node answers; otherwise it shows the last lines of the node's log and fails. A node that runs
    already is no error. Log and pid are kept in the basedir. With --json an object is printed: running, pid, started.

    Example::

        ifap start && ifap status
    """
    from ifap_twisted.cli.running import start_node  # noqa: PLC0415 -- only when it is run

    return start_node(options)


command = plain_verb("start", start)
