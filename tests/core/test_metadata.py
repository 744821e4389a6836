"""The metadata text: FORMAT 1.2, 1.3, 1.5, 1.6 and the table of keys."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits, metadata
from ifap_twisted.core.dialects import DIALECTS, IFAP
from ifap_twisted.core.metadata import reference_metadata
from ifap_twisted.core.values import Draft, Version
from ifap_twisted.core.vocabulary import FORMAT_KEYS
from ifap_twisted.errors import CallerError, InvalidPath, Malformed, TooLarge
from ifap_twisted.testing.reference_writer import json_text
from tests.core.strategies import drafts, json_values, texts

SEALED_ID = "s" * 22
VID = "v" * 22
HASH = "A" * 43

DRAFT = Draft(path="a/b.txt", vid=VID, writer="wwwwww", clock={"wwwwww": 7}, home="hhhhhhhh", modified=1573400100)

OURS = {
    "bytes": 12,
    "clock": {"wwwwww": 7},
    "fn": "a/b.txt",
    "home": "hhhhhhhh",
    "sha256": HASH,
    "ts": 1573400100,
    "v": 1,
    "versions": 5,
    "vid": VID,
    "writer": "wwwwww",
}
"""What the text of ``DRAFT`` says for 12 bytes."""

REFERENCE = {"fn": "docs/hello.txt", "bytes": 12, "ts": 1573400100}
GONE: Any = object()


def ours(**changes: Any) -> bytes:
    """A text of ours, with some values changed or gone."""
    values = {name: value for name, value in (OURS | changes).items() if value is not GONE}
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def reference(**changes: Any) -> bytes:
    """A text of the reference, with some values changed or gone."""
    return json_text({name: value for name, value in (REFERENCE | changes).items() if value is not GONE})


def decode(text: bytes, written: int | None = 1573400200) -> Version:
    return metadata.decode(text, sealed_id=SEALED_ID, written=written)


def encode(draft: Draft, *, length: int = 12, sealed: bool = False) -> bytes:
    return metadata.encode(draft, length=length, sha256=HASH, sealed=sealed)


def change(**changes: Any) -> Draft:
    return dataclasses.replace(DRAFT, **changes)


class CanonicalTests(SynchronousTestCase):
    """What we write."""

    def test_plain(self) -> None:
        """Keys are sorted, without blanks, and defaults are left out."""
        self.assertEqual(
            encode(DRAFT),
            b'{"bytes":12,"clock":{"wwwwww":7},"fn":"a/b.txt","home":"hhhhhhhh","sha256":"' + HASH.encode() + b'",'
            b'"ts":1573400100,"v":1,"versions":5,"vid":"' + VID.encode() + b'","writer":"wwwwww"}',
        )

    def test_everything(self) -> None:
        """Every key of a draft has its place, inherited unknown keys beside them."""
        draft = change(
            modified=1573400100.1236,
            parents=("p" * 22,),
            mode=0o755,
            mime="image/png",
            keep=9,
            moved_from="f" * 22,
            extra={"Zed": [1, None], "x": "é"},
        )
        values = json.loads(encode(draft))
        added = {"t": 1573400100.124, "parents": ["p" * 22], "mode": 0o755, "mime": "image/png", "from": "f" * 22}
        self.assertEqual(values, OURS | added | {"versions": 9, "Zed": [1, None], "x": "é"})

    def test_markers(self) -> None:
        """Directory markers and tombstones are written as such."""
        values = json.loads(encode(change(directory=True, deleted=True), length=0))
        self.assertEqual((values["dir"], values["deleted"], values["bytes"]), (True, True, 0))

    def test_manifest(self) -> None:
        """The header of a large file says that its body is a manifest, and how large the file is (FORMAT 7.1)."""
        chunked = OURS | {"chunks": 1, "needs": ["chunks"]}
        self.assertEqual(json.loads(encode(change(size=10**12))), chunked | {"size": 10**12})
        self.assertEqual(json.loads(encode(change(size=12))), chunked)
        self.assertEqual(json.loads(encode(change(size=0))), chunked | {"size": 0})

    def test_versions_and_keep(self) -> None:
        """``versions`` is never below 5; ``keep`` is there only when it is another number (FORMAT 1.5)."""
        for keep, expected in ((1, (5, 1)), (4, (5, 4)), (5, (5, None)), (6, (6, None))):
            values = json.loads(encode(change(keep=keep)))
            self.assertEqual((values["versions"], values.get("keep")), expected)

    def test_media_type_by_name(self) -> None:
        """A media type that the name suggests is left out."""
        self.assertNotIn(b"mime", encode(change(mime="text/plain")))
        self.assertIn(b"mime", encode(change(mime="text/html")))

    def test_times(self) -> None:
        """``ts`` is in whole seconds, ``t`` is there only for a fraction, with at most three decimals."""
        for modified, ts, t in (
            (1.9996, 2, None),
            (-0.5, -1, -0.5),
            (1.5, 1, 1.5),
            (7.0, 7, None),
            (0.1 + 0.2, 0, 0.3),
        ):
            values = json.loads(encode(change(modified=modified)))
            self.assertEqual((values["ts"], values.get("t")), (ts, t))
            self.assertIsInstance(values["ts"], int)

    def test_control_characters(self) -> None:
        """No control character and no lone surrogate is written raw."""
        text = encode(change(extra={"x": "\n\x7f\x85\ud800"}))
        self.assertIn(b'"\\n\\u007f\\u0085\\ud800"', text)
        self.assertEqual(decode(text).extra, {"x": "\n\x7f\x85\ud800"})

    def test_raw_unicode(self) -> None:
        """Names are written as UTF-8, because escapes would take twice the room."""
        self.assertIn("Skjöl/日本".encode(), encode(change(path="Skjöl/日本")))

    @given(drafts(), st.integers(0, 10**7))
    def test_padding(self, draft: Draft, length: int) -> None:
        """A sealed text is as long as the reference's of the same length without padding (WIRE-FORMAT 2.2)."""
        bare = len(encode(draft, length=length))
        text = encode(draft, length=length, sealed=True)
        self.assertEqual(len(text), bare + 148 - bare % 148 + 11)
        self.assertEqual(len(text) % 148, 11)
        self.assertTrue(text.endswith(b"}"))
        self.assertEqual(decode(text), decode(encode(draft, length=length)))

    def test_refused(self) -> None:
        """What a reader would refuse is not written."""
        for path in ("", "/a", "a//b", "..", "a\n"):
            self.assertRaises(InvalidPath, encode, change(path=path))
        for wrong in ({"mime": "text"}, {"mime": "text/plain\r\nX: y"}, {"modified": float("nan")}, {"modified": 1e12}):
            self.assertRaises(CallerError, encode, change(**wrong))
        self.assertRaises(TooLarge, encode, change(extra={"x": "y" * 40_000}))

    def test_mistakes(self) -> None:
        """Values that only a mistake in a program gives are refused as such."""
        mistakes = [
            {"vid": "short"},
            {"writer": "short"},
            {"home": ""},
            {"clock": {}},
            {"clock": {"aaaaaa": 1}},
            {"clock": {"wwwwww": 0}},
            {"parents": ("x",)},
            {"mode": 0o10000},
            {"keep": 0},
            {"deleted": True},
            {"directory": True},
            {"extra": {"x": float("inf")}},
            {"extra": {"x": 2**64}},
        ]
        for wrong in mistakes:
            self.assertRaises(ValueError, encode, change(**wrong))

    def test_extra_never_replaces(self) -> None:
        """An inherited key never takes the place of one of the format."""
        self.assertEqual(encode(change(extra={"v": 2, "vid": "x", "_": "", "deleted": True, "lock": 1})), encode(DRAFT))


