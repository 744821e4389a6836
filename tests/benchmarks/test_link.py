"""How the line to the server counts round trips."""

from __future__ import annotations

from benchmarks.link import Counts
from twisted.trial.unittest import SynchronousTestCase


class CountsTests(SynchronousTestCase):
    """A round trip is a question that waited for an answer."""

    def setUp(self) -> None:
        """Nobody has said anything."""
        self.counts = Counts()

    def ask(self, text: bytes = b"a NOOP\r\n") -> None:
        """The client says something, and the server hears it at once."""
        self.counts.client_says(text)()

    def answer(self) -> None:
        """The server says something, and the client hears it at once."""
        self.counts.server_says(b"a OK\r\n")()

    def test_one_after_the_other(self) -> None:
        """Three questions, each after the answer to the one before, are three round trips."""
        for _ in range(3):
            self.ask()
            self.answer()
        self.assertEqual(3, self.counts.told)

    def test_pipelined(self) -> None:
        """Three questions before any answer are one, however many answers come."""
        for _ in range(3):
            self.ask()
        for _ in range(3):
            self.answer()
        self.assertEqual(1, self.counts.told)

    def test_under_way(self) -> None:
        """What was said before the answer arrived did not wait for it, though the answer was under way by then."""
        self.ask()
        arrives = self.counts.server_says(b"a OK\r\n")
        self.ask()
        arrives()
        self.answer()
        self.assertEqual(1, self.counts.told)

    def test_after_the_login(self) -> None:
        """The login and what came before it can be left out."""
        self.answer()
        self.ask(b"a CAPABILITY\r\n")
        self.answer()
        self.ask(b'b LOGIN "user" "secret"\r\n')
        self.answer()
        self.ask()
        self.answer()
        self.assertEqual(1, self.counts.told - self.counts.login)
