"""Where the password of an account comes from when somebody needs it.

In this order: ``password_command`` or ``password_file`` of the settings, then ``account.json`` of the basedir, where
``login`` stored it. Nothing here asks a person, and nothing that a command says is logged or told.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from ifap_twisted.accounts import Account
from ifap_twisted.basedir import Basedir, Random
from ifap_twisted.basedir.passwords import PasswordFile
from ifap_twisted.core import limits
from ifap_twisted.core.values import Notice
from ifap_twisted.errors import AuthenticationRefused, BadSettings, TimedOut
from ifap_twisted.secrecy import Credentials, Secret
from ifap_twisted.settings import Settings
from ifap_twisted.workers import Worker

__all__ = [
    "Credentials",
    "Obtained",
    "credentials_for",
    "first_line",
    "read_private_file",
    "read_secret_file",
    "run_secret_command",
]

OPEN_TO_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Obtained:
    """What was found for an account.

    :ivar credentials: None for an account that is opened without (a Maildir, a socket without a user).
    :ivar warnings: what a person should know about where they were found.
    """

    credentials: Credentials | None = None
    warnings: tuple[Notice, ...] = ()


async def credentials_for(
    settings: Settings,
    basedir: Basedir | None,
    *,
    processes: IReactorProcess,
    clock: IReactorTime,
    worker: Worker,
    random: Random,
) -> Obtained:
    """Find what the configured account is opened with.

    The embedded account's password is made on its first start, when the basedir has to be held.

    :param processes: the reactor; a ``password_command`` runs through it, for 30 seconds of the clock at most.
    :raises AuthenticationRefused: no password is known: `ifap login` has to be run.
    :raises BadSettings: what was configured gives none.
    :raises TimedOut: the command took too long.
    """
    account = settings.account
    if account.kind == "embedded":
        return await _embedded(basedir, worker, random)
    if account.user is None:
        return Obtained()
    if settings.password_command is not None:
        secret = await run_secret_command(settings.password_command, processes, clock)
        return Obtained(credentials=Credentials(account.user, secret))
    if settings.password_file is not None:
        path = settings.password_file
        secret, warnings = await worker(lambda: read_secret_file(path))
        return Obtained(credentials=Credentials(account.user, secret), warnings=warnings)
    return await _stored(account, account.user, basedir, worker)


async def _embedded(basedir: Basedir | None, worker: Worker, random: Random) -> Obtained:
    if basedir is None:
        raise BadSettings("The embedded account needs a basedir: its mail is kept there.")
    passwords = PasswordFile(basedir)
    return Obtained(credentials=await worker(lambda: passwords.make_embedded(random)))


async def _stored(account: Account, user: str, basedir: Basedir | None, worker: Worker) -> Obtained:
    password = None
    if basedir is not None:
        passwords = PasswordFile(basedir)
        password = await worker(lambda: passwords.password(account))
    if password is None:
        raise AuthenticationRefused(f"No password is known for {account}: run `ifap login`, or set password_file.")
    return Obtained(credentials=Credentials(user, password))


def read_secret_file(path: Path) -> tuple[Secret, tuple[Notice, ...]]:
    """The first line of a password or key file, and a warning when others can read it. It blocks.

    :raises BadSettings: it cannot be read, is no regular file, or its first line is no secret.
    """
    content, warnings = read_private_file(path)
    return first_line(content, str(path)), warnings


def read_private_file(path: Path) -> tuple[bytes, tuple[Notice, ...]]:
    """What a file with a secret holds, cut after some 4,096 bytes, and a warning when others can read it. It blocks.

    :raises BadSettings: it cannot be read, or is no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadSettings(f"{path} is not a regular file.")
            content = file.read(limits.SECRET_BYTES + 1)
    except OSError as error:
        raise BadSettings(f"Cannot read {path}: {os.strerror(error.errno or 0)}.") from error
    if not found.st_mode & OPEN_TO_OTHERS:
        return content, ()
    text = f"{path} holds a secret and is open to other users: close it with chmod go= {shlex.quote(str(path))}"
    return content, (Notice(code="secret-file-open", text=text),)


