"""Names in the folder: which ones are written, how hostile ones are shown, and what may touch a local disk.

It never normalises, folds or repairs a name (FORMAT 11.1): a name is right or it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePath
from types import MappingProxyType
from typing import Final

from ifap_twisted.core import limits
from ifap_twisted.errors import InvalidPath

__all__ = [
    "ancestors",
    "basename",
    "clean",
    "clean_file",
    "escaped",
    "is_reserved",
    "is_writable",
    "join",
    "local_parts",
    "parent",
    "suggested_mime",
]

_RESERVED_DIRECTORY: Final = "IFAP"
_RESERVED_FILE: Final = "Mailfile/metadata"

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def clean(path: str | PurePath) -> str:
    """The canonical form of a path: no slash at either end; the root is the empty string.

    :raises InvalidPath: an empty segment, ``.``, ``..``, a control character, a lone surrogate, a segment over 255
        bytes or a path over 4,096 bytes of UTF-8 (FORMAT 11.1).
    """
    text = path.as_posix() if isinstance(path, PurePath) else path
    canonical = text.strip("/")
    if canonical:
        _check(canonical)
    return canonical


def clean_file(path: str | PurePath) -> str:
    """The canonical form of a path that a user's file may have: not the root, not reserved (FORMAT 6.1).

    :raises InvalidPath: as :func:`clean`, and for the root and reserved names.
    """
    canonical = clean(path)
    if not canonical:
        raise InvalidPath("The root is not a file.", path="")
    if is_reserved(canonical):
        raise InvalidPath(f"The name {canonical!a} is reserved.", path=canonical)
    return canonical


def is_reserved(path: str) -> bool:
    """Whether a canonical path is kept for the format itself, in both dialects (FORMAT 6.1)."""
    return path in (_RESERVED_DIRECTORY, _RESERVED_FILE) or path.startswith(_RESERVED_DIRECTORY + "/")


@lru_cache(maxsize=1024)
def is_writable(path: str) -> bool:
    """Whether a name found in a message is one that we would write ourselves, reserved names included.

    What is not is shown escaped and by ``ls -a`` only (FORMAT 11.1).
    """
    try:
        return path != "" and clean(path) == path
    except InvalidPath:
        return False


def parent(path: str) -> str:
    """The directory that a canonical path lies in; the root's is the root."""
    return path.rpartition("/")[0]


def ancestors(path: str) -> list[str]:
    """All directories above a canonical path, the nearest last, without the root."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def basename(path: str) -> str:
    """The last segment of a canonical path; the root's is empty."""
    return path.rpartition("/")[2]


def join(directory: str, name: str) -> str:
    """A name below a directory, both canonical."""
    return f"{directory}/{name}" if directory and name else directory or name


def escaped(text: str) -> str:
    r"""A form that is safe on a terminal: control, bidirectional and line characters and surrogates as ``\xNN``.

    Not reversible: a backslash stays as it is.
    """
    return _UNPRINTABLE.sub(_escape, text)


def local_parts(path: str) -> tuple[str, ...]:
    """The segments of a path from a message, when joining them below a local directory stays below it.

    On POSIX a backslash is an ordinary character of a name, so it is one here.

    :raises InvalidPath: an absolute path, or anything that :func:`clean` refuses.
    """
    if path.startswith("/"):
        raise InvalidPath("The name is absolute and is not used locally.", path=path)
    canonical = clean(path)
    return tuple(canonical.split("/")) if canonical else ()


def suggested_mime(path: str) -> str | None:
    """The media type that a name suggests, or None; the same on every machine and for every Python."""
    stem, dot, extension = basename(path).rpartition(".")
    return _MEDIA_TYPES.get(extension.lower()) if dot and stem else None


def _check(canonical: str) -> None:
    if _SURROGATE.search(canonical):
        raise _invalid("is not Unicode text", canonical)
    if _CONTROL.search(canonical):
        raise _invalid("holds a control character", canonical)
    if len(canonical.encode()) > limits.PATH_BYTES:
        raise _invalid(f"is longer than {limits.PATH_BYTES:,} bytes", canonical)
    for segment in canonical.split("/"):
        _check_segment(segment, canonical)