class RoundTripTests(SynchronousTestCase):
    """Reading what we wrote."""

    @given(drafts() | drafts(content=False), st.booleans())
    def test_draft_to_version(self, draft: Draft, sealed: bool) -> None:
        """A version says everything that its draft said."""
        length = 0 if draft.directory or draft.deleted else 12
        version = decode(encode(draft, length=length, sealed=sealed))
        for name in ("path", "vid", "writer", "clock", "home", "parents", "mode", "directory", "deleted", "keep"):
            self.assertEqual(getattr(version, name), getattr(draft, name), name)
        self.assertEqual(version.moved_from, draft.moved_from)
        self.assertEqual(version.extra, draft.extra)
        self.assertEqual(version.modified, round(draft.modified, 3))
        size = length if draft.size is None else draft.size
        self.assertEqual((version.length, version.size, version.sha256), (length, size, HASH))
        self.assertEqual(version.chunked, draft.size is not None)
        self.assertEqual(version.versions, max(draft.keep, 5))
        self.assertTrue(version.ours and version.understood and version.bound)
        self.assertIn(version.mime, {draft.mime, None})

    @given(drafts())
    def test_reference_metadata(self, draft: Draft) -> None:
        """What the reference would keep of it is the object as it is on the wire."""
        text = encode(draft, sealed=True)
        expected = {name: value for name, value in json.loads(text).items() if name not in {"fn", "_"}}
        self.assertEqual(reference_metadata(decode(text)), expected)

    def test_reference_metadata_of_newer(self) -> None:
        """Of a version that is not understood it is what was understood of it."""
        kept = reference_metadata(decode(ours(needs=["later"], size=99, sha256=GONE)))
        left_out = {"fn", "sha256"}
        expected = {name: value for name, value in OURS.items() if name not in left_out}
        self.assertEqual(kept, expected | {"needs": ["later"], "size": 99})
        self.assertNotIn("v", reference_metadata(decode(ours(v=2))))

    def test_reference_metadata_of_a_manifest(self) -> None:
        """Also where its chunks are not understood: what is kept says as much as the message."""
        for changes in (
            {"chunks": 1, "needs": ["chunks"], "size": 99},
            {"chunks": 2, "needs": ["chunks"], "size": 99},
            {"chunks": 1, "needs": ["chunks"]},
            {"chunks": 1},
            {"needs": ["chunks"]},
        ):
            expected = {name: value for name, value in (OURS | changes).items() if name != "fn"}
            self.assertEqual(reference_metadata(decode(ours(**changes))), expected)

    def test_reference_metadata_of_the_reference(self) -> None:
        """Of a version of the reference it is what a new version of it would inherit that still counts."""
        values = {
            "versions": 4,
            "deleted": True,
            "vid": VID,
            "clock": {"wwwwww": 7},
            "mode": 0o755,
            "mime": "a/b",
            "x": 1,
        }
        expected = {name: value for name, value in (REFERENCE | values).items() if name != "fn"}
        self.assertEqual(reference_metadata(decode(reference(**values))), expected)
        self.assertEqual(reference_metadata(decode(reference(ts=GONE, home="hhhhhhhh"))), {"bytes": 12})

    def test_written(self) -> None:
        """The time of the sealing is kept; without one it is the modification time."""
        self.assertEqual(decode(encode(DRAFT), 5).written, 5.0)
        self.assertEqual(decode(encode(DRAFT), 2**64 - 1).written, 253402300799.0)
        self.assertEqual(decode(encode(DRAFT), None).written, 1573400100.0)
        self.assertEqual((decode(encode(DRAFT), 5).encrypted, decode(encode(DRAFT), None).encrypted), (True, False))


