"""The first five minutes of a user, on the embedded account and on a real server, and a second device."""

from __future__ import annotations

import json
import threading

from tests.end_to_end.devices import Device, EndToEndCase, eventually
from tests.end_to_end.mailboxes import Mailbox
from tests.live import servers

README = b"ifap-twisted\n============\nAn IMAP account is the one cloud storage that nearly everybody has.\n" * 60
NAMES = (b"README", b"project", b"ifap-twisted", b"cloud storage")


class FirstMinutesTests(EndToEndCase):
    """put, ls, cat, curl; kill -9; and everything is there."""

    def tour(self, device: Device) -> None:
        """What README.rst tells to type."""
        file = self.write("README.rst", README, 0o644)
        shown = device.succeeds("put", file, "/project/").decode()
        self.assertRegex(shown, r"\A/project/README.rst [\w-]{22}\n\Z")
        version = shown.split()[1]
        listed = device.succeeds("ls", "-l", "/project").decode()
        self.assertRegex(listed, rf"-rw-r--r-- +{len(README)} .*{version} +1/5  /project/README.rst\n\Z")
        self.everything_is_there(device)

    def everything_is_there(self, device: Device) -> None:
        """By the command line and over HTTP."""
        self.assertEqual(README, device.succeeds("cat", "/project/README.rst"))
        self.assertEqual((200, README), device.http_file("GET", "/project/README.rst"))
        self.assertEqual(401, device.http("GET", "/v1/files/project/README.rst", token="wrong")[0])

    def killed_and_started(self, device: Device) -> None:
        """End the node with kill -9 while files are being put: all that was acknowledged is there afterwards."""
        acknowledged: list[str] = []
        enough = threading.Event()

        def put_on() -> None:
            try:
                for number in range(10_000):
                    status, _content = device.http_file("PUT", f"/many/{number}", b"%d" % number * 100)
                    if status in {200, 201}:
                        acknowledged.append(str(number))
                    if len(acknowledged) == 20:
                        enough.set()
            except OSError:  # the node is gone
                return

        putting = threading.Thread(target=put_on)
        before = device.token
        putting.start()
        self.assertTrue(enough.wait(60))
        device.kill()
        putting.join(60)
        device.start()
        self.assertNotEqual(before, device.token)
        self.everything_is_there(device)
        found = json.loads(device.http("GET", "/v1/list/many")[1])["entries"]
        self.assertLessEqual({f"/many/{number}" for number in acknowledged}, {entry["path"] for entry in found})
        self.assertLessEqual(len(found), len(acknowledged) + 1)  # the one under way may be there, wholly
        for entry in found:
            self.assertEqual(200, device.http_file("GET", entry["path"])[0])

    def test_embedded(self) -> None:
        """With nothing but this machine."""
        device = self.device()
        device.start()
        self.tour(device)
        self.killed_and_started(device)
        device.kill()
        self.assertEqual(README, device.succeeds("cat", "project/README.rst"))  # and without a node

    def test_real_server(self) -> None:
        """At a real server over TLS, after a login; another mail program sees sealed messages only."""
        server, folder = self.dovecot(), servers.fresh_folder()
        device = self.device()
        word = self.write("password", server.password.encode())
        url = f"imaps://{server.user}@localhost:{server.tlsport}"
        options = ("--password-file", word, "--ca-file", server.cafile, "--folder", folder)
        told = device.succeeds("login", "--account", url, *options).decode()
        self.assertIn(f"Logged in to {url}, folder {folder}.", told)
        device.start()
        self.tour(device)
        self.killed_and_started(device)
        messages = Mailbox(server, folder).messages()
        self.assertGreater(len(messages), 20)
        for message in messages:
            self.assertIn(b"Subject: [IFAP] File Storage\r\n", message)
            for name in NAMES:
                self.assertNotIn(name, message)


class TwoDevicesTests(EndToEndCase):
    """Two nodes, each with a basedir of its own, on one folder."""

    def setUp(self) -> None:
        """Both run; one by IMAPS, the other by STARTTLS."""
        super().setUp()
        server, folder = self.dovecot(), servers.fresh_folder()
        key = self.write("key", b"b1FuZ2xTT05rRzVuc2dkTHp3bGprZG5mZ3M4NzZzZGY=")
        self.secrets.add(key.read_text())
        self.one = self.device("one", self.account(server, folder, key_file=key))
        url = f"imap://{server.user}@localhost:{server.port}"
        settings = self.account(server, folder, url=url, key_file=key, ca_file=server.cafile)
        self.other = self.device("other", settings)
        for device in (self.one, self.other):
            device.start()

    def test_news(self) -> None:
        """Each sees within seconds what the other one wrote and removed."""
        for writer, reader in ((self.one, self.other), (self.other, self.one)):
            writer.succeeds("put", "-", "/news", given=writer.basedir.name.encode())
            eventually(lambda reader=reader, writer=writer: self.seen(reader) == writer.basedir.name.encode())
        self.one.succeeds("rm", "/news")
        eventually(lambda: self.other.http_file("GET", "/news")[0] == 404)

    def seen(self, device: Device) -> bytes:
        """What a device reads now."""
        return device.http_file("GET", "/news")[1]

    def test_conflict(self) -> None:
        """Simultaneous writes to one file end as a conflict that both report, with both contents, until resolved."""
        path = eventually(self.collision)
        for device in (self.one, self.other):
            eventually(lambda device=device: device.status()["conflicts"] == 1)
            told = device.succeeds("--json", "conflicts").splitlines()
            heads = [json.loads(line) for line in told]
            self.assertEqual({path}, {head["path"] for head in heads})
            contents = {device.succeeds("cat", "--version", head["version"], path) for head in heads}
            self.assertEqual({b"one", b"other"}, contents)
        kept = heads[0]["version"]
        content = self.one.succeeds("cat", "--version", kept, path)
        self.one.succeeds("resolve", path, "--keep", kept)
        eventually(lambda: self.other.status()["conflicts"] == 0)
        self.assertEqual((200, content), self.other.http_file("GET", path))

    def collision(self) -> str | None:
        """Two puts at the same moment; the path when neither knew of the other one."""
        self.tries = getattr(self, "tries", 0) + 1
        path = f"/shared/{self.tries}"
        ready = threading.Barrier(2)

        def put(device: Device) -> None:
            ready.wait(60)
            device.http_file("PUT", path, device.basedir.name.encode())

        threads = [threading.Thread(target=put, args=(device,)) for device in (self.one, self.other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for device in (self.one, self.other):
            self.assertEqual(0, device.ifap("sync").returncode)
        return path if self.one.status()["conflicts"] else None
