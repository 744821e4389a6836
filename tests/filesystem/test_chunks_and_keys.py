"""Chunks of a folder of which the key is changed or revoked: FORMAT 7.1, 8.5."""

from __future__ import annotations

from ifap_twisted.filesystem.filesystem import Filesystem
from tests.filesystem.folders import KEY, result
from tests.filesystem.large import LargeFiles
from tests.filesystem.test_revoking import RevokingCase, deaf

CONTENT = b"one" + b"two" * 50


class KeyCase(RevokingCase):
    """With a large file that has a list of lists of chunks."""

    def setUp(self) -> None:
        super().setUp()
        self.large = LargeFiles(self.folder, self.first.filesystem)
        pieces = self.large.chunks([CONTENT[:3], CONTENT[3:]])
        self.large.file("large", [self.large.below([piece]) for piece in pieces], depth=1)
        self.folder.clock.advance(3600)
        result(self.first.filesystem.refresh())

    def assert_whole(self, fs: Filesystem) -> None:
        """The file can be read, and nothing of it is lost."""
        self.assertEqual(CONTENT, result(fs.get("large")))
        counts = result(fs.check(read_data=100)).counts()
        self.assertFalse({"chunk-lost", "chunks-kept"} & set(counts), counts)


class RekeyedTests(KeyCase):
    """After a change of the key."""

    def test_it_is_under_the_new_key(self) -> None:
        """The new key alone opens lists and chunks, when the copies under the former one are gone."""
        done = self.rekey()
        self.assertEqual({}, dict(done.failed))
        self.over()
        self.assertNotEqual(KEY, self.newest())
        self.assert_whole(self.alone())
        self.assert_whole(self.first.filesystem)

    def test_nothing_of_it_is_collected(self) -> None:
        """Neither while there are two copies, nor later."""
        self.rekey()
        for _ in range(4):
            self.over()
        self.assert_whole(self.alone())


class RevokedTests(KeyCase):
    """After a key was revoked."""

    def test_what_was_there_stays_usable(self) -> None:
        """It was there before: its chunks count, are sealed anew, and nothing of them is collected."""
        self.revoke()
        self.assert_whole(self.first.filesystem)
        for _ in range(3):
            self.over()
        self.assert_whole(self.alone())

    def test_what_came_late_needs_its_chunks(self) -> None:
        """A file that was set aside, and may be taken over yet, keeps those that are there."""
        piece = self.large.chunk(b"of nobody else")
        late = LargeFiles(self.folder, deaf(self.folder.device()))
        result(self.first.filesystem.refresh())
        self.revoke()
        result(self.first.filesystem.refresh())
        late.file("late", [piece])
        fs = self.first.filesystem
        result(fs.refresh())
        self.assertIn("late", [version.path for version in fs.desk.view.late.values()])
        for _ in range(4):
            self.later()
            self.over()
        self.assertTrue(fs.desk.view.index.history(f"IFAP/chunks/{piece.name}"))

    def test_what_came_late_can_be_taken_over(self) -> None:
        """A file that was set aside is shown by its version and taken over, though its chunks came late as well."""
        late = LargeFiles(self.folder, deaf(self.folder.device()))
        result(self.first.filesystem.refresh())
        self.revoke()
        fs = self.first.filesystem
        result(fs.refresh())
        pieces = late.chunks([b"all of ", b"this is late"])
        version = late.file("late", [late.below([piece]) for piece in pieces], depth=1)
        result(fs.refresh())
        self.assertEqual(b"all of this is late", result(fs.get("late", version=version)))
        result(fs.restore("late", version=version))
        self.assertEqual(b"all of this is late", result(self.alone().get("late")))
