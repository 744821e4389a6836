"""Tests of the commands about mailboxes, and of APPEND and IDLE."""

from __future__ import annotations

import re
import time

from ifap_twisted.server import limits
from tests.server.conversation import START, ConversationTestCase


class SelectTests(ConversationTestCase):
    def test_empty(self) -> None:
        """SELECT describes the mailbox completely."""
        self.assertEqual(
            self.client().say(b"a SELECT box"),
            [
                b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
                b"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] Kept",
                b"* 0 EXISTS",
                b"* 0 RECENT",
                b"* OK [UIDVALIDITY %d] Valid" % (START + 1),
                b"* OK [UIDNEXT 1] Next",
                b"a OK [READ-WRITE] SELECT completed",
            ],
        )

    def test_filled(self) -> None:
        """It counts messages, names the first unseen, and lists keywords that are in use."""
        client = self.client()
        client.say(b"p APPEND box (\\Seen) {1+}\r\na")
        client.say(b"p APPEND box ($Mine) {1+}\r\nb")
        answer = client.say(b"a SELECT box")
        self.assertIn(b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Mine)", answer)
        self.assertIn(b"* 2 EXISTS", answer)
        self.assertIn(b"* 2 RECENT", answer)
        self.assertIn(b"* OK [UNSEEN 2] First unseen", answer)
        self.assertIn(b"* OK [UIDNEXT 3] Next", answer)

    def test_recent_once(self) -> None:
        """Messages are recent to the first session only; EXAMINE does not count as one."""
        self.client().append(b"box", b"a")
        self.assertIn(b"* 1 RECENT", self.client().say(b"a EXAMINE box"))
        self.assertIn(b"* 1 RECENT", self.client().say(b"a SELECT box"))
        self.assertIn(b"* 0 RECENT", self.client().say(b"a SELECT box"))

    def test_examine(self) -> None:
        """EXAMINE is read-only: no permanent flags, and nothing can be changed."""
        client = self.client()
        client.append(b"box", b"a")
        answer = client.say(b"a EXAMINE box")
        self.assertIn(b"* OK [PERMANENTFLAGS ()] Kept", answer)
        self.assertEqual(answer[-1], b"a OK [READ-ONLY] EXAMINE completed")
        self.assertEqual(client.say(b"b STORE 1 +FLAGS \\Seen"), [b"b NO [CANNOT] This cannot be changed"])
        self.assertEqual(client.say(b"c EXPUNGE"), [b"c NO [CANNOT] This cannot be changed"])
        self.assertEqual(client.say(b"d UID EXPUNGE 1"), [b"d NO [CANNOT] This cannot be changed"])
        self.assertEqual(client.say(b"e FETCH 1 BODY[]"), [b"* 1 FETCH (BODY[] {1}", b"a)", b"e OK FETCH completed"])

    def test_missing(self) -> None:
        """A missing mailbox is NO, and nothing is selected afterwards."""
        client = self.client(b"box")
        self.assertEqual(client.say(b"a SELECT nowhere"), [b"a NO [NONEXISTENT] There is no such mailbox"])
        self.assertEqual(client.say(b"b CHECK"), [b"b BAD Not in this state"])

    def test_inbox_in_any_case(self) -> None:
        """INBOX is always there, in any case."""
        self.assertEqual(self.client().say(b"a SELECT iNbOx")[-1], b"a OK [READ-WRITE] SELECT completed")

    def test_left_when_connection_is_lost(self) -> None:
        """A connection that was lost is told nothing any more."""
        client = self.client(b"box")
        client.drop()
        self.assertEqual(self.shelf.watchers._views, {})


