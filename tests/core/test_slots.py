"""Key slots: FORMAT 8.4."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.derivation import Derivation, argon2id
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import LOCAL, PASSPHRASE, PREVIOUS, RECOVERY, Slot, Unwrapped, wrap
from ifap_twisted.errors import DataError, IFAPError, Malformed, NewerVersionNeeded, TooLarge, WrongKey
from tests.core.strategies import fixed_random

KEYS = (Key.from_text("b1FuZ2xTT05rRzVuc2dkTHp3bGprZG5mZ3M4NzZzZGY="), Key.from_text("earlier"))
FOUND = Unwrapped(keys=KEYS, home="AAECAwQF", generation=1, dialect="ifap")
SECRET = b"correct horse battery staple"
CODE = bytes(range(32))
LEAST = Derivation(salt=b"s" * 16, memory=limits.KDF_MEMORY_LEAST, passes=limits.KDF_PASSES_LEAST, lanes=1)
KINDS = (PASSPHRASE, RECOVERY, PREVIOUS, LOCAL)


def quickly(secret: bytes, how: Derivation) -> bytes:
    """What stands for Argon2id where many slots are tried; it looks at what Argon2id looks at."""
    material = repr((secret, how)).encode()
    return Key.from_text(material.hex()).subkey("test")


def slot_of(kind: str, secret: bytes = SECRET, found: Unwrapped = FOUND) -> Slot:
    """A slot, made quickly."""
    how = Derivation.draw(fixed_random, stretched=kind not in (RECOVERY, PREVIOUS))
    return wrap(found, kind, secret, how=how, random=fixed_random, derive=quickly)


def changed(slot: Slot, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The content of a slot after a change to its JSON."""
    value = slot.to_json()
    change(value)
    return json.dumps(value).encode()


def never(_secret: bytes, _how: Derivation) -> bytes:
    """Nothing may be derived."""
    raise AssertionError("derived")


class SlotTests(SynchronousTestCase):
    """What is wrapped opens with its secret, and with nothing else."""

    def test_opens(self) -> None:
        """A slot of each kind gives keys, home, generation and dialect back."""
        for kind in KINDS:
            secret = CODE if kind in (RECOVERY, PREVIOUS) else SECRET
            slot = Slot.read(slot_of(kind, secret).encode())
            self.assertEqual((kind, FOUND.home, 1), (slot.kind, slot.home, slot.generation))
            self.assertEqual(FOUND, slot.unwrap(secret, quickly))

    def test_argon2id(self) -> None:
        """A new slot of a passphrase is stretched by Argon2id with 64 MiB, and opens by that alone."""
        how = Derivation.draw(fixed_random, stretched=True)
        self.assertEqual((65536, 3, 4), (how.memory, how.passes, how.lanes))
        self.assertEqual(fixed_random(16), how.salt, "as it was drawn")
        slot = Slot.read(wrap(FOUND, PASSPHRASE, SECRET, how=how, random=fixed_random).encode())
        self.assertEqual(FOUND, slot.unwrap(SECRET))
        self.assertRaises(WrongKey, slot.unwrap, SECRET, quickly)

    def test_known_answer(self) -> None:
        """Argon2id is that of the reference implementation's own tests (m=65536, t=2, p=1)."""
        found = argon2id(b"password", Derivation(salt=b"somesalt", memory=65536, passes=2, lanes=1))
        self.assertEqual("09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7", found.hex())

    @given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40), st.sampled_from(KINDS))
    def test_another_secret(self, one: bytes, other: bytes, kind: str) -> None:
        """Another secret is a wrong key."""
        slot = slot_of(kind, one)
        if one == other:
            self.assertEqual(FOUND, slot.unwrap(other, quickly))
        else:
            self.assertRaises(WrongKey, slot.unwrap, other, quickly)

    def test_kinds_are_apart(self) -> None:
        """A slot that is passed off for one of another kind does not open."""
        value = {**slot_of(LOCAL).to_json(), "type": PASSPHRASE}
        self.assertRaises(WrongKey, Slot.from_json(value).unwrap, SECRET, quickly)

    def test_every_byte(self) -> None:
        """Whatever byte of a slot is changed, cut or added, it is refused."""
        for kind in KINDS:
            content = slot_of(kind).encode()
            for at in range(len(content)):
                for other in {content[at] ^ 1, content[at] ^ 32, 48} - {content[at]}:
                    self.refused(content[:at] + bytes([other]) + content[at + 1 :])
                self.refused(content[:at])
                self.refused(content[:at] + b"A" + content[at:])

    def refused(self, content: bytes) -> None:
        """It does not open, and nothing but our own errors comes of it."""
        try:
            found = Slot.read(content).unwrap(SECRET, quickly)
        except DataError:
            return
        self.fail(f"{content!r} opened: {found}")

    @given(st.binary(max_size=200))
    def test_anything(self, content: bytes) -> None:
        """Whatever lies in a folder is a slot or an error of ours."""
        self.assertRaises((Malformed, NewerVersionNeeded), Slot.read, content)

    def test_home_and_generation(self) -> None:
        """Home and generation outside are those inside."""
        for name, value in (("home", "other"), ("generation", 2)):
            content = changed(slot_of(PASSPHRASE), lambda slot, n=name, v=value: slot.update({n: v}))
            self.assertRaises(WrongKey, Slot.read(content).unwrap, SECRET, quickly)

    def test_one_slot_one_secret(self) -> None:
        """The commitment is looked at before anything is decrypted: no slot opens under two passphrases."""
        slot = slot_of(PASSPHRASE)
        other = slot_of(PASSPHRASE, b"another passphrase")
        mixed = Slot.from_json({**slot.to_json(), "commit": other.to_json()["commit"]})
        self.assertRaises(WrongKey, mixed.unwrap, SECRET, quickly)
        self.assertRaises(WrongKey, mixed.unwrap, b"another passphrase", quickly)

    def test_later_version(self) -> None:
        """A slot of a later format asks for a newer version of the program."""
        content = changed(slot_of(PASSPHRASE), lambda slot: slot.update(v=2, more=1))
        self.assertRaises(NewerVersionNeeded, Slot.read, content)

    def test_long_keys(self) -> None:
        """Keys that do not fit into a slot are refused before a slot is written that nobody reads."""
        keys = tuple(Key.from_text(str(number) * 4000) for number in range(1, 10)) * 2
        with self.assertRaises(TooLarge):
            slot_of(PASSPHRASE, found=Unwrapped(keys=keys, home="", generation=1, dialect="ifap"))

    def test_shows_nothing(self) -> None:
        """Neither the repr of a slot nor of what was in it shows a key, nor does an error."""
        slot = slot_of(PASSPHRASE)
        shown = repr(slot) + repr(slot.unwrap(SECRET, quickly))
        for secret in (KEYS[0].text, slot.to_json()["sealed"], slot.sealed.hex()):
            self.assertNotIn(secret, shown)
        typed = b"mistyped"[::-1]
        with self.assertRaises(IFAPError) as caught:
            slot.unwrap(typed, quickly)
        told = "".join(traceback.format_exception(caught.exception)) + repr(vars(caught.exception))
        self.assertNotIn(typed.decode(), told)


