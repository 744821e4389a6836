"""The asyncio reactor: Twisted and asyncio in one loop, with ``Deferred.asFuture`` between them.

``main`` is an asyncio coroutine: it may use ``asyncio.gather``, ``asyncio.timeout`` and every library for asyncio.
Cancelling a future cancels the Deferred behind it.

Run it: ``python asyncio_reactor.py``. ``task_react.py`` tells how to use a real account.
"""

import asyncio
import os

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from ifap_twisted import connect

ACCOUNT = os.environ.get("IFAP_ACCOUNT", "embedded")
FOLDER = os.environ.get("IFAP_FOLDER", "IFAP_EXAMPLES")
BASEDIR = os.environ.get("IFAP_BASEDIR", "~/.ifap-examples")


async def main(reactor):
    loop = asyncio.get_running_loop()
    filesystem = await connect(reactor, ACCOUNT, folder=FOLDER, basedir=BASEDIR).asFuture(loop)
    try:
        puts = [filesystem.put(f"/asyncio/{number}.txt", b"%d" % number) for number in range(10)]
        entries = await asyncio.gather(*(put.asFuture(loop) for put in puts))
        print(f"stored {len(entries)} files")

        async with asyncio.timeout(60):
            data = await filesystem.get("/asyncio/7.txt").asFuture(loop)
        print(f"read {data!r}")

        try:
            await asyncio.wait_for(never_ending_put(filesystem).asFuture(loop), timeout=0.2)
        except TimeoutError:
            print("the put that never ends was cancelled")
        print(f"there are {len(await filesystem.list('/asyncio').asFuture(loop))} files in /asyncio")
    finally:
        await filesystem.close().asFuture(loop)


def never_ending_put(filesystem):
    async def content():
        yield b"the first half"
        await Deferred()  # our code awaits Deferreds: a future goes in by Deferred.fromFuture

    return filesystem.put("/asyncio/half.txt", content())


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)  # before anything imports the reactor
    react(lambda reactor: Deferred.fromFuture(asyncio.ensure_future(main(reactor), loop=loop)))
