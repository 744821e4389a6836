"""A model of how the reference programs read a folder, written from WIRE-FORMAT 2.3 and 3 to 5 alone.

It refuses to share a line with the project: it imports only the standard library and cryptography, so that it can
judge what the project writes. It never writes, flags or expunges, and it repeats the faults of the reference.

How to use it on a folder held as ``{uid: bytes}``::

    reader = ReferenceReader(folder, "mailfile", "passphrase")
    reader.synchronize()
    reader.listing()                    # the paths, without tombstones and the snapshot
    reader.contents()                   # {path: bytes} of all of them
    reader.read("dir/a.txt", version=7)

A real folder needs three methods (``Folder``). Whatever the reference dies of is a ``ReferenceFailure``.

The reference ran under Python 2. Its exceptions are modelled as data (``kind``, ``text``), never as Python 3's own,
so that a mistake in this model cannot be taken for a broken message. Where WIRE-FORMAT leaves a choice, a comment
says "not told".
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import email
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from email.message import Message
from typing import Any, Protocol, cast

from cryptography.fernet import Fernet, InvalidToken

WINDOW = 1024
"""How many bytes of a message the index is made from (WIRE-FORMAT 5.1)."""
SKIPPED = frozenset({"ValueError", "NameError", "AttributeError", "KeyError", "IndexError", "InvalidToken"})
"""The exceptions that mean "broken message, go on" (WIRE-FORMAT 5, step 4.2)."""
ASCII_SPACE = " \t\r\n\v\f"
WRONG_SLICE = "slice indices must be integers or None or have an __index__ method"


class ReferenceFailure(Exception):
    """What the reference raised: the Python 2 exception ``kind`` with its ``text``.

    ``crash`` is true for what ends the program, false for the ``OSError`` that says that a path cannot be opened.
    """

    def __init__(self, kind: str, text: str = "", *, crash: bool = True) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
        self.crash = crash


@dataclasses.dataclass(frozen=True)
class Dialect:
    """What differs between the two programs when they read (WIRE-FORMAT 1)."""

    header: str
    media_type: str
    snapshot_path: str


DIALECTS = {
    "ifaplib": Dialect("x-ifap", "application/x-ifap", "IFAP/metadata"),
    "mailfile": Dialect("x-mailfile", "application/x-mailfile", "Mailfile/metadata"),
}


class Folder(Protocol):
    """The three questions that the reference asks a server; a message that is gone is None."""

    def uids(self) -> Iterable[int]:
        """UID SEARCH ALL."""

    def peek(self, uid: int, size: int) -> bytes | None:
        """UID FETCH uid (BODY.PEEK[]<0.size>)."""

    def fetch(self, uid: int) -> bytes | None:
        """UID FETCH uid (BODY[])."""


@dataclasses.dataclass(frozen=True)
class MappingFolder:
    """A folder in memory; changes of the mapping are seen by the next synchronization."""

    messages: Mapping[int, bytes]

    def uids(self) -> Iterable[int]:
        return list(self.messages)

    def peek(self, uid: int, size: int) -> bytes | None:
        whole = self.messages.get(uid)
        return None if whole is None else whole[:size]

    def fetch(self, uid: int) -> bytes | None:
        return self.messages.get(uid)


@dataclasses.dataclass
class Entry:
    """One path of the index: its current message and the UIDs of the versions known."""

    uid: int
    metadata: Any
    versions: set[int]


@dataclasses.dataclass(frozen=True)
class Status:
    """What ``lstat`` tells: ``time`` is read from the key ``t``, that nothing ever writes, so it is 0."""

    size: Any
    time: Any
    directory: bool


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A whole message, decoded; ``metadata`` is without ``fn`` and ``_``."""

    path: Any
    metadata: dict[str, Any]
    content: bytes


def clean_path(path: Any) -> str:
    """A path as the reference cleans what the user gives (WIRE-FORMAT 3); bytes are what its command line gives.

    Python 2 finds a byte string in an index of ``unicode`` only when it is ASCII: other bytes become surrogates, which
    equal no name.
    """
    if isinstance(path, bytes):
        path = path.decode("ascii", "surrogateescape")
    if not isinstance(path, str):
        raise _lacks(path, "__getitem__")
    return path.strip("/").replace("//", "/")


def decode(raw: bytes | None, dialect: str, key: str | None) -> Decoded:
    """Decode one whole message, the window left aside; raises ReferenceFailure."""
    return _decode(_parse(raw), DIALECTS[dialect], _cipher(key))


