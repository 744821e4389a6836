"""Files of the folder onto the local disk: where each goes, and many on their way at a time.

It follows ``cp`` (DESIGN 4.2). That nothing is written outside the target is the business of ``targets``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from ifap_twisted.cli.inflight import Gate, each
from ifap_twisted.cli.localfiles import BLOCK, PERMISSIONS, encoded_digest
from ifap_twisted.cli.problems import EXPECTED
from ifap_twisted.cli.progress import Progress, counting
from ifap_twisted.cli.remote import RemoteName
from ifap_twisted.cli.targets import Run, Target, is_local_directory
from ifap_twisted.core import limits, paths
from ifap_twisted.core.portable import MACOS, WINDOWS, folded, portable
from ifap_twisted.errors import AlreadyExists, IFAPError, IsADirectory, NotADirectory

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.core.values import Entry
    from ifap_twisted.interfaces import IFilesystem

FILES_IN_FLIGHT: Final = 32
BYTES_IN_FLIGHT: Final = limits.FILES_IN_FLIGHT * limits.MAX_FILE_SIZE
"""Content held in memory at a time: each file is checked as a whole before a byte of it is written."""
_NO_NAME: Final = {errno.EINVAL, errno.EILSEQ}
"""What disks of other systems say of a name that they do not take (FAT, NTFS, shares)."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file and where it goes: ``parts`` below ``target``."""

    entry: Entry
    target: Target
    parts: tuple[str, ...]


