"""Progress on a terminal's stderr: a bar where there is something to count, a clock where there is not.

Nothing is drawn with ``-q`` or ``--json``, without a terminal, or in the first second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ifap_twisted.cli.printing import Console, printable
from ifap_twisted.deferreds import detach

_log = Logger()

DELAY_SECONDS: Final = 1.0
REDRAW_SECONDS: Final = 0.25
WHOLE: Final = 1000
"""Steps of a bar for work of which it is known only later how much it is."""


class Progress(Protocol):
    """Something that is told of what was done."""

    def advance(self, count: int) -> None:
        """So much more was done."""


class _Nothing:
    def advance(self, count: int) -> None:
        """Draw nothing."""
        del count


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def advance(self, count: int) -> None:
        """Draw it, at most some times a second."""
        self._bar.update(count)


class Counted:
    """Hands on what was done, and knows how much it was.

    :ivar done: so much.
    """

    def __init__(self, progress: Progress) -> None:
        self.done = 0
        self._progress = progress

    def advance(self, count: int) -> None:
        """So much more was done."""
        self.done += count
        self._progress.advance(count)


@contextmanager
def counting(
    console: Console, text: str, total: int | None, unit: str = "B", delay: float = DELAY_SECONDS
) -> Iterator[Progress]:
    """A bar for work of a known size, or how much was done so far where it is not known."""
    if not console.draws:
        yield _Nothing()
        return
    with _drawing(console, delay, desc=printable(text), total=total, unit=unit, unit_scale=True) as bar:
        yield _Bar(bar)


@contextmanager
def flowing(console: Console, clock: IReactorTime, text: str, delay: float = DELAY_SECONDS) -> Iterator[Progress]:
    """How many bytes came so far, of a source of which nobody knows when it ends or goes on; and a clock."""
    with counting(console, text, None, delay=delay) as progress:
        if isinstance(progress, _Bar):
            with _redrawn(lambda: progress.advance(0), clock):
                yield progress
        else:
            yield progress


@contextmanager
def steps(console: Console, text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for work of which it is known only later how much it is; gives what is told of how far it is."""
    with counting(console, text, WHOLE, unit="") as bar:
        shown = 0

        def progress(done: int, total: int) -> None:
            nonlocal shown
            now = WHOLE * done // max(total, 1)
            bar.advance(max(now - shown, 0))  # it may turn out to be more in all
            shown = max(now, shown)

        yield progress


@contextmanager
def waiting(console: Console, clock: IReactorTime, text: str, delay: float = DELAY_SECONDS) -> Iterator[None]:
    """A clock for work that tells nothing of how far it is."""
    if not console.draws:
        yield
        return
    drawing = _drawing(console, delay, desc=printable(text), bar_format="{desc} ... {elapsed}")
    with drawing as bar, _redrawn(lambda: bar.update(0), clock):
        yield


@contextmanager
def _redrawn(draw: Callable[[], object], clock: IReactorTime) -> Iterator[None]:
    redrawing = LoopingCall(draw)
    redrawing.clock = clock
    detach(redrawing.start(REDRAW_SECONDS, now=False), _log, "show how long it takes")
    try:
        yield
    finally:
        redrawing.stop()


@contextmanager
def _drawing(console: Console, delay: float, **arguments: Any) -> Iterator[Any]:
    from tqdm import tqdm  # noqa: PLC0415 -- costs more than most verbs

    tqdm.monitor_interval = 0  # a thread of its own to redraw would outlive the verb
    before = console.bar
    with tqdm(**arguments, file=console.screen, delay=delay, leave=False, dynamic_ncols=True) as bar:
        console.bar = bar
        try:
            yield bar
        finally:
            console.bar = before
