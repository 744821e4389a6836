"""JSON that every reader understands alike."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.strictjson import check_json, strict_json
from tests.core.strategies import json_values


class StrictTests(SynchronousTestCase):
    """Reading."""

    @given(json_values)
    def test_there_and_back(self, value: object) -> None:
        """Whatever is carried along is read back, types included."""
        found = strict_json(json.dumps(value))
        check_json(found)
        self.assertEqual(repr(found), repr(json.loads(json.dumps(value))))

    def test_refused(self) -> None:
        """Duplicate keys at any depth, NaN, infinities and bad syntax are refused."""
        for text in ('{"a":1,"a":1}', '[{"b":{"a":1,"a":2}}]', "NaN", "[-Infinity]", "{", "", "1 2", '"\n"', "[1,]"):
            self.assertRaises(ValueError, strict_json, text)

    def test_bombs(self) -> None:
        """Thousands of brackets and integers of thousands of digits are refused, not crashed on."""
        for text in ("[" * 100_000, '{"a":' * 50_000, "[" * 100_000 + "]" * 100_000, "9" * 10_000):
            self.assertRaises(ValueError, strict_json, text)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Any text is JSON or refused."""
        try:
            strict_json(text)
        except ValueError:
            return
        json.loads(text)


class CheckTests(SynchronousTestCase):
    """Bounds of values."""

    def test_numbers(self) -> None:
        """Integers of more than 64 bits and floats that are not finite are refused, wherever they are."""
        check_json([2**63 - 1, -(2**63) + 1, 1e308, True, None])
        for value in (2**63, -(2**63), float("inf"), float("nan")):
            self.assertRaises(ValueError, check_json, {"a": [{"b": value}]})

    def test_depth(self) -> None:
        """A value as deep as the bound is allowed, a deeper one refused."""
        check_json([[[1]]], depth=3)
        check_json({"a": {"b": {}}}, depth=3)
        self.assertRaises(ValueError, check_json, [[[[1]]]], depth=3)
        self.assertRaises(ValueError, check_json, [1], depth=0)
