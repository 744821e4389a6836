"""What a reference program sees of a folder that a campaign left (promise P11)."""

from __future__ import annotations

from collections.abc import Mapping

from tests.reference_reader import ReferenceFailure, ReferenceReader


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


def _is_file(reader: ReferenceReader, path: str) -> bool:
    """Whether it is neither a reserved object nor the marker of a directory, which the reference shows, too."""
    return not (path.startswith("IFAP/") or reader.tree[path].metadata.get("dir"))


def _shown(content: bytes | None) -> str:
    return "nothing" if content is None else f"{len(content)} bytes {content[:20]!r}"
