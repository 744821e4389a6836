"""Writes that are accepted while the server is away (DESIGN 4.2 ``put --queue``; FORMAT 3.2, 4.1, 4.4)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.writer import FileWriter
from ifap_twisted.core.planning import wants_snapshot
from ifap_twisted.core.values import ABSENT, Event
from ifap_twisted.errors import (
    AlreadyExists,
    Conflict,
    Damaged,
    DirectoryNotEmpty,
    IsADirectory,
    Locked,
    NoRoom,
    NotADirectory,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    QuotaExceeded,
    ReadOnly,
    Refused,
    Throttled,
    TooLarge,
    Unavailable,
)
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.recovery import AGAIN_SECONDS
from ifap_twisted.filesystem.sending import SENDINGS
from ifap_twisted.store.memory import Fate, MemoryStore, Turnstile
from ifap_twisted.testing.disk import Disk, PowerCutError
from tests.basedir.places import never
from tests.filesystem.folders import Folder, result
from tests.filesystem.test_recovery import Recovering


class Queueing(Recovering):
    """A device whose server goes away and comes back."""

    def setUp(self) -> None:
        super().setUp()
        self.store = self.folder.store()
        self.mine = self.device(self.store)

    def queue(self, path: str, data: bytes, device: Filesystem | None = None, **more: Any) -> Any:
        """Put with ``queue``; the entry."""
        return result((device or self.mine).put(path, data, queue=True, **more))

    def others(self) -> Filesystem:
        """Somebody else's device."""
        return self.folder.device()

    def contents(self, path: str) -> list[bytes]:
        """Of all versions of a path on the server, oldest first."""
        other = self.others()
        entries = list(reversed(result(other.versions(path))))
        return [result(other.get(path, version=entry.version)) for entry in entries]

    def restarted(self) -> Filesystem:
        """The device after it was killed, with the server there again."""
        self.crash(self.store)
        self.store = self.folder.store()
        self.mine = self.device(self.store)
        return self.mine


