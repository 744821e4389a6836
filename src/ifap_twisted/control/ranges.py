"""``Range`` and ``multipart/byteranges`` (RFC 9110 14): which parts of a file are asked for, and how they are sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

from ifap_twisted.control.problems import RequestProblem
from ifap_twisted.core import limits

_UNIT: Final = re.compile(r"bytes=(.*)", re.IGNORECASE)
_ONE: Final = re.compile(r"([0-9]{0,19})-([0-9]{0,19})")
_END: Final = b"\r\n"


class Span(NamedTuple):
    """Bytes of a file: from ``start`` up to ``stop``."""

    start: int
    stop: int

    def told(self, size: int) -> str:
        """The value of ``Content-Range``."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def spans(text: str, size: int) -> list[Span] | None:
    """What a ``Range`` asks for of a file, ascending; None where the field counts for nothing, and all is sent.

    Those that overlap or touch are one; those that lie behind the end are left out.

    :raises RequestProblem: there are too many, or none is in the file (416).
    """
    found = _UNIT.fullmatch(text)
    if found is None:
        return None
    wanted: list[Span] = []
    for number, one in enumerate(found[1].split(",")):
        if number == limits.RANGES:
            raise _not_satisfiable(f"At most {limits.RANGES} ranges can be asked for at a time.", size)
        if not (one := one.strip(" \t")):  # RFC 9110 5.6.1.2
            continue
        match = _ONE.fullmatch(one)
        if match is None or not (match[1] or match[2]) or (match[1] and match[2] and int(match[1]) > int(match[2])):
            return None
        wanted.append(_span(match[1], match[2], size))
    if not wanted:
        return None
    joined = list(_joined(sorted(one for one in wanted if one.start < one.stop)))
    if not joined:
        raise _not_satisfiable(f"The file has only {size} bytes.", size)
    return joined


def _span(first: str, last: str, size: int) -> Span:
    if not first:
        return Span(max(0, size - int(last)), size)
    return Span(int(first), min(int(last) + 1, size) if last else size)


def _joined(found: Sequence[Span]) -> Iterator[Span]:
    now: Span | None = None
    for one in found:
        if now is None or one.start > now.stop:
            if now is not None:
                yield now
            now = one
        else:
            now = Span(now.start, max(now.stop, one.stop))
    if now is not None:
        yield now


def _not_satisfiable(detail: str, size: int) -> RequestProblem:
    return RequestProblem(
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        "range-not-satisfiable",
        detail,
        headers={"Content-Range": f"bytes */{size}"},
    )


@dataclass(frozen=True, slots=True)
class Multipart:
    """Several parts of one file in one body.

    :ivar boundary: between them; nothing in the file may be made to look like it.
    """

    spans: Sequence[Span]
    size: int
    media_type: str
    boundary: str

    @property
    def content_type(self) -> str:
        """The value of ``Content-Type``."""
        return f"multipart/byteranges; boundary={self.boundary}"

    @property
    def length(self) -> int:
        """Bytes of all of it."""
        return sum(len(self.before(span)) + span.stop - span.start for span in self.spans) + len(self.end)

    def before(self, span: Span) -> bytes:
        """What stands before a part."""
        separator = b"" if span == self.spans[0] else _END
        lines = (f"--{self.boundary}", f"Content-Type: {self.media_type}", f"Content-Range: {span.told(self.size)}")
        return separator + b"".join(line.encode("latin-1") + _END for line in lines) + _END

    @property
    def end(self) -> bytes:
        """What stands behind the last part."""
        return _END + f"--{self.boundary}--".encode("ascii") + _END
