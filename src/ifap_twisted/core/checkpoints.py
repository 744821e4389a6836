"""Checkpoints: how far a device has seen each writer, told to those who see less (FORMAT 9.2).

A number counts only when it stands in the clock of a head of a user's file. A device uses up numbers for locks, plans
and writes that it takes back as well, and nobody misses those when they go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.strictjson import strict_json
from ifap_twisted.core.values import JSON
from ifap_twisted.core.vocabulary import is_right
from ifap_twisted.errors import Malformed

__all__ = ["CHECKPOINTS", "Checkpoint", "Published", "checkpoints_of", "hidden", "is_news", "redundant"]

CHECKPOINTS: Final = "IFAP/checkpoints/"
"""What the reserved names of checkpoints begin with (FORMAT 6.1)."""

DAY_SECONDS: Final = 86400.0
VALID_SECONDS: Final = 365 * DAY_SECONDS
"""An older checkpoint says nothing: what it saw may have been collected so long ago that no record tells (FORMAT 5.3).
One from the future, of a device whose date is wrong, counts for as long at most: together less than records live."""
FRESH_SECONDS: Final = 90 * DAY_SECONDS
"""What an older one says is said again, long before it ends."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint: the greatest number seen of each writer; at most ``limits.CHECKPOINT_WRITERS``."""

    writers: Mapping[str, int]

    def encode(self) -> bytes:
        """Canonical JSON."""
        value = {"v": 1, "writers": dict(self.writers)}
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, content: bytes, path: str = CHECKPOINTS) -> Checkpoint:
        """The inverse of :meth:`encode`.

        :raises Malformed: anything odd, or more than ``limits.CHECKPOINT_BYTES`` or ``limits.CHECKPOINT_WRITERS``.
        """
        try:
            if len(content) > limits.CHECKPOINT_BYTES:
                raise ValueError("it is too long")
            return cls(_writers(strict_json(content.decode("ascii"))))
        except ValueError as error:
            raise Malformed(f"A checkpoint cannot be used: {error}.", section="body", path=path) from None


def _writers(value: JSON) -> Mapping[str, int]:
    if type(value) is not dict or type(value.get("v")) is not int or value["v"] != 1:
        raise ValueError("it has the wrong shape")
    writers = value.get("writers")
    if type(writers) is not dict or len(writers) > limits.CHECKPOINT_WRITERS:
        raise ValueError("it has the wrong shape")
    if not all(is_right("clock", {writer: number}) for writer, number in writers.items()):
        raise ValueError("an entry has the wrong shape")
    return writers


def checkpoints_of(numbers: Mapping[str, int]) -> Iterator[Checkpoint]:
    """In as many checkpoints as their bounds ask for; none for nothing."""
    entries = sorted(numbers.items())
    for start in range(0, len(entries), limits.CHECKPOINT_WRITERS):
        yield Checkpoint(dict(entries[start : start + limits.CHECKPOINT_WRITERS]))


class Published(NamedTuple):
    """A checkpoint in the folder.

    :ivar rank: its UID; ``vid`` of its object.
    :ivar written: when it was sealed, in Unix time.
    """

    rank: float
    vid: str
    written: float
    checkpoint: Checkpoint


def hidden(published: Iterable[Published], now: float, greatest: Callable[[str], int]) -> dict[str, int]:
    """The greatest number that a checkpoint names of each writer of whom less is known here.

    :param greatest: the greatest number of a writer that is known from users' files, or on record.
    """
    named = _named(published, now, VALID_SECONDS)
    return {writer: number for writer, number in sorted(named.items()) if number > greatest(writer)}


def is_news(numbers: Mapping[str, int], published: Iterable[Published], now: float) -> bool:
    """Whether some of these numbers are said by no checkpoint of late, whoever published it."""
    named = _named(published, now, FRESH_SECONDS)
    return any(number > named.get(writer, 0) for writer, number in numbers.items())


def redundant(published: Iterable[Published], now: float) -> Iterator[str]:
    """The ids of the checkpoints that are too old, or of which later ones that stay say all."""
    said: dict[str, int] = {}
    for one in sorted(published, key=lambda one: one.rank, reverse=True):
        writers = one.checkpoint.writers
        if not _is_in_force(one, now, VALID_SECONDS) or all(said.get(name, 0) >= n for name, n in writers.items()):
            yield one.vid
        else:
            said.update({name: max(n, said.get(name, 0)) for name, n in writers.items()})


def _named(published: Iterable[Published], now: float, seconds: float) -> dict[str, int]:
    named: dict[str, int] = {}
    for one in published:
        if _is_in_force(one, now, seconds):
            for writer, number in one.checkpoint.writers.items():
                named[writer] = max(number, named.get(writer, 0))
    return named


def _is_in_force(one: Published, now: float, seconds: float) -> bool:
    return abs(now - one.written) < seconds
