"""Rollback marks: which heads a device has seen, so that an older state of the folder is noticed (FORMAT 9.1).

A mark is a head. Whether it is missing is decided by the index, from the versions that are there and from the
collection records, exactly as for one that went while a process looked on (FORMAT 5.5).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ifap_twisted.core import limits
from ifap_twisted.core.faults import Faults
from ifap_twisted.core.keys import Key
from ifap_twisted.core.strictjson import check_json, strict_json
from ifap_twisted.core.values import JSON, Checked, Version
from ifap_twisted.errors import Malformed

__all__ = ["Facts", "Kept", "Mark", "MarkSeal", "decode", "decode_facts", "encode", "encode_facts"]

_CONTEXT: Final = b"ifap-marks/1|"
_NAME: Final = 16
_NONCE: Final = 12
_CHECKSUM: Final = 32
_DEPTH: Final = limits.JSON_DEPTH + 4
"""What the metadata of a message may hold lies in a version of a head of the marks."""
WHOLE: Final = 100.0
"""Percent."""
_DEFAULTS: Final = Version._field_defaults


class Mark(NamedTuple):
    """A head of a path that was seen.

    :ivar rank: where: its lowest UID, or the rank of one that was missing (FORMAT 3.5).
    :ivar validity: the UIDVALIDITY of that.
    :ivar since: when it was seen first, in Unix time; -inf when it has been there for longer than a writer takes to
        take a write back (FORMAT 4.4), or its writer was told that it is stored.
    :ivar below: for one of the reference, the sealed ids of those of its file that were seen to be older.
    """

    version: Version
    rank: float
    validity: int
    since: float = -math.inf
    below: tuple[str, ...] = ()


class Facts(NamedTuple):
    """What is kept beside the marks.

    :ivar confirmed: when the marks agreed last with what was there, in Unix time.
    :ivar begun_anew: when marks were found to be lost, in Unix time; None when they never were.
    :ivar aside: the messages that a repair has set aside; ``spoilt`` those whose contents could not be used.
    :ivar checked: how far the checks are that a node makes by itself.
    """

    confirmed: float
    begun_anew: float | None = None
    aside: Faults = Faults()
    spoilt: Faults = Faults()
    checked: Checked = Checked()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a device finds of its marks.

    :ivar marks: by path.
    :ivar damaged: how many paths there were whose marks cannot be read any more.
    """

    facts: Facts
    marks: Mapping[str, Sequence[Mark]] = field(default_factory=lambda: MappingProxyType({}))
    damaged: int = 0


# ---------------------------------------------------------------- as text


def encode(path: str, marks: Sequence[Mark]) -> bytes:
    """The marks of one path as JSON; of more than ``limits.MARKED_HEADS`` those of the highest ranks."""
    most = sorted(marks, key=lambda mark: mark.rank)[-limits.MARKED_HEADS :]
    return _text({"v": 1, "path": path, "heads": [_head(mark) for mark in most]})


def decode(content: bytes) -> tuple[str, tuple[Mark, ...]]:
    """The inverse of :func:`encode`.

    :raises Malformed: anything odd, or more than ``limits.MARK_BYTES`` or ``limits.MARKED_HEADS``.
    """
    try:
        value = _parsed(content)
        path, heads = value.get("path"), value.get("heads")
        if type(path) is not str or type(heads) is not list or not 0 < len(heads) <= limits.MARKED_HEADS:
            raise ValueError("it has the wrong shape")
        return path, tuple(_mark(head, path) for head in heads)
    except ValueError as error:
        raise _malformed(error) from None


def encode_facts(facts: Facts) -> bytes:
    """The facts as JSON."""
    return _text(
        {
            "v": 1,
            "confirmed": facts.confirmed,
            "begun_anew": facts.begun_anew,
            "aside": facts.aside.to_json(),
            "spoilt": facts.spoilt.to_json(),
            "checked": facts.checked._asdict(),
        }
    )


def decode_facts(content: bytes) -> Facts:
    """The inverse of :func:`encode_facts`.

    :raises Malformed: anything odd.
    """
    try:
        value = _parsed(content)
        confirmed: JSON = value.get("confirmed")
        begun_anew: JSON = value.get("begun_anew")
        if not _is_number(confirmed) or not (begun_anew is None or _is_number(begun_anew)):
            raise ValueError("it has the wrong shape")
        aside, spoilt = (Faults.from_json(value.get(name)) for name in ("aside", "spoilt"))
        return Facts(confirmed, begun_anew, aside, spoilt, _checked(value.get("checked")))
    except ValueError as error:
        raise _malformed(error) from None


def _checked(value: JSON) -> Checked:
    """None for nothing."""
    if value is None:
        return Checked()
    if type(value) is not dict:
        raise ValueError("it has the wrong shape")
    fields: list[JSON] = [value.get(name) for name in ("time", "whole", "damaged", "read")]
    time, whole, damaged, read = fields
    times = all(one is None or _is_number(one) for one in (time, whole))
    if not (times and type(damaged) is int and _is_number(read) and 0 <= read < WHOLE):
        raise ValueError("it has the wrong shape")
    return Checked(time, damaged, read, whole)


def _text(value: JSON) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _parsed(content: bytes) -> dict[str, JSON]:
    if len(content) > limits.MARK_BYTES:
        raise ValueError("it is too long")
    value = strict_json(content.decode("ascii"))
    check_json(value, _DEPTH)
    if type(value) is not dict or type(value.get("v")) is not int or value["v"] != 1:
        raise ValueError("it has the wrong shape")
    return value


