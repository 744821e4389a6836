"""A device of a user: a basedir, its node as a process, its command line, and programs that speak HTTP to it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from ifap_twisted.basedir import Basedir
from ifap_twisted.cli.nodes import pause
from tests.cli.processes import PATIENCE, ProcessTestCase
from tests.live import servers

T = TypeVar("T")

TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
QUIET = "ignore::ResourceWarning"
CONTROL = 'control = "tcp:0:interface=127.0.0.1"\n'
WRONG_PASSWORD = "wrong-Zq7PasswordCanary"


def eventually(fact: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Wait until something is the case, and give it."""
    deadline = time.monotonic() + seconds
    while True:
        found = fact()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        pause(0.05)


class Device:
    """One basedir.

    :ivar told: all that its processes wrote, in which no secret may be.
    """

    def __init__(self, case: EndToEndCase, name: str, settings: str = "") -> None:
        self.case = case
        self.basedir = case.home / name
        self.basedir.mkdir(0o700)
        (self.basedir / "ifap.toml").write_text(CONTROL + settings)
        self.told = b""
        self._log = case.home / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        case.addCleanup(self.kill)

    # The command line

    def ifap(self, *arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a verb."""
        done = self.case.ifap(*arguments, given=given, basedir=self.basedir)
        self.told += done.stderr
        return done

    def succeeds(self, *arguments: str | Path, given: bytes = b"") -> bytes:
        """Run a verb that has to succeed, and give its stdout."""
        done = self.ifap(*arguments, given=given)
        self.case.assertEqual(0, done.returncode, done.stderr.decode())
        return done.stdout

    def json(self, *arguments: str | Path) -> Any:
        """What a verb that has to succeed gives with ``--json``: an object."""
        return json.loads(self.succeeds("--json", *arguments))

    # The node

    def run(self) -> subprocess.Popen[bytes]:
        """Run ``twistd -n ifap`` without waiting for anything."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", QUIET, "-c", TWISTD, "-n", f"--pidfile={self._log}.pid", "ifap"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.case.environment(IFAP_BASEDIR=str(self.basedir)),
                cwd=self.case.home,
            )
        return self._process

    def start(self) -> None:
        """Run the node, and wait until it answers."""
        process = self.run()

        def answers() -> bool:
            self.case.assertIsNone(process.poll(), self.log)
            if self.holder() != process.pid or not (self.basedir / "control.url").exists():
                return False
            try:
                return self.http("GET", "/healthz", token="")[0] == 200
            except OSError:  # the address is still that of a node that was killed
                return False

        eventually(answers)

    def holder(self) -> int | None:
        """Who holds the basedir."""
        with Basedir(self.basedir) as basedir:
            return basedir.holder() if basedir.is_held() else None

    @property
    def runs(self) -> bool:
        """Whether the node was started, and not ended."""
        return self._process is not None

    def ended(self) -> int:
        """The exit status of a node that ends by itself."""
        assert self._process is not None
        process, self._process = self._process, None
        return process.wait(PATIENCE)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the node, by default at once."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    @property
    def log(self) -> str:
        """What the node wrote."""
        return self._log.read_text() if self._log.exists() else ""

    # HTTP

    @property
    def token(self) -> str:
        """The token of the running node."""
        return (self.basedir / "control.token").read_text().strip()

    @property
    def address(self) -> tuple[str, int]:
        """Where the node listens."""
        url = urlsplit((self.basedir / "control.url").read_text().strip())
        assert url.hostname is not None
        assert url.port is not None
        return url.hostname, url.port

    def http(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """One request; gives status and body."""
        connection = HTTPConnection(*self.address, timeout=PATIENCE)
        given = self.token if token is None else token
        try:
            authorization = {"Authorization": f"Bearer {given}"} if given else {}
            connection.request(method, target, body, authorization | dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            self.told += content
        return answer.status, content

    def http_file(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """A request for a file."""
        return self.http(method, "/v1/files" + quote(path), body)

    def status(self) -> Any:
        """What the node says of itself."""
        code, content = self.http("GET", "/v1/status")
        self.case.assertEqual(200, code)
        return json.loads(content)


class EndToEndCase(ProcessTestCase):
    """Devices in a home; at the end no secret is in anything that was told or logged."""

    def setUp(self) -> None:
        """Make the home, with devices that are looked at at the end."""
        super().setUp()
        self._devices: list[Device] = []
        self.secrets: set[str] = {WRONG_PASSWORD}

    def device(self, name: str = "device", settings: str = "") -> Device:
        """A new device."""
        made = Device(self, name, settings)
        self._devices.append(made)
        return made

    def tearDown(self) -> None:
        """Promise P9: passwords, keys and tokens are in no output and in no log."""
        for device in self._devices:
            secrets = set(self.secrets)
            for name, keys in (("key.json", ("key",)), ("account.json", ())):
                path = device.basedir / name
                if path.exists():
                    secrets |= _values(json.loads(path.read_text()), keys)
            token = device.basedir / "control.token"
            if token.exists():
                secrets.add(token.read_text().strip())
            told = device.told.decode("utf-8", "replace") + device.log
            for secret in secrets:
                self.assertNotIn(secret, told)

    def dovecot(self, **settings: str) -> servers.Server:
        """A real mail server with TLS."""
        return servers.server("dovecot", **settings)

    def account(
        self, server: servers.Server, folder: str, *, password: str | None = None, url: str | None = None, **more: Path
    ) -> str:
        """The settings of an account at a server."""
        file = self.write(f"password-{password or 'right'}", (password or server.password).encode())
        values: dict[str, object] = {
            "account": url or f"imaps://{server.user}@localhost:{server.tlsport}",
            "folder": folder,
            "password_file": file,
        }
        if url is None:
            values["ca_file"] = server.cafile
        return "".join(f"{name} = {json.dumps(str(value))}\n" for name, value in (values | more).items())

    def refused(
        self, device: Device, status: int, code: str, words: str, *verb: str | Path, given: bytes = b""
    ) -> None:
        """A verb that fails: its exit status and one sentence; its code too where no node runs, and HTTP tells none."""
        plain = device.ifap(*verb, given=given)
        told = plain.stderr.decode()
        self.assertEqual(status, plain.returncode, told)
        self.assertRegex(told, r"\Aifap: [^\n]+\n\Z")
        self.assertIn(words, told)
        self.assertLess(len(told), 600)
        if device.runs:
            return
        done = device.ifap("--json", *verb, given=given)
        self.assertEqual(status, done.returncode, done.stderr)
        problem = json.loads(done.stderr)
        self.assertEqual(code, problem["code"])
        self.assertIn(words, problem["detail"])

    def refused_over_http(self, answer: tuple[int, bytes], status: int, code: str, words: str) -> None:
        """The same as an answer."""
        found, content = answer
        self.assertEqual(status, found, content)
        problem = json.loads(content)
        self.assertEqual((status, code), (problem["status"], problem["code"]))
        self.assertIn(words, problem["detail"])


def _values(found: Any, keys: tuple[str, ...]) -> set[str]:
    """All texts that a file of secrets holds under these names, and under ``password`` when it is long."""
    if isinstance(found, list):
        return set().union(*(_values(one, keys) for one in found))
    if not isinstance(found, dict):
        return set()
    here = {value for name, value in found.items() if name in (*keys, "password") and isinstance(value, str)}
    below = set().union(*(_values(value, keys) for value in found.values()))
    return {value for value in here if len(value) > len("secret")} | below


__all__ = ["WRONG_PASSWORD", "Device", "EndToEndCase", "eventually"]
