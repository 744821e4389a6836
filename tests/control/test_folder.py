"""Names, versions and conflicts in JSON."""

from __future__ import annotations

import json

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.control.schemas import BODIES
from ifap_twisted.core import limits
from ifap_twisted.core.values import ABSENT, Entry
from ifap_twisted.errors import Unavailable
from ifap_twisted.store.memory import MemoryShelf, MemoryStore, Turnstile
from tests.control.scripted import Held, Scripted, failing
from tests.control.wire import Node, memory_filesystem, parse, request

VERBS = {
    "move": {"source": "a", "destination": "b"},
    "copy": {"source": "a", "destination": "b"},
    "mkdir": {"path": "d"},
    "restore": {"path": "a", "version": "abcd"},
    "undelete": {"path": "a"},
    "keep": {"path": "a", "count": 3},
    "resolve": {"path": "a", "both": True},
    "sync": {},
    "snapshot": {},
    "collect": {"dry_run": True},
    "check": {},
}


class FolderCase(SynchronousTestCase):
    """With a node of its own."""

    def setUp(self):
        """A node in memory."""
        self.node = Node()

    def put(self, path, body=b"x"):
        return self.node.ask("PUT", f"/v1/files/{path}", None, body).json()

    def paths(self, url):
        """The paths in a list of entries."""
        reply = self.node.ask("GET", url)
        self.assertEqual(reply.status, 200, reply.body)
        return [entry["path"] for entry in reply.json()["entries"]]

    def code(self, reply):
        return reply.status, reply.json()["code"]


class ListTests(FolderCase):
    """/v1/list, /v1/versions, /v1/conflicts."""

    def test_list(self):
        """A directory is listed in the order of its names, or a whole tree."""
        for path in ("b", "a/y", "a/x", "%C3%A4"):
            self.put(path)
        for url in ("/v1/list", "/v1/list/"):
            self.assertEqual(self.paths(url), ["/a", "/b", "/ä"])
        self.assertEqual(self.paths("/v1/list/a"), ["/a/x", "/a/y"])
        self.assertEqual(self.paths("/v1/list/a/"), ["/a/x", "/a/y"])
        self.assertEqual(self.paths("/v1/list/?recursive=1"), ["/a", "/a/x", "/a/y", "/b", "/ä"])

    def test_one_file(self):
        """A file is listed as itself; with a slash it is no directory."""
        self.put("a")
        self.assertEqual(self.paths("/v1/list/a"), ["/a"])
        self.assertEqual(self.code(self.node.ask("GET", "/v1/list/a/")), (409, "not-a-directory"))
        self.assertEqual(self.code(self.node.ask("GET", "/v1/list/nothing")), (404, "not-found"))

    def test_everything(self):
        """``everything`` lists removed files too."""
        self.put("a")
        self.node.ask("DELETE", "/v1/files/a")
        self.assertEqual(self.paths("/v1/list/"), [])
        self.assertIn("/a", self.paths("/v1/list/?everything=1"))

    def test_at(self):
        """``at`` lists what was there then."""
        self.put("a")
        then = self.node.clock.seconds()
        self.node.clock.advance(100)
        self.put("b")
        self.assertEqual(self.paths(f"/v1/list/?at={then + 1:.3f}"), ["/a"])
        self.assertEqual(self.paths("/v1/list/?at=2099-01-01T00:00:00Z"), ["/a", "/b"])
        self.assertEqual(self.code(self.node.ask("GET", "/v1/list/?at=then")), (400, "bad-request"))

    def test_long(self):
        """A long list is sent piece by piece, with turns of the reactor between them."""
        entries = [Entry(path=f"f{number:05d}", version="v") for number in range(3 * limits.LIST_PIECE + 1)]
        self.node = Node(filesystem=Scripted(self.node.filesystem, list=lambda *_a, **_k: succeed(entries)))
        wire = self.node.connect()
        wire.send(request("GET", "/v1/list/"))
        first = len(wire.value())
        self.node.clock.pump([0] * 10)
        self.assertLess(first, len(wire.value()) / 2)
        found = parse(wire.value()).json()["entries"]
        self.assertEqual(found, [entry.to_json() for entry in entries])

    def test_long_and_gone(self):
        """A client that goes away in the middle of a long list stops it."""
        entries = [Entry(path=f"f{number:05d}", version="v") for number in range(3 * limits.LIST_PIECE)]
        self.node = Node(filesystem=Scripted(self.node.filesystem, list=lambda *_a, **_k: succeed(entries)))
        wire = self.node.connect()
        wire.send(request("GET", "/v1/list/"))
        wire.lose()
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_names_of_the_folder(self):
        """Names that UTF-8 cannot say are shown escaped in JSON, and stop nothing."""
        entries = [Entry(path="\ud800\r\n", version="v")]
        self.node = Node(filesystem=Scripted(self.node.filesystem, list=lambda *_a, **_k: succeed(entries)))
        self.assertEqual(self.paths("/v1/list/"), ["/\ud800\r\n"])

    def test_versions(self):
        """All versions, newest first."""
        versions = [self.put("a", body)["version"] for body in (b"1", b"2", b"3")]
        found = self.node.ask("GET", "/v1/versions/a").json()["entries"]
        self.assertEqual([entry["version"] for entry in found], versions[::-1])
        self.assertEqual(self.code(self.node.ask("GET", "/v1/versions/b")), (404, "not-found"))

    def test_conflicts(self):
        """Two writes that did not know of each other are a conflict, listed until it is resolved."""
        shelf, clock = MemoryShelf(), self.node.clock
        gate = Turnstile("append")
        ours = memory_filesystem(clock, MemoryStore(shelf, clock=clock), seed="ours")
        theirs = memory_filesystem(clock, MemoryStore(shelf, clock=clock, gate=gate), seed="theirs")
        self.node = Node(filesystem=ours, clock=clock)
        writing = theirs.put("d/a", b"theirs")
        self.put("d/a", b"ours")
        gate.release()
        self.successResultOf(writing)
        self.node.post("/v1/sync", {})
        self.assertEqual(self.paths("/v1/conflicts"), ["/d/a", "/d/a"])
        self.assertEqual(self.paths("/v1/conflicts?path=d"), ["/d/a", "/d/a"])
        self.assertEqual(self.paths("/v1/conflicts?path=/other"), [])
        head = self.node.ask("GET", "/v1/conflicts").json()["entries"][0]["version"]
        self.assertEqual(self.node.post("/v1/resolve", {"path": "d/a", "version": head}).status, 200)
        self.assertEqual(self.paths("/v1/conflicts"), [])


