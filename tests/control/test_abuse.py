"""Every attack on every method of every route (R21): none succeeds, none stays, none is told more than that.

What is tried is in :mod:`tests.control.attacks`. A pair in which an attack makes no sense (a bad body where there is
none) sends nothing, and is counted apart.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.control.attacks import ATTACKS, FILE, MAX_FILE_SIZE, Aim, Attack, Fields
from tests.control.scripted import Scripted
from tests.control.test_routes import READING, every
from tests.control.wire import TOKEN, Node, Reply, Wire, parse, parse_all, request

AIMS = [Aim(route, method) for route, method in every()]


class Outcome(NamedTuple):
    """What became of one connection.

    :ivar statuses: of its answers; one 0 when there was none.
    """

    statuses: list[int]
    replies: list[Reply]
    used: list[str]
    ended: bool


class Range:
    """A node to be shot at, whose filesystem writes down what was asked of it."""

    def __init__(self) -> None:
        self.used: list[str] = []
        node = Node(max_file_size=MAX_FILE_SIZE)
        self.filesystem = node.filesystem
        spies = {name: self._spy(name) for name in dir(self.filesystem) if not name.startswith("_")}
        self.node = Node(filesystem=Scripted(self.filesystem, **spies), clock=node.clock, max_file_size=MAX_FILE_SIZE)
        assert self.node.ask("PUT", f"/v1/files/{FILE}", None, b"precious").status == 201
        assert self.node.post("/v1/sync", {}).json()["id"] == "0001"
        self.before = self.state()
        self.channels = set(self.node.site.channels)

    def _spy(self, name: str):
        def used(*args, **kwargs):
            self.used.append(name)
            return getattr(self.filesystem, name)(*args, **kwargs)

        return used

    def state(self) -> list[object]:
        """All that is in the folder."""
        found: list[object] = []
        self.filesystem.list("/", recursive=True, everything=True).addCallback(found.extend)
        return found

    def ask(self, method: str, url: str, fields: Fields | None = None, body: bytes | None = None) -> Reply:
        """One request, and its answer."""
        wire = self.node.connect()
        wire.send(request(method, url, fields, body))
        self.node.clock.pump([0] * 20)
        wire.lose()
        return parse(wire.value(), head=method == "HEAD")

    def shoot(self, data: bytes, attack: Attack) -> Outcome:
        """Send the bytes of a try, wait as the attack wants, and see."""
        self.used.clear()
        wire = self.node.connect()
        _send(wire, data)
        self.node.clock.pump([0] * 20)
        if attack.waits:
            self.node.clock.advance(attack.waits)
        for byte in attack.drops:
            _send(wire, bytes([byte]))
            self.node.clock.advance(attack.waits)
        value, ended = wire.value(), wire.disconnecting
        if not wire.aborted:
            wire.lose()
        self.node.clock.pump([0] * 20)
        replies = parse_all(_complete(value), head=data.startswith(b"HEAD "))
        return Outcome([reply.status for reply in replies] or [0], replies, list(self.used), ended)


def _complete(data: bytes) -> bytes:
    """Give a stream that goes on the end that parsing wants."""
    streamed = b"Transfer-Encoding: chunked" in data and not data.endswith(b"0\r\n\r\n")
    return data + b"0\r\n\r\n" if streamed else data


def _send(wire: Wire, data: bytes) -> None:
    if not wire.disconnecting:
        wire.send(data)


class AbuseTests(SynchronousTestCase):
    """Requests that must come to nothing."""

    def judge(self, attack: Attack, aim: Aim, found: Outcome, shot: bytes) -> None:
        """What holds for every try."""
        about = (aim.method, aim.route.url, shot[:300], found.statuses)
        self.assertLessEqual(set(found.statuses), attack.right(aim), about)
        if not attack.reaches:
            self.assertLessEqual(set(found.used), READING if attack.reads else set(), about)
        if 0 in found.statuses:
            self.assertTrue(found.ended, about)
        for reply in found.replies:
            for name in ("access-control-allow-origin", "access-control-allow-methods", "set-cookie", "location"):
                self.assertNotIn(name, reply.headers, about)
            self.assertNotIn(TOKEN.encode(), reply.body, about)
            if reply.headers.get("content-type"):
                self.assertEqual(reply["X-Content-Type-Options"], "nosniff", about)

    def shoot_all(self, name: str) -> int:
        """One attack on all; gives how many tries there were."""
        attack, tries = ATTACKS[name], 0
        node = Range()
        loud: list[dict[str, object]] = []
        globalLogPublisher.addObserver(loud.append)
        self.addCleanup(globalLogPublisher.removeObserver, loud.append)
        for aim in AIMS:
            for data in attack.tries(aim):
                self.judge(attack, aim, node.shoot(data, attack), data)
                if attack.reaches:
                    self.assertEqual(node.before, node.state(), (aim, data[:300]))
                tries += 1
        self.assertEqual(node.before, node.state())
        self.assertEqual([], [event for event in loud if event["log_level"] >= LogLevel.warn])
        self.assertLessEqual(node.node.site.channels, node.channels)
        return tries


def _test_of(name: str):
    def test(self: AbuseTests) -> None:
        self.assertGreater(self.shoot_all(name), 0)

    test.__doc__ = ATTACKS[name].tries.__doc__
    return test


for _name in ATTACKS:
    setattr(AbuseTests, f"test_{_name}", _test_of(_name))


SOMEWHERE = {
    "traversal_in_the_body",
    "bad_json",
    "bad_chunks",
    "long_body",
    "slow_body",
    "range_floods",
    "conditions_without_end",
}
"""Attacks that need a body of JSON, any body, or content."""

PAGES = (
    "text/html",
    "TEXT/HTML; charset=utf-7",
    "image/svg+xml",
    "application/xhtml+xml",
    "text/javascript",
    "text/xml",
)
SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script></svg>"
NAMES = (
    "<img src=x onerror=alert(1)>.html",
    "x.svg",
    'a";filename="b.html',
    "%0d%0aSet-Cookie: a=b",
    "..;",
    "..\\..\\x",
    "%2e%2e",
)
"""Names that a page, a header or a program in between could take for something else."""


class CatalogueTests(SynchronousTestCase):
    """That the attacks above say something."""

    def test_served_otherwise(self):
        """Each method of each route is served when nothing is wrong with the request: attacks fail by what they add."""
        for aim in AIMS:
            node = Range()
            wire = node.node.connect()
            wire.send(aim.ask())
            node.node.clock.pump([0] * 20)
            status = int(wire.value()[9:12])
            self.assertTrue(status < 400 or node.used, (aim, status))
            wire.lose()

    def test_every_route_and_attack(self):
        """Every attack is made on every method of every route, but for those that need a body or content."""
        for name, attack in ATTACKS.items():
            aims = [aim for aim in AIMS if any(attack.tries(aim))]
            if name not in SOMEWHERE:
                self.assertEqual(AIMS, aims, name)
        self.assertGreaterEqual(len(AIMS) * len(ATTACKS), 1000)


class StoredTests(SynchronousTestCase):
    """What the folder holds, when a browser is made to show it."""

    def setUp(self):
        """Pages and pictures with scripts in them, under names that are some themselves."""
        self.range = Range()
        for kind in PAGES:
            for name in NAMES:
                fields = {"Content-Type": kind}
                url = "/v1/files/" + quote(f"{kind.partition(';')[0]}/{name}", safe="/")
                self.assertIn(self.range.ask("PUT", url, fields, SCRIPT).status, {200, 201}, url)

    def paths(self) -> list[str]:
        """Of all files."""
        found = self.range.ask("GET", "/v1/list/?recursive=1").json()["entries"]
        return [entry["path"] for entry in found if entry["type"] == "file"]

    def harmless(self, reply: Reply, about: object) -> None:
        """No browser runs any of it as a page of this node."""
        self.assertEqual("nosniff", reply["X-Content-Type-Options"], about)
        self.assertEqual("no-store", reply["Cache-Control"], about)
        self.assertEqual("no-referrer", reply["Referrer-Policy"], about)
        self.assertNotIn("access-control-allow-origin", reply.headers, about)
        self.assertNotIn("set-cookie", reply.headers, about)
        kind = (reply["Content-Type"] or "").partition(";")[0]
        if kind in {"application/json", "application/problem+json", "text/plain", "text/event-stream", ""}:
            return
        self.assertEqual("sandbox; default-src 'none'", reply["Content-Security-Policy"], about)
        self.assertRegex(
            reply["Content-Disposition"] or "", r"""\Aattachment; filename="[A-Za-z0-9._-]*"; filename\*="""
        )

    def test_content(self):
        """Content is an attachment in a sandbox, whatever its media type and name say, whole, in part and unchanged."""
        for path in self.paths():
            url = "/v1/files" + quote(path)
            for fields in ({}, {"Range": "bytes=0-3"}, {"If-None-Match": "*"}, {"Range": "bytes=999-"}):
                for method in ("GET", "HEAD"):
                    self.harmless(self.range.ask(method, url, fields), (method, path))

    def test_told(self):
        """Where names and types are told it is JSON, in good answers and in bad ones, on every route that reads."""
        paths = [path for path in self.paths() if path.startswith("/text/html/")] + ["/<b>none</b>"]
        self.assertEqual(len(NAMES) + 1, len(paths))
        for aim in AIMS:
            if aim.method not in {"GET", "HEAD"} or aim.route.name == "events":
                continue
            for path in paths:
                place = aim.route.url.replace("{path}", quote(path[1:])).replace("{id}", quote(path[1:], safe=""))
                for url in (place, place + "?<script>=1"):
                    reply = self.range.ask(aim.method, url)
                    self.harmless(reply, (aim.method, url))
                    self.assertLess(reply.status, 500, url)

    def test_names_are_taken_once(self):
        """A name is decoded once, whatever it looks like then: a file of that very name, and no other."""
        found = {path.rsplit("/", 1)[1] for path in self.paths()}
        self.assertLessEqual(set(NAMES), found)
