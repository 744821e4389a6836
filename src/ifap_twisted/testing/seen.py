"""The rollback marks of a simulated device: sealed as the real ones, on a disk in memory."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from ifap_twisted.core.keys import Key
from ifap_twisted.core.marks import Facts, Kept, Mark, MarkSeal, decode, decode_facts, encode, encode_facts
from ifap_twisted.interfaces import IMarks
from ifap_twisted.testing.disk import Disk
from ifap_twisted.workers import Worker

NAME = "seen.json"


@implementer(IMarks)
class DiskMarks:
    """Those of one folder; what was kept last is there whole after a cut of the power, or what was kept before.

    :param keys: those of the folder, the one that is written with first.
    """

    def __init__(
        self,
        disk: Disk,
        keys: Sequence[Key],
        *,
        home: str,
        dialect: str,
        random: Callable[[int], bytes],
        worker: Worker,
    ) -> None:
        self._disk = disk
        self._seal = MarkSeal(keys[0] if keys else None, home=home, dialect=dialect)
        self._random = random
        self._worker = worker

    def load(self) -> Deferred[Kept | None]:
        """What is kept of this folder; None where nothing is."""
        return self._worker(self._load)

    def _load(self) -> Kept | None:
        rows = self._rows()
        folder = rows.pop(b"", None)
        if folder is None:
            return None
        facts = decode_facts(self._seal.open(b"", folder))
        return Kept(facts=facts, marks=dict(decode(self._seal.open(name, row)) for name, row in rows.items()))

    def keep(self, changes: Mapping[str, Sequence[Mark]], facts: Facts) -> Deferred[None]:
        """Keep the marks of some paths in the place of former ones."""
        return self._worker(lambda: self._keep(changes, facts))

    def _keep(self, changes: Mapping[str, Sequence[Mark]], facts: Facts) -> None:
        rows = self._rows() | {b"": self._seal.seal(b"", encode_facts(facts), self._random)}
        for path, marks in changes.items():
            name = self._seal.name(path)
            rows.pop(name, None)
            if marks:
                rows[name] = self._seal.seal(name, encode(path, marks), self._random)
        self._disk.replace(NAME, json.dumps(self._shelved(rows)).encode("ascii"))

    def _rows(self) -> dict[bytes, bytes]:
        shelves = json.loads(self._disk.read(NAME) or b"{}")
        rows = shelves.get(self._seal.place.hex(), {})
        return {bytes.fromhex(name): b64decode(row) for name, row in rows.items()}

    def _shelved(self, rows: Mapping[bytes, bytes]) -> dict[str, dict[str, str]]:
        """Beside those of other folders."""
        shelves: dict[str, dict[str, str]] = json.loads(self._disk.read(NAME) or b"{}")
        shelves[self._seal.place.hex()] = {name.hex(): b64encode(row).decode("ascii") for name, row in rows.items()}
        return shelves

    def close(self) -> Deferred[None]:
        """There is nothing to let go of."""
        return succeed(None)