class BesideTests(Queueing):
    """What else is done to a file while something waits for it: nothing hides what was accepted."""

    def hold_up(self, path: str) -> None:
        """Accept a file; with the server back it finds no room for it at first."""
        self.store.go_offline()
        self.assertTrue(self.queue(path, b"only copy").pending)
        self.store.fail_next("append", QuotaExceeded("full"))
        self.store.go_online()
        self.assertEqual(self.status(self.mine).pending, 1)

    def diverge(self) -> None:
        """Two devices wrote one file."""
        result(self.mine.put("a", b"0"))
        self.store.go_offline()
        result(self.others().put("a", b"theirs"))
        self.queue("a", b"mine")
        self.store.go_online()
        self.assertEqual(len(result(self.mine.conflicts())), 2)

    def heads(self, path: str) -> set[bytes]:
        """What is current or in conflict, for somebody else."""
        result(self.mine.refresh())
        self.assertEqual(self.status(self.mine).pending, 0)
        other = self.others()
        entries = result(other.conflicts(path)) or [result(other.stat(path))]
        return {result(other.get(path, version=entry.version)) for entry in entries}

    def test_resolve(self) -> None:
        """It waits until what was accepted has arrived: that had ended the conflict, and is what stays current."""
        self.diverge()
        chosen = result(self.mine.conflicts())[0].version
        self.hold_up("a")
        self.assertRaises(NotFound, result, self.mine.resolve("a", version=chosen))
        self.assertEqual(self.heads("a"), {b"only copy"})

    def test_resolve_both(self) -> None:
        """The same."""
        self.diverge()
        self.hold_up("a")
        self.assertRaises(NotFound, result, self.mine.resolve("a", both=True))
        self.assertEqual(self.heads("a"), {b"only copy"})

    def test_resolve_while_it_cannot_arrive(self) -> None:
        """It is refused, and nothing changes."""
        self.diverge()
        self.hold_up("a")
        self.store.fail_next("append", QuotaExceeded("full"))
        self.assertRaises(Unavailable, result, self.mine.resolve("a", both=True))
        self.assertEqual(self.heads("a"), {b"only copy"})

    def test_undelete(self) -> None:
        """It is not removed any more."""
        result(self.mine.put("a", b"0"))
        result(self.mine.remove("a"))
        self.hold_up("a")
        self.assertRaises(AlreadyExists, result, self.mine.undelete("a"))
        self.assertEqual(self.heads("a"), {b"only copy"})

    def test_make_directory(self) -> None:
        """The name is taken."""
        self.hold_up("x")
        self.assertRaises(AlreadyExists, result, self.mine.make_directory("x"))
        self.assertEqual(self.heads("x"), {b"only copy"})

    def test_remove(self) -> None:
        """What was accepted only is removed, too, though nobody else has seen it, and can be brought back."""
        self.hold_up("a")
        self.assertRaises(Conflict, result, self.mine.remove("a", expect="AAAAAAAAAAAAAAAAAAAAAA"))
        result(self.mine.remove("a"))
        self.assertRaises(NotFound, result, self.mine.remove("a"))
        result(self.mine.refresh())
        self.assertEqual(self.status(self.mine).pending, 0)
        self.assertEqual(result(self.others().list("/")), [])
        result(self.others().undelete("a"))
        self.assertEqual(result(self.others().get("a")), b"only copy")

    def test_remove_a_tree_of_which_nothing_has_arrived(self) -> None:
        """It is a directory, which is removed as one."""
        self.hold_up("x/deep/2")
        self.assertRaises(IsADirectory, result, self.mine.remove("x"))
        self.assertRaises(DirectoryNotEmpty, result, self.mine.remove_directory("x"))
        result(self.mine.remove("x", recursive=True))
        result(self.mine.refresh())
        self.assertEqual(self.status(self.mine).pending, 0)
        self.assertEqual(result(self.others().list("/", recursive=True)), [])
        self.assertEqual(result(self.others().undelete("x/deep/2")).path, "x/deep/2")

    def test_remove_a_directory(self) -> None:
        """It is not empty."""
        result(self.mine.make_directory("x"))
        self.hold_up("x/2")
        self.assertRaises(DirectoryNotEmpty, result, self.mine.remove_directory("x"))
        result(self.mine.refresh())
        self.assertEqual([one.path for one in result(self.others().list("/", recursive=True))], ["x", "x/2"])

    def test_copy(self) -> None:
        """It is made of what was accepted."""
        result(self.mine.put("a", b"0"))
        self.hold_up("a")
        result(self.mine.copy("a", "b"))
        self.assertEqual(result(self.others().get("b")), b"only copy")

    def test_copy_while_it_cannot_arrive(self) -> None:
        """It is refused: what is there is not what was asked for."""
        result(self.mine.put("a", b"0"))
        self.hold_up("a")
        self.store.fail_next("append", QuotaExceeded("full"))
        self.assertRaises(Unavailable, result, self.mine.copy("a", "b"))
        self.assertRaises(NotFound, result, self.others().get("b"))

    def test_move_and_copy_to_what_is_a_directory_soon(self) -> None:
        """The name is taken."""
        result(self.mine.put("a", b"0"))
        result(self.mine.put("d/f", b"0"))
        self.hold_up("x/2")
        for source in ("a", "d"):
            self.assertRaises(AlreadyExists, result, self.mine.move(source, "x"))
        self.assertRaises(AlreadyExists, result, self.mine.copy("d", "x"))
        self.assertRaises(IsADirectory, result, self.mine.copy("a", "x"))

    def test_remove_a_tree(self) -> None:
        """What was accepted for it is removed, too, and can be brought back."""
        result(self.mine.put("x/1", b"1"))
        self.hold_up("x/2")
        result(self.mine.remove("x", recursive=True))
        result(self.mine.refresh())
        self.assertEqual(self.status(self.mine).pending, 0)
        self.assertEqual(result(self.others().list("/", recursive=True)), [])
        self.assertEqual(result(self.others().undelete("x/2")).path, "x/2")


