"""Locks between devices on one folder (FORMAT 10, bar R14): everything on a clock that the test moves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.locks import FileLocks
from ifap_twisted.basedir.writer import FileWriter
from ifap_twisted.core.leases import PREFIX
from ifap_twisted.core.values import ABSENT, Event, HeaderBlock, Receipt
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import (
    CallerError,
    Conflict,
    IFAPError,
    InvalidPath,
    IsADirectory,
    LeaseLost,
    Locked,
    NotFound,
    OutcomeUnknown,
    Renumbered,
    Unavailable,
)
from ifap_twisted.filesystem.claiming import TRIES, Claims
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import FULL_TRAITS, Fate, MemoryStore, Turnstile
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import PlacedTestCase
from tests.campaigns.reference import unlike_reference
from tests.filesystem.folders import KEY, Folder, result

LEASE = 300
HOUR = 3600.0
MINUTES = 60.0


class Device:
    """A device with a clock of its own.

    :ivar offset: by how much its calendar is wrong.
    :ivar asleep: nothing of it runs; its elapsed clock does.
    """

    def __init__(self, folder: Folder, *, offset: float = 0.0, **opening: Any) -> None:
        self._clock = folder.clock
        self.offset = offset
        self.gate = Turnstile()
        self.store: MemoryStore = opening.pop("store", None) or folder.store(gate=self.gate)
        self.fs: Filesystem = folder.device(
            store=self.store, clock=self, elapsed=lambda: folder.clock.seconds() - 1_700_000_000.0, **opening
        )

    def seconds(self) -> float:
        """What its calendar says."""
        return self._clock.seconds() + self.offset

    def callLater(self, delay: float, function: Any, *args: Any, **kwargs: Any) -> Any:
        """As every clock."""
        return self._clock.callLater(delay, function, *args, **kwargs)

    def getDelayedCalls(self) -> Any:
        """As every clock."""
        return self._clock.getDelayedCalls()


class LockCase(SynchronousTestCase):
    """Two devices, and a file that both know."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.one = Device(self.folder, options=Options(holder="one@home"))
        self.two = Device(self.folder, options=Options(holder="two@work"))
        self.first = self.done(self.one.fs.put("a", b"first"))

    def done(self, work: Deferred[Any]) -> Any:
        """The result, which may take turns of the clock but no time that matters."""
        for _ in range(20):
            if getattr(work, "called", False):
                break
            self.folder.clock.advance(0.01)
        return result(work)

    def refused(self, work: Deferred[Any], kind: type[Exception]) -> Any:
        """The error."""
        try:
            found = self.done(work)
        except kind as error:
            return error
        raise AssertionError(f"{kind.__name__} was expected, not {found!r}")

    def pass_time(self, seconds: float, step: float = 5.0) -> None:
        """Let time pass for everybody."""
        end = self.folder.clock.seconds() + seconds
        while self.folder.clock.seconds() < end:
            self.folder.clock.advance(min(step, end - self.folder.clock.seconds()))

    def objects(self) -> int:
        """How many lock objects are in the folder."""
        index = Device(self.folder).fs.desk.view.index
        return sum(path.startswith(PREFIX) for path in index.paths())

    def current(self, path: str = "a") -> bytes:
        """What a new device sees."""
        return self.done(Device(self.folder).fs.get(path))

    def unlike_reference(self, content: bytes) -> list[str]:
        """What the reference, which knows no locks, reads otherwise than this content in the file."""
        return unlike_reference(self.folder.shelf.messages, KEY.text, {"a": content})