def _cipher(key: str | None) -> Fernet | None:
    if key is None:
        return None
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))


def _parse(raw: bytes | None) -> Message:
    """A message as Python 2 parses it: one character per byte, nothing decoded. imaplib gives None for what is gone.

    Two differences from Python 2.7.18 are known and left: there a line that begins with a colon ends the headers, and
    0x85, 0xA0 and 0x1C to 0x1F around a media type are no white space.
    """
    if raw is None:
        raise _lacks(None, "__getitem__")
    return email.message_from_string(raw.decode("latin-1"))


def _decode(message: Message, dialect: Dialect, cipher: Fernet | None) -> Decoded:
    path, metadata = _metadata(message, dialect, cipher)
    content = _reveal(_payload(message, dialect, path), cipher)
    return Decoded(path, metadata, _cut(content, _subscript(metadata, "bytes")))


def _metadata(message: Message, dialect: Dialect, cipher: Fernet | None) -> tuple[Any, dict[str, Any]]:
    """``fn`` and the rest of the metadata of a message, or of the window on one (WIRE-FORMAT 2.3, point 1)."""
    values = [value for name, value in message.raw_items() if name.lower() == dialect.header]
    if not values:
        raise _lacks(None, "strip")
    document = _json(_reveal(values[0].strip(ASCII_SPACE), cipher))
    path = _subscript(document, "fn")
    return path, {name: value for name, value in document.items() if name not in ("fn", "_")}


def _payload(message: Message, dialect: Dialect, path: Any) -> str:
    """The raw text of the first part of our type, at any depth, its transfer encoding not applied."""
    for part in message.walk():
        if part.get_content_type() == dialect.media_type:
            return cast("str", part.get_payload())
    # Its kind is OSError: open() wraps it, and in a snapshot it is not the ValueError that would be forgiven.
    raise ReferenceFailure("OSError", f"No data in message, {path} is corrupt?")


def _reveal(text: str, cipher: Fernet | None) -> bytes:
    """``!`` as the very first character means a token, all else is base64: plaintext is accepted under a key too."""
    if not text.startswith("!"):
        return _lenient_base64(text)
    if cipher is None:  # Not told by which exception, but such messages are skipped (history mixed-keys).
        raise _lacks(None, "decrypt")
    try:
        token = _lenient_base64(text[1:].replace("-", "+").replace("_", "/"))
        return cipher.decrypt(base64.urlsafe_b64encode(token))
    except (InvalidToken, ReferenceFailure):  # Fernet turns the TypeError of bad base64 into InvalidToken.
        raise ReferenceFailure("InvalidToken") from None


def _lenient_base64(text: str) -> bytes:
    """Base64 as Python 2 decodes it: foreign characters are skipped, the first complete padding is the end.

    Python 3's decoder still does so when it is not strict; the exception was another one.
    """
    try:
        return binascii.a2b_base64(text.encode("latin-1"))
    except binascii.Error:
        raise ReferenceFailure("TypeError", "Incorrect padding") from None


def _json(data: bytes) -> Any:
    """JSON as Python 2 reads it from bytes: always UTF-8, surrogates let through, no other encoding guessed."""
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise ReferenceFailure("ValueError", str(error)) from None
    except RecursionError:
        raise ReferenceFailure("RuntimeError", "maximum recursion depth exceeded") from None


def _subscript(value: Any, key: str) -> Any:
    """``value[key]`` with the exceptions of Python 2."""
    if isinstance(value, dict):
        if key not in value:
            raise ReferenceFailure("KeyError", repr(key))
        return value[key]
    if isinstance(value, list):
        raise ReferenceFailure("TypeError", "list indices must be integers, not str")
    if isinstance(value, str):
        raise ReferenceFailure("TypeError", "string indices must be integers")
    raise _lacks(value, "__getitem__")


def _optional(metadata: Any, key: str, default: Any) -> Any:
    """``metadata.get(key, default)``; the metadata in a snapshot can be anything."""
    if not isinstance(metadata, dict):
        raise _lacks(metadata, "get")
    return metadata.get(key, default)


def _cut(content: bytes, size: Any) -> bytes:
    """The first ``size`` bytes, ``size`` being taken for any Python slice: null is all, negative cuts the end off."""
    if size is not None and not isinstance(size, int):
        raise ReferenceFailure("TypeError", WRONG_SLICE)
    return content[:size]


