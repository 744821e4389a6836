"""``task.react`` with ``async def``: store a file, read it back, see its versions, list a directory.

Run it: ``python task_react.py``. Without anything else it uses a mail server of its own in ``~/.ifap-examples``. For a
real account run ``ifap --basedir DIR login --account imaps://me@imap.example.org --folder NAME`` once, then set
``IFAP_BASEDIR``, ``IFAP_ACCOUNT`` and ``IFAP_FOLDER`` to the same.
"""

import os

from twisted.internet.task import react

from ifap_twisted import connect

ACCOUNT = os.environ.get("IFAP_ACCOUNT", "embedded")
FOLDER = os.environ.get("IFAP_FOLDER", "IFAP_EXAMPLES")
BASEDIR = os.environ.get("IFAP_BASEDIR", "~/.ifap-examples")


async def main(reactor):
    filesystem = await connect(reactor, ACCOUNT, folder=FOLDER, basedir=BASEDIR)
    try:
        entry = await filesystem.put("/react/hello.txt", b"hello world")
        print(f"stored {entry.size} bytes as version {entry.version}")

        record = await filesystem.read("/react/hello.txt")  # content and entry, belonging together
        print(f"read {record.data!r}")

        async with filesystem.open("/react/hello.txt", "a") as file:  # a new version, when the block ends
            await file.write(", once more")
        print(f"now it is {await filesystem.get('/react/hello.txt')!r}")
        print(f"before it was {await filesystem.get('/react/hello.txt', version=entry.version)!r}")

        for found in await filesystem.list("/react"):
            print(f"/{found.path}: {found.size} bytes, {found.versions} versions")
    finally:
        await filesystem.close()


if __name__ == "__main__":
    react(main)
