"""Commands on the messages of a folder, and what the server says by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.values import HeaderBlock, Receipt
from ifap_twisted.errors import (
    MarkedByOthers,
    MessageGone,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    QuotaExceeded,
    ReadOnly,
    Refused,
    Renumbered,
    TooLarge,
    Unavailable,
)
from ifap_twisted.imap.answers import Found, Headers
from ifap_twisted.imap.grammar import Fetch, Search
from ifap_twisted.imap.sequence import SequenceMap
from tests.imap.conversation import Case, selected
from tests.messages import anything

PLAIN = "IMAP4rev1 UIDPLUS LITERAL+"
HEADERS = "(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (X-IFAP X-Mailfile)])"


HEADERS = "(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (X-IFAP X-Mailfile)])"


def head(sequence, uid, text=b"X-IFAP: !a\r\n\r\n"):
    """A FETCH response with headers."""
    return b"* %d FETCH (UID %d RFC822.SIZE 900 BODY[HEADER.FIELDS (X-IFAP X-Mailfile)] {%d}\r\n%b)\r\n" % (
        sequence,
        uid,
        len(text),
        text,
    )


def body(sequence, uid, text):
    """A FETCH response with a whole message."""
    return b"* %d FETCH (UID %d BODY[] {%d}\r\n%b)\r\n" % (sequence, uid, len(text), text)


class FolderCase(Case, SynchronousTestCase):
    """With a folder open; tags go on from ``A2``."""

    def open(self, capabilities=PLAIN, **kwargs):
        """A conversation with the folder open."""
        return selected(self, capabilities, **kwargs)


class UidsTests(FolderCase):
    """Listing."""

    def test_range(self):
        """A range is asked for; only UIDs inside it are given, ascending."""
        talk = self.open()
        done = self.started(talk.folder.uids(3, 9))
        talk.hears("A2 UID FETCH 3:9 (UID)")
        talk.says("* 3 FETCH (UID 8)", "* 1 FETCH (UID 3)", "* 4 FETCH (UID 10)", "* 9 FETCH (FLAGS ())", "A2 OK")
        self.assertEqual(self.successResultOf(done), [3, 8])

    def test_to_the_highest(self):
        """``n:*`` also names the last message when that is below n: it is not given."""
        talk = self.open()
        done = self.started(talk.folder.uids(12, None))
        talk.hears("A2 UID FETCH 12:* (UID)")
        talk.says("* 3 FETCH (UID 9)", "A2 OK")
        self.assertEqual(self.successResultOf(done), [])

    def test_refused(self):
        """A refused listing raises; it is never an empty one."""
        talk = self.open()
        done = self.started(talk.folder.uids(1, None))
        talk.says("* 1 FETCH (UID 1)", "A2 NO not now")
        self.refusal(done, Refused)

    def test_gap_that_is_not_understood(self):
        """A server that answers BAD for a gap is asked by message numbers (mailutils)."""
        talk = self.open()
        done = self.started(talk.folder.uids(4, 9))
        talk.says("A2 BAD cannot")
        talk.heard()
        talk.says("* 1 FETCH (UID 3)", "* 2 FETCH (UID 7)", "* 3 FETCH (UID 11)", "A3 OK")
        self.assertEqual(self.successResultOf(done), [7])

    def test_bounds(self):
        """UIDs that there cannot be are not asked for."""
        talk = self.open()
        for first, last in ((5, 4), (1 << 32, None), (-3, 0)):
            self.assertEqual(self.successResultOf(self.started(talk.folder.uids(first, last))), [])
            self.assertEqual(self.successResultOf(self.started(talk.folder.headers(first, last))), {})
        talk.silent()
        self.started(talk.folder.uids(-3, 1 << 40))
        talk.hears("A2 UID FETCH 1:4294967295 (UID)")

    def test_empty_folder(self):
        """An empty folder is asked whether it is still empty, and nothing else."""
        talk = self.open(exists=0)
        done = self.started(talk.folder.uids(1, None))
        talk.hears("A2 NOOP")
        talk.says("A2 OK")
        self.assertEqual(self.successResultOf(done), [])
        talk.silent()

    def test_as_many_as_can_be(self):
        """A listing without end is a violation."""
        talk = self.open()
        talk.folder.reading.most_uids = 10
        done = self.started(talk.folder.uids(1, None))
        talk.says(*[f"* {number} FETCH (UID {number})" for number in range(1, 13)])
        self.refusal(done, ProtocolViolation)


class HeadersTests(FolderCase):
    """Reading headers."""

    def test_small_folder(self):
        """A folder of one portion takes one command."""
        talk = self.open()
        done = self.started(talk.folder.headers(1, None))
        talk.hears(f"A2 UID FETCH 1:* {HEADERS}")
        talk.says(head(1, 3), head(2, 9, b"\r\n"), "* 2 FETCH (FLAGS (\\Seen) UID 9)", "A2 OK")
        self.assertEqual(
            self.successResultOf(done),
            {
                3: HeaderBlock(uid=3, size=900, fields=b"X-IFAP: !a\r\n\r\n"),
                9: HeaderBlock(uid=9, size=900, fields=b"\r\n"),
            },
        )

    def test_damaged(self):
        """Of a portion with a message that is damaged on the server all others are given; the count tells the rest."""
        talk = self.open()
        done = self.started(talk.folder.headers(1, None))
        talk.says(head(2, 9), "A2 NO [CORRUPTION] A message is damaged on the disk of the server")
        self.assertEqual(list(self.successResultOf(done)), [9])
        self.assertEqual(talk.folder.state.exists, 3)

    def test_what_was_not_asked_for(self):
        """Headers of UIDs outside the range are not given."""
        talk = self.open()
        done = self.started(talk.folder.headers(4, 8))
        talk.says(head(1, 3), head(2, 9), "A2 OK")
        self.assertEqual(self.successResultOf(done), {})

    def test_large_sparse_folder(self):
        """A large folder is listed once, then read in portions of UIDs that are there, all asked for at once."""
        size = limits.UIDS_IN_A_RANGE + 500
        talk = self.open(exists=size, uidnext=size * 1000 + 1)
        done = self.started(talk.folder.headers(1, None))
        talk.hears("A2 UID FETCH 1:* (UID)")
        talk.says(*[f"* {number} FETCH (UID {number * 1000})" for number in range(1, size + 1)], "A2 OK")
        middle = limits.UIDS_IN_A_RANGE
        talk.hears(
            f"A3 UID FETCH 1000:{middle * 1000} {HEADERS}",
            f"A4 UID FETCH {(middle + 1) * 1000}:{size * 1000} {HEADERS}",
        )
        talk.says(head(middle + 1, (middle + 1) * 1000), "A4 OK", head(1, 1000), "A3 OK")
        self.assertEqual(list(self.successResultOf(done)), [1000, (middle + 1) * 1000])

    def test_large_dense_folder(self):
        """Where the numbers have few gaps the portions are asked for at once, and the last goes to the end."""
        size = limits.UIDS_IN_A_RANGE + 500
        talk = self.open(exists=size, uidnext=size + 7)
        done = self.started(talk.folder.headers(1, None))
        middle = limits.UIDS_IN_A_RANGE
        talk.hears(f"A2 UID FETCH 1:{middle} {HEADERS}", f"A3 UID FETCH {middle + 1}:4294967295 {HEADERS}")
        talk.says(head(1, 1), "A2 OK", head(size, size + 9), "A3 OK")
        self.assertEqual(list(self.successResultOf(done)), [1, size + 9])

    def test_known_folder_is_not_listed_again(self):
        """Once the UIDs are known, reading takes one round trip."""
        size = limits.UIDS_IN_A_RANGE + 1
        talk = self.open(exists=size)
        listed = self.started(talk.folder.uids(1, None))
        talk.says(*[f"* {number} FETCH (UID {number})" for number in range(1, size + 1)], "A2 OK")
        self.successResultOf(listed)
        talk.heard()
        self.started(talk.folder.headers(1, None))
        talk.hears(f"A3 UID FETCH 1:{size - 1} {HEADERS}", f"A4 UID FETCH {size}:{size} {HEADERS}")

    def test_gap_that_is_not_understood(self):
        """A server that answers BAD for a gap is asked for exactly the UIDs that are there (mailutils)."""
        talk = self.open()
        done = self.started(talk.folder.headers(2, 20))
        talk.says("A2 BAD cannot")
        talk.heard()
        talk.says("* 1 FETCH (UID 1)", "* 2 FETCH (UID 7)", "* 3 FETCH (UID 11)", "A3 OK")
        talk.hears(f"A4 UID FETCH 7,11 {HEADERS}")
        talk.says(head(2, 7), head(3, 11), "A4 OK")
        self.assertEqual(list(self.successResultOf(done)), [7, 11])

    def test_expunged_meanwhile(self):
        """A refusal because messages were expunged meanwhile is no refusal to read the others."""
        talk = self.open()
        done = self.started(talk.folder.headers(1, None))
        talk.heard()
        talk.says(head(1, 3), "* 2 EXPUNGE", "A2 NO [EXPUNGEISSUED] some are gone")
        talk.hears("A3 FETCH 1:2 (UID)")
        talk.says("* 1 FETCH (UID 3)", "* 2 FETCH (UID 9)", "A3 OK")
        talk.hears(f"A4 UID FETCH 3,9 {HEADERS}")
        talk.says(head(1, 3), head(2, 9), "A4 OK")
        self.assertEqual(list(self.successResultOf(done)), [3, 9])

    def test_too_much(self):
        """All that is held of headers is bounded."""
        headers = Headers(1, 10)
        headers.most = 10
        with self.assertRaises(ProtocolViolation):
            headers.receive(Fetch(1, {b"RFC822.SIZE": b"5", b"BODY[HEADER.FIELDS]": b"x" * 11}, 1), [])

    def test_refused(self):
        """A refusal raises."""
        talk = self.open()
        done = self.started(talk.folder.headers(1, None))
        talk.says(head(1, 3), "A2 NO not now")
        self.refusal(done, Refused)

    def test_huge_headers_are_cut(self):
        """A header longer than any of ours costs no more memory than ours, and hides no other."""
        talk = self.open()
        done = self.started(talk.folder.headers(1, None))
        talk.says(head(1, 3, b"x" * (limits.HEADER_FIELDS + 1000)), head(2, 4), "A2 OK")
        blocks = self.successResultOf(done)
        self.assertEqual(len(blocks[3].fields), limits.HEADER_FIELDS + 1)
        self.assertEqual(blocks[4].fields, b"X-IFAP: !a\r\n\r\n")

    def test_nil_and_lists(self):
        """NIL for the headers is none; a list is no header."""
        talk = self.open()
        done = self.started(talk.folder.headers(1, None))
        talk.says(
            "* 1 FETCH (UID 1 RFC822.SIZE 5 BODY[HEADER.FIELDS (X-IFAP)] NIL)",
            "* 2 FETCH (UID 2 RFC822.SIZE 5 BODY[HEADER.FIELDS (X-IFAP)] (a b))",
            "A2 OK",
        )
        self.assertEqual(self.successResultOf(done), {1: HeaderBlock(uid=1, size=5, fields=b"")})

    def test_overlapping_readers(self):
        """Headers, lists and messages in flight together each take what is theirs, in any order of the answers."""
        talk = self.open()
        headers = self.started(talk.folder.headers(1, 5))
        message = self.started(talk.folder.message(5))
        listed = self.started(talk.folder.uids(1, 5))
        twice = self.started(talk.folder.message(5))
        talk.says(body(2, 5, b"five"), head(2, 5), "* 1 FETCH (UID 1)", body(2, 5, b"five"), head(1, 1))
        talk.says("A5 OK", "A4 OK", "A3 OK", "A2 OK")
        self.assertEqual(list(self.successResultOf(headers)), [1, 5])
        self.assertEqual(self.successResultOf(message), b"five")
        self.assertEqual(self.successResultOf(twice), b"five")
        self.assertEqual(self.successResultOf(listed), [1, 5])


class MessageTests(FolderCase):
    """Reading whole messages."""

    def test_bytes_stay_bytes(self):
        """A message is exactly its bytes, and its flags are not changed."""
        talk = self.open()
        text = bytes(range(256)) + b")\r\nA2 OK done\r\n{5}\r\n"
        done = self.started(talk.folder.message(5))
        talk.hears("A2 UID FETCH 5 (UID BODY.PEEK[])")
        talk.says(body(2, 5, text), "A2 OK")
        self.assertEqual(self.successResultOf(done), text)

    def test_another_message(self):
        """The highest message, given for one that is not there (mailutils), is not taken for it."""
        talk = self.open()
        done = self.started(talk.folder.message(50))
        talk.says(body(3, 9, b"nine"), "A2 OK")
        self.refusal(done, MessageGone)

    def test_without_uid(self):
        """A message without its UID is nobody's."""
        talk = self.open()
        done = self.started(talk.folder.message(5))
        talk.says(b"* 2 FETCH (BODY[] {1}\r\nx)\r\n", "A2 OK")
        self.refusal(done, MessageGone)

    def test_gone(self):
        """No answer, NIL, or a part instead of the whole: gone."""
        for answer in ([], ["* 2 FETCH (UID 5 BODY[] NIL)"], [b"* 2 FETCH (UID 5 BODY[]<0> {1}\r\nx)\r\n"]):
            talk = self.open()
            done = self.started(talk.folder.message(5))
            talk.says(*answer, "A2 OK")
            self.refusal(done, MessageGone)

    def test_refused_because_gone(self):
        """A refusal for a message that is not listed means that it is gone (mailutils: BAD, Dovecot: NO)."""
        for answer in ("BAD cannot", "NO [EXPUNGEISSUED] gone"):
            talk = self.open()
            done = self.started(talk.folder.message(5))
            talk.heard()
            talk.says(f"A2 {answer}")
            talk.hears("A3 FETCH 1:3 (UID)")
            talk.says("* 1 FETCH (UID 3)", "A3 OK")
            self.refusal(done, MessageGone)

    def test_refused_though_it_is_there(self):
        """A refusal for a message that is listed is one."""
        talk = self.open()
        done = self.started(talk.folder.message(5))
        talk.says("A2 NO broken", "* 1 FETCH (UID 5)", "A3 OK")
        self.refusal(done, Refused)

    def test_uids_that_cannot_be(self):
        """UIDs that no message has are gone without asking."""
        talk = self.open()
        for uid in (0, -1, 1 << 32):
            self.refusal(self.started(talk.folder.message(uid)), MessageGone)
        talk.silent()


