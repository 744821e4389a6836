"""Devices tell each other how far they have seen (FORMAT 9.2)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.core import limits
from ifap_twisted.core.checkpoints import CHECKPOINTS, Checkpoint
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import ABSENT
from ifap_twisted.errors import Conflict, ProtocolViolation, ReadOnly, Unavailable
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import Folder, result
from tests.filesystem.machines import Machine

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
DAILY = Options(keep=1, checkpoint_every=limits.CHECKPOINT_SECONDS)


class Checkpoints(SynchronousTestCase):
    """A folder, a node on it, and those who come to it."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.shelf = self.folder.shelf
        self.clock = self.folder.clock
        self.identity = MemoryWriter(self.folder.random)
        self.node = self.folder.device(options=DAILY, identity=self.identity)

    def put(self, path: str, content: bytes = b"1", device: Filesystem | None = None) -> int:
        """Store a version; its UID."""
        result((device or self.node).put(path, content))
        return self.shelf.uidnext - 1

    def objects(self, device: Filesystem) -> list[Placed]:
        """The checkpoints that are there, in their order."""
        result(device.refresh())
        return sorted(device.desk.view.index.objects(CHECKPOINTS), key=lambda one: one.rank)

    def published(self) -> list[dict[str, int]]:
        """What they say."""
        device = self.folder.device()
        contents = [result(Deferred.fromCoroutine(device.desk.reader.content(one))) for one in self.objects(device)]
        return [dict(Checkpoint.decode(content).writers) for content in contents]

    def number(self, path: str) -> int:
        """The greatest number in the newest version of a file."""
        return max(self.node.desk.view.index.history(path).versions[-1].version.clock.values())

    def told(self, device: Filesystem | None = None) -> list[str]:
        """The codes of the warnings of a device; None: of one that is new."""
        return [notice.code for notice in result((device or self.folder.device()).status()).warnings]

    def collect(self, device: Filesystem) -> None:
        """Everything that can be collected is."""
        for days in (1, 8, 8):
            self.clock.advance(days * DAY)
            result(device.collect())


class PublishedTests(Checkpoints):
    """What is published, and when."""

    def test_a_node_publishes(self) -> None:
        """Twenty minutes after it began, and then once a day where there is anything new."""
        self.put("a")
        self.put("b")
        self.clock.advance(19 * MINUTE)
        self.assertEqual(self.published(), [])
        self.clock.advance(2 * MINUTE)
        self.assertEqual(self.published(), [{self.identity.writer: self.number("b")}])
        for _ in range(3):
            self.clock.advance(DAY)
        self.assertEqual(len(self.published()), 1)
        self.put("c")
        self.clock.advance(DAY)
        self.assertEqual(len(self.published()), 2)

    def test_asked_for(self) -> None:
        """With a snapshot, before it; and not twice."""
        device = self.folder.device()
        self.put("a", device=device)
        result(device.snapshot())
        result(device.snapshot())
        self.assertEqual([list(one.values()) for one in self.published()], [[1]])

    def test_nothing_without_being_asked(self) -> None:
        """A device that is no node, and a node that is closed."""
        device = self.folder.device()
        self.put("a", device=device)
        result(self.node.close())
        self.clock.advance(3 * DAY)
        self.assertEqual(self.published(), [])

    def test_what_somebody_said_is_not_said_again(self) -> None:
        """Whoever it was; but a quarter of a year later, so that there is always one that counts."""
        self.put("a")
        other = self.folder.device(options=DAILY)
        self.clock.advance(HOUR)
        self.assertEqual(len(self.published()), 1)
        for _ in range(92):
            self.clock.advance(DAY)
        said = self.published()
        self.assertEqual(said, [said[0]] * 2)
        result(other.close())

    def test_what_may_be_taken_back_is_not_published(self) -> None:
        """What others wrote counts ten minutes after it was seen."""
        uid = self.put("a", device=self.folder.device())
        result(self.node.snapshot())
        self.assertEqual(self.published(), [])
        self.clock.advance(601.0)
        result(self.node.snapshot())
        self.assertEqual([list(one.values()) for one in self.published()], [[1]])
        self.assertIn(uid, self.shelf.messages)

    def test_a_device_that_begins_again(self) -> None:
        """What it saw ten minutes ago counts at once."""
        self.put("a")
        result(self.node.close())
        machine = Machine(self.folder)
        machine.look(HOUR)
        result(machine.start().snapshot())
        self.assertEqual(self.published(), [{self.identity.writer: self.number("a")}])

    def test_numbers_of_files_only(self) -> None:
        """Locks, plans, snapshots and checkpoints use numbers up, and are removed without a record."""
        self.put("a")
        result(self.node.lock("a"))
        result(self.node.unlock("a"))
        result(self.node.snapshot())
        self.put("a", b"2")
        self.clock.advance(DAY)
        result(self.node.collect())
        number = self.number("a")
        self.clock.advance(DAY)
        self.assertEqual(self.published()[-1], {self.identity.writer: number})
        self.assertLess(number, self.node.desk.view.index.greatest(self.identity.writer))

    def test_one_that_the_server_changes(self) -> None:
        """A server that does not keep it faithful is told (FORMAT 4.5)."""

        async def other(_placed: Any) -> bytes:
            return b"{}"

        self.put("a")
        self.node.desk.reader.content = other  # type: ignore[assignment,method-assign]
        self.assertRaises(ProtocolViolation, result, self.node.snapshot())

    def test_it_does_not_hold_up_the_end(self) -> None:
        """Nothing is left behind when the server is away at that moment."""
        self.put("a")
        store: Any = self.node.desk.view.store
        store.go_offline()
        self.clock.advance(3 * DAY)
        self.assertEqual(self.published(), [])
        store.go_online()
        self.clock.advance(DAY)
        self.assertEqual(len(self.published()), 1)
        result(self.node.close())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_superseded_ones_are_collected(self) -> None:
        """By plan, as all else; nobody is told less by what stays."""
        for number in range(4):
            self.put("a", b"%d" % number)
            self.clock.advance(DAY)
        self.assertEqual(len(self.published()), 4)
        self.collect(self.node)
        self.assertEqual(len(self.published()), 1)
        self.assertEqual(self.told(), [])


