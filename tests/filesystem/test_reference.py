"""The reference programs read what we write, and we read what they write, in both dialects (promise P11, FORMAT 12)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.filesystem.folders import KEY, Folder, result
from tests.reference_reader import ReferenceReader

NAMES = {"ifap": "ifaplib", "mailfile": "mailfile"}


class WithTheReference:
    """One folder, one of our devices, and the reference's programs."""

    dialect = "ifap"
    encrypted = True
    assertEqual: Any
    assertTrue: Any
    assertFalse: Any
    assertIn: Any

    def setUp(self) -> None:
        self.folder = Folder()
        self.store = self.folder.store()
        result(self.store.open())
        self.ours = self.device()

    def device(self) -> Any:
        """One of our devices."""
        membership = Membership(dialect=self.dialect, encrypted=self.encrypted, keys=(KEY,) if self.encrypted else ())
        return self.folder.device(membership)

    def reader(self) -> ReferenceReader:
        """A new client of the reference, synchronized."""
        folder = {uid: result(self.store.message(uid)) for uid in result(self.store.uids(1))}
        reader = ReferenceReader(folder, NAMES[self.dialect], KEY.text if self.encrypted else None)
        reader.synchronize()
        return reader

    def write(self, path: str, content: bytes, **metadata: Any) -> None:
        """What the reference appends."""
        key = KEY.text if self.encrypted else None
        facts = {"ts": 1_573_400_000, **metadata}
        stamps = (Stamp(iv=self.folder.random(16)), Stamp(iv=self.folder.random(16)))
        message = encode(path, content, facts, dialect=NAMES[self.dialect], key=key, stamps=stamps)
        result(self.store.append(message))
        result(self.ours.refresh())

    def test_it_reads_every_file_of_ours(self) -> None:
        """Whatever its name, size and kind."""
        files = {
            "a.txt": b"hello",
            "empty": b"",
            "dir/b.bin": bytes(range(256)) * 40,
            "Ärger/ß/\N{GRINNING FACE}": b"unicode",
            "exactly": bytes(2048),
            'odd "name" %2F\\': b"odd",
        }
        for path, content in files.items():
            result(self.ours.put(path, content, mime="text/x-long-media-type"))
        contents = self.reader().contents()
        self.assertEqual({path: contents[path] for path in files}, files)

    def test_it_sees_the_newest_version_and_its_metadata(self) -> None:
        """With a number of versions that it must not delete (FORMAT 1.5)."""
        for content in (b"1", b"22", b"333"):
            result(self.ours.put("a", content, modified=1_600_000_000.25))
        result(self.ours.keep("a", 2))
        reader = self.reader()
        self.assertEqual(reader.read("a"), b"333")
        metadata = reader.tree["a"].metadata
        self.assertEqual((metadata["bytes"], metadata["ts"], metadata["versions"]), (3, 1_600_000_000, 5))

    def test_a_removed_file_is_removed_for_it_too(self) -> None:
        """A tombstone."""
        result(self.ours.put("a", b"1"))
        result(self.ours.put("b", b"1"))
        result(self.ours.remove("a"))
        self.assertEqual([path for path in self.reader().listing() if not path.startswith("IFAP/")], ["b"])

    def test_its_cleanup_destroys_nothing_after_our_snapshot(self) -> None:
        """A fresh client without one would forget old versions and delete them (WIRE-FORMAT 5.2.1)."""
        for number in range(4):
            result(self.ours.put("a", str(number).encode()))
            result(self.ours.put("dir/b", str(number).encode()))
        result(self.ours.remove("dir/b"))
        result(self.ours.snapshot())
        folder = {uid: result(self.store.message(uid)) for uid in result(self.store.uids(1))}
        reader = ReferenceReader(folder, NAMES[self.dialect], KEY.text if self.encrypted else None)
        self.assertEqual(reader.synchronize(cleanup=True), [])
        self.assertEqual(reader.read("a"), b"3")
        self.assertEqual(len(reader.tree["a"].versions), 4)

    def test_without_a_snapshot_its_cleanup_takes_versions(self) -> None:
        """The fault that our snapshots are for: this test would tell if they did nothing."""
        for number in range(4):
            result(self.ours.put("a", str(number).encode()))
        folder = {uid: result(self.store.message(uid)) for uid in result(self.store.uids(1))}
        reader = ReferenceReader(folder, NAMES[self.dialect], KEY.text if self.encrypted else None)
        self.assertEqual(len(reader.synchronize(cleanup=True)), 3)

    def test_a_snapshot_is_read_by_it_in_full(self) -> None:
        """The same tree as from the messages, and all of it seen."""
        for name in ("a", "b/c"):
            result(self.ours.put(name, name.encode()))
        before = self.reader().tree
        result(self.ours.snapshot())
        reader = self.reader()
        for path, entry in before.items():
            self.assertEqual((reader.tree[path].uid, reader.tree[path].metadata), (entry.uid, entry.metadata))
        self.assertEqual(reader.contents()["b/c"], b"b/c")

    def test_we_read_what_it_wrote(self) -> None:
        """All its versions in one line."""
        self.write("a", b"1", versions=3)
        self.write("a", b"2", versions=3)
        self.assertEqual(result(self.ours.get("a")), b"2")
        self.assertEqual(len(result(self.ours.versions("a"))), 2)
        self.assertEqual(list(result(self.ours.conflicts())), [])
        entry = result(self.ours.stat("a"))
        self.assertEqual((entry.modified, entry.keep, entry.bound), (1_573_400_000.0, 3, False))

    def test_keys_that_are_not_of_the_format_survive_our_overwrite(self) -> None:
        """As they survive its own (FORMAT 1.5)."""
        self.write("a", b"1", colour="green", nested={"x": [1, None]})
        result(self.ours.put("a", b"2"))
        metadata = self.reader().tree["a"].metadata
        self.assertEqual((metadata["colour"], metadata["nested"]), ("green", {"x": [1, None]}))

    def test_how_many_versions_it_keeps_survives_our_overwrite(self) -> None:
        """Its cleanup would destroy the rest (WIRE-FORMAT 2.1, FORMAT 1.5)."""
        self.write("a", b"old", versions=12)
        self.assertEqual(result(self.ours.put("a", b"new")).keep, 12)
        self.assertEqual(self.reader().tree["a"].metadata["versions"], 12)

    def test_its_overwrite_of_ours_descends_from_it(self) -> None:
        """It inherits our keys, stale (FORMAT 1.3)."""
        result(self.ours.put("a", b"ours", mode=0o600))
        inherited = {key: value for key, value in self.reader().tree["a"].metadata.items() if key != "bytes"}
        self.write("a", b"theirs", **inherited)
        self.assertEqual(result(self.ours.get("a")), b"theirs")
        self.assertEqual(list(result(self.ours.conflicts())), [])
        self.assertEqual(result(self.ours.stat("a")).mode, 0o600)
        result(self.ours.put("a", b"ours again"))
        self.assertEqual(list(result(self.device().conflicts())), [])

    def test_its_overwrite_of_an_older_version_is_a_conflict(self) -> None:
        """Two lines of history (FORMAT 3.3)."""
        result(self.ours.put("a", b"1"))
        inherited = {key: value for key, value in self.reader().tree["a"].metadata.items() if key != "bytes"}
        result(self.ours.put("a", b"2"))
        self.write("a", b"theirs", **inherited)
        contents = {result(self.ours.get("a", version=head.version)) for head in result(self.ours.conflicts())}
        self.assertEqual(contents, {b"2", b"theirs"})

    def test_a_name_that_we_would_not_write_is_shown_and_reached(self) -> None:
        """Escaped, by its version (FORMAT 11.1)."""
        self.write("../../etc/passwd", b"evil")
        self.write("a\x1b[31mb", b"odd")
        self.assertEqual(list(result(self.ours.list())), [])
        odd = {entry.path: entry for entry in result(self.ours.list("/", everything=True, recursive=True))}
        entry = odd["../../etc/passwd"]
        self.assertEqual(result(self.ours.get("../../etc/passwd", version=entry.version)), b"evil")


