"""Conflicts: made by two devices, shown with all heads, ended by either or by keeping both (FORMAT 3.4)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.paths import is_writable
from ifap_twisted.core.values import Event
from ifap_twisted.errors import Conflict, NotFound, Refused, UnknownVersion
from ifap_twisted.filesystem.conflicts import beside
from ifap_twisted.store.memory import Turnstile
from ifap_twisted.testing.reference_writer import encode
from tests.filesystem.folders import KEY, Folder, result


class ConflictTests(SynchronousTestCase):
    """Two devices that wrote without seeing each other."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.one = self.folder.device()
        result(self.one.put("d/report.txt", b"base"))

    def diverge(self, *contents: bytes | None, path: str = "d/report.txt") -> list[Any]:
        """Several devices write, or remove (None), at the same time; gives their filesystems."""
        turnstiles, devices, works = [], [], []
        for _content in contents:
            store = self.folder.store()
            devices.append(self.folder.device(store=store))
            turnstile = Turnstile("append")
            store.gate = turnstile
            turnstiles.append(turnstile)
        for device, content in zip(devices, contents, strict=True):
            removing = content is None
            works.append(device.remove(path) if removing else device.put(path, content))
        for turnstile in turnstiles:
            turnstile.release()
        for work in works:
            result(work)
        result(self.one.refresh())
        return devices

    def contents(self) -> list[bytes]:
        """What all heads hold, the current one first."""
        return [result(self.one.get("d/report.txt", version=head.version)) for head in result(self.one.conflicts())]

    def test_all_heads_are_kept_and_readable(self) -> None:
        """Three devices, three heads; the highest rank is current."""
        self.diverge(b"1", b"2", b"3")
        self.assertEqual(self.contents(), [b"3", b"1", b"2"])
        self.assertTrue(result(self.one.stat("d/report.txt")).conflict)

    def test_conflicts_can_be_asked_for_below_a_path(self) -> None:
        """Or for one file."""
        self.diverge(b"1", b"2")
        for path, count in [("d", 2), ("d/report.txt", 2), ("e", 0), ("d/rep", 0)]:
            self.assertEqual(len(result(self.one.conflicts(path))), count, path)

    def test_choosing_one_ends_it_everywhere(self) -> None:
        """The new version descends from all heads."""
        other, _ = self.diverge(b"1", b"2")
        loser = result(self.one.conflicts())[1]
        entry = result(self.one.resolve("d/report.txt", version=loser.version[:6]))
        self.assertEqual(result(self.one.get("d/report.txt")), b"1")
        self.assertEqual(len(entry.parents), 2)
        result(other.refresh())
        self.assertEqual(list(result(other.conflicts())), [])

    def test_keeping_both_gives_the_others_names_of_their_own(self) -> None:
        """Beside it, with a part of their version id and the same ending."""
        self.diverge(b"1", b"2", b"3")
        others = [head.version[:8] for head in result(self.one.conflicts())[1:]]
        result(self.one.resolve("d/report.txt", both=True))
        names = [entry.path for entry in result(self.one.list("d"))]
        self.assertEqual(sorted(names), sorted(["d/report.txt", *(f"d/report~{vid}.txt" for vid in others)]))
        self.assertEqual({result(self.one.get(name)) for name in names}, {b"1", b"2", b"3"})
        self.assertEqual(list(result(self.one.conflicts())), [])

    def test_keeping_both_can_be_tried_again(self) -> None:
        """What a first try had kept already is left as it is."""
        self.diverge(b"1", b"2", b"3")
        store = self.folder.store()
        device = self.folder.device(store=store)
        store.gate = turnstile = Turnstile("append")
        resolving = device.resolve("d/report.txt", both=True)
        turnstile.release(1)
        store.fail_next("append", Refused("full"))
        turnstile.release()
        self.assertRaises(Refused, result, resolving)
        result(device.resolve("d/report.txt", both=True))
        self.assertEqual(list(result(device.conflicts())), [])
        contents = {result(device.get(entry.path)) for entry in result(device.list("d"))}
        self.assertEqual(contents, {b"1", b"2", b"3"})

    def test_keeping_that_of_a_reference_program_can_be_tried_again(self) -> None:
        """Its head tells no digest of its content; another content under the name that it would get is left alone."""
        ours = result(self.one.stat("d/report.txt")).version
        self.folder.shelf.add(encode("d/report.txt", b"theirs", {"ts": 1_573_400_000}, key=KEY.text))
        result(self.one.refresh())
        theirs = result(self.one.conflicts())[0].version
        name = f"d/report~{theirs[:8]}.txt"
        result(self.one.put(name, b"others"))
        self.assertRaises(Conflict, result, self.one.resolve("d/report.txt", version=ours, both=True))
        result(self.one.put(name, b"theirs"))
        result(self.one.resolve("d/report.txt", version=ours, both=True))
        self.assertEqual(list(result(self.one.conflicts())), [])
        contents = {entry.path: result(self.one.get(entry.path)) for entry in result(self.one.list("d"))}
        self.assertEqual(contents, {"d/report.txt": b"base", name: b"theirs"})

    def test_any_put_after_seeing_all_heads_ends_it(self) -> None:
        """The next write descends from them all."""
        self.diverge(b"1", b"2")
        result(self.one.put("d/report.txt", b"merged"))
        self.assertEqual(list(result(self.one.conflicts())), [])

    def test_an_edit_wins_over_a_removal(self) -> None:
        """And the conflict is reported (FORMAT 3.5)."""
        self.diverge(b"edited", None)
        self.assertEqual(result(self.one.get("d/report.txt")), b"edited")
        heads = result(self.one.conflicts())
        self.assertEqual([head.deleted for head in heads], [False, True])
        result(self.one.resolve("d/report.txt", version=heads[1].version))
        self.assertEqual([entry.path for entry in result(self.one.list("d"))], [])

    def test_a_name_beside_it_always_fits(self) -> None:
        """However long the name is, and the path above; it is shortened between characters, and keeps its ending."""
        long = "x" * 200 + "/"
        for path in (
            "a" * 250,
            "ä" * 120 + ".text",
            "a." + "e" * 253,
            ".hidden",
            long * 20 + "n" * 70 + ".t",
            long * 20 + "y" * 70 + "/abcd",
        ):
            result(self.one.put(path, b"base"))
            (placed,) = self.one.desk.view.index.history(path).versions
            name = beside(path, placed)
            self.assertTrue(is_writable(name), name)
            self.assertIn("~" + placed.version.vid[:8], name)
            self.assertLessEqual(len(name.encode()), len(path.encode()) + 9)
        self.assertTrue(beside("ä" * 120 + ".text", placed).endswith(".text"))
        self.assertEqual(beside("d/report.txt", placed), f"d/report~{placed.version.vid[:8]}.txt")

    def test_keeping_both_where_a_copy_of_a_try_before_is_gone(self) -> None:
        """It is written anew: only what can be read is kept."""
        self.diverge(b"1", b"2")
        other = result(self.one.conflicts())[1]
        name = f"d/report~{other.version[:8]}.txt"
        result(self.one.put(name, b"1"))
        self.folder.shelf.remove(self.one.desk.view.index.history(name).current.places)
        result(self.one.refresh())
        self.assertTrue(result(self.one.stat(name)).missing)
        result(self.one.resolve("d/report.txt", both=True))
        fresh = self.folder.device()
        self.assertEqual([result(fresh.get(path)) for path in ("d/report.txt", name)], [b"2", b"1"])

    def test_keeping_both_of_a_long_name(self) -> None:
        """Nothing is lost, and nothing is refused."""
        name = "n" * 250
        result(self.one.put(name, b"base"))
        self.diverge(b"1", b"2", path=name)
        result(self.one.resolve(name, both=True))
        files = [entry.path for entry in result(self.one.list()) if entry.type == "file"]
        self.assertEqual(sorted(result(self.one.get(path)) for path in files), [b"1", b"2"])

    def test_equal_contents_are_no_conflict(self) -> None:
        """Both stored the same."""
        self.diverge(b"same", b"same")
        self.assertEqual(list(result(self.one.conflicts())), [])

    def test_what_is_not_in_conflict_cannot_be_resolved(self) -> None:
        """Nor with a version that is none."""
        self.assertRaises(NotFound, result, self.one.resolve("d/report.txt"))
        self.diverge(b"1", b"2")
        self.assertRaises(UnknownVersion, result, self.one.resolve("d/report.txt", version="nonesuch"))
        self.assertRaises(Conflict, result, self.one.resolve("d/report.txt", expect="other"))

    def test_a_watcher_hears_of_it(self) -> None:
        """As soon as the second head is seen."""
        events: list[Event] = []
        self.one.watch(events.append)
        self.diverge(b"1", b"2")
        found = [event.entry.path for event in events if event.kind == "conflict" and event.entry]
        self.assertEqual(found, ["d/report.txt"])

    def test_a_file_whose_name_a_directory_needs_is_shown_beside_it(self) -> None:
        """``NAME~file``; it can be read, moved and removed (FORMAT 11.2)."""
        turnstiles, works = [], []
        for path in ("x", "x/y"):
            store = self.folder.store()
            device = self.folder.device(store=store)
            turnstile = Turnstile("append")
            store.gate = turnstile
            turnstiles.append(turnstile)
            works.append(device.put(path, path.encode()))
        for turnstile in turnstiles:
            turnstile.release()
        for work in works:
            result(work)
        result(self.one.refresh())
        self.assertEqual([entry.path for entry in result(self.one.list())], ["d", "x", "x~file"])
        self.assertEqual(result(self.one.get("x~file")), b"x")
        self.assertEqual([notice.code for notice in result(self.one.status()).warnings], ["name-clash"])
        result(self.one.move("x~file", "z"))
        self.assertEqual([entry.path for entry in result(self.one.list())], ["d", "x", "z"])
        self.assertEqual(result(self.one.get("z")), b"x")
