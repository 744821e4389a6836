"""Key slots of every release open for ever, by the specification alone (FORMAT 8.4)."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import passphrases, recovery_codes
from ifap_twisted.core.derivation import Derivation
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import Slot, Unwrapped, wrap
from tests.vectors_own import recipes

DIRECTORY = Path(__file__).parent
PASSPHRASE = "Fünf Gürkchen tanzen\u00a0am Kanal \ufb01n"
NORMAL = "Fünf Gürkchen tanzen am Kanal fin"
CODE = bytes(range(200, 232))
KEYS = [recipes.KEYS["main"], "an earlier kéy"]
KINDS = ("passphrase", "recovery", "local")


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted, without blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def opened(content: bytes, secret: bytes) -> Any:
    """What is in a slot, by the specification: it shares no line with the project."""
    slot = json.loads(content)
    kdf = slot["kdf"]
    salt = base64.b64decode(kdf["salt"])
    if kdf["name"] == "argon2id":
        secret = Argon2id(
            salt=salt, length=32, iterations=kdf["passes"], lanes=kdf["lanes"], memory_cost=kdf["memory"]
        ).derive(secret)
    info = f"ifap-twisted/1/slot/{slot['type']}".encode()
    both = HKDF(algorithm=SHA256(), length=64, salt=salt, info=info).derive(secret)
    assert both[32:] == base64.b64decode(slot["commit"])
    associated = canonical({name: slot[name] for name in ("v", "type", "home", "generation", "kdf", "commit")})
    plain = AESGCM(both[:32]).decrypt(base64.b64decode(slot["nonce"]), base64.b64decode(slot["sealed"]), associated)
    return json.loads(plain)


def code_rows(secret: bytes) -> str:
    """A recovery code, by the specification."""
    alphabet, rows = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", []
    for number in range(4):
        part = secret[8 * number : 8 * number + 8]
        part += hashlib.sha256(b"ifap-recovery/1" + bytes([number]) + part).digest()[:2]
        bits = "".join(f"{byte:08b}" for byte in part)
        text = "".join(alphabet[int(bits[at : at + 5], 2)] for at in range(0, 80, 5))
        rows.append(" ".join(text[at : at + 4] for at in range(0, 16, 4)))
    return "\n".join(rows)


def made(kind: str) -> bytes:
    """The vector of a kind, as the project writes it with fixed randomness."""
    home = "" if kind == "local" else recipes.HOME
    dialect = "" if kind == "local" else "ifap"
    found = Unwrapped(keys=tuple(map(Key.from_text, KEYS)), home=home, generation=2, dialect=dialect)
    how = Derivation.draw(lambda count: recipes.random("salt " + kind, count), stretched=kind != "recovery")
    secret = CODE if kind == "recovery" else passphrases.normalised(PASSPHRASE)
    return wrap(found, kind, secret, how=how, random=lambda count: recipes.random("nonce " + kind, count)).encode()


class SlotVectorTests(SynchronousTestCase):
    """The slots in this directory."""

    def secret(self, kind: str) -> bytes:
        """What opens a vector."""
        return CODE if kind == "recovery" else NORMAL.encode()

    def test_the_project_writes_them(self) -> None:
        """With the same randomness the same bytes come out."""
        for kind in KINDS:
            self.assertEqual((DIRECTORY / f"{kind}.json").read_bytes(), made(kind), kind)

    def test_the_project_reads_them(self) -> None:
        """They open, and give the keys."""
        for kind in KINDS:
            found = Slot.read((DIRECTORY / f"{kind}.json").read_bytes()).unwrap(self.secret(kind))
            self.assertEqual(KEYS, [key.text for key in found.keys], kind)

    def test_they_are_as_specified(self) -> None:
        """A reader that was written from the specification opens them."""
        for kind in KINDS:
            found = opened((DIRECTORY / f"{kind}.json").read_bytes(), self.secret(kind))
            self.assertEqual((KEYS, 2), (found["keys"], found["generation"]), kind)

    def test_recovery_code(self) -> None:
        """The code on paper is as specified, and is read."""
        written = (DIRECTORY / "recovery.txt").read_text()
        self.assertEqual(code_rows(CODE) + "\n", written)
        self.assertEqual(code_rows(CODE), recovery_codes.encode(CODE))
        self.assertEqual(CODE, recovery_codes.decode(written))
