"""Tests of the connection: order, bounds, updates, failures and the end."""

from __future__ import annotations

import sqlite3

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.mail.imap4 import IMAP4Client
from twisted.test.iosim import connect, makeFakeClient, makeFakeServer

from ifap_twisted.server import limits, messages
from ifap_twisted.workers import InlineWorker
from tests.server.conversation import START, ConversationTestCase, SlowWorker


class OrderTests(ConversationTestCase):
    def test_pipelined(self) -> None:
        """Pipelined commands are answered in order, each after the one before has ended."""
        client = self.client()
        client.send(
            b"a CREATE x\r\nb APPEND x {1+}\r\n1\r\nc APPEND x {1+}\r\n2\r\nd SELECT x\r\ne UID FETCH 1:* UID\r\n"
            b"f STORE 1 +FLAGS.SILENT (\\Deleted)\r\ng EXPUNGE\r\nh UID SEARCH ALL\r\ni LOGOUT\r\n"
        )
        answer = client.lines()
        self.assertEqual(
            [line[:1] for line in answer if line[1:2] == b" " and line[:1] != b"*"], list(map(_byte, "abcdefghi"))
        )
        self.assertEqual([line for line in answer if b"FETCH (" in line], [b"* 1 FETCH (UID 1)", b"* 2 FETCH (UID 2)"])
        self.assertIn(b"* SEARCH 2", answer)

    def test_answers_wait_for_the_disk(self) -> None:
        """No APPEND is answered before its transaction has ended, and nothing behind it before it."""
        client = self._on_slow_worker()
        client.send(b"a APPEND box {1+}\r\n1\r\nb APPEND box {1+}\r\n2\r\nc NOOP\r\n")
        self.assertEqual(client.lines(), [])
        self.worker.step()
        self.assertEqual([line[:1] for line in client.lines()], [b"a"])
        self.worker.step()
        self.assertEqual([line[:1] for line in client.lines()], [b"b", b"c"])

    def test_pipelined_appends_share_a_transaction(self) -> None:
        """APPENDs that were received while another was stored are stored in one transaction, in order."""
        client = self._on_slow_worker()
        client.send(b"".join(b"a%d APPEND box {1+}\r\nx\r\n" % number for number in range(100)))
        self.assertEqual(self.worker.finish(), 2)
        expected = [b"a%d OK [APPENDUID %d %d] APPEND completed" % (n, START + 1, n + 1) for n in range(100)]
        self.assertEqual(client.lines(), expected)

    def test_batch_is_bounded(self) -> None:
        """One transaction holds only so many messages and so many bytes."""
        for bound, count in (("BATCH_COMMANDS", 3), ("BATCH", 180)):
            with self.subTest(bound):
                client = self._on_slow_worker()
                self.patch(limits, bound, count)
                client.send(b"".join(b"a APPEND box {50+}\r\n%b\r\n" % (b"x" * 50) for _ in range(7)))
                self.assertGreaterEqual(self.worker.finish(), 3)
                self.assertEqual(len(client.lines()), 7)
                self.database._worker = InlineWorker()

    def test_one_bad_append_among_good(self) -> None:
        """A pipelined APPEND that fails does not take the others with it."""
        client = self.client()
        client.send(
            b"a APPEND box {1+}\r\n1\r\nb APPEND nowhere {1+}\r\n2\r\nc APPEND box (\\X) {1+}\r\n3\r\n"
            b"d APPEND box {1+}\r\n4\r\n"
        )
        self.assertEqual([line.split()[1] for line in client.lines()], [b"OK", b"NO", b"BAD", b"OK"])

    def test_byte_by_byte(self) -> None:
        """It does not matter how the bytes arrive."""
        client = self.client()
        for byte in b"a APPEND {3}\r\nbox {4+}\r\n\r\n\r\n\r\nb LOGOUT\r\n":
            client.send(bytes([byte]))
        self.assertEqual([line[:4] for line in client.lines()], [b"+ Go", b"a OK", b"* BY", b"b OK"])

    def test_continuation_in_its_turn(self) -> None:
        """Leave to send a literal comes after the answers to the commands before."""
        client = self._on_slow_worker()
        client.send(b"a STATUS box (MESSAGES)\r\nb APPEND box {1}\r\n")
        self.assertEqual(client.lines(), [])
        self.worker.finish()
        self.assertEqual(client.lines()[1:], [b"a OK STATUS completed", b"+ Go on"])

    def _on_slow_worker(self):
        client = self.client()
        self.worker = SlowWorker()
        self.addCleanup(setattr, self.database, "_worker", self.database._worker)
        self.database._worker = self.worker
        return client


def _byte(letter: str) -> bytes:
    return letter.encode()


message_bytes = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([b"A: b", b"\r\n", b"\n", b"\r", b" ", b"\xff", b"\t", b":", b")", b"{3}", b"\0"])).map(
        b"".join
    ),
)


