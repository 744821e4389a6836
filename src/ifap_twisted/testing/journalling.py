"""The journal of a simulated device: the real one, which is looked at when its device dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.frozen import Frozen, JournalContent, thaw
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Version
from ifap_twisted.interfaces import IJournal
from ifap_twisted.testing.disk import Disk


@implementer(IJournal)
class NotedJournal:
    """Tells of each message before it is kept.

    :param noted: what is told.
    """

    def __init__(self, journal: FileJournal, noted: Callable[[bytes], None]) -> None:
        self._journal = journal
        self._noted = noted

    def use(self, keys: Sequence[Key]) -> IJournal:
        """The journal of the process, with these keys from now on."""
        self._journal.use(keys)
        return self

    def begin(self, frozen: Frozen) -> Deferred[None]:
        """Keep a message."""
        self._noted(frozen.message)
        return self._journal.begin(frozen)

    def settle(self, frozen: Frozen) -> None:
        """Let go of a message."""
        self._journal.settle(frozen)

    def discard(self, frozen: Frozen) -> Deferred[None]:
        """Forget a message for good."""
        return self._journal.discard(frozen)

    def keeps(self, frozen: Frozen) -> bool:
        """Whether a message is kept."""
        return self._journal.keeps(frozen)

    def left(self) -> Deferred[JournalContent]:
        """What is kept and not settled."""
        return self._journal.left()

    def load(self, frozen: Frozen) -> Deferred[Frozen | None]:
        """The whole of a message that is kept."""
        return self._journal.load(frozen)

    def close(self) -> Deferred[None]:
        """Fires when what was let go is gone from the disk."""
        return self._journal.close()


def kept_on(disk: Disk, keys: Sequence[Key]) -> Iterator[Version]:
    """The versions whose messages a journal on this disk holds at this moment."""
    for name in disk.names():
        if name.endswith(".pending"):
            for _record, frozen in thaw(disk.files[name], keys):
                if isinstance(frozen, Frozen):
                    yield envelope.read_header(frozen.message, dialect=IFAP, keys=keys, home=None)
