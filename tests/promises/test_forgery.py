"""Nothing is forged: every change, splice, rename, injection and replay of messages (R9; promise P4; FORMAT 8.6).

The same list is given to the rules of the reference, whose figures ``docs/development/reliability.rst`` quotes.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import IFAP, MAILFILE, Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Draft
from ifap_twisted.errors import DataError, VidCollision
from ifap_twisted.testing import reference_writer
from tests.core.strategies import fixed_random
from tests.filesystem.folders import KEY, Folder, result
from tests.reference_reader import ReferenceFailure, ReferenceReader, decode

NOW = 1_800_000_000
HERE, THERE = "hhhhhhhh", "tttttttt"
OTHER = Key.from_text("somebody else's")
SAME, FORGED = "same", "forged"
"""An outcome that is no code: exactly the version and content that was written, or anything else."""

HEADER_CODES = {"foreign-key", "malformed", "plaintext"}
BODY_CODES = {"tampered", "truncated", "extended", "plaintext"}


def made(
    path: str, content: bytes, *, home: str = HERE, dialect: Dialect = IFAP, key: Key | None = KEY, number: int = 1
) -> bytes:
    """A message as a device of ours writes it."""
    vid = f"{path}{home}{number}".translate(str.maketrans("./", "__")).ljust(22, "v")[:22]
    draft = Draft(path=path, vid=vid, writer="wwwwww", clock={"wwwwww": number}, home=home, modified=float(NOW))
    sealed = envelope.seal(draft, content, dialect=dialect, key=key, now=NOW + number, random=fixed_random)
    return sealed.message


MESSAGES: dict[str, bytes] = {
    "a here": made("a.txt", b"a of this folder"),
    "b here": made("b.txt", b"b of this folder, much longer than a block: " + bytes(3000), number=2),
    "reference here": reference_writer.encode("r.txt", b"of the reference", {"ts": NOW}, key=KEY.text),
    "a there": made("a.txt", b"a of the other folder", home=THERE),
    "b there": made("b.txt", b"b of the other folder, longer than a block: " + bytes(3000), home=THERE, number=2),
    "other dialect": made("a.txt", b"a of the other dialect", dialect=MAILFILE),
    "plaintext": made("a.txt", b"a that anybody wrote", key=None),
    "foreign key": made("a.txt", b"a of somebody else", key=OTHER),
}
OURS = ("a here", "b here", "reference here")
INJECTED = {
    "a there": "foreign-folder",
    "b there": "foreign-folder",
    "other dialect": "other-dialect",
    "plaintext": "plaintext",
    "foreign key": "foreign-key",
}
"""What is none of this folder's, and what it is told as."""


def parts(message: bytes) -> tuple[bytes, bytes]:
    """The header block with its empty line, and the body."""
    head, empty, body = message.partition(b"\r\n\r\n")
    return head + empty, body


def read(message: bytes, *, require_bound: bool = False) -> Any:
    return envelope.read_message(message, dialect=IFAP, keys=(KEY,), home=HERE, require_bound=require_bound)


WRITTEN = [read(MESSAGES[name]) for name in OURS]


def outcome(message: bytes, *, require_bound: bool = False) -> str:
    """The code of the refusal; or whether what was served is what had been written."""
    try:
        return SAME if read(message, require_bound=require_bound) in WRITTEN else FORGED
    except DataError as error:
        return error.code


def accepted(message: bytes) -> bool:
    """Whether the reference gives a content under a path that was not written so in this folder."""
    try:
        found = decode(message, "ifaplib", KEY.text)
    except ReferenceFailure:
        return False
    return (found.path, found.content) not in [(version.path, content) for version, content in WRITTEN]


def field(message: bytes) -> range:
    """Where the characters of the metadata token are, line ends between them included."""
    found = re.search(rb"X-IFAP:((?:.*\r\n[ \t])*.*)\r\n", message)
    assert found is not None
    return range(*found.span(1))


def body(message: bytes) -> range:
    """Where the characters of the content are."""
    return range(message.index(b"\r\n\r\n") + 4, len(message))


def changed(message: bytes, where: range) -> Iterator[bytes]:
    """Each position once with a bit flipped, and once with another character of base64."""
    for at in where:
        old = message[at]
        other = ord("A") if old != ord("A") else ord("B")
        for new in (old ^ 1 << at % 8, other):
            yield message[:at] + bytes([new]) + message[at + 1 :]


