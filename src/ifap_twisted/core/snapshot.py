"""The content of a snapshot: the folder's index in the reference's form (FORMAT 6.2, WIRE-FORMAT 4).

It believes nothing that it reads beyond shapes and bounds: a snapshot is a cache that may lie.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, TypeAlias

from ifap_twisted.core import limits
from ifap_twisted.core.metadata import reference_metadata
from ifap_twisted.core.strictjson import check_json, strict_json_at
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import SnapshotCorrupt, TooLarge

__all__ = ["Entry", "Tree", "encode", "entries", "reference_metadata"]

Tree: TypeAlias = Mapping[str, tuple[int, Mapping[str, JSON], Sequence[int]]]
"""By path: the highest UID, the metadata of that message, and the UIDs of all its versions."""

Entry: TypeAlias = tuple[int, dict[str, JSON], tuple[int, ...]]
"""What a snapshot says of a path."""

_UID: Final = 2**32 - 1
_DIGEST: Final = 8
"""Bytes by which paths are told apart: two of a million alike happen once in forty million snapshots."""
_MANY: Final = 10_000
"""UIDs above which an entry may be too long: each has at most ten digits, and metadata is bounded by its header."""
_BLANKS: Final = frozenset(" \t\r\n")
_WHITE: Final = re.compile(r"[ \t\r\n]*")
_ELEMENT: Final = re.compile(r"[ \t\r\n]*([1-9][0-9]{0,9})[ \t\r\n]*([,\]])")


def encode(tree: Tree) -> bytes:
    """The content of a snapshot; ``seen`` is the UIDs in the tree and nothing else (FORMAT 6.2).

    :raises TooLarge: it would be larger than :func:`entries` accepts.
    """
    if len(tree) > limits.SNAPSHOT_ENTRIES or sum(len(uids) for _, _, uids in tree.values()) > limits.SNAPSHOT_UIDS:
        raise TooLarge("The folder has too many files or versions for a snapshot.", limit=limits.SNAPSHOT_ENTRIES)
    shown = {path: _shown(path, entry) for path, entry in tree.items()}
    seen = sorted({uid for _, _, uids in tree.values() for uid in uids})
    text = json.dumps({"tree": shown, "seen": seen}, sort_keys=True, allow_nan=False).encode("ascii")
    if len(text) > limits.SNAPSHOT_INFLATED:
        raise TooLarge("The folder is too large for a snapshot.", limit=limits.SNAPSHOT_INFLATED, size=len(text))
    return zlib.compress(text)


def _shown(path: str, entry: tuple[int, Mapping[str, JSON], Sequence[int]]) -> list[Any]:
    uid, metadata, uids = entry
    shown = [uid, dict(metadata), list(uids)]
    if len(uids) > _MANY and len(json.dumps(shown)) > limits.SNAPSHOT_ENTRY:
        raise TooLarge("A file has too many versions for a snapshot.", path=path, limit=limits.SNAPSHOT_ENTRY)
    return shown


def entries(content: bytes) -> Iterator[tuple[str, Entry]]:
    """The entries of a snapshot, one after the other, so that one that lies takes little memory and time.

    What was given before an error is true of the text, and no more.

    :raises SnapshotCorrupt: anything odd, more when inflated than ``limits.SNAPSHOT_INFLATED`` bytes or
        ``limits.SNAPSHOT_RATIO`` times its size, or more entries or UIDs than the other bounds.
    """
    try:
        yield from _Parser(_inflated(content)).entries()
    except (ValueError, zlib.error) as error:
        raise SnapshotCorrupt(f"The snapshot cannot be used: {error}.") from None


def _inflated(content: bytes) -> str:
    most = min(max(len(content) * limits.SNAPSHOT_RATIO, limits.MIB), limits.SNAPSHOT_INFLATED)
    inflater = zlib.decompressobj()
    text = inflater.decompress(content, most + 1)
    if len(text) > most:
        raise ValueError("it inflates too far")
    if not inflater.eof or inflater.unused_data:
        raise ValueError("it is cut or goes on after its end")
    if not text.isascii():
        raise ValueError("it is not ASCII")
    return text.decode("ascii")


class _Parser:
    """Reads ``{"tree": {PATH: ENTRY…}, "seen": [UID…]}``, in either order, never holding more than an entry."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._uids = 0
        self._paths: set[bytes] = set()

    def entries(self) -> Iterator[tuple[str, Entry]]:
        missing = {"tree", "seen"}
        for name in self._keys():
            if name not in missing:
                raise ValueError("it is no snapshot")
            missing.remove(name)
            if name == "tree":
                yield from self._tree()
            else:
                self._seen()
        if missing or self._next():
            raise ValueError("it is no snapshot")

    def _tree(self) -> Iterator[tuple[str, Entry]]:
        for path in self._keys():
            digest = blake2b(path.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
            if digest in self._paths or len(self._paths) == limits.SNAPSHOT_ENTRIES:
                raise ValueError("a path occurs twice, or there are too many")
            self._paths.add(digest)
            entry = _entry(self._value("["))
            self._count(len(entry[2]))
            yield path, entry

    def _seen(self) -> None:
        self._expect("[")
        if self._next() == "]":
            self._at += 1
            return
        while True:
            found = _ELEMENT.match(self._text, self._at)
            if found is None or int(found[1]) > _UID:
                raise ValueError("what was seen has the wrong shape")
            self._at = found.end()
            self._count(1)
            if found[2] == "]":
                return

    def _count(self, uids: int) -> None:
        self._uids += uids
        if self._uids > 2 * limits.SNAPSHOT_UIDS:
            raise ValueError("it names too many messages")

    def _keys(self) -> Iterator[str]:
        """The keys of an object; after each the caller reads its value."""
        self._expect("{")
        if self._next() == "}":
            self._at += 1
            return
        while True:
            yield self._value('"')
            end = self._next()
            self._at += 1
            if end == "}":
                return
            if end != ",":
                raise ValueError("it is not JSON")

    def _value(self, first: str) -> JSON:
        """A value that begins with this character; after a key its colon, too."""
        if self._next() != first:
            raise ValueError("an entry has the wrong shape")
        value, self._at = strict_json_at(self._text, self._at, limits.SNAPSHOT_ENTRY)
        if first == '"':
            self._expect(":")
        return value

    def _expect(self, character: str) -> None:
        if self._next() != character:
            raise ValueError("it is no snapshot")
        self._at += 1

    def _next(self) -> str:
        """The next character that is no white space; empty at the end."""
        character = self._text[self._at : self._at + 1]
        if character not in _BLANKS:
            return character
        found = _WHITE.match(self._text, self._at)
        assert found is not None  # it matches the empty text
        self._at = found.end()
        return self._text[self._at : self._at + 1]


def _entry(entry: JSON) -> Entry:
    if type(entry) is not list or len(entry) != 3:
        raise ValueError("an entry has the wrong shape")
    uid, metadata, uids = entry
    if type(metadata) is not dict or not _are_uids(uids) or type(uid) is not int or uid not in uids:
        raise ValueError("an entry has the wrong shape")
    check_json(metadata)
    return uid, metadata, tuple(uids)


def _are_uids(value: JSON) -> bool:
    return type(value) is list and all(type(uid) is int and 0 < uid <= _UID for uid in value)
