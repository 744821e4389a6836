"""Sealed tokens: WIRE-FORMAT 2.2."""

from __future__ import annotations

import base64
import hmac
import io
import tracemalloc
from collections.abc import Callable

from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits, sealing
from ifap_twisted.core.keys import Key
from ifap_twisted.errors import ForeignKey, Malformed
from tests.core.strategies import contents, keys

KEY = Key.from_text("abc")
OTHER = Key.from_text("other")
IV = bytes(range(16))
LARGE = 500_000
"""More than is handled at a time."""


def fernet(key: Key) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key.signing + key.encryption))


def seal(data: bytes, key: Key = KEY) -> bytes:
    return sealing.seal(key, data, now=1573400000, iv=IV)


def folded(text: bytes, columns: int = 78) -> bytes:
    return b"\r\n".join(text[start : start + columns] for start in range(0, len(text), columns))


class SealTests(SynchronousTestCase):
    """Sealing."""

    @given(contents, keys, st.integers(0, 2**64 - 1))
    def test_as_fernet(self, data: bytes, key: Key, now: int) -> None:
        """A token is the one that Fernet makes of the same time and vector, and opens again."""
        text = sealing.seal(key, data, now=now, iv=IV)
        self.assertEqual(text, b"!" + fernet(key)._encrypt_from_parts(data, now, IV))
        self.assertEqual(sealing.open_token(key, text), data)
        self.assertEqual(sealing.time_of(text), now)

    @given(st.lists(contents, max_size=4), st.sampled_from([0, 1, 76, 77, 78, 100_000]))
    def test_parts(self, parts: list[bytes], columns: int) -> None:
        """Several parts are sealed as one, folded into lines of exactly so many characters."""
        buffer = io.BytesIO()
        sealing.seal_to(buffer.write, KEY, parts, now=1573400000, iv=IV, columns=columns)
        whole = seal(b"".join(parts))
        self.assertEqual(buffer.getvalue(), folded(whole, columns) if columns else whole)

    def test_vector_length(self) -> None:
        """An initialisation vector of another length is a mistake of the caller."""
        self.assertRaises(ValueError, sealing.seal, KEY, b"", now=0, iv=b"short")

    def test_memory(self) -> None:
        """Sealing takes little more memory than its result, opening little more than the content."""
        data = bytes(4 * limits.MIB)
        text, used = self.measured(lambda: seal(data))
        self.assertLess(used, 1.25 * len(text) + limits.MIB)
        plain, used = self.measured(lambda: sealing.open_token(KEY, text))
        self.assertEqual(plain, data)
        self.assertLess(used, 1.25 * len(data) + limits.MIB)

    def measured(self, work: Callable[[], bytes]) -> tuple[bytes, int]:
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before = tracemalloc.get_traced_memory()[0]
        result = work()
        used = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        return result, used


