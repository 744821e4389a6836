"""How long chunks are (FORMAT 7.1); how they are cut says :mod:`.chunking`, which takes longer to import."""

from __future__ import annotations

from dataclasses import dataclass

from ifap_twisted.core import limits

__all__ = ["Cutting"]


@dataclass(frozen=True, slots=True)
class Cutting:
    """How long chunks are, in bytes; programs that differ in it share less, and read each other's files all the same.

    :ivar least: no boundary comes before; at least ``limits.CHUNK_WINDOW``.
    :ivar most: there always is one then; at most ``limits.CHUNK_MOST``.
    :ivar bits: between them one comes at one of so many places, as a power of two.
    """

    least: int = limits.CHUNK_LEAST
    most: int = limits.CHUNK_MOST
    bits: int = limits.CHUNK_MASK_BITS
