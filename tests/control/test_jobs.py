"""Long work as jobs."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.collection import COLLECTED, Collection, Verdict
from ifap_twisted.core.findings import DAMAGE, Checkup, Finding
from ifap_twisted.core.values import Notice
from ifap_twisted.errors import Unavailable
from tests.control.scripted import Held, Scripted, failing
from tests.control.wire import Node, parse, request


class JobTests(SynchronousTestCase):
    """/v1/sync, /v1/snapshot and /v1/jobs."""

    def setUp(self):
        """A node whose refresh does not end by itself."""
        self.held = Held()
        self.node = Node()
        self.node = Node(filesystem=Scripted(self.node.filesystem, refresh=self.held), clock=self.node.clock)

    def start(self):
        """Start a job; gives its URL."""
        reply = self.node.post("/v1/sync", {})
        self.assertEqual((reply.status, reply.json()["state"]), (202, "running"))
        return reply["Location"]

    def state(self, url):
        return self.node.ask("GET", url).json()["state"]

    def test_life(self):
        """A job runs, and is done when its work is."""
        url = self.start()
        found = self.node.ask("GET", url).json()
        self.assertEqual(set(found), {"id", "kind", "state", "done", "total", "unit", "result", "error"})
        self.assertEqual((found["kind"], found["done"], found["total"]), ("sync", 0, 1))
        self.held.results[0].callback(None)
        found = self.node.ask("GET", url).json()
        self.assertEqual((found["state"], found["done"], found["error"]), ("done", 1, None))

    def test_at_once(self):
        """A job that ends at once is done in its first answer."""
        self.assertEqual(self.node.post("/v1/snapshot", {}).json()["state"], "done")

    def test_failed(self):
        """A job that fails holds a problem."""
        url = self.start()
        self.held.results[0].errback(Unavailable("No network."))
        found = self.node.ask("GET", url).json()
        self.assertEqual((found["state"], found["error"]["code"]), ("failed", "unavailable"))
        self.assertEqual(found["error"]["detail"], "No network.")

    def test_bug(self):
        """A bug in a job is logged, and told with a fixed text."""
        url = self.start()
        self.held.results[0].errback(ZeroDivisionError("secret"))
        found = self.node.ask("GET", url)
        self.assertEqual((found.json()["state"], found.json()["error"]["code"]), ("failed", "internal-error"))
        self.assertNotIn(b"secret", found.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cancel(self):
        """DELETE cancels a running job."""
        url = self.start()
        self.assertEqual(self.node.ask("DELETE", url).json()["state"], "cancelled")
        self.assertEqual((self.held.cancelled, self.state(url)), (1, "cancelled"))

    def test_forget(self):
        """DELETE forgets a job that has ended."""
        url = self.start()
        self.held.results[0].callback(None)
        self.assertEqual(self.node.ask("DELETE", url).json()["state"], "done")
        reply = self.node.ask("GET", url)
        self.assertEqual((reply.status, reply.json()["code"]), (404, "no-such-job"))

    def test_unknown(self):
        """An id that is none is 404."""
        for method in ("GET", "DELETE"):
            self.assertEqual(self.node.ask(method, "/v1/jobs/nothing").status, 404)

    def test_wait(self):
        """``wait`` answers when the job has ended."""
        url = self.start()
        wire = self.node.connect()
        wire.send(request("GET", url + "?wait=30"))
        self.assertEqual(wire.value(), b"")
        self.held.results[0].callback(None)
        self.assertEqual(parse(wire.value()).json()["state"], "done")

    def test_wait_ends(self):
        """``wait`` answers after its seconds, and after a bound of ours."""
        url = self.start()
        for asked, seconds in (("10", 10), ("999999", limits.JOB_WAIT_SECONDS)):
            wire = self.node.connect()
            wire.send(request("GET", f"{url}?wait={asked}"))
            self.node.clock.advance(seconds - 1)
            self.assertEqual(wire.value(), b"")
            self.node.clock.advance(1)
            self.assertEqual(parse(wire.value()).json()["state"], "running")

    def test_wait_and_go(self):
        """Who waits and goes away does not end the job."""
        url = self.start()
        wire = self.node.connect()
        wire.send(request("GET", url + "?wait=30"))
        wire.lose()
        self.assertEqual((self.held.cancelled, self.state(url)), (0, "running"))

    def test_bad_wait(self):
        """``wait`` is a number of seconds."""
        url = self.start()
        for text in ("x", "-1", "1.5", "", "9" * 20, "٣"):
            target = f"{url}?wait={text}".encode() if text.isascii() else f"{url}?wait=%D9%A3".encode()
            self.assertEqual(self.node.ask("GET", target).status, 400, text)

    def test_not_too_many(self):
        """Only so many jobs run at a time."""
        for _ in range(limits.JOBS_RUNNING):
            self.start()
        reply = self.node.post("/v1/sync", {})
        self.assertEqual((reply.status, reply["Retry-After"]), (503, "5"))
        self.held.results[0].callback(None)
        self.start()

    def test_old_ones_are_forgotten(self):
        """Only so many ended jobs are remembered, the oldest are forgotten first."""
        urls = []
        for _ in range(limits.JOBS_KEPT + 5):
            urls.append(self.start())
            self.held.results[-1].callback(None)
        self.assertEqual(self.node.ask("GET", urls[0]).status, 404)
        self.assertEqual(self.state(urls[-1]), "done")

    def test_stop(self):
        """Stopping the resource cancels what runs."""
        self.start()
        self.node.resource.stop()
        self.assertEqual(self.held.cancelled, 1)

    def test_failing_start(self):
        """Work that fails at once is a failed job, not a failed request."""
        node = Node(filesystem=Scripted(self.node.filesystem, refresh=failing(Unavailable())))
        reply = node.post("/v1/sync", {})
        self.assertEqual((reply.status, reply.json()["state"]), (202, "failed"))


class CollectTests(SynchronousTestCase):
    """POST /v1/collect."""

    def setUp(self):
        """A node on which collecting does not end by itself."""
        self.held = Held()
        node = Node()
        self.node = Node(filesystem=Scripted(node.filesystem, collect=self.held), clock=node.clock)

    def test_result(self):
        """The result tells what became of each version, however many there are."""
        verdicts = tuple(
            Verdict(f"f{number}", f"v{number}", number, (number + 1,), COLLECTED, "old", "older", None)
            for number in range(2 * limits.LIST_PIECE + 1)
        )
        url = self.node.post("/v1/collect", {"dry_run": True})["Location"]
        ((_nothing, wanted),) = self.held.calls
        self.assertIs(wanted["dry_run"], True)
        wanted["progress"](3, 7)
        found = self.node.ask("GET", url).json()
        self.assertEqual((found["done"], found["total"], found["result"]), (3, 7, None))
        notice = Notice(code="read-only", text="Nothing may be written.")
        self.held.results[0].callback(Collection(verdicts=verdicts, messages=(notice,), dry_run=True))
        found = self.node.ask("GET", url).json()
        self.assertEqual(found["state"], "done")
        result = found["result"]
        self.assertEqual(result["verdicts"], [verdict.to_json() for verdict in verdicts])
        self.assertEqual((result["dry_run"], result["counts"]["collected"]), (True, len(verdicts)))
        self.assertEqual(result["messages"][0]["code"], "read-only")

    def test_asked_plainly(self):
        """Without a body's keys it is done, not only said."""
        self.node.post("/v1/collect", {})
        ((_nothing, wanted),) = self.held.calls
        self.assertEqual(set(wanted), {"progress"})

    def test_asked_wrongly(self):
        """What is no flag is refused before anything is done."""
        for body in ({"dry_run": "yes"}, {"dry_run": 1}, {"dryrun": True}):
            self.assertEqual(self.node.post("/v1/collect", body).status, 400)
        self.assertEqual(self.held.calls, [])


