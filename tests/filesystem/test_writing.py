"""Writing: read back before success, unknown outcomes looked up, rivals noticed, callers who give up (FORMAT 4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, execute, fail
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.core.limits import INLINE_BYTES
from ifap_twisted.core.values import ABSENT, Traits
from ifap_twisted.errors import (
    Conflict,
    InvalidPath,
    NoRoom,
    OutcomeUnknown,
    QuotaExceeded,
    ReadOnly,
    StoredAsConflict,
    TimedOut,
    TooLarge,
    Unavailable,
)
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.sending import SENDINGS
from ifap_twisted.filesystem.withdrawing import BEGUN_SECONDS
from ifap_twisted.store.memory import Fate, MemoryStore, Turnstile, Visibility
from tests.filesystem.folders import Folder, result

POOR = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)


class Writing(SynchronousTestCase):
    """One device and what happens to its server."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.folder.device()

    def device(self, store: MemoryStore, **options: Any) -> Any:
        """A filesystem on a session of our making."""
        return self.folder.device(store=store, **options)

    def fresh(self) -> Any:
        """What a new device sees."""
        return self.folder.device()

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(int(seconds * 4)):
            self.folder.clock.advance(0.25)


class ReadingBackTests(Writing):
    """Success is reported after the message has been read back (FORMAT 4.3)."""

    def test_success_waits_for_the_message_to_show(self) -> None:
        """Until then the put is pending."""
        turnstile = Turnstile("headers")
        store = self.folder.store()
        filesystem = self.device(store)
        store.gate = turnstile
        putting = filesystem.put("a", b"1")
        self.assertNoResult(putting)
        self.assertEqual(result(filesystem.status()).pending, 1)
        turnstile.release()
        self.assertEqual(self.successResultOf(putting).size, 1)
        self.assertEqual(result(filesystem.status()).pending, 0)

    def test_servers_that_show_appends_late_are_asked_again(self) -> None:
        """Courier after NOOP, mailutils after SELECT."""
        for visibility in (Visibility.POLL, Visibility.THOROUGH):
            store = self.folder.store(visibility=visibility, traits=POOR)
            putting = self.device(store).put(visibility.name, b"1")
            self.pass_time(2)
            self.successResultOf(putting)

    def test_a_message_that_never_shows_is_an_unknown_outcome(self) -> None:
        """The server said OK, but it is not there."""
        store = self.folder.store()
        filesystem = self.device(store)
        store.doom_next(Fate.DROPPED)
        putting = filesystem.put("a", b"1")
        self.pass_time(200)
        self.failureResultOf(putting, OutcomeUnknown)
        self.assertEqual(list(result(filesystem.list())), [])

    def test_a_cut_while_reading_back_is_survived(self) -> None:
        """What was acknowledged is looked for on the next connection."""
        store = self.folder.store()
        filesystem = self.device(store)
        store.fail_next("headers", Unavailable("cut"), 2)
        putting = filesystem.put("a", b"1")
        self.pass_time(5)
        self.successResultOf(putting)