class AppendTests(FolderCase):
    """Adding messages."""

    def test_receipt(self):
        """The place is read from the tagged line; no flags and no date are sent."""
        talk = self.open()
        done = self.started(talk.folder.append(b"a\r\n"))
        talk.hears('A2 APPEND "box" {3+}', "a", "")
        talk.says("* 4 EXISTS", "A2 OK [APPENDUID 7 12] done")
        self.assertEqual(self.successResultOf(done), Receipt(uidvalidity=7, uid=12))

    def test_next_uid_is_that_of_what_is_shown(self):
        """What was stored need not be visible yet: UIDNEXT stays what the server showed until a message is seen."""
        talk = self.open()
        done = self.started(talk.folder.append(b"a\r\n"))
        talk.says("A2 OK [APPENDUID 7 12] done")
        self.successResultOf(done)
        self.assertEqual(talk.folder.state.uidnext, 10)
        talk.says("* 4 FETCH (UID 12)")
        self.assertEqual(talk.folder.state.uidnext, 13)

    def test_no_receipt(self):
        """A server that does not tell the place, or tells nonsense."""
        for code in ("", "[APPENDUID] ", "[APPENDUID 7] "):
            talk = self.open()
            done = self.started(talk.folder.append(b"a"))
            talk.says(f"A2 OK {code}done")
            self.assertEqual(self.successResultOf(done), Receipt())

    def test_receipt_that_is_none(self):
        """A place that is no number is a violation: what was stored where is not known."""
        talk = self.open()
        done = self.started(talk.folder.append(b"a"))
        talk.says("A2 OK [APPENDUID x 1:3] done")
        self.refusal(done, ProtocolViolation)

    def test_too_large(self):
        """A message larger than the server takes is not sent."""
        talk = self.open(PLAIN + " APPENDLIMIT=10")
        error = self.refusal(self.started(talk.folder.append(b"x" * 11)), TooLarge)
        self.assertEqual((error.limit, error.size), (10, 11))
        talk.silent()

    def test_refusals(self):
        """A full mailbox and a message that is too large are told apart."""
        for answer, kind in (("NO [OVERQUOTA] full", QuotaExceeded), ("NO [TOOBIG] big", TooLarge)):
            talk = self.open()
            done = self.started(talk.folder.append(b"x"))
            talk.says(f"A2 {answer}")
            self.refusal(done, kind)

    def test_order(self):
        """Appends go out in the order of the calls."""
        talk = self.open()
        for text in (b"one", b"two", b"six"):
            self.started(talk.folder.append(text))
        said = talk.heard()
        self.assertEqual(sorted([b"one", b"two", b"six"], key=said.index), [b"one", b"two", b"six"])

    def test_read_behind_an_append(self):
        """Reading after an append asks the server for news first, in the same round trip (Courier shows it then)."""
        talk = self.open()
        self.started(talk.folder.append(b"x"))
        talk.says("A2 OK")
        talk.heard()
        done = self.started(talk.folder.uids(1, None))
        talk.hears("A3 NOOP", "A4 UID FETCH 1:* (UID)")
        talk.says("* 4 EXISTS", "A3 OK", "* 4 FETCH (UID 10)", "A4 OK")
        self.assertEqual(self.successResultOf(done), [10])
        self.started(talk.folder.uids(1, None))
        talk.hears("A5 UID FETCH 1:* (UID)")

    def test_lost(self):
        """A connection lost behind the message: unknown."""
        talk = self.open()
        done = self.started(talk.folder.append(b"x"))
        talk.loses()
        self.refusal(done, OutcomeUnknown)


