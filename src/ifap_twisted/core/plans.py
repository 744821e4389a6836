"""Plan objects: which messages may go when the grace is over, and which may not after all (FORMAT 5.3).

A plan only says since when a place has been up for collection. Whether it is needed is decided anew before anything is
removed, so that a plan that lies can shorten a grace and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.strictjson import strict_json
from ifap_twisted.core.values import JSON
from ifap_twisted.core.vocabulary import is_right
from ifap_twisted.errors import Malformed

__all__ = ["PLANS", "RESEALED", "Plan", "Planned", "Standing", "standing"]

PLANS: Final = "IFAP/plans/"
"""What the reserved names of plan objects begin with (FORMAT 6.1)."""

RESEALED: Final = "resealed"
"""The reason of a place that may go because another place of the same version takes over (FORMAT 8.5)."""

_UID: Final = 2**32 - 1
_KEYS: Final = frozenset({"collect", "keep", "uidvalidity", "v"})


class Planned(NamedTuple):
    """A place in a plan, the version that lies there, and why it may go: a stable word."""

    uid: int
    vid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One plan object.

    :ivar uidvalidity: under which its UIDs mean something; a renumbering voids it.
    :ivar collect: what may go; at most ``limits.PLAN_ENTRIES`` with ``keep``.
    :ivar keep: what earlier plans named and is needed again: their grace counts no more.
    """

    uidvalidity: int
    collect: tuple[Planned, ...] = ()
    keep: tuple[Planned, ...] = ()

    def encode(self) -> bytes:
        """Canonical JSON."""
        value = {
            "collect": [list(one) for one in self.collect],
            "keep": [list(one) for one in self.keep],
            "uidvalidity": self.uidvalidity,
            "v": 1,
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, content: bytes, path: str = PLANS) -> Plan:
        """The inverse of :meth:`encode`.

        :raises Malformed: anything odd, or more than ``limits.PLAN_BYTES`` or ``limits.PLAN_ENTRIES``.
        """
        try:
            if len(content) > limits.PLAN_BYTES:
                raise ValueError("it is too long")
            return _plan(strict_json(content.decode("ascii")))
        except ValueError as error:
            raise Malformed(f"A plan cannot be used: {error}.", section="body", path=path) from None


def _plan(value: JSON) -> Plan:
    if type(value) is not dict or not value.keys() >= _KEYS or type(value["v"]) is not int or value["v"] != 1:
        raise ValueError("it has the wrong shape")
    lists = value["collect"], value["keep"]
    if any(type(one) is not list for one in lists) or sum(map(len, lists)) > limits.PLAN_ENTRIES:
        raise ValueError("it has the wrong shape")
    if not _is_uid(value["uidvalidity"]):
        raise ValueError("its UIDVALIDITY is none")
    collect, keep = (tuple(_planned(one) for one in entries) for entries in lists)
    return Plan(uidvalidity=value["uidvalidity"], collect=collect, keep=keep)


def _planned(value: JSON) -> Planned:
    if type(value) is not list or len(value) != 3:
        raise ValueError("an entry has the wrong shape")
    uid, vid, reason = value
    if not (_is_uid(uid) and is_right("vid", vid) and _is_word(reason)):
        raise ValueError("an entry has the wrong shape")
    return Planned(uid, vid, reason)


def _is_uid(value: JSON) -> bool:
    return type(value) is int and 0 < value <= _UID


def _is_word(value: JSON) -> bool:
    return is_right("needs", [value])


class Standing(NamedTuple):
    """What the plans say of one place: which version may go, why, and since when, by the server's clock."""

    vid: str
    reason: str
    since: float


def standing(
    plans: Iterable[tuple[int, float, Plan | None]], uidvalidity: int, *, resealed: bool = False
) -> Mapping[int, Standing]:
    """What all plans together say, by UID: of the plans that name a place without a break, the first.

    :param resealed: what they say of places that others take over, and of nothing else; otherwise of all but those.

    :param plans: UID and INTERNALDATE of each plan object, in any order. Those of other numbers are void. None: what
        it says is not known; perhaps that everything that was planned before is needed again.
    """
    found: dict[int, Standing] = {}
    for _uid, date, plan in sorted(plans, key=lambda one: one[0]):
        if plan is None:
            found.clear()
            continue
        if plan.uidvalidity != uidvalidity:
            continue
        for kept in plan.keep:
            if (kept.reason == RESEALED) == resealed and kept.uid in found and found[kept.uid].vid == kept.vid:
                del found[kept.uid]
        for one in plan.collect:
            if (one.reason == RESEALED) == resealed and (one.uid not in found or found[one.uid].vid != one.vid):
                found[one.uid] = Standing(one.vid, one.reason, date)
    return found
