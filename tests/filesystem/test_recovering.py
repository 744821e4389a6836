"""Recovering a folder: everything is built anew from its messages, moves are finished, and what was done is told."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail

from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.findings import DAMAGE, FINISH_MOVE, NOTE, WARNING, Checkup
from ifap_twisted.errors import MessageGone, ReadOnly, Truncated, Unavailable
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership
from tests.filesystem.folders import KEY, result
from tests.filesystem.test_checking import WRITER, CheckCase


class RecoveryCase(CheckCase):
    """A folder with the files a and b."""

    def recovered(self, device: Filesystem | None = None) -> Checkup:
        """Recover; every message that was there stays as it was."""
        before = dict(self.folder.shelf.messages)
        found: Checkup = result((device or self.device).recover())
        after = self.folder.shelf.messages
        self.assertEqual({uid: after[uid] for uid in before}, before, "no message is removed or changed")
        return found

    def done(self, found: Checkup) -> dict[str, str]:
        """What was done, by the code."""
        return {one.code: one.remedy for one in found.findings if one.mended}

    def names(self, device: Filesystem | None = None) -> list[str]:
        """The files and directories that there are."""
        return [entry.path for entry in result((device or self.device).list("/", recursive=True))]


class MoveTests(RecoveryCase):
    """Moves that were cut after the file had arrived."""

    def cut_move(self, source: str, destination: str) -> None:
        """The mover goes away before it writes that the file is gone from its old place."""
        store = self.folder.store()
        device = self.folder.device(store=store)
        append, stored = store.append, []

        def one_only(message: bytes) -> Deferred[Any]:
            stored.append(message)
            return append(message) if len(stored) == 1 else fail(Unavailable("gone"))

        store.append = one_only  # type: ignore[method-assign]
        self.failureResultOf(device.move(source, destination))
        result(self.device.refresh())

    def test_finished(self) -> None:
        """The file stays where it arrived, its history where it was; a check alone only tells of it."""
        self.cut_move("a", "c")
        self.assertEqual(self.names(), ["a", "b", "c"])
        (told,) = self.check().findings
        self.assertEqual((told.code, told.severity, told.path, told.remedy), ("half-moved", WARNING, "a", ""))
        self.assertEqual(result(self.device.check(read_data=100, repair=True)).mended, 0)
        self.assertEqual(self.done(self.recovered())["half-moved"], FINISH_MOVE)
        self.assertEqual(self.names(), ["b", "c"])
        self.assertEqual(result(self.device.get("c")), b"hello")
        versions = result(self.device.versions("a"))
        self.assertEqual([one.deleted for one in versions], [True, False])
        self.assertEqual(self.check().findings, ())

    def test_edited_meanwhile(self) -> None:
        """A file that was written again at its old place stays there."""
        self.cut_move("a", "c")
        self.put("a", b"edited")
        self.assertNotIn("half-moved", self.done(self.recovered()))
        self.assertEqual(self.names(), ["a", "b", "c"])

    def test_arrived_damaged(self) -> None:
        """What has not arrived whole is not removed from its old place."""
        self.cut_move("a", "c")
        self.spoil(max(self.folder.shelf.messages))
        found = self.recovered()
        self.assertNotIn("half-moved", self.done(found))
        self.assertEqual(result(self.device.get("a")), b"hello")

    def test_arrived_and_gone(self) -> None:
        """Likewise what is missing at the new place."""
        self.cut_move("a", "c")
        self.folder.shelf.remove([max(self.folder.shelf.messages)])
        self.assertNotIn("half-moved", self.done(self.recovered()))
        self.assertEqual(result(self.device.get("a")), b"hello")

    def test_a_copy_is_none(self) -> None:
        """A file that was copied is at two places on purpose."""
        result(self.device.copy("a", "c"))
        self.assertNotIn("half-moved", self.done(self.recovered()))
        self.assertEqual(self.names(), ["a", "b", "c"])

    def test_another_content(self) -> None:
        """What only says that it came from there, and is another file, does not take its place."""
        a = self.version(self.a)
        for content, number in ((b"jello", 1), (b"hello!", 2)):
            message = self.sealed(
                content, path=f"c{number}", vid=f"{number}" * 22, moved_from=a.vid, clock={WRITER: number}
            )
            self.folder.shelf.add(message)
            self.assertNotIn("half-moved", self.done(self.recovered()))
        self.assertIn("a", self.names())

    def test_a_directory(self) -> None:
        """Each file and marker of a tree is finished by itself."""
        result(self.device.make_directory("d"))
        for name in ("d/x", "d/y"):
            result(self.device.put(name, name.encode()))
        for path, to in (("d/x", "e/x"), ("d/y", "e/y")):
            self.cut_move(path, to)
        self.recovered()
        self.assertEqual(self.names(), ["a", "b", "d", "e", "e/x", "e/y"])
        self.assertEqual(result(self.device.get("e/y")), b"d/y")

    def test_locked(self) -> None:
        """What somebody holds is left to him."""
        self.cut_move("a", "c")
        result(self.folder.device().lock("a"))
        self.assertNotIn("half-moved", self.done(self.recovered()))
        self.assertIn("a", self.names())


class RebuildingTests(RecoveryCase):
    """What is built anew."""

    def object_at(self) -> int:
        """The UID of the folder object."""
        path = "IFAP/keys/folder-" + self.version(self.a).home
        return next(uid for uid in self.folder.shelf.messages if self.version(uid).path == path)

    def test_lost_folder_object(self) -> None:
        """A device that knows nothing but the key joins by what the files say, and writes it again."""
        for lose in (self.spoil, self.folder.shelf.forget):
            lose(self.object_at())
            device = self.folder.device(Membership(keys=(KEY,)))
            self.assertEqual(result(device.get("a")), b"hello")
            self.recovered(device)
            self.assertEqual([one.severity for one in self.check(device).findings if one.severity == DAMAGE], [])
            self.assertEqual(device.desk.view.home, self.version(self.a).home)

    def test_nothing_names_the_home(self) -> None:
        """A damaged object of a folder without files says nothing that can be believed."""
        self.spoil(self.object_at())
        self.folder.shelf.remove([self.a, self.b])
        self.assertRaises(Truncated, self.folder.device)

    def test_snapshot(self) -> None:
        """A new one is written, whatever the present one says; none while files are missing."""
        found = self.recovered()
        self.assertEqual(self.done(found), {"snapshot-due": "snapshot"})
        self.assertEqual(len(result(self.device.versions(IFAP.snapshot_path))), 1)
        self.recovered()
        self.assertEqual(len(result(self.device.versions(IFAP.snapshot_path))), 2)
        self.folder.shelf.remove([self.b])
        self.assertEqual(self.done(self.recovered()), {})

    def test_mends(self) -> None:
        """What a repair mends is mended; each content is read."""
        newer = self.put("a", b"newer")
        self.spoil(newer)
        found = self.recovered()
        self.assertEqual((self.done(found)["truncated"], found.share), ("restore", 100))
        self.assertEqual(result(self.device.get("a")), b"hello")

    def test_missing(self) -> None:
        """What is missing stays told: it may come back."""
        self.folder.shelf.remove([self.a])
        found = self.recovered()
        self.assertEqual([(one.code, one.severity) for one in found.findings], [("vanished", DAMAGE)])
        self.assertRaises(MessageGone, result, self.device.get("a"))

    def test_nothing_to_do(self) -> None:
        """A whole folder has its snapshot renewed, and nothing else."""
        found = self.recovered()
        self.assertEqual([(one.severity, one.mended) for one in found.findings], [(NOTE, True)])

    def test_incomplete(self) -> None:
        """While not all is listed nothing is done."""
        store = self.folder.store()
        device = self.folder.device(store=store)
        store.hide(self.b)
        before = dict(self.folder.shelf.messages)
        found = self.recovered(device)
        self.assertEqual((found.complete, found.mended, dict(self.folder.shelf.messages)), (False, 0, before))

    def test_read_only(self) -> None:
        """Nothing can be mended."""
        device = self.folder.device(store=self.folder.store(read_only=True))
        self.assertRaises(ReadOnly, result, device.recover())

    def test_closed(self) -> None:
        """Not after the end."""
        result(self.device.close())
        self.failureResultOf(self.device.recover())
