"""Sending again comes to an end: no server, whatever it makes of a message, fills a mailbox with it (FORMAT 4.2)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ifap_twisted.core.values import Receipt
from ifap_twisted.errors import OutcomeUnknown, ProtocolViolation, Refused
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.recovery import AGAIN_SECONDS, LONGEST_SECONDS
from ifap_twisted.filesystem.sending import SENDINGS
from ifap_twisted.store.memory import Fate, MemoryShelf, MemoryStore
from tests.filesystem.folders import Folder, result
from tests.filesystem.test_recovery import Recovering

DAY = 86400


class Changing(MemoryStore):
    """A session on a server that does something to what it is given.

    :ivar changes: of so many messages that are still to come.
    """

    changes = 0
    taken = 0

    def change(self, message: bytes) -> bytes:
        """What is stored."""
        return b"X-Scanned: yes\r\n" + message

    def _store(self, message: bytes) -> Receipt:
        self.taken += 1
        if self.changes <= 0:
            return super()._store(message)
        self.changes -= 1
        return super()._store(self.change(message))


class Truncating(Changing):
    """What is cut off is kept as far as it came."""

    def change(self, message: bytes) -> bytes:
        """Half of it."""
        return message[: -len(message) // 4]


class Refusing(MemoryStore):
    """A session on a server that takes no messages.

    :ivar tried: when it was asked to.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refuses = False
        self.tried: list[float] = []

    def _store(self, message: bytes) -> Receipt:
        if not self.refuses or self._fates:
            return super()._store(message)
        self.tried.append(self._clock.seconds())
        raise Refused("No.")


