"""Whatever is wrong gets an error of its own, without a node, through one and over HTTP, and harms nothing.

Each has its code, its exit status, one sentence that says what to do, and leaves node and folder as they were.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
from http import HTTPStatus
from pathlib import Path

from twisted.python.filepath import FilePath

from tests.end_to_end.devices import WRONG_PASSWORD, Device, EndToEndCase, eventually
from tests.end_to_end.mailboxes import Mailbox, Relay, TlsServer
from tests.imap.certificates import Authority
from tests.live import servers
from tests.service.basedirs import free_port

KEY = b"b1FuZ2xTT05rRzVuc2dkTHp3bGprZG5mZ3M4NzZzZGY="
OTHER_KEY = b"YW5vdGhlcktleVRoYXRPcGVuc05vdGhpbmdIZXJlISE="
PLAINTEXT = Path(__file__).parents[1] / "vectors/ifaplib/plain-basic.eml"
FOREIGN = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: Lunch?\r\n\r\nAt one, as always.\r\n"


class AccountTests(EndToEndCase):
    """An account that cannot be opened."""

    def everywhere(self, settings: str, status: int, code: str, http: int, words: str) -> Device:
        """A device that is refused alike on all ways; its node goes on and says why."""
        device = self.device(settings=settings)
        self.refused(device, status, code, words, "ls")
        device.start()
        self.refused(device, status, code, words, "ls")
        self.refused_over_http(device.http("GET", "/v1/list/"), http, code, words)
        self.refused_over_http(device.http_file("PUT", "/x", b"data"), http, code, words)
        self.stays_up(device, code, words)
        return device

    def stays_up(self, device: Device, code: str, words: str, state: str = "stopped") -> None:
        """The node runs, and its status says what the matter is, and whether it tries again."""
        self.assertEqual(HTTPStatus.OK, device.http("GET", "/healthz", token="")[0])
        status = device.status()
        self.assertEqual(state, status["state"])
        self.assertEqual([code], [warning["code"] for warning in status["warnings"]])
        self.assertIn(words, status["warnings"][0]["text"])

    def test_wrong_password(self) -> None:
        """9, authentication-refused: check the password. Nothing of a refused login is stored."""
        server, folder = self.dovecot(), servers.fresh_folder()
        settings = self.account(server, folder, password=WRONG_PASSWORD)
        remedy = "Check the user name and the password"
        self.everywhere(settings, 9, "authentication-refused", 502, remedy)
        fresh = self.device("fresh")
        word = self.write("wrong", WRONG_PASSWORD.encode())
        url = f"imaps://{server.user}@localhost:{server.tlsport}"
        login = ("login", "--account", url, "--password-file", word, "--ca-file", server.cafile)
        self.refused(fresh, 9, "authentication-refused", remedy, *login)
        self.assertFalse((fresh.basedir / "account.json").exists())
        self.assertNotIn("account", (fresh.basedir / "ifap.toml").read_text())
        self.assertEqual([], Mailbox(server, folder).messages())

    def test_wrong_key(self) -> None:
        """7, wrong-key; and 7, key-required without one. The folder is as it was."""
        server, folder = self.dovecot(), servers.fresh_folder()
        right = self.account(server, folder, key_file=self.write("key", KEY))
        self.device("writer", right).succeeds("put", "-", "/x", given=b"data")
        before = Mailbox(server, folder).messages()
        wrong = self.account(server, folder, key_file=self.write("other-key", OTHER_KEY))
        self.secrets |= {KEY.decode(), OTHER_KEY.decode()}
        self.everywhere(wrong, 7, "wrong-key", 502, "The key does not open any file of this folder")
        without = self.device("without", self.account(server, folder))
        self.refused(without, 7, "key-required", "--key-file", "put", "-", "/y", given=b"data")
        self.assertEqual(before, Mailbox(server, folder).messages())

    def test_unreachable(self) -> None:
        """8, unavailable: an unknown host, and a port where nobody listens; at once."""
        word = self.write("password", b"password-of-nobody")
        more = f"password_file = {json.dumps(str(word))}\n"
        remedy = "Check the network, and host and port of the account."
        nobody = self.device("nobody", f'account = "imaps://me@127.0.0.1:{free_port()}"\n{more}')
        self.refused(nobody, 8, "unavailable", remedy, "ls")
        unknown = self.device("unknown", f'account = "imaps://me@nowhere.invalid"\n{more}')
        self.refused(unknown, 8, "unavailable", remedy, "ls")
        unknown.start()
        eventually(lambda: unknown.status()["state"] == "offline")
        self.stays_up(unknown, "unavailable", "nowhere.invalid", "offline")
        self.refused(unknown, 8, "unavailable", remedy, "ls")
        self.refused_over_http(unknown.http("GET", "/v1/list/"), 503, "unavailable", remedy)

    def test_certificates(self) -> None:
        """9, not-trusted: expired, of a foreign authority, and for another host; the password is never sent."""
        authority = Authority()
        trusted = Path(authority.file(FilePath(str(self.home / "authority.pem"))))
        cases = (
            ("expired", authority.pem(first=-20, last=-1), "has expired"),
            ("foreign", Authority().pem(), "--ca-file"),
            ("elsewhere", authority.pem("elsewhere.example"), "another host name"),
        )
        for name, certificate, words in cases:
            server = TlsServer(self.write(f"{name}.pem", certificate))
            self.addCleanup(server.stop)
            word = self.write("password", b"password-of-somebody")
            values = {"account": f"imaps://me@localhost:{server.port}", "password_file": word, "ca_file": trusted}
            settings = "".join(f"{key} = {json.dumps(str(value))}\n" for key, value in values.items())
            if name == "expired":
                self.everywhere(settings, 9, "not-trusted", 502, words)
            else:
                self.refused(self.device(name, settings), 9, "not-trusted", words, "ls")

    def test_refused_folder(self) -> None:
        """9, refused, where the server does not take the name; 2, bad-settings, where none would."""
        settings = self.account(self.dovecot(), "a//b")
        self.everywhere(settings, 9, "refused", 502, "refused to create the folder")
        bad = self.device("bad", self.account(self.dovecot(), "a*b"))
        self.refused(bad, 2, "bad-settings", "wildcards", "ls")
        bad.run()
        self.assertEqual(2, bad.ended())

    def test_unknown_setting(self) -> None:
        """2, bad-settings, with the nearest known name; a node does not start with it."""
        device = self.device(settings='foldr = "x"\n')
        self.refused(device, 2, "bad-settings", "did you mean folder?", "ls")
        device.run()
        self.assertEqual(2, device.ended())
        self.assertRegex(device.log, r"(?m)^ifap: There is no setting foldr .*did you mean folder\?$")
        self.assertNotIn("Traceback", device.log)


class BasedirTests(EndToEndCase):
    """A basedir that cannot be used now, or by this version."""

    def test_in_use(self) -> None:
        """A second node ends with 9 at once; a verb that waited for long enough with 8, naming the holder."""
        device = self.device()
        device.start()
        second = Device(self, "second")
        second.basedir = device.basedir
        second.run()
        self.assertEqual(9, second.ended())
        self.assertRegex(second.log, r"\Aifap: Another process \(\d+\) has .* open; stop it with 'ifap stop'\.\n\Z")
        self.assertEqual(HTTPStatus.OK, device.http("GET", "/healthz", token="")[0])
        device.kill()
        with (device.basedir / "node.pid").open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            held.truncate()
            held.write(f"{os.getpid()}\n")
            held.flush()
            self.refused(device, 8, "basedir-in-use", str(os.getpid()), "--wait", "0.3", "ls")

    def test_newer(self) -> None:
        """7, newer-version-needed, by the name of the file, which is not touched."""
        device = self.device()
        device.succeeds("put", "-", "/x", given=b"data")
        for name in ("account.json", "key.json", "ifap.toml"):
            file = device.basedir / name
            before = file.read_text()
            newer = (
                f"format = 99\n{before}" if name == "ifap.toml" else re.sub(r'"format": *\d+', '"format": 99', before)
            )
            self.assertNotEqual(before, newer)
            file.write_text(newer)
            self.refused(device, 7, "newer-version-needed", str(file), "ls")
            if name == "ifap.toml":
                device.run()
                self.assertEqual(7, device.ended())
            elif name == "key.json":
                device.start()
                self.refused(device, 7, "newer-version-needed", str(file), "ls")
                answer = device.http_file("PUT", "/y", b"data")
                self.refused_over_http(answer, 501, "newer-version-needed", str(file))
                device.kill()
            self.assertEqual(newer, file.read_text())
            file.write_text(before)
        self.assertEqual(b"data", device.succeeds("cat", "/x"))


class RequestTests(EndToEndCase):
    """Paths and bodies that are none."""

    def test_paths(self) -> None:
        """2, invalid-path: '..', CR, LF, 5,000 bytes; over HTTP 400, NUL and an encoded slash too."""
        device = self.device()
        device.succeeds("put", "-", "/x", given=b"data")
        long = "long" * 1250
        paths = {"a/../x": "'a/../x'", "a\rb": "control character", "a\nb": "control character", long: "4,096 bytes"}
        verbs = (("put", "-"), ("cat",))
        for number, (path, words) in enumerate(paths.items()):
            self.refused(device, 2, "invalid-path", words, *verbs[number % 2], path)
        device.start()
        for number, (path, words) in enumerate(paths.items()):
            self.refused(device, 2, "invalid-path", words, *verbs[number % 2], path)
        for target in ("a/../x", "a/%2e%2e/x", "a%00b", "a%0Db", "a%0Ab", "a%2Fb", "a//b", "%ff", long):
            for method in ("PUT", "GET", "DELETE"):
                answer = device.http(method, "/v1/files/" + target, b"data" if method == "PUT" else None)
                self.refused_over_http(answer, 400, "invalid-path", "")
        self.assertEqual(b"/x\n", device.succeeds("ls", "-R"))

    def test_cut_bodies(self) -> None:
        """A request that ends early stores nothing, nor does an `ifap put` that is killed."""
        device = self.device()
        device.succeeds("put", "-", "/x", given=b"before")
        device.start()
        for path in ("x", "new"):
            with socket.create_connection(device.address) as cut:
                head = f"PUT /v1/files/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {device.token}\r\n"
                cut.sendall(head.encode() + b"Content-Length: 1000000\r\n\r\n" + b"x" * 300_000)
                device.http("GET", "/v1/status")  # until it was surely read
        process = self.begin("--basedir", device.basedir, "put", "-", "/x")
        assert process.stdin is not None
        process.stdin.write(b"y" * 300_000)
        process.stdin.flush()
        process.kill()
        process.wait()
        self.assertEqual(b"before", device.succeeds("cat", "/x"))
        self.assertEqual(b"/x\n", device.succeeds("ls", "-R"))
        self.assertEqual(1, len(device.succeeds("versions", "/x").splitlines()))
        self.assertEqual(201, device.http_file("PUT", "/new", b"whole")[0])

    def test_too_large(self) -> None:
        """6, too-large, and 413: an announced size, and a stdin that never ends; nothing is stored."""
        device = self.device(settings='max_file_size = "100 kB"\nchunk_threshold = 0\n')
        device.succeeds("put", "-", "/small", given=b"x" * 100_000)
        file = self.write("large", b"x" * 200_000)
        self.refused(device, 6, "too-large", "at most", "put", file, "/")
        device.start()
        self.refused(device, 6, "too-large", "at most", "put", "-", "/endless", given=b"x" * 3_000_000)
        self.refused_over_http(device.http_file("PUT", "/large", b"x" * 200_000), 413, "too-large", "at most")
        self.assertEqual(b"/small\n", device.succeeds("ls"))


class FolderTests(EndToEndCase):
    """A folder at a real server with which something is the matter."""

    def test_full(self) -> None:
        """6, quota-exceeded, and 507: make room. What is there stays readable and can be removed."""
        server = self.dovecot(IFAP_DOVECOT_QUOTA="200K")
        folder = servers.fresh_folder()
        device = self.device(settings=self.account(server, folder, key_file=self.write("key", KEY)))
        file = self.write("file", os.urandom(60_000))
        device.succeeds("put", file, "/1")
        device.succeeds("put", file, "/2")
        before = Mailbox(server, folder).messages()
        remedy = "Make room in the mailbox"
        self.refused(device, 6, "quota-exceeded", remedy, "put", file, "/3")
        device.start()
        self.refused(device, 6, "quota-exceeded", remedy, "put", file, "/3")
        self.refused_over_http(device.http_file("PUT", "/3", file.read_bytes()), 507, "quota-exceeded", remedy)
        self.assertEqual(before, Mailbox(server, folder).messages())
        self.assertEqual(file.read_bytes(), device.succeeds("cat", "/2"))
        device.succeeds("rm", "/1")
        self.assertEqual(b"/2\n", device.succeeds("ls"))

    def test_cut_connection(self) -> None:
        """A server that closes in the middle of a put: the file is there wholly or not at all, and never twice."""
        server = self.dovecot()
        for name in ("alone", "node"):
            folder = servers.fresh_folder()
            relay = Relay(server.host, server.port, 300_000)
            self.addCleanup(relay.stop)
            url = f"imap://{server.user}@127.0.0.1:{relay.port}"
            key = self.write("key", KEY)
            device = self.device(name, self.account(server, folder, url=url, key_file=key))
            if name == "node":
                device.start()
            data = os.urandom(1_000_000)
            done = device.ifap("put", "-", "/x", given=data)
            self.assertTrue(relay.was_cut.is_set())
            self.assertIn(done.returncode, {0, 8}, done.stderr)
            if done.returncode == 0 or device.ifap("ls", "/x").returncode == 0:
                self.assertEqual(data, device.succeeds("cat", "/x"))
                self.assertEqual(1, len(device.succeeds("versions", "/x").splitlines()))
            device.succeeds("put", "-", "/after", given=b"goes on")
            self.assertEqual(b"goes on", device.succeeds("cat", "/after"))

    def test_foreign_mail(self) -> None:
        """Foreign and plaintext messages are counted and told of, never shown as files, and never touched."""
        server, folder = self.dovecot(), servers.fresh_folder()
        mailbox = Mailbox(server, folder)
        mailbox.add(FOREIGN)
        device = self.device(settings=self.account(server, folder, key_file=self.write("key", KEY)))
        device.succeeds("put", "-", "/x", given=b"data")
        mailbox.add(PLAINTEXT.read_bytes())
        before = mailbox.messages()
        path = "/docs/hello.txt"  # what the plaintext message says that it is
        self.one_plaintext_one_foreign(device.json("status"))
        self.refused(device, 3, "not-found", path, "cat", path)
        device.start()
        eventually(lambda: device.status()["state"] == "connected")
        self.one_plaintext_one_foreign(device.status())
        self.refused(device, 3, "not-found", path, "cat", path)
        self.refused_over_http(device.http_file("GET", path), 404, "not-found", path)
        self.assertEqual(b"/x\n", device.succeeds("ls", "-R"))
        device.succeeds("put", "-", path, given=b"ours")
        device.succeeds("rm", "-r", "/docs")
        device.succeeds("rm", "/x")
        self.assertEqual(before, mailbox.messages()[: len(before)])

    def one_plaintext_one_foreign(self, status: dict[str, object]) -> None:
        """What a status says of the folder."""
        self.assertEqual(("connected", 1, 1), (status["state"], status["foreign"], status["damaged"]))
        warnings = status["warnings"]
        assert isinstance(warnings, list)
        self.assertEqual(["plaintext"], [warning["code"] for warning in warnings])
