"""Removing messages in two steps, marking and expunging, so that no mark is left on what stays (FORMAT 5.4).

UID EXPUNGE removes of the marked messages exactly the named ones; plain EXPUNGE, for servers without it, whatever is
marked. A mark that were left would let the next plain EXPUNGE of any program remove what was kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from twisted.internet.defer import CancelledError

from ifap_twisted.errors import IFAPError, MarkedByOthers, ProtocolViolation
from ifap_twisted.imap.names import uid_sets
from ifap_twisted.imap.requests import Overlap

__all__ = ["Marks", "expunge_by_uid", "expunge_marked"]

TRIES = 3
"""How often a message is marked that somebody else takes the mark off again before it is expunged."""


class Marks:
    """The marks of a folder that is not selected again while it is worked on: each number stays that of its message.

    :param uids: the UIDs in a range.
    :param listed: those of a set of UIDs that are there; None when the server does not understand the set.
    :param look: the UIDs of all that are marked, news of others included.
    :param change: sends a command that changes messages.
    """

    def __init__(
        self,
        uids: Callable[[int, int], Awaitable[Sequence[int]]],
        listed: Callable[[bytes], Awaitable[set[int] | None]],
        look: Callable[[], Awaitable[set[int]]],
        change: Callable[[bytes, str, Overlap], Awaitable[None]],
    ) -> None:
        self._uids = uids
        self._listed = listed
        self._change = change
        self.look = look

    async def present(self, uids: Collection[int]) -> set[int]:
        """Those of these that are there."""
        return set(uids).intersection(await self._uids(min(uids), max(uids)) if uids else ())

    async def mark(self, uids: Collection[int], *, deleted: bool) -> None:
        """Set marks, or take them off."""
        for exact in uid_sets(uids):
            await self.mark_set(exact, deleted=deleted)

    async def mark_set(self, uid_set: bytes, *, deleted: bool) -> None:
        """The same for a set."""
        text = b"UID STORE %b %bFLAGS.SILENT (\\Deleted)" % (uid_set, b"+" if deleted else b"-")
        await self._change(text, "mark messages for removal", Overlap.FREE)

    async def expunge_exactly(self, uid_set: bytes, wanted: Collection[int]) -> set[int]:
        """Remove those of a set that are marked; fires with those of the wanted ones in it that are still there."""
        await self._change(b"UID EXPUNGE " + uid_set, "remove messages", Overlap.FREE)
        there = await self._listed(uid_set)
        return await self.present(wanted) if there is None else there.intersection(wanted)

    async def expunge(self) -> None:
        """Remove all that are marked."""
        await self._change(b"EXPUNGE", "remove messages", Overlap.NONE)


async def expunge_by_uid(marks: Marks, wanted: Collection[int]) -> None:
    """Remove exactly these messages, which were just seen, by UID EXPUNGE.

    Another device of ours may take a mark off in between, when it finds it on what it takes for kept.

    :raises ProtocolViolation: the server did not remove them all.
    """
    for exact in uid_sets(sorted(wanted)):
        await _expunge_exactly(marks, set(wanted), exact)


async def _expunge_exactly(marks: Marks, wanted: set[int], exact: bytes) -> None:
    try:
        for _ in range(TRIES):
            await marks.mark_set(exact, deleted=True)
            if not await marks.expunge_exactly(exact, wanted):
                return
        raise ProtocolViolation("The mail server did not remove messages that were marked for it.")
    except (IFAPError, CancelledError):
        with suppress(IFAPError):  # without a connection they stay, until a device looks for such marks
            await marks.mark_set(exact, deleted=False)
        raise


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
