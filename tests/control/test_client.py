"""The filesystem of a node, used from afar: everything as if it were here."""

from __future__ import annotations

import io
from pathlib import PurePosixPath

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ifap_twisted import errors
from ifap_twisted.control.client import HttpFilesystem
from ifap_twisted.control.client_link import GLANCE_SECONDS
from ifap_twisted.core import limits
from ifap_twisted.core.collection import WAITING, Collection, Verdict
from ifap_twisted.core.findings import DAMAGE, NOTE, RESTORE, Checkup, Finding
from ifap_twisted.core.values import ABSENT, Checked, Entry, Event, Notice, Record, Status
from ifap_twisted.interfaces import IFilesystem
from tests.control.pipes import PipeEndpoint
from tests.control.scripted import Held, Scripted, failing
from tests.control.wire import TOKEN, Node

NAMES = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    lambda name: name not in {".", "..", "IFAP", "Mailfile"}
)

NAMED = (
    lambda filesystem, path: filesystem.put(path, b""),
    lambda filesystem, path: filesystem.move("a", path),
    lambda filesystem, path: filesystem.copy("a", path),
    lambda filesystem, path: filesystem.make_directory(path),
    lambda filesystem, path: filesystem.remove_directory(path),
)
"""Calls that make or need a name."""


class ClientCase(SynchronousTestCase):
    """With a node and a client of it."""

    def setUp(self):
        """Join a client to a node in memory."""
        self.join(Node())

    def join(self, node, token=TOKEN):
        """From now on talk to this node."""
        self.node = node
        self.here = node.filesystem
        self.endpoint = PipeEndpoint(node.site)
        self.there = HttpFilesystem(node.clock, self.endpoint, token)

    def script(self, **methods):
        """From now on talk to a node with some methods replaced."""
        self.join(Node(filesystem=Scripted(self.here, **methods), clock=self.node.clock))

    def settle(self):
        """Let everything happen that can."""
        for _ in range(30):
            self.endpoint.pump.run()
            self.node.clock.advance(0)

    def result(self, deferred):
        """What came of it."""
        self.settle()
        return self.successResultOf(deferred)

    def error(self, deferred, *classes):
        """The error that came of it."""
        self.settle()
        return self.failureResultOf(deferred, *classes).value

    def run_async(self, coroutine):
        """What an ``async def`` gives."""
        return self.result(Deferred.fromCoroutine(coroutine))


