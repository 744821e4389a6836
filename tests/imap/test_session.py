"""A session from the greeting to the goodbye."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import (
    BadSettings,
    NotFound,
    NotTrusted,
    ProtocolViolation,
    Refused,
    Throttled,
    TimedOut,
    Unavailable,
)
from ifap_twisted.imap.security import Security
from tests.imap.conversation import RICH, Case, Conversation, Notes, selected, session


class GreetingTests(Case, SynchronousTestCase):
    """The first words."""

    def test_capabilities_in_the_greeting(self):
        """Capabilities in the greeting are not asked for again."""
        talk = session(self, "IMAP4rev1 idle")
        self.successResultOf(talk.begun)
        talk.silent()
        self.assertEqual(talk.session.capabilities, {b"IMAP4REV1", b"IDLE"})

    def test_capabilities_asked(self):
        """A greeting without them is followed by CAPABILITY."""
        talk = session(self, None)
        talk.hears("A1 CAPABILITY")
        talk.says("* CAPABILITY IMAP4rev1 AUTH=PLAIN auth=xoauth2", "A1 OK")
        self.successResultOf(talk.begun)
        self.assertEqual(talk.session.mechanisms, {b"PLAIN", b"XOAUTH2"})

    def test_no_capabilities(self):
        """A server that tells none is not believed."""
        talk = session(self, None)
        talk.says("A1 OK")
        self.refusal(talk.begun, ProtocolViolation)

    def test_bye(self):
        """A server that says goodbye first cannot be reached now, or asks to slow down."""
        for text, kind in (("shutting down", Unavailable), ("Too many connections", Throttled)):
            talk = session(self, None, greeting=f"BYE {text}")
            self.refusal(talk.begun, kind)
            self.assertTrue(talk.transport.disconnected)

    def test_no_imap_server(self):
        """Something else than an IMAP server is a violation."""
        for line in (b"220 smtp.example ESMTP\r\n", b"HTTP/1.1 400 Bad\r\n", b"* 1 EXISTS\r\n", b"A1 OK\r\n", b"+\r\n"):
            talk = Conversation(self)
            talk.says(line)
            self.refusal(talk.wire.greeting, ProtocolViolation)
            self.assertTrue(talk.transport.disconnected)

    def test_no_greeting(self):
        """A server that never greets is given up."""
        from ifap_twisted.imap.session import Session

        talk = Conversation(self)
        begun = self.started(Session(talk.wire, talk.clock, Security.plain()).begin())
        talk.clock.advance(limits.CONNECT_SECONDS)
        self.refusal(begun, TimedOut)


class StartTlsTests(Case, SynchronousTestCase):
    """STARTTLS that cannot be stripped."""

    def begin(self, capabilities="IMAP4rev1 STARTTLS AUTH=PLAIN", **kwargs):
        """A session that demands STARTTLS; the capabilities in a greeting in clear text are not believed."""
        self.creator = object()
        return session(self, capabilities, security=Security.starttls(self.creator), **kwargs)

    def test_secured(self):
        """Capabilities are asked for, the connection is secured, and they are asked for anew."""
        talk = self.begin()
        talk.hears("A1 CAPABILITY")
        talk.says("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED", "A1 OK")
        talk.hears("A2 STARTTLS")
        self.assertIsNone(talk.transport.secured)
        talk.says("A2 OK begin")
        self.assertIs(talk.transport.secured, self.creator)
        talk.hears("A3 CAPABILITY")
        self.assertNoResult(talk.begun)
        talk.says("* CAPABILITY IMAP4rev1 AUTH=PLAIN", "A3 OK")
        self.successResultOf(talk.begun)
        self.assertEqual(talk.session.capabilities, {b"IMAP4REV1", b"AUTH=PLAIN"})

    def test_stripped(self):
        """Without STARTTLS on offer nothing is sent but the question."""
        talk = self.begin()
        talk.hears("A1 CAPABILITY")
        talk.says("* CAPABILITY IMAP4rev1 AUTH=PLAIN", "A1 OK")
        self.refusal(talk.begun, NotTrusted)
        self.refusal(talk.session.authenticate_plain("me", "secret"), NotTrusted)
        self.refusal(talk.session.login("me", "secret"), NotTrusted)
        talk.silent()

    def test_refused(self):
        """A server that offers and refuses STARTTLS gets no login."""
        for answer in ("NO not now", "BAD what"):
            talk = self.begin()
            talk.says("* CAPABILITY IMAP4rev1 STARTTLS", "A1 OK", f"A2 {answer}")
            self.refusal(talk.begun, NotTrusted)
            self.refusal(talk.session.login("me", "secret"), NotTrusted)
            self.assertIsNone(talk.transport.secured)

    def test_clear_text_behind_the_answer(self):
        """What comes in clear text behind the OK ends the connection, unread."""
        for injected in ("* CAPABILITY IMAP4rev1 AUTH=PLAIN", "* OK", b"*", b"\x16\x03\x01"):
            talk = self.begin()
            talk.says("* CAPABILITY IMAP4rev1 STARTTLS", "A1 OK")
            talk.says("A2 OK begin", injected)
            self.refusal(talk.begun, NotTrusted)
            self.assertIsNone(talk.transport.secured)
            self.assertTrue(talk.transport.disconnected)

    def test_preauth(self):
        """A connection that is logged in before it is secure cannot be secured any more: it is not used."""
        talk = self.begin(greeting="PREAUTH")
        self.refusal(talk.begun, NotTrusted)
        talk.silent()

    def test_transport_that_cannot(self):
        """A transport without TLS is not used in clear text instead."""
        from twisted.internet.testing import StringTransport

        talk = Conversation(self)
        talk.wire.transport = StringTransport()
        self.refusal(self.started(talk.wire.secure(object())), NotTrusted)

    def test_lost_meanwhile(self):
        """A connection that breaks meanwhile is no matter of trust."""
        talk = self.begin()
        talk.says("* CAPABILITY IMAP4rev1 STARTTLS", "A1 OK")
        talk.loses()
        self.refusal(talk.begun, Unavailable)


class OpenFolderTests(Case, SynchronousTestCase):
    """Finding, creating and selecting the folder."""

    def opening(self, capabilities="IMAP4rev1", name="box", *, create=True):
        """A session that opens a folder."""
        talk = session(self, capabilities, greeting="PREAUTH")
        self.successResultOf(talk.begun)
        talk.opening = self.started(talk.session.open_folder(name, Notes(), create=create))
        return talk

    SELECTED = ("* 2 EXISTS", "* OK [UIDVALIDITY 7] v", "* OK [UIDNEXT 5] n")

    def test_select(self):
        """The state has what the server said."""
        talk = self.opening()
        talk.hears('A1 SELECT "box"')
        talk.says("* FLAGS (\\Seen)", *self.SELECTED, "* OK [UNSEEN 1] u", "A1 OK [READ-WRITE] done")
        state = self.successResultOf(talk.opening)
        self.assertEqual((state.uidvalidity, state.uidnext, state.exists, state.read_only), (7, 5, 2, False))

    def test_read_only(self):
        """A folder that may not be changed says so."""
        talk = self.opening()
        talk.says(*self.SELECTED, "A1 OK [READ-ONLY] done")
        self.assertTrue(self.successResultOf(talk.opening).read_only)

    def test_without_uidnext(self):
        """A server that does not tell UIDNEXT (Courier)."""
        talk = self.opening()
        talk.says(*self.SELECTED[:2], "A1 OK [READ-WRITE] done")
        self.assertIsNone(self.successResultOf(talk.opening).uidnext)

    def test_without_uidvalidity(self):
        """A server without UIDVALIDITY cannot hold our messages."""
        talk = self.opening()
        talk.says("* 2 EXISTS", "A1 OK [READ-WRITE] done")
        self.refusal(talk.opening, ProtocolViolation)

    def test_namespace(self):
        """The folder lies in the personal namespace (Courier)."""
        talk = self.opening("IMAP4rev1 NAMESPACE", "IFAP/DÄTA")
        talk.hears("A1 NAMESPACE")
        talk.says('* NAMESPACE (("INBOX." ".")) NIL (("#shared." ".")("shared." "."))', "A1 OK")
        talk.hears('A2 SELECT "INBOX.IFAP.D&AMQ-TA"')

    def test_odd_namespaces(self):
        """A server without a personal namespace, or with nonsense for it."""
        for answer in ("* NAMESPACE NIL NIL NIL", "* NAMESPACE ()", '* NAMESPACE (("")) NIL NIL', "* NAMESPACE"):
            talk = self.opening("IMAP4rev1 NAMESPACE")
            talk.heard()
            talk.says(answer, "A1 OK")
            talk.hears('A2 SELECT "box"')

    def test_created_after_a_code(self):
        """An absent folder is created, then selected."""
        for code in ("NONEXISTENT", "TRYCREATE"):
            talk = self.opening()
            talk.heard()
            talk.says(f"A1 NO [{code}] no such folder")
            talk.hears('A2 CREATE "box"')
            talk.says("A2 OK")
            talk.hears('A3 SELECT "box"')
            talk.says(*self.SELECTED, "A3 OK [READ-WRITE]")
            self.successResultOf(talk.opening)

    def test_created_without_a_code(self):
        """A server that refuses without saying why is asked whether the folder is there (mailutils, Courier)."""
        talk = self.opening()
        talk.heard()
        talk.says("A1 NO could not open")
        talk.hears('A2 LIST "" "box"')
        talk.says("A2 OK")
        talk.hears('A3 CREATE "box"')

    def test_refused_though_it_is_there(self):
        """A folder that is there and may not be opened is tried once more, and not created again."""
        talk = self.opening()
        talk.says("A1 NO locked", '* LIST () "/" box', "A2 OK", "A3 NO still locked")
        self.assertIn("still locked", str(self.refusal(talk.opening, Refused)))
        self.assertNotIn(b"CREATE", talk.heard())

    def test_created_by_another(self):
        """Another device may have created it in between."""
        talk = self.opening()
        talk.says("A1 NO [NONEXISTENT] x", "A2 NO [ALREADYEXISTS] x", *self.SELECTED, "A3 OK")
        self.successResultOf(talk.opening)
        talk = self.opening()
        talk.says("A1 NO [NONEXISTENT] x", "A2 NO it exists", '* LIST () "/" box', "A3 OK", *self.SELECTED, "A4 OK")
        self.successResultOf(talk.opening)

    def test_not_created(self):
        """Without ``create`` an absent folder is ``NotFound`` and stays absent."""
        talk = self.opening(create=False)
        talk.heard()
        talk.says("A1 NO [NONEXISTENT] x")
        self.refusal(talk.opening, NotFound)
        talk.silent()

    def test_creation_refused(self):
        """A creation that is refused says why."""
        talk = self.opening()
        talk.says("A1 NO [NONEXISTENT] x", "A2 NO [NOPERM] not here", "* LIST (\\NonExistent) NIL box", "A3 OK")
        self.assertEqual(self.refusal(talk.opening, Refused).response_code, "NOPERM")

    def test_bad_names(self):
        """A name that could end a line is refused before anything is sent."""
        talk = self.opening(name="box\r\nA9 DELETE x")
        self.refusal(talk.opening, BadSettings)
        talk.silent()

    def test_append_limit(self):
        """The largest message: from the capability, or for the folder where that says so (RFC 7889)."""
        talk = selected(self, "IMAP4rev1 APPENDLIMIT=35651584")
        self.assertEqual(talk.session.traits.max_message, 35651584)
        for items, limit in (("(APPENDLIMIT 1000)", 1000), ("(APPENDLIMIT NIL)", None)):
            talk = self.opening("IMAP4rev1 APPENDLIMIT")
            talk.heard()
            talk.says(*self.SELECTED, "A1 OK [READ-WRITE]")
            talk.hears('A2 STATUS "box" (APPENDLIMIT)')
            talk.says(f"* STATUS box {items}", "A2 OK")
            self.successResultOf(talk.opening)
            self.assertEqual(talk.session.traits.max_message, limit)

    def test_traits(self):
        """What the server announces is what the shelf can do."""
        for capabilities, told in ((RICH, (True, True, True)), ("IMAP4rev1", (False, False, False))):
            traits = selected(self, capabilities).session.traits
            self.assertEqual((traits.reports_uid, traits.expunges_by_uid, traits.pushes), told)

    def test_identity(self):
        """ID is sent where it is wanted and there is something to say."""
        talk = session(self, "IMAP4rev1 ID", greeting="PREAUTH")
        self.started(talk.session.identify({"name": "ifap", "version": "1"}))
        talk.hears('A1 ID ("name" "ifap" "version" "1")')
        talk.says("A1 OK")
        self.started(talk.session.identify({}))
        talk.silent()

    def test_no_folder(self):
        """A session without a folder says so."""
        talk = session(self, "IMAP4rev1")
        with self.assertRaises(Unavailable):
            _folder = talk.session.folder


class EndTests(Case, SynchronousTestCase):
    """The goodbye."""

    def test_logout(self):
        """LOGOUT, never CLOSE; the connection is closed when the server has answered."""
        talk = selected(self)
        ended = self.started(talk.session.end())
        talk.hears(f"A{talk.tag} LOGOUT")
        talk.says("* BYE see you", f"A{talk.tag} OK")
        self.successResultOf(ended)
        self.assertTrue(talk.transport.disconnected)

    def test_server_that_does_not_answer(self):
        """A server that does not answer is waited for as long as is polite."""
        talk = selected(self)
        ended = self.started(talk.session.end())
        talk.clock.advance(limits.LOGOUT_SECONDS)
        self.successResultOf(ended)
        self.assertTrue(talk.transport.disconnected)
        self.assertEqual(talk.clock.getDelayedCalls(), [])

    def test_server_that_closes_at_once(self):
        """A server that closes without a word is gone."""
        talk = selected(self)
        ended = self.started(talk.session.end())
        talk.loses()
        self.successResultOf(ended)
        self.successResultOf(self.started(talk.session.end()))

    def test_what_waits(self):
        """What was not sent fails; what was sent may still be answered."""
        talk = selected(self, "IMAP4rev1 UIDPLUS LITERAL+")
        first = self.started(talk.folder.append(b"one"))
        waiting = self.started(talk.folder.select())
        talk.heard()
        ended = self.started(talk.session.end())
        self.refusal(waiting, Unavailable)
        talk.says(f"A{talk.tag} OK [APPENDUID 7 10] done")
        self.assertEqual(self.successResultOf(first).uid, 10)
        talk.hears(f"A{talk.tag + 1} LOGOUT")
        talk.says("* BYE", f"A{talk.tag + 1} OK")
        self.successResultOf(ended)

    def test_bye_in_the_middle(self):
        """A server that says goodbye by itself: everything fails with what it said."""
        talk = selected(self)
        waiting = self.started(talk.folder.noop())
        ended = talk.session.ended()
        talk.says("* BYE Session expired")
        self.assertIn("Session expired", str(self.refusal(waiting, Unavailable)))
        self.assertIn("Session expired", str(self.successResultOf(ended)))
        self.assertFalse(talk.session.alive)
        self.assertIn("Session expired", str(self.successResultOf(talk.session.ended())))

    def test_nobody_waits_for_the_end_any_more(self):
        """Who waited for the end and gave up is not told."""
        talk = selected(self)
        ended = talk.session.ended()
        ended.cancel()
        self.failureResultOf(ended)
        talk.loses()

    def test_capabilities_that_change(self):
        """Capabilities are those told last."""
        talk = selected(self, "IMAP4rev1")
        talk.says("* CAPABILITY IMAP4rev1 IDLE")
        self.assertIn(b"IDLE", talk.session.capabilities)
