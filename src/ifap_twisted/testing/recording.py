"""What the processes of a simulated run tell of themselves, written into its trace."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ifap_twisted.core import paths
from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.plans import Plan
from ifap_twisted.core.values import Version
from ifap_twisted.testing.process import CALL
from ifap_twisted.testing.scenario import WRITING
from ifap_twisted.testing.trace import Sent, Trace


class Notebook:
    """That of one device, or of the reference program.

    :param now: the time by the server's clock.
    :ivar old_writer: the name under which the device wrote when the copy was made that it goes on from; None: there is
        none, or it has drawn another name since.
    """

    def __init__(self, trace: Trace, device: int, now: Callable[[], float]) -> None:
        self.old_writer: str | None = None
        self._trace = trace
        self._device = device
        self._now = now

    def sent(self, version: Version, known: frozenset[str], content: bytes | None = None) -> None:
        """A version was sent for the first time, or once more."""
        if self.old_writer is not None and version.writer != self.old_writer:
            self.old_writer = None
            self._trace.situations["a new writer after an old copy"] += 1
        place = (version.path, version.vid)
        self._trace.situations["a file went out in chunks"] += version.chunked
        self._trace.sent.setdefault(place, Sent(version, self._now(), CALL.get(), known, content))

    def saved(self, version: Version, content: bytes) -> None:
        """The reference program, which sees everything, stored a version."""
        known = frozenset(vid for path, vid in self._trace.sent if path == version.path)
        self.sent(version, known, content)

    def removed(self, versions: Sequence[Version]) -> None:
        """Messages are removed: in a collection, for good."""
        number = CALL.get()
        if number is None or self._trace.calls[number].verb != "collect":
            return
        places = {(version.path, version.vid) for version in versions if not paths.is_reserved(version.path)}
        self._trace.situations["chunks were collected"] += any(one.path.startswith(CHUNKS) for one in versions)
        if places and any(call.ended is None and call.verb != "collect" for call in self._trace.calls):
            self._trace.situations["collected while somebody did something else"] += 1
        self._compare_with_writes({path for path, _vid in places})
        for place in places:
            self._trace.collected.setdefault(place, self._now())

    def planned(self, plan: Plan) -> None:
        """What is to be collected, or is not after all, is said to all."""
        vids = {one.vid for one in plan.collect}
        for vid in vids:
            self._trace.planned.setdefault(vid, self._now())
        self._compare_with_writes({path for path, vid in self._trace.sent if vid in vids})

    def _compare_with_writes(self, paths: Collection[str]) -> None:
        """Versions of these are to go, or go: is somebody else about to write there?"""
        self._trace.situations["a plan against a write in flight"] += any(
            call.ended is None and call.verb in WRITING and call.path in paths and call.device != self._device
            for call in self._trace.calls
        )

    def founding(self) -> None:
        """A folder object is sent."""
        before = len(self._trace.founders)
        self._trace.founders.add(self._device)
        if before == 1 < len(self._trace.founders):
            self._trace.situations["two devices at their first login"] += 1
