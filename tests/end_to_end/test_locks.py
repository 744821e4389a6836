"""Locks between two basedirs at a real server, with processes that end and are killed (FORMAT 10, R14)."""

from __future__ import annotations

import json

from ifap_twisted.platforms import user_and_host
from tests.end_to_end.devices import Device, EndToEndCase, eventually
from tests.live import servers


class LockTests(EndToEndCase):
    """One device locks, the other waits for it."""

    def setUp(self) -> None:
        """Two devices on a folder of Dovecot, and a file."""
        super().setUp()
        server, folder = self.dovecot(), servers.fresh_folder()
        key = self.write("key", b"b1FuZ2xTT05rRzVuc2dkTHp3bGprZG5mZ3M4NzZzZGY=")
        self.secrets.add(key.read_text())
        self.file = self.write("file", b"content", 0o644)
        self.one, self.two = (self.device(name, self.account(server, folder, key_file=key)) for name in ("one", "two"))
        self.one.succeeds("put", self.file, "/a")

    def locked_for(self, device: Device) -> None:
        """It cannot change the file, and is told whose the lock is."""
        self.refused(device, 5, "locked", user_and_host(), "put", self.file, "/a")
        self.refused(device, 5, "locked", user_and_host(), "rm", "/a")

    def test_verbs_of_one_basedir_are_one_holder(self) -> None:
        """Without a node: a lock outlives the verb that took it, and the next verb writes under it."""
        self.one.succeeds("lock", "/a")
        self.locked_for(self.two)
        self.assertEqual(b"content", self.two.succeeds("cat", "/a"))
        self.two.succeeds("put", self.file, "/added")
        self.one.succeeds("put", self.file, "/a")
        (lock,) = [json.loads(line) for line in self.two.succeeds("--json", "locks").splitlines()]
        self.assertEqual(("/a", False), (lock["path"], lock["mine"]))
        self.refused(self.two, 5, "locked", user_and_host(), "unlock", "/a")
        self.two.succeeds("unlock", "--force", "/a")
        self.two.succeeds("put", self.file, "/a")
        self.assertEqual(b"", self.one.succeeds("locks"))
        done = self.one.ifap("put", self.file, "/a")
        self.assertEqual((5, b""), (done.returncode, done.stdout))
        self.assertIn(b"The lock of this device on it is over", done.stderr)
        self.one.succeeds("put", self.file, "/a")

    def test_a_killed_holder_is_survived_by_its_lease_only(self) -> None:
        """The node that held it is killed; a verb of the other device has the file when the lease is over."""
        self.one.start()
        headers = {"Content-Type": "application/json"}
        self.assertEqual(200, self.one.http("POST", "/v1/locks/a", b'{"seconds": 3}', headers=headers)[0])
        self.one.kill()
        eventually(lambda: self.two.ifap("put", self.file, "/a").returncode == 0)
        self.assertEqual(b"", self.two.succeeds("conflicts"))
        self.two.succeeds("lock", "/a")
        done = self.one.ifap("put", self.file, "/a")
        self.assertEqual((5, True), (done.returncode, b"The lock of this device on it is over" in done.stderr))
        self.locked_for(self.one)

    def test_a_node_and_a_program_beside_it(self) -> None:
        """What goes through the node is the holder's; without its lock nothing is in the way."""
        self.one.start()
        self.one.succeeds("lock", "/a", "--seconds", "600")
        self.assertEqual(200, self.one.http_file("PUT", "/a", b"by the node")[0])
        self.locked_for(self.two)
        self.one.succeeds("unlock", "/a")
        self.two.succeeds("put", self.file, "/a")
        self.one.succeeds("sync")
        self.assertEqual(b"content", self.one.succeeds("cat", "/a"))
