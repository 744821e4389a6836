"""``ifap watch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifap_twisted.cli.loading import filesystem_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.printing import Console
    from ifap_twisted.cli.session import Session
    from ifap_twisted.core.values import Event
    from ifap_twisted.interfaces import IFilesystem


async def watch(filesystem: IFilesystem, session: Session) -> None:
    """Print what happens in the folder, one event per line, until interrupted.

    Events are changed, removed, conflict and vanished with a path and a version; job, connection and pending with
    details; and renewed after events were missed. With --json each line is an object {"event", "data"}, where data is
    an Entry for the first four.

    Example::

        ifap --json watch | jq -r 'select(.event == "changed") | .data.path'
    """
    from twisted.internet.defer import Deferred  # noqa: PLC0415 -- imports Twisted

    from ifap_twisted.cli.printing import OutputClosed  # noqa: PLC0415 -- with it

    ended: Deferred[None] = Deferred()

    def tell(event: Event) -> None:
        try:
            show_event(session.console, event)
            session.console.flush()
        except (OutputClosed, OSError) as error:
            if not ended.called:
                ended.errback(error)

    stop = filesystem.watch(tell)
    session.console.note("Watching; Ctrl-C ends it.")
    try:
        await ended
    finally:
        stop()


def show_event(console: Console, event: Event) -> None:
    """One line for one event."""
    if console.json:
        console.object({"event": event.kind, "data": event.to_json()})
    elif event.entry is not None:
        console.line(f"{event.kind} /{event.entry.path} {event.entry.version}".rstrip())
    else:
        details = (f"{name}={value}" for name, value in event.detail.items())
        console.line(" ".join([event.kind, *details]))


command = filesystem_verb(watch)