class UnknownOutcomeTests(Writing):
    """An APPEND whose answer was lost is neither doubled nor lost (FORMAT 4.2)."""

    def cut(self, fate: Fate) -> tuple[Any, Any]:
        """A put on a connection that is cut, and comes back after a while."""
        store = self.folder.store()
        filesystem = self.device(store)
        store.doom_next(fate)
        putting = filesystem.put("a", b"1")
        store.go_offline()
        self.pass_time(3)
        self.assertNoResult(putting)
        store.go_online()
        self.pass_time(10)
        return filesystem, putting

    def test_a_message_that_was_stored_is_found(self) -> None:
        """And not sent again."""
        filesystem, putting = self.cut(Fate.CUT_AFTER)
        self.successResultOf(putting)
        self.assertEqual(len(result(filesystem.versions("a"))), 1)
        self.assertEqual(self.folder.shelf.uidnext, 3)

    def test_a_message_that_was_not_stored_is_sent_again(self) -> None:
        """After looking for it."""
        filesystem, putting = self.cut(Fate.CUT_BEFORE)
        self.successResultOf(putting)
        self.assertEqual(len(result(filesystem.versions("a"))), 1)
        self.assertEqual(result(self.fresh().get("a")), b"1")

    def test_a_message_that_shows_up_late_is_one_version_with_its_retry(self) -> None:
        """The same bytes at two places (FORMAT 2.2)."""
        filesystem, putting = self.cut(Fate.CUT_LATE)
        self.successResultOf(putting)
        self.folder.shelf.deliver_late()
        result(filesystem.refresh())
        self.assertEqual(len(result(filesystem.versions("a"))), 1)
        self.assertEqual(list(result(filesystem.conflicts())), [])

    def test_a_shelf_that_did_not_answer_in_time_may_have_stored_it(self) -> None:
        """It is looked for, and sent again; whoever put it is not told that it was only slow."""
        store = self.folder.store()
        filesystem = self.device(store)
        store.fail_next("append", TimedOut())
        putting = filesystem.put("a", b"1")
        self.pass_time(5)
        self.successResultOf(putting)
        store.fail_next("append", TimedOut(), SENDINGS)
        putting = filesystem.put("a", b"2")
        self.pass_time(200)
        self.failureResultOf(putting, OutcomeUnknown)

    def test_a_server_that_stays_away_leaves_the_outcome_unknown(self) -> None:
        """And the next write does not pretend to know what became of it (FORMAT 3.2)."""
        store = self.folder.store()
        identity = MemoryWriter(self.folder.random)
        filesystem = self.device(store, identity=identity)
        writer = identity.writer
        store.doom_next(Fate.CUT_LATE)
        putting = filesystem.put("a", b"lost?")
        store.go_offline()
        self.pass_time(120)
        self.failureResultOf(putting, OutcomeUnknown)
        self.assertNotEqual(identity.writer, writer)
        store.go_online()
        putting = filesystem.put("a", b"again")
        self.pass_time(5)
        self.successResultOf(putting)
        self.folder.shelf.deliver_late()
        result(filesystem.refresh())
        heads = {result(filesystem.get("a", version=head.version)) for head in result(filesystem.conflicts())}
        self.assertEqual(heads, {b"lost?", b"again"})

    def test_a_refusal_is_told_at_once(self) -> None:
        """A full mailbox: certainly not stored."""
        store = self.folder.store()
        filesystem = self.device(store)
        store.fail_next("append", QuotaExceeded("full"))
        self.failureResultOf(filesystem.put("a", b"1"), QuotaExceeded)
        self.assertEqual(result(filesystem.status()).pending, 0)