class CheckTests(SynchronousTestCase):
    """POST /v1/check."""

    def setUp(self):
        """A node on which a check does not end by itself."""
        self.held = Held()
        node = Node()
        self.node = Node(filesystem=Scripted(node.filesystem, check=self.held), clock=node.clock)

    def test_result(self):
        """The result tells every finding, and how much was looked at."""
        findings = tuple(
            Finding("truncated", DAMAGE, "Cut.", f"f{number}", f"v{number}", 1)
            for number in range(2 * limits.LIST_PIECE + 1)
        )
        url = self.node.post("/v1/check", {"read_data": 7.5})["Location"]
        ((_nothing, wanted),) = self.held.calls
        self.assertEqual(wanted["read_data"], 7.5)
        wanted["progress"](3, 7)
        found = self.node.ask("GET", url).json()
        self.assertEqual((found["done"], found["total"], found["result"]), (3, 7, None))
        self.held.results[0].callback(Checkup(findings=findings, headers=900, bodies=7, bytes=5, share=7.5))
        result = self.node.ask("GET", url).json()["result"]
        self.assertEqual(result["findings"], [finding.to_json() for finding in findings])
        self.assertEqual((result["damaged"], result["counts"]), (len(findings), {"truncated": len(findings)}))
        self.assertEqual((result["headers"], result["bodies"], result["bytes"]), (900, 7, 5))

    def test_asked_wrongly(self):
        """What is no percentage is refused before anything is done."""
        for share in (-1, 100.5, True, "7", None):
            self.assertEqual(self.node.post("/v1/check", {"read_data": share}).status, 400)
        self.assertEqual(self.held.calls, [])

    def test_asked_plainly(self):
        """A whole number is a number."""
        for share in (0, 100, 33):
            self.assertEqual(self.node.post("/v1/check", {"read_data": share}).status, 202)

    def test_local_files_through_the_own_socket(self):
        """The node looks for lost chunks where its user says."""
        self.node.site.private = True
        self.assertEqual(self.node.post("/v1/check", {"repair": True, "from": "/home/me/backup"}).status, 202)
        ((_nothing, wanted),) = self.held.calls
        self.assertEqual((wanted["sources"], wanted["repair"]), (Path("/home/me/backup"), True))
        self.assertNotIn("from", wanted)

    def test_local_files_named_by_others(self):
        """Whoever comes over TCP, a page in a browser for example, makes the node read nothing."""
        reply = self.node.post("/v1/check", {"repair": True, "from": "/home/me/backup"})
        self.assertEqual((reply.status, reply.json()["code"], self.held.calls), (403, "forbidden", []))

    def test_a_relative_path(self):
        """It means nothing to the node, which may be in another directory."""
        self.node.site.private = True
        self.assertEqual(self.node.post("/v1/check", {"repair": True, "from": "backup"}).status, 400)
        self.assertEqual(self.held.calls, [])
