"""The files of the journal: records of messages, one behind the other, sealed; what is done here is done in a worker.

What is damaged, or no file of ours, is set aside (``NAME.damaged``) and never holds up the rest; what was sealed with
another key stays, and so does what this machine cannot read or set aside now: the next process may.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from twisted.logger import Logger

from ifap_twisted.basedir.basedir import Basedir, Random
from ifap_twisted.basedir.directory import Directory
from ifap_twisted.core import limits
from ifap_twisted.core.frozen import Frozen, freeze, thaw
from ifap_twisted.core.keys import Key
from ifap_twisted.errors import IFAPError, Malformed, OutcomeUnknown

__all__ = ["Found", "PendingFiles", "Place"]

_PENDING: Final = ".pending"
_DAMAGED: Final = ".damaged"
_NUMBERED: Final = re.compile(r"(\d{12,})\.(?:pending|damaged)", re.ASCII)
_LARGEST: Final = 2 * limits.LITERAL


@dataclass(frozen=True, slots=True)
class Place:
    """Where the record of a message lies."""

    file: str
    offset: int
    length: int


@dataclass(slots=True)
class Found:
    """What files hold, each message by its head; ``foreign`` are files with records that cannot be opened here."""

    frozen: list[tuple[Frozen, Place]]
    foreign: dict[str, int]
    damaged: int = 0
    unread: int = 0


class PendingFiles:
    """The files in the journal of a basedir, which the caller holds.

    :ivar keys: those of the folder; the first seals.
    """

    _log = Logger()

    def __init__(self, basedir: Basedir, keys: Sequence[Key], *, random: Random) -> None:
        self.keys = tuple(keys)
        self._basedir = basedir
        self._random = random

    def store(self, name: str, members: Sequence[Frozen]) -> list[Place]:
        """Write a file with these messages, with one sync; where they lie in it.

        :raises OutcomeUnknown: it failed, and whether it is there all the same is not certain.
        """
        key = self.keys[0] if self.keys else None
        records = [freeze(frozen, key, self._random) for frozen in members]
        try:
            self._directory().write(name, *(piece for record in records for piece in record))
        except IFAPError as error:
            self._take_back(name, error)
            raise
        return _places(name, [sum(map(len, record)) for record in records])

    def _take_back(self, name: str, error: IFAPError) -> None:
        """Remove a file that could not be written: its name may be there all the same.

        :raises OutcomeUnknown: that is not certain; the next process may find it.
        """
        try:
            self._directory().remove(name)
        except IFAPError:
            raise OutcomeUnknown(f"{error} Whether it is in the journal is not known; it may be sent later.") from error

    def remove(self, name: str) -> dict[str, Place]:
        """Remove a file: nothing lies in it then."""
        self._directory().remove(name)
        return {}

    def rewrite(self, name: str, kept: Collection[str], discarded: Collection[str]) -> dict[str, Place]:
        """Leave some messages in a file, and what cannot be opened; where they lie then.

        :raises Malformed: what is to go is none of those that can be opened.
        """
        records = list(thaw(self._directory().read(name, _LARGEST) or b"", self.keys))
        opened = [entry.sealed_id for _record, entry in records if isinstance(entry, Frozen)]
        if len(opened) < len(records) and not set(opened).issuperset(discarded):
            raise Malformed("A journal entry cannot be told from others, and stays.", section="journal")
        stay = [one for one in records if not isinstance(one[1], Frozen) or one[1].sealed_id in kept]
        if stay:
            self._directory().write(name, *(record for record, _entry in stay))
        else:
            self._directory().remove(name)
        places = _places(name, [len(record) for record, _entry in stay])
        found = zip(stay, places, strict=True)
        return {entry.sealed_id: place for (_record, entry), place in found if isinstance(entry, Frozen)}

    def last_number(self) -> int:
        """The highest number of a file; 0 where there is none."""
        return max(_numbered(self._directory()).values(), default=0)

    def read_all(self) -> Found:
        """Read all files, set aside what is damaged, and sweep away what a crash left half written."""
        directory = self._directory()
        directory.sweep()
        found = Found([], {})
        numbers = _numbered(directory)
        for name in sorted(numbers, key=numbers.__getitem__):
            if name.endswith(_PENDING):
                self._read(directory, name, found)
        found.damaged += sum(name.endswith(_DAMAGED) for name in _numbered(directory))
        return found

    def _read(self, directory: Directory, name: str, found: Found) -> None:
        data = self._data(directory, name, found)
        records = list(thaw(data, self.keys))
        damaged = [record for record, entry in records if isinstance(entry, Malformed)]
        if damaged:
            good = [(record, entry) for record, entry in records if not isinstance(entry, Malformed)]
            if self._set_aside(directory, name, damaged, [record for record, _entry in good]):
                records = good
            else:
                found.damaged += len(damaged)
            found.unread += len(damaged)
        places = _places(name, [len(record) for record, _entry in records])
        for (_record, entry), place in zip(records, places, strict=True):
            if isinstance(entry, Frozen):
                found.frozen.append((entry.head(), place))
            elif not isinstance(entry, Malformed):
                found.foreign[name] = found.foreign.get(name, 0) + 1

    def _data(self, directory: Directory, name: str, found: Found) -> bytes:
        """What is in a file; nothing, and it is counted, when it is none of ours or cannot be read now."""
        try:
            return directory.read(name, _LARGEST) or b""
        except IFAPError as error:
            self._log.warn("an entry of the journal cannot be read: {reason}", reason=str(error))
            found.unread += 1
            if isinstance(error.__cause__, OSError) or not self._rename(directory, name):
                found.damaged += 1
            return b""

    def _rename(self, directory: Directory, name: str) -> bool:
        """Set aside what is no file of ours, whatever it is; whether that was possible.

        Not a file of another user: it may be whole, and is read when it was given back.
        """
        try:
            if directory.is_anothers(name):
                return False
            directory.rename(name, _aside(name))
        except IFAPError as error:
            self._log.warn("an entry of the journal cannot be set aside: {reason}", reason=str(error))
            return False
        return True

    def _set_aside(self, directory: Directory, name: str, damaged: Sequence[bytes], good: Sequence[bytes]) -> bool:
        """Keep the damaged bytes for whoever can make something of them, and the good ones by themselves.

        :returns: whether that was possible; when not, the file is as it was.
        """
        try:
            before, apart = directory.read(_aside(name), _LARGEST) or b"", b"".join(damaged)
            if apart not in before:  # else a cut came between the two files
                directory.write(_aside(name), before, apart)
            if good:
                directory.write(name, *good)
            else:
                directory.remove(name)
        except IFAPError as error:
            self._log.warn("a damaged entry of the journal cannot be set aside: {reason}", reason=str(error))
            return False
        return True

    def load(self, place: Place, sealed_id: str) -> Frozen | None:
        """A message at its place, or wherever it is in the file by now."""
        directory = self._directory()
        found = self._find(directory.read_part(place.file, place.offset, place.length), sealed_id)
        return found or self._find(directory.read(place.file, _LARGEST) or b"", sealed_id)

    def _find(self, data: bytes, sealed_id: str) -> Frozen | None:
        entries = (entry for _record, entry in thaw(data, self.keys))
        return next((one for one in entries if isinstance(one, Frozen) and one.sealed_id == sealed_id), None)

    def _directory(self) -> Directory:
        return self._basedir.journal


def _numbered(directory: Directory) -> dict[str, int]:
    """The names in a journal that are those of its files, and their numbers."""
    return {name: int(match[1]) for name in directory.names() if (match := _NUMBERED.fullmatch(name))}


def _aside(name: str) -> str:
    return name.removesuffix(_PENDING) + _DAMAGED


def _places(file: str, lengths: Sequence[int]) -> list[Place]:
    """Where records of these lengths lie in a file, one behind the other."""
    ends = list(accumulate(lengths))
    return [Place(file, end - length, length) for end, length in zip(ends, lengths, strict=True)]