class LookingPromises:
    """What is looked at before it is removed, or its mark taken off; ``change`` gives which.

    Neither is done to another message than is expected, nor to one that cannot be seen.
    """

    def test_another_message(self):
        """Where one of them is another message than is expected, nothing is changed."""
        talk = self.open()
        done = self.started(self.change(talk.folder, lambda block: block.uid == 3))
        talk.says(head(1, 3), head(2, 5), "A2 OK")
        self.refusal(done, Renumbered)
        talk.hears(f"A2 UID FETCH 3,5 {HEADERS}")
        talk.silent()

    def test_header_is_not_shown(self):
        """What cannot be looked at stays as it is, and that is told."""
        talk = self.open()
        done = self.started(self.change(talk.folder, anything))
        talk.says(head(1, 3), "A2 OK")
        talk.hears(f"A2 UID FETCH 3,5 {HEADERS}", "A3 UID FETCH 5:5 (UID)")
        talk.says("* 2 FETCH (UID 5)", "A3 OK")
        self.refusal(done, Unavailable)
        talk.silent()


class RemoveTests(LookingPromises, FolderCase):
    """Removing messages."""

    def change(self, folder, is_expected):
        """Remove two."""
        return folder.remove([3, 5], 7, is_expected)

    def test_exactly_these(self):
        """Only UIDs that are seen are marked and expunged, and only those given."""
        talk = self.open()
        done = self.started(talk.folder.remove([5, 3, 4, 70], 7, anything))
        talk.hears(f"A2 UID FETCH 3:5,70 {HEADERS}")
        talk.says(head(1, 3), head(2, 5), head(3, 9), "A2 OK")
        talk.hears("A3 UID FETCH 4:70 (UID)")
        talk.says("* 2 FETCH (UID 5)", "* 3 FETCH (UID 9)", "A3 OK")
        talk.hears("A4 UID STORE 3,5 +FLAGS.SILENT (\\Deleted)")
        talk.says("* 1 FETCH (FLAGS (\\Deleted) UID 3)", "A4 OK")
        talk.hears("A5 UID EXPUNGE 3,5")
        talk.says("* 1 EXPUNGE", "* 1 EXPUNGE", "* 1 EXISTS", "A5 OK")
        talk.hears("A6 UID FETCH 3,5 (UID)")
        talk.says("A6 OK")
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual([what for what in talk.notes.told if what[0] == "vanished"], [("vanished", [3, 5])])

    def test_nothing_there(self):
        """Absent messages are no error, and nothing is changed."""
        talk = self.open()
        done = self.started(talk.folder.remove([50], 7, anything))
        talk.hears(f"A2 UID FETCH 50 {HEADERS}")
        talk.says(head(3, 9), "A2 OK")
        talk.hears("A3 UID FETCH 50:50 (UID)")
        talk.says("* 3 FETCH (UID 9)", "A3 OK")
        self.assertIsNone(self.successResultOf(done))
        talk.silent()

    def test_gap_is_refused(self):
        """A server that does not understand a set with a gap (mailutils) is asked for the range."""
        talk = self.open()
        done = self.started(talk.folder.remove([3, 5], 7, anything))
        talk.says("A2 BAD what")
        talk.hears(f"A2 UID FETCH 3,5 {HEADERS}", f"A3 UID FETCH 3:5 {HEADERS}")
        talk.says(head(1, 3), head(2, 4), head(3, 5), "A3 OK")
        talk.hears("A4 UID STORE 3,5 +FLAGS.SILENT (\\Deleted)")
        talk.says("A4 OK", "* 1 EXPUNGE", "* 2 EXPUNGE", "A5 OK", "A6 OK")
        self.assertIsNone(self.successResultOf(done))

    def test_looking_afterwards_is_refused(self):
        """That nothing is listed because the command was not understood is no removal: it is looked at otherwise."""
        talk = self.open()
        done = self.started(talk.folder.remove([3, 5], 7, anything))
        talk.says(head(1, 3), head(2, 5), "A2 OK", "A3 OK", "A4 OK", "A5 BAD what")
        talk.hears(
            f"A2 UID FETCH 3,5 {HEADERS}",
            "A3 UID STORE 3,5 +FLAGS.SILENT (\\Deleted)",
            "A4 UID EXPUNGE 3,5",
            "A5 UID FETCH 3,5 (UID)",
            "A6 UID FETCH 3:5 (UID)",
        )
        talk.says("* 2 FETCH (UID 5)", "A6 OK")
        talk.hears("A7 UID STORE 3,5 +FLAGS.SILENT (\\Deleted)")
        talk.says("A7 OK", "* 2 EXPUNGE", "A8 OK", "A9 OK")
        self.assertIsNone(self.successResultOf(done))

    def test_no_uids(self):
        """No UIDs, no command."""
        talk = self.open()
        self.assertIsNone(self.successResultOf(self.started(talk.folder.remove([0, 1 << 40], 7, anything))))
        talk.silent()

    def test_without_uidplus(self):
        """Without UIDPLUS nothing is changed."""
        talk = self.open("IMAP4rev1")
        self.refusal(self.started(talk.folder.remove([3], 7, anything)), NotSupported)
        talk.silent()

    def test_read_only(self):
        """In a read-only folder nothing is tried."""
        talk = self.open()
        again = self.started(talk.folder.select())
        talk.says("* 3 EXISTS", "* OK [UIDVALIDITY 7] v", "A2 OK [READ-ONLY] done")
        self.successResultOf(again)
        talk.heard()
        self.refusal(self.started(talk.folder.remove([3], 7, anything)), ReadOnly)
        talk.silent()

    def test_store_refused(self):
        """When marking is refused nothing is expunged."""
        talk = self.open()
        done = self.started(talk.folder.remove([3], 7, anything))
        talk.says(head(1, 3), "A2 OK")
        talk.heard()
        talk.says("A3 NO not yours")
        talk.hears("A4 UID STORE 3 -FLAGS.SILENT (\\Deleted)")
        talk.says("A4 NO not yours")
        self.refusal(done, Refused)
        talk.silent()

    def test_expunge_refused(self):
        """When expunging is refused, no mark is left on what stays (FORMAT 5.4)."""
        talk = self.open()
        done = self.started(talk.folder.remove([3], 7, anything))
        talk.says(head(1, 3), "A2 OK", "A3 OK")
        talk.heard()
        talk.says("A4 NO not now")
        talk.hears("A5 UID STORE 3 -FLAGS.SILENT (\\Deleted)")
        self.assertNoResult(done)
        talk.says("A5 OK")
        self.refusal(done, Refused)

    def test_cancelled(self):
        """Nor when it is given up."""
        talk = self.open()
        done = self.started(talk.folder.remove([3], 7, anything))
        talk.says(head(1, 3), "A2 OK", "A3 OK")
        talk.heard()
        done.cancel()
        talk.hears("A5 UID STORE 3 -FLAGS.SILENT (\\Deleted)")
        talk.says("A4 OK", "A5 OK")
        self.failureResultOf(done, CancelledError)

    def test_mark_taken_off_meanwhile(self):
        """What another device took the mark off is marked and expunged once more."""
        talk = self.open()
        done = self.started(talk.folder.remove([3], 7, anything))
        talk.says(head(1, 3), "A2 OK", "A3 OK", "A4 OK")
        talk.heard()
        talk.says("* 1 FETCH (UID 3)", "A5 OK")
        talk.hears("A6 UID STORE 3 +FLAGS.SILENT (\\Deleted)")
        talk.says("A6 OK", "* 1 EXPUNGE", "A7 OK", "A8 OK")
        self.assertIsNone(self.successResultOf(done))

    def test_never_removed(self):
        """A server that only says so is not believed; no mark is left."""
        talk = self.open()
        done = self.started(talk.folder.remove([3], 7, anything))
        talk.says(head(1, 3), "A2 OK")
        for tag in (3, 6, 9):
            talk.says(f"A{tag} OK", f"A{tag + 1} OK", "* 1 FETCH (UID 3)", f"A{tag + 2} OK")
        self.assertIn(b"A12 UID STORE 3 -FLAGS", talk.heard())
        talk.says("A12 OK")
        self.refusal(done, ProtocolViolation)


