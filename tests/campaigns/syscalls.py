"""What a process did to the files of a directory, from strace, and what a power cut may leave of it.

The disk of this model keeps what was synced: of a file all that was written before its last fsync, of a directory the
names that it had at its own. Of what came later it keeps what it likes, in sectors of 512 bytes; names in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

SECTOR = 512
CALLS = "openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2,sendto"
_LINE = re.compile(r"(?P<pid>\d+) +(?P<text>.*)")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
_STRING = r'"((?:\\x[0-9a-f]{2})*)"'
_FILE = r"\d+<([^>]*)>"
_AT = rf"(?:AT_FDCWD(?:<[^>]*>)?|{_FILE}), {_STRING}"


def strace(log: Path) -> list[str]:
    """The beginning of a command line that writes the log."""
    return ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o", str(log)]


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that was done.

    :ivar kind: ``write``, ``truncate``, ``sync``, ``create``, ``remove``, ``rename`` or ``say``.
    :ivar name: of a file in the directory; empty: of the directory itself; of ``say``: of nothing.
    :ivar at: where a write began, or the new size; ``data``: the bytes written or said, or the new name.
    """

    kind: str
    name: str = ""
    at: int = 0
    data: bytes = b""


def operations(log: Iterable[str], directory: Path) -> Iterator[Operation]:
    """Those on files that lie in a directory, and all that was said, in their order.

    What is said counts from its beginning, everything else from its end.
    """
    unfinished: dict[str, str] = {}
    parser = _Parser(str(directory))
    for line in log:
        found = _LINE.match(line)
        if found is None:
            continue
        pid, text = found["pid"], found["text"]
        if text.endswith("<unfinished ...>"):
            begun = text.removesuffix("<unfinished ...>").rstrip()
            if begun.startswith("sendto"):
                yield from parser.said(begun)
                begun = ""
            unfinished[pid] = begun
            continue
        resumed = _RESUMED.match(text)
        if resumed is not None:
            text = unfinished.pop(pid) + resumed["rest"]
        call = _CALL.match(text)
        if call is not None and int(call["result"]) >= 0:
            yield from parser.operations(call["name"], call["arguments"], int(call["result"]))


