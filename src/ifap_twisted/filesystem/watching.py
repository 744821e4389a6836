"""Who is told of events: listeners that cannot hurt each other or the filesystem."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from ifap_twisted.core.values import Event
from ifap_twisted.interfaces import Listener


class Watchers:
    """A set of listeners."""

    _log = Logger()

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Tell a listener from now on; the result stops it, and may be called twice."""
        token = object()
        self._listeners[token] = listener

        def stop() -> None:
            self._listeners.pop(token, None)

        return stop

    def tell(self, event: Event) -> None:
        """Give an event to everybody; a listener that raises is logged, the others still hear it."""
        for listener in list(self._listeners.values()):
            try:
                listener(event)
            except Exception:  # noqa: BLE001 -- other people's code
                self._log.failure("a listener failed on an event of kind {kind}", kind=event.kind)
