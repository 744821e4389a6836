"""Bugs planted into drivers and servers, so that the judgement of runs over the wire can be seen to find each."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import Unavailable


def _driver(filesystem: Any) -> Any:
    """The shelf on the driver, under what makes it polite."""
    return filesystem.desk.view.store.store.inner


def takes_an_expunge_for_that_of_another_message(filesystem: Any) -> None:
    """The UID that vanished is off by one."""
    driver = _driver(filesystem)
    vanished = driver.vanished

    def mistaken(uids: Collection[int]) -> None:
        vanished([uid + 1 for uid in uids])

    driver.vanished = mistaken


def gives_the_body_of_another_message(filesystem: Any) -> None:
    """Answers to two FETCHes are taken for each other."""
    driver = _driver(filesystem)
    message = driver.message

    @deferred
    async def mistaken(uid: int) -> bytes:
        below = await driver.uids(1, uid - 1)
        return await message(below[-1] if below else uid)

    driver.message = mistaken


def sends_less_than_a_whole_message(filesystem: Any) -> None:
    """Every third one is sent without its last bytes, and the literal says so."""
    driver = _driver(filesystem)
    append = driver.append
    sent: list[int] = []

    def short(message: bytes) -> Deferred[Any]:
        sent.append(len(message))
        return append(message if len(sent) % 3 else message[:-90])

    driver.append = short


def forgets_who_asked(filesystem: Any) -> None:
    """A poll of which the connection breaks is never answered."""
    driver = _driver(filesystem)
    poll = driver.poll

    @deferred
    async def forgetting(*, thorough: bool = False) -> Any:
        try:
            return await poll(thorough=thorough)
        except Unavailable:
            return await Deferred()

    driver.poll = forgetting


def loses_what_is_stored(filesystem: Any) -> None:
    """The server forgets the second message that a device stored, a moment later and without a word."""
    driver = _driver(filesystem)
    append = driver.append
    lifetime = filesystem.desk.view.store._lifetime
    seen: list[int] = []

    @deferred
    async def losing(message: bytes) -> Any:
        receipt = await append(message)
        if receipt.uid is not None:
            seen.append(receipt.uid)
        if len(seen) == 2 and seen[1] == receipt.uid:
            server = driver._connector._endpoint._accept.__self__._server
            lifetime.callLater(1.0, server.forget, receipt.uid)
        return receipt

    driver.append = losing


def reads_one_header_less(filesystem: Any) -> None:
    """The last header of an answer is overlooked, and its UID taken for a message of somebody else."""
    view = filesystem.desk.view
    absorb = view.intake.absorb

    async def overlooking(blocks: Any) -> None:
        kept = dict(list(blocks.items())[:-1]) if len(blocks) > 1 else blocks
        for uid in set(blocks) - set(kept):
            view.index.reject(uid, None)
        await absorb(kept)

    view.intake.absorb = overlooking


WIRE_PLANTS = [
    takes_an_expunge_for_that_of_another_message,
    gives_the_body_of_another_message,
    sends_less_than_a_whole_message,
    forgets_who_asked,
    reads_one_header_less,
    loses_what_is_stored,
]
