"""Secrets hide themselves."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

from hypothesis import given
from hypothesis import strategies as st
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.secrecy import Credentials, Secret

CANARY = "hunter2-canary-Zq9"


class SecretTests(SynchronousTestCase):
    """A password in a program."""

    def test_it_never_shows_itself(self) -> None:
        """No way of printing a secret, or what holds it, shows its text."""
        secret = Secret(CANARY)
        holder = Credentials("me", secret)
        shown = [
            repr(secret),
            str(secret),
            f"{secret}",
            f"{secret!r:>40}",
            "".join(["a", str(secret)]),
            repr(holder),
            repr([secret]),
        ]
        shown += [f"{secret:>20}", repr({"password": secret}), repr(vars(Failure(ValueError(secret))))]
        self.assertEqual([text for text in shown if CANARY in text], [])
        self.assertEqual(str(secret), "<secret>")

    def test_it_is_revealed_on_request(self) -> None:
        """Whoever says reveal gets the text, or its bytes."""
        self.assertEqual(Secret("grün").reveal(), "grün")
        self.assertEqual(Secret("grün").reveal_bytes(), "grün".encode())
        self.assertEqual(Secret(b"gr\xc3\xbcn").reveal(), "grün")

    def test_bytes_that_are_no_text(self) -> None:
        """Bytes that are not UTF-8 are given as bytes, and as text refused without being shown."""
        secret = Secret(CANARY.encode() + b"\xff")
        self.assertFalse(secret.is_text)
        self.assertEqual(secret.reveal_bytes()[-1:], b"\xff")
        error = self.assertRaises(ValueError, secret.reveal)
        self.assertNotIn(CANARY, "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error.args))
        self.assertIsNone(error.__context__)

    def test_text_with_a_lone_surrogate(self) -> None:
        """A text that cannot be UTF-8 is refused by an error that does not carry it."""
        error = self.assertRaises(ValueError, Secret, CANARY + "\ud800")
        self.assertNotIn(CANARY, repr(error.args))
        self.assertIsNone(error.__context__)

    def test_it_is_not_pickled(self) -> None:
        """A pickle would hold the text, so there is none."""
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            self.assertRaises(TypeError, pickle.dumps, Secret(CANARY), protocol)

    def test_it_is_not_json(self) -> None:
        """It cannot slip into a JSON object."""
        self.assertRaises(TypeError, json.dumps, {"password": Secret(CANARY)})

    def test_copies_are_itself(self) -> None:
        """Copying what holds a secret makes no second one."""
        secret = Secret(CANARY)
        self.assertIs(copy.copy(secret), secret)
        self.assertIs(copy.deepcopy([secret])[0], secret)

    @given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
    def test_equality(self, one: str, other: str) -> None:
        """Secrets are equal when their texts are, and never equal to a text."""
        self.assertEqual(Secret(one) == Secret(other), one == other)
        self.assertEqual(hash(Secret(one)), hash(Secret(one.encode())))
        self.assertNotEqual(Secret(one), one)
