"""Writing settings back into ifap.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import BadSettings, NewerVersionNeeded
from ifap_twisted.settings import load_settings
from ifap_twisted.settings.editing import edited, save_settings
from tests.basedir.places import CANARY, PlacedTestCase, mode_of

PATH = Path("/node/ifap.toml")
HAND_WRITTEN = """\
# My node. folder = "not this one"
account = "imaps://me@imap.example.org"   # at work

  folder='Old # one'\t# comment = "kept"
[retention]
keep = 3 # three

# the end
[limits]
connections = 1
"""
FOLDERS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]).filter(lambda one: one not in "*%"),
    min_size=1,
    max_size=30,
)


def after(text: str, **changes: object) -> str:
    """The text with changes; two underscores stand for a dot."""
    return edited(text, {name.replace("__", "."): value for name, value in changes.items()}, PATH)


class ReplacingTests(SynchronousTestCase):
    """Settings that are there already."""

    def test_only_the_value_changes(self) -> None:
        """The line keeps its indentation and its comment, all other lines stay as they are."""
        new = after(HAND_WRITTEN, folder="New")
        self.assertEqual(new, HAND_WRITTEN.replace("'Old # one'", '"New"'))

    def test_in_a_table(self) -> None:
        """A setting of a table is found in its table."""
        self.assertEqual(after(HAND_WRITTEN, retention__keep=9), HAND_WRITTEN.replace("keep = 3", "keep = 9"))

    def test_several(self) -> None:
        """Several changes are made together."""
        new = after(HAND_WRITTEN, account="embedded", dialect="ifap", limits__connections=2)
        self.assertEqual(
            tomllib.loads(new),
            {
                "account": "embedded",
                "folder": "Old # one",
                "dialect": "ifap",
                "retention": {"keep": 3},
                "limits": {"connections": 2},
            },
        )
        self.assertTrue({'# My node. folder = "not this one"', "# the end"} <= set(new.splitlines()))

    def test_the_same_value(self) -> None:
        """Writing what is there changes not a byte."""
        self.assertEqual(after(HAND_WRITTEN, folder="Old # one", retention__keep=3), HAND_WRITTEN)

    def test_ways_of_writing(self) -> None:
        """Quoted names, dotted names and values over several lines are changed where they stand."""
        cases = [
            ('"folder" = "a"\n', '"folder" = "b"\n'),
            ("'folder'='a' # c\n", "'folder'=\"b\" # c\n"),
            ('folder = """\na"""\ncompat = true\n', 'folder = "b"\ncompat = true\n'),
            ("folder = 'a'", 'folder = "b"'),
            ("folder = 'a'\r\ncompat = true\r\n", 'folder = "b"\r\ncompat = true\r\n'),
        ]
        for old, new in cases:
            with self.subTest(old=old):
                self.assertEqual(after(old, folder="b"), new)
        self.assertEqual(after("limits.connections = 1 # x\n", limits__connections=2), "limits.connections = 2 # x\n")
        self.assertEqual(after('[ "limits" ]\nconnections=1', limits__connections=2), '[ "limits" ]\nconnections=2')

    def test_what_only_looks_like_it(self) -> None:
        """The name inside a text of several lines, or in another table, is left alone."""
        text = 'password_command = """x \\\n  folder = \'a\' """\n'
        self.assertEqual(after(text, folder="b"), text + 'folder = "b"\n')
        text = '# folder = "a"\n#folder = "b"\nfolder = "c"\n'
        self.assertEqual(after(text, folder="d"), '# folder = "a"\n#folder = "b"\nfolder = "d"\n')

    def test_removing(self) -> None:
        """None removes the line of a setting and nothing else."""
        self.assertEqual(
            after(HAND_WRITTEN, limits__connections=None),
            HAND_WRITTEN.replace("connections = 1\n", ""),
        )
        self.assertEqual(after(HAND_WRITTEN, dialect=None), HAND_WRITTEN)
        self.assertEqual(after('folder = "a"\ncompat = true\n', folder=None), "compat = true\n")


