"""The basedir as a whole (DESIGN 4.1, 4.3)."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.internet.task import Clock

from ifap_twisted.basedir import Basedir, default_basedir, expanded
from ifap_twisted.errors import BadSettings
from tests.basedir.places import Drawing, PlacedTestCase, mode_of, tree_of


class PlaceTests(PlacedTestCase):
    """Where it is."""

    def test_default(self) -> None:
        """It is $IFAP_BASEDIR, else ~/.ifap."""
        self.assertEqual(default_basedir({}), Path("~/.ifap").expanduser())
        self.assertEqual(default_basedir({"IFAP_BASEDIR": ""}), Path("~/.ifap").expanduser())
        self.assertEqual(default_basedir({"IFAP_BASEDIR": "/a/b"}), Path("/a/b"))
        self.assertEqual(default_basedir({"IFAP_BASEDIR": "~/x"}), Path("~/x").expanduser())

    def test_local_paths(self) -> None:
        """~ is the home directory, a relative path is made absolute, and what leads nowhere is bad-settings."""
        self.assertEqual(expanded("x"), Path.cwd() / "x")
        self.assertRaises(BadSettings, expanded, "~no-such-user-here/x")
        self.assertRaises(BadSettings, expanded, "a\0b")

    def test_names(self) -> None:
        """Its files have the names of the contract."""
        basedir = self.basedir()
        path = self.place / "node"
        self.assertEqual(basedir.path, path)
        self.assertEqual(basedir.settings_file, path / "ifap.toml")
        self.assertEqual(basedir.node_log, path / "node.log")
        self.assertEqual(basedir.embedded_database, path / "embedded.sqlite")
        self.assertEqual(basedir.cache, path / "cache")
        self.assertEqual(basedir.journal.path, path / "journal")
        self.assertEqual(mode_of(path / "journal"), 0o700)

    def test_a_new_one_is_empty_and_private(self) -> None:
        """Opening makes a directory of mode 0700 and no file, and nothing beside it."""
        basedir = self.basedir()
        self.assertEqual((mode_of(basedir.path), os.listdir(basedir.path)), (0o700, []))
        self.assertEqual(os.listdir(self.place), ["node"])

    def test_nothing_outside_is_touched(self) -> None:
        """Everything a basedir does leaves what lies beside it as it was."""
        (self.place / "beside").write_bytes(b"x")
        (self.place / "beside").chmod(0o644)
        basedir = self.held_basedir()
        basedir.new_control_token(Drawing())
        basedir.write_control_url("http://127.0.0.1:4327/")
        basedir.journal.write("x", b"")
        basedir.close()
        outside = {name: content for name, content in tree_of(self.place).items() if not name.startswith("node/")}
        self.assertEqual((outside, mode_of(self.place / "beside")), ({"beside": b"x"}, 0o644))

    def test_another_users(self) -> None:
        """A basedir of another user is refused by name."""
        self.basedir().close()
        error = self.assertRaises(BadSettings, self.basedir, uid=os.geteuid() + 1)
        self.assertIn(str(self.place / "node"), error.detail)

    def test_it_shows_where_it_is(self) -> None:
        """Its repr is its path."""
        with Basedir(self.place / "node") as basedir:
            self.assertEqual(repr(basedir), f"<Basedir {self.place / 'node'}>")


class SocketTests(PlacedTestCase):
    """Addresses of sockets."""

    def connects(self, basedir: Basedir) -> bool:
        """Whether a socket bound to the address is reached through it, and lies in the basedir."""
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as calling:
            listening.bind(basedir.control_socket)
            listening.listen()
            calling.connect(basedir.control_socket)
            return (basedir.path / "control.socket").is_socket()

    def test_a_short_path(self) -> None:
        """A path that the system takes is used as it is."""
        basedir = self.basedir()
        self.assertEqual(basedir.control_socket, str(self.place / "node" / "control.socket"))
        self.assertTrue(self.connects(basedir))

    def test_a_long_path(self) -> None:
        """A path longer than the system takes for a socket works."""
        deep = self.place / ("d" * 100) / ("e" * 100)
        deep.mkdir(parents=True)
        basedir = self.basedir(f"{'d' * 100}/{'e' * 100}/node")
        self.assertGreater(len(str(basedir.path)), 200)
        self.assertTrue(self.connects(basedir))

    def test_a_long_path_without_proc(self) -> None:
        """Where the system shows no descriptors, a long path is refused by name."""
        deep = self.place / ("d" * 100)
        deep.mkdir()
        basedir = self.basedir(f"{'d' * 100}/node")
        error = self.assertRaises(BadSettings, basedir.socket_address, "control.socket", self.place / "none")
        self.assertIn(str(basedir.path), error.detail)

    def test_the_longest_short_path(self) -> None:
        """At the very limit the path still works, on either side of it."""
        rest = 103 - len(str(self.place)) - len("//control.socket")
        for length in (rest - 1, rest, rest + 1, rest + 5):
            with self.subTest(length=length):
                self.assertTrue(self.connects(self.basedir("n" * length)))


class ControlTests(PlacedTestCase):
    """control.url and control.token."""

    def test_url(self) -> None:
        """The URL is read while the node runs and ignored when it does not, however it ended (DESIGN 4.3)."""
        node, verb = self.held_basedir(), self.basedir()
        self.assertIsNone(verb.read_control_url())
        node.write_control_url("http://127.0.0.1:4327/")
        self.assertEqual(verb.read_control_url(), "http://127.0.0.1:4327/")
        self.assertEqual((node.path / "control.url").read_text(), "http://127.0.0.1:4327/\n")
        node.close()
        self.assertTrue((verb.path / "control.url").exists())
        self.assertIsNone(verb.read_control_url())

    def test_url_is_removed(self) -> None:
        """A node that stops takes its URL back; twice is harmless."""
        node = self.held_basedir()
        node.write_control_url("http://127.0.0.1:4327/")
        node.remove_control_url()
        node.remove_control_url()
        self.assertFalse((node.path / "control.url").exists())

    def test_token(self) -> None:
        """The token is 256 random bits, 0600, and what is read is what was made."""
        node = self.held_basedir()
        token = node.new_control_token(Drawing())
        self.assertRegex(token.reveal(), r"\A[A-Za-z0-9_-]{43}\Z")
        self.assertEqual(self.basedir().read_control_token(), token)
        self.assertEqual(mode_of(node.path / "control.token"), 0o600)

    def test_token_of_each_start(self) -> None:
        """Each start makes a new token."""
        node, random = self.held_basedir(), Drawing()
        self.assertNotEqual(node.new_control_token(random), node.new_control_token(random))

    def test_no_token(self) -> None:
        """Before the first start there is none."""
        self.assertIsNone(self.basedir().read_control_token())

    def test_only_the_holder_changes_files(self) -> None:
        """Changing a file without holding the basedir is a bug, and changes nothing."""
        basedir = self.basedir()
        self.successResultOf(basedir.hold(0, Clock())).release()
        for change in (
            lambda: basedir.write_control_url("http://x/"),
            basedir.remove_control_url,
            lambda: basedir.new_control_token(Drawing()),
        ):
            self.assertRaises(RuntimeError, change)
        self.assertEqual(os.listdir(basedir.path), ["node.pid"])
