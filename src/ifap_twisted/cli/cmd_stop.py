"""``ifap stop``."""

from __future__ import annotations

from ifap_twisted.cli.loading import plain_verb
from ifap_twisted.cli.options import Options


def stop(options: Options) -> int:
    """Stop the node of the basedir, and wait until it has ended.

    It finishes what it has accepted first. When nothing runs that is no error. With --json an object is printed:
    running, pid (of what was stopped).

    Example::

        ifap stop
    """
    from ifap_twisted.cli.running import stop_node  # noqa: PLC0415 -- only when it is run

    return stop_node(options)


command = plain_verb("stop", stop)