class TakingTests(LockCase):
    """Who may lock, and who may write."""

    def test_a_lock_keeps_others_from_overwriting_and_removing(self) -> None:
        """Until it is given back; the holder is named, and nothing of the refused stays."""
        lock = self.done(self.one.fs.lock("a"))
        self.assertEqual((lock.path, lock.holder, lock.mine, lock.seconds), ("a", "one@home", True, LEASE))
        works = [
            lambda: self.two.fs.put("a", b"other"),
            lambda: self.two.fs.remove("a"),
            lambda: self.two.fs.move("a", "b"),
            lambda: self.two.fs.keep("a", 3),
            lambda: self.two.fs.restore("a", self.first.version),
            lambda: self.two.fs.lock("a"),
            lambda: self.two.fs.unlock("a"),
        ]
        for work in works:
            error = self.refused(work(), Locked)
            self.assertEqual((error.path, error.holder, error.seconds), ("a", "one@home", LEASE))
        self.assertEqual(self.current(), b"first")
        self.assertEqual(self.done(self.one.fs.unlock("a")).id, lock.id)
        self.done(self.two.fs.put("a", b"other"))
        self.assertEqual(self.current(), b"other")
        self.assertEqual(self.objects(), 0)

    def test_a_move_of_what_is_locked_begins_nothing(self) -> None:
        """Neither of a file nor of a directory with one in it; the holder itself may move it."""
        self.done(self.one.fs.put("d/a", b"1"))
        self.done(self.one.fs.put("d/b", b"2"))
        self.done(self.one.fs.lock("d/b"))
        for source in ("d/b", "d"):
            self.refused(self.two.fs.move(source, "e"), Locked)
        names = [entry.path for entry in self.done(self.two.fs.list(recursive=True))]
        self.assertEqual(names, ["a", "d", "d/a", "d/b"])
        self.done(self.one.fs.move("d", "e"))
        self.assertEqual(self.current("e/b"), b"2")

    def test_a_server_that_tells_late_lets_nobody_in(self) -> None:
        """What is overwritten, removed or moved is asked for first; what is added is not."""
        store, changed = self.two.store, self.two.store.changed
        self.patch(store, "changed", lambda gone=(), *, own: changed(gone, own=own) if own else None)
        self.pass_time(10)
        self.done(self.one.fs.lock("a"))
        for work in (
            lambda: self.two.fs.put("a", b"other"),
            lambda: self.two.fs.remove("a"),
            lambda: self.two.fs.move("a", "b"),
        ):
            self.done(self.one.fs.unlock("a"))
            self.done(self.two.fs.locks())
            self.pass_time(10)
            self.done(self.one.fs.lock("a"))
            self.refused(work(), Locked)
        self.pass_time(10)
        store.fail_next("poll", Unavailable("Nobody shall ask now."))
        self.done(self.two.fs.put("new", b"1"))
        self.assertEqual([entry.path for entry in self.done(self.one.fs.list("/"))], ["a", "new"])

    def test_a_holder_of_the_same_name_is_told_apart(self) -> None:
        """Two basedirs of one user on one machine."""
        self.done(Device(self.folder, options=Options(holder="two@work")).fs.lock("a"))
        error = self.refused(self.two.fs.put("a", b"other"), Locked)
        self.assertIn("locked by two@work (another basedir);", str(error))
        self.done(self.two.fs.unlock("a", force=True))
        self.done(self.one.fs.lock("a"))
        self.assertNotIn("basedir", str(self.refused(self.two.fs.put("a", b"other"), Locked)))

    def test_the_holder_writes_under_its_lock(self) -> None:
        """Which its versions name."""
        lock = self.done(self.one.fs.lock("a"))
        entry = self.done(self.one.fs.put("a", b"second", expect=self.first.version))
        self.assertEqual(entry.locked, lock)
        placed = self.one.fs.desk.view.index.history("a").current
        assert placed is not None
        self.assertEqual(placed.version.lock, lock.id)
        self.assertEqual(self.current(), b"second")
        self.assertEqual(self.unlike_reference(b"second"), [])

    def test_reading_and_adding_never_wait(self) -> None:
        """Though the path is locked, for a file that is not there (P7)."""
        self.done(self.one.fs.lock("a"))
        self.done(self.one.fs.lock("new"))
        now = self.folder.clock.seconds()
        self.assertEqual(result(self.two.fs.get("a")), b"first")
        self.assertEqual(result(self.two.fs.put("new", b"added", expect=ABSENT)).path, "new")
        self.assertEqual(result(self.two.fs.copy("a", "b")).path, "b")
        self.assertEqual(self.folder.clock.seconds() - now, 0.0)

    def test_a_second_lock_is_refused_even_to_its_holder(self) -> None:
        """Two programs of one device are two."""
        self.done(self.one.fs.lock("a"))
        self.assertIn("one@home", str(self.refused(self.one.fs.lock("a", holder="another"), Locked)))

    def test_of_two_at_once_one_gets_it(self) -> None:
        """The lower UID; the other leaves nothing behind (FORMAT 10.1)."""
        self.one.gate = self.one.store.gate = Turnstile("append")
        losing = self.one.fs.lock("a")
        self.done(self.two.fs.lock("a"))
        self.one.gate.release()
        self.assertEqual(self.refused(losing, Locked).holder, "two@work")
        self.assertEqual(self.objects(), 1)
        self.assertEqual([lock.holder for lock in self.done(self.one.fs.locks())], ["two@work"])

    def test_an_attempt_that_is_given_up_leaves_no_lock(self) -> None:
        """Whenever it claims what ran out, the holder has just renewed it; the holder loses nothing by that."""
        lock = self.done(self.two.fs.lock("a", seconds=1))
        append = self.one.store.append
        renewals = 0

        def overtaken(message: bytes) -> Deferred[Receipt]:
            nonlocal renewals
            renewals += 1
            result(self.two.fs.lock("a", renew=lock.id, seconds=1))
            self.folder.clock.advance(2)
            return append(message)

        self.folder.clock.advance(2)
        self.patch(self.one.store, "append", overtaken)
        self.assertIn("all the time", str(self.refused(self.one.fs.lock("a", seconds=3600), Locked)))
        self.assertGreater(renewals, TRIES)
        self.assertFalse(any(one.mine for one in self.done(self.one.fs.locks())))
        self.done(self.two.fs.lock("a", renew=lock.id, seconds=60))
        self.done(self.two.fs.put("a", b"by the holder"))
        self.assertEqual(self.current(), b"by the holder")

    def test_locks_are_listed_with_their_holders(self) -> None:
        """Below a path; by the status they are counted, by entries shown."""
        self.done(self.one.fs.put("d/x", b""))
        self.done(self.one.fs.lock("d/x", holder="Alice", seconds=60))
        self.done(self.two.fs.lock("a"))
        found = self.done(self.one.fs.locks())
        self.assertEqual(
            [(lock.path, lock.holder, lock.mine) for lock in found], [("a", "two@work", False), ("d/x", "Alice", True)]
        )
        self.assertEqual([lock.path for lock in self.done(self.two.fs.locks("d"))], ["d/x"])
        self.assertEqual(found[0].renewed, float(int(self.folder.shelf.dates[max(self.folder.shelf.dates)])))
        self.assertEqual(result(self.one.fs.status()).locks, 2)
        self.assertEqual(self.done(self.two.fs.stat("d/x")).locked.holder, "Alice")
        listed = self.done(self.two.fs.list("/", recursive=True))
        self.assertEqual({entry.path for entry in listed if entry.locked}, {"a", "d/x"})

    def test_watchers_hear_of_locks(self) -> None:
        """When one is taken and when it is given back, on every device."""
        heard: list[Event] = []
        self.two.fs.watch(heard.append)
        self.done(self.one.fs.lock("a"))
        self.done(self.one.fs.unlock("a"))
        told = [
            (event.entry.path, event.entry.locked and event.entry.locked.holder)
            for event in heard
            if event.kind == "lock"
        ]  # type: ignore[union-attr]
        self.assertEqual(told, [("a", "one@home"), ("a", None)])

    def test_what_is_not_locked_cannot_be_unlocked(self) -> None:
        """It is not found."""
        self.refused(self.one.fs.unlock("a"), NotFound)
        self.refused(self.one.fs.unlock("a", force=True), NotFound)

    def test_bad_arguments_are_refused(self) -> None:
        """Before anything is written."""
        self.done(self.one.fs.make_directory("d"))
        self.refused(self.one.fs.lock("d"), IsADirectory)
        self.refused(self.one.fs.lock(""), InvalidPath)
        self.refused(self.one.fs.lock("IFAP/metadata"), InvalidPath)
        for wrong in ({"seconds": 0}, {"seconds": 7 * 86400 + 1}, {"holder": "x" * 129}, {"holder": "a\nb"}):
            self.refused(self.one.fs.lock("a", **wrong), CallerError)
        self.assertEqual(self.objects(), 0)

    def test_a_lock_that_nobody_waits_for_any_more_is_given_back(self) -> None:
        """Its caller cancelled."""
        self.one.gate = self.one.store.gate = Turnstile("append")
        taking = self.one.fs.lock("a")
        taking.cancel()
        self.failureResultOf(taking)
        self.one.gate.release()
        self.done(self.two.fs.lock("a"))
        self.assertEqual(self.objects(), 1)

    def test_a_verb_of_the_same_device_is_the_holder(self) -> None:
        """Another process with the same name in the history: a lock of the command line outlives its process."""
        identity = self.one.fs.desk.writer.drafting._identity
        lock = self.done(self.one.fs.lock("a"))
        self.done(self.one.fs.close())
        again = Device(self.folder, identity=identity)
        self.assertTrue(self.done(again.fs.locks())[0].mine)
        self.done(again.fs.put("a", b"by the next verb"))
        placed = again.fs.desk.view.index.history("a").current
        assert placed is not None
        self.assertEqual(placed.version.lock, lock.id)
        self.done(again.fs.lock("a", renew=lock.id))
        self.done(again.fs.unlock("a"))
        self.assertEqual(self.objects(), 0)


