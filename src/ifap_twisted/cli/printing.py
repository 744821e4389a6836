"""What a verb writes: results to stdout, everything else to stderr; nothing here knows a filesystem.

Names come from a hostile server and from local disks: in lines for people their control characters are always escaped,
also into a pipe, which may end in a terminal after all. Raw names are given by ``-0``, exact ones by ``--json``.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO

from ifap_twisted.cli.problems import DONE, exit_status, problem, sentence
from ifap_twisted.core.paths import escaped
from ifap_twisted.core.values import Entry

PIECE: Final = 64 * 1024


class OutputClosed(Exception):
    """Whoever read our output has gone; not an error to tell anybody."""


class Console:
    """The two outputs of a run, and its exit status.

    :ivar status: the exit status so far: that of the first failure (DESIGN 4.2).
    :ivar bar: progress that is drawn at present, or None: it is wiped away before a line is written.
    """

    def __init__(
        self, *, as_json: bool = False, verbosity: int = 0, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.json = as_json
        self.verbosity = verbosity
        self.status = DONE
        self.bar: Any = None
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr

    @property
    def draws(self) -> bool:
        """Progress may be drawn: stderr is a terminal, and neither ``-q`` nor ``--json`` was given."""
        return not self.json and self.verbosity >= 0 and self._stderr.isatty()

    @property
    def screen(self) -> TextIO:
        """Where progress is drawn."""
        return self._stderr

    def line(self, text: str) -> None:
        """A line of the result."""
        self._write(printable(text) + "\n")

    def entry(self, entry: Entry) -> None:
        """What came of a change, with ``--json``; for people its path and version with ``-v``."""
        if self.json:
            self.object(entry.to_json())
        elif self.verbosity >= 1:
            self.line(f"/{entry.path} {entry.version}".rstrip())

    def removed(self, path: str) -> None:
        """That something was removed, in the same manner."""
        if self.json:
            self.object({"path": f"/{path}", "removed": True})
        elif self.verbosity >= 1:
            self.line(f"/{path} removed")

    def raw(self, name: str) -> None:
        """A name as it is, and NUL."""
        self.data(name.encode("utf-8", "surrogatepass") + b"\0")

    def object(self, value: Mapping[str, Any]) -> None:
        """A JSON object on a line of its own; ASCII only, so that no name can speak to a terminal."""
        self._write(json.dumps(value) + "\n")

    def data(self, data: bytes) -> None:
        """Bytes of a file to stdout; blocks while the reader does, so large ones are written by a worker."""
        left = memoryview(data)
        with _telling_of_stdout():
            self._stdout.flush()
            while left:  # in pieces: a large write to a pipe whose reader goes away ends early, and without an error
                left = left[self._stdout.buffer.write(left[:PIECE]) :]
                self._stdout.buffer.flush()

    def note(self, text: str) -> None:
        """Something good to know, for people only; not with ``-q`` or ``--json``."""
        if self.verbosity >= 0 and not self.json:
            self._say(text)

    def detail(self, text: str) -> None:
        """A note with ``-v`` only."""
        if self.verbosity >= 1 and not self.json:
            self._say(text)

    def warning(self, text: str) -> None:
        """Something that went not as it should, though the verb goes on."""
        if self.json:
            self._error_line(json.dumps({"code": "warning", "text": text, "path": None}))
        else:
            self._error_line(printable(f"ifap: warning: {text}"))

    def failed(self, error: BaseException, about: str | None = None) -> None:
        """Tell of a failure; the first one decides the exit status.

        :param about: the remote path that was worked on, for an error that does not know.
        """
        if self.json:
            self._error_line(json.dumps(problem(error, about)))
        else:
            self._error_line(printable(f"ifap: {sentence(error, about)}"))
        if self.verbosity >= 1:
            for line in "".join(traceback.format_exception(error)).splitlines():
                self._error_line(printable(line))
        self.status = self.status or exit_status(error)

    def flush(self) -> None:
        """Hand everything on."""
        with _telling_of_stdout():
            self._stdout.flush()

    def _say(self, text: str) -> None:
        self._error_line(printable(text))

    def _error_line(self, text: str) -> None:
        self._wipe()
        try:
            self._stderr.write(text + "\n")
            self._stderr.flush()
        except OSError as error:
            if error.errno not in {errno.EPIPE, errno.EIO}:  # nobody is left to be told
                raise

    def _wipe(self) -> None:
        if self.bar is not None:
            self.bar.clear()

    def _write(self, text: str) -> None:
        self._wipe()
        with _telling_of_stdout():
            self._stdout.write(text)
            if self._stdout.isatty():
                self._stdout.flush()


def printable(text: str) -> str:
    """Text without control characters, and without what UTF-8 cannot say."""
    return escaped(text)


def table(rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines with aligned columns; those numbered in ``right`` are aligned right, the last is not padded."""
    shown = [[printable(cell) for cell in row] for row in rows]
    if not shown:
        return []
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [_row(cells, widths, right) for cells in shown]


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if number in right else cell.ljust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


@contextmanager
def _telling_of_stdout() -> Iterator[None]:
    """Whatever stops stdout from being written to is told once; what is left of it goes nowhere."""
    try:
        yield
    except BrokenPipeError:
        close_quietly()
        raise OutputClosed from None
    except OSError as error:
        close_quietly()
        raise OSError(error.errno, error.strerror, "standard output") from error


def close_quietly() -> None:
    """Send what is left of stdout nowhere, so that the interpreter does not complain at its end."""
    with suppress(io.UnsupportedOperation):  # a stdout that is no file has nobody to complain to
        descriptor = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