class OursTests(SynchronousTestCase):
    """Our serialization, read."""

    def test_recognised(self) -> None:
        """A text is ours when it starts with a brace and a quote, has no line and has ``v`` (FORMAT 1.3)."""
        self.assertTrue(decode(ours()).ours)
        self.assertFalse(decode(reference()).ours)
        for text in (
            ours(v=GONE),
            b" " + ours(),
            ours() + b"\n",
            b"{ " + ours()[1:],
            b"{\r\n" + ours()[1:],
            b"",
            b"[]",
        ):
            self.assertRaises(Malformed, decode, text)

    def test_required(self) -> None:
        """A text of ours without a key that every reader needs is malformed."""
        for name in ("fn", "bytes", "vid", "writer", "clock", "home"):
            self.assertRaises(Malformed, decode, ours(**{name: GONE}))

    def test_wrong_values(self) -> None:
        """A value of the wrong type or beyond its bounds makes the message malformed."""
        wrong: dict[str, list[Any]] = {
            "_": [1],
            "bytes": [True, 12.0, -1, "12", None, limits.LITERAL + 1, 10**30],
            "chunks": [0, True, "1"],
            "clock": [
                [],
                {},
                {"wwwwww": True},
                {"wwwwww": 0},
                {"wwwwww": 2**53},
                {"wwwwww": 1.0},
                {"x": 1, "wwwwww": 1},
            ],
            "deleted": [1, "true", None],
            "dir": [1, None],
            "fn": ["", 1, None, ["a"], {}],
            "from": ["x", VID + "x", 1],
            "home": ["", "x" * 9, 8, "x" * 7 + "\n"],
            "keep": [0, True, 1.0, 2**31],
            "lease": [
                "",
                {},
                {"path": "a"},
                {"path": "", "uv": 1},
                {"path": "a", "uv": 0},
                {"path": "a", "uv": 1, "n": -1},
                {"path": "a", "uv": 1, "of": "short"},
                {"path": "a", "uv": 1, "seconds": 7 * 24 * 3600 + 1},
                {"path": "a", "uv": 1, "seconds": True},
                {"path": "a", "uv": 1, "over": {"short": 1}},
                {"path": "a", "uv": 1, "over": {VID: "1"}},
                {"path": "a", "uv": 1, "over": {f"{number:022}": 0 for number in range(9)}},
                {"path": "a", "uv": 1, "who": "x" * 129},
                {"path": "a", "uv": 1, "what": 1},
            ],
            "lock": ["", 1],
            "mime": ["text", "text/", "a/b\n", "a/" + "b" * 126, "a/b;c", None],
            "mode": [-1, 0o10000, True, "0644"],
            "needs": ["chunks", ["Chunks"], [""], ["a", "a"], [1], ["a b"]],
            "parents": ["x", [1], ["short"], [VID, VID], {}],
            "sha256": ["", HASH[:-1] + "B", HASH + "A", HASH + "=", 1],
            "size": [-1, 1.0, 2**63, True],
            "t": ["1", None, True, 1e13],
            "ts": ["1", None, True, 10**13],
            "v": [0, True, "1", 1.0, None],
            "versions": [0, "4", True, 2**31],
            "vid": ["", VID[:-1], VID + "x", 1, "é" * 22],
            "was": ["", VID[:-1], 1],
            "writer": ["", "w" * 7, "wwwww.", 1],
        }
        self.assertEqual(set(wrong), FORMAT_KEYS)
        for name, values in wrong.items():
            for value in values:
                self.assertRaises(Malformed, decode, ours(**{name: value}))

    def test_contradictions(self) -> None:
        """A clock without its writer, content in a tombstone or directory, and a false size are malformed."""
        self.assertRaises(Malformed, decode, ours(clock={"aaaaaa": 1}))
        for changes in ({"deleted": True}, {"dir": True}, {"size": 13}):
            self.assertRaises(Malformed, decode, ours(**changes))
        self.assertTrue(decode(ours(deleted=True, bytes=0)).deleted)

    def test_hostile_json(self) -> None:
        """Duplicate keys, NaN, huge numbers, depth, bad UTF-8 and raw control characters are malformed."""
        text = ours()
        deep: Any = 1
        for _ in range(limits.JSON_DEPTH):
            deep = [deep]
        for wrong in (
            text.replace(b'{"bytes"', b'{"fn":"x","bytes"', 1),
            ours(x=float("nan")),
            ours(x=float("inf")),
            text.replace(b"12", b"1e999", 1),
            ours(x=2**64),
            ours(x=deep),
            text[:-1] + b',"x":' + b"[" * 30_000,
            text.replace(b"a/b", b"a\xff", 1),
            text.replace(b"a/b", b"a\tb", 1),
            text.replace(b"a/b", b"a\x7fb", 1),
            text.replace(b"a/b", "a\x85b".encode(), 1),
            text.replace(b",", b",\t", 1),
            text[:-1],
            text + text,
        ):
            self.assertRaises(Malformed, decode, wrong)

    def test_newer_needs(self) -> None:
        """A word that is not understood leaves the file listed with its whole size, and its content refused."""
        version = decode(ours(needs=["chunks", "later"], size=10**12, chunks=1, x="one letter", kept="yes"))
        self.assertEqual((version.understood, version.needs), (False, ("chunks", "later")))
        self.assertEqual((version.length, version.size, version.vid), (12, 10**12, VID))
        self.assertEqual(version.extra, {"kept": "yes"})

    def test_chunks(self) -> None:
        """A manifest of our scheme is understood, with the size of the file beside its own (FORMAT 7.1)."""
        version = decode(ours(needs=["chunks"], size=10**12, chunks=1, x="one letter"))
        self.assertEqual((version.understood, version.chunked, version.chunks), (True, True, 1))
        self.assertEqual((version.length, version.size, version.extra), (12, 10**12, {"x": "one letter"}))
        self.assertEqual(decode(ours(needs=["chunks"], chunks=1)).size, 12)
        self.assertFalse(decode(ours()).chunked)

    def test_chunks_not_understood(self) -> None:
        """A manifest of another scheme, or one that is only half said to be one, is never taken for content."""
        for changes in (
            {"needs": ["chunks"], "chunks": 2},
            {"needs": ["chunks"], "chunks": 2**31 - 1},
            {"needs": ["chunks"]},
            {"chunks": 1},
            {"needs": ["chunks", "later"], "chunks": 1},
            {"needs": ["later"], "chunks": 1},
            {"needs": [], "chunks": 1},
        ):
            version = decode(ours(x=1, **changes))
            self.assertFalse(version.understood, changes)
            self.assertEqual((version.path, version.vid, version.extra), ("a/b.txt", VID, {}))

    def test_size_without_chunks(self) -> None:
        """A size of its own needs a reason: without ``chunks`` the body is the file."""
        for changes in ({"size": 13}, {"size": 0}, {"size": 13, "chunks": 1}, {"size": 13, "needs": []}):
            self.assertRaises(Malformed, decode, ours(**changes))

    def test_newer_serialization(self) -> None:
        """A greater ``v`` leaves the file listed; what its keys mean is not guessed."""
        version = decode(ours(v=2, clock="new", mode="new", vid="new", x=1, deleted=[]))
        self.assertEqual((version.path, version.length, version.understood), ("a/b.txt", 12, False))
        self.assertEqual((version.vid, version.clock, version.mode, version.extra), (SEALED_ID, {}, 0o644, {}))
        self.assertRaises(Malformed, decode, ours(v=2, fn=1))
        self.assertRaises(Malformed, decode, ours(v=2, bytes=GONE))

    def test_unknown_keys(self) -> None:
        """Unknown keys, even of one letter, are kept."""
        self.assertEqual(decode(ours(x=1, other={"a": None})).extra, {"x": 1, "other": {"a": None}})


