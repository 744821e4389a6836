"""``ifap put --queue`` and what ``ifap status`` says of it, over the real filesystem."""

from __future__ import annotations

import json

from twisted.internet.task import Clock

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.errors import QuotaExceeded
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import Drawing
from tests.cli.bench import CommandLineTestCase


class QueueTests(CommandLineTestCase):
    """A device with a journal, whose server goes away."""

    def setUp(self) -> None:
        """The device, with a file of its own."""
        super().setUp()
        base = Basedir(self.local / "base")
        self.addCleanup(base.close)
        self.successResultOf(base.hold(0, Clock()))
        self.store = self.folder.store()
        self.filesystem = self.folder.device(
            store=self.store,
            journal=lambda keys: FileJournal(base, keys, random=Drawing(), worker=InlineWorker()),
        )
        self.write("a.txt", b"hello")
        self.write("d/1", b"one")
        self.write("d/2", b"two")

    def test_there(self) -> None:
        """With the server there it is a put."""
        shown = self.ifap("put", "--queue", self.local / "a.txt", "x/")
        self.assertEqual((0, 1), (shown.status, shown.out.count("\n")))
        self.assertTrue(shown.out.startswith("/x/a.txt "))
        self.assertEqual(b"hello", self.content("x/a.txt"))

    def test_away(self) -> None:
        """It says that it is pending, never that it is stored, and it is stored later."""
        self.store.go_offline()
        shown = self.ifap("put", "--queue", self.local / "a.txt", "a")
        self.assertEqual((0, ""), (shown.status, shown.out))
        self.assertEqual("/a accepted, pending: it is stored when the mail server is back\n", shown.err)
        self.store.go_online()
        self.assertEqual(b"hello", self.content("a"))

    def test_json(self) -> None:
        """The Entry says it."""
        self.store.go_offline()
        shown = self.ifap("--json", "put", "--queue", self.local / "a.txt", "a")
        entry = json.loads(shown.out)
        self.assertEqual(("/a", True), (entry["path"], entry["pending"]))

    def test_a_tree(self) -> None:
        """The summary counts what is pending by itself; nothing of the server is asked."""
        self.store.go_offline()
        shown = self.ifap("put", "-r", "--queue", self.local / "d", "x/")
        self.assertEqual((0, "0 new, 2 pending, 0 unchanged, 0 failed\n"), (shown.status, shown.out))
        self.store.go_online()
        self.assertEqual(["x", "x/d", "x/d/1", "x/d/2"], self.names())
        shown = self.ifap("--json", "put", "-r", "--queue", self.local / "d", "x/")
        self.assertEqual({"new": 0, "pending": 0, "unchanged": 2, "failed": 0}, json.loads(shown.out.splitlines()[-1]))

    def test_nothing_there_is_looked_at(self) -> None:
        """While the server is away a tree goes into a directory that is named so, and no question is asked of it."""
        self.write("e/1", b"one")
        (self.local / "e/empty").mkdir()
        self.store.go_offline()
        asked: list[str] = []
        for name in ("list", "stat"):
            self.patch(self.filesystem, name, lambda *_args, _name=name, **_more: asked.append(_name))
        shown = self.ifap("put", "-r", "--queue", "--dry-run", self.local / "d", "x/")
        self.assertEqual((0, "would store /x/d/1\nwould store /x/d/2\n"), (shown.status, shown.out[:38]))
        shown = self.ifap("put", "-r", "--queue", self.local / "e", "x/")
        self.assertEqual((8, "0 new, 1 pending, 0 unchanged, 1 failed\n"), (shown.status, shown.out))
        self.assertIn("/x/e/empty: An empty directory is not queued", shown.err)
        self.assertEqual([], asked)

    def test_refused(self) -> None:
        """What the server refuses is not accepted."""
        self.store.fail_next("append", QuotaExceeded("The mailbox is full."))
        shown = self.ifap("put", "--queue", self.local / "a.txt", "a")
        self.assertEqual((6, ""), (shown.status, shown.out))

    def test_without_a_basedir(self) -> None:
        """It says why not."""
        self.filesystem = self.folder.device()
        shown = self.ifap("put", "--queue", self.local / "a.txt", "a")
        self.assertNotEqual(0, shown.status)
        self.assertIn("basedir", shown.err)

    def test_a_tree_over_what_waits(self) -> None:
        """What is as on the server, but not as what still goes there, is no unchanged file: the last word counts."""
        self.ifap("put", "-r", self.local / "d", "x/")
        self.store.go_offline()
        self.write("d/1", b"something else")
        shown = self.ifap("put", "-r", "--queue", self.local / "d", "x/")
        self.assertEqual("0 new, 2 pending, 0 unchanged, 0 failed\n", shown.out)
        self.write("d/1", b"one")
        self.store.fail_next("append", QuotaExceeded("The mailbox is full."))
        self.store.go_online()
        self.assertEqual(8, self.ifap("status").status)
        shown = self.ifap("put", "-r", "--queue", self.local / "d", "x/")
        self.assertEqual("0 new, 1 pending, 1 unchanged, 0 failed\n", shown.out)
        self.ifap("sync")
        self.assertEqual(0, self.ifap("status").status)
        self.assertEqual(b"one", self.content("x/d/1"))

    def test_a_tree_whose_place_cannot_be_asked_for(self) -> None:
        """Nothing is accepted, as it may be meant for another place: a slash tells, at the end of either."""
        self.stored("x/1", b"something else")
        self.store.go_offline()
        shown = self.ifap("put", "-r", "--queue", self.local / "d", "x")
        self.assertEqual((8, "0 new, 0 pending, 0 unchanged, 1 failed\n"), (shown.status, shown.out))
        self.assertIn("end it in a slash", shown.err)
        self.ifap("put", "-r", "--queue", self.local / "d", "x/")
        self.ifap("put", "-r", "--queue", f"{self.local}/d/", "y")
        self.store.go_online()
        self.assertEqual(["x", "x/1", "x/d", "x/d/1", "x/d/2", "y", "y/1", "y/2"], self.names())
        self.assertEqual((b"something else", b"one"), (self.content("x/1"), self.content("x/d/1")))

    def test_status(self) -> None:
        """What is pending and why; the exit status tells whether all is uploaded."""
        self.assertEqual(0, self.ifap("status").status)
        self.store.go_offline()
        self.ifap("put", "--queue", self.local / "a.txt", "a")
        shown = self.ifap("status")
        self.assertEqual(8, shown.status)
        self.assertIn("Not everything is uploaded: 1 write waits for the mail server.", shown.out)
        self.assertIn("accepted and waits for the mail server. (/a)", shown.out)
        shown = self.ifap("--json", "status")
        self.assertEqual((8, 1), (shown.status, json.loads(shown.out)["pending"]))
        self.store.fail_next("append", QuotaExceeded("The mailbox is full."))
        self.store.go_online()
        shown = self.ifap("status")
        self.assertIn("1 write failed and will be tried again", shown.out)
        self.assertIn("The mailbox is full.", shown.out)
        self.store.fail_next("append", QuotaExceeded("The mailbox is full."))
        shown = self.ifap("sync")
        self.assertEqual(8, shown.status)
        self.assertIn("Not everything is uploaded: 1 write failed and will be tried again.", shown.err)
        self.assertEqual(0, self.ifap("sync").status)
        self.assertEqual(0, self.ifap("status").status)

    def test_status_while_the_server_is_away(self) -> None:
        """Nothing is pending, but nobody knows what is on the server."""
        self.store.go_offline()
        self.assertEqual(8, self.ifap("status").status)
