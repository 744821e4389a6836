"""/v1/locks."""

from __future__ import annotations

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.control.schemas import OBJECTS
from ifap_twisted.core.values import Lock
from ifap_twisted.store.memory import MemoryShelf, MemoryStore
from tests.control.wire import Node, memory_filesystem


class LockTests(SynchronousTestCase):
    """A node, and another device on the same folder."""

    def setUp(self) -> None:
        """One file that both know."""
        shelf, clock = MemoryShelf(), MemoryReactorClock()
        filesystem = memory_filesystem(clock, MemoryStore(shelf, clock=clock))
        self.node = Node(filesystem=filesystem, clock=clock)
        self.other = memory_filesystem(clock, MemoryStore(shelf, clock=clock), seed="other")
        self.node.ask("PUT", "/v1/files/a", None, b"x")

    def test_take_list_and_end(self) -> None:
        """POST takes it, GET lists it, an Entry shows it, DELETE ends it."""
        taken = self.node.post("/v1/locks/a", {"seconds": 60, "holder": "me"})
        lock = taken.json()
        self.assertEqual((taken.status, lock["path"], lock["holder"], lock["seconds"]), (200, "/a", "me", 60))
        self.assertEqual(set(lock), set(OBJECTS["Lock"]["required"]))
        for url in ("/v1/locks", "/v1/locks/", "/v1/locks/a"):
            self.assertEqual(self.node.ask("GET", url).json(), {"locks": [lock]})
        self.assertEqual(self.node.ask("GET", "/v1/locks/b").json(), {"locks": []})
        self.assertEqual(self.node.ask("GET", "/v1/files/a?stat=1").json()["locked"], lock)
        self.assertEqual(self.node.ask("GET", "/v1/status").json()["locks"], 1)
        self.assertEqual(self.node.post("/v1/locks/a", {}).json()["code"], "locked")
        again = self.node.post("/v1/locks/a", {"renew": lock["id"]}).json()
        self.assertEqual((again["id"], again["seconds"], again["holder"]), (lock["id"], 300, "me"))
        ended = self.node.ask("DELETE", "/v1/locks/a")
        self.assertEqual((ended.status, ended.json()["id"]), (200, lock["id"]))
        self.assertEqual(self.node.ask("DELETE", "/v1/locks/a").status, 404)

    def test_another_device_holds_it(self) -> None:
        """423 names the holder; force breaks it."""
        self.successResultOf(self.other.lock("a", holder="Alice"))
        for reply in (
            self.node.ask("PUT", "/v1/files/a", None, b"y"),
            self.node.ask("DELETE", "/v1/files/a"),
            self.node.post("/v1/locks/a", {}),
            self.node.ask("DELETE", "/v1/locks/a"),
        ):
            self.assertEqual(
                (reply.status, reply.json()["code"], reply.json()["about"]["holder"]), (423, "locked", "Alice")
            )
        self.assertEqual(self.node.ask("GET", "/v1/files/a").body, b"x")
        self.assertEqual(self.node.ask("DELETE", "/v1/locks/a?force=1").json()["holder"], "Alice")
        self.assertEqual(self.node.ask("PUT", "/v1/files/a", None, b"y").status, 200)

    def test_bodies(self) -> None:
        """As documented, or 400."""
        for body in ({"seconds": 0}, {"seconds": "60"}, {"holder": 1}, {"force": True}, {"seconds": 604_801}):
            self.assertEqual(self.node.post("/v1/locks/a", body).status, 400, body)

    def test_a_renewal_of_a_lock_that_is_over(self) -> None:
        """412, lease-lost."""
        lock = self.node.post("/v1/locks/a", {}).json()
        self.successResultOf(self.other.unlock("a", force=True))
        reply = self.node.post("/v1/locks/a", {"renew": lock["id"]})
        self.assertEqual((reply.status, reply.json()["code"]), (412, "lease-lost"))

    def test_json_and_back(self) -> None:
        """A Lock survives the way through JSON."""
        for lock in (Lock(path="a", id="x"), Lock(path="a", id="x", holder="h", writer="w", seconds=1, renewed=12.0)):
            self.assertEqual(Lock.from_json(lock.to_json()), lock)
