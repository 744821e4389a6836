"""Snapshots: FORMAT 6.2, WIRE-FORMAT 4."""

from __future__ import annotations

import contextlib
import itertools
import json
import tracemalloc
import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.snapshot import encode
from ifap_twisted.core.snapshot import entries as read_entries
from ifap_twisted.errors import SnapshotCorrupt, TooLarge
from tests.core.strategies import hostile_paths, json_values, paths, texts

uids = st.integers(1, 2**32 - 1)


@st.composite
def entries(draw: st.DrawFn) -> tuple[int, dict[str, Any], tuple[int, ...]]:
    places = draw(st.lists(uids, min_size=1, max_size=4, unique=True))
    return max(places), draw(st.dictionaries(texts, json_values, max_size=3)), tuple(places)


trees = st.dictionaries(paths | hostile_paths, entries(), max_size=4)


def decode(content: bytes) -> dict[str, Any]:
    """All entries of a snapshot."""
    return dict(read_entries(content))


def packed(value: Any) -> bytes:
    return zlib.compress(json.dumps(value).encode())


GOOD = {"tree": {"a": [2, {"bytes": 1}, [1, 2]]}, "seen": [1, 2]}


class EncodeTests(SynchronousTestCase):
    """Writing."""

    @given(trees)
    def test_there_and_back(self, tree: dict[str, Any]) -> None:
        """A tree comes back as it was."""
        self.assertEqual(decode(encode(tree)), tree)

    @given(trees)
    def test_seen(self, tree: dict[str, Any]) -> None:
        """``seen`` is the UIDs in the tree and nothing else; the order of the paths does not matter."""
        value = json.loads(zlib.decompress(encode(tree)))
        self.assertEqual(value["seen"], sorted({uid for _, _, places in tree.values() for uid in places}))
        self.assertEqual(encode(dict(reversed(tree.items()))), encode(tree))

    def test_too_large(self) -> None:
        """What could not be read again is not written."""
        tree = {"a": (1, {"x": "y" * limits.SNAPSHOT_INFLATED}, (1,))}
        self.assertRaises(TooLarge, encode, tree)

    def test_many_alike(self) -> None:
        """A large folder of names that hardly differ is read again: it inflates less far than a bomb."""
        deep = "/".join(["d" * 255] * 15)
        tree = {f"{deep}/{number}": (number, {}, (number,)) for number in range(1, 2000)}
        self.assertEqual(decode(encode(tree)), tree)


