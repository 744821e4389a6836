"""The metadata text of a message: ours and the reference's, to and from a :class:`Version` (FORMAT 1.2, 1.3).

It refuses every text that two readers could understand differently, and believes nothing that only a newer version
may understand.

What is odd in a text that is otherwise the reference's (the vectors' verdict ``policy`` has these oddities in texts
of no known serialization, which are malformed anyhow):

- listed, under exactly that name: ``fn`` absolute, with ``..``, NUL, control characters or lone surrogates. Such a
  name is not :func:`ifap_twisted.core.paths.is_writable`, and
  :func:`ifap_twisted.core.paths.local_parts` refuses it;
- listed, as if the key were absent: ``versions`` that is no integer of at least 1, ``ts`` that is no time, ``vid``,
  ``clock``, ``mode`` or ``mime`` that are not as we write them;
- malformed: an empty ``fn``, ``bytes`` that is a float (even 12.0) or larger than any message, a duplicate key, NaN
  or an infinity, an integer of more than 64 bits, nesting beyond ``limits.JSON_DEPTH``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Final

from ifap_twisted.core import limits
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.paths import is_writable, suggested_mime
from ifap_twisted.core.strictjson import check_json, strict_json
from ifap_twisted.core.values import JSON, Draft, Lease, Version
from ifap_twisted.core.vocabulary import FORMAT_KEYS, LATEST, Values, is_right, sorted_out
from ifap_twisted.errors import CallerError, InvalidPath, Malformed, TooLarge

__all__ = [
    "UNDERSTOOD_NEEDS",
    "decode",
    "encode",
    "exceeds_reference",
    "reference_metadata",
    "resealed",
    "resealed_exceeds_reference",
    "strict_json",
    "text_length",
]

VERSION: Final = 1
"""The ``v`` of our serialization."""
UNDERSTOOD_NEEDS: Final = frozenset({"chunks"})
"""The words of ``needs`` that this release understands."""

SCHEME: Final = 1
"""The ``chunks`` of the manifests that this release reads and writes (FORMAT 7.1)."""
_CHUNKS: Final = "chunks"

_NO_TIME: Final = 0.0
_MODE: Final = 0o644
_HASH_LENGTH: Final = 43
_HOME_LENGTH: Final = 8
_PADDING_KEY: Final = len('"_":"",')

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_ENCODER: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

_RESEALED: Final = frozenset(
    {"_", "bytes", "clock", "deleted", "fn", "home", "mime", "mode", "sha256", "ts", "v", "versions", "vid", "was"}
)
"""What a message of the reference that was sealed anew may say in keys of the format."""

_FIXED_TEXT: Final = 365
"""No text without path, clock, parents, media type and foreign keys is longer."""
_CLOCK_TEXT: Final = 28
"""A writer and its number; half of a parent's id."""


# ---------------------------------------------------------------- reading


def decode(text: bytes, *, sealed_id: str, written: int | None) -> Version:
    """The version that a metadata text tells of.

    :param written: when it was sealed, in Unix time, or None when it was not.
    :raises Malformed: it is neither in our serialization nor in the reference's (FORMAT 1.3), or a value is wrong.
    """
    try:
        return _decode(text, sealed_id, written)
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeError) else str(error)
        raise Malformed(f"The metadata cannot be read: {reason}.", section="metadata") from None


def _decode(text: bytes, sealed_id: str, written: int | None) -> Version:
    ours = text.startswith(b'{"')
    if not ours and not text.startswith(b"{\n"):
        raise ValueError("it is in no known serialization")
    characters = text.decode()
    if ours and not characters.isprintable() and _CONTROL.search(characters):
        raise ValueError("it holds a line or another control character")
    values: Values = strict_json(characters)
    known, extra = sorted_out(values)
    for name in ("fn", "bytes"):
        if name not in known:
            raise ValueError(f"it has no right {name}")
    if ours and "was" in known and known.get("v") == VERSION:
        return _resealed(values, known, extra, sealed_id, written)
    if ours:
        return _ours(values, known, extra, sealed_id, written)
    return _references(known, extra, sealed_id, written, deleted=bool(values.get("deleted")))


