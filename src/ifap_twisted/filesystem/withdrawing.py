"""Taking one's own write back when somebody else was faster (FORMAT 4.4)."""

from __future__ import annotations

from typing import Final

from ifap_twisted.core import limits, planning
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import Sealed
from ifap_twisted.errors import Conflict, NotSupported, ReadOnly, StoredAsConflict, StoreError, Unavailable
from ifap_twisted.filesystem.sending import Sending, Terms, unknown_error
from ifap_twisted.filesystem.view import View

BEGUN_SECONDS: Final = limits.WITHDRAWAL_SECONDS - 2 * limits.COMMAND_SECONDS
"""So long after a write was sealed its removal is begun at the latest: it takes two commands more."""


class Withdrawal:
    """Compares what was stored with what its caller expected."""

    def __init__(self, view: View, sending: Sending) -> None:
        self._view = view
        self._sending = sending

    async def check(
        self, sealed: Sealed, own: Placed, terms: Terms, began: float, *, certain: bool, generation: int
    ) -> None:
        """Take one's own write back when somebody was faster.

        Not after a sleep: what it replaced may have been collected meanwhile, because it was replaced (FORMAT 5.3). Nor
        after a renumbering: the order tells no more who was faster.

        :param began: when it was sealed, by ``View.elapsed``.
        :param generation: under which it was read back.
        :param certain: no further copy of it can turn up; otherwise nobody can say that nothing of it stays.
        :raises Conflict: nothing of it stays; ``StoredAsConflict``: it does.
        :raises OutcomeUnknown:
        """
        path = sealed.version.path
        history = self._view.index.history(path)
        own = next(iter(history.find(own.version.vid)), own)
        winner = planning.overtaken(history, own, set(terms.replaced))
        if winner is None:
            return
        expected = terms.expect if isinstance(terms.expect, str) else None
        found = winner.version.vid
        if not await self.took_back(sealed, own, began, generation):
            self._view.index.acknowledge(own.version)  # it stays, and its caller is told so
            raise StoredAsConflict(
                "Somebody changed the file at the same time; both versions were kept, see 'ifap conflicts'.",
                path=path,
                expected=expected,
                found=found,
            )
        if not certain:
            await self._sending.take_another_name()
            raise unknown_error(sealed)
        raise Conflict("Somebody changed the file at the same time.", path=path, expected=expected, found=found)

    async def took_back(self, sealed: Sealed, own: Placed, began: float, generation: int) -> bool:
        """Remove one's own write, unless it is late for that; whether nothing of it stays.

        :param began: as :meth:`check` has it, and ``generation``.
        :raises OutcomeUnknown:
        """
        until = began + BEGUN_SECONDS
        in_time = self._view.elapsed() <= until and await self._sending.forgets(sealed)
        return in_time and await self._took_back(sealed, own, generation, until)

    async def _took_back(self, sealed: Sealed, own: Placed, generation: int, until: float) -> bool:
        """Remove it, but not after a moment on the elapsed clock; whether it is gone.

        :raises OutcomeUnknown:
        """
        try:
            expected = dict.fromkeys(own.places, sealed.sealed_id) | self._view.index.sealed_ids(own.places)
            await self._view.remove(expected, generation, until=until)
        except (NotSupported, ReadOnly):
            return False
        except StoreError:
            return not await self._is_kept(sealed)
        return True

    async def _is_kept(self, sealed: Sealed) -> bool:
        """Whether a message that could not be removed is there; then it is not marked as deleted (FORMAT 5.4).

        :raises OutcomeUnknown: that cannot be seen, or a mark may be left with which anybody removes it.
        """
        view = self._view
        try:
            await view.refresh()
            found = view.index.history(sealed.version.path).find(sealed.version.vid)
            places = [uid for placed in found for uid in placed.places]
            if places:
                view.check_generation(view.generation)
                await view.unmark(places)
            elif view.incomplete:
                raise Unavailable("The mail server does not list all messages.")
        except (StoreError, ReadOnly) as error:  # which means elsewhere that nothing was stored
            await self._sending.take_another_name()
            raise unknown_error(sealed) from error
        return bool(places)
