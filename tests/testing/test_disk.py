"""The disk of a simulated device."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.testing.disk import Disk, PowerCutError


class PowerTests(SynchronousTestCase):
    """What is there when the power fails in the middle of a change."""

    def setUp(self) -> None:
        self.disk = Disk("one")
        self.disk.write("a", b"old")

    def cut(self, changes: int) -> bytes | None:
        """Write, and cut the power after so many changes."""
        self.disk.cut_after(changes)
        try:
            self.disk.write("a", b"n", b"ew")
        except PowerCutError:
            pass
        finally:
            self.disk.cut_after(None)
        return self.disk.read("a")

    def test_the_old_content_or_the_new(self) -> None:
        """Nothing in between."""
        self.assertEqual([self.cut(changes) for changes in (0, 1, 2)], [b"old", b"old", b"new"])

    def test_a_temporary_file_may_be_left(self) -> None:
        """Which is swept away."""
        self.cut(1)
        self.assertEqual(len(self.disk.names()), 2)
        self.disk.sweep()
        self.assertEqual(self.disk.names(), ["a"])

    def test_a_finished_write_leaves_one_file(self) -> None:
        """And a removed one none."""
        self.cut(2)
        self.assertEqual(self.disk.names(), ["a"])
        self.assertTrue(self.disk.remove("a"))
        self.assertFalse(self.disk.remove("a"))
        self.assertEqual(self.disk.names(), [])


class CopyTests(SynchronousTestCase):
    """Clones and backups."""

    def test_a_clone_goes_its_own_way(self) -> None:
        """What one changes the other does not see."""
        disk = Disk("one")
        disk.write("a", b"1")
        clone = disk.copy("two")
        disk.write("a", b"2")
        self.assertEqual((disk.read("a"), clone.read("a")), (b"2", b"1"))
        self.assertNotEqual(disk.identity("a"), clone.identity("a"))

    def test_a_backup_is_an_earlier_state(self) -> None:
        """As it was found after a cut at that moment."""
        disk = Disk("one")
        disk.write("a", b"1")
        disk.write("a", b"2")
        self.assertEqual(
            [disk.copy("two", behind).read("a") for behind in (0, 1, 2, 3, 99)], [b"2", b"1", b"1", None, None]
        )
