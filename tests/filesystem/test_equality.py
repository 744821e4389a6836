"""Puts of what is there already: nothing is stored, unless something speaks against relying on it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import Conflict
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import Folder


class EqualTests(SynchronousTestCase):
    """``put(unless_equal=True)``."""

    def setUp(self) -> None:
        """A folder with a file."""
        self.folder = Folder()
        self.filesystem = self.folder.device()
        self.first = self.put(b"content", unless_equal=False)

    def put(self, data: bytes = b"content", **more):
        return self.successResultOf(self.filesystem.put("a", data, **{"unless_equal": True, **more}))

    def test_nothing_is_sent(self) -> None:
        """Nothing reaches the server."""
        before = set(self.folder.shelf.messages)
        self.assertEqual(self.first, self.put())
        self.assertEqual(before, set(self.folder.shelf.messages))

    def test_damaged(self) -> None:
        """What could not be read last is stored anew."""
        (uid,) = self.filesystem.desk.view.index.history("a").current.places
        self.folder.shelf.tamper(uid, self.folder.shelf.messages[uid][:-100])
        self.failureResultOf(self.filesystem.get("a"))
        self.assertNotEqual(self.first.version, self.put().version)
        self.assertEqual(b"content", self.successResultOf(self.filesystem.get("a")))

    def test_gone(self) -> None:
        """What has vanished from the server is stored anew."""
        (uid,) = self.filesystem.desk.view.index.history("a").current.places
        self.folder.shelf.remove([uid])
        self.successResultOf(self.filesystem.refresh())
        self.assertNotEqual(self.first.version, self.put().version)

    def test_conflict(self) -> None:
        """In a conflict it is stored: like any put it is how the conflict ends."""
        store = self.folder.store()
        other = self.folder.device(store=store)
        store.gate = Turnstile("append")
        late = other.put("a", b"theirs")
        here = self.put(b"mine")
        store.gate.release()
        self.successResultOf(late)
        self.successResultOf(self.filesystem.refresh())
        current = self.successResultOf(self.filesystem.stat("a"))
        self.assertTrue(current.conflict)
        data = self.successResultOf(self.filesystem.get("a"))
        entry = self.put(data)
        self.assertNotIn(entry.version, {current.version, here.version})
        self.assertFalse(self.successResultOf(self.filesystem.stat("a")).conflict)

    def test_batch(self) -> None:
        """Inside a batch, too."""

        async def many():
            async with self.filesystem.batch():
                return await self.filesystem.put("a", b"content", unless_equal=True)

        entry = self.successResultOf(Deferred.fromCoroutine(many()))
        self.assertEqual(self.first.version, entry.version)

    def test_changed_meanwhile(self) -> None:
        """Who expects another version is told so, whatever the content is."""
        self.failureResultOf(self.filesystem.put("a", b"content", expect="other", unless_equal=True), Conflict)
