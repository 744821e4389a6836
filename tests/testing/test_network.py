"""The simulated network: what is sent arrives in its order, whole or up to a cut, and never while it is sent."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, ConnectionRefusedError  # noqa: A004
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.testing.links import WINDOW
from ifap_twisted.testing.network import Endpoint, Record, Road


class Ear(Protocol):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ends: list[type[BaseException]] = []

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.heard.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        """Note why."""
        self.ends.append(reason.type)


class Producer:
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pauseProducing(self) -> None:
        """Note it."""
        self.asked.append("pause")

    def resumeProducing(self) -> None:
        """Note it."""
        self.asked.append("resume")

    def stopProducing(self) -> None:
        """Note it."""
        self.asked.append("stop")


class NetworkTests(SynchronousTestCase):
    """One connection."""

    def connect(self, **conditions: Any) -> None:
        self.clock = Clock()
        self.record = Record()
        self.road = Road(self.clock, Random(3), self.record, **conditions)
        self.server = Ear()
        connecting = Endpoint(self.road, lambda: self.server).connect(Factory.forProtocol(Ear))
        self.assertNoResult(connecting)
        self.pass_time(60)
        self.client: Any = self.successResultOf(connecting)

    def pass_time(self, seconds: float = 0.0) -> None:
        for _ in range(20):
            self.clock.advance(seconds / 20)

    def test_nothing_arrives_while_it_is_sent(self) -> None:
        """It arrives by an event of the clock."""
        self.connect()
        self.client.transport.write(b"hello")
        self.assertEqual(self.server.heard, [])
        self.pass_time()
        self.assertEqual(self.server.heard, [b"hello"])

    def test_it_takes_its_time(self) -> None:
        """As long as the road is."""
        self.connect(latency=1.0)
        self.client.transport.write(b"hello")
        self.clock.advance(0)
        self.assertEqual(self.server.heard, [])
        self.pass_time(60)
        self.assertEqual(self.server.heard, [b"hello"])

    def test_pieces_arrive_in_their_order(self) -> None:
        """However they are cut."""
        self.connect(shatters=True)
        sent = bytes(range(256)) * 20
        for start in range(0, len(sent), 100):
            self.client.transport.write(sent[start : start + 100])
            self.clock.advance(0)
        for _ in range(400):
            self.clock.advance(0)
        self.assertEqual(b"".join(self.server.heard), sent)
        self.assertIn(True, [len(block) not in {100, 200} for block in self.server.heard])

    def test_a_close_comes_after_all_that_was_sent(self) -> None:
        """And is a clean one at both ends."""
        self.connect()
        self.client.transport.write(b"bye")
        self.client.transport.loseConnection()
        self.pass_time()
        self.assertEqual((self.server.heard, self.server.ends), ([b"bye"], [ConnectionDone]))
        self.assertEqual(self.client.ends, [ConnectionDone])
        self.assertEqual(self.road.links, [])

    def test_an_abort_loses_what_is_on_its_way(self) -> None:
        """The other end hears of a loss."""
        self.connect()
        self.client.transport.write(b"bye")
        self.client.transport.abortConnection()
        self.pass_time()
        self.assertEqual(
            (self.server.heard, self.server.ends, self.client.ends), ([], [ConnectionLost], [ConnectionAborted])
        )

    def test_a_cut_after_some_bytes(self) -> None:
        """Exactly these arrive."""
        self.connect()
        self.assertTrue(self.road.after(3, self.road.cut, upstream=True))
        self.client.transport.write(b"hello")
        self.server.transport.write(b"hello")
        self.pass_time()
        self.assertEqual(b"".join(self.server.heard), b"hel")
        self.assertEqual((self.server.ends, self.client.ends), ([ConnectionLost], [ConnectionLost]))

    def test_silence_holds_everything_back(self) -> None:
        """Neither end hears anything, not even of the end of the other, until it is over."""
        self.connect()
        self.road.fall_silent(10.0)
        self.client.transport.write(b"hello")
        self.client.transport.loseConnection()
        self.pass_time(9)
        self.assertEqual((self.server.heard, self.server.ends, self.client.ends), ([], [], [ConnectionDone]))
        self.pass_time(2)
        self.assertEqual((self.server.heard, self.server.ends), ([b"hello"], [ConnectionDone]))

    def test_who_does_not_read_gets_nothing(self) -> None:
        """Until it reads again."""
        self.connect()
        self.server.transport.pauseProducing()
        self.client.transport.write(b"hello")
        self.pass_time()
        self.assertEqual(self.server.heard, [])
        self.server.transport.resumeProducing()
        self.pass_time()
        self.assertEqual(self.server.heard, [b"hello"])

    def test_a_producer_is_paused_when_much_is_on_its_way(self) -> None:
        """And asked again when there is room; told when it is over."""
        self.connect()
        producer = Producer()
        self.client.transport.registerProducer(producer, True)
        self.client.transport.write(b"x" * (WINDOW + 1))
        self.assertEqual(producer.asked, ["pause"])
        self.pass_time()
        self.assertEqual(producer.asked, ["pause", "resume"])
        self.road.cut()
        self.pass_time()
        self.assertEqual(producer.asked, ["pause", "resume", "stop"])

    def test_a_dead_process_hears_nothing(self) -> None:
        """What it had sent arrives, or does not; in the end its protocol is told."""
        for before, heard in ((True, []), (False, [b"last words"])):
            self.connect()
            self.client.transport.write(b"last words")
            self.server.transport.write(b"hello")
            self.road.die(before=before)
            self.pass_time()
            self.assertEqual((self.server.heard, len(self.server.ends)), (heard, 1))
            self.assertEqual((self.client.heard, self.client.ends), ([], []))
            self.road.bury()
            self.assertEqual(self.client.ends, [ConnectionLost])

    def test_equal_runs_leave_equal_records(self) -> None:
        """And others do not."""
        digests = []
        for word in (b"a", b"a", b"b"):
            self.connect()
            self.client.transport.write(word)
            self.pass_time()
            digests.append(self.record.digest())
        self.assertEqual(digests[0], digests[1])
        self.assertNotEqual(digests[0], digests[2])


class ConnectingTests(SynchronousTestCase):
    """Ways to have no connection."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.road = Road(self.clock, Random(3), Record())

    def connecting(self, server: Ear | None) -> Any:
        return Endpoint(self.road, lambda: server).connect(Factory.forProtocol(Ear))

    def test_refused(self) -> None:
        """There is no server."""
        connecting = self.connecting(None)
        self.clock.advance(0)
        self.failureResultOf(connecting, ConnectionRefusedError)

    def test_silent(self) -> None:
        """Nothing comes back, for ever; giving up is possible."""
        self.road.fall_silent(1.0)
        connecting = self.connecting(Ear())
        self.clock.advance(0)
        self.clock.advance(10)
        self.assertNoResult(connecting)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
