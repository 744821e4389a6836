"""What the vectors are made of: keys, times, drafts, and the ways in which messages are damaged; all of it fixed."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

from ifap_twisted.core.values import Draft
from tests.vectors_own import independent
from tests.vectors_own.independent import Ingredients

KEYS = {"main": base64.b64encode(bytes(range(32))).decode(), "other": "correct horse battery staple"}
HOME = "SG9tZTEh"
OTHER_HOME = "T3RoZXIh"
ALICE, BOB, CAROL = "Alice-", "Bob_01", "Carol9"
TIME = 1_793_000_000
"""Unix time of the first sealing: 26 October 2026."""
REFERENCE_VID = "RefVersionOfAnOldFile0"
SNAPSHOT = {"IFAP/metadata": "ifap", "Mailfile/metadata": "mailfile"}

Values = dict[str, Any]


def random(label: str, count: int) -> bytes:
    """Bytes that look random and are always the same for the same label."""
    return hashlib.shake_256(label.encode()).digest(count)


def vid(label: str) -> str:
    """A version id for a label."""
    return base64.urlsafe_b64encode(random("vid " + label, 16)).decode().rstrip("=")


def digest(content: bytes) -> str:
    """The ``sha256`` of a content."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def draft(name: str, path: str, **more: Any) -> Draft:
    """A draft by Alice, with her first number unless another clock is given."""
    fields: dict[str, Any] = {"writer": ALICE, "clock": {ALICE: 1}, "home": HOME, "modified": float(TIME)}
    return Draft(path=path, vid=vid(name), **{**fields, **more})


def drafts() -> dict[str, tuple[Draft, bytes]]:
    """The good messages: by name what the header says, and the content."""
    two = {ALICE: 1, BOB: 1}
    return {
        "file": (draft("file", "notes/hello.txt"), b"hello world\n"),
        "empty": (draft("empty", "empty"), b""),
        "full-block": (draft("full-block", "block.bin", modified=TIME + 0.25), bytes(range(256)) * 8),
        "blanks": (draft("blanks", "blanks.txt"), b"   trailing blanks are content   "),
        "names": (
            draft(
                "names",
                "Grüße/日本語/a\u0301 😀.txt",
                mode=0o600,
                mime="text/markdown; charset=utf-8",
                modified=TIME - 0.999,
            ),
            b"# names are never normalised\n",
        ),
        "update": (draft("update", "notes/hello.txt", writer=BOB, clock=two, keep=3), b"hello from Bob\n"),
        "concurrent": (draft("concurrent", "notes/hello.txt", writer=CAROL, clock={ALICE: 1, CAROL: 7}), b"Carol\n"),
        "merge": (
            draft("merge", "notes/hello.txt", clock={ALICE: 2, BOB: 1, CAROL: 7}, keep=12),
            b"hello from all\n",
        ),
        "tombstone": (draft("tombstone", "empty", clock={ALICE: 2}, deleted=True), b""),
        "directory": (draft("directory", "music", directory=True), b""),
        "moved": (draft("moved", "notes/moved.txt", clock={ALICE: 3}, moved_from=vid("file")), b"hello world\n"),
        "over-reference": (
            draft("over-reference", "old.txt", clock={ALICE: 4}, parents=(REFERENCE_VID,)),
            b"replaces a version of the reference\n",
        ),
        "extra": (draft("extra", "app.db", extra={"app": {"a": [1, 2.5, None, True], "b": "ü"}}), b"data"),
        "least-padding": (draft("least-padding", _path_for(147)), b"one underscore"),
        "most-padding": (draft("most-padding", _path_for(0)), b"148 underscores"),
        "folder-object": (
            draft("folder-object", f"IFAP/keys/folder-{HOME}", clock={ALICE: 5}),
            independent.canonical(
                {
                    "chunks": base64.urlsafe_b64encode(random("chunks", 32)).decode(),
                    "generation": 1,
                    "home": HOME,
                    "key": independent.fingerprint(KEYS["main"]),
                    "v": 1,
                }
            ),
        ),
    }


CHUNK_KEY = random("chunks", 32)
"""What the vector ``folder-object`` says."""


def large() -> dict[str, tuple[Draft, bytes]]:
    """A file in three pieces, of which two are equal: its manifest, a manifest of manifests, and their chunks."""
    parts = (random("a part", 1000), random("another part", 65))
    names = [independent.chunk_name(CHUNK_KEY, independent.chunk_content(part)) for part in parts]
    rows = [[names[0], 0, 1000], [names[1], 1000, 65], [names[0], 1065, 1000]]
    below = independent.canonical({"depth": 0, "pieces": rows, "scheme": 1, "size": 2065, "v": 1})
    name = independent.chunk_name(CHUNK_KEY, independent.chunk_content(below))
    twice = [[name, 0, 2065], [name, 2065, 2065]]
    above = independent.canonical({"depth": 1, "pieces": twice, "scheme": 1, "size": 4130, "v": 1})
    return {
        "manifest": (draft("manifest", "films/large", size=2065), below),
        "manifest-of-manifests": (draft("manifest-of-manifests", "films/twice", size=4130), above),
        "chunk": _chunk(parts[0]),
        "chunk-padded": _chunk(parts[1]),
        "chunk-manifest": _chunk(below),
    }


