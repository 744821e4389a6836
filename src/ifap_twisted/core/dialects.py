"""The two dialects of the format, as data (WIRE-FORMAT 1); it decides nothing about a folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ifap_twisted.core import limits

__all__ = ["DIALECTS", "IFAP", "MAILFILE", "Dialect", "dialects_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One dialect: everything in which the messages of the two reference programs differ.

    :ivar header: the metadata field's name; compared without regard to case.
    :ivar media_type: the type of the part that holds the content.
    :ivar extra_headers: names and values that its messages carry besides.
    :ivar reference_metadata: the longest metadata text without ``_``, in bytes, with which the reference sees a
        message whose metadata header comes first: the same for both (FORMAT 1.6).
    """

    name: str
    header: str
    media_type: str
    to: str
    sender: str
    subject: str
    filename: str
    snapshot_path: str
    extra_headers: tuple[tuple[str, str], ...] = ()
    reference_metadata: int = limits.REFERENCE_METADATA_IFAP


IFAP: Final = Dialect(
    name="ifap",
    header="X-IFAP",
    media_type="application/x-ifap",
    to=".. <to@ifap.example>",
    sender=".. <from@ifap.example>",
    subject="[IFAP] File Storage",
    filename="ifap.enc",
    snapshot_path="IFAP/metadata",
)
"""What python-ifaplib wrote."""

MAILFILE: Final = Dialect(
    name="mailfile",
    header="X-Mailfile",
    media_type="application/x-mailfile",
    to=".. <to@mailfile.example>",
    sender=".. <from@mailfile.example>",
    subject="[Mailfile] File Storage",
    filename="mailfile.enc",
    snapshot_path="Mailfile/metadata",
    extra_headers=(("X-Keep-On-Server", "manual-delete, not-email"),),
)
"""What mailfile wrote."""

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType({IFAP.name: IFAP, MAILFILE.name: MAILFILE})

_FIELDS: Final = {
    dialect.name: re.compile(rb"^" + dialect.header.encode() + rb"[ \t]*:", re.IGNORECASE | re.MULTILINE)
    for dialect in DIALECTS.values()
}


def dialects_of(fields: bytes) -> frozenset[str]:
    """The names of the dialects whose metadata field occurs in a raw header block: a hint, nothing authenticated."""
    return frozenset(name for name, field in _FIELDS.items() if field.search(fields))
