"""Checks of large files, and storing lost chunks again: FORMAT 7.1."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.chunking import Chunker
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.core.findings import DAMAGE, NOTE, Checkup, Finding
from ifap_twisted.core.manifests import Piece
from ifap_twisted.errors import CallerError, Unavailable
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.workers import InlineWorker
from tests.filesystem.folders import Folder, result
from tests.filesystem.large import LargeFiles

SMALL = Cutting(least=64, most=512, bits=7)


class CheckCase(SynchronousTestCase):
    """A folder with a large file, and a directory of this machine."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.fs = self.folder.device(options=Options(cutting=SMALL))
        self.large = LargeFiles(self.folder, self.fs)
        self.local = Path(self.mktemp())
        self.local.mkdir()

    def check(self, **how: Any) -> Checkup:
        """Check now."""
        found: Checkup = result(self.fs.check(**how))
        return found

    def lost(self, **how: Any) -> list[Finding]:
        """What a check says of lost chunks."""
        return [one for one in self.check(**how).findings if one.code == "chunk-lost"]

    def lose(self, *pieces: Piece) -> None:
        """Their messages vanish from the server."""
        self.folder.shelf.remove([uid for piece in pieces for uid in self.large.places(piece)])

    def damage(self, piece: Piece) -> None:
        """The content of its message is not what was written."""
        (uid,) = self.large.places(piece)
        message = bytearray(self.folder.shelf.messages[uid])
        at = message.index(b"\r\n\r\n") + 60
        message[at] = ord("A") if message[at] != ord("A") else ord("B")
        self.folder.shelf._messages[uid] = bytes(message)

    def content(self, length: int = 5000, seed: int = 1) -> bytes:
        """Something that cuts into many pieces."""
        return Folder(seed=seed).random(length)

    def cut(self, data: bytes) -> list[bytes]:
        """The pieces of a file."""
        chunker, found = Chunker(self.large.key, SMALL), list[bytes]()
        while data:
            length = chunker.cut(data)
            found.append(data[:length])
            data = data[length:]
        return found


class Vanishing(InlineWorker):
    """Somebody removes the first of several local files as soon as they were listed."""

    def __call__(self, work: Any) -> Any:
        def then_gone() -> Any:
            found = work()
            if isinstance(found, list) and found and isinstance(found[0], Path):
                found[0].unlink()
            return found

        return super().__call__(then_gone)


class FindingTests(CheckCase):
    """What a check tells of them."""

    def test_a_whole_file(self) -> None:
        """Nothing is told of one of which everything is there."""
        self.large.put("a", b"one", b"two")
        self.assertEqual({}, dict(self.check(read_data=100).counts()))

    def test_what_is_gone(self) -> None:
        """The version, and which of its bytes are lost."""
        pieces = self.large.chunks([b"one", b"two", b"three", b"four"])
        vid = self.large.file("a", pieces)
        self.lose(pieces[0], pieces[2])
        (found,) = self.lost()
        self.assertEqual(("a", vid, DAMAGE, 1), (found.path, found.version, found.severity, found.places))
        self.assertIn("of its 15 bytes these are lost: 0-2, 6-10.", found.text)

    def test_each_version_of_which_it_is_gone(self) -> None:
        """A chunk that two files share is lost for both."""
        (piece,) = self.large.chunks([b"one"])
        self.large.file("a", [piece])
        self.large.file("b", [piece])
        self.lose(piece)
        self.assertEqual(["a", "b"], [one.path for one in self.lost()])

    def test_what_is_damaged(self) -> None:
        """It is found when it is read, and told of by later checks that do not read it."""
        pieces = self.large.chunks([b"one", b"two"])
        self.large.file("a", pieces)
        self.damage(pieces[1])
        self.assertEqual([], self.lost())
        (found,) = self.lost(read_data=100)
        self.assertIn("3-5", found.text)
        self.assertEqual(1, len(self.lost()))

    def test_a_content_of_another_name(self) -> None:
        """A chunk that is sound, and not what its name says, is no chunk."""
        pieces = self.large.chunks([b"one", b"two"])
        self.lose(pieces[0])
        self.large.chunk(b"ONE", name=pieces[0].name)
        self.large.file("a", pieces)
        (found,) = self.lost(read_data=100)
        self.assertIn("0-2", found.text)

    def test_a_whole_copy(self) -> None:
        """One good place is enough; of the bad one it is told apart."""
        (piece,) = self.large.chunks([b"one"])
        self.damage(piece)
        self.large.chunk(b"one")
        self.large.file("a", [piece])
        found = self.check(read_data=100)
        self.assertEqual({"tampered": 1}, dict(found.counts()))
        self.assertEqual(0, found.damaged)

    def test_a_lost_list_of_chunks(self) -> None:
        """All bytes that it tells of are lost."""
        lower = [self.large.below(self.large.chunks([text])) for text in (b"one", b"three")]
        self.large.file("a", lower, depth=1)
        self.lose(lower[1])
        found = self.check()
        self.assertEqual(["3-7"], [one.text.rsplit(" ", 1)[1].rstrip(".") for one in found.findings[:1]])
        self.assertEqual({"chunk-lost", "chunks-kept"}, set(found.counts()))

    def test_what_cannot_be_read_now(self) -> None:
        """Is not lost: another check will tell."""
        lower = self.large.below(self.large.chunks([b"one"]))
        self.large.file("a", [lower], depth=1)
        self.fs = self.folder.device()
        (uid,) = self.large.places(lower)
        message = self.fs.desk.view.store.message

        def refuse(wanted: int) -> Any:
            if wanted == uid:
                raise Unavailable("not now")
            return message(wanted)

        self.fs.desk.view.store.message = refuse  # type: ignore[method-assign]
        self.assertEqual([], self.lost(read_data=100))

    def test_an_incomplete_listing(self) -> None:
        """What is not listed is not lost while the server does not list all that it says is there."""
        pieces = self.large.chunks([b"one"])
        self.large.file("a", pieces)
        self.lose(*pieces)
        result(self.fs.refresh())
        store = self.folder.store()
        poll = store.poll

        def counted(**how: Any) -> Any:
            return poll(**how).addCallback(lambda state: replace(state, exists=state.exists + 1))

        store.poll = counted  # type: ignore[method-assign]
        self.fs = self.folder.device(store=store)
        found = self.check()
        self.assertFalse(found.complete)
        self.assertNotIn("chunk-lost", found.counts())


