"""Key files: ``key.json`` of a basedir, and a file with a key that is given to ``login`` (FORMAT 8.3)."""

from __future__ import annotations

import atexit
import json
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.keyfile import KeyEntry, KeyFile
from ifap_twisted.core.keys import Key
from ifap_twisted.credentials import first_line
from ifap_twisted.errors import BadSettings, NewerVersionNeeded

GIVEN: Final = 1
"""The rest of the input is a file with a key, not ``key.json``."""
CANARY: Final = "Zq7KeyCanary"
"""In the seeds it is the key; wherever it still is in an input, no error may show it."""

_OPEN: Final[list[tuple[KeyFile, Path]]] = []
WORDS: Final = (
    *b'"format": 1|"entries": [|"key": "|"earlier_keys": [|"account"|"folder"|"encryption": "off"|"wrapped": {'.split(
        b"|"
    ),
    *b"null|\\ud800|{|]".split(b"|"),
)
"""What such inputs are made of."""


def one(data: bytes) -> None:
    """Entries or one of two errors, which show no secret; entries can be written, and the keys be used."""
    try:
        keys = [first_line(data[1:], "the key file")] if data[:1] and data[0] & GIVEN else _keys(data[1:])
    except (BadSettings, NewerVersionNeeded) as error:
        shown = "".join(traceback.format_exception(error))
    else:
        shown = f"{keys!r} {[Key.from_text(key.reveal()) for key in keys]!r}"
    assert CANARY not in shown, "a secret is shown"


def seeds() -> Iterator[bytes]:
    """Good files, and what one would damage in them by hand."""
    entry: dict[str, Any] = {"account": "imaps://me@imap.example.org", "folder": "IFAP_DATA", "key": CANARY}
    full = entry | {"earlier_keys": ["one"], "home": "AAAAAAAA", "dialect": "ifap", "encryption": "required"}
    contents: list[Any] = [
        {"format": 1, "entries": [entry]},
        {"format": 1, "entries": [full, entry | {"folder": "other", "x_more": {"deep": [1, None]}}], "x": 1},
        {"format": 2, "entries": [entry | {"key": None, "wrapped": {"sealed": CANARY, "kdf": {"memory": 1}}}]},
        {"format": 2, "entries": [entry | {"earlier_wrapped": [{"v": 1}], "generation": 3}]},
        {"format": 9, "entries": [entry]},
        {"format": 0, "entries": [entry]},
        {"format": 1, "entries": {"key": CANARY}},
        {"format": 1, "entries": [entry | {"key": [CANARY]}]},
        {"format": True},
        [CANARY],
    ]
    yield from (b"\0" + json.dumps(content, indent=1).encode("ascii") for content in contents)
    yield b'\0{"format": 1, "entries": [], "entries": ["' + CANARY.encode() + b'"]}'
    yield b'\0{"format": 1, "x": ' + b"[" * 3000
    for text in (CANARY.encode() + b"\n", b"\xff" + CANARY.encode(), b"a\0b\r\n", b"\n", b"x" * 5000):
        yield bytes([GIVEN]) + text


def _keys(content: bytes) -> list[Any]:
    if not _OPEN:
        place = tempfile.TemporaryDirectory()
        basedir = Basedir(Path(place.name) / "basedir")
        atexit.register(place.cleanup)
        atexit.register(basedir.close)
        _OPEN.append((KeyFile(basedir), basedir.path / "key.json"))
    ((file, path),) = _OPEN
    path.write_bytes(content)
    entries = file.entries()
    assert tuple(KeyEntry.from_json(entry.to_json()) for entry in entries) == entries
    return [key for entry in entries for key in (entry.key, *entry.earlier_keys) if key is not None]
