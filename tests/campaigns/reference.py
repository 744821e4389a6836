"""What a reference program sees of a folder that a campaign left (promise P11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.keys import Key
from ifap_twisted.errors import DataError
from ifap_twisted.store.headers import fields, metadata_fields
from ifap_twisted.testing.trace import Trace
from tests.reference_reader import ReferenceFailure, ReferenceReader

WINDOW = 1024
"""Bytes of a message in which the reference looks for the header (WIRE-FORMAT 5.1)."""


def unlike_reference(messages: Mapping[int, bytes], key: str, contents: Mapping[str, bytes]) -> list[str]:
    """What a fresh client of the reference shows otherwise than ``contents``: the files, by their paths.

    :param messages: the folder, by UID.
    """
    reader = ReferenceReader(messages, "ifaplib", key)
    try:
        reader.synchronize()
        found = {path: reader.read(path) for path in reader.listing() if _is_file(reader, path)}
    except ReferenceFailure as failure:
        return [f"the reference dies: {failure}"]
    return [
        f"the reference reads {path} as {_shown(found.get(path))}, not as {_shown(contents.get(path))}"
        for path in sorted({*found, *contents})
        if found.get(path) != contents.get(path)
    ]


def unread_by_reference(trace: Trace) -> list[str]:
    """What a fresh client of the reference reads otherwise of a simulated folder, where it can see what we see."""
    reader = ReferenceReader(trace.messages, "ifaplib", trace.key)
    wrong = []
    try:
        reader.synchronize()
        for path, content in undisputed(trace):
            if (found := reader.read(path)) != content:
                wrong.append(f"the reference reads {path} as {_shown(found)}, not as {_shown(content)}")
    except ReferenceFailure as failure:
        wrong.append(f"the reference dies: {failure}")
    return wrong


def undisputed(trace: Trace) -> Iterator[tuple[str, bytes]]:
    """Files without conflict of whose current version the newest message is a place: the reference goes by that.

    And by what it sees of a header, which a clock of more than thirty writers exceeds: a status tells of these
    (FORMAT 1.6). A file in chunks it reads as its manifest.
    """
    seen = trace.observations[-1]
    conflicts = {path for path, _vid in seen.conflicts}
    newest = newest_versions(trace.messages, trace.key)
    for path, kind, vid in seen.listing:
        versions = {one.vid: one for one in seen.versions.get(path, ())}
        if kind == "file" and path not in conflicts and path in newest and newest[path][0] == vid:
            manifest = newest[path][1]
            yield path, (versions[vid].content or b"") if manifest is None else manifest


def newest_versions(messages: Mapping[int, bytes], key: str) -> dict[str, tuple[str, bytes | None]]:
    """The version of each path whose message has the highest UID: an older one may be stored once more above it.

    It is empty where the reference cannot see it. And its manifest, where it has one.
    """
    keys = (Key.from_text(key),)
    found = {}
    for _uid, message in sorted(messages.items()):
        with suppress(DataError):
            version = envelope.read_header(metadata_fields(message), dialect=IFAP, keys=keys, home=None)
            manifest = None
            if version.chunked:
                manifest = envelope.read_message(message, dialect=IFAP, keys=keys, home=None)[1]
            found[version.path] = (version.vid if _metadata_end(message) <= WINDOW else "", manifest)
    return found


def _metadata_end(message: bytes) -> int:
    """Where the field with the metadata ends in a message of ours, which begins with it (FORMAT 1.6)."""
    _name, field = next(fields(message))
    return len(field)


def _is_file(reader: ReferenceReader, path: str) -> bool:
    """Whether it is neither a reserved object nor the marker of a directory, which the reference shows, too."""
    return not (path.startswith("IFAP/") or reader.tree[path].metadata.get("dir"))


def _shown(content: bytes | None) -> str:
    return "nothing" if content is None else f"{len(content)} bytes {content[:20]!r}"