class EndingTests(LockCase):
    """What becomes of locks whose holders are gone (R14)."""

    def waited(self, work: Any) -> float:
        """How long a device has to try, once a second, until it may."""
        start = self.folder.clock.seconds()
        while self.folder.clock.seconds() - start < 2 * LEASE:
            try:
                self.done(work())
            except Locked:
                self.pass_time(1.0, step=1.0)
                continue
            return self.folder.clock.seconds() - start
        raise AssertionError("the lock outlived its holder")

    def kill(self, device: Device) -> None:
        """Nothing more comes from it."""
        device.store.go_offline()

    def test_after_its_holder_was_killed_a_lock_is_taken_within_the_lease(self) -> None:
        """By one who watched, and by one who comes; at most the lease and a tenth (R14)."""
        self.done(self.one.fs.lock("a"))
        self.kill(self.one)
        waited = self.waited(lambda: self.two.fs.lock("a"))
        self.assertLessEqual(waited, LEASE * 1.1)
        self.assertGreaterEqual(waited, LEASE - 2)

    def test_after_its_holder_was_killed_a_newcomer_writes_within_the_lease(self) -> None:
        """One who has just begun knows the lease by the server's dates only; a put is enough (R14)."""
        self.done(self.one.fs.lock("a"))
        self.kill(self.one)
        self.pass_time(LEASE * 0.9)
        three = Device(self.folder)
        waited = self.waited(lambda: three.fs.put("a", b"newcomer"))
        self.assertLessEqual(LEASE * 0.9 + waited, LEASE * 1.1)
        self.assertGreaterEqual(LEASE * 0.9 + waited, LEASE - 2)
        self.assertEqual(self.current(), b"newcomer")

    def test_clocks_that_are_off_by_ten_minutes_change_nothing(self) -> None:
        """Neither the holder's nor the next one's calendar is asked (R14)."""
        for holder, other in ((600.0, -600.0), (-600.0, 600.0), (600.0, 0.0), (0.0, -600.0)):
            folder = self.folder = Folder()
            one, two = Device(folder, offset=holder), Device(folder, offset=other)
            self.done(one.fs.put("a", b""))
            self.done(one.fs.lock("a"))
            self.kill(one)
            waited = self.waited(lambda two=two: two.fs.lock("a"))  # type: ignore[misc]
            self.assertLessEqual(waited, LEASE * 1.1, (holder, other))
            self.assertGreaterEqual(waited, LEASE - 2, (holder, other))

    def test_a_refused_try_costs_little(self) -> None:
        """Once the server's time is known nothing is written to learn it again."""
        self.done(self.one.fs.lock("a"))
        three = Device(self.folder)
        before = self.folder.shelf.uidnext
        for _ in range(20):
            self.refused(three.fs.lock("a"), Locked)
            self.pass_time(1.0)
        self.assertLessEqual(self.folder.shelf.uidnext - before, 1)

    def test_a_holder_that_slept_cannot_commit(self) -> None:
        """It sleeps for an hour; when it wakes it is told so, and nothing of it is written (R14)."""
        self.done(self.one.fs.lock("a"))
        self.one.store.go_offline()
        self.pass_time(HOUR, step=60.0)
        self.done(self.two.fs.lock("a"))
        self.done(self.two.fs.put("a", b"by two"))
        self.one.store.go_online()
        before = self.folder.shelf.uidnext
        self.refused(self.one.fs.put("a", b"by one"), LeaseLost)
        self.assertEqual((self.current(), self.folder.shelf.uidnext), (b"by two", before))

    def test_a_write_does_not_shorten_what_is_just_being_renewed(self) -> None:
        """It found that the lease had run out, and waits for the renewal of its user, who asked for more."""
        lock = self.done(self.one.fs.lock("a", seconds=30))
        self.pass_time(40)
        slow = self.one.store.gate = Turnstile("append")
        renewing = self.one.fs.lock("a", renew=lock.id, seconds=LEASE)
        putting = self.one.fs.put("a", b"mine")
        self.pass_time(5.0)
        slow.release()
        self.assertEqual(self.done(renewing).seconds, LEASE)
        self.done(putting)
        (held,) = self.done(self.two.fs.locks())
        self.assertEqual((held.id, held.seconds), (lock.id, LEASE))
        self.pass_time(LEASE - 10)
        self.refused(self.two.fs.put("a", b"other"), Locked)

    def test_a_lock_that_was_taken_for_one_write_and_renewed_by_its_user_stays(self) -> None:
        """Who overwrites where a lock has run out holds one meanwhile; renewed, it is no longer the write's."""
        self.done(self.one.fs.lock("a"))
        self.kill(self.one)
        self.pass_time(HOUR, step=60.0)
        slow = self.two.store.gate = Turnstile("append")
        writing = self.two.fs.put("a", b"by two")
        self.pass_time(5.0)
        slow.release(1)
        self.pass_time(5.0)
        (lock,) = self.done(self.two.fs.locks())
        renewing = self.two.fs.lock("a", renew=lock.id)
        slow.release()
        self.pass_time(5.0)
        self.assertEqual(self.done(renewing).id, lock.id)
        self.done(writing)
        self.assertEqual([(one.id, one.mine) for one in self.done(self.two.fs.locks())], [(lock.id, True)])
        self.done(self.two.fs.unlock("a"))
        self.assertEqual(self.current(), b"by two")

    def test_what_a_sleeper_had_on_its_way_is_a_conflict_and_not_current(self) -> None:
        """It slept between its last look and its message: it is told ``lease-lost``, and nothing is lost (R14)."""
        self.done(self.one.fs.lock("a"))
        self.one.gate = self.one.store.gate = Turnstile("append")
        late = self.one.fs.put("a", b"by one")
        self.pass_time(HOUR, step=60.0)
        self.done(self.two.fs.put("a", b"by two"))
        self.one.gate.release()
        self.refused(late, LeaseLost)
        self.assertEqual(self.current(), b"by two")
        heads = self.done(Device(self.folder).fs.conflicts("a"))
        self.assertEqual([head.size for head in heads], [len(b"by two"), len(b"by one")])
        self.assertEqual({self.current_of(head) for head in heads}, {b"by two", b"by one"})
        self.assertEqual(self.unlike_reference(b"by one"), [], "it goes by the highest UID, and knows no fencing")
        self.done(self.two.fs.resolve("a"))
        self.assertEqual(self.unlike_reference(b"by two"), [])

    def current_of(self, head: Any) -> bytes:
        """The content of a head."""
        return self.done(Device(self.folder).fs.get("a", version=head.version))

    def test_what_came_too_late_stays_so_when_the_next_lock_is_gone(self) -> None:
        """Also when it arrives after the one who took over has given the lock back."""
        self.done(self.one.fs.lock("a"))
        self.one.gate = self.one.store.gate = Turnstile("append")
        late = self.one.fs.put("a", b"by one")
        self.pass_time(HOUR, step=60.0)
        self.done(self.two.fs.lock("a"))
        self.done(self.two.fs.put("a", b"by two"))
        self.done(self.two.fs.unlock("a"))
        three = Device(self.folder)
        self.done(three.fs.lock("a"))
        self.done(three.fs.unlock("a"))
        self.one.gate.release()
        self.refused(late, LeaseLost)
        self.assertEqual(self.current(), b"by two")
        self.assertLessEqual(self.objects(), 2)

    def test_a_late_write_stops_nobody_who_holds_the_lock(self) -> None:
        """It expects what was there before; the late one stays in conflict until somebody looks."""
        self.done(self.one.fs.lock("a"))
        self.one.gate = self.one.store.gate = Turnstile("append")
        late = self.one.fs.put("a", b"by one")
        self.pass_time(HOUR, step=60.0)
        self.done(self.two.fs.lock("a"))
        self.one.gate.release()
        self.refused(late, LeaseLost)
        self.assertEqual(self.current(), b"first")
        self.done(self.two.fs.put("a", b"by two", expect=self.first.version))
        self.assertEqual(self.current(), b"by two")
        self.assertEqual(len(self.done(self.two.fs.conflicts("a"))), 2)
        self.done(self.two.fs.resolve("a"))
        self.assertEqual(self.done(self.two.fs.conflicts()), [])
        self.assertEqual(self.current(), b"by two")

    def test_a_holder_that_slept_while_nobody_came_goes_on(self) -> None:
        """Its lock is renewed before it writes."""
        lock = self.done(self.one.fs.lock("a"))
        self.pass_time(HOUR, step=60.0)
        self.done(self.one.fs.put("a", b"after an hour"))
        self.assertEqual(self.current(), b"after an hour")
        self.assertEqual(self.done(self.one.fs.locks())[0].id, lock.id)

    def test_an_unlock_of_a_lost_lock_tells_so(self) -> None:
        """Once."""
        self.done(self.one.fs.lock("a"))
        self.pass_time(HOUR, step=60.0)
        self.done(self.two.fs.put("a", b"by two"))
        self.refused(self.one.fs.unlock("a"), LeaseLost)
        self.refused(self.one.fs.unlock("a"), NotFound)
        self.done(self.one.fs.put("a", b"by one again"))
        self.assertEqual(self.current(), b"by one again")

    def test_a_lock_can_be_broken_and_its_holder_is_named(self) -> None:
        """What the holder then writes is refused to it."""
        lock = self.done(self.one.fs.lock("a"))
        broken = self.done(self.two.fs.unlock("a", force=True))
        self.assertEqual((broken.id, broken.holder, broken.mine), (lock.id, "one@home", False))
        self.assertEqual(self.done(self.two.fs.locks()), [])
        self.refused(self.one.fs.put("a", b"by one"), LeaseLost)
        self.done(self.two.fs.put("a", b"by two"))
        self.assertEqual(self.current(), b"by two")

    def test_a_write_on_its_way_when_its_lock_is_broken_comes_too_late(self) -> None:
        """As after a takeover."""
        self.done(self.one.fs.lock("a"))
        self.one.gate = self.one.store.gate = Turnstile("append")
        late = self.one.fs.put("a", b"by one")
        self.done(self.two.fs.unlock("a", force=True))
        self.one.gate.release()
        self.refused(late, LeaseLost)
        self.assertEqual(self.current(), b"first")


