"""Collecting the chunks of large files: FORMAT 5.3, 7.2."""

from __future__ import annotations

import base64
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.basedir.writer import new_writer
from ifap_twisted.core.checkpoints import CHECKPOINTS
from ifap_twisted.core.chunks import CHUNKS, WRITER, chunk_path
from ifap_twisted.core.collection import COLLECTED, PLANNED, WAITING
from ifap_twisted.core.frozen import Frozen
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.core.plans import PLANS, Plan
from ifap_twisted.core.values import Version
from ifap_twisted.errors import Unavailable
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.filesystem import Filesystem
from tests.filesystem.folders import result
from tests.filesystem.large import LargeFiles
from tests.filesystem.test_collecting import KEEP_ONE, CollectingCase
from tests.filesystem.uploads import written_blindly
from tests.messages import mail


class ChunkCase(CollectingCase):
    """A folder with large files."""

    def setUp(self) -> None:
        super().setUp()
        self.large = LargeFiles(self.folder, self.fs)

    def fate(self, piece: Piece, fs: Filesystem | None = None) -> list[str]:
        """What becomes of a chunk with a collection now."""
        return self.fates(self.collect(fs), chunk_path(piece.name))

    def grow_old(self) -> None:
        """Everything that is there is older than the grace."""
        self.later(8)

    def collect_twice(self, fs: Filesystem | None = None) -> None:
        """What the first one plans, the second one removes."""
        self.collect(fs)
        self.later(8)
        self.collect(fs)

    def is_there(self, *pieces: Piece) -> list[bool]:
        """Which of these chunks are there."""
        names = self.large.there()
        return [piece.name in names for piece in pieces]

    def plans(self) -> list[Plan]:
        """Those that are there, oldest first."""
        found = [
            result(Deferred.fromCoroutine(self.fs.desk.reader.content(one)))
            for one in self.fs.desk.view.index.objects(PLANS)
        ]
        return [Plan.decode(content) for content in found]


class NeededTests(ChunkCase):
    """What any manifest names stays."""

    def assert_kept(self, *pieces: Piece) -> None:
        """They outlast many collections."""
        self.grow_old()
        for _ in range(3):
            self.collect_twice()
        self.assertEqual([True] * len(pieces), self.is_there(*pieces))

    def test_of_the_newest_version(self) -> None:
        """A file keeps its chunks."""
        pieces = self.large.chunks([b"one", b"two"])
        self.large.file("a", pieces)
        self.assert_kept(*pieces)

    def test_of_an_older_version(self) -> None:
        """A version that retention keeps keeps its chunks."""
        self.fs = self.folder.device()
        self.large = LargeFiles(self.folder, self.fs)
        old = self.large.chunk(b"one")
        self.large.file("a", [old])
        self.large.put("a", b"two")
        self.assert_kept(old)

    def test_of_a_removed_file(self) -> None:
        """What can be undeleted keeps its chunks."""
        piece = self.large.chunk(b"one")
        self.large.file("a", [piece])
        result(self.fs.remove("a"))
        self.assert_kept(piece)

    def test_of_both_sides_of_a_conflict(self) -> None:
        """A head that is not current keeps its chunks."""
        mine, theirs = self.large.chunk(b"mine"), self.large.chunk(b"theirs")
        self.large.file("a", [mine])
        LargeFiles(self.folder, self.folder.device()).file("a", [theirs], replaced=())
        self.assert_kept(mine, theirs)
        self.assertEqual(2, len(result(self.fs.conflicts("a"))))

    def test_of_manifests_of_manifests(self) -> None:
        """The lower manifests stay, and what they name."""
        pieces = self.large.chunks([b"one", b"two"])
        lower = [self.large.below([piece]) for piece in pieces]
        top = self.large.below(lower, depth=1)
        self.large.file("a", [top], depth=2)
        self.assert_kept(*pieces, *lower, top)

    def test_after_a_restart(self) -> None:
        """Another process reads the manifests anew."""
        pieces = self.large.chunks([b"one", b"two"])
        lower = self.large.below(pieces)
        self.large.file("a", [lower], depth=1)
        self.grow_old()
        for _ in range(3):
            self.collect_twice(self.folder.device(options=KEEP_ONE))
        self.assertEqual([True] * 3, self.is_there(*pieces, lower))