class AddingTests(SynchronousTestCase):
    """Settings that are not there."""

    def test_to_nothing(self) -> None:
        """An empty file gets the line."""
        self.assertEqual(after("", folder="a"), 'folder = "a"\n')

    def test_before_the_tables(self) -> None:
        """A setting without a table goes before the first table, where it is not taken into one."""
        self.assertEqual(after("[limits]\nconnections = 1\n", folder="a"), 'folder = "a"\n[limits]\nconnections = 1\n')

    def test_after_a_line_without_an_end(self) -> None:
        """A last line without a line end gets one first."""
        self.assertEqual(after("compat = true", folder="a"), 'compat = true\nfolder = "a"\n')

    def test_into_a_table(self) -> None:
        """A setting of a table goes into it, or makes it at the end."""
        text = "[retention]\nkeep = 1\n\n[limits] # mine\nupload_per_day = 1048576\n"
        new = after(text, limits__connections=1)
        self.assertEqual(new, text.replace("# mine\n", "# mine\nconnections = 1\n"))
        self.assertEqual(
            after("compat = true\n", limits__connections=1), "compat = true\n\n[limits]\nconnections = 1\n"
        )

    def test_line_ends(self) -> None:
        """A file with CRLF gets CRLF."""
        self.assertEqual(after("compat = true\r\n", folder="a"), 'compat = true\r\nfolder = "a"\r\n')

    def test_beside_dotted_names(self) -> None:
        """A table that is written with dots is added to with dots."""
        new = after("limits.connections = 1\n", limits__commands_per_second=2)
        self.assertEqual(tomllib.loads(new), {"limits": {"connections": 1, "commands_per_second": 2.0}})


class RefusingTests(SynchronousTestCase):
    """What is not done."""

    def test_an_inline_table(self) -> None:
        """Where no change of lines does it, the user is asked to do it."""
        error = self.assertRaises(BadSettings, after, "limits = { connections = 1 }\n", limits__connections=2)
        self.assertIn("edit it yourself", error.detail)
        self.assertIn(str(PATH), error.detail)
        self.assertRaises(BadSettings, after, "limits = { connections = 1 }\n", limits__connections=None)

    def test_bad_changes(self) -> None:
        """Unknown names and bad values are refused as everywhere."""
        self.assertRaises(BadSettings, edited, "", {"foldre": "a"}, PATH)
        self.assertRaises(BadSettings, edited, "", {"password": CANARY}, PATH)
        error = self.assertRaises(BadSettings, edited, "", {"account": f"imaps://me:{CANARY}@h"}, PATH)
        self.assertNotIn(CANARY, error.detail)
        self.assertRaises(BadSettings, edited, "", {"password_file": "/a", "password_command": "b"}, PATH)

    def test_bad_files(self) -> None:
        """A file that would not be taken is not written either."""
        for text in ("folder", "foldre = 1\n", "format = 2\n", "limits = 1\n"):
            with self.subTest(text=text):
                kind = NewerVersionNeeded if text.startswith("format") else BadSettings
                self.assertRaises(kind, after, text, dialect="ifap")
        self.assertRaises(BadSettings, after, "limits = 1\n", limits__connections=1)


class PropertyTests(SynchronousTestCase):
    """What holds for all files."""

    @given(
        st.lists(
            st.sampled_from(
                [
                    *HAND_WRITTEN.splitlines(keepends=True),
                    "\n",
                    "# c\n",
                    "compat = true\n",
                    "[log]\n",
                    'level = "warn"\n',
                    '"""\n',
                    'folder = """\n',
                ]
            ),
            max_size=10,
        ),
        FOLDERS,
        st.sampled_from([None, "mailfile"]),
    )
    def test_the_rest_stays(self, lines: list[str], folder: str, dialect: str | None) -> None:
        """Whatever is in the file: after a change it says the change and all that it said before, or is refused."""
        text = "".join(lines)
        try:
            new = edited(text, {"folder": folder, "dialect": dialect, "limits.connections": 2}, PATH)
        except BadSettings:
            return
        expected = tomllib.loads(text) | {"folder": folder}
        expected |= {"dialect": dialect} if dialect else {}
        expected["limits"] = expected.get("limits", {}) | {"connections": 2}
        self.assertEqual(tomllib.loads(new), expected)
        comments = [line for line in text.splitlines() if line.startswith("#")]
        self.assertEqual([line for line in new.splitlines() if line.startswith("#")], comments)

    @given(FOLDERS)
    def test_any_text_is_written(self, folder: str) -> None:
        """Quotes, backslashes and all scripts are written so that they read the same."""
        self.assertEqual(tomllib.loads(after(HAND_WRITTEN, folder=folder))["folder"], folder)


