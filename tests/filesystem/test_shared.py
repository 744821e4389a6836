"""Values that many ask for are got once, and so many are kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.filesystem.shared import Shared


class SharedTests(SynchronousTestCase):
    """Values are texts, their weights are their lengths."""

    def setUp(self) -> None:
        """Room for ten bytes."""
        self.shared: Shared[str, str] = Shared(10, len)
        self.begun: list[Deferred[str]] = []
        self.cancelled = 0

    def get(self, key: str) -> Deferred[str]:
        """Ask for a value that comes when the test says so."""

        async def begin() -> str:
            self.begun.append(Deferred(self._cancelled))
            return await self.begun[-1]

        return self.shared.get(key, begin)

    def _cancelled(self, _work: Deferred[str]) -> None:
        self.cancelled += 1

    def put(self, key: str, value: str) -> None:
        """Let a value be kept."""
        work = self.get(key)
        self.begun[-1].callback(value)
        self.successResultOf(work)

    def test_two_who_ask_at_once_cause_one_fetch(self) -> None:
        """Both get the same value."""
        one, other = self.get("a"), self.get("a")
        self.begun[0].callback("x")
        self.assertEqual((self.successResultOf(one), self.successResultOf(other), len(self.begun)), ("x", "x", 1))

    def test_what_was_got_is_not_got_again(self) -> None:
        """While there is room for it."""
        self.put("a", "x")
        self.assertEqual((self.successResultOf(self.get("a")), len(self.begun)), ("x", 1))

    def test_who_gives_up_takes_nothing_from_others(self) -> None:
        """The fetch goes on for those who still wait."""
        one, other = self.get("a"), self.get("a")
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.begun[0].callback("x")
        self.assertEqual((self.successResultOf(other), self.cancelled), ("x", 0))

    def test_the_last_who_gives_up_stops_the_fetch(self) -> None:
        """Nobody waits for it."""
        for work in [self.get("a"), self.get("a")]:
            work.cancel()
            self.failureResultOf(work, CancelledError)
        self.assertEqual(self.cancelled, 1)

    def test_who_asks_after_all_gave_up_begins_anew(self) -> None:
        """What was stopped is not waited for."""
        given_up = self.get("a")
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        work = self.get("a")
        self.begun[1].callback("x")
        self.assertEqual(self.successResultOf(work), "x")

    def test_a_failure_is_told_to_all_and_not_kept(self) -> None:
        """Who asks next tries again."""
        one, other = self.get("a"), self.get("a")
        self.begun[0].errback(ValueError())
        self.failureResultOf(one, ValueError)
        self.failureResultOf(other, ValueError)
        self.put("a", "x")

    def test_the_one_asked_for_longest_ago_goes_first(self) -> None:
        """Being asked for again counts."""
        self.put("a", "1234")
        self.put("b", "1234")
        self.successResultOf(self.get("a"))
        self.put("c", "1234")
        before = len(self.begun)
        self.successResultOf(self.get("a"))
        self.assertNoResult(self.get("b"))
        self.assertEqual(len(self.begun), before + 1)

    def test_one_that_is_too_long_is_given_and_not_kept(self) -> None:
        """The others stay."""
        self.put("a", "1234")
        self.put("b", "x" * 11)
        self.assertEqual((self.successResultOf(self.get("a")), self.shared.held), ("1234", 4))
        self.assertNoResult(self.get("b"))

    @given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 12))))
    def test_what_is_kept_never_weighs_more_than_is_allowed(self, wanted: list[tuple[str, int]]) -> None:
        """Whatever is asked for, and ``held`` is what is kept."""
        shared: Shared[tuple[str, int], str] = Shared(10, len)

        async def begin(length: int) -> str:
            return "x" * length

        for key, length in wanted:
            self.assertEqual(len(self.successResultOf(shared.get((key, length), lambda n=length: begin(n)))), length)
            self.assertLessEqual(shared.held, 10)
        shared.clear()
        self.assertEqual(shared.held, 0)
