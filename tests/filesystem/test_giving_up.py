"""What its caller gives up: it is stopped without a trace, or done to its end (FORMAT 4.2, 10.1)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.leases import PREFIX
from ifap_twisted.errors import Unavailable
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import Folder, result

HOUR = 3600


class GivingUpTests(SynchronousTestCase):
    """A device whose calls to the server are held while its caller thinks better of it."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.store = self.folder.store()
        self.mine = self.folder.device(store=self.store)

    def give_up(self, work: Deferred[Any], gate: Turnstile) -> None:
        """Cancel it; then the server goes on."""
        work.cancel()
        self.failureResultOf(work, CancelledError)
        gate.release()
        self.folder.clock.pump([0.5] * 20)
        self.assertTrue(self.mine.idle)

    def objects(self) -> int:
        """How many lock objects are in the folder."""
        return sum(path.startswith(PREFIX) for path in self.folder.device().desk.view.index.paths())

    def test_a_renewal(self) -> None:
        """The lock is not ended by it."""
        lock = result(self.mine.lock("a", seconds=HOUR))
        self.store.gate = gate = Turnstile("append")
        self.give_up(self.mine.lock("a", seconds=HOUR, renew=lock.id), gate)
        self.assertEqual([one.id for one in result(self.mine.locks())], [lock.id])

    def taking_over(self, *methods: str) -> tuple[Deferred[Any], Turnstile]:
        """A put that takes over a lock that has run out; its calls to the server are held."""
        result(self.mine.put("a", b"0"))
        result(self.folder.device().lock("a", seconds=10))
        self.folder.clock.pump([1.0] * 15)
        result(self.mine.refresh())
        self.store.gate = gate = Turnstile(*methods)
        return self.mine.put("a", b"given up"), gate

    def test_a_put_that_takes_over_a_lock(self) -> None:
        """Its own message was not sent yet: it stores nothing, and leaves no lock, wherever it was."""
        for method, passed in (("append", 0), ("answer", 0), ("headers", 0), ("dates", 1)):
            putting, gate = self.taking_over(method)
            gate.release(passed)
            self.assertEqual(gate.held, [method])
            self.give_up(putting, gate)
            self.assertEqual(result(self.folder.device().get("a")), b"0")
            self.assertEqual(result(self.folder.device().locks()), [])
            self.assertIsNone(self.mine.desk.book.own("a"))
            result(self.mine.put("a", b"0"))

    def test_a_put_that_cannot_take_over_a_lock(self) -> None:
        """As little as that, when the server fails meanwhile."""
        putting, gate = self.taking_over("append")
        self.store.fail_next("append", Unavailable())
        self.give_up(putting, gate)
        self.assertEqual(result(self.folder.device().get("a")), b"0")
        self.assertEqual(self.objects(), 1)  # of the former holder

    def test_a_put_that_renews_its_lock(self) -> None:
        """It stores nothing; the lock is still its device's."""
        result(self.mine.put("a", b"0"))
        lock = result(self.mine.lock("a", seconds=60))
        self.folder.clock.pump([5.0] * 14)
        self.store.gate = gate = Turnstile("answer")
        self.give_up(self.mine.put("a", b"given up"), gate)
        self.assertEqual(result(self.folder.device().get("a")), b"0")
        self.assertEqual([one.id for one in result(self.mine.locks())], [lock.id])

    def test_a_batch(self) -> None:
        """``abort`` waits for what has gone out; what has not is not stored."""
        batch = self.mine.batch()
        never: Deferred[bytes] = Deferred()

        async def source() -> Any:
            yield await never

        async def work() -> None:
            await batch
            reading = self.mine.put("b", source())
            await self.mine.put("a", b"1")
            self.assertNoResult(reading)
            reading.addErrback(lambda failure: failure.trap(CancelledError))  # type: ignore[unused-awaitable]

        self.store.gate = gate = Turnstile("headers")
        result(Deferred.fromCoroutine(work()))
        aborting = batch.abort()
        self.assertNoResult(aborting)
        gate.release()
        result(aborting)
        self.assertEqual([entry.path for entry in result(self.folder.device().list())], ["a"])
