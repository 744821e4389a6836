"""Chunks: names, padding, headers (FORMAT 7.1)."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope, limits
from ifap_twisted.core.chunks import (
    chunk_draft,
    chunk_key,
    chunk_name,
    chunk_path,
    is_chunk_name,
    padded,
    padded_length,
    unpadded,
)
from ifap_twisted.core.copies import same_version
from ifap_twisted.core.dialects import DIALECTS
from ifap_twisted.core.keys import Key
from ifap_twisted.core.paths import is_reserved
from ifap_twisted.errors import Malformed
from tests.basedir.places import Drawing
from tests.core.strategies import fixed_random

KEY: Final = b"k" * 32
HOME: Final = "hhhhhhhh"
FOLDER: Final = Key.from_text("correct horse")

lengths = st.integers(0, limits.CHUNK_MOST) | st.integers(0, 200) | st.integers(0, 2**44)
contents = st.binary(max_size=300)


class NameTests(SynchronousTestCase):
    """What chunks are called."""

    @given(contents)
    def test_hmac(self, content: bytes) -> None:
        """A name is the HMAC-SHA-256 of the content under the sub-key, in 43 characters."""
        expected = urlsafe_b64encode(hmac.new(KEY, content, sha256).digest()).decode().rstrip("=")
        self.assertEqual(chunk_name(KEY, content), expected)
        self.assertEqual(len(expected), 43)

    @given(contents, contents, st.sampled_from([KEY, b"o" * 32]))
    def test_checked(self, content: bytes, other: bytes, key: bytes) -> None:
        """Only equal content under the same key has a name."""
        name = chunk_name(KEY, content)
        self.assertEqual(is_chunk_name(key, other, name), other == content and key == KEY)

    def test_odd_names(self) -> None:
        """Whatever a message calls itself, it is compared."""
        name = chunk_name(KEY, b"x")
        for odd in ("", name[:-1], name + "=", name.swapcase(), "é", "\ud800" * 43, "\0"):
            self.assertFalse(is_chunk_name(KEY, b"x", odd))

    def test_path(self) -> None:
        """They lie in the reserved part of a folder, one a path (FORMAT 6.1)."""
        self.assertEqual(chunk_path("NAME"), "IFAP/chunks/NAME")
        self.assertTrue(is_reserved(chunk_path("NAME")))

    @given(st.binary(min_size=32, max_size=32))
    def test_key(self, key: bytes) -> None:
        """The sub-key is read from the text that the folder object has (FORMAT 8.2)."""
        self.assertEqual(chunk_key(urlsafe_b64encode(key).decode()), key)


class PaddingTests(SynchronousTestCase):
    """What lengths tell."""

    @given(lengths)
    def test_at_most_a_little(self, length: int) -> None:
        """At most 3.2 % is added, and nothing is taken away."""
        self.assertTrue(length <= padded_length(length) <= length * 1.032)

    @given(lengths)
    def test_once(self, length: int) -> None:
        """What is padded already is not padded again."""
        self.assertEqual(padded_length(padded_length(length)), padded_length(length))

    @given(lengths, lengths)
    def test_in_order(self, one: int, other: int) -> None:
        """The longer of two is not padded to less."""
        self.assertLessEqual(padded_length(min(one, other)), padded_length(max(one, other)))

    def test_few_lengths(self) -> None:
        """The chunks of a file, but the last, have one of 65 lengths, and none is longer than the longest."""
        found = {padded_length(length) for length in range(limits.CHUNK_LEAST, limits.CHUNK_MOST + 1)}
        self.assertEqual((len(found), max(found)), (65, limits.CHUNK_MOST))

    def test_as_padme(self) -> None:
        """From 64 KiB on it is what Padmé gives."""
        for length, expected in ((65536, 65536), (65537, 67584), (1_000_000, 1_015_808), (1_048_577, 1_081_344)):
            self.assertEqual(padded_length(length), expected)

    @given(contents)
    def test_there_and_back(self, data: bytes) -> None:
        """The padding is NULs, and comes off again."""
        content = padded(data)
        self.assertEqual(content, data + bytes(padded_length(len(data)) - len(data)))
        self.assertEqual(unpadded(content, len(data)), data)

    @given(contents, st.integers(-10, 400))
    def test_another_length(self, data: bytes, length: int) -> None:
        """A file that tells of another length than its chunk has is refused, but where the end of it are NULs."""
        content = padded(data)
        if 0 <= length <= len(content) and padded(content[:length]) == content:
            self.assertEqual(unpadded(content, length), content[:length])
        else:
            self.assertRaises(Malformed, unpadded, content, length)

    def test_not_padded(self) -> None:
        """What stands in the place of the padding has to be padding."""
        data = b"x" * 65
        self.assertEqual(len(padded(data)), 66)
        for content in (data, data + b"x", padded(data) + b"\0", padded(data) + b"\0\0"):
            self.assertRaises(Malformed, unpadded, content, 65)


class HeaderTests(SynchronousTestCase):
    """What the messages of chunks say."""

    def test_equal_chunks_are_one_version(self) -> None:
        """Two devices that seal equal chunks at other times make two places of one version (FORMAT 2.2)."""
        content = padded(b"part of a file")
        name = chunk_name(KEY, content)
        for dialect in DIALECTS.values():
            sealed = [
                envelope.seal(chunk_draft(name, HOME), content, dialect=dialect, key=FOLDER, now=now, random=random)
                for now, random in ((1.8e9, fixed_random), (1.9e9, Drawing()))
            ]
            self.assertNotEqual(sealed[0].message, sealed[1].message)
            self.assertNotEqual(sealed[0].sealed_id, sealed[1].sealed_id)
            read = [envelope.read_message(one.message, dialect=dialect, keys=(FOLDER,), home=HOME) for one in sealed]
            self.assertEqual([body for _, body in read], [content, content])
            self.assertTrue(same_version(read[0][0], read[1][0]))

    def test_other_chunks_are_others(self) -> None:
        """Chunks of other content are never taken for copies."""
        one, other = (
            envelope.seal(
                chunk_draft(chunk_name(KEY, content), HOME),
                content,
                dialect=DIALECTS["ifap"],
                key=FOLDER,
                now=1.8e9,
                random=fixed_random,
            ).version
            for content in (b"one", b"two")
        )
        self.assertFalse(same_version(one, other))

    def test_says_nothing_else(self) -> None:
        """The header has the name and the folder; no device, no time, no file."""
        name = chunk_name(KEY, b"x")
        version = envelope.seal(
            chunk_draft(name, HOME), b"x", dialect=DIALECTS["ifap"], key=FOLDER, now=1.8e9, random=fixed_random
        ).version
        self.assertEqual((version.path, version.vid, version.home), ("IFAP/chunks/" + name, name[:22], HOME))
        self.assertEqual((version.writer, version.clock, version.modified), ("chunks", {"chunks": 1}, 0.0))
        self.assertEqual((version.parents, version.extra, version.mime, version.needs), ((), {}, None, ()))
        self.assertFalse(version.chunked)
