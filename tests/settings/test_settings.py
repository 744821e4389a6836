"""Settings and where they come from (DESIGN 4.6)."""

from __future__ import annotations

import os
import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from ifap_twisted.accounts import EMBEDDED, parse_account
from ifap_twisted.errors import BadSettings, NewerVersionNeeded
from ifap_twisted.settings import Settings, load_settings
from ifap_twisted.settings.layers import _require_trustworthy
from ifap_twisted.settings.registry import KEYS, LATER
from tests.basedir.places import CANARY, PlacedTestCase

ACCOUNT = parse_account("imaps://me@imap.example.org")
EVERYTHING = """
account = "imaps://me@imap.example.org"
folder = "Archiv"
dialect = "mailfile"
control = "tcp:5000:interface=127.0.0.1"
encryption = "off"
embedded_listen = "tcp:1143:interface=127.0.0.1"
compat = true
require_bound = true
expunge = "plain"
max_file_size = "10 MiB"
chunk_threshold = "1 MiB"
password_command = "pass show mail"
key_file = "key"
passphrase_file = "passphrase"
keyring = true
ca_file = "/etc/ca.pem"

[retention]
keep = 7
within = "30d"
daily = 7
weekly = 4
monthly = 12
grace = "2w"

[collect]
every = "12h"

[check]
share_per_day = "2.5%"

[limits]
connections = 1
commands_per_second = 2.5
upload_per_day = "500 MB"
download_per_day = "2.5 GB"

[log]
level = "debug"
"""
GOOD = {
    "account": ["embedded", "imap://me@localhost", ACCOUNT],
    "folder": ["IFAP_DATA", "Bücher"],
    "dialect": ["ifap", "mailfile", None],
    "control": ["unix:/run/x", "tcp:0"],
    "encryption": ["required", "off"],
    "embedded_listen": ["tcp:1143", None],
    "compat": [True, False],
    "require_bound": [True, False],
    "keyring": [True, False],
    "expunge": ["uid", "plain"],
    "max_file_size": [1, "64 MiB", "1"],
    "chunk_threshold": [0, "0", 1, "4 MiB", "64 MiB"],
    "retention.keep": [1, 10000, "5"],
    "retention.within": [0, "30d", "1.5h", 86400],
    "retention.daily": [0, 10000, "7"],
    "retention.weekly": [0, 4],
    "retention.monthly": [0, "12"],
    "retention.grace": ["24h", "7d", 86400, "100w"],
    "collect.every": ["1h", "24h", "never", None, 3600],
    "check.share_per_day": [0, 100, 0.5, "1%", "2.5 %", "7"],
    "limits.connections": [1, 2, "2"],
    "limits.commands_per_second": [0.1, 1000, "0.5", "unlimited", None, 7],
    "limits.upload_per_day": ["1 MiB", 10**9, "unlimited", None],
    "limits.download_per_day": ["1 MiB", 10**9, "unlimited", None],
    "log.level": ["debug", "info", "warn", "error", "critical"],
    "password_file": ["/a", "b", "~/c", None],
    "passphrase_file": ["/a", "b", "~/c", None],
    "password_command": ["pass show x", "x 'a b'", None],
    "key_file": ["/a", None],
    "ca_file": ["/a", None],
}
BAD = {
    "account": ["", 1, None, f"imaps://me:{CANARY}@h", "x\ny", True],
    "folder": ["", 1, None, "a\nb", "*", "x" * 501],
    "dialect": ["IFAP", "", "both", 1, []],
    "control": ["", "4327", None, 1, "tcp", ":x", "tcp:\n", "x" * 2000],
    "encryption": ["", "on", "none", True, None],
    "embedded_listen": ["", "1143", 1],
    "compat": ["maybe", 1, None, "", 0.0],
    "require_bound": ["maybe", 1, None, []],
    "keyring": ["maybe", 1, None, []],
    "expunge": ["UID", "", "close", None, True],
    "max_file_size": [0, -1, "0", "65 MiB", "x", None, True, 1.5, "24 M"],
    "chunk_threshold": [-1, "65 MiB", "never", None, True, 1.5],
    "retention.keep": [0, -1, 10001, "x", None, True, 1.5, "1.0", "+1"],
    "retention.within": [-1, "x", None, True, "3 months", "99999999999d", []],
    "retention.daily": [-1, 10001, "x", None, True, 1.5],
    "retention.weekly": [-1, None],
    "retention.monthly": ["-1", None],
    "retention.grace": [0, "23h", None, "x", True, "never"],
    "collect.every": [0, "59m", "x", True, "often", []],
    "check.share_per_day": [-1, 100.1, "101%", "x", None, True, "1e1", "%", float("nan"), []],
    "limits.connections": [0, 3, None, "1.5", True],
    "limits.commands_per_second": [0, -1, 0.05, 1001, float("nan"), float("inf"), "x", True, "nan", "1e2", []],
    "limits.upload_per_day": [0, 1, "1 kB", "x", -1, "10000000 TB", 1.5],
    "limits.download_per_day": [0, 1, "1 kB", "x", -1, True],
    "log.level": ["INFO", "", "warning", 1, None],
    "password_file": ["", 1, "-", "a\0b", True, "~no-such-user-here/x"],
    "passphrase_file": ["", 1, "-", "a\0b", True, "~no-such-user-here/x"],
    "password_command": ["", "  ", "'open", 1, "a\nb", "x" * 5000],
    "key_file": ["", 1, "-", []],
    "ca_file": ["", 1, "-", {}],
}


