"""Garbage collection, put off while thousands of objects that stay are made in one go.

The collector looks at all new objects again and again in the hope that some are garbage; of what is read from a folder
none is, and looking took a fifth of the time to open one. Put off for milliseconds, it makes up for it at once.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LOCK: Final = threading.Lock()


class _Burst:
    """How many are at it, in all threads; and whether the collector is on again after the last."""

    count = 0
    was_on = False


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
