"""A file is told as stored when every chunk of it is there, and about to be removed by nobody (FORMAT 7.2)."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.chunks import CHUNKS, chunk_path
from ifap_twisted.core.plans import PLANS, RESEALED, Plan, Planned
from ifap_twisted.errors import ChunkLost, NotFound, OutcomeUnknown, Unavailable
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import Folder, result
from tests.filesystem.test_recovery import Recovering
from tests.filesystem.uploads import LARGE, assembled, chunks, messages, noise, stream

DATA = noise(6000)


class Others:
    """What other devices do to the chunks of a folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.fs = folder.device(options=LARGE)
        self.planned: set[int] = set()

    def places(self, names: Collection[str] | None = None) -> dict[int, str]:
        """The UIDs at which chunks lie, with their vids."""
        result(self.fs.refresh())
        wanted = chunks(self.folder) if names is None else names
        index = self.fs.desk.view.index
        found = [one for name in wanted for one in index.history(chunk_path(name)).versions]
        return {uid: one.version.vid for one in found for uid in one.places}

    def plan(self, names: Collection[str] | None = None, reason: str = "unneeded", *, kept: bool = False) -> None:
        """Plan the chunks of these names; None: all."""
        named = tuple(Planned(uid, vid, reason) for uid, vid in self.places(names).items())
        self.planned |= {one.uid for one in named}
        validity = self.fs.desk.view.uidvalidity
        plan = Plan(uidvalidity=validity, keep=named) if kept else Plan(uidvalidity=validity, collect=named)
        self.add(plan.encode())

    def add(self, content: bytes) -> None:
        """Add a plan object, whatever it says."""
        result(Deferred.fromCoroutine(self.fs.desk.writer.add_object(PLANS, content)))

    def remove(self, names: Collection[str] | None = None) -> None:
        """Remove chunks as a collection does."""
        self.folder.shelf.remove(self.places(names))

    def lists(self) -> list[str]:
        """The names of the chunks that are manifests."""
        return [
            version.path.removeprefix(CHUNKS)
            for _uid, version, content in messages(self.folder)
            if version.path.startswith(CHUNKS) and content.startswith(b'{"depth":')
        ]

    def plan_lists(self) -> None:
        """Plan these only."""
        self.plan(self.lists())

    def remove_lists(self) -> None:
        """Remove these only."""
        self.remove(self.lists())

    def remove_planned(self) -> None:
        """Remove what was planned, as its collection does in the end."""
        self.folder.shelf.remove(self.planned)

    def nothing(self) -> None:
        """Leave it as it is."""


