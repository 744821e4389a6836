"""Watches a process: how long its reactor was away, how much memory it had, where the time went.

A stretch is the time between two looks of the reactor at what can be read and written: as long as that, nobody else is
served. Pauses of the garbage collector, threads that hold the interpreter's lock, and other processes that have the
processor are in it. The last two are not in the processor's time of the reactor's thread, which is noted besides.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Final

LONG: Final = 0.05
"""Seconds above which a stretch is too long (W10)."""
_ROOT: Final = f"{Path(__file__).resolve().parents[1]}/"
_TOLD: Final = 18


class Watch:
    """Looks on from when it is made; :meth:`begin` starts anew.

    :param profile: look at functions, too, which makes everything slower, and at long stretches.
    """

    def __init__(self, reactor: Any, *, profile: bool = False) -> None:
        self.longest = self.busiest = self.collecting = 0.0
        self.long_stretches = 0
        self._left: float | None = None
        self._left_cpu = 0.0
        self._main = threading.get_ident()
        self._profile = cProfile.Profile() if profile else None
        self._seen: dict[str, int] = {}
        reactor._poller = _Poller(reactor._poller, self)  # noqa: SLF001 -- there is no other way between poll and work
        gc.callbacks.append(self._collected)
        self._gc_began = 0.0
        if profile:
            threading.Thread(target=self._look, daemon=True).start()

    def begin(self) -> None:
        """Forget what was before."""
        self.longest = self.busiest = self.collecting = 0.0
        self.long_stretches = 0
        self._seen.clear()
        if self._left is not None:
            self.left()
        if self._profile is not None:
            self._profile.enable()

    def end(self) -> dict[str, Any]:
        """What was seen since the beginning."""
        self.arrived()
        if self._profile is not None:
            self._profile.disable()
        self.left()
        return {
            "longest_ms": self.longest * 1000,
            "busiest_ms": self.busiest * 1000,
            "long_stretches": self.long_stretches,
            "collector_ms": self.collecting * 1000,
            "peak_mib": memory("VmHWM"),
            "present_mib": memory("VmRSS"),
            "profile": [] if self._profile is None else [*shares(self._profile), *self._long()],
        }

    def stop(self) -> None:
        """Look no more after the garbage collector; the reactor keeps its watch."""
        gc.callbacks.remove(self._collected)

    def arrived(self) -> None:
        """The reactor looks again."""
        if self._left is not None:
            stretch = time.perf_counter() - self._left
            self.longest = max(self.longest, stretch)
            self.busiest = max(self.busiest, time.thread_time() - self._left_cpu)
            self.long_stretches += stretch > LONG
        self._left = None

    def left(self) -> None:
        """It has looked, and works on what it found."""
        self._left, self._left_cpu = time.perf_counter(), time.thread_time()

    def _collected(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._gc_began = time.perf_counter()
        else:
            self.collecting = max(self.collecting, time.perf_counter() - self._gc_began)

    def _look(self) -> None:
        waiting = threading.Event()
        while not waiting.wait(0.01):
            left, frame = self._left, sys._current_frames().get(self._main)  # noqa: SLF001 -- documented, for debuggers
            if left is not None and time.perf_counter() - left > LONG and frame is not None:
                names = [f"{one.name}:{one.lineno}" for one in traceback.extract_stack(frame) if _ours(one.filename)]
                where = " > ".join(names[-4:])
                self._seen[where] = self._seen.get(where, 0) + 1

    def _long(self) -> list[str]:
        seen = sorted(self._seen.items(), key=lambda item: -item[1])[:5]
        return [f"in a stretch above {LONG * 1000:.0f} ms, seen {count} times: {where}" for where, count in seen]


class _Poller:
    """An ``epoll`` that tells when it is asked."""

    def __init__(self, poller: Any, watch: Watch) -> None:
        self._poller = poller
        self._watch = watch

    def poll(self, *arguments: Any) -> Any:
        self._watch.arrived()
        try:
            return self._poller.poll(*arguments)
        finally:
            self._watch.left()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)


def memory(field: str, pid: int | str = "self") -> float:
    """``VmHWM`` (the most ever) or ``VmRSS`` (now) of a process, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def shares(profile: cProfile.Profile) -> list[str]:
    """The functions that took most time themselves: share of all, calls, name."""
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    total = sum(own for _calls, _primitive, own, _all, _callers in found.values()) or 1.0
    top = sorted(found.items(), key=lambda item: -item[1][2])[:_TOLD]
    return [
        f"{own / total:6.1%} own {whole / total:6.1%} all {calls:8} calls  {_name(*function)}"
        for function, (_primitive, calls, own, whole, _callers) in top
    ]


def _name(path: str, line: int, function: str) -> str:
    if _ours(path):
        return f"{path.removeprefix(_ROOT)}:{line} {function}"
    return f"{Path(path).name}:{line} {function}" if line else function


def _ours(path: str) -> bool:
    return path.startswith(_ROOT)
