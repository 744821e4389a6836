"""A folder in which devices work while things go wrong, and its rests, at which everything has to be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater

from ifap_twisted import connect
from ifap_twisted.core import limits, paths
from ifap_twisted.core.checkpoints import CHECKPOINTS, redundant
from ifap_twisted.core.index import Index
from ifap_twisted.errors import StoreError
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.interfaces import IFilesystem
from tests.campaigns.cutting import DOWN, FIN, RST, UP, Cut, CuttingProxy
from tests.campaigns.ground import KEY
from tests.campaigns.lanes import Lane
from tests.campaigns.reference import unlike_reference
from tests.campaigns.servers import Servers
from tests.live.servers import fresh_folder
from tests.messages import anything

DEVICES = 3
LANES = 2
"""Of each device."""
KEPT = 3
"""Versions of a file that are not expunged."""
BETWEEN = (0.1, 1.5)
"""Seconds between two faults."""
AWAY = 0.3
"""Seconds for which our own server is stopped."""
CUT_WITHIN = 60_000
"""Bytes."""
FETCHED = {"embedded": b"UID FETCH completed", "dovecot": b"Fetch completed"}
"""How each server ends its answer to a FETCH."""
AGAIN = 3
"""Rounds after which one device is started again; the others run on, so that what they hold on to is seen."""
REST_SECONDS = 180
"""In which everything that was begun has ended."""


def unbounded(index: Index) -> Iterator[str]:
    """What of the memory for each path exceeds its bound: versions that are gone, clocks (FORMAT 3.6)."""
    for path, history in index.histories().items():
        gone = index.gone(path)
        if len(gone) > limits.GONE_KEPT + len(history.heads):
            yield f"{len(gone)} versions of {path} are remembered that are gone"
        longest = max(len(version.clock) for version in (*gone, *(placed.version for placed in history.versions)))
        if longest > limits.CLOCK_ENTRIES + KEPT:
            yield f"a clock of {path} has {longest} entries"


class Device:
    """One of a user's: a basedir and the filesystem over it.

    :param basedir: None: nothing is kept.
    """

    def __init__(self, world: World, basedir: Path | None) -> None:
        self._world = world
        self._basedir = basedir
        self.filesystem: Any = None

    async def start(self) -> IFilesystem:
        """Open the folder."""
        self.filesystem = await self._world.connected(self._basedir)
        found: IFilesystem = self.filesystem
        return found

    async def again(self) -> None:
        """Close it, and open it anew."""
        await self.filesystem.close()
        await self.start()

    @property
    def opened(self) -> Filesystem:
        """The filesystem itself."""
        opened = self.filesystem._service.opened
        assert isinstance(opened, Filesystem)
        return opened

    async def is_at_rest(self) -> bool:
        """Whether it is connected and nothing is left to be done."""
        status = await self.filesystem.status()
        return status.state == "connected" and not status.pending and self.opened.idle

    async def contents(self) -> dict[str, bytes]:
        """All files."""
        entries = await self.filesystem.list("/", recursive=True)
        return {entry.path: await self.filesystem.get(entry.path) for entry in entries if entry.type == "file"}


class World:
    """A server, a folder of it, a proxy, and devices with their lanes.

    :param clock: the reactor of the devices.
    """

    def __init__(self, name: str, servers: Servers, clock: Any, base: Path, random: Random) -> None:
        self.name = name
        self.lanes: list[Lane] = []
        self._servers = servers
        self._clock = clock
        self._base = base
        self._random = random
        self._folder = fresh_folder()
        self._faults: Counter[str] = Counter()
        self._devices = [Device(self, base / str(number)) for number in range(DEVICES)]
        self._login = ("", "")
        self._rounds = 0
        self._working = False
        self.proxy: Any = None

    async def start(self) -> None:
        """Open the folder on every device."""
        self._base.mkdir(0o700)
        endpoint, *self._login = await self._servers.endpoint(self.name)  # type: ignore[assignment]
        self.proxy = CuttingProxy(endpoint)
        for number, device in enumerate(self._devices):
            await device.start()
            self.lanes += [
                Lane(
                    f"d{number}-{lane}", lambda device=device: device.filesystem, Random(self._random.random()), reactor
                )  # type: ignore[misc]
                for lane in range(LANES)
            ]

    async def stop(self) -> None:
        """Close everything."""
        self._working = False
        if self.proxy is not None:
            self.proxy.still()
        for device in self._devices:
            if device.filesystem is not None:
                await device.filesystem.close()
        if self.proxy is not None:
            await self.proxy.stop()

    async def connected(self, basedir: Path | None) -> IFilesystem:
        """A filesystem on the folder."""
        user, secret = self._login
        return await connect(
            self._clock,
            f"imap://{user}@127.0.0.1",
            folder=self._folder,
            password=secret,
            key=KEY.text,
            endpoint=TCP4ClientEndpoint(reactor, "127.0.0.1", self.proxy.port),
            basedir=basedir,
        )

    def taken_done(self) -> Counter[str]:
        """What the lanes did since the last time."""
        done: Counter[str] = Counter()
        for lane in self.lanes:
            done += lane.done
            lane.done.clear()
        return done

    def taken_faults(self) -> Counter[str]:
        """What went wrong since the last time."""
        faults, self._faults = self._faults, Counter()
        return faults

    # Work

    async def work(self, each: int) -> None:
        """Let every lane do so much, with faults."""
        self._working = True
        troubling = Deferred.fromCoroutine(self._trouble())
        try:
            await gatherResults([Deferred.fromCoroutine(lane.work(each)) for lane in self.lanes], consumeErrors=True)
        finally:
            self._working = False
            await troubling

    async def _trouble(self) -> None:
        while self._working:
            await self._fault()
            await deferLater(reactor, self._random.uniform(*BETWEEN))
        self.proxy.still()

    async def _fault(self) -> None:
        kinds = ["cut", "cut", "cut", "drop", "append refused", "fetch refused"]
        kind = self._random.choice([*kinds, "server restarted"] if self.name == "embedded" else kinds)
        self._faults[f"{self.name} {kind}"] += 1
        folder = self._folder.encode()
        match kind:
            case "cut":
                direction, how = self._random.choice((UP, DOWN)), self._random.choice((FIN, RST))
                self.proxy.arm(Cut(direction, self._random.randint(1, CUT_WITHIN), how))
            case "drop":
                self.proxy.drop()
            case "append refused":
                self.proxy.change(UP, b'APPEND "' + folder, b'APPEND "' + b"x" * len(folder))
            case "fetch refused":
                self.proxy.change(DOWN, b" OK " + FETCHED[self.name], b" NO " + FETCHED[self.name])
            case "server restarted":
                await self._servers.pause()
                await deferLater(reactor, AWAY)
                await self._servers.start()

    # Rest

    async def rest(self) -> list[str]:
        """Wait until nothing is left to be done, and see that everything is right."""
        self._rounds += 1
        for device in self._devices:
            if not await self._at_rest(device):
                return [f"{self.name}: {await device.filesystem.status()} does not come to rest"]
        if self._rounds % AGAIN == 0:
            await self._devices[0].again()
        await self._resolve()
        for device in self._devices:
            await device.filesystem.refresh()
        wrong = await self._judged()
        await self._prune()
        return [f"{self.name}: {what}" for what in wrong]

    async def _at_rest(self, device: Device) -> bool:
        for _ in range(REST_SECONDS * 10):
            if await device.is_at_rest():
                return True
            try:
                await device.filesystem.refresh()
            except StoreError:
                self._faults[f"{self.name} not there yet"] += 1
            await deferLater(reactor, 0.1)
        return False

    async def _resolve(self) -> None:
        """End all conflicts; only the files that several write have any."""
        files = self._devices[0].filesystem
        await files.refresh()
        heads = await files.conflicts()
        for path, version in {entry.path: entry.version for entry in heads}.items():
            await files.resolve(path, version=version)

    async def _judged(self) -> list[str]:
        fresh = Device(self, None)
        files = await fresh.start()
        wrong: list[str] = []
        try:
            contents = await fresh.contents()
            for lane in self.lanes:
                for path in lane.known:
                    lane.found(path, contents.get(path))
                wrong += lane.wrong
            shown = await files.list("/", recursive=True)
            for number, device in enumerate(self._devices):
                if await device.filesystem.list("/", recursive=True) != shown:
                    wrong.append(f"device {number} does not show what a fresh one shows")
                wrong += [f"device {number}: {what}" for what in unbounded(device.opened.desk.view.index)]
            wrong += [f"{entry.path} is in conflict" for entry in await files.conflicts()]
            store = fresh.filesystem._service.store
            messages = {uid: await store.message(uid) for uid in await store.uids(1)}
        finally:
            await files.close()
        return [*wrong, *unlike_reference(messages, KEY.text, contents)]

    async def _prune(self) -> None:
        """Expunge the versions that nobody needs, oldest first, as a reference program does (WIRE-FORMAT 5.2).

        And the checkpoints of which others say all, as a collection does when a grace is over that is not waited for.
        """
        index, objects = self._devices[0].opened.desk.view.index, self._devices[0].opened.desk.objects
        await objects.read_checkpoints()
        repeated = set(
            redundant(objects.checkpoints(), max((one.written for one in objects.checkpoints()), default=0.0))
        )
        old = [uid for one in index.objects(CHECKPOINTS) if one.version.vid in repeated for uid in one.places]
        old += [
            uid
            for path, history in index.histories().items()
            if not paths.is_reserved(path) or path == "IFAP/metadata"
            for placed in history.versions[:-KEPT]
            if placed not in history.heads
            for uid in placed.places
        ]
        if old:
            await self._devices[0].filesystem._service.store.remove(old, index.validity, anything)
        for device in self._devices:
            await device.filesystem.refresh()
