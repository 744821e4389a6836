"""Where the password of an account comes from."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from ifap_twisted.accounts import EMBEDDED, MEMORY, parse_account
from ifap_twisted.basedir.passwords import PasswordFile
from ifap_twisted.core import limits
from ifap_twisted.credentials import Obtained, credentials_for, first_line, read_secret_file, run_secret_command
from ifap_twisted.errors import AuthenticationRefused, BadSettings, TimedOut
from ifap_twisted.secrecy import Credentials, Secret
from ifap_twisted.settings import Settings
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import CANARY, Drawing, PlacedTestCase

HOME = os.path.expanduser("~")
ACCOUNT = parse_account("imaps://me@imap.example.org")


class NoProcesses:
    """A reactor that is not to start anything."""

    def spawnProcess(self, *arguments, **more):
        """Nobody should come here."""
        raise AssertionError("a process was started")


class SourceTests(PlacedTestCase):
    """Which source is taken."""

    def obtained(self, settings: Settings, basedir=None) -> Deferred[Obtained]:
        """What is found without starting a process."""
        return Deferred.fromCoroutine(
            credentials_for(
                settings, basedir, processes=NoProcesses(), clock=Clock(), worker=InlineWorker(), random=Drawing()
            )
        )

    def password_file(self, content: str, mode: int = 0o600) -> Path:
        """A file with a password."""
        path = self.place / "password"
        path.write_text(content)
        path.chmod(mode)
        return path

    def test_a_password_file(self) -> None:
        """The first line of password_file is the password, the user is that of the account."""
        settings = Settings(account=ACCOUNT, password_file=self.password_file(f"{CANARY}\nsecond line\n"))
        found = self.successResultOf(self.obtained(settings))
        self.assertEqual(found, Obtained(credentials=Credentials("me", Secret(CANARY))))
        self.assertNotIn(CANARY, repr(found))

    def test_a_file_that_others_can_read(self) -> None:
        """A password file open to others draws a warning that names it, and is used."""
        for mode in (0o640, 0o604, 0o660, 0o644):
            settings = Settings(account=ACCOUNT, password_file=self.password_file(CANARY, mode))
            found = self.successResultOf(self.obtained(settings))
            self.assertEqual(found.credentials.password, Secret(CANARY))
            self.assertEqual([warning.code for warning in found.warnings], ["secret-file-open"])
            self.assertIn(str(self.place / "password"), found.warnings[0].text)
            self.assertNotIn(CANARY, repr(found.warnings))

    def test_a_stored_password(self) -> None:
        """Without a file or command the password that login stored is taken, by who does not hold the basedir too."""
        PasswordFile(self.held_basedir()).store_password(ACCOUNT, Secret(CANARY))
        found = self.successResultOf(self.obtained(Settings(account=ACCOUNT), self.basedir()))
        self.assertEqual(found, Obtained(credentials=Credentials("me", Secret(CANARY))))

    def test_a_configured_one_comes_before_a_stored_one(self) -> None:
        """What is configured wins over what was stored."""
        node = self.held_basedir()
        PasswordFile(node).store_password(ACCOUNT, Secret("stored"))
        settings = Settings(account=ACCOUNT, password_file=self.password_file("configured"))
        found = self.successResultOf(self.obtained(settings, node))
        self.assertEqual(found.credentials.password, Secret("configured"))

    def test_nothing(self) -> None:
        """When no password is known the user is told to log in, with or without a basedir."""
        for basedir in (None, self.held_basedir()):
            error = self.failureResultOf(self.obtained(Settings(account=ACCOUNT), basedir), AuthenticationRefused).value
            self.assertIn("ifap login", error.detail)
            self.assertIn("imap.example.org", error.detail)

    def test_the_password_of_another_user(self) -> None:
        """A password that was stored for another user of the server is not taken."""
        node = self.held_basedir()
        PasswordFile(node).store_password(parse_account("imaps://you@imap.example.org"), Secret("x"))
        self.failureResultOf(self.obtained(Settings(account=ACCOUNT), node), AuthenticationRefused)

    def test_accounts_without_a_password(self) -> None:
        """A Maildir, memory, and a socket without a user are opened without credentials."""
        for account in (parse_account("maildir:///m"), MEMORY, parse_account("imap+unix:///run/s")):
            settings = Settings(account=account, password_file=self.password_file("x"))
            self.assertEqual(self.successResultOf(self.obtained(settings)), Obtained())

    def test_a_socket_with_a_user(self) -> None:
        """A socket with a user takes a password."""
        settings = Settings(account=parse_account("imap+unix://me@/run/s"), password_file=self.password_file("x"))
        found = self.successResultOf(self.obtained(settings))
        self.assertEqual(found.credentials, Credentials("me", Secret("x")))

    def test_the_embedded_account(self) -> None:
        """The embedded account's password is made on its first start and is the same ever after."""
        node = self.held_basedir()
        first = self.successResultOf(self.obtained(Settings(account=EMBEDDED), node))
        self.assertEqual(first.credentials.user, "ifap")
        self.assertEqual(self.successResultOf(self.obtained(Settings(account=EMBEDDED), self.basedir())), first)

    def test_the_embedded_account_needs_a_basedir(self) -> None:
        """Without a basedir there is no embedded account."""
        self.failureResultOf(self.obtained(Settings(account=EMBEDDED)), BadSettings)

    def test_files_that_give_no_secret(self) -> None:
        """What is absent, empty, too long, binary, or no file is bad-settings naming the file, at once."""
        path = self.place / "password"
        for content in (b"", b"\n" + CANARY.encode(), b"a\0b", b"a\rb\n", b"\xff" + CANARY.encode(), b"x" * 5000):
            path.write_bytes(content)
            error = self.assertRaises(BadSettings, read_secret_file, path)
            self.assertIn(str(path), error.detail)
            self.assertNotIn(CANARY, f"{error} {error.__context__!r}")
        path.unlink()
        self.assertIn("No such file", self.assertRaises(BadSettings, read_secret_file, path).detail)
        os.mkfifo(path)
        self.assertRaises(BadSettings, read_secret_file, path)
        self.assertRaises(BadSettings, read_secret_file, self.place)

    @given(st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1, max_size=50))
    def test_first_lines(self, password: str) -> None:
        """Any line of text is a password, blanks at its ends included; the line end is not part of it."""
        for end in ("", "\n", "\r\n", "\nmore\n"):
            self.assertEqual(first_line((password + end).encode(), "here"), Secret(password))

    def test_the_longest_line(self) -> None:
        """A secret may be 4,096 bytes long and no longer."""
        longest = b"x" * limits.SECRET_BYTES
        self.assertEqual(first_line(longest + b"\r\n", "here").reveal_bytes(), longest)
        self.assertRaises(BadSettings, first_line, longest + b"x", "here")