class SettingsTestCase(PlacedTestCase):
    """A node's basedir with an ifap.toml."""

    def setUp(self) -> None:
        super().setUp()
        self.node = self.place / "node"
        self.node.mkdir(0o700)
        self.file = self.node / "ifap.toml"

    def load(self, text: str | None = None, **more) -> Settings:
        """The settings of the node with this file."""
        if text is not None:
            self.file.write_text(text)
        return load_settings(basedir=self.node, **more)

    def refused(self, *arguments, **more) -> str:
        """What is said when the settings are refused."""
        error = self.assertRaises(BadSettings, self.load, *arguments, **more)
        self.assertNotIn(CANARY, f"{error} {error.__cause__!r} {error.__context__!r}")
        return error.detail


class DefaultTests(SettingsTestCase):
    """What holds when nothing is said."""

    def test_defaults(self) -> None:
        """Without file, environment and options the defaults of the contract hold, and say that they are defaults."""
        settings = self.load()
        self.assertEqual(settings, Settings(basedir=self.node))
        self.assertEqual((settings.account, settings.folder, settings.dialect), (EMBEDDED, "IFAP_DATA", None))
        self.assertEqual(settings.control, "tcp:4327:interface=127.0.0.1")
        self.assertEqual((settings.encryption, settings.compat, settings.require_bound), ("required", False, False))
        self.assertEqual((settings.max_file_size, settings.retention_keep), (24 * 1024**2, 5))
        self.assertEqual(settings.limits_connections, 2)
        self.assertEqual(set(settings.sources.values()), {"default"})

    def test_defaults_are_those_of_the_registry(self) -> None:
        """The class and the registry of settings agree on names and defaults."""
        self.assertEqual(
            {key.attribute: key.default for key in KEYS.values()},
            {one.name: one.default for one in fields(Settings) if one.name not in {"basedir", "sources"}},
        )

    def test_nothing_on_the_disk(self) -> None:
        """Without a basedir nothing is read."""
        self.assertIsNone(load_settings().basedir)

    def test_frozen(self) -> None:
        """Settings cannot be changed."""
        settings = self.load()
        with self.assertRaises(FrozenInstanceError):
            settings.folder = "x"
        with self.assertRaises(TypeError):
            settings.sources["folder"] = "x"


