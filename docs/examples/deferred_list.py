"""``DeferredList``: a hundred files that go out in one go, not one round trip after another.

Nothing special has to be done for it: puts that are called without waiting for each other share the wire. Each Deferred
still fires only when its file is durable on the server and was read back.

Run it: ``python deferred_list.py``. ``task_react.py`` tells how to use a real account.
"""

import os

from twisted.internet.defer import DeferredList
from twisted.internet.task import react

from ifap_twisted import connect

ACCOUNT = os.environ.get("IFAP_ACCOUNT", "embedded")
FOLDER = os.environ.get("IFAP_FOLDER", "IFAP_EXAMPLES")
BASEDIR = os.environ.get("IFAP_BASEDIR", "~/.ifap-examples")
FILES = 100


def put_all(filesystem):
    puts = [filesystem.put(f"/many/{number:03}.txt", b"file %d\n" % number) for number in range(FILES)]
    return DeferredList(puts, consumeErrors=True)


def tell(results):
    """Of each put whether it succeeded, and its entry or the failure."""
    failures = [outcome for success, outcome in results if not success]
    print(f"stored {len(results) - len(failures)} of {len(results)} files")
    for failure in failures:
        print(f"failed: {failure.value}")
    if failures:
        raise SystemExit(1)


async def main(reactor):
    filesystem = await connect(reactor, ACCOUNT, folder=FOLDER, basedir=BASEDIR)
    try:
        tell(await put_all(filesystem))
        print(f"there are {len(await filesystem.list('/many'))} files in /many")
    finally:
        await filesystem.close()


if __name__ == "__main__":
    react(main)
