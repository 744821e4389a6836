"""Many commands in flight: order, windows, literals, silence, loss."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings, OutcomeUnknown, ProtocolViolation, Refused, TimedOut, Unavailable
from ifap_twisted.imap.grammar import Fetch, Search
from ifap_twisted.imap.requests import Overlap, Request
from ifap_twisted.imap.sending import PIECE
from tests.imap.conversation import Case, greeted, session


def free(text, **kwargs):
    """A request that overlaps."""
    return Request(text, what="try", overlap=Overlap.FREE, **kwargs)


def store(message):
    """An APPEND."""
    return Request(b"APPEND box", message, b"", what="store", overlap=Overlap.FREE, stores=True)


class OrderTests(Case, SynchronousTestCase):
    """What goes out when, and whose answer is whose."""

    def test_overlapping_commands_go_out_together(self):
        """Commands that cannot be mistaken do not wait for one another."""
        talk = greeted(self)
        done = [talk.wire.perform(free(b"X%d" % number)) for number in range(3)]
        talk.hears("A1 X0", "A2 X1", "A3 X2")
        talk.says("A2 OK two", "A1 OK one", "A3 NO three")
        self.assertEqual([self.successResultOf(one).text for one in done[:2]], [b"one", b"two"])
        self.assertEqual(self.refusal(done[2], Refused).status, "NO")

    def test_exclusive_commands_wait(self):
        """A command that changes the state waits for all before it, and all behind it wait."""
        talk = greeted(self)
        for request in (free(b"X"), Request(b"SELECT", what="s"), free(b"Y"), free(b"Z")):
            quiet(talk.wire.perform(request))
        talk.hears("A1 X")
        talk.says("A1 OK")
        talk.hears("A2 SELECT")
        talk.says("A2 OK")
        talk.hears("A3 Y", "A4 Z")

    def test_searches_wait_for_one_another(self):
        """Two SEARCHes are never in flight together: their answers could not be told apart."""
        talk = greeted(self)
        found = []

        def search(text):
            mine = []
            found.append(mine)

            def take(reply, _parts):
                if isinstance(reply, Search):
                    mine.extend(reply.numbers)
                return isinstance(reply, Search)

            return Request(text, what="search", overlap=Overlap.SEARCH, receive=take)

        for text in (b"S1", b"S2"):
            quiet(talk.wire.perform(search(text)))
        talk.hears("A1 S1")
        talk.says("* SEARCH 1 2", "A1 OK")
        talk.hears("A2 S2")
        talk.says("* SEARCH 3", "A2 OK")
        self.assertEqual(found, [[1, 2], [3]])

    def test_window(self):
        """At most so many commands are in flight; each answer lets the next out."""
        talk = greeted(self)
        for number in range(limits.APPENDS_IN_FLIGHT + 2):
            quiet(talk.wire.perform(free(b"X%d" % number)))
        self.assertEqual(talk.heard().count(b"\r\n"), limits.APPENDS_IN_FLIGHT)
        talk.says("A5 OK")
        talk.hears(f"A{limits.APPENDS_IN_FLIGHT + 1} X{limits.APPENDS_IN_FLIGHT}")

    def test_window_of_bytes(self):
        """At most so many bytes of literals are in flight; one that is larger goes alone."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL+")
        half = limits.BYTES_IN_FLIGHT // 2
        for size in (half, half, 1, 2 * limits.BYTES_IN_FLIGHT, 1):
            quiet(talk.wire.perform(store(b"x" * size)))
        self.assertEqual(talk.heard().count(b"APPEND"), 2)
        talk.says("A1 OK")
        self.assertEqual(talk.heard().count(b"APPEND"), 1)
        talk.says("A2 OK", "A3 OK")
        self.assertEqual(talk.heard().count(b"APPEND"), 1)
        talk.says("A4 OK")
        self.assertEqual(talk.heard().count(b"APPEND"), 1)

    @given(st.permutations(range(6)))
    def test_answers_in_any_order(self, order):
        """Whatever the order of the tagged answers, each goes to its own command."""
        talk = greeted(self)
        done = [talk.wire.perform(free(b"X")) for _number in range(6)]
        talk.says(*[f"A{number + 1} OK {number}" for number in order])
        self.assertEqual([self.successResultOf(one).text for one in done], [b"%d" % number for number in range(6)])

    def test_untagged_data_goes_to_who_recognises_it(self):
        """A FETCH goes to the request that knows its UID, not to the first in flight."""
        talk = greeted(self)
        taken = {}

        def wants(uid):
            def take(reply, _parts):
                mine = isinstance(reply, Fetch) and reply.uid == uid
                if mine:
                    taken[uid] = reply.sequence
                return mine

            return take

        for uid in (5, 6):
            quiet(talk.wire.perform(free(b"F%d" % uid, receive=wants(uid))))
        talk.says("* 2 FETCH (UID 6)", "* 9 FETCH (UID 9)", "* 1 FETCH (UID 5)", "A1 OK", "A2 OK")
        self.assertEqual(taken, {5: 1, 6: 2})

    def test_unknown_tag(self):
        """An answer to a command that was not sent ends the connection as a violation, for all that wait."""
        talk = greeted(self)
        done = talk.wire.perform(free(b"X"))
        talk.says("A9 OK")
        self.refusal(done, ProtocolViolation)
        self.assertTrue(talk.transport.disconnected)

    def test_second_answer(self):
        """A second answer to one command is a violation."""
        talk = greeted(self)
        quiet(talk.wire.perform(free(b"X")))
        talk.says("A1 OK", "A1 OK")
        self.assertIsInstance(self.successResultOf(talk.wire.ended), ProtocolViolation)

    def test_no_line_ends_in_commands(self):
        """Nothing that could be a second command gets into one."""
        for text in (b"X\r\nA9 DELETE y", b"X\n", b"X\0"):
            with self.assertRaises(BadSettings):
                Request(text, what="try")

    def test_requests_do_not_show_their_text(self):
        """The repr of a request has no text: it may be a password."""
        self.assertNotIn("hunter2", repr(Request(b"LOGIN me hunter2", what="log in")))


