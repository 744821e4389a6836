"""``ifap rekey``: whatever opened the folder before opens it afterwards (FORMAT 8.5)."""

from __future__ import annotations

import json

from tests.end_to_end.devices import Device
from tests.end_to_end.test_new_device import NewDeviceCase


class RekeyTests(NewDeviceCase):
    """A change of the key, with the programs that people run."""

    def key_of(self, device: Device) -> str:
        key = device.succeeds("info", "--show-key").decode().strip()
        self.secrets.add(key)
        return key

    def test_everything_that_opened_it(self) -> None:
        """Another device, the passphrase, the recovery code and the former key lead to the new one."""
        first = self.first()
        former = self.key_of(first)
        first.succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        code = self.write("code", first.succeeds("recovery", "--print", "--passphrase-file", self.passphrase))
        self.secrets |= {row for row in code.read_text().splitlines() if row}
        second = self.second()
        second.succeeds("login", "--passphrase-file", self.passphrase)
        self.reads_everything(second, passphrase=self.passphrase)
        done = json.loads(first.succeeds("--json", "rekey", "--passphrase-file", self.passphrase))
        self.assertEqual((done["drawn"], done["failed"]), (True, []))
        self.assertGreaterEqual(done["sealed"], 2)
        self.reads_everything(first, passphrase=self.passphrase)
        newest = self.key_of(first)
        self.assertNotEqual(newest, former)
        self.assertEqual("wrapped", first.json("info")["key"])
        kept = json.loads((first.basedir / "key.json").read_text())["entries"][0]
        self.assertEqual([], kept.get("earlier_wrapped", []))
        self.reads_everything(second)
        self.assertEqual(self.key_of(second), newest)
        ways = {"third": ("--passphrase-file", self.passphrase), "fourth": ("--recovery-code-file", code)}
        ways["fifth"] = ("--key-file", self.write("former", former.encode() + b"\n"))
        for name, way in ways.items():
            device = self.second(name)
            device.succeeds("login", *way)
            self.reads_everything(device, passphrase=self.passphrase if name == "third" else None)
            self.assertEqual(self.key_of(device), newest, name)
        second.succeeds("put", "-", "/a.txt", given=b"new")
        self.assertEqual(b"new", first.succeeds("cat", "/a.txt"))
        self.assertEqual(2, len(first.succeeds("versions", "/a.txt").splitlines()))

    def test_a_clear_folder(self) -> None:
        """It is refused where there is no key."""
        device = self.device("clear", self.account_settings() + 'encryption = "off"\n')
        device.succeeds("login")
        self.refused(device, 7, "not-supported", "not encrypted", "rekey")
