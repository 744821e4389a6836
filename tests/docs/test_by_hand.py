"""``docs/examples/by_hand.py``: with the key, and nothing of ours, a file comes out of a folder."""

from __future__ import annotations

import ast
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope
from ifap_twisted.core.chunks import CHUNKS, chunk_draft, chunk_key, chunk_name, padded
from ifap_twisted.core.dialects import DIALECTS, IFAP, Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.core.values import Draft
from ifap_twisted.filesystem.folder import FolderObject
from ifap_twisted.testing import reference_writer
from ifap_twisted.testing.reference_writer import Stamp
from tests.basedir.places import Drawing
from tests.docs.examples import ROOT
from tests.filesystem.folders import Folder, result
from tests.filesystem.uploads import LARGE
from tests.vectors_own import recipes
from tests.vectors_own.generate import HERE

PROGRAM: Final = ROOT / "docs" / "examples" / "by_hand.py"
KEY: Final = Key.from_text("b2YgcHl0aG9uLWlmYXBsaWI6IDMyIHJhbmRvbSBieXRlcy4=")
TEXT: Final = "b2YgcHl0aG9uLWlmYXBsaWI6IDMyIHJhbmRvbSBieXRlcy4="
OBJECT: Final = FolderObject.draw(KEY, Drawing())
WRITERS: Final = ("aaaaaa", "bbbbbb")


def noise(length: int, seed: int = 1) -> bytes:
    """A content in which nothing repeats."""
    return random.Random(seed).randbytes(length)


class Letters:
    """A directory of messages, as one saves them from a mail program."""

    def __init__(self, place: Path, *, dialect: Dialect = IFAP, key: Key = KEY) -> None:
        self.place, self.dialect, self.key = place, dialect, key
        self.saved = 0
        self.random = Drawing()
        place.mkdir(parents=True)
        self.put(OBJECT.path, OBJECT.encode())

    def put(self, path: str, content: bytes, clock: dict[str, int] | None = None, **facts: Any) -> str:
        """Seal a version, and save it; gives its id."""
        clock = clock or {"aaaaaa": self.saved + 1}
        known: dict[str, Any] = {"vid": f"{self.saved:022}", "writer": max(clock, key=clock.__getitem__), **facts}
        self.seal(Draft(path=path, clock=clock, home=OBJECT.home, modified=1.5e9, **known), content)
        return str(known["vid"])

    def seal(self, draft: Draft, content: bytes) -> None:
        now = 1.7e9 + self.saved
        sealed = envelope.seal(draft, content, dialect=self.dialect, key=self.key, now=now, random=self.random)
        self.save(sealed.message)

    def save(self, message: bytes) -> None:
        """Whatever it is."""
        self.saved += 1
        (self.place / f"{self.saved:04}.eml").write_bytes(message)

    def chunk(self, data: bytes) -> Piece:
        """A piece of a file, with its chunk."""
        content = padded(data)
        name = chunk_name(chunk_key(OBJECT.chunk_key), content)
        self.seal(chunk_draft(name, OBJECT.home), content)
        return Piece(name, len(data))

    def cut(self, data: bytes, length: int = 100_000) -> tuple[Piece, ...]:
        """A content in chunks."""
        return tuple(self.chunk(data[start : start + length]) for start in range(0, len(data), length))

    def below(self, pieces: Sequence[Piece], depth: int) -> Piece:
        """A manifest that is stored as a chunk."""
        manifest = Manifest(tuple(pieces), depth)
        return self.chunk(manifest.encode())._replace(length=manifest.size)

    def large(self, path: str, manifest: Manifest, **facts: Any) -> None:
        """A file in chunks."""
        self.put(path, manifest.encode(), size=manifest.size, **facts)

    def of(self, path: str) -> list[Path]:
        """The messages of a path."""
        found = []
        for file in sorted(self.place.rglob("*.eml")):
            message = file.read_bytes()
            version = envelope.read_header(
                message[: message.index(b"\r\n\r\n") + 4], dialect=self.dialect, keys=(self.key,), home=None
            )
            if version.path == path:
                found.append(file)
        return found


