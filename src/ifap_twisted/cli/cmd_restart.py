"""``ifap restart``."""

from __future__ import annotations

from ifap_twisted.cli.loading import plain_verb
from ifap_twisted.cli.options import Options


def restart(options: Options) -> int:
    """Stop the node of the basedir when it runs, and start it.

    With --json the objects of stop and of start are printed.

    Example::

        ifap restart
    """
    from ifap_twisted.cli.running import start_node, stop_node  # noqa: PLC0415 -- only when it is run

    return stop_node(options) or start_node(options)


command = plain_verb("restart", restart)
