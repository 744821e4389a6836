"""Plain Deferreds with ``addCallback`` and ``addErrback``: the same as ``task_react.py`` without ``async def``.

Run it: ``python callbacks.py``. ``task_react.py`` tells how to use a real account.
"""

import os

from twisted.internet.task import react

from ifap_twisted import connect
from ifap_twisted.errors import NotFound

ACCOUNT = os.environ.get("IFAP_ACCOUNT", "embedded")
FOLDER = os.environ.get("IFAP_FOLDER", "IFAP_EXAMPLES")
BASEDIR = os.environ.get("IFAP_BASEDIR", "~/.ifap-examples")


def connected(filesystem):
    """The filesystem is there: do it all, and close it however that ends."""
    work = filesystem.put("/callbacks/hello.txt", b"hello world")
    work.addCallback(stored, filesystem)
    work.addCallback(lambda _: filesystem.get("/callbacks/hello.txt"))
    work.addCallback(lambda data: print(f"read {data!r}"))
    work.addCallback(lambda _: filesystem.get("/callbacks/absent.txt"))
    work.addErrback(absent)
    work.addCallback(lambda _: filesystem.list("/callbacks"))
    work.addCallback(listed)
    work.addBoth(lambda result: filesystem.close().addCallback(lambda _: result))
    return work


def stored(entry, filesystem):
    print(f"stored {entry.size} bytes as version {entry.version}")
    return filesystem.put("/callbacks/second.txt", b"another one")


def absent(failure):
    """Every error is a class of ``ifap_twisted.errors``; what is not expected goes on to the next errback."""
    failure.trap(NotFound)
    print(f"as expected: {failure.value}")


def listed(entries):
    for entry in entries:
        print(f"/{entry.path}: {entry.size} bytes")


def main(reactor):
    return connect(reactor, ACCOUNT, folder=FOLDER, basedir=BASEDIR).addCallback(connected)


if __name__ == "__main__":
    react(main)