class Case(SynchronousTestCase):
    """The program is run as a user runs it."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).resolve()
        self.letters = Letters(self.base / "saved")
        self.output = self.base / "output"
        self.keys = [TEXT]

    def run_program(self, path: str, place: Path | None = None) -> tuple[int, str]:
        """Its exit status, and what it says."""
        key = self.base / "key.txt"
        key.write_text("".join(line + "\n" for line in self.keys))
        words = [str(key), str(place or self.letters.place), path, str(self.output)]
        done = subprocess.run(
            [sys.executable, "-W", "error", str(PROGRAM), *words], capture_output=True, text=True, timeout=120
        )
        self.assertEqual(done.stdout, "")
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, done.stderr

    def assert_gets(self, path: str, content: bytes, place: Path | None = None) -> None:
        """The file comes out, whole."""
        self.output.unlink(missing_ok=True)
        self.assertEqual(self.run_program(path, place), (0, ""))
        self.assertEqual(self.output.read_bytes(), content)

    def assert_refuses(self, path: str, reason: str) -> None:
        """Nothing is written."""
        status, told = self.run_program(path)
        self.assertEqual(status, 1)
        self.assertIn(reason, told)
        self.assertFalse(self.output.exists())


class LargeTests(Case):
    """Files in chunks."""

    def test_chunks(self) -> None:
        """They are put together, whatever their padding and order."""
        content = noise(450_001)
        self.letters.large("films/one.mkv", Manifest(self.letters.cut(content)))
        self.assert_gets("films/one.mkv", content)
        self.assert_gets("/films/one.mkv", content)

    def test_manifests_of_manifests(self) -> None:
        """To any depth."""
        content = noise(500_000)
        pieces = self.letters.cut(content, 50_000)
        rows = [self.letters.below(pieces[start : start + 3], 0) for start in range(0, len(pieces), 3)]
        top = [self.letters.below(rows[:2], 1), self.letters.below(rows[2:], 1)]
        self.letters.large("x", Manifest(tuple(top), 2))
        self.assert_gets("x", content)

    def test_equal_chunks(self) -> None:
        """A chunk that occurs many times is there once."""
        piece = self.letters.chunk(b"abc")
        self.letters.large("x", Manifest((piece,) * 5))
        self.assert_gets("x", b"abc" * 5)

    def test_lost_chunk(self) -> None:
        """It is named with the bytes that are lost, and the rest is written."""
        content = noise(300_000)
        pieces = self.letters.cut(content)
        self.letters.large("x", Manifest(pieces))
        for file in self.letters.of(CHUNKS + pieces[1].name):
            file.unlink()
        status, told = self.run_program("x")
        self.assertEqual(status, 1)
        self.assertIn(f"Lost: 100000 bytes from byte 100000 on, in the chunk {pieces[1].name}.", told)
        self.assertIn("100000 bytes are lost.", told)
        self.assertEqual(self.output.read_bytes(), content[:100_000] + bytes(100_000) + content[200_000:])

    def test_lost_manifest(self) -> None:
        """All that a lost manifest tells of is lost, also at the end of a file."""
        content = noise(300_000)
        pieces = self.letters.cut(content)
        row = self.letters.below(pieces[1:], 0)
        self.letters.large("x", Manifest((self.letters.below(pieces[:1], 0), row), 1))
        for file in self.letters.of(CHUNKS + row.name):
            file.unlink()
        status, told = self.run_program("x")
        self.assertEqual(status, 1)
        self.assertIn(f"Lost: 200000 bytes from byte 100000 on, in the chunk {row.name}.", told)
        self.assertEqual(self.output.read_bytes(), content[:100_000] + bytes(200_000))

    def test_damaged_copy(self) -> None:
        """A damaged copy of a chunk does not hide a good one."""
        content = noise(200_000)
        pieces = self.letters.cut(content)
        self.letters.large("x", Manifest(pieces))
        (file,) = self.letters.of(CHUNKS + pieces[0].name)
        good = file.read_bytes()
        file.write_bytes(good[:-60] + b"AAAA" + good[-56:])
        self.assertEqual(self.run_program("x")[0], 1)
        self.letters.save(good)
        self.assert_gets("x", content)

    def test_another_content_under_the_name(self) -> None:
        """A chunk is checked by its name; where the folder object is lost, it is believed."""
        piece = self.letters.chunk(b"right")
        self.letters.large("x", Manifest((piece,)))
        (file,) = self.letters.of(CHUNKS + piece.name)
        file.unlink()
        self.letters.seal(chunk_draft(piece.name, OBJECT.home), b"wrong")
        self.assertIn(f"in the chunk {piece.name}.", self.run_program("x")[1])
        for one in self.letters.of(OBJECT.path):
            one.unlink()
        self.assert_gets("x", b"wrong")


class SmallTests(Case):
    """Files in one message, and which version it is."""

    def test_newest(self) -> None:
        """What descends from the others is taken, not what was sealed or saved last."""
        self.letters.put("x", b"second", {"aaaaaa": 2, "bbbbbb": 1}, writer="bbbbbb")
        self.letters.put("x", b"first", {"aaaaaa": 2})
        self.letters.put("x", b"zeroth", {"aaaaaa": 1})
        self.assert_gets("x", b"second")

    def test_removed(self) -> None:
        """A file that was removed is not there; where somebody changed it at the same time, it is."""
        self.letters.put("x", b"first", {"aaaaaa": 1})
        self.letters.put("x", b"", {"aaaaaa": 2}, deleted=True)
        self.assert_refuses("x", "There is no file x.")
        self.letters.put("x", b"changed", {"aaaaaa": 1, "bbbbbb": 1}, writer="bbbbbb")
        self.letters.put("x", b"", {"aaaaaa": 3}, deleted=True)
        self.assert_gets("x", b"changed")

    def test_absent(self) -> None:
        """Nor one that never was."""
        self.assert_refuses("y", "There is no file y.")

    def test_empty_and_full_blocks(self) -> None:
        """Contents of all lengths around the padding."""
        for number, length in enumerate((0, 1, 2047, 2048, 2049)):
            self.letters.put(f"x{number}", noise(length))
            self.assert_gets(f"x{number}", noise(length))

    def test_with_reference_programs(self) -> None:
        """What they wrote comes out, over ours and below ours; of their own the last."""
        key = TEXT
        for number in (1, 2):
            text = f"theirs {number}".encode()
            self.letters.save(
                reference_writer.encode("x", text, key=key, stamps=(Stamp(1_600_000_000 + number), Stamp()))
            )
        self.assert_gets("x", b"theirs 2")
        theirs = [self.sealed_id(file) for file in self.letters.of("x")]
        self.letters.put("x", b"ours", parents=(theirs[1],))
        self.assert_gets("x", b"ours")

    def sealed_id(self, file: Path) -> str:
        message = file.read_bytes()
        return envelope.sealed_id_of(message[: message.index(b"\r\n\r\n") + 4], IFAP)

    def test_damaged(self) -> None:
        """Of a newest version that is damaged no older one is given in its place."""
        self.letters.put("x", b"first", {"aaaaaa": 1})
        self.letters.put("x", b"second", {"aaaaaa": 2})
        file = self.letters.of("x")[-1]
        file.write_bytes(file.read_bytes()[:-60])
        self.assert_refuses("x", "Its newest version is damaged")

    def test_newer_release(self) -> None:
        """What a later release wrote is not guessed at."""
        draft = Draft(
            path="x", vid="v" * 22, writer="aaaaaa", clock={"aaaaaa": 1}, home=OBJECT.home, modified=0, size=9
        )
        self.letters.seal(draft, Manifest((self.letters.chunk(b"abc"),)).encode().replace(b'"scheme":1', b'"scheme":2'))
        self.assert_refuses("x", "a later release wrote")

    def test_never_over_a_file(self) -> None:
        """A file that is there is left alone."""
        self.letters.put("x", b"content")
        self.output.write_bytes(b"precious")
        status, told = self.run_program("x")
        self.assertEqual((status, self.output.read_bytes()), (1, b"precious"))
        self.assertIn("is there already", told)


class FolderTests(Case):
    """Where messages lie, and what lies beside them."""

    def test_maildir(self) -> None:
        """What is in ``cur`` and ``new`` counts, what is in ``tmp`` was never delivered."""
        self.letters.put("x", b"delivered", {"aaaaaa": 1})
        self.letters.put("x", b"half", {"aaaaaa": 2})
        maildir = self.base / "Maildir"
        for name, file in zip(("cur", "new", "tmp"), sorted(self.letters.place.iterdir()), strict=True):
            (maildir / name).mkdir(parents=True)
            file.rename(maildir / name / f"{file.stem}.host:2,S")
        self.assert_gets("x", b"delivered", maildir)

    def test_as_other_programs_save_it(self) -> None:
        """With the line ends of this system, and a line of mbox before."""
        content = noise(150_000)
        self.letters.large("x", Manifest(self.letters.cut(content)))
        for file in self.letters.place.iterdir():
            file.write_bytes(b"From me Sat Nov 21 10:00:00 2026\n" + file.read_bytes().replace(b"\r\n", b"\n"))
        self.assert_gets("x", content)

    def test_both_dialects(self) -> None:
        """Mailfile's, too."""
        for dialect in DIALECTS.values():
            letters = Letters(self.base / dialect.name, dialect=dialect)
            content = noise(150_000)
            letters.large("x", Manifest(letters.cut(content)))
            self.assert_gets("x", content, letters.place)

    def test_former_keys(self) -> None:
        """After a change of the key what is under the former one comes out with both."""
        self.letters.put("x", b"before", {"aaaaaa": 1})
        self.letters.key = Key.from_text("the new key")
        self.letters.put("y", b"afterwards")
        self.keys = ["the new key", TEXT]
        self.assert_gets("x", b"before")
        self.assert_gets("y", b"afterwards")
        self.keys = ["the new key"]
        self.output.unlink()
        self.assert_refuses("x", "There is no file")

    def test_whatever_lies_there(self) -> None:
        """Other mail, and messages that are wrong in every way that the vectors have, stop nothing."""
        manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
        self.keys = [manifest["keys"]["main"]["text"]]
        letters = Letters(self.base / "mixed", key=Key.from_text(self.keys[0]))
        content = noise(150_000)
        letters.large("films/x", Manifest(letters.cut(content)))
        letters.save(b"From: a\r\nSubject: b\r\n\r\nHello\r\n")
        letters.save(b"X-IFAP: " + "é".encode() + b"\r\n\r\n\xff")
        letters.save(b"")
        for entry in manifest["messages"]:
            letters.save((HERE / entry["file"]).read_bytes())
        self.assert_gets("films/x", content, letters.place)
        one, other = recipes.random("a part", 1000), recipes.random("another part", 65)
        self.assert_gets("films/large", one + other + one, letters.place)
        self.assert_gets("films/twice", (one + other + one) * 2, letters.place)


