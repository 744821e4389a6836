"""Who has which mailbox selected in this process, so that each session hears what the others do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from ifap_twisted.server.flags import Flags

__all__ = ["Watcher", "Watchers"]


class Watcher(Protocol):
    """Hears what happens in a mailbox."""

    def messages_arrived(self, uids: Iterable[int]) -> None:
        """There are new messages, of higher UIDs than any before."""

    def messages_vanished(self, uids: Iterable[int]) -> None:
        """Messages were expunged."""

    def flags_changed(self, changed: Mapping[int, Flags]) -> None:
        """Another session changed flags."""

    def mailbox_deleted(self) -> None:
        """The mailbox is gone."""


class Watchers:
    """The views of every selected mailbox, by the mailbox's number.

    Its methods must be called in the order in which the database was changed.
    """

    def __init__(self) -> None:
        self._views: dict[int, dict[Watcher, None]] = {}

    def add(self, mailbox: int, view: Watcher) -> None:
        """Tell this view what happens in a mailbox from now on, after those that were there before."""
        self._views.setdefault(mailbox, {})[view] = None

    def remove(self, mailbox: int, view: Watcher) -> None:
        """Tell it nothing any more."""
        views = self._views.get(mailbox, {})
        views.pop(view, None)
        if not views:
            self._views.pop(mailbox, None)

    def arrived(self, mailbox: int, uids: Iterable[int]) -> None:
        """Messages were appended."""
        new = sorted(uids)
        for view in self._of(mailbox):
            view.messages_arrived(new)

    def vanished(self, mailbox: int, uids: Iterable[int]) -> None:
        """Messages were expunged."""
        gone = list(uids)
        if gone:
            for view in self._of(mailbox):
                view.messages_vanished(gone)

    def changed(self, mailbox: int, flags: Mapping[int, Flags], by: Watcher) -> None:
        """Flags were changed by a session, which is told apart from the others."""
        if flags:
            for view in self._of(mailbox):
                if view is not by:
                    view.flags_changed(flags)

    def deleted(self, mailbox: int) -> None:
        """A mailbox is gone."""
        for view in self._of(mailbox):
            view.mailbox_deleted()

    def _of(self, mailbox: int) -> tuple[Watcher, ...]:
        return tuple(self._views.get(mailbox, ()))
