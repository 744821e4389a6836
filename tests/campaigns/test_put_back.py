"""The files of the embedded server are put back from a backup while a device works with it (docs/backup.rst)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from ifap_twisted.errors import LeaseLost
from ifap_twisted.filesystem.filesystem import Filesystem
from tests.campaigns.servers import Client, Servers


class PutBackTests(TestCase):
    """The real client and the real server, on files."""

    async def setUp(self) -> None:
        """Start the server; a device writes a file, and the backup is made."""
        self.servers = Servers()
        self.addCleanup(self.servers.stop)
        self.where = await self.servers.endpoint("embedded")
        base = self.servers._base
        assert base is not None
        self.base, self.backup = base, Path(self.mktemp())
        self.node = Client(reactor, *self.where, "F")
        self.device = await self.opened(self.node)
        self.node.hurry()
        await self.device.put("a", b"1")
        await self.servers.pause()
        shutil.copytree(self.base, self.backup)
        await self.servers.start()
        await self.reconnected()

    async def opened(self, client: Client) -> Filesystem:
        """The filesystem of a client."""
        filesystem = await client.open("device")
        self.addCleanup(filesystem.close)
        return filesystem

    async def another(self) -> Filesystem:
        """The filesystem of a device that knew nothing before."""
        return await self.opened(Client(reactor, *self.where, "F"))

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait up to 30 seconds for something that happens by itself."""
        for _turn in range(3000):
            if true():
                return
            await deferLater(reactor, 0.01)
        raise AssertionError("It did not happen within 30 seconds.")

    async def reconnected(self) -> None:
        """The device is connected again, and has read what is there."""
        await self.until(lambda: self.device.desk.view.state == "connected")
        await self.device.refresh()

    async def put_back(self) -> None:
        """Stop the server, put its files back, and start it."""
        await self.servers.pause()
        for path in self.base.glob("embedded.sqlite*"):
            path.unlink()
        for path in self.backup.glob("embedded.sqlite*"):
            shutil.copy(path, self.base / path.name)
        await self.servers.start()

    async def test_a_file_at_the_number_of_a_lock(self) -> None:
        """Nothing that is acknowledged after that is removed by ending a lock from before it, or hidden."""
        await self.device.lock("a", seconds=3600)
        await self.put_back()
        await (await self.another()).put("e", b"the only copy")
        await self.reconnected()
        self.assertEqual([entry.path for entry in await self.device.list("/")], ["a", "e"])
        with self.assertRaises(LeaseLost):
            await self.device.unlock("a")
        fresh = await self.another()
        for filesystem in (self.device, fresh):
            self.assertEqual((await filesystem.get("a"), await filesystem.get("e")), (b"1", b"the only copy"))