class SecondLookCase(SynchronousTestCase):
    """A device that writes large files, and others that collect."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.store = self.folder.store()
        self.fs = self.folder.device(store=self.store, options=LARGE)
        self.others = Others(self.folder)

    def meanwhile(self, work: Callable[[], Any], begin: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        """Do something once the manifest has arrived, and before its writer hears of it.

        :param begin: a write whose chunks are all there already.
        """
        self.store.gate = gate = Turnstile("answer")
        writing = begin()
        self.assertEqual(gate.held, ["answer"])
        work()
        gate.release()
        return writing


class ReuseTests(SecondLookCase):
    """Which chunks are sent once more."""

    def copies(self, work: Callable[[Others], None]) -> set[int]:
        """How many copies there are of each chunk when it was put again after this."""
        self.setUp()
        result(self.fs.put("a", DATA))
        work(self.others)
        result(self.fs.refresh())
        result(self.fs.put("b", DATA))
        self.assertEqual(result(self.folder.device().get("b")), DATA)
        return set(chunks(self.folder).values())

    def test_those_that_a_plan_names(self) -> None:
        """They count as absent, for whatever reason they may go."""
        self.assertEqual(self.copies(Others.nothing), {1})
        self.assertEqual(self.copies(Others.plan), {2})
        self.assertEqual(self.copies(lambda others: others.plan(reason=RESEALED)), {2})

    def test_those_that_are_needed_again_by_a_later_plan(self) -> None:
        """They count as there."""

        def work(others: Others) -> None:
            others.plan()
            others.plan(kept=True)

        self.assertEqual(self.copies(work), {1})

    def test_one_of_many(self) -> None:
        """What no plan names is not sent again."""
        result(self.fs.put("a", DATA))
        name = next(iter(chunks(self.folder)))
        self.others.plan([name])
        result(self.fs.refresh())
        result(self.fs.put("b", DATA))
        self.assertEqual({one: count for one, count in chunks(self.folder).items() if count > 1}, {name: 2})

    def test_those_that_a_plan_nobody_can_read_may_name(self) -> None:
        """All that were there before it; what was sent after it counts."""
        self.assertEqual(self.copies(lambda others: others.add(b"no plan")), {2})
        before = chunks(self.folder)
        result(self.fs.put("c", DATA))
        self.assertEqual(chunks(self.folder), before)

    def test_those_that_are_damaged(self) -> None:
        """As far as that is known."""

        def work(others: Others) -> None:
            name = next(iter(chunks(self.folder)))
            (uid,) = others.places([name])
            message = self.folder.shelf.messages[uid]
            self.folder.shelf.tamper(uid, message[:-200] + b"A" * 100 + message[-100:])
            result(self.fs.check(read_data=100))

        self.assertEqual(self.copies(work), {1, 2})

    def test_those_in_whose_place_is_something_else(self) -> None:
        """Such as a tombstone."""
        result(self.fs.put("a", DATA))
        names = set(chunks(self.folder))
        self.others.remove()
        for name in names:
            writing = self.others.fs.desk.writer.write(chunk_path(name), b"", Change(deleted=True))
            result(Deferred.fromCoroutine(writing))
        result(self.fs.refresh())
        result(self.fs.put("b", DATA))
        self.assertEqual(result(self.folder.device().get("b")), DATA)

    def test_a_place_that_is_planned_and_one_that_is_not(self) -> None:
        """One of them is enough."""
        result(self.fs.put("a", DATA))
        self.others.plan()
        result(self.fs.refresh())
        result(self.fs.put("b", DATA))
        before = chunks(self.folder)
        result(self.fs.put("c", DATA))
        self.assertEqual(chunks(self.folder), before)


class BeforeSuccessTests(SecondLookCase):
    """What happens between the last chunk and the answer."""

    def putting(self, work: Callable[[], Any], source: Any = DATA) -> Deferred[Any]:
        """A put of what is there, with a collection at its end."""
        result(self.fs.put("a", DATA))
        result(self.fs.remove("a"))
        return self.meanwhile(work, lambda: self.fs.put("b", source))

    def assert_whole(self, path: str = "b") -> None:
        """Everybody reads it, also when what the plans name is gone."""
        self.others.remove(set())
        self.assertEqual(result(self.folder.device().get(path)), DATA)

    def test_chunks_that_were_planned_meanwhile(self) -> None:
        """They are stored anew, from what is there still: so that the collection may remove what it named."""
        places: list[int] = []

        def work() -> None:
            places.extend(self.others.places())
            self.others.plan()

        result(self.putting(work, stream(DATA)))
        self.assertEqual(set(chunks(self.folder).values()), {2})
        self.folder.shelf.remove(places)
        self.assertEqual(result(self.folder.device().get("b")), DATA)

    def test_chunks_that_were_removed_meanwhile(self) -> None:
        """They are taken from the source once more, where it can be read again."""
        for source in (DATA, memoryview(DATA), io.BytesIO(DATA)):
            self.setUp()
            result(self.putting(self.others.remove, source))
            self.assertEqual(result(self.folder.device().get("b")), DATA)

    def test_from_where_the_source_began(self) -> None:
        """A file that is read from its middle on."""
        file = io.BytesIO(b"before" + DATA)
        file.seek(6)
        result(self.putting(self.others.remove, file))
        self.assertEqual(result(self.folder.device().get("b")), DATA)

    def test_chunks_of_a_stream_that_were_removed_meanwhile(self) -> None:
        """The put fails, and says which part of the file is lost; nothing of the file stays."""
        error = self.failureResultOf(self.putting(self.others.remove, stream(DATA)), ChunkLost).value
        self.assertEqual((error.path, error.offset), ("b", 0))
        self.failureResultOf(self.fs.stat("b"), NotFound)
        self.failureResultOf(self.folder.device().stat("b"), NotFound)
        result(self.fs.put("b", stream(DATA)))
        self.assert_whole()

    def test_manifests_of_manifests(self) -> None:
        """What is missing or planned may be a list of chunks itself."""
        data = noise(100_000)
        for work, source in (
            (Others.remove, data),
            (Others.remove_lists, data),
            (Others.plan, stream(data, 5000)),
            (Others.plan_lists, stream(data, 5000)),
        ):
            self.setUp()
            result(self.fs.put("a", data))
            self.assertGreater(len(self.others.lists()), 1)
            result(self.meanwhile(lambda work=work: work(self.others), lambda source=source: self.fs.put("b", source)))
            self.others.remove_planned()
            self.assertEqual(result(self.folder.device().get("b")), data)

    def test_a_lost_list_of_chunks(self) -> None:
        """It is told with all the bytes that it tells of; nothing of the file stays."""
        data = noise(100_000)
        result(self.fs.put("a", data))
        putting = self.meanwhile(self.others.remove_lists, lambda: self.fs.put("b", stream(data, 5000)))
        error = self.failureResultOf(putting, ChunkLost).value
        self.assertGreater(error.length, 10_000)
        self.failureResultOf(self.folder.device().stat("b"), NotFound)

    def test_a_source_that_is_another_meanwhile(self) -> None:
        """Nothing is mixed: the put fails."""

        class Other(io.BytesIO):
            turns = 0

            def seek(self, *position: int) -> int:
                self.turns += 1
                self.getbuffer()[:5] = b"other"
                return super().seek(*position)

        self.failureResultOf(self.putting(self.others.remove, Other(DATA)), ChunkLost)
        self.failureResultOf(self.folder.device().stat("b"), NotFound)

    def test_where_nothing_can_be_removed(self) -> None:
        """The error tells that the version which was written lacks bytes."""
        self.store.traits = self.store.traits.__class__(reports_uid=True, expunges_by_uid=False, pushes=True)
        error = self.failureResultOf(self.putting(self.others.remove, stream(DATA)), ChunkLost).value
        entry = result(self.fs.stat("b"))
        self.assertIn(entry.version, str(error))
        self.failureResultOf(self.fs.get("b"), ChunkLost)

    def test_a_server_that_goes_away_before_it_can_be_seen(self) -> None:
        """Then nobody knows whether the file is whole; it is not told as stored."""
        putting = self.putting(lambda: self.store.fail_next("poll", Unavailable("away")))
        error = self.failureResultOf(putting, OutcomeUnknown).value
        self.assertIn("away", str(error))


class RewritingTests(SecondLookCase):
    """Whatever writes a manifest looks after its chunks."""

    def each(self, prepare: Callable[[], Any], work: Callable[[], Deferred[Any]], path: str) -> None:
        """With all chunks planned before it, and after its manifest arrived."""
        for early in (True, False):
            self.setUp()
            prepare()
            if early:
                self.others.plan()
                result(self.fs.refresh())
                result(work())
            else:
                result(self.meanwhile(self.others.plan, work))
            self.assertEqual(set(chunks(self.folder).values()), {2})
            self.assertEqual(result(self.folder.device().get(path)), DATA)

    def put(self) -> None:
        """A large file."""
        result(self.fs.put("a", DATA))

    def test_copying(self) -> None:
        """FORMAT 7.3."""
        self.each(self.put, lambda: self.fs.copy("a", "b"), "b")

    def test_keeping(self) -> None:
        """The number of versions is changed by a new one."""
        self.each(self.put, lambda: self.fs.keep("a", 9), "a")

    def test_undeleting(self) -> None:
        """What was removed a while ago."""

        def prepare() -> None:
            self.put()
            result(self.fs.remove("a"))

        self.each(prepare, lambda: self.fs.undelete("a"), "a")

    def test_restoring(self) -> None:
        """An old version."""
        version = ""

        def prepare() -> None:
            nonlocal version
            version = result(self.fs.put("a", DATA)).version
            result(self.fs.put("a", b"small"))

        self.each(prepare, lambda: self.fs.restore("a", version), "a")

    def test_resolving(self) -> None:
        """The head that is kept."""
        version = ""

        def prepare() -> None:
            nonlocal version
            other = self.folder.device()
            version = result(self.fs.put("a", DATA)).version
            writing = other.desk.writer.write("a", b"theirs", Change(replaced=()))
            result(Deferred.fromCoroutine(writing))
            result(self.fs.refresh())

        self.each(prepare, lambda: self.fs.resolve("a", version=version), "a")

    def test_a_chunk_that_is_needed_again_and_again(self) -> None:
        """It is fetched and stored anew with the first of its places in the file, not with each."""
        content = bytes(20_000)
        result(self.fs.put("a", content))
        self.others.plan()
        result(self.fs.refresh())
        asked = list[int]()
        message = self.store.message

        def fetched(uid: int) -> Deferred[bytes]:
            asked.append(uid)
            return message(uid)

        self.patch(self.store, "message", fetched)
        result(self.fs.copy("a", "b"))
        self.assertLess(len([uid for uid in asked if uid in self.others.planned]), 10)
        self.assertEqual(set(chunks(self.folder).values()), {2})

    def test_a_copy_of_what_is_lost(self) -> None:
        """It is refused, before anything is sent."""
        self.put()
        self.others.remove()
        result(self.fs.refresh())
        before = self.folder.shelf.uidnext
        self.failureResultOf(self.fs.copy("a", "b"), ChunkLost)
        self.assertEqual(self.folder.shelf.uidnext, before)


class JournalTests(Recovering):
    """A manifest that a process left in its journal, and what others did to its chunks since."""

    def left(self, method: str) -> Others:
        """Kill a put when all chunks are there, before the manifest is, or after it."""
        store = self.folder.store()
        device = self.device(store, options=LARGE)
        result(device.put("b", DATA))
        result(device.remove("b"))
        store.gate = Turnstile(method)
        self.assertNoResult(device.put("a", DATA))
        self.crash(store)
        self.assertEqual(self.pending(), 1)
        return Others(self.folder)

    def test_it_is_sent_when_all_is_there(self) -> None:
        """As any write that was journalled."""
        for method in ("append", "answer"):
            self.setUp()
            self.left(method)
            device = self.device(options=LARGE)
            self.assertEqual(result(device.get("a")), DATA)
            self.assertEqual(self.pending(), 0)

    def test_planned_chunks_are_stored_anew(self) -> None:
        """Before it is sent, or told as done."""
        for method in ("append", "answer"):
            self.setUp()
            others = self.left(method)
            places = others.places()
            others.plan()
            device = self.device(options=LARGE)
            self.assertEqual(result(device.get("a")), DATA)
            self.assertEqual(self.pending(), 0)
            self.folder.shelf.remove(places)
            self.assertEqual(result(self.folder.device().get("a")), DATA)

    def test_it_is_not_sent_while_a_chunk_is_missing(self) -> None:
        """It stays, is reported as failing with what is missing, and is sent when that is there again."""
        self.left("append").remove()
        store = self.folder.store()
        device = self.device(store, options=LARGE)
        self.failureResultOf(device.stat("a"), NotFound)
        status = self.status(device)
        self.assertEqual((status.pending, status.failing), (1, 1))
        self.assertIn("are lost", " ".join(one.text for one in status.warnings if one.path == "a"))
        result(self.folder.device(options=LARGE).put("c", DATA))
        result(device.refresh())
        self.assertEqual(result(device.get("a")), DATA)
        self.assertEqual(self.pending(), 0)

    def test_it_is_not_told_as_done_while_a_chunk_is_missing(self) -> None:
        """The same when it has arrived."""
        self.left("answer").remove()
        device = self.device(options=LARGE)
        self.assertEqual(self.status(device).failing, 1)
        result(self.folder.device(options=LARGE).put("c", DATA))
        result(device.refresh())
        self.assertEqual(self.status(device).pending, 0)

    def test_a_process_that_could_not_look(self) -> None:
        """What it could not tell its caller it finishes by itself."""
        store = self.folder.store()
        device = self.device(store, options=LARGE)
        result(device.put("b", DATA))
        store.gate = gate = Turnstile("answer")
        putting = device.put("a", DATA)
        store.fail_next("poll", Unavailable("away"))
        gate.release()
        self.failureResultOf(putting, OutcomeUnknown)
        self.assertEqual((self.pending(), self.status(device).pending), (1, 1))
        self.pass_time(100)
        self.assertEqual((self.pending(), self.status(device).pending), (0, 0))
        self.assertEqual(result(device.get("a")), DATA)


class QueueTests(Recovering):
    """A put with ``queue``."""

    def test_a_large_file_does_not_wait_in_the_journal(self) -> None:
        """While the server is away it is refused, clearly; a small one waits."""
        store = self.folder.store()
        device = self.device(store, options=LARGE)
        store.go_offline()

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield DATA

        for source in (DATA, stream(DATA), endless()):
            error = self.failureResultOf(device.put("a", source, queue=True), Unavailable).value
            self.assertIn("journal", str(error))
        self.assertEqual(self.pending(), 0)
        self.assertTrue(result(device.put("b", b"small", queue=True)).pending)

    def test_it_is_stored_while_the_server_is_there(self) -> None:
        """As without it."""
        device = self.device(options=LARGE)
        self.assertFalse(result(device.put("a", DATA, queue=True)).pending)
        self.assertEqual(assembled(self.folder, "a"), DATA)
