"""Edits beside removals and other changes of the same device: nothing that was acknowledged is swallowed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import ABSENT
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import Conflict, NewerVersionNeeded, Renumbered, Unavailable
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


class LastInDirectoryTests(SynchronousTestCase):
    """A directory stays when all that is in it is taken away at once (FORMAT 11.2)."""

    def setUp(self) -> None:
        folder = Folder()
        self.clock = folder.clock
        self.store = folder.store()
        self.device = folder.device(store=self.store)
        for name in "abc":
            result(self.device.put(f"d/{name}", name.encode()))
        result(self.device.make_directory("d/e"))

    def at_once(self, *works: Callable[[], Deferred[Any]]) -> list[str]:
        """Begin them all before the server takes anything; what is in the root then."""
        self.store.gate = turnstile = Turnstile("append")
        begun = [work() for work in works]
        turnstile.release()
        self.clock.pump([0.1] * 20)
        for work in begun:
            result(work)
        self.assertEqual(self.device.desk.leaving, {})
        return [entry.path for entry in result(self.device.list())]

    def test_removals(self) -> None:
        """Of files and of a directory, each by itself."""
        names = self.at_once(
            *(partial(self.device.remove, f"d/{name}") for name in "abc"),
            partial(self.device.remove_directory, "d/e"),
        )
        self.assertEqual(names, ["d"])
        self.assertEqual(len(result(self.device.versions("d"))), 1)

    def test_removals_and_moves(self) -> None:
        """Of files and of trees."""
        names = self.at_once(
            partial(self.device.remove, "d/a"),
            partial(self.device.move, "d/b", "x"),
            partial(self.device.remove, "d/e", recursive=True),
            partial(self.device.move, "d/c", "y"),
        )
        self.assertEqual(names, ["d", "x", "y"])

    def test_a_removal_that_fails(self) -> None:
        """What stays in it keeps it as before."""
        self.failureResultOf(self.device.remove("d/a", expect="V" * 22), Conflict)
        result(self.device.remove("d", recursive=True))
        self.assertEqual(list(result(self.device.list())), [])


class NewerVersionTests(SynchronousTestCase):
    """A version that a newer program wrote is never overwritten without being told to (FORMAT 1.5)."""

    def test_a_version_that_it_stands_in_conflict_with_can_be_moved_away(self) -> None:
        """The tombstone descends from the moved version only."""
        folder = Folder()
        device = folder.device()
        mine = result(device.put("a", b"1"))
        index = device.desk.view.index
        version = index.history("a").versions[0].version
        newer = version._replace(vid="N" * 22, writer="newer0", clock={"newer0": 1}, needs=("x",), understood=False)
        index.observe(0, newer)  # of lower rank, so that the other one is current
        self.failureResultOf(device.put("a", b"2"), NewerVersionNeeded)
        self.assertEqual(result(device.move("a", "b")).parents, ())
        self.assertEqual(result(device.get("b")), b"1")
        self.assertEqual(result(device.stat("a")).version, newer.vid)
        self.assertIn(mine.version, [entry.version for entry in result(device.versions("a"))])


class OneAtATimeTests(SynchronousTestCase):
    """Writes of one device to one path wait for each other, so that an expectation is held against the one before."""

    def test_a_write_begun_by_the_failure_of_another_is_waited_for_too(self) -> None:
        """Whoever tries again at once."""
        folder = Folder()
        store = folder.store()
        device = folder.device(store=store)
        store.gate = reading = Turnstile("headers")
        first = device.put("a", b"1")
        second = device.put("a", b"2", expect=ABSENT)
        third: list[Deferred[Any]] = []
        appending = Turnstile("append")

        def again(failure: Any) -> None:
            failure.trap(Conflict)
            store.gate = appending
            third.append(device.put("a", b"3"))

        second.addErrback(again)
        reading.release()
        fourth = device.put("a", b"4", expect=result(first).version)
        appending.release()
        result(third[0])
        self.failureResultOf(fourth, Conflict)
        self.assertEqual(result(device.get("a")), b"3")


class RenumberingTests(SynchronousTestCase):
    """Numbers that were looked up before the server changed them are not taken for the same messages (FORMAT 2.5)."""

    def test_a_version_found_before_is_not_called_damaged(self) -> None:
        """It waited for its turn to be read, while the folder was renumbered and read anew."""
        device = Folder().device()
        for name in "ab":
            result(device.put(name, name.encode()))
        found = device.desk.file("a").placed
        device.desk.view.store.shelf.renumber([1, 3, 2])
        self.failureResultOf(Deferred.fromCoroutine(device.desk.reader.content(found)), Renumbered)
        self.assertEqual(result(device.get("a")), b"a")


class KeepTests(SynchronousTestCase):
    """To say how many versions are kept changes nothing else."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.store = self.folder.store()
        self.device = self.folder.device(store=self.store)
        result(self.device.put("a", b"old"))

    def test_an_edit_that_comes_while_the_content_is_read_stays_current(self) -> None:
        """The old content is not written over it."""
        self.store.gate = turnstile = Turnstile("message")
        keeping = self.device.keep("a", 9)
        result(self.folder.device().put("a", b"edited"))
        turnstile.release()
        self.assertEqual(result(keeping).keep, 9)
        self.assertEqual(result(self.device.get("a")), b"edited")

    def test_a_conflict_is_not_ended_by_it(self) -> None:
        """Nobody has looked at the other head yet (FORMAT 3.4)."""
        other_store = self.folder.store()
        other = self.folder.device(store=other_store)
        other_store.gate = turnstile = Turnstile("append")
        putting = other.put("a", b"theirs")
        result(self.device.put("a", b"ours"))
        turnstile.release()
        result(putting)
        result(self.device.keep("a", 9))
        self.assertEqual(len(result(self.device.conflicts("a"))), 2)


