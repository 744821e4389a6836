"""Names of the folder at every place where they come out of it (R12): none leads out, none is changed on the way.

One table of names and one of sinks. A name either comes out byte for byte, or is refused with a reason.
"""

from __future__ import annotations

import errno
import json
import os
import unicodedata
from collections.abc import Sequence
from email.message import Message
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch
from urllib.parse import quote, unquote

from twisted.internet.defer import Deferred, succeed

from ifap_twisted.cli.targets import Target
from ifap_twisted.control.files import disposition
from ifap_twisted.core.values import Entry
from ifap_twisted.errors import InvalidPath
from ifap_twisted.interfaces import IFilesystem
from tests.cli.bench import CommandLineTestCase
from tests.control.wire import Node

CAFE = "caf\xe9"
LONG = "x" * 255

KEPT = (
    # plain on Linux, whatever they mean elsewhere
    *("CON", "con.txt", "NUL", "AUX", "COM1", "LPT9.log", "name.", "name ", " name", "a:b", "a*b?", 'a"b', "<a>|b"),
    *(
        "back\\slash",
        "..\\up",
        "C:\\x",
        "\\\\host\\share",
        "...",
        "..;",
        "..a",
        ".a",
        "~",
        "~root",
        "$HOME",
        "`x`",
        "-rf",
    ),
    *("--", "-", "%2e%2e", "%2fetc", "&amp;", "a;b", "a'b", "@", "#a", "?a=b", ".ifap-0123456789abcdef", "desktop.ini"),
    # twins for some
    *("Readme", "README", "readme", CAFE, unicodedata.normalize("NFD", CAFE), "\ufb01le", "file", "\u0130", "i\u0307"),
    # odd for people
    *("\u202etxt.exe", "\u200b", "\ufeff", "\U0001f600", "\u2028", "\uff0e\uff0e", "\u2215etc", "e" + "\u0301" * 100),
    *(LONG, "\xe4" * 127, "z" * 254 + "/" + LONG, "/".join(["y" * 15] * 256), "deep/" * 200 + "x"),
)
"""Names that come out as they are."""

REFUSED = (
    *("..", "../x", "../../x", "a/../../x", "a/..", "a/../b", ".", "./x", "a/./b", "a//b", "//etc/x", "/etc/x", "/"),
    *("a\0b", "\0", "a\nb", "a\rb", "a\tb", "\x1b[2J", "\x7f", "\x85", "a\x9bb", "\ud800", "a\udcffb"),
    *("x" * 256, "\xe4" * 128, "d/" + "x" * 256, "/".join(["y" * 15] * 257), "../" * 50 + "etc/x", "a/b/../../../x"),
)
"""Names that no sink takes."""


class Listing:
    """The real filesystem, whose lists say what a hostile folder would like them to say."""

    def __init__(self, real: IFilesystem, names: Sequence[str], kind: str = "file", *, above: str = "file") -> None:
        self._real = real
        self._above = above
        self._entries = [Entry(path=name, type=kind) for name in names]

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def list(self, _path: str = "/", **_more: object) -> Deferred[Sequence[Entry]]:
        return succeed(self._entries)

    def stat(self, path: str, **_more: object) -> Deferred[Entry]:
        return succeed(Entry(path=path, type=self._above))

    def read(self, _path: str, **more: object) -> Deferred[object]:
        return self._real.read("good", **more)  # type: ignore[return-value, arg-type]


class Found(NamedTuple):
    """What is on the disk: names as bytes, relative to what the test may write at all."""

    inside: set[bytes]
    outside: set[bytes]


class ExportCase(CommandLineTestCase):
    """A target in a directory in which nothing else may appear or change."""

    def setUp(self) -> None:
        """Make it, with a victim beside it."""
        super().setUp()
        self.stored("good", b"good")
        self.out = self.local / "a" / "b" / "out"
        self.out.mkdir(parents=True)
        for directory in (self.local, self.local / "a", self.local / "a" / "b"):
            (directory / "x").write_bytes(b"victim")

    def found(self) -> Found:
        """All files that are there; the victims are as they were."""
        inside, outside = set(), set()
        root, out = os.fsencode(self.local), os.fsencode(self.out)
        for directory, _directories, files, descriptor in os.fwalk(root):
            for name in files:
                path = os.path.join(directory, name)
                if path.startswith(out + b"/"):
                    inside.add(path.removeprefix(out + b"/"))
                    continue
                outside.add(path.removeprefix(root + b"/"))
                with open(os.open(name, os.O_RDONLY, dir_fd=descriptor), "rb") as file:
                    self.assertEqual(b"victim", file.read(), path)
        return Found(inside, outside)

    def nothing_outside(self) -> set[bytes]:
        """What is in the target; nothing else is anywhere."""
        found = self.found()
        self.assertEqual({b"x", b"a/x", b"a/b/x"}, found.outside)
        return found.inside