def cut(message: bytes, where: range) -> Iterator[bytes]:
    """Cut off at each position."""
    for at in where:
        yield message[:at] + message[where.stop :]


def extended(message: bytes, where: range) -> Iterator[bytes]:
    """A character more at each sixteenth position, and at the end."""
    for at in (*where[::16], where.stop):
        yield message[:at] + b"A" + message[at:]


def spliced() -> Iterator[tuple[str, str, bytes]]:
    """Every header over every body of another message; the header of A over B is also B renamed as A."""
    for one, other in itertools.permutations(MESSAGES, 2):
        yield one, other, parts(MESSAGES[one])[0] + parts(MESSAGES[other])[1]


CHANGES = {"changed": changed, "cut": cut, "extended": extended}


class ForgeryTests(SynchronousTestCase):
    """Messages that somebody without the key makes out of those that he can see."""

    def test_bytes(self) -> None:
        """Each byte of a token changed, cut off or added: nothing but what was written is served, each has its code."""
        every: Counter[str] = Counter()
        for name, (kind, make) in itertools.product(("a here", "reference here"), CHANGES.items()):
            message = MESSAGES[name]
            for where, codes in ((field(message), HEADER_CODES), (body(message), BODY_CODES)):
                found = Counter(outcome(forged) for forged in make(message, where))
                every += found
                self.assertEqual(found[FORGED], 0, (name, kind))
                self.assertLessEqual(set(found), codes | {SAME}, (name, kind))
        self.assertEqual((every.total(), every[SAME]), (20_326, 3), "only white space makes no difference")

    def test_body_codes(self) -> None:
        """A body that is cut is truncated, one with more is extended, and one that is changed is tampered."""
        head, text = parts(MESSAGES["a here"])
        for forged, code in ((text[:-3], "truncated"), (text + b"A", "extended"), (text.swapcase(), "tampered")):
            self.assertEqual(outcome(head + forged), code)

    def test_splices(self) -> None:
        """No header is served with the body of another message, but for what no header of the reference can tell."""
        unbound = set()
        for one, other, forged in spliced():
            found = outcome(forged)
            self.assertNotEqual(found, SAME, (one, other))
            if found == FORGED:
                unbound.add((one, other))
            self.assertNotIn(outcome(forged, require_bound=True), {SAME, FORGED}, (one, other))
        self.assertEqual(unbound, {("reference here", "a here")})
        self.assertFalse(read(MESSAGES["reference here"])[0].bound)

    def test_injected(self) -> None:
        """What is of another folder, dialect or key, or in plaintext, is each told as that."""
        self.assertEqual({name: outcome(MESSAGES[name]) for name in INJECTED}, INJECTED)

    def test_reference(self) -> None:
        """The same list by the rules of the reference: what it does not see is what ``sha256`` and ``home`` are for."""
        found = {
            "splices": sum(accepted(forged) for one, _other, forged in spliced() if one in OURS),
            "injected": sum(accepted(MESSAGES[name]) for name in INJECTED),
        }
        for kind, make in CHANGES.items():
            message = MESSAGES["a here"]
            found[kind] = sum(
                accepted(forged) for where in (field(message), body(message)) for forged in make(message, where)
            )
        self.assertEqual(found, REFERENCE)