class OpenTests(SynchronousTestCase):
    """Opening."""

    @given(contents, keys)
    def test_what_fernet_made(self, data: bytes, key: Key) -> None:
        """What Fernet sealed opens, folded or not."""
        text = b"!" + fernet(key).encrypt(data)
        self.assertEqual(sealing.open_token([OTHER, key], folded(text)), data)
        self.assertEqual(sealing.open_token((key, OTHER), memoryview(text)), data)

    def test_with_which_key(self) -> None:
        """The key that opened it is told, for small and for large ones."""
        for size in (5, LARGE):
            plain, key = sealing.open_with([OTHER, KEY], seal(bytes(size)))
            self.assertEqual((plain, key), (bytes(size), KEY))

    def test_white_space(self) -> None:
        """CR, LF, blanks and tabs are allowed between the characters, nothing else is."""
        for size in (5, LARGE):
            text = seal(bytes(size))
            self.assertEqual(sealing.open_token(KEY, text[:50] + b" \t\r\n" + text[50:] + b"\r\n"), bytes(size))
            for foreign in (b"\x0b", b"\x0c", b"\0", b"\xa0", b"!", b".", b"+", b"/", b"="):
                self.assertRaises(Malformed, sealing.open_token, KEY, text[:50] + foreign + text[50:])

    def test_no_key_fits(self) -> None:
        """Another key, no key and a changed token are all told as a foreign key."""
        for size in (5, LARGE):
            text = seal(bytes(size))
            changed = text[:60] + (b"A" if text[60:61] != b"A" else b"B") + text[61:]
            self.assertRaises(ForeignKey, sealing.open_token, OTHER, text)
            self.assertRaises(ForeignKey, sealing.open_token, [], text)
            self.assertRaises(ForeignKey, sealing.open_token, KEY, changed)

    def test_no_token(self) -> None:
        """What lacks the mark, the version, the length or the padding of a token is malformed."""
        for size in (5, LARGE):
            text = seal(bytes(size))
            version = b"!" + base64.urlsafe_b64encode(b"\x81" + base64.urlsafe_b64decode(text[1:])[1:])
            for wrong in (text[1:], b"", b"!", b"!AAAA", text[:60], text[:-1], text[:-4], text + b"AAAA", version):
                self.assertRaises(Malformed, sealing.open_token, KEY, wrong)

    def test_one_text_only(self) -> None:
        """A token whose last character has bits to spare opens only as it was written (FORMAT 2.1)."""
        for size in (5, 20, LARGE, LARGE + 16):
            text = seal(bytes(size))
            raw = base64.urlsafe_b64decode(text[1:])
            if len(raw) % 3 == 0:
                continue
            at = text.index(b"=") - 1
            twin = next(
                text[:at] + bytes([letter]) + text[at + 1 :]
                for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                if letter != text[at] and base64.urlsafe_b64decode(text[1:at] + bytes([letter]) + text[at + 1 :]) == raw
            )
            self.assertRaises(Malformed, sealing.open_token, KEY, twin)

    def test_bad_padding(self) -> None:
        """An authentic token that ends without padding is malformed."""
        for size in (16, LARGE // 16 * 16):
            raw = base64.urlsafe_b64decode(seal(bytes(size))[1:])
            signed = raw[:-48]
            text = b"!" + base64.urlsafe_b64encode(signed + hmac.digest(KEY.signing, signed, "sha256"))
            self.assertRaises(Malformed, sealing.open_token, KEY, text)

    @given(st.binary(max_size=300), st.booleans())
    def test_any_bytes(self, text: bytes, marked: bool) -> None:
        """Any bytes are refused by one of our errors, in one go or in pieces."""
        for candidate in (text, text + b" " * 20_000):
            try:
                sealing.open_token([KEY, OTHER], b"!" + candidate if marked else candidate)
            except (Malformed, ForeignKey):
                continue
            self.fail("something opened")

    @given(st.data())
    def test_any_change(self, data: st.DataObject) -> None:
        """A token with one character changed, removed or added never opens to anything else."""
        plain = data.draw(st.binary(max_size=40))
        text = seal(plain)
        at = data.draw(st.integers(0, len(text) - 1))
        new = data.draw(st.sampled_from([b"", b"A", b"_", b"=", b"!"]))
        try:
            self.assertEqual(sealing.open_token(KEY, text[:at] + new + text[at + 1 :]), plain)
        except (Malformed, ForeignKey):
            return
        self.assertEqual(text[at : at + 1], new)


class Base64Tests(SynchronousTestCase):
    """Base64 in pieces."""

    @given(st.lists(contents, max_size=3), st.sampled_from([0, 77, 78]), st.booleans())
    def test_there_and_back(self, parts: list[bytes], columns: int, urlsafe: bool) -> None:
        """Any bytes in any pieces come back."""
        buffer = io.BytesIO()
        sealing.encode_base64(buffer.write, parts, columns=columns, urlsafe=urlsafe)
        text = buffer.getvalue()
        encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
        whole = encode(b"".join(parts))
        self.assertEqual(text, folded(whole, columns) if columns else whole)
        self.assertEqual(b"".join(sealing.decode_base64(text, urlsafe=urlsafe)), b"".join(parts))

    def test_strict(self) -> None:
        """Foreign characters, wrong padding, anything after the end and spare bits are refused."""
        for text in (b"A", b"AA", b"AAA", b"AA=", b"AB==", b"AAB=", b"A===", b"====", b"AA==AAAA", b"AA==AA=="):
            self.assertRaises(Malformed, list, sealing.decode_base64(text))
        for text in (b"-_==", b"\0AAA", b"AAAA!"):
            self.assertRaises(Malformed, list, sealing.decode_base64(text))
        self.assertRaises(Malformed, list, sealing.decode_base64(b"+/==", urlsafe=True))

    def test_end_in_the_middle(self) -> None:
        """Padding at the end of a piece that is not the last is refused, too."""
        text = b"A" * (192 * 1024 - 2) + b"==" + b"AAAA"
        self.assertRaises(Malformed, list, sealing.decode_base64(text))

    @given(st.binary(max_size=60))
    def test_any_bytes(self, text: bytes) -> None:
        """Any bytes are refused or have exactly one text."""
        try:
            plain = b"".join(sealing.decode_base64(text))
        except Malformed:
            return
        self.assertEqual(base64.b64encode(plain), text.translate(None, b"\r\n \t"))
