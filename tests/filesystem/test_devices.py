"""Three devices on one folder, and a server that does its worst: no write disappears (promises P1 to P3, P11)."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.history import History
from ifap_twisted.core.index import Index
from ifap_twisted.core.values import ABSENT, Entry, Receipt, Traits
from ifap_twisted.errors import IFAPError
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import FULL_TRAITS, Fate, MemoryShelf, MemoryStore, Turnstile, Visibility
from tests.filesystem.folders import KEY, Folder, result
from tests.reference_reader import ReferenceReader

COUNT = 3
PATHS = st.sampled_from(["a", "b", "d", "d/a", "d/b", "d/e/a"])
FEW = st.lists(PATHS, min_size=1, max_size=2)
WRITING = ["put", "put", "put", "put expecting", "keep", "restore", "undelete", "resolve", "resolve both"]
PLACING = ["move", "move", "copy", "remove", "remove tree", "make directory", "remove directory", "refresh"]
VERBS = st.sampled_from([*WRITING, *PLACING])
WHO = st.integers(0, COUNT - 1)
METHODS = st.sets(st.sampled_from(["append", "answer", "headers", "poll", "message", "uids", "remove"]), min_size=1)
POOR = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
LONGEST = 300
"""Seconds in which everything that was begun ends, once the server behaves."""


MOVING: ContextVar[bool] = ContextVar("moving", default=False)


class Watched(MemoryStore):
    """A session that notes what its device knew of a path when it sent a version of it."""

    def __init__(self, shelf: MemoryShelf, known: dict[str, set[str]], **options: Any) -> None:
        super().__init__(shelf, **options)
        self.known = known
        self.moved: dict[str, set[str]] = {}
        self.device: Filesystem | None = None

    def _note_moved(self, index: Index, vid: str) -> None:
        """What the tombstone of a move may descend from: the version that was moved, and its ancestors."""
        for path in index.paths():
            history = index.history(path)
            for placed in history.find(vid):
                self.moved.setdefault(path, set()).update(
                    {vid, *(ancestor.version.vid for ancestor in history.ancestors(placed))}
                )

    def append(self, message: bytes) -> Deferred[Receipt]:
        """Note the ids of the versions that the new one can possibly descend from."""
        if self.device is not None:
            version = envelope.read_header(message, dialect=IFAP, keys=(KEY,), home=None)
            index = self.device.desk.view.index
            known = {placed.version.vid for placed in index.history(version.path).versions}
            if MOVING.get() and version.deleted:
                known &= self.moved.get(version.path, set())
            self.known.setdefault(version.vid, known)
            if version.moved_from is not None:
                self._note_moved(index, version.moved_from)
        return super().append(message)


class Devices(RuleBasedStateMachine):
    """What devices do and what servers do, in any order, against a model of what was acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Folder()
        self.known: dict[str, set[str]] = {}
        self.stores: list[Watched] = []
        self.devices: list[Filesystem] = []
        self.faults: list[Failure] = []
        """What no caller should ever see."""
        self.works: list[Deferred[Any]] = []
        self.acknowledged: list[tuple[Entry, bytes | None]] = []
        self.count = 0

    # What devices do

    def begin(self, work: Deferred[Any], content: bytes | None = None) -> None:
        """Follow an operation; every failure but those that a caller can meet is a fault."""
        self.works.append(work)

        def ended(outcome: Any) -> None:
            self.works.remove(work)
            if isinstance(outcome, Failure):
                outcome.trap(IFAPError, CancelledError)  # type: ignore[no-untyped-call]
            elif isinstance(outcome, Entry) and outcome.version:
                self.acknowledged.append((outcome, content))

        work.addBoth(ended).addErrback(self.faults.append)  # type: ignore[unused-awaitable]

    @initialize(paths=st.sets(PATHS, min_size=2), poor=st.sets(WHO), late=st.sets(WHO))
    def begin_with(self, paths: set[str], poor: set[int], late: set[int]) -> None:
        """Files that all devices know; some have a server without UIDPLUS and IDLE, or one that shows appends late."""
        for who in range(COUNT):
            traits = POOR if who in poor else FULL_TRAITS
            visibility = Visibility.THOROUGH if who in late else Visibility.AT_ONCE
            clock = self.folder.clock
            store = Watched(self.folder.shelf, self.known, clock=clock, traits=traits, visibility=visibility)
            store.device = self.folder.device(store=store)
            self.stores.append(store)
            self.devices.append(store.device)
        for who, path in enumerate(sorted(paths)):
            self.act(who % COUNT, "put", path, path)

    @rule(who=WHO, verb=VERBS, path=PATHS, other=PATHS)
    def one_act(self, who: int, verb: str, path: str, other: str) -> None:
        """One thing at a time, unless something is held."""
        self.act(who, verb, path, other)

    @rule(
        who=WHO, methods=METHODS, first=VERBS, acts=st.lists(st.tuples(WHO, VERBS), min_size=1, max_size=3), paths=FEW
    )
    def overlap(self, who: int, methods: set[str], first: str, acts: list[tuple[int, str]], paths: list[str]) -> None:
        """Several, on one or two paths, while the first one waits for the server."""
        self.hold(who, methods)
        self.act(who, first, paths[0], paths[-1])
        for actor, verb in acts:
            self.act(actor, verb, paths[0], paths[-1])
        self.hold(who, set())

    def move(self, device: Filesystem, path: str, other: str) -> Deferred[Entry]:
        """What is sent for it knows that it is sent for a move."""
        MOVING.set(True)
        return device.move(path, other)

    def act(self, who: int, verb: str, path: str, other: str) -> None:
        """Begin an operation of a device."""
        device = self.devices[who]
        versions = device.desk.view.index.history(path).versions
        self.count += 1
        content = b"%d" % self.count
        if verb == "put":
            self.begin(device.put(path, content), content)
        elif verb == "put expecting":
            current = device.desk.view.index.history(path).current
            self.begin(device.put(path, content, expect=ABSENT if current is None else current.version.vid), content)
        elif verb in {"remove", "remove tree"}:
            self.begin(device.remove(path, recursive=verb == "remove tree"))
        elif verb == "move":
            self.begin(copy_context().run(self.move, device, path, other))
        elif verb == "copy":
            self.begin(device.copy(path, other))
        elif verb == "make directory":
            self.begin(device.make_directory(path, parents=True))
        elif verb == "remove directory":
            self.begin(device.remove_directory(path))
        elif verb == "undelete":
            self.begin(device.undelete(path))
        elif verb == "keep":
            self.begin(device.keep(path, 7))
        elif verb == "restore" and versions:
            self.begin(device.restore(path, versions[0].version.vid))
        elif verb in {"resolve", "resolve both"}:
            self.begin(device.resolve(path, both=verb == "resolve both"))
        elif verb == "refresh":
            self.begin(device.refresh())

    @precondition(lambda self: self.works)
    @rule(which=st.integers(0, 9))
    def cancel(self, which: int) -> None:
        """A caller gives up."""
        self.works[which % len(self.works)].cancel()

    # What servers and networks do

    @rule(who=WHO, methods=METHODS)
    def hold(self, who: int, methods: set[str]) -> None:
        """Some answers take their time; those that did arrive."""
        gate, self.stores[who].gate = self.stores[who].gate, Turnstile(*methods)
        if isinstance(gate, Turnstile):
            gate.release()

    @rule(who=WHO, steps=st.integers(1, 3))
    def release(self, who: int, steps: int) -> None:
        """Some of them arrive."""
        gate = self.stores[who].gate
        if isinstance(gate, Turnstile):
            gate.release(steps)

    @rule(who=WHO, kind=st.sampled_from(["cut", "hide", "renumber", "deliver", *Fate]), uid=st.integers(1, 30))
    def trouble(self, who: int, kind: str | Fate, uid: int) -> None:
        """The connection breaks or comes back, a listing leaves out, all UIDs change, an APPEND meets its fate."""
        store = self.stores[who]
        if isinstance(kind, Fate):
            store.doom_next(kind)
        elif kind == "cut":
            store.go_offline() if store.online else store.go_online()
        elif kind == "hide":
            store.hide(uid)
        elif kind == "renumber":
            self.folder.shelf.renumber()
        else:
            self.folder.shelf.deliver_late()

    @rule(seconds=st.sampled_from([0.1, 2.0, 31.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.folder.clock.advance(seconds)

    # What must hold

    def teardown(self) -> None:
        """Let the server behave, wait for everything, and compare."""
        for who, store in enumerate(self.stores):
            store.reveal()
            if not store.online:
                store.go_online()
            self.hold(who, set())
        self.folder.shelf.deliver_late()
        for _ in range(LONGEST):
            self.folder.clock.advance(1)
        assert not self.works, "an operation never ended"
        assert not self.faults, self.faults
        self.devices.append(self.folder.device())
        for device in self.devices:
            for store in self.stores:
                result(store.poll(thorough=True))
            result(device.refresh())
        views = [self.view(device) for device in self.devices]
        for view in views:
            assert view == views[-1], "the devices don't agree"
        self.check_acknowledged()
        for path in list(self.devices[-1].desk.view.index.paths()):
            self.check_history(path)
        self.check_reference()
        for device in self.devices:
            result(device.close())

    def view(self, device: Filesystem) -> Any:
        """All that a device shows, ranks and places aside."""
        index = device.desk.view.index
        return (
            {path: {placed.version.vid for placed in index.history(path).versions} for path in index.paths()},
            [(entry.path, entry.type, entry.version) for entry in result(device.list(recursive=True))],
            {(entry.path, entry.version) for entry in result(device.conflicts())},
        )

    def check_acknowledged(self) -> None:
        """Each acknowledged version is there with its content (P1, P3)."""
        for device in (self.devices[0], self.devices[-1]):
            for entry, content in self.acknowledged:
                assert entry.version in {one.version for one in result(device.versions(entry.path))}, entry
                if content is not None:
                    assert result(device.get(entry.path, version=entry.version)) == content, entry

    def check_history(self, path: str) -> None:
        """Nothing descends from what its writer did not know, nothing is doubled, and no head is hidden."""
        device = self.devices[-1]
        history: History = device.desk.view.index.history(path)
        vids = [placed.version.vid for placed in history.versions]
        assert len(vids) == len(set(vids)), "a version is doubled"
        for later in history.versions:
            for earlier in history.versions:
                if history.descends(later, earlier):
                    known = self.known.get(later.version.vid, set())
                    assert earlier.version.vid in known, f"{path}: a version is hidden by one that did not know it"
        contents = {head.version.sha256 for head in history.heads if not head.version.deleted}
        if len(contents) > 1 and not path.startswith("IFAP/"):
            reported = {entry.version for entry in result(device.conflicts(path)) if entry.path == path}
            assert reported == {head.version.vid for head in history.heads}, "a conflict is not reported"

    def check_reference(self) -> None:
        """The reference sees the same files, where there is no conflict and no late copy above the newest (P11)."""
        reader = ReferenceReader(dict(self.folder.shelf.messages), "ifaplib", KEY.text)
        reader.synchronize()
        shown = set(reader.listing())
        index = self.devices[-1].desk.view.index
        for path in index.paths():
            history = index.history(path)
            current = history.current
            assert current is not None
            highest = max(placed.places[-1] for placed in history.versions)
            if path.startswith("IFAP/") or history.in_conflict or highest not in current.places:
                continue
            assert (path in shown) == (not current.version.deleted), path
            if path in shown:
                assert reader.read(path) == result(
                    Deferred.fromCoroutine(self.devices[-1].desk.reader.content(current))
                ), path


class DevicesTests(SynchronousTestCase):
    """Any history of any devices on any server."""

    def test_no_write_disappears(self) -> None:
        """Acknowledged writes are current, kept or reported; all devices agree; the reference reads the same."""
        most = max(150, settings.get_profile(settings.get_current_profile_name()).max_examples // 2)
        run_state_machine_as_test(Devices, settings=settings(max_examples=most, stateful_step_count=30))
