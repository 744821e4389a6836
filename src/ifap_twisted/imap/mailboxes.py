"""Finding the folder among the mailboxes of the account, making it, and asking how much it may hold."""

from __future__ import annotations

from collections.abc import Callable

from ifap_twisted.core import limits
from ifap_twisted.errors import Refused
from ifap_twisted.imap import names
from ifap_twisted.imap.capabilities import Capabilities
from ifap_twisted.imap.grammar import Data, Reply, Value, number
from ifap_twisted.imap.refusals import SELECT
from ifap_twisted.imap.replies import Parts
from ifap_twisted.imap.requests import Request
from ifap_twisted.imap.wire import Wire

__all__ = ["Mailboxes"]


class Mailboxes:
    """The mailboxes of the account that a connection is logged in to."""

    def __init__(self, wire: Wire, capabilities: Capabilities) -> None:
        self._wire = wire
        self._capabilities = capabilities

    async def full_name(self, name: str) -> str:
        """The path of a folder in the personal namespace, where the server tells of one (RFC 2342)."""
        if b"NAMESPACE" not in self._capabilities:
            return name
        answer: list[Value] = []

        def take(values: list[Value]) -> None:
            answer[:] = values[:1]

        await self._ask(b"NAMESPACE", "tell where folders lie", b"NAMESPACE", take)
        prefix, separator = _personal(answer)
        return names.folder_path(name, prefix, separator)

    async def holds(self, path: str) -> bool:
        """Whether there is a folder at a path."""
        found: list[bool] = []

        def take(values: list[Value]) -> None:
            flags = values[0] if values else None
            gone = isinstance(flags, list) and any(
                isinstance(flag, bytes) and flag.lower() == b"\\nonexistent" for flag in flags
            )
            found.append(not gone)

        await self._ask(b'LIST "" ' + names.mailbox(path.replace("*", "%")), "list folders", b"LIST", take)
        return any(found)

    async def create(self, path: str) -> None:
        """CREATE; another device may have been faster."""
        try:
            await self._wire.perform(Request(b"CREATE " + names.mailbox(path), what="create the folder"))
        except Refused as refused:
            if refused.response_code != "ALREADYEXISTS" and not await self.holds(path):
                raise

    async def append_limit(self, path: str) -> int | None:
        """The largest message that the folder takes, in bytes, or None when the server does not say (RFC 7889)."""
        if b"APPENDLIMIT" not in self._capabilities:
            return self._capabilities.append_limit
        limit: list[int] = []

        def take(values: list[Value]) -> None:
            items = values[1] if len(values) == 2 else None
            if isinstance(items, list) and len(items) == 2 and items[1] is not None:
                limit.append(number(items[1]))

        await self._ask(b"STATUS " + names.mailbox(path) + b" (APPENDLIMIT)", SELECT, b"STATUS", take)
        return limit[0] if limit else None

    async def quota(self, mailbox: bytes) -> tuple[int, int] | None:
        """Bytes used and allowed in a folder; None where the server tells none (RFC 9208)."""
        if not self._capabilities.has_quota:
            return None
        told: list[tuple[int, int]] = []

        def take(values: list[Value]) -> None:
            if len(values) == 2:
                told.extend(_storage(values[1]))

        await self._ask(b"GETQUOTAROOT " + mailbox, "tell the quota", b"QUOTA", take)
        return min(told, key=lambda one: one[1] - one[0], default=None)

    async def _ask(self, text: bytes, what: str, name: bytes, take: Callable[[list[Value]], None]) -> None:
        """Send a command, and take what the server answers under a name."""

        def receive(reply: Reply, _parts: Parts) -> bool:
            if isinstance(reply, Data) and reply.name == name:
                take(reply.values)
            return True

        await self._wire.perform(Request(text, what=what, receive=receive))


def _storage(resources: Value) -> list[tuple[int, int]]:
    """The STORAGE resource of a quota in bytes: names, used and limit in turn, in units of 1,024 bytes."""
    if not isinstance(resources, list):
        return []
    triples = zip(resources[::3], resources[1::3], resources[2::3], strict=False)
    return [
        (number(used) * limits.KIB, number(limit) * limits.KIB)
        for name, used, limit in triples
        if isinstance(name, bytes) and name.upper() == b"STORAGE"
    ]


def _personal(answer: list[Value]) -> tuple[str, str]:
    """Prefix and separator of the first personal namespace."""
    spaces = answer[0] if answer else None
    first = spaces[0] if isinstance(spaces, list) and spaces else None
    if not isinstance(first, list) or len(first) < 2:
        return "", ""
    prefix, separator = first[0], first[1]
    return (
        names.readable(prefix) if isinstance(prefix, bytes) else "",
        names.readable(separator) if isinstance(separator, bytes) else "",
    )