class IfapTests(WithTheReference, SynchronousTestCase):
    """The dialect ifap, encrypted."""


class MailfileTests(WithTheReference, SynchronousTestCase):
    """The dialect mailfile, encrypted."""

    dialect = "mailfile"


class IfapPlaintextTests(WithTheReference, SynchronousTestCase):
    """The dialect ifap, without encryption."""

    encrypted = False


class MailfilePlaintextTests(WithTheReference, SynchronousTestCase):
    """The dialect mailfile, without encryption."""

    dialect = "mailfile"
    encrypted = False


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "remove", "undelete", "keep", "copy", "snapshot"]), st.sampled_from("ab")),
    max_size=8,
)


class AnyHistoryTests(SynchronousTestCase):
    """Whatever we do, the reference agrees with us about what is there."""

    @settings(max_examples=40)
    @given(OPERATIONS, st.sampled_from(["ifap", "mailfile"]))
    def test_the_reference_finds_what_we_find(self, operations: list[tuple[str, str]], dialect: str) -> None:
        """Every live file, with its content; and its cleanup after a snapshot deletes at most old snapshots."""
        folder = Folder()
        ours = folder.device(Membership(dialect=dialect, keys=(KEY,)))
        store = folder.store()
        result(store.open())
        for number, (verb, name) in enumerate(operations):
            there = any(entry.path == name for entry in result(ours.list()))
            if verb == "put":
                result(ours.put(name, str(number).encode()))
            elif verb == "snapshot":
                result(ours.snapshot())
            elif verb == "undelete" and not there and name in {e.path for e in result(ours.list("/", everything=True))}:
                result(ours.undelete(name))
            elif there and verb == "remove":
                result(ours.remove(name))
            elif there and verb == "keep":
                result(ours.keep(name, number + 1))
            elif there and verb == "copy":
                result(ours.copy(name, f"c{number}"))
        result(ours.snapshot())
        reader = ReferenceReader(
            {uid: result(store.message(uid)) for uid in result(store.uids(1))}, NAMES[dialect], KEY.text
        )
        snapshots = {uid for uid in result(store.uids(1)) if ours.desk.view.index.at(uid).path.endswith("/metadata")}
        self.assertLessEqual(set(reader.synchronize(cleanup=True)), snapshots)
        found = {path: data for path, data in reader.contents().items() if not path.startswith("IFAP/")}
        expected = {entry.path: result(ours.get(entry.path)) for entry in result(ours.list())}
        self.assertEqual(found, expected)
