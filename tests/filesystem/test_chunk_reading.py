"""Chunks that are damaged, missing, hidden, or somewhere else: what is lost is told, what is unknown is not lost."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from ifap_twisted.core import limits
from ifap_twisted.core.chunks import chunk_path
from ifap_twisted.core.manifests import Manifest
from ifap_twisted.core.values import Traits
from ifap_twisted.errors import ChunkLost, Damaged, Malformed, MessageGone, ProtocolViolation, TimedOut, Unavailable
from ifap_twisted.filesystem.chunk_reading import ChunkReader
from ifap_twisted.filesystem.folder import folder_objects
from ifap_twisted.filesystem.naming import Naming
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import result
from tests.filesystem.test_streams import DATA, LargeFile

PATIENT = Traits(reports_uid=True, expunges_by_uid=True, pushes=False)


class LostTests(LargeFile):
    """What the server gives in place of a chunk, or does not give."""

    def lost(self, start: int, stop: int) -> ChunkLost:
        """The error that a range ends with."""
        stream = result(self.reader.stream("large"))
        return self.failureResultOf(stream.read(start, stop), ChunkLost).value

    def test_a_damaged_chunk_names_the_bytes_that_are_lost(self) -> None:
        """All of its own, and the path of the file."""
        self.damage(7)
        error = self.lost(0, len(DATA))
        self.assertEqual((error.offset, error.length, error.path), (7000, 1000, "large"))
        self.assertIn("7000 to 7999", error.detail)

    def test_a_chunk_that_is_gone_names_them_too(self) -> None:
        """The last one is shorter."""
        self.remove(20)
        error = self.lost(20_100, 20_200)
        self.assertEqual((error.offset, error.length, error.path), (20_000, 500, "large"))

    def test_the_first_of_two_is_named(self) -> None:
        """Whichever answer comes first."""
        self.damage(4)
        self.remove(3)
        self.assertEqual(self.lost(2000, 9000).offset, 3000)

    def test_get_fails_with_it(self) -> None:
        """Nothing is given in part."""
        self.damage(4)
        self.failureResultOf(self.reader.get("large"), ChunkLost)

    def test_the_rest_can_be_read(self) -> None:
        """On both sides of it."""
        self.damage(4)
        stream = result(self.reader.stream("large"))
        self.assertEqual(result(stream.read(0, 4000)) + result(stream.read(5000, 99_999)), DATA[:4000] + DATA[5000:])

    def test_a_bad_copy_does_not_hide_a_good_one(self) -> None:
        """The same chunk lies there twice, once damaged (FORMAT 2.3)."""
        self.damage(4)
        self.chunked.chunk(DATA[4000:5000])
        self.assertEqual(result(self.reader.get("large")), DATA)

    def test_one_that_was_put_there_meanwhile_is_found(self) -> None:
        """It is looked for once more before it is lost, on a shelf that does not tell what happens."""
        self.damage(4)
        reader = self.folder.device(store=self.folder.store(traits=PATIENT))
        stream = result(reader.stream("large"))
        self.chunked.chunk(DATA[4000:5000])
        self.assertEqual(result(stream.read(4000, 5000)), DATA[4000:5000])

    def test_another_content_under_its_name_is_refused(self) -> None:
        """Sealed with the right key, but not what the name says (FORMAT 7.1)."""
        self.remove(4)
        self.chunked.chunk(b"\1" * 1000, name=self.piece(4).name)
        self.assertEqual(self.lost(4000, 4001).offset, 4000)

    def test_a_removal_in_its_place_is_none(self) -> None:
        """A tombstone has no content."""
        self.remove(4)
        self.chunked.tombstone(chunk_path(self.piece(4).name))
        self.assertEqual(self.lost(4000, 4001).offset, 4000)


class UnknownTests(LargeFile):
    """What cannot be read now is not lost."""

    def test_a_listing_that_is_not_complete_tells_of_no_loss(self) -> None:
        """Not listed is not deleted (FORMAT 2.5)."""
        self.remove(4)
        self.store.hide(self.folder.shelf.uidnext)
        self.chunked.chunk(DATA[4000:5000])
        stream = result(self.reader.stream("large"))
        error = self.failureResultOf(stream.read(4000, 4001), MessageGone).value
        self.assertEqual((error.path, error.retryable), ("large", True))

    def test_a_server_that_is_slow_tells_of_no_loss(self) -> None:
        """The error stays what it is."""
        stream = result(self.reader.stream("large"))
        self.store.fail_next("message", TimedOut("slow"))
        self.assertEqual(self.failureResultOf(stream.read(4000, 4001), TimedOut).value.path, "large")
        self.assertEqual(result(stream.read(4000, 4001)), DATA[4000:4001])

    def test_a_connection_that_is_broken_tells_of_no_loss(self) -> None:
        """And the next try reads it."""
        stream = result(self.reader.stream("large"))
        self.store.go_offline()
        work = stream.read(4000, 4001)
        self.folder.clock.advance(limits.CONNECT_SECONDS)
        self.failureResultOf(work, Unavailable)

    def test_a_server_that_breaks_the_protocol_tells_of_no_loss(self) -> None:
        """What it has nobody knows."""
        stream = result(self.reader.stream("large"))
        self.store.fail_next("message", ProtocolViolation())
        self.failureResultOf(stream.read(4000, 4001), ProtocolViolation)

    def test_a_damaged_chunk_is_not_lost_while_not_everything_is_listed(self) -> None:
        """A good copy of it may be there."""
        self.damage(4)
        stream = result(self.reader.stream("large"))
        self.store.hide(self.folder.shelf.uidnext)
        self.chunked.chunk(DATA[4000:5000])
        self.failureResultOf(stream.read(4000, 4001), MessageGone)
        self.store.reveal()
        result(self.reader.refresh())
        self.assertEqual(result(stream.read(4000, 4001)), DATA[4000:4001])

    def test_a_folder_without_its_object_tells_of_no_loss(self) -> None:
        """Without its secret no chunk can be told from another."""
        stream = result(self.reader.stream("large"))
        gone = [uid for placed in folder_objects(self.reader.desk.view.index) for uid in placed.places]
        self.folder.shelf.remove(gone)
        self.failureResultOf(stream.read(4000, 4001), Damaged)

    def test_a_message_that_is_gone_in_one_answer_is_looked_for_again(self) -> None:
        """The listing says that it is there."""
        stream = result(self.reader.stream("large"))
        self.store.fail_next("message", MessageGone())
        self.failureResultOf(stream.read(4000, 4001), MessageGone)

    def test_numbers_that_change_are_looked_up_again(self) -> None:
        """Between the opening of the file and its reading."""
        stream = result(self.reader.stream("large"))
        order = list(self.folder.shelf.messages)
        self.folder.shelf.renumber([*order[7:], *order[:7]])
        self.assertEqual(result(stream.read(0, len(DATA))), DATA)

    def test_numbers_that_change_while_chunks_are_fetched_too(self) -> None:
        """All that were on their way are fetched anew."""
        stream = result(self.reader.stream("large"))
        self.store.gate = gate = Turnstile("message")
        work = stream.read(0, len(DATA))
        self.assertNoResult(work)
        order = list(self.folder.shelf.messages)
        self.folder.shelf.renumber([*order[7:], *order[:7]])
        gate.release()
        self.assertEqual(result(work), DATA)


class LyingTests(LargeFile):
    """Manifests that are not what they say."""

    def refused(self, manifest: Manifest | bytes, size: int) -> Malformed:
        """The error that its reading ends with."""
        self.chunked.file("lie", manifest, size=size)
        return self.failureResultOf(self.reader.get("lie"), Malformed).value

    def test_one_that_is_none_is_refused(self) -> None:
        """It names the file."""
        self.assertEqual(self.refused(b"no manifest", 5000).path, "lie")

    def test_one_of_another_size_is_refused(self) -> None:
        """The header says how long the file is."""
        self.assertEqual(self.refused(Manifest((self.piece(0),)), 999).path, "lie")

    def test_a_piece_of_another_length_is_refused(self) -> None:
        """Shorter than its chunk, or longer."""
        for length in (999, 1009, 1_000_000):
            piece = self.piece(0)._replace(length=length)
            self.assertEqual(self.refused(Manifest((piece,)), length).path, "lie")

    def test_a_list_below_that_is_of_another_length_is_refused(self) -> None:
        """It says itself how much it tells of."""
        below = self.chunked.nested(Manifest((self.piece(0), self.piece(1))))
        self.assertEqual(self.refused(Manifest((below._replace(length=1999),), 1), 1999).path, "lie")

    def test_a_list_below_that_is_of_another_depth_is_refused(self) -> None:
        """So that there is no loop."""
        below = self.chunked.nested(Manifest((self.chunked.nested(Manifest((self.piece(0),))),), 1))
        self.assertEqual(self.refused(Manifest((below,), 1), 1000).path, "lie")

    def test_a_chunk_in_place_of_a_list_is_refused(self) -> None:
        """It holds content."""
        self.assertEqual(self.refused(Manifest((self.piece(0),), 1), 1000).path, "lie")

    def test_a_list_below_that_is_lost_takes_all_that_it_tells_of(self) -> None:
        """Its range is named."""
        pieces = [self.chunked.nested(Manifest((self.piece(n), self.piece(n + 1)))) for n in (0, 2, 4)]
        self.chunked.file("deep", Manifest(tuple(pieces), 1))
        self.folder.shelf.remove(self.chunked.places(pieces[1]))
        error = self.failureResultOf(self.reader.get("deep"), ChunkLost).value
        self.assertEqual((error.offset, error.length, error.path), (2000, 2000, "deep"))

    def test_a_chunk_before_a_list_that_is_lost_is_named_first(self) -> None:
        """What is lost is told in the order of the file."""
        pieces = [self.chunked.nested(Manifest((self.piece(n), self.piece(n + 1)))) for n in (0, 2)]
        self.chunked.file("deep", Manifest(tuple(pieces), 1))
        self.folder.shelf.remove(self.chunked.places(pieces[1]))
        self.remove(1)
        self.assertEqual(self.failureResultOf(self.reader.get("deep"), ChunkLost).value.offset, 1000)

    def test_a_long_message_in_place_of_a_chunk_is_not_fetched(self) -> None:
        """Its header says that it is longer than any chunk."""
        self.remove(4)
        name = self.piece(4).name
        self.chunked.chunk(bytes(limits.CHUNK_MOST + 1), name=name)
        self.store.asked.clear()
        stream = result(self.reader.stream("large"))
        self.failureResultOf(stream.read(4000, 4001), ChunkLost)
        self.assertNotIn(name, self.fetched())


class SharingTests(LargeFile):
    """Chunks that are kept, and fetched ahead."""

    def test_a_chunk_that_was_read_is_not_fetched_again(self) -> None:
        """By another stream of the same folder either."""
        for _ in range(2):
            stream = result(self.reader.stream("large"))
            result(stream.read(4000, 4500))
        self.assertEqual(self.fetched(), [self.piece(4).name])

    def test_two_who_read_the_same_at_once_fetch_it_once(self) -> None:
        """Both get it."""
        one, other = (result(self.reader.stream("large")) for _ in range(2))
        self.store.gate = gate = Turnstile("message")
        works = [one.read(4000, 4500), other.read(4100, 4600)]
        gate.release()
        self.assertEqual([result(work) for work in works], [DATA[4000:4500], DATA[4100:4600]])
        self.assertEqual(self.fetched(), [self.piece(4).name])

    def test_who_gives_up_does_not_stop_another(self) -> None:
        """The other one gets it."""
        one, other = (result(self.reader.stream("large")) for _ in range(2))
        self.store.gate = gate = Turnstile("message")
        given_up, work = one.read(4000, 4500), other.read(4100, 4600)
        given_up.cancel()
        gate.release()
        self.failureResultOf(given_up, CancelledError)
        self.assertEqual(result(work), DATA[4100:4600])

    def test_a_range_that_is_given_up_stops_its_fetches(self) -> None:
        """Nothing is held at the server any more."""
        stream = result(self.reader.stream("large"))
        self.store.gate = gate = Turnstile("message")
        work = stream.read(0, len(DATA))
        work.cancel()
        self.failureResultOf(work, CancelledError)
        self.assertEqual(gate.held, [])

    def test_reading_on_fetches_the_next_two(self) -> None:
        """While the reader is at something else."""
        stream = result(self.reader.stream("large"))
        result(stream.read(0, 500))
        self.assertEqual(self.fetched(), [self.piece(0).name])
        self.store.asked.clear()
        result(stream.read(500, 1000))
        self.assertEqual(self.fetched(), [self.piece(1).name, self.piece(2).name])

    def test_reading_on_by_another_stream_of_the_version_counts_too(self) -> None:
        """Each request of HTTP opens one of its own."""
        result(result(self.reader.stream("large")).read(0, 1000))
        result(result(self.reader.stream("large")).read(1000, 2000))
        self.assertEqual(self.fetched(), [self.piece(n).name for n in range(4)])

    def test_what_cannot_be_fetched_ahead_is_told_when_it_is_read(self) -> None:
        """And not before."""
        self.remove(2)
        stream = result(self.reader.stream("large"))
        self.assertEqual(result(stream.read(0, 900)) + result(stream.read(900, 1000)), DATA[:1000])
        self.assertEqual(result(stream.read(1000, 2000)), DATA[1000:2000])
        self.failureResultOf(stream.read(2000, 3000), ChunkLost)

    def test_a_list_that_cannot_be_fetched_ahead_neither(self) -> None:
        """Of a file with lists below its list."""
        pieces = [self.chunked.nested(Manifest((self.piece(n), self.piece(n + 1)))) for n in (0, 2)]
        self.chunked.file("deep", Manifest(tuple(pieces), 1))
        self.folder.shelf.remove(self.chunked.places(pieces[1]))
        stream = result(self.reader.stream("deep"))
        self.assertEqual(result(stream.read(0, 500)) + result(stream.read(500, 1500)), DATA[:1500])
        self.failureResultOf(stream.read(1500, 2500), ChunkLost)

    def test_reading_here_and_there_fetches_nothing_ahead(self) -> None:
        """Only what is needed."""
        stream = result(self.reader.stream("large"))
        for start in (9000, 3000, 15_000):
            result(stream.read(start, start + 100))
        self.assertEqual(self.fetched(), [self.piece(n).name for n in (9, 3, 15)])

    def test_at_most_so_many_are_fetched_at_a_time(self) -> None:
        """However many ask."""
        streams = [result(self.reader.stream("large")) for _ in range(5)]
        self.store.gate = gate = Turnstile("message")
        works = [stream.read(3000 * n, 3000 * n + 3000) for n, stream in enumerate(streams)]
        self.assertEqual(len(gate.held), limits.CHUNKS_FETCHED)
        gate.release()
        self.assertEqual(b"".join(result(work) for work in works), DATA[:15_000])

    def test_what_is_kept_is_bounded(self) -> None:
        """In bytes, whatever was read."""
        desk = self.reader.desk
        chunks = ChunkReader(Naming(desk.view), desk.view, desk.reader, desk.worker, kept=2500)
        for number in range(21):
            result(Deferred.fromCoroutine(chunks.content(self.piece(number))))
            self.assertLessEqual(chunks.held, 2500)
        self.assertGreater(chunks.held, 0)

    def test_closing_keeps_nothing(self) -> None:
        """And fetches nothing ahead any more."""
        stream = result(self.reader.stream("large"))
        result(stream.read(0, 1000))
        self.store.gate = Turnstile("message")
        work = stream.read(1000, 1100)
        result(self.reader.close())
        self.failureResultOf(work, Unavailable)
        self.assertEqual(self.reader.desk.chunks_read.held, 0)