class Resending(Recovering):
    """A device with a journal on a server that is not faithful."""

    def pass_day(self) -> None:
        """Let a day pass, in which the sleeper is woken where it has to be."""
        for _ in range(DAY // 30):
            self.folder.clock.advance(30)

    def began(self, store: MemoryStore) -> Filesystem:
        """A device that has stored a file before."""
        device = self.device(store)
        result(device.put("other", b"0"))
        return device

    def lose(self, store: MemoryStore, device: Filesystem, path: str, content: bytes) -> None:
        """A put whose message and answer are lost; the server stays away."""
        store.doom_next(Fate.CUT_BEFORE)
        putting = device.put(path, content)
        store.go_offline()
        self.pass_time(200)
        self.failureResultOf(putting, OutcomeUnknown)

    def reasons(self, device: Filesystem) -> str:
        """Why what waits waits."""
        return " ".join(one.text for one in self.status(device).warnings if one.code == "write-pending")


class ChangedTests(Resending):
    """Messages that are there otherwise than they were sent."""

    def changed(self) -> tuple[Changing, Filesystem]:
        """A put while the server adds a header to all that comes, and a day after it."""
        store = Changing(self.folder.shelf, clock=self.folder.clock)
        device = self.began(store)
        store.changes, store.taken = 10**6, 0
        putting = device.put("a", b"1")
        self.pass_time(100)
        self.failureResultOf(putting, ProtocolViolation)
        self.pass_day()
        return store, device

    def test_never_without_end(self) -> None:
        """A server that adds a header gets a message three times; then it is reported as failing, with the reason."""
        store, device = self.changed()
        self.assertEqual(store.taken, SENDINGS)
        status = self.status(device)
        self.assertEqual((status.pending, status.failing, self.pending()), (1, 1, 1))
        self.assertIn("changed the message", self.reasons(device))

    def test_not_after_a_restart_either(self) -> None:
        """The next process sees the copies, and sends none; what is new is stored as soon as the server is faithful."""
        store, _device = self.changed()
        store.changes = 0
        device = self.device(store)
        self.pass_day()
        self.assertEqual(store.taken, SENDINGS)
        self.assertIn("changed the message", self.reasons(device))
        result(device.put("a", b"2"))
        self.assertEqual(result(self.folder.device().get("a")), b"2")

    def test_found_when_it_is_right_again(self) -> None:
        """A size that was told wrong for a while is no reason to give up."""
        store, device = self.changed()
        for uid, message in self.folder.shelf.messages.items():
            self.folder.shelf._messages[uid] = message.removeprefix(b"X-Scanned: yes\r\n")
        result(device.refresh())
        self.assertEqual((self.status(device).pending, self.pending(), store.taken), (0, 0, SENDINGS))
        self.assertEqual(len(result(device.versions("a"))), 1)

    def test_a_message_that_was_cut_off(self) -> None:
        """A part of it that the server kept does not count: it is sent again, and is one version."""
        store = Truncating(self.folder.shelf, clock=self.folder.clock)
        device = self.began(store)
        store.changes = 1
        store.doom_next(Fate.CUT_AFTER)
        putting = device.put("a", b"1" * 10_000)
        store.go_online()
        self.pass_time(20)
        result(putting)
        fresh = self.folder.device()
        self.assertEqual(result(fresh.get("a")), b"1" * 10_000)
        self.assertEqual(len(result(fresh.versions("a"))), 1)


class NotShownTests(Resending):
    """Messages that the server says that it stored, and does not show."""

    def test_never_without_end(self) -> None:
        """After three of them no more is sent, and it is reported as failing; the next process tries anew."""
        store = Changing(self.folder.shelf, clock=self.folder.clock)
        device = self.began(store)
        store.doom_next(Fate.DROPPED, SENDINGS)
        store.taken = 0
        putting = device.put("a", b"1")
        self.pass_time(100)
        self.failureResultOf(putting, OutcomeUnknown)
        self.pass_day()
        self.assertEqual(store.taken, SENDINGS)
        self.assertIn("does not show it", self.reasons(device))
        self.assertEqual(result(self.device(store).get("a")), b"1")
        self.assertEqual(self.pending(), 0)

    def test_lost_answers_again_and_again(self) -> None:
        """One attempt sends it three times at most."""
        store = Changing(self.folder.shelf, clock=self.folder.clock)
        device = self.began(store)
        store.doom_next(Fate.CUT_BEFORE, 100)
        store.taken = 0
        putting = device.put("a", b"1")
        self.pass_time(AGAIN_SECONDS - 1)
        self.failureResultOf(putting, OutcomeUnknown)
        self.assertEqual(store.taken, SENDINGS)


class PatienceTests(Resending):
    """What cannot be finished is tried again, more and more seldom."""

    def refusing(self) -> tuple[Refusing, Filesystem]:
        """A device whose write was lost on its way, on a server that refuses it now, and has done so for a day."""
        store = Refusing(self.folder.shelf, clock=self.folder.clock)
        device = self.began(store)
        self.lose(store, device, "a", b"1")
        store.refuses = True
        store.go_online()
        self.pass_day()
        return store, device

    def test_more_and_more_seldom(self) -> None:
        """Each attempt in vain doubles the pause, up to an hour."""
        tried = self.refusing()[0].tried
        pauses = [later - earlier for earlier, later in pairwise(tried)]
        self.assertEqual(pauses[:3], [2 * AGAIN_SECONDS, 4 * AGAIN_SECONDS, 8 * AGAIN_SECONDS])
        self.assertEqual(max(pauses), LONGEST_SECONDS)
        self.assertLess(len(tried), 40)

    def test_at_once_when_the_server_is_back(self) -> None:
        """A new connection, and whoever asks, does not wait for the end of the pause."""
        store, device = self.refusing()
        before = len(store.tried)
        store.go_offline()
        store.go_online()
        self.assertEqual(len(store.tried), before + 1)
        result(device.refresh())
        self.assertEqual(len(store.tried), before + 2)

    def test_what_is_new_does_not_wait_for_it(self) -> None:
        """Another write whose outcome is unknown is looked for after a minute."""
        store, device = self.refusing()
        before = len(store.tried)
        store.doom_next(Fate.DROPPED)
        putting = device.put("b", b"1")
        self.pass_time(AGAIN_SECONDS + 20)
        self.failureResultOf(putting, OutcomeUnknown)
        self.assertEqual(len(store.tried), before)
        self.pass_time(AGAIN_SECONDS)
        self.assertEqual(len(store.tried), before + 2)


class CollectedTests(Resending):
    """What was stored, replaced and collected while the journal did not know."""

    def check(self, *, drops: bool) -> None:
        """It has ended: nothing is sent, and the next write does not wait."""
        self.folder = Folder(shelf=MemoryShelf(drops_known=drops))
        device = self.device(options=Options(keep=1))
        device.desk.writer.sending._journal.settle = lambda _frozen: None  # the power fails before it is on the disk
        for content in (b"1", b"2", b"3"):
            result(device.put("a", content))
        other = self.folder.device(options=Options(keep=1))
        for _ in range(4):
            result(other.collect())
            self.folder.clock.advance(8 * DAY)
        self.assertEqual(len(result(other.versions("a"))), 1)
        self.assertEqual(self.pending(), 3)
        before = len(self.folder.shelf.messages)
        device = self.device(options=Options(keep=1))
        result(device.put("a", b"4"))
        self.assertEqual((self.status(device).pending, self.status(device).warnings, self.pending()), (0, (), 0))
        self.assertEqual(len(self.folder.shelf.messages), before + 1)
        self.assertEqual(result(self.folder.device().conflicts()), [])

    def test_where_it_would_come_back(self) -> None:
        """Collected versions do not come back."""
        self.check(drops=False)

    def test_where_the_server_takes_no_message_twice(self) -> None:
        """They are not sent in vain either."""
        self.check(drops=True)

    def test_another_version_of_a_collected_number(self) -> None:
        """What was never stored is sent, whatever else is on record."""
        store = self.folder.store()
        device = self.device(store, options=Options(keep=1))
        result(device.put("a", b"1"))
        self.lose(store, device, "a", b"2")
        other = self.folder.device(options=Options(keep=1))
        result(other.put("a", b"3"))
        for _ in range(4):
            result(other.collect())
            self.folder.clock.advance(8 * DAY)
        self.assertEqual(len(result(other.versions("a"))), 1)
        store.go_online()
        self.pass_time(AGAIN_SECONDS)
        contents = {result(device.get("a", version=one.version)) for one in result(device.versions("a"))}
        self.assertEqual(contents, {b"2", b"3"})
