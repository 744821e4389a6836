"""``ifap get`` of large files: as they come, taken up after a cut, and salvaged."""

from __future__ import annotations

import json
import os
import stat
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.cli.options import Options, Work
from ifap_twisted.cli.parts import SYNCED, part_name
from ifap_twisted.cli.printing import Console
from ifap_twisted.cli.session import Session, conclude
from ifap_twisted.cli.targets import Target
from ifap_twisted.cli.transfers import Transfer
from ifap_twisted.errors import ChunkLost, Tampered, Unavailable
from ifap_twisted.workers import InlineWorker
from tests.cli.bench import CommandLineTestCase, Outcome
from tests.cli.large import CONTENT, FakeStream, WithLarge


class LargeCase(CommandLineTestCase):
    """With a large file ``big`` in the folder."""

    def setUp(self) -> None:
        """One file, without a fault."""
        super().setUp()
        self.stored("small", b"small")
        self.stream = FakeStream()
        self.other = FakeStream(CONTENT[: 5 << 20], path="d/other")
        self.filesystem = WithLarge(self.filesystem, self.stream, self.other)  # type: ignore[assignment]
        self.out = self.local / "out"
        self.part = self.local / part_name("out", self.stream.entry.version)

    def left(self) -> list[str]:
        return sorted(os.listdir(self.local))

    def kept(self, length: int) -> None:
        """Leave a part."""
        self.part.write_bytes(CONTENT[:length])
        self.part.chmod(0o600)


class ComingTests(LargeCase):
    """Without any option."""

    def test_whole(self) -> None:
        """It comes in parts, with its permissions and time, and nothing else is left."""
        shown = self.ifap("get", "big", self.out)
        self.assertEqual((0, "", ""), (shown.status, shown.out, shown.err))
        self.assertTrue(self.out.read_bytes() == CONTENT)
        self.assertEqual((0o640, 1234.5), (stat.S_IMODE(self.out.stat().st_mode), self.out.stat().st_mtime))
        self.assertEqual(["out"], self.left())
        self.assertGreater(len(self.stream.asked), 5)

    def test_exists(self) -> None:
        """What exists is not overwritten without -f, and nothing is read then."""
        self.out.write_bytes(b"mine")
        self.assertEqual((4, []), (self.ifap("get", "big", self.out).status, self.stream.asked))
        self.assertEqual(0, self.ifap("get", "-f", "big", self.out).status)
        self.assertTrue(self.out.read_bytes() == CONTENT)

    def test_cut(self) -> None:
        """A cut in the middle is told, and nothing is left of it."""
        for error, status in ((Unavailable("Away."), 8), (Tampered("Changed."), 7), (ChunkLost("Gone.", offset=1), 7)):
            self.stream.cut, self.stream.error = 20 << 20, error
            shown = self.ifap("get", "big", self.out)
            self.assertEqual((status, []), (shown.status, self.left()))
            self.assertIn(error.detail, shown.err)

    def test_tree(self) -> None:
        """In a tree one that fails leaves the others alone; all are counted."""
        self.stream.cut, self.stream.error = 20 << 20, Unavailable("Away.")
        shown = self.ifap("get", "-r", "/", self.out)
        self.assertEqual((8, "1 new, 0 unchanged, 1 failed\n"), (shown.status, shown.out))
        self.assertEqual(["d", "d/other"], sorted(str(one.relative_to(self.out)) for one in self.out.rglob("*")))

    def test_stdout(self) -> None:
        """`-` and cat write it as it comes; of one that is cut what came is written, and the failure told."""
        self.assertTrue(self.ifap("get", "big", "-").raw == CONTENT)
        self.stream.cut, self.stream.error = 20 << 20, Unavailable("Away.")
        shown = self.ifap("cat", "big", "d/other")
        self.assertEqual(8, shown.status)
        self.assertTrue(shown.raw == CONTENT[: 20 << 20] + CONTENT[: 5 << 20])

    def test_progress(self) -> None:
        """Its bytes are counted as they come, those that were there already at once."""
        told: list[int] = []

        class Bar:
            def advance(self, count: int) -> None:
                told.append(count)

        self.kept(SYNCED + 100)
        target = Target(str(self.local))
        self.addCleanup(target.close)
        session = Session(Options(), Console(verbosity=-1), InlineWorker(), self.clock)
        stream = FakeStream()
        transfer = Transfer(session, stream, target, ("out",), replace=False, resume=True)
        self.successResultOf(Deferred.fromCoroutine(transfer.run(Bar())))
        self.assertEqual((100, len(CONTENT)), (told[0], sum(told)))
        self.assertGreater(len(told), 5)

    def test_names_of_parts(self) -> None:
        """A file of the folder that is called like a part goes nowhere by that name: it would be taken for one."""
        trap = FakeStream(b"trap" * (5 << 20), path="d/" + part_name("big", self.stream.entry.version))
        self.filesystem = WithLarge(self.filesystem, trap)  # type: ignore[assignment]
        self.out.mkdir()
        shown = self.ifap("get", "-r", "/", f"{self.out}/")
        self.assertEqual((2, []), (shown.status, [one for one in self.out.rglob("*") if one.is_file()]))
        self.assertEqual(2, self.ifap("get", trap.entry.path, f"{self.out}/").status)
        self.assertEqual(0, self.ifap("get", trap.entry.path, self.local / "harmless").status)


