"""``python -m tests.campaigns.powercuts``: cut the power of the embedded server at any operation, and read all mail.

A server is run under strace while a client appends and expunges without waiting; then its log is cut at some
operation, and a disk is made of it that kept what was synced and, of what came later, nothing, everything, or some
sectors. A fresh server opens that: what had been acknowledged is there, under its UID and byte for byte; what was said
to be expunged is gone; nothing else is there but messages that were sent, whole. Later runs begin on what a cut has
left. It leaves mail and no folder of files, so that there is nothing for the model of the reference to read. Exit
status: 1 when it was otherwise. Needs strace.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.campaigns.leftovers import Mail, differences, found, placed
from tests.campaigns.seeded import command
from tests.campaigns.syscalls import Disk, Operation, operations, strace
from tests.server.sending import Sender, Sent, start_server

CUTS = 100
"""Of one run of the server."""


@dataclass(frozen=True)
class Recording:
    """One run of a server.

    :ivar before: the files that it found; ``promised``: what of them had been acknowledged; ``shown``: what was there.
    :ivar sent: what its client sent, whole; ``told`` says what it was told up to a cut.
    """

    before: dict[str, bytes]
    promised: Mail
    shown: Mail
    operations: list[Operation]
    sent: list[bytes]

    def disk_at(self, cut: int) -> Disk:
        """The disk when so many operations are done."""
        disk = Disk(self.before)
        for one in self.operations[:cut]:
            disk.do(one)
        return disk

    def told(self, cut: int) -> tuple[Sent, bool]:
        """What its client was told until then, and whether the server was ready."""
        said = b"".join(one.data for one in self.operations[:cut] if one.kind == "say")
        sent = Sent(messages=self.sent)
        for line in said.splitlines():
            sent.note(line)
        return sent, b"READY" in said

    def cut(self, random: Random) -> int:
        """Some operation; in one of four cases one right behind something that was said."""
        spoken = [at for at, one in enumerate(self.operations, 1) if one.kind == "say" and b" OK " in one.data]
        return random.choice(spoken) if random.random() < 0.25 else random.randint(1, len(self.operations))


@functools.lru_cache(maxsize=2)
def recorded(number: int, size: int) -> Recording:
    """The run of a number; two of three begin on what a cut in the one before has left.

    :param size: messages that are sent.
    """
    random = Random(f"power {number}")
    before, promised, shown = {}, {}, {}
    if number % 3:
        earlier = recorded(number - 1, size)
        cut = earlier.cut(random)
        before, promised = earlier.disk_at(cut).after_cut(random), required(earlier, cut)
        with placed(before) as path:
            shown = found(path)[0]
    with tempfile.TemporaryDirectory(prefix="ifap-power-") as directory:
        base, log = Path(directory, "server"), Path(directory, "log")
        base.mkdir()
        for name, content in before.items():
            (base / name).write_bytes(content)
        sent = _conversed(base, log, random, size)
        with log.open(encoding="ascii") as lines:
            done = list(operations(lines, base))
    return Recording(before, promised, shown, done, sent)


def _conversed(base: Path, log: Path, random: Random, size: int) -> list[bytes]:
    """What was sent to a server that is stopped, properly or not, when all was answered."""
    server = start_server(base, strace(log))
    try:
        sent = Sent()
        sender = Sender(base, sent, random)
        while len(sent.messages) < size:
            count = random.choice((1, 2, 10, 25))
            sender.append(count, random.choice((500, 12_000, 60_000)))
            sender.hear(count)
            if random.random() < 0.3:
                sender.expunge(random.choice(sorted(sent.acknowledged)))
                sender.hear(2)
        assert not sent.refused, sent.refused
        sender.close()
    finally:
        traced = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(server.pid)], capture_output=True, check=True, text=True
        )
        for pid in traced.stdout.split():
            os.kill(int(pid), random.choice((signal.SIGTERM, signal.SIGKILL)))
        server.wait()
    return sent.messages


def required(recording: Recording, cut: int) -> Mail:
    """What has to be there after a cut."""
    sent, ready = recording.told(cut)
    kept = {**recording.promised, **(recording.shown if ready else {})}
    kept |= {uid: sent.messages[number] for uid, number in sent.acknowledged.items()}
    leaving = _leaving(recording)
    return {uid: message for uid, message in kept.items() if uid not in leaving}


def _leaving(recording: Recording) -> frozenset[int]:
    """What was to be expunged at some time of the run: until it is acknowledged it may be there or not."""
    return frozenset(recording.told(len(recording.operations))[0].expunged)


def judged(recording: Recording, cut: int, files: dict[str, bytes]) -> list[str]:
    """What is wrong with what a cut has left."""
    sent, _ready = recording.told(cut)
    known = [*recording.sent, *recording.shown.values(), *recording.promised.values()]
    with placed(files) as path:
        return differences(path, sent, required(recording, cut), known)


def case(number: int, size: int = 150) -> tuple[Counter[str], list[str]]:
    """Cut one of the runs somewhere."""
    recording = recorded(number // CUTS, size)
    random = Random(f"cut {number}")
    cut = recording.cut(random)
    files = recording.disk_at(cut).after_cut(random)
    wrong = [f"cut at {cut} of {len(recording.operations)}: {what}" for what in judged(recording, cut, files)]
    there = len(required(recording, cut))
    return Counter(cuts=1, runs=int(number % CUTS == 0), **{"acknowledged messages that had to be there": there}), wrong


main = command(case, "Cut the power of the embedded server at any operation, and read all mail.")

if __name__ == "__main__":
    main()