class RivalTests(Writing):
    """Two devices write one file at the same time (FORMAT 3.4, 4.4)."""

    def rivals(
        self, orders: Iterable[tuple[str, Exception]] = (), **options: Any
    ) -> tuple[Deferred[Any], Deferred[Any], Any, Any]:
        """Both have sent their version before either read anything back; the second expects no file."""
        turnstiles = Turnstile("append"), Turnstile("append")
        stores = self.folder.store(), self.folder.store(**options)
        one, other = (self.device(store) for store in stores)
        for store, turnstile in zip(stores, turnstiles, strict=True):
            store.gate = turnstile
        for method, error in orders:
            stores[1].fail_next(method, error)
        first, second = one.put("a", b"one"), other.put("a", b"other", expect=ABSENT)
        for turnstile in turnstiles:
            turnstile.release()
        return first, second, one, other

    def test_both_are_kept_and_the_conflict_is_reported(self) -> None:
        """Without an expectation nobody loses."""
        turnstiles = Turnstile("append"), Turnstile("append")
        stores = self.folder.store(), self.folder.store()
        one, other = (self.device(store) for store in stores)
        for store, turnstile in zip(stores, turnstiles, strict=True):
            store.gate = turnstile
        first, second = one.put("a", b"one"), other.put("a", b"other")
        for turnstile in turnstiles:
            turnstile.release()
        self.successResultOf(first)
        self.successResultOf(second)
        for filesystem in (one, other, self.fresh()):
            result(filesystem.refresh())
            heads = {result(filesystem.get("a", version=head.version)) for head in result(filesystem.conflicts())}
            self.assertEqual(heads, {b"one", b"other"})
            self.assertEqual(result(filesystem.get("a")), b"other")
            self.assertEqual(result(filesystem.status()).conflicts, 1)

    def test_who_expected_otherwise_takes_his_own_back(self) -> None:
        """The lower rank wins; nothing of the loser stays."""
        first, second, one, other = self.rivals()
        self.successResultOf(first)
        error = self.failureResultOf(second, Conflict).value
        self.assertNotIsInstance(error, StoredAsConflict)
        self.assertEqual(error.found, result(one.stat("a")).version)
        self.assertEqual(len(result(self.fresh().versions("a"))), 1)
        self.assertEqual(result(other.get("a")), b"one")

    def test_where_it_cannot_be_taken_back_it_is_a_conflict(self) -> None:
        """No UIDPLUS: stored-as-conflict, both readable."""
        first, second, _one, _other = self.rivals(traits=POOR)
        self.successResultOf(first)
        self.failureResultOf(second, StoredAsConflict)
        self.assertEqual(len(result(self.fresh().conflicts("a"))), 2)

    def test_what_could_not_be_taken_back_in_time_stays(self) -> None:
        """The removal waited in a line, or the machine slept: others rely by now on what they saw for ten minutes."""
        store = self.folder.store()
        store.gate = turnstile = Turnstile("append", "remove")
        late = self.device(store).put("a", b"other", expect=ABSENT)
        result(self.fresh().put("a", b"one"))
        turnstile.release(1)
        self.pass_time(BEGUN_SECONDS + 1.0)
        turnstile.release()
        self.failureResultOf(late, StoredAsConflict)
        self.assertEqual(len(result(self.fresh().conflicts("a"))), 2)
        self.assertEqual(self.folder.shelf.marked, set())

    def test_what_the_server_does_not_show_may_be_there(self) -> None:
        """Numbered anew meanwhile, and not all of it is listed: nobody knows what became of the message."""

        class Withholding(MemoryStore):
            hides = False

            def headers(self, first: int, last: int | None = None) -> Deferred[Any]:
                newest = max(self.shelf.messages) if self.hides else 0
                found = super().headers(first, last)
                return found.addCallback(lambda blocks: {uid: one for uid, one in blocks.items() if uid != newest})

        store = Withholding(self.folder.shelf, clock=self.folder.clock)
        store.gate = turnstile = Turnstile("append", "remove")
        late = self.device(store).put("a", b"other", expect=ABSENT)
        result(self.fresh().put("a", b"one"))
        turnstile.release(1)
        store.hides = True
        self.folder.shelf.renumber()
        turnstile.release()
        self.failureResultOf(late, OutcomeUnknown)
        self.assertEqual(len(result(self.fresh().conflicts("a"))), 2)

    def withdrawing(self, *orders: tuple[str, Exception]) -> Deferred[Any]:
        """The second of two rivals, whose connection breaks while it takes its own back."""
        first, second, _one, _other = self.rivals(orders)
        self.successResultOf(first)
        return second

    def test_what_was_not_taken_back_is_not_left_marked(self) -> None:
        """Else the next EXPUNGE of any program would remove what was said to be kept (FORMAT 5.4)."""
        self.failureResultOf(self.withdrawing(("expunge", Unavailable("cut"))), StoredAsConflict)
        self.folder.shelf.remove(set(self.folder.shelf.marked))
        self.assertEqual(len(result(self.fresh().conflicts("a"))), 2)

    def test_what_may_be_left_marked_is_not_said_to_be_kept(self) -> None:
        """The mark could not be taken off."""
        cut = Unavailable("cut")
        self.failureResultOf(self.withdrawing(("expunge", cut), ("unmark", cut)), OutcomeUnknown)
        self.assertEqual(len(result(self.fresh().conflicts("a"))), 2)
        self.assertEqual(self.folder.shelf.marked, set())  # taken off by the device that looked

    def test_what_may_be_left_marked_in_a_folder_that_turned_read_only(self) -> None:
        """It was stored: that the folder is read-only says nothing of that."""
        second = self.withdrawing(("expunge", Unavailable("cut")), ("unmark", ReadOnly()))
        self.failureResultOf(second, OutcomeUnknown)
        self.assertEqual(len(result(self.fresh().conflicts("a"))), 2)

    def test_what_was_taken_back_unheard_is_not_said_to_be_kept(self) -> None:
        """The message is gone; only the answer was lost."""
        second = self.withdrawing(("answer to remove", Unavailable("cut")))
        self.assertNotIsInstance(self.failureResultOf(second, Conflict).value, StoredAsConflict)
        self.assertEqual(len(result(self.fresh().versions("a"))), 1)

    def late_and_overtaken(self, *, full_disk: bool = False) -> Filesystem:
        """A put of which a first message is on its way, while the second was taken back."""
        store, rival = self.folder.store(), self.fresh()
        filesystem = self.device(store)
        if full_disk:
            identity = filesystem.desk.writer.drafting._identity
            identity.renew = lambda: fail(NoRoom())
        store.doom_next(Fate.CUT_LATE)
        store.gate = turnstile = Turnstile("poll")
        putting = filesystem.put("a", b"late", expect=ABSENT)
        self.pass_time(2)
        store.gate = appending = Turnstile("append")
        turnstile.release()
        result(rival.put("a", b"quicker"))
        appending.release()
        self.pass_time(2)
        self.failureResultOf(putting, OutcomeUnknown)
        return filesystem

    def test_what_may_still_turn_up_is_not_said_to_be_taken_back(self) -> None:
        """Nobody can say that nothing of it stays."""
        again = self.late_and_overtaken().put("a", b"again")
        self.pass_time(2)
        self.successResultOf(again)
        self.folder.shelf.deliver_late()
        heads = {result(self.fresh().get("a", version=v.version)) for v in result(self.fresh().conflicts("a"))}
        self.assertEqual(heads, {b"late", b"again"})

    def test_nor_when_the_disk_is_full(self) -> None:
        """No other name can be drawn for the writes that follow: they have to wait for one (FORMAT 3.2)."""
        filesystem = self.late_and_overtaken(full_disk=True)
        self.failureResultOf(filesystem.put("b", b"1"), NoRoom)

    def test_nor_when_it_may_be_left_marked_on_a_full_disk(self) -> None:
        """Only that the outcome is unknown is told."""
        cut = Unavailable("cut")
        MemoryWriter.renew, drawing = lambda _self: fail(NoRoom()), MemoryWriter.renew  # type: ignore[method-assign]
        self.addCleanup(setattr, MemoryWriter, "renew", drawing)
        self.failureResultOf(self.withdrawing(("expunge", cut), ("unmark", cut)), OutcomeUnknown)

    def test_writes_of_one_device_to_one_file_are_one_line(self) -> None:
        """However close together."""
        filesystem = self.fresh()
        for work in [filesystem.put("a", str(number).encode()) for number in range(5)]:
            self.successResultOf(work)
        self.assertEqual(result(filesystem.get("a")), b"4")
        self.assertEqual(list(result(filesystem.conflicts())), [])

    def test_a_device_whose_numbers_went_back_draws_a_new_name(self) -> None:
        """A restored backup (FORMAT 3.2)."""
        identity = MemoryWriter(self.folder.random)
        old = identity.writer
        result(self.device(self.folder.store(), identity=identity).put("a", b"1"))
        restored = MemoryWriter(self.folder.random)
        restored.writer = old
        filesystem = self.device(self.folder.store(), identity=restored)
        entry = result(filesystem.put("a", b"2"))
        self.assertNotEqual(entry.writer, old)
        self.assertEqual(list(result(filesystem.conflicts())), [])