class ResumeTests(LargeCase):
    """``get --resume``."""

    def cut(self, at: int) -> Outcome:
        """Get it, with a cut."""
        self.stream.cut, self.stream.error = at, Unavailable("Away.")
        shown = self.ifap("get", "--resume", "big", self.out)
        self.stream.cut, self.stream.asked = len(CONTENT), []
        return shown

    def test_kept(self) -> None:
        """What came before a cut is kept beside the name, for this user only, and that is said."""
        shown = self.cut(20 << 20)
        self.assertEqual((8, [self.part.name]), (shown.status, self.left()))
        self.assertIn("--resume", shown.err)
        self.assertEqual(0o600, stat.S_IMODE(self.part.stat().st_mode))
        self.assertTrue(self.part.read_bytes() == CONTENT[: 20 << 20])

    def test_goes_on(self) -> None:
        """It goes on 16 MiB before the end of what is there, which is then replaced by what comes."""
        self.cut(20 << 20)
        with self.part.open("r+b") as file:
            file.seek(5 << 20)
            file.write(b"?" * (15 << 20))
        shown = self.ifap("get", "--resume", "big", self.out)
        self.assertEqual((0, ["out"]), (shown.status, self.left()))
        self.assertTrue(self.out.read_bytes() == CONTENT)
        self.assertEqual(4 << 20, self.stream.asked[0][0])
        self.assertEqual((0o640, 1234.5), (stat.S_IMODE(self.out.stat().st_mode), self.out.stat().st_mtime))

    def test_cut_again_and_again(self) -> None:
        """It comes to its end through any number of cuts."""
        for at in (17 << 20, 20 << 20, 12 << 20, 30 << 20, 39 << 20):
            self.cut(at)
        self.assertEqual(0, self.ifap("get", "--resume", "big", self.out).status)
        self.assertTrue(self.out.read_bytes() == CONTENT)
        self.assertEqual(["out"], self.left())

    def test_whole_part(self) -> None:
        """A part that has all of it already is checked at its end only."""
        self.kept(len(CONTENT))
        self.assertEqual(0, self.ifap("get", "--resume", "big", self.out).status)
        self.assertEqual(len(CONTENT) - SYNCED, self.stream.asked[0][0])
        self.assertTrue(self.out.read_bytes() == CONTENT)

    def test_too_long(self) -> None:
        """A part that is longer than the file is none of it: it begins anew."""
        self.part.write_bytes(b"?" * (len(CONTENT) + 1))
        self.part.chmod(0o600)
        self.assertEqual(0, self.ifap("get", "--resume", "big", self.out).status)
        self.assertTrue(self.out.read_bytes() == CONTENT)

    def test_another_version(self) -> None:
        """A part of another version is left alone, and named."""
        other = self.write(part_name("out", "W" * 22), b"other", mode=0o600)
        shown = self.ifap("get", "--resume", "big", self.out)
        self.assertEqual((0, b"other"), (shown.status, other.read_bytes()))
        self.assertIn(other.name, shown.err)
        self.assertTrue(self.out.read_bytes() == CONTENT)

    def test_hostile_part(self) -> None:
        """A symbolic link in its place is not followed."""
        victim = self.write("victim", b"precious")
        self.part.symlink_to(victim)
        self.assertEqual(2, self.ifap("get", "--resume", "big", self.out).status)
        self.assertEqual(b"precious", victim.read_bytes())
        self.assertFalse(self.out.exists())

    def test_long_name(self) -> None:
        """A name as long as a disk takes can be resumed, too."""
        self.out = self.local / ("ä" * 127)
        self.assertEqual(8, self.cut(30 << 20).status)
        self.assertEqual(1, len(self.left()))
        self.assertEqual(0, self.ifap("get", "--resume", "big", self.out).status)
        self.assertEqual((12 << 20, [self.out.name]), (self.stream.asked[0][0], self.left()))

    def test_small_files(self) -> None:
        """Of a file of up to 16 MiB no part is kept: nothing would be gained."""
        self.other.cut, self.other.error = 4 << 20, Unavailable("Away.")
        self.assertEqual((8, []), (self.ifap("get", "--resume", "d/other", self.out).status, self.left()))

    def test_interrupted(self) -> None:
        """Ctrl-C keeps the part and says so; without --resume nothing is left."""
        for options, left in ((["--resume"], [self.part.name]), ([], [])):
            self.stream.cut, self.stream.error = 20 << 20, None
            shown = self.interrupted("get", *options, "big", self.out)
            self.assertEqual((130, left), (shown.status, self.left()))
            self.assertEqual(bool(left), "--resume" in shown.err)
            for name in left:
                (self.local / name).unlink()

    def interrupted(self, *arguments: Any) -> Outcome:
        """Run ``ifap``, and press Ctrl-C when it waits."""
        before = self.runner

        def runner(options: Options, work: Work) -> int:
            console = Console(as_json=options.json, verbosity=options.verbosity)
            session = Session(options, console, InlineWorker(), self.clock)

            async def whole() -> None:
                await work(session)

            outcome: list[Any] = []
            running = Deferred.fromCoroutine(whole())
            running.addBoth(outcome.append)
            self.assertEqual([], outcome)
            running.cancel()
            return conclude(console, outcome[0].value)

        self.runner = runner  # type: ignore[method-assign]
        try:
            return self.ifap(*arguments)
        finally:
            self.runner = before  # type: ignore[method-assign]

    def test_what_does_not_fit(self) -> None:
        """--resume and --salvage are not about stdout, and exclude each other."""
        for arguments in (
            ("--resume", "big", "-"),
            ("--salvage", "big", "-"),
            ("--resume", "--salvage", "big", str(self.out)),
        ):
            self.assertEqual(2, self.ifap("get", *arguments).status)


