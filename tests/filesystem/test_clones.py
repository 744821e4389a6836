"""Copies of a basedir: restored from a backup, or cloned, they never pass for the original (FORMAT 3.2)."""

from __future__ import annotations

import json
import shutil
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from ifap_twisted.basedir.basedir import Basedir
from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.writer import FileWriter
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import MemoryStore
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import Drawing, PlacedTestCase
from tests.filesystem.folders import Folder, result

STEPS = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from(["put", "put", "put", "hide", "reveal", "restart"]), st.sampled_from("pq")
    ),
    max_size=14,
)


class Machine:
    """A device with a basedir, and the server as it sees it."""

    def __init__(self, folder: Folder, base: Basedir, others: list[Machine]) -> None:
        self.others = others
        self.blind = False
        self.folder = folder
        self.base = base
        self.known: dict[str, set[str]] = {}
        result(base.hold(0, Clock()))
        self.start()

    def start(self) -> None:
        """Begin, or begin again."""
        self.identity = result(FileWriter.open(self.base, self.folder.random, InlineWorker()))
        self.store: MemoryStore = self.folder.store()
        self.device: Filesystem = self.folder.device(
            store=self.store,
            identity=self.identity,
            journal=lambda keys: FileJournal(self.base, keys, random=Drawing(), worker=InlineWorker()),
        )

    def put(self, path: str, content: bytes) -> str:
        """Write a version, and note what was known of the path before."""
        for other in self.others:
            if other.blind and other is not self:
                other.store.hide(self.folder.shelf.uidnext)
        seen = {placed.version.vid for placed in self.device.desk.view.index.history(path).versions}
        version: str = result(self.device.put(path, content)).version
        self.known[version] = seen
        return version

    def hide(self) -> None:
        """The server shows nothing of what others write from now on."""
        self.blind = True

    def reveal(self) -> None:
        """It shows everything."""
        self.blind = False
        self.store.reveal()

    def stop(self) -> None:
        """The process ends."""
        result(self.device.close())