class MailboxTests(ConversationTestCase):
    def test_create(self) -> None:
        """CREATE makes a mailbox and those above it; a final delimiter is no part of the name."""
        client = self.client()
        self.assertEqual(client.say(b"a CREATE x/y/z/"), [b"a OK CREATE completed"])
        self.assertEqual(
            client.say(b'b LIST "" x*'),
            [
                b'* LIST (\\HasChildren) "/" "x"',
                b'* LIST (\\HasChildren) "/" "x/y"',
                b'* LIST (\\HasNoChildren) "/" "x/y/z"',
                b"b OK LIST completed",
            ],
        )

    def test_create_again(self) -> None:
        """CREATE of what exists is NO, INBOX included."""
        for name in (b"box", b"inbox"):
            self.assertEqual(
                self.client().say(b"a CREATE " + name), [b"a NO [ALREADYEXISTS] The mailbox exists already"]
            )

    def test_create_what_cannot_be(self) -> None:
        """Names with wildcards, empty parts, control or 8-bit characters are refused."""
        client = self.client()
        for name in (b'"a*"', b'"a%"', b'""', b"a//b", b"/a", b'"a\x01"', b'"\xc3\xa4"', b'"&"', b"a" * 1025):
            with self.subTest(name):
                self.assertEqual(client.say(b"a CREATE " + name), [b"a NO [CANNOT] A mailbox cannot have this name"])

    def test_name_in_utf7(self) -> None:
        """Names in modified UTF-7 come back as they were given."""
        client = self.client()
        client.say(b"a CREATE b&AOQ-h")
        self.assertIn(b'* LIST (\\HasNoChildren) "/" "b&AOQ-h"', client.say(b'b LIST "" *'))

    def test_delete(self) -> None:
        """DELETE removes a mailbox with its messages."""
        client = self.client()
        client.append(b"box", b"a")
        self.assertEqual(client.say(b"a DELETE box"), [b"a OK DELETE completed"])
        self.assertEqual(client.say(b"b DELETE box"), [b"b NO [NONEXISTENT] There is no such mailbox"])
        rows = self.successResultOf(self.database.run(lambda db: db.execute("SELECT * FROM contents").fetchall()))
        self.assertEqual(rows, [])

    def test_delete_refused(self) -> None:
        """INBOX, and a mailbox with others below it, stay."""
        client = self.client()
        client.say(b"a CREATE box/below")
        self.assertEqual(client.say(b"b DELETE box"), [b"b NO [HASCHILDREN] There are mailboxes below it"])
        self.assertEqual(client.say(b"c DELETE inbox"), [b"c NO [CANNOT] This cannot be changed"])

    def test_deleted_while_selected(self) -> None:
        """Who has a mailbox selected when it is deleted is told BYE."""
        reader = self.client(b"box")
        idler = self.client(b"box")
        idler.say(b"i IDLE")
        self.client().say(b"a DELETE box")
        self.assertEqual(idler.lines(), [b"* BYE The mailbox was deleted"])
        self.assertTrue(idler.closed)
        self.assertEqual(reader.say(b"b NOOP")[0], b"* BYE The mailbox was deleted")
        self.assertTrue(reader.closed)

    def test_uidvalidity_rises(self) -> None:
        """A mailbox that is made again has a higher UIDVALIDITY, even when the clock goes backwards."""
        client = self.client()
        self.clock.rightNow = 5
        before = self._uidvalidity(client)
        client.say(b"a DELETE box")
        client.say(b"b CREATE box")
        self.assertGreater(self._uidvalidity(client), before)

    def _uidvalidity(self, client) -> int:
        found = re.search(rb"UIDVALIDITY (\d+)", client.say(b"u STATUS box (UIDVALIDITY)")[0])
        assert found is not None
        return int(found[1])

    def test_too_many(self) -> None:
        """A user can have only so many mailboxes."""
        self.patch(limits, "MAILBOXES", 3)
        client = self.client()
        self.assertEqual(client.say(b"a CREATE x"), [b"a OK CREATE completed"])
        self.assertEqual(client.say(b"a CREATE y"), [b"a NO [LIMIT] This is more than the server keeps"])

    def test_list_root(self) -> None:
        """LIST with an empty name tells the delimiter."""
        self.assertEqual(self.client().say(b'a LIST "" ""'), [b'* LIST (\\Noselect) "/" ""', b"a OK LIST completed"])

    def test_list_wildcards(self) -> None:
        """``%`` stops at the delimiter, ``*`` does not; INBOX has no case; a reference comes before."""
        client = self.client()
        client.say(b"a CREATE box/in/deep")
        listed = {
            b'"" %': [b"INBOX", b"box"],
            b'"" inbox': [b"INBOX"],
            b'"" box/%': [b"box/in"],
            b"box/ *": [b"box/in", b"box/in/deep"],
            b'"" "*deep"': [b"box/in/deep"],
            b'"" nothing': [],
        }
        for argument, names in listed.items():
            with self.subTest(argument):
                answer = client.say(b"b LIST " + argument)
                self.assertEqual([line.split(b'"')[3] for line in answer[:-1]], names)

    def test_subscriptions(self) -> None:
        """LSUB lists what was subscribed."""
        client = self.client()
        self.assertEqual(client.say(b'a LSUB "" *'), [b"a OK LSUB completed"])
        self.assertEqual(client.say(b"b SUBSCRIBE box"), [b"b OK SUBSCRIBE completed"])
        self.assertEqual(client.say(b'c LSUB "" *'), [b'* LSUB (\\HasNoChildren) "/" "box"', b"c OK LSUB completed"])
        self.assertEqual(client.say(b"d UNSUBSCRIBE box"), [b"d OK UNSUBSCRIBE completed"])
        self.assertEqual(client.say(b'e LSUB "" *'), [b"e OK LSUB completed"])
        self.assertEqual(client.say(b"f SUBSCRIBE x")[0][:18], b"f NO [NONEXISTENT]")

    def test_namespace(self) -> None:
        """NAMESPACE: one personal namespace."""
        self.assertEqual(
            self.client().say(b"a NAMESPACE"), [b'* NAMESPACE (("" "/")) NIL NIL', b"a OK NAMESPACE completed"]
        )

    def test_status(self) -> None:
        """STATUS counts, in the order asked."""
        client = self.client()
        client.say(b"p APPEND box (\\Seen) {3+}\r\nabc")
        client.append(b"box", b"12345")
        self.assertEqual(
            client.say(b"a STATUS box (UNSEEN messages RECENT UIDNEXT SIZE APPENDLIMIT)"),
            [
                b'* STATUS "box" (UNSEEN 1 MESSAGES 2 RECENT 2 UIDNEXT 3 SIZE 8 APPENDLIMIT 100663296)',
                b"a OK STATUS completed",
            ],
        )

    def test_status_wrong(self) -> None:
        """An unknown item is BAD, a missing mailbox NO."""
        client = self.client()
        self.assertEqual(client.say(b"a STATUS box (COLOUR)"), [b"a BAD Unknown item of STATUS"])
        self.assertEqual(client.say(b"b STATUS x (MESSAGES)")[0][:18], b"b NO [NONEXISTENT]")