class Slow(MemoryStore):
    """On a slow line: what was asked for is as old as the question when it comes."""

    line: Deferred[None] | None = None

    @deferred
    async def headers(self, first: int, last: int | None = None) -> Mapping[int, HeaderBlock]:
        found = await super().headers(first, last)
        if self.line is not None:
            await self.line
        return found


class SlowTests(LockCase):
    """A server that tells nothing by itself, and a refresh that takes two minutes."""

    def test_a_lock_of_two_minutes_ago_is_respected(self) -> None:
        """What is known was asked for then: the end of the answer makes it no newer."""
        store = Slow(self.folder.shelf, clock=self.folder.clock, traits=replace(FULL_TRAITS, pushes=False))
        three = Device(self.folder, store=store)
        self.pass_time(60.0)
        self.done(self.one.fs.put("b", b"1"))
        store.line = line = Deferred()
        refreshing = three.fs.desk.view.refresh()
        self.pass_time(1.0)
        self.done(self.one.fs.lock("a"))
        self.pass_time(120.0)
        store.gate = turnstile = Turnstile("poll")
        store.line = None
        line.callback(None)
        self.done(refreshing)
        putting = three.fs.put("a", b"overwritten")
        self.pass_time(1.0)
        turnstile.release()
        self.refused(putting, Locked)
        self.assertEqual(self.current(), b"first")

    def test_a_lock_that_was_taken_while_the_folder_was_opened_is_respected(self) -> None:
        """The first listing takes as long."""
        store = Slow(self.folder.shelf, clock=self.folder.clock, traits=replace(FULL_TRAITS, pushes=False))
        store.line = line = Deferred()
        opening = self.folder.opening(store=store)
        self.done(self.one.fs.lock("a"))
        self.pass_time(120.0)
        store.line = None
        line.callback(None)
        three = result(opening).filesystem
        self.refused(three.put("a", b"overwritten"), Locked)
        self.assertEqual(self.current(), b"first")


