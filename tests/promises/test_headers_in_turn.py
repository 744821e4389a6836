"""Over the wire: a header that the server does not give now hides nothing afterwards (FORMAT 2.5, 2.6; bar R7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import IFAPError
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.refreshing import LOOK_AGAIN_SECONDS
from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.sasl import password
from ifap_twisted.imap.security import Security
from ifap_twisted.server.fetching import Block, Plan
from ifap_twisted.server.grammar import BadSyntax
from ifap_twisted.store.imap import ImapStore
from ifap_twisted.testing.network import Endpoint, Record, Road
from ifap_twisted.testing.wire_account import SimulatedMailbox, Treatment
from ifap_twisted.testing.wire_server import FOLDER, PASSWORD, USER, SimulatedServer, Told
from tests.campaigns.reference import unlike_reference
from tests.filesystem.folders import KEY, Folder

FILES = 8
PIECES = 4
"""Of a response: its begin, the name of the section with the length of the literal, the header, its end."""
COUNT = re.compile(rb"\{\d+\}")


def refused(_pieces: list[bytes], _at: int) -> None:
    """NO."""
    raise Told(b"It did not work.")


def misunderstood(_pieces: list[bytes], _at: int) -> None:
    """BAD."""
    raise BadSyntax("What?")


def left_out(pieces: list[bytes], at: int) -> None:
    """No response for it."""
    del pieces[at : at + PIECES]


def empty(pieces: list[bytes], at: int) -> None:
    """A response without a header."""
    pieces[at + 1 : at + 3] = [COUNT.sub(b"{0}", pieces[at + 1]), b""]


def nothing(pieces: list[bytes], at: int) -> None:
    """NIL in the place of the header."""
    pieces[at + 1 : at + 3] = [pieces[at + 1][: pieces[at + 1].index(b"{")] + b"NIL"]


def short(pieces: list[bytes], at: int) -> None:
    """Less than the literal promises."""
    pieces[at + 2] = pieces[at + 2][:-7]


def truncated(pieces: list[bytes], at: int) -> None:
    """A shorter header, of which the literal tells the length."""
    half = len(pieces[at + 2]) // 2
    pieces[at + 1 : at + 3] = [COUNT.sub(b"{%d}" % half, pieces[at + 1]), pieces[at + 2][:half]]


def halved(pieces: list[bytes], at: int) -> None:
    """Half a response, and then nothing."""
    pieces[at + 2 :] = [pieces[at + 2][: len(pieces[at + 2]) // 2]]


Fault = Callable[[list[bytes], int], None]


class HeadersInTurnTests(SynchronousTestCase):
    """A folder with files of one or two versions; what is asked of one message goes wrong until the server is well."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.clock = self.folder.clock
        self.server = SimulatedServer(self.clock)
        self.fault: Fault | None = None
        self.cuts = self.silent = False
        self.spoilt: Treatment | None = None
        self.bad = 0
        self.met = 0
        fetch = SimulatedMailbox.fetch

        def faulty(mailbox: SimulatedMailbox, pairs: Sequence[tuple[int, int]], plan: Plan) -> Deferred[Block]:
            answered = fetch(mailbox, pairs, plan)
            elsewhere = self.spoilt is not None and mailbox.treatment is not self.spoilt
            if self.fault is None or elsewhere or self.bad not in {uid for _number, uid in pairs}:
                return answered
            self.met += 1
            return Deferred() if self.silent else answered.addCallback(self.spoil)

        self.patch(SimulatedMailbox, "fetch", faulty)
        self.device = self.opened()
        for number in range(FILES):
            self.done(self.device.put(f"f{number}", b"1"))
            if number % 2:
                self.done(self.device.put(f"f{number}", b"2"))

    def store(self) -> ImapStore:
        """Another session, over a network that takes no time."""
        self.road = road = Road(self.clock, Random(7), Record(), "")
        self.treatment = treatment = Treatment()
        connector = Connector(
            self.clock,
            Endpoint(road, lambda: self.server.accept(treatment, (), road.cut)),
            security=Security.plain(),
            authenticate=password(USER, PASSWORD),
            folder=FOLDER,
            random=Random(7).random,
        )
        return ImapStore(connector)

    def done(self, work: Deferred[Any], seconds: int = 600) -> Any:
        """The result of something, after as long as it takes on the clock."""
        outcome: list[Any] = []
        work.addBoth(outcome.append)
        for step in range(100 + seconds):
            if outcome:
                break
            self.clock.advance(0.01 if step < 100 else 1.0)
        self.assertTrue(outcome, "it never ended")
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]

    def opened(self) -> Filesystem:
        """Another device."""
        return self.done(self.folder.opening(store=self.store())).filesystem

    def spoil(self, block: Block) -> Block:
        """What is said of the message goes wrong."""
        begin = next((at for at, piece in enumerate(block.pieces) if b"(UID %d " % self.bad in piece), None)
        if self.fault is not None and begin is not None and b"X-IFAP" in block.pieces[begin + 1]:
            self.fault(block.pieces, begin)
        if self.cuts:
            self.clock.callLater(0.0, self.road.cut)
        return block

    def seen(self, device: Filesystem) -> dict[str, list[str]]:
        """All files with their versions."""
        listed = self.done(device.list("/", recursive=True))
        return {one.path: [old.version for old in self.done(device.versions(one.path))] for one in listed}

    def tried(self, fault: Fault, *, cuts: bool = False, silent: bool = False, seconds: float = 0.0) -> None:
        """Let it go wrong with each message in turn, and then be well.

        :param cuts: then the connection breaks. :param silent: the server says nothing at all.
        :param seconds: so long it may take until a device that was running shows everything.
        """
        self.expected, before = self.seen(self.device), dict(self.server.messages)
        for self.bad in before:
            self.met = 0
            self.fault, self.cuts, self.silent = fault, cuts, silent
            device = self.opened_if_possible()
            self.assertTrue(self.met)
            self.fault = None
            self.check(device or self.opened(), seconds)
            self.check(self.opened(), 0.0)
            self.check_nothing_lost(before)
        self.while_running(fault, seconds)
        contents = {path: b"2" if len(versions) > 1 else b"1" for path, versions in self.expected.items()}
        self.assertEqual([], unlike_reference(self.server.messages, KEY.text, contents))

    def while_running(self, fault: Fault, seconds: float) -> None:
        """The same with a message that arrives."""
        device = self.opened()
        assert self.server.box is not None
        self.bad, self.met = self.server.box.uidnext, 0
        self.fault, self.spoilt = fault, self.treatment
        self.done(self.device.put("late", b"1"))
        for _ in range(60):
            self.clock.advance(1.0)
        self.assertTrue(self.met)
        self.fault = self.spoilt = None
        self.expected = self.seen(self.device)
        self.check(device, seconds)
        self.check(self.opened(), 0.0)

    def opened_if_possible(self) -> Filesystem | None:
        """A device that starts while it goes wrong; None when that is refused."""
        try:
            return self.opened()
        except IFAPError:
            return None

    def check(self, device: Filesystem, seconds: float) -> None:
        """A device shows everything after its next refresh."""
        self.clock.advance(seconds)
        self.done(device.refresh())
        self.assertEqual(self.expected, self.seen(device), f"UID {self.bad}")
        self.done(device.close())

    def check_nothing_lost(self, before: dict[int, bytes]) -> None:
        """Nothing was removed; nothing but a folder object is written anew, and that where its own was not readable."""
        after = self.server.messages
        self.assertEqual(before, {uid: after.get(uid) for uid in before})
        new = after.keys() - before.keys()
        self.assertLessEqual(len(new), 1 if self.bad == 1 else 0)
        self.server.expunge(new)

    def test_refused(self) -> None:
        """NO."""
        self.tried(refused)

    def test_not_understood(self) -> None:
        """BAD."""
        self.tried(misunderstood)

    def test_no_answer(self) -> None:
        """The server says nothing until the time is out."""
        self.tried(left_out, silent=True)

    def test_no_response_for_it(self) -> None:
        """OK without a response for the message."""
        self.tried(left_out)

    def test_less_than_the_literal_promises(self) -> None:
        """What follows is taken for the rest of it."""
        self.tried(short)

    def test_half_a_response(self) -> None:
        """And the connection is cut."""
        self.tried(halved, cuts=True)

    def test_a_shorter_header(self) -> None:
        """As if the message had no more."""
        self.tried(truncated)

    def test_an_empty_header(self) -> None:
        """Like the mail of others: it is looked at again after some minutes."""
        self.tried(empty, seconds=LOOK_AGAIN_SECONDS)

    def test_nil(self) -> None:
        """The same."""
        self.tried(nothing, seconds=LOOK_AGAIN_SECONDS)
