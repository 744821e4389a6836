"""Garbage collection, put off while thousands of objects that stay are made in one go.

The collector looks at all new objects again and again in the hope that some are garbage; of what is read from a folder
none is, and looking took a fifth of the time to open one. Put off for milliseconds, it makes up for it at once. A
program of ours goes on to leave alone what was made; in that of somebody else the collector stays as it is.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LOCK: Final = threading.Lock()
_OLDEST: Final = 2
"""The generation that a full collection looks at, too."""


class _Burst:
    """How many are at it, in all threads; and whether the collector is on again after the last."""

    count = 0
    was_on = False


class _Program:
    """Whether this process is one of ours alone."""

    ours = False


_THRESHOLDS: Final = (2000, 10, 10)
"""A call makes and lets go of hundreds of objects; what is large must not wait long, if it is in a ring."""


def care_for_program() -> None:
    """The process is a program of ours: collect less often, and never look again at what :func:`made_to_stay`.

    For the start of a program only: it is about the whole process.
    """
    _Program.ours = True
    gc.set_threshold(*_THRESHOLDS)


@contextmanager
def collected_later() -> Iterator[None]:
    """Collect no garbage meanwhile, in any thread; a collector that somebody else turned off stays off."""
    with _LOCK:
        if not _Burst.count:
            _Burst.was_on = gc.isenabled()
            gc.disable()
        _Burst.count += 1
    try:
        yield
    finally:
        with _LOCK:
            _Burst.count -= 1
            if not _Burst.count and _Burst.was_on:
                gc.enable()


@contextmanager
def made_to_stay() -> Iterator[None]:
    """Collect no garbage while an index is made; in a program of ours it is never looked at again, nor the modules.

    What was spared before is looked at once first: the index before, with whatever held it, may be garbage by now.
    """
    if _Program.ours:
        again = gc.get_freeze_count() > 0
        gc.unfreeze()
        gc.collect(_OLDEST if again else _OLDEST - 1)
    with collected_later():
        yield
        if _Program.ours:
            gc.freeze()
