"""A sample of the campaign of changes of the key, and that it would find what it looks for.

It runs in processes of its own: one that has a reactor cannot be forked.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns.test_kills import run

PLANTED = """
from tests.campaigns import rekeying
from ifap_twisted.filesystem import newer_keys

async def nothing(_slots, keys, *_more):
    return newer_keys.Followed(tuple(keys))

newer_keys.EarlierSlots.follow = nothing  # a client that does not look for the new key
rekeying.SIZE = rekeying.Size(files=3, kills=1)
rekeying.ACCOUNTS = ("maildir",)
print(rekeying.case(0)[1])
"""


class SampleTests(SynchronousTestCase):
    """Few files, killed a few times."""

    def test_sample(self) -> None:
        """No file is missed after any kill, and one key opens all at the end."""
        for seed in ("0", "1"):
            done = run(
                "-m", "tests.campaigns.rekeying", "--files", "12", "--kills", "3", "--count", "1", "--seed", seed
            )
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            self.assertNotIn("kills: 0", done.stdout)

    def test_it_would_be_found(self) -> None:
        """A client that does not find the new key makes it fail."""
        done = run("-c", PLANTED)
        self.assertIn("does not show the key slot", done.stdout + done.stderr)
