"""Messages with what is wrong with them, as a device keeps them over the end of a process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON

__all__ = ["Faults"]


class Faults(NamedTuple):
    """Which ones.

    :ivar validity: the UIDVALIDITY of their UIDs: under another one they are others.
    :ivar wrong: UIDs, each with a code; one may have several.
    """

    validity: int = 0
    wrong: frozenset[tuple[int, str]] = frozenset()

    @classmethod
    def of(cls, validity: int, wrong: Iterable[tuple[int, str]]) -> Faults:
        """Of so many as are kept: ``limits.FAULTS``, those of the lowest UIDs."""
        kept = frozenset(sorted(wrong)[: limits.FAULTS])
        return cls(validity, kept) if kept else cls()

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
    def from_json(cls, value: JSON) -> Faults:
        """The inverse of :meth:`to_json`; None for nothing.

        :raises ValueError: it has another shape, or more than ``limits.FAULTS`` messages.
        """
        if value is None:
            return cls()
        validity, codes = (value.get("validity"), value.get("codes")) if type(value) is dict else (None, None)
        if type(validity) is not int or type(codes) is not dict:
            raise ValueError("what is wrong with messages has the wrong shape")
        found: set[tuple[int, str]] = set()
        for code, uids in codes.items():
            if type(uids) is not list or not all(type(uid) is int for uid in uids):
                raise ValueError("what is wrong with messages has the wrong shape")
            found.update((uid, code) for uid in uids)
        if len(found) > limits.FAULTS:
            raise ValueError("more is wrong with messages than is remembered")
        return cls(validity, frozenset(found))
