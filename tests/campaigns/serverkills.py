"""``python -m tests.campaigns.serverkills``: kill the embedded server again and again, and look for what it confirmed.

A child process serves; a client appends and expunges over its socket without waiting; SIGKILL comes at a random moment.
What had been acknowledged is there, under its UID and byte for byte, what was said to be expunged is gone, the numbers
go on, and no half message is there. Ten kills are one life of a mailbox. It leaves mail and no folder of files, so that
there is nothing for the model of the reference to read. Exit status: 1 when it was otherwise.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.campaigns.leftovers import NAME, differences
from tests.campaigns.seeded import command
from tests.server.sending import Sender, Sent, start_server

KILLS = 10
"""Of one mailbox."""


def conversed(directory: Path, sent: Sent, random: Random) -> None:
    """Append and expunge until the server is killed, a moment after some answer."""
    server = start_server(directory)
    try:
        sender = Sender(directory, sent, random)
        sender.append(random.choice((1, 30, 100)), random.choice((500, 12_000, 60_000)))
        sender.hear(1)
        for uid in random.sample(sorted(sent.acknowledged.keys() - sent.expunged), 1):
            sender.expunge(uid)
        sender.append(random.choice((1, 30, 100)), 12_000)
        sender.hear(random.randrange(30))
        time.sleep(random.random() * 0.01)  # noqa: TID251 -- the moment of the kill, which nobody waits for
    finally:
        server.kill()
        server.wait()
    sender.hear_rest()
    sender.close()


def case(number: int) -> tuple[Counter[str], list[str]]:
    """One life."""
    random = Random(f"kill {number}")
    sent = Sent()
    with tempfile.TemporaryDirectory(prefix="ifap-kill-") as directory:
        base, copy = Path(directory, "server"), Path(directory, "copy")
        base.mkdir()
        for kill in range(KILLS):
            conversed(base, sent, random)
            shutil.copytree(base, copy, ignore=shutil.ignore_patterns("socket"))
            required = {
                uid: sent.messages[number] for uid, number in sent.acknowledged.items() if uid not in sent.leaving
            }
            wrong = differences(copy / NAME, sent, required, sent.messages)
            if wrong:
                return Counter(kills=kill + 1), wrong
            shutil.rmtree(copy)
    return Counter(kills=KILLS, acknowledged=len(sent.acknowledged), sent=len(sent.messages)), []


main = command(case, "Kill the embedded server again and again, and look for what it acknowledged.")

if __name__ == "__main__":
    main()
