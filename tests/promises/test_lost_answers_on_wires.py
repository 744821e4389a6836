"""Lost answers through the real driver: each put is one version, in each way of sending it (FORMAT 4.2; bar R3).

This is a sample of the campaign ``tests.campaigns.answers``.
"""

from __future__ import annotations

from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.filesystem.filesystem import Filesystem
from tests.campaigns import answers
from tests.campaigns.answers import DROPS_KNOWN, MULTIAPPEND, PIPELINE, POOR, SYNCHRONISING, WAYS, Losing, case

ANSWERS = 60
"""Lost answers in each way of sending."""


class LostAnswersTests(SynchronousTestCase):
    """The connection breaks before the answer; the message was stored, was not, or comes up to a minute later."""

    def check(self, way: str) -> Losing:
        """As many lost answers as shall be."""
        losing = Losing(way, 0)
        losing.run(ANSWERS)
        self.assertEqual(losing.wrong, [])
        self.assertEqual(losing.counts[f"answers lost: {way}"], ANSWERS)
        self.assertGreaterEqual(losing.counts["puts stored"], ANSWERS)
        return losing

    def test_with_synchronising_literals(self) -> None:
        """A server that has to agree before a message is sent."""
        self.check(SYNCHRONISING)

    def test_with_literals_that_do_not_wait(self) -> None:
        """LITERAL+, three puts in a pipeline."""
        self.check(PIPELINE)

    def test_several_in_one_command(self) -> None:
        """MULTIAPPEND: three messages and one answer."""
        self.check(MULTIAPPEND)

    def test_without_uidplus(self) -> None:
        """No answer names a place, and SEARCH is up to a minute late."""
        self.check(POOR)

    def test_on_a_server_that_takes_no_message_twice(self) -> None:
        """What is sent again is dropped, and success is answered."""
        self.assertTrue(self.check(DROPS_KNOWN).counts["known messages dropped"])


class CampaignTests(SynchronousTestCase):
    """The campaign itself."""

    def test_each_way_in_turn(self) -> None:
        """So many cases as there are ways have each of them."""
        with patch.object(answers, "ANSWERS", 1):
            ways = [
                name for number in range(len(WAYS)) for name in case(number)[0] if name.startswith("answers lost: ")
            ]
        self.assertEqual(ways, [f"answers lost: {way}" for way in WAYS])

    def test_planted(self) -> None:
        """A device that, when it does not know, writes once more is found."""
        put = Filesystem.put

        def twice(filesystem: Filesystem, path: str, content: bytes) -> object:
            return put(filesystem, path, content).addCallback(lambda _entry: put(filesystem, path, content))

        losing = Losing(SYNCHRONISING, 1)
        with patch.object(Filesystem, "put", twice):
            losing.run(2)
        self.assertEqual(len(losing.wrong), 1)
        self.assertIn("or something twice", losing.wrong[0])