class UnneededTests(ChunkCase):
    """What nothing names goes, slowly."""

    def test_it_is_planned_and_then_removed(self) -> None:
        """First a plan, a grace later the removal; what is needed stays."""
        self.large.put("a", b"needed")
        lost = self.large.chunk(b"of nobody")
        self.grow_old()
        found = self.collect()
        self.assertEqual([PLANNED], self.fates(found, chunk_path(lost.name)))
        self.assertEqual(["unreferenced"], [one.reason for one in found.verdicts if one.path.startswith(CHUNKS)])
        self.later(6.9)
        self.assertEqual([WAITING], self.fate(lost))
        self.later(0.2)
        self.assertEqual([COLLECTED], self.fate(lost))
        self.assertEqual([False], self.is_there(lost))
        self.assertEqual(1, len(self.large.there()))

    def test_one_is_worth_a_plan(self) -> None:
        """Chunks are large: one alone is planned, which plans and records are not."""
        lost = self.large.chunk(b"of nobody")
        self.grow_old()
        self.assertEqual([PLANNED], self.fate(lost))

    def test_a_young_one_is_not_planned(self) -> None:
        """Its writer may be about to name it: for a grace nothing is said of it."""
        lost = self.large.chunk(b"of nobody")
        self.later(6.9)
        self.assertEqual([], self.fate(lost))
        self.later(0.2)
        self.assertEqual([PLANNED], self.fate(lost))

    def test_the_newest_place_counts(self) -> None:
        """A chunk that was uploaded again just now is young."""
        lost = self.large.chunk(b"of nobody")
        self.grow_old()
        self.large.chunk(b"of nobody")
        self.assertEqual([], self.fate(lost))
        self.assertEqual(2, len(self.large.places(lost)))

    def test_all_places_go(self) -> None:
        """When the grace of each is over."""
        lost = self.large.chunk(b"of nobody")
        self.large.chunk(b"of nobody")
        self.grow_old()
        self.collect_twice()
        self.assertEqual([False], self.is_there(lost))

    def test_the_clock_of_this_machine_does_not_count(self) -> None:
        """A machine that believes that a month has passed plans no chunk that is young by the server's clock."""
        lost = self.large.chunk(b"of nobody")
        self.collect()
        self.folder.shelf.passed = lambda _now: None  # type: ignore[method-assign]
        self.later(30)
        self.assertEqual([], self.fate(lost))
        self.assertEqual([], [one for plan in self.plans() for one in plan.collect])

    def test_of_a_collected_version(self) -> None:
        """Its chunks go with later collections: while its manifest is there they are needed."""
        old = self.large.chunk(b"one")
        self.large.file("a", [old])
        self.large.put("a", b"two")
        self.grow_old()
        self.assertEqual([], self.fate(old))
        self.later(8)
        self.assertEqual([], self.fate(old))
        self.assertEqual([True], self.is_there(old))
        self.assertEqual([PLANNED], self.fate(old))
        self.later(8)
        self.assertEqual([COLLECTED], self.fate(old))

    def test_no_record_is_kept(self) -> None:
        """A chunk has no history: nobody needs to know that it was there."""
        self.large.chunk(b"of nobody")
        self.grow_old()
        self.collect_twice()
        self.assertEqual([], self.fs.desk.view.index.objects("IFAP/collected/"))

    def test_needed_again(self) -> None:
        """A chunk that a new file names while a plan names it stays, and the plan says so."""
        piece = self.large.chunk(b"of nobody")
        self.grow_old()
        self.collect()
        self.large.file("a", [piece])
        self.collect()
        last = self.plans()[-1]
        self.assertEqual([self.large.places(piece)[0]], [one.uid for one in last.keep])
        self.later(30)
        self.collect_twice()
        self.assertEqual([True], self.is_there(piece))

    def test_needed_again_and_not(self) -> None:
        """Its grace begins anew then."""
        piece = self.large.chunk(b"of nobody")
        self.grow_old()
        self.collect()
        self.large.file("a", [piece])
        self.collect()
        self.large.put("a", b"other")
        self.later(8)
        self.collect_twice()
        self.assertEqual([PLANNED], self.fate(piece))


