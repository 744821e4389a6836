"""The vectors of the specification: written the same for ever, and read as the manifest says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope, snapshot
from ifap_twisted.core.chunking import Chunker
from ifap_twisted.core.chunks import chunk_key, chunk_name, chunk_path, unpadded
from ifap_twisted.core.dialects import DIALECTS
from ifap_twisted.core.index import Index
from ifap_twisted.core.keys import Key
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.core.metadata import decode
from ifap_twisted.core.mime import head_end
from ifap_twisted.core.values import Version
from ifap_twisted.errors import DataError
from tests.reference_reader import ReferenceReader
from tests.vectors_own import generate, independent, recipes

MANIFEST: dict[str, Any] = json.loads((generate.HERE / "manifest.json").read_text(encoding="utf-8"))
ENTRIES: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in MANIFEST["messages"]}
REFERENCE_NAMES = {"ifap": "ifaplib", "mailfile": "mailfile"}


def message(identity: str) -> bytes:
    """The bytes of a vector."""
    return (generate.HERE / ENTRIES[identity]["file"]).read_bytes()


def keys(entry: dict[str, Any]) -> tuple[Key, ...]:
    """The keys that its reader has."""
    return () if entry["key"] is None else (Key.from_text(MANIFEST["keys"][entry["key"]]["text"]),)


def header(entry: dict[str, Any]) -> Version:
    """The version that its header tells of."""
    whole = message(entry["id"])
    fields = whole[: head_end(whole)[0]]
    return envelope.read_header(fields, dialect=DIALECTS[entry["dialect"]], keys=keys(entry), home=MANIFEST["home"])


def opened(entry: dict[str, Any]) -> tuple[Version, bytes]:
    """The version and its content."""
    return envelope.read_message(
        message(entry["id"]),
        dialect=DIALECTS[entry["dialect"]],
        keys=keys(entry),
        home=MANIFEST["home"],
        require_bound=entry.get("require_bound", False),
    )


def outcome(entry: dict[str, Any], read: Any) -> str:
    """``ok``, or the code of the error."""
    try:
        read(entry)
    except DataError as error:
        return error.code
    return "ok"


def good() -> Iterator[dict[str, Any]]:
    """The messages that the project wrote."""
    return (entry for entry in ENTRIES.values() if entry["made_by"] == "project")


class WritingTests(SynchronousTestCase):
    """The format does not drift."""

    def test_generation_reproduces_every_file(self) -> None:
        """The writer makes the bytes that it made when the vectors were written, and there is no other file."""
        made = generate.files()
        there = {
            str(path.relative_to(generate.HERE)): path.read_bytes()
            for path in generate.HERE.rglob("*")
            if path.suffix in {".eml", ".json"}
        }
        self.assertEqual(sorted(there), sorted(made))
        self.assertEqual([name for name, data in made.items() if there[name] != data], [])

    def test_an_encoder_written_from_the_specification_gives_the_same_bytes(self) -> None:
        """Metadata, content, key, time and IVs of the manifest are enough to make each good message again."""
        for entry in good():
            _, content = opened(entry)
            self.assertEqual(independent.encode(ingredients(entry, content)), message(entry["id"]), entry["id"])

    def test_manifest_tells_the_truth_about_the_files(self) -> None:
        """Hash and length of each message are those of its file."""
        for entry in ENTRIES.values():
            data = message(entry["id"])
            self.assertEqual(hashlib.sha256(data).hexdigest(), entry["message_sha256"], entry["id"])
            self.assertEqual(len(data), entry["message_length"], entry["id"])

    def test_keys_are_derived_as_told(self) -> None:
        """The two secrets and the fingerprint of each key string are those of the manifest (FORMAT 8.1)."""
        for shown in MANIFEST["keys"].values():
            key = Key.from_text(shown["text"])
            self.assertEqual((key.signing.hex(), key.encryption.hex()), (shown["signing"], shown["encryption"]))
            self.assertEqual(key.fingerprint, shown["fingerprint"])

    def test_padding_reaches_both_ends(self) -> None:
        """There is a message with one underscore of padding and one with 148 (WIRE-FORMAT 2.2)."""
        lengths = {len(canonical_length(entry)) % 148 for entry in good() if "padding" in entry["id"]}
        self.assertEqual(lengths, {0, 147})


class ReadingTests(SynchronousTestCase):
    """Each message is listed and opened, or refused, as the manifest says."""

    def test_header_is_taken_or_refused_as_told(self) -> None:
        """Each header gives a version, or the error of the manifest."""
        found = {name: outcome(entry, header) for name, entry in ENTRIES.items()}
        self.assertEqual(found, {name: entry["listed"] for name, entry in ENTRIES.items()})

    def test_content_is_given_or_refused_as_told(self) -> None:
        """Each content is given, or refused with the error of the manifest."""
        found = {name: outcome(entry, opened) for name, entry in ENTRIES.items()}
        self.assertEqual(found, {name: entry["opened"] for name, entry in ENTRIES.items()})

    def test_content_is_the_one_of_the_manifest(self) -> None:
        """What can be opened has the hash and length of the manifest, and its name is that of the header."""
        for entry in ENTRIES.values():
            if entry["opened"] == "ok":
                version, content = opened(entry)
                self.assertEqual(hashlib.sha256(content).hexdigest(), entry["content_sha256"], entry["id"])
                self.assertEqual(version.length, entry["content_length"], entry["id"])

    def test_version_says_what_the_metadata_says(self) -> None:
        """The metadata of the manifest, read as a text, gives the version that the sealed header gives."""
        for entry in good():
            text = independent.canonical(entry["metadata"])
            written = None if entry["key"] is None else entry["time"]
            self.assertEqual(decode(text, sealed_id=entry["sealed_id"], written=written), header(entry), entry["id"])

    def test_reference_message_names_its_ancestor(self) -> None:
        """A reference message that inherited our keys is known to descend from ours, and is bound to nothing."""
        for entry in ENTRIES.values():
            if "inherits" in entry:
                version = header(entry)
                self.assertEqual((version.ours, version.bound, version.inherits), (False, False, entry["inherits"]))

    def test_snapshot_can_be_read(self) -> None:
        """The snapshot vector holds the tree of a folder with one file."""
        for dialect in DIALECTS:
            _, content = opened(ENTRIES[f"{dialect}/snapshot"])
            places = {path: uids for path, (_, _, uids) in snapshot.entries(content)}
            self.assertEqual(places, {"notes/hello.txt": (3,)})

    def test_reference_programs_read_the_good_ones(self) -> None:
        """Each good message alone in a folder is listed and read by the reference, but for tombstones and snapshots."""
        for entry in good():
            if entry["metadata"].get("deleted") or entry["id"].endswith("/snapshot"):
                continue
            key = None if entry["key"] is None else MANIFEST["keys"][entry["key"]]["text"]
            reader = ReferenceReader({1: message(entry["id"])}, REFERENCE_NAMES[entry["dialect"]], key)
            reader.synchronize()
            _, content = opened(entry)
            self.assertEqual(reader.contents(), {entry["metadata"]["fn"]: content}, entry["id"])


class LargeTests(SynchronousTestCase):
    """Files in chunks (FORMAT 7.1)."""

    def chunk_key(self, dialect: str) -> bytes:
        """As the folder object says it."""
        return chunk_key(json.loads(opened(ENTRIES[f"{dialect}/folder-object"])[1])["chunks"])

    def test_manifests_and_chunks_belong_together(self) -> None:
        """Each piece is a chunk of that name and length, and they are what the recipe says."""
        for dialect in DIALECTS:
            key = self.chunk_key(dialect)
            chunks = [opened(ENTRIES[f"{dialect}/{name}"]) for name in ("chunk", "chunk-padded", "chunk-manifest")]
            there = {version.path: content for version, content in chunks}
            for path, content in there.items():
                self.assertEqual(path, chunk_path(chunk_name(key, content)))
            for name, times in (("manifest", 1), ("manifest-of-manifests", 2)):
                version, content = opened(ENTRIES[f"{dialect}/{name}"])
                self.assertTrue(version.chunked)
                pieces = self.pieces(Manifest.decode(content, size=version.size), there)
                data = b"".join(unpadded(there[chunk_path(piece.name)], piece.length) for piece in pieces)
                one, other = recipes.random("a part", 1000), recipes.random("another part", 65)
                self.assertEqual(data, (one + other + one) * times)

    def pieces(self, manifest: Manifest, there: Mapping[str, bytes]) -> Iterator[Piece]:
        for piece in manifest.pieces:
            if manifest.depth == 0:
                yield piece
            else:
                text = there[chunk_path(piece.name)]
                yield from self.pieces(Manifest.decode(text, size=piece.length, depth=manifest.depth - 1), there)

    def test_boundaries(self) -> None:
        """A content is cut where the manifest of the vectors says."""
        told = MANIFEST["boundaries"]
        content = recipes.random(told["shake256"], told["length"])
        chunker, ends = Chunker(bytes.fromhex(told["key"])), [0]
        while ends[-1] < len(content):
            ends.append(ends[-1] + chunker.cut(memoryview(content)[ends[-1] :]))
        self.assertEqual(ends[1:], told["ends"])
        self.assertEqual(bytes.fromhex(told["key"]), self.chunk_key("ifap"))


class HistoryTests(SynchronousTestCase):
    """What is current and what is in conflict follows from the messages alone (FORMAT 3)."""

    def test_folder_gives_the_heads_of_the_manifest_in_every_order(self) -> None:
        """Heads, current version and conflict are as told, whether the folder is read upwards or downwards."""
        for history in MANIFEST["histories"]:
            for backwards in (False, True):
                found = folder(history, backwards=backwards).history(history["path"])
                self.assertIsNotNone(found.current)
                assert found.current is not None
                self.assertEqual([head.version.vid for head in found.heads], [vid_of(one) for one in history["heads"]])
                self.assertEqual(found.current.version.vid, vid_of(history["current"]), history["id"])
                self.assertEqual(
                    (found.in_conflict, found.current.version.deleted), (history["conflict"], history["deleted"])
                )


def ingredients(entry: dict[str, Any], content: bytes) -> independent.Ingredients:
    """What the manifest says that a good message is made of."""
    sealed = entry["key"] is not None
    return independent.Ingredients(
        dialect=entry["dialect"],
        key=MANIFEST["keys"][entry["key"]]["text"] if sealed else None,
        text=independent.metadata_text(entry["metadata"], sealed=sealed),
        content=content,
        time=entry["time"],
        metadata_iv=bytes.fromhex(entry.get("metadata_iv", "")),
        content_iv=bytes.fromhex(entry.get("content_iv", "")),
    )


def canonical_length(entry: dict[str, Any]) -> bytes:
    """The metadata text without its padding."""
    return independent.canonical(entry["metadata"])


def folder(history: dict[str, Any], *, backwards: bool) -> Index:
    """The index of a folder that holds the messages of a history."""
    index = Index()
    for uid, identity in sorted(history["messages"].items(), key=lambda item: int(item[0]), reverse=backwards):
        try:
            index.observe(int(uid), header(ENTRIES[identity]))
        except DataError as error:
            index.reject(int(uid), error)
    return index


def vid_of(identity: str) -> str:
    """The version id of a vector."""
    return header(ENTRIES[identity]).vid
