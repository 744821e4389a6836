"""Tests of the commands of every state, and of login."""

from __future__ import annotations

from base64 import b64encode

from twisted.internet.address import IPv4Address, IPv6Address

from tests.server.conversation import ConversationTestCase

CAPABILITIES = (
    b"IMAP4rev1 LITERAL+ SASL-IR ID IDLE NAMESPACE CHILDREN UIDPLUS UNSELECT AUTH=PLAIN STATUS=SIZE"
    b" APPENDLIMIT=100663296"
)


def plain(name: bytes = b"me", password: bytes = b"secret", authzid: bytes = b"") -> bytes:
    return b64encode(b"\0".join((authzid, name, password)))


class AnyStateTests(ConversationTestCase):
    def test_capability(self) -> None:
        """CAPABILITY lists what the server can do, before login too."""
        self.assertEqual(
            self.connect().say(b"a CAPABILITY"), [b"* CAPABILITY " + CAPABILITIES, b"a OK CAPABILITY completed"]
        )

    def test_noop(self) -> None:
        """NOOP does nothing in any state."""
        self.assertEqual(self.connect().say(b"a NOOP"), [b"a OK NOOP completed"])
        self.assertEqual(self.client(b"box").say(b"a NOOP"), [b"a OK NOOP completed"])

    def test_logout(self) -> None:
        """LOGOUT says BYE, then OK, and closes."""
        client = self.client()
        self.assertEqual(client.say(b"a LOGOUT"), [b"* BYE Goodbye", b"a OK LOGOUT completed"])
        self.assertTrue(client.closed)

    def test_id(self) -> None:
        """ID tells name and version, whatever the client tells."""
        for argument in (b"NIL", b"()", b'("name" "x" "os" NIL)'):
            with self.subTest(argument):
                answer = self.connect().say(b"a ID " + argument)
                self.assertTrue(answer[0].startswith(b'* ID ("name" "ifap-twisted" "version" "'))
                self.assertEqual(answer[1], b"a OK ID completed")

    def test_id_malformed(self) -> None:
        """ID with half a pair is BAD."""
        self.assertTrue(self.connect().say(b'a ID ("name")')[0].startswith(b"a BAD "))


