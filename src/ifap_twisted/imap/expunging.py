"""Plain EXPUNGE, for servers without UID EXPUNGE: it removes whatever is marked as deleted (FORMAT 5.4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from twisted.internet.defer import CancelledError

from ifap_twisted.errors import IFAPError, MarkedByOthers, ProtocolViolation
from ifap_twisted.imap.names import uid_sets
from ifap_twisted.imap.requests import Overlap

__all__ = ["Marks", "expunge_marked"]


class Marks:
    """The marks of a folder that is not selected again while it is worked on: each number stays that of its message.

    :param uids: the UIDs in a range.
    :param look: the UIDs of all that are marked, news of others included.
    :param change: sends a command that changes messages.
    """

    def __init__(
        self,
        uids: Callable[[int, int], Awaitable[Sequence[int]]],
        look: Callable[[], Awaitable[set[int]]],
        change: Callable[[bytes, str, Overlap], Awaitable[None]],
    ) -> None:
        self._uids = uids
        self._change = change
        self.look = look

    async def present(self, uids: Collection[int]) -> set[int]:
        """Those of these that are there."""
        return set(uids).intersection(await self._uids(min(uids), max(uids)) if uids else ())

    async def mark(self, uids: Collection[int], *, deleted: bool) -> None:
        """Set marks, or take them off."""
        for exact in uid_sets(uids):
            text = b"UID STORE %b %bFLAGS.SILENT (\\Deleted)" % (exact, b"+" if deleted else b"-")
            await self._change(text, "mark messages for removal", Overlap.FREE)

    async def expunge(self) -> None:
        """Remove all that are marked."""
        await self._change(b"EXPUNGE", "remove messages", Overlap.NONE)


async def expunge_marked(marks: Marks, wanted: Collection[int], due: Collection[int]) -> None:
    """Remove exactly these messages, unless others are marked, too.

    A message that another program marks after the last look, before the server works on the command, is removed.

    :param due: a mark that one of these carries is left over from a removal that was cut short; it is taken off.
    :raises MarkedByOthers: nothing was removed, and no mark is left that was not there.
    :raises ProtocolViolation: the server does not show its marks, or did not remove them all.
    """
    before = await marks.look()
    strange = before.difference(wanted)
    _check_none(strange.difference(due))
    if strange:
        await marks.mark(strange, deleted=False)
    present = await marks.present(wanted)
    if not present:
        return
    try:
        await marks.mark(present, deleted=True)
        await _check_marks(marks, present)
    except (IFAPError, CancelledError):
        with suppress(IFAPError):  # without a connection they stay, until they are due again
            await marks.mark(present - before, deleted=False)
        raise
    await marks.expunge()
    left = await marks.present(present)
    if left:
        await marks.mark(left, deleted=False)
        raise ProtocolViolation("The mail server did not remove messages that were marked for it.")


async def _check_marks(marks: Marks, wanted: set[int]) -> None:
    """These are marked, as far as they are there, and no others: so it is seen that the server shows its marks."""
    marked = await marks.look()
    _check_none(marked - wanted)
    if await marks.present(wanted - marked):
        raise ProtocolViolation("The mail server does not show the marks for removal, or somebody took them off.")


def _check_none(others: Collection[int]) -> None:
    if others:
        raise MarkedByOthers(
            f"Messages that are to stay are marked as deleted ({len(others)}), and a plain EXPUNGE would remove them, "
            "too. Take the marks off with a mail program, and collect again."
        )