class Download:
    """One run of ``get``: plans, transfers and counts."""

    def __init__(
        self, filesystem: IFilesystem, session: Session, *, recursive: bool, replace: bool, version: str | None
    ) -> None:
        self.new = self.unchanged = self.failures = 0
        self._filesystem = filesystem
        self._session = session
        self._console = session.console
        self._recursive = recursive
        self._replace = replace
        self._version = version
        self._items: list[Item] = []
        self._targets: list[Target] = []
        self._run = Run()
        self._places: set[tuple[tuple[int, int], tuple[str, ...]]] = set()

    async def run(self, sources: Sequence[RemoteName], destination: str) -> None:
        """Get all sources; each failure is told, and the others go on."""
        into = destination.endswith("/") or len(sources) > 1 or is_local_directory(destination)
        try:
            for source in sources:
                try:
                    await self._add(source, destination, into=into)
                except EXPECTED as error:
                    self._failed(error, source.path)
            gate = Gate(FILES_IN_FLIGHT, BYTES_IN_FLIGHT)
            total = sum(item.entry.size for item in self._items)
            with counting(self._console, "Getting", total) as progress:
                await each(self._items, lambda item: self._file(item, progress), gate, lambda item: item.entry.size)
        finally:
            for target in self._targets:
                target.close()

    def summary(self) -> None:
        """Say how many files were new, unchanged, and failed."""
        if self._console.json:
            self._console.object({"new": self.new, "unchanged": self.unchanged, "failed": self.failures})
        elif self._console.verbosity >= 0:
            self._console.line(f"{self.new} new, {self.unchanged} unchanged, {self.failures} failed")

    async def _add(self, source: RemoteName, destination: str, *, into: bool) -> None:
        name = paths.basename(source.path)
        if not source.path or (entry := await self._stat(source.path)).type == "directory":
            await self._add_tree(source, destination, name, into=into)
            return
        if source.slash:
            raise NotADirectory(path=source.path)
        if into:
            self._add_item(entry, self._open(destination, create=self._recursive), paths.local_parts(name))
        else:
            parent, last = os.path.split(destination)
            self._add_item(entry, self._open(parent, create=False), (last,))

    async def _stat(self, path: str) -> Entry:
        return await self._filesystem.stat(path, version=self._version)

    async def _add_tree(self, source: RemoteName, destination: str, name: str, *, into: bool) -> None:
        if not self._recursive:
            raise IsADirectory("It is a directory: give -r to get all that is in it.", path=source.path)
        entries = await self._filesystem.list(source.path, recursive=True)
        target = self._open(destination, create=True)
        top = paths.local_parts(name) if into and not source.slash else ()
        await self._make(target, top, source.path)
        for entry in entries:
            try:
                parts = top + paths.local_parts(_below(source.path, entry.path))
                if entry.type == "directory":
                    await self._make(target, parts, entry.path)
                else:
                    self._add_item(entry, target, parts)
            except EXPECTED as error:
                self._failed(error, entry.path)

    async def _make(self, target: Target, parts: tuple[str, ...], path: str) -> None:
        try:
            await self._session.worker(lambda: target.make_directory(parts))
        except OSError as error:
            self._failed(error, path)

    def _open(self, directory: str, *, create: bool) -> Target:
        target = Target(directory, create=create, run=self._run)
        self._targets.append(target)
        return target

    def _add_item(self, entry: Entry, target: Target, parts: tuple[str, ...]) -> None:
        place = (target.identity, parts)
        if place in self._places:
            raise AlreadyExists("Another SRC goes to the same local name.", path=entry.path)
        self._places.add(place)
        self._items.append(Item(entry, target, parts))

    async def _file(self, item: Item, progress: Progress) -> None:
        try:
            if await self._is_there(item):
                self.unchanged += 1
                self._console.detail(f"unchanged {item.target.shown(item.parts)}")
            else:
                await self._get(item)
                self.new += 1
        except OSError as error:
            self._failed(await self._session.worker(partial(self._explained, error, item)), item.entry.path)
        except IFAPError as error:
            self._failed(error, item.entry.path)
        progress.advance(item.entry.size)

    def _explained(self, error: OSError, item: Item) -> Exception:
        """Why the disk refused a name, where that can be told: nothing is renamed because of it."""
        if isinstance(error, FileExistsError) and (twin := self._twin(item)) is not None:
            detail = f"This disk takes the name for that of /{twin.entry.path}, which was written there just now."
            return AlreadyExists(detail, path=item.entry.path)
        why = portable("/".join(item.parts), WINDOWS) if error.errno in _NO_NAME else None
        if why is None:
            return error
        return OSError(error.errno, f"{error.strerror}: not every disk takes the name, because {why}", error.filename)

    def _twin(self, item: Item) -> Item | None:
        """The file of this run that the disk has in the place of this one."""
        found = item.target.find(item.parts)
        if found is None or not self._run.wrote(found):
            return None
        mine = _spellings(item)
        return next((one for one in self._items if one is not item and mine & _spellings(one)), None)

    async def _is_there(self, item: Item) -> bool:
        """Whether the local file is the same already, which is asked for trees that replace what is there.

        :raises AlreadyExists: something is there, and nothing is to be replaced.
        """
        found = await self._session.worker(lambda: item.target.find(item.parts))
        if found is None:
            return False
        if not self._replace:
            shown = item.target.shown(item.parts)
            raise FileExistsError(errno.EEXIST, "It exists already: give -f to overwrite it", shown)
        if not self._recursive or not stat.S_ISREG(found.st_mode) or item.entry.sha256 is None:
            return False
        if (found.st_size, found.st_mode & 0o7777) != (item.entry.size, item.entry.mode & PERMISSIONS):
            return False
        same = await self._session.worker(lambda: _digest(item)) == item.entry.sha256.rstrip("=")
        if same:
            await self._session.worker(lambda: item.target.touch(item.parts, item.entry.modified))
        return same

    async def _get(self, item: Item) -> None:
        record = await self._filesystem.read(item.entry.path, version=self._version)
        entry = record.entry
        await self._session.worker(
            lambda: item.target.write(
                item.parts, record.data, mode=entry.mode, modified=entry.modified, replace=self._replace
            )
        )
        if self._console.json:
            self._console.object(entry.to_json())
        elif self._console.verbosity >= 1:
            self._console.line(f"{item.target.shown(item.parts)} {entry.version}")

    def _failed(self, error: Exception, path: str) -> None:
        self.failures += 1
        self._console.failed(error, path)


def _spellings(item: Item) -> set[tuple[tuple[int, int], str, str]]:
    """Two files that are one on some disk have one of these in common."""
    name = "/".join(item.parts)
    return {(item.target.identity, system, folded(name, system)) for system in (MACOS, WINDOWS)}


def _below(directory: str, path: str) -> str:
    """The path relative to the directory that was listed; a path that is not below it stays as it is."""
    return path.removeprefix(directory + "/") if directory else path


def _digest(item: Item) -> str:
    descriptor = item.target.open(item.parts)
    with os.fdopen(descriptor, "rb") as file:
        summed = hashlib.sha256()
        while block := file.read(BLOCK):
            summed.update(block)
    return encoded_digest(summed.digest())
