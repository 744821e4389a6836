"""Samples of the campaigns of large files: kills in the middle of a put, and writers that share chunks.

They run in processes of their own: one that has a reactor cannot be forked.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns.test_kills import run

PLANTED = """
from tests.campaigns import resuming
from ifap_twisted.filesystem.chunk_places import ChunkPlaces

ChunkPlaces.is_there = lambda _places, _name: False  # a writer that sends everything again
resuming.limits.UPLOAD_WINDOW = 1
resuming.SIZE = resuming.Size(mib=8)
resuming.ACCOUNTS = ("maildir",)
world = resuming.World(0)
world.random.randint = lambda _least, _most: 12
world.run()
print(world.wrong)
"""


class ResumingTests(SynchronousTestCase):
    """Small files, killed once each."""

    def test_sample(self) -> None:
        """What was there before, or the new file whole; and of its chunks few are sent twice."""
        done = run("-m", "tests.campaigns.resuming", "--mib", "12", "--count", "3")
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertRegex(done.stdout, "(?m)^kills: [1-3]$")

    def test_it_would_be_found(self) -> None:
        """A writer that does not see what arrived makes it fail."""
        done = run("-c", PLANTED)
        self.assertIn("bytes of chunks are there twice", done.stdout, done.stderr)


class SharingTests(SynchronousTestCase):
    """Two writers and a collector, for some seconds."""

    def test_sample(self) -> None:
        """Every version of every file can be read in the end, and collections went on all the time."""
        done = run("-m", "tests.campaigns.sharing", "--seconds", "10")
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        for what in ("collections", "put", "versions read in the end"):
            self.assertRegex(done.stdout, f"(?m)^{what}: [1-9]")
