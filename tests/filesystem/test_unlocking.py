"""Slots in any number: what opening a folder with a passphrase may cost (FORMAT 8.4)."""

from __future__ import annotations

from ifap_twisted.core import limits
from ifap_twisted.core.derivation import Derivation
from ifap_twisted.core.slots import PASSPHRASE, Unwrapped, wrap
from ifap_twisted.errors import WrongKey
from ifap_twisted.filesystem import unlocking
from ifap_twisted.filesystem.opening import Membership
from tests.core.strategies import fixed_random
from tests.filesystem.folders import KEY
from tests.filesystem.test_key_slots import SlotCase, by_passphrase, forged


class ManySlotsTests(SlotCase):
    """Whoever can append puts slots there that are well made, each with a salt of its own."""

    def test_a_bounded_number_is_tried(self) -> None:
        """The newest so many are fetched and derived, one after the other, and then it is told that none opens."""
        held = Unwrapped(keys=(KEY,), home="AAECAwQF", generation=9, dialect="ifap")
        for number in range(limits.SLOTS_TRIED + 36):
            how = Derivation(salt=b"%016d" % number, memory=limits.KDF_MEMORY_LEAST, passes=2, lanes=1)
            slot = wrap(held, PASSPHRASE, b"p", how=how, random=fixed_random, derive=lambda _secret, _how: b"d" * 32)
            self.folder.shelf.add(forged(content=slot.encode()))
        derived: list[Derivation] = []

        def counted(_secret: bytes, how: Derivation) -> bytes:
            derived.append(how)
            return b"e" * 32

        self.patch(unlocking, "argon2id", counted)
        store = self.folder.store()
        fetched: list[int] = []
        message = store.message
        store.message = lambda uid: fetched.append(uid) or message(uid)  # type: ignore[method-assign,func-returns-value]
        self.assertRaises(WrongKey, self.open, Membership(unlock=by_passphrase()), store=store)
        newest = sorted(self.folder.shelf.messages, reverse=True)[: limits.SLOTS_TRIED]
        self.assertEqual((newest, limits.SLOTS_TRIED), (fetched, len(set(derived))))
