"""Each fault of Twisted's ``IMAP4Client`` that was found by reading and trying, and that it does not reach us."""

from __future__ import annotations

from io import BytesIO

from twisted.internet.testing import StringTransport
from twisted.mail.imap4 import Command, IMAP4Client
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import (
    BadSettings,
    NotSupported,
    NotTrusted,
    OutcomeUnknown,
    ProtocolViolation,
    Refused,
    TimedOut,
    Unavailable,
)
from ifap_twisted.imap.sending import PIECE
from ifap_twisted.imap.wire import Wire
from tests.imap.conversation import Case, Conversation, greeted, selected, session
from tests.imap.test_folder import body
from tests.imap.test_pipeline import pausing


class TrapTests(Case, SynchronousTestCase):
    """One test per fault."""

    def test_long_line(self):
        """A line over 16,384 bytes, as a SEARCH in a folder of 3,000 gives, is an answer and not the end."""
        talk = selected(self, "IMAP4rev1")
        done = self.started(talk.folder.reading.search(b"DELETED"))
        uids = list(range(1_000_000, 1_020_000))
        talk.says("* SEARCH " + " ".join(map(str, uids)), "A2 OK")
        self.assertEqual(self.successResultOf(done), set(uids))

    def test_too_long_line_never_succeeds_empty(self):
        """A line beyond our bound fails the command that waits: Twisted's let it succeed with nothing."""
        talk = selected(self, "IMAP4rev1")
        listing, searching = (
            self.started(talk.folder.uids(1, None)),
            self.started(talk.folder.reading.search(b"DELETED")),
        )
        for _turn in range(20):
            talk.wire.dataReceived(b"* SEARCH " if _turn == 0 else b" 1000000" * 10_000)
        self.refusal(listing, ProtocolViolation)
        self.refusal(searching, ProtocolViolation)
        self.assertTrue(talk.transport.disconnected)

    def test_timeouts(self):
        """A time-out ends everything that waits, in flight and queued, and the connection; Twisted's raised instead."""
        talk = greeted(self)
        self.assertEqual(talk.wire.timeout, 0)
        first = talk.wire.noop()
        talk.says("A1 OK")
        self.successResultOf(first)
        waiting = [talk.wire.noop(), talk.wire.noop(), talk.wire.noop()]
        talk.clock.advance(limits.COMMAND_SECONDS)
        for one in waiting:
            self.refusal(one, TimedOut)
        self.assertTrue(talk.transport.disconnected)
        self.assertEqual(talk.clock.getDelayedCalls(), [])

    def test_no_and_bad(self):
        """NO and BAD are told apart, with the code; Twisted's lost both."""
        talk = greeted(self)
        answers = {"NO [CANNOT] x": ("NO", "CANNOT"), "BAD x": ("BAD", "")}
        for number, (answer, told) in enumerate(answers.items(), 1):
            done = talk.wire.create("box")
            talk.says(f"A{number} {answer}")
            error = self.refusal(done, Refused)
            self.assertEqual((error.status, error.response_code), told)

    def test_bytes_stay_bytes(self):
        """A literal is bytes, never decoded."""
        talk = selected(self, "IMAP4rev1")
        done = self.started(talk.folder.message(5))
        talk.says(body(1, 5, b'\xff\xfe\x00(){}"'), "A2 OK")
        self.assertEqual(self.successResultOf(done), b'\xff\xfe\x00(){}"')

    def test_huge_literal(self):
        """The claim of a literal of 99,999,999,999 bytes ends the connection; none of it is collected."""
        talk = selected(self, "IMAP4rev1")
        done = self.started(talk.folder.message(5))
        talk.says("* 1 FETCH (UID 5 BODY[] {99999999999}")
        self.refusal(done, ProtocolViolation)
        self.assertTrue(talk.transport.disconnected)

    def test_line_ends_in_credentials(self):
        """A password with a line end is refused before anything is sent; Twisted's quoted it as it was."""
        talk = session(self, "IMAP4rev1")
        for user, password in (("me", "pa\r\nA9 DELETE x"), ("m\ne", "x"), ("me", "\0")):
            self.refusal(talk.session.login(user, password), BadSettings)
        talk.silent()

    def test_line_ends_in_folder_names(self):
        """A folder name with a line end is refused, and gets through no inherited command; Twisted's mangled it."""
        talk = session(self, "IMAP4rev1", greeting="PREAUTH")
        self.refusal(self.started(talk.session.open_folder("box\r\nA9 DELETE x", None, create=True)), BadSettings)
        self.refusal(talk.wire.lsub("\r\nA9 DELETE x", "*"), BadSettings)
        with self.assertRaises(BadSettings):
            talk.wire.append("box\r\n", BytesIO(b"x"))
        talk.silent()

    def test_no_unverified_tls(self):
        """There is no STARTTLS without a verifying context; Twisted's made one that verifies nothing."""
        talk = greeted(self, "IMAP4rev1 STARTTLS")
        self.refusal(talk.wire.startTLS(), NotTrusted)
        talk.silent()

    def test_no_silent_upgrade(self):
        """A login in clear text stays one when STARTTLS is on offer, and is only done when the caller allows it."""
        talk = session(self, "IMAP4rev1 STARTTLS")
        self.started(talk.session.login("me", "secret"))
        talk.hears('A1 LOGIN "me" "secret"')
        self.refusal(talk.wire.login(b"me", b"secret"), NotSupported)
        self.refusal(talk.wire.authenticate(b"secret"), NotSupported)
        talk.silent()

    def test_lost_in_the_middle_of_an_append(self):
        """A connection lost in the middle of a message leaves no unhandled failure; the caller knows what it means."""
        talk = session(self, "IMAP4rev1 LITERAL+", greeting="PREAUTH")
        talk.transport.write = pausing(talk.transport)
        done = talk.wire.append("box", BytesIO(b"x" * (3 * PIECE)))
        self.assertIsNotNone(talk.transport.producer)
        talk.loses()
        self.refusal(done, OutcomeUnknown)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_capabilities_are_not_cached(self):
        """Capabilities are those after the login; Twisted's were those of the first time."""
        talk = session(self, "IMAP4rev1 AUTH=PLAIN SASL-IR")
        self.started(talk.session.authenticate_plain("me", "secret"))
        talk.heard()
        talk.says("A1 OK")
        talk.hears("A2 CAPABILITY")
        talk.says("* CAPABILITY IMAP4rev1 UIDPLUS", "A2 OK")
        self.assertEqual(talk.session.capabilities, {b"IMAP4REV1", b"UIDPLUS"})
        for number in (3, 4):
            done = talk.wire.getCapabilities()
            talk.hears(f"A{number} CAPABILITY")
            talk.says("* CAPABILITY IMAP4rev1 X", f"A{number} OK")
            self.assertIn(b"X", self.successResultOf(done))

    def test_unknown_tag(self):
        """An unknown tag ends the connection with a reason that all who wait are told."""
        talk = greeted(self)
        done = talk.wire.noop()
        talk.says("Z9 OK what")
        self.assertIn("not sent", str(self.refusal(done, ProtocolViolation)))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_results_by_uid(self):
        """Results are keyed by UID, whatever the message numbers are."""
        talk = selected(self, "IMAP4rev1")
        done = self.started(talk.folder.headers(1, None))
        talk.says("* 1 FETCH (RFC822.SIZE 5 BODY[HEADER.FIELDS (X-IFAP)] {2}\r\n\r\n UID 77)", "A2 OK")
        self.assertEqual(list(self.successResultOf(done)), [77])

    def test_pipelining(self):
        """Commands overlap; Twisted's sent one at a time, and made the others wait in a list."""
        talk = selected(self, "IMAP4rev1 LITERAL+")
        for _turn in range(10):
            self.started(talk.folder.append(b"x"))
        self.assertEqual(talk.heard().count(b"APPEND"), 10)

    def test_ten_thousand_waiting(self):
        """Ten thousand commands in the queue are worked off, each in its turn."""
        talk = greeted(self)
        done = [talk.wire.noop() for _turn in range(10_000)]
        for number in range(1, 10_001):
            talk.says(f"A{number} OK")
        self.assertEqual([self.successResultOf(one) for one in done], [[]] * 10_000)

    def test_end_of_a_literal(self):
        """What follows a literal in one block is read as it is, CR and LF included; Twisted's stripped them."""
        talk = selected(self, "IMAP4rev1")
        done = self.started(talk.folder.message(5))
        talk.wire.dataReceived(b"* 1 FETCH (UID 5 BODY[] {4}\r\n\r\n")
        talk.wire.dataReceived(b"\r\n)\r\nA2 OK\r\n")
        self.assertEqual(self.successResultOf(done), b"\r\n\r\n")

    def test_nothing_before_the_tagged_answer(self):
        """An answer counts when it is complete: a connection lost before the tagged line is a failure, not a part."""
        talk = selected(self, "IMAP4rev1")
        done = self.started(talk.folder.headers(1, None))
        talk.says("* 1 FETCH (UID 1 RFC822.SIZE 5 BODY[HEADER.FIELDS (X-IFAP)] {2}\r\n\r\n)")
        talk.loses()
        self.refusal(done, Unavailable)

    def test_close_and_expunge(self):
        """CLOSE and EXPUNGE, which remove what others marked, are never sent (FORMAT 5.4)."""
        talk = greeted(self)
        self.refusal(talk.wire.close(), NotSupported)
        self.refusal(talk.wire.expunge(), NotSupported)
        talk.silent()

    def test_the_traps_are_there(self):
        """What Twisted's client does with one of them: if this fails, it has got better, and we may learn from it."""
        client = IMAP4Client()
        transport = StringTransport()
        client.makeConnection(transport)
        client.dataReceived(b"* OK ready\r\n")
        done = client.sendCommand(Command(b"UID SEARCH", b"ALL", wantResponse=(b"SEARCH",)))
        client.dataReceived(b"* SEARCH" + b" 1234567" * 3000 + b"\r\n")
        self.assertTrue(transport.disconnecting)
        self.assertNoResult(done)