class UnmarkTests(LookingPromises, FolderCase):
    """Taking marks off messages that stay."""

    def change(self, folder, is_expected):
        """Take the marks off two."""
        return folder.unmark([3, 5], 7, is_expected)

    def test_exactly_these(self):
        """Only UIDs that are seen, and of those only the given ones."""
        talk = self.open()
        done = self.started(talk.folder.unmark([5, 3, 4, 0], 7, anything))
        talk.hears(f"A2 UID FETCH 3:5 {HEADERS}")
        talk.says(head(1, 3), head(2, 5), "A2 OK")
        talk.hears("A3 UID FETCH 4:4 (UID)")
        talk.says("A3 OK")
        talk.hears("A4 UID STORE 3,5 -FLAGS.SILENT (\\Deleted)")
        self.assertNoResult(done)
        talk.says("A4 OK")
        self.assertIsNone(self.successResultOf(done))
        talk.silent()

    def test_selecting_waits(self):
        """Another SELECT, after which numbers may be those of others, waits until the marks are off."""
        talk = self.open()
        unmarking = self.started(talk.folder.unmark([5], 7, anything))
        talk.hears(f"A2 UID FETCH 5 {HEADERS}")
        selecting = self.started(talk.folder.select())
        talk.says(head(1, 5), "A2 OK")
        talk.hears("A3 UID STORE 5 -FLAGS.SILENT (\\Deleted)")
        talk.says("A3 OK")
        self.assertIsNone(self.successResultOf(unmarking))
        talk.hears('A4 SELECT "box"')
        talk.says("* 3 EXISTS", "* OK [UIDVALIDITY 7] v", "* OK [UIDNEXT 10] n", "A4 OK [READ-WRITE] done")
        self.successResultOf(selecting)


