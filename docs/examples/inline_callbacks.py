"""``inlineCallbacks``: the same as ``task_react.py`` for programs that are written in that style.

Run it: ``python inline_callbacks.py``. ``task_react.py`` tells how to use a real account.
"""

import os

from twisted.internet.defer import inlineCallbacks  # noqa: TID251 -- this example is about it
from twisted.internet.task import react

from ifap_twisted import connect
from ifap_twisted.errors import Conflict

ACCOUNT = os.environ.get("IFAP_ACCOUNT", "embedded")
FOLDER = os.environ.get("IFAP_FOLDER", "IFAP_EXAMPLES")
BASEDIR = os.environ.get("IFAP_BASEDIR", "~/.ifap-examples")


@inlineCallbacks
def main(reactor):
    filesystem = yield connect(reactor, ACCOUNT, folder=FOLDER, basedir=BASEDIR)
    try:
        first = yield filesystem.put("/inline/notes.txt", b"first draft")
        second = yield filesystem.put("/inline/notes.txt", b"second draft", expect=first.version)
        print(f"replaced version {first.version} by {second.version}")

        try:  # somebody who has only seen the first version must not undo the second
            yield filesystem.put("/inline/notes.txt", b"another second draft", expect=first.version)
        except Conflict as error:
            print(f"refused: {error}")

        data = yield filesystem.get("/inline/notes.txt")
        print(f"read {data!r}")
    finally:
        yield filesystem.close()


if __name__ == "__main__":
    react(main)
