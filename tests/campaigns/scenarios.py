"""What the campaign of kills kills: changes of a folder, and what a client shows before and after."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from ifap_twisted.core.values import ABSENT, Entry
from ifap_twisted.deferreds import deferred
from ifap_twisted.interfaces import IFilesystem
from ifap_twisted.testing.reference_writer import encode
from tests.campaigns.ground import KEY

BIG = b"big " * 60_000
IMPLIED = frozenset({"d", "d/e"})
"""Directories that are there because of what is in them. When the last file in one goes, a marker is sent together with
the file's end; a kill between the two leaves no empty directory behind. No content is in that, so it is not judged."""
MISSING = object()
LEASE = 7 * 86400
"""Seconds: longer than any case takes."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a client shows.

    :ivar files: by path the content; None for a directory.
    :ivar versions: by path the contents of all versions, newest first; None for a removal.
    :ivar conflicts: by path the contents of the heads.
    :ivar locks: by path the seconds of the lease.
    """

    files: dict[str, bytes | None]
    versions: dict[str, tuple[bytes | None, ...]]
    conflicts: dict[str, tuple[bytes | None, ...]] = field(default_factory=dict)
    locks: dict[str, int] = field(default_factory=dict)


@deferred
async def shown(filesystem: IFilesystem) -> Shown:
    """Look at everything that counts."""
    entries = await filesystem.list("/", recursive=True)
    files = [entry.path for entry in entries if entry.type == "file"]
    everything = await filesystem.list("/", recursive=True, everything=True)
    paths = {entry.path for entry in everything if entry.type == "file" and not entry.path.startswith("IFAP/")}
    heads = await filesystem.conflicts()
    return Shown(
        {entry.path: None for entry in entries if entry.type == "directory" and entry.path not in IMPLIED}
        | {path: await filesystem.get(path) for path in files},
        {path: await _contents(filesystem, await filesystem.versions(path)) for path in sorted(paths)},
        {head.path: await _contents(filesystem, await filesystem.conflicts(head.path)) for head in heads},
        {lock.path: lock.seconds for lock in await filesystem.locks()},
    )


async def _contents(filesystem: IFilesystem, entries: Sequence[Entry]) -> tuple[bytes | None, ...]:
    files = [entry for entry in entries if entry.type == "file"]
    return tuple([None if e.deleted else await filesystem.get(e.path, version=e.version) for e in files])


def mixed(found: Shown, before: Shown, after: Shown, when: str) -> Iterator[str]:
    """Each path is as before or as after, in all that is shown; no content that both have, or that moved, is absent."""
    for part in (one.name for one in fields(Shown)):
        here, old, new = (getattr(one, part) for one in (found, before, after))
        for path in sorted({*here, *old, *new}):
            if here.get(path, MISSING) not in (old.get(path, MISSING), new.get(path, MISSING)):
                yield f"{when}: {path} is neither old nor new in its {part}"
    lost = set(before.files.values()) & set(after.files.values()) - set(found.files.values())
    if lost:
        yield f"{when}: {lost} is nowhere"


def thinned(found: Shown, before: Shown, after: Shown, when: str) -> Iterator[str]:
    """All files are as they were; of the versions those that stay are there, and others only that were there before."""
    if not found.files == before.files == after.files:
        yield f"{when}: collecting changed the files"
    for path in sorted({*found.versions, *before.versions}):
        here, old, new = (list(one.versions.get(path, ())) for one in (found, before, after))
        if not (_is_part(new, here) and _is_part(here, old)):
            yield f"{when}: {path} has versions that it had not, or lacks some that stay"


def _is_part(some: list[bytes | None], whole: list[bytes | None]) -> bool:
    """Whether some are among the whole, in their order."""
    rest = iter(whole)
    return all(one in rest for one in some)


@deferred
async def populate(filesystem: IFilesystem) -> None:
    """What is there before."""
    files = {"three": b"123", "one": b"1", "d/x": b"x", "d/e/y": b"y", "gone": b"g"}
    for path, contents in files.items():
        for content in contents:
            await filesystem.put(path, b"content " + bytes([content]) + path.encode())
    await filesystem.remove("gone")
    await filesystem.make_directory("empty")


@deferred
async def diverge(filesystem: Any, path: str) -> None:
    """A reference program writes a file without having seen it."""
    metadata = {"versions": 5, "ts": 1_573_400_000}
    await filesystem._service.store.append(encode(path, b"not seen", metadata, key=KEY.text))
    await filesystem.refresh()