class PlainTests(FolderCase):
    """Removing messages without UIDPLUS, where that is allowed (FORMAT 5.4)."""

    def begun(self, uids, due, marked):
        """A removal that has been told what is marked; the folder holds 3, 5 and 9."""
        talk = self.open("IMAP4rev1")
        done = self.started(talk.folder.remove(uids, 7, anything, due))
        talk.hears(f"A2 UID FETCH {','.join(map(str, sorted(uids)))} {HEADERS}")
        talk.says(*[head(number, uid) for number, uid in enumerate((3, 5, 9), 1) if uid in uids], "A2 OK")
        self.looks(talk, 3, marked)
        return talk, done

    def looks(self, talk, tag, marked):
        """It asks what is marked, after the news."""
        talk.hears(f"A{tag} NOOP")
        talk.says(f"A{tag} OK")
        talk.hears(f"A{tag + 1} UID SEARCH DELETED")
        talk.says(f"* SEARCH {marked}", f"A{tag + 1} OK")

    def lists(self, talk, tag, asked, *uids):
        """It asks which are there."""
        talk.hears(f"A{tag} UID FETCH {asked} (UID)")
        talk.says(*[f"* {number} FETCH (UID {uid})" for number, uid in uids], f"A{tag} OK")

    def stores(self, talk, tag, uids, sign):
        """It sets or takes marks."""
        talk.hears(f"A{tag} UID STORE {uids} {sign}FLAGS.SILENT (\\Deleted)")
        talk.says(f"A{tag} OK")

    def test_exactly_these(self):
        """They are marked, it is seen that they and no others are, and they are expunged; then that they are gone."""
        talk, done = self.begun([5, 3], (), "")
        self.lists(talk, 5, "3:5", (1, 3), (2, 5))
        self.stores(talk, 6, "3,5", "+")
        self.looks(talk, 7, "5 3")
        talk.hears("A9 EXPUNGE")
        self.assertNoResult(done)
        talk.says("* 1 EXPUNGE", "* 1 EXPUNGE", "* 1 EXISTS", "A9 OK")
        self.lists(talk, 10, "3:5")
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual([what for what in talk.notes.told if what[0] == "vanished"], [("vanished", [3, 5])])

    def test_marked_by_others(self):
        """A message that somebody else marked is not removed, and nothing is changed."""
        talk, done = self.begun([3], (), "9")
        self.refusal(done, MarkedByOthers)
        talk.silent()

    def test_marked_by_others_meanwhile(self):
        """When somebody marks another after the first look, the own marks are taken off, and nothing is expunged."""
        talk, done = self.begun([3, 5], (), "5")
        self.lists(talk, 5, "3:5", (1, 3), (2, 5))
        self.stores(talk, 6, "3,5", "+")
        self.looks(talk, 7, "3 5 9")
        self.stores(talk, 9, "3", "-")
        self.refusal(done, MarkedByOthers)
        talk.silent()

    def test_left_over(self):
        """Marks of what is due that an earlier removal left are taken off first."""
        talk, done = self.begun([3], (3, 9), "9")
        self.stores(talk, 5, "9", "-")
        self.lists(talk, 6, "3:3", (1, 3))
        self.stores(talk, 7, "3", "+")
        self.looks(talk, 8, "3")
        talk.hears("A10 EXPUNGE")
        talk.says("* 1 EXPUNGE", "A10 OK")
        self.lists(talk, 11, "3:3")
        self.assertIsNone(self.successResultOf(done))

    def test_no_marks_are_shown(self):
        """A server whose SEARCH does not find what was marked is not trusted with an EXPUNGE."""
        talk, done = self.begun([3], (), "")
        self.lists(talk, 5, "3:3", (1, 3))
        self.stores(talk, 6, "3", "+")
        self.looks(talk, 7, "")
        self.lists(talk, 9, "3:3", (1, 3))
        self.stores(talk, 10, "3", "-")
        self.refusal(done, ProtocolViolation)
        talk.silent()

    def test_gone_meanwhile(self):
        """What somebody else removed in between is not missed."""
        talk, done = self.begun([3, 5], (), "")
        self.lists(talk, 5, "3:5", (1, 3), (2, 5))
        self.stores(talk, 6, "3,5", "+")
        self.looks(talk, 7, "5")
        self.lists(talk, 9, "3:3")
        talk.hears("A10 EXPUNGE")
        talk.says("* 1 EXPUNGE", "A10 OK")
        self.lists(talk, 11, "3:5")
        self.assertIsNone(self.successResultOf(done))

    def test_not_removed(self):
        """When a message is there after EXPUNGE its mark is taken off, and the caller hears of it."""
        talk, done = self.begun([3], (), "")
        self.lists(talk, 5, "3:3", (1, 3))
        self.stores(talk, 6, "3", "+")
        self.looks(talk, 7, "3")
        talk.hears("A9 EXPUNGE")
        talk.says("A9 OK")
        self.lists(talk, 10, "3:3", (1, 3))
        self.stores(talk, 11, "3", "-")
        self.refusal(done, ProtocolViolation)

    def test_refused(self):
        """When marking is refused in part, what may have been marked is not."""
        talk, done = self.begun([3], (), "")
        self.lists(talk, 5, "3:3", (1, 3))
        talk.hears("A6 UID STORE 3 +FLAGS.SILENT (\\Deleted)")
        talk.says("A6 NO not now")
        self.stores(talk, 7, "3", "-")
        self.refusal(done, Refused)
        talk.silent()

    def test_lost(self):
        """A connection that breaks in between ends it."""
        talk, done = self.begun([3], (), "")
        self.lists(talk, 5, "3:3", (1, 3))
        talk.loses()
        self.refusal(done, Unavailable)

    def test_given_up(self):
        """When it is cancelled before EXPUNGE, the marks are taken off."""
        talk, done = self.begun([3], (), "")
        self.lists(talk, 5, "3:3", (1, 3))
        self.stores(talk, 6, "3", "+")
        talk.hears("A7 NOOP")
        done.cancel()
        talk.says("A7 OK")
        self.stores(talk, 8, "3", "-")
        self.failureResultOf(done, CancelledError)
        talk.silent()

    def test_gone(self):
        """What is not there any more is not marked: mailutils would mark another message."""
        talk, done = self.begun([9], (), "")
        self.lists(talk, 5, "9:9", (2, 5))
        self.assertIsNone(self.successResultOf(done))
        talk.silent()

    def test_another_message(self):
        """Where one of them is another message than is expected, nothing is marked."""
        talk = self.open("IMAP4rev1")
        done = self.started(talk.folder.remove([3, 5], 7, lambda block: block.uid == 3, ()))
        talk.says(head(1, 3), head(2, 5), "A2 OK")
        self.refusal(done, Renumbered)
        talk.heard()
        talk.silent()

    def test_not_selected_meanwhile(self):
        """Another SELECT, after which numbers may be those of others, waits."""
        talk, done = self.begun([3], (), "")
        again = self.started(talk.folder.select())
        self.lists(talk, 5, "3:3", (1, 3))
        self.stores(talk, 6, "3", "+")
        self.looks(talk, 7, "3")
        talk.hears("A9 EXPUNGE")
        talk.says("* 1 EXPUNGE", "A9 OK")
        self.lists(talk, 10, "3:3")
        self.assertIsNone(self.successResultOf(done))
        talk.hears('A11 SELECT "box"')
        talk.says("* 2 EXISTS", "* OK [UIDVALIDITY 7] v", "A11 OK [READ-WRITE] done")
        talk.says("* 2 FETCH (UID 9)", "A12 OK")  # whether the others are still there
        self.successResultOf(again)

    def test_with_uidplus(self):
        """Where there is UIDPLUS, nothing else is used."""
        talk = self.open()
        done = self.started(talk.folder.remove([3], 7, anything, (5,)))
        talk.hears(f"A2 UID FETCH 3 {HEADERS}")
        talk.says(head(1, 3), "A2 OK")
        talk.hears("A3 UID STORE 3 +FLAGS.SILENT (\\Deleted)")
        talk.says("A3 OK")
        talk.hears("A4 UID EXPUNGE 3")
        talk.says("* 1 EXPUNGE", "A4 OK")
        talk.hears("A5 UID FETCH 3 (UID)")
        talk.says("A5 OK")
        self.assertIsNone(self.successResultOf(done))


