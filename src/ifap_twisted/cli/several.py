"""The same thing for each of several remote paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from ifap_twisted.cli.inflight import Gate, each
from ifap_twisted.cli.problems import EXPECTED
from ifap_twisted.cli.progress import counting

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session

IN_FLIGHT: Final = 32


async def for_each(
    session: Session, text: str, paths: Sequence[str], work: Callable[[str], Awaitable[Any]], in_flight: int = IN_FLIGHT
) -> None:
    """Work on each path, many at a time; each failure is told, and the others go on.

    Paths of which one lies in another are taken one after the other, as a shell would.
    """
    with counting(session.console, text, len(paths), unit="") as progress:

        async def one(path: str) -> None:
            try:
                await work(path)
            except EXPECTED as error:
                session.console.failed(error, path)
            progress.advance(1)

        await each(paths, one, Gate(1 if overlap(paths) else in_flight, 0))


def overlap(paths: Sequence[str]) -> bool:
    """Whether a path is there twice, or lies in another one."""
    ordered = sorted(path + "/" if path else "" for path in paths)
    return any(later.startswith(earlier) for earlier, later in pairwise(ordered))
