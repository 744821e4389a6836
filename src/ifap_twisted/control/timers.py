"""Delayed calls, stopped."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall


def stop_calls(*calls: IDelayedCall | None) -> None:
    """Cancel those that are still to come."""
    for call in calls:
        if call is not None and call.active():
            call.cancel()