class RaceTests(ChunkCase):
    """What comes while it is collected."""

    def setUp(self) -> None:
        super().setUp()
        self.piece, self.rest = self.large.chunks([b"of nobody", b"of nobody, too"])
        self.grow_old()
        self.collector = self.folder.device(options=KEEP_ONE)
        self.collect(self.collector)
        self.later(8)

    def arrives(self, turn: int) -> None:
        """A manifest is there with a certain look at the folder, and not before."""
        view, looks = self.collector.desk.view, list[int]()
        refresh = view.refresh

        def look() -> Any:
            looks.append(1)
            if len(looks) == turn:
                self.large.file("a", [self.piece])
            return refresh()

        view.refresh = look  # type: ignore[method-assign]

    def test_a_manifest_that_is_there_with_the_second_look(self) -> None:
        """The folder is looked at once more before anything goes, and all manifests count."""
        self.arrives(2)
        self.collect(self.collector)
        self.assertEqual([True, False], self.is_there(self.piece, self.rest))

    def test_a_manifest_that_is_there_at_the_last_moment(self) -> None:
        """When it is seen right before the removal no chunk goes in this collection, and others with the next."""
        self.arrives(3)
        self.collect(self.collector)
        self.assertEqual([True, True], self.is_there(self.piece, self.rest))
        self.collect(self.collector)
        self.assertEqual([True, False], self.is_there(self.piece, self.rest))

    def test_a_manifest_that_is_shown_after_a_later_message(self) -> None:
        """A server that shows what came later first: once the manifest is seen, no chunk goes in this collection."""
        surveyor, store = self.collector._collector._surveyor, self.collector.desk.view.store
        survey, surveys = surveyor.survey, list[int]()

        async def late(now: float | None) -> Any:
            surveys.append(1)
            if len(surveys) < 3:
                return await survey(now)
            store.hide(self.folder.shelf.uidnext)
            self.large.file("a", [self.piece])
            result(self.collector.put("b", b"later"))
            found = await survey(now)
            store.reveal()
            return found

        surveyor.survey = late
        self.collect(self.collector)
        self.assertEqual(3, len(surveys))
        self.assertEqual([True, True], self.is_there(self.piece, self.rest))

    def test_a_chunk_that_is_uploaded_again(self) -> None:
        """Its writer takes a planned place for absent; the new one stays, whatever becomes of the old one."""
        self.large.chunk(b"of nobody")
        self.collect(self.collector)
        self.assertEqual([True, False], self.is_there(self.piece, self.rest))


class UnknownTests(ChunkCase):
    """While any manifest may say what is not known, no chunk goes."""

    def setUp(self) -> None:
        super().setUp()
        self.lost = self.large.chunk(b"of nobody")
        self.grow_old()

    def assert_kept(self, *words: str) -> None:
        """It is neither planned nor removed, and that is said."""
        found = self.collect()
        self.assertEqual([], self.fates(found, chunk_path(self.lost.name)))
        self.assertEqual(["chunks-kept"], [message.code for message in found.messages])
        for word in words:
            self.assertIn(word, found.messages[0].text)
        self.assertEqual([True], self.is_there(self.lost))

    def damage(self, path: str) -> None:
        """The content of the newest message of a path is damaged."""
        fresh = self.folder.device()
        uid = fresh.desk.view.index.history(path).versions[-1].places[0]
        message = bytearray(self.folder.shelf.messages[uid])
        at = message.index(b"\r\n\r\n") + 60
        message[at] = ord("A") if message[at] != ord("A") else ord("B")
        self.folder.shelf._messages[uid] = bytes(message)
        result(fresh.close())

    def test_an_unreadable_message(self) -> None:
        """Any message of this folder that cannot be read may be a manifest."""
        self.folder.shelf.add(b"X-IFAP: !AAAA\r\nSubject: IFAP\r\n\r\n\r\n")
        self.assert_kept("cannot be read")

    def test_mail_of_others(self) -> None:
        """Nobody's letters hold anything up."""
        self.folder.shelf.add(mail())
        self.assertEqual([PLANNED], self.fate(self.lost))

    def test_a_damaged_manifest(self) -> None:
        """Nobody knows what it named."""
        self.large.put("a", b"one")
        self.damage("a")
        self.assert_kept("/a")

    def test_a_manifest_that_is_no_manifest(self) -> None:
        """A body that is sound and says nothing."""
        written_blindly(self.fs, "a", b"{}", Change(size=5_000_000))
        self.assert_kept("/a")

    def test_a_damaged_lower_manifest(self) -> None:
        """Nor one that is a chunk."""
        lower = self.large.below(self.large.chunks([b"one"]))
        self.large.file("a", [lower], depth=1)
        self.damage(chunk_path(lower.name))
        self.assert_kept()

    def test_a_lost_lower_manifest(self) -> None:
        """Nor one that is not there."""
        lower = self.large.below(self.large.chunks([b"one"]))
        self.large.file("a", [lower], depth=1)
        self.folder.shelf.remove(self.large.places(lower))
        self.assert_kept()

    def test_a_lower_manifest_of_another_name(self) -> None:
        """Whoever has the key may write another list of chunks under its name: it does not count."""
        one, other = self.large.chunks([b"one", b"two"])
        lower = self.large.below([one])
        self.folder.shelf.remove(self.large.places(lower))
        self.large.chunk(Manifest((other,)).encode(), name=lower.name)
        self.large.file("a", [lower], depth=1)
        self.assert_kept("Another content")

    def test_a_file_that_waits_to_be_sent(self) -> None:
        """What this device wrote and the server does not have yet needs its chunks, too."""
        self.large.put("a", b"one")
        version = self.fs.desk.view.index.history("a").versions[0].version._replace(vid="W" * 22)
        frozen = Frozen(account="", folder="", home="", dialect="ifap", sealed_id="S" * 22, message=b"")
        self.fs.desk.writer.backlog.add(frozen, version)
        self.assert_kept("not on the mail server yet")

    def test_a_missing_version(self) -> None:
        """A newest version that vanished, and whose manifest nobody here has read, needs nobody knows what."""
        self.large.put("a", b"one")
        uid = self.folder.device().desk.view.index.history("a").versions[0].places[0]
        result(self.fs.refresh())
        self.folder.shelf.remove([uid])
        self.assert_kept("/a")

    def test_a_missing_version_that_is_known(self) -> None:
        """What was read before is known: its chunks stay, and the others go."""
        piece = self.large.chunk(b"one")
        self.large.file("a", [piece])
        self.collect()
        uid = self.fs.desk.view.index.history("a").versions[0].places[0]
        self.folder.shelf.remove([uid])
        self.later(30)
        self.collect_twice()
        self.assertEqual([False, True], self.is_there(self.lost, piece))

    def test_a_newer_manifest(self) -> None:
        """A version that asks for what is not understood here may need any chunk."""
        self.large.put("a", b"one")
        index = self.fs.desk.view.index
        placed = index.history("a").versions[0]
        newer: Version = placed.version._replace(understood=False, needs=("chunks", "sparse"))
        index.observe(placed.places[0], newer)
        self.assert_kept("newer")

    def test_a_server_that_does_not_give_it(self) -> None:
        """What cannot be read now is tried again with the next collection."""
        self.large.put("a", b"one")
        fresh = self.folder.device(options=KEEP_ONE)
        message = fresh.desk.view.store.message

        def refuse(_uid: int) -> Any:
            raise Unavailable("not now")

        fresh.desk.view.store.message = refuse  # type: ignore[method-assign]
        found = self.collect(fresh)
        self.assertEqual(["chunks-kept"], [one.code for one in found.messages])
        fresh.desk.view.store.message = message  # type: ignore[method-assign]
        self.assertEqual([PLANNED], self.fate(self.lost, fresh))

    def test_what_was_planned_stays_too(self) -> None:
        """Nothing that an earlier plan names goes, either, until it can be told."""
        self.collect()
        self.later(8)
        uid = self.folder.shelf.add(b"X-IFAP: !AAAA\r\nSubject: IFAP\r\n\r\n\r\n")
        self.assert_kept()
        self.folder.shelf.remove([uid])
        self.assertEqual([COLLECTED], self.fate(self.lost))

    def test_a_dry_run_says_it_too(self) -> None:
        """Before anything is done."""
        self.folder.shelf.add(b"X-IFAP: !AAAA\r\nSubject: IFAP\r\n\r\n\r\n")
        self.assertEqual(["chunks-kept"], [one.code for one in self.collect(dry_run=True).messages])


