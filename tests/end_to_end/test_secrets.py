"""No secret is anywhere but in the files that keep it (R22, promise P9), and nobody else can open any file.

Whole lives of devices, with everything that goes wrong, at the most talkative levels. Then every byte that was written
or told is searched for canaries: as they are, and as base64, hex and URLs would have them.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

from twisted.python.filepath import FilePath

from tests.cli.processes import PATIENCE
from tests.end_to_end.devices import CONTROL, Device, EndToEndCase, eventually
from tests.examples.line import Line
from tests.imap.certificates import Authority
from tests.live import servers

PASSWORD = "Canary+Password/Zq9&7=xx"
WRONG = "Wrong+Password/Canary&8=yy"
KEY = "Q2FuYXJ5LUtleS1aOS14N3c1djN1MXQwczJyNHE2cDg="
OTHER_KEY = "T3RoZXItQ2FuYXJ5LUtleS1NN24ybDRrNmo4aDBnMWY="
CONTENT = b"canary-content-of-a-file-Zq9-7xx-0123456789-and-a-little-more"
PASSPHRASE = "seven grey canaries/herons play chess+Zq9"
OTHER_PASSPHRASE = "vier gelbe canaries/Gurken tanzen am Kanal+Zq9"
WRONG_PASSPHRASE = "nine blue canaries/walruses whistle at dawn+Zq9"
WEAK_PASSPHRASE = "password password"
TOKEN_IN_URL = "canary-token-in-a-url-Zq9"
KEEPERS = frozenset({"account.json", "key.json", "control.token"})
"""The files of a basedir that are there to keep secrets."""
DEBUG = '[log]\nlevel = "debug"\n'
PROBE = """
import json, sys, traceback
from twisted.internet.task import react
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from ifap_twisted import connect
from ifap_twisted.secrecy import Secret

def tell(error, seen):
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    print(repr(error), str(error), repr(error.args), repr(vars(error)))
    for one in (error.__cause__, error.__context__):
        tell(one, seen)

async def attempt(reactor, options):
    secrets = {name: Secret(open(options.pop(name)).read()) for name in ("password", "key")}
    try:
        filesystem = await connect(reactor, options.pop("account"), **options, **secrets)
    except Exception as error:
        tell(error, set())
        traceback.print_exception(error)
        print(*traceback.TracebackException.from_exception(error, capture_locals=True).format())
        print(Failure(error).getTraceback(detail="verbose"))
        return type(error).__name__
    await filesystem.put("/x", b"data")
    print(repr(filesystem), repr(vars(filesystem)), repr(await filesystem.status()))
    await filesystem.close()
    return "none"

async def main(reactor):
    for options in json.load(sys.stdin):
        print("ENDED", await attempt(reactor, options))

react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""