class InheritedTests(Case, SynchronousTestCase):
    """The commands of Twisted's client work over our pipeline."""

    def test_is_one(self):
        """The wire is an ``IMAP4Client``."""
        self.assertIsInstance(greeted(self).wire, IMAP4Client)

    def test_list(self):
        """LIST, with a literal in the answer."""
        talk = greeted(self)
        done = talk.wire.list("", "*")
        talk.hears('A1 LIST "" "*"')
        talk.says('* LIST (\\HasNoChildren) "/" {5}\r\na b&-', "* 3 EXISTS", "A1 OK")
        self.assertEqual(self.successResultOf(done), [(("\\HasNoChildren",), "/", "a b&")])

    def test_status_create_namespace(self):
        """STATUS, CREATE, NAMESPACE."""
        talk = greeted(self)
        done = [talk.wire.status("box", "MESSAGES"), talk.wire.create("Ä"), talk.wire.namespace()]
        talk.says("* STATUS box (MESSAGES 3)", "A1 OK")
        talk.says("A2 OK", '* NAMESPACE (("" "/")) NIL NIL', "A3 OK")
        self.assertEqual(self.successResultOf(done[0]), {"MESSAGES": 3})
        self.successResultOf(done[1])
        self.assertEqual(self.successResultOf(done[2]), [[["", "/"]], [], []])

    def test_select_and_fetch(self):
        """SELECT and FETCH, whose answers Twisted parses."""
        talk = greeted(self)
        done = talk.wire.select("box")
        talk.says("* 3 EXISTS", "* OK [UIDVALIDITY 7] v", "A1 OK [READ-WRITE] done")
        self.assertEqual(self.successResultOf(done)["UIDVALIDITY"], 7)
        done = talk.wire.fetchSize("1:3", uid=True)
        talk.says("* 1 FETCH (UID 5 RFC822.SIZE 10)", "A2 OK")
        self.assertEqual(self.successResultOf(done)[1]["RFC822.SIZE"], "10")

    def test_append(self):
        """APPEND with flags and a date."""
        talk = session(self, "IMAP4rev1 LITERAL+", greeting="PREAUTH")
        done = talk.wire.append("bóx", BytesIO(b"hello"), ("\\Seen",), "01-Jan-2026 00:00:00 +0000")
        talk.hears('A1 APPEND "b&APM-x" (\\Seen) "01-Jan-2026 00:00:00 +0000" {5+}', "hello")
        talk.says("A1 OK [APPENDUID 7 1] done")
        self.assertEqual(self.successResultOf(done).code, b"APPENDUID")

    def test_logout(self):
        """LOGOUT ends the connection."""
        talk = greeted(self)
        done = talk.wire.logout()
        talk.hears("A1 LOGOUT")
        talk.says("* BYE bye", "A1 OK")
        self.assertIsNone(self.successResultOf(done))
        self.assertTrue(talk.transport.disconnecting)

    def test_start_tls(self):
        """STARTTLS with a context of the caller's."""
        talk = greeted(self)
        creator = object()
        done = talk.wire.startTLS(creator)
        talk.hears("A1 STARTTLS")
        talk.says("A1 OK")
        self.successResultOf(done)
        self.assertIs(talk.transport.secured, creator)

    def test_answers_that_twisted_cannot_read(self):
        """An answer over which Twisted's parser breaks is a violation, and nobody waits for ever."""
        for answer in ("* LIST (", '* LIST () "/" "', "* STATUS box", '* XYZ (("', "* 5 XYZ (("):
            talk = greeted(self)
            done = talk.wire.status("box", "MESSAGES") if "STATUS" in answer else talk.wire.list("", "*")
            talk.says(answer, "A1 OK")
            self.failureResultOf(done)
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_answers_that_are_too_large(self):
        """All that is held for one command is bounded."""
        talk = greeted(self)
        done = talk.wire.noop()
        block = b"* 1 FETCH (BODY[] {%d}\r\n" % (limits.LITERAL // 2) + bytes(limits.LITERAL // 2) + b")\r\n"
        for _turn in range(4):
            if talk.wire.alive:
                talk.wire.dataReceived(block)
        self.refusal(done, ProtocolViolation)

    def test_cancelled(self):
        """An inherited command can be given up, too."""
        talk = greeted(self)
        done = talk.wire.noop()
        done.cancel()
        self.failureResultOf(done)
        talk.says("A1 OK")
        self.assertTrue(talk.wire.alive)

    def test_clock_is_ours(self):
        """The wire has no time-out of Twisted's, whatever happens."""
        talk = Conversation(self)
        self.assertIsInstance(talk.wire, Wire)
        self.assertEqual((talk.wire.timeout, talk.clock.getDelayedCalls()), (0, []))
