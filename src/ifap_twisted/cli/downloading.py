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

from ifap_twisted.cli.contents import PART, Lost
from ifap_twisted.cli.inflight import Gate, each
from ifap_twisted.cli.localfiles import BLOCK, PERMISSIONS, encoded_digest
from ifap_twisted.cli.parts import SYNCED, is_part_name
from ifap_twisted.cli.problems import EXPECTED
from ifap_twisted.cli.progress import Counted, Progress, counting
from ifap_twisted.cli.remote import RemoteName
from ifap_twisted.cli.targets import Run, Target, is_local_directory
from ifap_twisted.cli.transfers import Transfer
from ifap_twisted.core import limits, paths
from ifap_twisted.core.portable import MACOS, WINDOWS, folded, portable
from ifap_twisted.errors import AlreadyExists, ChunkLost, IFAPError, InvalidPath, IsADirectory, NotADirectory

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.core.values import Entry
    from ifap_twisted.interfaces import IFilesystem, IStream

FILES_IN_FLIGHT: Final = 32
BYTES_IN_FLIGHT: Final = 8 * PART
"""Content held in memory at a time: of a large file the part that is written, and the next one."""
WHOLE: Final = 1 * limits.MIB
"""A file of up to this is read in one go, which is one question."""
_NO_NAME: Final = {errno.EINVAL, errno.EILSEQ}
"""What disks of other systems say of a name that they do not take (FAT, NTFS, shares)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How files are got.

    :ivar replace: what exists is overwritten.
    :ivar resume: what a cut left of a large file is taken up, and what comes is kept.
    :ivar salvage: what is left of a file that has lost some of its bytes is written.
    """

    recursive: bool = False
    replace: bool = False
    version: str | None = None
    resume: bool = False
    salvage: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One file and where it goes: ``parts`` below ``target``."""

    entry: Entry
    target: Target
    parts: tuple[str, ...]


class Download:
    """One run of ``get``: plans, transfers and counts."""

    def __init__(self, filesystem: IFilesystem, session: Session, wishes: Wishes) -> None:
        self.new = self.unchanged = self.salvaged = self.failures = 0
        self._filesystem = filesystem
        self._session = session
        self._console = session.console
        self._wishes = wishes
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
                await each(self._items, lambda item: self._file(item, progress), gate, _weight)
        finally:
            for target in self._targets:
                target.close()

    def summary(self) -> None:
        """Say how many files were new, unchanged, and failed."""
        counts = {"new": self.new, "unchanged": self.unchanged, "failed": self.failures}
        if self._wishes.salvage:
            counts = {"new": self.new, "unchanged": self.unchanged, "salvaged": self.salvaged, "failed": self.failures}
        if self._console.json:
            self._console.object(counts)
        elif self._console.verbosity >= 0:
            self._console.line(", ".join(f"{count} {name}" for name, count in counts.items()))

    async def _add(self, source: RemoteName, destination: str, *, into: bool) -> None:
        name = paths.basename(source.path)
        if not source.path or (entry := await self._stat(source.path)).type == "directory":
            await self._add_tree(source, destination, name, into=into)
            return
        if source.slash:
            raise NotADirectory(path=source.path)
        if into:
            self._add_item(
                entry, self._open(destination, create=self._wishes.recursive), _local_parts(name, source.path)
            )
        else:
            parent, last = os.path.split(destination)
            self._add_item(entry, self._open(parent, create=False), (last,))

    async def _stat(self, path: str) -> Entry:
        return await self._filesystem.stat(path, version=self._wishes.version)

    async def _add_tree(self, source: RemoteName, destination: str, name: str, *, into: bool) -> None:
        if not self._wishes.recursive:
            raise IsADirectory("It is a directory: give -r to get all that is in it.", path=source.path)
        entries = await self._filesystem.list(source.path, recursive=True)
        target = self._open(destination, create=True)
        top = paths.local_parts(name) if into and not source.slash else ()
        await self._make(target, top, source.path)
        for entry in entries:
            try:
                parts = top + _local_parts(_below(source.path, entry.path), entry.path)
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
        counted = Counted(progress)
        try:
            if await self._is_there(item):
                self.unchanged += 1
                self._console.detail(f"unchanged {item.target.shown(item.parts)}")
            else:
                await self._get(item, counted)
        except OSError as error:
            self._failed(await self._session.worker(partial(self._explained, error, item)), item.entry.path)
        except IFAPError as error:
            self._failed(error, item.entry.path)
        counted.advance(max(item.entry.size - counted.done, 0))

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
        if not self._wishes.replace:
            shown = item.target.shown(item.parts)
            raise FileExistsError(errno.EEXIST, "It exists already: give -f to overwrite it", shown)
        if not self._wishes.recursive or not stat.S_ISREG(found.st_mode) or item.entry.sha256 is None:
            return False
        if (found.st_size, found.st_mode & 0o7777) != (item.entry.size, item.entry.mode & PERMISSIONS):
            return False
        same = await self._session.worker(lambda: _digest(item)) == item.entry.sha256.rstrip("=")
        if same:
            await self._session.worker(lambda: item.target.touch(item.parts, item.entry.modified))
        return same

    async def _get(self, item: Item, progress: Progress) -> None:
        wishes = self._wishes
        if item.entry.size <= WHOLE and not wishes.salvage:
            record = await self._filesystem.read(item.entry.path, version=wishes.version)
            entry, lost = record.entry, list[Lost]()
            await self._session.worker(
                lambda: item.target.write(
                    item.parts, record.data, mode=entry.mode, modified=entry.modified, replace=wishes.replace
                )
            )
        else:
            stream = await self._filesystem.stream(item.entry.path, version=wishes.version)
            entry, lost = stream.entry, await self._transfer(item, stream, progress)
        self._got(item, entry, lost)

    async def _transfer(self, item: Item, stream: IStream, progress: Progress) -> list[Lost]:
        wishes = self._wishes
        transfer = Transfer(
            self._session,
            stream,
            item.target,
            item.parts,
            replace=wishes.replace,
            resume=wishes.resume and stream.entry.size > SYNCED,
            salvaging=wishes.salvage,
        )
        await transfer.run(progress)
        return transfer.lost

    def _got(self, item: Item, entry: Entry, lost: Sequence[Lost]) -> None:
        if lost:
            self.salvaged += 1
        else:
            self.new += 1
        for offset, length in lost:
            detail = f"The bytes {offset} to {offset + length - 1} of /{entry.path} are lost: NULs are in their place."
            self._console.failed(ChunkLost(detail, path=entry.path, offset=offset, length=length))
        if self._console.json:
            self._console.object(entry.to_json())
        elif self._console.verbosity >= 1:
            self._console.line(f"{item.target.shown(item.parts)} {entry.version}")

    def _failed(self, error: Exception, path: str) -> None:
        self.failures += 1
        self._console.failed(error, path)


def _weight(item: Item) -> int:
    """How much of a file is in memory at a time."""
    return min(item.entry.size, 2 * PART)


def _local_parts(name: str, path: str) -> tuple[str, ...]:
    """Where a file goes by its own name; what could be taken for a part of another one goes nowhere by itself."""
    parts = paths.local_parts(name)
    if parts and is_part_name(parts[-1]):
        raise InvalidPath("This is how a part of a download is called: get it alone, under another name.", path=path)
    return parts


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