class NewsTests(FolderCase):
    """What the server says by itself."""

    def known(self, *uids, **kwargs):
        """A folder whose UIDs have been listed."""
        talk = self.open(exists=len(uids), **kwargs)
        done = self.started(talk.folder.uids(1, None))
        talk.says(*[f"* {sequence} FETCH (UID {uid})" for sequence, uid in enumerate(uids, 1)], "A2 OK")
        self.successResultOf(done)
        talk.heard()
        talk.notes.told.clear()
        return talk

    def test_expunge(self):
        """Message numbers are told as UIDs, those behind moving up."""
        talk = self.known(3, 5, 9)
        talk.says("* 2 EXPUNGE", "* 2 EXPUNGED", "* 1 EXISTS")
        self.assertEqual(talk.notes.told, [("vanished", [5, 9])])
        self.assertEqual(talk.folder.state.exists, 1)

    def test_expunge_of_an_unknown_message(self):
        """A UID is never guessed: what is not known must be looked for."""
        talk = self.open()
        talk.says("* 2 EXPUNGE")
        self.assertEqual(talk.notes.told, [("arrived", 2)])

    def test_expunge_of_what_is_not_there(self):
        """A number that no message has tells nothing."""
        for number in (0, 4, 99):
            talk = self.known(3, 5, 9)
            talk.says(f"* {number} EXPUNGE")
            self.assertEqual([word for word, _what in talk.notes.told], ["arrived"])

    def test_arrivals_are_told_once(self):
        """Several EXISTS in one block are told once, with the last count."""
        talk = self.open()
        talk.says("* 4 EXISTS", "* 5 EXISTS", "* 1 RECENT")
        self.assertEqual(talk.notes.told, [("arrived", 5)])
        talk.says("* 5 EXISTS")
        self.assertEqual(talk.notes.told, [("arrived", 5)])

    def test_fewer_without_expunge(self):
        """A count that shrinks by itself makes what was known doubtful."""
        talk = self.known(3, 5, 9)
        talk.says("* 2 EXISTS")
        self.assertEqual(talk.notes.told, [("arrived", 2)])
        talk.says("* 1 EXPUNGE")
        self.assertEqual(talk.notes.told[1:], [("arrived", 1)])

    def test_contradiction(self):
        """A message that changes its UID makes what was known doubtful."""
        talk = self.known(3, 5, 9)
        talk.says("* 2 FETCH (UID 6)", "* 1 EXPUNGE")
        self.assertEqual([word for word, _what in talk.notes.told], ["arrived"])

    def test_vanished_that_was_not_asked_for(self):
        """VANISHED, which nobody enabled, is a reason to look again."""
        talk = self.known(3, 5, 9)
        talk.says("* VANISHED 1:4294967295")
        self.assertEqual(talk.notes.told, [("arrived", 3)])

    def test_poll(self):
        """A poll tells what vanished before it fires."""
        talk = self.known(3, 5, 9)
        done = self.started(talk.folder.poll(thorough=False))
        talk.hears("A3 NOOP")
        talk.says("* 1 EXPUNGE", "A3 OK")
        self.assertEqual(talk.notes.told, [("vanished", [3])])
        self.assertEqual(self.successResultOf(done).exists, 2)

    def test_poll_learns_the_next_uid(self):
        """After arrivals the new UIDs are asked for, so that the state is right."""
        talk = self.known(3, 5, 9, uidnext=10)
        done = self.started(talk.folder.poll(thorough=False))
        talk.heard()
        talk.says("* 4 EXISTS", "A3 OK")
        talk.hears("A4 UID FETCH 10:* (UID)")
        talk.says("* 4 FETCH (UID 12)", "A4 OK")
        self.assertEqual(self.successResultOf(done).uidnext, 13)

    def thorough(self, talk, *told):
        """A thorough poll up to the answer to its SELECT."""
        talk.notes.told.clear()
        done = self.started(talk.folder.poll(thorough=True))
        talk.says("A3 OK")
        talk.hears("A3 NOOP", 'A4 SELECT "box"')
        talk.says(*told, "A4 OK [READ-WRITE]")
        return done

    def test_thorough(self):
        """A thorough poll selects anew; one message proves that all are still there."""
        talk = self.known(3, 5, 9)
        done = self.thorough(talk, "* 4 EXISTS", "* OK [UIDVALIDITY 7]", "* OK [UIDNEXT 11]")
        talk.hears("A5 FETCH 3:3 (UID)")
        talk.says("* 3 FETCH (UID 9)", "A5 OK")
        self.assertEqual(self.successResultOf(done).exists, 4)
        self.assertEqual(talk.notes.told, [("arrived", 4)])
        talk.says("* 1 EXPUNGE")
        self.assertEqual(talk.notes.told[1:], [("vanished", [3])])

    def test_thorough_finds_what_vanished(self):
        """What vanished while the folder was selected anew is told exactly."""
        talk = self.known(3, 5, 9)
        done = self.thorough(talk, "* 3 EXISTS", "* OK [UIDVALIDITY 7]")
        talk.says(
            "* 3 FETCH (UID 12)", "A5 OK", "* 1 FETCH (UID 3)", "* 2 FETCH (UID 9)", "* 3 FETCH (UID 12)", "A6 OK"
        )
        self.successResultOf(done)
        self.assertIn(("vanished", [5]), talk.notes.told)

    def test_thorough_takes_nothing_for_gone_that_is_not_listed(self):
        """A listing that does not agree with EXISTS says nothing of what is not in it (FORMAT 2.5)."""
        talk = self.known(3, 5, 9)
        done = self.thorough(talk, "* 3 EXISTS", "* OK [UIDVALIDITY 7]")
        talk.says("A5 OK", "* 1 FETCH (UID 3)", "A6 OK")
        self.successResultOf(done)
        self.assertEqual(talk.notes.told, [("arrived", 3)])

    def test_thorough_of_an_older_state(self):
        """A server that says that a known UID was not given yet shows an older state: nothing is taken for gone."""
        talk = self.known(3, 5, 9)
        done = self.thorough(talk, "* 2 EXISTS", "* OK [UIDVALIDITY 7]", "* OK [UIDNEXT 9]")
        self.assertEqual(self.successResultOf(done).exists, 2)
        self.assertEqual(talk.notes.told, [("arrived", 2)])

    def test_thorough_of_an_emptied_folder(self):
        """A folder that was emptied."""
        talk = self.known(3, 5)
        done = self.thorough(talk, "* 0 EXISTS", "* OK [UIDVALIDITY 7]")
        self.assertEqual(self.successResultOf(done).exists, 0)
        self.assertEqual(talk.notes.told[0], ("vanished", [3, 5]))

    def test_thorough_of_an_unknown_folder(self):
        """Where the UIDs were not known, a change of the count is told."""
        talk = self.open()
        done = self.started(talk.folder.poll(thorough=True))
        talk.says("A2 OK", "* 3 EXISTS", "* OK [UIDVALIDITY 7]", "A3 OK")
        self.successResultOf(done)
        self.assertEqual(talk.notes.told, [])

    def test_renumbered(self):
        """Another UIDVALIDITY is told, and nothing of before is believed (FORMAT 2.5)."""
        talk = self.known(3, 5, 9)
        done = self.thorough(talk, "* 3 EXISTS", "* OK [UIDVALIDITY 8]", "* OK [UIDNEXT 4]")
        self.assertEqual(self.successResultOf(done).uidvalidity, 8)
        self.assertEqual(talk.notes.told, [("renumbered", 8)])
        talk.says("* 1 EXPUNGE")
        self.assertEqual(talk.notes.told[1:], [("arrived", 2)])

    def test_selecting_again_fails(self):
        """A refused SELECT raises."""
        talk = self.open()
        done = self.started(talk.folder.select())
        talk.says("A2 NO [UNAVAILABLE] x")
        self.refusal(done, Unavailable)

    def test_cancelled(self):
        """A listing that is given up takes nothing from the next one."""
        talk = self.open()
        first = self.started(talk.folder.headers(1, None))
        first.cancel()
        self.refusal(first, CancelledError)
        second = self.started(talk.folder.headers(1, None))
        talk.says(head(1, 3), "A2 OK", head(1, 3), head(2, 5), "A3 OK")
        self.assertEqual(list(self.successResultOf(second)), [3, 5])


