"""Finding the one part of a message that holds the content, in bounded steps (RFC 2045, 2046; WIRE-FORMAT 2.3).

It decodes no transfer encoding and no header beyond the part's type: the content is in base64 already, or sealed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["data_part", "head_end"]

_PARTS: Final = 256
"""Parts that are looked at, at all depths together; ours have one."""
_DEPTH: Final = 16
_HEAD: Final = 1024 * 1024
"""The longest header block whose fields are looked at."""

_EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
_FIRST_LINE_EMPTY: Final = re.compile(rb"\r?\n")
_CONTENT_TYPE: Final = re.compile(rb"^content-type[ \t]*:(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)
_BOUNDARY: Final = re.compile(rb';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_QUOTED_PAIR: Final = re.compile(rb"\\(.)", re.DOTALL)

Range = tuple[int, int]
"""From an offset in the message to before another."""


def head_end(message: bytes, start: int = 0, end: int | None = None) -> Range:
    """Where the header block of an entity ends, and where its body begins; both the end when there is no body."""
    stop = len(message) if end is None else end
    if empty := _FIRST_LINE_EMPTY.match(message, start, stop):
        return start, empty.end()
    if line := _EMPTY_LINE.search(message, start, stop):
        return line.start() + 1, line.end()
    return stop, stop


def data_part(message: bytes, media_type: str) -> Range | None:
    """The raw body of the first part of this type, at any depth, in the order of the message; None without one."""
    wanted = media_type.encode().lower()
    # A stack of the parts still to come, so that depth costs no recursion.
    waiting: list[Iterator[Range]] = [iter([(0, len(message))])]
    for _ in range(_PARTS):
        entity = _next(waiting)
        if entity is None:
            return None
        head, body = head_end(message, *entity)
        kind, boundary = _content_type(message[entity[0] : min(head, entity[0] + _HEAD)])
        if kind == wanted:
            return body, entity[1]
        if len(waiting) < _DEPTH:
            if boundary and kind.startswith(b"multipart/"):
                waiting.append(_parts(message, body, entity[1], boundary))
            elif kind == b"message/rfc822":
                waiting.append(iter([(body, entity[1])]))
    return None


def _next(waiting: list[Iterator[Range]]) -> Range | None:
    while waiting:
        entity = next(waiting[-1], None)
        if entity is not None:
            return entity
        waiting.pop()
    return None


def _content_type(head: bytes) -> tuple[bytes, bytes]:
    """The media type in lower case and the boundary, both empty when there is none."""
    field = _CONTENT_TYPE.search(head)
    if field is None:
        return b"", b""
    value = field[1]
    kind = value.partition(b";")[0].strip().lower()
    parameter = _BOUNDARY.search(value)
    if parameter is None:
        return kind, b""
    quoted, bare = parameter.groups()
    return kind, bare if quoted is None else _QUOTED_PAIR.sub(rb"\1", quoted)


def _parts(message: bytes, start: int, end: int, boundary: bytes) -> Iterator[Range]:
    """The parts between the delimiter lines of a multipart body; the last may lack its end."""
    delimiter = re.compile(rb"(?:\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    begun: int | None = None
    # The line before the body is empty, so that its end can begin the first delimiter.
    for found in delimiter.finditer(message, start - 1, end):
        if begun is not None:
            yield begun, max(found.start(), begun)
        if found[1]:
            return
        begun = min(message.find(b"\n", found.end(), end) + 1 or end, end)
    if begun is not None:
        yield begun, end
