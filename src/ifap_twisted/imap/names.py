"""Names and strings as they go onto the wire: modified UTF-7 (RFC 3501 5.1.3), quoted strings, sets of UIDs.

Refuses whatever could end a line early: nothing that a user typed can become a command of its own.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Final

from ifap_twisted.errors import BadSettings

__all__ = ["folder_path", "is_safe", "mailbox", "quoted", "readable", "uid_sets"]

_LONGEST: Final = 1000
"""Bytes of a folder's name; servers take between 255 and some thousands."""
_SET: Final = 4000
"""Bytes of a set of UIDs in one command: lines of more than 8,000 are refused by some servers (RFC 7162 section 4)."""
_PLAIN: Final = re.compile(rb"[\x20-\x7e]*\Z")
_LINE_END: Final = re.compile(rb"[\r\n\0]")
_SHIFTED: Final = re.compile(r"&|[^\x20-\x7e]+")
_UNSHIFTED: Final = re.compile(rb"&([^&-]*)-")


def is_safe(text: bytes) -> bool:
    """Whether a string cannot end a line: no CR, LF or NUL."""
    return not _LINE_END.search(text)


def quoted(text: bytes) -> bytes | None:
    """A quoted string, or None for what only a literal can carry (8-bit and control characters)."""
    if not _PLAIN.match(text):
        return None
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def mailbox(name: str) -> bytes:
    """A folder's name as a quoted string in modified UTF-7.

    :raises BadSettings: it is empty, too long, or holds a control character or half a surrogate pair.
    """
    if not name or any(char < " " or char == "\x7f" for char in name):
        raise BadSettings("A folder's name may not be empty or hold control characters.")
    try:
        encoded = _SHIFTED.sub(_shift, name).encode("ascii")
    except UnicodeEncodeError:
        raise BadSettings("A folder's name must be text in Unicode.") from None
    if len(encoded) > _LONGEST:
        raise BadSettings("The folder's name is too long.")
    return b'"' + encoded.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _shift(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    coded = binascii.b2a_base64(match[0].encode("utf-16-be"), newline=False)
    return "&" + coded.decode("ascii").rstrip("=").replace("/", ",") + "-"


def readable(encoded: bytes) -> str:
    """A name from the server, decoded; what is no modified UTF-7 is shown as it is."""
    try:
        return _UNSHIFTED.sub(_unshift, encoded).decode("utf-8")
    except (ValueError, binascii.Error):
        return encoded.decode("utf-8", "backslashreplace")


def _unshift(match: re.Match[bytes]) -> bytes:
    if not match[1]:
        return b"&"
    coded = match[1].replace(b",", b"/") + b"=" * (-len(match[1]) % 4)
    return binascii.a2b_base64(coded).decode("utf-16-be").encode("utf-8")


def folder_path(name: str, prefix: str, separator: str) -> str:
    """The full name of a folder that a user named: below the personal namespace, with the server's separator."""
    if name.upper() == "INBOX":
        return "INBOX"
    if separator and separator != "/":
        name = name.replace("/", separator)
    return name if name.startswith(prefix) else prefix + name


def uid_sets(uids: Iterable[int], most: int = _SET) -> Iterator[bytes]:
    """Exactly these UIDs as sets (``1:3,7``), none longer than ``most`` bytes."""
    pieces: list[bytes] = []
    size = 0
    for first, last in _runs(sorted(set(uids))):
        piece = b"%d" % first if first == last else b"%d:%d" % (first, last)
        if pieces and size + len(piece) > most:
            yield b",".join(pieces)
            pieces, size = [], 0
        pieces.append(piece)
        size += len(piece) + 1
    if pieces:
        yield b",".join(pieces)


def _runs(uids: list[int]) -> Iterator[tuple[int, int]]:
    """Stretches of numbers that follow one another, all of them named."""
    start = 0
    for index in range(1, len(uids) + 1):
        if index == len(uids) or uids[index] != uids[index - 1] + 1:
            yield uids[start], uids[index - 1]
            start = index
