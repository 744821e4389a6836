"""A call that comes before the folder is open waits for it as long as opening it gets on."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.limits import CONNECT_SECONDS
from ifap_twisted.core.values import Status
from ifap_twisted.errors import IFAPError, Unavailable
from ifap_twisted.interfaces import IFilesystem
from ifap_twisted.service.standby import Life, Standby


class SlowOpener:
    """Opens a folder when the test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.opened: Any = None
        self.problem: IFAPError | None = None
        self.trouble: IFAPError | None = None
        self.reached = True
        self.life = Life(1, 0)
        self.waiting: list[Deferred[IFilesystem]] = []
        self.accepting: Any = None

    def when_ready(self) -> Deferred[IFilesystem]:
        """Fires when the test opens the folder."""
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def status(self) -> Deferred[Status]:
        """Nothing to warn of."""
        return succeed(Status(state="connecting", account="memory:", folder="F", dialect=None))

    def open(self, filesystem: Any) -> None:
        """The folder is open."""
        self.opened = filesystem
        for waiter in self.waiting:
            if not waiter.called:
                waiter.callback(filesystem)

    def pass_with(self, seconds: float, *, signs: bool) -> None:
        """Time passes, second by second, with or without signs of life."""
        for _ in range(int(seconds)):
            if signs:
                self.life = Life(self.life.attempt, self.life.signs + 1)
            self.clock.advance(1)


class ReadyTests(SynchronousTestCase):
    """On a clock of the test's."""

    def setUp(self) -> None:
        """A folder that is being opened, and somebody who waits for it."""
        self.opener = SlowOpener()
        self.ready: Any = Deferred.fromCoroutine(Standby(self.opener).ready())

    def test_a_large_folder_is_waited_for_while_it_arrives(self) -> None:
        """However long it takes."""
        self.opener.pass_with(20 * CONNECT_SECONDS, signs=True)
        self.assertNoResult(self.ready)
        filesystem = object()
        self.opener.open(filesystem)
        self.assertIs(self.successResultOf(self.ready), filesystem)

    def test_silence_ends_the_wait(self) -> None:
        """After the usual time for reaching a server, and at the latest twice that after the last sign of life."""
        self.opener.pass_with(CONNECT_SECONDS + 1, signs=False)
        self.failureResultOf(self.ready, Unavailable)

    def test_silence_after_a_while_ends_the_wait(self) -> None:
        """A server that stops in the middle of its answer is not waited for."""
        self.opener.pass_with(1.5 * CONNECT_SECONDS, signs=True)
        self.opener.pass_with(2 * CONNECT_SECONDS, signs=False)
        self.failureResultOf(self.ready, Unavailable)

    def test_one_attempt_after_the_other_is_not_waited_for(self) -> None:
        """A server that answers and then fails each time would be waited for without an end."""
        self.opener.pass_with(10, signs=True)
        self.opener.life = Life(2, 11)
        self.opener.pass_with(CONNECT_SECONDS, signs=True)
        self.failureResultOf(self.ready, Unavailable)

    def test_an_attempt_that_failed_is_told(self) -> None:
        """What is seen when the wait begins anew counts, signs of life or not."""
        self.opener.pass_with(10, signs=True)
        self.opener.trouble = Unavailable("The line is cut.")
        self.opener.pass_with(CONNECT_SECONDS, signs=True)
        self.assertIn("cut", str(self.failureResultOf(self.ready, Unavailable).value))

    def test_queued_writes_wait_no_longer_than_before(self) -> None:
        """Whether a folder is there at all is asked for a while only."""
        there: Any = Deferred.fromCoroutine(Standby(self.opener).is_there())
        self.opener.pass_with(2 * CONNECT_SECONDS, signs=True)
        self.assertFalse(self.successResultOf(there))
