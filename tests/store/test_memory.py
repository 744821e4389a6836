"""The in-memory shelf: held to the contract, and its faults."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ifap_twisted.core import limits
from ifap_twisted.core.values import Receipt, Traits
from ifap_twisted.errors import (
    MessageGone,
    OutcomeUnknown,
    ReadOnly,
    Refused,
    Renumbered,
    Throttled,
    TooLarge,
    Unavailable,
)
from ifap_twisted.store.memory import Fate, MemoryShelf, MemoryStore, Turnstile, Visibility
from tests.contract.message_store import Ear, MessageStoreContract, Quirks
from tests.messages import anything, letter


class MemoryContractTests(MessageStoreContract, TestCase):
    """An ideal server."""

    traits = Traits(reports_uid=True, expunges_by_uid=True, pushes=True)
    visibility = Visibility.AT_ONCE

    def make_store(self):
        """Another session on one shelf."""
        self.shelf = getattr(self, "shelf", None) or MemoryShelf(uidvalidity=7)
        return self.session(self.shelf)

    def make_elsewhere(self):
        """A session on another shelf."""
        self.elsewhere = getattr(self, "elsewhere", None) or MemoryShelf()
        return self.session(self.elsewhere)

    def session(self, shelf):
        """A session with the traits and quirks of this class."""
        return MemoryStore(
            shelf, traits=self.traits, visibility=self.visibility, tells_uidnext=self.quirks.tells_uidnext
        )


class PoorMemoryContractTests(MemoryContractTests):
    """A server without UIDPLUS and IDLE that shows appends only when the folder is selected anew (mailutils)."""

    quirks = Quirks(reports_uid=False, removes=False, pushes=False)
    traits = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
    visibility = Visibility.THOROUGH


class LateMemoryContractTests(MemoryContractTests):
    """A server that shows appends after NOOP and does not tell UIDNEXT (Courier)."""

    quirks = Quirks(tells_uidnext=False, pushes=False)
    traits = Traits(reports_uid=True, expunges_by_uid=True, pushes=False)
    visibility = Visibility.POLL


class Faults(SynchronousTestCase):
    """A shelf with a clock and a gate, and an ear on it."""

    def setUp(self):
        """Open a store on a shelf with three messages."""
        self.clock = Clock()
        self.shelf = MemoryShelf()
        for name in "abc":
            self.shelf.add(letter(name))
        self.store = MemoryStore(self.shelf, clock=self.clock)
        self.now(self.store.open())
        self.ear = Ear()
        self.store.listen(self.ear)

    def now(self, call):
        """The result of a call that has ended."""
        return self.successResultOf(call)

    def hold(self, *methods):
        """Hold these methods from now on."""
        gate = self.store.gate = Turnstile(*methods)
        return gate


class OrderedFailureTests(Faults):
    """Failures that were ordered."""

    def test_fail_next(self):
        """The ordered number of calls fails, without effect; the next one works."""
        self.store.fail_next("append", Throttled(seconds=3), 2)
        for _time in range(2):
            self.failureResultOf(self.store.append(letter("d")), Throttled)
        self.assertEqual(self.now(self.store.append(letter("d"))).uid, 4)

    def test_fail_other_methods(self):
        """A failure of one method is none of another."""
        self.store.fail_next("headers", Refused("no"))
        self.assertEqual(self.now(self.store.uids(1)), [1, 2, 3])
        self.failureResultOf(self.store.headers(1), Refused)
        self.assertEqual(sorted(self.now(self.store.headers(1))), [1, 2, 3])

    def test_cut_before(self):
        """The outcome is unknown, and the message is not stored."""
        self.store.doom_next(Fate.CUT_BEFORE)
        self.failureResultOf(self.store.append(letter("d")), OutcomeUnknown)
        self.assertEqual(sorted(self.shelf.messages), [1, 2, 3])

    def test_cut_after(self):
        """The outcome is unknown, and the message is stored."""
        self.store.doom_next(Fate.CUT_AFTER)
        self.failureResultOf(self.store.append(letter("d")), OutcomeUnknown)
        self.assertEqual(self.shelf.messages[4], letter("d"))

    def test_cut_late(self):
        """The outcome is unknown, and the message is stored when it is delivered, above what came meanwhile."""
        self.store.doom_next(Fate.CUT_LATE)
        self.failureResultOf(self.store.append(letter("d")), OutcomeUnknown)
        self.now(self.store.append(letter("e")))
        self.assertNotIn(letter("d"), self.shelf.messages.values())
        self.shelf.deliver_late()
        self.shelf.deliver_late()
        self.assertEqual([uid for uid, one in self.shelf.messages.items() if one == letter("d")], [5])

    def test_dropped(self):
        """A UID is answered under which there is nothing."""
        self.store.doom_next(Fate.DROPPED)
        receipt = self.now(self.store.append(letter("d")))
        self.assertEqual(receipt, Receipt(uidvalidity=1, uid=4))
        self.failureResultOf(self.store.message(4), MessageGone)
        self.assertEqual(self.now(self.store.append(letter("e"))).uid, 5)

    def test_doubled(self):
        """The message is stored twice, and the lower UID is answered."""
        self.store.doom_next(Fate.DOUBLED)
        self.assertEqual(self.now(self.store.append(letter("d"))).uid, 4)
        self.assertEqual([self.shelf.messages[uid] for uid in (4, 5)], [letter("d")] * 2)

    def test_fates_come_in_order(self):
        """Each append has the next fate; after the last one all goes well."""
        self.store.doom_next(Fate.CUT_BEFORE)
        self.store.doom_next(Fate.CUT_AFTER)
        self.failureResultOf(self.store.append(letter("d")), OutcomeUnknown)
        self.failureResultOf(self.store.append(letter("e")), OutcomeUnknown)
        self.assertEqual(self.now(self.store.append(letter("f"))).uid, 5)


class HostileShelfTests(Faults):
    """What damaged and hostile servers do."""

    def test_forget(self):
        """A forgotten message is gone, and nobody is told."""
        self.shelf.forget(2)
        self.now(self.store.poll())
        self.assertEqual(self.ear.heard, [])
        self.assertEqual(self.now(self.store.uids(1)), [1, 3])
        self.failureResultOf(self.store.message(2), MessageGone)

    def test_forget_what_is_not_there(self):
        """Forgetting an absent message is a mistake of the test."""
        self.assertRaises(KeyError, self.shelf.forget, 9)

    def test_hide(self):
        """Hidden messages are not listed, while EXISTS counts them; revealed they are back."""
        self.store.hide(1, 2)
        self.assertEqual(self.now(self.store.poll()).exists, 3)
        self.assertEqual(self.now(self.store.uids(1)), [3])
        self.assertEqual(sorted(self.now(self.store.headers(1))), [3])
        self.store.reveal()
        self.assertEqual(self.now(self.store.uids(1)), [1, 2, 3])

    def test_hidden_messages_are_not_removed(self):
        """What this session is not shown it does not remove either."""
        self.store.hide(1)
        self.now(self.store.remove([1, 2], 1, anything))
        self.assertEqual(sorted(self.shelf.messages), [1, 3])

    def test_tamper(self):
        """The bytes of a message can be replaced under its UID."""
        self.shelf.tamper(2, letter("z"))
        self.assertEqual(self.now(self.store.message(2)), letter("z"))
        self.assertRaises(KeyError, self.shelf.tamper, 9, b"")

    def test_renumber(self):
        """After a renumbering the messages have UIDs from 1 in their order, and listeners are told at once."""
        self.now(self.store.remove([1], 1, anything))
        self.store.hide(2)
        self.shelf.renumber()
        self.assertEqual(self.ear.heard[-1], ("renumbered", 2))
        self.assertEqual(self.now(self.store.uids(1)), [1, 2])
        self.assertEqual(self.now(self.store.message(1)), letter("b"))
        state = self.now(self.store.poll())
        self.assertEqual((state.uidvalidity, state.uidnext), (2, 3))

    def test_renumber_in_another_order(self):
        """The order can be chosen, and must name each message once."""
        self.shelf.renumber([3, 1, 2])
        self.assertEqual([self.now(self.store.message(uid)) for uid in (1, 2, 3)], [letter(name) for name in "cab"])
        self.assertRaises(ValueError, self.shelf.renumber, [1, 2])

    def test_renumbered_while_a_call_waits(self):
        """A call whose UIDs were of the old numbering fails as ``Renumbered``; an append is stored."""
        gate = self.hold("message", "append")
        reading, appending = self.store.message(1), self.store.append(letter("d"))
        self.shelf.renumber([3, 2, 1])
        gate.release()
        self.failureResultOf(reading, Renumbered)
        self.assertEqual(self.now(appending), Receipt(uidvalidity=2, uid=4))

    def test_read_only(self):
        """A folder that is read only says so and refuses changes."""
        store = MemoryStore(self.shelf, read_only=True)
        self.assertIs(self.now(store.open()).read_only, True)
        self.failureResultOf(store.append(letter("d")), ReadOnly)
        self.failureResultOf(store.remove([1], 1, anything), ReadOnly)
        self.assertEqual(sorted(self.shelf.messages), [1, 2, 3])
        self.assertEqual(self.now(store.message(1)), letter("a"))

    def test_too_large(self):
        """A larger message than ``max_message`` is refused, with limit and size; one as large is stored."""
        size = len(letter("d"))
        store = MemoryStore(
            self.shelf, traits=Traits(reports_uid=True, expunges_by_uid=True, pushes=True, max_message=size)
        )
        self.now(store.open())
        failure = self.failureResultOf(store.append(letter("d") + b"x"), TooLarge)
        self.assertEqual((failure.value.limit, failure.value.size), (size, size + 1))
        self.assertEqual(self.now(store.append(letter("d"))).uid, 4)

    def test_late_appends(self):
        """Appends of its own show up at the poll that the visibility names."""
        for visibility, shown in ((Visibility.POLL, [1, 2]), (Visibility.THOROUGH, [1])):
            store = MemoryStore(MemoryShelf(), visibility=visibility)
            self.now(store.open())
            self.now(store.append(letter("a")))
            self.assertEqual(self.now(store.uids(1)), [])
            self.assertEqual(self.now(store.poll(thorough=True)).exists, 1)
            self.now(store.append(letter("b")))
            self.now(store.poll())
            self.assertEqual(self.now(store.uids(1)), shown)


class GateTests(Faults):
    """Calls that take their time."""

    def test_held_until_released(self):
        """A held call has no result until it is released."""
        gate = self.hold("uids")
        call = self.store.uids(1)
        self.assertNoResult(call)
        self.assertEqual(gate.held, ["uids"])
        gate.release()
        self.assertEqual(self.now(call), [1, 2, 3])

    def test_released_one_by_one(self):
        """Calls are released in their order, and see what happened before they went on."""
        gate = self.hold("uids")
        calls = [self.store.uids(1), self.store.uids(1)]
        gate.release(1)
        self.assertEqual(self.now(calls[0]), [1, 2, 3])
        self.assertNoResult(calls[1])
        self.shelf.add(letter("d"))
        gate.release(1)
        self.assertEqual(self.now(calls[1]), [1, 2, 3, 4])

    def test_appends_keep_their_order(self):
        """An append that passed the gate first waits for the one called first."""
        slow, fast = turnstiles = [Turnstile("append"), Turnstile("append")]
        waiting = iter(turnstiles)
        self.store.gate = lambda method: next(waiting)(method) if method == "append" else Turnstile()(method)
        first, second = self.store.append(letter("d")), self.store.append(letter("e"))
        fast.release()
        self.assertNoResult(second)
        slow.release()
        self.assertEqual((self.now(first).uid, self.now(second).uid), (4, 5))

    def test_cancelled_append_leaves_the_line(self):
        """A cancelled append was not sent, and those behind it go on."""
        gate = self.hold("append")
        first, second, third = (self.store.append(letter(name)) for name in "def")
        first.cancel()
        second.cancel()
        self.failureResultOf(first, CancelledError)
        self.failureResultOf(second, CancelledError)
        gate.release()
        self.assertEqual(self.now(third).uid, 4)
        self.assertEqual(self.shelf.messages[4], letter("f"))

    def test_cancelled_while_in_line(self):
        """So does one that was cancelled when only its turn had not come."""
        turnstiles = [Turnstile("append"), Turnstile(), Turnstile()]
        self.store.gate = lambda method: turnstiles.pop(0)(method) if method == "append" else Turnstile()(method)
        slow = turnstiles[0]
        first, second, third = (self.store.append(letter(name)) for name in "def")
        second.cancel()
        self.failureResultOf(second, CancelledError)
        slow.release()
        self.assertEqual((self.now(first).uid, self.now(third).uid), (4, 5))

    def test_cancelled_waiting_for_the_answer(self):
        """An append cancelled after it was stored is ``OutcomeUnknown``."""
        self.hold("answer")
        call = self.store.append(letter("d"))
        call.cancel()
        self.failureResultOf(call, OutcomeUnknown)
        self.assertIn(4, self.shelf.messages)

    def test_close_while_held(self):
        """Closing fails held calls as ``Unavailable``, and as ``OutcomeUnknown`` where the answer was awaited."""
        self.hold("uids", "answer", "open")
        opening = MemoryStore(self.shelf, gate=self.store.gate)
        calls = [self.store.uids(1), self.store.append(letter("d")), opening.open()]
        self.now(self.store.close())
        self.now(opening.close())
        self.failureResultOf(calls[0], Unavailable)
        self.failureResultOf(calls[1], OutcomeUnknown)
        self.failureResultOf(calls[2], Unavailable)


class OfflineTests(Faults):
    """A server that cannot be reached for a while."""

    def test_listeners_are_told(self):
        """Listeners hear of the end of the connection, with its reason, and of the next one."""
        reason = Unavailable("gone")
        self.store.go_offline(reason)
        self.store.go_online()
        self.assertEqual(self.ear.heard, [("disconnected", reason), ("connected", None)])

    def test_calls_wait(self):
        """Calls wait while it cannot be reached, and are done when it is back."""
        self.store.go_offline()
        calls = [self.store.uids(1), self.store.append(letter("d"))]
        self.clock.advance(limits.CONNECT_SECONDS - 1)
        self.assertNoResult(calls[0])
        self.store.go_online()
        self.assertEqual(self.now(calls[0]), [1, 2, 3])
        self.assertEqual(self.now(calls[1]).uid, 4)

    def test_calls_give_up(self):
        """After ``CONNECT_SECONDS`` a waiting call fails as ``Unavailable``, and what it wanted is not done."""
        self.store.go_offline()
        call = self.store.append(letter("d"))
        self.clock.advance(limits.CONNECT_SECONDS)
        self.failureResultOf(call, Unavailable)
        self.store.go_online()
        self.assertEqual(sorted(self.shelf.messages), [1, 2, 3])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_waited_in_the_line_is_not_stored_either(self):
        """An append that had its turn at the gate waits for the connection like the one before it."""
        self.store.gate = turnstile = Turnstile("append")
        first = self.store.append(letter("d"))
        self.store.gate = Turnstile()
        second = self.store.append(letter("e"))
        self.store.go_offline()
        self.clock.advance(limits.CONNECT_SECONDS)
        self.failureResultOf(first, Unavailable)
        self.clock.advance(limits.CONNECT_SECONDS)
        self.failureResultOf(second, Unavailable)
        self.assertEqual(sorted(self.shelf.messages), [1, 2, 3])
        turnstile.release()

    def test_pardon(self):
        """Orders that have not struck are forgotten, and everything is shown."""
        self.store.fail_next("uids", Unavailable("x"))
        self.store.doom_next(Fate.CUT_BEFORE)
        self.store.hide(1)
        self.store.pardon()
        self.assertEqual(self.now(self.store.append(letter("d"))).uid, 4)
        self.assertEqual(self.now(self.store.uids(1)), [1, 2, 3, 4])

    def test_a_server_that_drops_what_it_knows(self):
        """It says OK to a Message-ID that it has seen, and stores nothing, even when the first one is gone."""
        shelf = MemoryShelf(drops_known=True)
        store = MemoryStore(shelf)
        self.now(store.open())
        message = b"Message-ID: <one@b.example>\r\n\r\n"
        self.now(store.append(message))
        self.now(store.remove([1], 1, anything))
        self.assertEqual(self.now(store.append(message)).uid, 2)
        self.assertEqual(dict(shelf.messages), {})
        self.now(store.append(message.replace(b"one", b"two")))
        self.assertEqual(list(shelf.messages), [3])

    def test_without_a_clock(self):
        """Without a clock calls fail at once."""
        store = MemoryStore(self.shelf)
        self.now(store.open())
        store.go_offline()
        self.failureResultOf(store.poll(), Unavailable)

    def test_waiting_can_be_cancelled(self):
        """A waiting call can be cancelled."""
        self.store.go_offline()
        call = self.store.uids(1)
        call.cancel()
        self.failureResultOf(call, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_while_waiting(self):
        """Closing fails a waiting call."""
        self.store.go_offline()
        call = self.store.uids(1)
        self.now(self.store.close())
        self.failureResultOf(call, Unavailable)

    def test_reading_is_tried_again(self):
        """A reading call that was cut is done on the next connection."""
        gate = self.hold("message")
        call = self.store.message(1)
        self.store.go_offline()
        gate.release()
        self.assertNoResult(call)
        self.store.go_online()
        self.assertEqual(self.now(call), letter("a"))

    def test_an_append_is_not_tried_again(self):
        """An append that was cut while its answer was awaited is ``OutcomeUnknown``, and stored once."""
        gate = self.hold("answer")
        call = self.store.append(letter("d"))
        self.store.go_offline()
        self.failureResultOf(call, OutcomeUnknown)
        self.store.go_online()
        gate.release()
        self.assertEqual(sorted(self.shelf.messages), [1, 2, 3, 4])

    def test_not_told_of_what_happened_meanwhile(self):
        """What others did meanwhile is not told, but seen."""
        self.store.go_offline()
        self.shelf.remove([1])
        self.shelf.add(letter("d"))
        self.store.go_online()
        self.now(self.store.poll())
        self.assertEqual(self.ear.words(), ["disconnected", "connected"])
        self.assertEqual(self.now(self.store.uids(1)), [2, 3, 4])

    def test_renumbered_meanwhile(self):
        """A renumbering meanwhile is told before the connection."""
        self.store.go_offline()
        self.shelf.renumber()
        self.store.go_online()
        self.assertEqual(self.ear.words(), ["disconnected", "renumbered", "connected"])


class AnnouncementTests(Faults):
    """Who is told what."""

    def test_own_changes_are_told_too(self):
        """As on a real server, a session hears of its own appends and removals."""
        self.now(self.store.append(letter("d")))
        self.now(self.store.remove([1], 1, anything))
        self.assertEqual(self.ear.words(), ["arrived", "vanished"])

    def test_a_listener_that_raises(self):
        """A listener that raises is logged, and the others are told."""

        class Broken(Ear):
            def arrived(self, state):
                raise RuntimeError("a bug")

        store = MemoryStore(self.shelf)
        self.now(store.open())
        ear = Ear()
        store.listen(Broken())
        store.listen(ear)
        self.shelf.add(letter("d"))
        self.assertEqual(ear.words(), ["arrived"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