class UnknownTests(LockCase):
    """A lock that was asked for, with an answer that never came, while another device holds the path."""

    def setUp(self) -> None:
        super().setUp()
        self.done(self.one.fs.lock("a", seconds=3600))
        self.two.store.doom_next(Fate.CUT_LATE)
        answers = self.two.store.headers
        self.two.store.headers = lambda *_range: fail(Unavailable())
        taking = self.two.fs.lock("a")
        self.pass_time(200.0)
        self.refused(taking, OutcomeUnknown)
        self.folder.shelf.deliver_late()
        self.two.store.headers = answers
        self.pass_time(60.0)

    def test_unlock(self) -> None:
        """What waited behind the holder's lock is ended, and it is told that the path is locked all the same."""
        self.assertEqual(self.refused(self.two.fs.unlock("a", force=False), Locked).holder, "one@home")
        self.assertEqual([lock.holder for lock in self.done(self.two.fs.locks())], ["one@home"])

    def test_unlock_by_force_while_the_holder_ends_its_own(self) -> None:
        """What waited behind it was ended: that is told, and not that there was no lock."""
        self.two.gate = self.two.store.gate = Turnstile("remove")
        unlocking = self.two.fs.unlock("a", force=True)
        self.done(self.one.fs.unlock("a"))
        self.two.gate.release()
        self.assertTrue(self.done(unlocking).mine)
        self.assertEqual(self.done(self.two.fs.locks()), [])

    def test_unlock_by_force_in_vain(self) -> None:
        """Others lock it each time: it is not told as free."""
        self.patch(Claims, "_break", lambda *_args: succeed(None))
        self.assertEqual(self.refused(self.two.fs.unlock("a", force=True), Locked).holder, "one@home")

    def test_unlock_by_force(self) -> None:
        """The lock that holds is broken, and named."""
        broken = self.done(self.two.fs.unlock("a", force=True))
        self.assertEqual((broken.holder, broken.mine), ("one@home", False))
        self.assertEqual(self.done(self.two.fs.locks()), [])


class LateTests(LockCase):
    """A write that came after its lock had been broken."""

    def setUp(self) -> None:
        super().setUp()
        self.done(self.one.fs.lock("a"))
        self.one.gate = self.one.store.gate = Turnstile("append")
        late = self.one.fs.put("a", b"by one")
        self.done(self.two.fs.unlock("a", force=True))
        self.done(self.two.fs.put("a", b"by two"))
        self.one.gate.release()
        self.refused(late, LeaseLost)

    def test_its_loss(self) -> None:
        """Its caller was told that it was kept, so that its loss is told at once."""
        at = self.one.fs.desk.view.index.at
        late = [uid for uid in self.folder.shelf.messages if (found := at(uid)) is not None and found.lock is not None]
        self.folder.shelf.remove(late)
        self.done(self.one.fs.refresh())
        told = [(one.code, one.path) for one in self.done(self.one.fs.status()).warnings]
        self.assertIn(("vanished", "a"), told)

    def test_a_listing_of_the_past(self) -> None:
        """It shows what was current then: not what came too late."""
        now = self.folder.clock.seconds() + 1.0
        self.assertEqual(self.done(self.two.fs.list("/", at=now)), self.done(self.two.fs.list("/")))


class ContextTests(LockCase):
    """A lock around a block of code."""

    def test_it_is_renewed_while_the_block_lasts_and_given_back_after(self) -> None:
        """For as long as it takes."""

        async def edit() -> None:
            async with self.one.fs.lock("a", seconds=60) as lock:
                self.assertTrue(lock.mine)
                await self.one.fs.put("a", b"edited")
                await gate
                await self.one.fs.put("a", b"edited again")

        gate: Deferred[None] = Deferred()
        work = Deferred.fromCoroutine(edit())
        self.pass_time(HOUR)
        self.refused(self.two.fs.lock("a"), Locked)
        gate.callback(None)
        self.done(work)
        self.assertEqual((self.current(), self.objects()), (b"edited again", 0))
        self.assertEqual([call for call in self.folder.clock.getDelayedCalls() if "renew" in repr(call)], [])

    def test_renewals_leave_nothing_behind(self) -> None:
        """Two objects at most: the first, whose UID counts, and the last renewal."""
        holding = self.one.fs.lock("a", seconds=60)
        self.done(Deferred.fromCoroutine(holding.__aenter__()))
        self.pass_time(HOUR)
        self.assertEqual(self.objects(), 2)
        self.done(Deferred.fromCoroutine(holding.__aexit__(None, None, None)))
        self.assertEqual(self.objects(), 0)

    def test_a_loss_is_told_at_the_end_of_the_block(self) -> None:
        """Though nothing was written in it."""
        holding = self.one.fs.lock("a", seconds=60)
        self.done(Deferred.fromCoroutine(holding.__aenter__()))
        self.done(self.two.fs.unlock("a", force=True))
        self.pass_time(60.0)
        self.refused(Deferred.fromCoroutine(holding.__aexit__(None, None, None)), LeaseLost)

    def test_an_error_of_the_block_counts_more(self) -> None:
        """And the lock is given back."""

        async def fail() -> None:
            async with self.one.fs.lock("a"):
                raise ZeroDivisionError

        self.refused(Deferred.fromCoroutine(fail()), ZeroDivisionError)
        self.assertEqual(self.objects(), 0)

    def test_a_server_that_is_away_for_a_while_costs_no_lock(self) -> None:
        """The next renewal comes in time."""
        holding = self.one.fs.lock("a", seconds=90)
        self.done(Deferred.fromCoroutine(holding.__aenter__()))
        self.one.store.fail_next("append", Unavailable())
        self.pass_time(200.0)
        self.refused(self.two.fs.lock("a"), Locked)
        self.done(Deferred.fromCoroutine(holding.__aexit__(None, None, None)))
        self.flushLoggedErrors()


