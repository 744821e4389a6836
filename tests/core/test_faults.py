"""Messages with what is wrong with them, as a device keeps them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.faults import Faults
from ifap_twisted.core.marks import Facts, decode_facts, encode_facts

WRONG = st.frozensets(st.tuples(st.integers(0, 2**32), st.sampled_from(["truncated", "spliced", "plaintext"])))


class FaultsTests(SynchronousTestCase):
    """Messages with what is wrong there."""

    @given(st.integers(1, 2**32), WRONG)
    def test_kept(self, validity: int, wrong: frozenset[tuple[int, str]]) -> None:
        """It comes back as it was, beside the other facts."""
        aside = Faults(validity, wrong)
        found = decode_facts(encode_facts(Facts(5.0, 4.0, aside)))
        self.assertEqual((found.confirmed, found.begun_anew, found.aside.wrong), (5.0, 4.0, wrong))
        self.assertEqual(found.aside.under(validity), wrong)
        self.assertEqual(found.aside.under(validity + 1), frozenset())

    def test_none(self) -> None:
        """Facts of before say nothing of it."""
        self.assertEqual(decode_facts(b'{"v":1,"confirmed":5.0,"begun_anew":null}').aside, Faults())

    def test_odd(self) -> None:
        """Another shape is refused, and so is more than is ever kept."""
        many = list(range(limits.FAULTS + 1))
        shapes: list[Any] = [[], 1, {}, {"validity": 1}, {"validity": True, "codes": {}}, {"validity": 1, "codes": []}]
        shapes += [{"validity": 1, "codes": {"x": uids}} for uids in (None, 1, ["1"], [True], [[1]], [{}], many)]
        for shape in shapes:
            self.assertRaises(ValueError, Faults.from_json, shape)
