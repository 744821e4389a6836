"""Plan objects: FORMAT 5.3."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.plans import Plan, Planned, Standing, standing
from ifap_twisted.errors import Malformed
from tests.core.strategies import json_values

uids = st.integers(1, 2**32 - 1)
vids = st.text(alphabet="ABCabc012_-", min_size=22, max_size=22)
planned = st.builds(Planned, uids, vids, st.sampled_from(["old", "removed", "superseded"]))
plans = st.builds(
    Plan,
    uidvalidity=uids,
    collect=st.lists(planned, max_size=4).map(tuple),
    keep=st.lists(planned, max_size=4).map(tuple),
)

VID, OTHER = "v" * 22, "w" * 22
GOOD: dict[str, Any] = {"v": 1, "uidvalidity": 7, "collect": [[1, VID, "old"]], "keep": []}


def packed(value: Any) -> bytes:
    return json.dumps(value).encode()


class PlanTests(SynchronousTestCase):
    """Writing and reading."""

    @given(plans)
    def test_there_and_back(self, plan: Plan) -> None:
        """A plan comes back as it was, and is written in one way only."""
        self.assertEqual(plan, Plan.decode(plan.encode()))
        self.assertEqual(plan.encode(), Plan.decode(plan.encode()).encode())

    @given(json_values | st.dictionaries(st.sampled_from(sorted(GOOD)), json_values))
    def test_odd_ones_are_refused(self, value: Any) -> None:
        """Whatever JSON it is: a plan, or refused in one way."""
        try:
            Plan.decode(packed(value))
        except Malformed:
            return
        self.assertLessEqual(set(GOOD), set(value))

    @given(st.binary(max_size=64))
    def test_noise_is_refused(self, content: bytes) -> None:
        """Bytes that are no plan are refused in one way."""
        self.assertRaises(Malformed, Plan.decode, content)

    def test_each_fault_is_refused(self) -> None:
        """One wrong value anywhere spoils a plan; a key that is not known does not."""
        faults: list[dict[str, Any]] = [
            {"v": 2},
            {"v": True},
            {"v": 1.0},
            {"uidvalidity": 0},
            {"uidvalidity": True},
            {"uidvalidity": 2**32},
            {"collect": [[0, VID, "old"]]},
            {"collect": [[1, "short", "old"]]},
            {"collect": [[1, VID, "No Word"]]},
            {"collect": [[1, VID]]},
            {"keep": [[1.0, VID, "old"]]},
            {"keep": {}},
        ]
        for fault in faults:
            self.assertRaises(Malformed, Plan.decode, packed(GOOD | fault))
        self.assertEqual(7, Plan.decode(packed(GOOD | {"later": 1})).uidvalidity)

    def test_bounds(self) -> None:
        """Too many entries, or too long a text, are refused."""
        many = [[1, VID, "old"]] * (limits.PLAN_ENTRIES // 2 + 1)
        self.assertRaises(Malformed, Plan.decode, packed(GOOD | {"collect": many, "keep": many}))
        self.assertRaises(Malformed, Plan.decode, b" " * (limits.PLAN_BYTES + 1))

    def test_the_largest_fits(self) -> None:
        """A plan of as many entries as there may be is within the bound of its length."""
        most = Planned(2**32 - 1, VID, "x" * 32)
        content = Plan(uidvalidity=2**32 - 1, collect=(most,) * limits.PLAN_ENTRIES).encode()
        self.assertEqual(limits.PLAN_ENTRIES, len(Plan.decode(content).collect))


class StandingTests(SynchronousTestCase):
    """What several plans say together."""

    def of(self, *plans: Plan | None) -> Any:
        """The plans lie at UIDs 11, 12, ... with dates 100, 200, ..."""
        return standing(
            reversed([(10 + number, 100.0 * number, plan) for number, plan in enumerate(plans, 1)]), uidvalidity=7
        )

    def plan(self, *collect: tuple[int, str], keep: tuple[tuple[int, str], ...] = (), uidvalidity: int = 7) -> Plan:
        """A plan of places."""
        entries = [tuple(Planned(uid, vid, "old") for uid, vid in some) for some in (collect, keep)]
        return Plan(uidvalidity=uidvalidity, collect=entries[0], keep=entries[1])

    def test_the_first_plan_counts(self) -> None:
        """A place that is planned again has been planned since the first time."""
        self.assertEqual({1: Standing(VID, "old", 100.0)}, dict(self.of(self.plan((1, VID)), self.plan((1, VID)))))

    def test_needed_again_begins_anew(self) -> None:
        """What was needed in between waits its whole grace again."""
        released = self.plan(keep=((1, VID),))
        self.assertEqual({}, dict(self.of(self.plan((1, VID)), released)))
        again = self.of(self.plan((1, VID)), released, self.plan((1, VID)))
        self.assertEqual({1: Standing(VID, "old", 300.0)}, dict(again))

    def test_another_version_at_the_place(self) -> None:
        """A plan speaks of one version at a place, and lets no other wait in its stead."""
        found = self.of(self.plan((1, VID)), self.plan((1, OTHER)), self.plan(keep=((1, VID),)))
        self.assertEqual({1: Standing(OTHER, "old", 200.0)}, dict(found))

    def test_one_that_cannot_be_read(self) -> None:
        """It may say that what was planned before is needed again: only what is planned after it waits already."""
        self.assertEqual({}, dict(self.of(self.plan((1, VID)), None)))
        again = self.of(self.plan((1, VID)), None, self.plan((1, VID)))
        self.assertEqual({1: Standing(VID, "old", 300.0)}, dict(again))

    def test_renumbering_voids_plans(self) -> None:
        """A plan of other numbers says nothing."""
        self.assertEqual({}, dict(self.of(self.plan((1, VID), uidvalidity=6))))
