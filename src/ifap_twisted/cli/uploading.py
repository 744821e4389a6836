"""Local files into the folder: where each goes, which need not go, and many on their way at a time.

It follows ``cp`` (DESIGN 4.2). Reading local files is the business of ``localfiles``, told what to say of ``put``.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ifap_twisted.cli import localfiles
from ifap_twisted.cli.inflight import Gate, each
from ifap_twisted.cli.localfiles import BLOCK, LocalFile, Reading
from ifap_twisted.cli.problems import EXPECTED
from ifap_twisted.cli.progress import Progress, counting, flowing
from ifap_twisted.cli.remote import RemoteName, find, is_directory
from ifap_twisted.cli.streams import FileStream, StandardInput
from ifap_twisted.core import limits, paths
from ifap_twisted.core.values import ABSENT, Entry, Expect
from ifap_twisted.errors import AlreadyExists, Conflict, IsADirectory, NotADirectory, NotFound, Unavailable

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem

FILES_IN_FLIGHT: Final = limits.APPENDS_IN_FLIGHT
"""Puts on their way at a time; how many bytes of them are is the filesystem's to bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How files are put.

    :ivar expect: as for ``IFilesystem.put``; when given, files that are the same are not skipped.
    :ivar queue: what cannot be stored now is accepted; while the server is away nothing there is looked at.
    """

    recursive: bool = False
    expect: Expect = None
    always: bool = False
    queue: bool = False
    exclude: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def skips(self) -> bool:
        """Files that are there already are left alone."""
        return self.recursive and not self.always and self.expect is None


@dataclass(slots=True)
class Plan:
    """What goes where.

    :ivar roots: remote directories, or files, below which all targets lie.
    """

    files: list[tuple[LocalFile, str]] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)


class Upload:
    """One run of ``put``: plans, transfers and counts."""

    def __init__(self, filesystem: IFilesystem, session: Session, wishes: Wishes) -> None:
        self.new = self.pending = self.unchanged = self.failures = 0
        self._filesystem = filesystem
        self._session = session
        self._console = session.console
        self._wishes = wishes
        self._plan = Plan()
        self._targets: set[str] = set()
        self._known: dict[str, Entry] = {}
        self._waiting: set[str | None] = set()
        self._away = False

    async def run(self, sources: Sequence[str], destination: RemoteName) -> None:
        """Put all sources; each failure is told, and the others go on."""
        await self._reach()
        into = destination.slash or len(sources) > 1 or await self._is_directory(destination.path)
        for source in sources:
            try:
                await self._add(source, destination.path, into=into)
            except EXPECTED as error:
                self._failed(error)
        if self._wishes.skips and not self._away:
            await self._look()
        gate = Gate(FILES_IN_FLIGHT, 0)
        total = sum(file.size for file, _target in self._plan.files)
        with counting(self._console, "Storing", total) as progress:
            await each(self._plan.files, lambda item: self._file(*item, progress), gate)
            await each(self._plan.directories, self._directory, gate)

    async def run_stdin(self, destination: RemoteName) -> None:
        """Put what comes from stdin."""
        await self._reach()
        if destination.slash or await self._is_directory(destination.path):
            raise IsADirectory("Standard input has no name: give DEST one.", path=destination.path)
        if self._wishes.dry_run:
            await self._announce(destination.path, None)
            return
        expect = await self._expected(destination.path)
        with flowing(self._console, self._session.reactor, "Storing") as progress:
            source = StandardInput(self._session.worker, progress)
            putting = self._filesystem.put(destination.path, source, expect=expect, queue=self._wishes.queue)
            self._stored(await putting)

    def summary(self) -> None:
        """Say how many files were new, unchanged, and failed."""
        counts = {"new": self.new, "unchanged": self.unchanged, "failed": self.failures}
        if self._wishes.queue:
            counts = {"new": self.new, "pending": self.pending, "unchanged": self.unchanged, "failed": self.failures}
        if self._console.json:
            self._console.object(counts)
        elif self._console.verbosity >= 0:
            self._console.line(", ".join(f"{count} {name}" for name, count in counts.items()))

    async def _reach(self) -> None:
        """Learn whether what is there can be asked for now; without ``queue`` that is told by asking."""
        if self._wishes.queue:
            self._away = (await self._filesystem.status()).state != "connected"

    async def _is_directory(self, path: str) -> bool:
        """Whether DEST exists as one, as far as that can be asked now."""
        return not self._away and await is_directory(self._filesystem, path)

    async def _add(self, source: str, destination: str, *, into: bool) -> None:
        name = os.path.basename(source)  # noqa: PTH119 -- a final slash has a meaning that Path forgets
        if not localfiles.is_utf8(source):
            raise OSError(errno.EILSEQ, localfiles.NOT_UTF8, source)
        found = await self._session.worker(lambda: os.stat(source))  # noqa: PTH116 -- as above
        contents = name in {"", ".", ".."}
        if name and not contents and localfiles.exclusion(self._wishes.exclude)(name):
            return
        target = paths.join(destination, name) if into and not contents else destination
        if stat.S_ISDIR(found.st_mode):
            if self._away and not into and not contents:
                raise Unavailable(
                    "Whether DEST is a directory cannot be asked now: end it in a slash when it is, or SRC when only "
                    "what is in it is meant.",
                    path=destination,
                )
            await self._add_tree(source, paths.clean(target))
        elif stat.S_ISREG(found.st_mode):
            self._add_file(localfiles.described(source, name, found, follow=True), paths.clean_file(target))
            self._plan.roots.append(target)
        else:
            raise OSError(
                errno.EINVAL, "It is neither a file nor a directory: use `-` to store what a pipe gives", source
            )

    async def _add_tree(self, source: str, target: str) -> None:
        if not self._wishes.recursive:
            raise OSError(errno.EISDIR, "It is a directory: give -r to store all that is in it", source)
        excluded = localfiles.exclusion(self._wishes.exclude)
        tree = await self._session.worker(lambda: localfiles.scan(source, excluded))
        for sentence in tree.skipped:
            self._console.warning(sentence)
        for failure in tree.failures:
            self._failed(failure)
        for file in tree.files:
            try:
                self._add_file(file, paths.clean_file(paths.join(target, file.relative)))
            except EXPECTED as error:
                self._failed(error)
        for directory in tree.empty:
            self._add_directory(paths.join(target, directory))
        self._plan.roots.append(target)

    def _add_file(self, file: LocalFile, target: str) -> None:
        if target in self._targets:
            raise AlreadyExists(f"Another SRC goes to the same name; {file.name} is left out.", path=target)
        self._targets.add(target)
        self._plan.files.append((file, target))

    def _add_directory(self, target: str) -> None:
        try:
            clean = paths.clean(target)
        except EXPECTED as error:
            self._failed(error)
        else:
            if clean:
                self._plan.directories.append(clean)

    async def _look(self) -> None:
        """Learn what is there already, in one question for each SRC, and over what of it another write waits."""
        status = await self._filesystem.status()
        self._waiting = {notice.path for notice in status.warnings if notice.code == "write-pending"}
        for root in self._plan.roots:
            try:
                entries = await self._filesystem.list(root, recursive=True)
            except (NotFound, NotADirectory):
                continue
            self._known.update((entry.path, entry) for entry in entries)

    async def _file(self, file: LocalFile, target: str, progress: Progress) -> None:
        like = self._like(file, target)
        try:
            if like is not None and like.sha256 is not None and await self._is_equal(file, like.sha256):
                self._unchanged(target)
                progress.advance(file.size)
            elif self._wishes.dry_run:
                await self._announce(target, file)
            else:
                entry = await self._put(file, target, progress, like)
                if like is not None and entry.version == like.version:
                    self._unchanged(target)
                else:
                    self._stored(entry)
        except EXPECTED as error:
            self._failed(error, target)

    async def _is_equal(self, file: LocalFile, digest: str) -> bool:
        return await self._session.worker(lambda: localfiles.digest(file)) == digest.rstrip("=")

    def _like(self, file: LocalFile, target: str) -> Entry | None:
        """What is there, if it may be the same; of a large file the put that compares it tells whether it is."""
        known = self._known.get(target)
        if known is None or known.type != "file" or known.deleted:
            return None
        waits = self._waiting & {target, None}  # of very many that wait, not each is named
        if known.missing or known.doubtful or waits:
            return None
        return known if (known.size, known.mode) == (file.size, file.mode) else None

    async def _put(self, file: LocalFile, target: str, progress: Progress, like: Entry | None) -> Entry:
        if file.size <= BLOCK:
            data, found = await self._session.worker(lambda: localfiles.content(file))
            entry = await self._send(target, data, found, like)
            progress.advance(len(data))
            return entry
        opened = await self._session.worker(lambda: Reading(file))
        stream = FileStream(opened, self._session.worker, progress)
        try:
            return await self._send(target, stream, opened.found, like)
        except Exception:
            if stream.failure is not None:  # it says more than what the put made of it
                raise stream.failure from None
            raise
        finally:
            opened.close()

    async def _send(self, target: str, data: bytes | FileStream, found: os.stat_result, like: Entry | None) -> Entry:
        return await self._filesystem.put(
            target,
            data,
            expect=await self._expected(target),
            mode=found.st_mode & localfiles.PERMISSIONS,
            modified=found.st_mtime,
            size=found.st_size,
            queue=self._wishes.queue,
            unless_equal=like is not None and like.sha256 is None,
        )

    async def _expected(self, target: str) -> Expect:
        """What the put shall expect: where the beginning of a version id was given, all of the current one's."""
        wanted = self._wishes.expect
        if not isinstance(wanted, str) or self._away:
            return wanted
        current = await find(self._filesystem, target)
        return current.version if current is not None and current.version.startswith(wanted) else wanted

    async def _directory(self, target: str) -> None:
        known = self._known.get(target)
        if known is not None and known.type == "directory" and not known.missing:
            return
        try:
            if self._away:
                raise Unavailable("An empty directory is not queued: give this again when the mail server is back.")
            if self._wishes.dry_run:
                self._tell({"action": "mkdir", "path": f"/{target}"}, f"would make the directory /{target}/")
            else:
                await self._filesystem.make_directory(target, parents=True)
        except EXPECTED as error:
            self._failed(error, target)

    async def _announce(self, target: str, file: LocalFile | None) -> None:
        """Say what would be stored, or fail as it would."""
        current = None if self._away else await find(self._filesystem, target)
        there = None if current is None or current.deleted else current
        if there is not None and there.type == "directory":
            raise IsADirectory(path=target)
        wanted, found = self._wishes.expect, there.version if there else None
        if wanted is ABSENT and found is not None:
            raise Conflict("It exists already.", path=target, found=found)
        if isinstance(wanted, str) and not (found or "").startswith(wanted):
            raise Conflict(path=target, expected=wanted, found=found)
        self.new += 1
        size = None if file is None else file.size
        self._tell({"action": "put", "path": f"/{target}", "size": size}, f"would store /{target}")

    def _unchanged(self, target: str) -> None:
        self.unchanged += 1
        self._console.detail(f"unchanged /{target}")

    def _tell(self, value: dict[str, object], text: str) -> None:
        if self._console.json:
            self._console.object(value)
        else:
            self._console.line(text)

    def _stored(self, entry: Entry) -> None:
        if entry.pending:
            self.pending += 1
            if not self._console.json:
                self._console.note(f"/{entry.path} accepted, pending: it is stored when the mail server is back")
                return
        else:
            self.new += 1
        if self._console.json:
            self._console.object(entry.to_json())
        elif self._console.verbosity >= (1 if self._wishes.recursive else 0):
            self._console.line(f"/{entry.path} {entry.version}")

    def _failed(self, error: Exception, target: str | None = None) -> None:
        self.failures += 1
        self._console.failed(error, target)