class CommandTests(TestCase):
    """Real commands."""

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 -- real processes need the real one

        self.reactor = reactor
        self.clock = Clock()

    def run_command(self, command: str, **more) -> Deferred[Secret]:
        """A password command, with its limit on the test's clock."""
        return Deferred.fromCoroutine(run_secret_command(command, self.reactor, self.clock, **more))

    def python(self, script: str) -> Deferred[Secret]:
        """A command that is a Python script."""
        return self.run_command(f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}")

    async def refused(self, running: Deferred[Secret], kind: type[Exception] = BadSettings) -> str:
        """What is said when there is no secret."""
        error = await self.assertFailure(running, kind)
        self.assertNotIn(CANARY, f"{error} {error.__context__!r} {error.__cause__!r}")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return error.detail

    async def test_the_first_line(self) -> None:
        """The first line that a command prints is the password."""
        self.assertEqual(await self.run_command(f"printf '{CANARY} x\\nuser: me\\n'"), Secret(f"{CANARY} x"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_through_the_settings(self) -> None:
        """A password_command of the settings is run for the account's user."""
        settings = Settings(account=ACCOUNT, password_command=f"echo {CANARY}")
        found = await credentials_for(
            settings, None, processes=self.reactor, clock=self.clock, worker=InlineWorker(), random=Drawing()
        )
        self.assertEqual(found.credentials, Credentials("me", Secret(CANARY)))
        self.assertNotIn(CANARY, repr(found) + repr(settings) + repr(replace(settings, folder="x")))

    async def test_no_shell(self) -> None:
        """What a shell would do with a word is not done."""
        self.assertEqual(await self.run_command("echo $HOME `id` ; echo '*' > x"), Secret("$HOME `id` ; echo * > x"))

    async def test_the_home_directory(self) -> None:
        """A word that begins with ~/ lies in the home directory."""
        self.assertEqual(await self.run_command("echo ~/x a~/y '~z'"), Secret(f"{HOME}/x a~/y ~z"))

    async def test_the_environment(self) -> None:
        """A command is found through PATH and sees the environment it is given."""
        self.assertEqual(await self.run_command("sh -c 'echo $X'", environment={**os.environ, "X": "y"}), Secret("y"))

    async def test_its_input_is_empty(self) -> None:
        """A command that reads finds the end at once instead of waiting for the terminal."""
        self.assertEqual(await self.python("import sys; print(len(sys.stdin.read()))"), Secret("0"))

    async def test_it_fails(self) -> None:
        """A command that fails is told with its exit status; what it printed is not told, nor used."""
        detail = await self.refused(self.python(f"print('{CANARY}'); raise SystemExit(3)"))
        self.assertIn("exit status 3", detail)

    async def test_it_is_killed_by_somebody(self) -> None:
        """A command that ends by a signal has failed."""
        detail = await self.refused(self.python("import os; os.kill(os.getpid(), 15)"))
        self.assertIn("signal 15", detail)

    async def test_it_complains(self) -> None:
        """What a command writes to its standard error goes nowhere."""
        secret = await self.python(f"import sys; print('{CANARY}' * 9999, file=sys.stderr); print('x')")
        self.assertEqual(secret, Secret("x"))

    async def test_there_is_no_such_program(self) -> None:
        """A program that is not there is told as that, without its arguments."""
        self.assertIn("not found", await self.refused(self.run_command(f"no-such-program-here {CANARY}")))

    async def test_a_program_that_cannot_be_run(self) -> None:
        """A file that is no program fails without showing its arguments."""
        path = self.mktemp_file(b"\x00\x01 no program")
        detail = await self.refused(self.run_command(f"{path} {CANARY}"))
        self.assertRegex(detail, "failed|cannot be started")

    def mktemp_file(self, content: bytes) -> str:
        """An executable file."""
        import shutil
        import tempfile

        place = Path(tempfile.mkdtemp(prefix="ifap-test-"))
        self.addCleanup(shutil.rmtree, place)
        path = place / "program"
        path.write_bytes(content)
        path.chmod(0o700)
        return str(path)

    async def test_it_prints_nothing(self) -> None:
        """A command that prints no first line gives no password."""
        self.assertIn("empty", await self.refused(self.run_command("true")))
        self.assertIn("empty", await self.refused(self.run_command("echo")))

    async def test_it_prints_too_much(self) -> None:
        """A first line without end is refused and not held; many lines after the first do no harm."""
        self.assertIn("longer", await self.refused(self.python("print('x' * 3_000_000)")))
        self.assertEqual(await self.python("print('x'); print('y' * 3_000_000)"), Secret("x"))

    async def test_it_takes_too_long(self) -> None:
        """After 30 seconds the command is killed and the caller told."""
        running = self.run_command("sleep 600")
        self.clock.advance(limits.PASSWORD_COMMAND_SECONDS - 1)
        self.assertFalse(running.called)
        self.clock.advance(1)
        self.assertIn("30 seconds", await self.refused(running, TimedOut))
        await self.reaped()

    async def test_nobody_waits_any_more(self) -> None:
        """A cancelled call kills the command."""
        running = self.run_command("sleep 600")
        running.cancel()
        await self.assertFailure(running, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        await self.reaped()

    async def reaped(self) -> None:
        """Wait until no process is left that the reactor knows of."""
        from twisted.internet.process import reapProcessHandlers
        from twisted.internet.task import deferLater

        while reapProcessHandlers:
            await deferLater(self.reactor, 0.01)
