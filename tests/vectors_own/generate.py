"""Writes the vectors: ``python -m tests.vectors_own.generate`` makes every file here anew, always with the same bytes.

Good messages come from ``ifap_twisted.core.envelope``, damaged ones from ``independent``. What is expected of a reader
is written down here by hand, and never taken from what the project's reader says.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import DIALECTS
from ifap_twisted.core.keys import Key
from tests.vectors_own import independent, recipes
from tests.vectors_own.independent import Ingredients
from tests.vectors_own.recipes import ALICE, HOME, KEYS, OTHER_HOME, TIME, good_values, made

HERE = Path(__file__).parent
SHOWN = 64
"""Contents of up to this many bytes are in the manifest."""


def files() -> dict[str, bytes]:
    """Every file of the vectors, by its name below this directory."""
    messages: dict[str, bytes] = {}
    entries: list[dict[str, Any]] = []
    for entry, message in [*_written(), *_altered()]:
        entry |= {"message_sha256": hashlib.sha256(message).hexdigest(), "message_length": len(message)}
        entries.append(entry)
        messages[entry["file"]] = message
    manifest = {"format": 1, "keys": _keys(), "home": HOME, "messages": entries, "histories": _histories()}
    manifest["boundaries"] = _boundaries()
    text = json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    return {**messages, "manifest.json": text.encode()}


def _keys() -> dict[str, dict[str, str]]:
    shown = {}
    for name, text in KEYS.items():
        secret = hashlib.sha256(text.encode()).digest()
        shown[name] = {
            "text": text,
            "signing": secret[:16].hex(),
            "encryption": secret[16:].hex(),
            "fernet": base64.urlsafe_b64encode(secret).decode(),
            "fingerprint": independent.fingerprint(text),
        }
    return shown


def _boundaries() -> dict[str, Any]:
    content = recipes.random(recipes.LARGE_LABEL, recipes.LARGE_LENGTH)
    return {
        "key": recipes.CHUNK_KEY.hex(),
        "shake256": recipes.LARGE_LABEL,
        "length": recipes.LARGE_LENGTH,
        "ends": independent.boundaries(recipes.CHUNK_KEY, content),
    }


# ---------------------------------------------------------------- good messages


def _written() -> list[tuple[dict[str, Any], bytes]]:
    found = []
    for dialect in DIALECTS:
        chosen = {**recipes.drafts(), "snapshot": recipes.snapshot(dialect), **recipes.large()}
        for number, (name, (draft, content)) in enumerate(chosen.items()):
            found.append(_sealed(name, dialect, "main", number, draft, content))
        for name in ("file", "empty", "names"):
            found.append(_sealed(f"plain-{name}", dialect, None, 40, *chosen[name]))
    return found


def _sealed(
    name: str, dialect: str, key: str | None, number: int, draft: Any, content: bytes
) -> tuple[dict[str, Any], bytes]:
    ivs = [recipes.random(f"{kind} {dialect} {name}", 16) for kind in ("metadata", "content")]
    handed = iter(ivs)
    sealed = envelope.seal(
        draft,
        content,
        dialect=DIALECTS[dialect],
        key=None if key is None else Key.from_text(KEYS[key]),
        now=TIME + number,
        random=lambda count: next(handed)[:count],
    )
    values = _metadata(sealed.message, dialect, key)
    entry = _entry(name, dialect, key, values, content)
    entry |= {
        "made_by": "project",
        "time": TIME + number,
        "sealed_id": sealed.sealed_id,
        "listed": "ok",
        "opened": "ok",
    }
    if key is not None:
        entry |= {"metadata_iv": ivs[0].hex(), "content_iv": ivs[1].hex()}
    return entry, sealed.message


def _metadata(message: bytes, dialect: str, key: str | None) -> dict[str, Any]:
    """The metadata of a good message, found without the project's reader."""
    head = message.split(b"\r\n\r\n")[0].replace(b"\r\n ", b"").decode()
    name = independent.CONSTANTS[dialect]["header"]
    value = next(line for line in head.split("\r\n") if line.startswith(f"{name}:")).split(":", 1)[1]
    text = base64.b64decode(value) if key is None else independent.opened(KEYS[key], value)
    found: dict[str, Any] = json.loads(text)
    found.pop("_", None)
    return found