def _check_segment(segment: str, canonical: str) -> None:
    if not segment:
        raise _invalid("holds an empty segment (//)", canonical)
    if segment in {".", ".."}:
        raise _invalid(f"holds the segment '{segment}'", canonical)
    if len(segment) > limits.SEGMENT_BYTES // 4 and len(segment.encode()) > limits.SEGMENT_BYTES:
        raise _invalid(f"holds a segment of more than {limits.SEGMENT_BYTES} bytes", canonical)


def _invalid(fault: str, path: str) -> InvalidPath:
    shown = ascii(path if len(path) <= 200 else path[:200] + "...")
    return InvalidPath(f"The path {shown} {fault}.", path=path)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "7z": "application/x-7z-compressed",
        "aac": "audio/aac",
        "avi": "video/x-msvideo",
        "avif": "image/avif",
        "bmp": "image/bmp",
        "bz2": "application/x-bzip2",
        "c": "text/x-c",
        "conf": "text/plain",
        "cpp": "text/x-c++",
        "css": "text/css",
        "csv": "text/csv",
        "doc": "application/msword",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "eml": "message/rfc822",
        "epub": "application/epub+zip",
        "flac": "audio/flac",
        "gif": "image/gif",
        "gz": "application/gzip",
        "h": "text/x-c",
        "heic": "image/heic",
        "htm": "text/html",
        "html": "text/html",
        "ico": "image/vnd.microsoft.icon",
        "ics": "text/calendar",
        "jpeg": "image/jpeg",
        "jpg": "image/jpeg",
        "js": "text/javascript",
        "json": "application/json",
        "log": "text/plain",
        "m4a": "audio/mp4",
        "m4v": "video/mp4",
        "md": "text/markdown",
        "mjs": "text/javascript",
        "mkv": "video/x-matroska",
        "mov": "video/quicktime",
        "mp3": "audio/mpeg",
        "mp4": "video/mp4",
        "mpeg": "video/mpeg",
        "mpg": "video/mpeg",
        "odp": "application/vnd.oasis.opendocument.presentation",
        "ods": "application/vnd.oasis.opendocument.spreadsheet",
        "odt": "application/vnd.oasis.opendocument.text",
        "oga": "audio/ogg",
        "ogg": "audio/ogg",
        "ogv": "video/ogg",
        "opus": "audio/ogg",
        "otf": "font/otf",
        "pdf": "application/pdf",
        "pem": "application/x-pem-file",
        "png": "image/png",
        "ppt": "application/vnd.ms-powerpoint",
        "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "ps": "application/postscript",
        "py": "text/x-python",
        "rst": "text/x-rst",
        "rtf": "application/rtf",
        "sh": "application/x-sh",
        "sqlite": "application/vnd.sqlite3",
        "svg": "image/svg+xml",
        "tar": "application/x-tar",
        "tex": "application/x-tex",
        "tgz": "application/gzip",
        "tif": "image/tiff",
        "tiff": "image/tiff",
        "toml": "application/toml",
        "tsv": "text/tab-separated-values",
        "ttf": "font/ttf",
        "txt": "text/plain",
        "vcf": "text/vcard",
        "wasm": "application/wasm",
        "wav": "audio/wav",
        "weba": "audio/webm",
        "webm": "video/webm",
        "webp": "image/webp",
        "woff": "font/woff",
        "woff2": "font/woff2",
        "xhtml": "application/xhtml+xml",
        "xls": "application/vnd.ms-excel",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xml": "application/xml",
        "xz": "application/x-xz",
        "yaml": "application/yaml",
        "yml": "application/yaml",
        "zip": "application/zip",
        "zst": "application/zstd",
    }
)
"""Part of the format: a media type that the name suggests is left out of the message. Only ever added to."""
