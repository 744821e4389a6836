"""``lock``, ``unlock`` and ``locks`` over the real filesystem."""

from __future__ import annotations

import json

from ifap_twisted.filesystem.desk import Options
from tests.cli.bench import CommandLineTestCase


class LockTests(CommandLineTestCase):
    """A file and another device."""

    def setUp(self) -> None:
        """Both know the file."""
        super().setUp()
        self.stored("a", b"A")
        self.other = self.folder.device(options=Options(holder="alice@laptop"))

    def test_lock_and_unlock(self) -> None:
        """A lock is told on stderr, listed, and ended; what is not locked is 3."""
        shown = self.ifap("lock", "a", "--seconds", "60")
        self.assertEqual((0, "", "/a is locked for 60 seconds.\n"), (shown.status, shown.out, shown.err))
        self.assertRegex(self.ifap("locks").out, r"\A60 s  20\d\d-\S+ \S+  this device  mine  /a\n\Z")
        self.assertIn("locks         1", self.ifap("status").out)
        shown = self.ifap("unlock", "/a")
        self.assertEqual((0, "/a is not locked any more.\n"), (shown.status, shown.err))
        self.assertEqual("No locks.\n", self.ifap("locks").err)
        self.assertEqual(3, self.ifap("unlock", "a").status)

    def test_a_second_lock_lasts_anew(self) -> None:
        """It is the same lock."""
        first = json.loads(self.ifap("--json", "lock", "a").out)
        again = json.loads(self.ifap("--json", "lock", "a", "--seconds", "600").out)
        self.assertEqual((first["id"], 300, 600), (again["id"], first["seconds"], again["seconds"]))

    def test_a_lock_of_another_device(self) -> None:
        """What it locks is not changed (5), with its name; reading and adding go on; it can be broken."""
        self.successResultOf(self.other.lock("a"))
        self.successResultOf(self.other.lock("new"))
        source = self.write("x", b"new")
        for arguments in (("put", source, "/a"), ("rm", "a"), ("mv", "a", "b"), ("lock", "a"), ("unlock", "a")):
            shown = self.ifap(*arguments)
            self.assertEqual(5, shown.status, arguments)
            self.assertIn("alice@laptop", shown.err)
        self.assertEqual((0, b"A"), (self.ifap("cat", "a").status, self.ifap("cat", "a").raw))
        self.assertEqual(0, self.ifap("put", source, "/new").status)
        shown = self.ifap("unlock", "--force", "a")
        self.assertEqual((0, "/a was locked by alice@laptop; that lock is broken.\n"), (shown.status, shown.err))
        self.assertEqual(0, self.ifap("put", source, "/a").status)

    def test_json(self) -> None:
        """Locks are objects on lines; an error has its code."""
        self.successResultOf(self.other.lock("a"))
        found = json.loads(self.ifap("--json", "locks").out)
        self.assertEqual(("/a", "alice@laptop", False), (found["path"], found["holder"], found["mine"]))
        error = json.loads(self.ifap("--json", "rm", "a").err)
        self.assertEqual(("locked", 423, "/a"), (error["code"], error["status"], error["path"]))
        entry = json.loads(self.ifap("--json", "ls", "a").out)
        self.assertEqual(found, entry["locked"])
        self.assertEqual(found, json.loads(self.ifap("--json", "unlock", "--force", "a").out))

    def test_bad_arguments(self) -> None:
        """A time that is none is 2, and so is a path that names no file; a directory cannot be locked."""
        self.stored("d/x", b"")
        for arguments in (("a", "--seconds", "0"), ("a", "--seconds", "604801"), ("/",), ("d",), ("../a",)):
            self.assertEqual(2, self.ifap("lock", *arguments).status, arguments)
