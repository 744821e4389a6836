"""From the raw target of a request to the segments of a path: decoded exactly once, strictly.

Nothing is repaired: what another program could read differently is refused (DESIGN 4.3). It does not know which names
the filesystem takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from ifap_twisted.control.problems import bad_request
from ifap_twisted.core import limits
from ifap_twisted.errors import InvalidPath

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_FORBIDDEN: Final = re.compile(rb"[\x00-\x20\x7f#]")
_SAFE: Final = "/!$&'()*+,;=:@"


def split_path(raw: bytes) -> tuple[str, ...]:
    """The decoded segments of the raw path of a target; the last one is empty when the path ends with a slash.

    :raises InvalidPath: it does not begin with a slash, has an empty, ``.`` or ``..`` segment, a bad escape, bad UTF-8,
        or an encoded slash or NUL.
    """
    if not raw.startswith(b"/"):
        raise InvalidPath("The target of a request must be a path that begins with a slash.")
    first, *rest = raw.split(b"/")[1:]
    segments = [first, *rest]
    if b"" in segments[:-1]:
        raise InvalidPath("A path must not have two slashes in a row.")
    return tuple(_decode(segment) for segment in segments)


def _decode(raw: bytes) -> str:
    if _FORBIDDEN.search(raw) or _BAD_ESCAPE.search(raw):
        raise InvalidPath("The path is not percent-encoded as it should be.")
    data = unquote_to_bytes(raw)
    if b"/" in data or b"\0" in data:
        raise InvalidPath("A name in a path must hold neither an encoded slash nor a NUL.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidPath("The path is not UTF-8.") from None
    if text in {".", ".."}:
        raise InvalidPath("A path must not have '.' or '..' in it.")
    return text


def encode_path(path: str) -> str:
    """A path of the filesystem, to be put into a URL behind a slash.

    :raises InvalidPath: it has a name that no URL can carry.
    """
    text = path.removeprefix("/")
    segments = text.removesuffix("/").split("/") if text else []
    if any(segment in {"", ".", ".."} or "\0" in segment for segment in segments):
        raise InvalidPath("A path must not have empty names, '.', '..' or a NUL in it.", path=path)
    try:
        return quote(text, safe=_SAFE, errors="strict")
    except UnicodeEncodeError:
        raise InvalidPath("The path cannot be written in UTF-8.", path=None) from None


def parse_query(raw: bytes) -> Mapping[str, str]:
    """The parameters of a query; each at most once.

    :raises RequestProblem: it is not a query of UTF-8, too long, or names one twice.
    """
    if not raw:
        return {}
    if _BAD_ESCAPE.search(raw):
        raise bad_request("The query is not percent-encoded as it should be.")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=limits.CONTROL_QUERY,
        )
    except ValueError:
        raise bad_request("The query cannot be read.") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise bad_request("The query names a parameter twice.")
    return found
