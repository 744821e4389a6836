"""Which key follows which: what the key slots of a folder hold for whoever has some of its keys (FORMAT 8.4, 8.5).

Whoever opens a slot gets all keys in it to read with, so that nobody writes under a key that others do not find: not
after two changes at once, nor when a server shows the slots late, in another order, or not all. With which of them is
written follows from the newest key that was known, and never from an older one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import Slot, Unwrapped, earlier_secret
from ifap_twisted.errors import DataError

__all__ = ["Followed", "followed"]


class Followed(NamedTuple):
    """The keys of a folder, the newest first, and the generation of the newest; 0: no slot told of it.

    :ivar revoked: the fingerprints of those keys that count only for what was there when they were revoked.
    """

    keys: tuple[Key, ...]
    generation: int = 0
    revoked: frozenset[str] = frozenset()


def followed(slots: Sequence[Slot], keys: Sequence[Key], revoked: AbstractSet[str] = frozenset()) -> Followed:
    """All keys that lead from these to others; of several that follow one, that of the first slot is the newer one.

    :param slots: of the type ``previous``, in the order of their UIDs.
    :param keys: one at least, the newest first.
    :param revoked: the fingerprints of keys that are known to be revoked: these lead nowhere.
    """
    held, told = _held(slots, keys, revoked)
    newest, generation, passed = keys[0], 0, [keys[0]]
    while True:
        found = held.get(newest, ())
        generation = max((one.generation for one in found if one.keys[0] == newest), default=generation)
        newer = next((one for one in found if one.keys[0] not in passed), None)
        if newer is None:
            break
        newest, generation = newer.keys[0], newer.generation
        passed.insert(0, newest)
    return Followed(tuple(dict.fromkeys((*passed, *keys, *held))), generation, told)


def _held(
    slots: Sequence[Slot], keys: Iterable[Key], revoked: AbstractSet[str]
) -> tuple[Mapping[Key, Sequence[Unwrapped]], frozenset[str]]:
    """What each key opens, for these and for all that are found so; and which of them were revoked.

    A revoked key opens nothing: whoever has it could have written that. It does not revoke those that were known first.
    """
    held: dict[Key, Sequence[Unwrapped]] = {}
    told = frozenset(revoked)
    left = deque(keys)
    while left and len(held) < limits.KEYS_FOLLOWED:
        key = left.popleft()
        if key not in held and key.fingerprint in told:
            held[key] = ()
        elif key not in held:
            secret = earlier_secret(key)
            held[key] = [one for slot in slots if (one := _opened(slot, secret)) is not None]
            left.extend(found for one in held[key] for found in one.keys)
            told |= frozenset().union(*(one.revoked for one in held[key])) - {one.fingerprint for one in held}
    return held, told


def _opened(slot: Slot, secret: bytes) -> Unwrapped | None:
    try:
        return slot.unwrap(secret)
    except DataError:
        return None
