"""``python -m tests.campaigns.collecting``: collections race with everything else, and an umpire judges (bar R15).

Some devices and a reference program share one shelf in memory. Every call to it is held, and let go in an order that a
seed decides, so that puts, removals, restores, moves, locks, changes of how much is kept, and collections meet in all
ways. Devices die in the middle, answers are lost, calls fail, messages come late, twice, or once more after they were
collected, the folder is renumbered, and days and years go by. An umpire looks at the shelf at each call that removes,
before it is let through. Exit status: 1 when a rule was broken.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.core import envelope, paths
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.errors import IFAPError, Unavailable
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.store.memory import Fate
from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.campaigns.held import Device, watched_device
from tests.campaigns.holders import Holders
from tests.campaigns.reference import unlike_reference
from tests.campaigns.seeded import command
from tests.campaigns.umpire import DAY, GRACE, YEAR, Tally, Umpire
from tests.filesystem.folders import KEY, Folder, result
from tests.messages import mail

NAMES = ("a", "b", "d/c", "e")
CHANGES = ("remove", "undelete", "restore", "keep", "move", "unlock")
BUSY = (*["put"] * 6, *CHANGES, *["lock"] * 2, *["collect"] * 5)
FADING = ("put", "remove", "remove", "remove", "undelete", "move", *["collect"] * 16)
"""How it goes on: most is removed, years go by, and the end of a file is reached (FORMAT 5.1)."""


class World:
    """One run."""

    def __init__(self, seed: int, tally: Tally) -> None:
        self.tally = tally
        self.random = random.Random(seed)
        self.folder = Folder(seed=seed)
        self.keep = self.random.choice((1, 2, 3))
        self.verbs = BUSY
        self.holders = Holders(self.folder.clock.seconds, tally.wrong.append)
        self.umpire = Umpire(self.folder.shelf, self.keep, self.holders, tally)
        self.devices = [self.device() for _ in range(3)]
        self.died: list[Device] = []
        self.removed: dict[str, bytes] = {}
        self.foreign: set[int] = set()
        self.over = False

    def device(self) -> Device:
        """Another device."""
        return watched_device(self.folder, self.umpire, Options(keep=self.keep, grace=GRACE))

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
        self.bury()

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
                self.umpire.stored[outcome.version] = outcome.path

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
        self.devices[number].die()
        self.died.append(self.devices[number])
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

    def bury(self) -> None:
        """Let what is left of the devices run out."""
        for device in (*self.died, *self.devices):
            device.bury()
        for _ in range(40):
            self.folder.clock.advance(30.0)

    def judge(self) -> None:
        """What was stored is there, or was collected; what is there can be read."""
        fresh = self.folder.device()
        index = fresh.desk.view.index
        present = {version.vid for version in self.umpire.shelf().values()}
        for vid, path in self.umpire.stored.items():
            if vid not in present and vid not in self.umpire.collected:
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
                if (shelf.uidvalidity, uid) in world.umpire.claimed:
                    world.umpire.collected.add(version.vid)
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
