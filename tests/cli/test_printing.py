"""What goes to stdout and stderr."""

from __future__ import annotations

import errno
import io
import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.cli.printing import Console, OutputClosed, printable, table
from ifap_twisted.errors import NotFound, Throttled


def console(**options: object) -> tuple[Console, io.TextIOWrapper, io.StringIO]:
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    return Console(stdout=out, stderr=err, **options), out, err  # type: ignore[arg-type]


def written(out: io.TextIOWrapper) -> bytes:
    out.flush()
    return out.buffer.getvalue()  # type: ignore[attr-defined]


class ConsoleTests(SynchronousTestCase):
    """Lines, objects, names, failures."""

    def test_line_is_one_line(self) -> None:
        """A name with a line feed or an escape sequence cannot end a line or speak to the terminal."""
        shell, out, _err = console()
        shell.line("a\nb\x1b[31m\u202ec")
        self.assertEqual(b"a\\x0ab\\x1b[31m\\u202ec\n", written(out))

    def test_raw(self) -> None:
        """Raw names are bytes as they are, each with a NUL."""
        shell, out, _err = console()
        shell.line("first")
        shell.raw("a\nä")
        self.assertEqual("first\na\nä\0".encode(), written(out))

    @given(st.text())
    def test_object(self, name: str) -> None:
        """An object is one line of ASCII without control characters, and says the name exactly."""
        shell, out, _err = console()
        shell.object({"path": name})
        line = written(out)
        self.assertTrue(line.isascii())
        self.assertEqual(1, line.count(b"\n"))
        self.assertFalse(any(byte < 32 or byte == 127 for byte in line[:-1]))
        self.assertEqual({"path": name}, json.loads(line))

    def test_first_failure_counts(self) -> None:
        """Of several failures the exit status is the first's."""
        shell, _out, err = console()
        shell.failed(NotFound("No a."))
        shell.failed(Throttled("Slow."))
        self.assertEqual(3, shell.status)
        self.assertEqual("ifap: No a.\nifap: Slow.\n", err.getvalue())

    def test_traceback(self) -> None:
        """A traceback is shown with -v only, and its lines are escaped too."""
        try:
            raise NotFound("No \x1b.")
        except NotFound as error:
            for verbosity, shown in ((0, False), (1, True)):
                shell, _out, err = console(verbosity=verbosity)
                shell.failed(error)
                self.assertEqual(shown, "Traceback" in err.getvalue())
                self.assertNotIn("\x1b", err.getvalue())

    def test_json_failure(self) -> None:
        """With --json a failure is an object on stderr, and notes are left out."""
        shell, out, err = console(as_json=True)
        shell.note("by the way")
        shell.failed(NotFound("No a.", path="a"))
        self.assertEqual("not-found", json.loads(err.getvalue())["code"])
        self.assertEqual(b"", written(out))

    def test_json_warning(self) -> None:
        """With --json a warning is an object with code, text and path."""
        shell, _out, err = console(as_json=True)
        shell.warning("skipped")
        self.assertEqual({"code": "warning", "text": "skipped", "path": None}, json.loads(err.getvalue()))

    def test_quiet(self) -> None:
        """With -q notes are left out, warnings and failures are not."""
        shell, _out, err = console(verbosity=-1)
        shell.note("by the way")
        shell.warning("careful")
        shell.failed(NotFound("No a."))
        self.assertEqual("ifap: warning: careful\nifap: No a.\n", err.getvalue())

    def test_reader_gone(self) -> None:
        """When the reader of stdout has gone every way of writing says so in the same manner."""
        for write in (lambda c: c.line("x"), lambda c: c.data(b"x"), lambda c: c.raw("x"), lambda c: c.flush()):
            self.assertRaises(OutputClosed, write, Console(stdout=Gone(), stderr=io.StringIO()))  # type: ignore[arg-type]

    def test_short_writes(self) -> None:
        """Bytes are written to the end however few are taken at a time."""
        stdout = Reluctant()
        Console(stdout=stdout, stderr=io.StringIO()).data(b"0123456789")  # type: ignore[arg-type]
        self.assertEqual(b"0123456789", stdout.taken)


class Gone:
    """An output whose reader has gone."""

    @property
    def buffer(self) -> Gone:
        return self

    def write(self, _data: object) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    def flush(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    def isatty(self) -> bool:
        return False


class Reluctant:
    """An output that takes three bytes at a time."""

    def __init__(self) -> None:
        self.taken = b""
        self.buffer = self

    def write(self, data: memoryview) -> int:
        self.taken += bytes(data[:3])
        return len(data[:3])

    def flush(self) -> None:
        pass


class TableTests(SynchronousTestCase):
    """Columns."""

    def test_columns(self) -> None:
        """Columns are aligned, numbers to the right, without blanks at the end."""
        self.assertEqual(["a     1  x", "bbb  22"], table([("a", "1", "x"), ("bbb", "22", "")], right=(1,)))

    def test_nothing(self) -> None:
        """No rows are no lines."""
        self.assertEqual([], table([]))

    @given(st.text())
    def test_printable(self, text: str) -> None:
        """What is printed for people holds no control character and is UTF-8."""
        shown = printable(text)
        shown.encode()
        self.assertFalse(any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown))