class AcceptedTests(Queueing):
    """What is accepted while the server is away arrives, once, when it is back."""

    def test_there(self) -> None:
        """With the server there it is a put."""
        entry = self.queue("a", b"1")
        self.assertFalse(entry.pending)
        self.assertEqual(self.contents("a"), [b"1"])
        self.assertEqual(self.pending(), 0)

    def test_away(self) -> None:
        """The answer says that it is pending, it is on the disk, and not on the server."""
        self.store.go_offline()
        entry = self.queue("a", b"1")
        self.assertTrue(entry.pending)
        self.assertEqual(self.pending(), 1)
        self.assertEqual(result(self.others().list("/")), [])

    def test_it_arrives_at_once_when_the_server_is_back(self) -> None:
        """Nobody has to ask, and it has the version id that was told."""
        self.store.go_offline()
        entry = self.queue("a", b"1")
        self.store.go_online()
        self.assertEqual(result(self.mine.stat("a")).version, entry.version)
        self.assertEqual(self.contents("a"), [b"1"])
        self.assertEqual(self.pending(), 0)
        self.assertEqual(self.status(self.mine).pending, 0)
        recovery = self.mine._recovery
        self.assertNotIn(recovery._try, [call.func for call in self.folder.clock.getDelayedCalls()])

    def test_after_an_hour(self) -> None:
        """An hour without network is nothing special."""
        self.store.go_offline()
        for number in range(5):
            self.queue(f"{number}", b"1")
            self.pass_time(600)
        self.assertEqual(self.status(self.mine).pending, 5)
        self.store.go_online()
        self.assertEqual([entry.path for entry in result(self.others().list("/"))], list("01234"))

    def test_after_a_crash(self) -> None:
        """The process that accepted it is killed: the next one sends it, once."""
        self.store.go_offline()
        self.queue("a", b"1")
        device = self.restarted()
        self.assertEqual(result(device.get("a")), b"1")
        self.restarted()
        self.assertEqual(self.contents("a"), [b"1"])
        self.assertEqual(self.pending(), 0)

    def test_after_an_end(self) -> None:
        """As after a crash."""
        self.store.go_offline()
        self.queue("a", b"1")
        result(self.mine.close())
        self.assertEqual(result(self.device().get("a")), b"1")

    def test_an_end_waits_for_no_server(self) -> None:
        """Not even for a snapshot that is due: it is disposable (P8)."""
        for number in range(25):
            result(self.mine.put(f"{number}", b"1"))
        view = self.mine.desk.view
        self.assertTrue(wants_snapshot(view.index, view.dialect.snapshot_path))
        self.store.go_offline()
        self.queue("a", b"1")
        result(self.mine.close())
        self.assertEqual(result(self.device().get("a")), b"1")

    def test_throttled(self) -> None:
        """A server that asks to wait is away."""
        self.store.fail_next("append", Throttled("Wait."))
        self.assertTrue(self.queue("a", b"1").pending)
        self.pass_time(2 * AGAIN_SECONDS)
        self.assertEqual(self.contents("a"), [b"1"])

    def test_the_connection_breaks_on_the_way(self) -> None:
        """It is accepted, and whether it had arrived is found out: it is there once."""
        for fate in (Fate.CUT_BEFORE, Fate.CUT_AFTER):
            self.store.doom_next(fate)
            putting = self.mine.put(fate.name, b"1", queue=True)
            self.store.go_offline()
            self.pass_time(200)
            self.assertTrue(result(putting).pending)
            self.store.go_online()
            self.pass_time(2 * AGAIN_SECONDS)
            self.assertEqual(self.contents(fate.name), [b"1"])

    def test_refused_by_the_server(self) -> None:
        """A server that says no is there: it is not accepted, and nothing waits."""
        self.store.fail_next("append", QuotaExceeded("The mailbox is full."))
        self.failureResultOf(self.mine.put("a", b"1", queue=True), QuotaExceeded)
        self.assertEqual(self.status(self.mine).pending, 0)
        self.assertEqual(self.pending(), 0)

    def test_without_queue(self) -> None:
        """A put without it waits for the server, and fails."""
        self.store.go_offline()
        putting = self.mine.put("a", b"1")
        self.pass_time(100)
        self.failureResultOf(putting, Unavailable)
        self.assertEqual(self.status(self.mine).pending, 0)

    def test_without_a_basedir(self) -> None:
        """Nothing is promised that could not be kept."""
        store = self.folder.store()
        device = self.folder.device(store=store)
        for go in (store.go_online, store.go_offline):
            go()
            self.failureResultOf(device.put("a", b"1", queue=True), NotSupported)

    def test_a_full_disk_here(self) -> None:
        """It is not accepted, and does not turn up later."""
        self.store.go_offline()
        self.worker.holds = True
        putting = self.mine.put("a", b"1", queue=True)
        while self.worker.waiting:
            self.worker.fail(NoRoom("Cannot write: No space left on device."))
        self.failureResultOf(putting, NoRoom)
        self.worker.holds = False
        self.assertEqual(self.status(self.mine).pending, 0)
        self.store.go_online()
        self.assertEqual(result(self.mine.list("/")), [])

    def test_reading_shows_what_is_on_the_server(self) -> None:
        """A file that was accepted is read when it has arrived; status tells of it until then."""
        result(self.mine.put("a", b"old"))
        self.store.fail_next("append", Throttled("Wait."))
        self.queue("a", b"new")
        self.assertEqual(result(self.mine.get("a")), b"old")
        self.assertEqual(len(result(self.mine.versions("a"))), 1)
        self.assertEqual([one.path for one in self.status(self.mine).warnings], ["a"])
        result(self.mine.refresh())
        self.assertEqual(result(self.mine.get("a")), b"new")

    def test_a_directory_is_no_file(self) -> None:
        """What is known of the folder is held against it."""
        result(self.mine.make_directory("d"))
        self.store.go_offline()
        self.failureResultOf(self.mine.put("d", b"1", queue=True), IsADirectory)

    def test_a_name_is_one_thing_also_while_it_waits(self) -> None:
        """What would collide with a file that waits, or with a directory that one is in, is refused at once."""
        self.store.go_offline()
        self.queue("file", b"1")
        self.queue("directory/below/file", b"1")
        with self.assertRaises(NotADirectory):
            self.queue("file/below", b"2")
        for path in ("directory", "directory/below"):
            with self.assertRaises(IsADirectory):
                self.queue(path, b"2")
        self.queue("directory/other", b"3")
        self.assertEqual(self.pending(), 3)
        self.store.go_online()
        self.assertEqual([one.code for one in self.status(self.mine).warnings], [])
        for path in ("directory/below/file", "directory/other"):
            result(self.mine.remove(path))
        result(self.mine.remove("file"))
        self.assertEqual(result(self.mine.put("file/below", b"2")).path, "file/below")


