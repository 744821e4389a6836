"""The basedir of a simulated device: files in memory, under the real journal and the real writer's identity.

A cut of the power leaves what :class:`ifap_twisted.basedir.directory.Directory` promises: of each file the old content
or the new, and perhaps the temporary file of a write that was not finished.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from ifap_twisted.basedir.directory import TEMPORARY
from ifap_twisted.core import limits

KEPT: Final = 60
"""Earlier states that a restored backup can be."""


class PowerCutError(BaseException):
    """The machine has no power any more; nobody catches it but who cut it."""


class Disk:
    """What a basedir is to the journal and to the identity of the writer, and its one directory.

    :param machine: tells it from every copy of it.
    :ivar files: by name, as they would be found after a cut at this moment.
    """

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self.path = Path("/simulated")
        self.files: dict[str, bytes] = {}
        self._past: list[dict[str, bytes]] = [{}]
        self._changes_left: int | None = None

    # What a Basedir has

    @property
    def journal(self) -> Disk:
        """Its directory."""
        return self

    def require_hold(self) -> None:
        """A device has one process at a time."""

    # What a Directory has

    def identity(self, name: str) -> tuple[str] | None:
        """What no copy of a file on another machine has in common with it."""
        return (self.machine,) if name in self.files else None

    def names(self) -> list[str]:
        """Of all files."""
        return sorted(self.files)

    def read(self, name: str, limit: int = limits.LOCAL_FILE) -> bytes | None:
        """The content of a file, or None when there is none."""
        content = self.files.get(name)
        if content is not None and len(content) > limit:
            raise AssertionError(f"{name} is longer than {limit} bytes")
        return content

    def read_part(self, name: str, offset: int, length: int) -> bytes:
        """Some bytes of a file from an offset on; none of a file that is not there."""
        return self.files.get(name, b"")[offset : offset + length]

    def write(self, name: str, *content: bytes) -> None:
        """Replace a file: a temporary file first, and then its name."""
        temporary = f".{name}.1-{len(self._past)}.tmp"
        self._change({**self.files, temporary: b"".join(content)[:-1]})
        self._change({**self.files, name: b"".join(content)}, without=temporary)

    def replace(self, name: str, content: bytes) -> None:
        """Replace a file as a database does it: at one moment."""
        self._change({**self.files, name: content})

    def write_new(self, name: str, content: bytes) -> bool:
        """Make a file that is not there yet."""
        absent = name not in self.files
        if absent:
            self._change({**self.files, name: content})
        return absent

    def remove(self, name: str) -> bool:
        """Remove a file; False when there was none."""
        found = name in self.files
        if found:
            self._change(self.files, without=name)
        return found

    def sweep(self) -> None:
        """Remove what a write that was cut left behind."""
        for name in [name for name in self.files if TEMPORARY.fullmatch(name)]:
            self.remove(name)

    def _change(self, files: dict[str, bytes], *, without: str = "") -> None:
        if self._changes_left is not None:
            self._changes_left -= 1
            if self._changes_left < 0:
                raise PowerCutError
        self.files = {name: content for name, content in files.items() if name != without}
        self._past = [*self._past[-KEPT:], self.files]

    @property
    def writer(self) -> str | None:
        """The name that its device has in the history; None before it had one."""
        content = self.files.get("writer.json")
        return None if content is None else str(json.loads(content)["writer"])

    # Orders

    def cut_after(self, changes: int | None) -> None:
        """Let so many changes happen, and then none; None: all."""
        self._changes_left = changes

    def copy(self, machine: str, behind: int = 0) -> Disk:
        """As it is, or as it was so many changes ago: a cloned machine, a restored backup."""
        other = Disk(machine)
        other.files = self._past[max(0, len(self._past) - 1 - behind)]
        other._past = [other.files]
        return other
