"""Large files that are changed through ``open``: little is sent, and what is stored is what was written."""

from __future__ import annotations

import io
import random
from itertools import count
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.core.manifests import Piece
from ifap_twisted.core.overlay import Overlay
from ifap_twisted.errors import Conflict, TooLarge, Unavailable
from ifap_twisted.filesystem import files
from ifap_twisted.filesystem.changes import HeldChanges
from ifap_twisted.filesystem.desk import Options
from tests.filesystem.folders import Folder, result

OPTIONS = Options(chunk_threshold=2_000, cutting=Cutting(least=256, most=2048, bits=8))
CONTENT = random.Random(3).randbytes(40_000)


class ChangingTestCase(SynchronousTestCase):
    """A folder with one large file, cut into small chunks."""

    def setUp(self) -> None:
        """Put it."""
        self.folder = Folder()
        self.store = self.folder.store()
        self.filesystem = self.folder.device(options=OPTIONS, store=self.store)
        result(self.filesystem.put("large", CONTENT))

    def open(self, mode: str, path: str = "large"):
        """Open a file, and give it."""

        async def opened():
            return await self.filesystem.open(path, mode)

        from twisted.internet.defer import Deferred

        return result(Deferred.fromCoroutine(opened()))

    def chunks(self) -> int:
        """Messages that hold chunks."""
        return sum(len(one.places) for one in self.filesystem.desk.view.index.objects(CHUNKS))

    def content(self, path: str = "large") -> bytes:
        """As a fresh device reads it."""
        return result(self.folder.device().get(path))


class ChangingTests(ChangingTestCase):
    """One operation of an open file each."""

    def test_a_part_is_rewritten(self) -> None:
        """Bytes in the middle change; of the chunks only those around them are sent."""
        before, file = self.chunks(), self.open("r+b")
        result(file.seek(20_000))
        result(file.write(b"changed"))
        result(file.close())
        self.assertEqual(CONTENT[:20_000] + b"changed" + CONTENT[20_007:], self.content())
        self.assertLess(self.chunks() - before, 6)

    def test_appending(self) -> None:
        """What is appended follows what was there; the chunks of before stay."""
        before, file = self.chunks(), self.open("ab")
        result(file.write(b"more"))
        result(file.close())
        self.assertEqual(CONTENT + b"more", self.content())
        self.assertEqual(1, self.chunks() - before)

    def test_cutting_off(self) -> None:
        """A large file that is truncated is as long as was asked for, and extended it has NULs."""
        file = self.open("r+b")
        result(file.truncate(10_001))
        result(file.truncate(10_010))
        result(file.close())
        self.assertEqual(CONTENT[:10_001] + bytes(9), self.content())

    def test_becoming_small(self) -> None:
        """What is cut to less than the threshold goes out as one message."""
        file = self.open("r+b")
        result(file.truncate(100))
        result(file.close())
        self.assertEqual(CONTENT[:100], self.content())
        self.assertFalse(self.filesystem.desk.file("large").placed.version.chunked)

    def test_reading_what_was_written(self) -> None:
        """An open file shows what was written to it and not stored yet."""
        file = self.open("r+b")
        result(file.seek(100))
        result(file.write(b"new"))
        result(file.seek(99))
        self.assertEqual(CONTENT[99:100] + b"new" + CONTENT[103:110], result(file.read(11)))
        self.assertEqual(CONTENT, self.content())

    def test_text(self) -> None:
        """A large text is appended to, and read by characters."""
        result(self.filesystem.put("text", "größer".encode() * 1000))
        file = self.open("a", "text")
        result(file.write("é"))
        result(file.close())
        file = self.open("r", "text")
        self.assertEqual("größergr", result(file.read(8)))
        self.assertEqual("ößer", result(file.read(4)))
        result(file.seek(0))
        self.assertEqual("größer" * 1000 + "é", result(file.read()))

    def test_nothing_written(self) -> None:
        """A file that was opened for changing and not changed has no new version."""
        version = result(self.filesystem.stat("large")).version
        self.assertIsNone(result(self.open("r+b").close()))
        self.assertEqual(version, result(self.filesystem.stat("large")).version)

    def test_changed_meanwhile(self) -> None:
        """What somebody else put meanwhile is not overwritten."""
        file = self.open("r+b")
        result(file.write(b"mine"))
        result(self.filesystem.put("large", b"another"))
        self.failureResultOf(file.close(), Conflict)
        self.assertEqual(b"another", self.content())

    def test_given_up(self) -> None:
        """Nothing is stored when it is given up."""
        file = self.open("r+b")
        result(file.write(b"mine"))
        result(file.abort())
        self.assertEqual(CONTENT, self.content())

    def test_in_the_order_of_the_calls(self) -> None:
        """Operations that are not waited for happen one after the other."""
        file = self.open("wb", "new")
        works = [file.write(b"abc"), file.seek(1), file.write(b"X"), file.seek(0, io.SEEK_END), file.write(b"!")]
        for work in works:
            result(work)
        result(file.close())
        self.assertEqual(b"aXc!", self.content("new"))


