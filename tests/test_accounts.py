"""Account URLs and names of folders (DESIGN 4.1)."""

from __future__ import annotations

import ipaddress
import os

from hypothesis import assume, example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.accounts import EMBEDDED, MEMORY, Account, parse_account, validate_folder
from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings

CANARY = "hunter2-canary-Zq9"
PRINTABLE = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
HOSTS = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]([a-z0-9-]{0,20}[a-z0-9])?){0,3}", fullmatch=True)
ADDRESSES = st.ip_addresses().filter(lambda one: getattr(one, "scope_id", None) is None).map(lambda one: one.compressed)
SEGMENTS = st.text(PRINTABLE.filter(lambda one: one != "/"), min_size=1, max_size=20).filter(
    lambda one: one not in {".", ".."}
)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=5).map(lambda segments: "/" + "/".join(segments))
NETWORK = st.builds(
    Account,
    kind=st.sampled_from(["imaps", "imap"]),
    user=st.text(PRINTABLE, min_size=1, max_size=40),
    host=HOSTS | ADDRESSES,
    port=st.integers(1, 65535),
)
LOCAL = st.one_of(
    st.builds(
        Account, kind=st.just("imap+unix"), user=st.none() | st.text(PRINTABLE, min_size=1, max_size=40), path=PATHS
    ),
    st.builds(Account, kind=st.just("maildir"), path=PATHS),
)
ACCOUNTS = NETWORK | LOCAL | st.sampled_from([EMBEDDED, MEMORY])


class ReadingTests(SynchronousTestCase):
    """What an account URL means."""

    def test_the_embedded_account(self) -> None:
        """`embedded` is our own server, without a user that anybody would give."""
        account = parse_account("embedded")
        self.assertEqual((account, account.kind, account.takes_password), (EMBEDDED, "embedded", False))

    def test_memory(self) -> None:
        """`memory:` keeps nothing."""
        self.assertEqual(parse_account("memory:"), MEMORY)

    def test_imaps(self) -> None:
        """An imaps URL means TLS at once, on 993 unless told otherwise."""
        account = parse_account("imaps://me@imap.example.org")
        self.assertEqual((account.user, account.host, account.port), ("me", "imap.example.org", 993))
        self.assertEqual((account.implicit_tls, account.requires_starttls, account.takes_password), (True, False, True))
        self.assertEqual(parse_account("imaps://me@imap.example.org:1993").port, 1993)

    def test_imap_requires_starttls(self) -> None:
        """An imap URL goes to 143 and must upgrade, unless the host is this machine."""
        account = parse_account("imap://me@imap.example.org")
        self.assertEqual((account.port, account.implicit_tls, account.requires_starttls), (143, False, True))
        for host in ("localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"):
            with self.subTest(host=host):
                self.assertFalse(parse_account(f"imap://me@{host}:1143").requires_starttls)

    def test_what_only_looks_like_loopback(self) -> None:
        """A name that a name server answers for, or an address of another machine, is not this machine."""
        for host in ("localhost.example.org", "x.localhost", "0.0.0.0", "[::]", "10.0.0.1", "[::ffff:10.0.0.1]"):
            with self.subTest(host=host):
                self.assertTrue(parse_account(f"imap://me@{host}").requires_starttls)

    def test_what_has_no_host(self) -> None:
        """An account without a host is not on loopback, and needs no STARTTLS."""
        account = parse_account("maildir:///m")
        self.assertEqual((account.is_loopback, account.requires_starttls), (False, False))

    def test_imaps_to_loopback_is_still_tls(self) -> None:
        """Loopback does not take the TLS away that imaps asks for."""
        self.assertTrue(parse_account("imaps://me@localhost").implicit_tls)

    def test_the_user_is_all_before_the_last_at(self) -> None:
        """An address as user name needs no escaping."""
        account = parse_account("imaps://me@example.org@imap.example.org")
        self.assertEqual((account.user, account.host), ("me@example.org", "imap.example.org"))

    def test_percent_decoding(self) -> None:
        """User and path are decoded once, as UTF-8."""
        self.assertEqual(parse_account("imaps://m%C3%BCller%2Fx%3Ay%2540@h").user, "müller/x:y%40")
        self.assertEqual(parse_account("maildir:///a%20b%25").path, "/a b%")
        self.assertEqual(parse_account("imaps://müller@h").user, "müller")

    def test_ipv6_hosts(self) -> None:
        """An IPv6 address stands in brackets and is kept in its short form."""
        account = parse_account("imaps://me@[2001:DB8:0::1]:1993")
        self.assertEqual((account.host, account.port), ("2001:db8::1", 1993))
        self.assertEqual(str(account), "imaps://me@[2001:db8::1]:1993")

    def test_unix_sockets(self) -> None:
        """A socket may have a user, then it takes a password; an @ in its path is one of the path."""
        plain, named = parse_account("imap+unix:///run/a@b/s"), parse_account("imap+unix://me@x@/run/s")
        self.assertEqual((plain.user, plain.path, plain.takes_password), (None, "/run/a@b/s", False))
        self.assertEqual((named.user, named.path, named.takes_password), ("me@x", "/run/s", True))
        self.assertFalse(named.requires_starttls)

    def test_maildirs(self) -> None:
        """A Maildir is a path, in the home directory after ~."""
        self.assertEqual(parse_account("maildir:///var/mail/me/").path, "/var/mail/me")
        self.assertEqual(parse_account("maildir://~/Mail").path, os.path.expanduser("~") + "/Mail")

    def test_what_is_written_in_another_way_is_one_account(self) -> None:
        """Capitals in scheme and host, the default port and doubled slashes make no second account (key.json)."""
        pairs = [
            ("IMAPS://me@Imap.Example.Org:993/", "imaps://me@imap.example.org"),
            ("imap://m%65@h:0143", "imap://me@h"),
            ("maildir:///a//b/./c/", "maildir:///a/b/c"),
            ("Memory:", "memory:"),
        ]
        for written, canonical in pairs:
            with self.subTest(written=written):
                self.assertEqual(parse_account(written).key, canonical)

    def test_users_differ_by_case(self) -> None:
        """Capitals in the user make another account, because servers may think so."""
        self.assertNotEqual(parse_account("imaps://Me@h").key, parse_account("imaps://me@h").key)