def _ours(values: Values, known: Values, extra: Values, sealed_id: str, written: int | None) -> Version:
    if "v" not in known:
        raise ValueError("it has no v")
    current = known["v"] == VERSION
    if current:
        _check_ours(values, known, extra)
    needs = tuple(known.get("needs", ()))
    scheme = known.get(_CHUNKS, 0)
    understood = current and UNDERSTOOD_NEEDS.issuperset(needs) and scheme == (SCHEME if _CHUNKS in needs else 0)
    if not understood:
        # FORMAT 1: what one letter means there is not known here.
        extra = {name: value for name, value in extra.items() if len(name) > 1}
    length: int = known["bytes"]
    versions: int = known.get("versions", 1)
    modified: float = known["t"] if "t" in known else known.get("ts", _NO_TIME)
    return Version(
        path=known["fn"],
        vid=known.get("vid", sealed_id),
        sealed_id=sealed_id,
        ours=True,
        encrypted=written is not None,
        length=length,
        size=known.get("size", length),
        modified=float(modified),
        written=float(modified if written is None else min(written, LATEST)),
        writer=known.get("writer", ""),
        clock=known.get("clock", {}),
        parents=tuple(known.get("parents", ())),
        home=known.get("home"),
        sha256=known.get("sha256"),
        mode=known.get("mode", _MODE),
        mime=known.get("mime"),
        directory=known.get("dir", False),
        deleted=known.get("deleted", False),
        versions=versions,
        keep=known.get("keep", versions),
        needs=needs,
        chunks=scheme,
        understood=understood,
        moved_from=known.get("from"),
        lock=known.get("lock"),
        lease=_lease(known) if understood else None,
        extra=extra,
    )


def _lease(known: Values) -> Lease | None:
    found = known.get("lease")
    if found is None or "vid" not in known:
        return None
    return Lease(
        path=found["path"],
        of=found.get("of", known["vid"]),
        number=found.get("n", 0),
        seconds=found.get("seconds", 0),
        holder=found.get("who", ""),
        over=found.get("over", {}),
        validity=found["uv"],
    )


def _lease_values(lease: Lease, vid: str) -> Values:
    optional: dict[str, tuple[JSON, JSON]] = {
        "n": (lease.number, 0),
        "of": (lease.of, vid),
        "over": (dict(lease.over), {}),
        "seconds": (lease.seconds, 0),
        "who": (lease.holder, ""),
    }
    values: Values = {"path": lease.path, "uv": lease.validity}
    return values | {name: value for name, (value, default) in optional.items() if value != default}


def _check_ours(values: Values, known: Values, extra: Values) -> None:
    if len(known) + len(extra) != len(values):
        wrong = sorted(values.keys() - known.keys() - extra.keys())
        raise ValueError(f"the value of {wrong[0]} is wrong")
    for name in ("vid", "writer", "clock", "home"):
        if name not in known:
            raise ValueError(f"it has no {name}")
    if known["writer"] not in known["clock"]:
        raise ValueError("the clock does not name the writer")
    length = known["bytes"]
    if length and (known.get("dir") or known.get("deleted")):
        raise ValueError("there is content where there can be none")
    if known.get("size", length) != length and not known.get("needs"):
        raise ValueError("the value of size is wrong")


def _resealed(values: Values, known: Values, extra: Values, sealed_id: str, written: int | None) -> Version:
    """A message of the reference that was sealed anew, bound: what it was it stays, in its place in history (8.5)."""
    if len(known) + len(extra) != len(values) or not known.keys() <= _RESEALED:
        wrong = sorted(values.keys() - extra.keys() - _RESEALED)
        raise ValueError(f"the value of {wrong[0]} is wrong" if wrong else "a value is wrong")
    for name in ("home", "sha256", "ts"):
        if name not in known:
            raise ValueError(f"it has no {name}")
    version = _references(known, extra, sealed_id, written, deleted=known.get("deleted", False))
    return version._replace(vid=known["was"], home=known["home"], sha256=known["sha256"])


