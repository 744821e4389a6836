"""A message frozen before it is sent, and how a journal keeps it: under a key of its own (FORMAT 4.1, 8.1).

A record names its key by the fingerprint, so that one of another key is told from a damaged one. It begins with the
number of its format: 1 said nothing of what was promised and expected; a record of a later number is left alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ifap_twisted.core.keys import Key
from ifap_twisted.core.mime import head_end
from ifap_twisted.core.strictjson import strict_json
from ifap_twisted.core.values import ABSENT, JSON, Expect
from ifap_twisted.errors import DataError, ForeignKey, Malformed, NewerVersionNeeded

__all__ = ["Frozen", "JournalContent", "freeze", "thaw"]

MAGIC: Final = b"IFAPJ2\r\n"
EARLIER: Final = b"IFAPJ1\r\n"
_ANY_MAGIC: Final = re.compile(rb"IFAPJ([1-9])\r\n")
_FINGERPRINT: Final = 16
_NO_KEY: Final = b"-" * _FINGERPRINT
_NONCE: Final = 12
_TAG: Final = 16
_LENGTH: Final = 8
_HEAD: Final = len(MAGIC) + _FINGERPRINT + _NONCE + 2 * _LENGTH
_FACTS: Final = ("account", "folder", "home", "dialect", "sealed_id")
_IS_FINGERPRINT: Final = re.compile(rb"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What was about to be sent, and where to: a replay sends the same bytes to the same place or to none.

    :ivar account: ``Account.key``; ``folder`` its folder, ``home`` that of the folder object (FORMAT 8.2).
    :ivar sealed_id: by which the message is found on the server (FORMAT 2.1).
    :ivar accepted: its caller was told that it will be sent, and later writes descend from it.
    :ivar expect: what the caller expected (FORMAT 4.4); ``replaced`` the vids of the versions that it descends from.
    :ivar message: all of it, or its head when a journal gave it back (``IJournal.left``).
    """

    account: str
    folder: str
    home: str
    dialect: str
    sealed_id: str
    message: bytes
    accepted: bool = False
    expect: Expect = None
    replaced: tuple[str, ...] = ()

    def head(self) -> Frozen:
        """The same with the header of the message only: what is kept in memory of one that waits."""
        return replace(self, message=self.message[: head_end(self.message)[0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalContent:
    """What a journal holds after a crash.

    :ivar frozen: messages that can be opened, oldest first.
    :ivar foreign: how many were sealed with a key that is not known here, or by a later release; ``damaged`` how many
        were set aside, ``unread`` how many of these just now.
    """

    frozen: tuple[Frozen, ...] = ()
    foreign: int = 0
    damaged: int = 0
    unread: int = 0


def freeze(frozen: Frozen, key: Key | None, random: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    """The record of a message, in two pieces so that the message is not copied: it is sealed as it is.

    :param key: seals what is said of it; None where the folder is in clear: then it has a checksum.
    :param random: gives that many random bytes.
    """
    facts = _facts(frozen)
    text = json.dumps(facts).encode("ascii")
    nonce = random(_NONCE)
    name = _NO_KEY if key is None else key.fingerprint.encode("ascii")
    lengths = (len(text) + _TAG).to_bytes(_LENGTH, "big") + len(frozen.message).to_bytes(_LENGTH, "big")
    head = MAGIC + name + nonce + lengths
    if key is None:
        return head + text + _checksum(head, text), frozen.message
    return head + AESGCM(key.subkey("journal")).encrypt(nonce, text, head), frozen.message


def thaw(data: bytes, keys: Sequence[Key]) -> Iterator[tuple[bytes, Frozen | DataError]]:
    """Each record of a file with its message, or with why it has none; together they are the whole file.

    ``ForeignKey``: it was sealed with a key that is not among these; ``NewerVersionNeeded``: by a later release.
    ``Malformed``: it is damaged. What has no known end goes on up to the next one.
    """
    at = 0
    while at < len(data):
        end = _end_of_record(data, at)
        found = _opened(data[at:end], keys) if end is not None else _endless(data, at)
        if isinstance(found, Malformed) or end is None:
            after = _ANY_MAGIC.search(data, at + 1)
            end = len(data) if after is None else after.start()
        yield data[at:end], found
        at = end


def _facts(frozen: Frozen) -> dict[str, JSON]:
    """What a record says of a message."""
    expect = frozen.expect
    return {name: getattr(frozen, name) for name in _FACTS} | {
        "sha256": hashlib.sha256(frozen.message).hexdigest(),
        "accepted": frozen.accepted,
        "expect": None if expect is None else [] if expect is ABSENT else [expect],
        "replaced": list(frozen.replaced),
    }


def _lengths(record: bytes, at: int = 0) -> tuple[int, int]:
    """Of the facts and of the message."""
    second = at + _HEAD - _LENGTH
    first = second - _LENGTH
    return int.from_bytes(record[first:second], "big"), int.from_bytes(record[second : second + _LENGTH], "big")


def _end_of_record(data: bytes, at: int) -> int | None:
    """Where the record that begins here ends, as it says itself."""
    if not data.startswith((MAGIC, EARLIER), at) or at + _HEAD > len(data):
        return None
    end = at + _HEAD + sum(_lengths(data, at))
    return end if end <= len(data) else None


def _endless(data: bytes, at: int) -> DataError:
    """What begins here and does not say where it ends: damaged, or of a release that is not known yet."""
    if _ANY_MAGIC.match(data, at) and not data.startswith((MAGIC, EARLIER), at):
        return NewerVersionNeeded("A journal entry was written by a newer release.")
    return _damaged()


def _opened(record: bytes, keys: Sequence[Key]) -> Frozen | DataError:
    name, head, length = record[len(MAGIC) :][:_FINGERPRINT], record[:_HEAD], _lengths(record)[0]
    body, message = record[_HEAD:][:length], record[_HEAD + length :]
    if name == _NO_KEY:
        text, checksum = body[:-_TAG], body[-_TAG:]
        return _parsed(text, message) if checksum == _checksum(head, text) else _damaged()
    for key in keys:
        if key.fingerprint.encode("ascii") == name:
            nonce = record[len(MAGIC) + _FINGERPRINT :][:_NONCE]
            try:
                return _parsed(AESGCM(key.subkey("journal")).decrypt(nonce, body, head), message)
            except InvalidTag:
                return _damaged()
    if not _IS_FINGERPRINT.fullmatch(name):
        return _damaged()
    return ForeignKey("A journal entry was sealed with a key that is not known here.")


def _checksum(head: bytes, text: bytes) -> bytes:
    return hashlib.sha256(head + text).digest()[:_TAG]


def _damaged() -> Malformed:
    return Malformed("A journal entry is damaged.", section="journal")


def _parsed(text: bytes, message: bytes) -> Frozen | DataError:
    try:
        facts = strict_json(text.decode("ascii"))
    except ValueError:
        return _damaged()
    if not isinstance(facts, dict) or not all(isinstance(facts.get(name), str) for name in _FACTS):
        return _damaged()
    if facts.get("sha256") != hashlib.sha256(message).hexdigest():
        return _damaged()
    frozen = Frozen(message=message, **{name: facts[name] for name in _FACTS})
    return frozen if "accepted" not in facts else _with_promises(frozen, facts)


def _with_promises(frozen: Frozen, facts: dict[str, JSON]) -> Frozen | DataError:
    """With what records of the first format do not say."""
    accepted, expect, replaced = facts["accepted"], facts.get("expect"), facts.get("replaced")
    expected = [] if expect is None else expect
    if not isinstance(accepted, bool) or not isinstance(expected, list) or not isinstance(replaced, list):
        return _damaged()
    if len(expected) > 1 or not all(isinstance(vid, str) for vid in (*expected, *replaced)):
        return _damaged()
    wanted: Expect = None if expect is None else expected[0] if expected else ABSENT
    return replace(frozen, accepted=accepted, expect=wanted, replaced=tuple(replaced))