def _entry(
    name: str, dialect: str, key: str | None, values: Mapping[str, Any] | None, content: bytes
) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": f"{dialect}/{name}", "dialect": dialect, "key": key, "file": f"{dialect}/{name}.eml"}
    if values is not None:
        entry["metadata"] = dict(values)
    entry |= {"content_sha256": hashlib.sha256(content).hexdigest(), "content_length": len(content)}
    if len(content) <= SHOWN:
        entry["content_hex"] = content.hex()
    return entry


# ---------------------------------------------------------------- damaged and odd messages


def _altered() -> list[tuple[dict[str, Any], bytes]]:
    odd = recipes.odd_texts().items()
    found = [_made(name, made(name, text), code, code) for name, (text, code) in odd]
    return [*found, *_authentic_but_wrong(), *_damaged(), *_unencrypted(), *_references()]


def _made(
    name: str, made_of: Ingredients, listed: str, opened: str, *, message: bytes | None = None, **more: Any
) -> tuple[dict[str, Any], bytes]:
    """An entry for a message from ``independent``; ``key`` in ``more`` is the reader's."""
    entry = {
        "id": f"{made_of.dialect}/{name}",
        "dialect": made_of.dialect,
        "key": "main",
        "file": f"{made_of.dialect}/{name}.eml",
    }
    entry |= {"made_by": "independent", "listed": listed, "opened": opened, **more}
    return entry, independent.encode(made_of) if message is None else message


def _authentic_but_wrong() -> list[tuple[dict[str, Any], bytes]]:
    """Sealed under the right key, and yet not to be believed, or not to be understood."""
    needs = good_values(needs=["chunks"], size=10**9)
    newer = good_values(v=2, x="unknown", vid=recipes.vid("newer"))
    stranger = made("stranger", good_values(b"another text"), b"hello world\n")
    longer = made("longer", good_values(bytes=2049), b"hello world\n")
    payload = independent.canonical(good_values()) + b" " * (2048 - len(independent.canonical(good_values())))
    forged = independent.token(KEYS["main"], payload, now=TIME, iv=recipes.random("forged", 16))
    return [
        _made("needs-unknown", made("needs-unknown", needs), "ok", "newer-version-needed"),
        _made("newer-v", made("newer-v", newer), "ok", "newer-version-needed"),
        _made("spliced-same-size", stranger, "ok", "spliced"),
        _made("spliced-other-size", longer, "ok", "spliced"),
        _made("payload-as-metadata", made("payload-as-metadata", good_values(), metadata=forged), "spliced", "spliced"),
        _made(
            "foreign-folder", made("foreign-folder", good_values(home=OTHER_HOME)), "foreign-folder", "foreign-folder"
        ),
        _made("other-key", made("other-key", good_values(), key=KEYS["other"]), "foreign-key", "foreign-key"),
    ]


def _damaged() -> list[tuple[dict[str, Any], bytes]]:
    """Bytes changed, cut or doubled."""
    base = made("damaged", good_values())
    whole = independent.encode(base)
    head, body = whole.split(b"\r\n\r\n", 1)
    field = head[: head.index(b"\r\nTo:") + 2]
    cases = {
        "bit-in-metadata": (whole.replace(whole[60:61], b"A" if whole[60:61] != b"A" else b"B", 1), "foreign-key"),
        "two-metadata-fields": (field + whole, "malformed"),
        "no-metadata-field": (whole[len(field) :], "malformed"),
        "metadata-cut": (whole[: len(field) - 40] + whole[len(field) - 2 :], "malformed"),
    }
    found = [_made(name, base, code, code, message=message) for name, (message, code) in cases.items()]
    bodies = {
        "bit-in-content": (body[:1000] + (b"A" if body[1000:1001] != b"A" else b"B") + body[1001:], "tampered"),
        "content-cut": (body[:-100], "truncated"),
        "content-missing": (b"", "truncated"),
        "content-lengthened": (body + b"AAAA\r\n", "extended"),
    }
    for name, (text, code) in bodies.items():
        found.append(_made(name, base, "ok", code, message=head + b"\r\n\r\n" + text))
    other = whole.replace(b"application/x-ifap", b"application/octet-stream")
    return [*found, _made("no-part", base, "ok", "malformed", message=other)]


