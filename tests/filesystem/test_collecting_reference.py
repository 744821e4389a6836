"""Collecting what a reference program wrote, and what it sees afterwards: FORMAT 5.6, 6.2, 12."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.collection import COLLECTED, KEPT
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.opening import Membership
from tests.filesystem.folders import KEY, Folder, result
from tests.filesystem.test_reference import WithTheReference

DAY = 86400.0


class ReferenceCase:
    """A device that keeps two versions, beside the reference."""

    dialect = "ifap"
    encrypted = True
    reader = WithTheReference.reader
    assertEqual: Any
    assertFalse: Any
    assertIn: Any
    assertNotIn: Any

    def device(self) -> Any:
        """It keeps two versions."""
        membership = Membership(dialect=self.dialect, encrypted=self.encrypted, keys=(KEY,) if self.encrypted else ())
        return self.folder.device(membership, options=Options(keep=2))

    def setUp(self) -> None:
        self.folder = Folder()
        self.store = self.folder.store()
        result(self.store.open())
        self.ours = self.device()
        self.order: list[tuple[str, bytes]] = []
        self.seen: list[dict[str, bytes]] = []
        remove = self.folder.shelf.remove

        def watched(uids: Any, by: Any = None) -> None:
            listed = list(uids)
            for uid in listed:
                version = self.ours.desk.view.index.at(uid)
                if version is not None and not version.path.startswith("IFAP/"):
                    self.order.append((version.path, version.vid))
            remove(listed, by)
            self.seen.append(self.reader().contents())

        self.folder.shelf.remove = watched  # type: ignore[method-assign]

    def write(self, path: str, content: bytes, **metadata: Any) -> None:
        """What the reference appends, each at a second of its own."""
        self.folder.clock.advance(1)
        WithTheReference.write(self, path, content, ts=int(self.folder.clock.seconds()), **metadata)  # type: ignore[arg-type]

    def collected(self) -> Any:
        """Plan, wait, collect."""
        result(self.ours.collect())
        self.folder.clock.advance(8 * DAY)
        return result(self.ours.collect())

    def fates(self, found: Any, path: str) -> list[str]:
        """What became of the versions of a path, in their order."""
        return [verdict.fate for verdict in found.verdicts if verdict.path == path]

    def vids(self, path: str) -> list[str]:
        """The ids of its versions, in their order."""
        return [placed.version.vid for placed in self.ours.desk.view.index.history(path).versions]

    def test_a_chain_goes_oldest_first(self) -> None:
        """One message after the other, and the reference reads the newest at every moment."""
        for number in range(6):
            self.write("a", b"%d" % number)
        vids = self.vids("a")
        found = self.collected()
        self.assertEqual([COLLECTED] * 4 + [KEPT] * 2, self.fates(found, "a"))
        self.assertEqual([("a", vid) for vid in vids[:4]], self.order)
        self.assertEqual([{"a": b"5"}] * 4, [{"a": seen["a"]} for seen in self.seen[:4]])
        self.assertEqual(b"5", result(self.ours.get("a")))

    def test_ours_over_theirs(self) -> None:
        """A version of ours that names one of theirs as its parent goes after it, and no conflict shows up."""
        self.write("a", b"0")
        self.write("a", b"1")
        for number in range(2, 6):
            result(self.ours.put("a", b"%d" % number))
        vids = self.vids("a")
        self.collected()
        self.assertEqual([("a", vid) for vid in vids[:4]], self.order)
        self.assertEqual([], result(self.ours.conflicts()))
        self.assertEqual([{"a": b"5"}] * len(self.seen), [{"a": seen["a"]} for seen in self.seen])

    def test_what_names_another_stays_as_long_as_that(self) -> None:
        """The parent is kept because a grace of it is not over: what names it waits."""
        self.write("a", b"0")
        vids = self.vids("a")
        for number in range(1, 4):
            result(self.ours.put("a", b"%d" % number))
        result(self.ours.collect())
        self.folder.clock.advance(8 * DAY)
        parent = self.ours.desk.view.index.history("a").versions[0].rank
        self.folder.shelf.add(self.folder.shelf.messages[parent])
        result(self.ours.refresh())
        found = result(self.ours.collect())
        self.assertNotIn(COLLECTED, self.fates(found, "a"))
        self.assertIn(vids[0], self.vids("a"))

    def test_theirs_over_ours(self) -> None:
        """A chain behind a version of ours: what it inherited from goes before it, and nothing becomes a head."""
        result(self.ours.put("a", b"0"))
        version = self.ours.desk.view.index.history("a").versions[0].version
        inherited = {"vid": version.vid, "clock": dict(version.clock), "writer": version.writer}
        for number in range(1, 5):
            self.write("a", b"%d" % number, **inherited)
        vids = self.vids("a")
        self.collected()
        self.assertEqual([("a", vid) for vid in vids[:3]], self.order)
        self.assertEqual([], result(self.ours.conflicts()))
        self.assertEqual(b"4", result(self.device().get("a")))

    def test_a_removal_by_the_reference(self) -> None:
        """Its tombstone is the newest of the chain and stays for a year."""
        self.write("a", b"0")
        self.write("a", b"1")
        self.write("a", b"", deleted=True)
        found = self.collected()
        self.assertEqual([KEPT, KEPT, KEPT], self.fates(found, "a"))
        self.folder.clock.advance(370 * DAY)
        for _ in range(4):
            self.collected()
        self.assertEqual([], self.vids("a"))

    def test_a_reference_that_comes_new(self) -> None:
        """It reads every file right after a collection, with the renewed snapshot, and removes nothing kept."""
        for number in range(5):
            result(self.ours.put("a", b"%d" % number))
            self.write("b", b"%d" % number)
        result(self.ours.snapshot())
        self.collected()
        reader = self.reader()
        contents = {path: data for path, data in reader.contents().items() if not path.startswith("IFAP/")}
        self.assertEqual({"a": b"4", "b": b"4"}, contents)
        deleted = set(reader.synchronize(cleanup=True))
        kept = {p.rank for path in ("a", "b") for p in self.ours.desk.view.index.history(path).heads}
        self.assertFalse(kept & deleted)


class SealedCase(ReferenceCase):
    """The same with messages that are known again when they were collected: those without encryption are not."""

    def collected_first(self) -> bytes:
        """Four versions are written and the older two are collected; the message of the first one."""
        self.write("a", b"0")
        first = self.folder.shelf.messages[max(self.folder.shelf.messages)]
        for number in range(1, 4):
            self.write("a", b"%d" % number)
        self.collected()
        return first

    def test_undelete_takes_what_was_removed(self) -> None:
        """And not what was collected before, and stored again by the server: it has the highest UID of the chain."""
        first = self.collected_first()
        result(self.ours.remove("a"))
        self.folder.shelf.add(first)
        result(self.device().undelete("a"))
        self.assertEqual(b"3", result(self.device().get("a")))

    def test_a_repair_takes_the_newest_that_was_not_collected(self) -> None:
        """A version that was collected, and stored again by the server, is not what a damaged one replaced."""
        first = self.collected_first()
        uid = int(self.ours.desk.view.index.history("a").heads[0].rank)
        self.folder.shelf.add(first)
        self.folder.shelf.tamper(uid, self.folder.shelf.messages[uid][:-8])
        device = self.device()
        found = result(device.check(read_data=100, repair=True))
        self.assertEqual(["restore"], [one.remedy for one in found.findings if one.mended and one.path == "a"])
        self.assertEqual(b"2", result(self.device().get("a")))

    def test_a_repair_takes_what_was_collected_when_nothing_else_is_whole(self) -> None:
        """It is better than nothing, and what it replaces stays."""
        first = self.collected_first()
        for uid in [int(placed.rank) for placed in self.ours.desk.view.index.history("a").versions]:
            self.folder.shelf.tamper(uid, self.folder.shelf.messages[uid][:-8])
        self.folder.shelf.add(first)
        device = self.device()
        result(device.check(read_data=100, repair=True))
        self.assertEqual(b"0", result(self.device().get("a")))


class IfapTests(SealedCase, SynchronousTestCase):
    """python-ifaplib."""


class MailfileTests(SealedCase, SynchronousTestCase):
    """mailfile."""

    dialect = "mailfile"


class PlainTests(ReferenceCase, SynchronousTestCase):
    """python-ifaplib without encryption."""

    encrypted = False