def _set(values: Any) -> set[Any]:
    """``set(values)`` of any JSON value."""
    try:
        return set(values)
    except TypeError as error:
        raise ReferenceFailure("TypeError", str(error)) from None


def _inflate(content: bytes) -> bytes:
    """Inflate without any limit, as the reference does; the class of zlib's exception is called ``error``."""
    try:
        return zlib.decompress(content)
    except zlib.error as error:
        raise ReferenceFailure("error", str(error)) from None


def _three(entry: Any) -> tuple[Any, Any, Any]:
    """Unpack a snapshot's entry: a wrong length is the ValueError that is forgiven, a number is not."""
    try:
        uid, metadata, versions = entry
    except (ValueError, TypeError) as error:
        raise ReferenceFailure(type(error).__name__, str(error)) from None
    return uid, metadata, versions


def _newest(entry: Entry) -> list[int]:
    """The versions of a path that a cleanup keeps (WIRE-FORMAT 5.2, point 7: 0 keeps all, True is 1)."""
    count = _optional(entry.metadata, "versions", 1)
    if isinstance(count, float):
        raise ReferenceFailure("TypeError", WRONG_SLICE)
    if not isinstance(count, int):
        raise ReferenceFailure("TypeError", f"bad operand type for unary -: '{_python2_name(count)}'")
    return sorted(entry.versions)[-count:]


def _python2_name(value: Any) -> str:
    return "unicode" if isinstance(value, str) else type(value).__name__


def _lacks(value: Any, attribute: str) -> ReferenceFailure:
    """What Python 2 raises for an attribute that a value has not: TypeError for a subscript, else AttributeError."""
    kind = "TypeError" if attribute == "__getitem__" else "AttributeError"
    return ReferenceFailure(kind, f"'{_python2_name(value)}' object has no attribute '{attribute}'")


