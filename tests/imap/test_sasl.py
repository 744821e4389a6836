"""Ways to log in."""

from __future__ import annotations

from base64 import b64encode

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import AuthenticationRefused, BadSettings, NotTrusted, ProtocolViolation, Refused
from ifap_twisted.imap import sasl
from ifap_twisted.imap.requests import Request
from tests.imap.conversation import Case, session


class MechanismTests(SynchronousTestCase):
    """What is said in each mechanism."""

    def test_plain(self):
        """PLAIN says it all at once, and again to a server that takes no initial response."""
        plain = sasl.Plain("me", "secret")
        self.assertEqual(plain.initial(), b"\0me\0secret")
        self.assertEqual(plain.respond(b""), b"\0me\0secret")
        with self.assertRaises(AuthenticationRefused):
            plain.respond(b"more?")

    def test_oauth(self):
        """Both OAuth mechanisms say the token, and acknowledge the report of an error."""
        self.assertEqual(sasl.XOAuth2("me", "tok").initial(), b"user=me\x01auth=Bearer tok\x01\x01")
        self.assertEqual(sasl.OAuthBearer("m=e,x", "tok").initial(), b"n,a=m=3De=2Cx,\x01auth=Bearer tok\x01\x01")
        self.assertEqual(sasl.XOAuth2("me", "tok").respond(b'{"status":"401"}'), b"")
        self.assertEqual(sasl.OAuthBearer("me", "tok").respond(b'{"status":"401"}'), b"\x01")
        self.assertEqual(sasl.XOAuth2("me", "tok").respond(b""), b"user=me\x01auth=Bearer tok\x01\x01")

    def test_line_ends_are_refused(self):
        """CR, LF and NUL in a user name, password or token are refused before anything is sent."""
        for bad in ("a\r\nA2 DELETE x", "a\n", "a\r", "a\0b", ""):
            for make in (sasl.password, sasl.oauth2, sasl.Plain, sasl.XOAuth2):
                with self.assertRaises(BadSettings) as caught:
                    make("me", bad)
                self.assertNotIn("DELETE", str(caught.exception))
                with self.assertRaises(BadSettings):
                    make(bad, "secret")

    def test_nothing_secret_in_reprs(self):
        """No repr shows a password or a token."""
        things = [sasl.Plain("me", "hunter2"), sasl.XOAuth2("me", "hunter2"), sasl.password("me", "hunter2")]
        self.assertNotIn("hunter2", repr(things))


