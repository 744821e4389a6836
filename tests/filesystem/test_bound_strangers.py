"""Messages of another folder that were bound there, and somebody put into this one (FORMAT 1.5, ``home``)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.filesystem.folders import KEY, Folder, result


class BoundStrangersTests(SynchronousTestCase):
    """One key for two folders is not unusual."""

    def saved(self, folder: Folder, content: bytes, second: int) -> None:
        """A reference program saves a file."""
        stamps = (Stamp(time=second, iv=folder.random(16)),) * 2
        self.stored(folder, encode("a", content, {"ts": second}, dialect="ifaplib", key=KEY.text, stamps=stamps))

    def stored(self, folder: Folder, message: bytes) -> None:
        """Somebody stores a message."""
        folder.shelf.add(message)

    def test_they_are_no_versions(self) -> None:
        """Neither for who looks on, nor for a process that begins afterwards; and nothing is collected for them."""
        other, folder = Folder(seed=1), Folder(seed=2)
        binding = other.device()
        for number in range(6):
            self.saved(other, b"of the other folder", 1_573_400_000 + number)
        result(binding.refresh())
        result(binding.check(read_data=100, bind=True))
        bound = [
            uid
            for uid in other.shelf.messages
            if (found := binding.desk.view.index.at(uid)) and found.bound and found.path == "a"
        ]
        self.assertTrue(bound)
        device = folder.device()
        self.saved(folder, b"only copy", 1_573_400_100)
        for uid in bound:
            self.stored(folder, other.shelf.messages[uid])
        for one in (device, folder.device()):
            result(one.refresh())
            self.assertEqual(result(one.get("a")), b"only copy")
            self.assertEqual(len(result(one.versions("a"))), 1)
            self.assertEqual(result(one.status()).damage.get("foreign-folder"), len(bound))
