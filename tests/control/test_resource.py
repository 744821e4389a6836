"""The resource as a whole: what it says of itself, and bugs."""

from __future__ import annotations

from twisted.internet.defer import fail, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from zope.interface.verify import verifyObject

from ifap_twisted.control.gate import Gate
from ifap_twisted.control.requests import ITakesBodies
from ifap_twisted.core.values import Entry
from ifap_twisted.errors import Unavailable
from ifap_twisted.filesystem.streams import WholeStream
from tests.control.scripted import Held, Scripted
from tests.control.wire import Node, parse, request


class AboutTests(SynchronousTestCase):
    """/v1/status and /v1/info."""

    def test_status(self):
        """The status is the filesystem's."""
        node = Node()
        status = self.successResultOf(node.filesystem.status())
        self.assertEqual(node.ask("GET", "/v1/status").json(), status.to_json())

    def test_info(self):
        """The info is what the node was given to tell, now or later, and the largest file."""
        for info in (lambda: {"account": "a"}, lambda: succeed({"account": "a"})):
            found = Node(info=info, max_file_size=77).ask("GET", "/v1/info").json()
            self.assertEqual(found, {"account": "a", "max_file_size": 77})

    def test_info_fails(self):
        """An info that fails is a problem like any other."""
        reply = Node(info=lambda: fail(Failure(Unavailable("Not yet.")))).ask("GET", "/v1/info")
        self.assertEqual((reply.status, reply.json()["detail"]), (503, "Not yet."))

    def test_interfaces(self):
        """It is a resource that takes bodies as they come."""
        resource = Node().resource
        verifyObject(IResource, resource)
        self.assertTrue(ITakesBodies.providedBy(resource))

    def test_empty_token(self):
        """A resource without a token is not made."""
        with self.assertRaises(ValueError):
            Gate("")


class BugTests(SynchronousTestCase):
    """A mistake of ours must not take the node down, or tell anything."""

    def node(self, **methods):
        node = Node()
        return Node(filesystem=Scripted(node.filesystem, **methods), clock=node.clock)

    def test_raises(self):
        """A bug is 500 with a fixed text; the log has the rest, and the next request is answered."""
        for bug in (lambda *_a, **_k: 1 // 0, lambda *_a, **_k: fail(ZeroDivisionError("secret"))):
            node = self.node(stat=bug)
            reply = node.ask("GET", "/v1/files/a?stat=1")
            self.assertEqual((reply.status, reply.json()["code"]), (500, "internal-error"))
            self.assertNotIn(b"secret", reply.body)
            self.assertNotIn(b"Traceback", reply.body)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertEqual(node.ask("GET", "/v1/status").status, 200)

    def test_in_a_put(self):
        """A bug in the middle of a body is 500 too, and the rest of the body is no request."""
        node = self.node(put=lambda *_a, **_k: 1 // 0)
        wire = node.connect()
        wire.send(request("PUT", "/v1/files/a", {"Content-Length": "1000000"}))
        wire.send(request("DELETE", "/v1/files/a"))
        self.assertEqual(parse(wire.value()).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_after_the_header(self):
        """A bug after the answer has begun cuts the connection: a cut is seen, a short file is not."""
        node = self.node(list=lambda *_a, **_k: succeed([Entry(path="a", version="v")] * 500 + [None]))
        wire = node.connect()
        wire.send(request("GET", "/v1/list/"))
        node.clock.pump([0] * 20)
        self.assertTrue(wire.aborted)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_wrong_entry(self):
        """An entry that cannot be sent is a bug, not a broken answer."""
        entry = Entry(path="a", size=1, version="ä\u1234")
        node = self.node(stream=lambda *_a, **_k: succeed(WholeStream(entry, b"x")))
        self.assertEqual(node.ask("GET", "/v1/files/a").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(UnicodeEncodeError)), 1)

    def test_gone_before_the_answer(self):
        """Answers for clients that are gone are dropped in silence."""
        held = Held()
        node = self.node(stat=held)
        wire = node.connect()
        wire.send(request("GET", "/v1/files/a?stat=1"))
        wire.lose()
        self.assertEqual(held.cancelled, 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancel_that_fails(self):
        """A filesystem that answers a cancellation with an error of its own disturbs nothing."""
        held = Held()
        held._cancel = lambda deferred: deferred.errback(Unavailable())
        node = self.node(stat=held)
        wire = node.connect()
        wire.send(request("GET", "/v1/files/a?stat=1"))
        wire.lose()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(node.ask("GET", "/v1/status").status, 200)