class RestoringTests(CheckCase):
    """``repair`` without local files."""

    def test_an_older_version_that_is_whole(self) -> None:
        """It is made current again."""
        self.large.put("a", b"one", b"two")
        pieces = self.large.chunks([b"three"])
        self.large.file("a", pieces)
        self.lose(*pieces)
        (found,) = [one for one in self.check(repair=True).findings if one.code == "chunk-lost"]
        self.assertTrue(found.mended)
        self.assertEqual(6, result(self.fs.stat("a")).size)
        (later,) = self.lost()
        self.assertEqual(NOTE, later.severity)

    def test_no_version_of_which_chunks_are_lost(self) -> None:
        """An older one with a hole is passed over for one that is whole."""
        whole = self.large.put("a", b"one")
        holes = self.large.chunks([b"two", b"three"])
        self.large.file("a", [holes[0]])
        self.large.file("a", [holes[1]])
        self.lose(*holes)
        self.check(repair=True)
        now = result(self.fs.stat("a"))
        self.assertEqual(3, now.size)
        self.assertNotEqual(whole, now.version)

    def test_none_that_is_whole(self) -> None:
        """Then nothing is done, and it stays damage."""
        pieces = self.large.chunks([b"one"])
        self.large.file("a", pieces)
        self.lose(*pieces)
        (found,) = self.lost(repair=True)
        self.assertEqual(("", False, DAMAGE), (found.remedy, found.mended, found.severity))