class ReferenceReader:
    """One running client of the reference that only reads.

    ``tree`` is its index and ``seen`` the UIDs whose metadata it read. ``windows`` and ``texts`` are the UIDs whose
    first 1024 bytes, or whose whole text, it fetched since the last synchronization began, in this order.
    """

    def __init__(self, folder: Folder | Mapping[int, bytes], dialect: str, key: str | None = None) -> None:
        self.folder: Folder = MappingFolder(folder) if isinstance(folder, Mapping) else folder
        self.dialect = DIALECTS[dialect]
        self.tree: dict[Any, Entry] = {}
        self.seen: set[int] = set()
        self.windows: list[int] = []
        self.texts: list[int] = []
        self._cipher = _cipher(key)

    def synchronize(self, *, cleanup: bool = False) -> list[int]:
        """Bring the index up to date (WIRE-FORMAT 5); the UIDs that its cleanup would expunge, in ascending order.

        Raises ReferenceFailure when the reference dies of a message; then the index is as it was at that moment.
        """
        self.windows, self.texts = [], []
        existing = set(self.folder.uids())
        for uid in sorted(existing, reverse=True):
            if uid in self.seen:
                break
            self._meet(uid, existing)
        deleted = self._clean_up(existing) if cleanup else []
        self.seen &= existing.difference(deleted)
        return deleted

    def listing(self) -> list[str]:
        """All paths that are shown, sorted, without tombstones and the snapshot; raises like ``listdir``."""
        return sorted(path for path in self._shown() if path != self.dialect.snapshot_path)

    def contents(self) -> dict[str, bytes]:
        """The content of each path of ``listing``; raises ReferenceFailure for the first that cannot be read."""
        return {path: self.read(path) for path in self.listing()}

    def listdir(self, path: str | bytes = "") -> list[str]:
        """``.``, ``..`` and the sorted names below a prefix; OSError when there is none, even for the root."""
        clean = clean_path(path)
        prefix = f"{clean}/" if clean else ""
        names = {shown[len(prefix) :].split("/")[0] for shown in self._shown() if shown.startswith(prefix)}
        if not names:
            raise ReferenceFailure("OSError", f"Error listdir({clean})", crash=False)
        return [".", "..", *sorted(names)]

    def lstat(self, path: str | bytes) -> Status:
        """The status of a file, tombstones and expunged files included, or of a directory; OSError for neither."""
        entry = self.tree.get(clean_path(path))
        if entry is None:
            self.listdir(path)
            return Status(size=0, time=0, directory=True)
        return Status(_subscript(entry.metadata, "bytes"), _optional(entry.metadata, "t", 0), directory=False)

    def read(self, path: str | bytes, version: int | None = None) -> bytes:
        """The content of a path, or of one of its known versions (a UID).

        Raises ReferenceFailure: OSError (no crash) for a path that is unknown, deleted or without data; anything else,
        as TypeError for a message that was expunged, is a crash.
        """
        clean = clean_path(path)
        try:
            return self._open(clean, version)
        except ReferenceFailure as failure:
            if failure.kind not in ("KeyError", "OSError"):
                raise
            text = f"Error open({clean}): {failure.text}"
        raise ReferenceFailure("OSError", text, crash=False)

    def _open(self, path: str, version: int | None) -> bytes:
        if path not in self.tree:
            raise ReferenceFailure("KeyError", f"u{path!a}")
        entry = self.tree[path]
        if version is None and _optional(entry.metadata, "deleted", None):
            raise ReferenceFailure("OSError", "File is deleted")
        if version is not None and version not in entry.versions:  # Not told what it says to an unknown version.
            raise ReferenceFailure("KeyError", repr(version))
        decoded = self._fetch(entry.uid if version is None else version)
        if decoded.path != path:  # Not told in which words.
            raise ReferenceFailure("OSError", "The message is of another path")
        return decoded.content

    def _fetch(self, uid: int) -> Decoded:
        self.texts.append(uid)
        return _decode(_parse(self.folder.fetch(uid)), self.dialect, self._cipher)

    def _peek(self, uid: int) -> Message:
        self.windows.append(uid)
        window = self.folder.peek(uid, WINDOW)
        return _parse(None if window is None else window[:WINDOW])

    def _meet(self, uid: int, existing: set[int]) -> None:
        """Take one new message into the index (WIRE-FORMAT 5, steps 4.2 to 4.5)."""
        window = self._peek(uid)
        try:
            path, metadata = _metadata(window, self.dialect, self._cipher)
        except ReferenceFailure as failure:
            if failure.kind in SKIPPED:
                return
            raise
        self.seen.add(uid)
        if isinstance(path, (list, dict)):
            raise ReferenceFailure("TypeError", f"unhashable type: '{type(path).__name__}'")
        known = self.tree.get(path)
        if known is not None and known.uid >= uid:
            return  # Its fault 5.2.1: the UID is not added to the versions.
        self.tree[path] = Entry(uid, metadata, {uid} | (known.versions if known else set()))
        if path == self.dialect.snapshot_path:
            self._read_snapshot(uid, existing)

    def _read_snapshot(self, uid: int, existing: set[int]) -> None:
        """Believe a snapshot (WIRE-FORMAT 4); ValueError is forgiven, what was merged before it stays."""
        try:
            self._merge(_json(_inflate(self._fetch(uid).content)), existing)
        except ReferenceFailure as failure:
            if failure.kind != "ValueError":
                raise

    def _merge(self, snapshot: Any, existing: set[int]) -> None:
        tree = _subscript(snapshot, "tree")
        if not isinstance(tree, dict):
            raise _lacks(tree, "items")
        for path, entry in tree.items():
            self._merge_entry(path, *_three(entry), existing)
        self.seen |= _set(_subscript(snapshot, "seen")) & existing

    def _merge_entry(self, path: str, uid: Any, metadata: Any, versions: Any, existing: set[int]) -> None:
        if not _set([uid]) & existing:
            return  # Its fault, history stale-snapshot: an older version may exist.
        known = self.tree.get(path)
        union = (_set(versions) & existing) | (known.versions if known else set())
        if known is None or uid > known.uid:
            self.tree[path] = Entry(uid, metadata, union)
        else:
            known.versions = union

    def _clean_up(self, existing: set[int]) -> list[int]:
        """All that was seen and is not among the newest known versions of a path (WIRE-FORMAT 5, step 5).

        It also leaves its own index and seen set: so say the snapshots that a cleaning client wrote (history
        snapshot-middle, UID 30; concurrent, UID 14). Other clients keep the gone versions (5, step 6).
        """
        kept = {path: set(_newest(entry)) for path, entry in self.tree.items()}
        for path, versions in kept.items():
            self.tree[path].versions = versions
        return sorted(self.seen.difference(*kept.values()) & existing)

    def _shown(self) -> Iterator[str]:
        """The paths that are not deleted and whose current message was seen; a name that is no string is fatal."""
        for path, entry in self.tree.items():
            if not isinstance(path, str):
                raise _lacks(path, "startswith")
            if entry.uid in self.seen and not _optional(entry.metadata, "deleted", None):
                yield path
