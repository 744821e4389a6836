"""One simulated run: the real filesystem and driver on a clock that jumps from event to event, and what it recorded.

The same scenario gives the same trace, in every process: nothing here asks the machine for time or randomness.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from dataclasses import replace
from random import Random
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from ifap_twisted.core.checkpoints import CHECKPOINTS
from ifap_twisted.core.values import Entry, Record
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.testing import actions
from ifap_twisted.testing.collecting import holes
from ifap_twisted.testing.device import CHUNKED_FROM, IN_CHUNKS, KEY, OPTIONS, SPARSELY, Device, Keyring, Plant
from ifap_twisted.testing.disk import Disk
from ifap_twisted.testing.exclusion import was_taken_over
from ifap_twisted.testing.memory_world import DAYS
from ifap_twisted.testing.observing import leases_in, observe, recorded_in
from ifap_twisted.testing.process import CALL, MOVING, code_of
from ifap_twisted.testing.recording import Notebook
from ifap_twisted.testing.reference_program import ReferenceProgram
from ifap_twisted.testing.scenario import CHUNKED, FAULTS, REFERENCE, REPLACING, SPARSE, WRITING, Place, Scenario, Step
from ifap_twisted.testing.trace import CANCELLED, CRASHED, DONE, Call, Observation, Trace
from ifap_twisted.testing.worlds import WORLDS

START = 1_800_000_000.0
LONGEST = 900.0
"""Seconds in which everything that was begun ends, once the server behaves."""
ARRIVED = 60.0
"""Seconds in which whatever a dead device had on its way has arrived, or never will."""
LEFT_BEHIND = 100_000
"""Events in which everything that died runs out."""
AGAIN = 7.0
"""Seconds after which a device that could not be opened is started again."""
APART = 600.0
"""Seconds by which clocks may differ, and no more, for what depends on two of them."""
JUMPS = (-600.0, 600.0, -60.0, 90_000.0)
"""Seconds by which a device's clock jumps."""
MET = {"locked": "a file was locked for others", "lease-lost": "a lease was lost"}
"""Situations that an outcome tells."""
MAIL = b"From: a@b.example\r\nSubject: none of ours\r\n\r\n%d\r\n"


