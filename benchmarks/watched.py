"""Runs ``ifap`` or ``twistd`` as they are, with a watch on the reactor, whose report is written at the end.

python -m benchmarks.watched REPORT profile|plain ifap|twistd ARGUMENT…
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.watchdog import Watch


def main() -> None:
    """Run the program; the report is written when its reactor has stopped: ``twistd`` ends by its signal then."""
    report, mode, name, *arguments = sys.argv[1:]
    from twisted.internet import reactor  # noqa: PLC0415, TID251 -- the one that the program will use

    watch = Watch(reactor, profile=mode == "profile")
    sys.argv = [name, *arguments]
    reactor.addSystemEventTrigger("after", "shutdown", lambda: Path(report).write_text(json.dumps(watch.end())))
    reactor.callWhenRunning(watch.begin)
    sys.exit(_program(name)())


def _program(name: str) -> Callable[[], object]:
    if name == "ifap":
        from ifap_twisted.cli.main import run  # noqa: PLC0415 -- its import is part of what it takes
    else:
        from twisted.scripts.twistd import run  # noqa: PLC0415
    return run


if __name__ == "__main__":
    main()