class HiddenTests(Checkpoints):
    """What is noticed by a device that has never seen what is gone."""

    def setUp(self) -> None:
        super().setUp()
        self.put("a")
        self.uid = self.put("a", b"2")
        self.message = self.shelf.messages[self.uid]
        self.clock.advance(HOUR)

    def test_a_new_device_is_told(self) -> None:
        """The newest version was withheld from it: it shows the older one, and says that it is not all."""
        self.shelf.forget(self.uid)
        device = self.folder.device()
        self.assertEqual(result(device.get("a")), b"1")
        self.assertEqual(self.told(device), ["hidden"])
        (notice,) = result(device.status()).warnings
        self.assertIn(self.identity.writer, notice.text)
        found = [(one.code, one.severity) for one in result(device.check()).findings]
        self.assertIn(("hidden", "damage"), found)

    def test_it_heals(self) -> None:
        """When the message is back, under whatever number."""
        self.shelf.forget(self.uid)
        device = self.folder.device()
        self.assertEqual(self.told(device), ["hidden"])
        self.shelf.add(self.message)
        result(device.refresh())
        self.assertEqual(self.told(device), [])

    def test_the_end_of_a_file(self) -> None:
        """A removal that is withheld."""
        result(self.node.remove("a"))
        uid = self.shelf.uidnext - 1
        self.clock.advance(DAY)
        self.shelf.forget(uid)
        self.assertEqual(self.told(), ["hidden"])

    def test_all_but_the_checkpoint(self) -> None:
        """Its own number does not cover what it tells of."""
        for uid in list(self.shelf.messages):
            if uid in {self.uid, self.uid - 1}:
                self.shelf.forget(uid)
        self.assertEqual(self.told(), ["hidden"])

    def test_a_device_that_lost_what_it_knew(self) -> None:
        """Its own checkpoint tells it."""
        result(self.node.close())
        self.shelf.forget(self.uid)
        self.assertEqual(self.told(self.folder.device(identity=self.identity)), ["hidden"])

    def test_who_remembers_is_told_by_file(self) -> None:
        """And not twice; what it goes on to publish still names it."""
        machine = Machine(self.folder)
        machine.look(HOUR)
        self.shelf.forget(self.uid)
        device = machine.start()
        self.assertEqual(self.told(device), ["rolled-back"])
        for one in self.objects(device):
            self.shelf.remove(one.places)
        result(device.close())
        later = machine.start(options=DAILY)
        self.clock.advance(DAY)
        self.assertEqual(self.published(), [{self.identity.writer: self.number("a")}])
        self.assertEqual(self.told(), ["hidden"])
        result(later.remove("a"))
        self.assertEqual(self.told(later), [])
        self.assertEqual(self.told(), [])

    def test_a_year_later(self) -> None:
        """What a checkpoint says ends, long before the records that would explain it."""
        result(self.node.close())
        self.shelf.forget(self.uid)
        self.clock.advance(364 * DAY)
        self.assertEqual(self.told(), ["hidden"])
        self.clock.advance(2 * DAY)
        self.assertEqual(self.told(), [])

    def test_an_incomplete_listing(self) -> None:
        """Is one condition (FORMAT 5.5)."""
        store = self.folder.store()
        store.hide(self.uid)
        self.assertEqual(self.told(self.folder.device(store=store)), ["listing-incomplete"])

    def test_a_status_does_not_wait_for_it(self) -> None:
        """A server that does not answer holds it up for a moment; later it is told."""
        self.shelf.forget(self.uid)
        store = self.folder.store()
        device = self.folder.device(store=store)
        store.gate = turnstile = Turnstile("message")
        work = device.status()
        self.assertNoResult(work)
        self.clock.advance(5.0)
        self.assertEqual(result(work).warnings, ())
        turnstile.release()
        self.assertEqual(self.told(device), ["hidden"])

    def test_one_that_says_nothing(self) -> None:
        """A check finds one that cannot be used; no device is stopped by it."""
        device = self.folder.device()
        result(Deferred.fromCoroutine(device.desk.writer.add_object(CHECKPOINTS, b"nonsense")))
        self.assertEqual(self.told(device), [])
        self.assertIn("object", [one.code for one in result(device.check()).findings])