def _references(known: Values, extra: Values, sealed_id: str, written: int | None, *, deleted: bool) -> Version:
    versions: int = known.get("versions", 1)
    modified: float = known["ts"] if "ts" in known else known.get("t", _NO_TIME)
    return Version(
        path=known["fn"],
        vid=sealed_id,
        sealed_id=sealed_id,
        ours=False,
        encrypted=written is not None,
        length=known["bytes"],
        size=known["bytes"],
        modified=float(modified),
        written=float(modified if written is None else min(written, LATEST)),
        clock=known.get("clock", {}),
        inherits=known.get("vid"),
        mode=known.get("mode", _MODE),
        mime=known.get("mime"),
        deleted=deleted,
        versions=versions,
        keep=versions,
        extra=extra,
    )


# ---------------------------------------------------------------- writing


def resealed(version: Version, *, sha256: str, home: str) -> bytes:
    """The text with which a message of the reference is sealed anew, bound to its content (FORMAT 8.5).

    :raises TooLarge: it is longer than readers accept.
    """
    return _text(_resealed_values(version, sha256, home), version.path, sealed=True)


def resealed_exceeds_reference(version: Version, dialect: Dialect) -> bool:
    """Whether the reference would not see a message that is sealed anew, because its text is too long for it (1.6)."""
    values = _resealed_values(version, "A" * _HASH_LENGTH, "A" * _HOME_LENGTH)
    return len(_encoded(values)) > dialect.reference_metadata


def _resealed_values(version: Version, sha256: str, home: str) -> Values:
    return {
        **version.extra,
        **_inherited(version),
        "bytes": version.length,
        "fn": version.path,
        "home": home,
        "sha256": sha256,
        "ts": _whole(version.modified),
        "v": VERSION,
        "was": version.vid,
    }


def _whole(seconds: float) -> int | float:
    return int(seconds) if seconds == math.floor(seconds) else seconds


def encode(draft: Draft, *, length: int, sha256: str, sealed: bool) -> bytes:
    """Our canonical text for a draft; with ``_`` when it is going to be sealed (FORMAT 1.2).

    :param length: of the content, in bytes; ``sha256`` its hash in base64url without padding.
    :raises InvalidPath: the path is not canonical.
    :raises CallerError: the media type or the time cannot be written.
    :raises TooLarge: the text is longer than readers accept.
    """
    return _text(_values(draft, length, sha256)[0], draft.path, sealed=sealed)


def write(
    draft: Draft, *, length: int, sha256: str, sealed: bool
) -> tuple[bytes, Callable[[str, int | None], Version]]:
    """As :func:`encode`; and the version that reading the text gives, of its sealed id and the time of sealing."""
    values, known = _values(draft, length, sha256)
    text = _text(values, draft.path, sealed=sealed)
    extra = {name: value for name, value in values.items() if name not in FORMAT_KEYS}
    return text, lambda sealed_id, written: _ours(values, known, extra, sealed_id, written)


