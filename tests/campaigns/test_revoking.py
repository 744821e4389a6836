"""A sample of the campaign of revocations, and that it would find what it looks for.

It runs in processes of its own: one that has a reactor cannot be forked.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns.test_kills import run

PLANTED = """
from tests.campaigns import rekeying, revoking
from ifap_twisted.core.revocations import Revocation

Revocation.refuses = lambda self, fingerprint, sealed_id: fingerprint in self.keys  # the record is overlooked
from ifap_twisted.filesystem.resealing import Resealing

async def nothing(self, names):
    pass

Resealing.run = nothing
rekeying.SIZE.files, rekeying.SIZE.kills = 3, 1
rekeying.ACCOUNTS = ("maildir",)
print(revoking.case(0)[1])
"""


class SampleTests(SynchronousTestCase):
    """Few files, killed a few times."""

    def test_sample(self) -> None:
        """No file is missed after any kill, and the new key opens all at the end."""
        for seed in ("0", "1"):
            done = run(
                "-m", "tests.campaigns.revoking", "--files", "12", "--kills", "3", "--count", "1", "--seed", seed
            )
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            self.assertNotIn("kills: 0", done.stdout)

    def test_it_would_be_found(self) -> None:
        """A client that takes everything under a revoked key for late makes it fail."""
        done = run("-c", PLANTED)
        self.assertIn("set aside", done.stdout + done.stderr)