class VerbTests(FolderCase):
    """The POST routes."""

    def test_move_and_copy(self):
        """Move and copy name a source and a destination."""
        self.put("a", b"1")
        self.assertEqual(self.node.post("/v1/copy", {"source": "/a", "destination": "b"}).json()["path"], "/b")
        self.assertEqual(self.node.post("/v1/move", {"source": "a", "destination": "c"}).json()["path"], "/c")
        self.assertEqual(self.paths("/v1/list/"), ["/b", "/c"])
        self.assertEqual(
            self.code(self.node.post("/v1/move", {"source": "b", "destination": "c"})), (409, "already-exists")
        )

    def test_mkdir(self):
        """Mkdir makes a directory, with ``parents`` those above."""
        self.assertEqual(self.code(self.node.post("/v1/mkdir", {"path": "x/y"})), (404, "not-found"))
        self.assertEqual(self.node.post("/v1/mkdir", {"path": "x/y", "parents": True}).json()["type"], "directory")

    def test_versions_of_a_file(self):
        """restore, undelete and keep make new versions."""
        old = self.put("a", b"old")["version"]
        self.put("a", b"new")
        self.assertEqual(self.node.post("/v1/restore", {"path": "a", "version": old}).status, 200)
        self.assertEqual(self.node.ask("GET", "/v1/files/a").body, b"old")
        self.assertEqual(self.node.post("/v1/keep", {"path": "a", "count": 9}).json()["keep"], 9)
        self.node.ask("DELETE", "/v1/files/a")
        self.assertEqual(self.node.post("/v1/undelete", {"path": "a"}).json()["deleted"], False)

    def test_expect(self):
        """``expect`` is a version or ``absent``, and makes a failure 412."""
        version = self.put("a")["version"]
        move = {"source": "a", "destination": "b"}
        self.assertEqual(self.node.post("/v1/move", {**move, "expect": "other"}).status, 412)
        self.assertEqual(self.node.post("/v1/move", {**move, "expect": version}).status, 200)
        held = Held()
        node = Node(filesystem=Scripted(self.node.filesystem, copy=held), clock=self.node.clock)
        body = json.dumps({**move, "expect": "absent"}).encode()
        node.connect().send(request("POST", "/v1/copy", {"Content-Type": "application/json"}, body))
        self.assertEqual(held.calls, [(("a", "b"), {"expect": ABSENT})])

    def test_resolve(self):
        """Resolve hands on what it was given; without a version the current one stays."""
        self.put("a")
        self.assertEqual(self.code(self.node.post("/v1/resolve", {"path": "a", "both": True})), (404, "not-found"))
        held = Held()
        node = Node(filesystem=Scripted(self.node.filesystem, resolve=held), clock=self.node.clock)
        for body in ({"path": "a"}, {"path": "a", "version": "abcd", "both": True, "expect": "v"}):
            wire = node.connect()
            wire.send(request("POST", "/v1/resolve", {"Content-Type": "application/json"}, json.dumps(body).encode()))
        self.assertEqual(
            held.calls,
            [
                (("a",), {"version": None, "both": False, "expect": None}),
                (("a",), {"version": "abcd", "both": True, "expect": "v"}),
            ],
        )

    def test_unavailable(self):
        """What the server cannot do now is 503."""
        self.node = Node(filesystem=Scripted(self.node.filesystem, move=failing(Unavailable())))
        self.assertEqual(self.code(self.node.post("/v1/move", VERBS["move"])), (503, "unavailable"))


