"""Copies, moves and conflicts of large files: lists of chunks go around, contents do not (FORMAT 7.3, 11.3)."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ifap_twisted.errors import ChunkLost, MessageGone, Refused
from ifap_twisted.filesystem import renaming
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import result
from tests.filesystem.test_streams import DATA, LargeFile


class MovingTests(LargeFile):
    """With what a move or a copy reads and writes."""

    def test_a_copy_fetches_and_sends_no_content(self) -> None:
        """One message is read, one is written; both files are whole."""
        before = len(self.folder.shelf.messages)
        result(self.reader.copy("large", "copy"))
        self.assertEqual((self.fetched(), len(self.folder.shelf.messages)), ([], before + 1))
        self.assertEqual(result(self.reader.get("copy")), DATA)

    def test_a_move_keeps_the_size(self) -> None:
        """The entry is that of a large file."""
        entry = result(self.reader.move("large", "moved"))
        self.assertEqual((entry.size, result(self.reader.get("moved"))), (len(DATA), DATA))

    def cut_move(self) -> None:
        """A move whose tombstone is refused."""
        append = self.store.append

        def once(message: bytes) -> object:
            self.store.append = refused
            return append(message)

        def refused(message: bytes) -> object:
            self.store.fail_next("append", Refused("no"))
            return append(message)

        self.store.append = once
        self.failureResultOf(self.reader.move("large", "moved"), Refused)
        self.store.append = append

    def test_a_move_that_was_cut_is_finished_without_content(self) -> None:
        """Where all chunks are listed."""
        self.cut_move()
        self.fetched()
        before = len(self.folder.shelf.messages)
        result(self.reader.move("large", "moved"))
        self.assertEqual((self.fetched(), len(self.folder.shelf.messages)), ([], before + 1))

    def test_a_move_is_not_finished_by_itself_where_a_chunk_is_gone(self) -> None:
        """What is to take the place of the source has to be whole."""
        self.cut_move()
        self.remove(4)
        index = self.reader.desk.view.index
        left, arrived = index.file("large"), index.file("moved")
        work = Deferred.fromCoroutine(renaming.finish(self.reader.desk, left, arrived))
        error = self.failureResultOf(work, ChunkLost).value
        self.assertEqual((error.offset, error.path, index.file("large")), (4000, "moved", left))

    def test_nor_while_not_everything_is_listed(self) -> None:
        """The chunk may be there."""
        self.cut_move()
        self.remove(4)
        self.store.hide(self.folder.shelf.uidnext)
        self.chunked.chunk(b"another")
        index = self.reader.desk.view.index
        work = renaming.finish(self.reader.desk, index.file("large"), index.file("moved"))
        self.failureResultOf(Deferred.fromCoroutine(work), MessageGone)

    def conflict(self) -> None:
        """Another device overwrites the file while a third one does."""
        store = self.folder.store()
        store.gate = gate = Turnstile("append")
        work = self.folder.device(store=store).put("large", b"small")
        self.chunked.put("large", DATA[:5000])
        gate.release()
        result(work)

    def test_all_heads_of_a_conflict_can_be_kept(self) -> None:
        """The large one under a name of its own, without sending its content."""
        self.conflict()
        result(self.reader.resolve("large", both=True))
        kept = [entry for entry in result(self.reader.list()) if entry.path.startswith("large~")]
        self.assertEqual([entry.size for entry in kept], [5000])
        self.assertEqual(result(self.reader.get(kept[0].path)), DATA[:5000])
        self.assertEqual(result(self.reader.get("large")), b"small")

    def test_what_a_try_before_kept_is_known_again(self) -> None:
        """By its list of chunks: it is not kept twice."""
        self.conflict()
        append = self.store.append

        def once(message: bytes) -> object:
            self.store.fail_next("append", Refused("no"))
            self.store.append = append
            return append(message)

        def first(message: bytes) -> object:
            self.store.append = once
            return append(message)

        self.store.append = first
        self.failureResultOf(self.reader.resolve("large", both=True), Refused)
        self.fetched()
        result(self.reader.resolve("large", both=True))
        names = [entry.path for entry in result(self.reader.list())]
        self.assertEqual((len(names), self.fetched()), (2, []))