class OrderTests(Queueing):
    """Of one path nothing overtakes what was accepted before it, and the last one wins."""

    def test_one_descends_from_the_other(self) -> None:
        """Three in a row, over a version that was there: no conflict, and in order."""
        result(self.mine.put("a", b"0"))
        self.store.go_offline()
        for number in b"123":
            self.queue("a", bytes([number]))
        self.store.go_online()
        self.assertEqual(self.contents("a"), [b"0", b"1", b"2", b"3"])
        self.assertEqual(result(self.others().conflicts()), [])

    def test_over_a_crash(self) -> None:
        """What the next process accepts descends from what its predecessor had."""
        self.store.go_offline()
        self.queue("a", b"1")
        self.crash(self.store)
        self.store = self.folder.store()
        self.store.fail_next("append", Throttled("Wait."))
        self.mine = self.device(self.store)
        self.queue("a", b"2")
        result(self.mine.refresh())
        self.assertEqual(self.contents("a"), [b"1", b"2"])
        self.assertEqual(result(self.others().conflicts()), [])

    def test_one_that_cannot_go_holds_up_its_path_only(self) -> None:
        """The later one of the path waits with it, other paths go on."""
        self.store.go_offline()
        self.queue("a", b"1")
        self.queue("a", b"2")
        self.queue("b", b"3")
        self.store.fail_next("append", QuotaExceeded("The mailbox is full."))
        self.store.go_online()
        self.assertEqual([entry.path for entry in result(self.others().list("/"))], ["b"])
        status = self.status(self.mine)
        self.assertEqual((status.pending, status.failing), (2, 1))
        result(self.mine.refresh())
        self.assertEqual(self.contents("a"), [b"1", b"2"])

    def test_one_of_which_nothing_is_known_holds_up_nothing(self) -> None:
        """It may never end; what was accepted after it does not descend from it."""
        for _ in range(3):
            self.store.fail_next("append", OutcomeUnknown("The answer was lost."))
        writing = self.mine.put("a", b"1")
        self.folder.clock.pump([1.0] * 20)
        self.failureResultOf(writing, OutcomeUnknown)
        self.store.go_offline()
        self.queue("a", b"2")
        self.store.fail_next("append", QuotaExceeded("The mailbox is full."))
        self.store.go_online()
        self.assertEqual(self.contents("a"), [b"2"])
        self.assertEqual(self.status(self.mine).pending, 1)

    def test_one_that_may_never_go_holds_up_nothing(self) -> None:
        """What was accepted after it is stored and current; it is an old version, should it arrive after all."""
        for error in (TooLarge("Too large."), Refused("No."), ProtocolViolation("What?")):
            name = error.code
            result(self.mine.put(name, b"0"))
            self.store.go_offline()
            for number in b"123":
                self.queue(name, bytes([number]))
            self.store.fail_next("append", error)
            self.store.go_online()
            self.assertEqual(self.contents(name), [b"0", b"2", b"3"])
            self.assertEqual([one.path for one in self.status(self.mine).warnings], [name])
            result(self.mine.refresh())
            self.assertEqual(sorted(self.contents(name)), [b"0", b"1", b"2", b"3"])
            self.assertEqual(result(self.others().get(name)), b"3")
            self.assertEqual(result(self.others().conflicts()), [])
            self.assertEqual(self.status(self.mine).warnings, ())

    def test_one_that_may_never_go_over_a_crash(self) -> None:
        """The next process does not know that what was stored was put on top of it: both stay, and that is told."""
        result(self.mine.put("a", b"0"))
        self.store.go_offline()
        self.queue("a", b"1")
        self.queue("a", b"2")
        self.store.fail_next("append", TooLarge("Too large."))
        self.store.go_online()
        self.assertEqual(self.contents("a"), [b"0", b"2"])
        self.restarted()
        result(self.mine.refresh())
        heads = result(self.others().conflicts())
        self.assertEqual({result(self.mine.get("a", version=head.version)) for head in heads}, {b"1", b"2"})
        self.assertEqual([one.code for one in self.status(self.mine).warnings], ["stored-as-conflict"])

    def test_a_put_after_what_waits(self) -> None:
        """It descends from what was accepted before it, which arrives later as an old version."""
        self.store.fail_next("append", Throttled("Wait."))
        self.queue("a", b"1")
        result(self.mine.put("a", b"2"))
        self.assertEqual(result(self.mine.get("a")), b"2")
        result(self.mine.refresh())
        self.assertEqual(result(self.mine.get("a")), b"2")
        self.assertEqual(sorted(self.contents("a")), [b"1", b"2"])
        self.assertEqual(result(self.others().conflicts()), [])

    def test_what_is_expected_may_wait(self) -> None:
        """The version id of what was accepted is what the next one may expect."""
        self.store.go_offline()
        first = self.queue("a", b"1", expect=ABSENT)
        self.failureResultOf(self.mine.put("a", b"x", queue=True, expect=ABSENT), Conflict)
        self.queue("a", b"2", expect=first.version)
        self.store.go_online()
        self.assertEqual(self.contents("a"), [b"1", b"2"])
        self.assertEqual(self.status(self.mine).warnings, ())

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "crash", "back", "gone"])), max_size=12))
    def test_any_order_of_events(self, steps: list[tuple[str, str]]) -> None:
        """Whatever happens between: all arrives, in the order of each path, without a conflict with oneself."""
        self.setUp()
        wanted: dict[str, list[bytes]] = {}
        for number, (path, step) in enumerate(steps):
            if step == "put":
                self.queue(path, b"%d" % number)
                wanted.setdefault(path, []).append(b"%d" % number)
            elif step == "crash":
                self.restarted()
            else:
                (self.store.go_online if step == "back" else self.store.go_offline)()
        self.store.go_online()
        result(self.mine.refresh())
        for path, contents in wanted.items():
            self.assertEqual(self.contents(path), contents)
        self.assertEqual(result(self.others().conflicts()), [])
        self.assertEqual(self.pending(), 0)


