"""Writing large files: in chunks, each once, in bounded memory (FORMAT 7.1)."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.core.values import ABSENT, Traits
from ifap_twisted.errors import (
    Conflict,
    IncompleteSource,
    Locked,
    NotFound,
    QuotaExceeded,
    TooLarge,
    Unavailable,
)
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import Fate, Turnstile
from tests.filesystem.folders import Folder, result
from tests.filesystem.uploads import LARGE, THRESHOLD, assembled, chunks, messages, noise, stream


class LargeFileCase(SynchronousTestCase):
    """A folder, and a device that cuts files of more than 2,000 bytes into chunks of about 200."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.store = self.folder.store()
        self.fs = self.device(store=self.store)

    def device(self, **more: Any) -> Filesystem:
        """Another device."""
        return self.folder.device(**{"options": LARGE, **more})

    def sent(self) -> int:
        """How many bytes of messages lie in the folder."""
        return sum(map(len, self.folder.shelf.messages.values()))

    def nothing_of(self, path: str = "a") -> None:
        """Nothing is seen of a file, by anybody."""
        self.failureResultOf(self.fs.stat(path), NotFound)
        self.failureResultOf(self.device().stat(path), NotFound)


async def _silent() -> AsyncIterator[bytes]:
    """A source that says something, and then nothing more."""
    yield noise(5000)
    await Deferred()


