"""What a service accepts while its folder is not open (DESIGN 4.2: ``put --queue``)."""

from __future__ import annotations

from ifap_twisted.core.values import Notice
from ifap_twisted.deferreds import Slots
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.offline import Offline, offline_folder
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.filesystem.recovery import Place, waiting_notices
from ifap_twisted.filesystem.surroundings import Surroundings
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IMessageStore


class Accepting:
    """Makes an :class:`Offline` when one is needed, of what the folder was last tried to be opened with."""

    def __init__(self, watchers: Watchers, place: Place, options: Options) -> None:
        self._watchers = watchers
        self._place = place
        self._options = options
        self._parts: tuple[IMessageStore, Membership, Surroundings] | None = None
        self._offline: Offline | None = None
        self._one = Slots(1)

    def prepare(self, store: IMessageStore, membership: Membership, surroundings: Surroundings) -> None:
        """The folder is about to be opened with these."""
        self._parts = store, membership, surroundings

    async def offline(self) -> Offline | None:
        """What accepts; None when it is not known yet what the folder is opened with.

        :raises NotSupported, Unavailable, BadSettings: nothing can be accepted.
        """
        async with self._one:
            if self._offline is None and self._parts is not None:
                store, membership, surroundings = self._parts
                self._offline = await offline_folder(
                    store, membership, surroundings, self._watchers, self._place, self._options
                )
        return self._offline

    async def close(self) -> None:
        """Wait for what is about to be accepted; the next time begins anew."""
        async with self._one:  # one that is just being made is made with what counts no more
            offline, self._offline, self._parts = self._offline, None, None
        if offline is not None:
            await offline.close()

    @property
    def _backlog(self) -> Backlog:
        backlog = None if self._parts is None else self._parts[2].backlog
        return Backlog() if backlog is None else backlog

    @property
    def pending(self) -> int:
        """How many writes wait, as far as that is known."""
        return len(self._backlog)

    @property
    def failing(self) -> int:
        """Those whose outcome is unknown."""
        return sum(not waiting.frozen.accepted for waiting in self._backlog)

    def notices(self) -> list[Notice]:
        """What a person should know of them, and of what else the journal holds."""
        return [*waiting_notices(self._backlog), *(() if self._offline is None else self._offline.notices)]
