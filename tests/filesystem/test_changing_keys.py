"""Devices that change the key, are cut, see nothing of each other, write and collect, in any order (FORMAT 8.5).

After each step every device that sees the folder, and whoever has one of its keys alone, reads everything that was
written, without an alarm.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Coroutine
from dataclasses import replace
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import FolderState
from ifap_twisted.errors import NotFound, StoreError, Unavailable
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.store.memory import MemoryStore
from tests.filesystem.folders import KEY, Folder, result
from tests.filesystem.test_rekeying import Disk

NAMES = "ABC"
STEPS = {"put": 6, "remove": 1, "rekey": 4, "cut": 4, "collect": 4, "days": 2, "renumber": 2, "crash": 2, "blind": 3}
WAITING = 30


class Session(MemoryStore):
    """Is cut after some calls, and may see nothing of what others store from some moment on.

    :ivar left: calls until then. :ivar seen: the messages that are shown; None: all.
    """

    left = 10**9
    seen: set[bytes] | None = None

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Unavailable("The connection was lost.")

    def _range(self, first: int, last: int | None) -> list[tuple[int, bytes]]:
        return [one for one in super()._range(first, last) if self.seen is None or one[1] in self.seen]

    def _state(self) -> FolderState:
        shown = sum(self.seen is None or one in self.seen for one in self.shelf.messages.values())
        return replace(super()._state(), exists=shown)

    def append(self, message: bytes) -> Any:
        self._step()
        if self.seen is not None:
            self.seen.add(message)
        return super().append(message)

    def message(self, uid: int) -> Any:
        self._step()
        return super().message(uid)

    def headers(self, first: int, last: int | None = None) -> Any:
        self._step()
        return super().headers(first, last)

    def remove(self, *arguments: Any, **more: Any) -> Any:
        self._step()
        return super().remove(*arguments, **more)


class Device:
    """One that writes files of its own."""

    def __init__(self, folder: Folder, name: str) -> None:
        self.folder = folder
        self.name = name
        self.disk = Disk(Membership(keys=(KEY,)))
        self.identity = MemoryWriter(folder.random)
        self.open(None)

    def open(self, seen: set[bytes] | None) -> None:
        self.store = Session(self.folder.shelf, clock=self.folder.clock)
        self.store.seen = seen
        self.opened = result(
            self.folder.opening(
                self.disk.membership, store=self.store, remember=self.disk.remember, identity=self.identity
            )
        )
        self.fs: Filesystem = self.opened.filesystem

    def crash(self) -> None:
        self.store.left = 10**9
        result(self.fs.close())
        self.open(self.store.seen)


class World:
    """A folder, its devices, and what has to be in it."""

    def __init__(self, choices: random.Random) -> None:
        self.random = choices
        self.folder = Folder(seed=choices.randrange(10**6))
        self.devices = [Device(self.folder, name) for name in NAMES]
        self.files: dict[str, bytes | None] = {}
        for device in self.devices:
            self.put(device)

    def step(self) -> None:
        """Something happens to a device."""
        device = self.random.choice(self.devices)
        (step,) = self.random.choices(list(STEPS), list(STEPS.values()))
        getattr(self, step)(device)

    def put(self, device: Device) -> None:
        path, content = device.name + str(self.random.randrange(3)), self.random.randbytes(4)
        result(device.fs.put(path, content))
        self.files[path] = content

    def remove(self, device: Device) -> None:
        mine = [path for path, content in self.files.items() if path[0] == device.name and content is not None]
        for path in mine[:1]:
            result(device.fs.remove(path))
            self.files[path] = None

    def rekey(self, device: Device) -> None:
        self.run(device.opened.rekeying.run())

    def cut(self, device: Device) -> None:
        device.store.left = self.random.randrange(60)
        work = device.opened.rekeying.run() if self.random.random() < 0.7 else device.fs.collect()
        try:
            self.run(work)
        except StoreError:
            pass
        finally:
            device.crash()

    def run(self, work: Coroutine[Any, Any, Any] | Deferred[Any]) -> None:
        running = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
        if not running.called:
            self.folder.clock.pump([10.0] * WAITING)
        result(running)

    def collect(self, device: Device) -> None:
        result(device.fs.collect())

    def days(self, _device: Device) -> None:
        self.folder.clock.advance(8 * 86400)

    def renumber(self, _device: Device) -> None:
        order = list(self.folder.shelf.messages)
        self.random.shuffle(order)
        self.folder.shelf.renumber(order)

    def crash(self, device: Device) -> None:
        device.crash()

    def blind(self, device: Device) -> None:
        """It sees what others do, or not; one at a time."""
        if device.store.seen is not None:
            device.store.seen = None
            device.fs.desk.view.freshness.compare = True
        elif all(one.store.seen is None for one in self.devices):
            result(device.fs.refresh())
            device.store.seen = set(self.folder.shelf.messages.values())

    # Looking

    def check(self) -> None:
        keys: set[Key] = {KEY}
        for device in self.devices:
            if device.store.seen is None:
                result(device.fs.refresh())
                self.read(device.fs)
                told = {one.code for one in result(device.fs.status()).warnings}
                assert told <= {"rekeying"}, (device.name, told)
                keys.add(device.fs.desk.view.keys[0])
        self.alone(keys)

    def alone(self, keys: Collection[Key]) -> None:
        """Whoever has just one of these keys."""
        for key in sorted(keys, key=lambda one: one.fingerprint):
            fs = self.folder.device(Membership(keys=(key,)))
            self.read(fs)
            result(fs.close())

    def read(self, fs: Filesystem) -> None:
        found: dict[str, bytes | None] = {}
        for path in self.files:
            try:
                found[path] = result(fs.get(path))
            except NotFound:
                found[path] = None
        assert found == self.files, (found, self.files)
        assert not result(fs.conflicts())


class ChangingKeysTests(SynchronousTestCase):
    """In any order."""

    @settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
    @given(st.randoms(use_true_random=False))
    def test_everybody_reads_everything(self, choices: random.Random) -> None:
        """Whatever was written is read by all that see the folder, and nobody is alarmed."""
        world = World(choices)
        for _ in range(20):
            world.step()
            world.check()
