"""What a device of a simulated run does: each action as a call to the filesystem."""

from __future__ import annotations

import hashlib
from typing import Any

from ifap_twisted.core.values import ABSENT, Entry
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import Unavailable
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.service.accepting import Accepting
from ifap_twisted.testing.scenario import LEASES, STRETCHES
from ifap_twisted.testing.trace import Call


@deferred
async def begin(filesystem: Filesystem, call: Call, number: int) -> Any:
    """Do what the call says; ``number`` chooses among versions, sizes and counts."""
    path, other = call.path, call.other
    match call.verb:
        case "put":
            return await filesystem.put(path, _content(call, number))
        case "queue":
            return await filesystem.put(path, _content(call, number), queue=True)
        case "lock":
            return await filesystem.lock(path, seconds=_seconds(call, number))
        case "hold":
            return await _hold(filesystem, call, number)
        case "unlock":
            return await filesystem.unlock(path, force=number % 3 == 0)
        case "create":
            return await filesystem.put(path, _content(call, number), expect=ABSENT)
        case "edit":
            return await _edit(filesystem, call, number)
        case "append":
            return await _append(filesystem, call)
        case "read":
            return await filesystem.read(path)
        case "stat":
            return (await filesystem.stat(path)).size
        case "list":
            return len(await filesystem.list("/", recursive=True))
        case "keep":
            return await filesystem.keep(path, 1 + number % 9)
        case "restore":
            versions = await filesystem.versions(path)
            return await filesystem.restore(path, versions[number % len(versions)].version)
        case "undelete":
            return await filesystem.undelete(path)
        case "resolve" | "both":
            return await filesystem.resolve(path, both=call.verb == "both")
        case "move":
            return await filesystem.move(path, other)
        case "copy":
            return await filesystem.copy(path, other)
        case "remove" | "remove-tree":
            return await filesystem.remove(path, recursive=call.verb == "remove-tree")
        case "mkdir":
            return await filesystem.make_directory(path, parents=True)
        case "rmdir":
            return await filesystem.remove_directory(path)
        case "refresh":
            return await filesystem.refresh()
        case "snapshot":
            return await filesystem.snapshot()
        case "collect":
            return await filesystem.collect()
        case "close":
            return await filesystem.close()
    raise ValueError(f"no such action: {call.verb}")


async def _edit(filesystem: Filesystem, call: Call, number: int) -> Entry:
    """Read, change, and write back if nobody was faster."""
    before = await filesystem.read(call.path)
    call.expect = before.entry.version
    return await filesystem.put(call.path, _content(call, number), expect=call.expect)


@deferred
async def accept(accepting: Accepting, call: Call, number: int) -> Entry:
    """Put a file while the folder is not open.

    :raises Unavailable: nothing can be accepted.
    """
    offline = await accepting.offline()
    if offline is None:
        raise Unavailable("It is not known yet what the folder is opened with.")
    return await offline.put(call.path, _content(call, number))


async def _hold(filesystem: Filesystem, call: Call, number: int) -> Entry:
    """Write while nobody else does."""
    async with filesystem.lock(call.path, seconds=_seconds(call, number)):
        await filesystem.refresh()
        entry = await filesystem.put(call.path, _content(call, number))
        call.version = entry.version
    return entry


def _seconds(call: Call, number: int) -> int:
    seconds = LEASES[number % len(LEASES)]
    call.lease = float(seconds)
    return seconds


_STRETCHES = [hashlib.shake_256(b"stretch %d" % number).digest(1000) for number in range(STRETCHES)]


async def _append(filesystem: Filesystem, call: Call) -> Entry:
    """Read, add a line of one's own, and write back if nobody was faster."""
    before = await filesystem.read(call.path)
    call.expect = before.entry.version
    call.content = before.data + b"\ncall %d of device %d" % (call.number, call.device)
    return await filesystem.put(call.path, call.content, expect=call.expect)


def _content(call: Call, number: int) -> bytes:
    """Unlike that of every other call; sometimes longer than a block, or than what a transport takes at once.

    Some have a stretch in common.
    """
    call.content = b"call %d of device %d" % (call.number, call.device)
    if number % 3 == 0:
        call.content = _STRETCHES[number // 3 % STRETCHES] + call.content
    if number % 7 == 0:
        call.content += b"." * 3000
    if number % 50 == 1:
        call.content += b"." * 100_000
    return call.content