class PuttingTests(LargeFileCase):
    """What a put of a large file leaves in the folder."""

    def test_up_to_the_threshold_a_file_is_one_message(self) -> None:
        """And above it a list of chunks."""
        for length, chunked in ((THRESHOLD, False), (THRESHOLD + 1, True)):
            result(self.fs.put("a", noise(length)))
            self.assertEqual(bool(chunks(self.folder)), chunked)
            self.assertEqual(assembled(self.folder, "a"), noise(length))

    def test_the_entry_has_the_size_of_the_file(self) -> None:
        """Not that of its manifest."""
        entry = result(self.fs.put("a", noise(5000), mode=0o600, mime="text/x-a", modified=12.5))
        self.assertEqual((entry.size, entry.mode, entry.mime, entry.modified), (5000, 0o600, "text/x-a", 12.5))
        self.assertEqual(result(self.fs.stat("a")), entry)
        self.assertEqual(result(self.device().stat("a")), entry)

    def test_no_setting_without_chunks(self) -> None:
        """With a threshold of 0 a file is one message, and refused above ``max_file_size``."""
        fs = self.device(options=replace(LARGE, chunk_threshold=0, max_file_size=10_000))
        result(fs.put("a", noise(10_000)))
        self.assertFalse(chunks(self.folder))
        self.failureResultOf(fs.put("b", noise(10_001)), TooLarge)
        self.failureResultOf(fs.put("b", stream(noise(10_001))), TooLarge)

    def test_what_one_message_holds_goes_out_in_chunks_above_that(self) -> None:
        """``max_file_size`` below the threshold bounds the message, not the file."""
        fs = self.device(options=replace(LARGE, max_file_size=500))
        result(fs.put("a", noise(600)))
        self.assertTrue(chunks(self.folder))
        self.assertEqual(assembled(self.folder, "a"), noise(600))

    @settings(max_examples=20, deadline=None)
    @given(
        data=st.one_of(
            st.binary(min_size=THRESHOLD + 1, max_size=6000),
            st.integers(THRESHOLD + 1, 20_000).map(noise),
            st.integers(THRESHOLD + 1, 20_000).map(bytes),
            st.tuples(st.binary(min_size=1, max_size=9), st.integers(THRESHOLD + 1, 3000)).map(lambda x: x[0] * x[1]),
        ),
        piece=st.integers(20, 3000),
    )
    def test_every_kind_of_source(self, data: bytes, piece: int) -> None:
        """Bytes, a file, a stream and an iterable give the same chunks and the same content."""
        self.setUp()
        result(self.fs.put("bytes", data))
        before = chunks(self.folder)
        self.assertEqual(set(before.values()), {1})
        cut = [data[start : start + piece] for start in range(0, len(data), piece)]
        for source in (bytearray(data), memoryview(data), io.BytesIO(data), cut, stream(data, piece)):
            result(self.fs.put("a", source))
            self.assertEqual(assembled(self.folder, "a"), data)
        self.assertEqual(chunks(self.folder), before)

    def test_a_buffer_that_is_changed_meanwhile(self) -> None:
        """What it held when it was put is stored, however long the window is full."""
        data = noise(18 * 1024 * 1024)
        for readonly in (False, True):
            self.setUp()
            fs = self.device(store=self.store, options=replace(LARGE, cutting=Cutting()))
            buffer = bytearray(data)
            self.store.gate = gate = Turnstile("append")
            putting = fs.put("a", memoryview(buffer).toreadonly() if readonly else buffer)
            buffer[-5:] = b"other"
            gate.release()
            result(putting)
            self.assertEqual(assembled(self.folder, "a"), data)

    def test_more_chunks_than_one_manifest_names(self) -> None:
        """Manifests of manifests: all content comes back, and the list that is the file stays short."""
        data = noise(200_000)
        result(self.fs.put("a", data))
        self.assertEqual(assembled(self.folder, "a"), data)
        top = next(version for _uid, version, _ in messages(self.folder) if version.path == "a")
        self.assertLess(top.length, 2000)

    def test_equal_parts_of_a_file_are_sent_once(self) -> None:
        """A megabyte of zeros is a few chunks."""
        result(self.fs.put("a", bytes(1_000_000)))
        self.assertLess(len(chunks(self.folder)), 20)
        self.assertEqual(assembled(self.folder, "a"), bytes(1_000_000))

    def test_the_same_file_twice_sends_its_chunks_once(self) -> None:
        """Under two names, by two devices."""
        data = noise(50_000)
        result(self.fs.put("a", data))
        before = chunks(self.folder)
        result(self.fs.put("b", data))
        result(self.device().put("c", stream(data)))
        self.assertEqual(chunks(self.folder), before)
        self.assertEqual(assembled(self.folder, "c"), data)

    def test_an_insertion_sends_little(self) -> None:
        """Boundaries follow the content."""
        data = noise(100_000)
        result(self.fs.put("a", data))
        before = len(chunks(self.folder))
        result(self.fs.put("a", data[:50_000] + b"inserted" + data[50_000:]))
        self.assertLess(len(chunks(self.folder)) - before, 8)

    def test_two_uploads_of_the_same_at_the_same_moment_send_it_once(self) -> None:
        """One waits for the chunks of the other."""
        self.store.gate = gate = Turnstile("append")
        data = noise(20_000)
        puts = [self.fs.put("a", data), self.fs.put("b", data)]
        gate.release()
        for put in puts:
            result(put)
        self.assertEqual(set(chunks(self.folder).values()), {1})
        self.assertEqual(assembled(self.folder, "b"), data)

    def test_a_copy_sends_its_manifest_only(self) -> None:
        """So does a move (FORMAT 7.3)."""
        result(self.fs.put("a", noise(100_000)))
        before, sent = chunks(self.folder), self.sent()
        result(self.fs.copy("a", "b"))
        result(self.fs.move("b", "c"))
        self.assertEqual(chunks(self.folder), before)
        self.assertLess(self.sent() - sent, 64 * 1024)
        self.assertEqual(assembled(self.folder, "c"), noise(100_000))


def _touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def _grow(path: Path) -> None:
    with path.open("ab") as more:
        more.write(b"more")