class ServerTests(LockCase):
    """What servers do."""

    def test_without_uidplus_locks_end_by_a_message(self) -> None:
        """Nothing can be removed; the next lock is taken all the same."""
        traits = {"traits": FULL_TRAITS.__class__(reports_uid=False, expunges_by_uid=False, pushes=True)}
        one = Device(self.folder, store=self.folder.store(**traits))
        two = Device(self.folder, store=self.folder.store(**traits))
        for device, other in ((one, two), (two, one), (one, two)):
            self.done(device.fs.lock("a"))
            self.refused(other.fs.lock("a"), Locked)
            self.refused(other.fs.put("a", b"x"), Locked)
            self.done(device.fs.put("a", b"y"))
            self.done(device.fs.unlock("a"))
            self.assertEqual(self.done(other.fs.locks()), [])
        self.done(self.two.fs.lock("a"))
        self.done(self.two.fs.unlock("a"))
        self.assertLessEqual(self.objects(), 2)  # who can remove messages does

    def test_a_renumbering_ends_all_locks(self) -> None:
        """The holder is told before it writes (FORMAT 10.2)."""
        self.done(self.one.fs.lock("a"))
        self.folder.shelf.renumber()
        self.pass_time(30.0)
        self.assertEqual(self.done(self.two.fs.locks()), [])
        self.refused(self.one.fs.put("a", b"by one"), LeaseLost)
        self.done(self.two.fs.put("a", b"by two"))
        self.done(self.two.fs.lock("a"))
        self.assertEqual((self.current(), self.objects()), (b"by two", 1))

    def test_an_unlock_that_waited_during_a_renumbering_removes_no_other_message(self) -> None:
        """Its lock is over; the message that has the number of the lock object now stays (FORMAT 2.5)."""
        self.done(self.one.fs.put("c", b"only version"))
        lock = self.done(self.one.fs.lock("a"))
        index = self.one.fs.desk.view.index
        (at_lock,), (at_c,) = index.objects(PREFIX)[0].places, index.history("c").current.places
        self.one.store.gate = dates = Turnstile("dates")
        renewing, unlocking = self.one.fs.lock("a", renew=lock.id), self.one.fs.unlock("a")
        self.assertEqual(dates.held, ["dates"])
        self.one.store.gate = headers = Turnstile("headers")
        order = [{at_lock: at_c, at_c: at_lock}.get(uid, uid) for uid in self.folder.shelf.messages]
        self.folder.shelf.renumber(order)
        dates.release()
        headers.release()
        self.refused(renewing, Renumbered)
        self.refused(unlocking, LeaseLost)
        self.assertEqual((self.current("c"), len(self.folder.shelf.messages)), (b"only version", len(order)))

    def test_a_server_whose_clock_jumps_back_keeps_no_lock_for_ever(self) -> None:
        """Who watches knows by its own clock, a day back or not."""
        self.done(self.one.fs.lock("a"))
        self.one.store.go_offline()
        back = Device(self.folder, store=MemoryStore(self.folder.shelf, clock=_Shifted(self.folder.clock, -86400.0)))
        self.done(back.fs.put("b", b""))
        self.refused(back.fs.lock("a"), Locked)
        self.pass_time(LEASE + 1)
        self.done(back.fs.lock("a"))

    def test_foreign_and_damaged_objects_lock_nothing(self) -> None:
        """Whatever lies below the reserved name."""
        self.done(self.one.fs.lock("a"))
        (uid,) = self.one.fs.desk.view.index.history(next(self._lock_paths())).versions[0].places
        whole = self.folder.shelf.messages[uid]
        self.done(self.one.fs.unlock("a"))
        place = whole.index(b"X-IFAP:") + 100
        self.folder.shelf.add(whole[:place] + b"AAAA" + whole[place + 4 :])
        self.folder.shelf.add(b"Subject: IFAP/locks/x\r\n\r\nnot ours\r\n")
        three = Device(self.folder)
        self.assertEqual(self.done(three.fs.locks()), [])
        self.done(three.fs.put("a", b"free"))
        self.done(self.two.fs.put("a", b"free too"))

    def _lock_paths(self) -> Any:
        return (path for path in self.one.fs.desk.view.index.paths() if path.startswith(PREFIX))

    def test_a_lock_that_the_server_shows_again_ends_again(self) -> None:
        """A replayed object is one that nobody renews."""
        self.done(self.one.fs.lock("a"))
        (uid,) = self.one.fs.desk.view.index.history(next(self._lock_paths())).versions[0].places
        replay = self.folder.shelf.messages[uid]
        self.done(self.one.fs.unlock("a"))
        self.folder.shelf.add(replay)
        self.refused(self.two.fs.put("a", b"x"), Locked)
        self.pass_time(LEASE + 1)
        self.done(self.two.fs.put("a", b"x"))
        self.assertEqual(self.current(), b"x")

    def test_an_unknown_outcome_leaves_no_lock_longer_than_its_lease(self) -> None:
        """The claim may be there; it is not renewed."""
        self.one.store.doom_next(Fate.CUT_LATE)
        self.one.store.fail_next("headers", Unavailable(), 40)
        taking = self.one.fs.lock("a")
        self.pass_time(200.0)
        self.refused(taking, OutcomeUnknown)
        self.folder.shelf.deliver_late()
        self.pass_time(LEASE + 1)
        self.done(self.two.fs.put("a", b"x"))
        self.flushLoggedErrors()

    def test_when_the_server_is_away_nothing_is_overwritten(self) -> None:
        """Whether it is locked cannot be told."""
        self.done(self.one.fs.lock("a"))
        self.two.store.fail_next("dates", Unavailable())
        self.refused(self.two.fs.put("a", b"x"), Unavailable)
        self.assertEqual(self.current(), b"first")

    def test_a_thousand_stale_locks_are_no_burden(self) -> None:
        """Their holder died long ago; the file is taken with a handful of messages, and they are removed."""
        for number in range(1000):
            self.done(self.one.fs.lock(f"many/{number}"))
        self.one.store.go_offline()
        self.pass_time(LEASE + 1, step=60.0)
        three = Device(self.folder)
        before = self.folder.shelf.uidnext
        self.done(three.fs.put("many/7", b""))
        self.assertEqual(self.folder.shelf.uidnext - before, 1)  # it is an addition
        self.done(three.fs.put("many/7", b"again"))
        self.assertEqual(self.done(three.fs.locks()), [])
        self.assertEqual(result(three.fs.status()).locks, 0)
        self.assertLessEqual(self.folder.shelf.uidnext - before, 6)

    def test_locks_of_one_path_that_were_left_behind_are_removed_by_the_next(self) -> None:
        """Each holder died; what they left does not grow."""
        for number in range(20):
            device = Device(self.folder)
            self.done(device.fs.lock("a"))
            device.store.go_offline()
            self.pass_time(LEASE + 1, step=60.0)
        self.assertLessEqual(self.objects(), 8)

    def test_an_unencrypted_folder_is_locked_the_same_way(self) -> None:
        """But no path so long that the reference programs would die of the object."""
        from ifap_twisted.filesystem.opening import Membership

        folder = self.folder = Folder()
        one = Device(folder, membership=Membership(encrypted=False), make_key=False)
        two = Device(folder, membership=Membership(encrypted=False))
        self.done(one.fs.put("a", b""))
        self.done(one.fs.lock("a"))
        self.refused(two.fs.put("a", b"x"), Locked)
        self.refused(one.fs.lock("x" * 250 + "/" + "y" * 250), InvalidPath)


