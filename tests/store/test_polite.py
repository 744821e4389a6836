"""The polite shelf: held to the contract over a shelf in memory, and its bounds."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ifap_twisted.core.values import Traits
from ifap_twisted.errors import OutcomeUnknown, QuotaExceeded, Renumbered, Throttled, TooLarge, Unavailable
from ifap_twisted.store.memory import Fate, MemoryShelf, MemoryStore, Turnstile
from ifap_twisted.store.pace import DayUse
from ifap_twisted.store.polite import Politeness, PoliteStore
from tests.contract.message_store import MessageStoreContract
from tests.messages import anything, letter

DAY = 24 * 3600.0


class PoliteContractTests(MessageStoreContract, TestCase):
    """Bounds that are never met."""

    politeness = Politeness()

    def make_store(self):
        """Another session on one shelf."""
        self.shelf = getattr(self, "shelf", None) or MemoryShelf(uidvalidity=7)
        return self.polite(self.shelf)

    def make_elsewhere(self):
        """A session on another shelf."""
        self.elsewhere = getattr(self, "elsewhere", None) or MemoryShelf()
        return self.polite(self.elsewhere)

    def polite(self, shelf):
        """A polite session."""
        from twisted.internet import reactor  # noqa: TID251 -- real waits between calls

        return PoliteStore(MemoryStore(shelf), clock=reactor, random=lambda: 0.5, politeness=self.politeness)


class NarrowPoliteContractTests(PoliteContractTests):
    """One call at a time, few bytes, a thousand commands a second, budgets that suffice."""

    politeness = Politeness(
        calls=1, bytes_in_flight=100, commands_per_second=1000, upload_per_day=10**8, download_per_day=10**8
    )


class Polite(SynchronousTestCase):
    """A polite store on a shelf with three messages, a gate and a clock."""

    def setUp(self):
        """Make the shelf."""
        self.clock = Clock()
        self.shelf = MemoryShelf()
        for name in "abc":
            self.shelf.add(letter(name))
        self.inner = MemoryStore(self.shelf)

    def polite(self, **bounds):
        """The store, open."""
        known = {name: bounds.pop(name) for name in ("uploaded", "downloaded") if name in bounds}
        self.store = PoliteStore(
            self.inner, clock=self.clock, random=lambda: 1.0, politeness=Politeness(**bounds), **known
        )
        self.now(self.store.open())
        return self.store

    def now(self, call):
        """The result of a call that has ended."""
        return self.successResultOf(call)

    def hold(self, *methods):
        """Hold methods of the inner store."""
        gate = self.inner.gate = Turnstile(*methods)
        return gate

    def tearDown(self):
        """Nothing is left to be called when the store is closed."""
        self.now(self.store.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class BoundTests(Polite):
    """How many calls and bytes are under way."""

    def test_calls(self):
        """No more calls than allowed are under way; the others follow in their order as these end."""
        store = self.polite(calls=2)
        gate = self.hold("message", "uids")
        calls = [store.message(1), store.uids(1), store.message(2), store.message(3)]
        self.assertEqual(gate.held, ["message", "uids"])
        gate.release(1)
        self.assertEqual(self.now(calls[0]), letter("a"))
        self.assertEqual(gate.held, ["uids", "message"])
        gate.release()
        self.assertEqual(self.now(calls[3]), letter("c"))

    def test_bytes(self):
        """No more bytes of messages than allowed are under way."""
        size = len(letter("d"))
        store = self.polite(bytes_in_flight=2 * size)
        gate = self.hold("append")
        calls = [store.append(letter(name)) for name in "defg"]
        self.assertEqual(gate.held, ["append"] * 2)
        gate.release(2)
        self.assertEqual(gate.held, ["append"] * 2)
        gate.release()
        self.assertEqual([self.now(call).uid for call in calls], [4, 5, 6, 7])

    def test_a_large_one_goes_alone(self):
        """A message of more bytes than allowed goes when nothing else is under way, and alone."""
        store = self.polite(bytes_in_flight=len(letter("d")) + 1)
        gate = self.hold("append")
        calls = [store.append(letter("d")), store.append(letter("e", size=5000)), store.append(letter("f"))]
        self.assertEqual(len(gate.held), 1)
        gate.release(1)
        self.assertEqual(len(gate.held), 1)
        gate.release(1)
        gate.release(1)
        self.assertEqual([self.now(call).uid for call in calls], [4, 5, 6])

    def test_known_sizes_of_messages_to_come(self):
        """Messages whose size is known from their headers count while they are fetched."""
        store = self.polite(bytes_in_flight=len(letter("a")))
        self.now(store.headers(1))
        gate = self.hold("message")
        calls = [store.message(uid) for uid in (1, 2)]
        self.assertEqual(len(gate.held), 1)
        gate.release()
        self.assertEqual([self.now(call) for call in calls], [letter("a"), letter("b")])

    def sizes(self, store):
        """The messages of which the size is known."""
        return [uid for uid in (1, 2, 3) if store._places.size(uid)]

    def test_what_vanished_takes_no_room(self):
        """Sizes go with the messages that the server says are gone."""
        store = self.polite()
        self.now(store.headers(1))
        self.shelf.remove([1])
        self.now(store.poll())
        self.assertEqual(self.sizes(store), [2, 3])

    def test_what_is_not_listed_takes_no_room(self):
        """Of a listed range only what is in it is kept: nobody tells of what went meanwhile."""
        store = self.polite()
        self.now(store.headers(1))
        self.shelf.forget(1, 3)
        self.now(store.uids(1, 2))
        self.assertEqual(self.sizes(store), [2, 3])

    def test_renumbered_sizes(self):
        """New numbers are those of other messages."""
        store = self.polite()
        self.now(store.headers(1))
        self.shelf.renumber()
        self.now(store.poll())
        self.assertEqual(self.sizes(store), [])

    def test_cancel_waiting(self):
        """A cancelled waiter leaves the line, and is never sent."""
        store = self.polite(calls=1)
        gate = self.hold("message", "append")
        calls = [store.message(1), store.append(letter("d")), store.append(letter("e"))]
        calls[1].cancel()
        self.failureResultOf(calls[1], CancelledError)
        gate.release()
        self.assertEqual(self.now(calls[2]).uid, 4)
        self.assertEqual(self.shelf.messages[4], letter("e"))

    def test_cancel_the_first_in_line(self):
        """When the one for whom there was no room goes away, those behind it who have room go at once."""
        size = len(letter("d"))
        store = self.polite(bytes_in_flight=2 * size)
        gate = self.hold("append")
        calls = [store.append(letter("d")), store.append(letter("x", size=9999)), store.append(letter("e"))]
        self.assertEqual(len(gate.held), 1)
        calls[1].cancel()
        self.failureResultOf(calls[1], CancelledError)
        self.assertEqual(len(gate.held), 2)
        gate.release()
        self.assertEqual(self.now(calls[2]).uid, 5)

    def test_cancel_under_way(self):
        """A call cancelled under way makes room for the next."""
        store = self.polite(calls=1)
        gate = self.hold("message")
        calls = [store.message(1), store.message(2)]
        calls[0].cancel()
        self.failureResultOf(calls[0], CancelledError)
        gate.release()
        self.assertEqual(self.now(calls[1]), letter("b"))

    def test_many_waiters(self):
        """Thousands of waiters go one after the other without end of the stack."""
        store = self.polite(calls=1)
        gate = self.hold("uids")
        calls = [store.uids(1) for _call in range(5000)]
        gate.release()
        self.assertEqual({tuple(self.now(call)) for call in calls}, {(1, 2, 3)})

    def test_failures_make_room(self):
        """A call that fails makes room too, and its error is passed up."""
        store = self.polite(calls=1)
        self.inner.fail_next("append", QuotaExceeded("full"))
        self.failureResultOf(store.append(letter("d")), QuotaExceeded)
        self.assertEqual(self.now(store.append(letter("e"))).uid, 4)

    def test_close(self):
        """Closing fails those who wait as ``Unavailable``."""
        store = self.polite(calls=1)
        self.hold("message")
        calls = [store.message(1), store.message(2), store.append(letter("d"))]
        self.now(store.close())
        for call in calls:
            self.failureResultOf(call, Unavailable)
        self.assertEqual(sorted(self.shelf.messages), [1, 2, 3])

    def test_close_when_one_gives_up_the_others(self):
        """Whoever hears of the closing may give up others that wait."""
        store = self.polite(calls=1)
        self.hold("message")
        calls = [store.message(uid) for uid in (1, 2, 3, 1)]
        calls[1].addErrback(lambda _failure: calls[2].cancel())
        self.now(store.close())
        self.now(calls[1])
        self.failureResultOf(calls[2], CancelledError)
        self.failureResultOf(calls[3], Unavailable)
        self.failureResultOf(calls[0], Unavailable)

    def test_renumbered_while_waiting(self):
        """Removing that waits for its turn removes nothing from a folder that was renumbered meanwhile."""
        store = self.polite(calls=1)
        gate = self.hold("append")
        first = store.append(letter("d"))
        removing = store.remove([1], 1, anything)
        self.shelf.renumber()
        gate.release()
        self.now(first)
        self.failureResultOf(removing, Renumbered)
        self.assertEqual(len(self.shelf.messages), 4)
        self.now(store.remove([1], 2, anything))
        self.assertEqual(len(self.shelf.messages), 3)


class SizeTests(Polite):
    """Messages that can never go out."""

    def test_append_limit(self):
        """A message above the shelf's limit is refused before anything is sent; one as large goes."""
        size = len(letter("d"))
        traits = Traits(reports_uid=True, expunges_by_uid=True, pushes=True, max_message=size)
        self.inner = MemoryStore(self.shelf, traits=traits)
        store = self.polite()
        gate = self.hold("append")
        error = self.failureResultOf(store.append(letter("d") + b"x"), TooLarge).value
        self.assertEqual((error.limit, error.size, gate.held), (size, size + 1, []))
        gate.release()
        self.assertEqual(self.now(store.append(letter("d"))).uid, 4)

    def test_above_the_budget_of_a_day(self):
        """So is one that is larger than the budget of a whole day."""
        store = self.polite(upload_per_day=100)
        error = self.failureResultOf(store.append(letter("d")), TooLarge).value
        self.assertEqual(error.limit, 100)