class RewritingTests(Queueing):
    """What is said of a file is said of what was accepted for it, never beside it."""

    def setUp(self) -> None:
        super().setUp()
        result(self.mine.put("d/a", b"0"))
        self.store.go_offline()
        self.queue("d/a", b"1")

    def test_keep_and_moves(self) -> None:
        """They wait until it has arrived, and there is no conflict."""
        for begin in (
            lambda: self.mine.keep("d/a", 7),
            lambda: self.mine.move("d/a", "d/b"),
            lambda: self.mine.move("d", "e"),
        ):
            self.folder = Folder()
            self.setUp()
            self.store.gate = gate = Turnstile("append")
            self.store.go_online()
            changing = begin()
            gate.release()
            self.pass_time(5)
            result(changing)
            self.assertEqual(list(result(self.others().conflicts())), [])
            (entry,) = [one for one in result(self.others().list(recursive=True)) if one.type == "file"]
            self.assertEqual(result(self.others().get(entry.path)), b"1")

    def test_what_cannot_arrive(self) -> None:
        """Nothing is begun, and that is told."""
        self.store.fail_next("append", QuotaExceeded(), 9)
        self.store.go_online()
        for begin in (
            lambda: self.mine.keep("d/a", 7),
            lambda: self.mine.move("d/a", "d/b"),
            lambda: self.mine.move("d", "e"),
        ):
            self.failureResultOf(begin(), Unavailable)
        self.store.pardon()
        result(self.mine.keep("d/a", 7))
        self.assertEqual(self.contents("d/a"), [b"0", b"1", b"1"])