class ParameterTests(SynchronousTestCase):
    """A folder cannot make a device work for nothing, nor be satisfied with a weak derivation."""

    def refused(self, **changes: Any) -> None:
        """With these parameters a slot is refused, and nothing is derived."""
        content = changed(slot_of(PASSPHRASE), lambda slot: slot["kdf"].update(changes))
        with self.assertRaises(Malformed):
            Slot.read(content).unwrap(SECRET, never)

    def test_hundred_gigabytes(self) -> None:
        """Memory, passes and lanes above the ceiling are refused before anything is derived, their product too."""
        self.refused(memory=100 * 1024 * 1024)
        self.refused(memory=limits.KDF_MEMORY_MOST + 1)
        self.refused(passes=limits.KDF_PASSES_MOST + 1)
        self.refused(lanes=limits.KDF_LANES_MOST + 1)
        self.refused(memory=limits.KDF_MEMORY_MOST, passes=limits.KDF_PASSES_MOST)

    def test_floor(self) -> None:
        """What is weaker than the floor is refused: an old slot cannot be passed off for one that resists."""
        self.refused(memory=limits.KDF_MEMORY_LEAST - 1)
        self.refused(passes=limits.KDF_PASSES_LEAST - 1)
        self.refused(lanes=0)

    def test_the_bounds_themselves(self) -> None:
        """What lies just within is taken."""
        for how in (LEAST, Derivation(salt=b"s" * 16, memory=limits.KDF_MEMORY_MOST, passes=4, lanes=16)):
            slot = wrap(FOUND, PASSPHRASE, SECRET, how=how, random=fixed_random, derive=quickly)
            self.assertEqual(FOUND, Slot.read(slot.encode()).unwrap(SECRET, quickly))

    def test_shapes(self) -> None:
        """Fields of other types, names and lengths are refused."""
        for change in (
            {"memory": "65536"},
            {"memory": 65536.0},
            {"passes": True},
            {"lanes": None},
            {"salt": "AAAA"},
            {"salt": 5},
            {"name": "argon2i"},
            {"name": "hkdf"},
            {"more": 1},
        ):
            self.refused(**change)

    def test_recovery_is_not_stretched(self) -> None:
        """A passphrase cannot be made cheap to guess by a slot that says it was derived as a recovery code is."""
        hkdf: Mapping[str, Any] = slot_of(RECOVERY, CODE).to_json()["kdf"]
        content = changed(slot_of(PASSPHRASE), lambda slot: slot.update(kdf=hkdf))
        self.assertRaises(Malformed, Slot.read, content)

    @settings(max_examples=50)
    @given(st.integers(min_value=-1, max_value=2**40), st.integers(-1, 40), st.integers(-1, 40))
    def test_anything_accepted_is_within(self, memory: int, passes: int, lanes: int) -> None:
        """Whatever is accepted takes at most 256 MiB and 1 GiB of work."""
        how = Derivation(salt=b"s" * 16, memory=memory, passes=passes, lanes=lanes)
        try:
            how.check()
        except Malformed:
            return
        self.assertTrue(19 * 1024 <= memory <= 256 * 1024 and 2 <= passes <= 16 and 1 <= lanes <= 16)
        self.assertLessEqual(memory * passes, 1024 * 1024)