class FolderTests(SynchronousTestCase):
    """A folder to which somebody appends, and of which he changes, what he likes."""

    def setUp(self) -> None:
        self.folder = Folder()
        device = self.folder.device()
        for path, content in (("a", b"first"), ("a", b"second"), ("b", b"other")):
            result(device.put(path, content))
        self.written = {"a": b"second", "b": b"other"}
        self.places = {
            version.path: uid
            for uid, version in self.versions().items()
            if version.path in self.written and not (version.path == "a" and version.length == len(b"first"))
        }

    def versions(self) -> dict[int, Any]:
        messages = self.folder.shelf.messages
        return {
            uid: envelope.read_header(parts(text)[0], dialect=IFAP, keys=(KEY,), home=None)
            for uid, text in messages.items()
        }

    def look(self) -> tuple[dict[str, Any], dict[str, int]]:
        """What a new device reads, contents or codes, and the damage that its status tells then."""
        device = self.folder.device()
        found: dict[str, Any] = {}
        for entry in result(device.list(recursive=True)):
            try:
                found[entry.path] = result(device.get(entry.path))
            except DataError as error:
                found[entry.path] = error.code
        return found, dict(result(device.status()).damage)

    def append(self, *messages: bytes) -> None:
        for message in messages:
            self.folder.shelf.add(message)

    def test_injected(self) -> None:
        """Each is counted under its code, none is shown as a file, and every file is as it was."""
        home = next(iter(self.versions().values())).home
        head, text = parts(self.folder.shelf.messages[self.places["a"]])
        self.append(
            made("a", b"forged", home=THERE, number=9),
            made("c", b"forged", home=home, key=None),
            made("c", b"forged", home=home, key=OTHER),
            head.replace(b"X-IFAP:\r\n !", b"X-IFAP:\r\n !!") + text,
        )
        expected = {"foreign-folder": 1, "foreign-key": 1, "malformed": 1, "plaintext": 1}
        self.assertEqual(self.look(), (self.written, expected))

    def test_of_the_other_dialect(self) -> None:
        """Two file systems may lie in one folder: the other's messages are counted apart, and are no damage."""
        device = self.folder.device()
        self.append(made("a", b"forged", dialect=MAILFILE), made("c", b"forged", dialect=MAILFILE, number=2))
        result(device.refresh())
        status = result(device.status())
        self.assertEqual((status.other_dialect, status.foreign, status.damaged), (2, 0, 0))
        found = {entry.path: result(device.get(entry.path)) for entry in result(device.list(recursive=True))}
        self.assertEqual(found, self.written)

    def test_bodies(self) -> None:
        """A damaged body is told by its code, counted, and never served; nothing else is hidden by it."""
        whole = self.folder.shelf.messages[self.places["a"]]
        head, text = parts(whole)
        alien = parts(self.folder.shelf.messages[self.places["b"]])[1]
        forgeries = {"truncated": text[:-9], "extended": text + b"AAAA", "tampered": text.swapcase(), "spliced": alien}
        for code, body_text in forgeries.items():
            self.folder.shelf.tamper(self.places["a"], head + body_text)
            self.assertEqual(self.look(), ({**self.written, "a": code}, {code: 1}))

    def test_beside_a_good_one(self) -> None:
        """A damaged copy below a good one is counted, and the good one is served."""
        whole = self.folder.shelf.messages[self.places["a"]]
        self.folder.shelf.tamper(self.places["a"], whole[:-50])
        self.append(whole)
        self.assertEqual(self.look(), (self.written, {"truncated": 1}))

    def test_replayed(self) -> None:
        """An old message that is appended again changes nothing; for the reference it is the newest."""
        old = min(uid for uid, version in self.versions().items() if version.path == "a")
        self.append(self.folder.shelf.messages[old])
        self.assertEqual(self.look(), (self.written, {}))
        reader = ReferenceReader(dict(self.folder.shelf.messages), "ifaplib", KEY.text)
        reader.synchronize()
        self.assertEqual(reader.read("a"), b"first")

    def test_one_vid_twice(self) -> None:
        """Who has the key may use a version id twice: both are kept apart, and it is reported."""
        there = self.versions()[self.places["a"]]
        draft = Draft(
            path="a", vid=there.vid, writer="zzzzzz", clock={"zzzzzz": 1}, home=there.home, modified=float(NOW)
        )
        twin = envelope.seal(draft, b"twin", dialect=IFAP, key=KEY, now=NOW, random=fixed_random)
        self.append(twin.message)
        device = self.folder.device()
        self.assertIn("vid-collision", [warning.code for warning in result(device.status()).warnings])
        self.assertRaises(VidCollision, result, device.get("a", version=there.vid))
        self.assertIn(result(device.get("a")), {b"second", b"twin"})
        self.assertEqual(len(result(device.conflicts("a"))), 2)
        self.assertEqual(result(device.get("b")), b"other")


REFERENCE = {"splices": 18, "injected": 3, "changed": 1, "cut": 1, "extended": 0}
"""How many of each kind the rules of the reference let through."""
