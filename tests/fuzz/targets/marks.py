"""Rollback marks: what a device has kept of what it saw, whoever changed it on the disk (FORMAT 9.1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from ifap_twisted.core.index import Index
from ifap_twisted.core.keys import Key
from ifap_twisted.core.marks import Facts, Mark, MarkSeal, decode, decode_facts, encode, encode_facts
from ifap_twisted.core.replays import Seen, in_front
from ifap_twisted.core.values import Version
from ifap_twisted.errors import Malformed

FACTS: Final = 1
"""The rest of the input are facts."""
SEALED: Final = 2
"""The rest of the input is a row as it lies on the disk; with the next bit of a folder without encryption."""
PLAIN: Final = 4
_SEALS: Final = {
    flag: MarkSeal(key, home="AAAAAAAA", dialect="ifap") for flag, key in ((0, Key.from_text("one")), (PLAIN, None))
}
_CONTENT: Final = b"what was kept"
WORDS: Final = (
    *b'"v":1|"path":"|"heads":[|{"version":{|"rank":|"validity":|"since":|"below":[|"vid":"|"sealed_id":"'.split(b"|"),
    *b'"clock":{"abcdef":|"parents":[|"ours":true|"deleted":true|"written":|null|1e999|9007199254740993|\\ud800'.split(
        b"|"
    ),
    b"9" * 400,
)
"""What such inputs are made of."""


def one(data: bytes) -> None:
    """Marks that everything can be asked, or ``Malformed``; only what was sealed opens."""
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    try:
        if flags & SEALED:
            content = _SEALS[flags & PLAIN].open(b"name", rest)
            assert content == _CONTENT or flags & PLAIN, "a forged row opened"  # a checksum stops accidents only
        elif flags & FACTS:
            facts = decode_facts(rest)
            assert decode_facts(encode_facts(facts)) == facts
        else:
            _look(*decode(rest))
    except Malformed:
        return


def seeds() -> Iterator[bytes]:
    """Marks of both kinds of writers, facts, rows, and what one would change in them."""
    ours: dict[str, Any] = {
        "ours": True,
        "encrypted": True,
        "writer": "abcdef",
        "clock": {"abcdef": 3},
        "home": "AAAAAAAA",
    }
    theirs = {"ours": False, "encrypted": True, "versions": 5, "inherits": "w" * 22, "extra": {"x": [1, None]}}
    for facts in (ours, theirs, {**ours, "deleted": True, "parents": ("v" * 22,)}):
        version = Version(
            path="d/\u00e4\ud800", vid="v" * 22, sealed_id="s" * 22, length=1, size=1, modified=0.5, **facts
        )
        marks = [Mark(version, 5, 1), Mark(version, 5.5, 2, 1.5, ("u" * 22,)), Mark(version._replace(vid="x"), 9, 1)]
        yield b"\0" + encode(version.path, marks)
        text = json.loads(encode(version.path, marks[:1]))
        for name, value in (("rank", 10**400), ("since", -(10**400)), ("validity", 10**30), ("below", ["a", 1])):
            yield b"\0" + json.dumps({**text, "heads": [{**text["heads"][0], name: value}]}).encode("ascii")
        for name, value in (("clock", {"a": -1}), ("modified", 10**400), ("vid", 1), ("size", True), ("mode", 10**30)):
            head = {**text["heads"][0]["version"], name: value}
            yield b"\0" + json.dumps({**text, "heads": [{**text["heads"][0], "version": head}]}).encode("ascii")
    yield b'\0{"v":1,"path":"a","heads":[]}'
    yield b"\0" + b"[" * 3000
    for kept in (Facts(1.5), Facts(0.0, 2.5)):
        yield bytes([FACTS]) + encode_facts(kept)
    yield bytes([FACTS]) + b'{"begun_anew":null,"confirmed":' + b"9" * 400 + b',"v":1}'
    for flag, seal in _SEALS.items():
        yield bytes([SEALED | flag]) + seal.seal(b"name", _CONTENT, bytes)
        yield bytes([SEALED | flag]) + seal.seal(b"other", _CONTENT, bytes)


def _look(path: str, marks: tuple[Mark, ...]) -> None:
    """What a device does with them at its start, and when it keeps them again."""
    assert decode(encode(path, marks)) == (path, tuple(sorted(marks, key=lambda mark: mark.rank)))
    for validity in (1, 2):
        index = Index(validity=validity)
        index.recall(marks)
        history = index.history(path)
        assert all(one.missing for one in history.versions)
        index.missing()
        in_front(history, Seen.of(marks))
        index.spells(path, 1.0)
