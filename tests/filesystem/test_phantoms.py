"""A folder that opens while it is prepared to be accepted for: what has ended does not wait once more (FORMAT 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred

from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.writer import FileWriter
from ifap_twisted.core.keys import Key
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.offline import offline_folder
from ifap_twisted.filesystem.opening import Membership, Surroundings, open_folder
from ifap_twisted.filesystem.recovery import Place
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IJournal
from ifap_twisted.store.memory import Turnstile
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import Drawing, LaterWorker
from tests.filesystem.folders import KEY, result
from tests.filesystem.test_queueing import Queueing


class PhantomTests(Queueing):
    """One process, which prepares for the worst and opens the folder meanwhile."""

    def setUp(self) -> None:
        """A process with one journal, and a write that an earlier one left in it."""
        super().setUp()
        self.store.go_offline()
        self.queue("a", b"1")
        self.crash(self.store)
        home = self.mine.desk.view.home
        journal = FileJournal(self.base, (KEY,), random=Drawing(), worker=InlineWorker())

        def use(keys: Sequence[Key]) -> IJournal:
            journal.use(keys)
            return journal

        self.surroundings = Surroundings(
            clock=self.folder.clock,
            worker=InlineWorker(),
            random=self.folder.random,
            identity=result(FileWriter.open(self.base, self.folder.random, InlineWorker())),
            journal=use,
            backlog=Backlog(),
        )
        self.membership = Membership(keys=(KEY,), home=home, found="ifap")
        self.store = self.folder.store()

    def preparing(self, worker: LaterWorker) -> Deferred[object]:
        """What accepts, about to know what waits."""
        surroundings = replace(self.surroundings, worker=worker)
        return Deferred.fromCoroutine(
            offline_folder(self.store, self.membership, surroundings, Watchers(), Place(), Options())
        )

    def opened(self) -> Filesystem:
        """The folder, open."""
        return result(Deferred.fromCoroutine(open_folder(self.store, self.membership, self.surroundings))).filesystem

    def check_nothing_waits(self, device: Filesystem) -> None:
        """And nobody is told of anything."""
        result(device.refresh())
        status = result(device.status())
        self.assertEqual((status.pending, status.warnings), (0, ()))
        self.assertEqual(self.pending(), 0)

    def test_what_has_arrived(self) -> None:
        """It was left to the process, and went when the folder opened."""
        worker = LaterWorker()
        preparing = self.preparing(worker)
        device = self.opened()
        self.assertEqual(result(device.get("a")), b"1")
        worker.run_all()
        result(preparing)
        self.check_nothing_waits(device)

    def test_what_is_on_its_way(self) -> None:
        """Who put it waits for its end, and hears of it."""
        device = self.opened()
        self.store.gate = Turnstile("append")
        putting = device.put("b", b"2")
        worker = LaterWorker()
        preparing = self.preparing(worker)
        worker.run_all()
        result(preparing)
        self.assertEqual(len(self.surroundings.backlog or ()), 0)
        self.store.gate.release()
        result(putting)
        self.check_nothing_waits(device)