class AcceptedTests(Checkpoints):
    """A person says that what is hidden is gone: as after a file was removed by a reference program."""

    def setUp(self) -> None:
        super().setUp()
        self.uids = [self.put(path) for path in ("b", "b", "a")]
        self.machine = Machine(self.folder)
        self.machine.look(HOUR)
        result(self.node.snapshot())
        result(self.node.close())
        self.message = self.shelf.messages[self.uids[-1]]
        self.shelf.forget(self.uids[-1])
        self.device = self.folder.device()
        self.assertEqual(self.told(self.device), ["hidden"])

    def accept(self, device: Filesystem | None = None) -> list[tuple[str, str, bool]]:
        """Check and accept; what was found."""
        found = result((device or self.device).check(accept=True)).findings
        return [(one.code, one.severity, one.mended) for one in found]

    def test_everybody_is_told(self) -> None:
        """Neither this device nor a new one warns of it, in this process or the next; and no check finds it."""
        self.assertEqual(self.accept(), [("hidden", "damage", True)])
        for device in (self.device, self.folder.device()):
            self.assertEqual(self.told(device), [])
            self.assertEqual(result(device.check()).findings, ())
        self.assertEqual(self.accept(), [])

    def test_not_unless_it_is_asked_for(self) -> None:
        """A repair, which may run by itself, accepts nothing; nor does a recovery."""
        found = [*result(self.device.check(repair=True)).findings, *result(self.device.recover()).findings]
        self.assertEqual([one.mended for one in found if one.code == "hidden"], [False, False])
        self.assertEqual(self.told(), ["hidden"])

    def test_what_goes_later_is_told(self) -> None:
        """What was there when it was accepted has to stay there; so has what is written after it."""
        self.accept()
        older = self.shelf.messages[self.uids[1]]
        self.shelf.forget(self.uids[1])
        self.assertEqual(self.told(), ["hidden"])
        self.shelf.add(older)
        self.assertEqual(self.told(), [])
        again = self.folder.device(identity=self.identity)
        uid = self.put("c", device=again)
        self.clock.advance(HOUR)
        result(again.snapshot())
        self.assertEqual(self.told(), [])
        self.shelf.forget(uid)
        self.assertEqual(self.told(), ["hidden"])

    def test_accepted_twice(self) -> None:
        """More is gone later, and is accepted, too."""
        self.accept()
        self.shelf.forget(self.uids[1])
        self.assertEqual(self.accept(self.folder.device()), [("hidden", "damage", True)])
        self.assertEqual(self.told(), [])
        self.shelf.forget(self.uids[0])
        self.assertEqual(self.told(), ["hidden"])

    def test_who_remembers_goes_on_to_say_so(self) -> None:
        """Until it is settled there; and what it publishes alarms nobody else."""
        self.accept()
        device = self.machine.start(options=DAILY)
        for _ in range(100):
            self.assertEqual(self.told(device), ["rolled-back"])
            self.clock.advance(DAY)
        self.assertEqual(self.told(), [])
        number = device.desk.view.index.greatest_in_files(self.identity.writer)
        said = [one[self.identity.writer] for one in self.published() if one]
        self.assertEqual([number, number - 1], said)

    def test_collected_ones(self) -> None:
        """It stays as long as what it is about."""
        self.accept()
        device = self.folder.device(options=DAILY)
        for number in range(6):
            self.put("c", b"%d" % number, device)
            self.clock.advance(DAY)
        self.collect(device)
        self.assertEqual(self.told(), [])
        self.clock.advance(340 * DAY)
        self.assertEqual(self.told(), [])

    def test_it_comes_back(self) -> None:
        """The file is there, as it was: nothing was removed by it."""
        self.accept()
        self.shelf.add(self.message)
        device = self.folder.device()
        self.assertEqual(result(device.get("a")), b"1")
        self.assertEqual(self.told(device), [])

    def test_an_incomplete_listing(self) -> None:
        """Nothing is accepted while it is not certain what is there."""
        store = self.folder.store()
        store.hide(self.uids[1])
        before = dict(self.shelf.messages)
        self.assertNotIn("hidden", [code for code, *_ in self.accept(self.folder.device(store=store))])
        self.assertEqual(before, self.shelf.messages)

    def test_it_cannot_be_stored(self) -> None:
        """The check says so, and goes on to warn."""
        store = self.folder.store()
        device = self.folder.device(store=store)
        store.gate = lambda method: fail(Unavailable("not now")) if method == "append" else succeed(None)
        work = device.check(accept=True)
        self.clock.advance(HOUR)
        self.assertEqual([(one.code, one.mended) for one in result(work).findings], [("hidden", False)])
        self.assertEqual(self.told(), ["hidden"])

    def test_read_only(self) -> None:
        """Nothing can be told in a folder that can only be read."""
        device = self.folder.device(store=self.folder.store(read_only=True))
        self.assertRaises(ReadOnly, result, device.check(accept=True))


