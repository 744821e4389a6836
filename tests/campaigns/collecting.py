"""``python -m tests.campaigns.collecting``: collections race with everything else, and an umpire judges (bar R15).

Some devices and a reference program share one shelf in memory. Every call to it is held, and let go in an order that a
seed decides, so that puts, removals, restores, moves, locks, changes of how much is kept, and collections meet in all
ways. Devices die in the middle, answers are lost, calls fail, messages come late, twice, or once more after they were
collected, the folder is renumbered, and days and years go by. An umpire that shares nothing with the collector but the
decoding of messages looks at the shelf at each call that removes, before it is let through. Exit status: 1 when a rule
was broken.
"""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.core import envelope, paths
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.leases import PREFIX as LOCKS
from ifap_twisted.core.plans import PLANS, Plan
from ifap_twisted.core.records import RECORDS, Record
from ifap_twisted.core.values import Version
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import IFAPError, Unavailable
from ifap_twisted.filesystem import expunging
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.headers import metadata_fields
from ifap_twisted.store.memory import Fate, MemoryStore
from ifap_twisted.testing.ancestry import Family
from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.campaigns.holders import Holders
from tests.campaigns.reference import unlike_reference
from tests.campaigns.seeded import command
from tests.filesystem.folders import KEY, Folder, result
from tests.messages import mail

DAY = 86400.0
GRACE = 2 * DAY
NAMES = ("a", "b", "d/c", "e")
CHANGES = ("remove", "undelete", "restore", "keep", "move", "unlock")
BUSY = (*["put"] * 6, *CHANGES, *["lock"] * 2, *["collect"] * 5)
FADING = ("put", "remove", "remove", "remove", "undelete", "move", *["collect"] * 16)
"""How it goes on: most is removed, years go by, and the end of a file is reached (FORMAT 5.1)."""
YEAR = 365 * DAY
EXPUNGING = expunging.__file__
"""Removals from here are a collector's; the others take back what a device wrote itself (FORMAT 4.4)."""


class Loose:
    """A gate that holds every call; whoever has it lets them go."""

    def __init__(self) -> None:
        self.held: list[Deferred[None]] = []
        self.open = True

    def __call__(self, _method: str) -> Deferred[None]:
        """Hold a call, unless it is open."""
        held: Deferred[None] = Deferred(self._forget)
        if self.open:
            held.callback(None)
        else:
            self.held.append(held)
        return held

    def _forget(self, held: Deferred[None]) -> None:
        self.held = [one for one in self.held if one is not held]


@dataclass(slots=True)
class Device:
    """One device: its session, its gate, the locks that it was given, and what it was asked for and has not ended."""

    store: MemoryStore
    gate: Loose
    filesystem: Filesystem
    names: set[str]
    locks: dict[str, str] = field(default_factory=dict)
    works: list[Deferred[Any]] = field(default_factory=list)
    dead: bool = False


@dataclass(slots=True)
class Tally:
    """What was covered, and what was wrong."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Named(MemoryWriter):
    """The identity of a device that knows all the names it ever had."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        super().__init__(random)
        self.names = {self.writer}

    @deferred
    async def renew(self) -> None:
        """Draw another name."""
        await super().renew()
        self.names.add(self.writer)


