"""Bar R11, a sample: hostile input meets our own errors and nothing else. The long command is ``tests.fuzz``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.envelope import read_message
from ifap_twisted.core.keys import Key
from ifap_twisted.core.manifests import Manifest
from ifap_twisted.core.marks import encode
from ifap_twisted.core.slots import Unwrapped
from ifap_twisted.errors import BadSettings
from tests.fuzz.mutations import mutations
from tests.fuzz.targets import CORPUS, NAMES, Target, load

SAMPLE = 300


def broken_by(target: Target, data: bytes) -> str:
    """What an input breaks, for a person; empty when it breaks nothing."""
    try:
        target.one(data)
    except Exception as error:
        return f"{target.name}: {type(error).__name__}: {error} with {data!r}"
    return ""


class TargetTests(SynchronousTestCase):
    """What reads hostile input refuses it in our own words, or reads it right."""

    def try_all(self, name: str) -> None:
        """The corpus, and what a fixed seed makes of it."""
        target = load(name)
        corpus = target.corpus()
        tried = [*corpus, *mutations(corpus, target.words, seed=1, count=SAMPLE)]
        self.assertEqual([], [what for what in (broken_by(target, data) for data in tried) if what])

    def test_envelope(self) -> None:
        """No message is accepted of which the key sealed another, and none does more harm than an error."""
        self.try_all("envelope")

    def test_imap(self) -> None:
        """Whatever a server says, however it is cut up: each command ends, with a value or one of our errors."""
        self.try_all("imap")

    def test_journal(self) -> None:
        """No byte of a journal is passed over, and each record is read or refused."""
        self.try_all("journal")

    def test_keyfile(self) -> None:
        """A key file gives its keys or an error that shows none."""
        self.try_all("keyfile")

    def test_manifest(self) -> None:
        """A manifest tells of each byte of its file once, in a bounded number of pieces, or cannot be used."""
        self.try_all("manifest")

    def test_marks(self) -> None:
        """Marks of a device are read, or told to be damaged; whatever they say, everything can be asked of them."""
        self.try_all("marks")

    def test_metadata(self) -> None:
        """A metadata text gives a version that everything can be asked, or is malformed."""
        self.try_all("metadata")

    def test_slots(self) -> None:
        """A key slot is refused before it costs anything, and opens only as it was wrapped."""
        self.try_all("slots")

    def test_snapshot(self) -> None:
        """A snapshot gives a tree that can be written again, or cannot be used."""
        self.try_all("snapshot")

    def test_all(self) -> None:
        """Each target is among these tests, and nothing else has a corpus."""
        tests = {name.removeprefix("test_") for name in dir(self) if name.startswith("test_")}
        self.assertEqual(set(), set(NAMES) - tests)
        self.assertEqual(set(), {place.name for place in CORPUS.iterdir()} - set(NAMES))


class NoticingTests(SynchronousTestCase):
    """A target notices what must not happen: each is tried on a program that was broken on purpose."""

    def assert_noticed(self, name: str, what: str, instead: Any, error: type[Exception] = AssertionError) -> None:
        """With a part of the program replaced, the seeds break something."""
        target = load(name)
        with patch(f"tests.fuzz.targets.{name}.{what}", instead):
            self.assertRaises(error, lambda: [target.one(data) for data in target.corpus()])

    def test_forged(self) -> None:
        """A reader that gives another content than was sealed."""

        def careless(message: bytes, **options: Any) -> Any:
            version, content = read_message(message, **options)
            return version, content[::-1].upper()

        self.assert_noticed("envelope", "read_message", careless)

    def test_other_errors(self) -> None:
        """An error that is none of ours, wherever it is raised."""

        def broken(*_arguments: Any, **_options: Any) -> Any:
            raise KeyError("tree")

        for name, what in (
            ("metadata", "decode"),
            ("snapshot", "entries"),
            ("journal", "thaw"),
            ("imap", "parse"),
            ("manifest", "unpadded"),
            ("marks", "decode"),
            ("slots", "announced"),
        ):
            self.assert_noticed(name, what, broken, KeyError)

    def test_forged_slot(self) -> None:
        """A slot that opens to other keys than were wrapped, and marks that come back otherwise."""
        other = Unwrapped(keys=(Key.from_text("other"),), home="AAAAAAAA", generation=2, dialect="ifap")
        with patch("ifap_twisted.core.slots._unwrapped", lambda _content: other):
            self.assertRaises(AssertionError, lambda: [load("slots").one(data) for data in load("slots").corpus()])
        self.assert_noticed("marks", "encode", lambda path, marks: encode(path, marks[:1]))

    def test_byte_left_out(self) -> None:
        """Stretches of a manifest that are not the whole file."""
        stretches = Manifest.stretches
        with patch.object(
            Manifest, "stretches", lambda manifest, start, stop: list(stretches(manifest, start, stop))[1:]
        ):
            self.assertRaises(
                AssertionError, lambda: [load("manifest").one(data) for data in load("manifest").corpus()]
            )

    def test_secret_shown(self) -> None:
        """An error that quotes the key file."""

        def talkative(content: bytes, source: str) -> Any:
            raise BadSettings(f"{source} is wrong: {content!r}")

        self.assert_noticed("keyfile", "first_line", talkative)

    def test_waits_for_ever(self) -> None:
        """A command that has not ended when the connection is gone."""
        self.assert_noticed("imap", "COMMANDS", (lambda _folder: Deferred(),), ValueError)

    def test_byte_passed_over(self) -> None:
        """A journal reader that leaves out what it cannot read."""
        thaw: Callable[..., Any] = load("journal").one.__globals__["thaw"]
        self.assert_noticed("journal", "thaw", lambda data, keys: list(thaw(data, keys))[1:])
