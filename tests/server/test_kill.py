"""What was acknowledged survives kill -9."""

from __future__ import annotations

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns import serverkills


class KillTests(SynchronousTestCase):
    """A sample of the campaign."""

    def test_acknowledged_messages_survive(self) -> None:
        """Killed while pipelined APPENDs are under way, again and again, every acknowledged message is there."""
        with mock.patch.object(serverkills, "KILLS", 4):
            counts, wrong = serverkills.case(4)
        self.assertEqual(wrong, [])
        self.assertEqual(counts["kills"], 4)
        self.assertGreater(counts["acknowledged"], 40)