class SameTests(ClientCase):
    """Every method gives what it gives here."""

    def test_collect(self):
        """What became of each version, and why nothing more could be done."""
        verdict = Verdict("a", "v1", 10, (0, 0), WAITING, "old", "older", 3600.0)
        notice = Notice(code="read-only", text="Nothing may be written.", path="a")
        expected = Collection(verdicts=(verdict,), messages=(notice,), dry_run=True)
        held = Held()
        self.script(collect=held)
        told = []
        asked = self.there.collect(dry_run=True, progress=lambda done, total: told.append((done, total)))
        self.settle()
        ((_nothing, wanted),) = held.calls
        self.assertIs(wanted["dry_run"], True)
        wanted["progress"](3, 7)
        self.node.clock.advance(GLANCE_SECONDS)
        self.settle()
        self.assertEqual(told, [(3, 7)])
        held.results[0].callback(expected)
        self.assertEqual(self.result(asked), expected)

    def test_check(self):
        """What was found, and how much was looked at."""
        findings = (
            Finding("truncated", DAMAGE, "Cut.", "a", "v1", 1, RESTORE, mended=True),
            Finding("foreign", NOTE, "Mail of somebody else.", places=3),
        )
        expected = Checkup(findings=findings, headers=9, bodies=4, bytes=17, share=12.5, complete=False)
        held = Held()
        self.script(check=held)
        asked = self.there.check(read_data=12.5, bind=True, repair=True, accept=True)
        self.settle()
        ((_nothing, wanted),) = held.calls
        asked_for = [wanted[name] for name in ("read_data", "bind", "repair", "accept")]
        self.assertEqual(asked_for, [12.5, True, True, True])
        held.results[0].callback(expected)
        self.node.clock.advance(GLANCE_SECONDS)
        self.settle()
        self.assertEqual(self.result(asked), expected)

    def test_interface(self):
        """It is a filesystem."""
        verifyObject(IFilesystem, self.there)

    def test_put_and_read(self):
        """What is put there is here, and the entries are equal."""
        entry = self.result(self.there.put("d/ä b", b"hello", mode=0o600, mime="text/x", modified=12.345))
        self.assertEqual(entry, self.result(self.here.stat("d/ä b")))
        self.assertEqual((entry.mode, entry.mime, entry.modified), (0o600, "text/x", 12.345))
        self.assertEqual(self.result(self.there.get("d/ä b")), b"hello")
        self.assertEqual(self.result(self.there.read("d/ä b")), Record(entry=entry, data=b"hello"))
        self.assertEqual(self.result(self.there.stat("d/ä b")), entry)
        self.assertEqual(self.result(self.there.stat("d")), self.result(self.here.stat("d")))
        self.assertEqual(self.result(self.there.stat("/")), self.result(self.here.stat("/")))

    def test_path_objects(self):
        """A Path is a path, and slashes at the ends do not matter."""
        self.result(self.there.put(PurePosixPath("/a/b"), b"1"))
        self.assertEqual(self.result(self.there.get("/a/b")), b"1")

    def test_lists(self):
        """Lists, versions and conflicts are equal."""
        for number in range(3):
            self.result(self.there.put("a/x", b"%d" % number))
        self.result(self.there.put("b", b"2"))
        self.result(self.there.remove("b"))
        then = self.node.clock.seconds()
        for options in ({}, {"recursive": True}, {"everything": True, "recursive": True}, {"at": then - 0.001}):
            self.assertEqual(self.result(self.there.list("/", **options)), self.result(self.here.list("/", **options)))
        self.assertEqual(self.result(self.there.versions("a/x")), self.result(self.here.versions("a/x")))
        self.assertEqual(self.result(self.there.conflicts()), [])
        self.assertEqual(self.result(self.there.conflicts("a")), [])

    def test_long_list(self):
        """A list of thousands of entries arrives whole."""
        entries = [Entry(path=f"f{number}", version="v") for number in range(3000)]
        held = Held()
        self.script(list=held)
        listing = self.there.list("/")
        self.settle()
        held.results[0].callback(entries)
        self.assertEqual(self.result(listing), entries)

    def test_versions_of_files(self):
        """Old versions are read and restored, removed files come back."""
        old = self.result(self.there.put("a", b"old"))
        self.result(self.there.put("a", b"new", expect=old.version))
        self.assertEqual(self.result(self.there.get("a", version=old.version[:8])), b"old")
        self.assertEqual(self.result(self.there.stat("a", version=old.version)).version, old.version)
        self.result(self.there.restore("a", old.version))
        self.assertEqual(self.result(self.there.get("a")), b"old")
        self.assertEqual(self.result(self.there.keep("a", 7)).keep, 7)
        self.assertIsNone(self.result(self.there.remove("a")))
        self.error(self.there.get("a"), errors.NotFound)
        self.result(self.there.undelete("a"))
        self.assertEqual(self.result(self.there.get("a")), b"old")

    def test_names(self):
        """Directories are made, moved, copied and removed."""
        self.result(self.there.make_directory("x/y", parents=True))
        self.error(self.there.make_directory("x/y"), errors.AlreadyExists)
        self.result(self.there.put("x/y/a", b"1"))
        self.assertEqual(self.result(self.there.move("x/y/a", "b")).path, "b")
        self.assertEqual(self.result(self.there.copy("b", "x/c")).path, "x/c")
        self.error(self.there.remove_directory("x"), errors.DirectoryNotEmpty)
        self.error(self.there.remove("x"), errors.IsADirectory)
        self.result(self.there.remove("x", recursive=True))
        self.assertEqual([entry.path for entry in self.result(self.here.list("/"))], ["b"])
        self.result(self.there.make_directory("e"))
        self.result(self.there.remove_directory("e"))

    def test_jobs(self):
        """Refresh and snapshot end when the node's have ended."""
        for name in ("refresh", "snapshot"):
            held = Held()
            self.script(**{name: held})
            working = getattr(self.there, name)()
            self.settle()
            self.assertNoResult(working)
            self.node.clock.advance(100)
            self.settle()
            self.assertNoResult(working)
            held.results[0].callback(None)
            self.assertIsNone(self.result(working))

    def test_failed_job(self):
        """A job that fails fails with its error."""
        self.script(refresh=failing(errors.AuthenticationRefused("Wrong password.")))
        self.assertEqual(self.error(self.there.refresh(), errors.AuthenticationRefused).detail, "Wrong password.")

    def test_cancelled_job(self):
        """Cancelling cancels the job at the node; one that somebody else cancels has not been done."""
        held = Held()
        self.script(snapshot=held)
        working = self.there.snapshot()
        self.settle()
        working.cancel()
        self.error(working, CancelledError)
        self.assertEqual(held.cancelled, 1)
        working = self.there.snapshot()
        self.settle()
        self.node.ask("DELETE", "/v1/jobs/0002")
        self.error(working, errors.Unavailable)

    def test_status(self):
        """The status is equal, warnings and times included."""
        status = Status(
            state="offline",
            account="a",
            folder="F",
            dialect=None,
            pending=1,
            warnings=(Notice(code="c", text="t", path="d/ä"), Notice(code="c", text="t")),
            last_refresh=1234.5,
            checked=Checked(time=1000.0, damaged=2, read=12.5),
        )
        held = Held()
        self.script(status=held)
        asking = self.there.status()
        self.settle()
        held.results[0].callback(status)
        self.assertEqual(self.result(asking), status)

    @settings(max_examples=50)
    @given(st.lists(NAMES, min_size=1, max_size=3))
    def test_any_name(self, names):
        """Every name that can be written here can be written from there."""
        path = "/".join(names)
        self.join(Node())
        entry = self.result(self.here.put(path, b"here"))
        self.assertEqual(self.result(self.there.read(path)), Record(entry=entry, data=b"here"))
        entry = self.result(self.there.put(path, b"there", expect=entry.version))
        self.assertEqual(self.result(self.here.stat(path)), entry)