class ConflictTests(Queueing):
    """What came meanwhile is never overwritten unseen."""

    def met(self, expect: Any, *, crash: bool = False) -> None:
        """A write that waits, and another one of somebody else before it arrives."""
        result(self.mine.put("a", b"0"))
        self.store.go_offline()
        self.queue("a", b"mine", expect=expect)
        result(self.others().put("a", b"theirs"))
        if crash:
            self.restarted()
        else:
            self.store.go_online()

    def check_both(self, codes: list[str]) -> None:
        """Both are there, as a conflict, and the status tells."""
        heads = result(self.mine.conflicts())
        self.assertEqual({result(self.mine.get("a", version=head.version)) for head in heads}, {b"mine", b"theirs"})
        status = self.status(self.mine)
        self.assertEqual(status.conflicts, 1)
        self.assertEqual([one.code for one in status.warnings], codes)
        self.assertEqual(status.pending, 0)

    def test_without_an_expectation(self) -> None:
        """Both stay, and it is reported."""
        self.met(None)
        self.check_both(["stored-as-conflict"])

    def test_with_an_expectation(self) -> None:
        """As well: who was told that it is kept is not told later that it was thrown away."""
        events: list[Event] = []
        self.mine.watch(events.append)
        version = result(self.mine.put("a", b"before")).version
        self.store.go_offline()
        self.queue("a", b"mine", expect=version)
        result(self.others().put("a", b"theirs"))
        self.store.go_online()
        self.check_both(["stored-as-conflict"])
        self.assertIn(("conflict", "a"), [(event.kind, event.entry.path) for event in events if event.entry])

    def test_after_a_crash(self) -> None:
        """The journal knows what was expected."""
        self.met(None, crash=True)
        self.check_both(["stored-as-conflict"])

    def test_the_warning_ends_with_the_conflict(self) -> None:
        """When it is resolved."""
        self.met(None)
        keep = result(self.mine.conflicts())[0].version
        result(self.mine.resolve("a", version=keep))
        self.assertEqual(self.status(self.mine).warnings, ())

    def test_two_new_files(self) -> None:
        """Both made the same new file."""
        self.store.go_offline()
        self.queue("a", b"mine", expect=ABSENT)
        result(self.others().put("a", b"theirs"))
        self.store.go_online()
        self.check_both(["stored-as-conflict"])

    def test_the_same_content(self) -> None:
        """Is none."""
        self.store.go_offline()
        self.queue("a", b"same")
        result(self.others().put("a", b"same"))
        self.store.go_online()
        self.assertEqual(self.status(self.mine).warnings, ())

    def test_known_already(self) -> None:
        """What this device knows to fail is refused at once."""
        result(self.mine.put("a", b"0"))
        self.store.go_offline()
        self.failureResultOf(self.mine.put("a", b"1", queue=True, expect=ABSENT), Conflict)
        self.failureResultOf(self.mine.put("a", b"1", queue=True, expect="x" * 22), Conflict)
        self.assertEqual(self.pending(), 0)

    def test_a_replayed_put_of_the_caller(self) -> None:
        """A put with an expectation that was killed on its way, and met another: both stay, and it is reported."""
        version = result(self.mine.put("a", b"0")).version
        self.store.gate = Turnstile("append")
        self.assertNoResult(self.mine.put("a", b"mine", expect=version))
        self.crash(self.store)
        result(self.others().put("a", b"theirs"))
        self.mine = self.device()
        self.check_both(["stored-as-conflict"])


class LockTests(Queueing):
    """Locks that are known when a write is queued (FORMAT 10.2)."""

    def test_of_another_device(self) -> None:
        """What another device locked is not overwritten; a new file never waits for a lock (P7)."""
        result(self.mine.put("a", b"0"))
        other = self.others()
        for path in ("a", "new"):
            result(other.lock(path))
        result(self.mine.refresh())
        self.store.go_offline()
        self.failureResultOf(self.mine.put("a", b"1", queue=True), Locked)
        self.assertTrue(self.queue("new", b"1").pending)

    def test_of_this_device(self) -> None:
        """A write under its own lock says so, and comes too late when somebody took the lock over meanwhile."""
        result(self.mine.put("a", b"0"))
        result(self.mine.lock("a"))
        self.store.go_offline()
        self.queue("a", b"mine")
        other = self.others()
        result(other.unlock("a", force=True))
        result(other.lock("a"))
        result(other.put("a", b"theirs"))
        self.store.go_online()
        self.assertEqual(result(other.get("a")), b"theirs")
        heads = result(self.others().conflicts())
        self.assertEqual({result(other.get("a", version=head.version)) for head in heads}, {b"mine", b"theirs"})
        self.assertIn("stored-as-conflict", [one.code for one in self.status(self.mine).warnings])


