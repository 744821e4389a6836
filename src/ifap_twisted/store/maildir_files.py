"""The files of a Maildir folder in the reference's layout, and the numbers that are never given twice.

``FOLDER/{cur,new,tmp}``; a message is ``cur/eml-%08x:2,``, its UID the hexadecimal number (WIRE-FORMAT 6). The
reference stores LF line ends and puts a CR before *every* LF when it reads, so a file with CRLF is unreadable to it:
on disk lines end with LF, at our face with CRLF. Only messages without a bare CR or LF are taken, so nothing is lost.

The reference numbers from the highest file that is there, so it gives a number again when the newest message was
removed; it locks nothing and writes in place. Therefore ``FOLDER/.ifap-uids`` holds, under ``flock`` on
``FOLDER/.ifap-lock``: UIDVALIDITY; ``last``, the greatest number known to be given; and the *anchor*, the highest file
with its inode, time and size. A number can only have been given again when the anchor went; then, unless we removed it
ourselves, UIDVALIDITY is renewed. A file that others made is shown when it is two seconds old, that is, complete.

All functions here block: they run in a worker, never in the reactor's thread. Files of other programs are left alone.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from errno import ELOOP, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, ERANGE
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

from ifap_twisted.core import limits
from ifap_twisted.core.values import HeaderBlock
from ifap_twisted.errors import Malformed, OutcomeUnknown, Renumbered
from ifap_twisted.store.headers import header_end, metadata_fields
from ifap_twisted.store.maildir_numbers import Identity, View, load, save, sync

_NAME: Final = re.compile(r"eml-([0-9a-fA-F]{1,8}):2,[A-Za-z]*")
_OURS_IN_TMP: Final = "ifap-"
SETTLED_SECONDS: Final = 2.0
"""So old a file of others is complete, and shown."""
_SETTLED_NS: Final = int(SETTLED_SECONDS * 1_000_000_000)
_STALE_NS: Final = 36 * 3600 * 1_000_000_000
"""Temporary files of ours are removed after the 36 hours of the Maildir convention."""
_TEMPORARIES: Final = count()
"""For all stores of the process, which must never take away each other's temporary files."""
_BLOCK: Final = limits.MIB
_HEADER: Final = 4 * limits.HEADER_FIELDS
"""A header that does not end within this is foreign mail's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The numbers of the messages that were moved into the folder, and why it was not all of them."""

    view: View
    numbers: tuple[int, ...]
    error: OSError | None


