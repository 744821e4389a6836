"""The messages that a repair has set aside: of no use, known to a person, and never removed."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON

__all__ = ["Aside"]


class Aside(NamedTuple):
    """Which ones, as a device keeps them.

    :ivar validity: the UIDVALIDITY of their UIDs: under another one nothing is set aside.
    :ivar wrong: UIDs with what is wrong there: a message that is wrong in another way is told anew.
    """

    validity: int = 0
    wrong: frozenset[tuple[int, str]] = frozenset()

    def under(self, validity: int) -> frozenset[tuple[int, str]]:
        """What is wrong, as far as the UIDs are still those of the same messages."""
        return self.wrong if validity == self.validity else frozenset()

    def to_json(self) -> dict[str, JSON]:
        """A JSON object."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for uid, code in sorted(self.wrong):
            found[code].append(uid)
        return {"validity": self.validity, "codes": dict(found)}

    @classmethod
    def from_json(cls, value: JSON) -> Aside:
        """The inverse of :meth:`to_json`; None for nothing.

        :raises ValueError: it has another shape, or more than ``limits.SET_ASIDE`` messages.
        """
        if value is None:
            return cls()
        validity, codes = (value.get("validity"), value.get("codes")) if type(value) is dict else (None, None)
        if type(validity) is not int or type(codes) is not dict:
            raise ValueError("what was set aside has the wrong shape")
        found: set[tuple[int, str]] = set()
        for code, uids in codes.items():
            if type(uids) is not list or not all(type(uid) is int for uid in uids):
                raise ValueError("what was set aside has the wrong shape")
            found.update((uid, code) for uid in uids)
        if len(found) > limits.SET_ASIDE:
            raise ValueError("more was set aside than is remembered")
        return cls(validity, frozenset(found))
