"""Where a node in the background logs: ``node.log`` in the basedir, 10 MB and five old ones (DESIGN 4.1).

Used by name: ``twistd --logger=ifap_twisted.cli.nodelog.observer``; the basedir is that of ``$IFAP_BASEDIR``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TextIO, cast

from twisted.logger import FilteringLogObserver, ILogObserver, LogLevel, LogLevelFilterPredicate, textFileLogObserver
from twisted.python.logfile import LogFile

from ifap_twisted.basedir import default_basedir
from ifap_twisted.settings import load_settings

ROTATE_BYTES: Final = 10_000_000
KEPT: Final = 5
PRIVATE: Final = 0o600


def open_log(basedir: Path) -> TextIO:
    """The log of a basedir, which renames itself when it is full."""
    file = LogFile("node.log", str(basedir), rotateLength=ROTATE_BYTES, defaultMode=PRIVATE, maxRotatedFiles=KEPT)  # type: ignore[no-untyped-call]
    return cast("TextIO", file)  # as far as an observer of logs goes


def observer(environment: Mapping[str, str] = os.environ, opening: Callable[[Path], TextIO] = open_log) -> ILogObserver:
    """Log to the basedir of the environment, at the level that its settings want."""
    basedir = default_basedir(environment)
    level = load_settings(environment=environment, basedir=basedir).log_level
    return FilteringLogObserver(
        textFileLogObserver(opening(basedir)), [LogLevelFilterPredicate(LogLevel.levelWithName(level))]
    )
