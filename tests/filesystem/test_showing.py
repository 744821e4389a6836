"""Listings of many files are made by a thread, and say what is there at one moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import NotFound
from ifap_twisted.filesystem import showing
from tests.filesystem.folders import Folder, result

ASKED: tuple[dict[str, Any], ...] = (
    {},
    {"recursive": True},
    {"everything": True},
    {"recursive": True, "everything": True},
)


class LateWorker:
    """Does at once what it is given until it is told to wait; then when the test says so."""

    def __init__(self) -> None:
        self.waits = False
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, work: Callable[[], Any]) -> Deferred[Any]:
        """Do it, or put it off."""
        done: Deferred[Any] = Deferred()
        self.waiting.append((work, done))
        if not self.waits:
            self.go_on()
        return done

    def go_on(self) -> None:
        """Do what waits."""
        waiting, self.waiting = self.waiting, []
        for work, done in waiting:
            execute(work).chainDeferred(done)


class ListingTests(SynchronousTestCase):
    """A folder with directories, a lock, something removed, a file beside a directory of its name."""

    def setUp(self) -> None:
        """The folder; every listing is one of many."""
        self.patch(showing, "AT_ONCE", 0)
        self.folder = Folder()
        self.worker = LateWorker()
        self.filesystem = self.folder.device(worker=self.worker)
        for name in ("a", "b/c", "b/d/e", "f"):
            result(self.filesystem.put(name, name.encode()))
        result(self.filesystem.make_directory("empty"))
        result(self.filesystem.remove("f"))
        result(self.filesystem.lock("b/c"))

    def listed(self, path: str = "/", **asked: Any) -> Any:
        """What a listing says."""
        return result(self.filesystem.list(path, **asked))

    def test_a_thread_finds_what_is_found_at_once(self) -> None:
        """The same entries in the same order, for all that can be asked for."""
        now = self.folder.clock.seconds()
        asked = [*ASKED, {"at": now}, {"at": now, "recursive": True}]
        by_thread = [self.listed(path, **one) for path in ("/", "b", "a") for one in asked]
        self.patch(showing, "AT_ONCE", 1000)
        self.assertEqual(by_thread, [self.listed(path, **one) for path in ("/", "b", "a") for one in asked])
        self.assertEqual(["a", "b", "b/c", "b/d", "b/d/e", "empty"], [one.path for one in by_thread[1]])
        self.assertIsNotNone(by_thread[1][2].locked)

    def test_it_is_of_the_moment_when_it_was_asked_for(self) -> None:
        """What comes, goes and is unlocked while the thread looks is not in it, not even in part."""
        for asked in ({"recursive": True}, {"recursive": True, "at": self.folder.clock.seconds() + 60}):
            before = self.listed(**asked)
            self.worker.waits = True
            listing = self.filesystem.list(**asked)
            (late,), self.worker.waiting = self.worker.waiting, []
            self.worker.waits = False
            result(self.filesystem.put("b/new", b"1"))
            result(self.filesystem.remove("a"))
            result(self.filesystem.unlock("b/c"))
            self.worker.waiting = [late]
            self.worker.go_on()
            self.assertEqual(before, result(listing))
            self.assertNotEqual(before, self.listed(**asked))
            result(self.filesystem.remove("b/new"))
            result(self.filesystem.put("a", b"a"))
            result(self.filesystem.lock("b/c"))

    def test_what_is_not_there(self) -> None:
        """Is not found, whoever looks."""
        for asked in (*ASKED, {"at": self.folder.clock.seconds()}):
            with self.assertRaises(NotFound):
                self.listed("nothing", **asked)

    def test_what_was_removed_is_shown_with_everything_only(self) -> None:
        """Also when it is asked for by its name's directory."""
        result(self.filesystem.remove("b", recursive=True))
        with self.assertRaises(NotFound):
            self.listed("b")
        self.assertEqual(["b/c", "b/d/e"], [one.path for one in self.listed("b", everything=True, recursive=True)])
