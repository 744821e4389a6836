"""Inputs made of others by a seed: what a fuzzer does, without what it learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

__all__ = ["mutations"]


def mutations(corpus: Sequence[bytes], words: Sequence[bytes], *, seed: int, count: int) -> Iterator[bytes]:
    """So many inputs, each made of one of the corpus by up to four changes; a seed decides them all."""
    random = Random(seed)
    for _ in range(count):
        data = bytearray(random.choice(corpus))
        for _ in range(random.randint(1, 4)):
            at, end = sorted(random.randint(0, len(data)) for _ in range(2))
            data[at:end] = _changed(bytes(data[at:end]), random, corpus, words)
        yield bytes(data)


def _changed(piece: bytes, random: Random, corpus: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """What stands in the place of a piece, which may be empty."""
    kind = random.randrange(6)
    if kind == 0 and piece:  # a bit
        at = random.randrange(len(piece))
        return piece[:at] + bytes([piece[at] ^ 1 << random.randrange(8)]) + piece[at + 1 :]
    if kind == 1:
        return b""
    if kind == 2:
        return piece * random.randint(2, 3)
    if kind == 3:  # from another input, from the same place as often as not
        other = random.choice(corpus)
        start = random.randint(0, len(other))
        return other[start : start + len(piece) + random.randint(0, 8)]
    if kind == 4:
        return random.choice(words) + piece
    return piece + random.randbytes(random.randint(1, 4))