class ProcessTests(PlacedTestCase, LockCase):
    """Verbs without a node: each a process of its own, of one device that remembers its locks in its basedir."""

    def setUp(self) -> None:
        PlacedTestCase.setUp(self)
        LockCase.setUp(self)
        self.base = self.held_basedir()

    def verb(self, *, renewed: bool = False) -> Filesystem:
        """The next process.

        :param renewed: which had to take another name in the history (FORMAT 3.2).
        """
        identity = result(FileWriter.open(self.base, self.folder.random, InlineWorker()))
        if renewed:
            result(identity.renew())
        locks = result(FileLocks.open(self.base, InlineWorker()))
        return Device(self.folder, identity=identity, locks=locks).fs

    def test_a_broken_lock_is_told_to_the_next_process(self) -> None:
        """Before it overwrites what it has not seen; once: who has looked goes on without the lock."""
        self.done(self.verb().lock("a"))
        self.done(self.two.fs.unlock("a", force=True))
        self.done(self.two.fs.put("a", b"other"))
        self.refused(self.verb().put("a", b"mine"), LeaseLost)
        self.assertEqual(self.current(), b"other")
        self.done(self.verb().put("a", b"mine"))
        self.assertEqual(self.current(), b"mine")

    def test_a_lock_that_was_taken_over_is_told_to_the_next_process(self) -> None:
        """Its lease ran out, somebody else locked, wrote and unlocked: also unlock says so."""
        for act in (lambda: self.verb().put("a", b"mine"), lambda: self.verb().unlock("a")):
            self.done(self.verb().lock("a"))
            self.folder.clock.advance(LEASE + 1)
            self.done(self.two.fs.lock("a"))
            self.done(self.two.fs.put("a", b"other"))
            self.done(self.two.fs.unlock("a"))
            self.refused(act(), LeaseLost)
            self.refused(self.verb().unlock("a"), NotFound)

    def test_a_lock_that_ran_out_while_nobody_came(self) -> None:
        """It is over, and in nobody's way."""
        self.done(self.verb().lock("a"))
        self.folder.clock.advance(LEASE + 1)
        self.done(self.two.fs.put("b", b"which tells the time"))
        self.done(self.verb().put("a", b"mine"))
        self.done(self.two.fs.put("a", b"other"))
        self.done(self.verb().put("a", b"mine again"))
        self.assertEqual(self.current(), b"mine again")

    def test_under_another_name_the_lock_is_its_own(self) -> None:
        """After a write was queued the device has another name in the history: it is not locked out by itself."""
        lock = self.done(self.verb().lock("a"))
        (known,) = self.done(self.verb(renewed=True).locks())
        self.assertEqual((known.mine, known.id), (True, lock.id))
        entry = self.done(self.verb(renewed=True).put("a", b"mine"))
        self.assertEqual(entry.locked.id, lock.id)
        self.assertTrue(self.done(self.verb(renewed=True).unlock("a")).mine)
        self.refused(self.verb().unlock("a"), NotFound)
        self.assertEqual(self.objects(), 0)

    def test_a_lock_whose_end_was_cut_is_still_its_own(self) -> None:
        """It can be ended again; nobody is locked out by a lock of its own, or told of the loss of what it ended."""
        for method in ("remove", "answer to remove"):
            for again in (False, True):
                for name in ("a", "b"):
                    fs = self.verb()
                    self.done(fs.put(name, b"0"))
                    self.done(fs.lock(name, seconds=7 * 86400))
                    self.store_of(fs).fail_next(method, Unavailable())
                    self.refused(fs.unlock(name), Unavailable)
                    result(fs.desk.writer.sending._identity.renew())  # as after an outcome that nobody knows
                    then = self.verb() if again else fs
                    if name == "a" and method == "remove":
                        self.assertTrue(self.done(then.unlock(name)).mine)
                    elif name == "a":
                        self.refused(then.unlock(name), NotFound)
                    self.done(then.put(name, b"1"))
                    self.refused_or_done(then.unlock(name))
                    self.assertEqual(self.objects(), 0)

    def test_a_lock_that_may_have_been_taken_is_its_own(self) -> None:
        """The answer to it was lost, and the device has another name now: it can write, and end it."""
        fs = self.verb()
        self.done(fs.put("a", b"0"))
        self.store_of(fs).fail_next("dates", Unavailable())
        self.refused(fs.lock("a", seconds=7 * 86400), Unavailable)
        result(fs.desk.writer.sending._identity.renew())
        self.refused(self.two.fs.put("a", b"other"), Locked)
        self.done(fs.put("a", b"1"))
        self.done(self.verb().put("a", b"2"))
        self.assertTrue(self.done(self.verb().unlock("a")).mine)
        self.done(self.two.fs.put("a", b"other"))

    def test_a_lock_for_one_write_that_could_not_be_given_back(self) -> None:
        """It keeps the others out until it runs out, never its own device."""
        fs = self.verb()
        self.done(self.two.fs.lock("a"))
        self.pass_time(LEASE + 1)
        cut = self.patch(Claims, "_withdraw", lambda *_args: fail(Unavailable()))
        self.done(fs.put("a", b"1"))
        cut.restore()
        result(fs.desk.writer.sending._identity.renew())
        self.done(fs.put("a", b"2"))
        self.done(self.verb().put("a", b"3"))
        self.refused(Device(self.folder).fs.put("a", b"other"), Locked)

    def store_of(self, fs: Filesystem) -> MemoryStore:
        """Its session."""
        store = fs.desk.view.store
        assert isinstance(store, MemoryStore)
        return store

    def refused_or_done(self, unlocking: Deferred[Any]) -> None:
        """An end of what may be over already."""
        try:
            self.done(unlocking)
        except NotFound:
            return

    def test_a_copy_of_the_basedir_holds_nothing(self) -> None:
        """Cloned or restored: two machines never hold one lock."""
        self.done(self.verb().lock("a"))
        copy = self.place / "copy"
        shutil.copytree(self.base.path, copy)
        self.base = Basedir(copy)
        self.addCleanup(self.base.close)
        result(self.base.hold(0, self.folder.clock))
        self.refused(self.verb().put("a", b"by the copy"), Locked)

    def test_a_lock_that_cannot_be_kept_is_given_back(self) -> None:
        """The disk is full: nobody is kept out by a lock of which the next process would not know."""
        verb = self.verb()
        fault = IFAPError("No space left on device.")
        self.patch(FileLocks, "keep", lambda *_args: fail(fault))
        self.assertIs(fault, self.refused(verb.lock("a"), IFAPError))
        self.assertEqual(self.objects(), 0)
        self.done(self.two.fs.lock("a"))

    def test_a_damaged_memory_holds_up_nothing(self) -> None:
        """The locks in it are not known any more, and can be broken; the next one is kept again."""
        path = self.base.journal.path / "locks.json"
        for damaged in ("", "{", '{"format": 1, "locks": 1}', '{"format": 1, "locks": [1]}', '{"locks": [{"id": 1}]}'):
            self.done(self.verb().lock("a"))
            content = json.loads(path.read_text())
            path.write_text(damaged if "[1]" not in damaged else json.dumps({**content, "locks": [{"id": 1}]}))
            self.assertFalse(self.done(self.verb().locks())[0].mine)
            self.refused(self.verb().unlock("a"), Locked)
            self.done(self.verb().unlock("a", force=True))
            self.done(self.verb().lock("b"))
            self.assertTrue(self.done(self.verb().locks())[0].mine)
            self.done(self.verb().unlock("b"))

    def test_no_path_is_kept(self) -> None:
        """Who reads the basedir without a key learns no name; what was given back is not there any more."""
        self.done(self.verb().lock("secret-name"))
        text = (self.base.journal.path / "locks.json").read_text()
        self.assertNotIn("secret-name", text)
        self.assertEqual(1, len(json.loads(text)["locks"]))
        self.done(self.verb().unlock("secret-name"))
        self.assertEqual([], json.loads((self.base.journal.path / "locks.json").read_text())["locks"])