class LoginTests(ConversationTestCase):
    def test_capabilities_after_login(self) -> None:
        """The OK of LOGIN carries the capabilities."""
        self.assertEqual(
            self.connect().say(b'a LOGIN me "secret"'), [b"a OK [CAPABILITY " + CAPABILITIES + b"] Logged in"]
        )

    def test_literals(self) -> None:
        """User name and password may be literals of either kind."""
        client = self.connect()
        self.assertEqual(client.say(b"a LOGIN {2}"), [b"+ Go on"])
        self.assertEqual(client.say(b"me {6+}\r\nsecret")[0][:5], b"a OK ")

    def test_wrong_password(self) -> None:
        """A wrong password is refused after a second, without saying which of the two was wrong."""
        client = self.connect()
        self.assertEqual(client.say(b"a LOGIN me wrong"), [])
        self.clock.advance(1)
        refused = [b"a NO [AUTHENTICATIONFAILED] Wrong user name or password"]
        self.assertEqual(client.lines(), refused)
        client.say(b"a LOGIN nobody secret")
        self.clock.advance(2)
        self.assertEqual(client.lines(), refused)

    def test_unknown_user_with_bytes_that_are_no_text(self) -> None:
        """A user name that is not UTF-8 is just unknown."""
        client = self.connect()
        client.say(b'a LOGIN "\xff" secret')
        self.clock.advance(1)
        self.assertEqual(client.lines(), [b"a NO [AUTHENTICATIONFAILED] Wrong user name or password"])

    def test_guessing_ends(self) -> None:
        """The fifth wrong password ends the connection."""
        client = self.connect()
        for attempt in range(1, 6):
            client.say(b"a LOGIN me wrong")
            self.clock.advance(attempt)
        self.assertIn(b"* BYE Too many wrong passwords", client.lines())
        self.assertTrue(client.closed)

    def test_lost_while_refused(self) -> None:
        """A connection that is lost while a refusal waits leaves nothing behind."""
        client = self.connect()
        client.say(b"a LOGIN me wrong")
        client.drop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_login_twice(self) -> None:
        """LOGIN after login is BAD."""
        self.assertEqual(self.client().say(b"a LOGIN me secret"), [b"a BAD Not in this state"])

    def test_not_before_login(self) -> None:
        """Commands that need a login are BAD before it."""
        self.assertEqual(self.connect().say(b"a SELECT INBOX"), [b"a BAD Not in this state"])

    def test_one_at_a_time_before_login(self) -> None:
        """What is pipelined behind LOGIN is understood in the state after it."""
        client = self.connect()
        client.send(b"a LOGIN me secret\r\nb APPEND box {3+}\r\nabc\r\n")
        self.assertEqual([line.split()[:2] for line in client.lines()], [[b"a", b"OK"], [b"b", b"OK"]])

    def test_not_over_the_network(self) -> None:
        """Over a network without TLS no password is taken."""
        client = self.connect(IPv4Address("TCP", "192.0.2.1", 1))
        self.assertIn(b"LOGINDISABLED", client.say(b"a CAPABILITY")[0])
        self.assertEqual(client.say(b"b LOGIN me secret")[0][:24], b"b NO [PRIVACYREQUIRED] L")

    def test_loopback(self) -> None:
        """Over the loopback interface a password is taken."""
        for peer in (IPv4Address("TCP", "127.0.0.1", 1), IPv6Address("TCP", "::1", 1)):
            with self.subTest(str(peer)):
                self.assertEqual(self.connect(peer).say(b"a LOGIN me secret")[0][:5], b"a OK ")


class AuthenticateTests(ConversationTestCase):
    def test_with_initial_response(self) -> None:
        """AUTHENTICATE PLAIN takes an initial response (SASL-IR)."""
        self.assertEqual(self.connect().say(b"a AUTHENTICATE PLAIN " + plain())[0][:16], b"a OK [CAPABILITY")

    def test_with_challenge(self) -> None:
        """Without an initial response it asks for one."""
        client = self.connect()
        self.assertEqual(client.say(b"a authenticate plain"), [b"+ "])
        self.assertEqual(client.say(plain(authzid=b"me"))[0][:5], b"a OK ")

    def test_cancelled(self) -> None:
        """A star cancels it."""
        client = self.connect()
        client.say(b"a AUTHENTICATE PLAIN")
        self.assertEqual(client.say(b"*"), [b"a BAD Cancelled"])

    def test_malformed(self) -> None:
        """A response that is no Base64, or not of three parts, is BAD."""
        for response in (b"=", b"!!!!", b64encode(b"me\0secret")):
            with self.subTest(response):
                self.assertEqual(self.connect().say(b"a AUTHENTICATE PLAIN " + response), [b"a BAD Malformed response"])

    def test_as_another(self) -> None:
        """Nobody may act as another user."""
        answer = self.connect().say(b"a AUTHENTICATE PLAIN " + plain(authzid=b"root"))
        self.assertEqual(answer[0][:27], b"a NO [AUTHENTICATIONFAILED]")

    def test_unknown_mechanism(self) -> None:
        """Other mechanisms are refused."""
        self.assertEqual(self.connect().say(b"a AUTHENTICATE CRAM-MD5")[0][:5], b"a NO ")

    def test_wrong_password(self) -> None:
        """A wrong password is refused."""
        client = self.connect()
        client.say(b"a AUTHENTICATE PLAIN " + plain(password=b"x"))
        self.clock.advance(1)
        self.assertEqual(client.lines()[0][:27], b"a NO [AUTHENTICATIONFAILED]")
