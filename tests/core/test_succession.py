"""Which key follows which (FORMAT 8.4, 8.5)."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.derivation import Derivation
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import PREVIOUS, Slot, Unwrapped, earlier_secret, wrap
from ifap_twisted.core.succession import followed

_bytes = random.Random(0).randbytes


def slot(under: Key, *keys: Key, generation: int = 2, revoked: frozenset[str] = frozenset()) -> Slot:
    """One under a key, that holds others."""
    held = Unwrapped(keys=keys, home="AAAAAAAA", generation=generation, dialect="ifap", revoked=revoked)
    how = Derivation.draw(_bytes, stretched=False)
    return wrap(held, PREVIOUS, earlier_secret(under), how=how, random=_bytes)


def key(number: int) -> Key:
    return Key.from_text(f"key {number}")


class SuccessionTests(SynchronousTestCase):
    """From the keys that are known to all."""

    def test_one_change(self) -> None:
        """Who has either key has both, the newer first."""
        old, new = key(1), key(2)
        slots = [slot(new, new, old), slot(old, new, old)]
        for keys in ((old,), (new,), (old, new)):
            self.assertEqual(followed(slots, keys)[:2], ((new, old), 2))

    def test_never_back(self) -> None:
        """Who has the newest stays with it, whichever slots are there."""
        old, mid, new = key(1), key(2), key(3)
        slots = [slot(old, mid, old), slot(mid, new, mid, old, generation=3)]
        for some in ([], slots, slots[:1], slots[1:]):
            self.assertEqual(followed(some, (new, mid, old)).keys[0], new)
        self.assertEqual(followed(slots, (old,))[:2], ((new, mid, old), 3))

    def test_two_at_once(self) -> None:
        """The first slot counts for whoever has the key before; everybody has both to read with."""
        old, one, two = key(1), key(2), key(3)
        slots = [slot(one, one, old), slot(old, one, old), slot(two, two, old), slot(old, two, old)]
        self.assertEqual(followed(slots, (old,)).keys, (one, old, two))
        self.assertEqual(followed(slots, (one, old)).keys, (one, old, two))
        self.assertEqual(followed(slots, (two, old)).keys, (two, old, one))
        self.assertEqual(followed([*slots[2:], *slots[:2]], (old,)).keys, (two, old, one))

    def test_a_bounded_number_of_keys(self) -> None:
        """What a slot names beyond is left out."""
        old = key(0)
        found = followed([slot(old, *(key(number) for number in range(1, 1000)))], (old,))
        self.assertEqual(len(found.keys), 1000)
        more = [slot(old, *(key(number + 1000 * part) for number in range(1, 900))) for part in range(3)]
        self.assertEqual(len(followed(more, (old,)).keys), limits.KEYS_FOLLOWED)

    @given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 15))), max_size=8), st.randoms())
    def test_nobody_writes_what_others_do_not_find(
        self, changes: list[tuple[int, set[int]]], shuffling: random.Random
    ) -> None:
        """Devices change the key, each seeing some slots only: when all are seen, in any order, all have all keys."""
        first = key(0)
        devices = [[first] for _ in range(4)]
        slots: list[Slot] = []
        for number, (device, hidden) in enumerate(changes, 1):
            seen = [one for place, one in enumerate(slots) if place not in hidden]
            before = followed(seen, devices[device]).keys
            new = key(number)
            slots += [slot(new, new, *before), slot(before[0], new, *before)]
            devices[device] = [new, *before]
        shuffling.shuffle(slots)
        found = [followed(slots, keys) for keys in devices]
        self.assertEqual({frozenset(one.keys) for one in found}, {frozenset(map(key, range(len(changes) + 1)))})


class RevokedTests(SynchronousTestCase):
    """Keys that count no more lead nowhere."""

    def test_told_by_a_slot(self) -> None:
        """Whoever has the new key finds the former one with it, and opens no slot with that, in any order."""
        old, new, strange = key(1), key(2), key(3)
        told = frozenset({old.fingerprint})
        slots = [slot(new, new, old, revoked=told), slot(old, strange, old, generation=9)]
        for some in (slots, slots[::-1]):
            for keys in ((new,), (new, old)):
                self.assertEqual(followed(some, keys), ((new, old), 2, told))

    def test_known_before(self) -> None:
        """Also where the slot that says so is hidden."""
        old, new, strange = key(1), key(2), key(3)
        told = frozenset({old.fingerprint})
        self.assertEqual(followed([slot(old, strange)], (new, old), told), ((new, old), 0, told))

    def test_never_a_newer_one(self) -> None:
        """A slot revokes no key that led to it, and not the newest."""
        old, new = key(1), key(2)
        lie = slot(old, old, revoked=frozenset({new.fingerprint, old.fingerprint}))
        found = followed([slot(new, new, old), lie], (new, old))
        self.assertEqual((found.keys, found.revoked), ((new, old), frozenset()))
