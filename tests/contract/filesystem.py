"""What every ``IFilesystem`` promises, one test per sentence: run over memory, over HTTP and over live servers.

A concrete class says how to get a filesystem (``opened``), how to get another device on the same folder (``another``),
and how to wait for a Deferred (``settle``: synchronously in memory, by returning it elsewhere).
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from ifap_twisted.core.values import ABSENT, Entry, Event
from ifap_twisted.errors import (
    AlreadyExists,
    CallerError,
    Conflict,
    DirectoryNotEmpty,
    IncompleteSource,
    InvalidPath,
    IsADirectory,
    LeaseLost,
    Locked,
    NotADirectory,
    NotFound,
    NotSupported,
    TooLarge,
    UnknownVersion,
)
from ifap_twisted.interfaces import IFilesystem

T = TypeVar("T")


def promise(test: Callable[[Any], Coroutine[Deferred[Any], Any, None]]) -> Callable[[Any], Any]:
    """A test written as a coroutine, run however the concrete class waits."""

    @wraps(test)
    def running(self: Any) -> Any:
        return self.settle(Deferred.fromCoroutine(test(self)))

    return running


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    """A stream."""
    for piece in data:
        yield piece


class FilesystemContract:
    """The promises; mixed into a test case."""

    max_file_size = 1024 * 1024
    dialect = "ifap"
    assertEqual: Any
    assertTrue: Any
    assertFalse: Any
    assertIn: Any
    assertIsNone: Any
    fail: Any

    def opened(self) -> Awaitable[Any]:
        """A filesystem on an empty folder, whose ``max_file_size`` is 1 MiB."""
        raise NotImplementedError

    def another(self) -> Awaitable[Any]:
        """Another device on the same folder."""
        raise NotImplementedError

    def settle(self, work: Deferred[None]) -> Any:
        """Wait for a test."""
        raise NotImplementedError

    async def refused(self, kind: type[Exception], work: Awaitable[Any]) -> Any:
        """The error, which has to be of that kind."""
        try:
            result = await work
        except kind as error:
            return error
        self.fail(f"{kind.__name__} was expected, not {result!r}")
        return None

    async def names(self, filesystem: Any, path: str = "/", **options: Any) -> list[str]:
        """The paths of a listing."""
        return [entry.path for entry in await filesystem.list(path, **options)]

    # Putting and getting

    @promise
    async def test_put_unless_equal(self) -> None:
        """What is there already with the same content, mode and media type is not stored again; all else is."""
        fs = await self.opened()
        first = await fs.put("a", b"hello", mode=0o640, mime="text/x")
        for given in ({}, {"mode": 0o640}, {"mime": "text/x"}, {"modified": 5.0}, {"expect": first.version}):
            same = await fs.put("a", pieces(b"hel", b"lo"), unless_equal=True, **given)
            self.assertEqual((same.version, same.modified), (first.version, first.modified))
        self.assertEqual(len(await fs.versions("a")), 1)
        versions = {first.version}
        for data, given in ((b"hello", {"mode": 0o600}), (b"hello", {"mime": "text/y"}), (b"hallo", {}), (b"", {})):
            versions.add((await fs.put("a", data, unless_equal=True, **given)).version)
            self.assertEqual(await fs.get("a"), data)
        self.assertEqual(len(versions), 5)
        versions.add((await fs.put("a", b"")).version)
        await fs.remove("a")
        versions.add((await fs.put("a", b"", unless_equal=True)).version)
        versions.add((await fs.put("b", b"", unless_equal=True)).version)
        self.assertEqual(len(versions), 8)
        await self.refused(Conflict, fs.put("b", b"", unless_equal=True, expect=ABSENT))

    @promise
    async def test_it_provides_the_interface(self) -> None:
        """Every method of IFilesystem is there."""
        self.assertTrue(verifyObject(IFilesystem, await self.opened()))

    @promise
    async def test_what_was_put_can_be_got(self) -> None:
        """Byte for byte."""
        fs = await self.opened()
        data = bytes(range(256)) * 9
        await fs.put("/a/b.bin", data)
        self.assertEqual(await fs.get("/a/b.bin"), data)

    @promise
    async def test_an_empty_file_is_a_file(self) -> None:
        """With no bytes."""
        fs = await self.opened()
        await fs.put("empty", b"")
        self.assertEqual(await fs.get("empty"), b"")
        self.assertEqual((await fs.stat("empty")).size, 0)

    @promise
    async def test_a_file_of_more_than_a_worker_s_portion_comes_back(self) -> None:
        """Sealed in a thread, not inline."""
        fs = await self.opened()
        data = b"0123456789abcdef" * 20_000
        await fs.put("large", data)
        self.assertEqual(await fs.get("large"), data)

    @promise
    async def test_a_put_gives_the_entry_that_stat_gives(self) -> None:
        """Success means that it was read back (FORMAT 4.3)."""
        fs = await self.opened()
        entry = await fs.put("/a.txt", b"hello", mode=0o600, mime="text/x-test", modified=1_700_000_000.123)
        self.assertEqual(await fs.stat("a.txt"), entry)
        self.assertEqual((entry.path, entry.size, entry.mode, entry.mime), ("a.txt", 5, 0o600, "text/x-test"))
        self.assertEqual(entry.modified, 1_700_000_000.123)

    @promise
    async def test_leading_slashes_mean_nothing(self) -> None:
        """``/a`` is ``a``."""
        fs = await self.opened()
        await fs.put("/a", b"1")
        self.assertEqual(await fs.get("a"), b"1")

    @promise
    async def test_names_are_kept_code_point_by_code_point(self) -> None:
        """Never normalised (FORMAT 11.1)."""
        fs = await self.opened()
        names = ["caf\u00e9", "cafe\u0301", "Ärger/ß \N{GRINNING FACE}", 'q"uo%te', "a?b#c", "~x", "a b"]
        for name in names:
            await fs.put(name, name.encode())
        for name in names:
            self.assertEqual(await fs.get(name), name.encode())

    @promise
    async def test_a_read_gives_content_and_entry_that_belong_together(self) -> None:
        """Of the current version."""
        fs = await self.opened()
        entry = await fs.put("a", b"1")
        record = await fs.read("a")
        self.assertEqual((record.entry, record.data), (entry, b"1"))

    @promise
    async def test_a_stream_of_unknown_length_is_stored(self) -> None:
        """An asynchronous iterable."""
        fs = await self.opened()
        await fs.put("a", pieces(b"one ", b"two ", b"three"))
        self.assertEqual(await fs.get("a"), b"one two three")

    @promise
    async def test_a_binary_file_is_stored(self) -> None:
        """Anything with ``read``."""
        fs = await self.opened()
        await fs.put("a", io.BytesIO(b"from a file"))
        self.assertEqual(await fs.get("a"), b"from a file")

    @promise
    async def test_a_stream_shorter_than_announced_stores_nothing(self) -> None:
        """It was cut."""
        fs = await self.opened()
        await self.refused(IncompleteSource, fs.put("a", pieces(b"only this"), size=100))
        await self.refused(NotFound, fs.get("a"))

    @promise
    async def test_a_known_size_that_is_too_large_is_refused_unread(self) -> None:
        """Not a byte is taken from the source."""
        fs = await self.opened()
        taken = []

        async def source() -> AsyncIterator[bytes]:
            taken.append(1)
            yield b"x"

        await self.refused(TooLarge, fs.put("a", source(), size=self.max_file_size + 1))
        self.assertEqual(taken, [])

    @promise
    async def test_a_stream_that_passes_the_limit_is_refused(self) -> None:
        """As soon as it does; nothing is stored."""
        fs = await self.opened()
        await self.refused(TooLarge, fs.put("a", pieces(*[b"x" * 65536] * 17)))
        await self.refused(NotFound, fs.stat("a"))

    # Paths

    @promise
    async def test_paths_that_cannot_name_a_file_are_refused(self) -> None:
        """And nothing is stored."""
        fs = await self.opened()
        for path in ["", "/", "a/../b", "..", ".", "a//b", "a\0b", "a\r\nb", "a\x7fb", "x" * 256, "x/" * 2500 + "x"]:
            await self.refused(InvalidPath, fs.put(path, b""))
        self.assertEqual(await self.names(fs), [])

    @promise
    async def test_reserved_names_are_refused(self) -> None:
        """Ours, in every dialect (FORMAT 6.1)."""
        fs = await self.opened()
        for path in ["IFAP/metadata", "IFAP/x", "IFAP", "Mailfile/metadata"]:
            await self.refused(InvalidPath, fs.put(path, b""))
            await self.refused(InvalidPath, fs.make_directory(path, parents=True))
            await self.refused(InvalidPath, fs.remove_directory(path))

    @promise
    async def test_a_file_that_is_not_there_is_not_found(self) -> None:
        """By every verb that needs it."""
        fs = await self.opened()
        works: list[Callable[[], Awaitable[Any]]] = [
            lambda: fs.get("x"),
            lambda: fs.stat("x"),
            lambda: fs.list("x"),
            lambda: fs.remove("x"),
            lambda: fs.undelete("x"),
            lambda: fs.move("x", "y"),
            lambda: fs.copy("x", "y"),
            lambda: fs.versions("x"),
            lambda: fs.keep("x", 3),
            lambda: fs.restore("x", "abcd"),
            lambda: fs.resolve("x"),
            lambda: fs.remove_directory("x"),
        ]
        for work in works:
            await self.refused(NotFound, work())

    @promise
    async def test_a_directory_is_no_file(self) -> None:
        """It cannot be read or written as one."""
        fs = await self.opened()
        await fs.put("a/b", b"")
        await self.refused(IsADirectory, fs.get("a"))
        await self.refused(IsADirectory, fs.put("a", b""))
        await self.refused(IsADirectory, fs.remove("a"))

    @promise
    async def test_a_file_is_no_directory(self) -> None:
        """Nothing can be put below it."""
        fs = await self.opened()
        await fs.put("a", b"")
        await self.refused(NotADirectory, fs.put("a/b", b""))
        await self.refused(NotADirectory, fs.make_directory("a/b/c", parents=True))
        await self.refused(NotADirectory, fs.remove_directory("a"))

    # Locks

    @promise
    async def test_a_lock_is_taken_listed_renewed_and_given_back(self) -> None:
        """It belongs to the device."""
        fs = await self.opened()
        await fs.put("a", b"1")
        lock = await fs.lock("a", seconds=60, holder="me")
        self.assertEqual((lock.path, lock.seconds, lock.holder, lock.mine), ("a", 60, "me", True))
        self.assertEqual([one.id for one in await fs.locks()], [lock.id])
        self.assertEqual((await fs.stat("a")).locked.id, lock.id)
        self.assertEqual((await fs.status()).locks, 1)
        self.assertEqual((await fs.lock("a", seconds=90, renew=lock.id)).seconds, 90)
        await fs.put("a", b"2")
        self.assertEqual((await fs.unlock("a")).id, lock.id)
        self.assertEqual(await fs.locks("a"), [])
        await self.refused(NotFound, fs.unlock("a"))

    @promise
    async def test_what_another_device_locked_is_not_changed(self) -> None:
        """It can be read, and the lock can be broken."""
        fs, other = await self.opened(), await self.another()
        await fs.put("a", b"1")
        lock = await fs.lock("a", holder="me")
        await other.refresh()
        self.assertEqual(await other.get("a"), b"1")
        self.assertEqual((await self.refused(Locked, other.put("a", b"2"))).holder, "me")
        await self.refused(Locked, other.remove("a"))
        await self.refused(Locked, other.lock("a"))
        await self.refused(Locked, other.unlock("a"))
        self.assertEqual((await other.unlock("a", force=True)).id, lock.id)
        await fs.refresh()
        await self.refused(LeaseLost, fs.put("a", b"3"))
        await other.put("a", b"2")

    @promise
    async def test_a_lock_is_held_while_a_block_lasts(self) -> None:
        """And then given back, also when the block raises."""
        fs = await self.opened()
        with self.assertRaises(ZeroDivisionError):
            async with fs.lock("new") as lock:
                self.assertTrue(lock.mine)
                await self.refused(Locked, fs.lock("new"))
                await fs.put("new", b"1")
                raise ZeroDivisionError
        self.assertEqual(await fs.locks(), [])

    # Versions

    @promise
    async def test_a_put_over_a_file_is_a_new_version(self) -> None:
        """The old one is still there, by its id or a prefix of it."""
        fs = await self.opened()
        old = await fs.put("a", b"old")
        new = await fs.put("a", b"new")
        self.assertEqual(await fs.get("a"), b"new")
        self.assertEqual(await fs.get("a", version=old.version), b"old")
        self.assertEqual(await fs.get("a", version=old.version[:8]), b"old")
        self.assertEqual(new.parents, (old.version,))

    @promise
    async def test_versions_are_listed_newest_first(self) -> None:
        """Tombstones included."""
        fs = await self.opened()
        one = await fs.put("a", b"1")
        two = await fs.put("a", b"22")
        await fs.remove("a")
        listed = await fs.versions("a")
        self.assertEqual([entry.version for entry in listed[1:]], [two.version, one.version])
        self.assertEqual([entry.deleted for entry in listed], [True, False, False])
        self.assertEqual([entry.size for entry in listed], [0, 2, 1])

    @promise
    async def test_a_version_that_is_unknown_is_told_so(self) -> None:
        """Also a prefix that is too short."""
        fs = await self.opened()
        entry = await fs.put("a", b"1")
        await self.refused(UnknownVersion, fs.get("a", version="nonesuch"))
        await self.refused(UnknownVersion, fs.get("a", version=entry.version[:3]))

    @promise
    async def test_mode_and_type_are_inherited(self) -> None:
        """By the next version."""
        fs = await self.opened()
        await fs.put("a", b"1", mode=0o600, mime="text/x-a")
        entry = await fs.put("a", b"2")
        self.assertEqual((entry.mode, entry.mime), (0o600, "text/x-a"))

    @promise
    async def test_restore_makes_an_old_version_current_as_a_new_one(self) -> None:
        """With its mode and time (FORMAT 5.2)."""
        fs = await self.opened()
        old = await fs.put("a", b"old", mode=0o600, modified=1_600_000_000.0)
        await fs.put("a", b"new", mode=0o644)
        entry = await fs.restore("a", old.version)
        self.assertEqual(await fs.get("a"), b"old")
        self.assertFalse(entry.version == old.version)
        self.assertEqual((entry.mode, entry.modified, entry.versions), (0o600, 1_600_000_000.0, 3))

    @promise
    async def test_keep_sets_how_many_versions_are_wanted(self) -> None:
        """And the next versions inherit it."""
        fs = await self.opened()
        await fs.put("a", b"1")
        self.assertEqual((await fs.keep("a", 3)).keep, 3)
        self.assertEqual((await fs.put("a", b"2")).keep, 3)
        self.assertEqual((await fs.keep("a", 20)).keep, 20)
        await self.refused(CallerError, fs.keep("a", 0))

    @promise
    async def test_a_listing_of_the_past_shows_what_was(self) -> None:
        """As far as versions are there; before the first version there is nothing."""
        fs = await self.opened()
        await fs.put("d/a", b"1")
        self.assertEqual(await self.names(fs, "/", at=1.0), [])
        self.assertEqual(await self.names(fs, "/", at=4e9, recursive=True), ["d", "d/a"])
        await self.refused(NotFound, fs.list("d", at=1.0))

    # Expectations (FORMAT 4.4)

    @promise
    async def test_a_put_that_expects_no_file_fails_when_there_is_one(self) -> None:
        """And changes nothing."""
        fs = await self.opened()
        entry = await fs.put("a", b"1", expect=ABSENT)
        error = await self.refused(Conflict, fs.put("a", b"2", expect=ABSENT))
        self.assertEqual(error.found, entry.version)
        self.assertEqual(await fs.get("a"), b"1")

    @promise
    async def test_a_put_that_expects_a_version_succeeds_only_on_it(self) -> None:
        """Like If-Match."""
        fs = await self.opened()
        one = await fs.put("a", b"1")
        two = await fs.put("a", b"2", expect=one.version)
        await self.refused(Conflict, fs.put("a", b"3", expect=one.version))
        self.assertEqual((await fs.stat("a")).version, two.version)

    @promise
    async def test_a_removed_file_is_absent(self) -> None:
        """It may be put again."""
        fs = await self.opened()
        await fs.put("a", b"1")
        await fs.remove("a")
        await fs.put("a", b"2", expect=ABSENT)
        self.assertEqual(await fs.get("a"), b"2")

    @promise
    async def test_other_writes_take_expectations_too(self) -> None:
        """remove, move, keep, restore and undelete."""
        fs = await self.opened()
        entry = await fs.put("a", b"1")
        works: list[Callable[[], Awaitable[Any]]] = [
            lambda: fs.remove("a", expect="other"),
            lambda: fs.move("a", "b", expect="other"),
            lambda: fs.keep("a", 2, expect="other"),
            lambda: fs.restore("a", entry.version, expect="other"),
            lambda: fs.copy("a", "c", expect="other"),
        ]
        for work in works:
            await self.refused(Conflict, work())
        self.assertEqual(await self.names(fs), ["a"])
        self.assertEqual((await fs.stat("a")).version, entry.version)

    # Removing and bringing back

    @promise
    async def test_a_removed_file_is_gone_but_its_versions_stay(self) -> None:
        """A tombstone (FORMAT 5.1)."""
        fs = await self.opened()
        entry = await fs.put("a", b"1")
        await fs.remove("a")
        await self.refused(NotFound, fs.get("a"))
        self.assertEqual(await self.names(fs), [])
        self.assertEqual(await fs.get("a", version=entry.version), b"1")

    @promise
    async def test_undelete_brings_back_what_was(self) -> None:
        """Content, mode and time."""
        fs = await self.opened()
        await fs.put("a", b"1", mode=0o600, modified=1_600_000_000.0)
        await fs.remove("a")
        entry = await fs.undelete("a")
        self.assertEqual((await fs.get("a"), entry.mode, entry.modified), (b"1", 0o600, 1_600_000_000.0))
        await self.refused(AlreadyExists, fs.undelete("a"))

    @promise
    async def test_removing_the_last_file_leaves_the_directory(self) -> None:
        """As everywhere else (FORMAT 11.2)."""
        fs = await self.opened()
        await fs.put("d/a", b"1")
        await fs.remove("d/a")
        self.assertEqual(await self.names(fs), ["d"])
        self.assertEqual(await self.names(fs, "d"), [])

    @promise
    async def test_a_tree_is_removed_when_asked(self) -> None:
        """All files and directories in it."""
        fs = await self.opened()
        for name in ["d/a", "d/e/b", "x"]:
            await fs.put(name, b"1")
        await fs.remove("d", recursive=True)
        self.assertEqual(await self.names(fs, recursive=True), ["x"])

    # Directories

    @promise
    async def test_an_empty_directory_can_be_made_and_removed(self) -> None:
        """A marker."""
        fs = await self.opened()
        entry = await fs.make_directory("d")
        self.assertEqual((entry.type, entry.path), ("directory", "d"))
        self.assertEqual(await self.names(fs), ["d"])
        await self.refused(AlreadyExists, fs.make_directory("d"))
        await fs.remove_directory("d")
        self.assertEqual(await self.names(fs), [])

    @promise
    async def test_parents_are_made_when_asked(self) -> None:
        """And only then."""
        fs = await self.opened()
        await self.refused(NotFound, fs.make_directory("a/b"))
        await fs.make_directory("a/b", parents=True)
        await fs.make_directory("a/b", parents=True)
        self.assertEqual(await self.names(fs, recursive=True), ["a", "a/b"])

    @promise
    async def test_a_directory_with_something_in_it_is_not_removed(self) -> None:
        """It is not empty."""
        fs = await self.opened()
        await fs.put("d/a", b"1")
        await self.refused(DirectoryNotEmpty, fs.remove_directory("d"))
        self.assertEqual(await fs.get("d/a"), b"1")

    @promise
    async def test_a_listing_has_one_level_unless_it_is_recursive(self) -> None:
        """Sorted by name; directories and files alike."""
        fs = await self.opened()
        for name in ["b", "a/x", "a/y/z", "a.txt"]:
            await fs.put(name, b"1")
        self.assertEqual(await self.names(fs), ["a", "a.txt", "b"])
        self.assertEqual(await self.names(fs, "a"), ["a/x", "a/y"])
        self.assertEqual(await self.names(fs, recursive=True), ["a", "a/x", "a/y", "a/y/z", "a.txt", "b"])

    @promise
    async def test_a_listing_of_a_file_is_its_entry(self) -> None:
        """Like ``ls``."""
        fs = await self.opened()
        entry = await fs.put("d/a", b"1")
        self.assertEqual(list(await fs.list("d/a")), [entry])

    @promise
    async def test_everything_shows_tombstones_and_reserved_files(self) -> None:
        """``ls -a``."""
        fs = await self.opened()
        await fs.put("a", b"1")
        await fs.put("d/b", b"1")
        await fs.remove("a")
        shown = {entry.path: entry for entry in await fs.list("/", everything=True, recursive=True)}
        self.assertTrue(shown["a"].deleted)
        self.assertIn("d/b", shown)
        self.assertTrue(any(path.startswith("IFAP/keys/folder-") for path in shown))

    # Moving and copying

    @promise
    async def test_a_moved_file_has_its_content_under_the_new_name_only(self) -> None:
        """Its old versions stay under the old name (FORMAT 11.3)."""
        fs = await self.opened()
        old = await fs.put("a", b"1", mode=0o600, modified=1_600_000_000.0)
        entry = await fs.move("a", "d/b")
        self.assertEqual((entry.mode, entry.modified), (0o600, 1_600_000_000.0))
        self.assertEqual(await self.names(fs, recursive=True), ["d", "d/b"])
        self.assertEqual(await fs.get("a", version=old.version), b"1")

    @promise
    async def test_a_directory_is_moved_with_all_in_it(self) -> None:
        """Empty directories, too."""
        fs = await self.opened()
        await fs.put("d/a", b"1")
        await fs.make_directory("d/empty")
        await fs.move("d", "e")
        self.assertEqual(await self.names(fs, recursive=True), ["e", "e/a", "e/empty"])

    @promise
    async def test_nothing_is_moved_over_something(self) -> None:
        """The destination has to be free; nothing goes into itself."""
        fs = await self.opened()
        await fs.put("a", b"1")
        await fs.put("b", b"2")
        await fs.put("d/x", b"3")
        await self.refused(AlreadyExists, fs.move("a", "b"))
        await self.refused(AlreadyExists, fs.move("a", "d"))
        await self.refused(InvalidPath, fs.move("d", "d/e"))
        await self.refused(NotADirectory, fs.move("a", "b/c"))
        self.assertEqual([await fs.get("a"), await fs.get("b")], [b"1", b"2"])

    @promise
    async def test_a_copy_leaves_the_source(self) -> None:
        """Of a file and of a directory."""
        fs = await self.opened()
        await fs.put("d/a", b"1", mode=0o600)
        await fs.copy("d/a", "b")
        await fs.copy("d", "e")
        self.assertEqual(await self.names(fs, recursive=True), ["b", "d", "d/a", "e", "e/a"])
        self.assertEqual((await fs.stat("b")).mode, 0o600)

    # Several devices

    @promise
    async def test_what_one_device_writes_the_other_sees(self) -> None:
        """After a refresh at the latest."""
        one, other = await self.opened(), await self.another()
        await one.put("a", b"1")
        await other.refresh()
        self.assertEqual(await other.get("a"), b"1")
        await other.put("a", b"2")
        await one.refresh()
        self.assertEqual(await one.get("a"), b"2")
        self.assertEqual(list(await one.conflicts()), [])

    @promise
    async def test_a_snapshot_can_be_written(self) -> None:
        """And shows up only among the reserved files (FORMAT 6.2)."""
        fs = await self.opened()
        await fs.put("a", b"1")
        await fs.snapshot()
        self.assertEqual(await self.names(fs), ["a"])
        hidden = await self.names(fs, everything=True, recursive=True)
        self.assertTrue({"IFAP/metadata", "Mailfile/metadata"} & set(hidden))

    # Files, batches, watching, status

    @promise
    async def test_a_file_is_written_and_read_like_a_file(self) -> None:
        """Text is UTF-8."""
        fs = await self.opened()
        async with fs.open("/a.txt", "w") as file:
            await file.write("hello ")
            await file.write("wörld")
        async with fs.open("/a.txt") as file:
            self.assertEqual(await file.read(7), "hello w")
            self.assertEqual(await file.read(), "örld")
        self.assertEqual(await fs.get("a.txt"), "hello wörld".encode())

    @promise
    async def test_a_file_is_read_from_any_place(self) -> None:
        """``rb``, with seek as Python's files have it."""
        fs = await self.opened()
        data = bytes(range(256)) * 2000
        await fs.put("a", data)
        async with fs.open("a", "rb") as file:
            self.assertEqual(await file.read(3), data[:3])
            self.assertEqual((await file.seek(300_001), await file.read(5)), (300_001, data[300_001:300_006]))
            self.assertEqual((await file.seek(-4, 2), await file.read(), await file.read(1)), (511_996, data[-4:], b""))
            self.assertEqual((await file.seek(7), await file.seek(3, 1), await file.read(0)), (7, 10, b""))
            self.assertEqual(await file.read(), data[10:])
            await self.refused(io.UnsupportedOperation, file.write(b"x"))
        await self.refused(ValueError, file.read())

    @promise
    async def test_an_open_file_reads_the_version_that_was_opened(self) -> None:
        """A later put does not change it."""
        fs = await self.opened()
        await fs.put("a", bytes(300_000) + b"before")
        async with fs.open("a", "rb") as file:
            await fs.put("a", b"after")
            await file.seek(300_000)
            self.assertEqual(await file.read(), b"before")

    # Streams

    @promise
    async def test_a_stream_gives_the_parts_that_are_asked_for(self) -> None:
        """Up to the end of the file, and nothing behind it."""
        fs = await self.opened()
        data = bytes(range(256)) * 1000
        entry = await fs.put("a", data)
        stream = await fs.stream("/a")
        self.assertEqual((stream.entry.version, stream.entry.size, stream.entry.path), (entry.version, 256_000, "a"))
        for start, stop in [(0, 10), (10, 20), (100_000, 200_001), (255_999, 256_001), (0, 256_000), (-1, 1)]:
            self.assertEqual(await stream.read(start, stop), data[max(start, 0) : stop])
        for start, stop in [(5, 5), (6, 5), (256_000, 256_001), (900_000, 900_001)]:
            self.assertEqual(await stream.read(start, stop), b"")

    @promise
    async def test_a_stream_of_an_empty_file_is_empty(self) -> None:
        """With an entry."""
        fs = await self.opened()
        await fs.put("a", b"")
        stream = await fs.stream("a")
        self.assertEqual((stream.entry.size, await stream.read(0, 100)), (0, b""))

    @promise
    async def test_a_stream_is_of_one_version(self) -> None:
        """Of the one that was asked for, whatever comes later."""
        fs = await self.opened()
        first = await fs.put("a", b"first")
        current = await fs.put("a", b"second")
        streams = [await fs.stream("a", version=first.version), await fs.stream("a")]
        await fs.put("a", b"third")
        self.assertEqual([one.entry.version for one in streams], [first.version, current.version])
        self.assertEqual([await one.read(0, 100) for one in streams], [b"first", b"second"])

    @promise
    async def test_only_a_file_has_a_stream(self) -> None:
        """As for ``get``."""
        fs = await self.opened()
        await fs.put("a", b"1")
        await fs.make_directory("d")
        await fs.remove("a")
        tombstone = (await fs.versions("a"))[0].version
        await self.refused(NotFound, fs.stream("a"))
        await self.refused(NotFound, fs.stream("nothing"))
        await self.refused(NotFound, fs.stream("a", version=tombstone))
        await self.refused(UnknownVersion, fs.stream("a", version="no-such-version"))
        await self.refused(IsADirectory, fs.stream("d"))

    # More of files

    @promise
    async def test_nothing_is_stored_when_the_block_raises(self) -> None:
        """The file stays as it was."""
        fs = await self.opened()
        await fs.put("a", b"before")
        with self.assertRaises(RuntimeError):
            async with fs.open("a", "wb") as file:
                await file.write(b"half")
                raise RuntimeError("on purpose")
        self.assertEqual(await fs.get("a"), b"before")

    @promise
    async def test_appending_goes_to_the_end(self) -> None:
        """Whatever the position."""
        fs = await self.opened()
        async with fs.open("log", "a") as file:
            await file.write("one\n")
        async with fs.open("log", "a") as file:
            await file.seek(0)
            await file.write("two\n")
        self.assertEqual(await fs.get("log"), b"one\ntwo\n")

    @promise
    async def test_a_file_is_changed_in_place(self) -> None:
        """``r+b``, with seek and truncate; awaited and closed by hand."""
        fs = await self.opened()
        await fs.put("a", b"0123456789")
        file = await fs.open("a", "r+b")
        await file.seek(2)
        await file.write(b"XX")
        await file.truncate(6)
        entry = await file.close()
        self.assertEqual(entry.size, 6)
        self.assertIsNone(await file.close())
        self.assertEqual(await fs.get("a"), b"01XX45")

    @promise
    async def test_a_long_file_is_written_and_changed_in_place(self) -> None:
        """Of some hundred thousand bytes, and of a million."""
        fs = await self.opened()
        for size in (300_000, 1_000_000):
            async with fs.open("a", "wb") as file:
                await file.write(bytes(size))
            async with fs.open("a", "r+b") as file:
                await file.seek(size // 2)
                await file.write(b"changed")
            content = await fs.get("a")
            self.assertEqual((len(content), content.strip(b"\0")), (size, b"changed"))

    @promise
    async def test_exclusive_creation_fails_when_the_file_is_there(self) -> None:
        """``x``."""
        fs = await self.opened()
        async with fs.open("a", "x") as file:
            await file.write("1")
        file = await fs.open("a", "x")
        await file.write("2")
        await self.refused(Conflict, file.close())
        self.assertEqual(await fs.get("a"), b"1")

    @promise
    async def test_a_batch_is_durable_when_it_ends(self) -> None:
        """And what was put in it can be read in it."""
        fs = await self.opened()
        async with fs.batch():
            for number in range(5):
                await fs.put(f"f{number}", str(number).encode())
            self.assertEqual(await fs.get("f3"), b"3")
        self.assertEqual(len(await fs.list("/")), 5)

    @promise
    async def test_a_watcher_is_told_of_changes_until_it_stops(self) -> None:
        """Changed and removed, with the entry."""
        fs = await self.opened()
        events: list[Event] = []
        stop = fs.watch(events.append)
        await self.watching(fs)
        entry: Entry = await fs.put("a", b"1")
        await fs.remove("a")
        await self.until(lambda: any(event.kind == "removed" for event in events))
        changed = [event.entry for event in events if event.kind == "changed"]
        self.assertEqual([found.version for found in changed if found], [entry.version])
        stop()
        stop()
        await fs.put("b", b"1")
        self.assertFalse([event for event in events if event.entry and event.entry.path == "b"])

    async def watching(self, filesystem: Any) -> None:
        """Wait until a watcher is being told; at once where nothing is between."""

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait until something holds; at once where nothing is between."""
        self.assertTrue(fact())

    @promise
    async def test_a_check_of_a_whole_folder_finds_no_damage(self) -> None:
        """All contents are read, or a share; how far it is, is told."""
        fs = await self.opened()
        await fs.put("a", b"1")
        await fs.put("b", b"23")
        told: list[tuple[int, int]] = []
        found = await fs.check(read_data=100, progress=lambda done, total: told.append((done, total)))
        self.assertEqual((found.damaged, found.complete, found.share), (0, True, 100))
        self.assertEqual(found.headers, found.bodies)
        self.assertTrue(found.bytes >= len(b"123"))
        self.assertTrue(all(0 <= done <= total for done, total in told))
        found = await fs.check()
        self.assertEqual((found.damaged, found.bodies, found.share), (0, 0, 0))
        for how in ({"repair": True}, {"accept": True}):
            found = await fs.check(**how)
            self.assertEqual((found.damaged, found.mended), (0, 0))

    @promise
    async def test_what_is_bound_is_left_alone(self) -> None:
        """A check that binds writes nothing where nothing is unbound, and is refused where nothing can be."""
        fs = await self.opened()
        entry = await fs.put("a", b"1")
        try:
            found = await fs.check(bind=True)
        except NotSupported:
            self.assertFalse((await fs.check()).damaged)
        else:
            self.assertEqual((found.damaged, found.counts().get("bound")), (0, None))
        self.assertEqual(await fs.stat("a"), entry)

    @promise
    async def test_a_check_with_local_files(self) -> None:
        """Where nothing is lost nothing is stored from them; they are of use to a repair only."""
        fs = await self.opened()
        await fs.put("a", b"one")
        await self.refused(CallerError, fs.check(sources=Path("/")))
        found = await fs.check(repair=True, sources=Path(__file__).parent)
        self.assertEqual((found.damaged, found.mended), (0, 0))

    @promise
    async def test_how_much_room_files_take(self) -> None:
        """Of all that is directly in a directory, and last of all of it; of a file only that."""
        fs = await self.opened()
        for path, content in (("d/a", b"1"), ("d/a", b"22"), ("d/e/b", b"333")):
            await fs.put(path, content)
        found = await fs.usage("d")
        self.assertEqual(
            [("d/a", "file", 2, 3), ("d/e", "directory", 3, 3), ("d", "directory", 5, 6)],
            [(one.path, one.type, one.size, one.stored) for one in found],
        )
        self.assertEqual([found[0]], list(await fs.usage("/d/a")))
        self.assertEqual(list(await fs.usage()), list(await fs.usage("/")))
        await self.refused(NotFound, fs.usage("d/c"))

    @promise
    async def test_a_check_of_no_percentage_is_refused(self) -> None:
        """0 to 100."""
        fs = await self.opened()
        for share in (-1, 100.5):
            await self.refused(CallerError, fs.check(read_data=share))

    @promise
    async def test_the_status_tells_the_state(self) -> None:
        """Connected, with nothing pending."""
        fs = await self.opened()
        await fs.put("a", b"1")
        status = await fs.status()
        self.assertEqual(
            (status.state, status.dialect, status.pending, status.conflicts), ("connected", self.dialect, 0, 0)
        )
        self.assertTrue(status.last_refresh is not None)
