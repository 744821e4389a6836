"""Writes that are queued while the mail server is away, with real processes, a real server and SIGKILL (DESIGN 4.2)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.end_to_end.devices import Device, EndToEndCase, eventually
from tests.examples.line import Line
from tests.live import servers


class QueuedTests(EndToEndCase):
    """A device behind a line that is cut for a while."""

    def setUp(self) -> None:
        """The device knows the folder."""
        super().setUp()
        self.server = self.dovecot()
        self.line = Line(self.server.host, self.server.port)
        self.addCleanup(self.line.close)
        url = f"imap://{self.server.user}@127.0.0.1:{self.line.port}"
        self.folder = servers.fresh_folder()
        self.mine = self.device(settings=self.account(self.server, self.folder, url=url))
        self.mine.succeeds("login")

    def source(self, content: str) -> Path:
        """A local file."""
        return self.write("source", content.encode())

    def versions(self, path: str) -> list[str]:
        """What all versions of a path hold, newest first."""
        told = self.mine.succeeds("--json", "versions", path).splitlines()
        found = [json.loads(line)["version"] for line in told]
        return [self.mine.succeeds("cat", "--version", version, path).decode() for version in found]

    def node_says(self, state: str) -> bool:
        """Whether the status of the node says so."""
        return bool(self.mine.status()["state"] == state)

    def uploaded(self) -> bool:
        """``ifap status`` says that everything is."""
        return self.mine.ifap("status").returncode == 0

    def test_through_a_node_that_is_killed_twice(self) -> None:
        """What it accepted while the line was cut is there once, in order, whatever became of the process."""
        self.mine.start()
        self.mine.succeeds("put", self.source("0"), "/a")
        self.line.cut()
        eventually(lambda: self.node_says("offline"))
        done = self.mine.ifap("put", "--queue", self.source("1"), "/a")
        self.assertEqual((0, b""), (done.returncode, done.stdout))
        self.assertIn(b"/a accepted, pending", done.stderr)
        code, content = self.mine.http("PUT", "/v1/files/b?queue=1", b"over HTTP")
        self.assertEqual((202, True), (code, json.loads(content)["pending"]))
        self.mine.kill()
        self.mine.start()
        eventually(lambda: self.mine.status()["pending"] == 2)
        self.assertEqual(8, self.mine.ifap("status").returncode)
        self.assertIn("ifap_pending 2.0", self.mine.http("GET", "/metrics")[1].decode())
        self.mine.succeeds("put", "--queue", self.source("2"), "/a")
        self.mine.kill()
        self.line.mend()
        self.mine.start()
        eventually(self.uploaded)
        self.assertEqual(["2", "1", "0"], self.versions("/a"))
        self.assertEqual(["over HTTP"], self.versions("/b"))
        self.assertEqual(0, self.mine.status()["conflicts"])
        self.assertEqual([], list((self.mine.basedir / "journal").glob("*.pending")))
        self.mine.kill()
        self.mine.start()
        self.assertEqual(["over HTTP"], self.versions("/b"))

    def test_without_a_node(self) -> None:
        """A verb by itself accepts it, ``status`` tells, and the next verb that reaches the server sends it."""
        self.line.cut()
        self.mine.succeeds("put", "--queue", self.source("1"), "/a")
        self.mine.succeeds("put", "--queue", self.source("2"), "/a")
        done = self.mine.ifap("status")
        self.assertEqual(8, done.returncode)
        self.assertIn(b"Not everything is uploaded: 2 writes wait for the mail server.", done.stdout)
        done = self.mine.ifap("put", self.source("3"), "/a")
        self.assertEqual((8, b""), (done.returncode, done.stdout))
        self.line.mend()
        self.assertEqual(b"2", self.mine.succeeds("cat", "/a"))
        self.assertTrue(self.uploaded())
        self.assertEqual(["2", "1"], self.versions("/a"))

    def test_asking_for_the_status_sends_it(self) -> None:
        """Who waits until everything is uploaded does not wait for ever, though no node runs."""
        self.line.cut()
        self.mine.succeeds("put", "--queue", self.source("1"), "/a")
        self.line.mend()
        done = self.mine.succeeds("status")
        self.assertTrue(done.startswith(b"Everything is uploaded."), done)

    def test_what_is_on_the_server_stays(self) -> None:
        """A verb that has not seen the folder and replaces a file: both versions stay, and it is reported."""
        self.mine.succeeds("put", self.source("there"), "/a")
        self.line.cut()
        self.mine.succeeds("put", "--queue", self.source("unseen"), "/a")
        self.line.mend()
        self.mine.succeeds("sync")
        done = self.mine.succeeds("conflicts")
        self.assertEqual(2, done.count(b"\n"), done)
        self.assertEqual({"there", "unseen"}, set(self.versions("/a")))

    def test_under_a_lock_that_is_broken_meanwhile(self) -> None:
        """A verb knows the lock that an earlier one took: what it queued comes too late, and is never current."""
        self.mine.succeeds("put", self.source("there"), "/a")
        self.mine.succeeds("lock", "/a", "--seconds", "600")
        self.line.cut()
        self.mine.succeeds("put", "--queue", self.source("too late"), "/a")
        key = self.write("key", self.mine.succeeds("info", "--show-key"))
        self.secrets.add(key.read_text().strip())
        other = self.device("other", settings=self.account(self.server, self.folder, key_file=key))
        other.succeeds("unlock", "--force", "/a")
        other.succeeds("put", self.source("in between"), "/a")
        self.line.mend()
        self.mine.succeeds("sync")
        self.assertEqual(b"in between", self.mine.succeeds("cat", "/a"))
        self.assertEqual({"there", "too late", "in between"}, set(self.versions("/a")))
        self.assertEqual(1, self.mine.json("status")["conflicts"])
        self.assertEqual(5, self.mine.ifap("unlock", "/a").returncode)

    def test_a_device_that_never_saw_the_folder(self) -> None:
        """It accepts nothing."""
        other: Device = self.device("other", settings=(self.mine.basedir / "ifap.toml").read_text().split("\n", 1)[1])
        self.line.cut()
        done = other.ifap("put", "--queue", self.source("1"), "/a")
        self.assertEqual((8, b""), (done.returncode, done.stdout))
