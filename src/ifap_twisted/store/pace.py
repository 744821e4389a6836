"""How fast, and how much a day: the arithmetic of politeness, without a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ifap_twisted.core.values import JSON

_HOUR = 3600.0
_HOURS = 24


class DayUse:
    """The bytes of the last 24 hours, counted by the hour; the oldest hour counts in full until it has ended.

    It may be kept over the end of the process (:meth:`to_json`), so that a budget is that of the account.
    """

    def __init__(self, hours: Mapping[int, int] | None = None) -> None:
        self._hours = dict(hours or {})

    def add(self, count: int, now: float) -> None:
        """Count bytes; negative ones give back what was counted in this hour and not used."""
        hour = int(now // _HOUR)
        self._hours = {then: bytes_ for then, bytes_ in self._hours.items() if hour - _HOURS <= then <= hour}
        self._hours[hour] = max(0, self._hours.get(hour, 0) + count)

    def total(self, now: float) -> int:
        """The bytes that count now."""
        hour = int(now // _HOUR)
        return sum(bytes_ for then, bytes_ in self._hours.items() if then >= hour - _HOURS)

    def ready_at(self, count: int, budget: int, now: float) -> float:
        """From when on so many bytes more are within the budget; never later than when all has expired."""
        left = self.total(now) + count - budget
        ready = now
        for hour in sorted(self._hours):
            if left <= 0:
                break
            if hour >= int(now // _HOUR) - _HOURS:
                left -= self._hours[hour]
                ready = (hour + _HOURS + 1) * _HOUR
        return ready

    def to_json(self) -> JSON:
        """The hours since 1970 and their bytes."""
        return {str(hour): count for hour, count in self._hours.items()}

    @classmethod
    def from_json(cls, value: JSON) -> DayUse:
        """The inverse of :meth:`to_json`; what makes no sense counts as nothing."""
        if not isinstance(value, dict):
            return cls()
        hours = {hour: count for hour, count in value.items() if isinstance(count, int) and count > 0}
        return cls({int(hour): count for hour, count in hours.items() if hour.isascii() and hour.isdigit()})


class Pace:
    """So many turns a second, and as many at once after a rest, at least one.

    :param per_second: None: as many as there are.
    """

    def __init__(self, per_second: float | None) -> None:
        self._per_second = per_second
        self._capacity = max(1.0, per_second or 0.0)
        self._tokens = self._capacity
        self._seen: float | None = None

    def ready_at(self, now: float) -> float:
        """From when on the next turn may be taken."""
        if self._per_second is None:
            return now
        elapsed = 0.0 if self._seen is None else max(0.0, now - self._seen)
        self._seen = now
        self._tokens = min(self._capacity, self._tokens + elapsed * self._per_second)
        return now if self._tokens >= 1 - 1e-9 else now + (1 - self._tokens) / self._per_second

    def take(self) -> None:
        """Take a turn."""
        self._tokens -= 1


class BackOff:
    """How long to keep quiet after the server asked for it: as it says, else twice as long each time.

    :param random: gives a number from 0 to below 1; waits that the server does not name are between half and all
        of their length, so that many clients do not come back at once.
    :param longest: in seconds; also what the server says is cut to a day.
    """

    def __init__(self, random: Callable[[], float], *, first: float = 1.0, longest: float = 300.0) -> None:
        self._random = random
        self._first = first
        self._longest = longest
        self._times = 0
        self.until = 0.0

    def throttled(self, now: float, seconds: float | None) -> None:
        """The server asked; several answers to calls of the same moment count once."""
        if seconds is not None and seconds == seconds and seconds > 0:  # noqa: PLR0124 -- not a number
            self.until = max(self.until, now + min(max(seconds, self._first), 24 * _HOUR))
        elif now >= self.until:
            wait = min(self._first * 2.0**self._times, self._longest)
            self._times = min(self._times + 1, 30)
            self.until = now + max(self._first, wait * (1 + self._random()) / 2)

    def succeeded(self, started: float) -> None:
        """A call that began at this time did its work: if that was after the last wait, the next one is short again."""
        if started >= self.until:
            self._times = 0

    def forget(self) -> None:
        """Wait no more."""
        self.until = 0.0
        self._times = 0