def _unencrypted() -> list[tuple[dict[str, Any], bytes]]:
    """What is not sealed, where a key says that it has to be; and what is sealed, where there is none."""
    plain = made("plaintext", good_values(), key=None)
    body = made("plaintext-content", good_values(), content=base64.b64encode(b"hello world\n").decode())
    sealed = made("sealed-content", good_values(), key=None)
    token = independent.token(KEYS["main"], independent.padded(b"hello world\n"), now=TIME, iv=bytes(16))
    return [
        _made("plaintext", plain, "plaintext", "plaintext"),
        _made("plaintext-content", body, "ok", "plaintext"),
        _made("no-key", made("no-key", good_values()), "foreign-key", "foreign-key", key=None),
        _made("sealed-content", replace(sealed, tokens={"content": token}), "ok", "foreign-key", key=None),
    ]


def _references() -> list[tuple[dict[str, Any], bytes]]:
    """What a reference program makes of a version of ours, and of nothing."""
    stale = {
        "clock": {ALICE: 1},
        "home": HOME,
        "sha256": recipes.digest(b"hello world\n"),
        "v": 1,
        "vid": recipes.vid("file"),
    }
    over = recipes.reference_form(
        "over", fn="notes/hello.txt", writer=ALICE, versions=5, content=b"by ifaplib\n", **stale
    )
    again = recipes.reference_form("again", fn="notes/hello.txt", writer=ALICE, versions=5, content=b"again\n", **stale)
    alone = recipes.reference_form("alone", fn="old.txt", content=b"old\n")
    return [
        _made("reference-over-ours", over, "ok", "ok", inherits=recipes.vid("file"), **_content(b"by ifaplib\n")),
        _made("reference-again", again, "ok", "ok", inherits=recipes.vid("file"), **_content(b"again\n")),
        _made("reference-alone", alone, "ok", "ok", **_content(b"old\n")),
        _made("unbound", recipes.reference_form("unbound", fn="a"), "ok", "unbound", require_bound=True),
    ]


def _content(content: bytes) -> dict[str, Any]:
    return {"content_sha256": hashlib.sha256(content).hexdigest(), "content_length": len(content)}


# ---------------------------------------------------------------- histories


def _histories() -> list[dict[str, Any]]:
    """Folders as ``UID → message``, and what is current, in conflict and gone in each."""
    return [
        _history("one-line", {1: "file", 2: "update"}, "notes/hello.txt", ["update"], "update"),
        _history("arrival-order-does-not-count", {1: "update", 2: "file"}, "notes/hello.txt", ["update"], "update"),
        _history(
            "conflict",
            {1: "file", 2: "update", 3: "concurrent"},
            "notes/hello.txt",
            ["update", "concurrent"],
            "concurrent",
            conflict=True,
        ),
        _history(
            "conflict-resolved",
            {1: "file", 2: "update", 3: "concurrent", 4: "merge"},
            "notes/hello.txt",
            ["merge"],
            "merge",
        ),
        _history("ancestors-collected", {7: "concurrent", 9: "merge"}, "notes/hello.txt", ["merge"], "merge"),
        _history("removed", {1: "empty", 2: "tombstone"}, "empty", ["tombstone"], "tombstone", deleted=True),
        _history(
            "copies-are-one-version", {1: "file", 2: "update", 3: "file"}, "notes/hello.txt", ["update"], "update"
        ),
        _history(
            "reference-line",
            {1: "file", 2: "reference-over-ours", 3: "reference-again"},
            "notes/hello.txt",
            ["reference-again"],
            "reference-again",
        ),
        _history(
            "reference-against-ours",
            {1: "file", 2: "update", 3: "reference-over-ours"},
            "notes/hello.txt",
            ["update", "reference-over-ours"],
            "reference-over-ours",
            conflict=True,
        ),
        _history(
            "damaged-stop-nothing",
            {1: "file", 2: "duplicate-key", 3: "plaintext", 4: "other-key", 5: "update", 6: "two-metadata-fields"},
            "notes/hello.txt",
            ["update"],
            "update",
        ),
    ]


def _history(
    name: str,
    messages: dict[int, str],
    path: str,
    heads: list[str],
    current: str,
    *,
    conflict: bool = False,
    deleted: bool = False,
) -> dict[str, Any]:
    """``heads`` and ``current`` name messages; heads are in ascending rank."""
    return {
        "id": name,
        "dialect": "ifap",
        "key": "main",
        "messages": {str(uid): f"ifap/{message}" for uid, message in messages.items()},
        "path": path,
        "heads": [f"ifap/{head}" for head in heads],
        "current": f"ifap/{current}",
        "conflict": conflict,
        "deleted": deleted,
    }


def write(directory: Path) -> None:
    """Write all files."""
    for name, data in files().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    write(HERE)