class MaildirFiles:
    """One folder on the disk; any number of threads and processes may use it."""

    def __init__(self, folder: Path, random: Callable[[int], bytes]) -> None:
        self._folder = folder
        self._random = random
        self._moments = count(1)

    def exists(self) -> bool:
        """Whether the folder is there."""
        return (self._folder / "cur").is_dir()

    def create(self) -> None:
        """Make what is missing of the folder, for this user only."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in ("tmp", "new", "cur"):
            (self._folder / part).mkdir(mode=0o700, exist_ok=True)
        sync(self._folder)

    def sweep(self) -> None:
        """Remove what crashed processes of ours left in ``tmp``."""
        now = self._now()
        with suppress(FileNotFoundError), os.scandir(self._folder / "tmp") as entries:
            for entry in entries:
                if (
                    entry.name.startswith(_OURS_IN_TMP)
                    and now - entry.stat(follow_symlinks=False).st_mtime_ns > _STALE_NS
                ):
                    with suppress(FileNotFoundError):
                        Path(entry).unlink()

    # Numbers

    def look(self) -> View:
        """What is there now.

        :raises BlockingIOError: somebody else holds the lock; so for all methods that take it.
        """
        with self._locked():
            return self._look()[0]

    def _write(self, message: bytes) -> Path:
        """Put a message durably into ``tmp``."""
        while True:
            path = self._folder / "tmp" / f"{_OURS_IN_TMP}{os.getpid()}-{next(_TEMPORARIES)}"
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                break
            except FileExistsError:  # left by a process of the same number
                continue
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(message.replace(b"\r\n", b"\n"))
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise
        return path

    def write_all(self, messages: Sequence[bytes]) -> list[Path]:
        """Put messages durably into ``tmp``, all or none."""
        written: list[Path] = []
        try:
            written.extend(self._write(message) for message in messages)
        except BaseException:
            self.discard(written)
            raise
        return written

    def discard(self, temporaries: Sequence[Path]) -> None:
        """Remove from ``tmp`` what is still there; what cannot be removed now is swept later."""
        for temporary in temporaries:
            with suppress(OSError):  # whether a message was stored does not depend on it
                temporary.unlink()

    def place(self, temporaries: Sequence[Path]) -> Placed:
        """Move messages from ``tmp`` into the folder, in order and durably.

        :raises OutcomeUnknown: they were moved, but perhaps not durably.
        """
        with self._locked():
            before, present = self._look()
            highest = max([before.last, *present])
            numbers, error = self._link_all(temporaries, highest)
            if not numbers:
                return Placed(view=before, numbers=(), error=error)
            try:
                sync(self._folder / "cur")
                if numbers[-1] == highest + len(numbers):
                    present |= {number: _name(number) for number in numbers}
                else:  # the reference gave a number meanwhile
                    present = self._numbers()
                names = {uid: name for uid, name in present.items() if uid in before.names or uid in numbers}
                view = replace(before, last=numbers[-1], pending=frozenset(present.keys() - names), names=names)
                return Placed(view=self._anchored(view, present), numbers=tuple(numbers), error=error)
            except OSError as failure:
                raise OutcomeUnknown("The message was stored, but perhaps not durably.") from failure

    def remove(self, uids: Collection[int], uidvalidity: int, is_expected: Callable[[HeaderBlock], bool]) -> View:
        """Remove messages for good; nothing when UIDVALIDITY is another one meanwhile.

        :raises Renumbered: one of them is not what is expected; nothing was removed.
        """
        with self._locked():
            view, present = self._look()
            gone = {uid for uid in view.names if uid in uids} if view.uidvalidity == uidvalidity else set()
            if not gone:
                return view
            if not all(map(is_expected, self.blocks([(uid, view.names[uid]) for uid in gone]).values())):
                raise Renumbered("There is another message under a number than before.")
            for uid in gone:
                with suppress(FileNotFoundError):
                    (self._folder / view.names[uid]).unlink()
            for part in {view.names[uid].partition("/")[0] for uid in gone}:
                sync(self._folder / part)
            names = {uid: name for uid, name in view.names.items() if uid not in gone}
            left = {uid: name for uid, name in present.items() if uid not in gone}
            return self._anchored(replace(view, names=names), left)

    def _look(self) -> tuple[View, dict[int, str]]:
        """What is shown, and all that is there."""
        stored = load(self._folder)
        present = self._numbers()
        if stored is None:
            view = View(uidvalidity=self._fresh(0), pending=frozenset(present), names={})
        elif self._given_again(stored, present):
            fresh = self._fresh(stored.uidvalidity)
            view = View(uidvalidity=fresh, last=stored.last, pending=frozenset(present), names={})
        else:
            view = stored
        unsettled = self._unsettled(view, present)
        names = {uid: name for uid, name in present.items() if uid not in unsettled}
        last = max([view.last, *names])
        pending = frozenset(uid for uid in unsettled if uid <= last)
        view = replace(view, last=last, pending=pending, names=names, young=len(unsettled), moment=next(self._moments))
        if stored is not None and replace(view, names={}) == stored:
            return view, present
        return self._anchored(view, present), present

    def _given_again(self, view: View, present: Mapping[int, str]) -> bool:
        """Whether a number up to ``last`` may stand for another message than before."""
        top = 0
        if view.anchor is not None:
            top, identity = view.anchor
            if top not in present or self._identity(present[top]) != identity:
                return True
        return any(top < uid <= view.last for uid in present)

    def _unsettled(self, view: View, present: Mapping[int, str]) -> set[int]:
        others = [uid for uid in present if uid > view.last or uid in view.pending]
        now = self._now() if others else 0
        return {uid for uid in others if abs(now - (self._identity(present[uid]) or (0, 0, 0))[1]) < _SETTLED_NS}

    def _anchored(self, view: View, present: Mapping[int, str]) -> View:
        """Note the highest file that is known, and store the numbers durably."""
        top = max((uid for uid in present if uid <= view.last), default=0)
        identity = self._identity(present[top]) if top else None
        view = replace(view, anchor=None if identity is None else (top, identity))
        save(self._folder, view)
        return view

    def _numbers(self) -> dict[int, str]:
        """All messages by number; of two with the same one that in ``cur``."""
        found: dict[int, str] = {}
        for part in ("cur", "new"):
            with suppress(FileNotFoundError):
                for name in os.listdir(self._folder / part):  # noqa: PTH208 -- no object for each of 100,000 names
                    if match := _NAME.fullmatch(name):
                        found.setdefault(int(match[1], 16), f"{part}/{name}")
        found.pop(0, None)
        return dict(sorted(found.items()))

    def _identity(self, name: str) -> Identity | None:
        try:
            found = os.lstat(self._folder / name)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _link_all(self, temporaries: Sequence[Path], highest: int) -> tuple[list[int], OSError | None]:
        numbers: list[int] = []
        for temporary in temporaries:
            try:
                highest = self._link(temporary, highest + 1)
            except OSError as error:
                return numbers, error
            numbers.append(highest)
        return numbers, None

    def _link(self, temporary: Path, number: int) -> int:
        """Put a file under the first free number, never over another; ``discard`` takes it away from ``tmp``."""
        while number < 2**32:
            target = self._folder / _name(number)
            try:
                os.link(temporary, target)
                return number
            except FileExistsError:
                number += 1
            except OSError as error:
                if error.errno not in (EPERM, EOPNOTSUPP, ENOSYS) or target.exists():
                    raise
                temporary.rename(target)  # no hard links on this file system; the lock keeps our own kind away
                return number
        raise OSError(ERANGE, "There is no number left in this Maildir folder.")

    # The lock and the numbers on disk

    @contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._folder / ".ifap-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(handle)

    def _now(self) -> int:
        """The time as the file system sees it, in nanoseconds."""
        path = self._folder / ".ifap-lock"
        path.touch(mode=0o600)
        return path.stat().st_mtime_ns

    def _fresh(self, before: int) -> int:
        """Another UIDVALIDITY than before, and than one that was lost with its folder."""
        fresh = int.from_bytes(self._random(4)) % (2**32 - 1) + 1
        return fresh if fresh != before else before % (2**32 - 1) + 1

    # Messages

    def read_in(self, view: View, uid: int) -> tuple[bytes | None, bool]:
        """A message, if it is in the view and there; and whether its number certainly means what it meant then."""
        message = self._read(view.names[uid]) if uid in view.names else None
        anchor = view.anchor
        return message, anchor is None or self._identity(view.names.get(anchor[0], "")) == anchor[1]

    def blocks(self, wanted: Sequence[tuple[int, str]]) -> dict[int, HeaderBlock]:
        """The metadata headers of those messages that are there."""
        found = (self._block(uid, name) for uid, name in wanted)
        return {block.uid: block for block in found if block is not None}

    def dates(self, wanted: Sequence[tuple[int, str]]) -> dict[int, float]:
        """The times of those files that are there, in whole seconds."""
        found = ((uid, self._identity(name)) for uid, name in wanted)
        return {uid: float(identity[1] // 1_000_000_000) for uid, identity in found if identity is not None}

    def _read(self, name: str) -> bytes | None:
        """A message with CRLF line ends; None when it is not there.

        :raises Malformed: the file is larger than any message that is read.
        """
        with self._opened(name) as file:
            if file is None:
                return None
            size = os.fstat(file.fileno()).st_size
            if size > limits.LITERAL:
                raise Malformed(f"A message has {size} bytes; up to {limits.LITERAL} are read.", section="body")
            return _with_crlf(file.read(limits.LITERAL))

    def _block(self, uid: int, name: str) -> HeaderBlock | None:
        """The metadata headers and the size of a message; None when it is not there."""
        with self._opened(name) as file:
            if file is None:
                return None
            head = _head(file.read(_HEADER))
            return HeaderBlock(uid=uid, size=_size_with_crlf(file), fields=metadata_fields(head))

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO | None]:
        """The file, when it is there and a plain one."""
        try:
            handle = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno not in (ENOENT, ELOOP):
                raise
            yield None
            return
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            yield None
            return
        with os.fdopen(handle, "rb") as file:
            yield file


def is_plain(message: bytes) -> bool:
    """Whether all line ends are CRLF, so that a message survives being stored with LF."""
    lines = message.count(b"\r\n")
    return message.count(b"\n") == lines == message.count(b"\r")


def _name(number: int) -> str:
    return f"cur/eml-{number:08x}:2,"


def _with_crlf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _head(data: bytes) -> bytes:
    """The header with CRLF line ends; nothing when it does not end within the data that was read."""
    end = header_end(data)
    return b"" if end == _HEADER else _with_crlf(data[:end])


def _size_with_crlf(file: BinaryIO) -> int:
    """RFC822.SIZE; of a file that is too large to be read the size on disk."""
    size = os.fstat(file.fileno()).st_size
    if size > limits.LITERAL:
        return size
    file.seek(0)
    last = b""
    while block := file.read(_BLOCK):
        size += block.count(b"\n") - (last + block).count(b"\r\n")
        last = block[-1:]
    return size
