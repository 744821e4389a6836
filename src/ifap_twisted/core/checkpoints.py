"""Checkpoints: how far a device has seen each writer, told to those who see less (FORMAT 9.2).

A number counts only when it stands in the clock of a head of a user's file. A device uses up numbers for locks, plans
and writes that it takes back as well, and nobody misses those when they go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.strictjson import strict_json
from ifap_twisted.core.values import JSON
from ifap_twisted.core.vocabulary import is_right
from ifap_twisted.errors import Malformed

__all__ = [
    "CHECKPOINTS",
    "Accepted",
    "Checkpoint",
    "Published",
    "acceptances_of",
    "accepted_by",
    "checkpoints_of",
    "hidden",
    "is_news",
    "left_of",
    "redundant",
]

CHECKPOINTS: Final = "IFAP/checkpoints/"
"""What the reserved names of checkpoints begin with (FORMAT 6.1)."""

DAY_SECONDS: Final = 86400.0
VALID_SECONDS: Final = 365 * DAY_SECONDS
"""An older checkpoint says nothing: what it saw may have been collected so long ago that no record tells (FORMAT 5.3).
One from the future, of a device whose date is wrong, counts for as long at most: together less than records live."""
FRESH_SECONDS: Final = 90 * DAY_SECONDS
"""What an older one says is said again, long before it ends."""


class Accepted(NamedTuple):
    """Numbers of one writer of which a person said that they are gone for good.

    :ivar above: the greatest one that was known when that was said; 0 for none.
    :ivar upto: the greatest one that is gone; more than ``above``.
    """

    above: int
    upto: int

    def covers(self, other: Accepted) -> bool:
        """All that the other one says is said by this one."""
        return self.above <= other.above and other.upto <= self.upto


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint: the greatest number seen of each writer, and what was accepted to be gone.

    Of each at most ``limits.CHECKPOINT_WRITERS``.
    """

    writers: Mapping[str, int]
    accepted: Mapping[str, Accepted] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Canonical JSON."""
        value: dict[str, JSON] = {"v": 1, "writers": dict(self.writers)}
        if self.accepted:
            value["accepted"] = {writer: list(numbers) for writer, numbers in self.accepted.items()}
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, content: bytes, path: str = CHECKPOINTS) -> Checkpoint:
        """The inverse of :meth:`encode`.

        :raises Malformed: anything odd, or more than ``limits.CHECKPOINT_BYTES`` or ``limits.CHECKPOINT_WRITERS``.
        """
        try:
            if len(content) > limits.CHECKPOINT_BYTES:
                raise ValueError("it is too long")
            value = strict_json(content.decode("ascii"))
            return cls(_writers(value), _accepted(value))
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


def _accepted(value: Mapping[str, JSON]) -> Mapping[str, Accepted]:
    found = value.get("accepted", {})
    if type(found) is not dict or len(found) > limits.CHECKPOINT_WRITERS:
        raise ValueError("it has the wrong shape")
    return {writer: _accepted_numbers(writer, numbers) for writer, numbers in found.items()}


def _accepted_numbers(writer: str, value: JSON) -> Accepted:
    if type(value) is not list or len(value) != 2 or any(type(number) is not int for number in value):
        raise ValueError("an entry has the wrong shape")
    numbers = Accepted(*value)
    if not (0 <= numbers.above < numbers.upto and is_right("clock", {writer: numbers.upto})):
        raise ValueError("an entry has the wrong shape")
    return numbers


def checkpoints_of(numbers: Mapping[str, int]) -> Iterator[Checkpoint]:
    """In as many checkpoints as their bounds ask for; none for nothing."""
    entries = sorted(numbers.items())
    for start in range(0, len(entries), limits.CHECKPOINT_WRITERS):
        yield Checkpoint(dict(entries[start : start + limits.CHECKPOINT_WRITERS]))


def acceptances_of(accepted: Mapping[str, Accepted]) -> Iterator[Checkpoint]:
    """Checkpoints that say only that these are gone, in as many as their bounds ask for."""
    entries = sorted(accepted.items())
    for start in range(0, len(entries), limits.CHECKPOINT_WRITERS):
        yield Checkpoint({}, dict(entries[start : start + limits.CHECKPOINT_WRITERS]))


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
    """The greatest number that a checkpoint names of each writer of whom less is known here; not what was accepted.

    :param greatest: the greatest number of a writer that is known from users' files, or on record.
    """
    there = list(published)
    named, accepted = _named(there, now, VALID_SECONDS), accepted_by(there, now)
    return {
        writer: number
        for writer, number in sorted(named.items())
        if left_of(number, accepted.get(writer, ())) > greatest(writer)
    }


def accepted_by(published: Iterable[Published], now: float) -> dict[str, list[Accepted]]:
    """What is accepted to be gone of each writer."""
    found: dict[str, list[Accepted]] = {}
    for one in published:
        if _is_in_force(one, now, VALID_SECONDS):
            for writer, numbers in one.checkpoint.accepted.items():
                found.setdefault(writer, []).append(numbers)
    return found


def left_of(number: int, accepted: Sequence[Accepted]) -> int:
    """What has to be known still where somebody has seen this number: less, if it is among those that are gone."""
    while below := [numbers.above for numbers in accepted if numbers.above < number <= numbers.upto]:
        number = min(below)
    return number


def is_news(numbers: Mapping[str, int], published: Iterable[Published], now: float) -> bool:
    """Whether some of these numbers are said by no checkpoint of late, whoever published it."""
    named = _named(published, now, FRESH_SECONDS)
    return any(number > named.get(writer, 0) for writer, number in numbers.items())


def redundant(published: Iterable[Published], now: float) -> Iterator[str]:
    """The ids of the checkpoints that are too old, or of which later ones that stay say all."""
    said: dict[str, int] = {}
    gone: dict[str, list[Accepted]] = {}
    for one in sorted(published, key=lambda one: one.rank, reverse=True):
        checkpoint = one.checkpoint
        if not _is_in_force(one, now, VALID_SECONDS) or _is_said(checkpoint, said, gone):
            yield one.vid
        else:
            said.update({name: max(n, said.get(name, 0)) for name, n in checkpoint.writers.items()})
            for name, numbers in checkpoint.accepted.items():
                gone.setdefault(name, []).append(numbers)


def _is_said(checkpoint: Checkpoint, said: Mapping[str, int], gone: Mapping[str, Sequence[Accepted]]) -> bool:
    if any(said.get(writer, 0) < number for writer, number in checkpoint.writers.items()):
        return False
    accepted = checkpoint.accepted.items()
    return all(any(one.covers(numbers) for one in gone.get(writer, ())) for writer, numbers in accepted)


def _named(published: Iterable[Published], now: float, seconds: float) -> dict[str, int]:
    named: dict[str, int] = {}
    for one in published:
        if _is_in_force(one, now, seconds):
            for writer, number in one.checkpoint.writers.items():
                named[writer] = max(number, named.get(writer, 0))
    return named


def _is_in_force(one: Published, now: float, seconds: float) -> bool:
    return abs(now - one.written) < seconds