class PaceTests(Polite):
    """So many commands a second."""

    def test_commands_per_second(self):
        """Calls go out at the pace, in their order."""
        store = self.polite(commands_per_second=2)
        calls = [store.append(letter(str(number))) for number in range(6)]
        gone = []
        for _tick in range(5):
            gone.append(len(self.shelf.messages) - 3)
            self.clock.advance(0.5)
        self.assertEqual(gone, [1, 2, 3, 4, 5])
        self.assertEqual([self.now(call).uid for call in calls], [4, 5, 6, 7, 8, 9])

    def test_cancelled_while_paced(self):
        """A cancelled waiter costs no turn."""
        store = self.polite(commands_per_second=1)
        calls = [store.uids(1) for _call in range(3)]
        calls[0].cancel()
        self.failureResultOf(calls[0], CancelledError)
        self.clock.advance(1)
        self.assertEqual(self.now(calls[1]), [1, 2, 3])
        self.assertNoResult(calls[2])
        self.clock.advance(1)
        self.assertEqual(self.now(calls[2]), [1, 2, 3])


class BudgetTests(Polite):
    """Bytes a day."""

    def test_upload(self):
        """When the budget of the day is used, appends fail as ``Throttled``, saying when to come again."""
        size = len(letter("d"))
        store = self.polite(upload_per_day=2 * size)
        self.now(store.append(letter("d")))
        self.now(store.append(letter("e")))
        error = self.failureResultOf(store.append(letter("f")), Throttled).value
        self.assertEqual(error.seconds, DAY + 3600)
        self.assertEqual(len(self.shelf.messages), 5)
        self.clock.advance(error.seconds)
        self.assertEqual(self.now(store.append(letter("f"))).uid, 6)

    def test_upload_waits_when_it_is_worth_it(self):
        """When the next bytes are free within the patience, the append waits for them, and reading goes on."""
        size = len(letter("d"))
        store = self.polite(upload_per_day=size, patience=600.0)
        self.now(store.append(letter("d")))
        self.clock.advance(DAY + 3600 - 300)
        calls = [store.append(letter("e")), store.message(1)]
        self.assertNoResult(calls[0])
        self.assertEqual(self.now(calls[1]), letter("a"))
        self.clock.advance(300)
        self.assertEqual(self.now(calls[0]).uid, 5)

    def test_download(self):
        """When the budget for reading is used, reading fails as ``Throttled`` and appending goes on."""
        size = len(letter("a"))
        store = self.polite(download_per_day=size)
        self.now(store.message(1))
        self.failureResultOf(store.message(2), Throttled)
        self.failureResultOf(store.headers(1), Throttled)
        self.assertEqual(self.now(store.append(letter("d"))).uid, 4)
        self.assertEqual(self.now(store.poll()).exists, 4)

    def test_headers_that_are_looked_at(self):
        """Those that are read before messages are unmarked or removed are counted, whatever becomes of that."""
        store = self.polite()
        for change in (
            lambda: store.unmark([1], 1, anything),
            lambda: store.unmark([2], 1, lambda _block: False),
            lambda: store.remove([3], 1, anything),
        ):
            used = store.downloaded.total(0)
            change().addErrback(lambda failure: failure.trap(Renumbered) and None)
            self.assertGreater(store.downloaded.total(0), used)

    def test_download_of_known_size(self):
        """A message whose size is known is not begun when it does not fit."""
        for name in "de":
            self.shelf.add(letter(name, size=5000))
        size = len(self.shelf.messages[4])
        store = self.polite(download_per_day=size * 3 // 2)
        self.now(store.headers(4))
        self.now(store.message(4))
        used = store.downloaded.total(0)
        self.failureResultOf(store.message(5), Throttled)
        self.assertEqual(store.downloaded.total(0), used)
        self.assertLess(used, size * 3 // 2)

    def test_used_before(self):
        """What was used before, by an earlier process, counts."""
        size = len(letter("d"))
        used = DayUse()
        used.add(size, 0.0)
        store = self.polite(upload_per_day=2 * size - 1, uploaded=DayUse.from_json(used.to_json()))
        self.failureResultOf(store.append(letter("d")), Throttled)

    def test_unknown_outcome_counts(self):
        """An append with an unknown outcome has used its bytes."""
        store = self.polite(upload_per_day=len(letter("d")))
        self.inner.doom_next(Fate.CUT_BEFORE)
        self.failureResultOf(store.append(letter("d")), OutcomeUnknown)
        self.failureResultOf(store.append(letter("d")), Throttled)


class ThrottledTests(Polite):
    """The server asks to slow down."""

    def test_waits_as_told(self):
        """A throttled call is made again when the time that the server named has passed, not before."""
        store = self.polite()
        self.inner.fail_next("append", Throttled(seconds=20))
        call = store.append(letter("d"))
        self.clock.advance(19.9)
        self.assertNoResult(call)
        self.assertEqual(len(self.shelf.messages), 3)
        self.clock.advance(0.1)
        self.assertEqual(self.now(call).uid, 4)

    def test_others_wait_too(self):
        """Meanwhile no other call goes out; then all go in their order."""
        store = self.polite()
        self.inner.fail_next("uids", Throttled(seconds=20))
        calls = [store.uids(1), store.append(letter("d")), store.append(letter("e")), store.message(1)]
        self.clock.advance(19)
        for call in calls:
            self.assertNoResult(call)
        self.clock.advance(1)
        self.assertEqual(self.now(calls[0]), [1, 2, 3])
        self.assertEqual([self.now(calls[1]).uid, self.now(calls[2]).uid], [4, 5])
        self.assertEqual(self.now(calls[3]), letter("a"))

    def test_throttled_append_keeps_its_place(self):
        """An append that was throttled goes again before those that were called later."""
        store = self.polite(calls=1)
        self.inner.fail_next("append", Throttled(seconds=5))
        gate = self.hold("append")
        calls = [store.append(letter(name)) for name in "def"]
        gate.release()
        self.clock.advance(5)
        self.assertEqual([self.now(call).uid for call in calls], [4, 5, 6])
        self.assertEqual(self.shelf.messages[4], letter("d"))

    def test_waits_longer_each_time(self):
        """Without a number it waits longer each time, and at most one try a second is made."""
        store = self.polite(patience=1000.0)
        self.inner.fail_next("uids", Throttled(), 4)
        call = store.uids(1)
        times = []
        for second in range(20):
            left = len(self.inner._errors["uids"])
            self.clock.advance(1)
            if len(self.inner._errors["uids"]) < left:
                times.append(second + 1)
        self.assertEqual(times, [1, 3, 7])
        self.assertEqual(self.now(call), [1, 2, 3])

    def test_short_again_after_success(self):
        """After a success the next wait is short again."""
        store = self.polite()
        for _time in range(2):
            self.inner.fail_next("uids", Throttled(), 2)
            call = store.uids(1)
            self.clock.advance(1)
            self.assertNoResult(call)
            self.clock.advance(2)
            self.now(call)

    def test_a_wait_beyond_the_patience(self):
        """When the server asks for more than the patience, all fail at once as ``Throttled``, saying how long."""
        store = self.polite(patience=60.0)
        self.inner.fail_next("uids", Throttled(seconds=3600))
        self.failureResultOf(store.uids(1), Throttled)
        error = self.failureResultOf(store.append(letter("d")), Throttled).value
        self.assertEqual((error.seconds, error.retryable), (3600, True))
        self.assertEqual(len(self.shelf.messages), 3)
        self.clock.advance(3600)
        self.assertEqual(self.now(store.append(letter("d"))).uid, 4)

    def test_throttled_for_ever(self):
        """A call that is throttled again and again fails when its patience is at an end."""
        store = self.polite(patience=60.0)
        self.inner.fail_next("uids", Throttled(seconds=25), 100)
        call = store.uids(1)
        waiting = store.message(1)
        self.clock.pump([1] * 51)
        self.failureResultOf(call, Throttled)
        self.failureResultOf(waiting, Throttled)
        self.assertEqual(len(self.inner._errors["uids"]), 97)

    def test_cancel_while_backing_off(self):
        """A call can be cancelled while it waits, and is not made afterwards."""
        store = self.polite()
        self.inner.fail_next("uids", Throttled(seconds=5))
        calls = [store.uids(1), store.append(letter("d"))]
        for call in calls:
            call.cancel()
            self.failureResultOf(call, CancelledError)
        self.clock.advance(5)
        self.assertEqual(len(self.shelf.messages), 3)

    def test_close_while_backing_off(self):
        """Closing ends the wait at once; calls after it fail, and opening again works."""
        store = self.polite()
        self.inner.fail_next("uids", Throttled(seconds=50))
        call = store.uids(1)
        self.now(store.close())
        self.failureResultOf(call, Unavailable)
        self.failureResultOf(store.poll(), Unavailable)
        self.now(store.open())
        self.assertIn(2, self.now(store.uids(1)))

    def test_unknown_outcome_is_never_tried_again(self):
        """An append whose outcome is unknown is passed up, and nothing is sent again."""
        store = self.polite()
        self.inner.doom_next(Fate.CUT_AFTER)
        self.failureResultOf(store.append(letter("d")), OutcomeUnknown)
        self.clock.advance(1000)
        self.assertEqual(sorted(self.shelf.messages), [1, 2, 3, 4])

    def test_other_errors_are_passed_up(self):
        """An unreachable server is not the polite shelf's to try again."""
        store = self.polite()
        self.inner.fail_next("uids", Unavailable("away"))
        self.failureResultOf(store.uids(1), Unavailable)
        self.assertEqual(self.clock.getDelayedCalls(), [])