class RefusalTests(LargeFileCase):
    """What goes wrong, and that nothing half-visible stays."""

    def test_a_stream_that_ends_early(self) -> None:
        """Or goes on for too long: nothing is seen of it."""
        for size in (9999, 10_001, 5000):
            self.failureResultOf(self.fs.put("a", stream(noise(10_000)), size=size), IncompleteSource)
            self.nothing_of()

    def test_a_stream_that_fails(self) -> None:
        """Its failure is told."""

        async def broken() -> AsyncIterator[bytes]:
            yield noise(10_000)
            raise OSError("gone")

        self.failureResultOf(self.fs.put("a", broken()), OSError)
        self.nothing_of()

    def test_a_file_that_changes_while_it_is_read(self) -> None:
        """It is noticed, a small one as well, and nothing is seen of it."""

        class Changing(io.FileIO):
            def read(self, size: int | None = -1, /) -> Any:
                data = super().read(size)
                if self.tell() == length:
                    change(Path(str(self.name)))
                return data

        for length in (10, 10_000):
            for change in (_touch, _grow):
                path = Path(self.mktemp())
                path.write_bytes(noise(length))
                with Changing(str(path)) as file:
                    self.failureResultOf(self.fs.put("a", file), IncompleteSource)
                self.nothing_of()
                with path.open("rb") as file:
                    result(self.fs.put("b", file))
                self.assertEqual(assembled(self.folder, "b"), path.read_bytes())

    def test_a_server_that_refuses_a_chunk(self) -> None:
        """The put fails with that, when nothing is under way any more; what was stored is used by the next."""
        appended = 0

        def gate(method: str) -> Deferred[None]:
            nonlocal appended
            appended += method == "append"
            if appended == 20:
                self.store.fail_next("append", QuotaExceeded("full"))
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done

        self.store.gate = gate
        self.failureResultOf(self.fs.put("a", noise(20_000)), QuotaExceeded)
        self.nothing_of()
        self.assertTrue(self.fs.idle)
        result(self.fs.put("a", noise(20_000)))
        self.assertEqual(set(chunks(self.folder).values()), {1})

    def test_a_refusal_ends_the_wait_for_a_source_that_says_nothing(self) -> None:
        """Nobody waits for a sender when the file cannot be stored."""
        self.store.gate = gate = Turnstile("append")

        async def silent() -> AsyncIterator[bytes]:
            yield noise(10_000)
            await Deferred()

        putting = self.fs.put("a", silent())
        self.store.fail_next("append", QuotaExceeded("full"))
        gate.release()
        self.failureResultOf(putting, QuotaExceeded)

    def test_sources_that_say_nothing_keep_nobody_waiting(self) -> None:
        """A small file is stored while several pipes are silent; what they say later is stored, too."""
        going: list[Deferred[None]] = []

        async def pausing() -> AsyncIterator[bytes]:
            yield noise(5000)
            going.append(Deferred())
            await going[-1]
            yield noise(5000, 1)

        paused = [self.fs.put(name, pausing()) for name in "bcde"]
        small = self.fs.put("a", noise(500))
        for _ in range(3):
            self.folder.clock.advance(limits.SILENCE_SECONDS)
        result(small)
        for one in going:
            one.callback(None)
        for putting in paused:
            result(putting)
        self.assertEqual(assembled(self.folder, "e"), noise(5000) + noise(5000, 1))

    def test_what_was_lent_is_given_back_once(self) -> None:
        """Puts that are given up while they are silent change nothing for those that come later."""
        for _ in range(5):
            putting = self.fs.put("b", _silent())
            self.folder.clock.advance(limits.SILENCE_SECONDS)
            putting.cancel()
            self.failureResultOf(putting, CancelledError)
        budget, lenders = self.fs.desk.budget, self.fs.desk.lenders
        whole = limits.FILES_IN_FLIGHT * self.fs.desk.options.held
        result(lenders.acquire(limits.SILENT_SOURCES))
        result(budget.acquire(whole))
        self.assertNoResult(budget.acquire(1))

    def test_a_server_that_takes_no_message_of_that_length(self) -> None:
        """Said at once, before anything is sent."""
        store = self.folder.store(traits=Traits(reports_uid=True, expunges_by_uid=True, pushes=True, max_message=2000))
        before = self.folder.shelf.uidnext
        error = self.failureResultOf(self.device(store=store).put("a", noise(10_000)), TooLarge).value
        self.assertIn("at most 2000", str(error))
        self.assertEqual(self.folder.shelf.uidnext, before)

    def test_an_expectation_is_compared_before_anything_is_read(self) -> None:
        """And again before the manifest is sent."""
        result(self.fs.put("a", b"1"))
        taken = []

        async def source() -> AsyncIterator[bytes]:
            taken.append(1)
            yield noise(10_000)

        self.failureResultOf(self.fs.put("a", source(), expect=ABSENT), Conflict)
        self.assertEqual(taken, [])

    def test_an_edit_by_somebody_else_meanwhile(self) -> None:
        """With an expectation: a conflict, and nothing of it stays."""
        entry = result(self.fs.put("a", b"1"))

        async def source() -> AsyncIterator[bytes]:
            yield noise(10_000)
            await self.device().put("a", b"theirs")
            yield noise(10_000, 1)

        self.failureResultOf(self.fs.put("a", source(), expect=entry.version), Conflict)
        self.assertEqual(assembled(self.folder, "a"), b"theirs")

    def test_a_file_that_another_device_has_locked(self) -> None:
        """As for a small one."""
        result(self.fs.put("a", b"1"))
        result(self.device().lock("a"))
        self.failureResultOf(self.fs.put("a", noise(10_000)), Locked)
        self.assertEqual(assembled(self.folder, "a"), b"1")


