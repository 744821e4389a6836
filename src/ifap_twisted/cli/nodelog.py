"""Where a node in the background logs: ``node.log`` in the basedir, 10 MB and five old ones (DESIGN 4.1).

Used by name: ``twistd --logger=ifap_twisted.cli.nodelog.observer``, or ``.watched`` for a node in the foreground, which
logs to the terminal too. The basedir is that of ``$IFAP_BASEDIR``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TextIO, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    LogPublisher,
    textFileLogObserver,
)
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
    return _filtered(opening(default_basedir(environment)), environment)


def watched(
    environment: Mapping[str, str] = os.environ,
    opening: Callable[[Path], TextIO] = open_log,
    terminal: TextIO = sys.stdout,
) -> ILogObserver:
    """Log there and to the terminal."""
    return LogPublisher(observer(environment, opening), _filtered(terminal, environment))


def _filtered(file: TextIO, environment: Mapping[str, str]) -> ILogObserver:
    level = load_settings(environment=environment, basedir=default_basedir(environment)).log_level
    return FilteringLogObserver(textFileLogObserver(file), [LogLevelFilterPredicate(LogLevel.levelWithName(level))])
