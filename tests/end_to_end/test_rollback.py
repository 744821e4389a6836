"""A server that shows an older state to the next process is found out by it (FORMAT 9.1; bar R10)."""

from __future__ import annotations

import contextlib
import imaplib
import json
from collections.abc import Iterator

from tests.end_to_end.devices import Device, EndToEndCase
from tests.service.basedirs import free_port

FOLDER = "MINE"


class RollbackTests(EndToEndCase):
    """A device whose folder is at the embedded server of another basedir, and a mail program that removes messages."""

    def setUp(self) -> None:
        """A server, a device on it, and a file in two versions."""
        super().setUp()
        self.port = free_port()
        self.server = self.device("server", f'embedded_listen = "tcp:{self.port}:interface=127.0.0.1"\n')
        self.server.start()
        self.server.succeeds("ls")
        self.password = self.server.succeeds("info", "--show-password").decode().strip()
        self.secrets.add(self.password)
        word = self.write("word", self.password.encode())
        account = f'account = "imap://ifap@127.0.0.1:{self.port}"\nfolder = "{FOLDER}"\npassword_file = "{word}"\n'
        self.one = self.device("one", account)
        self.one.succeeds("login")
        self.old = self.put(self.one, b"old")
        self.new = self.put(self.one, b"new")

    def put(self, device: Device, content: bytes) -> str:
        """A process stores the file; the version."""
        version: str = json.loads(device.succeeds("--json", "put", "-", "/a", given=content))["version"]
        return version

    @contextlib.contextmanager
    def mailbox(self) -> Iterator[imaplib.IMAP4]:
        """As any mail program opens it."""
        with imaplib.IMAP4("127.0.0.1", self.port) as imap:
            imap.login("ifap", self.password)
            imap.select(FOLDER)
            yield imap

    def remove(self, count: int) -> list[bytes]:
        """A mail program removes the newest messages: what they were, oldest first."""
        with self.mailbox() as imap:
            uids = imap.uid("SEARCH", "ALL")[1][0].split()[-count:]
            messages = [imap.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1] for uid in uids]
            imap.uid("STORE", b",".join(uids), "+FLAGS", r"(\Deleted)")
            imap.expunge()
        return messages

    def told(self, device: Device) -> list[tuple[str, str | None]]:
        """What the status warns of."""
        return [(one["code"], one["path"]) for one in device.json("status")["warnings"]]

    def test_the_newest_version_is_removed(self) -> None:
        """Every later verb says so, until the file is restored."""
        self.remove(1)
        for _ in range(2):
            self.assertEqual([("rolled-back", "/a")], self.told(self.one))
            self.refused(self.one, 7, "rolled-back", "older state", "cat", "/a")
        self.assertEqual(b"old", self.one.succeeds("cat", "--version", self.old, "/a"))
        self.one.succeeds("restore", "/a", "--version", self.old)
        self.assertEqual([], self.told(self.one))
        self.assertEqual(b"old", self.one.succeeds("cat", "/a"))

    def test_the_removal_is_removed(self) -> None:
        """The file does not come back, and to remove it again settles that."""
        self.one.succeeds("rm", "/a")
        self.remove(1)
        self.assertEqual([("rolled-back", "/a")], self.told(self.one))
        self.assertEqual(b"", self.one.succeeds("ls"))
        self.one.succeeds("rm", "/a")
        self.assertEqual([], self.told(self.one))

    def test_the_message_comes_back(self) -> None:
        """The alarm ends by itself; so it does in a node that runs."""
        (message,) = self.remove(1)
        self.one.start()
        self.refused(self.one, 7, "rolled-back", "older state", "cat", "/a")
        self.assertEqual([("rolled-back", "/a")], [(one["code"], one["path"]) for one in self.one.status()["warnings"]])
        self.assertEqual(502, self.one.http_file("GET", "/a")[0])
        with self.mailbox() as imap:
            imap.append(FOLDER, "", "", message)
        self.one.succeeds("sync")
        self.assertEqual((200, b"new"), self.one.http_file("GET", "/a"))
        self.assertEqual([], self.one.status()["warnings"])

    def test_everything_is_removed(self) -> None:
        """Nothing is taken for removed; a node that is killed has not forgotten it."""
        self.remove(3)
        self.assertEqual([("rolled-back", "/a")], self.told(self.one))
        self.one.start()
        self.one.kill()
        self.assertEqual([("rolled-back", "/a")], self.told(self.one))
        (entry,) = [json.loads(line) for line in self.one.succeeds("--json", "ls").splitlines()]
        self.assertTrue(entry["missing"])

    def test_what_was_seen_is_lost(self) -> None:
        """It is said that an older state cannot be noticed."""
        (self.one.basedir / "seen.sqlite").unlink()
        self.remove(1)
        self.assertEqual([("marks-lost", None)], self.told(self.one))
        self.assertEqual(b"old", self.one.succeeds("cat", "/a"))
        self.assertEqual([("marks-lost", None)], self.told(self.one))
