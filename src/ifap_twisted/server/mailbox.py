"""A mailbox that a session has selected: its view, and what the session does to the messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import ReadOnly
from ifap_twisted.server import limits, messages
from ifap_twisted.server.database import Database
from ifap_twisted.server.fetching import Block, Plan, fetch_block
from ifap_twisted.server.flags import Flags
from ifap_twisted.server.messages import Message
from ifap_twisted.server.storage import Opened
from ifap_twisted.server.view import View
from ifap_twisted.server.watching import Watchers

__all__ = ["Mailbox"]

Pairs = Sequence[tuple[int, int]]
"""Sequence numbers and UIDs, ascending."""


class Mailbox:
    """A selected mailbox; its view hears of every change until ``close``.

    :ivar opened: the state at the moment of SELECT.
    """

    def __init__(self, database: Database, watchers: Watchers, opened: Opened, *, writable: bool) -> None:
        self._database = database
        self._watchers = watchers
        self._id = opened.box.id
        self.opened = opened
        self.writable = writable
        self.view = View(opened.uids, opened.box.recent)
        watchers.add(self._id, self.view)

    def close(self) -> None:
        """Leave it."""
        self._watchers.remove(self._id, self.view)
        self.view.notify = None

    @deferred
    async def fetch(self, pairs: Pairs, plan: Plan) -> Block:
        r"""FETCH responses for the first of these messages, about ``limits.RESPONSE`` bytes.

        A plan that sets \\Seen does so unless the mailbox is read-only.
        """
        plan = plan if self.writable else plan.peeking()
        block = await self._database.run(fetch_block, self._id, pairs, plan, self.view.is_recent)
        self._watchers.changed(self._id, block.seen, self.view)
        self._database.note_damaged(self._id, block.damaged, block.trouble)
        return block

    @deferred
    async def search(self, pairs: Pairs, criterion: Callable[[Message], bool]) -> list[tuple[int, int]]:
        """Those of the messages that meet a criterion."""
        found: list[tuple[int, int]] = []
        for start in range(0, len(pairs), limits.BLOCK):
            found += await self._database.run(_search, self._id, pairs[start : start + limits.BLOCK], criterion)
        return found

    @deferred
    async def store(self, pairs: Pairs, change: Callable[[Flags], Sequence[str]]) -> dict[int, Flags]:
        """Change flags; those of every message that is still there afterwards, by UID.

        :raises ReadOnly: it was opened with EXAMINE.
        """
        self._require_writable()
        uids = [uid for _number, uid in pairs]
        after, changed = await self._database.run(messages.change_flags, self._id, uids, change)
        self._watchers.changed(self._id, {uid: after[uid] for uid in changed}, self.view)
        return after

    def expunge(self, uids: Sequence[int] | None = None) -> Deferred[None]:
        r"""Remove messages with \\Deleted for ever, all or those of some UIDs; every view hears of it.

        :raises ReadOnly: it was opened with EXAMINE.
        """
        self._require_writable()
        return self._expunge(uids)

    @deferred
    async def _expunge(self, uids: Sequence[int] | None) -> None:
        gone = await self._database.run(messages.expunge, self._id, uids)
        self._watchers.vanished(self._id, gone)

    def _require_writable(self) -> None:
        if not self.writable:
            raise ReadOnly("The mailbox was opened with EXAMINE.")


def _search(
    connection: sqlite3.Connection, mailbox: int, pairs: Pairs, criterion: Callable[[Message], bool]
) -> list[tuple[int, int]]:
    return [(each.number, each.uid) for each in messages.read(connection, mailbox, pairs) if criterion(each)]