class ForkTests(Checkpoints):
    """A server that shows two devices two folders, which begin alike."""

    def setUp(self) -> None:
        super().setUp()
        self.put("common")
        self.clock.advance(HOUR)
        self.fork = Folder(seed=1)
        self.fork.clock = self.clock
        for message in self.shelf.messages.values():
            self.fork.shelf.add(message)
        self.common = self.shelf.uidnext
        self.other = self.fork.device(options=DAILY)
        for number in range(3):
            result(self.node.put("same", b"mine %d" % number))
            result(self.node.put("mine", b"mine %d" % number))
            result(self.other.put("same", b"theirs %d" % number))
            result(self.other.put("theirs", b"theirs %d" % number))
        self.clock.advance(DAY)
        self.mine = [message for uid, message in self.shelf.messages.items() if uid >= self.common]

    def merge(self, messages: list[bytes]) -> None:
        """What one was shown comes to the other."""
        for message in messages:
            self.fork.shelf.add(message)

    def test_all_comes_together(self) -> None:
        """Nothing is lost: both versions of the same file are there, in conflict, and nobody misses anything."""
        self.merge(self.mine)
        for device in (self.other, self.fork.device()):
            result(device.refresh())
            self.assertEqual(self.told(device), [])
            self.assertEqual({one.path for one in result(device.conflicts())}, {"same"})

    def test_part_of_it(self) -> None:
        """Whatever version of a file is left out at the end: both are told, whoever comes new too."""
        self.merge([message for message in self.mine if message is not self.mine[5]])
        for device in (self.other, self.fork.device()):
            result(device.refresh())
            self.assertEqual(self.told(device), ["hidden"])
        self.merge([self.mine[5]])
        result(self.other.refresh())
        self.assertEqual(self.told(self.other), [])

    def test_the_checkpoint_alone(self) -> None:
        """It is enough that one message comes over."""
        self.merge(self.mine[-1:])
        result(self.other.refresh())
        self.assertEqual(self.told(self.other), ["hidden"])

    def test_a_version_alone(self) -> None:
        """It is one like any other: in conflict where both wrote, and nothing says that there is more."""
        for number, conflicts in ((4, {"same"}), (5, set())):
            self.setUp()
            self.merge([self.mine[number]])
            result(self.other.refresh())
            self.assertEqual(self.told(self.other), [])
            self.assertEqual({one.path for one in result(self.other.conflicts())}, conflicts)
        self.assertEqual(result(self.other.get("mine")), b"mine 2")

    def test_in_both_directions(self) -> None:
        """The one that was shown more of its own finds the other's, and the other way round."""
        (there,) = [one for one in self.objects(self.other) if one.rank >= self.common]
        self.shelf.add(self.fork.shelf.messages[there.places[0]])
        result(self.node.refresh())
        self.assertEqual(self.told(self.node), ["hidden"])
        self.merge(self.mine[-1:])
        result(self.other.refresh())
        self.assertEqual(self.told(self.other), ["hidden"])