REFUSED = [
    "",
    "embedded:",
    "memory",
    "memory:x",
    "imaps:",
    "imaps://",
    "imaps:me@h",
    "imaps://h",
    "imaps://@h",
    "imaps://me@",
    "imaps://me@h/INBOX",
    "imaps://me@h?x",
    "imaps://me@h#x",
    "imaps://me@h:",
    "imaps://me@h:0",
    "imaps://me@h:65536",
    "imaps://me@h:+1",
    "imaps://me@h:٣",
    "imaps://me@h:1:2",
    "imaps://me@::1",
    "imaps://me@[::1",
    "imaps://me@[h]",
    "imaps://me@[fe80::1%25eth0]",
    "imaps://me@[::1]x",
    "imaps://me@-h",
    "imaps://me@h..org",
    "imaps://me@h.",
    "imaps://me@h h",
    "imaps://me@münchen.example",
    "imaps://me@127.1",
    "imaps://me@1.2.3.256",
    "imaps://me@" + "a" * 64,
    "imaps://me@" + ".".join(["abcdefgh"] * 30),
    "imaps://50%off@h",
    "imaps://me%@h",
    "imaps://%ff@h",
    "imaps://me%0d%0a@h",
    "imaps://me%00@h",
    "imaps://me\r\nx@h",
    "imaps://me\0@h",
    "imaps://me\x7f@h",
    "imaps://me\u2028@h",
    "imaps://me\ud800@h",
    "imaps://a/b@h",
    "imaps://a\\b@h",
    "imap+unix://host/path",
    "imap+unix://@/path",
    "imap+unix://",
    "imap+unix:///",
    "imap+unix:/run/s",
    "imap+unix://u:p@/run/s",
    "maildir:///",
    "maildir:///.",
    "maildir:///./",
    "maildir://x",
    "maildir://me@/x",
    "maildir:///a/../b",
    "maildir:///a/%2e%2e/b",
    "maildir:///a%00",
    "maildir:///%ff",
    "maildir:x",
    "pop3://me@h",
    "http://me@h",
    "imaps://me@h" + "x" * limits.ACCOUNT_BYTES,
]