class DecodeTests(SynchronousTestCase):
    """Reading."""

    def test_good(self) -> None:
        """The shape that the reference writes."""
        self.assertEqual(decode(packed(GOOD)), {"a": (2, {"bytes": 1}, (1, 2))})

    def test_shapes(self) -> None:
        """Anything odd is refused."""
        for wrong in (
            [],
            {},
            {"tree": {}},
            {"seen": []},
            {"tree": [], "seen": []},
            GOOD | {"seen": {}},
            GOOD | {"seen": ["1"]},
            GOOD | {"seen": [0]},
            GOOD | {"seen": [True]},
            GOOD | {"seen": [2**32]},
            *(
                GOOD | {"tree": {"a": entry}}
                for entry in (
                    [],
                    {},
                    [2, {}],
                    [2, {}, [2], 1],
                    [2, {}, []],
                    [2, {}, [1]],
                    [2, [], [2]],
                    ["2", {}, [2]],
                    [2.0, {}, [2]],
                    [True, {}, [True]],
                    [1, {}, [1, -1]],
                    [2, {}, {"2": 2}],
                    [2, {"x": float("nan")}, [2]],
                    [2, {"x": 2**64}, [2]],
                    [2, {"x": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}, [2]],
                )
            ),
        ):
            self.assertRaises(SnapshotCorrupt, decode, packed(wrong))

    def test_texts(self) -> None:
        """Bad JSON, bad UTF-8, duplicate keys and nesting without end are refused."""
        for text in (b"", b"{", b"\xff", b'{"tree":{},"tree":{},"seen":[]}', b"[" * 100_000, b'{"tree":{},"seen":[]}x'):
            self.assertRaises(SnapshotCorrupt, decode, zlib.compress(text))

    def test_streams(self) -> None:
        """What is no zlib stream, is cut, damaged or followed by more is refused."""
        good = packed(GOOD)
        for content in (b"", b"garbage", good[:-1], good[:-4] + b"\0\0\0\0", good + b"x", good + good):
            self.assertRaises(SnapshotCorrupt, decode, content)

    def test_bombs(self) -> None:
        """What inflates further than an honest snapshot does is refused (vector sec-snapshot-bomb)."""
        blanks = b'{"tree":{},"seen":[]' + b" " * (30 * limits.MIB) + b"}"
        self.assertRaises(SnapshotCorrupt, decode, zlib.compress(blanks))

    def test_orders(self) -> None:
        """Both orders of the two parts, and any white space between, are the same snapshot."""
        text = ' { "seen" : [ 1 , 2 ] ,\r\n"tree":{ "a" : [2,{"bytes":1},[1,2]] } } \n'
        self.assertEqual(decode(zlib.compress(text.encode())), decode(packed(GOOD)))

    def test_syntax(self) -> None:
        """Of a text with a character left out or added only what is JSON is read, and as JSON has it."""
        good, read = json.dumps(GOOD), 0
        for at, added in itertools.product(range(len(good)), ("", ",", "}", "0", " ", '"')):
            wrong = good[:at] + added + good[at + (not added) :]
            try:
                found = decode(zlib.compress(wrong.encode()))
            except SnapshotCorrupt:
                continue
            read += 1
            tree = json.loads(wrong)["tree"]
            self.assertEqual(
                found, {path: (uid, metadata, tuple(uids)) for path, (uid, metadata, uids) in tree.items()}
            )
        self.assertLess(read, 2 * len(good))

    def test_bounds(self) -> None:
        """Too many paths, messages, or too long an entry: neither written nor read."""
        self.patch(limits, "SNAPSHOT_ENTRIES", 3)
        self.patch(limits, "SNAPSHOT_UIDS", 20_000)
        self.patch(limits, "SNAPSHOT_ENTRY", 150_000)
        many = {str(number): (number, {}, (number,)) for number in range(1, 5)}
        places = {"a": (1, {}, tuple(range(1, 20_002)))}
        long = {"a": (2**31, {}, tuple(range(2**31, 2**31 + 15_000)))}
        for tree in (many, places, long):
            self.assertRaises(TooLarge, encode, tree)
            seen = sorted({uid for _, _, uids in tree.values() for uid in uids})
            text = packed({"tree": tree, "seen": seen})
            self.assertRaises(SnapshotCorrupt, decode, text)
        fits = {"a": (1, {}, tuple(range(1, 9_000)))}
        self.assertEqual(decode(encode(fits)), fits)

    def test_memory(self) -> None:
        """Of a text of small lists hardly anything is held in objects; of many entries one at a time."""
        self.patch(limits, "SNAPSHOT_RATIO", 10**6)
        lists = b'{"tree":{"a":[' + b"[]," * limits.MIB + b'1]},"seen":[]}'
        many = b",".join(b'"%d":[1,{},[1]]' % number for number in range(20_000))
        lies = b'{"tree":{' + many + b'},"seen":[1]}'
        for text, read in ((lists, 0), (lies, 20_000)):
            content = zlib.compress(text, 1)
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            count = 0
            with contextlib.suppress(SnapshotCorrupt):
                for _ in read_entries(content):
                    count += 1
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertEqual(count, read)
            self.assertLess(peak, 3 * len(text) + 32 * limits.MIB)

    @given(st.binary() | st.binary().map(zlib.compress))
    def test_any_bytes(self, content: bytes) -> None:
        """Any bytes are refused."""
        self.assertRaises(SnapshotCorrupt, decode, content)

    @given(st.fixed_dictionaries({"tree": st.dictionaries(texts, json_values) | json_values, "seen": json_values}))
    def test_any_values(self, value: Any) -> None:
        """Any values are a tree or refused."""
        try:
            decode(packed(value))
        except SnapshotCorrupt:
            return
        self.assertEqual(value["tree"], {})