class TellingTests(Queueing):
    """Status and events tell what waits, and why."""

    def test_status(self) -> None:
        """What was not tried yet is pending; what was tried in vain is failing, too, and says why."""
        self.store.go_offline()
        self.queue("a", b"1")
        status = self.status(self.mine)
        self.assertEqual((status.state, status.pending, status.failing), ("offline", 1, 0))
        (notice,) = status.warnings
        self.assertEqual((notice.code, notice.path), ("write-pending", "a"))
        self.assertIn("accepted", notice.text)
        self.store.fail_next("append", QuotaExceeded("The mailbox is full."))
        self.store.go_online()
        status = self.status(self.mine)
        self.assertEqual((status.pending, status.failing), (1, 1))
        self.assertIn("The mailbox is full.", status.warnings[0].text)

    def test_many(self) -> None:
        """Of very many the first are named."""
        self.store.go_offline()
        for number in range(25):
            self.queue(f"{number}", b"1")
        warnings = self.status(self.mine).warnings
        self.assertEqual(len(warnings), 21)
        self.assertIn("5 more", warnings[-1].text)

    def test_events(self) -> None:
        """How many are pending, up and down."""
        self.store.go_offline()
        events: list[Event] = []
        self.mine.watch(events.append)
        self.queue("a", b"1")
        self.queue("b", b"1")
        self.assertEqual([event.detail["pending"] for event in events if event.kind == "pending"][-1], 2)
        self.store.go_online()
        self.assertEqual([event.detail["pending"] for event in events if event.kind == "pending"][-1], 0)


class MemoryTests(Queueing):
    """What waits is on the disk, not in memory."""

    def test_heads_only(self) -> None:
        """Of each message its header."""
        self.store.go_offline()
        self.queue("a", b"x" * 100_000)
        recovery = self.mine._recovery
        (waiting,) = recovery._backlog
        self.assertLess(len(waiting.frozen.message), 2000)
        self.store.go_online()
        self.assertEqual(result(self.mine.get("a")), b"x" * 100_000)

    def test_a_journal_that_is_damaged_meanwhile(self) -> None:
        """It is reported, and holds up nothing else; the next process sets it aside."""
        self.store.go_offline()
        self.queue("a", b"1")
        (path,) = [path for path in self.base.journal.path.iterdir() if path.name.endswith(".pending")]
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        self.queue("b", b"2")
        self.store.go_online()
        self.assertEqual(self.contents("b"), [b"2"])
        self.assertEqual([one.path for one in self.status(self.mine).warnings], ["a"])
        self.restarted()
        self.assertEqual([one.code for one in self.status(self.mine).warnings], ["journal-damaged"])


class UncleanTests(Queueing):
    """A device that ended uncleanly takes another name before it writes (FORMAT 3.2)."""

    def writer_of(self, path: str) -> str:
        """Of the current version."""
        return result(self.others().stat(path)).writer

    def test_another_writer(self) -> None:
        """What was on its way when it was killed can never pass for an ancestor of what it writes then."""
        result(self.mine.put("a", b"0"))
        before = self.writer_of("a")
        late: list[bytes] = []
        self.store.doom_next(Fate.CUT_BEFORE)
        keep = self.store.append
        self.store.append = lambda message: late.append(message) or keep(message)  # type: ignore[method-assign]
        self.mine.put("a", b"late")
        self.crash(self.store)
        for file in self.base.journal.path.glob("*.pending"):
            data = file.read_bytes()
            file.write_bytes(data[:-1] + b"!")
        device = self.device()
        result(device.put("a", b"new"))
        self.assertNotEqual(self.writer_of("a"), before)
        self.folder.shelf.add(late[0])
        heads = result(self.others().conflicts())
        self.assertEqual({result(self.others().get("a", version=head.version)) for head in heads}, {b"late", b"new"})

    def test_the_same_after_a_clean_end(self) -> None:
        """Nothing was on its way."""
        result(self.mine.put("a", b"0"))
        before = self.writer_of("a")
        result(self.mine.close())
        result(self.device().put("a", b"1"))
        self.assertEqual(self.writer_of("a"), before)

    def test_an_answer_that_makes_no_sense(self) -> None:
        """Nobody knows what became of the message: the next one has another writer."""
        result(self.mine.put("a", b"0"))
        before = self.writer_of("a")
        self.store.fail_next("append", ProtocolViolation("What?"))
        self.failureResultOf(self.mine.put("b", b"1"), ProtocolViolation, OutcomeUnknown)
        result(self.mine.put("c", b"2"))
        self.assertNotEqual(self.writer_of("c"), before)

    def test_refused_when_it_is_sent_again(self) -> None:
        """That says nothing of the sending before, which may turn up yet: it is kept, and looked for."""
        for error in (ReadOnly("No changes now."), TooLarge("Too large."), Damaged("Try again.")):
            self.store.doom_next(Fate.CUT_LATE)
            putting = self.mine.put(error.code, b"1")
            before = self.identity().writer
            self.store.go_online()
            self.store.fail_next("append", error)
            self.pass_time(5)
            self.failureResultOf(putting, OutcomeUnknown)
            self.assertEqual(self.pending(), 1)
            self.assertNotEqual(self.identity().writer, before)
            self.folder.shelf.deliver_late()
            result(self.mine.refresh())
            self.assertEqual((self.pending(), self.contents(error.code)), (0, [b"1"]))

    def test_a_name_that_cannot_be_drawn(self) -> None:
        """A full disk here does not say that the message was not stored; the next one waits for a name."""
        identity, drawing = self.identity(), self.identity().renew
        before = identity.writer
        identity.renew = lambda: fail(NoRoom("Cannot write: No space left on device."))
        self.store.doom_next(Fate.CUT_BEFORE, SENDINGS)
        putting = self.mine.put("a", b"1")
        self.pass_time(30)
        self.failureResultOf(putting, OutcomeUnknown)
        self.failureResultOf(self.mine.put("b", b"2"), NoRoom)
        identity.renew = drawing
        result(self.mine.put("b", b"2"))
        self.assertNotEqual(self.writer_of("b"), before)

    def identity(self) -> Any:
        """That of the device."""
        return self.mine.desk.writer.sending._identity


