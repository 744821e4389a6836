"""What a filesystem is given by the program around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.drafting import Random
from ifap_twisted.interfaces import IJournal, ILockMemory, IMarks, IWriterIdentity
from ifap_twisted.workers import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a filesystem lives: everything that is an argument.

    :ivar elapsed: seconds that run while the machine sleeps, and that nobody sets (FORMAT 10.1); None: of ``clock``.
    :ivar journal: opens the journal with the keys of the folder; None keeps nothing over the end of the process.
    :ivar locks: keeps the locks of this device over the end of the process; None forgets them with it.
    :ivar marks: keeps what this device has seen of the folder (keys, home, dialect) over the end of the process; None:
        that the server shows an older state is noticed only while the process runs (FORMAT 9.1).
    :ivar backlog: what waits already, of a folder that is opened (again) in the same process; None: nothing.
    """

    clock: IReactorTime
    worker: Worker
    random: Random
    identity: IWriterIdentity
    journal: Callable[[Sequence[Key]], IJournal] | None = None
    elapsed: Callable[[], float] | None = None
    locks: ILockMemory | None = None
    marks: Callable[[Sequence[Key], str, Dialect], IMarks] | None = None
    backlog: Backlog | None = None

    @property
    def elapses(self) -> Callable[[], float]:
        """The clock of what elapses."""
        return self.clock.seconds if self.elapsed is None else self.elapsed