class QueueTests(Writing):
    """Many writes to one path at once."""

    def test_thousands_that_fail_behind_one_that_takes_long(self) -> None:
        """Each fails as it should, and the path can be written afterwards."""
        gates: list[Deferred[None]] = []

        def slow(work: Any) -> Deferred[Any]:
            return gates[0].addCallback(lambda _none: work()) if gates else execute(work)

        device = Folder().device(worker=slow)
        gates.append(Deferred())
        first = device.put("a", bytes(INLINE_BYTES + 1), expect=ABSENT)
        others = [device.put("a", b"late", expect=ABSENT) for _ in range(3000)]
        self.assertNoResult(others[-1])
        gates.pop().callback(None)
        entry = result(first)
        for other in others:
            self.failureResultOf(other, Conflict)
        self.assertEqual(result(device.put("a", b"later", expect=entry.version)).versions, 2)


class GivingUpTests(Writing):
    """Cancelling a put leaves the old content or the new."""

    def test_a_put_that_is_cancelled_before_it_is_sent_stores_nothing(self) -> None:
        """It was still reading its source."""
        filesystem = self.fresh()
        never: Deferred[bytes] = Deferred()

        async def source() -> Any:
            yield await never

        putting = filesystem.put("a", source())
        putting.cancel()
        self.failureResultOf(putting, CancelledError)
        self.assertEqual(result(filesystem.status()).pending, 0)
        result(filesystem.put("a", b"next"))
        self.assertEqual(len(result(filesystem.versions("a"))), 1)

    def test_a_put_that_is_cancelled_under_way_is_finished(self) -> None:
        """The caller hears of the cancelling; the file is whole."""
        turnstile = Turnstile("headers")
        store = self.folder.store()
        filesystem = self.device(store)
        store.gate = turnstile
        putting = filesystem.put("a", b"1")
        putting.cancel()
        self.failureResultOf(putting, CancelledError)
        turnstile.release()
        self.assertEqual(result(filesystem.get("a")), b"1")
        self.assertEqual(result(filesystem.status()).pending, 0)

    def test_closing_waits_for_what_was_accepted(self) -> None:
        """What was begun is on the server; whoever closes once more waits, too."""
        turnstile = Turnstile("append")
        store = self.folder.store()
        filesystem = self.device(store)
        store.gate = turnstile
        putting = filesystem.put("a", b"1")
        closings = filesystem.close(), filesystem.close()
        for closing in closings:
            self.assertNoResult(closing)
        turnstile.release()
        for closing in closings:
            self.successResultOf(closing)
        self.successResultOf(putting)
        self.assertEqual(result(self.fresh().get("a")), b"1")


