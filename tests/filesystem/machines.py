"""A device whose processes end and begin, and what it keeps between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred

from ifap_twisted.basedir.basedir import Basedir
from ifap_twisted.basedir.writer import FileWriter
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership, Opened
from ifap_twisted.interfaces import IMarks
from ifap_twisted.testing.disk import Disk
from ifap_twisted.testing.seen import DiskMarks
from ifap_twisted.workers import InlineWorker
from tests.filesystem.folders import KEY, Folder, result


class Machine:
    """One device on a folder.

    :param home: it has opened the folder before.
    """

    def __init__(self, folder: Folder, name: str = "machine", *, keys: Sequence[Key] = (KEY,), **facts: Any) -> None:
        self.folder = folder
        self.disk = Disk(name)
        self.membership = Membership(keys=tuple(keys), **facts)

    async def remember(self, membership: Membership) -> None:
        """As ``key.json`` does."""
        self.membership = membership

    def marks(self, keys: Sequence[Key], home: str, dialect: Dialect) -> IMarks:
        """On its disk."""
        random = self.folder.random
        return DiskMarks(self.disk, keys, home=home, dialect=dialect.name, random=random, worker=InlineWorker())

    def start(self, **more: Any) -> Filesystem:
        """The filesystem of its next process."""
        opened: Opened = result(self.opening(**more))
        return opened.filesystem

    def opening(self, **more: Any) -> Deferred[Opened]:
        """The same, as it happens."""
        base = cast("Basedir", self.disk)
        identity = result(FileWriter.open(base, self.folder.random, InlineWorker()))
        more = {"marks": self.marks, **more}
        return self.folder.opening(self.membership, identity=identity, remember=self.remember, **more)

    def look(self, seconds: float = 0.0) -> None:
        """Let a process see the folder, and end after a while."""
        filesystem = self.start()
        self.folder.clock.advance(seconds)
        result(filesystem.close())
