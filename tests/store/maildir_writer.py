"""A process that appends to a Maildir folder and prints each UID when it is acknowledged: BASE NAME COUNT."""

from __future__ import annotations

import sys

from twisted.internet.task import react

from ifap_twisted.store.maildir import MaildirStore
from ifap_twisted.workers import InlineWorker
from tests.messages import letter


async def append_all(reactor, base, name, count):
    """Append COUNT messages, one after the other."""
    store = MaildirStore(base, "FOLDER", worker=InlineWorker(), clock=reactor)
    await store.open()
    for number in range(int(count)):
        receipt = await store.append(letter(f"{name}{number}", size=20_000))
        print(receipt.uid, flush=True)


if __name__ == "__main__":
    react(append_all, sys.argv[1:])
