"""Where files are cut: by their content, under a key, and nothing else (FORMAT 7.1)."""

from __future__ import annotations

import random
from hashlib import shake_256
from itertools import pairwise
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import chunking, limits
from ifap_twisted.core.chunking import Chunker
from ifap_twisted.core.cutting import Cutting

KEY: Final = b"k" * 32
SMALL: Final = Cutting(least=64, most=512, bits=6)
"""Small chunks show in little data what large ones do."""
WINDOW: Final = 32
MASK: Final = 0xFFFFFFFF


def secrets(key: bytes) -> tuple[list[int], bytes]:
    """The words of the gear hash, and the key of the CBC-MAC."""
    drawn = shake_256(b"ifap-twisted/1/boundaries\0" + key).digest(1024 + 16)
    return [int.from_bytes(drawn[4 * byte : 4 * byte + 4], "little") for byte in range(256)], drawn[1024:]


def plain_cut(data: bytes, key: bytes, cutting: Cutting) -> int:
    """As the specification says it, a byte after the other."""
    words, code_key = secrets(key)
    hashed = cutting.bits // 3
    for length in range(cutting.least, min(len(data), cutting.most)):
        window = data[length - WINDOW : length]
        total = 0
        for byte in window:
            total = ((total << 1) + words[byte]) & MASK
        if total >> (32 - hashed) == 0:
            code = Cipher(algorithms.AES(code_key), modes.CBC(bytes(16))).encryptor().update(window)[16:]
            if int.from_bytes(code[:4], "big") >> (32 - cutting.bits + hashed) == 0:
                return length
    return min(len(data), cutting.most)


def cuts(data: bytes, key: bytes = KEY, cutting: Cutting = SMALL, ahead: int = 0) -> list[int]:
    """The ends of all chunks; the chunker sees ``ahead`` bytes more than it has to."""
    chunker = Chunker(key, cutting)
    ends = [0]
    while ends[-1] < len(data):
        ends.append(ends[-1] + chunker.cut(data[ends[-1] : ends[-1] + cutting.most + ahead]))
    return ends[1:]


def noise(seed: int, length: int) -> bytes:
    """Data in which nothing repeats."""
    return random.Random(seed).randbytes(length)


contents = st.builds(noise, st.integers(0, 2**32), st.integers(0, 3000)) | st.binary(max_size=1500)
keys = st.binary(min_size=32, max_size=32)


class ReferenceTests(SynchronousTestCase):
    """Against a plain, slow gear hash."""

    @given(contents, keys, st.sampled_from([SMALL, Cutting(32, 100, 3), Cutting(40, 41, 1), Cutting(64, 64, 6)]))
    def test_equal(self, data: bytes, key: bytes, cutting: Cutting) -> None:
        """The first chunk ends where the specification says."""
        self.assertEqual(Chunker(key, cutting).cut(data), plain_cut(data, key, cutting))

    def test_over_many_blocks(self) -> None:
        """The places at which the search goes on with the next block are places as all others."""
        block = chunking._BLOCK
        data = noise(2, 3 * block)
        end = plain_cut(data, KEY, Cutting(WINDOW, 3 * block, 17))
        self.assertTrue(block + 100 < end < len(data))
        for beyond in (-WINDOW - 1, -WINDOW, -1, 0, 1, WINDOW - 1, WINDOW, WINDOW + 1):
            cutting = Cutting(end - block - beyond, 3 * block, 17)
            self.assertEqual(Chunker(KEY, cutting).cut(data), end)


class BoundTests(SynchronousTestCase):
    """How long chunks are."""

    @given(contents)
    def test_bounds(self, data: bytes) -> None:
        """All but the last have the least length and not more than the most; together they are the file."""
        ends = [0, *cuts(data)]
        lengths = [stop - start for start, stop in pairwise(ends)]
        self.assertEqual(sum(lengths), len(data))
        self.assertTrue(all(SMALL.least <= length <= SMALL.most for length in lengths[:-1]))
        self.assertTrue(all(0 < length <= SMALL.most for length in lengths))

    def test_nothing(self) -> None:
        """Of nothing there is no chunk."""
        self.assertEqual(Chunker(KEY).cut(b""), 0)

    def test_the_usual(self) -> None:
        """Without other settings they are those of the specification, of about 1 MiB."""
        data = memoryview(noise(1, 24 * limits.MIB))
        chunker, ends = Chunker(KEY), [0]
        while ends[-1] < len(data):
            ends.append(ends[-1] + chunker.cut(data[ends[-1] : ends[-1] + limits.CHUNK_MOST]))
        lengths = [stop - start for start, stop in pairwise(ends)]
        self.assertTrue(all(512 * 1024 <= length <= 2 * 1024 * 1024 for length in lengths[:-1]))
        self.assertTrue(16 <= len(lengths) <= 36, lengths)

    def test_equal_bytes(self) -> None:
        """A file of equal bytes has chunks that are all equal, but for the last."""
        for byte in range(256):
            lengths = {stop - start for start, stop in pairwise([0, *cuts(bytes([byte]) * 4096)[:-1]])}
            self.assertIn(lengths, ({SMALL.least}, {SMALL.most}))


class ContentTests(SynchronousTestCase):
    """What a boundary depends on."""

    @given(contents, st.integers(0, 2000))
    def test_however_fed(self, data: bytes, ahead: int) -> None:
        """The cuts are the same however much is there at a time, and of which kind the bytes are."""
        self.assertEqual(cuts(data, ahead=ahead), cuts(data))
        chunker = Chunker(KEY, SMALL)
        self.assertEqual(chunker.cut(bytearray(data)), chunker.cut(data))
        self.assertEqual(chunker.cut(memoryview(data)), chunker.cut(data))

    @given(contents, contents, st.integers(0, 2**32))
    def test_window(self, before: bytes, after: bytes, seed: int) -> None:
        """A boundary depends on the 32 bytes before it: with others before and behind these it stays."""
        data = noise(seed, 4096)
        end = Chunker(KEY, SMALL).cut(data)
        if end == SMALL.most:
            return
        window = data[end - WINDOW : end]
        start = (before + bytes(SMALL.least))[: SMALL.least]
        chunker = Chunker(KEY, Cutting(SMALL.least + WINDOW, SMALL.most, SMALL.bits))
        self.assertEqual(chunker.cut(start + window + after), SMALL.least + WINDOW if after else len(start + window))

    @given(st.integers(0, 2**32), st.integers(0, 20_000), st.binary(min_size=1, max_size=300))
    def test_insertion(self, seed: int, place: int, inserted: bytes) -> None:
        """What is inserted moves the boundaries near it: before it none, and soon behind it none but by its length."""
        data = noise(seed, 20_000)
        old, new = cuts(data), cuts(data[:place] + inserted + data[place:])
        self.assertEqual([end for end in old[:-1] if end <= place], [end for end in new[:-1] if end <= place])
        far = place + 20 * SMALL.most
        self.assertEqual(
            [end + len(inserted) for end in old if end > far], [end for end in new if end > far + len(inserted)]
        )

    @given(st.integers(0, 2**32), keys, keys)
    def test_key(self, seed: int, key: bytes, other: bytes) -> None:
        """Another key gives other boundaries."""
        data = noise(seed, 20_000)
        same = cuts(data, key) == cuts(data, other)
        self.assertEqual(same, key == other)