class AppendTests(ConversationTestCase):
    message_limit = 100_000

    def test_uid(self) -> None:
        """APPEND tells the UID that the message got."""
        client = self.client()
        self.assertEqual(client.say(b"a APPEND box {3}"), [b"+ Go on"])
        self.assertEqual(client.say(b"abc"), [b"a OK [APPENDUID %d 1] APPEND completed" % (START + 1)])

    def test_flags_and_date(self) -> None:
        """Flags and date are kept, with the zone."""
        client = self.client()
        client.say(b'a APPEND box (\\seen $Key) " 1-Feb-2020 03:04:05 -0730" {1+}\r\nx')
        client.say(b"b SELECT box")
        self.assertEqual(
            client.say(b"c FETCH 1 (FLAGS INTERNALDATE)")[0],
            b'* 1 FETCH (FLAGS (\\Seen $Key \\Recent) INTERNALDATE " 1-Feb-2020 03:04:05 -0730")',
        )

    def test_date_alone(self) -> None:
        """A date without flags is understood."""
        self.assertEqual(
            self.client().say(b'a APPEND box "01-Feb-2020 03:04:05 +0000" {1+}\r\nx')[0][:16], b"a OK [APPENDUID "
        )

    def test_date_of_arrival(self) -> None:
        """Without a date it is the time of arrival."""
        client = self.client()
        client.append(b"box", b"x")
        client.say(b"b SELECT box")
        self.assertIn(b'"14-Nov-2023 22:13:20 +0000"', client.say(b"c FETCH 1 INTERNALDATE")[0])

    def test_the_date_is_not_what_the_clock_counts(self) -> None:
        """Where the reactor counts what passes, a message without a date has that of the calendar."""
        self.clock.date = self.clock.seconds
        self.patch(self.clock, "seconds", lambda: 60.0)
        client = self.client()
        client.append(b"box", b"x")
        client.say(b"b SELECT box")
        self.assertIn(b'"14-Nov-2023 22:13:20 +0000"', client.say(b"c FETCH 1 INTERNALDATE")[0])

    def test_missing_mailbox(self) -> None:
        """A missing mailbox is NO [TRYCREATE], and is not made."""
        client = self.client()
        self.assertEqual(client.say(b"a APPEND x {1+}\r\na"), [b"a NO [TRYCREATE] There is no such mailbox"])
        self.assertEqual(client.say(b'b LIST "" x'), [b"b OK LIST completed"])

    def test_syntax(self) -> None:
        """Without a message, with a wrong date, a flag that cannot be set or more behind it, it is BAD."""
        client = self.client()
        for text in (
            b"box",
            b"box abc",
            b'box "yesterday" {1+}\r\na',
            b'box "31-Feb-2020 03:04:05 +0000" {1+}\r\na',
            b'box "01-Feb-0001 03:04:05 +0000" {1+}\r\na',
            b'box "01-Feb-2020 03:04:05 +9900" {1+}\r\na',
            b"box (\\Recent) {1+}\r\na",
            b"box (\\Nonsense) {1+}\r\na",
            b"box (" + b"x" * 2000 + b") {1+}\r\na",
            b"box {1+}\r\na more",
        ):
            with self.subTest(text):
                answer = client.say(b"a APPEND " + text)
                self.assertEqual(len(answer), 1)
                self.assertEqual(answer[0][:6], b"a BAD ")

    def test_too_big_asked(self) -> None:
        """A literal over the limit is refused before it is sent."""
        client = self.client()
        self.assertEqual(client.say(b"a APPEND box {200000}"), [b"a NO [TOOBIG] The message is too large"])
        self.assertEqual(client.say(b"b NOOP"), [b"b OK NOOP completed"])

    def test_too_big_unasked(self) -> None:
        """One that comes without asking is dropped as it comes, and the next command is understood."""
        client = self.client()
        client.send(b"a APPEND box {200000+}\r\n")
        for _ in range(20):
            client.send(b"x" * 10000)
            self.assertLess(client.connection._assembler._command.size, 100)
        client.send(b"\r\nb NOOP\r\n")
        self.assertEqual(client.lines(), [b"a NO [TOOBIG] The message is too large", b"b OK NOOP completed"])

    def test_just_over_the_limit(self) -> None:
        """The limit is exact."""
        client = self.client()
        self.assertEqual(client.say(b"a APPEND box {100000+}\r\n" + b"x" * 100_000)[0][:4], b"a OK")
        self.assertEqual(client.say(b"b APPEND box {100001+}\r\n" + b"x" * 100_001)[0][:13], b"b NO [TOOBIG]")

    def test_to_the_selected_mailbox(self) -> None:
        """A message for the selected mailbox is announced before the OK."""
        client = self.client(b"box")
        answer = client.say(b"a APPEND box {1+}\r\nx")
        self.assertEqual(answer[:2], [b"* 1 EXISTS", b"* 1 RECENT"])

    def test_to_another_mailbox(self) -> None:
        """One for another mailbox is not announced."""
        self.assertEqual(len(self.client(b"box").say(b"a APPEND INBOX {1+}\r\nx")), 1)

    def test_name_as_literal(self) -> None:
        """The name of the mailbox may be a literal too."""
        client = self.client()
        self.assertEqual(client.say(b"a APPEND {3+}\r\nbox {1+}\r\nx")[0][:16], b"a OK [APPENDUID ")


