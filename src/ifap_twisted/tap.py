"""``twistd ifap``: options to settings, settings to a node (DESIGN 4.1)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python import usage

from ifap_twisted.basedir import Basedir, default_basedir
from ifap_twisted.clocks import count_steadily
from ifap_twisted.errors import BadSettings, BasedirInUse, IFAPError, NewerVersionNeeded
from ifap_twisted.garbage import care_for_program
from ifap_twisted.platforms import require_posix
from ifap_twisted.settings import Settings, load_settings

REFUSED = 9
"""The exit status of a node that finds another one running, or may not run."""
USAGE = 2
TOO_OLD = 7
"""That of a node of a basedir that a newer version wrote (DESIGN 7)."""


class Options(usage.Options):
    """The options of ``twistd ifap``."""

    synopsis = "[options]"
    longdesc = "An encrypted, versioned filesystem in an IMAP folder, with a local HTTP control interface."
    optParameters: ClassVar[list[list[Any]]] = [
        ["folder", "f", None, "The IMAP folder that holds the files (IFAP_DATA)."],
        ["basedir", "b", None, "Where key, settings and log are kept ($IFAP_BASEDIR, else ~/.ifap)."],
        ["account", "a", None, "embedded, imaps://USER@HOST, imap://…, imap+unix:///PATH, maildir:///PATH or memory:"],
        ["dialect", None, None, "ifap or mailfile; only needed for a new folder, or where both are present."],
        ["control", None, None, "Endpoint of the control interface (tcp:4327:interface=127.0.0.1)."],
        ["encryption", None, None, "required or off."],
        ["embedded-listen", None, None, "Endpoint where the embedded server listens besides its socket."],
        ["config", "c", None, "Read this file instead of ifap.toml in the basedir."],
    ]
    compData = usage.Completions(optActions={"config": usage.CompleteFiles("*.toml")})


def settings_of(options: Options, environment: Any = os.environ) -> Settings:
    """The settings in force.

    :raises BadSettings:
    """
    given = {name: options[name] for name in ("folder", "account", "dialect", "control", "encryption")}
    given["embedded_listen"] = options["embedded-listen"]
    basedir = Path(options["basedir"]) if options["basedir"] else default_basedir(environment)
    config = None if options["config"] is None else Path(options["config"])
    return load_settings(options=given, environment=environment, basedir=basedir, config=config)


def makeService(options: Options) -> IService:
    """The node; what is wrong with the options or the basedir ends the process with one sentence."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 -- twistd has installed it

    from ifap_twisted.service.node import make_node  # noqa: PLC0415 -- Klein needs an installed reactor

    try:
        require_posix(sys.platform)
        count_steadily(reactor)
        care_for_program()
        settings = settings_of(options)
        _refuse_second_node(settings)
        return make_node(settings, reactor, lambda error: _end(reactor, error))
    except IFAPError as error:
        sys.stderr.write(f"ifap: {error.detail}\n")
        raise SystemExit(_status_of(error)) from None


def _status_of(error: IFAPError) -> int:
    if isinstance(error, BadSettings):
        return USAGE
    return TOO_OLD if isinstance(error, NewerVersionNeeded) else REFUSED


def _refuse_second_node(settings: Settings) -> None:
    if settings.basedir is None or not settings.basedir.exists():
        return
    with Basedir(settings.basedir) as basedir:
        if basedir.is_held():
            pid = basedir.holder()
            raise BasedirInUse(f"Another process ({pid}) has {basedir.path} open; stop it with 'ifap stop'.", pid=pid)


def _end(reactor: Any, error: IFAPError) -> None:
    """The node cannot run: say why, and stop the process with the status that says it too."""
    Logger().critical("the node cannot run: {detail}", detail=error.detail)
    reactor.addSystemEventTrigger("after", "shutdown", os._exit, REFUSED)
    reactor.callWhenRunning(reactor.stop)