class FlowTests(LargeFileCase):
    """Memory, cancelling, and the end of the filesystem."""

    def test_the_source_waits_while_the_window_is_full(self) -> None:
        """A stream is not pulled while chunks wait for the server; it is when they are there."""
        data = noise(40 * 1024 * 1024)
        fs = self.device(store=self.store, options=replace(LARGE, cutting=Cutting()))
        self.store.gate = gate = Turnstile("append")
        given = 0

        async def source() -> AsyncIterator[bytes]:
            nonlocal given
            for start in range(0, len(data), 65536):
                given = start
                yield data[start : start + 65536]

        putting = fs.put("a", source())
        self.assertLess(given, 20 * 1024 * 1024)
        self.assertLess(len(gate.held), 33)
        gate.release()
        self.assertEqual(result(putting).size, len(data))

    def test_cancelling_stops_it_without_a_trace(self) -> None:
        """A stream that never ends, too; what is under way is waited for."""

        async def endless() -> AsyncIterator[bytes]:
            number = 0
            while True:
                number += 1
                yield noise(10_000, number)

        self.store.gate = gate = Turnstile("append")
        fs = self.device(store=self.store, options=LARGE)
        uploading = fs.put("a", self.held_after(endless(), 5))
        uploading.cancel()
        self.failureResultOf(uploading, CancelledError)
        self.assertFalse(fs.idle)
        gate.release()
        self.assertTrue(fs.idle)
        self.nothing_of()

    async def held_after(self, source: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
        """A source that says nothing any more after some pieces."""
        async for piece in source:
            yield piece
            count -= 1
            if not count:
                await Deferred()

    def test_closing_gives_up_a_stream(self) -> None:
        """It is not waited for: its sender may have forgotten it."""
        putting = self.fs.put("a", self.held_after(stream(noise(10_000), 5000), 1))
        result(self.fs.close())
        self.failureResultOf(putting, Unavailable)
        self.failureResultOf(self.device().stat("a"), NotFound)

    def test_closing_waits_for_what_is_all_here(self) -> None:
        """Bytes need nobody who goes on sending."""
        self.store.gate = gate = Turnstile("append")
        putting = self.fs.put("a", noise(10_000))
        closing = self.fs.close()
        self.assertNoResult(closing)
        gate.release()
        result(putting)
        result(closing)
        self.assertEqual(assembled(self.folder, "a"), noise(10_000))

    def test_it_counts_as_pending_meanwhile(self) -> None:
        """Who looks at the status sees that something is not uploaded yet."""
        self.store.gate = gate = Turnstile("append")
        putting = self.fs.put("a", noise(10_000))
        self.assertEqual(result(self.fs.status()).pending, 1)
        gate.release()
        result(putting)
        self.assertEqual(result(self.fs.status()).pending, 0)


class ResumingTests(LargeFileCase):
    """What the next attempt makes of what one left (FORMAT 7.1)."""

    data = noise(6000)

    def appends(self) -> int:
        """How many messages one put sends."""
        folder = Folder()
        fs = folder.device(options=LARGE)
        before = len(folder.shelf.messages)
        result(fs.put("a", self.data))
        return len(folder.shelf.messages) - before

    def test_ended_at_any_message(self) -> None:
        """Nothing wrong is seen, and the next attempt, on another device, sends only what is not there."""
        count = self.appends()
        self.assertGreater(count, 20)
        for stop in range(count):
            self.setUp()
            self.store.gate = gate = Turnstile("append")
            abandoned = self.fs.put("a", self.data)
            for _ in range(stop):
                gate.release(1)
            self.failureResultOf(self.device().stat("a"), NotFound)
            result(self.device().put("a", self.data))
            self.assertEqual(set(chunks(self.folder).values()), {1})
            self.assertEqual(assembled(self.folder, "a"), self.data)
            abandoned.cancel()
            self.failureResultOf(abandoned, CancelledError)

    def test_a_connection_that_breaks(self) -> None:
        """Before or after a chunk was stored: it is looked for, and sent again where it is not there."""
        for fate in (Fate.CUT_BEFORE, Fate.CUT_AFTER):
            self.setUp()
            self.store.gate = gate = Turnstile("append")
            putting = self.fs.put("a", self.data)
            gate.release(5)
            self.store.doom_next(fate)
            gate.release()
            self.folder.clock.pump([1.0] * 120)
            try:
                result(putting)
            except Unavailable:
                self.failureResultOf(self.device().stat("a"), NotFound)
            result(self.fs.put("a", self.data))
            self.assertEqual(assembled(self.folder, "a"), self.data)
            self.assertEqual(set(chunks(self.folder).values()), {1})

    def test_new_numbers_in_the_middle(self) -> None:
        """The server renumbers the folder while chunks are on their way: the file is whole, or the put fails."""
        self.store.gate = gate = Turnstile("append")
        putting = self.fs.put("a", self.data)
        gate.release(8)
        self.folder.shelf.renumber(list(reversed(self.folder.shelf.messages)))
        gate.release()
        self.folder.clock.pump([1.0] * 90)
        result(putting)
        self.assertEqual(result(self.device().get("a")), self.data)

    def test_two_devices_at_once(self) -> None:
        """Neither waits for the other: what both send has two places, and both files are whole."""
        store = self.folder.store()
        other = self.device(store=store)
        gates = []
        for one in (self.store, store):
            one.gate = Turnstile("append")
            gates.append(one.gate)
        puts = [self.fs.put("a", self.data), other.put("b", self.data)]
        for _ in range(20):
            for gate in gates:
                gate.release(1)
        for gate in gates:
            gate.release()
        for put in puts:
            result(put)
        self.assertLessEqual(max(chunks(self.folder).values()), 2)
        for path in "ab":
            self.assertEqual(result(self.device().get(path)), self.data)

    def test_chunks_that_arrive_when_their_sender_is_dead(self) -> None:
        """No more than was on its way is there twice, and both are places of one chunk."""
        window = 5
        self.store.gate = gate = Turnstile("append")
        self.fs.put("a", self.data).addErrback(lambda _gone: None)
        gate.release(5)
        self.store.doom_next(Fate.CUT_LATE, window)
        gate.release(window)
        self.folder.shelf.detach(self.store)
        result(self.device().put("a", self.data))
        self.folder.shelf.deliver_late()
        self.assertLessEqual(sum(chunks(self.folder).values()) - len(chunks(self.folder)), window)
        self.assertEqual(result(self.device().get("a")), self.data)
