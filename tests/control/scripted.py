"""The real filesystem with some methods replaced: for what a test must hold up, or make fail."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from ifap_twisted.interfaces import IFilesystem


@implementer(IFilesystem)
class Scripted:
    """Everything as in ``original``, but for the methods that are given."""

    def __init__(self, original, **methods) -> None:
        self._original = original
        self._methods = methods

    def __getattr__(self, name: str):
        methods = self.__dict__.get("_methods", {})
        return methods[name] if name in methods else getattr(self.__dict__["_original"], name)


def failing(error: Exception):
    """A method that fails."""
    return lambda *_args, **_kwargs: fail(error)


class Held:
    """A method that does not end by itself.

    :ivar calls: what it was called with; ``results`` are the Deferreds that it gave.
    """

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.results: list[Deferred] = []
        self.cancelled = 0

    def __call__(self, *args, **kwargs) -> Deferred:
        self.calls.append((args, kwargs))
        self.results.append(Deferred(self._cancel))
        return self.results[-1]

    def _cancel(self, _deferred: Deferred) -> None:
        self.cancelled += 1
