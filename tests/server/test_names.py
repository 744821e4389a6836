"""Tests of mailbox names and patterns."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import InvalidPath
from ifap_twisted.server.names import matches, parse_name, quoted


class NameTests(SynchronousTestCase):
    @given(st.binary(max_size=30))
    def test_anything(self, name) -> None:
        """Any bytes are a name or refused; a name is its own name, and can be quoted."""
        try:
            parsed = parse_name(name)
        except InvalidPath:
            return
        self.assertEqual(parse_name(parsed.encode()), parsed)
        self.assertNotIn(b"\r", quoted(parsed))

    def test_inbox(self) -> None:
        """INBOX has no case, also as a superior; a name that only begins like it has."""
        self.assertEqual(parse_name(b"inbox"), "INBOX")
        self.assertEqual(parse_name(b"Inbox/Sub"), "INBOX/Sub")
        self.assertEqual(parse_name(b"inboxes"), "inboxes")

    def test_quoted(self) -> None:
        """Quotes and backslashes are escaped."""
        self.assertEqual(quoted('a"\\'), b'"a\\"\\\\"')


class PatternTests(SynchronousTestCase):
    @given(st.text("ab/*%", max_size=8), st.text("ab/", max_size=8))
    def test_as_regular_expression(self, pattern, name) -> None:
        """Wildcards mean what the equivalent regular expression means."""
        expression = "".join({"*": ".*", "%": "[^/]*"}.get(each, re.escape(each)) for each in pattern)
        self.assertEqual(matches(pattern, name), re.fullmatch(expression, name) is not None)

    def test_many_wildcards(self) -> None:
        """A pattern made to be slow is not."""
        self.assertFalse(matches("*a" * 200 + "b", "a" * 1000))