class Umpire:
    """Looks at each removal by a collector before it is let through."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._decoded: dict[bytes, Version | None] = {}

    def version(self, message: bytes) -> Version | None:
        """What a message says; None for what is no version."""
        if message not in self._decoded:
            fields = metadata_fields(message)
            try:
                found = envelope.read_header(fields, dialect=IFAP, keys=[KEY], home=None)
            except IFAPError:
                self._decoded[message] = None
            else:
                self._decoded[message] = found
        return self._decoded[message]

    def shelf(self) -> dict[int, Version]:
        """All versions that are there."""
        messages = self._world.folder.shelf.messages
        return {uid: found for uid in messages if (found := self.version(messages[uid])) is not None}

    def objects(self, kind: str) -> dict[int, bytes]:
        """The contents of the objects below a name."""
        messages = self._world.folder.shelf.messages
        return {
            uid: envelope.read_message(messages[uid], dialect=IFAP, keys=[KEY], home=None)[1]
            for uid, version in self.shelf().items()
            if version.path.startswith(kind)
        }

    def look(self, uids: list[int]) -> None:
        """Hold a removal against the rules."""
        shelf = self.shelf()
        on_record = {one.vid for content in self.objects(RECORDS).values() for one in Record.decode(content).gone}
        for uid in uids:
            if uid not in self._world.folder.shelf.messages:
                continue
            self._world.tally.done["removed"] += 1
            version = shelf.get(uid)
            if version is None:
                self._wrong(uid, "is foreign")
            elif not self._planned(uid, version):
                self._wrong(uid, f"{version.path} was not planned a grace ago")
            elif paths.is_reserved(version.path):
                if not version.path.startswith((PLANS, RECORDS, "IFAP/metadata")):
                    self._wrong(uid, f"{version.path} is nobody's to remove")
            elif version.vid not in on_record:
                self._wrong(uid, f"{version.path} is not on record")
            else:
                self._check_history(uid, version, shelf)

    def look_at_withdrawal(self, uids: list[int], writers: set[str]) -> None:
        """Hold against the rules that a device takes back what it wrote (FORMAT 4.4).

        :param writers: the names that it had in the history.
        """
        shelf = self.shelf()
        for uid in uids:
            if uid not in self._world.folder.shelf.messages:
                continue
            version = shelf.get(uid)
            if version is not None and version.path.startswith(LOCKS):
                self._check_locks(uid, {at: one for at, one in shelf.items() if at not in uids}, writers)
                continue
            self._world.tally.done["withdrawn"] += 1
            if version is None or version.writer not in writers:
                self._wrong(uid, "is not from the device that withdraws it")
            elif paths.is_reserved(version.path):
                self._wrong(uid, f"{version.path} is nobody's to withdraw")
            elif version.vid in self._world.stored:
                self._wrong(uid, f"{version.path} {version.vid} was reported as stored, and is withdrawn")
            elif not self._overtaken(uid, version, shelf):
                self._wrong(uid, f"{version.path} {version.vid} is withdrawn, and nobody was faster")

    def _check_locks(self, uid: int, left: dict[int, Version], writers: set[str]) -> None:
        """Of each lock that another device surely holds something is left."""
        self._world.tally.done["lock messages removed"] += 1
        there = {one.lease.of for one in left.values() if one.lease is not None}
        for hold in self._world.holders.all():
            if hold.lock not in there and hold.names.isdisjoint(writers):
                self._wrong(uid, f"the lock {hold.lock} of another device holds, and is removed")

    def _overtaken(self, uid: int, version: Version, shelf: dict[int, Version]) -> bool:
        """A content that it does not descend from came before it."""
        places = {at: one for at, one in shelf.items() if one.path == version.path}
        versions = {one.vid: one for one in places.values()}
        family = Family(versions, {vid: min(at for at, one in places.items() if one.vid == vid) for vid in versions})
        return any(
            at < uid and one.vid != version.vid and not one.deleted and not family.descends(version.vid, one.vid)
            for at, one in places.items()
        )

    def _planned(self, uid: int, version: Version) -> bool:
        """A plan of these numbers names it, and is a grace older than the newest message."""
        dates = self._world.folder.shelf.dates
        now = max(dates.values())
        for at, content in self.objects(PLANS).items():
            plan = Plan.decode(content)
            named = any(one.uid == uid and one.vid == version.vid for one in plan.collect)
            if named and plan.uidvalidity == self._world.folder.shelf.uidvalidity and now - dates[at] >= GRACE:
                return True
        return False

    def _check_history(self, uid: int, version: Version, shelf: dict[int, Version]) -> None:
        """It is no head, and as many as are kept are newer, or written at the same time."""
        if version.vid in self._world.collected:
            self._world.tally.done["collected again"] += 1
            return
        places = {
            at: one for at, one in shelf.items() if one.path == version.path and one.vid not in self._world.collected
        }
        versions = {one.vid: one for one in places.values()}
        ranks = {one.vid: min(at for at, other in places.items() if other.vid == one.vid) for one in versions.values()}
        family = Family(versions, ranks)
        heads = family.heads()
        if version.vid in heads:
            sole = version.deleted and (len(versions) == 1 or self._was_sole(version))
            age = max(self._world.folder.shelf.dates.values()) - self._world.folder.shelf.dates[uid]
            if not sole or age < YEAR:
                self._wrong(uid, f"{version.path} {version.vid} is a head of {len(heads)}")
            self._world.tally.done["ended"] += 1
            return
        current = family.current()
        live = [one for one in versions.values() if not one.deleted]
        over = current is not None and versions[current].deleted and self._age(ranks[current]) >= YEAR
        newer = [one for one in live if one.vid != version.vid and not family.descends(version.vid, one.vid)]
        kept = max([self._world.keep, *(versions[vid].keep for vid in heads if not versions[vid].ours)])
        kept = max((versions[vid].keep for vid in heads if versions[vid].ours), default=kept)
        if not version.deleted and not over and len(newer) < kept:
            self._wrong(uid, f"{version.path} {version.vid} is one of the last {kept}")

    def _was_sole(self, version: Version) -> bool:
        """A grace ago its end was put on record: what came since was written by who did not need it any more."""
        return any(
            one.vid == version.vid and one.end
            for at, content in self.objects(RECORDS).items()
            if self._age(at) >= GRACE
            for one in Record.decode(content).gone
        )

    def _age(self, uid: int) -> float:
        dates = self._world.folder.shelf.dates
        return max(dates.values()) - dates[uid]

    def _wrong(self, uid: int, text: str) -> None:
        self._world.tally.wrong.append(f"UID {uid}: {text}")


class World:
    """One run."""

    def __init__(self, seed: int, tally: Tally) -> None:
        self.tally = tally
        self.random = random.Random(seed)
        self.folder = Folder(seed=seed)
        self.keep = self.random.choice((1, 2, 3))
        self.verbs = BUSY
        self.holders = Holders(self.folder.clock.seconds, tally.wrong.append)
        self.umpire = Umpire(self)
        self.devices = [self.device() for _ in range(3)]
        self.collected: set[str] = set()
        self.removed: dict[str, bytes] = {}
        self.stored: dict[str, tuple[str, Device]] = {}
        self.foreign: set[int] = set()
        self.over = False
        self.claimed: set[tuple[int, int]] = set()

    def device(self) -> Device:
        """Another device; its removals are looked at."""
        store = self.folder.store()
        gate = Loose()
        store.gate = gate
        remove = store.remove
        identity = Named(self.folder.random)

        def watched(uids: Any, uidvalidity: int, due: Any = None) -> Any:
            listed = sorted(uids)
            if any(frame.filename == EXPUNGING for frame in traceback.extract_stack()):
                self.umpire.look(listed)
                self.claimed.update((self.folder.shelf.uidvalidity, uid) for uid in listed)
            else:
                self.umpire.look_at_withdrawal(listed, identity.names)
            return remove(listed, uidvalidity, due)

        store.remove = watched  # type: ignore[method-assign]
        options = Options(keep=self.keep, grace=GRACE)
        filesystem = self.folder.device(store=store, options=options, identity=identity)
        gate.open = False
        return Device(store, gate, filesystem, identity.names)

    # What happens

    def run(self, turns: int) -> None:
        """Begin things, let calls go, and let time pass, at random."""
        busy = [*[self.begin] * 6, *[self.let_go] * 30, self.pass_time, self.trouble]
        self._take_turns(busy, turns * 2 // 3)
        self.verbs = FADING
        self._take_turns([*busy, *[self.pass_time] * 5], turns // 3)
        self.settle()
        self.judge()
        self.tally.done["locks held"] += self.holders.count
        self.over = True

    def _take_turns(self, kinds: Sequence[Callable[[], None]], turns: int) -> None:
        for _ in range(turns):
            self.random.choice(kinds)()

    def begin(self) -> None:
        """Ask a device for something."""
        device = self.random.choice(self.devices)
        verb = self.random.choice(self.verbs)
        try:
            work = getattr(self, "do_" + verb)(device, self.random.choice(NAMES))
        except IFAPError:
            return
        if work is None:
            return

        def ended(outcome: Any) -> None:
            if self.over or device.dead:
                return
            failed = hasattr(outcome, "check")
            if failed and outcome.check(IFAPError) is None and "Cancelled" not in repr(outcome.type):
                self.tally.wrong.append(f"{verb}: {outcome!r} {outcome.getTraceback()}")
            self.tally.done[f"{verb} {'failed' if failed else 'done'}"] += 1
            if verb == "put" and not failed:
                self.stored[outcome.version] = (outcome.path, device)

        device.works.append(work.addBoth(ended))

    def do_put(self, device: Device, path: str) -> Any:
        """A new version, or one that expects to find a certain one."""
        entry = device.filesystem.desk.view.index.file(path)
        expect = entry.version.vid if entry is not None and self.random.random() < 0.4 else None
        return device.filesystem.put(path, b"%d" % self.random.getrandbits(32), expect=expect)

    def do_remove(self, device: Device, path: str) -> Any:
        """A tombstone."""
        return device.filesystem.remove(self.some(device, path, live=True))

    def do_undelete(self, device: Device, path: str) -> Any:
        """What was before."""
        return device.filesystem.undelete(self.some(device, path, live=False))

    def do_restore(self, device: Device, path: str) -> Any:
        """Any version."""
        versions = device.filesystem.desk.view.index.history(path).versions
        return device.filesystem.restore(path, self.random.choice(versions).version.vid) if versions else None

    def do_keep(self, device: Device, path: str) -> Any:
        """More or fewer versions."""
        return device.filesystem.keep(path, self.random.choice((1, 2, 4)))

    def do_move(self, device: Device, path: str) -> Any:
        """To a name that is free."""
        source = self.some(device, path, live=True)
        return device.filesystem.move(source, self.some(device, path, live=False))

    def some(self, device: Device, path: str, *, live: bool) -> str:
        """A name under which there is something, or nothing any more, as far as a device knows; else any."""
        index = device.filesystem.desk.view.index
        return self.random.choice([name for name in NAMES if index.is_file(name) is live] or [path])

    def do_lock(self, device: Device, path: str) -> Any:
        """Take a lock, or renew the one that it has."""
        own, began = device.locks.pop(path, None), self.folder.clock.seconds()
        if own is not None:
            self.holders.renewing(path, own)
        work = device.filesystem.lock(path, seconds=self.random.choice((30, 300, 86400)), renew=own)

        def taken(lock: Any) -> Any:
            device.locks[path] = lock.id
            self.holders.taken(device.names, lock, began)
            return lock

        return work.addCallback(taken)

    def do_unlock(self, device: Device, path: str) -> Any:
        """Give a lock back, or break another's."""
        device.locks.pop(path, None)
        force = self.random.random() < 0.3
        return device.filesystem.unlock(path, force=force).addBoth(self.holders.begin_end(path))

    def do_collect(self, device: Device, _path: str) -> Any:
        """Collect."""
        return device.filesystem.collect()

    def let_go(self) -> None:
        """Let one or some calls of a device go on."""
        device = self.random.choice(self.devices)
        for _ in range(self.random.choice((1, 1, 2, 10, 60))):
            if device.gate.held:
                device.gate.held.pop(0).callback(None)

    def pass_time(self) -> None:
        """Seconds, days, or now and then more than the life of a tombstone."""
        spans = (1.0, 40.0, 100.0, DAY / 2, 2.1 * DAY, 3 * DAY)
        self.folder.clock.advance(self.random.choice((*spans, YEAR + DAY) if self.verbs is FADING else spans))

    def trouble(self) -> None:
        """Something goes wrong."""
        getattr(self, "trouble_" + self.random.choice(TROUBLES))()

    def trouble_death(self) -> None:
        """A device dies, and another takes its place."""
        number = self.random.randrange(len(self.devices))
        self.devices[number].dead = True
        self.folder.shelf.detach(self.devices[number].store)
        self.devices[number].filesystem.desk.view.following._enter = lambda _state: None  # type: ignore[method-assign]
        self.devices[number] = self.device()

    def trouble_failure(self) -> None:
        """The next call of some kind fails."""
        method = self.random.choice(("append", "remove", "headers", "poll", "message", "dates"))
        self.random.choice(self.devices).store.fail_next(method, Unavailable("The server is away."))

    def trouble_fate(self) -> None:
        """An append whose answer is lost, that comes late, or twice."""
        fate = self.random.choice((Fate.CUT_AFTER, Fate.CUT_BEFORE, Fate.CUT_LATE, Fate.DOUBLED))
        self.random.choice(self.devices).store.doom_next(fate)

    def trouble_late(self) -> None:
        """What was on its way arrives."""
        self.folder.shelf.deliver_late()

    def trouble_double(self) -> None:
        """A message is there once more."""
        messages = self.folder.shelf.messages
        self.folder.shelf.add(messages[self.random.choice(list(messages))])

    def trouble_replay(self) -> None:
        """What was collected is there once more."""
        if self.removed:
            self.folder.shelf.add(self.random.choice(list(self.removed.values())))
            self.tally.done["replayed"] += 1

    def trouble_renumbering(self) -> None:
        """All numbers change, in an order like before or not."""
        order = list(self.folder.shelf.messages)
        if self.random.random() < 0.3:
            self.random.shuffle(order)
        self.holders.renumber()
        self.folder.shelf.renumber(order)
        self.foreign.clear()

    def trouble_cut(self) -> None:
        """A connection breaks, and is there again."""
        store = self.random.choice(self.devices).store
        store.go_offline()
        store.go_online()

    def trouble_mail(self) -> None:
        """Somebody else's mail."""
        self.foreign.add(self.folder.shelf.add(mail(b"%d\r\n" % self.random.getrandbits(16))))

    def trouble_reference(self) -> None:
        """A reference program writes a version."""
        stamps = (Stamp(iv=self.random.randbytes(16)), Stamp(iv=self.random.randbytes(16)))
        name = self.random.choice(NAMES)
        message = encode(
            name, self.random.randbytes(4), {"ts": 1_573_400_000}, dialect="ifaplib", key=KEY.text, stamps=stamps
        )
        self.folder.shelf.add(message)

    # How it ended

    def settle(self) -> None:
        """Let everything come to its end."""
        for device in self.devices:
            device.gate.open = True
            device.store.pardon()
        for _ in range(40):
            for device in self.devices:
                while device.gate.held:
                    device.gate.held.pop(0).callback(None)
            self.folder.clock.advance(30.0)
        pending = sum(not work.called for device in self.devices for work in device.works)
        if pending:
            self.tally.wrong.append(f"{pending} calls never ended")

    def judge(self) -> None:
        """What was stored is there, or was collected; what is there can be read."""
        fresh = self.folder.device()
        index = fresh.desk.view.index
        present = {version.vid for version in self.umpire.shelf().values()}
        for vid, (path, _device) in self.stored.items():
            if vid not in present and vid not in self.collected:
                self.tally.wrong.append(f"{path} {vid} is lost")
        for path in list(index.paths()):
            history = index.history(path)
            if paths.is_reserved(path):
                continue
            if not history.heads and any(not index.is_collected(one.version.vid) for one in history.versions):
                ended = index.records.bygone(history.versions).ended
                if any(one.rank not in ended for one in history.versions):
                    self.tally.wrong.append(f"{path} has no head")
            for head in history.heads:
                if not (head.version.deleted or head.version.directory):
                    result(Deferred.fromCoroutine(fresh.desk.reader.content(head)))
        if not self.foreign <= set(self.folder.shelf.messages):
            self.tally.wrong.append("foreign mail is gone")
        result(fresh.snapshot())
        self.judge_reference()

    def judge_reference(self) -> None:
        """A reference program shows of each path the newest message, whatever it is a place of."""
        shelf, messages = self.umpire.shelf(), self.folder.shelf.messages
        newest = {version.path: uid for uid, version in sorted(shelf.items())}
        contents = {
            path: envelope.read_message(messages[uid], dialect=IFAP, keys=[KEY], home=None)[1]
            for path, uid in newest.items()
            if not (paths.is_reserved(path) or shelf[uid].deleted or shelf[uid].directory)
        }
        self.tally.wrong.extend(unlike_reference(messages, KEY.text, contents))
        self.tally.done["read by the reference"] += len(contents)


