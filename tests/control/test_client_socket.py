"""Over real UNIX sockets: whose they are, paths of any length, and large files both ways."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

from twisted.internet import reactor  # noqa: TID251 -- real sockets need the real one
from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ifap_twisted.control.client import HttpFilesystem
from ifap_twisted.control.client_socket import LONGEST_ADDRESS, check_owner
from ifap_twisted.control.resource import control_resource
from ifap_twisted.control.site import control_site
from ifap_twisted.errors import Forbidden, NotFound, TooLarge, Unavailable
from tests.control.wire import TOKEN, memory_filesystem, own_directory

LARGEST = 24 << 20


class OwnerTests(SynchronousTestCase):
    """Which sockets are spoken to."""

    def setUp(self):
        """A directory of ours with a socket in it."""
        self.directory = own_directory(self)
        self.path = self.directory / "control.socket"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.addCleanup(self.socket.close)

    def test_ours(self):
        """A socket of ours in a directory of ours is taken."""
        self.assertIsNone(check_owner(str(self.path)))

    def test_absent(self):
        """Without a socket, or without its directory, no node runs."""
        for path in (self.directory / "other", self.directory / "x" / "control.socket"):
            with self.assertRaises(Unavailable):
                check_owner(str(path))

    def test_no_socket(self):
        """A file is not spoken to, nor is a link to a socket: somebody may have put it there."""
        file, link = self.directory / "file", self.directory / "link"
        file.write_text("")
        link.symlink_to(self.path)
        for path in (file, link):
            with self.assertRaises(Forbidden):
                check_owner(str(path))

    def test_open_directory(self):
        """A directory that others may write to is not trusted."""
        for mode in (0o720, 0o702, 0o777):
            self.directory.chmod(mode)
            with self.assertRaises(Forbidden):
                check_owner(str(self.path))

    def test_not_ours(self):
        """A socket of somebody else is not spoken to."""
        with self.assertRaises(Forbidden):
            check_owner(str(self.path), user=os.geteuid() + 1)

    def test_no_entry(self):
        """A directory that we may not enter is not ours."""
        inner = self.directory / "inner"
        inner.mkdir()
        self.directory.chmod(0)
        self.addCleanup(self.directory.chmod, 0o700)
        with self.assertRaises((Forbidden, Unavailable)):
            check_owner(str(inner / "control.socket"))


class SocketTests(TestCase):
    """A node and a client in one process, joined by a real socket."""

    def setUp(self):
        """A directory of ours."""
        self.directory = own_directory(self)
        self.here = memory_filesystem(Clock(), max_file_size=LARGEST)

    def listen(self, directory: Path) -> HttpFilesystem:
        """A node on a socket in a directory, and a client of it."""
        made = control_resource(self.here, reactor=reactor, token=TOKEN, max_file_size=LARGEST)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, descriptor)
        site = control_site(made, reactor=reactor)
        port = reactor.listenUNIX(f"/proc/self/fd/{descriptor}/control.socket", site, mode=0o600)
        there = HttpFilesystem(reactor, directory / "control.socket", TOKEN)
        self.addCleanup(self.until, lambda: not site.channels)
        self.addCleanup(port.stopListening)
        self.addCleanup(made.stop)
        self.addCleanup(there.close)
        return there

    async def until(self, reached) -> None:
        """Let the reactor run until something is so."""
        while not reached():
            await deferLater(reactor, 0)

    async def test_there_and_back(self):
        """A file goes there and comes back."""
        there = self.listen(self.directory)
        entry = await there.put("a/ä", b"hello")
        self.assertEqual((await there.read("a/ä")).entry, entry)
        self.assertEqual(await there.get("a/ä"), b"hello")

    async def test_long_path(self):
        """The path of the socket may be longer than an address can be."""
        directory = self.directory.joinpath(*["x" * 60] * 4)
        directory.mkdir(parents=True, mode=0o700)
        self.assertGreater(len(str(directory)), LONGEST_ADDRESS)
        there = self.listen(directory)
        await there.put("a", b"x")
        opened = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            self.assertEqual(await there.get("a"), b"x")
        self.assertEqual(len(os.listdir("/proc/self/fd")), opened)

    async def test_largest_file(self):
        """The largest file goes there and comes back, and no copy of it is left behind."""
        there = self.listen(self.directory)
        body = os.urandom(1 << 20) * (LARGEST >> 20)
        await there.put("a", body)
        self.assertEqual(await there.get("a"), body)
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 1 << 20)

    async def test_too_large(self):
        """A file that is too large is told so although it was on its way, and the node goes on."""
        there = self.listen(self.directory)
        for _ in range(3):
            await self.assertFailure(there.put("a", b"x" * (LARGEST + 1)), TooLarge)

            async def endless():
                for _ in range(2 * LARGEST >> 16):
                    yield b"x" * 65536

            await self.assertFailure(there.put("a", endless()), TooLarge)
        await self.assertFailure(there.get("a"), NotFound)

    async def test_many(self):
        """Hundreds of puts at once."""
        there = self.listen(self.directory)
        await gatherResults([there.put(f"f{number}", b"%d" % number) for number in range(300)])
        self.assertEqual(len(await there.list("/")), 300)
        bodies = await gatherResults([there.get(f"f{number}") for number in range(300)])
        self.assertEqual(bodies, [b"%d" % number for number in range(300)])

    async def test_watch(self):
        """Events come over the socket."""
        there = self.listen(self.directory)
        heard = []
        stop = there.watch(heard.append)
        await there.put("a", b"x")
        await self.until(lambda: [event for event in heard if event.kind == "changed"])
        stop()
        self.assertEqual([event.entry.path for event in heard if event.entry is not None], ["a"])

    async def test_no_node(self):
        """A socket on which nobody listens: no node."""
        path = self.directory / "control.socket"
        with socket.socket(socket.AF_UNIX) as left_over:
            left_over.bind(str(path))
        there = HttpFilesystem(reactor, str(path), TOKEN)
        for _ in range(2):
            for act in (lambda: there.get("a"), lambda: there.put("a", b""), lambda: there.move("a", "b")):
                await self.assertFailure(act(), Unavailable)
            path.unlink(missing_ok=True)
        self.assertEqual((await there.status()).state, "stopped")
        await there.close()