class BatchTests(SynchronousTestCase):
    """Inside a batch one's own writes are there, whatever is done with them."""

    def setUp(self) -> None:
        self.store = Folder().store()
        self.device = Folder(shelf=self.store.shelf).device(store=self.store)
        self.turnstile = Turnstile("headers")

    def run_batch(self, block: Any) -> None:
        """Run it while nothing that is put is read back yet."""

        @deferred
        async def work() -> None:
            async with self.device.batch():
                await block()

        self.store.gate = self.turnstile
        working = work()
        self.turnstile.release()
        result(working)

    def test_what_was_just_put_can_be_moved_and_removed(self) -> None:
        """Though it is not read back yet."""

        async def block() -> None:
            await self.device.put("a", b"1")
            await self.device.put("b", b"2")
            await self.device.move("a", "c")
            await self.device.remove("b")

        self.run_batch(block)
        self.assertEqual([entry.path for entry in result(self.device.list())], ["c"])

    def test_what_was_just_put_can_be_expected(self) -> None:
        """Its version is known from the first put."""

        async def block() -> None:
            entry = await self.device.put("a", b"1")
            await self.device.put("a", b"2", expect=entry.version)

        self.run_batch(block)
        self.assertEqual(result(self.device.get("a")), b"2")

    def test_a_put_that_is_cancelled_before_it_is_sent_stores_nothing(self) -> None:
        """As outside of a batch."""
        never: Deferred[bytes] = Deferred()

        async def source() -> Any:
            yield await never

        async def block() -> None:
            putting = self.device.put("a", source())
            putting.cancel()
            with contextlib.suppress(CancelledError):
                await putting

        self.run_batch(block)
        self.assertEqual(result(self.device.list()), [])


class ClosingTests(SynchronousTestCase):
    """``close`` waits for what was accepted, to its end."""

    def test_a_move_that_is_half_done_is_finished(self) -> None:
        """The destination is written, the tombstone is not yet (FORMAT 11.3)."""
        folder = Folder()
        store = folder.store()
        device = folder.device(store=store)
        result(device.put("a", b"1"))
        store.gate = turnstile = Turnstile("message")
        moving = device.move("a", "b")
        closing = device.close()
        self.assertNoResult(closing)
        turnstile.release()
        result(closing)
        result(moving)
        self.assertEqual([entry.path for entry in result(folder.device().list())], ["b"])

    def test_a_stream_that_never_ends_does_not_hold_it_up(self) -> None:
        """Nothing of it was acknowledged; nothing of it is stored."""
        folder = Folder()
        device = folder.device()
        never: Deferred[bytes] = Deferred()

        async def source() -> Any:
            yield await never

        putting = device.put("a", source())
        result(device.close())
        self.failureResultOf(putting, Unavailable)
        self.assertEqual(result(folder.device().list()), [])

    def test_one_that_nobody_waits_for_any_more_goes_on(self) -> None:
        """Cancelled, it still lets go of the folder at its end, and another close waits for that."""
        folder = Folder()
        store = folder.store()
        device = folder.device(store=store)
        store.gate = turnstile = Turnstile("append")
        putting = device.put("a", b"1")
        closing = device.close()
        closing.cancel()
        self.failureResultOf(closing, CancelledError)
        again = device.close()
        self.assertNoResult(again)
        turnstile.release()
        result(putting)
        result(again)
        self.failureResultOf(store.poll(), Unavailable)

    def test_afterwards_nothing_is_accepted(self) -> None:
        """It would be lost."""
        device = Folder().device()
        result(device.close())
        self.failureResultOf(device.put("a", b"1"), Unavailable)
        self.failureResultOf(device.remove("a"), Unavailable)