def _chunk(part: bytes) -> tuple[Draft, bytes]:
    content = independent.chunk_content(part)
    name = independent.chunk_name(CHUNK_KEY, content)
    header = {"path": f"IFAP/chunks/{name}", "vid": name[:22], "writer": "chunks", "clock": {"chunks": 1}}
    return Draft(home=HOME, modified=0.0, **header), content


LARGE_LABEL, LARGE_LENGTH = "a large file", 4_000_000
"""A content to be cut: so many bytes of SHAKE-256 of this text."""


def _path_for(rest: int) -> str:
    """A path that makes the metadata text without padding leave that rest modulo 148."""
    values = {"bytes": 14 if rest else 15, "clock": {ALICE: 1}, "home": HOME, "sha256": "A" * 43, "ts": TIME, "v": 1}
    values |= {"versions": 5, "vid": "A" * 22, "writer": ALICE}
    length = len(independent.canonical({**values, "fn": ""}))
    return "p" * ((rest - length) % 148)


def snapshot(dialect: str) -> tuple[Draft, bytes]:
    """A snapshot; the text is stored, not compressed, so that every zlib gives the same bytes."""
    path = next(name for name, owner in SNAPSHOT.items() if owner == dialect)
    values = {"bytes": 12, "sha256": digest(b"hello world\n"), "ts": TIME, "v": 1, "versions": 5, "vid": vid("file")}
    tree = {"notes/hello.txt": [3, values | {"clock": {ALICE: 1}, "home": HOME, "writer": ALICE}, [3]]}
    text = json.dumps({"seen": [3], "tree": tree}, sort_keys=True).encode()
    return draft("snapshot", path, clock={ALICE: 6}), zlib.compress(text, 0)


# ---------------------------------------------------------------- damaged ones


def good_values(content: bytes = b"hello world\n", **more: Any) -> Values:
    """The metadata of the message ``file``, changed as told; None takes a key away."""
    values = {"bytes": len(content), "clock": {ALICE: 1}, "fn": "notes/hello.txt", "home": HOME, "ts": TIME, "v": 1}
    values |= {"sha256": digest(content), "versions": 5, "vid": vid("file"), "writer": ALICE, **more}
    return {name: value for name, value in values.items() if value is not None}


def made(name: str, values: Mapping[str, Any] | bytes, plain: bytes = b"hello world\n", **more: Any) -> Ingredients:
    """The ingredients of a message whose metadata is given as an object or, for the odd ones, as a text.

    :param more: ``key`` and ``dialect``, or else tokens that stand in the place of what would be made.
    """
    key = more.pop("key", KEYS["main"])
    text = values if isinstance(values, bytes) else independent.metadata_text(values, sealed=key is not None)
    return Ingredients(
        dialect=more.pop("dialect", "ifap"),
        key=key,
        text=text,
        content=plain,
        time=TIME,
        metadata_iv=random(f"metadata {name}", 16),
        content_iv=random(f"content {name}", 16),
        tokens=more,
    )


def _padded(text: bytes) -> bytes:
    """An odd text made as long as a good one is, by a last key ``_``."""
    return text[:-1] + b',"_":"' + b"_" * (148 - len(text) % 148 + 11 - 7) + b'"}'


def odd_texts() -> dict[str, tuple[bytes, str]]:
    """Metadata texts that must be refused, by name, each with the code of its error."""
    array = b"[" + b" " * (148 - 2 + 11) + b"]"
    return {name: (text, "malformed") for name, text in _malformed_texts().items()} | {"array": (array, "spliced")}


def _malformed_texts() -> dict[str, bytes]:
    text = independent.canonical(good_values())
    return {
        "duplicate-key": _padded(text[:-1] + b',"fn":"other.txt"}'),
        "no-v": independent.metadata_text(good_values(v=None), sealed=True),
        "no-vid": independent.metadata_text(good_values(vid=None), sealed=True),
        "no-clock": independent.metadata_text(good_values(clock=None), sealed=True),
        "clock-without-writer": independent.metadata_text(good_values(clock={BOB: 1}), sealed=True),
        "short-vid": independent.metadata_text(good_values(vid="short"), sealed=True),
        "empty-name": independent.metadata_text(good_values(fn=""), sealed=True),
        "name-not-text": independent.metadata_text(good_values(fn=["a"]), sealed=True),
        "bytes-float": _padded(text.replace(b'"bytes":12', b'"bytes":12.0')),
        "bytes-negative": independent.metadata_text(good_values(bytes=-1), sealed=True),
        "not-a-number": _padded(text.replace(b'"v":1', b'"v":NaN')),
        "control-character": _padded(text.replace(b"hello.txt", b"hel\tlo.txt")),
        "not-utf8": _padded(text.replace(b"hello.txt", b"hello\xff.txt")),
        "tombstone-with-content": independent.metadata_text(good_values(deleted=True), sealed=True),
        "unpadded": independent.canonical(good_values()),
        "neither-serialization": _padded(b"{ " + text[1:]),
    }


def reference_form(name: str, **values: Any) -> Ingredients:
    """A message as a reference program writes it when it overwrites one of ours: our keys, inherited and stale."""
    content = values.pop("content", b"")
    text = independent.reference_text({"bytes": len(content), "ts": TIME + 60, **values})
    return made(name, text, content)