def _text(values: Values, path: str, *, sealed: bool) -> bytes:
    text = _encoded(values)
    if sealed:
        # As long as the reference's text with its padding is, for the same length without (WIRE-FORMAT 2.2).
        block, rest = limits.METADATA_BLOCK, limits.METADATA_REST
        padding = "_" * (block - len(text) % block + rest - _PADDING_KEY)
        text = _padded(values, text, padding)
    if len(text) > limits.HEADER_FIELDS // 2:
        raise TooLarge("The metadata is too long.", path=path, limit=limits.HEADER_FIELDS // 2, size=len(text))
    return text


def text_length(draft: Draft, *, length: int = limits.MAX_FILE_SIZE) -> int:
    """How long the metadata text of a draft is without ``_``, for a content of ``length`` bytes."""
    return len(encode(draft, length=length, sha256="A" * _HASH_LENGTH, sealed=False))


def exceeds_reference(draft: Draft, dialect: Dialect, *, length: int = limits.MAX_FILE_SIZE) -> bool:
    """Whether the reference will not see this file, because its metadata is too long for it (FORMAT 1.6)."""
    bound = _FIXED_TEXT + 2 * len(draft.path.encode()) + _CLOCK_TEXT * (len(draft.clock) + 2 * len(draft.parents))
    if bound + 2 * len(draft.mime or "") <= dialect.reference_metadata and not draft.extra and draft.lease is None:
        return False  # by far the most: without writing the text twice
    return text_length(draft, length=length) > dialect.reference_metadata


def _padded(values: Values, text: bytes, padding: str) -> bytes:
    if min(values) > "_":
        return b'{"_":"' + padding.encode("ascii") + b'",' + text[1:]
    return _encoded({**values, "_": padding})


def reference_metadata(version: Version) -> Values:
    """The metadata of a version as the reference keeps it in its index: without ``fn`` and ``_`` (WIRE-FORMAT 2.1)."""
    values = dict(version.extra)
    values["bytes"] = version.length
    if version.ours:
        values |= _facts(version)
        values["versions"] = version.versions
        if version.understood or version.needs or version.chunks:
            values["v"] = VERSION
        if version.sha256 is not None:
            values["sha256"] = version.sha256
        if version.needs:
            values["needs"] = list(version.needs)
        if version.chunks:
            values[_CHUNKS] = version.chunks
        if version.size != version.length:
            values["size"] = version.size
    else:
        values |= _inherited(version)
    if version.bound and not version.ours:
        values |= {"home": version.home, "sha256": version.sha256, "v": VERSION, "was": version.vid}
    return values


def _inherited(version: Version) -> Values:
    values: Values = {}
    if version.modified != _NO_TIME:
        values["ts"] = math.floor(version.modified)
    if version.versions != 1:
        values["versions"] = version.versions
    if version.deleted:
        values["deleted"] = True
    if version.inherits is not None:
        values["vid"] = version.inherits
    if version.clock:
        values["clock"] = dict(version.clock)
    if version.mode != _MODE:
        values["mode"] = version.mode
    if version.mime is not None:
        values["mime"] = version.mime
    return values


def _values(draft: Draft, length: int, sha256: str) -> tuple[Values, Values]:
    """All values of a draft, and those of them that are of the format."""
    if not is_writable(draft.path):
        raise InvalidPath("The path is not canonical.", path=draft.path)
    if draft.mime is not None and not is_right("mime", draft.mime):
        raise CallerError("The media type is not one.", path=draft.path)
    if not is_right("t", draft.modified):
        raise CallerError("The modification time is not one.", path=draft.path)
    values: Values = {name: value for name, value in draft.extra.items() if name not in FORMAT_KEYS}
    check_json(values)
    facts = _facts(draft) | {"bytes": length, "fn": draft.path, "sha256": sha256, "v": VERSION}
    if draft.size is not None:
        facts |= {_CHUNKS: SCHEME, "needs": [_CHUNKS]} | ({} if draft.size == length else {"size": draft.size})
    known = sorted_out(facts)[0]
    _check_ours(facts, known, {})
    return values | facts, known


def _facts(source: Draft | Version) -> Values:
    """What a draft and the version that it becomes say in the same keys; defaults are left out."""
    modified = round(source.modified, 3)
    seconds = math.floor(modified)
    versions = max(source.keep, limits.WIRE_VERSIONS)
    facts: Values = {"ts": seconds, "versions": versions}
    optional: dict[str, tuple[JSON, JSON]] = {
        "vid": (source.vid, None),
        "writer": (source.writer, ""),
        "clock": (dict(source.clock), {}),
        "parents": (list(source.parents), []),
        "home": (source.home, None),
        "t": (modified, seconds),
        "mode": (source.mode, _MODE),
        "mime": (source.mime, suggested_mime(source.path)),
        "dir": (source.directory, False),
        "deleted": (source.deleted, False),
        "keep": (source.keep, versions),
        "from": (source.moved_from, None),
        "lock": (source.lock, None),
        "lease": (None if source.lease is None else _lease_values(source.lease, source.vid), None),
    }
    facts |= {name: value for name, (value, default) in optional.items() if value not in (None, default)}
    return facts


def _encoded(values: Values) -> bytes:
    text = _ENCODER.encode(values)
    if not text.isprintable():
        text = _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    # A lone surrogate, inherited from the reference, becomes the escape that JSON has for it.
    return text.encode("utf-8", "backslashreplace")