class _Parser:
    """Reads calls; knows where the files written to without an offset stand."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._present: set[str] = set()
        self._ends: dict[str, int] = {}

    def said(self, text: str) -> Iterator[Operation]:
        """What goes to a socket or a pipe."""
        found = re.search(_STRING, text)
        if found is not None:
            yield Operation("say", data=_bytes(found[1]))

    def operations(self, name: str, arguments: str, result: int) -> Iterator[Operation]:
        """What a call did, if anything that matters."""
        if name == "sendto":
            yield from self.said(arguments)
        elif name in ("write", "pwrite64"):
            yield from self._written(name, arguments, result)
        elif name in ("fsync", "fdatasync", "ftruncate"):
            file = self._file(re.match(_FILE, arguments))
            if file is not None and name == "ftruncate":
                yield Operation("truncate", file, int(arguments.rsplit(",", 1)[1]))
            elif file is not None:
                yield Operation("sync", file)
        elif name == "openat":
            yield from self._opened(arguments)
        elif name.startswith("unlink"):
            for file in self._named(arguments)[:1]:
                self._present.discard(file)
                yield Operation("remove", file)
        elif name.startswith("rename"):
            names = self._named(arguments)
            if len(names) == 2:
                self._present.discard(names[0])
                self._present.add(names[1])
                yield Operation("rename", names[0], data=names[1].encode())

    def _written(self, name: str, arguments: str, result: int) -> Iterator[Operation]:
        found = re.match(rf"{_FILE}, {_STRING}, \d+(?:, (\d+))?", arguments)
        if found is None:
            return
        file, data = self._file(found), _bytes(found[2])[:result]
        if file is None:
            if not _text(found[1]).startswith("/"):
                yield Operation("say", data=data)
            return
        start = int(found[3]) if name == "pwrite64" else self._ends.get(file, 0)
        if name == "write":
            self._ends[file] = start + len(data)
        yield Operation("write", file, start, data)

    def _opened(self, arguments: str) -> Iterator[Operation]:
        for file in self._named(arguments)[:1]:
            if "O_CREAT" in arguments and file not in self._present:
                self._present.add(file)
                self._ends[file] = 0
                yield Operation("create", file)

    def _named(self, arguments: str) -> list[str]:
        """The files of the directory among the paths of a call."""
        found = []
        paths = re.findall(_AT, arguments) if "AT_FDCWD" in arguments or "<" in arguments else []
        for below, name in paths or [("", name) for name in re.findall(_STRING, arguments)]:
            path = _text(name)
            whole = path if path.startswith("/") else f"{_text(below)}/{path}"
            if whole.startswith(self._directory + "/"):
                found.append(whole.removeprefix(self._directory + "/"))
        return found

    def _file(self, found: re.Match[str] | None) -> str | None:
        path = "" if found is None else _text(found[1])
        if path == self._directory:
            return ""
        inside = path.startswith(self._directory + "/")
        return path.removeprefix(self._directory + "/").removesuffix(" (deleted)") if inside else None


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _text(name: str) -> str:
    return _bytes(name).decode("utf-8", "surrogateescape") if name.startswith("\\x") else name


@dataclass(slots=True)
class _Content:
    """A file: what is synced of it, and what was done to it since."""

    synced: bytearray = field(default_factory=bytearray)
    since: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        _apply(self.synced, self.since)
        self.since = []

    def left(self, keep: float, random: Random) -> bytes:
        """What a power cut leaves, with the share of later sectors that it keeps."""
        kept: list[Operation] = []
        for one in self.since:
            if one.kind == "write" and 0 < keep < 1:
                kept += [part for part in _sectors(one) if random.random() < keep]
            elif random.random() < keep:
                kept.append(one)
        content = self.synced.copy()
        _apply(content, kept)
        return bytes(content)


class Disk:
    """What is on the disk while operations go on.

    :param files: what is there from the beginning.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._names = {name: _Content(bytearray(content)) for name, content in files.items()}
        self._now = dict(self._names)
        self._since: list[_Renaming] = []

    def do(self, operation: Operation) -> None:
        """Do one."""
        name, kind = operation.name, operation.kind
        if kind == "sync" and not name:
            _rename(self._names, self._since)
            self._since = []
        elif kind == "sync":
            self._now[name].sync()
        elif kind in ("write", "truncate"):
            self._now[name].since.append(operation)
        elif kind != "say" and not (kind == "create" and name in self._now):
            after = operation.data.decode() if kind == "rename" else name
            content = _Content() if kind == "create" else None if kind == "remove" else self._now[name]
            renaming = (name, after, content)
            _rename(self._now, [renaming])
            self._since.append(renaming)

    def after_cut(self, random: Random) -> dict[str, bytes]:
        """The files that a power cut leaves: all that was written, nothing that was not synced, or some of it."""
        keep = random.choice((0.0, 0.0, 1.0, random.random(), random.random()))
        names = dict(self._names)
        _rename(names, self._since[: round(len(self._since) * random.choice((keep, keep, 0, 1)))])
        return {name: content.left(keep, random) for name, content in names.items()}


_Renaming = tuple[str, str, _Content | None]
"""A name that is no more, one that is there now, and what has it; None: it was removed."""


def _rename(names: dict[str, _Content], renamings: Iterable[_Renaming]) -> None:
    for before, after, content in renamings:
        names.pop(before, None)
        if content is not None:
            names[after] = content


def _apply(content: bytearray, operations: Iterable[Operation]) -> None:
    for one in operations:
        if one.kind == "truncate":
            del content[one.at :]
            content += bytes(one.at - len(content))
        else:
            content += bytes(max(0, one.at - len(content)))
            content[one.at : one.at + len(one.data)] = one.data


def _sectors(write: Operation) -> Iterator[Operation]:
    """A write in pieces that end where a sector does."""
    done = 0
    while done < len(write.data):
        size = SECTOR - (write.at + done) % SECTOR
        yield Operation("write", write.name, write.at + done, write.data[done : done + size])
        done += size
