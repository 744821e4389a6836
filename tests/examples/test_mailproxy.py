"""``docs/examples/mailproxy.tac``, run by twistd before a real server: two users, and the server cut in mid-run."""

from __future__ import annotations

import imaplib
import re
import threading
import time
from pathlib import Path
from types import MappingProxyType

from twisted.trial.unittest import SynchronousTestCase

from tests.examples.line import Line
from tests.examples.programs import SECONDS, MailProxy, ifap
from tests.live.servers import fresh_folder, server

PASSWORD = "secret"


def mail(subject, size=0):
    """A message with that subject, 8-bit bytes, and a body of some size."""
    head = f"From: a@example.org\r\nTo: b@example.org\r\nSubject: {subject}\r\nX-Odd :\t\xe9  two  blanks\r\n\r\n"
    return (
        head.encode("latin-1") + b"body \xff\xfe of " + subject.encode() + b"\r\n" + b"x" * 70 * (size // 70) + b"\r\n"
    )


class Proxied(SynchronousTestCase):
    """What all of these need: Dovecot behind a line, and the proxy for alice and bob before it."""

    upstream = MappingProxyType({"alice": "user1", "bob": "user2", "carol": "user8"})

    def setUp(self):
        """Start them."""
        self.live = server("dovecot")
        self.line = Line(self.live.host, self.live.port)
        self.addCleanup(self.line.close)
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.folder = fresh_folder()
        self.accounts = {name: f"imap://{user}@127.0.0.1:{self.line.port}" for name, user in self.upstream.items()}
        self.proxy = None
        self.addCleanup(lambda: self.proxy.stop() if self.proxy.runs else None)
        self.start()

    def start(self):
        """Start the proxy, or start it again."""
        self.proxy = MailProxy(
            self.base,
            MAILPROXY_USERS=" ".join(f"{name}={account}" for name, account in self.accounts.items()),
            MAILPROXY_FOLDER=self.folder,
            MAILPROXY_BASE=str(self.base),
        )

    def connection(self):
        """A connection of Python's own client to the proxy."""
        client = imaplib.IMAP4("127.0.0.1", self.proxy.port, timeout=SECONDS)
        self.addCleanup(lambda: client.state == "LOGOUT" or client.shutdown())
        return client

    def client(self, user="alice", mailbox="INBOX"):
        """A session of a user with a mailbox selected."""
        client = self.connection()
        client.login(user, PASSWORD)
        self.ok(client.select(mailbox))
        return client

    def ok(self, answer):
        """The data of an answer that is OK."""
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def no(self, answer, code):
        """An answer is NO, with that code."""
        self.assertEqual(answer[0], "NO", answer)
        self.assertIn(b"[" + code + b"]", answer[1][0])

    def until(self, condition):
        """Wait for something to become true."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it did not come true")
            threading.Event().wait(0.05)

    def append(self, client, message, flags=None, mailbox="INBOX"):
        """Append a message; it is acknowledged."""
        self.ok(client.append(mailbox, flags, None, message))

    def contents(self, client):
        """All messages of the selected mailbox by their UIDs, byte for byte."""
        data = self.ok(client.uid("FETCH", "1:*", "(BODY.PEEK[])"))
        return {int(re.search(rb"UID (\d+)", one[0] + after)[1]): one[1] for one, after in pairs(data)}

    def flags(self, client):
        """The flags of all messages by their UIDs."""
        lines = [line for line in self.ok(client.uid("FETCH", "1:*", "(FLAGS)")) if line]
        return {
            int(re.search(rb"UID (\d+)", line)[1]): set(re.search(rb"FLAGS \((.*?)\)", line)[1].split())
            for line in lines
        }

    def sealed(self, name):
        """The messages that lie upstream for a user, as the server there sees them."""
        client = imaplib.IMAP4(self.live.host, self.live.port, timeout=SECONDS)
        client.login(self.upstream[name], self.live.password)
        try:
            self.ok(client.select(self.folder, readonly=True))
            return [part[1] for part in self.ok(client.fetch("1:*", "(BODY.PEEK[])")) if isinstance(part, tuple)]
        finally:
            client.logout()


def pairs(data):
    """What imaplib gives for literals: the tuple, and the text after it."""
    return [
        (one, after if isinstance(after, bytes) else b"")
        for one, after in zip(data, [*data[1:], b""], strict=True)
        if isinstance(one, tuple)
    ]


class MailTests(Proxied):
    """A server that a mail program can use."""

    def test_messages(self):
        """What is appended is listed and fetched byte for byte, also in a session that comes later."""
        client = self.client()
        messages = {number: mail(f"number {number}", 1000 * number) for number in range(1, 4)}
        for message in messages.values():
            self.append(client, message)
        self.assertEqual(self.contents(client), messages)
        client.logout()
        self.assertEqual(self.contents(self.client()), messages)

    def test_fetch(self):
        """Size, date, envelope, structure and sections are those of the message; reading it marks it."""
        client = self.client()
        client.append("INBOX", "(\\Flagged)", '"17-Jul-1996 02:44:25 -0700"', mail("one"))
        told = self.ok(client.fetch("1", "(FLAGS RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE)"))[0]
        self.assertIn(b"FLAGS (\\Flagged)", told)
        self.assertIn(b"RFC822.SIZE %d" % len(mail("one")), told)
        self.assertIn(b'INTERNALDATE "17-Jul-1996 09:44:25 +0000"', told)
        self.assertIn(b'"one" ((NIL NIL "a" "example.org"))', told)
        self.assertIn(b'("text" "plain" NIL NIL NIL "7bit" %d' % len(mail("one").split(b"\r\n\r\n", 1)[1]), told)
        section = self.ok(client.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT X-ODD)])"))[0][1]
        self.assertEqual(section, b"Subject: one\r\nX-Odd :\t\xe9  two  blanks\r\n\r\n")
        self.assertEqual(self.ok(client.fetch("1", "(BODY.PEEK[]<6.9>)"))[0][1], mail("one")[6:15])
        self.assertEqual(self.flags(client), {1: {b"\\Flagged"}})
        client.fetch("1", "(BODY[TEXT])")
        self.assertEqual(self.flags(client), {1: {b"\\Flagged", b"\\Seen"}})

    def test_flags(self):
        """Flags are added, taken away and replaced, by number and by UID, and are kept."""
        client = self.client()
        for number in range(3):
            self.append(client, mail(f"number {number}"), "(\\Draft mine)")
        self.assertIn(b"1 (FLAGS (\\Draft \\Seen mine))", self.ok(client.store("1", "+FLAGS", "(\\Seen)")))
        self.ok(client.uid("STORE", "2", "-FLAGS", "(mine)"))
        self.ok(client.store("3", "FLAGS.SILENT", "(\\Answered)"))
        expected = {1: {b"\\Draft", b"\\Seen", b"mine"}, 2: {b"\\Draft"}, 3: {b"\\Answered"}}
        self.assertEqual(self.flags(client), expected)
        self.assertEqual(self.flags(self.client()), expected)

    def test_expunge(self):
        """What is marked as deleted is gone after EXPUNGE, and its UID is never given again."""
        client = self.client()
        for number in range(1, 5):
            self.append(client, mail(f"number {number}"))
        client.store("2,4", "+FLAGS", "(\\Deleted)")
        self.assertEqual(self.ok(client.expunge()), [b"4", b"2"])
        self.assertEqual(sorted(self.contents(client)), [1, 3])
        self.append(client, mail("number 5"))
        self.assertEqual(self.contents(client), {n: mail(f"number {n}") for n in (1, 3, 5)})
        self.proxy.stop()
        self.start()
        client = self.client()
        client.store("1:*", "+FLAGS", "(\\Deleted)")
        client.close()
        client = self.client()
        self.append(client, mail("number 6"))
        self.assertEqual(self.contents(client), {6: mail("number 6")})

    def test_mailboxes(self):
        """Mailboxes are created, filled by COPY, counted, renamed, listed and deleted; INBOX stays."""
        client = self.client()
        self.append(client, mail("one"), "(\\Flagged)")
        self.ok(client.create("Archive/Gr&APwA3w-e"))
        self.no(client.create("Archive/Gr&APwA3w-e"), b"ALREADYEXISTS")
        self.ok(client.copy("1", "Archive/Gr&APwA3w-e"))
        self.no(client.copy("1", "Absent"), b"TRYCREATE")
        self.no(client.append("Absent", None, None, mail("one")), b"TRYCREATE")
        status = self.ok(client.status("Archive/Gr&APwA3w-e", "(MESSAGES UIDNEXT UNSEEN)"))
        self.assertIn(b"(MESSAGES 1 UIDNEXT 2 UNSEEN 1)", status[0])
        self.ok(client.rename("Archive/Gr&APwA3w-e", "Old"))
        self.assertEqual(self.ok(client.list()), [b'() "/" "INBOX"', b'() "/" "Old"'])
        self.ok(client.select("Old"))
        self.assertEqual((self.contents(client), self.flags(client)), ({1: mail("one")}, {1: {b"\\Flagged"}}))
        self.ok(client.select("INBOX"))
        self.ok(client.delete("Old"))
        self.no(client.delete("INBOX"), b"CANNOT")
        self.assertEqual(self.ok(client.list()), [b'() "/" "INBOX"'])
        self.assertEqual(client.select("Old")[0], "NO")

    def test_search(self):
        """SEARCH finds by flags, numbers, fields, text and dates, and says so when it finds nothing."""
        client = self.client()
        client.append("INBOX", "(\\Seen)", '"17-Jul-1996 02:44:25 -0700"', mail("apples"))
        self.append(client, mail("pears and apples", 5000))
        for criteria, found in {
            "ALL": b"1 2",
            "UNSEEN": b"2",
            "SUBJECT Pears": b"2",
            'TEXT "of apples"': b"1",
            "BEFORE 1-Jan-2000": b"1",
            "OR UID 2 SEEN": b"1 2",
            "NOT LARGER 4000": b"1",
            "(FROM a@example.org UNSEEN)": b"2",
            "FLAGGED": b"",
        }.items():
            self.assertEqual(self.ok(client.search(None, criteria)), [found], criteria)
        with self.assertRaisesRegex(imaplib.IMAP4.error, "BAD"):
            client.search(None, "NONSENSE")

    def test_news(self):
        """A session that idles is told of what another session does; one that does not with NOOP."""
        idling, other = self.client(), self.client()
        idling.send(b"I1 IDLE\r\n")
        self.assertEqual(idling.readline(), b"+\r\n")
        self.append(other, mail("one"))
        while (line := idling.readline()) != b"* 1 EXISTS\r\n":
            self.assertEqual(line, b"* 0 EXISTS\r\n")
        idling.send(b"DONE\r\n")
        while not idling.readline().startswith(b"I1 OK"):
            pass
        other.store("1", "+FLAGS", "(\\Deleted)")
        other.expunge()
        idling.noop()
        self.assertEqual(idling.response("EXPUNGE")[1], [b"1"])
        self.assertEqual(self.ok(idling.search(None, "ALL")), [b""])

    def test_pipelining(self):
        """Commands that are sent ahead are done one after the other."""
        client = self.client()
        message = mail("one", 3000)
        self.append(client, message)
        client.send(b"P1 FETCH 1 (BODY.PEEK[])\r\nP2 STORE 1 +FLAGS (\\Deleted)\r\nP3 EXPUNGE\r\nP4 NOOP\r\n")
        told = b""
        while b"P4 " not in told:
            told += client.readline()
        self.assertIn(b"{%d}\r\n" % len(message) + message + b")\r\nP1 OK", told)
        self.assertEqual(re.findall(rb"^P\d \w+", told, re.MULTILINE), [b"P1 OK", b"P2 OK", b"P3 OK", b"P4 OK"])
        self.assertLess(told.index(b"P2 OK"), told.index(b"* 1 EXPUNGE"))

    def test_too_large(self):
        """A message that would have to lie on the disk in the clear is refused before it comes."""
        client = self.client()
        self.assertEqual(client._simple_command("APPEND", "INBOX", "{10485761}")[0], "NO")


class UserTests(Proxied):
    """Who may do what."""

    def test_separate(self):
        """Each user sees only their own mail; it lies sealed in that user's own folder, under a key of its own."""
        alice, bob = self.client("alice"), self.client("bob")
        self.append(alice, mail("hers alone"))
        self.append(bob, mail("his alone"))
        self.ok(bob.create("Plans"))
        self.assertEqual(self.contents(alice), {1: mail("hers alone")})
        self.assertEqual(self.contents(bob), {1: mail("his alone")})
        self.assertEqual(self.ok(alice.list()), [b'() "/" "INBOX"'])
        for name, secret in {"alice": b"hers alone", "bob": b"his alone"}.items():
            sealed = self.sealed(name)
            self.assertTrue(all(b"X-IFAP" in message for message in sealed))
            self.assertFalse([one for one in sealed if secret in one or b"INBOX" in one or b"example.org" in one])
        self.assertEqual(len({(self.base / name / "key.json").read_text() for name in ("alice", "bob")}), 2)

    def test_nobody(self):
        """Before anybody has logged in nothing is wrong, and the log says so."""
        self.until(lambda: self.proxy.log.count("the folder waits for somebody to log in") == len(self.upstream))
        self.assertNotIn("#warn", self.proxy.log)

    def test_wrong_password(self):
        """A wrong password is refused, before and after the right one; a session that is open is not disturbed."""
        self.refused("alice", "mistaken-canary")
        client = self.client()
        self.refused("alice", 'canary with "quotes" and \\')
        self.refused("mallory", PASSWORD)
        self.append(client, mail("one"))
        self.assertEqual(self.contents(self.client()), {1: mail("one")})
        self.assertNotIn("canary", self.proxy.log)
        self.assertNotIn("Traceback", self.proxy.log)

    def refused(self, *credentials):
        """A login is refused, and understood."""
        with self.assertRaisesRegex(imaplib.IMAP4.error, "LOGIN failed"):
            self.connection().login(*credentials)

    def test_changed_password(self):
        """When the password is changed upstream, the new one opens the mail, and the old one does not any more."""
        client = self.client("carol")
        self.append(client, mail("one"))
        users = self.live.directory / "users"
        before = users.read_text()
        self.addCleanup(users.write_text, before)
        users.write_text(before.replace("user8:{PLAIN}secret:", "user8:{PLAIN}changed:"))
        self.until(self.is_changed)  # Dovecot looks once a second
        self.line.cut()
        self.line.mend()
        self.until(lambda: self.attempt("carol", PASSWORD) == "LOGIN failed")
        self.ok(self.connection().login("carol", "changed"))
        self.ok(client.noop())
        self.assertEqual(self.contents(client), {1: mail("one")})

    def is_changed(self):
        """Whether the server upstream knows the new password of its last user."""
        client = imaplib.IMAP4(self.live.host, self.live.port, timeout=SECONDS)
        try:
            client.login("user8", "changed")
        except imaplib.IMAP4.error:
            return False
        finally:
            client.logout()
        return True

    def attempt(self, *credentials):
        """What a login is answered."""
        try:
            return self.connection().login(*credentials)[1][0].decode()
        except imaplib.IMAP4.error as error:
            return error.args[0].decode()

    def test_authenticate(self):
        """AUTHENTICATE PLAIN does, too."""
        client = self.connection()
        self.ok(client.authenticate("PLAIN", lambda _challenge: f"\0alice\0{PASSWORD}".encode()))
        self.ok(client.select("INBOX"))

    def test_files(self):
        """Mail is files: the command line reads them in the same basedir, when the proxy is stopped."""
        self.append(self.client(), mail("one"))
        self.proxy.stop()
        password = self.base / "password"
        password.write_text(PASSWORD)
        password.chmod(0o600)
        basedir = str(self.base / "alice")
        words = ["--account", self.accounts["alice"], "--folder", self.folder, "--password-file", str(password)]
        ifap("--basedir", basedir, "login", *words)
        ifap("--basedir", basedir, "get", "-r", "/mail", str(self.base))
        self.assertEqual((self.base / "mail" / "INBOX" / "1.eml").read_bytes(), mail("one"))


class CutTests(Proxied):
    """The server upstream goes away, and comes back."""

    def later(self, work, *args):
        """Begin something in a thread; gives a callable that waits for what it returns."""
        outcome = []
        thread = threading.Thread(target=lambda: outcome.append(work(*args)))
        thread.start()

        def wait():
            thread.join(SECONDS)
            self.assertFalse(thread.is_alive(), "it did not end")
            return outcome[0]

        return wait

    def test_cut_in_the_middle(self):
        """Cut in the middle of a message on its way up, then of flags: both wait, and are there, the message once."""
        client, bob = self.client(), self.client("bob")
        acknowledged = {number: mail(f"number {number}", 2000) for number in range(1, 4)}
        for message in acknowledged.values():
            self.append(client, message)
        self.append(bob, mail("his"))
        acknowledged[4] = mail("number 4", 300_000)
        self.cut_during(client.append, "INBOX", None, None, acknowledged[4])
        self.assertEqual(self.contents(client), acknowledged)
        self.cut_during(client.store, "2,4", "+FLAGS", "(\\Flagged)")
        self.assertEqual(self.contents(bob), {1: mail("his")})
        self.proxy.stop()
        self.start()
        client = self.client()
        self.assertEqual(self.contents(client), acknowledged)
        self.assertEqual(self.flags(client), {1: set(), 2: {b"\\Flagged"}, 3: set(), 4: {b"\\Flagged"}})

    def cut_during(self, command, *args):
        """The line is cut in the middle of what the command sends upstream, and mended; the command ends with OK."""
        cuts = self.line.cuts
        self.line.cut_at(rb" APPEND ")
        answer = self.later(command, *args)
        self.until(lambda: self.line.cuts > cuts)
        self.line.mend()
        self.ok(answer())
        self.assertTrue(self.proxy.runs)

    def test_away(self):
        """While the server upstream is away the proxy stays up and answers NO; then everything works as before."""
        client = self.client()
        self.append(client, mail("number 1"), "(\\Seen)")
        self.line.cut()
        appending = self.later(client.append, "INBOX", None, None, mail("number 2"))
        other = self.connection()
        self.ok(other.login("alice", PASSWORD))  # upstream cannot be asked; what was right is right
        selecting = self.later(other.select, "INBOX")
        with self.assertRaisesRegex(imaplib.IMAP4.error, "LOGIN failed"):
            self.connection().login("alice", "mistaken")
        self.no(appending(), b"UNAVAILABLE")
        self.no(selecting(), b"UNAVAILABLE")
        self.assertTrue(self.proxy.runs)
        self.line.mend()
        self.until(lambda: other.select("INBOX")[0] == "OK")
        self.assertEqual(self.contents(other), {1: mail("number 1")})
        self.append(client, mail("number 3"))
        self.assertEqual(list(self.contents(client).values()), [mail("number 1"), mail("number 3")])
        self.assertIn({b"\\Seen"}, self.flags(client).values())
        self.assertNotIn("Traceback", self.proxy.log)

    def test_killed(self):
        """The proxy is killed while messages come in: what it acknowledged is there when it runs again."""
        client = self.client()
        acknowledged = []

        def fill():
            try:
                for number in range(1000):
                    self.append(client, mail(f"number {number}"))
                    acknowledged.append(mail(f"number {number}"))
            except (OSError, imaplib.IMAP4.abort):
                return

        filling = self.later(fill)
        self.until(lambda: len(acknowledged) >= 20)
        self.proxy.kill()
        filling()
        self.start()
        found = list(self.contents(self.client()).values())
        self.assertEqual(found[: len(acknowledged)], acknowledged)
        self.assertLessEqual(len(found), len(acknowledged) + 1)


class LateTests(Proxied):
    """The server upstream cannot be reached when the proxy starts."""

    def start(self):
        """Start it with the line cut."""
        self.line.cut()
        super().start()

    def test_start(self):
        """It starts all the same; a login waits until the server upstream is there."""
        client = self.connection()
        timer = threading.Timer(0.5, self.line.mend)
        timer.start()
        self.addCleanup(timer.join)
        self.ok(client.login("alice", PASSWORD))
        self.ok(client.select("INBOX"))
        self.append(client, mail("one"))
