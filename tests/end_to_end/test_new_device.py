"""A new device needs the account and a passphrase or a recovery code, and nothing that the first device has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.end_to_end.devices import Device, EndToEndCase
from tests.end_to_end.mailboxes import Mailbox
from tests.live import servers

PASSPHRASE = "vier Gurken tanzen am Kanal"
OTHER = "seven grey herons play chess"
FILES = {"/a.txt": b"one\n", "/deep/er/b.bin": bytes(range(256)) * 40}


class NewDeviceCase(EndToEndCase):
    """A folder with files of a first device."""

    def setUp(self) -> None:
        super().setUp()
        self.secrets |= {PASSPHRASE, OTHER}
        self.passphrase = self.write("passphrase", PASSPHRASE.encode() + b"\n")
        self.other = self.write("other", OTHER.encode() + b"\n")

    def account_settings(self) -> str:
        """The account that all devices use."""
        (self.home / "mail").mkdir(exist_ok=True)
        return f'account = "maildir://{self.home}/mail"\n'

    def first(self) -> Device:
        """A device that made the folder and wrote the files."""
        device = self.device("first", self.account_settings())
        device.succeeds("login")
        for path, content in FILES.items():
            device.succeeds("put", "-", path, given=content)
        self.secrets.add(device.succeeds("info", "--show-key").decode().strip())
        return device

    def second(self, name: str = "second") -> Device:
        """A device that has the account only."""
        return self.device(name, self.account_settings())

    def reads_everything(self, device: Device, *, passphrase: Path | None = None) -> None:
        """All files are there; where the key is kept under a passphrase, it comes from this file."""
        if passphrase is not None:
            with (device.basedir / "ifap.toml").open("a") as file:
                file.write(f"passphrase_file = {json.dumps(str(passphrase))}\n")
        for path, content in FILES.items():
            self.assertEqual(content, device.succeeds("cat", path))

    def clear_keys(self, device: Device) -> bytes:
        """All of the basedir, in which a key in clear would be found."""
        return b"".join(path.read_bytes() for path in device.basedir.rglob("*") if path.is_file())


class PassphraseTests(NewDeviceCase):
    """``ifap passphrase``, and a login with it."""

    def test_account_and_passphrase_only(self) -> None:
        """The new device reads everything, and keeps the key under the passphrase."""
        first = self.first()
        key = first.succeeds("info", "--show-key").strip()
        done = first.ifap("passphrase", "--new-passphrase-file", self.passphrase)
        self.assertEqual((0, b""), (done.returncode, done.stdout), done.stderr)
        second = self.second()
        second.succeeds("login", "--passphrase-file", self.passphrase)
        for device in (first, second):
            self.assertNotIn(key, self.clear_keys(device))
            self.reads_everything(device, passphrase=self.passphrase)
            self.assertEqual("wrapped", device.json("status")["key"])
            self.assertEqual("wrapped", device.json("info")["key"])
            self.assertEqual(key, device.succeeds("info", "--show-key").strip())
        second.succeeds("put", "-", "/c", given=b"three")
        self.assertEqual(b"three", first.succeeds("cat", "/c"))

    def test_wrong_or_missing(self) -> None:
        """A wrong passphrase is 7; none is 2 and names the option; a folder without one says what to do."""
        first, second = self.first(), self.second()
        self.refused(second, 7, "key-required", "ifap passphrase", "login", "--passphrase-file", self.passphrase)
        first.succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        self.refused(second, 7, "wrong-key", "not the right one", "login", "--passphrase-file", self.other)
        missing = second.ifap("login")
        self.assertEqual((2, True), (missing.returncode, b"--passphrase-file" in missing.stderr), missing.stderr)
        without = first.ifap("cat", "/a.txt")
        self.assertEqual((2, True), (without.returncode, b"passphrase_file" in without.stderr), without.stderr)
        self.assertEqual((2, True), self.told_setting(first.ifap("info", "--show-key")))
        self.assertFalse((second.basedir / "key.json").exists())

    def told_setting(self, done: object) -> tuple[int, bool]:
        """The exit status, and whether the setting is named."""
        return done.returncode, b"passphrase_file" in done.stderr  # type: ignore[attr-defined]

    def test_weak(self) -> None:
        """A weak passphrase is 2 with the reason, in an empty folder too; nothing is changed and nothing repeated."""
        first = self.first()
        weak = self.write("weak", b"password password\n")
        before = (first.basedir / "key.json").read_bytes()
        words = "a common word"
        self.refused(first, 2, "weak-passphrase", words, "passphrase", "--new-passphrase-file", weak)
        self.assertEqual(before, (first.basedir / "key.json").read_bytes())
        fresh = self.device("fresh")
        self.refused(fresh, 2, "weak-passphrase", words, "login", "--passphrase-file", weak)
        self.secrets.add("password password")

    def test_changed(self) -> None:
        """The new one opens the folder and the former one does not; a device keeps its own until it logs in again."""
        first, second = self.first(), self.second()
        first.succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        second.succeeds("login", "--passphrase-file", self.passphrase)
        first.succeeds("passphrase", "--passphrase-file", self.passphrase, "--new-passphrase-file", self.other)
        self.reads_everything(second, passphrase=self.passphrase)
        third = self.second("third")
        self.refused(third, 7, "wrong-key", "not the right one", "login", "--passphrase-file", self.passphrase)
        third.succeeds("login", "--passphrase-file", self.other)
        self.reads_everything(third, passphrase=self.other)
        again = self.second("again")
        again.succeeds("login", "--passphrase-file", self.other)
        second.succeeds("login", "--passphrase-file", self.other)
        (second.basedir / "ifap.toml").write_text(self.account_settings())
        self.reads_everything(second, passphrase=self.other)

    def test_only_the_slot_is_written(self) -> None:
        """Files are not written anew: one message comes, one goes."""
        first = self.first()
        first.succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        before = self.messages()
        first.succeeds("passphrase", "--passphrase-file", self.passphrase, "--new-passphrase-file", self.other)
        after = self.messages()
        self.assertEqual((1, 1), (len(after - before), len(before - after)))

    def messages(self) -> set[bytes]:
        """All messages of the Maildir."""
        return {path.read_bytes() for path in (self.home / "mail").rglob("*") if path.parent.name in ("cur", "new")}

    def test_new_folder(self) -> None:
        """A login with a passphrase in an empty folder sets it: the next device needs nothing else."""
        first = self.second("first")
        first.succeeds("login", "--passphrase-file", self.passphrase)
        with (first.basedir / "ifap.toml").open("a") as file:
            file.write(f"passphrase_file = {json.dumps(str(self.passphrase))}\n")
        for path, content in FILES.items():
            first.succeeds("put", "-", path, given=content)
        self.assertEqual("wrapped", first.json("status")["key"])
        second = self.second()
        second.succeeds("login", "--passphrase-file", self.passphrase)
        self.reads_everything(second, passphrase=self.passphrase)

    def test_at_a_terminal(self) -> None:
        """The passphrase is asked for, twice when it is new, and for every verb that needs it."""
        self.first_at_terminal()
        status, screen = self.at_terminal(
            "cat", "/a.txt", says=[(b"Passphrase of the folder", PASSPHRASE.encode() + b"\n")]
        )
        self.assertEqual(0, status, screen)
        self.assertIn(b"one", screen)
        self.assertNotIn(PASSPHRASE.encode(), screen)

    def test_login_at_a_terminal(self) -> None:
        """Where a passphrase is set a login asks for it, and not for the key."""
        self.first().succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        login = ("login", "--account", f"maildir://{self.home}/mail")
        for typed, expected in ((OTHER, 7), (PASSPHRASE, 0)):
            status, screen = self.at_terminal(*login, says=[(b"Passphrase of the folder", typed.encode() + b"\n")])
            self.assertEqual(expected, status, screen)
            self.assertNotIn(typed.encode(), screen)
        self.assertIn(b"wrapped", (self.basedir / "key.json").read_bytes())

    def first_at_terminal(self) -> None:
        """Set a passphrase by hand, in the basedir of this test."""
        self.succeeds("put", "-", "/a.txt", given=b"one\n")
        typed = PASSPHRASE.encode() + b"\n"
        says = [(b"New passphrase: ", typed), (b"Once more: ", typed)]
        status, screen = self.at_terminal("passphrase", says=says)
        self.assertEqual(0, status, screen)
        wrong = [(b"Passphrase of", typed), (b"New passphrase: ", typed), (b"Once more: ", OTHER.encode() + b"\n")]
        status, screen = self.at_terminal("passphrase", says=wrong)
        self.assertEqual((2, True), (status, b"not the same" in screen), screen)

    def test_a_node(self) -> None:
        """A node without the passphrase says that it needs one; with the setting it serves."""
        first = self.first()
        first.succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        first.start()
        self.assertEqual("passphrase-required", first.status()["warnings"][0]["code"])
        self.refused(first, 7, "passphrase-required", "passphrase_file", "cat", "/a.txt")
        first.kill()
        with (first.basedir / "ifap.toml").open("a") as file:
            file.write(f"passphrase_file = {json.dumps(str(self.passphrase))}\n")
        first.start()
        self.reads_everything(first)
        self.assertEqual("wrapped", first.status()["key"])
        self.refused(first, 8, "basedir-in-use", "ifap stop", "passphrase", "--new-passphrase-file", self.other)

    def test_without_a_passphrase(self) -> None:
        """A copy of the basedir reads everything; ``status`` says that the key is kept in clear, and ``info`` too."""
        first = self.first()
        copy = self.second("copy")
        shutil.copytree(first.basedir, copy.basedir, dirs_exist_ok=True)
        self.assertIn(first.succeeds("info", "--show-key").strip(), (copy.basedir / "key.json").read_bytes())
        self.reads_everything(copy)
        self.assertEqual("clear", first.json("status")["key"])
        self.assertEqual("clear", first.json("info")["key"])
        self.assertIn(b"`ifap passphrase` sets one", first.succeeds("status"))

    def test_warned_of_a_new_key(self) -> None:
        """Who makes a key is told to keep a copy of it; with a passphrase there is no need to."""
        warned = []
        for folder, options in (("clear", []), ("wrapped", ["--passphrase-file", str(self.passphrase)])):
            done = self.second(folder).ifap("login", "--folder", folder, *options)
            self.assertEqual(0, done.returncode, done.stderr)
            warned.append(b"ifap info --show-key" in done.stderr)
        self.assertEqual([True, False], warned)

    def test_forgotten(self) -> None:
        """Who forgot the passphrase logs in with the key or a code, or lets go of the key, on the same device."""
        first = self.first()
        key = self.write("key", first.succeeds("info", "--show-key"))
        code = self.write("code", first.succeeds("recovery", "--print"))
        first.succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        first.succeeds("login", "--recovery-code-file", code)
        self.reads_everything(first)
        self.assertEqual("clear", first.json("status")["key"])
        first.succeeds("passphrase", "--new-passphrase-file", self.other)
        first.succeeds("login", "--key-file", key)
        self.reads_everything(first)
        first.succeeds("passphrase", "--new-passphrase-file", self.other)
        first.succeeds("logout", "--forget-key", "--yes")
        self.assertNotIn(b"wrapped", (first.basedir / "key.json").read_bytes())


class RecoveryTests(NewDeviceCase):
    """``ifap recovery --print``, and a login with the code."""

    def test_account_and_code_only(self) -> None:
        """The new device reads everything."""
        printed = self.first().succeeds("recovery", "--print")
        self.secrets |= set(printed.decode().split("\n")) - {""}
        self.assertRegex(printed, rb"\A(([0-9A-Z]{4} ){3}[0-9A-Z]{4}\n){4}\Z")
        second = self.second()
        typed = b"  " + printed.lower().replace(b" ", b"-")
        second.succeeds("login", "--recovery-code-file", self.write("code", typed))
        self.reads_everything(second)
        third = self.second("third")
        third.succeeds("login", "--recovery-code-file", "-", given=printed)
        self.reads_everything(third)

    def test_mistyped(self) -> None:
        """A mistyped row is told by its number, and nothing of the code."""
        printed = self.first().succeeds("recovery", "--print").decode()
        self.secrets |= set(printed.split("\n")) - {""}
        rows = printed.split("\n")
        rows[2] = rows[2][:-1] + ("7" if rows[2][-1] != "7" else "8")
        code = self.write("code", "\n".join(rows).encode())
        second = self.second()
        done = second.ifap("login", "--recovery-code-file", code)
        self.assertEqual((1, True), (done.returncode, b"Row 3 of the recovery code" in done.stderr), done.stderr)

    def test_a_new_one_voids_the_former(self) -> None:
        """Each print makes a new code, and says that the one before is void."""
        first = self.first()
        one = self.write("one", first.succeeds("recovery", "--print"))
        done = first.ifap("recovery", "--print")
        self.assertIn(b"void", done.stderr)
        two = self.write("two", done.stdout)
        self.refused(self.second(), 7, "wrong-key", "not the right one", "login", "--recovery-code-file", one)
        third = self.second("third")
        third.succeeds("login", "--recovery-code-file", two)
        self.reads_everything(third)

    def test_json(self) -> None:
        """The code as an object, then what became of the former one."""
        objects = [json.loads(line) for line in self.first().succeeds("--json", "recovery", "--print").splitlines()]
        self.assertEqual([{"recovery_code"}, {"former_removed"}], [set(one) for one in objects])
        code = self.write("code", objects[0]["recovery_code"].encode())
        second = self.second()
        second.succeeds("login", "--recovery-code-file", code)
        self.reads_everything(second)

    def test_usage(self) -> None:
        """Ways that contradict each other, and a verb without its flag, are 2."""
        device = self.second()
        for verb in (
            ["login", "--key-file", "a", "--passphrase-file", "b"],
            ["login", "--passphrase-file", "a", "--recovery-code-file", "b"],
            ["login", "--password-file", "-", "--passphrase-file", "-"],
            ["passphrase", "--passphrase-file", "-", "--new-passphrase-file", "-"],
            ["passphrase"],
            ["recovery"],
        ):
            self.assertEqual(2, device.ifap(*verb).returncode, verb)


class DovecotTests(NewDeviceCase):
    """The same at a real mail server."""

    def setUp(self) -> None:
        super().setUp()
        self.server, self.folder = self.dovecot(), servers.fresh_folder()

    def account_settings(self) -> str:
        """A folder at Dovecot, over TLS."""
        return self.account(self.server, self.folder)

    def test_new_devices(self) -> None:
        """With the passphrase only, and with the recovery code only; neither is on the server in any message."""
        first = self.first()
        code = first.succeeds("recovery", "--print")
        first.succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        second, third = self.second(), self.second("third")
        second.succeeds("login", "--passphrase-file", self.passphrase)
        self.reads_everything(second, passphrase=self.passphrase)
        third.succeeds("login", "--recovery-code-file", self.write("code", code))
        self.reads_everything(third)
        status = third.json("status")
        self.assertEqual((0, 0, []), (status["damaged"], status["foreign"], status["warnings"]))
        everything = repr(Mailbox(self.server, self.folder).messages())
        for secret in (PASSPHRASE, code.decode().split("\n")[0], third.succeeds("info", "--show-key").decode().strip()):
            self.assertNotIn(secret, everything)

    def test_changed(self) -> None:
        """A changed passphrase removes the former slot from the server."""
        first = self.first()
        first.succeeds("passphrase", "--new-passphrase-file", self.passphrase)
        before = len(Mailbox(self.server, self.folder).messages())
        first.succeeds("passphrase", "--passphrase-file", self.passphrase, "--new-passphrase-file", self.other)
        self.assertEqual(before, len(Mailbox(self.server, self.folder).messages()))
        second = self.second()
        self.refused(second, 7, "wrong-key", "not the right one", "login", "--passphrase-file", self.passphrase)
        second.succeeds("login", "--passphrase-file", self.other)
        self.reads_everything(second, passphrase=self.other)
