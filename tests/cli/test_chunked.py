"""``ifap put`` and ``get`` of files in chunks: streamed, compared by their content, and salvaged."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.cli.localfiles import BLOCK
from ifap_twisted.core.chunks import chunk_path
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.core.limits import KIB
from ifap_twisted.core.values import Entry
from ifap_twisted.errors import TooLarge
from ifap_twisted.filesystem.desk import Options as FolderOptions
from ifap_twisted.interfaces import IFilesystem
from ifap_twisted.store.memory import FULL_TRAITS
from tests.cli.bench import CommandLineTestCase

DATA = random.Random(5).randbytes(900 * KIB)
SMALL_CHUNKS = FolderOptions(chunk_threshold=64 * KIB, cutting=Cutting(8 * KIB, 32 * KIB, 13))


class Watched:
    """A filesystem that notes what is put, and how long the pieces of a source are."""

    def __init__(self, real: IFilesystem) -> None:
        self.real = real
        self.puts: list[dict[str, Any]] = []
        self.pieces: list[int] = []
        self.then: Any = None

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def put(self, path: str, data: Any, **more: Any) -> Deferred[Entry]:
        self.puts.append(more)
        return self.real.put(path, data if isinstance(data, bytes) else self.noting(data), **more)

    async def noting(self, data: Any) -> AsyncIterator[bytes]:
        async for piece in data:
            self.pieces.append(len(piece))
            yield piece
            if self.then is not None:
                self.then()


class ChunkedTests(CommandLineTestCase):
    """With a threshold of 64 KiB."""

    def setUp(self) -> None:
        """A large file on the disk, and an empty folder."""
        super().setUp()
        self.watched = Watched(self.folder.device(options=SMALL_CHUNKS))
        self.filesystem = self.watched  # type: ignore[assignment]
        self.file = self.write("d/big", DATA)
        self.write("d/small", b"small")

    def stat(self, path: str = "x/big") -> Entry:
        return self.successResultOf(self.filesystem.stat(path))

    def read(self, path: str = "x/big") -> bytes:
        return self.ifap("cat", path).raw

    def put(self, *options: str) -> str:
        return self.ifap("put", "-r", *options, f"{self.local}/d/", "x/").out.strip()

    def test_streamed(self) -> None:
        """It is handed on block by block, with its length, and comes back as it was."""
        shown = self.ifap("put", self.file, "x/big")
        self.assertEqual((0, ""), (shown.status, shown.err))
        self.assertEqual(len(DATA), self.watched.puts[0]["size"])
        self.assertLessEqual(max(self.watched.pieces), BLOCK)
        self.assertEqual((len(DATA), None), (self.stat().size, self.stat().sha256))
        self.assertTrue(self.read() == DATA)
        self.assertEqual(0, self.ifap("get", "x/big", self.local / "back").status)
        self.assertTrue((self.local / "back").read_bytes() == DATA)

    def test_lost(self) -> None:
        """Of a file that has lost chunks nothing is written; --salvage writes the rest, and tells what is lost."""
        self.ifap("put", self.file, "x/big")
        manifest = self.successResultOf(self.watched.real.stream("x/big")).manifest  # type: ignore[attr-defined]
        offset = sum(piece.length for piece in manifest.pieces[:3])
        length = sum(piece.length for piece in manifest.pieces[3:5])
        for piece in manifest.pieces[3:5]:
            for placed in self.watched.real.desk.view.index.history(chunk_path(piece.name)).versions:  # type: ignore[attr-defined]
                self.shelf.remove(placed.places)
        self.successResultOf(self.filesystem.refresh())
        out = self.local / "out"
        shown = self.ifap("get", "x/big", out)
        self.assertEqual((7, False), (shown.status, out.exists()))
        self.assertIn(f"{offset} to {offset + manifest.pieces[3].length - 1}", shown.err)
        shown = self.ifap("get", "--salvage", "x/big", out)
        self.assertEqual(7, shown.status)
        self.assertIn(f"{offset} to {offset + length - 1}", shown.err)
        self.assertTrue(out.read_bytes() == DATA[:offset] + bytes(length) + DATA[offset + length :])

    def test_again(self) -> None:
        """In a tree what is equal is unchanged, by its content and never by its time; what differs is stored."""
        self.assertEqual("2 new, 0 unchanged, 0 failed", self.put())
        before, messages = self.stat(), set(self.shelf.messages)
        os.utime(self.file, (5, 5))
        self.assertEqual("0 new, 2 unchanged, 0 failed", self.put())
        self.assertEqual((before.version, messages), (self.stat().version, set(self.shelf.messages)))
        changed = bytearray(DATA)
        changed[len(DATA) // 2] ^= 1
        self.file.write_bytes(changed)
        os.utime(self.file, (before.modified, before.modified))
        self.assertEqual("1 new, 1 unchanged, 0 failed", self.put())
        self.assertTrue(self.read() == changed)

    def test_permissions(self) -> None:
        """Other permissions are a change, and --always stores what is equal."""
        self.put()
        self.file.chmod(0o600)
        self.assertEqual("1 new, 1 unchanged, 0 failed", self.put())
        self.assertEqual(0o600, self.stat().mode)
        self.assertEqual("2 new, 0 unchanged, 0 failed", self.put("--always"))

    def test_changing(self) -> None:
        """A file that changes while it is read is not stored, and named; the other files are."""

        def change() -> None:
            with self.file.open("ab") as file:
                file.write(b"more")

        self.watched.then = change
        shown = self.ifap("put", "-r", f"{self.local}/d/", "x/")
        self.assertEqual((8, "1 new, 0 unchanged, 1 failed\n"), (shown.status, shown.out))
        self.assertIn("changed while it was being read", shown.err)
        self.assertEqual(["x", "x/small"], self.names())

    def test_shrinking(self) -> None:
        """The same for one that becomes shorter."""
        self.watched.then = lambda: os.truncate(self.file, 300 * KIB)
        shown = self.ifap("put", self.file, "x/big")
        self.assertEqual((8, []), (shown.status, self.names()))
        self.assertIn("changed while it was being read", shown.err)

    def test_small_messages(self) -> None:
        """A server that takes no message as long as a chunk is told as that (6), with what it takes."""
        store = self.folder.store(traits=replace(FULL_TRAITS, max_message=20 * KIB))
        self.filesystem = self.folder.device(store=store, options=SMALL_CHUNKS)
        shown = self.ifap("put", self.file, "x/big")
        self.assertEqual((6, []), (shown.status, self.names()))
        self.assertIn("the mail server takes at most 20480", shown.err)

    def test_too_large(self) -> None:
        """Without chunks there is a greatest size; that is 6, and says what it is."""
        options = FolderOptions(chunk_threshold=0, max_file_size=100 * KIB)
        self.filesystem = self.folder.device(options=options)
        shown = self.ifap("put", self.file, "x/big")
        self.assertEqual((6, []), (shown.status, self.names()))
        self.assertIn(str(100 * KIB), shown.err)
        self.failureResultOf(self.filesystem.put("x", DATA), TooLarge)

    def test_dry_run(self) -> None:
        """--dry-run stores nothing."""
        self.put("--dry-run")
        self.assertEqual(([], []), (self.names(), self.watched.puts))
