"""``login``, ``logout`` and ``info``, as processes, with a real IMAP server and a Maildir."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from pathlib import Path

from twisted.internet.task import Clock

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.cli.nodes import pause
from ifap_twisted.core.frozen import Frozen
from ifap_twisted.core.keys import Key
from ifap_twisted.workers import InlineWorker
from tests.cli.processes import ProcessTestCase


class AccountTestCase(ProcessTestCase):
    """A Maildir to log in to."""

    def setUp(self) -> None:
        """Make the Maildir."""
        super().setUp()
        (self.home / "mail").mkdir()
        self.url = f"maildir://{self.home}/mail"

    def files(self) -> bytes:
        """All that is kept in the basedir, one file after the other."""
        return b"".join(path.read_bytes() for path in self.basedir.rglob("*") if path.is_file())


class LoginTests(AccountTestCase):
    """What needs no password."""

    def test_embedded(self) -> None:
        """Without options the embedded account is made; the key is made and a copy of it recommended."""
        done = self.ifap("login")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(b"Logged in to embedded, folder IFAP_DATA.", done.stdout)
        self.assertIn(b"ifap info --show-key", done.stderr)

    def test_settings_are_kept(self) -> None:
        """What was logged in to is what later verbs open."""
        found = json.loads(self.succeeds("--json", "login", "--account", self.url, "--folder", "MINE"))
        self.assertEqual((self.url, "MINE"), (found["account"], found["folder"]))
        self.succeeds("put", "-", "a", given=b"x")
        status = json.loads(self.succeeds("--json", "status"))
        self.assertEqual((self.url, "MINE"), (status["account"], status["folder"]))

    def test_another_device(self) -> None:
        """A folder that has a key is opened with it and with no other one; the key is not on the command line."""
        self.succeeds("login", "--account", self.url)
        self.succeeds("put", "-", "a", given=b"x")
        other = self.home / "other"
        key = self.write("key", self.succeeds("info", "--show-key"))
        without = self.ifap("login", "--account", self.url, basedir=other)
        self.assertEqual((2, True), (without.returncode, b"--key-file" in without.stderr), without.stderr)
        wrong = self.write("wrong", b"not this one\n")
        self.assertEqual(7, self.ifap("login", "--account", self.url, "--key-file", wrong, basedir=other).returncode)
        self.succeeds("login", "--account", self.url, "--key-file", key, basedir=other)
        self.assertEqual(b"x", self.succeeds("cat", "a", basedir=other))

    def test_key_from_stdin(self) -> None:
        """`--key-file -` reads the key from stdin."""
        self.succeeds("login", "--account", self.url)
        self.succeeds("put", "-", "a", given=b"x")
        key = self.succeeds("info", "--show-key")
        self.succeeds("login", "--account", self.url, "--key-file", "-", given=key, basedir=self.home / "other")

    def test_open_key_file(self) -> None:
        """A key file that others can read draws a warning."""
        key = self.write("key", b"some key\n", mode=0o644)
        done = self.ifap("login", "--account", self.url, "--key-file", key)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stderr, rb"ifap: warning: .*/key .*others?")

    def test_nonsense(self) -> None:
        """Options that contradict each other or the account, and a wrong account, are 2."""
        for options in (
            ["--password-file", "x", "--password-command", "y"],
            ["--password-file", "-", "--key-file", "-"],
            ["--account", self.url, "--password-file", "-"],
            ["--account", "https://example.org"],
            ["--account", "imaps://me:hunter2@example.org"],
            ["--dialect", "esperanto"],
            ["--encryption", "maybe"],
        ):
            done = self.ifap("login", *options, given=b"x\n")
            self.assertEqual(2, done.returncode, options)
            self.assertNotIn(b"hunter2", done.stderr)


class ServerTestCase(AccountTestCase):
    """An IMAP server on a port of this machine: the embedded one of another basedir."""

    def setUp(self) -> None:
        """Start it."""
        super().setUp()
        self.server = self.home / "server"
        self.server.mkdir(0o700)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        endpoint = f"tcp:{self.port}:interface=127.0.0.1"
        (self.server / "ifap.toml").write_text(
            f'embedded_listen = "{endpoint}"\ncontrol = "tcp:0:interface=127.0.0.1"\n'
        )
        self.addCleanup(self.ifap, "stop", basedir=self.server)
        self.succeeds("start", basedir=self.server)
        self.password = self.shown_password()
        self.wait_for_the_server()
        self.url = f"imap://ifap@127.0.0.1:{self.port}"

    def shown_password(self) -> bytes:
        """The password of the embedded account, once it is there."""
        for _glance in range(100):
            done = self.ifap("info", "--show-password", basedir=self.server)
            if done.returncode == 0:
                return done.stdout
            pause(0.1)
        raise AssertionError("the embedded account is not made")

    def wait_for_the_server(self) -> None:
        """Until it listens, some moments after the node has begun."""
        for _glance in range(300):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            pause(0.1)
        raise AssertionError("the embedded server does not listen")


class PasswordTests(ServerTestCase):
    """Where passwords come from."""

    def log_in(self, *options: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return self.ifap("login", "--account", self.url, "--folder", "MINE", *options, given=given)

    def test_file(self) -> None:
        """From a file; it is kept, so that later verbs need none."""
        done = self.log_in("--password-file", self.write("password", self.password))
        self.assertEqual((0, False), (done.returncode, b"open to other" in done.stderr), done.stderr)
        (self.home / "password").unlink()
        self.succeeds("put", "-", "a", given=b"x")
        self.assertEqual(b"x", self.succeeds("cat", "a"))

    def test_stdin(self) -> None:
        """From stdin; nothing that is printed or logged repeats it."""
        done = self.log_in("-vv", "--password-file", "-", given=self.password)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertNotIn(self.password.strip(), done.stdout + done.stderr)

    def test_open_file(self) -> None:
        """A password file that others can read draws a warning."""
        done = self.log_in("--password-file", self.write("password", self.password, mode=0o644))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(b"warning", done.stderr)
        self.assertIn(b"password", done.stderr)

    def test_command(self) -> None:
        """From a command, which is remembered instead of the password and runs whenever it is needed."""
        path = self.write("password", self.password)
        done = self.log_in("--password-command", f"cat {path}")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertNotIn(self.password.strip(), self.files())
        self.succeeds("ls")
        path.unlink()
        self.assertNotEqual(0, self.ifap("ls").returncode)

    def test_file_after_command(self) -> None:
        """A password that is given after a command was configured takes its place."""
        path = self.write("password", self.password)
        self.log_in("--password-command", f"cat {path}")
        self.assertEqual(0, self.log_in("--password-file", path).returncode)
        path.unlink()
        self.succeeds("ls")

    def test_failing_command(self) -> None:
        """A command that fails is 2, and nothing is remembered."""
        self.assertEqual(2, self.log_in("--password-command", "false").returncode)
        self.assertFalse((self.basedir / "ifap.toml").exists())

    def test_wrong(self) -> None:
        """A wrong password is 9, and nothing of it is kept or shown."""
        done = self.log_in("--password-file", "-", given=b"hunter2\n")
        self.assertEqual(9, done.returncode, done.stderr)
        self.assertNotIn(b"hunter2", done.stdout + done.stderr + self.files())

    def test_none(self) -> None:
        """Without a terminal and without the option that is 2, and the option is named."""
        done = self.log_in()
        self.assertEqual((2, True), (done.returncode, b"--password-file" in done.stderr))

    def test_asked(self) -> None:
        """At a terminal it is asked for and not shown."""
        status, screen = self.at_terminal(
            "login", "--account", self.url, "--folder", "MINE", says=[(b"Password for imap://", self.password)]
        )
        self.assertEqual(0, status, screen)
        self.assertNotIn(self.password.strip(), screen)
        self.succeeds("ls")

    def test_ctrl_c(self) -> None:
        """Ctrl-C at the question is 130."""
        status, screen = self.at_terminal("login", "--account", self.url, says=[(b"Password", b"\x03")])
        self.assertEqual((130, False), (status, b"Traceback" in screen))

    def test_asked_key(self) -> None:
        """At a terminal the key of a folder that has one is asked for."""
        self.assertEqual(0, self.log_in("--password-file", "-", given=self.password).returncode)
        self.succeeds("put", "-", "a", given=b"x")
        key = self.succeeds("info", "--show-key")
        self.basedir, first = self.home / "second", self.basedir
        self.assertNotEqual(first, self.basedir)
        says = [(b"Password", self.password), (b"Key of the folder MINE", key)]
        status, screen = self.at_terminal("login", "--account", self.url, "--folder", "MINE", says=says)
        self.assertEqual((0, False), (status, key.strip() in screen), screen)
        self.assertEqual(b"x", self.succeeds("cat", "a"))

    def test_logout(self) -> None:
        """After a logout verbs are refused (9) until the next login; the key stays, so that none is asked for."""
        self.log_in("--password-file", "-", given=self.password)
        self.succeeds("put", "-", "a", given=b"x")
        self.assertEqual({"forgot_password": True, "forgot_key": False}, json.loads(self.succeeds("--json", "logout")))
        self.assertNotIn(self.password.strip(), self.files())
        refused = self.ifap("ls")
        self.assertEqual((9, True), (refused.returncode, b"ifap login" in refused.stderr))
        self.assertEqual(0, self.log_in("--password-file", "-", given=self.password).returncode)
        self.assertEqual(b"x", self.succeeds("cat", "a"))


class ForgetKeyTests(AccountTestCase):
    """``logout --forget-key``."""

    def setUp(self) -> None:
        """Log in, and store something."""
        super().setUp()
        self.succeeds("login", "--account", self.url)
        self.succeeds("put", "-", "a", given=b"x")
        self.key = self.succeeds("info", "--show-key").strip()

    def test_unasked(self) -> None:
        """Without a terminal --yes is needed (2); how to print the key is said before."""
        done = self.ifap("logout", "--forget-key")
        self.assertEqual(2, done.returncode)
        self.assertRegex(done.stderr, rb"(?s)--show-key.*--yes")
        self.assertIn(self.key, self.files())

    def test_yes(self) -> None:
        """With --yes it is forgotten."""
        self.succeeds("logout", "--forget-key", "--yes")
        self.assertNotIn(self.key, self.files())
        self.assertEqual(7, self.ifap("ls").returncode)

    def test_asked(self) -> None:
        """At a terminal it is asked for, and only yes is yes."""
        status, screen = self.at_terminal("logout", "--forget-key", says=[(b"[y/N]", b"\n")])
        self.assertNotEqual(0, status, screen)
        self.assertIn(self.key, self.files())
        status, screen = self.at_terminal("logout", "--forget-key", says=[(b"[y/N]", b"yes\n")])
        self.assertEqual(0, status, screen)
        self.assertNotIn(self.key, self.files())

    def test_not_while_something_waits(self) -> None:
        """What was accepted would be lost with its key: it is refused, whoever is sure, and nothing is forgotten."""
        with Basedir(self.basedir) as basedir:
            self.successResultOf(basedir.hold(0, Clock()))
            journal = FileJournal(basedir, [Key.from_text(self.key.decode())], random=os.urandom, worker=InlineWorker())
            facts = dict.fromkeys(("account", "folder", "home", "dialect", "sealed_id"), "x")
            self.successResultOf(journal.begin(Frozen(**facts, message=b"sealed", accepted=True)))
        done = self.ifap("logout", "--forget-key", "--yes")
        self.assertEqual((1, True), (done.returncode, b"ifap sync" in done.stderr), done.stderr)
        self.assertIn(self.key, self.files())
        (waiting,) = (self.basedir / "journal").glob("*.pending")
        waiting.unlink()
        self.succeeds("logout", "--forget-key", "--yes")

    def test_lonely_yes(self) -> None:
        """--yes alone is 2."""
        self.assertEqual(2, self.ifap("logout", "--yes").returncode)


class InfoTests(AccountTestCase):
    """``info``."""

    def test_account(self) -> None:
        """Account, folder, dialect, fingerprint, counts and sizes; never the key."""
        self.succeeds("login", "--account", self.url)
        self.succeeds("put", "-", "d/a", given=b"12345")
        shown = self.succeeds("--json", "info")
        found = json.loads(shown)
        self.assertEqual((self.url, "IFAP_DATA", "ifap"), (found["account"], found["folder"], found["dialect"]))
        self.assertEqual((1, 5), (found["counts"]["files"], found["counts"]["bytes"]))
        self.assertTrue(found["key_fingerprint"])
        self.assertIn("capabilities", found)
        key = self.succeeds("info", "--show-key").strip()
        self.assertNotIn(key, shown + self.succeeds("info"))

    def test_nothing_yet(self) -> None:
        """What is not there yet is 3, and asking for it makes nothing."""
        for flag in ("--show-key", "--show-password"):
            self.assertEqual(3, self.ifap("info", flag).returncode)
        self.assertEqual([], os.listdir(self.basedir))

    def test_flags(self) -> None:
        """Flags add up, and are one object with --json."""
        self.succeeds("login")
        found = json.loads(self.succeeds("--json", "info", "--show-key", "--show-password", "--settings"))
        self.assertEqual({"key", "password", "settings"}, set(found))
        key, password = self.succeeds("info", "--show-key", "--show-password").decode().splitlines()
        self.assertEqual((found["key"], found["password"]), (key, password))

    def test_settings(self) -> None:
        """Each setting, and where it came from."""
        self.basedir.mkdir(0o700)
        (self.basedir / "ifap.toml").write_text("folder = 'MINE'\n")
        rows = [line.split() for line in self.succeeds("info", "--settings").decode().splitlines()]
        self.assertIn(["folder", "MINE", "file"], rows)
        self.assertIn(["account", "embedded", "default"], rows)
        self.assertEqual(2, self.ifap("--basedir", self.home, "info", "--settings", "--frob").returncode)
