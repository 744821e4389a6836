"""A check finds every kind of damage, a repair loses nothing, and a second check shows what is left (bar R23).

Each kind of damage alone, and each pair of kinds, in files of their own and in one file. What is missing is decided by
a person, as the finding says: then nothing is left of it either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations_with_replacement
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.findings import DAMAGE, Checkup
from ifap_twisted.core.values import Draft
from ifap_twisted.errors import IFAPError
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.testing import reference_writer
from tests.filesystem.folders import KEY, START, Folder, result
from tests.filesystem.machines import Machine

WRITER: Final = "zzzzzz"


class World:
    """A folder with two versions of each of some files, and a machine that has seen them all."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.folder = Folder()
        self.shelf = self.folder.shelf
        self.machine = Machine(self.folder)
        self.other = self.folder.device()
        self.old: dict[str, int] = {}
        self.new: dict[str, int] = {}
        for name in names:
            self.old[name] = self.put(name, b"old " + name.encode())
            self.new[name] = self.put(name, b"new " + name.encode())
        result(self.other.snapshot())
        self.snapshot = self.shelf.uidnext - 1
        self.machine.look(700.0)

    def put(self, path: str, content: bytes) -> int:
        """The other device stores a version; its UID."""
        result(self.other.put(path, content))
        return self.shelf.uidnext - 1

    def version(self, uid: int) -> Any:
        """What a message says of itself."""
        head = self.shelf.messages[uid].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        return envelope.read_header(head, dialect=IFAP, keys=(KEY,), home=None)

    def sealed(self, content: bytes = b"c", **changes: Any) -> bytes:
        """A message that a device of this folder could have written."""
        home = next(self.version(uid).home for uid in self.shelf.messages)
        values = {"path": "x", "vid": "c" * 22, "writer": WRITER, "clock": {WRITER: 1}, "modified": START}
        draft = Draft(**{**values, "home": home, **changes})
        return envelope.seal(draft, content, dialect=IFAP, key=KEY, now=START, random=self.folder.random).message

    def drop(self, uid: int) -> None:
        """The server loses a message."""
        if uid in self.shelf.messages:
            self.shelf.forget(uid)

    def cut(self, uid: int) -> None:
        """The server loses the end of a message."""
        if uid in self.shelf.messages:
            self.shelf.tamper(uid, self.shelf.messages[uid][:-100])

    def body_of(self, uid: int, other: int) -> bytes:
        """The head of one message, and the body of another one."""
        head, body = (self.shelf.messages[one].split(b"\r\n\r\n", 1)[side] for one, side in ((uid, 0), (other, 1)))
        return head + b"\r\n\r\n" + body

    def flipped(self, uid: int) -> bytes:
        """A message with one character of its header changed."""
        message = bytearray(self.shelf.messages[uid])
        at = message.index(b"\r\n\r\n") // 2
        message[at] = ord("A") if message[at] != ord("A") else ord("B")
        return bytes(message)

    def check(self, device: Filesystem, *, repair: bool = False) -> Checkup:
        """Look at everything."""
        found: Checkup = result(device.check(read_data=100, repair=repair))
        return found


# ---------------------------------------------------------------- the kinds of damage, each done to one file


def missing(world: World, name: str) -> None:
    """The newest version is gone."""
    world.drop(world.new[name])


def missing_old(world: World, name: str) -> None:
    """A replaced version is gone: nothing that is current depends on it."""
    world.drop(world.old[name])


def cut(world: World, name: str) -> None:
    """The end of the newest version was cut off."""
    world.cut(world.new[name])


def cut_old(world: World, name: str) -> None:
    """The end of a replaced version was cut off."""
    world.cut(world.old[name])


def header(world: World, name: str) -> None:
    """The header of the newest version was damaged."""
    uid = world.new[name]
    if uid in world.shelf.messages:
        world.shelf.tamper(uid, world.flipped(uid))


def doubled(world: World, name: str) -> None:
    """The newest version was stored twice."""
    if world.new[name] in world.shelf.messages:
        world.shelf.add(world.shelf.messages[world.new[name]])


def doubled_cut(world: World, name: str) -> None:
    """It was stored twice, and one of them is damaged."""
    doubled(world, name)
    cut(world, name)


def mislabelled(world: World, name: str) -> None:
    """The newest version has the body of the version before."""
    new, old = world.new[name], world.old[name]
    if {new, old} <= world.shelf.messages.keys():
        world.shelf.tamper(new, world.body_of(new, old))


def collided(world: World, name: str) -> None:
    """Another file has the id of this one's newest version."""
    if world.new[name] in world.shelf.messages:
        try:
            vid = world.version(world.new[name]).vid
        except IFAPError:
            return  # its header is damaged
        world.shelf.add(world.sealed(path=f"twin of {name}", vid=vid, clock={WRITER: 7}))


def snapshot_bad(world: World, _name: str) -> None:
    """The snapshot is none."""
    result(Deferred.fromCoroutine(world.other.desk.writer.write(IFAP.snapshot_path, b"nonsense", Change())))


def snapshot_cut(world: World, _name: str) -> None:
    """The message of the snapshot is damaged."""
    world.cut(world.snapshot)


