"""``ifap rekey --revoke`` at a real mail server: who has only what led to the former key is out (FORMAT 8.5)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.end_to_end.devices import Device
from tests.end_to_end.test_new_device import NewDeviceCase
from tests.live import servers


class RevokeTests(NewDeviceCase):
    """A device was stolen; the others go on."""

    def setUp(self) -> None:
        super().setUp()
        self.settings = self.account(self.dovecot(), servers.fresh_folder())

    def account_settings(self) -> str:
        """A folder of a Dovecot."""
        return self.settings

    def key_of(self, device: Device) -> str:
        key = device.succeeds("info", "--show-key").decode().strip()
        self.secrets.add(key)
        return key

    def code_of(self, device: Device, name: str, *options: str) -> Path:
        code = self.write(name, device.succeeds("recovery", "--print", *options))
        self.secrets |= {row for row in code.read_text().splitlines() if row}
        return code

    def test_with_a_passphrase(self) -> None:
        """The former key, passphrase and code lead nowhere; the new passphrase brings a device back."""
        first, second = self.first(), self.second()
        former = self.key_of(first)
        first.succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        code = self.code_of(first, "code", "--passphrase-file", str(self.passphrase))
        second.succeeds("login", "--passphrase-file", self.passphrase)
        self.reads_everything(second, passphrase=self.passphrase)
        again = ("rekey", "--revoke", "--passphrase-file", self.passphrase)
        without = first.ifap(*again)
        self.assertEqual((2, True), (without.returncode, b"--new-passphrase-file" in without.stderr), without.stderr)
        same = (*again, "--new-passphrase-file", self.passphrase)
        self.refused(first, 1, "caller-error", "another one", *same)
        self.reads_everything(second)  # nothing was done
        done = json.loads(first.succeeds("--json", *again, "--new-passphrase-file", self.other))
        self.assertEqual((done["drawn"], done["failed"], done["left"]), (True, [], 0))
        self.reads_everything(first, passphrase=self.other)
        self.assertNotEqual(former, self.key_of(first))
        self.assertEqual("wrapped", first.json("info")["key"])
        for verb in (("cat", "/a.txt"), ("put", "-", "/late.txt"), ("login",)):
            self.refused(second, 9, "key-changed", "ifap login", *verb)
        stolen = {"third": ("--passphrase-file", self.passphrase), "fourth": ("--recovery-code-file", code)}
        stolen["fifth"] = ("--key-file", self.write("former", former.encode() + b"\n"))
        for name, way in stolen.items():
            refused = self.second(name).ifap("login", *way)
            self.assertIn(refused.returncode, (7, 9), (name, refused.stderr))
        (second.basedir / "ifap.toml").write_text(self.account_settings())
        second.succeeds("login", "--passphrase-file", self.other)
        self.reads_everything(second, passphrase=self.other)
        self.assertEqual(self.key_of(second), self.key_of(first))
        second.succeeds("put", "-", "/a.txt", given=b"new")
        self.assertEqual(b"new", first.succeeds("cat", "/a.txt"))
        self.assertEqual([], [one for one in first.json("status")["warnings"] if one["code"] != "no-checkup"])
        new = self.code_of(first, "new-code")
        sixth = self.second("sixth")
        sixth.succeeds("login", "--recovery-code-file", new)
        self.assertEqual(b"new", sixth.succeeds("cat", "/a.txt"))

    def test_a_node_stops(self) -> None:
        """One that runs with the former key says so, writes nothing, and goes on after a login with the new one."""
        first, second = self.first(), self.second()
        second.succeeds("login", "--key-file", self.write("key", self.key_of(first).encode() + b"\n"))
        second.start()
        self.reads_everything(second)
        first.succeeds("rekey", "--revoke")
        self.refused(second, 9, "key-changed", "ifap login", "put", "-", "/late.txt", given=b"late")
        self.assertIn("key-changed", {one["code"] for one in second.status()["warnings"]})
        self.refused(second, 9, "key-changed", "ifap login", "cat", "/a.txt")
        second.kill(15)
        second.succeeds("login", "--key-file", self.write("new", self.key_of(first).encode() + b"\n"))
        second.start()
        self.reads_everything(second)
        second.succeeds("put", "-", "/late.txt", given=b"late")
        self.assertEqual(b"late", first.succeeds("cat", "/late.txt"))
