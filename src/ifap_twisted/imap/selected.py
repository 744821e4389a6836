"""The selected folder as far as the server has told of it: what it pushes is noted, and told on after each block.

Nothing is sent from here. What contradicts what was told before is never guessed away: the observer is asked to look
through the folder again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from ifap_twisted.core.values import FolderState
from ifap_twisted.imap.grammar import Data, Fetch, Numbered, Reply
from ifap_twisted.imap.sequence import SequenceMap

__all__ = ["FolderObserver", "Selected"]


class FolderObserver(Protocol):
    """Told of what the server says about the folder, after each block of its answers."""

    def arrived(self, state: FolderState) -> None:
        """There may be messages that were not there before, or the folder must be looked through again."""

    def vanished(self, uids: Collection[int]) -> None:
        """Exactly these are gone."""

    def renumbered(self, uidvalidity: int) -> None:
        """All UIDs mean nothing any more."""


class Selected:
    """What is known of the selected folder.

    :ivar numbers: the UIDs by message number, as far as they were told.
    :ivar selecting: a SELECT is under way: what comes meanwhile is its answer, and no news.
    :ivar grown: more messages were told of since the folder was last listed.
    :ivar look_again: the folder must be looked through again.
    """

    def __init__(self, observer: FolderObserver) -> None:
        self._observer = observer
        self.numbers = SequenceMap()
        self.uidvalidity = 0
        self.uidnext: int | None = None
        self.exists = 0
        self.read_only = False
        self.selecting = False
        self.grown = False
        self.look_again = False
        self._gone: list[int] = []

    @property
    def state(self) -> FolderState:
        """What the server said last."""
        return FolderState(
            uidvalidity=self.uidvalidity, uidnext=self.uidnext, exists=self.exists, read_only=self.read_only
        )

    @property
    def complete(self) -> bool:
        """Whether the UIDs of all messages are known."""
        return self.numbers.complete(self.exists)

    def begin(self, state: FolderState) -> None:
        """The folder was selected: what was known before counts no more."""
        self.numbers.forget()
        self.grown = False
        self.uidvalidity, self.uidnext = state.uidvalidity, state.uidnext
        self.exists, self.read_only = state.exists, state.read_only

    def observe(self, reply: Reply) -> None:
        """Take note of an untagged reply."""
        if self.selecting:
            return
        if isinstance(reply, Fetch):
            uid = reply.uid
            if uid is not None:
                self._learn(reply.sequence, uid)
        elif isinstance(reply, Numbered):
            if reply.name == b"EXISTS":
                self._count(reply.number)
            elif reply.name != b"RECENT":
                self._expunge(reply.number)
        elif isinstance(reply, Data) and reply.name == b"VANISHED":
            self.numbers.forget()
            self.look_again = True

    def _learn(self, sequence: int, uid: int) -> None:
        if not self.numbers.learn(sequence, uid):
            self.look_again = True
        if self.uidnext is not None and uid >= self.uidnext:
            self.uidnext = uid + 1

    def _count(self, exists: int) -> None:
        if exists < len(self.numbers):
            self.numbers.forget()
        if exists > self.exists:
            self.grown = True
        if exists != self.exists:
            self.look_again = True
        self.exists = exists

    def _expunge(self, sequence: int) -> None:
        uid = self.numbers.expunge(sequence)
        self.exists = max(self.exists - 1, 0)
        if uid is None:
            self.look_again = True
        else:
            self._gone.append(uid)

    def note_gone(self, uids: Iterable[int]) -> None:
        """These were found to be gone; it is told with the next block."""
        self._gone.extend(uids)

    def renumbered(self) -> None:
        """All UIDs mean nothing any more: told at once."""
        self._observer.renumbered(self.uidvalidity)

    def settle(self) -> None:
        """Tell the observer, once for each received block."""
        gone, self._gone = self._gone, []
        if gone:
            self._observer.vanished(gone)
        if self.look_again:
            self.look_again = False
            self._observer.arrived(self.state)