class GrowingTests(ChangingTestCase):
    """More is written than is held in memory."""

    def setUp(self) -> None:
        """With a window of some chunks."""
        super().setUp()
        self.patch(limits, "UPLOAD_WINDOW", 8_000)

    def test_written_from_the_beginning(self) -> None:
        """A file that is written bit by bit is stored as it grows, and shown when it is closed."""
        content, file = random.Random(4).randbytes(100_000), self.open("wb", "new")
        held = 0
        for start in range(0, len(content), 999):
            result(file.write(content[start : start + 999]))
            held = max(held, file._changes._overlay.held)
        self.assertLess(held, 10_000)
        self.assertEqual(1, len(result(self.filesystem.list("/"))))
        result(file.close())
        self.assertEqual(content, self.content("new"))

    def test_written_at_random(self) -> None:
        """Changes all over a file are stored when they become much, and each is there in the end."""
        model, drawn, file = bytearray(CONTENT), random.Random(5), self.open("r+b")
        for _ in range(60):
            offset, data = drawn.randrange(45_000), drawn.randbytes(drawn.randrange(1, 900))
            model.extend(bytes(max(0, offset - len(model))))
            model[offset : offset + len(data)] = data
            result(file.seek(offset))
            result(file.write(data))
            if drawn.random() < 0.1:
                size = drawn.randrange(30_000, 50_000)
                del model[size:]
                model.extend(bytes(size - len(model)))
                result(file.truncate(size))
        result(file.seek(0))
        self.assertEqual(bytes(model), result(file.read()))
        result(file.close())
        self.assertEqual(bytes(model), self.content())

    def test_server_away(self) -> None:
        """A write that has to be stored fails when the server is away, and the file of before stays."""
        file = self.open("r+b")
        self.store.fail_next("append", Unavailable("away"), 1000)
        self.failureResultOf(file.write(random.Random(6).randbytes(30_000)), Unavailable)
        self.store.pardon()
        self.assertEqual(CONTENT, self.content())

    def test_a_write_that_failed_is_tried_again(self) -> None:
        """Whichever chunk cannot be read while a write stores others: when it is tried again nothing is missing."""
        model = bytearray(CONTENT + b"!")
        model[10_000:19_000] = data = random.Random(7).randbytes(9_000)
        failed = 0
        for turn in range(1, 30):
            file = self.open("r+b")
            result(file.seek(len(CONTENT)))
            result(file.write(b"!"))
            result(file.seek(10_000))
            failed += self.fails(file, data, turn)
            result(file.seek(10_000))
            result(file.write(data))
            result(file.close())
            self.assertEqual(bytes(model), self.content())
            result(self.filesystem.put("large", CONTENT))
        self.assertGreater(failed, 2)

    def fails(self, file: Any, data: bytes, turn: int) -> bool:
        """Whether a write fails when a certain reading of a chunk does."""
        reader, turns = self.filesystem.desk.chunks_read, count(1)
        content = reader.content

        async def read(piece: Piece) -> bytes:
            if next(turns) == turn:
                raise Unavailable("away")
            return await content(piece)

        reader.content = read
        try:
            result(file.write(data))
        except Unavailable:
            return True
        finally:
            del reader.content
        return False

    def test_extended_by_far(self) -> None:
        """A small file that is made much longer is in memory a part at a time, too."""
        self.patch(files, "SMALL", 100)
        for mode in ("r+b", "wb"):
            result(self.filesystem.put("small", b"small"))
            file = self.open(mode, "small")
            result(file.truncate(100_000))
            held = []
            write = Overlay.write

            def noted(overlay: Overlay, offset: int, data: bytes) -> None:
                write(overlay, offset, data)
                held.append(overlay.held)

            self.patch(Overlay, "write", noted)
            result(file.close())
            self.patch(Overlay, "write", write)
            self.assertLess(max(held, default=0), 10_000)
            content = (b"small" if mode == "r+b" else b"").ljust(100_000, b"\0")
            self.assertEqual(content, self.content("small"))

    def test_too_far(self) -> None:
        """What is longer than any file that can be stored is refused when it is asked for."""
        file = self.open("r+b")
        self.failureResultOf(file.truncate(limits.CHUNKED_SIZE + 1), TooLarge)
        result(file.seek(limits.CHUNKED_SIZE))
        self.failureResultOf(file.write(b"x"), TooLarge)
        result(file.seek(0))
        self.assertEqual(CONTENT, result(file.read()))
        self.assertIsNone(result(file.close()))


class HeldTests(SynchronousTestCase):
    """Over a filesystem that is not open here."""

    def test_bound(self) -> None:
        """More changes than fit into memory are refused."""
        from twisted.internet.defer import Deferred

        self.patch(limits, "CHANGES_HELD", 1_000)
        changes = HeldChanges(None)
        result(Deferred.fromCoroutine(changes.write(0, bytes(900))))
        self.failureResultOf(Deferred.fromCoroutine(changes.write(900, bytes(900))), TooLarge)
