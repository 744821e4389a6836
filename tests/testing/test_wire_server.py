"""The simulated server: held to the contract of the shelf through the real driver, when nothing is ordered."""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock, LoopingCall
from twisted.trial.unittest import TestCase

from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.sasl import password
from ifap_twisted.imap.security import Security
from ifap_twisted.store.imap import ImapStore
from ifap_twisted.testing.network import Endpoint, Record, Road
from ifap_twisted.testing.wire_account import Treatment
from ifap_twisted.testing.wire_server import FOLDER, PASSWORD, USER, SimulatedServer
from tests.contract.message_store import MessageStoreContract, Quirks


class WireContractTests(MessageStoreContract, TestCase):
    """A good server, over a network that takes no time."""

    profile: tuple[str, ...] = ()
    only_selecting = False
    shatters = False
    latency = 0.0

    async def setUp(self) -> None:
        """The fake clock runs ahead whenever the reactor turns: nothing here takes real time."""
        self.clock = Clock()
        self.server = SimulatedServer(self.clock)
        self.ticking = LoopingCall(self.clock.advance, 0.05)
        self.ticking.start(0)
        self.addCleanup(self.ticking.stop)
        await super().setUp()

    def make_store(self) -> ImapStore:
        """Another device on the folder."""
        return self.on(FOLDER)

    def make_elsewhere(self) -> ImapStore:
        """A device on another folder."""
        return self.on("OTHER")

    def on(self, folder: str) -> ImapStore:
        """A device with a road of its own."""
        road = Road(self.clock, Random(7), Record(), latency=self.latency, shatters=self.shatters)
        treatment = Treatment(only_selecting=self.only_selecting)
        connector = Connector(
            self.clock,
            Endpoint(road, lambda: self.server.accept(treatment, self.profile, road.cut)),
            security=Security.plain(),
            authenticate=password(USER, PASSWORD),
            folder=folder,
            random=Random(7).random,
        )
        return ImapStore(connector)


class ShatteredContractTests(WireContractTests):
    """Every block may come in pieces, and late; appends go together."""

    profile = ("multiappend", "literal-")
    shatters = True
    latency = 0.02


class PoorContractTests(WireContractTests):
    """Neither UIDPLUS nor IDLE nor LITERAL+, and appends are seen after SELECT."""

    profile = ("poor", "synchronising")
    quirks = Quirks(reports_uid=False, removes=False, pushes=False)
    only_selecting = True