class QuietTests(Checkpoints):
    """What is no gap: whoever is told of one that is none stops reading."""

    def assert_quiet(self) -> None:
        """Neither the node nor a new device is told of anything; nor after one more checkpoint."""
        for _ in range(2):
            self.assertEqual(self.told(self.node), [])
            self.assertEqual(self.told(), [])
            self.clock.advance(DAY)

    def test_collected(self) -> None:
        """Records say what went, whether of a file or all of it."""
        for number in range(3):
            self.put("a", b"%d" % number)
            self.put("b", b"%d" % number)
        self.clock.advance(DAY)
        result(self.node.remove("b"))
        self.clock.advance(DAY)
        self.put("a", b"3", self.folder.device())
        self.collect(self.node)
        self.clock.advance(200 * DAY)
        result(self.node.put("c", b"1"))
        self.clock.advance(170 * DAY)
        self.collect(self.node)
        self.assertEqual(len(result(self.node.versions("a"))), 1)
        self.assertEqual([one.path for one in result(self.node.list())], ["a", "c"])
        self.assert_quiet()

    def test_many_devices_that_came_and_went(self) -> None:
        """A clock leaves out those of whom nothing is there any more (FORMAT 3.6)."""
        for number in range(3 * limits.CLOCK_ENTRIES):
            device = self.folder.device()
            self.put("a", b"%d" % number, device)
            result(device.close())
            self.clock.advance(8 * DAY)
            result(self.node.collect())
        (version,) = [one.version for one in self.node.desk.view.index.history("a").heads]
        self.assertLessEqual(len(version.clock), limits.CLOCK_ENTRIES + 1)
        named = {writer for content in self.published() for writer in content}
        self.assertGreater(len(named), limits.CLOCK_ENTRIES + 1)
        self.assert_quiet()

    def test_restored_from_a_backup(self) -> None:
        """A device that goes on with an older state of its own."""
        machine = Machine(self.folder)
        machine.look(HOUR)
        before = machine.disk.copy("machine")
        device = machine.start(options=DAILY)
        self.put("a", b"1", device)
        self.clock.advance(DAY)
        result(device.close())
        machine.disk = before
        device = machine.start(options=DAILY)
        self.assertEqual(self.told(device), [])
        self.put("a", b"2", device)
        self.clock.advance(DAY)
        self.assertEqual(self.told(device), [])
        self.assert_quiet()

    def test_locks_and_plans(self) -> None:
        """Numbers that only they had are missed by nobody."""
        self.put("a")
        result(self.node.lock("a"))
        self.put("a", b"2")
        result(self.node.unlock("a"))
        for _ in range(3):
            self.clock.advance(8 * DAY)
            result(self.node.collect())
        self.assert_quiet()

    def test_a_write_that_was_taken_back(self) -> None:
        """It lost a race (FORMAT 4.4): the node saw it for a moment."""
        store = self.folder.store()
        loser = self.folder.device(store=store)
        store.gate = turnstile = Turnstile("append")
        putting = loser.put("a", b"second", expect=ABSENT)
        self.put("a", b"first", self.folder.device())
        turnstile.release()
        self.assertRaises(Conflict, result, putting)
        self.clock.advance(DAY)
        self.assertEqual([list(one.values()) for one in self.published()], [[1]])
        self.assert_quiet()

    def test_renumbered(self) -> None:
        """Versions are found again by their ids (FORMAT 2.5), and so are checkpoints."""
        self.put("a")
        self.put("a", b"2")
        self.clock.advance(HOUR)
        self.shelf.renumber()
        result(self.node.refresh())
        self.assertEqual(len(self.published()), 1)
        self.assert_quiet()

    def test_a_record_that_cannot_be_read_now(self) -> None:
        """Nothing is said as long as it is not known what was collected."""
        other = self.folder.device()
        self.put("z", b"1", other)
        result(other.remove("z"))
        for days in (300, 1, 70):
            self.clock.advance(days * DAY)
        self.collect(self.node)
        self.assertEqual(result(self.node.list()), [])
        self.assertEqual(len(self.published()), 1)
        asked: list[str] = []

        def after_the_first(method: str) -> Deferred[None]:
            asked.extend([method] if method == "message" else [])
            return fail(Unavailable("not now")) if method == "message" and len(asked) == 2 else succeed(None)

        store = self.folder.store()
        store.gate = after_the_first  # it reads the folder object first, and then the record
        device = self.folder.device(store=store)
        self.assertFalse(device.desk.objects.knows_records)
        self.assertEqual(self.told(device), [])
        result(device.refresh())
        self.assertTrue(device.desk.objects.knows_records)
        self.assertEqual(self.told(device), [])