class ReferenceTests(SynchronousTestCase):
    """The reference's texts, read."""

    def test_plain(self) -> None:
        """What the reference says is taken; its identity is the sealed id."""
        version = decode(reference(versions=4, n=1.5))
        self.assertEqual((version.path, version.length, version.size), ("docs/hello.txt", 12, 12))
        self.assertEqual((version.vid, version.modified, version.versions, version.keep), (SEALED_ID, 1573400100, 4, 4))
        self.assertEqual((version.ours, version.bound, version.understood), (False, False, True))
        self.assertEqual(version.extra, {"n": 1.5})

    def test_required(self) -> None:
        """Without a name that is a text, or a length that is a number in bounds, it is malformed."""
        for name, values in {
            "fn": [GONE, "", 1, None, ["a"]],
            "bytes": [GONE, -2000, "12", 12.0, None, True, 10**12],
        }.items():
            for value in values:
                self.assertRaises(Malformed, decode, reference(**{name: value}))

    def test_hostile_names(self) -> None:
        """A name that we would not write is told exactly as it is."""
        for name in ("/docs/hello.txt", "../../etc/passwd", "a\0b", "a\ud800b", "a//b", "x" * 5000):
            self.assertEqual(decode(reference(fn=name)).path, name)

    def test_odd_values(self) -> None:
        """Odd values of optional keys count as absent."""
        for versions in ("4", 0, -3, True, 2.0, None, 2**31):
            self.assertEqual(decode(reference(versions=versions)).versions, 1)
        for ts in ("x", None, 10**20, True, [1]):
            self.assertEqual(decode(reference(ts=ts)).modified, 0.0)

    def test_any_true_deletes(self) -> None:
        """Any true value of ``deleted`` makes a tombstone, as for the reference."""
        for value in (True, 1, "no", [0]):
            self.assertTrue(decode(reference(deleted=value)).deleted)
        for value in (False, 0, "", None, [], GONE):
            self.assertFalse(decode(reference(deleted=value)).deleted)

    def test_time(self) -> None:
        """``ts`` is the time; ``t`` is only when there is none."""
        self.assertEqual(decode(reference(t=5)).modified, 1573400100)
        self.assertEqual(decode(reference(t=5.5, ts=GONE)).modified, 5.5)

    def test_inherits_from_ours(self) -> None:
        """Of our keys only identity, clock, mode and media type of the overwritten version count (FORMAT 1.3)."""
        stale = OURS | {"keep": 3, "mode": 0o755, "mime": "image/png", "dir": True, "needs": ["x"], "size": 9, "t": 1.5}
        version = decode(json_text(stale | REFERENCE | {"from": VID, "lock": VID, "parents": [VID], "mine": 1}))
        self.assertEqual((version.ours, version.vid, version.inherits), (False, SEALED_ID, VID))
        self.assertEqual((version.clock, version.mode, version.mime), ({"wwwwww": 7}, 0o755, "image/png"))
        self.assertEqual((version.home, version.sha256, version.writer, version.needs), (None, None, "", ()))
        self.assertEqual((version.directory, version.size, version.versions, version.keep), (False, 12, 5, 5))
        self.assertEqual((version.parents, version.moved_from, version.extra), ((), None, {"mine": 1}))

    def test_odd_inheritance(self) -> None:
        """What only looks like our keys is ignored."""
        version = decode(reference(vid="mine", clock=[1], mode="x", mime="x", v="?", home=5))
        self.assertEqual((version.inherits, version.clock, version.mode, version.mime), (None, {}, 0o644, None))
        self.assertEqual(version.extra, {})

    @given(st.dictionaries(texts | st.sampled_from(sorted(FORMAT_KEYS)), json_values, max_size=6))
    def test_any_values(self, values: dict[str, Any]) -> None:
        """Any values of any keys but the two required ones are read, and unknown keys are kept."""
        version = decode(json_text(values | {"fn": "a", "bytes": 3}))
        self.assertEqual((version.path, version.length), ("a", 3))
        self.assertEqual(set(version.extra), set(values) - FORMAT_KEYS)