def clock_odd(world: World, name: str) -> None:
    """A cloned device wrote two versions under one number."""
    for number in range(2):
        vid = (f"{number}{name}" + "c" * 22)[:22]
        world.shelf.add(world.sealed(path=f"odd {number} {name}", vid=vid, clock={WRITER: 100}))


def injected(world: World, _name: str) -> None:
    """Messages that nobody of this folder wrote."""
    world.shelf.add(reference_writer.encode("p", b"plain"))
    world.shelf.add(reference_writer.encode("f", b"foreign", key="another key"))
    world.shelf.add(world.sealed(path="h", home="x" * 8))


def folder_object(world: World, _name: str) -> None:
    """The object that says which folder this is, is damaged."""
    for uid in list(world.shelf.messages):
        try:
            path = world.version(uid).path
        except IFAPError:
            continue
        if path.startswith("IFAP/keys/folder-"):
            world.cut(uid)


KINDS: Final[dict[Callable[[World, str], None], set[str]]] = {
    missing: {"rolled-back"},
    missing_old: set(),
    cut: {"truncated"},
    cut_old: {"truncated"},
    header: {"tampered"},
    doubled: {"doubled"},
    doubled_cut: {"truncated"},
    mislabelled: {"spliced"},
    collided: {"vid-collision"},
    snapshot_bad: {"snapshot-corrupt"},
    snapshot_cut: {"truncated"},
    clock_odd: {"number-used-twice"},
    injected: {"foreign-folder", "foreign-key", "plaintext"},
    folder_object: {"folder-object"},
}
"""What a check says of each, on a device that had seen the folder whole."""


class RepairTests(SynchronousTestCase):
    """Each kind alone, and all pairs."""

    def judged(self, world: World, expected: set[str]) -> None:
        """Check, mend, check again, decide what is left to a person, and check once more."""
        device = world.machine.start()
        readable = self.readable(world)
        before = dict(world.shelf.messages)
        found = world.check(device)
        self.assertEqual(dict(world.shelf.messages), before, "looking changes nothing")
        self.assertLessEqual(expected, {one.code for one in found.findings})
        told = {(one.code, one.path, one.version) for one in found.findings if one.remedy}
        mended = world.check(device, repair=True)
        done = {(one.code, one.path, one.version) for one in mended.findings if one.mended}
        self.assertEqual(done, told, "what was said is what was done")
        self.assertEqual({uid: world.shelf.messages[uid] for uid in before}, before, "nothing was removed or changed")
        for _ in range(2):  # also after a restart
            left = world.check(device)
            result(device.close())
            device = world.machine.start()
            self.assertEqual([one.text for one in left.findings if one.remedy], [])
            damage = {one.path for one in left.findings if one.severity == DAMAGE}
            self.assertLessEqual(damage, {one.path for one in mended.findings if not one.mended})
        self.assertEqual(readable - self.readable(world), set(), "what could be read can be read")
        self.assert_usable(world, damage)
        self.assert_decided(world, damage)

    def readable(self, world: World) -> set[tuple[str, bytes]]:
        """The contents of all versions that can be read, by a device that knows nothing but whose folder it is."""
        found = set()
        device = world.folder.device(world.machine.membership)
        for entry in result(device.list("/", recursive=True)):
            for version in result(device.versions(entry.path)):
                try:
                    found.add((entry.path, result(device.get(entry.path, version=version.version))))
                except IFAPError:
                    continue
        result(device.close())
        return found

    def assert_usable(self, world: World, damage: set[str | None]) -> None:
        """A new device can join, and each file that no finding is about has one of its contents."""
        result(world.folder.device().close())
        device = world.machine.start()
        for name in world.new:
            if name not in damage:
                content = result(device.get(name))
                self.assertIn(content, {b"old " + name.encode(), b"new " + name.encode()})
        result(device.close())

    def assert_decided(self, world: World, damage: set[str | None]) -> None:
        """A person decides what is left, as the findings say; then nothing is."""
        device = world.machine.start()
        for path in damage:
            self.assertIsNotNone(path)
            result(device.put(path, b"decided"))
        world.check(device, repair=True)
        self.assertEqual([one for one in world.check(device).findings if one.severity == DAMAGE], [])
        result(device.close())

    @contextmanager
    def named(self, what: str) -> Iterator[None]:
        """Say of a failure which world it was."""
        try:
            yield
        except Exception as failure:
            failure.add_note(what)
            raise

    def test_each_alone(self) -> None:
        """Of each kind everything is found, and nothing is lost by mending it."""
        for kind, expected in KINDS.items():
            world = World(("a", "b"))
            kind(world, "a")
            with self.named(kind.__name__):
                self.judged(world, expected)

    def test_all_pairs(self) -> None:
        """Two kinds at once, in two files and in one."""
        worlds = 0
        for first, second in combinations_with_replacement(KINDS, 2):
            for names in [("a", "b")] + [("a", "a")] * (first is not second):
                world = World(("a", "b"))
                first(world, names[0])
                second(world, names[1])
                expected = KINDS[first] | KINDS[second] if names[0] != names[1] else set()
                with self.named(f"{first.__name__} {names[0]}, {second.__name__} {names[1]}"):
                    self.judged(world, expected)
                worlds += 1
        print(f"\n{len(KINDS)} kinds of damage, {worlds} pairs: all found, nothing lost, what is left is told")