class RoundTests(ExportCase):
    """Names that may be there."""

    def test_every_name_comes_out_as_it_went_in(self) -> None:
        """Every one is stored, and ``get -r`` gives it back, each name and each content, byte for byte."""
        for number, name in enumerate(KEPT):
            self.stored(f"{number}/{name}" if len(name) < 4090 else name, name.encode())
        wanted = {os.fsencode(f"{number}/{name}" if len(name) < 4090 else name) for number, name in enumerate(KEPT)}
        shown = self.ifap("get", "-r", "/", self.out)
        self.assertEqual((0, ""), (shown.status, shown.err))
        self.assertEqual(wanted | {b"good"}, self.nothing_outside())

    def test_twins(self) -> None:
        """Twins by case and by Unicode form are two files here, each with its own content."""
        twins = ["Readme", "README", "readme", CAFE, unicodedata.normalize("NFD", CAFE), "\ufb01le", "file"]
        for name in twins:
            self.stored(f"t/{name}", name.encode())
        self.assertEqual(0, self.ifap("get", "-r", "t/", self.out).status)
        for name in twins:
            self.assertEqual(name.encode(), (self.out / name).read_bytes())


class HostileTests(ExportCase):
    """Names that want to be somewhere else."""

    def get(self, *arguments: str | Path) -> tuple[int, str]:
        shown = self.ifap("get", *arguments)
        return shown.status, shown.err

    def test_trees(self) -> None:
        """``get -r`` refuses each by itself, with a reason, and gets the others."""
        real = self.filesystem
        for kind in ("file", "directory"):
            for force in ("-r", "-rf"):
                for name in REFUSED:
                    self.filesystem = Listing(real, [name], kind)  # type: ignore[assignment]
                    status, err = self.get(force, "/", self.out)
                    self.assertEqual((2, 1), (status, err.count("\n")), (name, err))
                    self.assertRegex(err, r"\Aifap: [ -~]{20,}\n\Z")
        self.filesystem = Listing(real, [*REFUSED, "good"])  # type: ignore[assignment]
        status, err = self.get("-r", "/", self.out)
        self.assertEqual((2, len(REFUSED)), (status, err.count("\n")))
        self.assertEqual({b"good"}, self.nothing_outside())

    def test_directories(self) -> None:
        """No directory is made outside either."""
        before = {path for path in self.local.rglob("*") if path.is_dir()}
        self.filesystem = Listing(self.filesystem, REFUSED, "directory")  # type: ignore[assignment]
        self.get("-r", "/", self.out)
        self.assertEqual(before, {path for path in self.local.rglob("*") if path.is_dir()})

    def test_below_another_place(self) -> None:
        """Whatever a listing of a directory says lies elsewhere is refused, or goes below the target all the same."""
        real = self.filesystem
        for name in ("d/../../x", "/d/x", "../d/x", "d", "d/", "D/x"):
            self.filesystem = Listing(real, [name], above="directory")  # type: ignore[assignment]
            self.get("-rf", "d", f"{self.out}/")
        self.nothing_outside()

    def test_one_file(self) -> None:
        """``get`` of one such name into a directory, and ``cat``, write nothing anywhere."""
        real = self.filesystem
        for name in REFUSED:
            if "\0" in name or "\ud800" in name or "\udcff" in name:
                continue  # no argument of a program can be that
            self.filesystem = Listing(real, [name])  # type: ignore[assignment]
            for verb in (("get", "--", name, f"{self.out}/"), ("get", "-f", "--", name, "good", f"{self.out}/")):
                self.ifap(*verb)
            self.ifap("cat", "--", name)
        self.assertLessEqual(self.nothing_outside(), {b"good", b"x"})

    def test_links_in_the_way(self) -> None:
        """A symbolic link below the target is not followed, wherever it is on the way."""
        (self.out / "up").symlink_to("..")
        (self.out / "etc").symlink_to(self.local)
        (self.out / "file").symlink_to("../x")
        (self.out / "d").mkdir()
        (self.out / "d/up").symlink_to("../..")
        (self.out / "dangling").symlink_to(self.local / "new")
        names = ["up/x", "etc/x", "etc/a/x", "d/up/x", "up/new", "d/up/new/y", "dangling/x"]
        real = self.filesystem
        for kind in ("file", "directory"):
            self.filesystem = Listing(real, names, kind)  # type: ignore[assignment]
            status, err = self.get("-rf", "/", self.out)
            self.assertEqual((2, len(names)), (status, err.count("symbolic link")), err)
        self.filesystem = Listing(real, ["file", "dangling"])  # type: ignore[assignment]
        self.assertEqual(0, self.get("-rf", "/", self.out)[0])
        self.assertEqual(
            {b"file", b"dangling", b"up", b"etc", b"d/up"}, self.nothing_outside() | {b"up", b"etc", b"d/up"}
        )
        self.assertEqual(b"good", (self.out / "file").read_bytes())

    def test_no_writer_takes_them(self) -> None:
        """The filesystem refuses to store each of them, and HTTP does."""
        node = Node()
        for name in REFUSED:
            if name in {"/etc/x", "//etc/x"}:
                continue  # a leading slash is the root of the folder
            failure = self.failureResultOf(self.filesystem.put(name, b"x"), InvalidPath)
            self.assertGreater(len(failure.value.detail), 10)
            reply = node.ask("PUT", "/v1/files/" + quote(name, errors="surrogatepass"), None, b"x")
            self.assertIn(reply.status, {400, 414}, name)


