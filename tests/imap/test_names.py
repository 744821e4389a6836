"""Names and strings on the wire."""

from __future__ import annotations

import time

import twisted.mail.imap4  # noqa: F401 -- registers the codec that ours is compared with
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings
from ifap_twisted.imap.names import folder_path, is_safe, mailbox, quoted, readable, uid_sets

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50)


class HostileNamesTests(SynchronousTestCase):
    """Names that a server made up."""

    def test_many_ampersands(self):
        """A name of a megabyte of unfinished shifts is shown as it is, at once."""
        hostile = b"&" * limits.LINE
        began = time.process_time()
        self.assertEqual(len(readable(hostile)), limits.LINE)
        self.assertLess(time.process_time() - began, 5)


class MailboxTests(SynchronousTestCase):
    """Folder names in modified UTF-7."""

    @given(NAMES)
    def test_comes_back(self, name):
        """Any name comes back from its encoded form."""
        inner = mailbox(name)[1:-1].replace(b'\\"', b'"').replace(b"\\\\", b"\\")
        self.assertEqual(readable(inner), name)

    @given(NAMES)
    def test_one_quoted_line(self, name):
        """The encoded form is one quoted string of printable ASCII."""
        coded = mailbox(name)
        self.assertTrue(all(0x20 <= byte < 0x7F for byte in coded))
        self.assertEqual((coded[:1], coded[-1:]), (b'"', b'"'))

    @given(NAMES)
    def test_as_twisted_does(self, name):
        """Twisted's codec decodes ours."""
        inner = mailbox(name)[1:-1].replace(b'\\"', b'"').replace(b"\\\\", b"\\")
        self.assertEqual(inner.decode("imap4-utf-7"), name)

    def test_examples(self):
        """The example of RFC 3501, the ampersand, and names beyond 16 bits."""
        self.assertEqual(mailbox("~peter/mail/台北/日本語"), b'"~peter/mail/&U,BTFw-/&ZeVnLIqe-"')
        self.assertEqual(mailbox("a&b"), b'"a&-b"')
        self.assertEqual(mailbox("🎉"), b'"&2DzfiQ-"')
        self.assertEqual(mailbox('a"\\'), b'"a\\"\\\\"')

    def test_refused(self):
        """Empty names, line ends, control characters, half pairs and endless names are refused."""
        for name in ("", "a\r\nA2 DELETE x", "a\n", "a\rb", "a\0", "a\t", "a\x7f", "\ud800", "x" * 1001):
            with self.assertRaises(BadSettings):
                mailbox(name)

    def test_unreadable(self):
        """What is no modified UTF-7 is shown as it is."""
        for coded in (b"a&b", b"&$-", b"a\xff", b"&A-"):
            self.assertIsInstance(readable(coded), str)


class FolderPathTests(SynchronousTestCase):
    """Where a folder lies."""

    def test_namespace(self):
        """A folder lies below the personal namespace, with the server's separator; INBOX is INBOX."""
        self.assertEqual(folder_path("IFAP_DATA", "INBOX.", "."), "INBOX.IFAP_DATA")
        self.assertEqual(folder_path("INBOX.IFAP_DATA", "INBOX.", "."), "INBOX.IFAP_DATA")
        self.assertEqual(folder_path("a/b", "INBOX.", "."), "INBOX.a.b")
        self.assertEqual(folder_path("a/b", "", "/"), "a/b")
        self.assertEqual(folder_path("inbox", "INBOX.", "."), "INBOX")
        self.assertEqual(folder_path("a/b", "", ""), "a/b")


class StringTests(SynchronousTestCase):
    """Quoted strings."""

    def test_quoted(self):
        """Quotes and backslashes are escaped; 8-bit and control characters need a literal."""
        self.assertEqual(quoted(b'a "b" \\'), b'"a \\"b\\" \\\\"')
        for text in (b"\r", b"\n", b"\0", b"\xc3\xbc", b"\x7f", b"a\n"):
            self.assertIsNone(quoted(text))

    def test_safe(self):
        """Line ends and NUL are not."""
        self.assertEqual([is_safe(text) for text in (b"a", b"a\r", b"a\n", b"\0")], [True, False, False, False])


class UidSetTests(SynchronousTestCase):
    """Sets of UIDs."""

    @given(st.sets(st.integers(1, 5000)), st.integers(11, 200))
    def test_exactly_these(self, uids, most):
        """The sets name exactly the given UIDs, each once, and none is too long."""
        named = []
        for uid_set in uid_sets(uids, most):
            self.assertLessEqual(len(uid_set), most)
            for piece in uid_set.split(b","):
                first, _colon, last = piece.partition(b":")
                named += range(int(first), int(last or first) + 1)
        self.assertEqual(named, sorted(uids))

    def test_runs(self):
        """Stretches are ranges."""
        self.assertEqual(list(uid_sets([9, 1, 2, 3, 7, 2])), [b"1:3,7,9"])
        self.assertEqual(list(uid_sets([])), [])
