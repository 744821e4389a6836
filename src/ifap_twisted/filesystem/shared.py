"""Values that many ask for and that take a while to get: each is got once at a time, and the latest are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Getting(Generic[V]):
    """One value on its way, and those who wait for it.

    :param given_up: called when the last of them gave up.
    """

    def __init__(self, given_up: Callable[[], None]) -> None:
        self._given_up = given_up
        self._waiting: dict[Deferred[V], None] = {}  # in order
        self.work: Deferred[None] | None = None

    def wait(self) -> Deferred[V]:
        """Fires with the value; who is the last to give up stops the work."""
        waiter: Deferred[V] = Deferred(self._give_up)
        self._waiting[waiter] = None
        return waiter

    def _give_up(self, waiter: Deferred[V]) -> None:
        if self._waiting.pop(waiter, waiter) is None and not self._waiting:
            self._given_up()

    def tell(self, outcome: V | Failure) -> None:
        """It ended."""
        waiters, self._waiting = self._waiting, {}
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(outcome)


class Shared(Generic[K, V]):
    """Values by key; failures are kept by nobody.

    :param most: the bytes that the values kept may have together; those asked for longest ago go first, and a longer
        one is not kept at all.
    :param weight: the bytes of a value.
    :ivar held: the bytes of those that are here.
    """

    def __init__(self, most: int, weight: Callable[[V], int]) -> None:
        self._most = most
        self._weight = weight
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._getting: dict[K, _Getting[V]] = {}
        self.held = 0

    def get(self, key: K, begin: Callable[[], Coroutine[Deferred[Any], Any, V]]) -> Deferred[V]:
        """Fires with the value, which ``begin`` gets where it is not here and nobody is getting it."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return succeed(self._kept[key])
        if key in self._getting:
            return self._getting[key].wait()
        getting = self._getting[key] = _Getting(lambda: self._stop(key, getting))
        waiter = getting.wait()

        def ended(outcome: V | Failure) -> None:
            self._forget(key, getting)
            if not isinstance(outcome, Failure):
                self._keep(key, outcome)
            getting.tell(outcome)

        getting.work = Deferred.fromCoroutine(begin()).addBoth(ended)
        return waiter

    def _stop(self, key: K, getting: _Getting[V]) -> None:
        self._forget(key, getting)  # first: whoever asks from now on begins anew
        if getting.work is not None:
            getting.work.cancel()

    def _forget(self, key: K, getting: _Getting[V]) -> None:
        if self._getting.get(key) is getting:
            del self._getting[key]

    def _keep(self, key: K, value: V) -> None:
        weight = self._weight(value)
        if weight > self._most or key in self._kept:
            return
        self._kept[key] = value
        self.held += weight
        while self.held > self._most:
            _key, gone = self._kept.popitem(last=False)
            self.held -= self._weight(gone)

    def clear(self) -> None:
        """Keep nothing of what is here."""
        self._kept.clear()
        self.held = 0