class BoundsTests(Writing):
    """What is too large, or too long for the reference, and how much is held at a time."""

    def test_a_message_that_the_server_would_not_take_is_not_sent(self) -> None:
        """APPENDLIMIT counts the sealed message."""
        store = self.folder.store(
            traits=Traits(reports_uid=True, expunges_by_uid=True, pushes=True, max_message=50_000)
        )
        filesystem = self.device(store)
        before = self.folder.shelf.uidnext
        error = self.failureResultOf(filesystem.put("a", bytes(40_000)), TooLarge).value
        self.assertEqual(self.folder.shelf.uidnext, before)
        result(filesystem.put("a", bytes(error.limit)))

    def test_the_limit_that_is_told_is_right(self) -> None:
        """A file of that size can be stored, whatever the server's limit."""
        for limit in (9_000, 20_001, 100_000, 777_777):
            store = self.folder.store(
                traits=Traits(reports_uid=True, expunges_by_uid=True, pushes=True, max_message=limit)
            )
            filesystem = self.device(store)
            error = self.failureResultOf(filesystem.put("a", bytes(limit)), TooLarge).value
            self.assertGreater(error.limit, 0)
            result(filesystem.put("a", bytes(error.limit)))

    def test_two_files_worth_are_held_and_the_rest_waits(self) -> None:
        """Back-pressure: the third source is not read before there is room."""
        filesystem = self.device(self.folder.store(), options=Options(max_file_size=1000))
        gates: list[Deferred[bytes]] = []
        begun: list[str] = []

        async def source(name: str) -> Any:
            begun.append(name)
            gate: Deferred[bytes] = Deferred()
            gates.append(gate)
            yield await gate

        puts = [filesystem.put(name, source(name)) for name in "abc"]
        self.assertEqual(begun, ["a", "b"])
        gates[0].callback(b"1")
        self.assertEqual(begun, ["a", "b", "c"])
        for gate in gates[1:]:
            gate.callback(b"1")
        for put in puts:
            self.successResultOf(put)

    def test_a_path_that_the_reference_cannot_see_is_told(self) -> None:
        """A warning, or with ``compat`` a refusal (FORMAT 1.6)."""
        path = "/".join(["d" * 100] * 5)
        filesystem = self.fresh()
        result(filesystem.put(path, b"1"))
        self.assertEqual([notice.code for notice in result(filesystem.status()).warnings], ["reference-blind"])
        strict = self.device(self.folder.store(), options=Options(compat=True))
        self.failureResultOf(strict.put(path + "x", b"1"), InvalidPath)
