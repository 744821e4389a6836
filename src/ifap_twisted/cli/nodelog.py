"""Where a node in the background logs: ``node.log`` in the basedir, 10 MB and five old ones (DESIGN 4.1).

Used by name: ``twistd --logger=ifap_twisted.cli.nodelog.observer``; the basedir is that of ``$IFAP_BASEDIR``.
"""

from __future__ import annotations

import os
from typing import Final, TextIO, cast

from twisted.logger import FilteringLogObserver, ILogObserver, LogLevel, LogLevelFilterPredicate, textFileLogObserver
from twisted.python.logfile import LogFile

from ifap_twisted.basedir import default_basedir
from ifap_twisted.settings import load_settings

ROTATE_BYTES: Final = 10_000_000
KEPT: Final = 5
PRIVATE: Final = 0o600


def observer() -> ILogObserver:
    """Log to the basedir of the environment, at the level that its settings want."""
    basedir = default_basedir(os.environ)
    level = load_settings(environment=os.environ, basedir=basedir).log_level
    file = LogFile("node.log", str(basedir), rotateLength=ROTATE_BYTES, defaultMode=PRIVATE, maxRotatedFiles=KEPT)  # type: ignore[no-untyped-call]
    return FilteringLogObserver(
        textFileLogObserver(cast("TextIO", file)), [LogLevelFilterPredicate(LogLevel.levelWithName(level))]
    )
