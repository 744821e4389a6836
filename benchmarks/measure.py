"""One measurement in this process; prints a line of JSON. Started by ``benchmarks.ours`` with a :class:`Task`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self

from twisted.internet import task
from twisted.internet.defer import Deferred, gatherResults

from benchmarks.ground import KEY, path_of
from benchmarks.link import Control
from benchmarks.ours import Task
from benchmarks.watchdog import Watch
from ifap_twisted.cli.options import Options
from ifap_twisted.cli.printing import Console
from ifap_twisted.cli.remote import RemoteName
from ifap_twisted.cli.session import Session
from ifap_twisted.cli.uploading import Upload, Wishes
from ifap_twisted.clocks import count_steadily
from ifap_twisted.garbage import care_for_program
from ifap_twisted.service import connect
from ifap_twisted.workers import ThreadWorker

Result = dict[str, Any]


class Timed:
    """A block that is measured; what was seen goes into ``found``."""

    def __init__(self, watch: Watch, control: Control | None) -> None:
        self.found: Result = {}
        self._watch = watch
        self._control = control
        self._before: dict[str, int] = {}
        self._began = self._cpu = 0.0

    def __enter__(self) -> Self:
        self._before = self._control.ask() if self._control else {}
        self._watch.begin()
        self._began, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_error: object) -> None:
        self.found["seconds"] = time.perf_counter() - self._began
        self.found["cpu"] = time.process_time() - self._cpu
        self.found |= self._watch.end()
        if self._control:
            counts = self._control.ask()
            since = max(self._before["told"], counts["login"])
            self.found["round_trips"] = counts["told"] - since
            self.found["all_round_trips"] = counts["told"] - self._before["told"]
            self.found["connections"] = counts["connections"] - self._before["connections"]


class Measurement:
    """What the measurements share: the reactor, the watch, the account."""

    def __init__(self, reactor: Any, wanted: Task) -> None:
        self.reactor = reactor
        self.wanted = wanted
        self.control = Control(wanted.control) if wanted.control else None
        self._watch = Watch(reactor, profile=wanted.profile)

    def timed(self) -> Timed:
        """For a ``with``."""
        return Timed(self._watch, self.control)

    async def opened(self) -> Any:
        """The folder; with a basedir when the task has one."""
        account = self.wanted.account
        return await connect(
            self.reactor,
            account.url,
            folder=self.wanted.folder,
            password=account.password,
            key=KEY,
            basedir=self.wanted.basedir,
        )

    # The works

    async def put_tree(self) -> Result:
        """What ``ifap put -r`` does once the folder is open: files of a local tree, with their directories."""
        filesystem = await self.opened()
        worker = ThreadWorker(self.reactor, threads=4)
        session = Session(Options(), Console(verbosity=-1), worker, self.reactor)
        upload = Upload(filesystem, session, Wishes(recursive=True))
        with self.timed() as timed:
            await upload.run([f"{self.wanted.tree}/"], RemoteName("tree", slash=True))
        worker.stop()
        assert (upload.new, upload.failures) == (self.wanted.count, 0), (upload.new, upload.failures)
        await filesystem.close()
        return timed.found

    async def put(self) -> Result:
        """So many puts at once, by a program."""
        filesystem = await self.opened()
        files = sorted(path for path in Path(self.wanted.tree).rglob("*") if path.is_file())
        contents = [(path.name, path.read_bytes()) for path in files[: self.wanted.count]]
        with self.timed() as timed:
            await gatherResults([filesystem.put(f"dir/{name}", data) for name, data in contents])
        await filesystem.close()
        return timed.found

    async def get(self) -> Result:
        """Read so many files at once, each once."""
        filesystem = await self.opened()
        with self.timed() as timed:
            await gatherResults([filesystem.get(path_of(number)) for number in range(self.wanted.count)])
        await filesystem.close()
        return timed.found

    async def open(self) -> Result:
        """From nothing to an open folder: connecting and logging in, reading all headers."""
        with self.timed() as timed:
            filesystem = await self.opened()
        await filesystem.close()
        return timed.found

    async def refresh(self) -> Result:
        """Look for news when there are none, on the open connection."""
        filesystem = await self.opened()
        await filesystem.refresh()
        with self.timed() as timed:
            await filesystem.refresh()
        await filesystem.close()
        return timed.found

    async def reconnect(self) -> Result:
        """The same after all connections have ended."""
        filesystem = await self.opened()
        await filesystem.refresh()
        assert self.control is not None
        with self.timed() as timed:
            self.control.ask("cut")
            await filesystem.refresh()
        await filesystem.close()
        return timed.found

    async def list(self) -> Result:
        """All entries of an open folder, as ``ls -R`` asks for them."""
        filesystem = await self.opened()
        with self.timed() as timed:
            entries = await filesystem.list("/", recursive=True)
        assert sum(entry.type == "file" for entry in entries) == self.wanted.count
        await filesystem.close()
        return timed.found

    async def put_one(self) -> Result:
        """One file into an open folder that may hold many: the median of some."""
        filesystem = await self.opened()
        seconds = []
        with self.timed() as timed:
            for number in range(9):
                began = time.perf_counter()
                await filesystem.put(f"new/file{number}", b"x" * 4096)
                seconds.append(time.perf_counter() - began)
        await filesystem.close()
        return timed.found | {"seconds": sorted(seconds)[4]}

    async def snapshot(self) -> Result:
        """Write a snapshot."""
        filesystem = await self.opened()
        with self.timed() as timed:
            await filesystem.snapshot()
        await filesystem.close()
        return timed.found


WORKS: dict[str, Callable[[Measurement], Coroutine[Deferred[Any], Any, Result]]] = {
    "put_tree": Measurement.put_tree,
    "put": Measurement.put,
    "get": Measurement.get,
    "open": Measurement.open,
    "refresh": Measurement.refresh,
    "reconnect": Measurement.reconnect,
    "list": Measurement.list,
    "put_one": Measurement.put_one,
    "snapshot": Measurement.snapshot,
}


async def main(reactor: Any) -> None:
    """Measure and print."""
    wanted = Task.from_json(sys.argv[1])
    count_steadily(reactor)
    care_for_program()  # as the programs do for which this stands
    print(json.dumps(await WORKS[wanted.work](Measurement(reactor, wanted))))


if __name__ == "__main__":
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