@deferred
async def _resolve(filesystem: IFilesystem, path: str, **more: Any) -> None:
    """For our own version, which is the older one."""
    *_newer, ours = await filesystem.conflicts(path) or [None]
    await filesystem.resolve(path, version=ours and ours.version, **more)


@deferred
async def _renew(filesystem: IFilesystem, path: str) -> None:
    for lock in await filesystem.locks(path):
        await filesystem.lock(path, seconds=LEASE, renew=lock.id)


@deferred
async def _restore(filesystem: IFilesystem, path: str) -> None:
    versions = await filesystem.versions(path)
    await filesystem.restore(path, versions[-1].version)


@deferred
async def _edit(filesystem: IFilesystem, path: str, content: bytes) -> None:
    before = await filesystem.stat(path)
    await filesystem.put(path, content, expect=before.version)


@deferred
async def _batch(filesystem: IFilesystem, *names: str) -> None:
    async with filesystem.batch():
        for name in names:
            await filesystem.put(name, b"batched " + name.encode())


@deferred
async def _write(filesystem: IFilesystem, path: str) -> None:
    async with filesystem.open(path, "wb") as file:
        await file.write(b"written ")
        await file.write(b"in pieces")


def _put(path: str, content: bytes = b"new", **more: Any) -> Callable[[IFilesystem], Deferred[Any]]:
    return lambda f: f.put(path, content, **more)


SCENARIOS: dict[str, Callable[[Any], Deferred[Any]]] = {
    **{f"put {name}": _put(name) for name in ("new", "one", "three", "gone", "d/x", "d/e/y", "d/new", "n/e/w")},
    **{f"put {name}, large": _put(name, BIG) for name in ("new", "one", "three")},
    "put one, empty": _put("one", b""),
    "put new if absent": _put("new", expect=ABSENT),
    **{f"edit {name}": (lambda f, n=name: _edit(f, n, b"new")) for name in ("one", "three", "d/x")},
    **{f"write {name}": (lambda f, n=name: _write(f, n)) for name in ("new", "one")},
    **{f"remove {name}": (lambda f, n=name: f.remove(n)) for name in ("one", "three", "d/x", "d/e/y")},
    **{f"remove {name}, all": (lambda f, n=name: f.remove(n, recursive=True)) for name in ("d", "d/e")},
    **{
        f"{verb} {source} {to}": (lambda f, v=verb, s=source, t=to: getattr(f, v)(s, t))
        for verb, source, to in itertools.product(("move", "copy"), ("one", "three", "d/x"), ("new", "n/new"))
    },
    "move d new": lambda f: f.move("d", "new"),
    **{f"keep {name} {n}": (lambda f, a=name, n=n: f.keep(a, n)) for name in ("one", "three") for n in (1, 2, 9)},
    **{f"mkdir {name}": (lambda f, n=name: f.make_directory(n, parents=True)) for name in ("new", "n/e/w", "d/new")},
    "rmdir empty": lambda f: f.remove_directory("empty"),
    "undelete gone": lambda f: f.undelete("gone"),
    "restore three": lambda f: _restore(f, "three"),
    "collect": lambda f: f._service.opened.collect(),
    "snapshot": lambda f: f.snapshot(),
    "sync": lambda f: f.refresh(),
    **{f"lock {name}": (lambda f, n=name: f.lock(n, seconds=LEASE)) for name in ("one", "new")},
    "unlock one": lambda f: f.unlock("one"),
    "renew one": lambda f: _renew(f, "one"),
    "resolve one": lambda f: f.resolve("one"),
    "resolve one, ours": lambda f: _resolve(f, "one"),
    "resolve one, both": lambda f: _resolve(f, "one", both=True),
    "batch of three": lambda f: _batch(f, "one", "new", "d/new"),
    "three puts at once": lambda f: gatherResults([f.put(n, b"new") for n in ("one", "new", "d/x")]),
}

FIRST: dict[str, Callable[[Any], Deferred[Any]]] = {
    **{f"{verb} one": (lambda f: f.lock("one", seconds=LEASE // 2)) for verb in ("unlock", "renew")},
    **{f"resolve one{how}": (lambda f: diverge(f, "one")) for how in ("", ", ours", ", both")},
}
"""What is done before the change, after the folder was filled."""

QUEUED: dict[str, Callable[[Any], Deferred[Any]]] = {
    **{f"queue {name}": _put(name, queue=True) for name in ("new", "one", "d/new")},
    "queue one, large": _put("one", BIG, queue=True),
    "queue new if absent": _put("new", expect=ABSENT, queue=True),
    "queue three": lambda f: gatherResults([f.put(n, b"new", queue=True) for n in ("one", "new", "d/x")]),
}
"""What is accepted by a process that does not reach the server."""
