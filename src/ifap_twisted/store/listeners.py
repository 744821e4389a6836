"""The listeners of one shelf."""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.logger import Logger

from ifap_twisted.core.values import FolderState
from ifap_twisted.interfaces import IFolderListener


class Listeners:
    """Tells all who listen, in the order in which they came; one that raises is logged and the others still hear."""

    _log = Logger()

    def __init__(self) -> None:
        self._listeners: list[IFolderListener] = []

    def add(self, listener: IFolderListener) -> Callable[[], None]:
        """Tell this one too; returns a callable that stops it, and may be called again."""
        self._listeners.append(listener)

        def stop() -> None:
            self._listeners = [other for other in self._listeners if other is not listener]

        return stop

    def arrived(self, state: FolderState) -> None:
        """There may be new messages."""
        self._tell(lambda listener: listener.arrived(state))

    def vanished(self, uids: Collection[int]) -> None:
        """Exactly these are gone; nobody is told of none."""
        if uids:
            self._tell(lambda listener: listener.vanished(uids))

    def renumbered(self, uidvalidity: int) -> None:
        """All UIDs mean nothing any more."""
        self._tell(lambda listener: listener.renumbered(uidvalidity))

    def connected(self) -> None:
        """The shelf can be reached again."""
        self._tell(lambda listener: listener.connected())

    def disconnected(self, reason: BaseException) -> None:
        """The shelf cannot be reached."""
        self._tell(lambda listener: listener.disconnected(reason))

    def _tell(self, call: Callable[[IFolderListener], None]) -> None:
        for listener in list(self._listeners):
            try:
                call(listener)
            except Exception:  # noqa: BLE001 -- a listener's bug is logged; the shelf and the other listeners go on
                self._log.failure("a listener of the folder failed")
