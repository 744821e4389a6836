"""The examples of a document, taken out of it and run in order, in one shell with a home directory of its own.

``.. code-block:: console`` is a shell session: what follows ``$`` is run, and must succeed with the output shown (none
shown: any). ``.. code-block:: python`` is a program, run as a script. A comment before a block says what else it is::

    .. example: service         goes on while the rest runs; the next block begins when the node answers
    .. example: dry             a ``make`` command: its target must exist, and ``make -n`` know how to make it
    .. example: file NAME       no example but the content of a file that later ones need

Versions, writers, times and numbers of more than three digits may differ from what is shown. ``...`` is anything, as a
line of its own any number of lines.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
"""How long one command may take."""
BLOCK = re.compile(
    r"^(?:\.\. example: (?P<mode>.+)\n\n)?(?P<indent> *)\.\. code-block:: (?P<language>\w+)\n(?:\s+:[a-z-]+:.*\n)*\n"
    r"(?P<body>(?:(?P=indent) +\S.*\n|\s*\n)+)",
    re.MULTILINE,
)
VARYING = (
    (re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"), "<version>"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "<fingerprint>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?Z?"), "<time>"),
    (re.compile(r"\b\d{4,}\b"), "<number>"),
    (re.compile(r"(?<=  )[A-Za-z0-9_-]{6}(?=\s|$)", re.MULTILINE), "<writer>"),
)


@dataclass(frozen=True)
class Block:
    """One example: where it stands, what it is, and its text."""

    place: str
    language: str
    mode: str
    body: str

    def commands(self) -> Iterator[tuple[str, str]]:
        """Each command of a shell session with the output shown below it."""
        command, output = "", ""
        for line in self.body.splitlines():
            if line.startswith("$ "):
                if command:
                    yield command, output
                command, output = line[2:], ""
            elif line.startswith("> ") and not output:
                command += "\n" + line[2:]
            else:
                output += line + "\n"
        if command:
            yield command, output.strip("\n")


def blocks(document: Path) -> list[Block]:
    """The examples of a document, in order."""
    text = document.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        if match["language"] in {"console", "python"} or (match["mode"] or "").startswith("file "):
            line = text.count("\n", 0, match.start("body")) + 1
            body = _dedented(match["body"])
            found.append(Block(f"{document.name}:{line}", match["language"], match["mode"] or "", body))
    return found


def _dedented(body: str) -> str:
    lines = body.rstrip().split("\n")
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[margin:] for line in lines) + "\n"


class Shell:
    """A bash with a home, a working directory, and this project's commands; what it starts ends with it.

    :param substitutions: what is put in the place of names in the documents that exist nowhere.
    """

    def __init__(self, home: Path, substitutions: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self._home = home
        self._substitutions = substitutions
        self._programs = home / "bin"
        self._programs.mkdir(parents=True)
        _program(self._programs / "ifap", "from ifap_twisted.cli.main import run\nimport sys\nsys.exit(run())\n")
        (home / "stand-ins").mkdir()
        _program(
            home / "stand-ins" / "systemctl", "from tests.docs.systemctl import main\nimport sys\nmain(sys.argv[1:])\n"
        )
        own = [str(home / "stand-ins"), str(Path(sys.executable).parent)]
        path = os.pathsep.join([*own, os.environ["PATH"], str(self._programs)])
        environment = {"HOME": str(home), "PATH": path, "LC_ALL": "C.UTF-8", "TZ": "UTC", **variables}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=home,
            env=environment,
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        """Run a command; gives its exit status and all that it wrote."""
        assert self._bash.stdin is not None
        mark = secrets.token_hex(8)
        script = f"{{ {self.real(command)}\n}} </dev/null\nprintf '\\n%s %d\\n' {mark} $?\n"
        self._bash.stdin.write(script.encode())
        self._bash.stdin.flush()
        output = self._until(mark)
        text, _, status = output.rpartition(f"\n{mark} ")
        return int(status), text

    def serve(self, command: str) -> None:
        """Start something that goes on, and wait until the node answers."""
        self.run(f"{self.real(command)} >{self._home}/service.log 2>&1 &")
        ready = 'curl -sf "$(cat "${IFAP_BASEDIR:-$HOME/.ifap}/control.url")healthz"'
        until = time.monotonic() + SECONDS
        while self.run(f"{ready} >/dev/null 2>&1")[0] != 0:
            if time.monotonic() > until:
                raise AssertionError(f"the node did not answer: {(self._home / 'service.log').read_text()[-2000:]}")
            self.run("sleep 0.2")

    def close(self) -> None:
        """End the shell and all that it started."""
        assert self._bash.stdin is not None
        for pid_file in self._home.rglob("node.pid"):  # of nodes that went into the background
            self.run(f"ifap --basedir {pid_file.parent} stop")
        self._bash.stdin.close()
        self._end_group()
        self._bash.wait()
        assert self._bash.stdout is not None
        self._bash.stdout.close()

    def _end_group(self) -> None:
        """End what the shell started: what goes on is asked to stop, and after some seconds ended."""
        for number, tries in ((signal.SIGTERM, 100), (signal.SIGKILL, 20)):
            for attempt in range(tries):
                try:
                    os.killpg(self._bash.pid, 0 if attempt else number)
                except ProcessLookupError:
                    return
                self._bash.poll()
                select.select([], [], [], 0.1)

    def write(self, name: str, text: str) -> None:
        """Write a file that examples need."""
        path = Path(name.replace("~", str(self._home), 1)) if name.startswith("~") else self._home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.real(text), encoding="utf-8")

    def real(self, text: str) -> str:
        """A text of a document with the names that exist here."""
        for name, real in self._substitutions.items():
            text = text.replace(name, real)
        return text

    def _until(self, mark: str) -> str:
        assert self._bash.stdout is not None
        collected, until = b"", time.monotonic() + SECONDS
        while not re.search(rb"\n%s \d+\n$" % mark.encode(), collected):
            left = until - time.monotonic()
            readable, _, _ = select.select([self._bash.stdout], [], [], max(left, 0))
            if not readable:
                raise AssertionError(f"a command did not end; it wrote: {collected.decode(errors='replace')}")
            piece = os.read(self._bash.stdout.fileno(), 65536)
            if not piece:
                raise AssertionError(f"the shell ended; it wrote: {collected.decode(errors='replace')}")
            collected += piece
        return collected.decode(errors="replace").rstrip("\n")


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(0o755)


def run_document(document: Path, shell: Shell) -> int:
    """Run all examples of a document; gives their number.

    :raises AssertionError: a command failed, or wrote something else than what is shown.
    """
    count = 0
    for block in blocks(document):
        count += _run_block(block, shell)
    return count


def _run_block(block: Block, shell: Shell) -> int:
    if block.mode.startswith("file "):
        shell.write(block.mode.removeprefix("file "), block.body)
        return 1
    if block.language == "python":
        shell.write("example.py", block.body)
        check(block, "python -W error example.py", "", *shell.run("python example.py"))
        return 1
    commands = list(block.commands())
    for command, expected in commands:
        if block.mode == "service":
            shell.serve(command)
        elif block.mode == "dry":
            assert command.startswith("make "), f"{block.place}: {command} is no make command"
            check(block, command, "", *shell.run(f"make -n -C {ROOT} {command.removeprefix('make ')}"))
        else:
            assert not block.mode, f"{block.place}: there is no mode {block.mode!r}"
            check(block, command, shell.real(expected), *shell.run(command))
    return len(commands)


def check(block: Block, command: str, expected: str, status: int, output: str) -> None:
    """Hold what a command did against what is shown."""
    assert status == 0, f"{block.place}: `{command}` ended with {status} and wrote:\n{output}"
    if expected:
        assert agree(expected, output), f"{block.place}: `{command}` wrote\n{output}\ninstead of\n{expected}"


def agree(expected: str, output: str) -> bool:
    """Whether an output is the one shown."""
    lines = ["(?:.*\n)*" if line == "..." else _line(line) + r"\n" for line in settled(expected).split("\n")]
    return re.fullmatch("".join(lines), settled(output) + "\n") is not None


def _line(line: str) -> str:
    return ".*".join(re.escape(piece) for piece in line.split("..."))


def settled(text: str) -> str:
    """A text in which what differs from run to run is the same, and white space too."""
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return "\n".join(" ".join(line.split()) for line in text.strip().split("\n"))
