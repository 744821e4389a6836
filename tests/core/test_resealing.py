"""Sealing anew keeps what a version is, and its place in history (FORMAT 2.2, 8.5)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope, metadata
from ifap_twisted.core.copies import same_version
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.history import Bygone, History, Placed
from ifap_twisted.core.index import Index
from ifap_twisted.core.keys import Key
from ifap_twisted.core.resealing import Spare, next_to_seal, spare, to_seal
from ifap_twisted.core.values import Sealed, Version
from ifap_twisted.errors import ForeignFolder, ForeignKey, Malformed
from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.core import strategies
from tests.core.vectors import vectors

OLD, NEW = Key.from_text("old"), Key.from_text("new")
HOME = "homehome"


def anew(message: bytes, home: str = HOME, dialect: Any = IFAP, keys: Sequence[Key] = (OLD,)) -> tuple[Version, Sealed]:
    """A message as it was read, and sealed anew."""
    version, _content = envelope.read_message(message, dialect=dialect, keys=keys, home=None)
    raw = envelope.raw(message, dialect=dialect, keys=keys)
    sealed, _raw = envelope.reseal(raw, version, dialect=dialect, key=NEW, home=home, random=random.Random(1).randbytes)
    return version, sealed


def by_reference(path: str, content: bytes, **facts: Any) -> bytes:
    """A message of the reference."""
    stamps = (Stamp(iv=bytes(16)), Stamp(iv=bytes(16)))
    return encode(path, content, {"ts": 1_573_400_000, **facts}, dialect="ifaplib", key="old", stamps=stamps)


class MessageTests(SynchronousTestCase):
    """One message."""

    @settings(max_examples=60, deadline=None)
    @given(strategies.drafts(), strategies.contents)
    def test_ours_stays_the_same(self, draft: Any, content: bytes) -> None:
        """To the byte of its metadata and to the second of its sealing, whatever it says."""
        old = envelope.seal(draft, content, dialect=IFAP, key=OLD, now=1e9, random=strategies.fixed_random)
        version, sealed = anew(old.message, draft.home)
        found, body = envelope.read_message(sealed.message, dialect=IFAP, keys=(NEW,), home=draft.home)
        self.assertEqual(body, content)
        self.assertEqual(found, sealed.version)
        self.assertEqual(found, version._replace(sealed_id=sealed.sealed_id))
        self.assertNotEqual(sealed.sealed_id, old.sealed_id)

    def test_the_references_are_bound(self) -> None:
        """All that it wrote and we read is the same version afterwards, and names the hash of its content."""
        seen = 0
        for vector in vectors("accept", made_by="reference"):
            if not vector.keys:
                continue
            version, sealed = anew(vector.message, dialect=vector.dialect, keys=vector.keys)
            found, _body = envelope.read_message(sealed.message, dialect=vector.dialect, keys=(NEW,), home=HOME)
            self.assertTrue(found.bound)
            self.assertTrue(same_version(found, version), vector.name)
            self.assertEqual(found._replace(sha256=None, home=None, sealed_id=version.sealed_id), version)
            self.assertEqual(metadata.reference_metadata(found)["was"], version.vid)
            seen += 1
        self.assertGreater(seen, 20)

    def test_it_is_of_its_folder(self) -> None:
        """And under the new key alone."""
        sealed = anew(by_reference("a", b"1"))[1]
        with self.assertRaises(ForeignFolder):
            envelope.read_header(sealed.message, dialect=IFAP, keys=(NEW,), home="elsewher")
        with self.assertRaises(ForeignKey):
            envelope.read_header(sealed.message, dialect=IFAP, keys=(OLD,), home=HOME)

    def test_nothing_else_has_that_form(self) -> None:
        """What names a writer, or lacks what binds it, is no message of the reference."""
        good = {"bytes": 0, "fn": "a", "home": HOME, "sha256": "A" * 43, "ts": 1, "v": 1, "was": "v" * 22}
        self.assertFalse(self.decoded(good).ours)
        for change in (
            {"writer": "wwwwww"},
            {"parents": ["p" * 22]},
            {"needs": ["chunks"]},
            {"sha256": None},
            {"home": None},
            {"ts": None},
            {"dir": True},
        ):
            values = {name: value for name, value in {**good, **change}.items() if value is not None}
            with self.assertRaises(Malformed):
                self.decoded(values)

    def decoded(self, values: dict[str, Any]) -> Version:
        """Of a text in our serialization."""
        text = metadata._encoded(values)
        return metadata.decode(text, sealed_id="s" * 22, written=1)

    def test_one_version_with_both(self) -> None:
        """A message and its bound one are places of one version, in whatever order they are seen."""
        old, sealed = anew(by_reference("a", b"1"))
        for first, second in (((1, old), (2, sealed.version)), ((2, sealed.version), (1, old))):
            index = Index()
            index.observe(*first)
            index.observe(*second)
            (placed,) = index.history("a").versions
            self.assertEqual((placed.places, placed.version.bound, placed.rank), ((1, 2), True, 1))
            self.assertEqual(index.collisions(), [])

    def test_another_content_is_another_version(self) -> None:
        """Bound twice to different contents, a message is told as a collision."""
        old, sealed = anew(by_reference("a", b"1"))
        other = sealed.version._replace(sha256="B" * 43, sealed_id="o" * 22)
        index = Index()
        for uid, version in enumerate((old, sealed.version, other), 1):
            index.observe(uid, version)
        self.assertEqual(len(index.history("a").versions), 2)
        self.assertEqual(index.collisions(), [old.vid])


def reference_version(number: int, inherits: str | None) -> Version:
    """A version of the reference."""
    vid = f"ref{number:019}"
    return Version("a", vid, vid, False, True, 1, 1, 0.0, inherits=inherits, deleted=number % 5 == 0)


def our_version(number: int, writer: str, clock: dict[str, int], parents: tuple[str, ...], late: bool) -> Version:
    """A version of ours."""
    vid = f"our{number:019}"
    lock = "l" * 22 if late else None
    hashed = f"{number % 3}"
    return Version(
        "a", vid, vid, True, True, 1, 1, 0.0, writer=writer, clock=clock, parents=parents, sha256=hashed, lock=lock
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Version], dict[str, int]]:
    """Versions in the order of their ranks, with branches, chains, tombstones, and perhaps an end of a lock."""
    versions: list[Version] = []
    numbers = {"aaaaaa": 0, "bbbbbb": 0}
    for number in range(1, draw(st.integers(1, 7)) + 1):
        known = [one for one in versions if draw(st.booleans())]
        if draw(st.booleans()):
            inherits = draw(st.sampled_from([None, *(one.vid for one in versions if one.ours)]))
            versions.append(reference_version(number, inherits))
            continue
        writer = draw(st.sampled_from(sorted(numbers)))
        numbers[writer] += 1
        clock = {name: max((one.clock.get(name, 0) for one in known), default=0) for name in numbers}
        clock = {name: count for name, count in {**clock, writer: numbers[writer]}.items() if count}
        parents = tuple(one.vid for one in known if not one.ours)
        versions.append(our_version(number, writer, clock, parents, draw(st.booleans())))
    fences = {"l" * 22: draw(st.integers(1, 12))} if draw(st.booleans()) else {}
    return versions, fences


def said(history: History) -> tuple[Any, ...]:
    """Heads, current version and conflict."""
    current = history.current
    return (
        [head.version.vid for head in history.heads],
        None if current is None else current.version.vid,
        history.in_conflict,
    )


class OrderTests(SynchronousTestCase):
    """The order in which messages come and go."""

    @settings(max_examples=300, deadline=None)
    @given(histories(), st.data())
    def test_at_every_moment_the_same(self, drawn: tuple[list[Version], dict[str, int]], data: st.DataObject) -> None:
        """Wherever it is cut, heads, current version and conflicts are as before; resumed, it comes to its end."""
        versions, fences = drawn
        places: dict[str, list[int]] = {one.vid: [uid] for uid, one in enumerate(versions, 1)}
        newest = len(versions)
        sound: set[int] = set()

        def history() -> History:
            placed = [Placed(one, tuple(sorted(places[one.vid]))) for one in versions]
            return History(placed, fences=fences)

        before = said(history())
        on_top = False
        late = data.draw(st.integers(0, 3))  # one more version arrives meanwhile
        for step in range(8):
            wanted = to_seal(history(), sound)
            if step + 1 == late:
                newest += 1
                versions.append(reference_version(100, versions[-1].inherits))
                places[versions[-1].vid] = [newest]
                before, on_top = said(history()), False
                continue
            if wanted is None:
                break
            newest += 1
            places[wanted.version.vid].append(newest)
            sound.add(newest)
            on_top = True
            self.assertEqual(said(history()), before)
            self.assertEqual(wanted.version.vid, before[1])
        self.assertIsNone(to_seal(history(), sound))
        for one in list(spare(history(), sound)):
            for uid in data.draw(st.permutations(one.places)):
                places[one.placed.version.vid].remove(uid)
                self.assertEqual(said(history()), before)
                if on_top:
                    self.assertEqual(max(places, key=lambda vid: max(places[vid])), before[1])

    def test_none_goes_before_all_are_there(self) -> None:
        """A version that cannot be sealed anew holds back what would pass it."""
        versions = [reference_version(number, None) for number in (1, 2, 3)]
        placed = [Placed(one, (uid, uid + 10)) for uid, one in enumerate(versions, 1)]
        placed[1] = Placed(versions[1], (2,))
        found = list(spare(History(placed), {11, 13}))
        self.assertEqual(found, [Spare(placed[2], (3,), 13)])

    def test_what_was_missed_stays(self) -> None:
        """While a version of the path is missing, all may be needed."""
        placed = [Placed(reference_version(1, None), (1, 11)), Placed(reference_version(2, None), (), 2.0)]
        self.assertEqual(list(spare(History(placed), {11})), [])

    def test_the_current_version_alone(self) -> None:
        """For the reference programs the highest UID is the newest: a copy of an older version would be that."""
        placed = [Placed(reference_version(number, None), (number,)) for number in (1, 2)]
        self.assertEqual(to_seal(History(placed), ()), placed[1])
        sealed = [placed[0], placed[1]._replace(places=(2, 3))]
        self.assertIsNone(to_seal(History(sealed), {3}))

    def test_below_a_copy_of_an_older_one(self) -> None:
        """A newer version that came while the older one was sealed anew comes to stand above the copy."""
        placed = [Placed(reference_version(1, None), (1, 3)), Placed(reference_version(2, None), (2,))]
        self.assertEqual(to_seal(History(placed), {3}), placed[1])
        ours = our_version(2, "aaaaaa", {"aaaaaa": 1}, (placed[0].version.vid,), late=False)
        placed[1] = Placed(ours, (2,))
        self.assertEqual(to_seal(History(placed), {2, 3}), placed[1])

    def test_nothing_in_doubt(self) -> None:
        """In conflict, where something is missing, or was collected once, nobody can say which is the newest."""
        one, other = Placed(reference_version(1, None), (1,)), Placed(reference_version(2, "o" * 22), (2,))
        self.assertEqual(len(History([one, other]).heads), 2)
        self.assertIsNone(to_seal(History([one, other]), ()))
        gone = Placed(reference_version(2, None), (), 2.0)
        self.assertIsNone(to_seal(History([one, gone]), ()))
        self.assertIsNone(to_seal(History([one], Bygone(copies=frozenset({1.0}))), ()))
        self.assertIsNone(to_seal(History(), ()))


class EveryVersionTests(SynchronousTestCase):
    """Under a new key all versions of a path are sealed anew."""

    @settings(max_examples=300, deadline=None)
    @given(histories(), st.data())
    def test_never_above_a_newer_one(self, drawn: tuple[list[Version], dict[str, int]], data: st.DataObject) -> None:
        """No older version comes above a newer one under the new key; one that came at once follows."""
        versions, fences = drawn
        places: dict[str, list[int]] = {one.vid: [uid] for uid, one in enumerate(versions, 1)}
        newest, sound, undisturbed = len(versions), set[int](), True

        def history() -> History:
            return History([Placed(one, tuple(sorted(places[one.vid]))) for one in versions], fences=fences)

        def newest_under_key() -> list[str]:
            return [one.vid for one in versions if sound.intersection(places[one.vid])][-1:]

        def highest() -> str:
            return max((max(sound.intersection(places[one.vid]), default=0), one.vid) for one in versions)[1]

        before, moments = said(history()), data.draw(st.lists(st.integers(0, 12), max_size=2))
        for step in range(60):
            wanted = next_to_seal(history(), sound)
            if wanted is None:
                break
            later = [one.vid for one in versions[versions.index(wanted.version) + 1 :]]
            self.assertFalse(any(sound.intersection(places[vid]) for vid in later))
            if step in moments:  # somebody writes in the moment in which the copy is made
                newest, undisturbed = newest + 1, False
                versions.append(reference_version(100 + step, None))
                places[versions[-1].vid] = [newest]
                sound |= {newest} if data.draw(st.booleans()) else set()
                before = said(history())
            newest += 1
            places[wanted.version.vid].append(newest)
            sound.add(newest)
            self.assertEqual(said(history()), before)
        self.assertIsNone(next_to_seal(history(), sound))
        self.assertEqual([highest()], newest_under_key())
        self.assertEqual(newest_under_key(), [versions[-1].vid])
        if undisturbed:
            self.assertTrue(all(sound.intersection(some) for some in places.values()))
        for one in list(spare(history(), sound)):
            for uid in data.draw(st.permutations(one.places)):
                places[one.placed.version.vid].remove(uid)
                self.assertEqual(said(history()), before)
        if undisturbed and not fences:
            self.assertEqual({uid for some in places.values() for uid in some}, sound)

    def test_ascending(self) -> None:
        """The newest comes last."""
        placed = [Placed(reference_version(number, None), (number,)) for number in (1, 2)]
        self.assertEqual(next_to_seal(History(placed), ()), placed[0])
        placed[0] = placed[0]._replace(places=(1, 3))
        self.assertEqual(next_to_seal(History(placed), {3}), placed[1])

    def test_below_a_newer_one(self) -> None:
        """What is older than a version under the key stays as it is."""
        placed = [Placed(reference_version(number, None), (number,)) for number in (1, 2, 3)]
        self.assertIsNone(next_to_seal(History(placed), {3}))
        self.assertEqual(next_to_seal(History(placed), {2}), placed[2])

    def test_both_at_once(self) -> None:
        """A newer version under the key comes to stand above the copy of an older one."""
        placed = [Placed(reference_version(1, None), (1, 3)), Placed(reference_version(2, None), (2,))]
        self.assertEqual(next_to_seal(History(placed), {2, 3}), placed[1])
        placed[1] = placed[1]._replace(places=(2, 4))
        self.assertIsNone(next_to_seal(History(placed), {2, 3, 4}))

    def test_the_newest_cannot_be(self) -> None:
        """Then no older one is; one in the middle is left out."""
        placed = [Placed(reference_version(number, None), (number,)) for number in (1, 2, 3)]
        vids = [one.version.vid for one in placed]
        self.assertIsNone(next_to_seal(History(placed), (), {vids[2]}))
        placed[0] = placed[0]._replace(places=(1, 4))
        self.assertEqual(next_to_seal(History(placed), {4}, {vids[1]}), placed[2])

    def test_nothing_in_doubt(self) -> None:
        """A path of which something is missing, or of which the end was collected, is left alone."""
        one = Placed(reference_version(1, None), (1,))
        gone = Placed(reference_version(2, None), (), 2.0)
        self.assertIsNone(next_to_seal(History([one, gone]), ()))
        self.assertIsNone(next_to_seal(History([one], Bygone(copies=frozenset({1.0}))), ()))
        self.assertIsNone(next_to_seal(History(), ()))