class LiteralTests(Case, SynchronousTestCase):
    """How messages go out."""

    def test_literal_plus(self):
        """With LITERAL+ a message goes out at once, and the next behind it."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL+")
        for text in (b"one", b"two"):
            quiet(talk.wire.perform(store(text)))
        talk.hears("A1 APPEND box {3+}", "one", "A2 APPEND box {3+}", "two")

    def test_literal_minus(self):
        """With LITERAL- only up to 4096 bytes."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL-")
        for size in (4096, 4097):
            quiet(talk.wire.perform(store(b"x" * size)))
        talk.hears("A1 APPEND box {4096+}", b"x" * 4096, "", "A2 APPEND box {4097}")

    def test_synchronising(self):
        """Without either the server is asked; the next command line goes out behind the literal."""
        talk = greeted_with(self, "IMAP4rev1")
        for text in (b"one", b"two"):
            quiet(talk.wire.perform(store(text)))
        talk.hears("A1 APPEND box {3}")
        talk.says("+ go")
        talk.hears("one", "A2 APPEND box {3}")
        talk.says("A1 OK", "+ go")
        talk.hears("two")

    def test_refused_before_the_literal(self):
        """A server that refuses instead of asking for the literal gets none, and the next command goes out."""
        talk = greeted_with(self, "IMAP4rev1")
        first, second = talk.wire.perform(store(b"one")), talk.wire.perform(store(b"two"))
        talk.hears("A1 APPEND box {3}")
        talk.says("A1 NO [TOOBIG] too big")
        talk.hears("A2 APPEND box {3}")
        self.failureResultOf(first)
        talk.says("+ go", "A2 OK")
        self.successResultOf(second)

    def test_accepted_before_the_literal(self):
        """A server that accepts what it has not got is not believed."""
        talk = greeted_with(self, "IMAP4rev1")
        done = talk.wire.perform(store(b"one"))
        talk.says("A1 OK stored")
        self.refusal(done, ProtocolViolation)

    def test_long_literal_waits_for_the_transport(self):
        """A long message goes out in pieces, no faster than the transport takes them."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL+")
        message = bytes(range(256)) * (PIECE // 64)
        talk.transport.write = pausing(talk.transport)
        done = talk.wire.perform(store(message))
        behind = talk.wire.perform(free(b"X"))
        head = b"A1 APPEND box {%d+}\r\n" % len(message)
        self.assertEqual(talk.heard(), head + message[:PIECE])
        sent = PIECE
        while talk.transport.producer is not None:
            talk.transport.producer.resumeProducing()
            said = talk.heard()
            sent += PIECE
            self.assertTrue(said.startswith(message[sent - PIECE : sent]))
        self.assertEqual(said, message[-PIECE:] + b"\r\nA2 X\r\n")
        talk.says("A1 OK", "A2 OK")
        self.successResultOf(done)
        self.successResultOf(behind)

    def test_refused_in_the_middle_of_a_long_literal(self):
        """A refusal that comes early does not break the literal off: the server is still counting."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL+")
        message = b"x" * (3 * PIECE)
        talk.transport.write = pausing(talk.transport)
        done = talk.wire.perform(store(message))
        talk.says("A1 NO [TOOBIG] too big")
        self.failureResultOf(done)
        next_one = talk.wire.perform(free(b"X"))
        while talk.transport.producer is not None:
            talk.transport.producer.resumeProducing()
        self.assertTrue(talk.heard().endswith(message + b"\r\nA2 X\r\n"))
        talk.says("A2 OK")
        self.successResultOf(next_one)

    def test_lost_in_the_middle_of_a_long_literal(self):
        """A connection lost in the middle of a message: its outcome is unknown, and nothing is logged as unhandled."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL+")
        talk.transport.write = pausing(talk.transport)
        done, waiting = talk.wire.perform(store(b"x" * (3 * PIECE))), talk.wire.perform(store(b"y"))
        talk.loses()
        self.refusal(done, OutcomeUnknown)
        self.refusal(waiting, Unavailable)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_lost_before_the_literal(self):
        """A connection lost before a byte of the message left: certainly not stored."""
        talk = greeted_with(self, "IMAP4rev1")
        done = talk.wire.perform(store(b"one"))
        talk.loses()
        self.refusal(done, Unavailable)

    def test_lost_after_the_literal(self):
        """A connection lost before the answer: unknown."""
        talk = greeted_with(self, "IMAP4rev1")
        done = talk.wire.perform(store(b"one"))
        talk.says("+ go")
        talk.loses()
        self.refusal(done, OutcomeUnknown)

    def test_stray_continuation(self):
        """A continuation that nobody waits for means nothing."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL+")
        done = talk.wire.perform(store(b"one"))
        talk.says("+ go on", "A1 OK")
        self.successResultOf(done)


