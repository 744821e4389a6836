"""A move that was cut leaves both names, never neither, and is finished by asking again (FORMAT 11.3)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import AlreadyExists, Conflict, DataError, NotFound, Refused
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import Folder, result


class CutMoveTests(SynchronousTestCase):
    """The server refuses something in the middle of a move."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.store = self.folder.store()
        self.filesystem = self.folder.device(store=self.store)

    def names(self) -> list[str]:
        """All files and directories."""
        return [entry.path for entry in result(self.filesystem.list(recursive=True))]

    def cut(self, source: str, destination: str, after: int) -> None:
        """Move, with every append after some refused."""
        appended = 0
        append = self.store.append

        def refusing(message: bytes) -> Any:
            nonlocal appended
            appended += 1
            if appended > after:
                self.store.fail_next("append", Refused("no"))
            return append(message)

        self.store.append = refusing
        self.assertRaises(Refused, result, self.filesystem.move(source, destination))
        self.store.append = append

    def test_a_file_is_under_both_names_and_then_under_one(self) -> None:
        """The content is not written again."""
        result(self.filesystem.put("a", b"1"))
        self.cut("a", "b", after=1)
        self.assertEqual(self.names(), ["a", "b"])
        before = self.folder.shelf.uidnext
        result(self.filesystem.move("a", "b"))
        self.assertEqual(self.names(), ["b"])
        self.assertEqual(self.folder.shelf.uidnext, before + 1)
        self.assertEqual(result(self.filesystem.get("b")), b"1")

    def test_a_tree_is_finished_wherever_it_was_cut(self) -> None:
        """Every file is there at each moment; the second attempt moves the rest."""
        for after in range(6):
            for name in ("x", "y", "deep/z"):
                result(self.filesystem.put(f"from{after}/{name}", name.encode()))
            self.cut(f"from{after}", f"to{after}", after)
            found = {entry.path.partition("/")[2] for entry in result(self.filesystem.list(recursive=True))}
            self.assertLessEqual({"x", "y", "deep/z"}, found)
            result(self.filesystem.move(f"from{after}", f"to{after}"))
            here = [name for name in self.names() if name.startswith((f"from{after}", f"to{after}"))]
            root = f"to{after}"
            self.assertEqual(here, [root, f"{root}/deep", f"{root}/deep/z", f"{root}/x", f"{root}/y"])
            for name in ("x", "y", "deep/z"):
                self.assertEqual(result(self.filesystem.get(f"{root}/{name}")), name.encode())

    def test_what_arrived_and_cannot_be_read_any_more_arrives_anew(self) -> None:
        """Before its tombstone is written the destination can be read."""
        result(self.filesystem.put("a", bytes(500)))
        self.cut("a", "b", after=1)
        (uid,) = self.filesystem.desk.view.index.history("b").current.places
        message = self.folder.shelf.messages[uid]
        self.folder.shelf.tamper(uid, message[:-200] + message[-199:])
        self.assertRaises(DataError, result, self.filesystem.get("b"))
        result(self.filesystem.move("a", "b"))
        self.assertEqual(self.names(), ["b"])
        self.assertEqual(result(self.folder.device().get("b")), bytes(500))

    def test_what_arrived_may_be_taken_back(self) -> None:
        """Two ask for the same move, and somebody else was faster at the destination: nothing is lost."""
        result(self.filesystem.put("a", b"1"))
        other = self.folder.device()
        self.store.gate = turnstile = Turnstile("append", "remove")
        first = self.filesystem.move("a", "b")
        result(other.put("b", b"theirs"))
        turnstile.release(1)  # it has arrived, and is about to be taken back
        second = self.filesystem.move("a", "b")
        turnstile.release()
        self.assertRaises(Conflict, result, first)
        self.assertRaises(Conflict, result, second)
        fresh = self.folder.device()
        self.assertEqual([result(fresh.get(path)) for path in ("a", "b")], [b"1", b"theirs"])

    def test_what_another_device_moved_may_be_taken_back(self) -> None:
        """Who relies on it writes it anew, unless its writer had ten minutes for that."""
        result(self.filesystem.put("a", b"1"))
        self.cut("a", "b", after=1)
        before = self.folder.shelf.uidnext
        result(self.folder.device().move("a", "b"))
        self.assertEqual(self.folder.shelf.uidnext, before + 2)
        self.cut("b", "c", after=1)
        self.folder.clock.advance(limits.WITHDRAWAL_SECONDS)
        before = self.folder.shelf.uidnext
        result(self.folder.device().move("b", "c"))
        self.assertEqual(self.folder.shelf.uidnext, before + 1)

    def test_something_else_at_the_destination_is_left_alone(self) -> None:
        """Only what came from the source counts as half a move."""
        result(self.filesystem.put("from/x", b"1"))
        self.cut("from", "to", after=1)
        result(self.filesystem.put("to/other", b"2"))
        self.assertRaises(AlreadyExists, result, self.filesystem.move("from", "to"))
        self.assertEqual(result(self.filesystem.get("to/other")), b"2")

    def test_an_edit_of_what_had_arrived_is_not_overwritten(self) -> None:
        """It does not come from the source any more."""
        result(self.filesystem.put("a", b"1"))
        self.cut("a", "b", after=1)
        result(self.filesystem.put("b", b"edited"))
        self.assertRaises(AlreadyExists, result, self.filesystem.move("a", "b"))
        self.assertEqual(result(self.filesystem.get("b")), b"edited")

    def test_what_had_arrived_is_gone_from_the_server(self) -> None:
        """It arrives anew before the source is removed."""
        for source, destination in (("a", "b"), ("d/x", "e/x")):
            top, end = source.split("/")[0], destination.split("/")[0]
            result(self.filesystem.put(source, b"1"))
            self.cut(top, end, after=1)
            arrived = self.filesystem.desk.view.index.file(destination)
            assert arrived is not None
            self.folder.shelf.remove(arrived.places)
            result(self.filesystem.refresh())
            result(self.filesystem.move(top, end))
            for device in (self.filesystem, self.folder.device()):
                self.assertEqual(result(device.get(destination)), b"1")
                self.assertRaises(NotFound, result, device.get(source))
                self.assertEqual(result(device.status()).warnings, ())