class FileTests(SettingsTestCase):
    """ifap.toml."""

    def test_the_largest_file(self) -> None:
        """One message bounds it only where nothing goes out in chunks."""
        self.assertEqual(Settings().largest_file, 2**44)
        self.assertEqual(Settings(chunk_threshold=0, max_file_size=1000).largest_file, 1000)

    def test_everything(self) -> None:
        """Every setting can be said in the file, and is known to come from there."""
        settings = self.load(EVERYTHING)
        expected = Settings(
            account=ACCOUNT,
            folder="Archiv",
            dialect="mailfile",
            control="tcp:5000:interface=127.0.0.1",
            encryption="off",
            embedded_listen="tcp:1143:interface=127.0.0.1",
            compat=True,
            require_bound=True,
            expunge="plain",
            max_file_size=10 * 1024**2,
            chunk_threshold=1024**2,
            retention_keep=7,
            retention_within=30 * 86400,
            retention_daily=7,
            retention_weekly=4,
            retention_monthly=12,
            retention_grace=14 * 86400,
            collect_every=43200,
            check_share_per_day=2.5,
            limits_connections=1,
            limits_commands_per_second=2.5,
            limits_upload_per_day=500_000_000,
            limits_download_per_day=2_500_000_000,
            log_level="debug",
            password_command="pass show mail",
            key_file=self.node / "key",
            passphrase_file=self.node / "passphrase",
            keyring=True,
            ca_file=Path("/etc/ca.pem"),
            basedir=self.node,
        )
        self.assertEqual(settings, expected)
        unsaid = {name for name, one in settings.sources.items() if one == "default"}
        self.assertEqual(unsaid, {"password_file"})

    def test_dotted_and_inline_tables(self) -> None:
        """The ways in which TOML writes a table are one."""
        for text in ("limits.connections = 1", "limits = {connections = 1}", "[limits]\nconnections = 1"):
            self.assertEqual(self.load(text).limits_connections, 1)

    def test_local_paths(self) -> None:
        """In the file ~ is the home directory, and a relative path is taken from the file's own directory."""
        text = 'password_file = "~/secret/mail"\nkey_file = "../keys/a"\nca_file = "/a/../b"'
        settings = self.load(text)
        self.assertEqual(settings.password_file, Path("~/secret/mail").expanduser())
        self.assertEqual(settings.key_file, self.place / "keys" / "a")
        self.assertEqual(settings.ca_file, Path("/b"))

    def test_another_file(self) -> None:
        """--config names a file that is read instead of the basedir's, and has to be there."""
        other = self.place / "other.toml"
        other.write_text('folder = "Other"\nkey_file = "k"')
        settings = self.load('folder = "Mine"', config=other)
        self.assertEqual((settings.folder, settings.key_file), ("Other", self.place / "k"))
        self.assertIn(str(self.place / "absent"), self.refused(config=self.place / "absent"))

    def test_a_link(self) -> None:
        """An ifap.toml that is a symbolic link of the user is read."""
        (self.place / "dotfiles").write_text('folder = "Linked"')
        self.file.symlink_to(self.place / "dotfiles")
        self.assertEqual(self.load().folder, "Linked")

    def test_not_toml(self) -> None:
        """What is not TOML is refused with the file and the place in it."""
        detail = self.refused(f'folder = "a"\nfolder {CANARY}')
        self.assertIn(str(self.file), detail)
        self.assertIn("line 2", detail)

    def test_hostile_files(self) -> None:
        """Too long, too deep, not UTF-8, not a file: all bad-settings, at once."""
        self.refused("x = " + "[" * 5000 + "]" * 5000)
        self.refused("x = " + "1" * 5000)
        self.refused("#" * (1024**2 + 1))
        self.file.write_bytes(b"folder = '\xff'")
        self.refused()
        self.file.unlink()
        self.file.mkdir()
        self.refused()
        self.file.rmdir()
        os.mkfifo(self.file)
        self.refused()

    def test_a_file_that_others_can_change(self) -> None:
        """A file that every user can change could run commands as this user, so it is refused."""
        self.file.write_text('folder = "a"')
        self.file.chmod(0o666)
        self.assertIn(str(self.file), self.refused())
        self.file.chmod(0o664)
        self.assertEqual(self.load().folder, "a")

    def test_a_file_of_another_user(self) -> None:
        """A file of another user, who is not root, is not followed; one of root is."""
        found = list(self.place.stat())
        for mode, owner, taken in ((0o100600, os.geteuid(), True), (0o100644, 0, True), (0o100644, 12345, False)):
            found[0], found[4] = mode, owner
            if taken:
                _require_trustworthy(os.stat_result(found), self.file)
            else:
                error = self.assertRaises(BadSettings, _require_trustworthy, os.stat_result(found), self.file)
                self.assertIn(str(self.file), error.detail)

    def test_format(self) -> None:
        """The file may carry its format; a newer one is refused untouched, by name."""
        self.assertEqual(self.load('format = 1\nfolder = "a"').folder, "a")
        self.file.write_text('format = 2\nfolder = "a"\nnovelty = 1')
        detail = self.assertRaises(NewerVersionNeeded, load_settings, config=self.file).detail
        self.assertIn(str(self.file), detail)
        self.assertIn("newer version", detail)
        self.assertEqual(self.file.read_text(), 'format = 2\nfolder = "a"\nnovelty = 1')
        for bad in ("0", '"1"', "true", "1.0", "-1"):
            self.refused(f"format = {bad}")


