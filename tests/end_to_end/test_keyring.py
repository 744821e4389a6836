"""``ifap login --keyring`` and after: verbs and a node take the passphrase from the keyring of the system.

What stands for the package keyring, and for the system's keyring, is a module of the test's own.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.end_to_end.test_new_device import FILES, OTHER, PASSPHRASE, NewDeviceCase

PACKAGE = """
import json
from pathlib import Path

FILE = Path(__file__).with_name("entries.json")

class Backend:
    priority = 5

    def entries(self):
        if FILE.with_name("locked").exists():
            raise RuntimeError("the keyring is locked")
        return json.loads(FILE.read_text()) if FILE.exists() else {}

    def get_password(self, service, username):
        return self.entries().get(f"{service}: {username}")

    def set_password(self, service, username, password):
        FILE.write_text(json.dumps({**self.entries(), f"{service}: {username}": password}))

    def delete_password(self, service, username):
        entries = self.entries()
        del entries[f"{service}: {username}"]
        FILE.write_text(json.dumps(entries))

def get_keyring():
    return Backend()
"""


class KeyringTests(NewDeviceCase):
    """A folder with a passphrase, and a device on a machine with a keyring."""

    def setUp(self) -> None:
        super().setUp()
        self.package = self.home / "site" / "keyring.py"
        self.package.parent.mkdir()
        self.package.write_text(PACKAGE)

    def environment(self, **more: str) -> dict[str, str]:
        """What a process is given: the package is found."""
        found = super().environment(**more)
        return {**found, "PYTHONPATH": f"{self.package.parent}:{found['PYTHONPATH']}", "PYTHONDONTWRITEBYTECODE": "1"}

    def entries(self) -> dict[str, str]:
        """What is in the keyring."""
        file = self.package.with_name("entries.json")
        found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def test_a_life(self) -> None:
        """Kept at a login, taken by verbs and a node, changed with the passphrase, removed when it is not wanted."""
        self.first().succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        device = self.second()
        device.succeeds("login", "--keyring", "--passphrase-file", self.passphrase)
        name = f"ifap-twisted: maildir://{self.home}/mail IFAP_DATA in {Path(device.basedir).resolve()}"
        self.assertEqual(self.entries(), {name: PASSPHRASE})
        self.reads_everything(device)
        self.assertNotIn(PASSPHRASE.encode(), self.clear_keys(device))
        self.assertEqual(device.json("info")["key"], "wrapped")
        device.succeeds("info", "--show-key")
        device.succeeds("passphrase", "--new-passphrase-file", self.other)
        self.assertEqual(self.entries(), {name: OTHER})
        device.start()
        self.assertEqual(FILES["/a.txt"], device.succeeds("cat", "/a.txt"))
        device.kill()
        device.succeeds("login", "--no-keyring", "--passphrase-file", self.other)
        self.assertEqual(self.entries(), {})
        self.assertEqual(device.ifap("cat", "/a.txt").returncode, 2)

    def test_forgotten_with_the_key(self) -> None:
        """``logout --forget-key`` leaves nothing in the keyring."""
        device = self.second()
        device.succeeds("login", "--keyring", "--passphrase-file", self.passphrase)
        self.assertEqual(len(self.entries()), 1)
        device.succeeds("logout", "--forget-key", "--yes")
        self.assertEqual(self.entries(), {})

    def test_locked(self) -> None:
        """7, passphrase-required, without a terminal; with one the passphrase is asked for."""
        device = self.second()
        device.succeeds("login", "--keyring", "--passphrase-file", self.passphrase)
        self.package.with_name("locked").touch()
        self.refused(device, 7, "passphrase-required", "is it unlocked?", "ls", "/")
        self.basedir = device.basedir
        status, screen = self.at_terminal("ls", "/", says=[(b"Passphrase of the folder", PASSPHRASE.encode() + b"\n")])
        self.assertEqual((0, True), (status, b"is it unlocked?" in screen), screen)

    def test_not_installed(self) -> None:
        """2, bad-settings: what to install is said before anything is asked or written."""
        self.package.write_text("raise ImportError('no such package')")
        device = self.second()
        install = "pip install 'ifap-twisted[keyring]'"
        self.refused(device, 2, "bad-settings", install, "login", "--keyring", "--passphrase-file", self.passphrase)
        self.assertFalse((device.basedir / "key.json").exists())

    def test_usage(self) -> None:
        """A key or a recovery code is nothing for the keyring: 2."""
        device = self.second()
        for way in ("--key-file", "--recovery-code-file"):
            self.assertEqual(device.ifap("login", "--keyring", way, self.passphrase).returncode, 2)
