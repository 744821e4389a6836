"""Checks that go on where the one before ended, so that all contents are read after a while."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from ifap_twisted.core.findings import DAMAGE, Checkup
from ifap_twisted.core.values import Checked
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import MemoryStore, Turnstile
from tests.filesystem.folders import START, result
from tests.filesystem.machines import Machine
from tests.filesystem.test_checking import CheckCase, Unreadable

DAY = 86400.0
FILES = 40


class RoundsCase(CheckCase):
    """A folder with many files, and a machine that is used for a short while each day."""

    def setUp(self) -> None:
        super().setUp()
        self.bad = [self.put(f"f{number}", b"x") for number in range(FILES)][FILES // 2]
        self.there = set(self.folder.shelf.messages)
        self.count = len(self.there)
        self.machine = Machine(self.folder)
        self.read: list[int] = []

    def start(self) -> Filesystem:
        """Its next process; what it reads of contents is written down."""
        device = self.machine.start(store=self.listening(self.folder.store()))
        self.read.clear()  # what opening it has read
        return device

    def listening(self, store: MemoryStore) -> MemoryStore:
        """One that writes down what is read."""
        message = store.message

        def reading(uid: int) -> Deferred[bytes]:
            self.read.append(uid)
            return message(uid)

        store.message = reading  # type: ignore[method-assign]
        return store

    def day(self, share: float) -> tuple[Checkup, set[int]]:
        """One day: what a check found, and the contents that it read."""
        device = self.start()
        found: Checkup = result(device.go_on_checking(share))
        self.checked: Checked = result(device.status()).checked
        result(device.close())
        self.folder.clock.advance(DAY)
        return found, set(self.read)


class RoundTests(RoundsCase):
    """A share after the other."""

    def test_all_in_time(self) -> None:
        """After as many days as it takes each content was read, most of them once, and the next round begins."""
        seen: set[int] = set()
        total = 0
        for day in range(10):
            found, read = self.day(10)
            seen |= read
            total += found.bodies
            self.assertEqual((found.share, self.checked.time), (10, START + day * DAY))
            self.assertAlmostEqual(self.checked.read, (day + 1) * 10 % 100)
        self.assertEqual(self.there - seen, set())
        self.assertEqual(total, self.count)
        self.assertEqual(self.checked.whole, START + 9 * DAY)
        self.day(10)
        self.assertEqual((self.checked.read, self.checked.whole), (10, START + 9 * DAY))

    def begun(self, share: int, *, bodies: int) -> tuple[Filesystem, Deferred[Any]]:
        """A new process that checks a share, and after so many bodies is given none any more."""
        store = self.listening(self.folder.store())
        device = self.machine.start(store=store)
        self.read.clear()
        store.gate = turnstile = Turnstile("message")
        work = device.go_on_checking(share)
        for _ in range(bodies):
            turnstile.release(1)
        return device, work

    def test_ended_early(self) -> None:
        """Who ends in the midst of it has read less, and the next one reads the rest."""
        device, work = self.begun(100, bodies=12)
        first = set(self.read)
        result(device.close())
        self.failureResultOf(work, CancelledError)
        self.assertTrue(first)
        _found, second = self.day(100)
        self.assertLess(len(second), self.count)
        self.assertEqual(self.there - first - second, set())
        self.assertEqual(self.checked.read, 0.0)

    def test_a_few_minutes_each_day(self) -> None:
        """Also who never comes to the end of a check comes to the end of all contents."""
        days, seen = 0, set()
        while result(self.peek()).checked.whole is None:
            device, work = self.begun(50, bodies=10)
            seen |= set(self.read)
            work.addErrback(lambda failure: failure.trap(CancelledError))
            result(device.close())
            days += 1
            self.assertLess(days, self.count)
        self.assertEqual(self.there - seen, set())

    @staticmethod
    async def _status(device: Filesystem) -> Any:
        found = await device.status()
        await device.close()
        return found

    def peek(self) -> Deferred[Any]:
        """The status of one more process."""
        return Deferred.fromCoroutine(self._status(self.machine.start()))

    def test_a_person_checks(self) -> None:
        """What a person asks for is no part of it."""
        self.day(10)
        before = self.checked
        device = self.start()
        result(device.check(read_data=100))
        self.assertEqual(result(device.status()).checked, before)

    def test_nothing_kept(self) -> None:
        """Without a place to remember it goes on in the same process."""
        device = self.folder.device()
        for expected in (40.0, 80.0, 0.0):
            result(device.go_on_checking(40))
            self.assertEqual(result(device.status()).checked.read, expected)


class SuspectTests(RoundsCase):
    """What was found is looked at again by each check."""

    def test_damage(self) -> None:
        """Is told by later processes without waiting for its turn, until it is whole again."""
        whole = self.spoil(self.bad)
        found, _read = self.day(100)
        self.assertEqual((found.damaged, self.checked.damaged), (1, 1))
        device = self.start()
        found = self.check(device, share=0)
        self.assertEqual([(one.code, one.severity) for one in found.findings], [("truncated", DAMAGE)])
        self.assertEqual(dict(result(device.status()).damage), {"truncated": 1})
        result(device.close())
        self.folder.shelf.tamper(self.bad, whole)
        device = self.start()
        self.assertEqual(self.check(device, share=0).findings, ())
        result(device.close())
        self.assertNotIn(self.bad, self.read_by_next())

    def read_by_next(self) -> list[int]:
        """What a check reads that is to read nothing."""
        self.check(self.start(), share=0)
        return list(self.read)

    def test_found_by_a_person(self) -> None:
        """Also what was found by reading a file."""
        self.spoil(self.bad)
        device = self.start()
        path = self.version(self.bad).path
        self.failureResultOf(device.get(path))
        result(device.close())
        self.assertEqual(self.check(self.start(), share=0).damaged, 1)

    def test_a_day_without_reading(self) -> None:
        """A process that did not read it again has not forgotten it."""
        self.spoil(self.bad)
        self.day(100)
        self.machine.look()
        self.assertEqual(self.check(self.start(), share=0).damaged, 1)

    def test_not_given(self) -> None:
        """What the server refused to give is asked for again, and holds up nothing."""
        store = self.folder.store()
        store.message = Unreadable(self.bad).of(store.message)  # type: ignore[method-assign]
        device = self.machine.start(store=store)
        found = result(device.go_on_checking(100))
        self.assertEqual((found.complete, result(device.status()).checked.whole), (False, START))
        result(device.close())
        self.assertIn(self.bad, self.read_by_next())

    def test_gone_or_renumbered(self) -> None:
        """What is gone, or has another number, is not looked for."""
        self.spoil(self.bad)
        self.day(100)
        self.folder.shelf.renumber()
        self.assertEqual(self.check(self.start(), share=0).damaged, 0)
