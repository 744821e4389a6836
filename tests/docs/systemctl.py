"""Does with a unit of the home directory what ``systemctl --user`` would: there is no systemd in a test.

It knows the words that ``docs/ifap.service`` uses, and refuses a unit with others.
"""

from __future__ import annotations

import configparser
import os
import select
import shlex
import subprocess
import sys
from pathlib import Path

UNITS = Path.home() / ".config" / "systemd" / "user"
ACTED_ON = {"Type", "PIDFile", "Environment", "ExecStart", "ExecStop"}
INERT = {"Restart", "RestartSec", "RestartPreventExitStatus", "TimeoutStopSec", "UMask", "NoNewPrivileges"}


def unit(name: str) -> configparser.SectionProxy:
    """The section ``[Service]`` of a unit."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment]
    with (UNITS / name).open(encoding="utf-8") as file:
        parser.read_file(file)
    service = parser["Service"]
    unknown = set(service) - ACTED_ON - INERT
    if unknown or service["Type"] != "forking" or parser["Install"]["WantedBy"] != "default.target":
        sys.exit(f"{name} says what is not known here: {sorted(unknown)}")
    return service


def expanded(text: str) -> str:
    """Without ``%h``."""
    return text.replace("%h", str(Path.home()))


def run(service: configparser.SectionProxy, word: str) -> None:
    """Run a command of the unit, with its environment and nothing else but the path to the programs under test."""
    variable, _, value = expanded(service["Environment"]).partition("=")
    environment = {variable: f"{value}:{os.environ['PATH']}", "HOME": str(Path.home()), "LANG": "C.UTF-8"}
    environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    subprocess.run(shlex.split(expanded(service[word])), env=environment, check=True, umask=int(service["UMask"], 8))


def main_process(service: configparser.SectionProxy) -> int:
    """The number that the unit's file tells."""
    return int(Path(expanded(service["PIDFile"])).read_text(encoding="ascii"))


def lives(pid: int) -> bool:
    """Whether a process is there; one that ended and is not waited for yet is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def main(words: list[str]) -> None:
    """Run a command."""
    match words:
        case ["--user", "daemon-reload"]:
            for path in UNITS.glob("*.service"):
                unit(path.name)
        case ["--user", "enable", "--now", name]:
            run(unit(name), "ExecStart")
            if not lives(main_process(unit(name))):
                sys.exit("the main process is not there")
        case ["--user", "stop", name]:
            pid = main_process(unit(name))
            run(unit(name), "ExecStop")
            for _ in range(100):
                if not lives(pid):
                    return
                select.select([], [], [], 0.1)
            sys.exit("the main process is still there")
        case _:
            sys.exit(f"unknown: {words}")


if __name__ == "__main__":
    main(sys.argv[1:])
