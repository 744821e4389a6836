"""What was journalled is finished, after a crash or a cut (FORMAT 4.1, 4.2; P1, P2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.marks import FileMarks
from ifap_twisted.basedir.writer import FileWriter
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.errors import BadSettings, Conflict, IFAPError, OutcomeUnknown, QuotaExceeded
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.filesystem.recovery import AGAIN_SECONDS
from ifap_twisted.interfaces import IFolderListener
from ifap_twisted.store.memory import Fate, MemoryStore, Turnstile
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import Drawing, PlacedTestCase, Switching, never
from tests.filesystem.folders import KEY, Folder, result


class Counted(MemoryStore):
    """A store that knows who listens."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.begun: list[IFolderListener] = []
        self.listening: list[IFolderListener] = []

    def listen(self, listener: IFolderListener) -> Callable[[], None]:
        """One more, until it stops; to stop twice is harmless."""
        self.begun.append(listener)
        self.listening.append(listener)
        stop = super().listen(listener)

        def stopped() -> None:
            self.listening = [other for other in self.listening if other is not listener]
            stop()

        return stopped


class Recovering(PlacedTestCase):
    """A device with a basedir, which may crash at any moment."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Folder()
        self.base = self.held_basedir()
        self.worker = Switching()

    def journal(self, keys: Sequence[Key]) -> FileJournal:
        """That of the basedir."""
        return FileJournal(self.base, keys, random=Drawing(), worker=self.worker)

    def device(self, store: MemoryStore | None = None, **more: Any) -> Filesystem:
        """The device, started (again): of an earlier process only what is on the disk and on the server is left."""
        identity = result(FileWriter.open(self.base, self.folder.random, InlineWorker()))
        more = {"marks": self.marks, **more}
        return self.folder.device(store=store, journal=self.journal, identity=identity, **more)

    def marks(self, keys: Sequence[Key], home: str, dialect: Dialect) -> FileMarks:
        """Those of the basedir."""
        worker = InlineWorker()
        return FileMarks(self.base, keys, home=home, dialect=dialect.name, random=Drawing(), worker=worker)

    def crash(self, store: MemoryStore) -> None:
        """The process is gone: what it was waiting for never comes, and nothing of it acts any more."""
        never(self.folder)
        store.gate = lambda _method: never()
        self.folder.shelf.detach(store)

    def pending(self) -> int:
        """Entries on the disk."""
        return len([path for path in self.base.journal.path.iterdir() if path.name.endswith(".pending")])

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(int(seconds * 2)):
            self.folder.clock.advance(0.5)

    def status(self, device: Filesystem) -> Any:
        """Its status."""
        return result(device.status())


class CrashTests(Recovering):
    """The process is killed at each step of a put; the next one finishes it, and the one after has nothing to do."""

    def check_finished(self, content: bytes = b"new") -> None:
        """One version of the new content, whatever was done before; a second start changes nothing."""
        device = self.device()
        self.assertEqual(result(device.get("a")), content)
        self.assertEqual(self.status(device).pending, 0)
        before = self.folder.shelf.uidnext
        self.assertEqual(result(self.device().get("a")), content)
        self.assertEqual(self.folder.shelf.uidnext, before)
        self.assertEqual(len(result(self.folder.device().versions("a"))), 2)
        self.assertEqual(result(self.folder.device().conflicts()), [])
        self.assertEqual(self.pending(), 0)

    def killed(self, method: str) -> None:
        """A put of a second version that is killed while a call to the server is held."""
        store = self.folder.store()
        device = self.device(store)
        result(device.put("a", b"old"))
        store.gate = Turnstile(method)
        self.assertNoResult(device.put("a", b"new"))
        self.assertEqual(self.pending(), 1)
        self.crash(store)

    def test_before_it_is_journalled(self) -> None:
        """Nothing was accepted: the old content is there."""
        store = self.folder.store()
        device = self.device(store)
        result(device.put("a", b"old"))
        self.worker.holds = True
        self.assertNoResult(device.put("a", b"new"))
        self.crash(store)
        self.worker = Switching()
        self.assertEqual(result(self.device().get("a")), b"old")
        self.assertEqual(self.pending(), 0)

    def test_before_it_is_sent(self) -> None:
        """It is sent."""
        self.killed("append")
        self.check_finished()

    def test_before_the_answer(self) -> None:
        """It is found."""
        self.killed("answer")
        self.check_finished()

    def test_before_it_is_read_back(self) -> None:
        """It is found."""
        self.killed("headers")
        self.check_finished()

    def test_before_it_is_settled(self) -> None:
        """It is found, although it was told as stored."""
        store = self.folder.store()
        device = self.device(store)
        result(device.put("a", b"old"))
        kept = {path: path.read_bytes() for path in self.base.journal.path.iterdir()}
        device.desk.writer.sending._journal.settle = lambda _frozen: None
        result(device.put("a", b"new"))
        self.assertEqual({path.name for path in kept}, {"writer.json", "writer.mark"})
        self.assertEqual(self.pending(), 1)
        self.crash(store)
        self.check_finished()

    def test_an_edit_of_somebody_else_meanwhile(self) -> None:
        """Both are there, and the conflict is reported: a replay never takes other parents."""
        self.killed("append")
        other = self.folder.device()
        result(other.put("a", b"theirs"))
        result(self.device().refresh())
        heads = result(self.folder.device().conflicts())
        contents = {result(other.get("a", version=head.version)) for head in heads}
        self.assertEqual(contents, {b"theirs", b"new"})

    def test_renumbered_meanwhile(self) -> None:
        """It is found by its id."""
        self.killed("answer")
        self.folder.shelf.renumber()
        self.check_finished()


class UnknownTests(Recovering):
    """An outcome that stays unknown while the process lives."""

    def unknown(self, **more: Any) -> tuple[MemoryStore, Filesystem]:
        """A put whose outcome was not known in time."""
        store = self.folder.store()
        device = self.device(store, **more)
        store.doom_next(Fate.CUT_AFTER)
        putting = device.put("a", b"1")
        store.go_offline()
        self.pass_time(200)
        self.failureResultOf(putting, OutcomeUnknown)
        return store, device

    def test_shown_until_it_is_settled(self) -> None:
        """As pending and failing; then it is found, and not doubled."""
        store, device = self.unknown()
        self.assertEqual((self.status(device).pending, self.status(device).failing), (1, 1))
        store.go_online()
        self.pass_time(2 * AGAIN_SECONDS)
        self.assertEqual((self.status(device).pending, self.status(device).failing), (0, 0))
        self.assertEqual(len(result(device.versions("a"))), 1)
        self.assertEqual(self.pending(), 0)

    def test_shown_while_it_is_looked_at(self) -> None:
        """A write that was taken up again is pending all the time until it has ended."""
        worker = Switching()
        store, device = self.unknown(worker=worker)
        worker.holds = True
        store.go_online()
        finishing = device.refresh()
        self.assertEqual(len(worker.waiting), 1)
        self.assertEqual(self.status(device).pending, 1)
        self.assertFalse(device.idle)
        worker.run()
        result(finishing)
        self.assertEqual(self.status(device).pending, 0)
        self.assertTrue(device.idle)

    def test_a_refresh_tries_at_once(self) -> None:
        """``ifap sync`` does not wait for the next attempt."""
        store, device = self.unknown()
        store.go_online()
        result(device.refresh())
        self.assertEqual(self.status(device).pending, 0)

    def test_kept_over_the_end_of_the_process(self) -> None:
        """The next one goes on."""
        store, device = self.unknown()
        closing = device.close()
        store.go_online()
        self.pass_time(10)
        result(closing)
        self.assertEqual(self.pending(), 1)
        result(self.device().refresh())
        self.assertEqual(self.pending(), 0)
        self.assertEqual(len(result(self.folder.device().versions("a"))), 1)

    def test_what_cannot_be_finished_says_why(self) -> None:
        """It stays, with a warning that names the file; nothing else is held up by it."""
        store, device = self.unknown()
        self.folder.shelf.remove([uid for uid in self.folder.shelf.messages if uid > 1])
        store.fail_next("append", QuotaExceeded("The mailbox is full."))
        store.go_online()
        (notice,) = [one for one in self.status(device).warnings if one.code == "write-pending"]
        self.assertEqual(notice.path, "a")
        self.assertIn("The mailbox is full.", notice.text)
        result(device.put("b", b"2"))
        result(device.refresh())
        self.assertEqual(result(device.get("a")), b"1")
        self.assertEqual(self.status(device).warnings, ())


class SettledTests(Recovering):
    """Nothing stays in the journal of a write that has ended."""

    def test_stored(self) -> None:
        """Stored."""
        result(self.device().put("a", b"1"))
        self.assertEqual(self.pending(), 0)

    def test_certainly_not_stored(self) -> None:
        """Refused: it is not sent again behind its caller's back."""
        store = self.folder.store()
        device = self.device(store)
        store.fail_next("append", QuotaExceeded("The mailbox is full."))
        self.failureResultOf(device.put("a", b"1"), QuotaExceeded)
        self.assertEqual(self.pending(), 0)
        self.assertEqual(result(self.device().list("/")), [])

    def test_a_journal_that_cannot_be_read(self) -> None:
        """The folder is not opened without what is in it, and nothing of the attempt goes on."""
        self.patch(self.base.journal, "names", self.unreadable)
        store = Counted(self.folder.shelf, clock=self.folder.clock)
        with self.assertRaises(BadSettings):
            self.device(store)
        self.assertTrue(store.begun)
        self.assertEqual(store.listening, [])
        self.assertEqual(self.folder.clock.getDelayedCalls(), [])

    def unreadable(self) -> list[str]:
        """A directory that cannot be looked through."""
        raise BadSettings("Cannot look through the journal: Permission denied.")

    def test_an_odd_file_in_the_journal(self) -> None:
        """It is reported, and the folder is opened; what is written then is under a new name (FORMAT 3.2)."""
        device = self.device()
        result(device.put("a", b"1"))
        result(device.close())
        (self.base.journal.path / "000000000777.pending").mkdir()
        device = self.device()
        self.assertEqual([one.code for one in self.status(device).warnings], ["journal-damaged"])
        result(device.put("a", b"2"))
        writers = {placed.version.writer for placed in device.desk.view.index.history("a").versions}
        self.assertEqual(len(writers), 2)
        self.assertEqual(result(self.folder.device().conflicts()), [])

    def test_a_journal_that_cannot_be_kept(self) -> None:
        """A full disk here: the put fails, nothing was sent, and nothing will be."""
        device = self.device()
        self.worker.holds = True
        putting = device.put("a", b"1")
        while self.worker.waiting:
            self.worker.fail(IFAPError("Cannot write: No space left on device."))
        self.failureResultOf(putting, IFAPError)
        self.assertEqual(self.status(device).pending, 0)
        self.assertEqual(len(self.folder.shelf.messages), 1)

    def test_not_what_was_expected(self) -> None:
        """A conflict that was told is not sent either."""
        device = self.device()
        result(device.put("a", b"1"))
        self.failureResultOf(device.put("a", b"2", expect="x" * 22), Conflict)
        self.assertEqual(self.pending(), 0)

    def test_snapshots_are_not_journalled(self) -> None:
        """They are disposable (P8), and one that comes late would be wrong."""
        store = self.folder.store()
        device = self.device(store)
        result(device.put("a", b"1"))
        store.gate = Turnstile("append")
        self.assertNoResult(device.snapshot())
        self.assertEqual(self.pending(), 0)