class IdleTests(ConversationTestCase):
    def test_done(self) -> None:
        """DONE in any case ends IDLE."""
        client = self.client(b"box")
        self.assertEqual(client.say(b"a IDLE"), [b"+ Idling"])
        self.assertEqual(client.say(b"done"), [b"a OK IDLE completed"])

    def test_not_done(self) -> None:
        """Any other line ends it with BAD."""
        client = self.client(b"box")
        client.say(b"a IDLE")
        self.assertEqual(client.say(b"b NOOP"), [b"a BAD Expected DONE"])

    def test_without_mailbox(self) -> None:
        """IDLE works without a selected mailbox."""
        client = self.client()
        self.assertEqual(client.say(b"a IDLE"), [b"+ Idling"])
        self.assertEqual(client.say(b"DONE"), [b"a OK IDLE completed"])

    def test_updates(self) -> None:
        """While idle, arrivals, changes and removals by others are told at once."""
        idler, other = self.client(b"box"), self.client(b"box")
        idler.say(b"a IDLE")
        other.append(b"box", b"x")
        self.assertEqual(idler.lines(), [b"* 1 EXISTS", b"* 1 RECENT"])
        other.say(b"b STORE 1 +FLAGS \\Deleted")
        self.assertEqual(idler.lines(), [b"* 1 FETCH (UID 1 FLAGS (\\Deleted \\Recent))"])
        other.say(b"c EXPUNGE")
        self.assertEqual(idler.lines(), [b"* 1 EXPUNGE"])

    def test_what_came_before(self) -> None:
        """What happened before IDLE is told when it begins."""
        idler = self.client(b"box")
        self.client().append(b"box", b"x")
        self.assertEqual(idler.say(b"a IDLE"), [b"* 1 EXISTS", b"* 1 RECENT", b"+ Idling"])

    def test_peer_that_does_not_read(self) -> None:
        """Updates for a peer that does not read wait until it does."""
        idler = self.client(b"box")
        idler.say(b"a IDLE")
        idler.transport.producer.pauseProducing()
        self.client().append(b"box", b"x")
        self.assertEqual(idler.lines(), [])
        idler.transport.producer.resumeProducing()
        self.assertEqual(idler.lines(), [b"* 1 EXISTS", b"* 1 RECENT"])

    def test_nothing_after(self) -> None:
        """After IDLE, what is new waits for the next command."""
        idler = self.client(b"box")
        idler.say(b"a IDLE")
        idler.say(b"DONE")
        self.client().append(b"box", b"x")
        self.assertEqual(idler.lines(), [])
        self.assertEqual(idler.say(b"b NOOP")[:2], [b"* 1 EXISTS", b"* 1 RECENT"])


class ManyMailboxesTests(ConversationTestCase):
    """Lists that are long, and patterns that are."""

    def test_list_takes_no_time(self) -> None:
        """A list of thousands of mailboxes, and a pattern of kilobytes, do not hold up everybody else."""

        def fill(connection):
            rows = ((1, f"m{number:04d}", 1, 0) for number in range(4000))
            connection.executemany(
                "INSERT INTO mailboxes (user, name, uidvalidity, checksum) VALUES (?, ?, ?, ?)", rows
            )

        self.successResultOf(self.database.run(fill))
        client = self.client()
        began = time.process_time()
        self.assertEqual(len(client.say(b'a LIST "" *')), 4000 + 3)
        self.assertEqual(client.say(b'b LIST "" ' + b"*%" * 30_000 + b"x"), [b"b BAD This pattern is too long"])
        self.assertLess(time.process_time() - began, 1)
