"""Rollback marks: what comes back is what was kept, or nothing (FORMAT 9.1)."""

from __future__ import annotations

import json
from math import inf
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope, limits
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.keys import Key
from ifap_twisted.core.marks import Facts, Mark, MarkSeal, decode, decode_facts, encode, encode_facts
from ifap_twisted.core.values import Draft, Version
from ifap_twisted.errors import IFAPError, Malformed
from ifap_twisted.store.headers import metadata_fields
from tests.basedir.places import Drawing
from tests.core.strategies import drafts
from tests.core.vectors import Vector, vectors

KEY, OTHER = Key.from_text("correct horse"), Key.from_text("battery staple")
numbers = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def version_of(draft: Draft) -> Version:
    """As it is read."""
    sealed = envelope.seal(draft, b"", dialect=IFAP, key=KEY, now=1_800_000_000, random=Drawing())
    return sealed.version._replace(lease=None)


def a_mark(**facts: Any) -> Mark:
    """Of a version of ours."""
    facts = {"path": "a", "vid": "v", "sealed_id": "s", "length": 1, "size": 1, "modified": 0.0, **facts}
    return Mark(Version(ours=True, encrypted=True, **facts), 7, 1)


class TextTests(SynchronousTestCase):
    """Marks as text."""

    @given(drafts(content=False), st.integers(1, 2**32 - 1), st.just(-inf) | numbers, st.lists(st.text(max_size=3)))
    def test_a_version_of_ours(self, draft: Draft, uid: int, since: float, below: list[str]) -> None:
        """Every field comes back as it was."""
        mark = Mark(version_of(draft), uid, 1, since, tuple(below))
        self.assertEqual(decode(encode(draft.path, [mark])), (draft.path, (mark,)))

    def test_a_large_file(self) -> None:
        """It comes back as one; marks of a release that knew none say nothing of chunks, and are read."""
        mark = a_mark(size=10**12, needs=("chunks",), chunks=1)
        found = decode(encode("a", [mark]))[1][0].version
        self.assertEqual((found, found.chunked), (mark.version, True))
        value = json.loads(encode("a", [mark]))
        self.assertEqual(value["heads"][0]["version"].pop("chunks"), 1)
        self.assertFalse(decode(json.dumps(value).encode())[1][0].version.chunked)
        for odd in (True, "1", 1.0, None, [1]):
            value["heads"][0]["version"]["chunks"] = odd
            self.assertRaises(Malformed, decode, json.dumps(value).encode())

    def test_every_message_of_the_vectors(self) -> None:
        """Odd ones of reference programs, those of newer versions, and those in clear, too."""
        seen = 0
        for vector in vectors("accept", "listed-unreadable", "policy", "undetectable"):
            try:
                version = self._read(vector)
            except IFAPError:
                continue
            if version.lease is None:
                seen += 1
                self.assertEqual(decode(encode(version.path, [Mark(version, 3, 9)]))[1][0].version, version)
        self.assertGreater(seen, 200)

    def _read(self, vector: Vector) -> Version:
        fields = metadata_fields(vector.message)
        return envelope.read_header(fields, dialect=vector.dialect, keys=vector.keys, home=None)

    def test_several_heads(self) -> None:
        """Of very many those of the highest ranks."""
        marks = [a_mark(vid=str(number))._replace(rank=number) for number in range(limits.MARKED_HEADS + 5)]
        self.assertEqual(decode(encode("a", marks)), ("a", tuple(marks[5:])))

    def test_a_later_release_may_say_more(self) -> None:
        """What is not known is left out."""
        value = json.loads(encode("a", [a_mark()]))
        value["heads"][0]["version"]["new"] = 1
        value["heads"][0]["more"] = value["more"] = 2
        self.assertEqual(decode(json.dumps(value).encode()), ("a", (a_mark(),)))

    @given(st.sampled_from(["v", "path", "heads"]), json_values)
    def test_odd_values(self, name: str, odd: Any) -> None:
        """They are malformed, never another error."""
        value = json.loads(encode("a", [a_mark()])) | {name: odd}
        self._decode(json.dumps(value).encode())

    @given(st.sampled_from(["rank", "validity", "since", "below", "version"]), json_values)
    def test_odd_heads(self, name: str, odd: Any) -> None:
        """In every part of a head."""
        value = json.loads(encode("a", [a_mark()]))
        value["heads"][0][name] = odd
        self._decode(json.dumps(value).encode())

    @given(st.sampled_from(Version._fields), json_values)
    def test_odd_versions(self, name: str, odd: Any) -> None:
        """In every field of a version."""
        value = json.loads(encode("a", [a_mark()]))
        value["heads"][0]["version"][name] = odd
        self._decode(json.dumps(value).encode())

    @given(st.binary(max_size=60))
    def test_no_marks_at_all(self, content: bytes) -> None:
        """Whatever it is."""
        self._decode(content)
        try:
            decode_facts(content)
        except Malformed:
            return
        self.fail("it was taken for facts")

    def _decode(self, content: bytes) -> None:
        try:
            path, marks = decode(content)
        except Malformed:
            return
        self.assertEqual(decode(encode(path, marks)), (path, marks))

    def test_too_long(self) -> None:
        """There is a bound."""
        self.assertRaises(Malformed, decode, b" " * (limits.MARK_BYTES + 1))

    def test_numbers_without_bounds(self) -> None:
        """What no float can hold, and what is no number once it is read, is refused."""
        good = encode("a", [a_mark()])
        for old, new in ((b'"rank":', b'"rank":1' + b"0" * 400), (b'"validity":', b'"extra":[1e999],"validity":')):
            head, _, rest = good.partition(old)
            rest = rest if old == b'"validity":' else rest[rest.index(b",") :]
            self.assertRaises(Malformed, decode, head + new + rest)
        self.assertRaises(Malformed, decode_facts, b'{"begun_anew":null,"confirmed":1' + b"0" * 400 + b',"v":1}')

    @given(numbers, st.none() | numbers)
    def test_facts(self, confirmed: float, begun_anew: float | None) -> None:
        """They come back, too."""
        facts = Facts(confirmed, begun_anew)
        self.assertEqual(decode_facts(encode_facts(facts)), facts)
        odd = json.loads(encode_facts(facts)) | {"confirmed": "1"}
        self.assertRaises(Malformed, decode_facts, json.dumps(odd).encode())