class CancelTests(Case, SynchronousTestCase):
    """Commands that are given up."""

    def test_waiting(self):
        """A command that waits is forgotten, and was never sent."""
        talk = greeted(self)
        first = talk.wire.perform(Request(b"X", what="x"))
        second, third = talk.wire.perform(free(b"Y")), talk.wire.perform(free(b"Z"))
        second.cancel()
        self.refusal(second, CancelledError)
        talk.says("A1 OK")
        self.successResultOf(first)
        talk.hears("A1 X", "A2 Z")
        talk.says("A2 OK")
        self.successResultOf(third)

    def test_in_flight(self):
        """The answers to a command that was given up are drained."""
        talk = greeted(self)
        taken = []
        done = talk.wire.perform(free(b"X", receive=lambda reply, _parts: taken.append(reply) or True))
        done.cancel()
        self.refusal(done, CancelledError)
        talk.says("* 1 FETCH (UID 1)", "A1 OK")
        self.assertEqual(taken, [])
        self.assertTrue(talk.wire.alive)

    def test_one_who_fails_gives_up_the_others(self):
        """Whoever hears of the loss may give up others that wait: they and all behind them still end, once."""
        talk = greeted(self)
        exclusive = [talk.wire.perform(Request(b"X%d" % number, what="x")) for number in range(4)]
        exclusive[1].addErrback(lambda _failure: exclusive[2].cancel())
        talk.loses()
        self.refusal(exclusive[0], Unavailable)
        self.successResultOf(exclusive[1])
        self.refusal(exclusive[2], CancelledError)
        self.refusal(exclusive[3], Unavailable)

    def test_append_in_flight(self):
        """An APPEND that went out and is given up has an unknown outcome, and the connection goes on."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL+")
        done = talk.wire.perform(store(b"one"))
        done.cancel()
        self.refusal(done, OutcomeUnknown)
        talk.says("A1 OK")
        self.assertTrue(talk.wire.alive)

    def test_append_in_the_middle(self):
        """An APPEND that is given up in the middle of its literal ends the connection."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL+")
        talk.transport.write = pausing(talk.transport)
        done = talk.wire.perform(store(b"x" * (3 * PIECE)))
        done.cancel()
        self.refusal(done, OutcomeUnknown)
        self.assertTrue(talk.transport.disconnected)

    def test_append_that_waits_for_the_server(self):
        """An APPEND that is given up before its literal was asked for was not sent; the connection must end."""
        talk = greeted_with(self, "IMAP4rev1")
        done = talk.wire.perform(store(b"one"))
        done.cancel()
        self.refusal(done, CancelledError)
        self.assertTrue(talk.transport.disconnected)


