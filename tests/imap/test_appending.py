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


class TogetherTests(Case, SynchronousTestCase):
    """Messages that come while one is on its way."""

    def opened(self, capabilities: str = ABLE) -> Any:
        """A conversation with the folder open, and a first command on its way (A2)."""
        talk = selected(self, capabilities)
        talk.first = self.append(talk, b"first")
        talk.heard()
        return talk

    def append(self, talk: Any, text: bytes) -> Deferred[Receipt]:
        """One more message."""
        done: Deferred[Receipt] = self.started(talk.folder.append(text))
        return done

    def test_one_alone_goes_out_at_once(self) -> None:
        """It waits for nobody, not even for the end of the turn."""
        talk = selected(self, ABLE)
        first = self.append(talk, b"one")
        talk.hears('A2 APPEND "box" {3+}', "one")
        talk.says("A2 OK")
        self.successResultOf(first)
        self.append(talk, b"two")
        talk.hears('A3 APPEND "box" {3+}', "two")

    def test_the_others_go_together(self) -> None:
        """In one command, in the order of the calls, each with its own place; they wait for no answer."""
        talk = self.opened()
        calls = [self.append(talk, text) for text in (b"a", b"bb", b"ccc")]
        talk.silent()
        talk.clock.advance(0)
        talk.hears('A3 APPEND "box" {1+}', "a {2+}", "bb {3+}", "ccc")
        talk.says("A2 OK [APPENDUID 7 10]", "A3 OK [APPENDUID 7 21,23:24] done")
        self.assertEqual([self.successResultOf(call).uid for call in calls], [21, 23, 24])
        self.assertEqual(self.successResultOf(talk.first).uid, 10)

    def test_without_literal_plus(self) -> None:
        """Each waits for the server to ask for it."""
        talk = self.opened("IMAP4rev1 MULTIAPPEND")
        calls = [self.append(talk, text) for text in (b"a", b"b")]
        talk.clock.advance(0)
        talk.says("+ go")
        talk.hears("first", 'A3 APPEND "box" {1}')
        talk.says("+ go")
        talk.hears("a {1}")
        talk.says("+ go")
        talk.hears("b")
        talk.says("A2 OK", "A3 OK")
        for call in calls:
            self.assertEqual(self.successResultOf(call), Receipt())

    def test_a_server_that_cannot(self) -> None:
        """One command each, all at once."""
        talk = selected(self, "IMAP4rev1 UIDPLUS LITERAL+")
        for _ in range(10):
            self.append(talk, b"x")
        self.assertEqual(talk.heard().count(b"APPEND"), 10)

    def test_a_large_one_goes_alone(self) -> None:
        """So that a cut costs little."""
        talk = self.opened()
        for text in (b"a", b"L" * 300_000, b"b", b"c"):
            self.append(talk, text)
        talk.clock.advance(0)
        sent = talk.heard()
        while b"b" not in sent[-20:]:
            talk.transport.producer.resumeProducing()
            sent += talk.heard()
        self.assertEqual(re.findall(rb'A\d+ APPEND "box" \{(\d+)\+\}', sent), [b"1", b"300000", b"1"])

    def test_places_that_are_not_told(self) -> None:
        """Or not as many as there are messages."""
        talk = self.opened()
        calls = [self.append(talk, b"x") for _ in range(2)]
        talk.clock.advance(0)
        talk.says("A2 OK", "A3 OK [APPENDUID 7 5]")
        for call in calls:
            self.assertEqual(self.successResultOf(call), Receipt())

    def together(self, talk: Any, *texts: bytes) -> list[Deferred[Receipt]]:
        """Messages that went out in one command (A3); the one before has ended."""
        calls = [self.append(talk, text) for text in texts]
        talk.clock.advance(0)
        talk.says("A2 OK")
        talk.heard()
        return calls

    def test_none_suffers_for_another(self) -> None:
        """Many are refused together: each is sent alone, and only the one that is at fault fails."""
        talk = self.opened()
        calls = self.together(talk, b"good", b"bad")
        talk.says("A3 NO [OVERQUOTA] no room for all")
        talk.hears('A4 APPEND "box" {4+}', "good", 'A5 APPEND "box" {3+}', "bad")
        talk.says("A4 OK [APPENDUID 7 30]", "A5 NO [OVERQUOTA] no room")
        self.assertEqual(self.successResultOf(calls[0]).uid, 30)
        self.refusal(calls[1], QuotaExceeded)

    def test_a_server_that_offers_what_it_does_not_understand(self) -> None:
        """After one BAD every message goes alone."""
        talk = self.opened()
        calls = self.together(talk, b"x", b"x")
        talk.says("A3 BAD what?")
        talk.says("A4 OK", "A5 OK")
        for call in calls:
            self.successResultOf(call)
        talk.heard()
        for _ in range(10):
            self.append(talk, b"x")
        self.assertEqual(talk.heard().count(b"APPEND"), 10)

    def test_a_server_that_is_busy(self) -> None:
        """All are told; nothing is sent again at once."""
        talk = self.opened()
        calls = self.together(talk, b"x", b"x")
        talk.says("A3 NO [THROTTLED] later")
        talk.silent()
        for call in calls:
            self.refusal(call, Throttled)

    def test_a_lost_connection(self) -> None:
        """Of those on their way nothing is known; one that waited was certainly not stored."""
        talk = self.opened()
        calls = [self.append(talk, b"x") for _ in range(2)]
        talk.clock.advance(0)
        late = self.append(talk, b"late")
        talk.loses()
        for call in (talk.first, *calls):
            self.refusal(call, OutcomeUnknown)
        talk.clock.advance(0)
        self.assertNotIsInstance(self.failureResultOf(late).value, OutcomeUnknown)
        self.assertNotIn(b"late", talk.heard())

    def test_giving_up_one_of_many(self) -> None:
        """Its outcome is unknown; the others are stored."""
        talk = self.opened()
        calls = self.together(talk, b"x", b"x", b"x")
        calls[1].cancel()
        self.refusal(calls[1], OutcomeUnknown)
        talk.says("A3 OK [APPENDUID 7 30:32]")
        self.assertEqual([self.successResultOf(calls[0]).uid, self.successResultOf(calls[2]).uid], [30, 32])

    def test_giving_up_one_that_waits(self) -> None:
        """It is never sent."""
        talk = self.opened()
        calls = [self.append(talk, text) for text in (b"a", b"secret", b"c")]
        calls[1].cancel()
        self.refusal(calls[1], CancelledError)
        talk.clock.advance(0)
        self.assertNotIn(b"secret", talk.heard())

    def test_given_up_and_refused(self) -> None:
        """It is not sent again for somebody who is gone."""
        talk = self.opened()
        calls = self.together(talk, b"kept", b"gone")
        calls[1].cancel()
        self.refusal(calls[1], OutcomeUnknown)
        talk.says("A3 NO no")
        talk.hears('A4 APPEND "box" {4+}', "kept")
        talk.says("A4 NO no")
        self.refusal(calls[0], Refused)

    def test_thousands(self) -> None:
        """All go out, some tens at a time, bounded by what may be on its way."""
        talk = self.opened()
        calls = [self.append(talk, b"x") for _ in range(2000)]
        talk.clock.advance(0)
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