class UnknownTests(SettingsTestCase):
    """Names that are no settings."""

    def test_the_nearest_name(self) -> None:
        """A misspelt name is refused with the name that was probably meant."""
        cases = {
            "acount = 1": "account",
            "encrypton = 1": "encryption",
            "maxfilesize = 1": "max_file_size",
            "[limits]\nconnection = 1": "limits.connections",
            "[retention]\nkept = 1": "retention.keep",
            "connections = 1": "limits.connections",
            "[limit]\nconnections = 1": "limits.connections",
            "loglevel = 1": "log.level",
            "[log]\nlevels = 1": "log.level",
        }
        for text, meant in cases.items():
            with self.subTest(text=text):
                detail = self.refused(text)
                if "[limit]" not in text:
                    self.assertIn(f"did you mean {meant}?", detail)
                self.assertIn(str(self.file), detail)

    def test_nothing_near(self) -> None:
        """A name that is like none is refused by itself."""
        self.assertIn("zzzz", self.refused("zzzz = 1"))
        self.assertNotIn("mean", self.refused("zzzz = 1"))

    def test_settings_of_later_versions(self) -> None:
        """A setting of the design that this version does not obey is refused as such, never ignored."""
        for name in LATER:
            with self.subTest(name=name):
                table, _, key = name.rpartition(".")
                detail = self.refused((f"[{table}]\n" if table else "") + f"{key} = 1")
                self.assertIn(name, detail)
                self.assertIn("later version", detail)
                variable = "IFAP_" + name.upper().replace(".", "_")
                self.assertIn("later version", self.refused("", environment={variable: "1"}))
                self.assertIn("later version", self.refused("", options={name: 1}))

    def test_nothing_weakens_tls(self) -> None:
        """Of all settings one is about TLS: which authorities are trusted besides those of the system."""
        about = {name for name in KEYS if re.search("tls|ssl|cert|verif|secur|trust|host|ca_", name)}
        self.assertEqual(about, {"ca_file"})

    def test_secrets_are_no_settings(self) -> None:
        """A password or key in the file, in the environment or as an option is refused, and never shown."""
        for name in ("password", "passphrase", "key", "secret", "oauth2_token", "recovery_code"):
            with self.subTest(name=name):
                self.assertIn("never a setting", self.refused(f'{name} = "{CANARY}"'))
                self.assertIn("never a setting", self.refused("", environment={f"IFAP_{name.upper()}": CANARY}))
                self.assertIn("never a setting", self.refused("", options={name: CANARY}))

    def test_tables_and_values_in_each_others_place(self) -> None:
        """A table where a value belongs, and a value where a table belongs, are refused."""
        for text in ("[folder]\nx = 1", "limits = 1", "[[limits]]\nconnections = 1", "[limits.connections]\nx = 1"):
            with self.subTest(text=text):
                self.refused(text)

    def test_hostile_names(self) -> None:
        """A name is shown without control characters and not at endless length."""
        detail = self.refused('"\\u001b[31m' + "x" * 5000 + '" = 1')
        self.assertTrue(detail.isprintable())
        self.assertLess(len(detail), 400)


