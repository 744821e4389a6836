"""Samples of the campaigns about the embedded server's files, and that they would find what they look for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import Damaged
from ifap_twisted.server import inspection, messages
from tests.campaigns import damage, powercuts
from tests.campaigns.syscalls import Disk, Operation, operations

DIRECTORY = Path("/base")


class DamageTests(SynchronousTestCase):
    """Some damage in each of many pages."""

    def tearDown(self) -> None:
        self.flushLoggedErrors(Damaged)

    def run_cases(self, numbers: range) -> tuple[Counter[str], list[str]]:
        counts: Counter[str] = Counter()
        for number in numbers:
            found, wrong = damage.case(number)
            counts += found
            if wrong:
                return counts, wrong
        return counts, []

    def test_sample(self) -> None:
        """What was damaged is told, in each of the ways; nothing else is given wrong."""
        counts, wrong = self.run_cases(range(500, 560))
        self.assertEqual(wrong, [])
        for how in ("at the start", "by a command", "as a warning"):
            self.assertGreater(counts[f"told {how}"], 2, how)

    def test_no_checksums(self) -> None:
        """Without the checksums of content wrong bytes would be given, and that be found."""
        with mock.patch.object(messages, "is_intact", return_value=True):
            _counts, wrong = self.run_cases(range(500, 600))
        self.assertIn("wrong", wrong[0])

    def test_no_look_at_the_log(self) -> None:
        """The same when nobody looked at the end of the log."""
        with mock.patch.object(inspection, "_ends_torn", return_value=False):
            _counts, wrong = self.run_cases(range(501, 801, 2))
        self.assertIn("without a word", wrong[0])


class PowerTests(SynchronousTestCase):
    """Some cuts in one run."""

    def recording(self) -> powercuts.Recording:
        return powercuts.recorded(0, 40)

    def cuts(self, recording: powercuts.Recording, count: int) -> list[str]:
        wrong = []
        random = Random("sample")
        for _ in range(count):
            cut = recording.cut(random)
            wrong += powercuts.judged(recording, cut, recording.disk_at(cut).after_cut(random))
        return wrong

    def test_sample(self) -> None:
        """What was acknowledged is there after each."""
        recording = self.recording()
        self.assertEqual(self.cuts(recording, 25), [])
        self.assertGreaterEqual(len(powercuts.required(recording, len(recording.operations))), 30)

    def test_no_sync(self) -> None:
        """A server that does not sync its log is found out."""
        recording = self.recording()
        careless = [one for one in recording.operations if (one.kind, one.name) != ("sync", "embedded.sqlite-wal")]
        found = self.cuts(powercuts.Recording({}, {}, {}, careless, recording.sent), 25)
        self.assertIn("is not as acknowledged", found[0])


class SyscallTests(SynchronousTestCase):
    """Reading what strace writes."""

    def read(self, *lines: str) -> list[Operation]:
        return list(operations(lines, DIRECTORY))

    def hexed(self, text: str) -> str:
        return "".join(f"\\x{byte:02x}" for byte in text.encode())

    def test_files(self) -> None:
        """Files of the directory by their names, the directory itself as no name, others not at all."""
        base, file, other = map(self.hexed, ("/base", "/base/a", "/etc/x"))
        found = self.read(
            f'7 openat(AT_FDCWD<{base}>, "{file}", O_RDWR|O_CREAT, 0600) = 3<{file}>',
            f'7 openat(AT_FDCWD<{base}>, "{file}", O_RDWR|O_CREAT, 0600) = 3<{file}>',
            f'7 pwrite64(3<{file}>, "{self.hexed("xyz")}", 3, 10) = 2',
            f'7 pwrite64(4<{other}>, "{self.hexed("xyz")}", 3, 10) = 3',
            f"7 fdatasync(3<{file}>) = 0",
            f"7 fsync(3<{file}>) = -1 EIO (Input/output error)",
            f"7 ftruncate(3<{file}>, 5) = 0",
            f"7 fsync(5<{base}>) = 0",
            f'7 rename("{file}", "{self.hexed("/base/b")}") = 0',
            f'7 unlinkat(5<{base}>, "{self.hexed("b")}", 0) = 0',
        )
        self.assertEqual(
            found,
            [
                Operation("create", "a"),
                Operation("write", "a", 10, b"xy"),
                Operation("sync", "a"),
                Operation("truncate", "a", 5),
                Operation("sync"),
                Operation("rename", "a", data=b"b"),
                Operation("remove", "b"),
            ],
        )

    def test_threads(self) -> None:
        """A call that another thread interrupts counts when it ends; what is said, when it begins."""
        file = self.hexed("/base/a")
        found = self.read(
            f"7 fdatasync(3<{file}> <unfinished ...>",
            f'8 sendto(9<socket:[1]>, "{self.hexed("OK")}", 2, 0, NULL, 0 <unfinished ...>',
            "7 <... fdatasync resumed>) = 0",
            "8 <... sendto resumed>) = 2",
        )
        self.assertEqual(found, [Operation("say", data=b"OK"), Operation("sync", "a")])


class DiskTests(SynchronousTestCase):
    """What a cut leaves."""

    def left(self, *done: Operation) -> list[dict[str, bytes]]:
        disk = Disk({"old": b"old"})
        for one in done:
            disk.do(one)
        return [disk.after_cut(Random(seed)) for seed in range(50)]

    def test_synced(self) -> None:
        """What was synced is there, whatever comes later; the rest may be."""
        created, written = Operation("create", "a"), Operation("write", "a", 0, b"1" * 1024)
        states = self.left(
            created, written, Operation("sync", "a"), Operation("sync"), Operation("write", "a", 0, b"2" * 1024)
        )
        self.assertEqual({len(state["a"]) for state in states}, {1024})
        halves = {(state["a"][:1], state["a"][512:513]) for state in states}
        self.assertEqual(halves, {(one, other) for one in (b"1", b"2") for other in (b"1", b"2")})

    def test_names(self) -> None:
        """A name is only safe when its directory was synced; a removed file may be back."""
        states = self.left(Operation("create", "a"), Operation("sync", "a"), Operation("remove", "old"))
        self.assertEqual({tuple(sorted(state)) for state in states}, {("old",), ("a", "old"), ("a",)})
        states = self.left(Operation("rename", "old", data=b"new"), Operation("sync"))
        self.assertEqual([state for state in states if state != {"new": b"old"}], [])
