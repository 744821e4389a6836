"""Many messages in one APPEND, where the server takes them so (MULTIAPPEND, RFC 3502)."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import Receipt
from ifap_twisted.errors import OutcomeUnknown, ProtocolViolation, QuotaExceeded, Refused, Throttled
from ifap_twisted.imap.appending import receipts
from ifap_twisted.imap.grammar import Status
from tests.imap.conversation import Case, selected

ABLE = "IMAP4rev1 UIDPLUS LITERAL+ MULTIAPPEND"
ALONE = 4
"""Commands that are on their way before others wait to go together."""


class TogetherTests(Case, SynchronousTestCase):
    """Messages that come while enough commands are on their way."""

    def opened(self, capabilities: str = ABLE) -> Any:
        """A conversation with the folder open, and the first commands on their way."""
        talk = selected(self, capabilities)
        talk.first = [self.append(talk, b"first") for _ in range(ALONE)]
        talk.heard()
        return talk

    def append(self, talk: Any, text: bytes) -> Deferred[Receipt]:
        """One more message."""
        done: Deferred[Receipt] = self.started(talk.folder.append(text))
        return done

    def test_the_first_go_out_at_once(self) -> None:
        """Nobody waits for company."""
        talk = selected(self, ABLE)
        self.append(talk, b"one")
        self.append(talk, b"two")
        talk.hears('A2 APPEND "box" {3+}', "one", 'A3 APPEND "box" {3+}', "two")

    def test_the_others_go_together(self) -> None:
        """In one command, in the order of the calls, each with its own place."""
        talk = self.opened()
        calls = [self.append(talk, text) for text in (b"a", b"bb", b"ccc")]
        talk.silent()
        talk.says("A2 OK [APPENDUID 7 10]")
        talk.hears('A6 APPEND "box" {1+}', "a {2+}", "bb {3+}", "ccc")
        talk.says("A6 OK [APPENDUID 7 21,23:24] done")
        self.assertEqual([self.successResultOf(call).uid for call in calls], [21, 23, 24])
        self.assertEqual(self.successResultOf(talk.first[0]).uid, 10)

    def test_without_literal_plus(self) -> None:
        """Each waits for the server to ask for it."""
        talk = selected(self, "IMAP4rev1 MULTIAPPEND")
        for _ in range(ALONE):
            self.append(talk, b"first")
        calls = [self.append(talk, text) for text in (b"a", b"b")]
        for _ in range(ALONE):
            talk.says("+ go")
        talk.heard()
        talk.says("A2 OK")
        talk.hears('A6 APPEND "box" {1}')
        talk.says("+ go")
        talk.hears("a {1}")
        talk.says("+ go")
        talk.hears("b")
        talk.says("A6 OK")
        for call in calls:
            self.assertEqual(self.successResultOf(call), Receipt())

    def test_a_server_that_cannot(self) -> None:
        """One command each, all at once."""
        talk = selected(self, "IMAP4rev1 UIDPLUS LITERAL+")
        for _ in range(2 * ALONE):
            self.append(talk, b"x")
        self.assertEqual(talk.heard().count(b"APPEND"), 2 * ALONE)

    def test_a_large_one_goes_alone(self) -> None:
        """So that a cut costs little."""
        talk = self.opened()
        for text in (b"a", b"L" * 300_000, b"b", b"c"):
            self.append(talk, text)
        talk.says("A2 OK", "A3 OK", "A4 OK")
        self.assertEqual(re.findall(rb'A\d+ APPEND "box" \{(\d+)\+\}', talk.heard()), [b"1", b"300000", b"1"])

    def test_places_that_are_not_told(self) -> None:
        """Or not as many as there are messages."""
        talk = self.opened()
        calls = [self.append(talk, b"x") for _ in range(2)]
        talk.says("A2 OK", "A6 OK [APPENDUID 7 5]")
        for call in calls:
            self.assertEqual(self.successResultOf(call), Receipt())

    def test_none_suffers_for_another(self) -> None:
        """Many are refused together: each is sent alone, and only the one that is at fault fails."""
        talk = self.opened()
        calls = [self.append(talk, text) for text in (b"good", b"bad")]
        talk.says("A2 OK")
        talk.heard()
        talk.says("A6 NO [OVERQUOTA] no room for all")
        talk.hears('A7 APPEND "box" {4+}', "good")
        talk.says("A7 OK [APPENDUID 7 30]")
        talk.hears('A8 APPEND "box" {3+}', "bad")
        talk.says("A8 NO [OVERQUOTA] no room")
        self.assertEqual(self.successResultOf(calls[0]).uid, 30)
        self.refusal(calls[1], QuotaExceeded)

    def test_a_server_that_offers_what_it_does_not_understand(self) -> None:
        """After one BAD every message goes alone."""
        talk = self.opened()
        calls = [self.append(talk, b"x") for _ in range(2)]
        talk.says("A2 OK", "A3 OK", "A6 BAD what?")
        talk.heard()
        talk.says("A7 OK", "A8 OK")
        for call in calls:
            self.successResultOf(call)
        for _ in range(2 * ALONE):
            self.append(talk, b"x")
        self.assertEqual(talk.heard().count(b"APPEND"), 2 * ALONE)

    def test_a_server_that_is_busy(self) -> None:
        """All are told; nothing is sent again at once."""
        talk = self.opened()
        calls = [self.append(talk, b"x") for _ in range(2)]
        talk.says("A2 OK")
        talk.heard()
        talk.says("A6 NO [THROTTLED] later")
        talk.silent()
        for call in calls:
            self.refusal(call, Throttled)

    def test_a_lost_connection(self) -> None:
        """Of those on their way nothing is known; the others were certainly not stored."""
        talk = self.opened()
        calls = [self.append(talk, b"x") for _ in range(2)]
        talk.says("A2 OK")
        late = self.append(talk, b"late")
        talk.loses()
        for call in (*calls, *talk.first[1:]):
            self.refusal(call, OutcomeUnknown)
        self.assertNotIsInstance(self.failureResultOf(late).value, OutcomeUnknown)

    def test_giving_up_one_of_many(self) -> None:
        """Its outcome is unknown; the others are stored."""
        talk = self.opened()
        calls = [self.append(talk, b"x") for _ in range(3)]
        talk.says("A2 OK")
        calls[1].cancel()
        self.refusal(calls[1], OutcomeUnknown)
        talk.says("A6 OK [APPENDUID 7 30:32]")
        self.assertEqual([self.successResultOf(calls[0]).uid, self.successResultOf(calls[2]).uid], [30, 32])

    def test_giving_up_one_that_waits(self) -> None:
        """It is never sent."""
        talk = self.opened()
        calls = [self.append(talk, text) for text in (b"a", b"secret", b"c")]
        calls[1].cancel()
        self.refusal(calls[1], CancelledError)
        talk.says("A2 OK")
        self.assertNotIn(b"secret", talk.heard())

    def test_given_up_and_refused(self) -> None:
        """It is not sent again for somebody who is gone."""
        talk = self.opened()
        calls = [self.append(talk, text) for text in (b"kept", b"gone")]
        talk.says("A2 OK")
        calls[1].cancel()
        self.refusal(calls[1], OutcomeUnknown)
        talk.heard()
        talk.says("A6 NO no")
        talk.hears('A7 APPEND "box" {4+}', "kept")
        talk.says("A7 NO no")
        self.refusal(calls[0], Refused)

    def test_thousands(self) -> None:
        """All go out, some tens at a time."""
        talk = self.opened()
        calls = [self.append(talk, b"x") for _ in range(2000)]
        tag = 2
        while not all(call.called for call in calls):
            talk.says(f"A{tag} OK")
            tag += 1
        self.assertLess(tag, 2000 // 16)


class ReceiptsTests(SynchronousTestCase):
    """APPENDUID with a set."""

    @given(st.binary(max_size=60), st.integers(1, 70))
    def test_anything(self, arguments: bytes, count: int) -> None:
        """As many receipts as messages, or a violation; never a UID that is none."""
        try:
            found = receipts(Status(b"A1", b"OK", b"APPENDUID", arguments, b""), count)
        except ProtocolViolation:
            return
        self.assertEqual(len(found), count)
        self.assertTrue(all(receipt.uid is None or 0 < receipt.uid < 2**32 for receipt in found))

    @given(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=70, unique=True))
    def test_any_set(self, uids: list[int]) -> None:
        """UIDs one by one are the places in their order."""
        text = b"7 " + b",".join(b"%d" % uid for uid in uids)
        found = receipts(Status(b"A1", b"OK", b"APPENDUID", text, b""), len(uids))
        self.assertEqual([receipt.uid for receipt in found], uids)

    def test_a_set_without_end(self) -> None:
        """It costs nothing."""
        found = receipts(Status(b"A1", b"OK", b"APPENDUID", b"7 1:4294967295", b""), 3)
        self.assertEqual(found, [Receipt()] * 3)
