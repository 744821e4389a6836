"""What a check says of retention: only what should have gone long ago, or went and came back (FORMAT 5.3)."""

from __future__ import annotations

from ifap_twisted.core.arrears import LONG
from ifap_twisted.core.findings import NOTE
from ifap_twisted.core.values import Traits
from ifap_twisted.filesystem.filesystem import Filesystem
from tests.filesystem.folders import result
from tests.filesystem.test_collecting import DAY, KEEP_ONE, PLAIN, CollectingCase

MONTH = LONG / DAY


class UndoneCase(CollectingCase):
    """A folder and what a check of it finds."""

    def found(self, fs: Filesystem | None = None) -> dict[str, int]:
        """How many messages each finding is about; a check changes nothing."""
        before = dict(self.folder.shelf.messages)
        checkup = result((fs or self.fs).check())
        self.assertEqual(before, dict(self.folder.shelf.messages))
        self.assertEqual({NOTE}, {finding.severity for finding in checkup.findings} | {NOTE})
        return {finding.code: finding.places for finding in checkup.findings}


class NotCollectedTests(UndoneCase):
    """What a collection would have removed."""

    def test_nobody_collects(self) -> None:
        """Old versions are noted after a month, one copy like another, and never the one that is kept."""
        self.put("a", b"1", b"2", b"3")
        self.put("b", b"1")
        self.later(MONTH - 1)
        self.assertEqual({}, self.found())
        self.later(2)
        self.assertEqual({"not-collected": 2}, self.found())

    def test_what_is_noted_goes_with_gc(self) -> None:
        """All of it, and nothing else; then there is nothing to note."""
        self.put("a", b"1", b"2", b"3")
        vids = self.put("b", b"1")
        self.later(MONTH + 1)
        self.assertEqual({"not-collected": 2}, self.found())
        self.collect_after_grace()
        self.assertEqual({}, self.found())
        self.assertEqual((1, vids), (len(self.versions("a")), self.versions("b")))

    def test_planned_and_never_carried_out(self) -> None:
        """The month begins when the grace is over, however busy the file is."""
        self.put("a", b"1", b"2", b"3")
        self.collect()
        self.later(MONTH)
        self.put("a", b"4")
        self.later(6.9)
        self.assertEqual({}, self.found())
        self.later(0.2)
        self.assertEqual({"not-collected": 2}, self.found())

    def test_a_busy_file_that_is_not_planned(self) -> None:
        """Since when its versions could have gone is not known: nothing is said."""
        for number in range(40):
            self.put("a", b"%d" % number)
            self.later(1)
        self.assertEqual({}, self.found())

    def test_a_node_that_collects(self) -> None:
        """Each day: there is never a note."""
        for number in range(60):
            self.put("a", b"%d" % number)
            self.put(f"b{number % 7}", b"%d" % number)
            self.collect()
            self.assertEqual({}, self.found())
            self.later(1)
        self.assertLess(len(self.versions("a")), 12)

    def test_a_removed_file(self) -> None:
        """Its versions are kept for a year, and a month later they are noted."""
        self.put("a", b"1")
        result(self.fs.remove("a"))
        self.later(365 + MONTH - 1)
        self.assertEqual({}, self.found())
        self.later(2)
        self.assertEqual({"not-collected": 1}, self.found())

    def test_what_is_kept(self) -> None:
        """``vers`` says how many, whatever the settings say; and what is in conflict stays."""
        vids = self.put("a", b"1", b"2", b"3")
        result(self.fs.keep("a", 5))
        self.later(400)
        self.assertEqual({}, self.found())
        self.assertLess(len(vids), len(self.versions("a")))

    def test_what_was_planned_and_is_wanted_again(self) -> None:
        """A plan alone is no reason for a note."""
        self.put("a", b"1", b"2", b"3")
        self.collect()
        result(self.fs.keep("a", 5))
        self.later(MONTH + 20)
        self.assertEqual({}, self.found())

    def test_where_nothing_can_be_removed(self) -> None:
        """No advice that leads nowhere; with plain EXPUNGE it does not."""
        self.put("a", b"1", b"2")
        self.later(MONTH + 1)
        poor = Traits(reports_uid=True, expunges_by_uid=False, pushes=True)
        readonly = self.folder.store(read_only=True)
        for store, options, found in (
            (self.folder.store(traits=poor), KEEP_ONE, {}),
            (readonly, KEEP_ONE, {}),
            (self.folder.store(traits=poor), PLAIN, {"not-collected": 1}),
        ):
            self.assertEqual(found, self.found(self.folder.device(store=store, options=options)))

    def test_a_missing_version(self) -> None:
        """Nothing goes of a file of which the newest version is missing; that is told."""
        self.put("a", b"1", b"2", b"3")
        self.later(MONTH + 1)
        self.folder.shelf.remove([max(self.folder.shelf.messages)])
        self.assertEqual(["vanished"], [finding.code for finding in result(self.fs.check()).findings])

    def test_an_incomplete_listing(self) -> None:
        """Nothing is said of what cannot be seen."""
        self.put("a", b"1", b"2")
        self.later(MONTH + 1)
        store = self.folder.store()
        device = self.folder.device(store=store, options=KEEP_ONE)
        store.hide(max(self.folder.shelf.messages))
        store.go_offline()
        store.go_online()
        result(device.refresh())
        self.assertNotIn("not-collected", {finding.code for finding in result(device.check()).findings})


class CollectedAgainTests(UndoneCase):
    """What a record tells of is there."""

    def replayed(self) -> None:
        """An old version was collected, and is stored again."""
        vids = self.put("a", b"1", b"2")
        old = {uid: text for uid, text in self.folder.shelf.messages.items() if self.vid_at(uid) == vids[0]}
        self.collect_after_grace()
        self.assertEqual({}, self.found())
        for text in old.values():
            self.folder.shelf.add(text)

    def vid_at(self, uid: int) -> str | None:
        version = self.fs.desk.view.index.at(uid)
        return None if version is None else version.vid

    def test_stored_again(self) -> None:
        """It is noted a grace after the record, and no more when it was collected again."""
        self.replayed()
        self.assertEqual({}, self.found())
        self.later(7.1)
        self.assertEqual({"collected-again": 1}, self.found())
        self.assertEqual({"collected-again": 1}, self.found(self.folder.device(options=KEEP_ONE)))
        self.collect_after_grace()
        self.assertEqual({}, self.found())

    def test_told_once(self) -> None:
        """What is also overdue is told as that."""
        self.replayed()
        self.later(MONTH + 1)
        self.assertEqual({"not-collected": 1}, self.found())