class LoginTests(Case, SynchronousTestCase):
    """Logging in over the wire."""

    def begun(self, capabilities, **kwargs):
        """A session past the greeting."""
        talk = session(self, capabilities, **kwargs)
        self.successResultOf(talk.begun)
        return talk

    def test_plain_with_initial_response(self):
        """PLAIN is preferred, in one round trip; capabilities in its answer are taken over."""
        talk = self.begun("IMAP4rev1 AUTH=PLAIN SASL-IR")
        done = self.started(sasl.password("me", "secret")(talk.session))
        talk.hears("A1 AUTHENTICATE PLAIN AG1lAHNlY3JldA==")
        talk.says("A1 OK [CAPABILITY IMAP4rev1 UIDPLUS] in")
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(talk.session.capabilities, {b"IMAP4REV1", b"UIDPLUS"})
        self.assertTrue(talk.session.authenticated)

    def test_plain_without_initial_response(self):
        """Without SASL-IR the server is asked first; capabilities are asked anew afterwards."""
        talk = self.begun("IMAP4rev1 AUTH=PLAIN")
        done = self.started(sasl.password("me", "secret")(talk.session))
        talk.hears("A1 AUTHENTICATE PLAIN")
        talk.says("+ ")
        talk.hears("AG1lAHNlY3JldA==")
        talk.says("A1 OK in")
        talk.hears("A2 CAPABILITY")
        talk.says("* CAPABILITY IMAP4rev1 IDLE", "A2 OK done")
        self.assertIsNone(self.successResultOf(done))
        self.assertIn(b"IDLE", talk.session.capabilities)

    def test_login(self):
        """Without AUTH=PLAIN there is LOGIN, quoted."""
        talk = self.begun("IMAP4rev1")
        done = self.started(sasl.password("me", 'se"cr\\et')(talk.session))
        talk.hears('A1 LOGIN "me" "se\\"cr\\\\et"')
        talk.says("* CAPABILITY IMAP4rev1", "A1 OK in")
        self.assertIsNone(self.successResultOf(done))

    def test_login_with_literals(self):
        """What cannot be quoted goes as a literal, which waits for the server."""
        talk = self.begun("IMAP4rev1")
        done = self.started(sasl.password("mé", "ü")(talk.session))
        talk.hears("A1 LOGIN {3}")
        talk.says("+ go")
        talk.hears("mé {2}")
        talk.says("+ go")
        talk.hears("ü")
        talk.says("A1 OK [CAPABILITY IMAP4rev1] in")
        self.assertIsNone(self.successResultOf(done))

    def test_login_disabled(self):
        """LOGINDISABLED is respected: nothing is sent."""
        talk = self.begun("IMAP4rev1 LOGINDISABLED")
        done = self.started(sasl.password("me", "secret")(talk.session))
        self.refusal(done, NotTrusted)
        talk.silent()

    def test_wrong_password(self):
        """A refusal is ``AuthenticationRefused``, without the password even when the server repeats it."""
        talk = self.begun("IMAP4rev1")
        done = self.started(sasl.password("me", "hunter2")(talk.session))
        talk.says("A1 NO LOGIN failed for hunter2")
        self.assertNotIn("hunter2", str(self.refusal(done, AuthenticationRefused)))
        self.assertFalse(talk.session.authenticated)

    def test_bad_is_no_wrong_password(self):
        """BAD is not taken for a wrong password."""
        talk = self.begun("IMAP4rev1")
        done = self.started(sasl.password("me", "hunter2")(talk.session))
        talk.says("A1 BAD syntax")
        self.assertEqual(self.refusal(done, Refused).status, "BAD")

    def test_oauth_refused(self):
        """The report of an error is acknowledged, then the refusal comes."""
        talk = self.begun("IMAP4rev1 AUTH=XOAUTH2 SASL-IR")
        done = self.started(sasl.oauth2("me", "tok")(talk.session))
        talk.hears("A1 AUTHENTICATE XOAUTH2 dXNlcj1tZQFhdXRoPUJlYXJlciB0b2sBAQ==")
        talk.says("+ eyJzdGF0dXMiOiI0MDEifQ==")
        talk.hears("")
        talk.says("A1 NO AUTHENTICATE failed.")
        self.refusal(done, AuthenticationRefused)

    def test_oauthbearer_is_preferred(self):
        """OAUTHBEARER where it is on offer."""
        talk = self.begun("IMAP4rev1 AUTH=XOAUTH2 AUTH=OAUTHBEARER SASL-IR")
        self.started(sasl.oauth2("me", "tok")(talk.session))
        self.assertTrue(talk.heard().startswith(b"A1 AUTHENTICATE OAUTHBEARER "))

    def test_mechanism_not_offered(self):
        """A mechanism that the server does not offer is not tried."""
        talk = self.begun("IMAP4rev1")
        self.refusal(self.started(sasl.oauth2("me", "tok")(talk.session)), AuthenticationRefused)
        talk.silent()

    def test_challenge_that_is_none(self):
        """A challenge that is no base64 ends the dance with ``*``."""
        talk = self.begun("IMAP4rev1 AUTH=PLAIN")
        done = self.started(sasl.password("me", "secret")(talk.session))
        talk.heard()
        talk.says("+ %%%")
        talk.hears("*")
        talk.says("A1 BAD cancelled")
        self.refusal(done, ProtocolViolation)

    def test_challenge_of_another_mechanism(self):
        """A responder that has no answer ends the dance, and its reason is told."""
        talk = self.begun("IMAP4rev1 AUTH=PLAIN")
        done = self.started(sasl.password("me", "secret")(talk.session))
        talk.heard()
        talk.says("+ bW9yZT8=")
        talk.hears("*")
        talk.says("A1 NO cancelled")
        self.assertIn("more than a password", str(self.refusal(done, AuthenticationRefused)))

    def test_preauthenticated(self):
        """A server that greets with PREAUTH gets no password."""
        talk = self.begun("IMAP4rev1 AUTH=PLAIN", greeting="PREAUTH")
        for login in (sasl.password("me", "secret"), sasl.oauth2("me", "tok")):
            self.assertIsNone(self.successResultOf(self.started(login(talk.session))))
        talk.silent()


class RepeatedTests(Case, SynchronousTestCase):
    """Servers that repeat what they heard, or what they ask."""

    def test_servers_that_repeat_what_they_heard(self):
        """A server that repeats a password, in whatever form it went out, does not get it into an error."""
        word = 'se"cr\\et'
        coded = b64encode(b"\0me\0" + word.encode()).decode()
        for capabilities in ("IMAP4rev1 AUTH=PLAIN SASL-IR", "IMAP4rev1 AUTH=PLAIN", "IMAP4rev1"):
            for way in ("A1 BAD What is {}?", "A1 NO What is {}?", "* BYE What is {}?"):
                talk = session(self, capabilities)
                self.successResultOf(talk.begun)
                done = self.started(sasl.password("me", word)(talk.session))
                if capabilities.endswith("PLAIN"):
                    talk.says("+ ")
                said = talk.heard().decode().strip()
                talk.says(way.format(said.replace("A1 ", "")))
                text = str(self.failureResultOf(done).value)
                with self.subTest(capabilities=capabilities, way=way):
                    self.assertIn("What is", text)
                    for secret in (word, coded, 'se\\"cr', "cr\\\\et"):
                        self.assertNotIn(secret, text)

    def test_passwords_repeated_later(self):
        """Nor does it when it repeats it in the answer to a later command, or in its goodbye."""
        talk = session(self, "IMAP4rev1 AUTH=PLAIN SASL-IR")
        done = self.started(sasl.password("me", "hush-hush")(talk.session))
        talk.says("A1 OK [CAPABILITY IMAP4rev1] in")
        self.successResultOf(done)
        later = talk.wire.perform(Request(b"NOOP", what="try"))
        talk.says("A2 NO hush-hush")
        self.assertIn("***", str(self.failureResultOf(later).value))
        ended = talk.session.ended()
        talk.says("* BYE hush-hush")
        self.assertIn("***", str(self.successResultOf(ended)))

    def test_challenges_without_end(self):
        """A server that asks again and again is not answered without end."""
        talk = session(self, "IMAP4rev1 AUTH=PLAIN SASL-IR")
        done = self.started(sasl.password("me", "secret")(talk.session))
        talk.heard()
        talk.says(*["+ "] * 1000)
        self.refusal(done, ProtocolViolation)
        self.assertLess(len(talk.heard()), 1000)