class RefusingTests(SynchronousTestCase):
    """What is no account."""

    def test_refused(self) -> None:
        """Everything that could be understood in two ways, or in none, is bad-settings."""
        for url in REFUSED:
            with self.subTest(url=url):
                self.assertRaises(BadSettings, parse_account, url)

    def test_a_password_is_refused_without_repeating_it(self) -> None:
        """A password in the URL is refused by a text that says where it belongs and does not hold it."""
        urls = [
            f"imaps://me:{CANARY}@h",
            f"imap://me:{CANARY}@localhost:143",
            f"imaps://me@example.org:{CANARY}@h",
            f"imaps://me:{CANARY}@x@h",
            f"imaps://me:{CANARY}/x@h",
            f"imaps://:{CANARY}@h",
            f"imap+unix://me:{CANARY}@/run/s",
        ]
        for url in urls:
            with self.subTest(url=url):
                error = self.assertRaises(BadSettings, parse_account, url)
                self.assertIn("ifap login", error.detail)
                self.assertNotIn(CANARY, error.detail)

    def test_an_empty_password_is_one(self) -> None:
        """Even `user:@` is refused."""
        self.assertRaises(BadSettings, parse_account, "imaps://me:@h")

    @given(st.sampled_from(["imaps://{}", "imap://me:{}@", "imaps://me@{}", "{}", "maildir:{}", "imaps://m@h:{}"]))
    def test_no_refusal_repeats_the_url(self, form: str) -> None:
        """Wherever a secret stands in something that is refused, the error does not show it."""
        url = form.format(CANARY + "\n")
        error = self.assertRaises(BadSettings, parse_account, url)
        self.assertNotIn(CANARY, str(error))
        self.assertIsNone(error.__cause__)


class PropertyTests(SynchronousTestCase):
    """What holds for all account URLs."""

    @given(ACCOUNTS)
    @example(Account(kind="imaps", user="a@b:c/d%e?#[]\\ é", host="h", port=1))
    @example(Account(kind="maildir", path="/~/a@b:c#d?e"))
    @example(Account(kind="imap+unix", user="~", path="/~"))
    def test_round_trip(self, account: Account) -> None:
        """Writing an account and reading it gives the same account, and the text is stable (key.json)."""
        text = str(account)
        self.assertEqual(parse_account(text), account)
        self.assertEqual(str(parse_account(text)), text)
        self.assertTrue(text.isascii() and text.isprintable())

    @given(st.text(max_size=60) | st.from_regex(r"(imaps?|imap\+unix|maildir)://\S{0,40}", fullmatch=True))
    def test_anything_is_read_or_refused(self, text: str) -> None:
        """Any text is an account or bad-settings, nothing else; what is an account reads the same again."""
        try:
            account = parse_account(text)
        except BadSettings:
            return
        self.assertEqual(parse_account(str(account)), account)

    @given(st.integers(0, 2**128 - 1))
    def test_addresses(self, number: int) -> None:
        """Every IPv6 address can be a host and keeps its meaning."""
        address = ipaddress.IPv6Address(number)
        self.assertEqual(ipaddress.ip_address(parse_account(f"imaps://u@[{address.exploded}]").host), address)

    @given(st.text(PRINTABLE, max_size=20), st.text(PRINTABLE, max_size=20))
    def test_no_password_ever_gets_in(self, user: str, password: str) -> None:
        """Whatever stands on both sides of a bare colon, it is never taken as a user."""
        assume("://" not in user)
        self.assertRaises(BadSettings, parse_account, f"imaps://{user}:{password}@host")


class FolderTests(SynchronousTestCase):
    """Names of folders."""

    def test_names(self) -> None:
        """A name comes back as it is, with any script, blanks and delimiters."""
        for name in ("IFAP_DATA", "INBOX.IFAP", "Archiv/Bücher", "文件", "a b", "&", "x" * limits.FOLDER_BYTES):
            self.assertEqual(validate_folder(name), name)

    def test_refused_names(self) -> None:
        """Empty names, control characters, wildcards and too long names are bad-settings."""
        bad = ["", "a\r\nb", "a\0", "\x7f", "a\x85", "\u2028", "\ud800", "a*", "100%", "ü" * limits.FOLDER_BYTES]
        for name in bad:
            with self.subTest(name=name):
                self.assertRaises(BadSettings, validate_folder, name)
