"""The model of the reference is held to every recorded message and history, the recorded failures included.

It does not look at what a right implementation finds (``verdict``, ``ideal``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.reference_reader import DIALECTS, WINDOW, Decoded, MappingFolder, ReferenceFailure, ReferenceReader, decode

VECTORS = Path(__file__).parent / "vectors"
MANIFEST = json.loads((VECTORS / "manifest.json").read_text("utf-8"))
VECTOR = {vector["id"]: vector for vector in MANIFEST["messages"]}
HISTORY = {
    name: json.loads((VECTORS / "histories" / f"{name}.json").read_text("utf-8")) for name in MANIFEST["histories"]
}
STAGES = [(name, number) for name, history in HISTORY.items() for number in range(len(history["stages"]))]
KEY = MANIFEST["keys"]["usual"]

UNRECORDED: dict[str, tuple[int, list[int], bool]] = {
    "big-metadata": (0, [1, 2, 3], False),
    "garbage-harmless": (0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], False),
    "concurrent": (2, [1, 2, 8, 9, 10, 11, 12, 13], True),
}
"""What a recorded incremental client did before a stage without a record of its own: (stage, UIDs, cleanup).

Inferred. The first two had looked at the folder before (they fetch less than a fresh client, at the first stage). The
third made the cleanup between the stages: it removed what the next stage lacks, and dropped it from its own index.
"""


def each(cases: list[tuple[object, ...]], check: Callable[..., None]) -> Callable[[type], type]:
    """Make one test method of a check for each case, so that each case passes or fails by itself."""

    def decorate(suite: type) -> type:
        for case in cases:
            words = " ".join(str(part) for part in case)

            def test(self: Any, case: tuple[object, ...] = case) -> None:
                check(self, *case)

            test.__doc__ = f"{check.__doc__} ({words})"
            setattr(suite, "test_" + re.sub(r"\W", "_", f"{check.__name__} {words}"), test)
        return suite

    return decorate


def exact(value: object) -> str:
    """A text of a JSON value that tells 12 from 12.0 and true from 1, and has NaN equal to itself."""
    return json.dumps(value, sort_keys=True, indent=1)


def bytes_of(vector: dict[str, Any]) -> bytes:
    return (VECTORS / vector["file"]).read_bytes()


def folder_of(name: str, uids: Iterable[int]) -> dict[int, bytes]:
    return {uid: (VECTORS / "histories" / name / f"{uid}.eml").read_bytes() for uid in uids}


def reader_of(name: str, uids: Iterable[int]) -> ReferenceReader:
    """A fresh client on the messages of a history."""
    history = HISTORY[name]
    return ReferenceReader(folder_of(name, uids), history["dialect"], history["key"])


def alone(identity: str) -> ReferenceReader:
    """A fresh client on a folder that holds one message of the manifest, as UID 1."""
    vector = VECTOR[identity]
    return ReferenceReader({1: bytes_of(vector)}, vector["dialect"], vector["key"])


def digest(content: bytes) -> dict[str, Any]:
    return {"content_length": len(content), "content_sha256": hashlib.sha256(content).hexdigest()}


def observe(vector: dict[str, Any]) -> dict[str, Any]:
    """What the model does with a message alone in a folder, as the manifest records it of the reference."""
    reader = alone(vector["id"])
    try:
        reader.synchronize()
    except ReferenceFailure as failure:
        return {"sync": f"crash: {failure}"}
    if reader.seen != {1}:
        return {"sync": "ignored"}
    # A snapshot alone in its folder may bring an entry that claims its UID: the message's own comes first.
    path = next(path for path, entry in reader.tree.items() if entry.uid == 1)
    found = {"sync": "listed", "path": path, "metadata": reader.tree[path].metadata}
    try:
        return found | {"open": "ok"} | digest(reader.read(path))
    except ReferenceFailure as failure:
        return found | {"open": f"error: {failure}"}


def state(reader: ReferenceReader) -> dict[str, Any]:
    """The state of a client after a synchronization, as the histories record it."""
    tree = {}
    for path, entry in reader.tree.items():
        tree[path] = {"uid": entry.uid, "metadata": entry.metadata, "versions": sorted(entry.versions)}
    found = {"tree": tree, "seen": sorted(reader.seen), "listing": reader.listing()}
    return found | {"header_fetches": reader.windows, "full_fetches": reader.texts}


def outcome(action: Callable[[], Any]) -> Any:
    """The result of an action, or its crash as the histories record one."""
    try:
        return action()
    except ReferenceFailure as failure:
        return {"crash": str(failure)}


def synchronized(reader: ReferenceReader) -> dict[str, Any]:
    reader.synchronize()
    return state(reader)


def plain(metadata: object, content: bytes = b"") -> bytes:
    """A message of mailfile that is not encrypted, with any JSON as its metadata (bytes are taken for its text)."""
    header = base64.b64encode(metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode())
    head = b"X-Mailfile:\r\n " + header + b"\r\nContent-Type: application/x-mailfile\r\n\r\n"
    return head + base64.b64encode(content)


def snapshot(document: object) -> bytes:
    """A plaintext message at the snapshot path of mailfile."""
    content = zlib.compress(json.dumps(document).encode())
    return plain({"fn": "Mailfile/metadata", "bytes": len(content)}, content)


def plain_reader(folder: dict[int, bytes]) -> ReferenceReader:
    return ReferenceReader(folder, "mailfile")


def check_reference(self: SynchronousTestCase, identity: str) -> None:
    """A message is listed, ignored or fatal, and opens or fails, exactly as recorded."""
    vector = VECTOR[identity]
    self.assertEqual(exact(observe(vector)), exact(vector["reference"]))


def check_bytes(self: SynchronousTestCase, identity: str) -> None:
    """A message has the bytes that were recorded: no tool has touched its line ends."""
    vector = VECTOR[identity]
    raw = bytes_of(vector)
    self.assertEqual((len(raw), hashlib.sha256(raw).hexdigest()), (vector["eml_length"], vector["eml_sha256"]))


@each([(identity,) for identity in VECTOR], check_reference)
@each([(identity,) for identity in VECTOR], check_bytes)
class ManifestTests(SynchronousTestCase):
    def test_complete(self) -> None:
        """No message is missing from the manifest, and none lies beside it."""
        files = {path.relative_to(VECTORS).as_posix() for name in DIALECTS for path in (VECTORS / name).glob("*.eml")}
        self.assertEqual((len(VECTOR), len(MANIFEST["messages"])), (272, 272))
        self.assertEqual({vector["file"] for vector in VECTOR.values()}, files)

    def test_other_dialect(self) -> None:
        """A client of one dialect sees no message of the other."""
        other = {"ifaplib": "mailfile", "mailfile": "ifaplib"}
        for vector in VECTOR.values():
            reader = ReferenceReader({1: bytes_of(vector)}, other[vector["dialect"]], vector["key"])
            reader.synchronize()
            self.assertEqual((reader.tree, reader.seen, reader.windows), ({}, set(), [1]), vector["id"])

    def test_window_saves(self) -> None:
        """A forged header that the window cuts off is good metadata to whoever reads the whole message."""
        vector = VECTOR["mailfile/sec-payload-as-metadata"]
        self.assertEqual(observe(vector), {"sync": "ignored"})
        self.assertIsInstance(decode(bytes_of(vector), "mailfile", vector["key"]), Decoded)

    def test_versions_string(self) -> None:
        """A ``versions`` that is a string is fatal to a cleanup, not to a synchronization without one."""
        reader = alone("mailfile/bad-versions-string")
        self.assertEqual(reader.synchronize(), [])
        failure = self.assertRaises(ReferenceFailure, reader.synchronize, cleanup=True)
        self.assertEqual((failure.kind, failure.crash), ("TypeError", True))

    def test_name_that_is_no_string(self) -> None:
        """A file name that is a number gets into the index, and then ``listdir`` dies."""
        reader = alone("mailfile/bad-fn-int")
        reader.synchronize()
        self.assertEqual(list(reader.tree), [1])
        self.assertTrue(self.assertRaises(ReferenceFailure, reader.listdir, "").crash)

    def test_non_ascii_command_line(self) -> None:
        """A name that is not ASCII is listed but cannot be opened by the bytes that the command line gives."""
        reader = alone("mailfile/enc-unicode-name")
        reader.synchronize()
        (path,) = reader.listing()
        self.assertEqual(len(reader.read(path)), VECTOR["mailfile/enc-unicode-name"]["content_length"])
        self.assertFalse(self.assertRaises(ReferenceFailure, reader.read, path.encode()).crash)

    @given(st.integers(0, 900), st.integers(0, 60), st.binary(max_size=40))
    def test_damage(self, start: int, removed: int, inserted: bytes) -> None:
        """Any damage to a message has an outcome of the reference, never an exception of the model."""
        for identity in ("mailfile/enc-basic", "ifaplib/plain-snapshot", "mailfile/alt-multipart-nested"):
            vector = VECTOR[identity]
            raw = bytes_of(vector)
            damaged = raw[:start] + inserted + raw[start + removed :]
            reader = ReferenceReader({1: damaged}, vector["dialect"], vector["key"])
            self.assertIsNotNone(outcome(reader.synchronize))
            for path in list(reader.tree):
                self.assertIsNotNone(outcome(lambda path=path: reader.read(path)))


def check_fresh(self: SynchronousTestCase, name: str, number: int) -> None:
    """A fresh client has the recorded index, seen set, listing and fetches, or dies of the recorded exception."""
    stage = HISTORY[name]["stages"][number]
    reader = reader_of(name, stage["uids"])
    self.assertEqual(exact(outcome(lambda: synchronized(reader))), exact(stage["reference_fresh"]))


def check_cleanup(self: SynchronousTestCase, name: str, number: int) -> None:
    """The cleanup of a fresh client deletes exactly the recorded UIDs, or dies as recorded."""
    stage = HISTORY[name]["stages"][number]
    reader = reader_of(name, stage["uids"])
    found = outcome(lambda: reader.synchronize(cleanup=True))
    self.assertEqual(found, stage["reference_fresh_cleanup_deletes"])


def check_contents(self: SynchronousTestCase, name: str, number: int) -> None:
    """Each message decodes to the recorded path and content, those that the window hides included."""
    history = HISTORY[name]
    stage = history["stages"][number]
    folder = folder_of(name, map(int, stage["contents"]))
    found = {}
    for uid, raw in folder.items():
        decoded = decode(raw, history["dialect"], history["key"])
        sha256 = hashlib.sha256(decoded.content).hexdigest()
        found[str(uid)] = {"path": decoded.path, "length": len(decoded.content), "sha256": sha256}
    self.assertEqual(exact(found), exact(stage["contents"]))


def check_versions(self: SynchronousTestCase, name: str, number: int) -> None:
    """Through a fresh client each known version of each path reads as recorded."""
    stage = HISTORY[name]["stages"][number]
    reader = reader_of(name, stage["uids"])
    outcome(reader.synchronize)
    known = [(path, uid) for path, entry in reader.tree.items() for uid in entry.versions]
    self.assertTrue(known, "the client knows no version at all")
    for path, uid in known:
        recorded = stage["contents"][str(uid)]
        expected = {"content_length": recorded["length"], "content_sha256": recorded["sha256"]}
        self.assertEqual(digest(reader.read(path, version=uid)), expected)


def check_incremental(self: SynchronousTestCase, name: str) -> None:
    """A client that goes through the stages has the recorded state after each."""
    history = HISTORY[name]
    before, uids, cleanup = UNRECORDED.get(history["name"].split("/")[1], (-1, [], False))
    reader = reader_of(name, [])
    for number, stage in enumerate(history["stages"]):
        if number == before:
            reader.folder = MappingFolder(folder_of(name, uids))
            self.assertEqual(reader.synchronize(cleanup=cleanup), sorted(set(uids) - set(stage["uids"])))
        if "reference_incremental" in stage:
            reader.folder = MappingFolder(folder_of(name, stage["uids"]))
            self.assertEqual(exact(synchronized(reader)), exact(stage["reference_incremental"]), stage["label"])


INCREMENTAL = [
    (name,) for name, history in HISTORY.items() if any("reference_incremental" in s for s in history["stages"])
]


@each(STAGES, check_fresh)
@each(STAGES, check_cleanup)
@each(STAGES, check_contents)
@each(STAGES, check_versions)
@each(INCREMENTAL, check_incremental)
class HistoryTests(SynchronousTestCase):
    def test_complete(self) -> None:
        """No history, stage or incremental record is missing."""
        records = sum("reference_incremental" in stage for h in HISTORY.values() for stage in h["stages"])
        self.assertEqual((len(HISTORY), len(STAGES), len(INCREMENTAL), records), (24, 60, 18, 42))

    def test_cleaning_client(self) -> None:
        """After its own cleanup a client has the index and seen set that the cleaning client wrote as a snapshot."""
        for dialect in DIALECTS:
            name = f"{dialect}/snapshot-middle"
            stages = HISTORY[name]["stages"]
            reader = reader_of(name, [])
            for stage in stages[:4]:
                reader.folder = MappingFolder(folder_of(name, stage["uids"]))
                deleted = reader.synchronize(cleanup=stage is stages[3])
            written = decode(folder_of(name, [30])[30], dialect, KEY)
            document = json.loads(zlib.decompress(written.content))
            tree = {path: (uid, set(versions)) for path, (uid, _, versions) in document["tree"].items()}
            self.assertEqual(deleted, [8, 25])
            self.assertEqual({path: (entry.uid, entry.versions) for path, entry in reader.tree.items()}, tree)
            self.assertEqual(sorted(reader.seen), sorted(document["seen"]))

    def test_expunged_file(self) -> None:
        """A file expunged by another client is hidden from ``listdir``, kept by ``lstat`` and fatal to open."""
        name = "mailfile/deletes"
        reader = reader_of(name, [])
        for stage in HISTORY[name]["stages"][:3]:
            reader.folder = MappingFolder(folder_of(name, stage["uids"]))
            reader.synchronize()
        self.assertNotIn("gone.txt", reader.listdir("/"))
        self.assertEqual(reader.lstat("gone.txt").size, 7)
        failure = self.assertRaises(ReferenceFailure, reader.read, "gone.txt")
        self.assertEqual((failure.kind, failure.crash), ("TypeError", True))

    def test_tombstone(self) -> None:
        """A tombstone is not listed and cannot be opened; ``lstat`` shows a file of 0 bytes; its versions are there."""
        name = "ifaplib/deletes"
        reader = reader_of(name, HISTORY[name]["stages"][1]["uids"])
        reader.synchronize()
        self.assertNotIn("tomb.txt", reader.listing())
        self.assertEqual((reader.lstat("tomb.txt").size, reader.lstat("tomb.txt").directory), (0, False))
        self.assertFalse(self.assertRaises(ReferenceFailure, reader.read, "tomb.txt").crash)
        self.assertEqual([len(reader.read("tomb.txt", version=uid)) for uid in (2, 6, 10)], [7, 7, 0])


class RecordingFolder:
    """A folder that is no mapping: it notes the questions; a message that is None vanished after the search."""

    def __init__(self, messages: dict[int, bytes | None]) -> None:
        self.messages = messages
        self.questions: list[tuple[object, ...]] = []

    def uids(self) -> list[int]:
        self.questions.append(("uids",))
        return list(self.messages)

    def peek(self, uid: int, size: int) -> bytes | None:
        self.questions.append(("peek", uid, size))
        return self.messages[uid] and self.messages[uid][:size]

    def fetch(self, uid: int) -> bytes | None:
        self.questions.append(("fetch", uid))
        return self.messages[uid]


class ReaderTests(SynchronousTestCase):
    def test_questions(self) -> None:
        """A synchronization asks for the UIDs and for 1024 bytes of each message; reading asks for one whole text."""
        folder = RecordingFolder({1: plain({"fn": "a", "bytes": 1}, b"x"), 2: plain({"fn": "b", "bytes": 1}, b"y")})
        reader = ReferenceReader(folder, "mailfile")
        reader.synchronize()
        self.assertEqual(reader.read("b"), b"y")
        self.assertEqual(folder.questions, [("uids",), ("peek", 2, WINDOW), ("peek", 1, WINDOW), ("fetch", 2)])
        self.assertEqual((WINDOW, reader.windows, reader.texts), (1024, [2, 1], [2]))

    def test_vanished(self) -> None:
        """A message that vanished between SEARCH and FETCH ends the synchronization with TypeError."""
        reader = ReferenceReader(RecordingFolder({1: None}), "mailfile")
        failure = self.assertRaises(ReferenceFailure, reader.synchronize)
        self.assertEqual((failure.kind, failure.crash), ("TypeError", True))

    def test_no_key(self) -> None:
        """A client without a key skips encrypted messages and reads those that are not."""
        secret = bytes_of(VECTOR["mailfile/enc-basic"])
        reader = plain_reader({1: plain({"fn": "a", "bytes": 2}, b"hi"), 2: secret})
        reader.synchronize()
        self.assertEqual((reader.contents(), reader.seen, reader.windows), ({"a": b"hi"}, {1}, [2, 1]))

    def test_surrogate_bytes(self) -> None:
        """Python 2 lets a surrogate in UTF-8 through; other bytes that are no UTF-8 make a message broken."""
        reader = plain_reader({uid: plain(b'{"fn": "a%b"}' % raw) for uid, raw in ((1, b"\xed\xa0\x80"), (2, b"\xff"))})
        reader.synchronize()
        self.assertEqual((reader.listing(), reader.seen), (["a\ud800"], {1}))

    def test_contents(self) -> None:
        """``contents`` gives every listed file, and neither the snapshot nor tombstones."""
        tombstone = plain({"fn": "gone", "bytes": 0, "deleted": True})
        folder = {1: plain({"fn": "d/a", "bytes": 2}, b"hi"), 2: tombstone, 3: snapshot({"tree": {}, "seen": []})}
        reader = plain_reader(folder)
        reader.synchronize()
        self.assertEqual(reader.contents(), {"d/a": b"hi"})
        self.assertEqual((reader.windows, reader.texts), ([3, 2, 1], [3, 1]))

    def test_cleanup_versions(self) -> None:
        """A cleanup keeps the newest ``versions``; 0 keeps all, -n all but the n oldest, true is one."""
        for versions, deleted in ((1, [1, 2]), (2, [1]), (0, []), (-1, [1]), (-2, [1, 2]), (True, [1, 2])):
            folder = {}
            reader = plain_reader(folder)
            for uid in (1, 2, 3):
                folder[uid] = plain({"fn": "a", "bytes": 0, "versions": versions})
                reader.synchronize()
            self.assertEqual(reader.tree["a"].versions, {1, 2, 3})
            self.assertEqual(reader.synchronize(cleanup=True), deleted, versions)

    def test_paths(self) -> None:
        """Given paths lose the slashes at their ends, and each ``//`` becomes ``/`` once; names in messages do not."""
        reader = plain_reader({1: plain({"fn": "a//b", "bytes": 1}, b"x"), 2: plain({"fn": "/c", "bytes": 1}, b"y")})
        reader.synchronize()
        self.assertEqual(reader.listing(), ["/c", "a//b"])
        self.assertEqual(reader.read("/a///b/"), b"x")
        for path in ("a//b", "/c"):
            self.assertEqual(self.assertRaises(ReferenceFailure, reader.read, path).kind, "OSError")

    def test_listdir(self) -> None:
        """Directories are prefixes; where nothing is there is an OSError, also for the root of an empty folder."""
        reader = plain_reader({1: plain({"fn": "d/e/f", "bytes": 1}, b"x"), 2: plain({"fn": "g", "bytes": 1}, b"y")})
        self.assertFalse(self.assertRaises(ReferenceFailure, reader.listdir).crash)
        reader.synchronize()
        self.assertEqual(reader.listdir("/"), [".", "..", "d", "g"])
        self.assertEqual(reader.listdir("d/"), [".", "..", "e"])
        self.assertTrue(reader.lstat("d/e").directory)
        self.assertFalse(self.assertRaises(ReferenceFailure, reader.lstat, "nothing").crash)

    def test_time(self) -> None:
        """``lstat`` reads the time from ``t``, so a file that has only ``ts`` is from 1970."""
        reader = plain_reader({1: plain({"fn": "a", "bytes": 0, "ts": 5}), 2: plain({"fn": "b", "bytes": 0, "t": 6})})
        reader.synchronize()
        self.assertEqual((reader.lstat("a").time, reader.lstat("b").time), (0, 6))

    def test_lying_snapshot(self) -> None:
        """An entry of a snapshot that points to the message of another path is believed until it is opened."""
        lie = {"tree": {"b": [1, {"bytes": 1}, [1]]}, "seen": [1]}
        reader = plain_reader({1: plain({"fn": "a", "bytes": 1}, b"x"), 2: snapshot(lie)})
        reader.synchronize()
        self.assertEqual((reader.listing(), reader.windows), (["b"], [2]))
        self.assertFalse(self.assertRaises(ReferenceFailure, reader.read, "b").crash)

    def test_bad_snapshots(self) -> None:
        """Of a bad snapshot only ValueError is forgiven, and what was merged before it stays."""
        fatal: dict[str, list[object]] = {
            "TypeError": [[], None, {"tree": {"a": 5}, "seen": []}, {"tree": {}, "seen": 5}],
            "KeyError": [{"seen": []}, {"tree": {}}],
            "AttributeError": [{"tree": [], "seen": []}],
        }
        for kind, documents in fatal.items():
            for document in documents:
                reader = plain_reader({1: snapshot(document)})
                failure = self.assertRaises(ReferenceFailure, reader.synchronize)
                self.assertEqual((failure.kind, failure.crash), (kind, True), document)
        half = {"tree": {"a": [1, {"bytes": 1}, [1]], "b": [1]}, "seen": [1]}
        reader = plain_reader({1: plain({"fn": "c", "bytes": 1}, b"x"), 2: snapshot(half)})
        reader.synchronize()
        self.assertEqual((sorted(reader.tree), reader.seen), (["Mailfile/metadata", "a", "c"], {1, 2}))

    def test_snapshot_without_data(self) -> None:
        """A snapshot message without its data part ends the synchronization."""
        message = snapshot({"tree": {}, "seen": []}).replace(b"application/x-mailfile", b"text/plain")
        self.assertTrue(self.assertRaises(ReferenceFailure, plain_reader({1: message}).synchronize).crash)