class ClonedTestCase(PlacedTestCase):
    """A folder, and a machine that is copied."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Folder()
        self.machines: list[Machine] = []

    def machine(self, name: str = "node") -> Machine:
        """One on a basedir that may be there already."""
        machine = Machine(self.folder, self.basedir(name), self.machines)
        self.machines.append(machine)
        return machine

    def copy(self, source: str, target: str) -> None:
        """As ``cp -a``."""
        shutil.rmtree(self.place / target, ignore_errors=True)
        shutil.copytree(self.place / source, self.place / target, symlinks=True)

    def written(self, name: str = "node") -> str:
        """The writer in the basedir."""
        return str(json.loads((self.place / name / "journal" / "writer.json").read_text())["writer"])

    def check_nothing_passes_for_an_ancestor(self, *machines: Machine) -> None:
        """No version descends from one that its writer did not know, nor did who wrote what it knew."""
        known = {vid: seen for machine in machines for vid, seen in machine.known.items()}
        fresh = self.folder.device()
        index = fresh.desk.view.index
        self.assertEqual({placed.version.vid for p in "pq" for placed in index.history(p).versions}, set(known))
        for path in "pq":
            history = index.history(path)
            for later in history.versions:
                ancestors = {placed.version.vid for placed in history.ancestors(later)}
                self.assertLessEqual(ancestors, above(known, later.version.vid))


def above(known: dict[str, set[str]], vid: str) -> set[str]:
    """All that the writer of a version knew, and that who wrote that had known."""
    found: set[str] = set()
    waiting = [vid]
    while waiting:
        more = known[waiting.pop()] - found
        found |= more
        waiting.extend(more)
    return found


class RestoredTests(ClonedTestCase):
    """A backup that is put back."""

    def test_a_restored_basedir_is_a_new_writer(self) -> None:
        """It was copied, the original went on, and the copy takes its place."""
        original = self.machine()
        original.put("p", b"1")
        original.stop()
        original.base.close()
        self.copy("node", "backup")
        again = self.machine()
        again.put("p", b"2")
        again.stop()
        again.base.close()
        before = self.written()
        self.copy("backup", "node")
        restored = self.machine()
        vid = restored.put("p", b"3")
        self.assertNotEqual(self.written(), before)
        self.assertEqual(result(self.folder.device().stat("p")).version, vid)
        self.assertEqual(len(result(self.folder.device().versions("p"))), 3)

    def test_it_hides_nothing_that_it_is_not_shown(self) -> None:
        """The server is late: what the original wrote after the backup is in conflict with what the copy writes."""
        original = self.machine()
        original.put("p", b"1")
        original.stop()
        original.base.close()
        self.copy("node", "backup")
        again = self.machine()
        for number in range(3):
            again.put("p", b"%d" % number)
        uids = sorted(self.folder.shelf.messages)[-3:]
        again.stop()
        again.base.close()
        self.copy("backup", "node")
        base = self.basedir("node")
        result(base.hold(0, Clock()))
        store = self.folder.store()
        store.hide(*uids)
        identity = result(FileWriter.open(base, self.folder.random, InlineWorker()))
        late = self.folder.device(store=store, identity=identity)
        result(late.put("p", b"restored"))
        store.reveal()
        result(late.refresh())
        for device in (late, self.folder.device()):
            heads = {result(device.get("p", version=head.version)) for head in result(device.conflicts())}
            self.assertEqual(heads, {b"2", b"restored"})

    def test_one_that_was_moved_stays_what_it_is(self) -> None:
        """A directory that got another name is no copy."""
        original = self.machine()
        original.put("p", b"1")
        original.stop()
        original.base.close()
        before = self.written()
        (self.place / "node").rename(self.place / "elsewhere")
        moved = self.machine("elsewhere")
        moved.put("p", b"2")
        self.assertEqual(self.written("elsewhere"), before)


class ClonedTests(ClonedTestCase):
    """Two machines of one origin."""

    def clones(self) -> tuple[Machine, Machine]:
        """Both run."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        self.folder = Folder()
        self.machines.clear()
        origin = self.machine()
        first = [origin.put("p", b"p"), origin.put("q", b"q")]
        origin.stop()
        origin.base.close()
        self.copy("node", "clone")
        one, other = self.machine(), self.machine("clone")
        one.known = {vid: set() for vid in first}
        return one, other

    def test_two_that_write_at_the_same_time_are_two_writers(self) -> None:
        """Neither has seen anything of the other, nor of the folder's record of itself."""
        one, other = self.clones()
        for machine in (one, other):
            machine.hide()
        one.put("p", b"one")
        other.put("q", b"other")
        other.put("p", b"other")
        self.check_nothing_passes_for_an_ancestor(one, other)
        heads = {head.version for head in result(self.folder.device().conflicts("p"))}
        self.assertEqual(len(heads), 2)
        self.assertNotEqual(self.written("node"), self.written("clone"))

    @settings(max_examples=60, deadline=None)
    @given(STEPS)
    def test_nothing_passes_for_an_ancestor(self, steps: list[tuple[int, str, str]]) -> None:
        """In whatever order they write, see each other late, and start again."""
        machines = self.clones()
        for number, (who, what, path) in enumerate(steps):
            machine = machines[who]
            if what == "put":
                machine.put(path, b"%d" % number)
            elif what == "hide":
                machine.hide()
            else:
                machine.reveal()
                if what == "restart":
                    machine.stop()
                    machine.start()
                else:
                    result(machine.device.refresh())
        self.check_nothing_passes_for_an_ancestor(*machines)

    def test_a_clone_of_a_clone(self) -> None:
        """Each copy is another writer, also one that was copied before it was ever used."""
        one, other = self.clones()
        names: set[Any] = set()
        for machine in (one, other):
            machine.put("p", b"1")
            machine.stop()
            machine.base.close()
        self.copy("clone", "third")
        self.copy("third", "fourth")
        for name in ("node", "clone", "third", "fourth"):
            machine = self.machine(name)
            machine.put("p", b"2")
            names.add(self.written(name))
        self.assertEqual(len(names), 4)