class BodyTests(FolderCase):
    """Bodies are exactly as documented."""

    def test_every_verb(self):
        """Every POST route is tried here, and its example fits its schema."""
        schemas = {name.lower() for name in BODIES} - {"nothing", "takelock"}
        self.assertEqual(set(VERBS), schemas | {"sync", "snapshot"})
        for name, body in VERBS.items():
            self.assertNotEqual(self.node.post(f"/v1/{name}", body).status, 400, name)

    def test_unknown_key(self):
        """A key that is not documented is refused."""
        for name, body in VERBS.items():
            self.assertEqual(self.code(self.node.post(f"/v1/{name}", {**body, "force": True})), (400, "bad-request"))

    def test_missing_key(self):
        """A key that is needed must be there."""
        for name, body in VERBS.items():
            for key in set(body) - {"both", "dry_run"}:
                rest = {other: value for other, value in body.items() if other != key}
                self.assertEqual(self.code(self.node.post(f"/v1/{name}", rest)), (400, "bad-request"), (name, key))

    def test_wrong_type(self):
        """A value of another type is refused."""
        for name, body in VERBS.items():
            for key in body:
                for value in (None, [], {}, 1.5, [1], *(["x"] if key in {"count", "both", "dry_run"} else [1, True])):
                    reply = self.node.post(f"/v1/{name}", {**body, key: value})
                    self.assertEqual(self.code(reply), (400, "bad-request"), (name, key, value))
        for count in (0, -1, True):
            self.assertEqual(self.node.post("/v1/keep", {"path": "a", "count": count}).status, 400)

    def test_no_object(self):
        """What is no JSON object, or names a key twice, is refused."""
        fields = {"Content-Type": "application/json"}
        for body in (
            b"[]", b"1", b"null", b'"x"', b"{", b'{"path":"a"', b'{"path":"a","path":"b"}', b"\xff", b'{"path":NaN}',
            b"[" * 50_000, b'{"path":"a"} x', b"",
        ):  # fmt: skip
            self.assertEqual(
                self.code(self.node.ask("POST", "/v1/mkdir", fields, body)), (400, "bad-request"), body[:20]
            )

    def test_too_long(self):
        """A body of more than 64 KiB is refused."""
        fields = {"Content-Type": "application/json"}
        body = json.dumps({"path": "x" * limits.JSON_BODY}).encode()
        self.assertEqual(self.code(self.node.ask("POST", "/v1/mkdir", fields, body)), (413, "too-large"))
        wire = self.node.connect()
        chunks = b"".join(b"4000\r\n" + b" " * 0x4000 + b"\r\n" for _ in range(5))
        wire.send(request("POST", "/v1/mkdir", {**fields, "Transfer-Encoding": "chunked"}) + chunks)
        self.assertEqual(parse(wire.value()).status, 413)

    def test_charset(self):
        """A parameter of the media type does not matter; JSON is UTF-8."""
        fields = {"Content-Type": "Application/JSON; charset=utf-8"}
        self.assertEqual(self.node.ask("POST", "/v1/mkdir", fields, '{"path":"ä"}'.encode()).json()["path"], "/ä")

    def test_traversal(self):
        """A path in a body is judged by the filesystem."""
        for path in ("../x", "a//b", "a/./b", "", "\x00", "\ud800"):
            self.assertEqual(self.node.post("/v1/mkdir", {"path": path}).status in {400, 409}, True, path)
