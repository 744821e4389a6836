"""Every route of the table against everybody who may not use it (R21), and what the table says against what is done."""

from __future__ import annotations

import re
from typing import ClassVar

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.control import routes
from ifap_twisted.control.openapi import methods_of
from ifap_twisted.control.routes import ROUTES
from ifap_twisted.control.schemas import BODIES, OBJECTS
from tests.control.scripted import Scripted
from tests.control.wire import PORT, TOKEN, Node, parse, request

ALL_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "CONNECT")
READING = frozenset(
    {"stat", "read", "stream", "get", "list", "versions", "conflicts", "locks", "status", "usage", "watch"}
)
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://evil.example"}


def url_of(route: routes.Route) -> str:
    """A URL that a route answers to."""
    return route.url.replace("{path}", "a/b.txt").replace("{id}", "0001")


def every():
    """Every method of every route."""
    return [(route, method) for route in ROUTES for method in methods_of(route)]


class AbuseTests(SynchronousTestCase):
    """Requests that must not do anything."""

    def setUp(self):
        """A node whose filesystem writes down what was asked of it."""
        self.used: list[str] = []
        node = Node()
        original = node.filesystem
        spy = {name: self.spying(original, name) for name in dir(original) if not name.startswith("_")}
        self.node = Node(filesystem=Scripted(original, **spy))
        self.used.clear()

    def spying(self, original, name):
        def used(*args, **kwargs):
            self.used.append(name)
            return getattr(original, name)(*args, **kwargs)

        return used

    def refused(self, status, code, headers, *, with_open=True, body=b"{}"):
        """Every method of every route, with headers that must not pass."""
        for route, method in every():
            if route.open and not with_open:
                continue
            reply = self.node.ask(method, url_of(route), headers, body)
            self.assertEqual(reply.status, status, (method, route.url))
            self.assertNotIn("access-control-allow-origin", reply.headers)
            self.assertNotIn("set-cookie", reply.headers)
            if method != "HEAD":
                self.assertEqual(reply.json()["code"], code)
                self.assertEqual(reply["Content-Type"], "application/problem+json")
        self.assertEqual(self.used, [])

    def test_no_token(self):
        """Without a token nothing but /healthz is answered."""
        self.refused(401, "unauthorised", {"Authorization": None}, with_open=False)

    def test_wrong_token(self):
        """With a wrong token, a part of the right one, or another scheme, nothing but /healthz is answered."""
        for value in ("Bearer x", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer", "ä"):
            self.setUp()  # a node takes so many connections at a time
            self.refused(401, "unauthorised", {"Authorization": value}, with_open=False)

    def test_wrong_host(self):
        """Under a foreign name nothing is answered, not even /healthz: DNS rebinding ends here."""
        for host in ("evil.example", f"evil.example:{PORT}", "127.0.0.1:1", "127.0.0.2:4327", "localhost", ""):
            self.refused(403, "forbidden", {"Host": host})

    def test_no_host(self):
        """Without a Host header nothing is answered."""
        self.refused(403, "forbidden", {"Host": None})

    def test_foreign_origin(self):
        """A foreign web site gets nothing, even if it knew the token."""
        for origin in ("http://evil.example", "null", "file://", f"http://localhost:{PORT + 1}", "https://", "\xe4"):
            self.refused(403, "forbidden", {"Origin": origin})

    def test_simple_post(self):
        """The POST that any page can make (a form, no preflight) does nothing."""
        for route in ROUTES:
            reply = self.node.ask("POST", url_of(route), {**FORM, "Authorization": None}, b"path=a")
            self.assertEqual(reply.status, 403, route.url)
        self.assertEqual(self.used, [])

    def test_form_with_token(self):
        """A form is not JSON, whoever sends it."""
        for route in ROUTES:
            if route.methods != ("POST",):
                continue
            for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain", None):
                reply = self.node.ask("POST", url_of(route), {"Content-Type": kind}, b"{}")
                self.assertEqual((reply.status, reply.json()["code"]), (415, "unsupported-media-type"), route.url)
        self.assertEqual(self.used, [])

    def test_wrong_method(self):
        """A method that a URL does not have is 405 and told which ones it has; there is no CORS preflight."""
        urls = {url_of(route) for route in ROUTES}
        for url in urls:
            allowed = {method for route, method in every() if url_of(route) == url}
            for method in set(ALL_METHODS) - allowed:
                reply = self.node.ask(method, url, {"Origin": f"http://localhost:{PORT}"}, b"")
                self.assertEqual(reply.status, 405, (method, url))
                self.assertEqual(set(reply["Allow"].split(", ")), allowed, url)
                self.assertNotIn("access-control-allow-methods", reply.headers)
        self.assertEqual(self.used, [])

    def test_unknown_query(self):
        """A parameter that a route does not know is refused: none is parsed and ignored."""
        for route, method in every():
            reply = self.node.ask(method, url_of(route) + "?surprise=1", {"Content-Type": "application/json"}, b"{}")
            self.assertEqual(reply.status, 400, (method, route.url))
        self.assertEqual(self.used, [])

    def test_traversal(self):
        """No path leads out of a route."""
        for prefix in ("/v1/files", "/v1/list", "/v1/versions"):
            for path in ("../status", "a/%2e%2e/b", "a%2Fb", "a//b", "%00", "a/%C0%AF", "..%2f..%2fetc%2fpasswd", "."):
                reply = self.node.ask("GET", f"{prefix}/{path}")
                self.assertEqual((reply.status, reply.json()["code"]), (400, "invalid-path"), path)
        self.assertEqual(self.used, [])

    def test_reading_is_safe(self):
        """GET and HEAD never change anything."""
        for route, method in every():
            if method in {"GET", "HEAD"} and route.name != "events":
                self.node.ask(method, url_of(route))
        self.assertLessEqual(set(self.used), READING)
        self.assertIn("stream", self.used)

    def test_unknown_routes(self):
        """What is not in the table is 404 with a problem of its own."""
        for url in (
            "/",
            "/v1",
            "/v1/",
            "/v2/status",
            "/v1/status/x",
            "/healthz/x",
            "/v1/filesx/a",
            "/open",
            "/v1/lock/a",
        ):
            reply = self.node.ask("GET", url)
            self.assertEqual((reply.status, reply.json()["code"]), (404, "no-such-route"), url)


class AdmittedTests(SynchronousTestCase):
    """Requests that must get in."""

    hosts: ClassVar = (
        (IPv4Address("TCP", "127.0.0.1", PORT), ("127.0.0.1:4327", "localhost:4327", "LOCALHOST:4327")),
        (IPv6Address("TCP", "::1", PORT), ("[::1]:4327", "localhost:4327", "[0:0:0:0:0:0:0:1]:4327")),
        (IPv4Address("TCP", "127.0.0.1", 80), ("127.0.0.1", "localhost", "localhost:80")),
        (UNIXAddress("/x/control.socket"), ("localhost", "ifap")),
        (UNIXAddress(None), ("localhost", "ifap")),
    )

    def ask(self, node, address, headers):
        wire = node.connect(address)
        wire.send(request("GET", "/v1/status", headers))
        return parse(wire.value())

    def test_own_names(self):
        """The bound address and localhost are our names, over a UNIX socket localhost and ifap."""
        node = Node()
        for address, hosts in self.hosts:
            for host in hosts:
                self.assertEqual(self.ask(node, address, {"Host": host}).status, 200, (address, host))

    def test_own_origin(self):
        """A page of our own may ask."""
        node = Node()
        reply = self.ask(node, self.hosts[0][0], {"Origin": f"http://localhost:{PORT}"})
        self.assertEqual(reply.status, 200)

    def test_further_hosts(self):
        """Further names are ours only when they were given, with their port if one was given."""
        node = Node(hosts=("files.example.org", "other.example:8443"))
        for host, status in (
            ("files.example.org", 200),
            ("files.example.org:9", 200),
            ("other.example:8443", 200),
            ("other.example", 403),
            ("x.files.example.org", 403),
        ):
            self.assertEqual(self.ask(node, self.hosts[0][0], {"Host": host}).status, status, host)

    def test_two_hosts(self):
        """Two Host headers are none."""
        wire = Node().connect()
        wire.send(request("GET", "/v1/status").replace(b"Host:", b"Host: localhost:4327\r\nHost:", 1))
        self.assertEqual(parse(wire.value()).status, 403)

    def test_healthz(self):
        """/healthz needs no token and tells nothing."""
        reply = Node().ask("GET", "/healthz", {"Authorization": None})
        self.assertEqual((reply.status, reply.body), (200, b"ok\n"))

    def test_bearer_case(self):
        """The scheme is compared without regard to case (RFC 9110 11.1)."""
        self.assertEqual(Node().ask("GET", "/v1/status", {"Authorization": f"bearer {TOKEN}"}).status, 200)

    def test_401_says_how(self):
        """A 401 names the scheme."""
        reply = Node().ask("GET", "/v1/status", {"Authorization": None})
        self.assertEqual(reply["WWW-Authenticate"], 'Bearer realm="ifap"')


class TableTests(SynchronousTestCase):
    """The table itself."""

    def test_names_differ(self):
        """Every route has a name of its own."""
        names = [route.name for route in ROUTES]
        self.assertEqual(len(set(names)), len(names))

    def test_schemas_exist(self):
        """Every body and answer names a schema that there is."""
        kinds = {"bytes", "text", "events", "lines", None}
        for route in ROUTES:
            self.assertIn(route.body, BODIES.keys() | {"bytes", None})
            for answer in route.answers.values():
                for kind in [None] if answer is None else answer.split(" or "):
                    self.assertIn(kind, OBJECTS.keys() | kinds)

    def test_no_route_waits_for_later(self):
        """There is no route for what this version does not do."""
        for route in ROUTES:
            self.assertFalse(re.search("recover|open$", route.url), route.url)

    def test_nosniff_everywhere(self):
        """No answer may be sniffed or cached."""
        node = Node()
        for route, method in every():
            if route.name == "events":
                continue
            reply = node.ask(method, url_of(route), {"Content-Type": "application/json"}, b"{}")
            self.assertEqual(reply["X-Content-Type-Options"], "nosniff", route.url)
            self.assertEqual(reply["Cache-Control"], "no-store", route.url)
