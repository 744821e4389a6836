"""For the tests of programs that use us: the in-memory shelf, and a filesystem on it.

The shelf is no stub: it passes the same contract as the one on a real mail server. Several stores on one
:class:`MemoryShelf` are several devices on one folder. Nothing happens by itself: Deferreds have fired when they are
returned, time is a ``twisted.internet.task.Clock``, and whatever a server can do to a client is ordered by name:

>>> from twisted.internet.task import Clock
>>> from ifap_twisted.errors import Unavailable
>>> from ifap_twisted.testing import MemoryShelf, MemoryStore, memory_filesystem
>>> shelf, clock = MemoryShelf(), Clock()
>>> laptop = memory_filesystem(MemoryStore(shelf), clock=clock, seed=1).result
>>> server = MemoryStore(shelf)
>>> desktop = memory_filesystem(server, clock=clock, seed=2).result
>>> laptop.put("/notes.txt", b"hello").result.size
5
>>> server.fail_next("message", Unavailable("The server is away."))
>>> desktop.get("/notes.txt").addErrback(lambda failure: failure.value.code).result
'unavailable'
>>> desktop.get("/notes.txt").result
b'hello'

What can be ordered: ``MemoryStore.fail_next`` (the next calls of a method fail), ``doom_next`` with a :class:`Fate`
(an append is lost, stored late, dropped or doubled), ``hide`` (a listing that is not complete), ``go_offline`` and
``go_online``; ``MemoryShelf.add``, ``remove``, ``forget``, ``tamper``, ``renumber`` (what others and the server do); a
:class:`Turnstile` as gate (calls that take their time); ``traits`` and :class:`Visibility` (what poor servers lack).
"""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Traits
from ifap_twisted.deferreds import deferred
from ifap_twisted.filesystem.opening import Membership, Surroundings, open_folder
from ifap_twisted.interfaces import IFilesystem, IMessageStore
from ifap_twisted.store.memory import FULL_TRAITS, Fate, Gate, MemoryShelf, MemoryStore, Turnstile, Visibility
from ifap_twisted.workers import InlineWorker

__all__ = [
    "FULL_TRAITS",
    "Fate",
    "Gate",
    "MemoryShelf",
    "MemoryStore",
    "Traits",
    "Turnstile",
    "Visibility",
    "memory_filesystem",
]


def memory_filesystem(
    store: IMessageStore, *, clock: IReactorTime, key: str = "a key for tests", seed: int = 0
) -> Deferred[IFilesystem]:
    """A filesystem on a shelf, encrypted, of a device that keeps nothing.

    :param clock: its time; usually a ``twisted.internet.task.Clock``.
    :param key: the same for all devices on one shelf.
    :param seed: of its randomness, the same for the same run; each device on a shelf needs another one. Never use such
        a filesystem for real data: its secrets can be guessed.
    """
    return _open(store, clock, key, Random(seed))  # noqa: S311 -- repeatable on purpose, and said so


@deferred
async def _open(store: IMessageStore, clock: IReactorTime, key: str, random: Random) -> IFilesystem:
    opened = await open_folder(
        store,
        Membership(keys=(Key.from_text(key),)),
        Surroundings(
            clock=clock, worker=InlineWorker(), random=random.randbytes, identity=MemoryWriter(random.randbytes)
        ),
    )
    return opened.filesystem