class SilenceTests(Case, SynchronousTestCase):
    """Servers that say nothing."""

    def test_silence_ends_the_connection(self):
        """A command that is not answered at all ends the connection, and all that wait know why."""
        talk = greeted(self)
        done = talk.wire.perform(Request(b"X", what="x"))
        waiting = talk.wire.perform(store(b"one"))
        talk.clock.advance(limits.COMMAND_SECONDS - 1)
        self.assertNoResult(done)
        talk.clock.advance(1)
        self.refusal(done, TimedOut)
        self.refusal(waiting, TimedOut)
        self.assertTrue(talk.transport.disconnected)

    def test_any_byte_counts(self):
        """A long answer that moves is not cut."""
        talk = greeted(self)
        done = talk.wire.perform(free(b"X"))
        for _turn in range(5):
            talk.clock.advance(limits.COMMAND_SECONDS - 1)
            talk.wire.dataReceived(b"* 1 EXISTS\r\n")
        talk.says("A1 OK")
        self.successResultOf(done)

    def test_any_byte_that_leaves_counts(self):
        """A long message that moves is not cut."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL+")
        talk.transport.write = pausing(talk.transport)
        done = talk.wire.perform(store(b"x" * (5 * PIECE)))
        for _turn in range(4):
            talk.clock.advance(limits.COMMAND_SECONDS - 1)
            talk.transport.producer.resumeProducing()
        talk.says("A1 OK")
        self.successResultOf(done)

    def test_refused_literal_that_nobody_takes(self):
        """A server that refuses a message and then takes no more of it holds up nobody for ever."""
        talk = greeted_with(self, "IMAP4rev1 LITERAL+")
        talk.transport.write = pausing(talk.transport)
        refused = talk.wire.perform(store(b"x" * (5 * PIECE)))
        talk.says("A1 NO [TOOBIG] too big")
        self.failureResultOf(refused)
        talk.clock.advance(limits.COMMAND_SECONDS + 1)
        talk.clock.advance(limits.COMMAND_SECONDS + 1)
        self.assertTrue(talk.transport.disconnected)
        self.refusal(talk.wire.perform(free(b"X")), TimedOut)

    def test_quiet_is_no_silence(self):
        """Without a command in flight nothing is waited for; a later command gets its whole time."""
        talk = greeted(self)
        talk.clock.advance(10 * limits.COMMAND_SECONDS)
        done = talk.wire.perform(free(b"X"))
        talk.clock.advance(limits.COMMAND_SECONDS - 1)
        self.assertNoResult(done)
        talk.says("A1 OK")
        self.successResultOf(done)
        talk.clock.advance(10 * limits.COMMAND_SECONDS)
        self.assertTrue(talk.wire.alive)

    def test_nothing_is_left_behind(self):
        """After the end no timer is left."""
        talk = greeted(self)
        quiet(talk.wire.perform(free(b"X")))
        talk.loses()
        self.assertEqual(talk.clock.getDelayedCalls(), [])
        self.refusal(talk.wire.perform(free(b"Y")), Unavailable)


def greeted_with(case, capabilities):
    """A conversation whose session knows these capabilities."""
    talk = session(case, capabilities)
    case.successResultOf(talk.begun)
    return talk


def quiet(waiting):
    """A call whose failure is no matter of the test."""
    waiting.addErrback(lambda _failure: None)


def pausing(transport):
    """A ``write`` that asks to pause after each piece."""
    write = type(transport).write

    def write_and_pause(data):
        write(transport, data)
        if transport.producer is not None:
            transport.producer.pauseProducing()

    return write_and_pause