def _malformed(error: ValueError) -> Malformed:
    reason = "it is not ASCII" if isinstance(error, UnicodeError) else str(error)
    return Malformed(f"A rollback mark cannot be used: {reason}.", section="marks")


def _head(mark: Mark) -> dict[str, JSON]:
    values = {
        name: _plain(value)
        for name, value in zip(Version._fields, mark.version, strict=True)
        if name in _KINDS and (name not in _DEFAULTS or value != _DEFAULTS[name])
    }
    since = None if mark.since == -math.inf else mark.since
    head = {"version": values, "rank": mark.rank, "validity": mark.validity, "since": since}
    return head | ({"below": list(mark.below)} if mark.below else {})


def _plain(value: JSON) -> JSON:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _mark(value: JSON, path: str) -> Mark:
    if type(value) is not dict:
        raise ValueError("a head has the wrong shape")
    facts: Sequence[JSON] = [value.get(name) for name in ("rank", "validity", "since")]
    rank, validity, since = facts
    below = value.get("below", [])
    if not (_is_number(rank) and type(validity) is int and (since is None or _is_number(since)) and _is_texts(below)):
        raise ValueError("a head has the wrong shape")
    version = _version(value.get("version"), path)
    return Mark(version, rank, validity, -math.inf if since is None else since, tuple(below))


def _version(value: JSON, path: str) -> Version:
    """What later versions of this program say besides is left out."""
    if type(value) is not dict:
        raise ValueError("a version has the wrong shape")
    known = {name: value[name] for name in _KINDS if name in value}
    if not all(_KINDS[name](item) for name, item in known.items()):
        raise ValueError("a version has the wrong shape")
    if any(name not in known and name not in _DEFAULTS for name in _KINDS):
        raise ValueError("a version lacks what each has")
    for name in ("parents", "needs"):
        known[name] = tuple(known.get(name, ()))
    return Version(path=path, **known)


def _is_number(value: JSON) -> bool:
    return type(value) in {int, float} and math.isfinite(value)


def _exactly(kind: type) -> Callable[[JSON], bool]:
    return lambda value: type(value) is kind


def _is_texts(value: JSON) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def _is_clock(value: JSON) -> bool:
    return type(value) is dict and all(type(number) is int for number in value.values())


_KINDS: Final[Mapping[str, Callable[[JSON], bool]]] = {
    "vid": _exactly(str),
    "sealed_id": _exactly(str),
    "ours": _exactly(bool),
    "encrypted": _exactly(bool),
    "length": _exactly(int),
    "size": _exactly(int),
    "modified": _is_number,
    "writer": _exactly(str),
    "clock": _is_clock,
    "parents": _is_texts,
    "inherits": _exactly(str),
    "home": _exactly(str),
    "sha256": _exactly(str),
    "mode": _exactly(int),
    "mime": _exactly(str),
    "directory": _exactly(bool),
    "deleted": _exactly(bool),
    "versions": _exactly(int),
    "keep": _exactly(int),
    "needs": _is_texts,
    "chunks": _exactly(int),
    "understood": _exactly(bool),
    "moved_from": _exactly(str),
    "lock": _exactly(str),
    "written": _is_number,
    "extra": _exactly(dict),
}
"""The fields of a version but its path, which all heads have in common, and a lease, which no user's file has."""


# ---------------------------------------------------------------- sealed


class MarkSeal:
    """Seals the marks of one folder under a sub-key, and gives paths names that tell nobody what they are (FORMAT 8.1).

    :param key: None where encryption is off: then what is kept has a checksum.
    :param home: of the folder object; marks of another folder do not open.
    :param dialect: two file systems may share a folder, and one does not see what is in the other.
    """

    def __init__(self, key: Key | None, *, home: str, dialect: str) -> None:
        self._folder = f"{home}|{dialect}".encode()
        self._naming = b"" if key is None else key.subkey("marks-names")
        self._cipher = None if key is None else AESGCM(key.subkey("marks"))
        self.place = self._hash(b"folder")
        """Names the folder."""

    def name(self, path: str) -> bytes:
        """Names a path."""
        return self._hash(b"path|" + path.encode("utf-8", "surrogatepass"))

    def seal(self, name: bytes, content: bytes, random: Callable[[int], bytes]) -> bytes:
        """What is kept under a name."""
        if self._cipher is None:
            return hashlib.sha256(self._context(name) + content).digest() + content
        nonce = random(_NONCE)
        return nonce + self._cipher.encrypt(nonce, content, self._context(name))

    def open(self, name: bytes, sealed: bytes) -> bytes:
        """The inverse of :meth:`seal`.

        :raises Malformed: it is damaged, or belongs elsewhere.
        """
        try:
            if self._cipher is not None:
                return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._context(name))
        except (InvalidTag, ValueError):
            raise _malformed(ValueError("it is damaged")) from None
        checksum, content = sealed[:_CHECKSUM], sealed[_CHECKSUM:]
        if checksum != hashlib.sha256(self._context(name) + content).digest():
            raise _malformed(ValueError("it is damaged"))
        return content

    def _context(self, name: bytes) -> bytes:
        return _CONTEXT + self._folder + b"|" + name

    def _hash(self, what: bytes) -> bytes:
        return hmac.digest(self._naming, self._folder + b"|" + what, "sha256")[:_NAME]
