"""Tests of the commands about messages."""

from __future__ import annotations

from ifap_twisted.server import limits
from tests.server.conversation import ConversationTestCase

MESSAGE = (
    b"X-IFAP: one\r\n two\r\nx-ifap: three\r\nX-Mailfile:four\r\nSubject: =?utf-8?q?B=C3=A4r?= and\r\n\thoney\r\n"
    b"Message-ID: <1@ifap>\r\nDate: Mon, 3 Feb 2020 23:00:00 -0500\r\nFrom: Ann <ann@example.org>\r\n\r\n"
    b"Body\xff text\nwithout an end"
)


class FetchTests(ConversationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.me = self.client()
        self.me.append(b"box", MESSAGE)
        self.me.say(b"s SELECT box")

    def fetched(self, items: bytes) -> bytes:
        self.me.send(b"a FETCH 1 " + items + b"\r\n")
        data = self.me.received()
        head, tail = b"* 1 FETCH (", b")\r\na OK FETCH completed\r\n"
        self.assertTrue(data.startswith(head) and data.endswith(tail), data)
        return data[len(head) : -len(tail)]

    def test_facts(self) -> None:
        """UID, FLAGS, INTERNALDATE and RFC822.SIZE, in the order asked."""
        self.assertEqual(
            self.fetched(b"(RFC822.SIZE flags UID INTERNALDATE)"),
            b'RFC822.SIZE %d FLAGS (\\Recent) UID 1 INTERNALDATE "14-Nov-2023 22:13:20 +0000"' % len(MESSAGE),
        )
        self.assertEqual(self.fetched(b"FAST").split()[0], b"FLAGS")

    def test_whole(self) -> None:
        """BODY.PEEK[] gives the message byte for byte, and changes nothing."""
        self.assertEqual(self.fetched(b"BODY.PEEK[]"), b"BODY[] {%d}\r\n" % len(MESSAGE) + MESSAGE)
        self.assertEqual(self.fetched(b"FLAGS"), b"FLAGS (\\Recent)")

    def test_seen(self) -> None:
        r"""BODY[] sets \\Seen and tells so, once, and other sessions too."""
        other = self.client(b"box")
        self.assertTrue(self.fetched(b"BODY[]").startswith(b"FLAGS (\\Seen \\Recent) BODY[] {"))
        self.assertEqual(other.say(b"n NOOP")[0], b"* 1 FETCH (UID 1 FLAGS (\\Seen))")
        self.assertTrue(self.fetched(b"BODY[]").startswith(b"BODY[] {"))

    def test_header(self) -> None:
        """BODY[HEADER] ends with the empty line; BODY[TEXT] is all after it."""
        header, text = MESSAGE[: MESSAGE.index(b"Body")], MESSAGE[MESSAGE.index(b"Body") :]
        self.assertEqual(self.fetched(b"BODY.PEEK[HEADER]"), b"BODY[HEADER] {%d}\r\n" % len(header) + header)
        self.assertEqual(self.fetched(b"body.peek[text]"), b"BODY[TEXT] {%d}\r\n" % len(text) + text)

    def test_header_fields(self) -> None:
        """Fields come as they stand, folded and in their case, under the names that were asked for."""
        want = b"X-IFAP: one\r\n two\r\nx-ifap: three\r\nX-Mailfile:four\r\n\r\n"
        self.assertEqual(
            self.fetched(b"BODY.PEEK[HEADER.FIELDS (X-IFAP x-Mailfile)]"),
            b"BODY[HEADER.FIELDS (X-IFAP x-Mailfile)] {%d}\r\n" % len(want) + want,
        )

    def test_no_such_field(self) -> None:
        """Fields that are not there leave the empty line."""
        self.assertEqual(
            self.fetched(b'BODY.PEEK[HEADER.FIELDS ("X-Other")]'), b"BODY[HEADER.FIELDS (X-Other)] {2}\r\n\r\n"
        )

    def test_other_fields(self) -> None:
        """HEADER.FIELDS.NOT gives the others."""
        got = self.fetched(b"BODY.PEEK[HEADER.FIELDS.NOT (x-ifap x-mailfile subject date from)]")
        self.assertEqual(got, b"BODY[HEADER.FIELDS.NOT (x-ifap x-mailfile subject date from)] {24}\r\n"
                              b"Message-ID: <1@ifap>\r\n\r\n")  # fmt: skip

    def test_partial(self) -> None:
        """Part of the bytes, also over the end of the header and beyond the message."""
        at = MESSAGE.index(b"Body") - 4
        self.assertEqual(self.fetched(b"BODY.PEEK[]<%d.8>" % at), b"BODY[]<%d> {8}\r\n" % at + MESSAGE[at : at + 8])
        self.assertEqual(self.fetched(b"BODY.PEEK[]<9999.8>"), b"BODY[]<9999> {0}\r\n")
        self.assertEqual(self.fetched(b"BODY.PEEK[TEXT]<0.4>"), b"BODY[TEXT]<0> {4}\r\nBody")

    def test_several(self) -> None:
        """Several sections in one response."""
        self.assertEqual(
            self.fetched(b"(UID BODY.PEEK[TEXT]<0.1> BODY.PEEK[HEADER]<0.1>)"),
            b"UID 1 BODY[TEXT]<0> {1}\r\nB BODY[HEADER]<0> {1}\r\nX",
        )

    def test_old_names(self) -> None:
        """RFC822, RFC822.HEADER and RFC822.TEXT; the second does not mark as seen."""
        self.assertTrue(self.fetched(b"RFC822.HEADER").startswith(b"RFC822.HEADER {"))
        self.assertTrue(self.fetched(b"RFC822").startswith(b"FLAGS (\\Seen \\Recent) RFC822 {%d}\r\n" % len(MESSAGE)))
        self.assertTrue(self.fetched(b"RFC822.TEXT").startswith(b"RFC822.TEXT {"))

    def test_not_served(self) -> None:
        """The structure of messages is refused with NO, not with nonsense."""
        for item in (b"ENVELOPE", b"BODYSTRUCTURE", b"BODY", b"FULL", b"BODY[1]", b"BODY[1.MIME]"):
            with self.subTest(item):
                self.assertEqual(self.me.say(b"a FETCH 1 " + item), [b"a NO [CANNOT] The server does not do this"])

    def test_syntax(self) -> None:
        """What is no FETCH item is BAD."""
        for text in (
            b"", b"1", b"1 ()", b"1 X", b"1 (UID", b"1 UID x", b"0 UID", b"x UID", b"1: UID", b"1 BODY[", b"1 BODY[X]",
            b"1 BODY[]<1>", b"1 BODY[]<1.99999999999>", b"1 BODY[HEADER.FIELDS]", b"1 BODY[HEADER.FIELDS ()]",
            b'1 BODY[HEADER.FIELDS ("a b")]', b"99999999999 UID", b"1 BODY[HEADER.FIELDS (a]",
        ):  # fmt: skip
            with self.subTest(text):
                self.assertEqual(self.me.say(b"a FETCH " + text)[0][:6], b"a BAD ")

    def test_uid_fetch(self) -> None:
        """UID FETCH puts the UID first, asked for or not; UIDs that are not there are left out."""
        self.me.append(b"box", b"2")
        self.me.append(b"box", b"3")
        self.me.say(b"b STORE 1 +FLAGS.SILENT \\Deleted")
        self.me.say(b"c EXPUNGE")
        self.assertEqual(
            self.me.say(b"d UID FETCH 1,3:9 (FLAGS UID)"),
            [b"* 2 FETCH (UID 3 FLAGS (\\Recent))", b"d OK UID FETCH completed"],
        )
        self.assertEqual(self.me.say(b"d UID FETCH 1 FLAGS"), [b"d OK UID FETCH completed"])
        self.assertEqual(self.me.say(b"e UID FETCH 9:* UID")[0], b"* 2 FETCH (UID 3)")

    def test_more_than_a_block(self) -> None:
        """Many messages come in order, whatever the size of a block."""
        self.patch(limits, "BLOCK", 3)
        self.patch(limits, "RESPONSE", 100)
        for number in range(2, 12):
            self.me.append(b"box", b"%d" % number * 60)
        answer = self.me.say(b"a UID FETCH 1:* BODY.PEEK[]<0.70>")
        self.assertEqual([line.split()[4] for line in answer if b"FETCH (" in line], [b"%d" % n for n in range(1, 12)])

    def test_peer_that_does_not_read(self) -> None:
        """Responses wait for a peer that does not read, and go on when it does."""
        self.patch(limits, "RESPONSE", 10)
        self.me.append(b"box", b"2")
        self.me.send(b"a FETCH 1:* (BODY.PEEK[])\r\n")
        whole = self.me.received()
        self.me.transport.producer.pauseProducing()
        self.me.send(b"a FETCH 1:* (BODY.PEEK[])\r\n")
        self.assertEqual(self.me.received(), b"")
        self.me.transport.producer.resumeProducing()
        self.assertEqual(self.me.received(), whole)

    def test_lost_in_the_middle(self) -> None:
        """A connection lost while a response waits ends the command quietly."""
        self.me.transport.producer.pauseProducing()
        self.me.send(b"a FETCH 1 (BODY.PEEK[])\r\nb NOOP\r\n")
        self.me.drop()
        self.assertEqual(self.me.received(), b"")


class StoreTests(ConversationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.me = self.client()
        for _ in range(3):
            self.me.append(b"box", b"x")
        self.me.say(b"s SELECT box")

    def test_add_remove_set(self) -> None:
        """Flags are added, removed and replaced; the answer has all of them."""
        for change, after in (
            (b"+FLAGS (\\Seen)", b"\\Seen"),
            (b"+FLAGS ($A $B)", b"\\Seen $A $B"),
            (b"-FLAGS ($a \\draft)", b"\\Seen $B"),
            (b"FLAGS \\Draft $C", b"\\Draft $C"),
            (b"+FLAGS $c", b"\\Draft $C"),
            (b"FLAGS ()", b""),
        ):
            with self.subTest(change):
                self.assertEqual(
                    self.me.say(b"a STORE 1 " + change),
                    [b"* 1 FETCH (FLAGS (" + (after + b" \\Recent").strip() + b"))", b"a OK STORE completed"],
                )

    def test_silent(self) -> None:
        """.SILENT answers nothing to who asked, but others are told."""
        other = self.client(b"box")
        self.assertEqual(self.me.say(b"a STORE 2:3 +flags.silent (\\Flagged)"), [b"a OK STORE completed"])
        self.assertEqual(
            other.say(b"b NOOP")[:-1],
            [b"* 2 FETCH (UID 2 FLAGS (\\Flagged))", b"* 3 FETCH (UID 3 FLAGS (\\Flagged))"],
        )

    def test_by_uid(self) -> None:
        """UID STORE tells the UID too; UIDs that are not there change nothing."""
        self.assertEqual(
            self.me.say(b"a UID STORE 3,77 FLAGS (\\Seen)"),
            [b"* 3 FETCH (UID 3 FLAGS (\\Seen \\Recent))", b"a OK UID STORE completed"],
        )
        self.assertEqual(self.me.say(b"a UID STORE 77 FLAGS (\\Seen)"), [b"a OK UID STORE completed"])

    def test_refused(self) -> None:
        r"""Unknown items and \\Recent are BAD."""
        for text in (b"1 LABELS (\\Seen)", b"1 FLAGS.LOUD (\\Seen)", b"1 FLAGS \\Recent", b"1 FLAGS", b"1 FLAGS (a"):
            with self.subTest(text):
                self.assertEqual(self.me.say(b"a STORE " + text)[0][:6], b"a BAD ")

    def test_too_many_flags(self) -> None:
        """A message can have only so many flags; then none of the messages is changed."""
        self.me.say(b"a STORE 2 FLAGS.SILENT (%b)" % b" ".join(b"key%d" % n for n in range(120)))
        answer = self.me.say(b"a STORE 1:2 +FLAGS (%b)" % b" ".join(b"more%d" % n for n in range(60)))
        self.assertEqual(answer, [b"a NO [LIMIT] This is more than the server keeps"])
        self.assertEqual(self.me.say(b"b FETCH 1 FLAGS")[0], b"* 1 FETCH (FLAGS (\\Recent))")


class ExpungeTests(ConversationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.me = self.client()
        for _ in range(5):
            self.me.append(b"box", b"x")
        self.me.say(b"s SELECT box")

    def delete(self, numbers: bytes) -> None:
        self.me.say(b"d STORE %b +FLAGS.SILENT (\\Deleted)" % numbers)

    def test_expunge(self) -> None:
        """EXPUNGE announces each message with the number that it has at that moment."""
        self.delete(b"2,4:5")
        self.assertEqual(
            self.me.say(b"a EXPUNGE"),
            [b"* 5 EXPUNGE", b"* 4 EXPUNGE", b"* 2 EXPUNGE", b"a OK EXPUNGE completed"],
        )
        self.assertEqual(self.me.say(b"b UID SEARCH ALL")[0], b"* SEARCH 1 3")

    def test_uid_expunge(self) -> None:
        r"""UID EXPUNGE removes only those of its set, and only with \\Deleted."""
        self.delete(b"1:3")
        self.assertEqual(
            self.me.say(b"a UID EXPUNGE 2:5"), [b"* 3 EXPUNGE", b"* 2 EXPUNGE", b"a OK UID EXPUNGE completed"]
        )

    def test_uid_never_again(self) -> None:
        """The UID of an expunged message is not used again, also when it was the highest."""
        self.delete(b"1:5")
        self.me.say(b"a EXPUNGE")
        self.assertEqual(self.me.append(b"box", b"y"), 6)

    def test_withheld(self) -> None:
        """Others are not told in the answer to FETCH, STORE and SEARCH, where numbers must stand still."""
        other = self.client(b"box")
        self.delete(b"1")
        self.me.say(b"a EXPUNGE")
        told = b"b OK [EXPUNGEISSUED] "
        self.assertEqual(other.say(b"b FETCH 1:2 UID"), [b"* 2 FETCH (UID 2)", told + b"FETCH completed"])
        self.assertEqual(other.say(b"b STORE 1 FLAGS ()"), [told + b"STORE completed"])
        self.assertEqual(other.say(b"b SEARCH SEEN"), [b"* SEARCH", told + b"SEARCH completed"])
        self.assertEqual(
            other.say(b"b UID FETCH 2 UID"), [b"* 1 EXPUNGE", b"* 1 FETCH (UID 2)", b"b OK UID FETCH completed"]
        )

    def test_expunged_before_it_was_announced(self) -> None:
        """A message that came and went unseen is not mentioned."""
        other = self.client(b"box")
        self.me.append(b"box", b"y")
        self.delete(b"6")
        self.me.say(b"a EXPUNGE")
        self.assertEqual(other.say(b"b NOOP"), [b"b OK NOOP completed"])

    def test_close(self) -> None:
        """CLOSE expunges without a word; EXAMINE keeps it from doing so."""
        self.delete(b"1")
        self.me.say(b"e EXAMINE box")
        self.assertEqual(self.me.say(b"a CLOSE"), [b"a OK CLOSE completed"])
        self.assertIn(b"* 5 EXISTS", self.me.say(b"s SELECT box"))
        self.assertEqual(self.me.say(b"a CLOSE"), [b"a OK CLOSE completed"])
        self.assertEqual(self.me.say(b"b EXPUNGE"), [b"b BAD Not in this state"])
        self.assertIn(b"* 4 EXISTS", self.me.say(b"s SELECT box"))

    def test_unselect(self) -> None:
        """UNSELECT leaves without expunging."""
        self.delete(b"1")
        self.assertEqual(self.me.say(b"a UNSELECT"), [b"a OK UNSELECT completed"])
        self.assertIn(b"* 5 EXISTS", self.me.say(b"s SELECT box"))

    def test_check(self) -> None:
        """CHECK is OK."""
        self.assertEqual(self.me.say(b"a CHECK"), [b"a OK CHECK completed"])

    def test_unknown_after_uid(self) -> None:
        """UID with another command is BAD."""
        self.assertEqual(self.me.say(b"a UID NOOP"), [b"a BAD Unknown command after UID"])


class SearchTests(ConversationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.me = self.client()
        self.me.append(b"box", b"gone")
        self.me.say(b's APPEND box (\\Seen $Key) "01-Feb-2020 01:00:00 +0200" {%d+}\r\n%b' % (len(MESSAGE), MESSAGE))
        self.me.say(b's APPEND box (\\Deleted) "05-Feb-2020 01:00:00 +0000" {5+}\r\nplain')
        self.me.say(b"s SELECT box")
        self.me.say(b"s STORE 1 FLAGS (\\Deleted)")
        self.me.say(b"s UID EXPUNGE 1")

    def test_keys(self) -> None:
        """Each key finds what it should; message 1 has UID 2, message 2 has UID 3."""
        found = {
            b"ALL": b" 1 2", b"SEEN": b" 1", b"UNSEEN": b" 2", b"DELETED": b" 2", b"UNDELETED": b" 1",
            b"ANSWERED": b"", b"UNANSWERED": b" 1 2", b"FLAGGED": b"", b"UNFLAGGED": b" 1 2", b"DRAFT": b"",
            b"UNDRAFT": b" 1 2", b"KEYWORD $key": b" 1", b"UNKEYWORD $Key": b" 2", b"RECENT": b" 1 2", b"OLD": b"",
            b"NEW": b" 2", b"2": b" 2", b"1:*": b" 1 2", b"*": b" 2", b"9": b"", b"UID 2": b" 1", b"UID 4:*": b" 2",
            b"UID 1:2 ALL": b" 1", b"NOT SEEN": b" 2", b"NOT UID 2": b" 2", b"NOT 1": b" 2", b"OR 1 SEEN": b" 1",
            b"OR (SEEN 2) DELETED": b" 2", b"(1:2 (UID 3))": b" 2", b"1 2": b"", b"LARGER 5": b" 1",
            b"SMALLER 6": b" 2",
            b"ON 1-Feb-2020": b" 1", b'BEFORE "2-Feb-2020"': b" 1", b"SINCE 05-feb-2020": b" 2",
            b"SENTON 3-Feb-2020": b" 1", b"SENTBEFORE 4-Feb-2020": b" 1", b"SENTSINCE 4-Feb-2020": b"",
            b"HEADER Message-ID <1@IFAP>": b" 1", b'HEADER message-id ""': b" 1", b"HEADER X-IFAP onE": b" 1",
            b'HEADER X-IFAP "one two"': b" 1", b"HEADER X-Other a": b"", b"FROM ANN": b" 1", b"TO ann": b"",
            b"CC ann": b"", b"BCC ann": b"", b'SUBJECT "and\thoney"': b" 1", b"TEXT four": b" 1", b"TEXT PLAIN": b"",
            b"BODY four": b"", b"BODY without": b" 1", b"CHARSET UTF-8 SUBJECT {4+}\r\nb\xc3\xa4r": b" 1",
            b"CHARSET us-ascii SEEN": b" 1",
        }  # fmt: skip
        found[b"TEXT PLAIN"] = b" 2"
        for keys, numbers in found.items():
            with self.subTest(keys):
                self.assertEqual(self.me.say(b"a SEARCH " + keys), [b"* SEARCH" + numbers, b"a OK SEARCH completed"])

    def test_by_uid(self) -> None:
        """UID SEARCH answers UIDs."""
        self.assertEqual(self.me.say(b"a UID SEARCH SEEN"), [b"* SEARCH 2", b"a OK UID SEARCH completed"])

    def test_charset(self) -> None:
        """Other character sets are NO [BADCHARSET]."""
        self.assertEqual(
            self.me.say(b"a SEARCH CHARSET KOI8-R TEXT x"),
            [b"a NO [BADCHARSET (US-ASCII UTF-8)] Unknown character set"],
        )

    def test_syntax(self) -> None:
        """What is no search is BAD, deep nesting too."""
        for text in (
            b"", b"X", b"NOT", b"OR SEEN", b"(SEEN", b"()", b"SEEN ", b"ON 31-Feb-2020", b"ON x", b"LARGER x", b"UID x",
            b"HEADER a", b"CHARSET", b"(" * 100 + b"ALL" + b")" * 100, b"NOT " * 5000 + b"ALL",
        ):  # fmt: skip
            with self.subTest(text[:20]):
                self.assertEqual(self.me.say(b"a SEARCH " + text)[0][:6], b"a BAD ")

    def test_broken_headers(self) -> None:
        """Messages with dates and encoded words that are none do not match, and do no harm."""
        self.me.append(b"box", b"Date: never\r\nSubject: =?x-none?q?=ff?= =?utf-8?b?!?=\r\n\r\n")
        self.assertEqual(self.me.say(b"a SEARCH SENTSINCE 1-Jan-1970")[-2], b"* SEARCH 1")
        self.assertEqual(self.me.say(b"a SEARCH SUBJECT x-none")[-2], b"* SEARCH 3")

    def test_empty_mailbox(self) -> None:
        """In an empty mailbox nothing is found, whatever the set."""
        self.me.say(b"s SELECT INBOX")
        for keys in (b"ALL", b"1:*", b"UID 1:*", b"*"):
            self.assertEqual(self.me.say(b"a SEARCH " + keys)[0], b"* SEARCH")
        self.assertEqual(self.me.say(b"a FETCH 1:* UID"), [b"a OK FETCH completed"])