class DeviceTests(Case):
    """What our own devices write."""

    def test_life(self) -> None:
        """A large file of many chunks, changed, copied and moved, comes out as a device reads it."""
        folder = Folder()
        device = folder.device(options=LARGE)
        content = noise(70_000)
        result(device.put("films/x", content))
        result(device.put("films/x", content[:40_000] + b"changed" + content[40_000:]))
        result(device.copy("films/x", "copy"))
        result(device.move("copy", "moved"))
        result(device.put("small", b"small"))
        result(device.put("gone", content[::-1]))
        result(device.remove("gone"))
        self.keys = ["correct horse battery staple"]
        place = self.base / "Maildir" / "new"
        place.mkdir(parents=True)
        for uid, message in folder.shelf.messages.items():
            (place / f"{uid}.host").write_bytes(message)
        for path in ("films/x", "moved", "small"):
            self.assert_gets(path, result(device.get(path)), place)
        self.output.unlink()
        self.assertEqual(self.run_program("gone", place), (1, "There is no file gone.\n"))


class ProgramTests(SynchronousTestCase):
    """The program itself."""

    def test_needs_nothing_of_ours(self) -> None:
        """It imports Python's standard library and cryptography alone."""
        found = set()
        for node in ast.walk(ast.parse(PROGRAM.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                found.add(str(node.module).split(".")[0])
        self.assertEqual(found - set(sys.stdlib_module_names), {"cryptography"})

    def test_without_words(self) -> None:
        """It says how it is used."""
        done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("by_hand.py KEYFILE FOLDER PATH OUTPUT", done.stderr)
