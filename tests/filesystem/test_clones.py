"""Copies of a basedir: restored from a backup, or cloned, they never pass for the original (FORMAT 3.2)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import fail, succeed
from twisted.internet.task import Clock

from ifap_twisted.basedir.basedir import Basedir
from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.marks import FileMarks
from ifap_twisted.basedir.writer import FileWriter, MemoryWriter
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import ABSENT
from ifap_twisted.errors import Unavailable
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import Fate, MemoryStore
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import Drawing, PlacedTestCase
from tests.filesystem.folders import Folder, result

DAY = 86400.0
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
            marks=self.marks,
        )

    def marks(self, keys: Sequence[Key], home: str, dialect: Dialect) -> FileMarks:
        """Those of the basedir."""
        worker = InlineWorker()
        return FileMarks(self.base, keys, home=home, dialect=dialect.name, random=Drawing(), worker=worker)

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

    def turn_off(self) -> None:
        """The process ends, and lets go of the basedir."""
        self.stop()
        self.base.close()


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

    def backed_up(self) -> Machine:
        """A machine that goes on after its basedir was copied."""
        original = self.machine()
        original.put("p", b"1")
        original.turn_off()
        self.copy("node", "backup")
        return self.machine()

    def test_a_restored_basedir_is_a_new_writer(self) -> None:
        """It was copied, the original went on, and the copy takes its place."""
        again = self.backed_up()
        again.put("p", b"2")
        again.turn_off()
        before = self.written()
        self.copy("backup", "node")
        restored = self.machine()
        vid = restored.put("p", b"3")
        self.assertNotEqual(self.written(), before)
        self.assertEqual(result(self.folder.device().stat("p")).version, vid)
        self.assertEqual(len(result(self.folder.device().versions("p"))), 3)

    def test_it_hides_nothing_that_it_is_not_shown(self) -> None:
        """The server is late: what the original wrote after the backup is in conflict with what the copy writes."""
        again = self.backed_up()
        for number in range(3):
            again.put("p", b"%d" % number)
        uids = sorted(self.folder.shelf.messages)[-3:]
        again.turn_off()
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
        original.turn_off()
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
        origin.turn_off()
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
            machine.turn_off()
        self.copy("clone", "third")
        self.copy("third", "fourth")
        for name in ("node", "clone", "third", "fourth"):
            machine = self.machine(name)
            machine.put("p", b"2")
            names.add(self.written(name))
        self.assertEqual(len(names), 4)


class PutBackTests(PlacedTestCase):
    """A whole machine is put back to an older state, which nothing in its basedir can tell (a snapshot of its disk)."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Folder()
        self.base = self.held_basedir()
        self.identity = MemoryWriter(self.folder.random)

    def device(self, **more: Any) -> Filesystem:
        """The device, with numbers that go on where they were put back to."""
        return self.folder.device(identity=self.identity, options=Options(keep=1), **more)

    def journal(self, keys: Any) -> FileJournal:
        """What it accepted."""
        return FileJournal(self.base, keys, random=Drawing(), worker=InlineWorker())

    def put_back(self, state: tuple[str, int]) -> None:
        """As it was."""
        self.identity.writer, self.identity._following = state

    def state(self) -> tuple[str, int]:
        """As it is."""
        return self.identity.writer, self.identity._following

    def ended(self) -> tuple[str, int]:
        """A file is written, removed, and a year later collected; the state from before all that."""
        device = self.device()
        before = self.state()
        for number in range(6):
            result(device.put("a", b"%d" % number))
        result(device.remove("a"))
        result(device.close())
        self.collector = self.folder.device(options=Options(keep=1))
        self.folder.clock.advance(366 * DAY)
        self.collect()
        self.assertEqual(self.collector.desk.view.index.history("a").versions, ())
        return before

    def late_reader(self) -> Filesystem:
        """The device, whose server gives out the folder object only until something was appended."""
        store = self.folder.store()
        called: list[str] = []

        def gate(method: str) -> Any:
            called.append(method)
            busy = "append" not in called and called.count("message") > 1 and method == "message"
            return fail(Unavailable("busy")) if busy else succeed(None)

        store.gate = gate
        device = self.device(store=store)
        self.assertFalse(device.desk.view.records)
        return device

    def collect(self) -> None:
        """Through several graces."""
        for _ in range(8):
            result(self.collector.collect())
            self.folder.clock.advance(8 * DAY)

    def check_kept(self, *contents: bytes) -> None:
        """Every other device reads it, or all of them in conflict, and no collection takes it."""
        self.collect()
        other = self.folder.device()
        found = {result(other.get("a", version=entry.version)) for entry in result(other.conflicts("a"))}
        self.assertEqual(found or {result(other.get("a"))}, set(contents))

    def test_the_end_of_a_file_does_not_hide_what_comes_after(self) -> None:
        """The number that it would use now is below the one on record: it is another writer from then on."""
        before = self.ended()
        self.put_back(before)
        device = self.device()
        result(device.put("a", b"precious"))
        self.assertNotEqual(self.identity.writer, before[0])
        self.assertEqual(result(device.get("a")), b"precious")
        self.check_kept(b"precious")

    def test_nor_where_the_record_is_read_late(self) -> None:
        """The server does not give the record out before the file was stored: it is stored again, before the answer."""
        before = self.ended()
        self.put_back(before)
        device = self.late_reader()
        entry = result(device.put("a", b"precious"))
        self.assertNotEqual(self.identity.writer, before[0])
        self.assertEqual(result(device.stat("a")).version, entry.version)
        self.check_kept(b"precious")

    def test_nor_one_that_is_expected_to_be_new(self) -> None:
        """The first copy is not somebody else's that was faster."""
        before = self.ended()
        self.put_back(before)
        device = self.late_reader()
        result(device.put("a", b"precious", expect=ABSENT))
        self.assertNotEqual(self.identity.writer, before[0])
        self.check_kept(b"precious")

    def test_what_was_accepted_is_not_hidden_by_an_end(self) -> None:
        """Its number was taken while the server was away: it is stored under another writer when it is back."""
        store = self.folder.store()
        device = self.device(store=store, journal=self.journal)
        store.go_offline()
        before = self.ended()
        self.put_back(before)
        result(device.put("a", b"precious", queue=True))
        self.assertEqual(self.identity.writer, before[0])
        store.go_online()
        self.assertEqual(result(device.status()).pending, 0)
        self.check_kept(b"precious")

    def accepted_under_an_ended_number(self) -> tuple[MemoryStore, Filesystem]:
        """A device that accepted a file under a number that the end of an earlier one covers; its server is away."""
        store = self.folder.store()
        device = self.device(store=store, journal=self.journal)
        store.go_offline()
        before = self.ended()
        self.put_back(before)
        result(device.put("a", b"precious", queue=True))
        return store, device

    def check_stored_once(self) -> None:
        """One version is there, and nothing waits."""
        device = self.device(journal=self.journal)
        self.folder.clock.pump([60] * 5)
        status = result(device.status())
        self.assertEqual((status.pending, status.conflicts), (0, 0))
        self.assertEqual(len(result(device.versions("a"))), 1)
        self.check_kept(b"precious")

    def test_nor_stored_twice_when_the_power_fails_behind_it(self) -> None:
        """It was stored under another writer, and the journal's disk has not heard of that: it is known again."""
        store, device = self.accepted_under_an_ended_number()
        device.desk.writer.sending._journal.settle = lambda _frozen: None
        device._journal.settle = lambda _frozen: None
        store.go_online()
        self.assertEqual(len(self.folder.shelf.messages), len(set(self.folder.shelf.messages)))
        self.folder.shelf.detach(store)
        self.check_stored_once()

    def test_nor_when_the_journal_remembers_the_first_message_only(self) -> None:
        """The file that keeps its first message holds others, and lives longer than that of its second one."""
        store, device = self.accepted_under_an_ended_number()
        kept = {entry: entry.read_bytes() for entry in self.base.journal.path.glob("*.pending")}
        store.go_online()
        result(device.close())
        for entry, content in kept.items():
            entry.write_bytes(content)
        self.check_stored_once()

    def test_nor_when_its_answers_are_lost(self) -> None:
        """What is sent again are the same bytes: however often, they are one version."""
        store, _device = self.accepted_under_an_ended_number()
        store.doom_next(Fate.CUT_LATE, 5)
        store.go_online()
        self.folder.clock.pump([1] * 600)
        self.folder.shelf.deliver_late()
        self.folder.shelf.detach(store)
        self.check_stored_once()

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.booleans())
    def test_nor_by_what_the_device_wrote_before_it_was_put_back(
        self, real: int, accepted: int, other: int, killed: bool
    ) -> None:
        """The same numbers name two versions each: whatever is last on either side stays to be seen by all."""
        self.folder = Folder()
        for entry in self.base.journal.path.glob("*.pending"):
            entry.unlink()
        self.identity = MemoryWriter(self.folder.random)
        store = self.folder.store()
        device = self.device(store=store, journal=self.journal)
        result(device.put("a", b"base"))
        seen = device.desk.view.index.history("a")
        self.assertEqual(len(seen.versions), 1)
        before = self.state()
        store.go_offline()
        self.put_back(before)
        for number in range(accepted):
            result(device.put("a", b"accepted %d" % number, queue=True))
        mine = self.state()
        self.put_back(before)
        original = self.folder.device(identity=self.identity)
        for number in range(other):
            result(original.put("b", b"%d" % number))
        for number in range(real):
            result(original.put("a", b"real %d" % number))
        self.put_back(mine)
        if killed:
            self.folder.shelf.detach(store)
            device = self.device(journal=self.journal)
        else:
            store.go_online()
        self.assertEqual(result(device.status()).pending, 0)
        fresh = self.folder.device()
        found = {result(fresh.get("a", version=head.version)) for head in result(fresh.conflicts("a"))}
        self.assertLessEqual({b"accepted %d" % (accepted - 1), b"real %d" % (real - 1)}, found)