class DamagedTests(ChunkCase):
    """A file that lost a chunk."""

    def test_its_older_versions_stay(self) -> None:
        """What is whole may be all that there is of it."""
        old = self.large.put("a", b"one", b"two")
        new = self.large.chunks([b"three", b"four"])
        vid = self.large.file("a", new)
        self.folder.shelf.remove(self.large.places(new[1]))
        self.grow_old()
        self.collect_twice()
        self.assertEqual([old, vid], self.versions("a"))

    def test_others_go(self) -> None:
        """Another file is none of it."""
        self.large.put("a", b"one")
        self.large.put("a", b"two")
        lost = self.large.chunk(b"three")
        self.large.file("b", [lost])
        self.folder.shelf.remove(self.large.places(lost))
        self.grow_old()
        self.collect_twice()
        self.assertEqual(1, len(self.versions("a")))


class NameTests(ChunkCase):
    """What the headers of all chunks have in common is no device's."""

    def test_it_is_in_no_checkpoint(self) -> None:
        """No device is told of a writer of that name."""
        self.large.put("a", b"one")
        result(self.fs.snapshot())
        content = [
            result(Deferred.fromCoroutine(self.fs.desk.reader.content(one)))
            for one in self.fs.desk.view.index.objects(CHECKPOINTS)
        ]
        self.assertEqual(1, len(content))
        self.assertNotIn(b'"chunks"', content[0])
        self.assertEqual(0, self.fs.desk.view.index.greatest(WRITER))

    def test_it_is_no_number_that_was_used_twice(self) -> None:
        """A check does not take chunks for the work of a cloned device."""
        self.large.put("a", b"one", b"two")
        self.assertEqual({}, dict(result(self.fs.check()).counts()))

    def test_no_device_draws_it(self) -> None:
        """Should chance give it the name, it draws again."""
        drawn = [base64.urlsafe_b64decode("chunksAA")[:5], base64.urlsafe_b64decode("writerAA")[:5]]
        self.assertEqual("writer", new_writer(lambda _count: drawn.pop(0)))