class QueueTests(ClientCase):
    """Puts that may wait in the journal of the node."""

    def test_accepted(self):
        """The node is told so, and the entry says that it is pending; also inside a batch, where it is not early."""
        asked = []

        def put(path, _data, **more):
            asked.append(more["queue"])
            return succeed(Entry(path=path, version="v", pending=True))

        self.script(put=put)
        entry = self.result(self.there.put("a", b"1", queue=True))
        self.assertEqual((entry.path, entry.pending, asked), ("a", True, [True]))

        async def many():
            async with self.there.batch():
                return await self.there.put("b", b"1", queue=True)

        self.assertTrue(self.run_async(many()).pending)

    def test_refused(self):
        """A node without a journal accepts nothing."""
        self.error(self.there.put("a", b"1", queue=True), errors.NotSupported)


class ErrorTests(ClientCase):
    """Errors are the same as here."""

    def test_every_error(self):
        """Every error of the tree arrives as itself, with its detail, path and attributes."""
        for cls in {found for found in vars(errors).values() if isinstance(found, type)}:
            if not issubclass(cls, errors.IFAPError):
                continue
            error = cls("What happened.", path="a/ä")
            self.script(stream=failing(error), keep=failing(error))
            for asked in (self.there.read("x"), self.there.keep("x", 1)):
                back = self.error(asked, cls)
                self.assertIs(type(back), cls)
                self.assertEqual((vars(back), back.detail), (vars(error), error.detail))

    def test_expect(self):
        """A failed expectation is a conflict that says what was there."""
        version = self.result(self.there.put("a", b"1", expect=ABSENT)).version
        for act in (
            lambda: self.there.put("a", b"2", expect=ABSENT),
            lambda: self.there.put("a", b"2", expect="other"),
            lambda: self.there.remove("a", expect="other"),
            lambda: self.there.move("a", "b", expect="other"),
            lambda: self.there.keep("a", 3, expect="other"),
        ):
            self.assertEqual(self.error(act(), errors.Conflict).found, version)
        self.assertEqual(self.result(self.there.get("a")), b"1")

    def test_impossible_paths(self):
        """A path that no URL can carry is refused as it is here."""
        for path in ("", "/", "..", "a/../b", "a//b", "a\0b", "\ud800", "x" * 300):
            for act in NAMED:
                expected = self.failureResultOf(Deferred.fromCoroutine(as_coroutine(act, self.here, path)))
                self.error(act(self.there, path), expected.type)
        for path in ("..", "a//b", "a\0b", "\ud800"):
            self.error(self.there.get(path), errors.InvalidPath)
            self.error(self.there.stat(path), errors.InvalidPath)
        self.error(self.there.get("/"), errors.IsADirectory)
        self.error(self.there.remove("/"), errors.IsADirectory)
        self.error(self.there.remove("/", recursive=True), errors.InvalidPath)

    def test_wrong_token(self):
        """A wrong token is told as such, and so is a right one that comes later."""
        tokens = ["wrong"]
        self.join(Node(), lambda: tokens[-1])
        self.error(self.there.get("a"), errors.Unauthorised)
        tokens.append(TOKEN)
        self.error(self.there.get("a"), errors.NotFound)

    def test_no_node(self):
        """Without a node everything is unavailable, and the status says ``stopped``."""
        self.endpoint.up = False
        for act in (self.there.get, self.there.versions, self.there.remove, lambda p: self.there.put(p, b"")):
            self.error(act("a"), errors.Unavailable)
        status = self.result(self.there.status())
        self.assertEqual((status.state, [warning.code for warning in status.warnings]), ("stopped", ["unavailable"]))

    def test_broken_reading(self):
        """A connection that breaks while reading: unavailable, and nothing is tried twice."""
        held = Held()
        self.script(stream=held)
        reading = self.there.get("a")
        self.settle()
        self.endpoint.break_all()
        self.error(reading, errors.Unavailable)
        self.assertEqual(len(held.calls), 1)

    def test_broken_writing(self):
        """A connection that breaks after all was sent: nobody knows what came of it."""
        held = Held()
        self.script(put=held, move=held)
        for act in (lambda: self.there.put("a", b"x"), lambda: self.there.move("a", "b")):
            writing = act()
            self.settle()
            self.endpoint.break_all()
            self.error(writing, errors.OutcomeUnknown)

    def test_broken_upload(self):
        """A connection that breaks in the middle of a file: certainly not stored."""
        waiting: Deferred = Deferred()

        async def source():
            yield b"abc"
            await waiting

        writing = self.there.put("a", source(), size=10)
        self.settle()
        self.endpoint.break_all()
        self.error(writing, errors.Unavailable)
        self.error(self.there.get("a"), errors.NotFound)

    def test_cut_answer(self):
        """An answer that is cut is never taken for a short file."""
        self.result(self.there.put("a", b"x" * 500_000))
        reading = self.there.get("a")
        for _ in range(3):
            for end in list(self.endpoint.pump.ends):
                end.move()
        self.assertNoResult(reading)
        self.endpoint.up = False
        self.endpoint.break_all()
        self.error(reading, errors.Unavailable)

    def test_foreign_answers(self):
        """What is no answer of a node is a violation of the protocol."""
        from twisted.web.resource import Resource
        from twisted.web.server import Site

        class Odd(Resource):
            isLeaf = True
            reply = (200, b"text/plain", b"hello")

            def render(self, request):
                code, kind, body = self.reply
                request.setResponseCode(code)
                request.setHeader(b"Content-Type", kind)
                return body

        odd = Odd()
        self.join(self.node)
        self.endpoint.site = Site(odd, reactor=self.node.clock)
        for odd.reply in (
            (200, b"text/plain", b"hello"),
            (200, b"application/json", b"[]"),
            (200, b"application/json", b'{"path":1}'),
            (200, b"application/json", b"[" * 10_000),
            (404, b"text/html", b"<p>Not found"),
            (404, b"application/problem+json", b"<p>"),
        ):
            self.error(self.there.stat("a"), errors.ProtocolViolation)
            self.error(self.there.list("a"), errors.ProtocolViolation)
        odd.reply = (404, b"application/problem+json", b"[]")
        self.error(self.there.stat("a"), errors.CallerError)

    def test_slow_answer(self):
        """An answer that never comes is waited for up to a bound."""
        held = Held()
        self.script(stream=held, move=held)
        reading, moving = self.there.get("a"), self.there.move("a", "b")
        self.settle()
        self.node.clock.advance(limits.CONTROL_ANSWER_SECONDS + 1)
        self.error(reading, errors.TimedOut)
        self.error(moving, errors.OutcomeUnknown)
        self.settle()
        self.assertEqual(held.cancelled, 2)

    def test_silent_source(self):
        """A pipe that says nothing for an hour ends a put, and what came is not stored: that much is known."""

        async def silent():
            yield b"a beginning"
            await Deferred()

        putting = self.there.put("a", silent())
        self.settle()
        self.node.clock.advance(limits.CONTROL_ANSWER_SECONDS + 1)
        self.assertIn("nothing was stored", self.error(putting, errors.TimedOut).detail)
        self.error(self.here.stat("a"), errors.NotFound)

    def test_cancel(self):
        """Cancelling here cancels there."""
        held = Held()
        self.script(stream=held, put=held, stat=held)
        for act in (lambda: self.there.get("a"), lambda: self.there.stat("a")):
            before = held.cancelled
            working = act()
            self.settle()
            working.cancel()
            self.error(working, CancelledError)
            self.assertEqual(held.cancelled, before + 1)


