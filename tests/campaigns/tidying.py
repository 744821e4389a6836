"""What a device leaves of a folder after it has tidied up: conflicts ended, what was replaced collected.

After thousands of faults most files are in conflict, and a clock names dozens of writers, which takes a header out of
the window of the reference (WIRE-FORMAT 5.1): there is little that it could be compared in. Once a user has done what
he would do anyway, it must show each file as we do (FORMAT 1.5, 3.6).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ifap_twisted.core import limits
from ifap_twisted.core.keys import Key
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.store.memory import MemoryShelf
from ifap_twisted.testing.trace import Observation, Trace
from tests.campaigns.reference import unlike_reference
from tests.filesystem.folders import Folder, result

OPTIONS = Options(keep=1, grace=limits.LEAST_GRACE_SECONDS)


def unlike_tidied(trace: Trace) -> tuple[int, list[str]]:
    """How many files there are after tidying up a simulated folder, and what is another then, or for the reference."""
    messages, contents = tidied(trace.messages, trace.key)
    return len(contents), [
        *_changed(trace.observations[-1], contents),
        *unlike_reference(messages, trace.key, contents),
    ]


def _changed(seen: Observation, contents: Mapping[str, bytes]) -> Iterator[str]:
    """Each file has the content of one of its heads: of its only one where there was no conflict."""
    files = {path for path, kind, _vid in seen.listing if kind == "file"}
    if files != contents.keys():
        yield f"tidying up brings or takes {sorted(files ^ contents.keys())}"
    for path in sorted(files & contents.keys()):
        heads = {vid for name, _kind, vid in seen.listing if name == path}
        heads |= {vid for name, vid in seen.conflicts if name == path}
        if contents[path] not in {one.content for one in seen.versions[path] if one.vid in heads}:
            yield f"tidying up gives /{path} a content that none of its heads had"


def tidied(messages: Mapping[int, bytes], key: str) -> tuple[Mapping[int, bytes], dict[str, bytes]]:
    """A folder with these messages after its user tidied up, and the contents of all files.

    :param messages: by UID.
    """
    folder = Folder(shelf=_shelf(messages))
    device = folder.device(Membership(keys=(Key.from_text(key),)), options=OPTIONS)
    for path, version in {entry.path: entry.version for entry in result(device.conflicts())}.items():
        result(device.resolve(path, version=version))
    files = [entry.path for entry in result(device.list("/", recursive=True)) if entry.type == "file"]
    for path in files:
        result(device.keep(path, 1))
    _collect(folder, device)
    contents = {path: result(device.get(path)) for path in files}
    for path, content in contents.items():
        result(device.put(path, content))
    _collect(folder, device)
    result(device.snapshot())
    result(device.close())
    return folder.shelf.messages, contents


def _shelf(messages: Mapping[int, bytes]) -> MemoryShelf:
    shelf = MemoryShelf()
    shelf.created = True
    for _uid, message in sorted(messages.items()):
        shelf.add(message)
    return shelf


def _collect(folder: Folder, device: Filesystem) -> None:
    """Plan, wait for the grace to be over, and remove."""
    result(device.collect())
    folder.clock.advance(OPTIONS.grace + 1.0)
    result(device.collect())
