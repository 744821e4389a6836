"""A mailbox as a directory: ``mail/NAME/UID.eml`` are the messages, ``mail/NAME/mailbox.json`` says the rest.

A message is there when its file is there. Its UID is its name, so two can never have the same: it is put with
``expect=ABSENT``. ``mailbox.json`` is changed by compare-and-swap: it is put with ``expect`` of the version that was
read. What is answered with OK is durable upstream, because a put is.
"""

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from twisted.internet.defer import DeferredLock, gatherResults

from ifap_twisted.core.values import ABSENT
from ifap_twisted.errors import AlreadyExists, Conflict, StoredAsConflict

ROOT = "mail"
STATE = "mailbox.json"
MESSAGE = re.compile(r"([1-9][0-9]{0,9})\.eml")
TRIES = 5


@dataclass(frozen=True)
class State:
    """``mailbox.json``; ``version`` is that of the file."""

    uidvalidity: int
    uidnext: int = 1
    flags: dict = field(default_factory=dict)
    version: str = ""

    @classmethod
    def read(cls, record):
        """From the file."""
        told = json.loads(record.data)
        flags = {int(uid): tuple(flags) for uid, flags in told["flags"].items()}
        return cls(told["uidvalidity"], told["uidnext"], flags, record.entry.version)

    def written(self):
        """For the file."""
        flags = {str(uid): flags for uid, flags in sorted(self.flags.items()) if flags}
        return json.dumps({"uidvalidity": self.uidvalidity, "uidnext": self.uidnext, "flags": flags}).encode()


class Directory:
    """The directory of one mailbox; all sessions share it."""

    def __init__(self, filesystem, name):
        self.filesystem = filesystem
        self.path = f"{ROOT}/{name}"
        self.lock = DeferredLock()
        self._state = None
        self._uidnext = 1

    async def create(self):
        """Make it.

        :raises AlreadyExists:
        """
        try:
            state = State(uidvalidity=int(datetime.now(UTC).timestamp()))
            await self.filesystem.put(f"{self.path}/{STATE}", state.written(), expect=ABSENT)
        except Conflict:
            raise AlreadyExists("There is a mailbox of this name.") from None

    async def state(self):
        """What ``mailbox.json`` says; read again only when it has changed.

        :raises NotFound: there is no such mailbox.
        """
        path = f"{self.path}/{STATE}"
        if self._state is None or (await self.filesystem.stat(path)).version != self._state.version:
            self._state = State.read(await self.filesystem.read(path))
        return self._state

    async def entries(self):
        """The files of the messages by UID, ascending; and the next UID, greater than all there ever were."""
        state = await self.state()
        found = [
            (int(match[1]), entry)
            for entry in await self.filesystem.list(self.path, everything=True)
            if (match := MESSAGE.fullmatch(entry.path.rpartition("/")[2]))
        ]
        self._uidnext = max([self._uidnext, state.uidnext, *(uid + 1 for uid, _entry in found)])
        return dict(sorted((uid, entry) for uid, entry in found if not entry.deleted)), self._uidnext

    async def change(self, function):
        """Change the state by a function of it; again when somebody else was faster."""
        for _try in range(TRIES):
            before = await self.state()
            after = function(before)
            if after == before:
                return after
            try:
                entry = await self.filesystem.put(f"{self.path}/{STATE}", after.written(), expect=before.version)
            except StoredAsConflict:
                raise
            except Conflict:
                await self.filesystem.refresh()
            else:
                self._state = replace(after, version=entry.version)
                return self._state
        raise Conflict("The mailbox is changed by somebody else all the time.")

    async def append(self, data, flags, modified):
        """Add a message; its UID. Flags go first, so that the message is there with them or not at all."""
        while True:
            uid = (await self.entries())[1]
            self._uidnext = uid + 1  # whatever becomes of it
            if flags:
                await self.change(
                    lambda state, uid=uid: replace(state, uidnext=uid + 1, flags=state.flags | {uid: flags})
                )
            try:
                await self.filesystem.put(f"{self.path}/{uid}.eml", data, expect=ABSENT, modified=modified)
            except StoredAsConflict:
                raise
            except Conflict:  # another proxy took this number
                await self.filesystem.refresh()
            else:
                return uid

    async def remove(self, uids):
        """Remove messages; their numbers are never used again."""
        uidnext = (await self.entries())[1]
        await gatherResults([self.filesystem.remove(f"{self.path}/{uid}.eml") for uid in uids], consumeErrors=True)
        await self.change(
            lambda state: replace(
                state, uidnext=uidnext, flags={uid: flags for uid, flags in state.flags.items() if uid not in uids}
            )
        )
