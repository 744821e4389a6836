"""Edits beside removals and other changes of the same device: nothing that was acknowledged is swallowed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import Folder, result


class EditWhileRemovingTests(SynchronousTestCase):
    """A tombstone descends from exactly the version that was moved away (FORMAT 11.3, 3.2)."""

    def test_an_edit_by_the_mover_itself_survives(self) -> None:
        """The device that moves a file also stores a new version of it, before the tombstone is written."""
        folder = Folder()
        store = folder.store()
        device = folder.device(store=store)
        result(device.put("a", b"old"))
        store.gate = turnstile = Turnstile("message")
        moving = device.move("a", "b")
        store.gate = turnstile
        edited = result(device.put("a", b"edited"))
        turnstile.release()
        result(moving)
        for look in (device, folder.device()):
            self.assertEqual(result(look.get("b")), b"old")
            self.assertEqual(result(look.get("a")), b"edited")
            self.assertIn(edited.version, [head.version for head in result(look.conflicts("a"))])