class MessageBytesTestCase(ConversationTestCase):
    def check(self, message: bytes) -> None:
        """Any bytes come back as they were: whole, as header and text, and their size."""
        client = self.client(b"box")
        uid = client.append(b"box", message)
        client.send(b"a UID FETCH %d (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT])\r\n" % uid)
        answer = client.received()
        end = messages.header_size(message)
        want = b"RFC822.SIZE %d BODY[] {%d}\r\n%b BODY[HEADER] {%d}\r\n%b BODY[TEXT] {%d}\r\n%b)\r\n" % (
            len(message), len(message), message, end, message[:end], len(message) - end, message[end:],
        )  # fmt: skip
        self.assertIn(want, answer)
        client.drop()


class MessageBytesTests(MessageBytesTestCase):
    @settings(max_examples=60)
    @given(message_bytes)
    def test_byte_for_byte(self, message) -> None:
        """Any bytes come back as they were."""
        self.check(message)


class PartsTests(MessageBytesTestCase):
    """Messages that are kept in parts."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(limits, "PART", 7)

    @settings(max_examples=60)
    @given(message_bytes)
    def test_byte_for_byte(self, message) -> None:
        """Any bytes come back as they were."""
        self.check(message)

    def test_partial(self) -> None:
        """A range of bytes over the ends of parts; parts are read in order even when there are many."""
        message = b"A: b\r\n\r\n" + bytes(range(33, 126)) * 3
        client = self.client(b"box")
        client.append(b"box", message)
        self.patch(limits, "PART", 11)
        for offset, length in ((0, 9), (5, 4), (9, 7), (20, 60), (280, 100), (0, 1000), (7, 0), (1000, 5)):
            client.send(b"a FETCH 1 BODY.PEEK[]<%d.%d>\r\n" % (offset, length))
            part = message[offset : offset + length]
            self.assertIn(b"<%d> {%d}\r\n%b)\r\n" % (offset, len(part), part), client.received())

    def test_search(self) -> None:
        """Text that lies over the end of a part is found."""
        client = self.client(b"box")
        client.append(b"box", b"\r\n" + b"abcdefghijklmnopq")
        self.assertEqual(client.say(b"a SEARCH BODY FGHIJKLMNOP")[0], b"* SEARCH 1")

    def test_removed(self) -> None:
        """With a message all its parts are removed, and with a mailbox."""
        client = self.client(b"box")
        for command in (b"EXPUNGE", b"DELETE box"):
            client.say(b"a APPEND box (\\Deleted) {100+}\r\n" + b"x" * 50 + b"\r\n" * 25)
            client.say(b"b " + command)
            rows = self.successResultOf(self.database.run(lambda db: db.execute("SELECT * FROM parts").fetchall()))
            self.assertEqual(rows, [])


class UpdateTests(ConversationTestCase):
    def test_two_sessions(self) -> None:
        """With every answer a session hears what the others have done meanwhile."""
        one, two = self.client(b"box"), self.client(b"box")
        one.append(b"box", b"x")
        self.assertEqual(two.say(b"a CHECK"), [b"* 1 EXISTS", b"* 1 RECENT", b"a OK CHECK completed"])
        two.say(b"b STORE 1 +FLAGS.SILENT (\\Deleted)")
        two.say(b"c EXPUNGE")
        self.assertEqual(one.say(b"d UID SEARCH ALL"), [b"* 1 EXPUNGE", b"* SEARCH", b"d OK UID SEARCH completed"])

    def test_found_at_once(self) -> None:
        """UID SEARCH and UID FETCH find what others appended, without a NOOP before."""
        one, two, three = self.client(b"box"), self.client(b"box"), self.client(b"box")
        one.append(b"box", b"x")
        self.assertEqual(two.say(b"a UID SEARCH ALL")[:3], [b"* 1 EXISTS", b"* 1 RECENT", b"* SEARCH 1"])
        self.assertEqual(three.say(b"a UID FETCH 1:* UID")[:3], [b"* 1 EXISTS", b"* 1 RECENT", b"* 1 FETCH (UID 1)"])

    def test_mailbox_deleted_before_uid_command(self) -> None:
        """A UID command in a mailbox that was deleted meanwhile is answered with BYE and NO."""
        client = self.client(b"box")
        self.client().say(b"a DELETE box")
        self.assertEqual(
            client.say(b"a UID SEARCH ALL"),
            [b"* BYE The mailbox was deleted", b"a NO [UNAVAILABLE] The server cannot do this now"],
        )
        self.assertTrue(client.closed)


class BoundTests(ConversationTestCase):
    def test_long_line(self) -> None:
        """A line that is too long ends the connection with a word."""
        client = self.client()
        client.send(b"a " + b"x" * (limits.TEXT + 10))
        self.assertEqual(client.lines(), [b"* BYE This line is too long"])
        self.assertTrue(client.closed)

    def test_long_command(self) -> None:
        """So does a number of bytes that is none."""
        client = self.client()
        self.assertEqual(client.say(b"a APPEND box {99999999999+}"), [b"* BYE This command is too large"])
        self.assertTrue(client.closed)

    def test_message_before_login(self) -> None:
        """Who has not logged in cannot make the server hold a message; afterwards the connection is as good as ever."""
        client = self.connect()
        client.send(b"a APPEND box {50000000+}\r\n")
        for _block in range(100):
            client.send(bytes(500_000))
        self.assertLess(sum(map(len, client.connection._assembler._command.pieces)), 2 * limits.ARGUMENT)
        client.send(b"\r\n")
        self.assertEqual(len(client.lines()), 1)
        self.assertIn(b"OK", client.say(b"l LOGIN me secret")[0])
        client.append(b"box", b"x" * 200_000)

    def test_nonsense_before_login(self) -> None:
        """Who sends nonsense before login is not listened to for long."""
        client = self.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello\r\nx y z\r\n")
        answer = client.lines()
        self.assertEqual(len([line for line in answer if b" BAD " in line]), limits.BAD_COMMANDS)
        self.assertIn(b"* BYE Too many bad commands", answer)
        self.assertTrue(client.closed)

    def test_bad_commands_after_login(self) -> None:
        """After login they are only BAD; the text of the command is not sent back."""
        client = self.client()
        for line in (b"a", b"a NONSENSE x", b"", b"* NOOP", b"a  NOOP", b"a NOOP x", b"\xff\xfe", b"a \x00"):
            with self.subTest(line):
                self.assertEqual(client.say(line)[0].split()[1], b"BAD")
        self.assertEqual(client.say(b"z NOOP"), [b"z OK NOOP completed"])

    def test_reading_stops(self) -> None:
        """While too much waits for its turn, nothing more is read from the connection."""
        self.patch(limits, "BACKLOG_COMMANDS", 10)
        client = self.client()
        client.transport.producer.pauseProducing()
        client.send(b"a NOOP\r\n" * 100)
        self.assertLessEqual(len(client.connection.inflow), 12)
        self.assertEqual(client.transport.producerState, "paused")
        client.transport.producer.resumeProducing()
        self.assertEqual(len(client.lines()), 100)
        self.assertEqual(client.transport.producerState, "producing")

    def test_too_many_connections(self) -> None:
        """Only so many connections are taken at a time."""
        self.patch(limits, "CONNECTIONS", 2)
        first = self.connect()
        self.connect()
        self.assertIsNone(self.connections.buildProtocol(None))
        first.drop()
        self.assertIsNotNone(self.connections.buildProtocol(None))

    def test_silence_before_login(self) -> None:
        """Who does not log in within a minute is cut off; who has logged in has half an hour."""
        silent, user = self.connect(), self.client()
        self.clock.advance(61)
        self.assertEqual(silent.lines(), [b"* BYE Nothing was heard for too long"])
        self.assertTrue(silent.closed)
        self.assertFalse(user.closed)
        self.clock.advance(1800)
        self.assertTrue(user.closed)

    def test_goodbye_that_is_not_read(self) -> None:
        """Who does not read the goodbye is cut off after a minute; what is sent behind LOGOUT is ignored."""
        client = self.client()
        client.send(b"a LOGOUT\r\nb NOOP\r\n")
        client.send(b"c NOOP\r\n")
        self.assertEqual(len(client.lines()), 2)
        self.assertFalse(client.transport.disconnected)
        self.clock.advance(61)
        self.assertTrue(client.transport.disconnected)

    def test_silence_in_idle(self) -> None:
        """IDLE that is not renewed ends too."""
        client = self.client(b"box")
        client.say(b"a IDLE")
        self.clock.advance(1861)
        self.assertEqual(client.lines(), [b"* BYE Nothing was heard for too long"])


class FailureTests(ConversationTestCase):
    def test_internal_error(self) -> None:
        """A fault of ours is NO with a fixed text; what happened stands in the log only."""
        client = self.client()
        self.patch(self.shelf.database, "run", _failing(RuntimeError("secret detail")))
        self.assertEqual(
            client.say(b"a STATUS box (MESSAGES)"), [b"a NO [SERVERBUG] Internal error, see the log of the server"]
        )
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_disk_full(self) -> None:
        """A full disk is NO [OVERQUOTA], and the connection goes on."""
        client = self.client()
        self.successResultOf(self.database.run(_set_page_limit))
        client.send(b"a APPEND box {100000+}\r\n" + b"x" * 100_000 + b"\r\n")
        self.assertEqual(client.lines(), [b"a NO [OVERQUOTA] The disk is full"])
        self.assertEqual(client.say(b"b NOOP"), [b"b OK NOOP completed"])

    def test_disk_full_for_one_of_a_batch(self) -> None:
        """When a batch does not fit, those of its messages that do are stored."""
        client = self.client()
        self.successResultOf(self.database.run(_set_page_limit))
        client.transport.producer.pauseProducing()
        client.send(b"a APPEND box {3+}\r\nabc\r\nb APPEND box {100000+}\r\n" + b"x" * 100_000 + b"\r\n")
        client.transport.producer.resumeProducing()
        answer = client.lines()
        self.assertEqual([line.split()[1] for line in answer], [b"OK", b"NO"])

    def test_database_held(self) -> None:
        """While another program holds the database longer than is waited for, it is NO [INUSE]."""
        client = self.client()
        self.successResultOf(self.database.run(lambda db: db.execute("PRAGMA busy_timeout = 0").fetchall()))
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.assertEqual(client.say(b"a CREATE x"), [b"a NO [INUSE] Another program holds the database"])
        other.execute("ROLLBACK")
        self.assertEqual(client.say(b"b CREATE x"), [b"b OK CREATE completed"])

    def test_database_closed(self) -> None:
        """After the database was closed commands are NO [UNAVAILABLE]."""
        client = self.client()
        self.successResultOf(self.database.close())
        self.assertEqual(client.say(b"a STATUS box (MESSAGES)"), [b"a NO [UNAVAILABLE] The server cannot do this now"])


def _failing(error):
    def run(*_args, **_kwargs):
        result = Deferred()
        result.errback(error)
        return result

    return run


def _set_page_limit(connection: sqlite3.Connection) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")


class ShutDownTests(ConversationTestCase):
    def test_all_connections_end(self) -> None:
        """When the server stops, clients are told and closed, whatever they wait for."""
        clients = [self.connect(), self.client(b"box"), self.client(b"box"), self.client(), self.connect()]
        clients[2].say(b"a IDLE")
        clients[3].say(b"a APPEND box {3}")
        clients[4].say(b"a LOGIN me wrong")
        stopped = self.connections.shut_down()
        for client in clients:
            self.assertEqual(client.lines(), [b"* BYE The server stops"])
            self.assertTrue(client.closed)
            self.assertNoResult(stopped)
            client.drop()
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_received_commands_are_finished(self) -> None:
        """Commands that were received are done and answered first."""
        client = self.client()
        client.transport.producer.pauseProducing()
        client.send(b"a APPEND box {1+}\r\nx\r\nb NOOP\r\n")
        stopped = self.connections.shut_down()
        client.transport.producer.resumeProducing()
        self.assertEqual([line[:5] for line in client.lines()], [b"a OK ", b"b OK ", b"* BYE"])
        client.drop()
        self.successResultOf(stopped)

    def test_peer_that_does_not_read(self) -> None:
        """A peer that does not read is cut off in the end."""
        client = self.client()
        client.transport.producer.pauseProducing()
        client.send(b"a NOOP\r\n")
        stopped = self.connections.shut_down()
        self.assertFalse(client.closed)
        self.clock.advance(limits.SHUTDOWN_SECONDS)
        self.assertTrue(client.closed)
        client.drop()
        self.successResultOf(stopped)

    def test_no_new_connections(self) -> None:
        """A stopping server takes no connection."""
        self.successResultOf(self.connections.shut_down())
        self.assertIsNone(self.connections.buildProtocol(None))


class TwistedClientTests(ConversationTestCase):
    def test_twisted_client(self) -> None:
        """Twisted's own client logs in, appends, selects, searches and fetches."""
        client = IMAP4Client()
        server = self.connections.buildProtocol(None)
        assert server is not None
        pump = connect(server, makeFakeServer(server), client, makeFakeClient(client))

        def result(deferred):
            pump.flush()
            return self.successResultOf(deferred)

        result(client.login(b"me", b"secret"))
        _lines, last = result(client.sendCommand(_append(b"box", b"Subject: x\r\n\r\nbody")))
        self.assertIn(b"APPENDUID", last)
        self.assertEqual(result(client.select("box"))["EXISTS"], 1)
        self.assertEqual(result(client.search("ALL", uid=True)), [1])
        self.assertEqual(result(client.fetchUID("1:*")), {1: {"UID": "1"}})
        fetched = result(client.fetchSpecific("1", uid=True, peek=True))
        self.assertEqual(fetched, {1: [["UID", "1", "BODY", [], "Subject: x\r\n\r\nbody"]]})
        result(client.logout())


def _append(mailbox: bytes, message: bytes):
    from twisted.mail.imap4 import Command

    return Command(b"APPEND", mailbox + b" {%d+}\r\n" % len(message) + message)
