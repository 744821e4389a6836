"""``cancel`` and ``addTimeout`` on put, get and watch: nothing is half written, and the connection goes on.

A put that is cancelled before its message is on the way stores nothing. Once it is on the way it is finished: the file
is then the old one or the new one, never a mixture. ``IFAP_SECONDS`` is how long a get may take here.

Run it: ``python cancelling.py``. ``task_react.py`` tells how to use a real account.
"""

import os

from twisted.internet.defer import CancelledError, Deferred, TimeoutError  # noqa: A004 -- Twisted's own
from twisted.internet.task import deferLater, react

from ifap_twisted import connect
from ifap_twisted.errors import NotFound

ACCOUNT = os.environ.get("IFAP_ACCOUNT", "embedded")
FOLDER = os.environ.get("IFAP_FOLDER", "IFAP_EXAMPLES")
BASEDIR = os.environ.get("IFAP_BASEDIR", "~/.ifap-examples")
SECONDS = float(os.environ.get("IFAP_SECONDS", "10"))
MANY = bytes(1_000_000)


async def never_ending(reactor):
    """The content of a file whose sender stops in the middle."""
    yield b"the first half, "
    await deferLater(reactor, 3600)
    yield b"and the second"


def next_change(filesystem, path):
    """A Deferred of the entry of a file when it changes next; cancelling it ends the watching."""

    def listener(event):
        if event.kind == "changed" and event.entry.path == path.lstrip("/"):
            stop()
            change.callback(event.entry)

    stop = filesystem.watch(listener)
    change = Deferred(lambda _change: stop())
    return change


async def fate(what, work):
    """Wait for a Deferred and print how it ended; gives the result, or None when it was given up."""
    try:
        result = await work
    except CancelledError:
        print(f"{what}: cancelled")
    except TimeoutError:
        print(f"{what}: timed out")
    else:
        print(f"{what}: done")
        return result


async def cancel_puts(reactor, filesystem):
    work = filesystem.put("/cancelling/half.txt", never_ending(reactor))
    reactor.callLater(0.2, work.cancel)
    await fate("put", work)
    await fate(
        "put with a limit", filesystem.put("/cancelling/half.txt", never_ending(reactor)).addTimeout(0.2, reactor)
    )
    try:
        await filesystem.stat("/cancelling/half.txt")
    except NotFound:
        print("nothing was half written")


async def cancel_gets(reactor, filesystem):
    await filesystem.put("/cancelling/large.bin", MANY)
    work = filesystem.get("/cancelling/large.bin")
    work.cancel()
    await fate("get", work)
    data = await fate("get with a limit", filesystem.get("/cancelling/large.bin").addTimeout(SECONDS, reactor))
    if data is not None:
        print(f"read {len(data)} bytes")


async def cancel_watching(reactor, filesystem):
    change = next_change(filesystem, "/cancelling/news.txt")
    change.cancel()
    await fate("watch", change)
    await fate("watch with a limit", next_change(filesystem, "/cancelling/news.txt").addTimeout(0.2, reactor))
    change = next_change(filesystem, "/cancelling/news.txt").addTimeout(60, reactor)
    await filesystem.put("/cancelling/news.txt", b"something new")
    entry = await fate("watch while it changes", change)
    print(f"changed: /{entry.path}")


async def main(reactor):
    filesystem = await connect(reactor, ACCOUNT, folder=FOLDER, basedir=BASEDIR)
    try:
        await cancel_puts(reactor, filesystem)
        await cancel_gets(reactor, filesystem)
        await cancel_watching(reactor, filesystem)
        print(f"the connection still works: {await filesystem.get('/cancelling/news.txt')!r}")
    finally:
        await filesystem.close()


if __name__ == "__main__":
    react(main)