class SequenceMapTests(SynchronousTestCase):
    """Numbers to UIDs."""

    @given(st.lists(st.integers(1, 10**9), unique=True, max_size=30).map(sorted), st.data())
    def test_like_a_list(self, uids, data):
        """Expunging numbers gives the UIDs that a list would give."""
        numbers, model = SequenceMap(), list(uids)
        for sequence in data.draw(st.permutations(range(1, len(uids) + 1))):
            self.assertTrue(numbers.learn(sequence, uids[sequence - 1]))
        self.assertTrue(numbers.complete(len(uids)))
        while model:
            sequence = data.draw(st.integers(1, len(model)))
            self.assertEqual(numbers.expunge(sequence), model.pop(sequence - 1))
            self.assertEqual(list(numbers.uids()), model)
            self.assertEqual(numbers.last(), (len(model), model[-1]) if model else None)

    def test_never_guesses(self):
        """What is not known is None."""
        numbers = SequenceMap()
        self.assertTrue(numbers.learn(3, 30))
        self.assertFalse(numbers.complete(3))
        self.assertEqual([numbers.expunge(1), numbers.expunge(9), numbers.expunge(0)], [None, None, None])
        self.assertEqual(numbers.expunge(2), 30)

    def test_bounded(self):
        """A claim of four thousand million messages takes no memory."""
        numbers = SequenceMap()
        self.assertTrue(numbers.learn(4_000_000_000, 5))
        self.assertEqual(len(numbers), 0)
        self.assertFalse(numbers.learn(0, 5))