class Mortal:
    """A worker whose machine loses its power: then nothing ends any more.

    :ivar alive: it has not yet.
    """

    def __init__(self) -> None:
        self.alive = True

    def __call__(self, work: Any) -> Any:
        """Do it at once, if that can be."""
        try:
            return succeed(work())
        except PowerCutError:
            self.alive = False
            return never()
        except Exception:
            return fail()


class PowerTests(SynchronousTestCase):
    """The power is cut at each change of the disk while writes are accepted, and sent."""

    def setUp(self) -> None:
        """A folder, and the disk of a device."""
        self.folder, self.disk = Folder(), Disk("one")

    def device(self, store: MemoryStore, worker: Mortal) -> Filesystem:
        """The device, started."""
        base: Any = self.disk
        identity = result(FileWriter.open(base, self.folder.random, worker))
        return self.folder.device(
            store=store,
            identity=identity,
            journal=lambda keys: FileJournal(base, keys, random=self.folder.random, worker=worker),
        )

    def lived(self, changes: int) -> tuple[bool, dict[str, list[bytes]]]:
        """A life that ends after so many changes of the disk, if it has as many; what it had accepted by then."""
        self.setUp()
        store, worker = self.folder.store(), Mortal()
        device = self.device(store, worker)
        result(device.put("a", b"0"))
        store.go_offline()
        self.disk.cut_after(changes)
        accepted: dict[str, list[bytes]] = {"a": [b"0"], "b": []}
        for path, content in (("a", b"1"), ("a", b"2"), ("b", b"3")):
            putting = device.put(path, content, queue=True)
            putting.addCallback(lambda _entry, path=path, content=content: accepted[path].append(content))
        store.go_online()
        store.gate = lambda _method: never(self.folder)
        self.folder.shelf.detach(store)
        self.disk.cut_after(None)
        return worker.alive, accepted

    def found(self, path: str) -> list[bytes]:
        """All versions of a path, oldest first."""
        other = self.folder.device()
        try:
            entries = reversed(result(other.versions(path)))
        except NotFound:
            return []
        return [result(other.get(path, version=entry.version)) for entry in entries]

    def test_at_each_change(self) -> None:
        """What was accepted is there, once, in order, and nothing is left to be done; what was not may be there."""
        for changes in range(100):
            alive, accepted = self.lived(changes)
            for _again in range(2):
                device = self.device(self.folder.store(), Mortal())
                result(device.refresh())
                for path, contents in accepted.items():
                    found = self.found(path)
                    self.assertEqual(found, sorted(set(found)), changes)
                    self.assertLessEqual(set(contents), set(found), changes)
                self.assertEqual(result(device.conflicts()), [], changes)
                self.assertEqual(result(device.status()).pending, 0, changes)
                result(device.close())
            if alive:
                self.assertGreater(changes, 5)
                return
        self.fail("the life has no end")
