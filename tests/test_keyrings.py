"""The passphrase in a keyring: asked for, kept, forgotten; every way in which a keyring can fail."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.accounts import parse_account
from ifap_twisted.errors import BadSettings, IFAPError, PassphraseRequired
from ifap_twisted.keyrings import SERVICE, Keyring, keyring_of
from ifap_twisted.secrecy import Secret
from ifap_twisted.settings import Settings

WORD = "vier Gurken tanzen am Kanal"


class FakeBackend:
    """A keyring in memory, which fails on order.

    :ivar failure: raised instead of doing anything.
    """

    priority = 5

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.failure: Exception | None = None

    def _pass(self) -> None:
        if self.failure is not None:
            raise self.failure

    def get_password(self, service: str, username: str) -> str | None:
        self._pass()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._pass()
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._pass()
        del self.entries[service, username]


def settings(**more: Any) -> Settings:
    return Settings(**{"account": parse_account("imaps://me@imap.example.org"), "basedir": "/b", **more})


class KeyringTests(SynchronousTestCase):
    """One entry."""

    def setUp(self) -> None:
        self.backend = FakeBackend()
        self.keyring = Keyring(settings(), self.backend)

    def refused(self, kind: type[IFAPError], work: Callable[[], object]) -> str:
        """What the error says; the passphrase is not in it, nor in what led to it."""
        error = self.assertRaises(kind, work)
        self.assertTrue(error.__context__ is None or (error.__cause__ is None and error.__suppress_context__))
        self.assertNotIn(WORD, f"{error!r} {error.detail} {vars(error)}")
        return error.detail

    def test_kept_and_found_and_forgotten(self) -> None:
        """What is kept is found until it is forgotten."""
        self.assertIsNone(self.keyring.find())
        self.keyring.keep(Secret(WORD))
        self.assertEqual(self.keyring.find(), Secret(WORD))
        self.assertEqual((self.keyring.forget(), self.keyring.find(), self.keyring.forget()), (True, None, False))

    def test_one_entry_for_each_device(self) -> None:
        """Another account, folder or basedir has another entry, of a name that people can read."""
        self.keyring.keep(Secret(WORD))
        for other in (
            settings(account=parse_account("imaps://you@imap.example.org")),
            settings(folder="OTHER"),
            settings(basedir="/c"),
            settings(basedir=None),
        ):
            self.assertIsNone(Keyring(other, self.backend).find())
        self.assertEqual(list(self.backend.entries), [(SERVICE, "imaps://me@imap.example.org IFAP_DATA in /b")])

    def test_only_where_it_is_asked_for(self) -> None:
        """Without the setting there is none."""
        self.assertIsNone(keyring_of(settings(), self.backend))
        self.assertIsNotNone(keyring_of(settings(keyring=True), self.backend))

    def test_failures(self) -> None:
        """A keyring that is locked, or fails otherwise, is told by kind; what it says is not repeated."""
        self.backend.failure = RuntimeError(f"cannot store {WORD}")
        self.assertIn("RuntimeError", self.refused(PassphraseRequired, self.keyring.find))
        self.assertIn("did not keep", self.refused(BadSettings, lambda: self.keyring.keep(Secret(WORD))))
        self.assertIn("did not remove", self.refused(BadSettings, self.keyring.forget))

    def test_no_answer(self) -> None:
        """One that waits for a person is not waited for without end, and its thread keeps no process from ending."""
        go = threading.Event()
        self.addCleanup(go.set)
        self.backend.get_password = lambda *_names: go.wait() and None  # type: ignore[method-assign]
        keyring = Keyring(settings(), self.backend, seconds=0.01)
        self.assertIn("no answer within 0.01 seconds", self.refused(PassphraseRequired, keyring.find))
        self.assertEqual({one.daemon for one in threading.enumerate() if one.name == "ifap-keyring"}, {True})

    def test_one_that_forgets(self) -> None:
        """What is kept is read back: a keyring that takes everything and keeps nothing is found out."""
        self.backend.set_password = lambda *_entry: None  # type: ignore[method-assign]
        self.refused(BadSettings, lambda: self.keyring.keep(Secret(WORD)))

    def test_odd_answers(self) -> None:
        """What is no text, or an empty one, is no passphrase."""
        for odd in ("", 7, b"bytes"):
            self.backend.get_password = lambda *_names, odd=odd: odd  # type: ignore[method-assign, misc]
            self.assertIsNone(self.keyring.find())

    def test_one_that_protects_nothing(self) -> None:
        """A backend that the package keyring itself does not recommend is not used: it writes secrets in the open."""
        self.backend.priority = 0.5  # type: ignore[assignment]
        for work in (self.keyring.find, lambda: self.keyring.keep(Secret(WORD)), self.keyring.forget):
            self.assertIn("no keyring on this system that protects", self.refused(BadSettings, work))
        self.assertEqual(self.backend.entries, {})


class SystemTests(SynchronousTestCase):
    """The keyring of the system, through the package keyring."""

    def install(self, module: ModuleType | None) -> None:
        """Make the package be this one; None: it is not installed."""
        before = sys.modules.get("keyring")
        self.addCleanup(lambda: sys.modules.pop("keyring") if before is None else sys.modules.update(keyring=before))
        sys.modules["keyring"] = module  # type: ignore[assignment]

    def test_not_installed(self) -> None:
        """It is told what to install."""
        self.install(None)
        error = self.assertRaises(BadSettings, Keyring(settings()).find)
        self.assertIn("pip install 'ifap-twisted[keyring]'", error.detail)

    def test_installed(self) -> None:
        """The backend that the package chooses is the one that is used."""
        module, backend = ModuleType("keyring"), FakeBackend()
        module.get_keyring = lambda: backend  # type: ignore[attr-defined]
        self.install(module)
        Keyring(settings()).keep(Secret(WORD))
        self.assertEqual(list(backend.entries.values()), [WORD])

    def test_none_can_be_chosen(self) -> None:
        """A package that fails is told like a keyring that fails."""
        module = ModuleType("keyring")  # has no get_keyring
        self.install(module)
        error = self.assertRaises(BadSettings, Keyring(settings()).find)
        self.assertIn("cannot be used (AttributeError)", error.detail)