class AnyTextTests(SynchronousTestCase):
    """Hostile texts."""

    @given(st.binary() | st.binary().map(lambda text: b'{"' + text) | st.binary().map(lambda text: b"{\n" + text))
    def test_any_bytes(self, text: bytes) -> None:
        """Any bytes are malformed."""
        self.assertRaises(Malformed, decode, text)

    @given(st.dictionaries(st.sampled_from(sorted(FORMAT_KEYS)) | texts, json_values))
    def test_any_object(self, values: dict[str, Any]) -> None:
        """Any object in our serialization is a version or malformed."""
        try:
            version = decode(json.dumps(OURS | values, sort_keys=True, separators=(",", ":")).encode())
        except Malformed as error:
            self.assertEqual(error.section, "metadata")
        else:
            self.assertTrue(version.ours)


class WindowTests(SynchronousTestCase):
    """How much the reference sees: FORMAT 1.6."""

    def test_bound(self) -> None:
        """A text of 591 bytes is seen by both programs, a longer one is not."""
        for dialect in DIALECTS.values():
            room = 591 - metadata.text_length(change(path="x"), length=5)
            fits, exceeds = change(path=self.path(room + 1)), change(path=self.path(room + 2))
            self.assertEqual(metadata.text_length(fits, length=5), 591)
            self.assertFalse(metadata.exceeds_reference(fits, dialect, length=5))
            self.assertTrue(metadata.exceeds_reference(exceeds, dialect, length=5))

    def test_length_not_known(self) -> None:
        """Before the length is known the longest number counts."""
        self.assertEqual(metadata.text_length(DRAFT), len(encode(DRAFT, length=limits.MAX_FILE_SIZE)))
        self.assertFalse(metadata.exceeds_reference(DRAFT, IFAP))

    @staticmethod
    def path(length: int) -> str:
        return "/".join(["y" * 99] * 9)[: length - 1] + "z"