class HostileTests(FolderCase):
    """Servers that answer without end, or lie."""

    def test_headers_of_nothing(self):
        """Headers without a byte cost memory too: their number is bounded."""
        headers = Headers(1, 1 << 31)
        headers.most = 100_000
        with self.assertRaises(ProtocolViolation):
            for uid in range(1, 10_000):
                reply = Fetch(uid, {b"RFC822.SIZE": b"1", b"BODY[HEADER.FIELDS]": b""}, uid)
                headers.receive(reply, [])

    def test_searches_that_find_everything(self):
        """What a search finds is bounded."""
        found = Found(most=1000)
        with self.assertRaises(ProtocolViolation):
            for start in range(0, 10_000, 100):
                found.receive(Search(list(range(start, start + 100))), [])

    def test_more_messages_than_can_be_held(self):
        """A server that claims four thousand million messages is not asked for each of them."""
        talk = self.open(exists=4_000_000_000, uidnext=4_000_000_000)
        self.refusal(self.started(talk.folder.headers(1, None)), ProtocolViolation)
        talk.silent()

    def test_not_selected_while_removing(self):
        """Another SELECT, after which numbers may be those of others, waits until what was seen is removed."""
        talk = self.open()
        removing = self.started(talk.folder.remove([5], 7, anything))
        talk.hears(f"A2 UID FETCH 5 {HEADERS}")
        selecting = self.started(talk.folder.select())
        talk.says(head(1, 5), "A2 OK")
        talk.hears("A3 UID STORE 5 +FLAGS.SILENT (\\Deleted)")
        talk.says("A3 OK")
        talk.hears("A4 UID EXPUNGE 5")
        talk.says("* 1 EXPUNGE", "A4 OK")
        talk.hears("A5 UID FETCH 5 (UID)")
        talk.says("A5 OK")
        self.assertIsNone(self.successResultOf(removing))
        talk.hears('A6 SELECT "box"')
        talk.says("* 3 EXISTS", "* OK [UIDVALIDITY 8] v", "* OK [UIDNEXT 10] n", "A6 OK [READ-WRITE] done")
        self.successResultOf(selecting)

    def test_renumbered_before_removing(self):
        """A removal that waits for a SELECT touches nothing under numbers that this made void."""
        talk = self.open()
        selecting = self.started(talk.folder.select())
        removing = self.started(talk.folder.remove([5], 7, anything))
        unmarking = self.started(talk.folder.unmark([5], 7, anything))
        talk.hears('A2 SELECT "box"')
        talk.says("* 3 EXISTS", "* OK [UIDVALIDITY 8] v", "* OK [UIDNEXT 10] n", "A2 OK [READ-WRITE] done")
        self.successResultOf(selecting)
        self.refusal(removing, Renumbered)
        self.refusal(unmarking, Renumbered)
        talk.silent()
