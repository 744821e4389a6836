"""What a refusal becomes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted import errors
from ifap_twisted.imap.grammar import Status, parse
from ifap_twisted.imap.refusals import APPEND, LOGIN, SELECT, refusal, safe_text

TABLE = [
    (LOGIN, "NO [AUTHENTICATIONFAILED] Authentication failed.", errors.AuthenticationRefused),
    (LOGIN, "NO [AUTHORIZATIONFAILED] x", errors.AuthenticationRefused),
    (LOGIN, "NO LOGIN failed.", errors.AuthenticationRefused),
    (LOGIN, "NO User is authenticated but not connected", errors.AuthenticationRefused),
    (LOGIN, "NO [UNAVAILABLE] Temporary authentication failure", errors.Unavailable),
    (LOGIN, "NO [ALERT] Too many simultaneous connections. (Failure)", errors.Throttled),
    (LOGIN, "NO [LIMIT] LOGIN Rate limit hit", errors.Throttled),
    (LOGIN, "NO [PRIVACYREQUIRED] not without TLS", errors.NotTrusted),
    (LOGIN, "BAD Command Argument Error. 12", errors.Refused),
    (APPEND, "NO [OVERQUOTA] Quota exceeded (mailbox for user is full)", errors.QuotaExceeded),
    (APPEND, "NO Over quota", errors.QuotaExceeded),
    (APPEND, "NO [OVERQUOTA] Account exceeded command or bandwidth limits", errors.Throttled),
    (APPEND, "NO [TOOBIG] Message too large.", errors.TooLarge),
    (APPEND, "NO Message size exceeds fixed maximum message size", errors.TooLarge),
    (APPEND, "NO [LIMIT] Mail size is larger than the maximum size allowed by server", errors.TooLarge),
    (APPEND, "NO [LIMIT] slow down", errors.Throttled),
    (APPEND, "NO [TRYCREATE] Error parsing message", errors.Refused),
    (APPEND, "NO [TRYCREATE] APPEND failed", errors.Unavailable),
    (APPEND, "NO [THROTTLED] x", errors.Throttled),
    (APPEND, "NO [INUSE] x", errors.Throttled),
    (APPEND, "NO [SERVERBUG] Internal error occurred", errors.Unavailable),
    (APPEND, "NO [NOPERM] x", errors.Refused),
    (APPEND, "NO [CANNOT] x", errors.Refused),
    (APPEND, "NO [READ-ONLY] x", errors.ReadOnly),
    (SELECT, "NO [NONEXISTENT] Mailbox doesn't exist: x", errors.NotFound),
    (SELECT, "NO [TRYCREATE] x", errors.NotFound),
    (SELECT, "NO [NOPERM] x", errors.Refused),
    (SELECT, "NO Could not open x", errors.Refused),
    (APPEND, "NO [CORRUPTION] x", errors.Damaged),
    (SELECT, "NO [CORRUPTION] x", errors.Damaged),
    ("read", "NO [CORRUPTION] The message is damaged", errors.Damaged),
    ("read", "BAD Error in IMAP command", errors.Refused),
    ("read", "BYE Session expired, please login again.", errors.Unavailable),
    ("read", "BYE [UNAVAILABLE] Server shutting down.", errors.Unavailable),
    ("read", "BYE Too many connections", errors.Throttled),
]

OAUTH = [
    "NO Basic authentication is disabled.",
    "NO [AUTHENTICATIONFAILED] BasicAuthBlocked-12",
    "NO [ALERT] Application-specific password required: https://support.example/185833 (Failure)",
    "NO [WEBALERT https://accounts.example/x] Web login required.",
    "NO [ALERT] Please log in via your web browser",
]


def status(text):
    """The status in a line."""
    return parse([b"* " + text.encode() if text.startswith("BYE") else b"A1 " + text.encode()])


class RefusalTests(SynchronousTestCase):
    """One table."""

    def test_table(self):
        """Each answer that servers are known to give becomes the error that it means."""
        for what, line, kind in TABLE:
            self.assertIs(type(refusal(what, status(line))), kind, line)

    def test_needs_oauth(self):
        """A provider that takes no passwords is told from a wrong password, with what to do."""
        for line in OAUTH:
            error = refusal(LOGIN, status(line))
            self.assertIs(type(error), errors.AuthenticationRefused, line)
            self.assertIn("app password", error.detail)

    def test_no_and_bad_are_told_apart(self):
        """The status word and the code are kept."""
        for word in ("NO", "BAD"):
            error = refusal("read", status(f"{word} [CANNOT] x"))
            self.assertEqual((error.status, error.response_code), (word, "CANNOT"))

    def test_backoff(self):
        """The time that a server asks for is read, up to a day."""
        line = "NO Request is throttled. Suggested Backoff Time: {} milliseconds"
        self.assertEqual(refusal(APPEND, status(line.format(299_961))).seconds, 299.961)
        self.assertEqual(refusal(APPEND, status(line.format("9" * 12))).seconds, 86400.0)
        self.assertIsNone(refusal(APPEND, status("NO [THROTTLED] x")).seconds)

    @given(st.binary(max_size=600))
    def test_safe_text(self, text):
        """Whatever a server says becomes one short printable line."""
        plain = safe_text(text)
        self.assertLessEqual(len(plain), 200)
        self.assertTrue(plain.isprintable())

    @given(st.sampled_from(["NO", "BAD", "BYE"]), st.binary(max_size=80), st.binary(max_size=80))
    def test_any_refusal_is_ours(self, word, code, text):
        """Any refusal of anything is an error of ours with a printable sentence."""
        for what in (APPEND, LOGIN, SELECT, "read"):
            error = refusal(what, Status(b"A1", word.encode(), code.upper(), b"", text))
            self.assertIsInstance(error, errors.IFAPError)
            self.assertTrue(error.detail.isprintable())

    def test_secrets_do_not_come_back(self):
        """A server that repeats the command does not get the password into an error."""
        error = refusal(LOGIN, status("BAD unknown command: LOGIN me hunter2"), (b"hunter2",))
        self.assertNotIn("hunter2", error.detail + repr(error))