class EnvironmentTests(SettingsTestCase):
    """Variables IFAP_*."""

    def test_every_setting_has_one(self) -> None:
        """The variable is the name in capitals with IFAP_, tables joined by an underscore."""
        environment = {"IFAP_LIMITS_COMMANDS_PER_SECOND": "3", "IFAP_FOLDER": "Env", "IFAP_LOG_LEVEL": "warn"}
        environment |= {"IFAP_COMPAT": "yes", "IFAP_RETENTION_KEEP": "9", "IFAP_MAX_FILE_SIZE": "1 MB"}
        settings = self.load(environment=environment)
        self.assertEqual(
            (settings.limits_commands_per_second, settings.folder, settings.log_level), (3.0, "Env", "warn")
        )
        self.assertEqual((settings.compat, settings.retention_keep, settings.max_file_size), (True, 9, 10**6))
        self.assertEqual(settings.sources["limits.commands_per_second"], "environment")
        self.assertEqual(len({key.variable for key in KEYS.values()}), len(KEYS))

    def test_flags(self) -> None:
        """Flags are true, yes, on, 1 or their opposites, in any case."""
        for text, flag in (("true", True), ("ON", True), ("1", True), ("Yes", True), ("off", False), ("0", False)):
            self.assertEqual(self.load(environment={"IFAP_COMPAT": text}).compat, flag)
        self.refused(environment={"IFAP_COMPAT": "perhaps"})

    def test_an_unknown_variable(self) -> None:
        """A misspelt variable is refused with the nearest, because what it should have set would be silently off."""
        detail = self.refused(environment={"IFAP_ENCRYPTON": CANARY})
        self.assertIn("IFAP_ENCRYPTON", detail)
        self.assertIn("did you mean IFAP_ENCRYPTION?", detail)

    def test_variables_that_are_no_settings(self) -> None:
        """IFAP_BASEDIR, the live tests' accounts, empty variables and those of others are left alone."""
        environment = {
            "IFAP_BASEDIR": "/x",
            "IFAP_LIVE_DOVECOT": CANARY,
            "IFAP_SERVERS_ROOT": "/x",
            "IFAP_FOLDER": "",
            "FOLDER": "x",
            "ifap_x": "x",
        }
        self.assertEqual(self.load('folder = "a"', environment=environment).folder, "a")

    def test_a_bad_value_names_the_variable(self) -> None:
        """The error of a bad value says which variable it was in."""
        self.assertIn("IFAP_RETENTION_KEEP", self.refused(environment={"IFAP_RETENTION_KEEP": CANARY}))

    def test_relative_paths(self) -> None:
        """A relative path in the environment or of an option is taken from the current directory."""
        self.assertEqual(self.load(environment={"IFAP_KEY_FILE": "k"}).key_file, Path.cwd() / "k")
        self.assertEqual(self.load(options={"key_file": "k"}).key_file, Path.cwd() / "k")


class OrderTests(SettingsTestCase):
    """Defaults < file < environment < options."""

    def test_order(self) -> None:
        """The later one wins, and each value knows where it came from."""
        settings = self.load(
            'folder = "file"\ndialect = "ifap"\n[retention]\nkeep = 1\n[log]\nlevel = "error"',
            environment={"IFAP_DIALECT": "mailfile", "IFAP_RETENTION_KEEP": "2"},
            options={"retention.keep": 3, "log_level": None},
        )
        self.assertEqual((settings.folder, settings.dialect), ("file", "mailfile"))
        self.assertEqual((settings.retention_keep, settings.log_level), (3, "error"))
        names = ("folder", "dialect", "retention.keep", "log.level", "compat")
        sources = [settings.sources[name] for name in names]
        self.assertEqual(sources, ["file", "environment", "option", "file", "default"])

    def test_a_default_that_was_chosen(self) -> None:
        """A value that was said counts as given, even when it is the default (--control, DESIGN 4.1)."""
        settings = self.load(options={"control": "tcp:4327:interface=127.0.0.1"})
        self.assertTrue(settings.is_given("control"))
        self.assertFalse(self.load().is_given("control"))

    def test_options_by_either_name(self) -> None:
        """Options are known by the name of the setting or of the attribute."""
        self.assertEqual(self.load(options={"limits.connections": 1}), self.load(options={"limits_connections": 1}))

    def test_two_ways_to_the_password(self) -> None:
        """In one layer password_file and password_command exclude each other; a later layer's one wins."""
        both = 'password_file = "a"\npassword_command = "b"'
        self.assertIn("exclude", self.refused(both))
        self.assertIn("exclude", self.refused("", options={"password_file": "a", "password_command": "b"}))
        self.assertIn(
            "exclude", self.refused("", environment={"IFAP_PASSWORD_FILE": "a", "IFAP_PASSWORD_COMMAND": "b"})
        )
        settings = self.load('password_command = "b"', options={"password_file": "/a"})
        self.assertEqual((settings.password_file, settings.password_command), (Path("/a"), None))
        self.assertEqual(settings.sources["password_command"], "default")

    def test_unlimited(self) -> None:
        """A later layer can lift a limit of an earlier one."""
        text = '[limits]\nupload_per_day = "1 GB"\ncommands_per_second = 1'
        lift = {"limits.upload_per_day": "unlimited", "limits.commands_per_second": "unlimited"}
        settings = self.load(text, options=lift)
        self.assertEqual((settings.limits_upload_per_day, settings.limits_commands_per_second), (None, None))
        self.assertEqual(settings.sources["limits.upload_per_day"], "option")


