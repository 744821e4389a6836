"""The filesystem of a node, from afar, held to everything that a filesystem promises."""

from __future__ import annotations

import os

from twisted.internet import reactor  # noqa: TID251 -- real sockets need the real one
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ifap_twisted.control.client import HttpFilesystem
from ifap_twisted.control.resource import control_resource
from ifap_twisted.control.site import control_site
from ifap_twisted.store.memory import MemoryShelf, MemoryStore
from tests.contract.filesystem import FilesystemContract
from tests.control.pipes import PipeEndpoint
from tests.control.wire import TOKEN, Node, memory_filesystem, own_directory


class Afar(FilesystemContract):
    """Nodes over the in-memory shelf."""

    def setUp(self):
        """One folder."""
        self.shelf = MemoryShelf()
        self.clock = MemoryReactorClock()
        self.devices = 0

    def filesystem(self):
        """What the next node serves."""
        self.devices += 1
        store = MemoryStore(self.shelf, clock=self.clock)
        return memory_filesystem(self.clock, store, max_file_size=self.max_file_size, seed=f"device {self.devices}")


class PipedContractTests(Afar, SynchronousTestCase):
    """Over connections in memory."""

    def setUp(self):
        """No node yet."""
        super().setUp()
        self.endpoints: list[PipeEndpoint] = []

    def opened(self):
        node = Node(filesystem=self.filesystem(), clock=self.clock, max_file_size=self.max_file_size)
        node.site.private = True  # as control.socket is
        endpoint = PipeEndpoint(node.site)
        self.endpoints.append(endpoint)
        return succeed(HttpFilesystem(self.clock, endpoint, TOKEN))

    another = opened

    def settle(self, work):
        for _ in range(500):
            if work.called and not isinstance(work.result, Deferred):
                break
            for endpoint in self.endpoints:
                endpoint.pump.run()
            self.clock.advance(0)
        self.successResultOf(work)

    async def until(self, fact):
        """Events come when bytes have moved: ask until they have."""
        for _ in range(100):
            if fact():
                return
            await deferLater(self.clock, 0)
        self.fail("it has not happened")


class SocketContractTests(Afar, TestCase):
    """Over real UNIX sockets."""

    timeout = 60

    def opened(self):
        directory = own_directory(self)
        path = directory / "control.socket"
        resource = control_resource(self.filesystem(), reactor=reactor, token=TOKEN, max_file_size=self.max_file_size)
        site = control_site(resource, reactor=reactor, private=True)
        port = reactor.listenUNIX(os.fspath(path), site, mode=0o600)
        there = HttpFilesystem(reactor, path, TOKEN)
        self.addCleanup(self.until, lambda: not site.channels)
        self.addCleanup(port.stopListening)
        self.addCleanup(resource.stop)
        self.addCleanup(there.close)
        return succeed(there)

    another = opened

    def settle(self, work):
        return work

    async def until(self, fact):
        """Events come when bytes have moved."""
        for _ in range(10_000):
            if fact():
                return
            await deferLater(reactor, 0)
        self.fail("it has not happened")