class Late:
    """A batch that ends as it was told, with an error or when a Deferred fires."""

    def __init__(self, end):
        self.end = end

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_error):
        if isinstance(self.end, Exception):
            raise self.end
        await self.end


async def as_coroutine(act, filesystem, path):
    """Call it so that an error raised at once is one that comes later, too."""
    return await act(filesystem, path)


class UploadTests(ClientCase):
    """Everything that a put takes, streamed."""

    def test_sources(self):
        """Bytes, files and iterables of bytes, in pieces of any size, with and without a size."""
        body = bytes(range(256)) * 1500

        async def later():
            for start in range(0, len(body), 70_000):
                yield body[start : start + 70_000]

        sources = (
            lambda: body,
            lambda: bytearray(body),
            lambda: memoryview(body),
            lambda: io.BytesIO(body),
            lambda: [body[:1], body[1:]],
            lambda: iter([body]),
            later,
        )
        for source in sources:
            for size in (None, len(body)):
                self.result(self.there.put("a", source(), size=size))
                self.assertEqual(self.result(self.here.get("a")), body)
                self.result(self.there.put("a", b""))

    def test_wrong_size(self):
        """A source that is not as long as announced stores nothing."""
        for size in (0, 9, 11):
            self.error(self.there.put("a", iter([b"01234", b"56789"]), size=size), errors.IncompleteSource)
            self.error(self.there.put("a", b"0123456789", size=5), errors.IncompleteSource)
        self.error(self.there.get("a"), errors.NotFound)

    def test_failing_source(self):
        """A source that raises stores nothing, and its error is the one that counts."""

        def source():
            yield b"abc"
            raise ZeroDivisionError

        for size in (None, 10):
            self.error(self.there.put("a", source(), size=size), ZeroDivisionError)
        self.error(self.there.get("a"), errors.NotFound)

    def test_too_large(self):
        """A file that is too large is refused: before it is read when its size is known."""
        self.join(Node(max_file_size=200_000))
        read: list[int] = []

        def source():
            for number in range(100):
                read.append(number)
                yield b"x" * 10_000

        error = self.error(self.there.put("a", source(), size=1_000_000), errors.TooLarge)
        self.assertEqual((error.limit, error.size, error.path, read), (200_000, 1_000_000, "a", []))
        self.assertEqual(self.error(self.there.put("a", b"x" * 200_001), errors.TooLarge).limit, 200_000)
        self.assertEqual(self.error(self.there.put("a", source()), errors.TooLarge).limit, 200_000)
        self.result(self.there.put("a", b"x" * 200_000))

    def test_back_pressure(self):
        """A source is read no faster than the filesystem there takes it."""
        held = Held()
        self.script(put=held)
        read: list[int] = []

        def source():
            for number in range(200):
                read.append(number)
                yield b"x" * 5000

        self.there.put("a", source(), size=1_000_000).addErrback(lambda _: None)
        self.settle()
        self.assertLess(len(read) * 5000, 500_000)
        self.assertEqual(len(held.calls), 1)

    def test_many_at_once(self):
        """Many puts are under way at once, on a bounded number of connections that are used again."""
        held = Held()
        self.script(put=held)
        putting = [self.there.put(f"f{number}", b"x") for number in range(100)]
        self.settle()
        self.assertEqual(len(held.calls), limits.CONTROL_CONNECTIONS)
        for number in range(100):
            self.settle()
            held.results[number].callback(Entry(path=f"f{number}", version="v"))
        self.settle()
        self.assertEqual([self.successResultOf(put).path for put in putting], [f"f{n}" for n in range(100)])
        self.assertEqual(self.endpoint.connections, limits.CONTROL_CONNECTIONS)

    def test_idle_connections(self):
        """A connection that is not used is closed before the node closes it."""
        self.result(self.there.stat("/"))
        self.assertEqual(len(self.endpoint.pump.ends), 2)
        self.node.clock.advance(limits.CONTROL_REUSE_SECONDS)
        self.settle()
        self.assertEqual(self.endpoint.pump.ends, [])


