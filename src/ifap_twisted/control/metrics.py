"""``GET /metrics``: numbers for Prometheus, in a registry of our own.

``prometheus_client.twisted`` is not used: it imports the global reactor. No name of a file is ever a label.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping
from typing import Any, Final

from ifap_twisted.control.answers import Answer
from ifap_twisted.core.values import JSON, Status

STATES: Final = ("connected", "connecting", "offline", "stopped")
_FROM_STATUS: Final = {
    "pending": "Writes that are not yet known to be durable.",
    "failing": "Writes that were tried in vain.",
    "conflicts": "Files in conflict.",
    "locks": "Paths on which a lock holds.",
    "damaged": "Messages of the folder that cannot be used.",
    "foreign": "Messages in the folder that are mail of somebody else.",
    "other_dialect": "Messages in the folder that are of the other dialect.",
}
_FROM_COUNTS: Final = {
    "files": "Files that are there.",
    "versions": "Versions of files that are there.",
    "bytes": "Bytes of the current versions.",
}


class Metrics:
    """The numbers of one node.

    The gauges are set when they are asked for; requests and bytes are counted as they pass.
    """

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge  # noqa: PLC0415 -- slow, and not always wanted

        self._registry = CollectorRegistry()
        gauges = {**_FROM_STATUS, **_FROM_COUNTS}
        self._gauges = {name: Gauge(f"ifap_{name}", text, registry=self._registry) for name, text in gauges.items()}
        self._warnings = Gauge("ifap_warnings", "Things that a person should know.", registry=self._registry)
        self._told = Gauge("ifap_warnings_by_code", "Such things, by what they are.", ["code"], registry=self._registry)
        self._damage = Gauge(
            "ifap_damaged_messages", "Messages of the folder with this error.", ["code"], registry=self._registry
        )
        self._state = Gauge("ifap_connection_state", "1 for the present state.", ["state"], registry=self._registry)
        self._refreshed = Gauge(
            "ifap_last_refresh_timestamp_seconds", "When the folder was last looked at.", registry=self._registry
        )
        self._checked = Gauge(
            "ifap_last_check_timestamp_seconds", "When the node last checked the folder.", registry=self._registry
        )
        self._found = Gauge("ifap_last_check_damaged", "Damage that it found then.", registry=self._registry)
        self._whole = Gauge(
            "ifap_last_whole_check_timestamp_seconds",
            "When its checks had read all contents.",
            registry=self._registry,
        )
        self._requests = Counter(
            "ifap_http_requests", "Requests answered.", ["method", "status"], registry=self._registry
        )
        self._received = Counter("ifap_http_received_bytes", "Bytes of bodies of requests.", registry=self._registry)
        self._sent = Counter("ifap_http_sent_bytes", "Bytes of bodies of answers.", registry=self._registry)

    def count(self, method: str, status: int, *, received: int, sent: int) -> None:
        """A request has ended."""
        self._requests.labels(method, str(status)).inc()
        self._received.inc(received)
        self._sent.inc(sent)

    def answer(self, status: Status, counts: Mapping[str, JSON]) -> Answer:
        """All numbers in the text format of Prometheus.

        :param counts: ``files``, ``versions``, ``bytes`` as far as they are known.
        """
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415 -- slow, as above

        for name in _FROM_STATUS:
            self._gauges[name].set(getattr(status, name))
        for name in _FROM_COUNTS:
            self._gauges[name].set(_number(counts.get(name)))
        for state in STATES:
            self._state.labels(state).set(status.state == state)
        self._damage.clear()
        for code, count in status.damage.items():
            self._damage.labels(code).set(count)
        self._warnings.set(len(status.warnings))
        self._told.clear()
        for code, count in Tally(notice.code for notice in status.warnings).items():
            self._told.labels(code).set(count)
        self._refreshed.set(status.last_refresh or 0.0)
        self._checked.set(status.checked.time or 0.0)
        self._found.set(status.checked.damaged)
        self._whole.set(status.checked.whole or 0.0)
        return Answer(headers={"Content-Type": CONTENT_TYPE_LATEST}, body=generate_latest(self._registry))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