class ValueTests(SettingsTestCase):
    """What values may be."""

    def test_good_values(self) -> None:
        """Every good value is taken, and a value that was parsed is taken as it is."""
        self.assertEqual(set(GOOD), set(KEYS))
        for name, values in GOOD.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    once = KEYS[name].value(value, "here", self.place)
                    self.assertEqual(KEYS[name].value(once, "here", self.place), once)
                    self.assertEqual(getattr(Settings(**{KEYS[name].attribute: once}), KEYS[name].attribute), once)

    def test_bad_values(self) -> None:
        """Every bad value is refused by an error that names the setting and does not repeat the value."""
        self.assertEqual(set(BAD), set(KEYS))
        for name, values in BAD.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    error = self.assertRaises(BadSettings, KEYS[name].value, value, "here", self.place)
                    self.assertIn(f"{name} here", error.detail)
                    self.assertRaises(BadSettings, Settings, **{KEYS[name].attribute: value})

    @given(st.sampled_from(sorted(KEYS)), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
    def test_no_error_repeats_a_value(self, name: str, noise: str) -> None:
        """Whatever text stands as the value of whatever setting, an error does not show it."""
        text = noise + CANARY + noise
        try:
            KEYS[name].value(text, "here", self.place)
        except BadSettings as error:
            self.assertNotIn(CANARY, f"{error}{error.__cause__!r}{error.__context__!r}")

    @given(
        st.sampled_from(sorted(KEYS)),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=10)
        | st.lists(st.integers(), max_size=1),
    )
    @example("limits.commands_per_second", 10**400)
    def test_anything(self, name: str, value: object) -> None:
        """Any value that TOML can hold is taken or bad-settings, nothing else."""
        try:
            once = KEYS[name].value(value, "here", self.place)
        except BadSettings:
            return
        self.assertEqual(KEYS[name].value(once, "here", self.place), once)

    def test_both_passwords_from_python(self) -> None:
        """Settings made in Python are checked like all others."""
        self.assertRaises(BadSettings, Settings, password_file=Path("/a"), password_command="b")
        self.assertEqual(Settings(folder="x").sources["folder"], "option")
        self.assertEqual(Settings(basedir=Path("~/x")).basedir, Path("~/x").expanduser())


class RowTests(SettingsTestCase):
    """What `ifap info --settings` shows."""

    def test_rows(self) -> None:
        """Each setting is shown with its value as the file would have it and its source."""
        rows = {name: (text, source) for name, text, source in self.load(EVERYTHING).rows()}
        self.assertEqual(set(rows), set(KEYS))
        self.assertEqual(rows["max_file_size"], ("10 MiB", "file"))
        self.assertEqual(rows["limits.upload_per_day"], ("500 MB", "file"))
        self.assertEqual(rows["limits.commands_per_second"], ("2.5", "file"))
        self.assertEqual(rows["compat"], ("true", "file"))
        self.assertEqual(rows["account"], ("imaps://me@imap.example.org", "file"))
        self.assertEqual(rows["password_file"], (None, "default"))

    def test_a_secret_in_a_command(self) -> None:
        """The arguments of a password command, which could be secret, are shown neither there nor in a repr."""
        settings = self.load(f'password_command = "echo {CANARY}"')
        self.assertEqual({name: text for name, text, _ in settings.rows()}["password_command"], "echo …")
        self.assertNotIn(CANARY, repr(settings) + str(settings))

    def test_every_setting_is_documented(self) -> None:
        """Every setting says what is wanted in plain words."""
        for key in KEYS.values():
            self.assertTrue(re.search(r"[a-z]{3}", key.wanted))