class AroundTests(ClientCase):
    """open, batch, watch, close."""

    def test_open(self):
        """Files are opened for reading, writing and appending."""

        async def work():
            async with self.there.open("a.txt", "w") as file:
                await file.write("häl")
            async with self.there.open("a.txt", "a") as file:
                await file.write("lo")
            file = await self.there.open("a.txt")
            return await file.read()

        self.assertEqual(self.run_async(work()), "hällo")

    def test_open_raises(self):
        """Nothing is stored when the block raises."""

        async def work():
            async with self.there.open("a.txt", "wb") as file:
                await file.write(b"x")
                raise ZeroDivisionError

        self.error(Deferred.fromCoroutine(work()), ZeroDivisionError)
        self.error(self.there.stat("a.txt"), errors.NotFound)

    def test_batch(self):
        """In a batch puts go on as soon as they are on their way, and all are durable at its end."""

        async def work():
            async with self.there.batch():
                entries = [await self.there.put(f"f{number}", b"x") for number in range(5)]
                self.assertEqual(await self.there.get("f4"), b"x")
            return entries

        entries = self.run_async(work())
        self.assertEqual(entries, [self.result(self.here.stat(f"f{number}")) for number in range(5)])

    def test_batch_goes_together(self):
        """The puts of a batch are under way together."""
        from ifap_twisted.store.memory import MemoryStore, Turnstile
        from tests.control.wire import memory_filesystem

        clock, gate = self.node.clock, Turnstile("append")
        gate.release()
        here = memory_filesystem(clock, MemoryStore(clock=clock, gate=gate))
        gate._methods.add("append")
        self.join(Node(filesystem=here, clock=clock))

        async def work():
            async with self.there.batch():
                for number in range(10):
                    await self.there.put(f"f{number}", b"x")

        working = Deferred.fromCoroutine(work())
        self.settle()
        self.assertNoResult(working)
        self.assertEqual(gate.held, ["append"] * 10)
        gate.release()
        self.result(working)

    def test_batch_fails(self):
        """A put that fails at once fails there; one that fails later fails the batch."""

        async def refused():
            async with self.there.batch():
                await self.there.put("IFAP/keys/x", b"x")

        self.error(Deferred.fromCoroutine(refused()), errors.InvalidPath)

        async def conflicting():
            async with self.there.batch():
                await self.there.put("a", b"x", expect="other")

        self.error(Deferred.fromCoroutine(conflicting()), errors.Conflict)

    def test_batch_fails_late(self):
        """A put that fails after it was on its way fails the batch, with the error of the node."""
        self.script(batch=lambda: Late(errors.OutcomeUnknown("It may be there.", path="a")))
        entries = []

        async def work():
            async with self.there.batch():
                entries.append(await self.there.put("a", b"x"))

        error = self.error(Deferred.fromCoroutine(work()), errors.OutcomeUnknown)
        self.assertEqual((error.detail, error.path, entries[0].path), ("It may be there.", "a", "a"))

    def test_batch_is_cut(self):
        """A node that goes away before a put has ended leaves it unknown."""
        waiting: Deferred = Deferred()
        self.script(batch=lambda: Late(waiting))
        working = Deferred.fromCoroutine(self.batch_of_one())
        self.settle()
        self.assertNoResult(working)
        self.endpoint.break_all()
        self.error(working, errors.OutcomeUnknown)

    async def batch_of_one(self):
        async with self.there.batch():
            await self.there.put("a", b"x")

    def test_watch(self):
        """What is done after ``watch`` is told, here or there, until it is stopped."""
        heard: list[Event] = []
        stop = self.there.watch(heard.append)
        entry = self.result(self.there.put("a", b"1"))
        self.assertIn(Event(kind="changed", entry=entry), heard)
        other = self.result(self.here.put("b", b"2"))
        self.settle()
        self.assertIn(Event(kind="changed", entry=other), heard)
        stop()
        stop()
        count = len(heard)
        self.result(self.here.put("c", b"3"))
        self.settle()
        self.assertEqual(len(heard), count)

    def test_watch_is_shared(self):
        """Several listeners share a connection, which ends with the last of them."""
        stops = [self.there.watch(lambda _event: None) for _ in range(3)]
        self.settle()
        self.assertEqual(self.endpoint.connections, 1)
        stops[0]()
        self.settle()
        self.assertEqual(len(self.endpoint.pump.ends), 2)
        stops[1]()
        stops[2]()
        self.settle()
        self.assertEqual(self.endpoint.pump.ends, [])

    def test_watch_again(self):
        """Who stops and watches again is told again."""
        heard: list[Event] = []
        self.there.watch(lambda _event: None)()
        self.there.watch(heard.append)
        entry = self.result(self.there.put("a", b"1"))
        self.assertIn(Event(kind="changed", entry=entry), heard)

    def test_close(self):
        """``close`` waits for what was asked, lets go of the node, and refuses what comes after."""
        held = Held()
        self.script(put=held)
        self.there.watch(lambda _event: None)
        putting = self.there.put("a", b"x")
        self.settle()
        closing = self.there.close()
        self.settle()
        self.assertNoResult(closing)
        held.results[0].callback(Entry(path="a", version="v"))
        self.result(closing)
        self.result(putting)
        self.assertEqual(self.endpoint.pump.ends, [])
        self.error(self.there.get("a"), errors.Unavailable)
        self.assertEqual(self.result(self.there.status()).state, "stopped")
        self.result(self.there.close())

    def test_close_unused(self):
        """A client that was never used closes at once."""
        self.successResultOf(self.there.close())
        self.assertEqual(self.endpoint.connections, 0)


@implementer(IStreamClientEndpoint)
class Vanishing:
    """A node that is reached slowly, and then not at all."""

    def __init__(self):
        self.held = []
        self.gone = False

    def connect(self, _factory):
        """Wait, or fail at once."""
        if self.gone:
            return fail(errors.Unavailable("The node does not run."))
        self.held.append(Deferred())
        return self.held[-1]


class ManyTests(SynchronousTestCase):
    """More calls than connections."""

    def test_node_that_goes(self):
        """When the node goes, all calls end, however many wait for a connection, and later ones do too."""
        endpoint = Vanishing()
        there = HttpFilesystem(Clock(), endpoint, TOKEN)
        calls = [there.stat("a") for _ in range(1000)]
        self.assertEqual(len(endpoint.held), limits.CONTROL_CONNECTIONS)
        endpoint.gone = True
        for connecting in endpoint.held:
            connecting.errback(errors.Unavailable("The node does not run."))
        for call in (*calls, there.stat("a")):
            self.failureResultOf(call, errors.Unavailable)