class ForeignTests(Recovering):
    """A journal of something else."""

    def left_behind(self) -> None:
        """A put that was killed before it was sent."""
        store = self.folder.store()
        device = self.device(store)
        store.gate = Turnstile("append")
        self.assertNoResult(device.put("a", b"secret"))
        self.crash(store)

    def check_held(self, device: Filesystem) -> None:
        """Nothing was sent; it is reported and stays."""
        self.pass_time(2 * AGAIN_SECONDS)
        self.assertEqual(result(device.list("/")), [])
        self.assertEqual([one.code for one in self.status(device).warnings], ["journal-held"])
        self.assertEqual(self.pending(), 1)

    def test_another_account(self) -> None:
        """Held and reported."""
        self.left_behind()
        self.check_held(self.device(account="imaps://other@imap.example.org"))

    def test_another_folder(self) -> None:
        """Another home: the same account was set up anew, for example."""
        self.left_behind()
        self.folder = Folder(seed=7)
        self.check_held(self.device())

    def test_another_key(self) -> None:
        """It cannot even be read."""
        self.left_behind()
        self.folder = Folder(seed=7)
        self.check_held(self.device(membership=Membership(keys=(Key.from_text("another"),))))
        self.assertNotEqual(Key.from_text("another"), KEY)

    def test_a_damaged_entry(self) -> None:
        """Set aside and reported; the device works."""
        self.left_behind()
        (path,) = [path for path in self.base.journal.path.iterdir() if path.name.endswith(".pending")]
        path.write_bytes(path.read_bytes()[:-1])
        device = self.device()
        self.assertEqual([one.code for one in self.status(device).warnings], ["journal-damaged"])
        result(device.put("b", b"1"))