class Simulation:
    """A run that is going on.

    :param plant: breaks each filesystem that is opened, so that the judgement can be seen to find it.
    """

    def __init__(self, scenario: Scenario, plant: Plant | None = None) -> None:
        self.trace = Trace(scenario)
        self.clock = Clock()
        self.clock.rightNow = START
        self.world = WORLDS[scenario.world](scenario.seed, self.clock, scenario.quirks)
        self._keyring = Keyring(None if "no-key" in scenario.quirks else KEY)
        self._scenario = scenario
        self._plant = plant
        self._guests: list[Device] = []
        self._running: dict[int, tuple[Device, Deferred[Any]]] = {}
        self._mail: list[bytes] = []
        self._disks = 0
        self._over = False
        self._days = 0.0
        self._options = SPARSELY if SPARSE in scenario.quirks else OPTIONS
        if CHUNKED in scenario.quirks:
            self._options = replace(self._options, chunk_threshold=CHUNKED_FROM, cutting=IN_CHUNKS)
        self.devices = [self._device(number, place) for number, place in enumerate(scenario.places)]
        self._compare_clocks()
        self._notes = [Notebook(self.trace, device.number, self._now) for device in self.devices]
        self._saved = Notebook(self.trace, -1, self._now)
        self._reference = ReferenceProgram(
            lambda: self.world.messages,
            self.world.add,
            self.world.expunge,
            now=self.clock.seconds,
            random=Random(f"reference {scenario.seed}").randbytes,  # noqa: S311 -- repeatable on purpose
        )

    def _device(self, number: int, place: Place) -> Device:
        seed = self._scenario.seed
        return Device(number, place, self.world, self.clock, self._keyring, seed=seed, options=self._options)

    def run(self) -> Trace:
        """Let everything happen, let everything end, and look."""
        observer = cast("ILogObserver", self._logged)
        globalLogPublisher.addObserver(observer)
        try:
            for step in self._scenario.steps:
                self.clock.callLater(step.at, self._happen, step)
            last = max((step.at for step in self._scenario.steps), default=0.0)
            self._advance(START + last + 1.0, lambda: False)
            self.world.heal()
            self._advance(self.clock.seconds() + ARRIVED, lambda: False)
            self._advance(self.clock.seconds() + LONGEST, lambda: not (self._running or self._is_busy()))
            self._look()
        finally:
            globalLogPublisher.removeObserver(observer)
        self._bury()
        return self.trace

    # Time

    def _advance(self, until: float, enough: Callable[[], bool]) -> None:
        """Go from event to event, each at its own moment."""
        calls = self.clock.calls
        while calls and calls[0].getTime() <= until and not enough():
            self.clock.advance(max(0.0, calls[0].getTime() - self.clock.seconds()))
        if not enough():
            self.clock.rightNow = max(self.clock.rightNow, until)

    def _wait(self, work: Deferred[Any], seconds: float = LONGEST) -> Any:
        """The outcome of something, or None when it does not come."""
        outcomes: list[Any] = []
        work.addBoth(outcomes.append)  # type: ignore[unused-awaitable]
        self._advance(self.clock.seconds() + seconds, lambda: bool(outcomes))
        return outcomes[0] if outcomes else None

    # What happens

    def _happen(self, step: Step) -> None:
        if step.verb in REFERENCE:
            self._trouble(step, struck=self._reference_works(step))
        elif step.verb == "mail":
            self._mail.append(MAIL % len(self._mail))
            self.world.add(self._mail[-1])
            self._trouble(step, struck=True)
        elif step.verb == "jump":
            device = self.devices[step.who]
            device.jump(JUMPS[step.number % len(JUMPS)])
            self._compare_clocks()
            self._trouble(step, struck=device.filesystem is not None)
        elif step.verb == "days":
            for device in self.devices:
                device.sleep(DAYS)
            self._days += DAYS
            self.trace.voids.append(self.clock.seconds())
            self.trace.slept.update(self._running)
            self._trouble(step, struck=self.world.strike(step))
        elif step.verb in FAULTS:
            self._trouble(step, struck=self.world.strike(step))
        else:
            self._act(self.devices[step.who], step)

    def _now(self) -> float:
        """By the server's clock."""
        return self.clock.seconds() + self._days

    def _compare_clocks(self) -> None:
        skews = [device.skew for device in self.devices]
        self.trace.apart = self.trace.apart or max(skews) - min(skews) >= APART

    def _trouble(self, step: Step, *, struck: bool) -> None:
        if not struck:
            return
        self.trace.troubles[step.verb] += 1
        if step.verb == "renumber":
            self.trace.voids.append(self.clock.seconds())
            if any(self.trace.calls[number].verb in WRITING for number in self._running):
                self.trace.situations["renumbered while somebody wrote"] += 1
            self.trace.shuffled = self.trace.shuffled or step.number % 3 == 0
            self.trace.blind.update((d.number, d.incarnation) for d in self.devices if self.world.is_hiding(d.number))

    def _reference_works(self, step: Step) -> bool:
        if not self.world.messages or self._keyring.key is None:
            return False  # FORMAT 8.2: a folder that is not set up yet would be the reference's
        self._reference.key = self._keyring.key
        if step.verb == "reference-cleanup":
            gone = self._reference.clean_up(step.path)
            self.trace.destroyed.update((version.path, version.vid) for version in gone)
            return bool(gone)
        if step.verb == "reference-remove":
            removed = self._reference.remove(step.path)
            if removed is not None:
                self._saved.saved(removed, b"")
            return removed is not None
        for count in range(2 if step.verb == "reference-twice" else 1):
            content = b"reference %d %d %.3f" % (step.number, count, step.at)
            self._saved.saved(self._reference.save(step.path, content), content)
        return True

    # Devices

    def _act(self, device: Device, step: Step) -> None:
        if step.verb == "open":
            if not (device.filesystem or device.opening):
                self._start(device)
        elif step.verb in {"crash", *REPLACING}:
            self._kill(device, step)
        elif step.verb == "backup":
            device.backup = device.disk.copy(device.disk.machine)
            self.trace.troubles["backup"] += 1
        elif step.verb == "cancel":
            mine = [work for owner, work in self._running.values() if owner is device]
            if mine:
                mine[step.number % len(mine)].cancel()
                self.trace.troubles["cancel"] += 1
        elif device.filesystem is not None:
            opened = device.filesystem
            self._begin(device, step, lambda call: actions.begin(opened, call, step.number))
        elif step.verb == "queue" and (accepting := device.accepting) is not None:
            self._begin(device, step, lambda call: actions.accept(accepting, call, step.number))

    def _start(self, device: Device) -> None:
        self._crash_calls(device)  # of a process that was left behind in the middle of closing
        call = self._call(device, Step(0.0, device.number, "open"))
        call.incarnation += 1
        if self.world.is_hiding(device.number):
            self.trace.blind.add((device.number, call.incarnation))
        self._follow(device, call, device.start(self._notes[device.number]))

    def _kill(self, device: Device, step: Step) -> None:
        if not (device.filesystem or device.opening):
            return
        self.trace.troubles[step.verb] += 1
        self._crash_calls(device)
        if step.verb == "restored":  # from a backup: what the old machine had on its way never arrives
            device.kill(before=True)
            saved = device.backup or device.disk.copy(device.disk.machine, behind=1 + step.number % 40)
            self._replace(device, saved.copy(device.disk.machine if step.number % 2 else self._machine()))
        elif step.verb == "cloned":
            device.kill(before=True)
            self._replace(device, self.devices[step.number % len(self.devices)].disk.copy(self._machine()))
        else:
            device.kill(before=step.number % 2 == 0)
            if step.number % 5 == 0:  # it has no basedir
                self._replace(device, Disk(self._machine()))
            self._note_journalled(device)
        self.clock.callLater(0.1 + step.number % 15, self._restart, device)

    def _machine(self) -> str:
        """The identity of a new disk."""
        self._disks += 1
        return f"disk {self._disks}"

    def _replace(self, device: Device, disk: Disk) -> None:
        """Give a dead device another disk; nobody finishes what only the old one held."""
        lost = device.journalled()
        device.replace(disk)
        self.trace.forsaken |= lost - device.journalled()
        self.trace.restored.update(device.journalled())
        self._notes[device.number].old_writer = disk.writer

    def _note_journalled(self, device: Device) -> None:
        """What the journal of a dead device holds the next process finishes, if nobody was told that it failed."""
        for place in device.journalled():
            number = self.trace.sent[place].call
            if number is None:
                continue
            self.trace.kept.add(place)
            if self.trace.calls[number].pending:
                self.trace.situations["died with an accepted write"] += 1
            if self.trace.calls[number].outcome == CRASHED:
                self.trace.journalled.add(place)
                self.trace.situations["died with a write in the journal"] += 1

    def _crash_calls(self, device: Device) -> None:
        for number, (owner, _work) in list(self._running.items()):
            if owner is device:
                self._ended(self.trace.calls[number], CRASHED)

    def _restart(self, device: Device) -> None:
        if not (self._over or device.filesystem or device.opening):
            self._start(device)

    def _begin(self, device: Device, step: Step, begin: Callable[[Call], Deferred[Any]]) -> None:
        call = self._call(device, step)
        context = copy_context()
        context.run(CALL.set, call.number)
        context.run(MOVING.set, step.verb == "move")
        self._follow(device, call, context.run(begin, call))

    def _call(self, device: Device, step: Step) -> Call:
        number = len(self.trace.calls)
        now = self.clock.seconds()
        call = Call(number, device.number, device.incarnation, step.verb, step.path, step.other, now)
        self.trace.calls.append(call)
        return call

    def _follow(self, device: Device, call: Call, work: Deferred[Any]) -> None:
        lifetime = device.lifetime
        self._running[call.number] = (device, work)

        def ended(outcome: Any) -> None:
            if lifetime.dead:
                return
            if isinstance(outcome, Failure):
                self._ended(call, CANCELLED if isinstance(outcome.value, CancelledError) else code_of(outcome))
            else:
                self._tell_result(call, outcome)
                self._ended(call, DONE)
            self._after(device, call)
            if device.filesystem is not None and device.filesystem.desk.view.incomplete:
                self.trace.situations["an incomplete listing"] += 1

        work.addBoth(ended).addErrback(self._failed)  # type: ignore[unused-awaitable]

    def _ended(self, call: Call, outcome: str) -> None:
        call.outcome, call.ended = outcome, self.clock.seconds()
        self._running.pop(call.number, None)
        if outcome in MET:
            self.trace.situations[MET[outcome]] += 1
        if outcome == DONE and call.verb in {"lock", "hold"}:
            self.trace.situations["a lock was taken over"] += was_taken_over(self.trace, call)

    def _tell_result(self, call: Call, result: Any) -> None:
        if isinstance(result, Record):
            call.version, call.data = result.entry.version, result.data
        elif isinstance(result, Entry):
            call.version, call.pending = result.version, result.pending
            self.trace.situations["a write was accepted with the server away"] += result.pending

    def _after(self, device: Device, call: Call) -> None:
        """Break what was opened, if that is the plan; start again what was closed or did not open."""
        if call.verb == "open" and call.outcome == DONE:
            if self.world.is_hiding(device.number):
                self.trace.blind.add((device.number, device.incarnation))
                self.trace.situations["messages are withheld from the next process"] += device.incarnation > 1
            if self._plant is not None:
                self._plant(device.filesystem)
        elif call.verb == "open" or (call.verb == "close" and device.filesystem is not None):
            device.stopped()
            self.clock.callLater(AGAIN, self._restart, device)

    def _failed(self, failure: Failure) -> None:
        self.trace.logged.append(f"in the simulation itself: {failure.getTraceback()}")

    def _logged(self, event: dict[str, Any]) -> None:
        if event.get("log_level", LogLevel.info) >= LogLevel.error:
            failure = event.get("log_failure")
            what = "" if failure is None else f": {type(failure.value).__name__}: {failure.value}"
            self.trace.logged.append(f"{event.get('log_namespace')} {event.get('log_format')}{what}")

    # The end

    def _is_busy(self) -> bool:
        started = [device for device in self.devices if device.incarnation]
        return not all(device.at_rest for device in started)

    def _look(self) -> None:
        """Two fresh clients look at everything, and between them all devices."""
        self.trace.key = "" if self._keyring.key is None else self._keyring.key.text
        if self._keyring.torn:
            self.trace.logged.append("two devices opened the folder under different keys")
        self._look_afresh("fresh")
        for device in self.devices:
            if device.filesystem is not None:
                self._wait(device.filesystem.desk.view.store.poll(thorough=True))
                for _ in range(5):
                    if not isinstance(self._wait(device.filesystem.refresh()), Failure):
                        break
                self._advance(self.clock.seconds() + LONGEST, lambda device=device: device.at_rest)  # type: ignore[misc]
                self._observe(f"device {device.number}", device.filesystem, contents=False)
        self._look_afresh("fresh again")
        self._count_situations()
        kept = list(self.world.messages.values())
        self.trace.mail = len(self._mail)
        self.trace.touched = sum(message not in kept for message in self._mail)
        for device in self.devices:
            if device.filesystem is not None:
                self._wait(device.filesystem.close())
        self.trace.messages = dict(self.world.messages)
        self.trace.leases = leases_in(self.trace)
        self.trace.recorded = recorded_in(self.trace)
        self.trace.wires = self.world.fingerprint

    def _count_situations(self) -> None:
        situations = self.trace.situations
        opened = (device.filesystem for device in self.devices if device.filesystem is not None)
        count = max((len(one.desk.view.index.objects(CHECKPOINTS)) for one in opened), default=0)
        situations["checkpoints were published"] += count
        situations["a known Message-ID was dropped"] += self.world.dropped
        seen = self.trace.observations[0].versions if self.trace.observations else {}
        present = {(path, one.vid) for path, found in seen.items() for one in found}
        situations["a collected version came back"] += len(present & self.trace.collected.keys())
        situations["versions were collected"] += len(self.trace.collected)
        if self.trace.observations:
            situations["collected in the middle of a history"] += holes(self.trace, self.trace.observations[0])
        situations["clocks ten minutes apart"] += self.trace.apart

    def _bury(self) -> None:
        """Let what is dead run out, in its order, and nothing of it count but that it does not end."""
        self._over = True
        for device in (*self.devices, *self._guests):
            device.bury()
        self.world.end()
        for _ in range(LEFT_BEHIND):
            if not self.clock.calls:
                return
            self.clock.advance(max(0.0, self.clock.calls[0].getTime() - self.clock.seconds()))
        still = sorted({str(getattr(call.func, "__qualname__", call.func)) for call in self.clock.calls})
        self.trace.logged.append(f"what is dead never comes to rest; it waits for {', '.join(still)}")

    def _look_afresh(self, who: str) -> None:
        number = len(self.devices) + len(self.trace.observations)
        device = self._device(number, Place())
        self._guests.append(device)
        opened = self._wait(device.start(Notebook(self.trace, number, self._now)))
        if isinstance(opened, Failure) or opened is None:
            reason = "" if opened is None else opened.getErrorMessage()
            self.trace.logged.append(f"a fresh client cannot open the folder: {reason}")
            return
        if self._plant is not None:
            self._plant(opened)
        self._observe(who, opened, contents=True)
        self._wait(opened.close())

    def _observe(self, who: str, filesystem: Filesystem, *, contents: bool) -> None:
        seen = self._wait(observe(who, filesystem, contents=contents))
        if isinstance(seen, Observation):
            self.trace.observations.append(seen)
        else:
            self.trace.logged.append(f"{who} cannot look at the folder: {seen}")


def simulate(scenario: Scenario, plant: Plant | None = None) -> Trace:
    """Run a scenario to its end and give what was recorded."""
    return Simulation(scenario, plant).run()