class RefillingTests(CheckCase):
    """``repair`` with local files."""

    def setUp(self) -> None:
        super().setUp()
        self.data = self.content()
        self.pieces = self.large.chunks(self.cut(self.data))
        self.assertGreater(len(self.pieces), 8)
        self.large.file("a", self.pieces)

    def write(self, name: str, data: bytes) -> Path:
        """A local file."""
        path = self.local / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def test_a_copy_of_the_file(self) -> None:
        """Lost chunks are stored again, and the next check has nothing to tell."""
        self.lose(*self.pieces[2:5])
        self.write("deep/below/copy", self.data)
        (found,) = self.lost(repair=True, sources=self.local)
        self.assertEqual(("refill", True), (found.remedy, found.mended))
        self.assertEqual([], self.lost(read_data=100))

    def test_nothing_else_is_stored(self) -> None:
        """Chunks that are there, and files that nobody stored, are no reason to send anything."""
        self.lose(self.pieces[3])
        self.write("copy", self.data)
        self.write("other", self.content(seed=2))
        before = len(self.folder.shelf.messages)
        self.check(repair=True, sources=self.local)
        self.assertEqual(before + 1, len(self.folder.shelf.messages))

    def test_damaged_chunks(self) -> None:
        """They are stored again beside the damaged message, which stays."""
        self.damage(self.pieces[1])
        self.write("copy", self.data)
        self.assertEqual(1, len(self.lost(read_data=100)))
        self.check(repair=True, sources=self.local)
        self.assertEqual(2, len(self.large.places(self.pieces[1])))
        self.assertEqual(0, self.check(read_data=100).damaged)

    def test_another_version_of_the_file(self) -> None:
        """What has the lost part in common with it will do."""
        self.lose(self.pieces[-1])
        self.write("edited", b"an insertion" + self.data)
        self.check(repair=True, sources=self.local)
        self.assertEqual([], self.lost())

    def test_what_is_still_lost(self) -> None:
        """What no local file has is listed, with the bytes that are left."""
        self.lose(self.pieces[0], self.pieces[-1])
        self.write("first half", self.data[: len(self.data) // 2])
        (found,) = self.lost(repair=True, sources=self.local)
        start = sum(piece.length for piece in self.pieces[:-1])
        self.assertFalse(found.mended)
        self.assertIn(f"are lost: {start}-{len(self.data) - 1}.", found.text)

    def test_lost_lists_of_chunks(self) -> None:
        """They are made anew of the local file, and then what they name is looked for."""
        rows = [self.pieces[:256], self.pieces[256:]]
        data = self.content(length=80_000, seed=3)
        pieces = self.large.chunks(self.cut(data))
        self.assertGreater(len(pieces), 256)
        rows = [pieces[start : start + 256] for start in range(0, len(pieces), 256)]
        lower = [self.large.below(row) for row in rows]
        self.large.file("b", lower, depth=1)
        self.lose(lower[0], pieces[7], pieces[-1])
        self.write("copy", data)
        self.check(repair=True, sources=self.local)
        self.assertEqual({}, dict(self.check(read_data=100).counts()))

    def test_one_file(self) -> None:
        """It need not be a directory."""
        self.lose(self.pieces[0])
        self.check(repair=True, sources=self.write("copy", self.data))
        self.assertEqual([], self.lost())

    def test_links_are_not_followed(self) -> None:
        """What lies elsewhere was not named."""
        self.lose(self.pieces[0])
        elsewhere = Path(self.mktemp())
        elsewhere.mkdir()
        (elsewhere / "copy").write_bytes(self.data)
        (self.local / "link").symlink_to(elsewhere / "copy")
        (self.local / "directory").symlink_to(elsewhere)
        self.check(repair=True, sources=self.local)
        self.assertEqual(1, len(self.lost()))

    def test_what_is_no_file(self) -> None:
        """A pipe holds nothing up."""
        self.lose(self.pieces[0])
        os.mkfifo(self.local / "a pipe")
        self.write("copy", self.data)
        self.check(repair=True, sources=self.local)
        self.assertEqual([], self.lost())

    def test_before_an_older_version_is_restored(self) -> None:
        """What can be made whole again is not replaced by what was before it."""
        (new,) = self.large.chunks([b"new content"])
        vid = self.large.file("a", [new])
        self.lose(new)
        self.write("copy", b"new content")
        self.check(repair=True, sources=self.local)
        self.assertEqual(vid, result(self.fs.stat("a")).version)

    def test_without_a_repair(self) -> None:
        """It is an error: a check changes nothing."""
        self.assertRaises(CallerError, self.check, sources=self.local)

    def test_where_there_is_nothing(self) -> None:
        """A directory that is not there is told."""
        self.lose(self.pieces[0])
        self.assertRaises(CallerError, self.check, repair=True, sources=self.local / "nowhere")

    def test_a_file_that_cannot_be_read(self) -> None:
        """It is told, and holds the others not up."""
        self.fs = self.folder.device(options=Options(cutting=SMALL), worker=Vanishing())
        self.lose(self.pieces[0])
        self.write("a", self.data)
        self.write("b", self.data)
        found = self.check(repair=True, sources=self.local)
        self.assertEqual({"chunk-lost": 1, "not-readable-now": 1}, dict(found.counts()))
        self.assertEqual(1, found.mended)

    def test_a_directory_that_cannot_be_read(self) -> None:
        """It is told, too: what is missing may lie there."""
        self.lose(self.pieces[0])
        self.write("a", self.data)
        self.addCleanup(shutil.rmtree, self.local)  # other ways to remove it go by paths
        below = os.open(self.local, os.O_RDONLY)
        for _ in range(20):  # too deep for any path
            os.mkdir("d" * 250, dir_fd=below)
            above, below = below, os.open("d" * 250, os.O_RDONLY, dir_fd=below)
            os.close(above)
        os.close(below)
        found = self.check(repair=True, sources=self.local)
        self.assertEqual({"chunk-lost": 1, "not-readable-now": 1}, dict(found.counts()))
        self.assertEqual(1, found.mended)
