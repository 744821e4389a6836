"""Which UID has which message number: learned from answers, never guessed.

EXPUNGE names a message by its number. The map knows the UIDs that the server has told; asked for one that it does not
know, it says so, and whoever asked must look again.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

__all__ = ["SequenceMap"]

_LONGEST: Final = 1 << 20
"""Numbers above this are not kept: a server may claim four thousand million messages."""


class SequenceMap:
    """Message numbers (from 1) to UIDs; 0 where a UID is not known."""

    def __init__(self) -> None:
        self._uids = array("Q")

    def __len__(self) -> int:
        return len(self._uids)

    def forget(self) -> None:
        """Know nothing any more."""
        self._uids = array("Q")

    def learn(self, sequence: int, uid: int) -> bool:
        """Take in what the server told; False when it contradicts what it told before, which is then forgotten."""
        uids = self._uids
        index = sequence - 1
        if index == len(uids) and index < _LONGEST:
            uids.append(uid)
            return True
        if not 0 <= index < _LONGEST:
            return index > 0
        if index > len(uids):
            uids.extend([0] * (index - len(uids)))
            uids.append(uid)
        elif uids[index] not in (0, uid):
            self.forget()
            return False
        else:
            uids[index] = uid
        return True

    def expunge(self, sequence: int) -> int | None:
        """A message is gone and those after it move up: its UID, or None when it is not known."""
        index = sequence - 1
        if not 0 <= index < len(self._uids):
            return None
        return self._uids.pop(index) or None

    def complete(self, exists: int) -> bool:
        """Whether the UIDs of exactly so many messages are known."""
        return len(self._uids) == exists and 0 not in self._uids

    def uids(self) -> Iterator[int]:
        """The UIDs that are known, in the order of the numbers."""
        return (uid for uid in self._uids if uid)

    def last(self) -> tuple[int, int] | None:
        """The highest number whose UID is known, and that UID."""
        for index in range(len(self._uids) - 1, -1, -1):
            if self._uids[index]:
                return index + 1, self._uids[index]
        return None
