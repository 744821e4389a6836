"""The content of a snapshot: the folder's index in the reference's form (FORMAT 6.2, WIRE-FORMAT 4).

It believes nothing that it reads beyond shapes and bounds: a snapshot is a cache that may lie.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from ifap_twisted.core import limits
from ifap_twisted.core.metadata import reference_metadata
from ifap_twisted.core.strictjson import check_json, strict_json
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import SnapshotCorrupt, TooLarge

__all__ = ["Tree", "decode", "encode", "reference_metadata"]

Tree: TypeAlias = Mapping[str, tuple[int, Mapping[str, JSON], Sequence[int]]]
"""By path: the highest UID, the metadata of that message, and the UIDs of all its versions."""

_UID: Final = 2**32 - 1


def encode(tree: Tree) -> bytes:
    """The content of a snapshot; ``seen`` is the UIDs in the tree and nothing else (FORMAT 6.2).

    :raises TooLarge: it would be larger than :func:`decode` accepts.
    """
    shown = {path: [uid, dict(metadata), list(uids)] for path, (uid, metadata, uids) in tree.items()}
    seen = sorted({uid for _, _, uids in tree.values() for uid in uids})
    text = json.dumps({"tree": shown, "seen": seen}, sort_keys=True, allow_nan=False).encode("ascii")
    if len(text) > limits.SNAPSHOT_INFLATED:
        raise TooLarge("The folder is too large for a snapshot.", limit=limits.SNAPSHOT_INFLATED, size=len(text))
    return zlib.compress(text)


def decode(content: bytes) -> dict[str, tuple[int, dict[str, JSON], tuple[int, ...]]]:
    """The tree of a snapshot.

    :raises SnapshotCorrupt: anything odd, or more when inflated than ``limits.SNAPSHOT_INFLATED`` bytes or
        ``limits.SNAPSHOT_RATIO`` times its size.
    """
    try:
        value = strict_json(_inflated(content).decode())
        if type(value) is not dict or type(value.get("tree")) is not dict or not _are_uids(value.get("seen")):
            raise ValueError("it is no snapshot")
        return {path: _entry(entry) for path, entry in value["tree"].items()}
    except (ValueError, zlib.error) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeError) else str(error)
        raise SnapshotCorrupt(f"The snapshot cannot be used: {reason}.") from None


def _inflated(content: bytes) -> bytes:
    most = min(max(len(content) * limits.SNAPSHOT_RATIO, limits.MIB), limits.SNAPSHOT_INFLATED)
    inflater = zlib.decompressobj()
    text = inflater.decompress(content, most + 1)
    if len(text) > most:
        raise ValueError("it inflates too far")
    if not inflater.eof or inflater.unused_data:
        raise ValueError("it is cut or goes on after its end")
    return text


def _entry(entry: JSON) -> tuple[int, dict[str, JSON], tuple[int, ...]]:
    if type(entry) is not list or len(entry) != 3:
        raise ValueError("an entry has the wrong shape")
    uid, metadata, uids = entry
    if type(metadata) is not dict or not _are_uids(uids) or type(uid) is not int or uid not in uids:
        raise ValueError("an entry has the wrong shape")
    check_json(metadata)
    return uid, metadata, tuple(uids)


def _are_uids(value: JSON) -> bool:
    return type(value) is list and all(type(uid) is int and 0 < uid <= _UID for uid in value)