TROUBLES = (
    "death",
    "failure",
    "failure",
    "fate",
    "fate",
    "late",
    "double",
    "replay",
    "replay",
    "renumbering",
    "cut",
    "mail",
    "reference",
)


def run(tally: Tally, seed: int, turns: int = 600, plant: Callable[[World], None] | None = None) -> None:
    """One seed.

    :param plant: breaks the collectors, so that the umpire can be seen to find it.
    """
    world = World(seed, tally)
    if plant is not None:
        plant(world)
    shelf = world.folder.shelf
    remove = shelf.remove

    def remembering(uids: Any, by: Any = None) -> None:
        listed = list(uids)
        for uid in listed:
            version = world.umpire.version(shelf.messages[uid]) if uid in shelf.messages else None
            if version is not None and not paths.is_reserved(version.path):
                world.removed[version.vid] = shelf.messages[uid]
                tally.done["versions removed"] += 1
                if (shelf.uidvalidity, uid) in world.claimed:
                    world.collected.add(version.vid)
        remove(listed, by)

    shelf.remove = remembering  # type: ignore[method-assign]
    world.run(turns)


def case(number: int) -> tuple[Counter[str], list[str]]:
    """One seed, as a case of a campaign."""
    tally = Tally()
    run(tally, number)
    return tally.done, tally.wrong


main = command(case, "Let collections race with everything else.")


if __name__ == "__main__":
    main()
