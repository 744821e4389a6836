"""Tests of passwords."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.server.account import Account
from ifap_twisted.server.credentials import AccountRealm, make_verifier, verify
from ifap_twisted.server.interfaces import IMailAccount
from tests.server.conversation import CHEAP, ConversationTestCase


class VerifierTests(SynchronousTestCase):
    @settings(max_examples=20)
    @given(st.binary(), st.binary())
    def test_only_the_password(self, password, other) -> None:
        """The password fits its verifier, nothing else does, and the verifier does not hold it."""
        verifier = make_verifier(password, CHEAP)
        self.assertTrue(verify(password, verifier))
        self.assertEqual(verify(other, verifier), password == other)

    def test_strong(self) -> None:
        """Verifiers are salted, and made with 16 MiB unless asked otherwise."""
        first, second = make_verifier(b"secret"), make_verifier(b"secret")
        self.assertNotEqual(first, second)
        self.assertTrue(first.startswith("scrypt$14$8$1$"))
        self.assertNotIn("secret", first)
        self.assertTrue(verify(b"secret", first))


class RealmTests(ConversationTestCase):
    def test_account(self) -> None:
        """The realm gives accounts, and nothing else."""
        realm = AccountRealm(self.shelf)
        interface, account, _logout = self.successResultOf(realm.requestAvatar(b"me", None, IMailAccount))
        self.assertIs(interface, IMailAccount)
        self.assertIsInstance(account, Account)
        self.failureResultOf(realm.requestAvatar(b"me", None), NotImplementedError)
        self.failureResultOf(realm.requestAvatar((), None, IMailAccount), NotImplementedError)