def forms(secret: bytes) -> Iterator[bytes]:
    """A secret as programs write it down."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for text in (
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret.decode("latin-1"))[1:-1],
        repr(secret)[2:-1],
    ):
        yield text.encode()
    for start in range(3):  # base64 of a text that it is a part of: without the ends, which depend on the neighbours
        whole = base64.b64encode(b"\0" * start + secret)
        yield whole[4 if start else 0 : len(whole) - 4]
        yield base64.urlsafe_b64encode(b"\0" * start + secret)[4 if start else 0 : len(whole) - 4]


def hits(data: bytes, secrets: set[bytes]) -> list[bytes]:
    """Which of the secrets are in some bytes."""
    return sorted(secret for secret in secrets if any(form in data for form in forms(secret)))


class SecretsCase(EndToEndCase):
    """With a mail server whose password is a canary, and a directory for temporary files that is searched, too."""

    def setUp(self) -> None:
        """Start it."""
        super().setUp()
        (self.home / "tmp").mkdir()
        self.server = self.dovecot(IFAP_DOVECOT_PASSWORD=PASSWORD)
        self.canaries = {value.encode() for value in (PASSWORD, WRONG, KEY, OTHER_KEY, TOKEN_IN_URL)} | {CONTENT}
        self.canaries |= {base64.b64decode(key) for key in (KEY, OTHER_KEY)}
        self.given = {
            name: self.write(name, value.encode())
            for name, value in (("right", PASSWORD), ("wrong", WRONG), ("key", KEY), ("other", OTHER_KEY))
        }
        self.source = self.write("source", CONTENT)
        self.foreign = Path(Authority().file(FilePath(str(self.home / "foreign.pem"))))
        self.told = b""

    def environment(self, **more: str) -> dict[str, str]:
        """What a process is given."""
        return super().environment(TMPDIR=str(self.home / "tmp"), **more)

    def member(self, name: str, port: int = 0, **more: Path) -> Device:
        """A device that logs all that it can."""
        url = f"imap://{self.server.user}@127.0.0.1:{port}" if port else None
        files = {"password_file": self.given["right"], "key_file": self.given["key"]} | more
        return self.device(name, self.account(self.server, self.folder, url=url, **files) + DEBUG)

    def say(self, device: Device, *verb: str | Path, given: bytes = b"") -> int:
        """A verb at its most talkative; gives its exit status."""
        done = device.ifap("-vv", *verb, given=given)
        self.told += done.stdout + done.stderr
        return done.returncode

    def ask(self, device: Device, *request: str | bytes, **more: str) -> int:
        """A request of which the answer is kept."""
        status, content = device.http(*request, **more)  # type: ignore[arg-type]
        self.told += content
        return status

    def searched(self) -> Iterator[tuple[str, bytes]]:
        """All that was told, and all files but the ones that keep secrets."""
        yield "told", self.told + b"".join(device.told for device in self._devices)
        keepers = {*self.given.values(), self.source, self.home / "password-right"}
        for path in sorted(self.home.rglob("*")):
            if path.is_file() and path not in keepers and path.name not in KEEPERS:
                yield str(path.relative_to(self.home)), path.read_bytes()

    def search(self) -> None:
        """No canary is anywhere."""
        found = {name: hits(data, self.canaries) for name, data in self.searched()}
        self.assertEqual({}, {name: secrets for name, secrets in found.items() if secrets})

    def look_at(self, process: subprocess.Popen[bytes]) -> None:
        """Keep what others can see of a process."""
        for name in ("cmdline", "environ"):
            self.told += Path(f"/proc/{process.pid}/{name}").read_bytes()


class SearchTests(EndToEndCase):
    """The search itself."""

    def test_it_finds(self) -> None:
        """A canary is found in each of its forms, wherever it begins."""
        secret = PASSWORD.encode()
        for text in (
            secret,
            f"a={quote(PASSWORD, safe='')}".encode(),
            *(base64.b64encode(b"x" * count + secret + b"tail") for count in range(4)),
            base64.b64encode(b"\0user1\0" + secret),
            base64.urlsafe_b64encode(b"\0me\0" + secret),
            secret.hex().encode(),
        ):
            self.assertEqual([secret], hits(b"before " + text + b" after", {secret}), text)
        self.assertEqual([], hits(b"nothing here", {secret}))


class LifeTests(SecretsCase):
    """Everything that a user does, and that goes wrong."""

    def test_verbs(self) -> None:
        """Verbs with -vv, a wrong password, a certificate that is not trusted, a wrong key, a server that is away."""
        self.folder = servers.fresh_folder()
        one = self.member("one")
        self.assertEqual(0, self.say(one, "login"))
        for verb in (("put", self.source, "/d/name"), ("get", "/d/name", self.home / "got"), ("ls", "-lR"), ("info",)):
            self.assertEqual(0, self.say(one, *verb), verb)
        (self.home / "got").unlink()
        for verb in (("lock", "/d/name"), ("versions", "/d/name"), ("info", "--settings"), ("snapshot",), ("status",)):
            self.assertEqual(0, self.say(one, *verb), verb)
        self.assertEqual(9, self.say(self.member("mistaken", password_file=self.given["wrong"]), "ls"))
        self.assertEqual(7, self.say(self.member("stranger", key_file=self.given["other"]), "ls"))
        self.assertEqual(
            7,
            self.say(self.device("keyless", self.account(self.server, self.folder) + DEBUG), "put", self.source, "/x"),
        )
        self.assertEqual(9, self.say(self.member("fooled", ca_file=self.foreign), "ls"))
        self.assertEqual(2, self.say(one, "--no-such-option"))
        url = f"imaps://{self.server.user}:{PASSWORD}@localhost:{self.server.tlsport}"
        fresh = self.device("fresh", DEBUG)
        self.assertEqual(2, self.say(fresh, "login", "--account", url))
        login = ("login", "--account", f"imaps://{self.server.user}@localhost:{self.server.tlsport}")
        more = ("--ca-file", self.server.cafile, "--folder", self.folder, "--key-file", self.given["key"])
        self.assertEqual(9, self.say(fresh, *login, *more, "--password-file", "-", given=WRONG.encode()))
        self.assertEqual(0, self.say(fresh, *login, *more, "--password-file", self.given["right"]))
        self.search()

    def test_a_command_that_knows_the_password(self) -> None:
        """A ``password_command`` is given no secret, and none of what it says, or says wrong, is repeated."""
        self.folder = servers.fresh_folder()
        seen = self.home / "seen"
        script = self.write(
            "script", f'cat "/proc/$PPID/cmdline" /proc/self/environ >> {seen}; cat "$1"; cat "$1" >&2'.encode()
        )
        for name, says, status in (("right", self.given["right"], 0), ("wrong", self.given["wrong"], 9)):
            command = f"sh {script} {says}"
            settings = self.account(self.server, self.folder, key_file=self.given["key"])
            lines = [line for line in settings.splitlines() if not line.startswith("password_file")]
            lines.append(f"password_command = {json.dumps(command)}")
            device = self.device(f"by-command-{name}", "\n".join(lines) + "\n" + DEBUG)
            self.assertEqual(status, self.say(device, "ls"))
        self.assertIn(b"IFAP_BASEDIR", seen.read_bytes())
        self.search()

    def test_a_node(self) -> None:
        """A node at debug level: requests with bad tokens, a queue, SIGKILL, a start with what it left, a stop."""
        self.folder = servers.fresh_folder()
        line = Line(self.server.host, self.server.port)
        self.addCleanup(line.close)
        one = self.member("one", line.port)
        one.start()
        self.canaries.add(one.token.encode())
        eventually(lambda: one.status()["state"] == "connected")
        self.assertEqual(201, self.ask(one, "PUT", "/v1/files/d/name", CONTENT))
        self.assertEqual(200, one.http("GET", "/v1/files/d/name")[0])
        self.assertEqual(401, self.ask(one, "GET", f"/v1/status?token={TOKEN_IN_URL}", token=TOKEN_IN_URL))
        self.assertEqual(400, self.ask(one, "GET", f"/v1/status?token={TOKEN_IN_URL}"))
        for target in ("/v1/status", "/v1/info", "/metrics", "/v1/openapi.json", "/v1/list/?recursive=1"):
            self.assertEqual(200, self.ask(one, "GET", target), target)
        line.cut()
        eventually(lambda: one.status()["state"] != "connected")
        self.assertEqual(202, self.ask(one, "PUT", "/v1/files/queued?queue=1", CONTENT))
        assert one._process is not None
        self.look_at(one._process)
        self.search()
        one.kill()
        self.search()
        line.mend()
        one.start()
        self.canaries.add(one.token.encode())
        eventually(lambda: one.status()["pending"] == 0 and one.status()["state"] == "connected")
        one.kill(15)
        self.search()
        self.assertIn("/v1/files/d/name", one.log)  # it was as talkative as it can be

    def test_passphrase_and_recovery_code(self) -> None:
        """Passphrases, good, weak, former and wrong ones, a recovery code: neither on this disk nor in the messages."""
        texts = {"first": PASSPHRASE, "new": OTHER_PASSPHRASE, "mistaken": WRONG_PASSPHRASE, "weak": WEAK_PASSPHRASE}
        self.given |= {name: self.write(name, text.encode()) for name, text in texts.items()}
        self.canaries |= {text.encode() for text in texts.values()}
        (self.home / "mail").mkdir()
        settings = f'account = "maildir://{self.home}/mail"\n' + DEBUG
        one, two, three, stranger = (self.device(name, settings) for name in ("one", "two", "three", "stranger"))
        self.assertEqual(0, self.say(one, "login"))
        self.assertEqual(0, self.say(one, "put", self.source, "/x"))
        key = one.succeeds("info", "--show-key").strip()
        self.canaries |= {key, base64.b64decode(key)}
        self.assertEqual(2, self.say(one, "passphrase", "--new-passphrase-file", self.given["weak"]))
        self.assertEqual(0, self.say(one, "passphrase", "--new-passphrase-file", self.given["first"]))
        change = ("--passphrase-file", self.given["first"], "--new-passphrase-file", self.given["new"])
        self.assertEqual(0, self.say(one, "passphrase", *change))
        code = one.succeeds("recovery", "--print", "--passphrase-file", self.given["new"])
        self.given["code"] = self.write("code", code)
        rows = {row.strip() for row in code.splitlines() if row.strip()}
        self.assertGreaterEqual(len(rows), 4)
        self.canaries |= rows
        self.assertEqual(7, self.say(stranger, "login", "--passphrase-file", self.given["mistaken"]))
        self.assertEqual(0, self.say(two, "login", "--passphrase-file", self.given["new"]))
        self.assertEqual(0, self.say(three, "login", "--recovery-code-file", self.given["code"]))
        self.search()
        for device in (one, two):
            self.assertEqual([], hits((device.basedir / "key.json").read_bytes(), self.canaries))

    def test_errors_of_the_library(self) -> None:
        """Errors of ``connect`` carry none: attributes, causes, contexts, tracebacks with all local variables."""
        folder = servers.fresh_folder()
        right = {
            "account": f"imaps://{self.server.user}@localhost:{self.server.tlsport}",
            "folder": folder,
            "ca_file": str(self.server.cafile),
            "password": str(self.given["right"]),
            "key": str(self.given["key"]),
        }
        attempts = [
            (right, "none"),
            (right | {"password": str(self.given["wrong"])}, "AuthenticationRefused"),
            (right | {"key": str(self.given["other"])}, "WrongKey"),
            (right | {"ca_file": str(self.foreign)}, "NotTrusted"),
            (right | {"account": f"imaps://{self.server.user}@localhost:1"}, "Unavailable"),
            (right | {"dialect": "neither"}, "BadSettings"),
        ]
        done = subprocess.run(
            [sys.executable, "-c", PROBE],
            input=json.dumps([options for options, _name in attempts]).encode(),
            capture_output=True,
            timeout=PATIENCE,
            env=self.environment(),
            cwd=self.home,
            check=False,
        )
        self.told += done.stdout + done.stderr
        ended = [line.split()[1] for line in done.stdout.decode().splitlines() if line.startswith("ENDED")]
        self.assertEqual([name for _options, name in attempts], ended)
        self.search()


class ModeTests(EndToEndCase):
    """A user whose umask lets everybody in."""

    def setUp(self) -> None:
        """Let everybody in."""
        super().setUp()
        self.addCleanup(os.umask, os.umask(0))

    def check(self, basedir: Path, when: str) -> set[str]:
        """Every file is 0600, every directory 0700; gives the names."""
        found = {str(path.relative_to(basedir)): path.lstat() for path in (basedir, *basedir.rglob("*"))}
        for name, about in found.items():
            wanted = 0o700 if stat.S_ISDIR(about.st_mode) else 0o600
            self.assertEqual(oct(wanted), oct(stat.S_IMODE(about.st_mode)), (when, name))
            self.assertEqual(os.geteuid(), about.st_uid)
        return set(found)

    def test_embedded(self) -> None:
        """The whole life of a device with the account inside: made, used, started, killed, started, stopped."""
        self.succeeds("create-node")
        self.check(self.basedir, "made")
        source = self.write("source", b"content")
        self.succeeds("put", source, "/x")
        self.succeeds("lock", "/x")
        self.check(self.basedir, "used")
        settings = self.basedir / "ifap.toml"
        settings.write_text(CONTROL + settings.read_text())
        self.succeeds("start")
        self.addCleanup(self.ifap, "stop")
        running = self.check(self.basedir, "running")
        for name in (
            "control.socket",
            "control.token",
            "control.url",
            "node.log",
            "node.pid",
            "key.json",
            "account.json",
        ):
            self.assertIn(name, running)
        self.assertTrue({name for name in running if name.startswith("embedded.sqlite")})
        self.succeeds("put", source, "/y")
        os.kill(int((self.basedir / "node.pid").read_text()), 9)
        self.check(self.basedir, "killed")
        self.succeeds("start")
        self.succeeds("gc")
        self.succeeds("stop")
        self.check(self.basedir, "stopped")

    def test_remote(self) -> None:
        """The same with an account elsewhere, a queue and a log that is full."""
        server = self.dovecot()
        line = Line(server.host, server.port)
        self.addCleanup(line.close)
        url = f"imap://{server.user}@127.0.0.1:{line.port}"
        device = self.device(settings=self.account(server, servers.fresh_folder(), url=url) + DEBUG)
        (device.basedir / "ifap.toml").chmod(0o600)
        device.succeeds("login")
        self.check(device.basedir, "logged in")
        (device.basedir / "node.log").write_bytes(b"x" * 10_000_001)
        (device.basedir / "node.log").chmod(0o600)
        device.succeeds("start")
        self.addCleanup(device.ifap, "stop")
        device.succeeds("put", self.write("source", b"content"), "/x")
        line.cut()
        eventually(lambda: device.status()["state"] != "connected")
        device.succeeds("put", "--queue", self.home / "source", "/y")
        queued = self.check(device.basedir, "queued")
        self.assertTrue([name for name in queued if name.endswith(".pending")])
        self.assertIn("node.log.1", queued)
        line.mend()
        device.succeeds("stop")
        device.succeeds("logout")
        self.check(device.basedir, "logged out")