class SavingTests(PlacedTestCase):
    """The file of a basedir."""

    def test_a_new_file(self) -> None:
        """A login makes the file, with its format, private, and what it stored is in force."""
        node = self.held_basedir()
        changes = {"account": "imaps://me@h", "folder": "Bücher", "dialect": "mailfile", "encryption": "off"}
        save_settings(node, changes)
        settings = load_settings(basedir=node.path)
        self.assertEqual((str(settings.account), settings.folder), ("imaps://me@h", "Bücher"))
        self.assertEqual((settings.dialect, settings.encryption), ("mailfile", "off"))
        self.assertEqual(tomllib.loads(node.settings_file.read_text())["format"], 1)
        self.assertEqual(mode_of(node.settings_file), 0o600)

    def test_every_kind_of_value(self) -> None:
        """Flags, numbers, sizes, limits that are lifted, commands and paths are read as they were given."""
        node = self.held_basedir()
        changes = {
            "compat": True,
            "max_file_size": "10 MiB",
            "retention.keep": 9,
            "limits.commands_per_second": 2.5,
            "limits.upload_per_day": 5_000_001,
            "limits.download_per_day": "unlimited",
            "password_command": "pass 'a b' \\\"",
            "key_file": "~/k",
        }
        save_settings(node, changes)
        self.assertEqual(
            load_settings(basedir=node.path).rows(),
            [
                (name, text, "file" if source == "option" or name in changes else source)
                for name, text, source in load_settings(options=changes).rows()
            ],
        )

    def test_an_existing_file(self) -> None:
        """A person's file keeps what the person wrote."""
        node = self.held_basedir()
        node.settings_file.write_text(HAND_WRITTEN)
        save_settings(node, {"folder": "New"})
        self.assertEqual(node.settings_file.read_text(), HAND_WRITTEN.replace("'Old # one'", '"New"'))

    def test_nothing_to_change(self) -> None:
        """Storing what is there already does not write the file."""
        node = self.held_basedir()
        node.settings_file.write_text(HAND_WRITTEN)
        before = node.settings_file.stat().st_ino
        save_settings(node, {"folder": "Old # one"})
        self.assertEqual(node.settings_file.stat().st_ino, before)

    def test_a_link(self) -> None:
        """A file that is a symbolic link is left to the user: nothing outside the basedir is changed."""
        node = self.held_basedir()
        outside = self.place / "dotfiles"
        outside.write_text(HAND_WRITTEN)
        node.settings_file.symlink_to(outside)
        self.assertIn("symbolic link", self.assertRaises(BadSettings, save_settings, node, {"folder": "a"}).detail)
        self.assertEqual((outside.read_text(), node.settings_file.is_symlink()), (HAND_WRITTEN, True))

    def test_refused_files_stay(self) -> None:
        """A newer or damaged file is refused untouched."""
        node = self.held_basedir()
        for raw in (b"format = 2\n", b"folder =", b"folder = '\xff'"):
            node.settings_file.write_bytes(raw)
            kind = NewerVersionNeeded if raw.startswith(b"format") else BadSettings
            self.assertRaises(kind, save_settings, node, {"folder": "a"})
            self.assertEqual(node.settings_file.read_bytes(), raw)

    def test_only_the_holder(self) -> None:
        """Who does not hold the basedir changes nothing."""
        node = self.basedir()
        self.assertRaises(RuntimeError, save_settings, node, {"folder": "a"})
        self.assertFalse(node.settings_file.exists())