class FoldedTests(ExportCase):
    """A disk for which two names of the folder are one."""

    def test_the_second_one_is_refused(self) -> None:
        """What the disk has a name for already is told, and what the first one brought stays."""
        taken: dict[str, bytes] = {}

        def link(source: str, name: str, **more: int) -> None:
            if unicodedata.normalize("NFC", name).casefold() in taken:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
            taken[unicodedata.normalize("NFC", name).casefold()] = b""
            os.link(source, name, **more)

        for names in (("Readme", "README"), (CAFE, unicodedata.normalize("NFD", CAFE))):
            target = Target(str(self.out), link=link)
            self.addCleanup(target.close)
            target.write((names[0],), b"first", mode=0o644, modified=0, replace=False)
            arguments = {"mode": 0o644, "modified": 0, "replace": False}
            self.assertRaises(FileExistsError, target.write, (names[1],), b"second", **arguments)
            self.assertEqual(b"first", (self.out / names[0]).read_bytes())
            self.assertFalse((self.out / names[1]).exists())

    def got(self) -> tuple[int, str]:
        """Exit status and messages."""
        shown = self.ifap("get", "-r", "/d/", self.out)
        return shown.status, shown.err

    def test_the_second_one_is_told_with_the_first(self) -> None:
        """A person learns which two names are one for the disk; -f would not help."""
        self.stored("d/README", b"first")
        self.stored("d/readme", b"second")
        real, place = Target.find, self.out / "README"

        def find(target: Target, parts: Sequence[str]) -> os.stat_result | None:
            folded = [*parts[:-1], "README"] if parts[-1] == "readme" else parts
            return real(target, folded)

        with patch.object(Target, "find", find):
            status, err = self.got()
        self.assertEqual((4, b"first"), (status, place.read_bytes()), err)
        self.assertIn("/d/README", err)
        self.assertIn("/d/readme", err)
        self.assertNotIn("-f", err)

    def test_what_was_there_before_is_no_twin(self) -> None:
        """It is refused as ever, although another name of the folder is spelt alike."""
        (self.out / "readme").write_bytes(b"before")
        self.stored("d/README", b"first")
        self.stored("d/readme", b"second")
        err = self.got()[1]
        self.assertIn("give -f", err)
        self.assertEqual(b"before", (self.out / "readme").read_bytes())

    def test_a_name_that_the_disk_does_not_take(self) -> None:
        """The disk says that an argument is wrong; which part of the name it is, is told."""
        self.stored("d/a:b", b"x")

        def refuse(target: Target, parts: Sequence[str], *_arguments: object, **_options: object) -> None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), target.shown(parts))

        with patch.object(Target, "write", refuse):
            err = self.got()[1]
        self.assertIn("Invalid argument: not every disk takes the name, because it holds ':'", err)


class DispositionTests(ExportCase):
    """The name that HTTP gives to a browser."""

    def test_every_name(self) -> None:
        """It is one parameter in quotes and one in UTF-8, which say the last part of the path and nothing else."""
        for name in (*KEPT, *REFUSED):
            value = disposition(name)
            self.assertRegex(
                value, r"""\Aattachment; filename="[A-Za-z0-9._-]*"; filename\*=UTF-8''[A-Za-z0-9._~%-]*\Z"""
            )
            message = Message()
            message["Content-Disposition"] = value.partition("; filename*")[0]
            self.assertNotIn("/", message.get_filename() or "")
            last = name.rsplit("/", 1)[-1]
            if name in KEPT:
                self.assertEqual(last, unquote(value.rpartition("''")[2], errors="strict"))

    def test_over_http(self) -> None:
        """A stored name comes back in the Entry and in the disposition as it went in."""
        node = Node()
        for name in KEPT:
            url = "/v1/files/" + quote(name)
            self.assertEqual(201, node.ask("PUT", url, None, b"x").status, name)
            reply = node.ask("HEAD", url)
            self.assertEqual("/" + name, json.loads(reply["X-IFAP-Entry"] or "")["path"])
            self.assertEqual(disposition(name), reply["Content-Disposition"])
