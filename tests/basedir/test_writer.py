"""The writer and its numbers (FORMAT 3.1, 3.2)."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from zope.interface.verify import verifyObject

from ifap_twisted.basedir import writer as writing
from ifap_twisted.basedir.writer import FileWriter, MemoryWriter, new_writer
from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings, IFAPError, NewerVersionNeeded
from ifap_twisted.interfaces import IWriterIdentity
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import Drawing, LaterWorker, PlacedTestCase, mode_of

TAKES = st.lists(st.tuples(st.integers(1, 600), st.integers(0, 3000)), max_size=12)


class NewWriterTests(PlacedTestCase):
    """Names of devices."""

    def test_form(self) -> None:
        """A name is 6 characters of base64url, and all 36 bits come from the randomness."""
        self.assertEqual(new_writer(bytes), "AAAAAA")
        self.assertEqual(new_writer(lambda count: b"\xff" * count), "______")
        self.assertEqual(len({new_writer(Drawing(str(seed))) for seed in range(500)}), 500)


class WriterPromises:
    """What every writer promises; ``make`` gives one."""

    def take(self, writer, count: int = 1, above: int = 0) -> int:
        """The first number of a reservation."""
        return self.successResultOf(writer.take(count, above))

    def test_interface(self) -> None:
        """It provides IWriterIdentity."""
        self.assertTrue(verifyObject(IWriterIdentity, self.make()))

    def test_ascending(self) -> None:
        """Numbers begin above 0 and ascend; a reservation of several is theirs alone."""
        writer = self.make()
        first = self.take(writer, 3)
        self.assertGreaterEqual(first, 1)
        self.assertGreaterEqual(self.take(writer), first + 3)

    def test_above(self) -> None:
        """A number is greater than what it is told to be above, and so are all later ones."""
        writer = self.make()
        self.assertGreater(self.take(writer, 1, 5000), 5000)
        self.assertGreater(self.take(writer), 5001)

    def test_nonsense(self) -> None:
        """Taking nothing is a bug of the caller."""
        for count, above in ((0, 0), (-1, 0), (1, -1)):
            self.failureResultOf(self.make().take(count, above), ValueError)

    def test_the_end_of_numbers(self) -> None:
        """Numbers that JSON readers would round are never given; the writer can then be renewed."""
        writer = self.make()
        self.assertEqual(self.take(writer, 1, limits.WRITER_NUMBER - 1), limits.WRITER_NUMBER)
        self.failureResultOf(writer.take(1), IFAPError)
        self.successResultOf(writer.renew())
        self.assertEqual(self.take(writer), 1)

    def test_renew(self) -> None:
        """A new writer has another name, even when the randomness repeats itself."""
        writer = self.make()
        names = [writer.writer]
        for _ in range(5):
            self.successResultOf(writer.renew())
            names.append(writer.writer)
        self.assertEqual(len(set(names)), 6)

    def check_no_number_twice(self, takes: list[tuple[int, int]]) -> None:
        """Take and compare."""
        writer, last = self.make(), 0
        for count, above in takes:
            first = self.take(writer, count, above)
            self.assertGreater(first, max(last, above))
            last = first + count - 1


class Stuttering:
    """Randomness that gives everything twice."""

    def __init__(self) -> None:
        self.drawing = Drawing()
        self.last = b""

    def __call__(self, count: int) -> bytes:
        """New bytes, then the same again."""
        again, self.last = self.last, b""
        if not again:
            again = self.last = self.drawing(count)
        return again


class MemoryWriterTests(WriterPromises, PlacedTestCase):
    """The writer of a connection without a basedir."""

    def make(self) -> MemoryWriter:
        """A new one."""
        return MemoryWriter(Stuttering())

    @given(TAKES)
    def test_no_number_twice(self, takes: list[tuple[int, int]]) -> None:
        """Whatever is taken, no number is given twice and each is above what was asked."""
        self.check_no_number_twice(takes)

    def test_each_is_another(self) -> None:
        """Each connection is a new writer (DESIGN 4.4)."""
        random = Drawing()
        self.assertNotEqual(MemoryWriter(random).writer, MemoryWriter(random).writer)


class FileWriterTests(WriterPromises, PlacedTestCase):
    """The writer of a basedir."""

    def setUp(self) -> None:
        super().setUp()
        self.node = self.held_basedir()
        self.random = Stuttering()
        self.path = self.node.path / "journal" / "writer.json"

    def make(self, worker=None) -> FileWriter:
        """One as after a start; what was in memory before is lost, as in a crash."""
        return self.successResultOf(FileWriter.open(self.node, self.random, worker or InlineWorker()))

    @given(TAKES)
    def test_no_number_twice(self, takes: list[tuple[int, int]]) -> None:
        """Whatever is taken, no number is given twice and each is above what was asked."""
        self.check_no_number_twice(takes)

    def stored(self) -> dict:
        """What is in the file."""
        return json.loads(self.path.read_text())

    def test_the_file(self) -> None:
        """The file carries its format, the writer and the next number that may be used after a crash; mode 0600."""
        writer = self.make()
        first = self.take(writer)
        self.assertEqual((self.stored()["format"], self.stored()["writer"]), (1, writer.writer))
        self.assertGreater(self.stored()["next"], first)
        self.assertEqual(mode_of(self.path), 0o600)

    def test_the_same_device_after_a_start(self) -> None:
        """After a crash the writer is the same and its numbers go on above every one that was given."""
        writer = self.make()
        last = max(self.take(writer) for _ in range(10))
        again = self.make()
        self.assertEqual(again.writer, writer.writer)
        self.assertGreater(self.take(again), last)

    @given(st.lists(TAKES, max_size=5))
    def test_no_number_twice_over_crashes(self, lives: list[list[tuple[int, int]]]) -> None:
        """However often it crashes, no number is given twice."""
        last = 0
        for takes in lives:
            writer = self.make()
            for count, above in takes:
                first = self.take(writer, count, above)
                self.assertGreater(first, last)
                last = first + count - 1
                self.assertGreater(self.stored()["next"], last)

    def test_settled(self) -> None:
        """After a process that settled, the next goes on with the very next number, and knows all that was written."""
        writer = self.make()
        self.assertFalse(writer.has_past or writer.unsettled)
        last = self.take(writer, 3) + 2
        self.assertTrue(writer.has_past and writer.unsettled)
        self.successResultOf(writer.settle())
        again = self.make()
        self.assertTrue(again.has_past)
        self.assertFalse(again.unsettled)
        self.assertEqual(self.take(again), last + 1)

    def test_unsettled_by_the_next_number(self) -> None:
        """Before a number is given that is on the disk, in the process that settled and in the next one."""
        writer = self.make()
        for _ in range(3):
            self.take(writer)
            self.assertTrue(self.make().unsettled)
            self.successResultOf(writer.settle())
            self.assertFalse(self.make().unsettled)
        self.take(self.make())
        self.assertTrue(self.make().unsettled)

    def test_settling_nothing(self) -> None:
        """Where nothing was taken nothing is stored."""
        writer = self.make()
        self.successResultOf(writer.settle())
        self.assertFalse(self.path.exists())
        self.take(writer)
        raw = self.path.read_bytes()
        self.path.write_bytes(raw.replace(b"false", b"true"))
        self.assertFalse(self.make().unsettled)
        self.successResultOf(self.make().settle())
        self.assertIn(b"true", self.path.read_bytes())

    def test_settling_that_fails_half_way(self) -> None:
        """The file is in its place, and the disk fails then: the next number is on the disk before it is given."""
        writer = self.make()
        self.take(writer)
        write = writing.write_versioned

        def failing(*arguments: Any) -> None:
            write(*arguments)
            raise IFAPError("Cannot write: Input/output error")

        self.patch(writing, "write_versioned", failing)
        self.failureResultOf(writer.settle(), IFAPError)
        self.patch(writing, "write_versioned", write)
        last = self.take(writer)
        again = self.make()
        self.assertTrue(again.unsettled)
        self.assertGreater(self.take(again), last)

    def test_of_an_earlier_release(self) -> None:
        """A file that says nothing of that is not settled."""
        self.take(self.make())
        content = self.stored()
        del content["settled"]
        self.path.write_text(json.dumps(content))
        self.assertTrue(self.make().unsettled)

    def test_another_machine(self) -> None:
        """An image of a whole disk has the inodes of the original; the id of the machine tells it, if that is new."""
        writer = self.make()
        self.take(writer)
        self.random = Drawing("another")
        self.patch(writing, "MACHINE", self.place / "machine-id")
        (self.place / "machine-id").write_text("0123456789abcdef\n")
        other = self.make()
        self.assertNotEqual(other.writer, writer.writer)
        self.take(other)
        self.assertNotIn(b"0123456789abcdef", self.path.read_bytes())
        self.assertEqual(self.make().writer, other.writer)

    def test_one_write_buys_a_block(self) -> None:
        """The disk is written once for a block of numbers, not once for each."""
        worker = LaterWorker()
        opening = FileWriter.open(self.node, self.random, worker)
        worker.run()
        worker.run()
        writer = self.successResultOf(opening)
        writes = Counter()
        for _ in range(limits.WRITER_BLOCK * 3):
            taking = writer.take(1)
            while worker.waiting:
                worker.run()
                writes["writes"] += 1
            self.successResultOf(taking)
        self.assertEqual(writes["writes"], 3)

    def later(self) -> tuple[FileWriter, LaterWorker]:
        """A writer whose file work waits to be run."""
        worker = LaterWorker()
        opening = FileWriter.open(self.node, self.random, worker)
        worker.run()
        worker.run()
        return self.successResultOf(opening), worker

    def test_durable_before_it_fires(self) -> None:
        """No number is given before the file that reserves it is on the disk."""
        writer, worker = self.later()
        taking = writer.take(1)
        self.assertNoResult(taking)
        self.assertFalse(self.path.exists())
        worker.run()
        self.assertGreater(self.stored()["next"], self.successResultOf(taking))

    def test_overlapping_takes(self) -> None:
        """Takes that overlap get numbers of their own, in the order of the calls."""
        writer, worker = self.later()
        takings = [writer.take(count) for count in (3, 300, 1, 5)]
        worker.run_all()
        self.assertEqual([self.successResultOf(taking) for taking in takings], [1, 4, 304, 305])

    def test_many_takes_at_once(self) -> None:
        """Thousands that wait for one write are served, however deep Python's stack is."""
        writer, worker = self.later()
        taken = [writer.take(1) for _ in range(3000)]
        worker.run_all()
        self.assertEqual(len({self.successResultOf(number) for number in taken}), 3000)

    def test_a_failed_write(self) -> None:
        """When the disk fails the caller is told, no number is given, and the next take tries again."""
        writer, worker = self.later()
        taking = writer.take(1)
        worker.fail(IFAPError("disk full"))
        self.failureResultOf(taking, IFAPError)
        taking = writer.take(1)
        worker.run()
        self.assertEqual(self.successResultOf(taking), 1)

    def test_a_cancelled_take(self) -> None:
        """A cancelled take gives nothing and does not hold up the next, whose numbers stay above the file's past."""
        writer, worker = self.later()
        cancelled = writer.take(1)
        waiting = writer.take(1)
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        worker.run()
        worker.run()
        self.assertGreater(self.stored()["next"], self.successResultOf(waiting))

    def test_a_cancelled_write_that_comes_late(self) -> None:
        """A write that nobody waits for any more, and that a thread runs after a later one, changes nothing."""
        writer, worker = self.later()
        cancelled = writer.take(1)
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        renewing = writer.renew()
        worker.run(1)
        self.successResultOf(renewing)
        after = self.stored()
        self.assertEqual(after["writer"], writer.writer)
        worker.run()
        self.assertEqual(self.stored(), after)

    def test_renewing_is_durable(self) -> None:
        """The new name is on the disk before it is told, and after a crash it is still the one."""
        writer = self.make()
        self.take(writer, 5000)
        old = writer.writer
        self.successResultOf(writer.renew())
        self.assertNotEqual(writer.writer, old)
        self.assertEqual(self.stored()["writer"], writer.writer)
        self.assertEqual(self.make().writer, writer.writer)
        self.assertEqual(self.take(writer), 1)

    def test_renewing_waits_its_turn(self) -> None:
        """A renewal behind a take that is under way comes after it, and one before a take comes first."""
        writer, worker = self.later()
        old = writer.writer
        first, renewing, second = writer.take(1), writer.renew(), writer.take(1)
        worker.run()
        self.assertEqual((self.successResultOf(first), writer.writer), (1, old))
        worker.run()
        self.successResultOf(renewing)
        self.assertNotEqual(writer.writer, old)
        worker.run()
        self.assertEqual(self.successResultOf(second), 1)

    def test_a_renewal_that_fails(self) -> None:
        """When the new name cannot be stored, the old one stays."""
        writer, worker = self.later()
        old = writer.writer
        renewing = writer.renew()
        worker.fail(IFAPError("disk full"))
        self.failureResultOf(renewing, IFAPError)
        self.assertEqual(writer.writer, old)

    def test_refused_files(self) -> None:
        """Newer and damaged files are refused untouched: a number could be used twice."""
        self.take(self.make())
        good = {"format": 1, "writer": "abcdef", "next": 7}
        refused = [
            {**good, "format": 2},
            {**good, "writer": "abc"},
            {**good, "writer": "abcdefg"},
            {**good, "writer": "abcde\u00e9"},
            {**good, "writer": 1},
            {**good, "next": 0},
            {**good, "next": 1.5},
            {**good, "next": True},
            {**good, "next": 2**60},
            {**good, "next": "7"},
            {"format": 1},
        ]
        for content in refused:
            with self.subTest(content=content):
                raw = json.dumps(content).encode()
                self.path.write_bytes(raw)
                opening = FileWriter.open(self.node, self.random, InlineWorker())
                kind = NewerVersionNeeded if content["format"] == 2 else BadSettings
                error = self.failureResultOf(opening, kind).value
                self.assertIn(str(self.path), error.detail)
                self.assertEqual(self.path.read_bytes(), raw)

    def test_only_the_holder(self) -> None:
        """Two writers on one file would give numbers twice, so the basedir has to be held."""
        self.failureResultOf(FileWriter.open(self.basedir(), self.random, InlineWorker()), RuntimeError)