def first_line(content: bytes, source: str) -> Secret:
    """The secret in the first line of a file, of standard input, or of what a command printed.

    :raises BadSettings: it is empty, longer than 4,096 bytes, not UTF-8, or contains a NUL or carriage return.
    """
    line = content.split(b"\n", 1)[0].removesuffix(b"\r")
    if not line:
        raise BadSettings(f"The first line of {source} is empty: the secret has to be there.")
    if len(line) > limits.SECRET_BYTES:
        raise BadSettings(f"The first line of {source} is longer than {limits.SECRET_BYTES} bytes.")
    if b"\0" in line or b"\r" in line:
        raise BadSettings(f"The first line of {source} contains a NUL or carriage return.")
    secret = Secret(line)
    if not secret.is_text:
        raise BadSettings(f"The first line of {source} is not UTF-8.")
    return secret


async def run_secret_command(
    command: str, processes: IReactorProcess, clock: IReactorTime, environment: Mapping[str, str] | None = None
) -> Secret:
    """The first line that a command prints.

    The command line is split as a shell splits it and run without a shell; a word that begins with ``~/`` lies in the
    home directory. Its standard error is dropped: a failed start would show the arguments there.

    :param environment: of the command; None is that of this process.
    :raises BadSettings: it cannot be run, fails, or prints no secret.
    :raises TimedOut: it took longer than 30 seconds, and was killed.
    """
    argv = _argv(command)
    program = which(argv[0], path=(os.environ if environment is None else environment).get("PATH"))
    if program is None:
        raise BadSettings("The program of password_command was not found: give its whole path.")
    run = _Run(clock)
    try:
        processes.spawnProcess(run, os.fsencode(program), [os.fsencode(word) for word in argv], env=environment)
    except OSError as error:
        raise BadSettings(f"password_command cannot be started: {os.strerror(error.errno or 0)}.") from error
    return first_line(await run.output, "what password_command printed")


def _argv(command: str) -> list[str]:
    return [
        os.path.expanduser(word) if word.startswith("~/") else word  # noqa: PTH111 -- words, not paths
        for word in shlex.split(command)
    ]


class _Run(ProcessProtocol):
    """One run of a command; its output is bounded, and it is killed when nobody waits for it any more.

    :ivar output: fires with what it printed, when it has ended well.
    """

    transport: IProcessTransport

    def __init__(self, clock: IReactorTime) -> None:
        self.output: Deferred[bytes] = Deferred(lambda _output: self._end())
        self._printed = bytearray()
        self._clock = clock

    def connectionMade(self) -> None:
        """Nothing is said to it: a command that reads finds the end at once."""
        self._deadline = self._clock.callLater(limits.PASSWORD_COMMAND_SECONDS, self._too_late)
        self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        """Keep the first line, and no more than it can have."""
        self._printed += data[: limits.SECRET_BYTES + 2 - len(self._printed)]

    def processEnded(self, reason: Failure) -> None:
        """Give what it printed, unless it failed."""
        if self._deadline.active():
            self._deadline.cancel()
        if self.output.called:
            return
        if isinstance(reason.value, ProcessDone):
            self.output.callback(bytes(self._printed))
        else:
            self.output.errback(BadSettings(f"password_command failed ({_fate(reason)}): run it by hand to see why."))

    def _too_late(self) -> None:
        self._end()
        seconds = limits.PASSWORD_COMMAND_SECONDS
        self.output.errback(TimedOut(f"password_command took longer than {seconds:g} seconds and was killed."))

    def _end(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()
        self.transport.loseConnection()
        with suppress(ProcessExitedAlready):  # something that it started holds its output open
            self.transport.signalProcess("KILL")


def _fate(reason: Failure) -> str:
    code = getattr(reason.value, "exitCode", None)
    return f"signal {getattr(reason.value, 'signal', None)}" if code is None else f"exit status {code}"