class SealTests(SynchronousTestCase):
    """Marks as they are kept."""

    def seal(self, key: Key | None = KEY, home: str = "AAAAAAAA", dialect: str = "ifap") -> MarkSeal:
        """Of one folder."""
        return MarkSeal(key, home=home, dialect=dialect)

    def test_it_opens_where_it_belongs_only(self) -> None:
        """Another key, folder, dialect or path does not open it."""
        seal = self.seal()
        sealed = seal.seal(seal.name("a"), b"content", Drawing())
        self.assertEqual(seal.open(seal.name("a"), sealed), b"content")
        for other in (self.seal(OTHER), self.seal(home="BBBBBBBB"), self.seal(dialect="mailfile"), self.seal(None)):
            self.assertRaises(Malformed, other.open, seal.name("a"), sealed)
        self.assertRaises(Malformed, seal.open, seal.name("b"), sealed)

    def test_names_tell_nothing(self) -> None:
        """They differ by key, folder and dialect, and hold no path."""
        seals = [self.seal(), self.seal(OTHER), self.seal(home="BBBBBBBB"), self.seal(dialect="mailfile")]
        names = {seal.name("a") for seal in seals} | {seal.place for seal in seals} | {self.seal().name("b")}
        self.assertEqual(len(names), 9)

    def test_every_changed_byte_is_found(self) -> None:
        """With a key, and without one by a checksum."""
        for seal in (self.seal(), self.seal(None)):
            sealed = seal.seal(b"name", b"content", Drawing())
            for at in range(len(sealed)):
                changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
                self.assertRaises(Malformed, seal.open, b"name", changed)
            for length in range(len(sealed)):
                self.assertRaises(Malformed, seal.open, b"name", sealed[:length])

    def test_what_is_sealed_cannot_be_read(self) -> None:
        """Neither the path nor the id of a version."""
        sealed = self.seal().seal(b"name", encode("a path", [a_mark(path="a path", vid="the-id")]), Drawing())
        self.assertNotIn(b"a path", sealed)
        self.assertNotIn(b"the-id", sealed)