class SalvageTests(LargeCase):
    """``get --salvage``."""

    def setUp(self) -> None:
        """Two ranges are lost, one of them in two chunks."""
        super().setUp()
        self.stream.lost = [(5 << 20, 1000), ((5 << 20) + 1000, 3 << 20), (len(CONTENT) - 10, 10)]

    def expected(self) -> bytes:
        data = bytearray(CONTENT)
        for offset, length in self.stream.lost:
            data[offset : offset + length] = bytes(length)
        return bytes(data)

    def test_without(self) -> None:
        """Without the option nothing is written, and the status is 7."""
        shown = self.ifap("get", "big", self.out)
        self.assertEqual((7, []), (shown.status, self.left()))

    def test_salvaged(self) -> None:
        """The rest is written, with NULs for what is lost; each range is told, and the status is 7 all the same."""
        shown = self.ifap("get", "--salvage", "big", self.out)
        self.assertEqual((7, ["out"]), (shown.status, self.left()))
        self.assertTrue(self.out.read_bytes() == self.expected())
        lines = shown.err.splitlines()
        self.assertEqual(2, len(lines))
        self.assertIn(f"{5 << 20} to {(5 << 20) + 1000 + (3 << 20) - 1} ", lines[0])
        self.assertIn(f"{len(CONTENT) - 10} to {len(CONTENT) - 1} ", lines[1])

    def test_json(self) -> None:
        """With --json each range is an object on stderr."""
        shown = self.ifap("--json", "get", "--salvage", "big", self.out)
        ranges = [json.loads(line) for line in shown.err.splitlines()]
        self.assertEqual([5 << 20, len(CONTENT) - 10], [one["about"]["offset"] for one in ranges])
        self.assertEqual([1000 + (3 << 20), 10], [one["about"]["length"] for one in ranges])
        self.assertEqual({"chunk-lost"}, {one["code"] for one in ranges})
        self.assertEqual("/big", json.loads(shown.out)["path"])

    def test_tree(self) -> None:
        """In a tree each file is reported, and counted apart."""
        shown = self.ifap("get", "-r", "--salvage", "/", self.out)
        self.assertEqual((7, "1 new, 0 unchanged, 1 salvaged, 0 failed\n"), (shown.status, shown.out))
        self.assertTrue((self.out / "big").read_bytes() == self.expected())
        self.assertTrue((self.out / "d/other").read_bytes() == self.other.data)

    def test_all_lost(self) -> None:
        """A file of which nothing is left is as many NULs."""
        self.stream.lost = [(0, len(CONTENT))]
        self.ifap("get", "--salvage", "big", self.out)
        self.assertTrue(self.out.read_bytes() == bytes(len(CONTENT)))

    def test_temporary(self) -> None:
        """A failure that may be over soon leaves nothing: what is away is not lost."""
        self.stream.cut, self.stream.error = 20 << 20, Unavailable("Away.")
        shown = self.ifap("get", "--salvage", "big", self.out)
        self.assertEqual((8, []), (shown.status, self.left()))
