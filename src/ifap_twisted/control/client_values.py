"""What a node's answers and events say, as values; what does not fit is the node's fault (``protocol-violation``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from ifap_twisted.core.collection import Collection, Verdict
from ifap_twisted.core.findings import Checkup
from ifap_twisted.core.usage import Usage
from ifap_twisted.core.values import JSON, Checked, Entry, Event, Lock, Notice, Status
from ifap_twisted.errors import ProtocolViolation

T = TypeVar("T")


def parse_json(data: bytes | str) -> JSON:
    """JSON from a node.

    :raises ProtocolViolation: it is none.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ProtocolViolation("The node's answer is not JSON.") from None


def entry_from(found: JSON) -> Entry:
    """An Entry of DESIGN 4.5."""
    return _understood(Entry.from_json, found)


def entries_from(found: JSON) -> list[Entry]:
    """``{"entries": [Entry…]}``."""
    return _understood(lambda value: [Entry.from_json(entry) for entry in value["entries"]], found)


def lock_from(found: JSON) -> Lock:
    """A Lock of the node."""
    return _understood(Lock.from_json, found)


def usage_from(found: JSON) -> list[Usage]:
    """``{"usage": [Usage…]}``."""
    return _understood(lambda value: [Usage.from_json(one) for one in value["usage"]], found)


def locks_from(found: JSON) -> list[Lock]:
    """``{"locks": [Lock…]}``."""
    return _understood(lambda value: [Lock.from_json(lock) for lock in value["locks"]], found)


def status_from(found: JSON) -> Status:
    """A Status of DESIGN 4.5."""
    return _understood(_status, found)


def collection_from(found: JSON) -> Collection:
    """The result of a job that collects."""
    return _understood(_collection, found)


def checkup_from(found: JSON) -> Checkup:
    """The result of a job that checks."""
    return _understood(Checkup.from_json, found)


def event_from(kind: str, found: JSON) -> Event:
    """An event of the stream: about an entry when its data is one."""
    if isinstance(found, dict) and {"path", "version", "type"} <= found.keys():
        return Event(kind=kind, entry=entry_from(found))
    return Event(kind=kind, detail=_understood(dict, found))


def text_from(found: JSON, name: str) -> str:
    """The text under a key."""
    return _understood(lambda value: str(value[name]), found)


def number_from(found: JSON, name: str) -> int:
    """The number under a key."""
    return _understood(lambda value: int(value[name]), found)


def _understood(read: Callable[[JSON], T], found: JSON) -> T:
    try:
        return read(found)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ProtocolViolation("The node's answer is not what this version understands.") from None


def _status(found: Mapping[str, JSON]) -> Status:
    checked = found.get("checked")
    return Status(
        state=found["state"],
        account=found["account"],
        folder=found["folder"],
        dialect=found["dialect"],
        pending=found["pending"],
        failing=found["failing"],
        conflicts=found["conflicts"],
        locks=found["locks"],
        damaged=found["damaged"],
        damage=dict(found.get("damage", {})),
        foreign=found["foreign"],
        other_dialect=found.get("other_dialect", 0),
        key=found.get("key", "none"),
        warnings=tuple(_notice(warning) for warning in found["warnings"]),
        last_refresh=_moment(found["last_refresh"]),
        checked=Checked() if checked is None else _checked(checked),
    )


def _checked(found: Mapping[str, JSON]) -> Checked:
    return Checked(_moment(found["time"]), found["damaged"], float(found["read"]), _moment(found["whole"]))


def _moment(found: str | None) -> float | None:
    return None if found is None else datetime.fromisoformat(found).timestamp()


def _collection(found: Mapping[str, JSON]) -> Collection:
    return Collection(
        verdicts=tuple(Verdict.from_json(verdict) for verdict in found["verdicts"]),
        messages=tuple(_notice(message) for message in found["messages"]),
        dry_run=found["dry_run"],
    )


def _notice(found: Mapping[str, JSON]) -> Notice:
    path = found["path"]
    return Notice(code=found["code"], text=found["text"], path=None if path is None else path.removeprefix("/"))
