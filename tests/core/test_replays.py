"""What was seen to be older than the newest message of a reference program (FORMAT 9.1)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.marks import Mark
from ifap_twisted.core.replays import Seen, in_front, older_than
from ifap_twisted.core.values import Version


def saved(name: str, uid: int, **facts: Any) -> Placed:
    """By a reference program."""
    facts = {"ours": False, "encrypted": True, **facts}
    version = Version(path="a", vid=name, sealed_id=name, length=0, size=0, modified=0.0, **facts)
    return Placed(version, (uid,) if uid else (), 0.5)


class ReplayTests(SynchronousTestCase):
    """Marks of a file that a reference program saves."""

    def seen(self, *placed: Placed, before: tuple[Seen, ...] = ()) -> tuple[Seen, ...]:
        """What is kept when these are there."""
        history = History(placed)
        heads = history.heads
        return Seen.of([Mark(one.version, one.rank, 1, 0.0, older_than(one, history, before)) for one in heads])

    def test_the_older_ones_are_remembered(self) -> None:
        """In their order, also when they are gone, up to a number."""
        seen = self.seen(saved("1", 1), saved("2", 2), saved("3", 3))
        self.assertEqual(seen[0].below, ("1", "2"))
        seen = self.seen(saved("4", 4), before=seen)
        self.assertEqual(seen[0].below, ("1", "2", "3"))
        many = self.seen(*(saved(str(uid), uid) for uid in range(1, 200)))
        self.assertEqual(many[0].below, tuple(str(uid) for uid in range(199 - limits.MARKED_BELOW, 199)))

    def test_of_ours_and_of_what_is_in_clear_nothing_is(self) -> None:
        """One of ours says it itself; the ids of others that are not encrypted tell nothing apart."""
        ours = {"ours": True, "writer": "A", "clock": {"A": 1}, "parents": ("1",)}
        self.assertEqual(self.seen(saved("1", 1), saved("2", 2, **ours))[0].below, ())
        self.assertEqual(self.seen(saved("1", 1, encrypted=False), saved("2", 2, encrypted=False))[0].below, ())

    def test_an_old_one_in_front(self) -> None:
        """It is known, whether the newer one is there or not; one that is missing is told as such."""
        one, two = saved("1", 1), saved("2", 2)
        seen = self.seen(one, two)
        again = saved("1", 3)
        self.assertEqual(in_front(History([two, again]), seen), again)
        self.assertIsNone(in_front(History([one, two]), seen))
        self.assertIsNone(in_front(History([two, saved("3", 3)]), seen))
        self.assertEqual(in_front(History([again]), seen), again, "the newest is withheld besides")
        missing = two._replace(places=(), last=4.5)
        self.assertIsNone(in_front(History([one, missing]), seen), "that is missing, not replayed")
        self.assertIsNone(in_front(History([two, again]), ()))