class _Shifted:
    """A clock that is off."""

    def __init__(self, clock: Any, offset: float) -> None:
        self._clock = clock
        self._offset = offset

    def seconds(self) -> float:
        """The wrong time."""
        return self._clock.seconds() + self._offset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


class ManyDevicesTests(SynchronousTestCase):
    """Whatever several devices do in whatever order, no two write under locks of theirs without one being told."""

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2), st.sampled_from(["lock", "put", "unlock", "force", "wait", "long", "renumber"])
            ),
            max_size=14,
        )
    )
    @settings(max_examples=60, deadline=None)
    def test_nothing_is_lost_and_one_holds_at_most(self, steps: list[tuple[int, str]]) -> None:
        """What was accepted is current, an old version, or in conflict; all devices agree on the holder."""
        folder = Folder()
        devices = [Device(folder) for _ in range(3)]
        result(devices[0].fs.put("a", b"0"))
        accepted = {b"0"}
        for number, (who, what) in enumerate(steps, 1):
            fs, data = devices[who].fs, str(number).encode()
            try:
                if what == "lock":
                    result(fs.lock("a", seconds=60))
                elif what == "put":
                    result(fs.put("a", data))
                    accepted.add(data)
                elif what in ("unlock", "force"):
                    result(fs.unlock("a", force=what == "force"))
                elif what == "renumber":
                    folder.shelf.renumber()
                else:
                    for _ in range(30):
                        folder.clock.advance(1.0 if what == "wait" else 10.0)
            except (Locked, LeaseLost, NotFound, Conflict):
                pass
            holders = [[lock.id for lock in result(device.fs.locks())] for device in devices]
            self.assertTrue(all(len(found) <= 1 for found in holders))
            self.assertLessEqual(sum(lock.mine for device in devices for lock in result(device.fs.locks())), 1)
        fresh = Device(folder).fs
        kept = {result(fresh.get("a", version=entry.version)) for entry in result(fresh.versions("a"))}
        self.assertLessEqual(accepted, kept)
