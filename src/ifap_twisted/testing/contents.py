"""Which contents a path can have in a simulated run: what was put there, and what was copied or moved there."""

from __future__ import annotations

from ifap_twisted.testing.trace import Trace


class Contents:
    """Everything that was ever put, by the paths that it can have reached."""

    def __init__(self, trace: Trace) -> None:
        self._sent = {_plain(path) for path, _vid in trace.sent}
        self._by_content: dict[bytes, set[str]] = {}
        self._ways = [
            (call.path, call.other) for call in trace.calls if call.verb in {"move", "copy"} and call.path != call.other
        ]
        for call in trace.calls:
            if call.content is not None:
                self._by_content.setdefault(call.content, set()).add(call.path)
        for (path, _vid), sent in trace.sent.items():
            if sent.content is not None:
                self._by_content.setdefault(sent.content, set()).add(path)
        for paths in self._by_content.values():
            self._spread(paths)

    def may_be(self, path: str, content: bytes) -> bool:
        """Whether the content was put to the path, or can have come there; ``NAME~x`` is beside ``NAME``."""
        return _plain(path) in self._by_content.get(content, ())

    def _spread(self, paths: set[str]) -> None:
        waiting = list(paths)
        while waiting:
            path = waiting.pop()
            for source, destination in self._ways:
                if path == source or path.startswith(source + "/"):
                    reached = destination + path[len(source) :]
                    if reached not in paths and _plain(reached) in self._sent:
                        paths.add(reached)
                        waiting.append(reached)


def _plain(path: str) -> str:
    return "/".join(segment.partition("~")[0] for segment in path.split("/"))
