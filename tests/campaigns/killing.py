"""One process that is killed at a step of a change, and what a fresh client and the next process find (bar R2).

What a process was about to do is done or not done when it is killed; what it was told to be done stays (promise P1).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.errors import CallerError
from ifap_twisted.interfaces import IFilesystem
from tests.campaigns.ground import KEY
from tests.campaigns.places import ACCOUNTS, Place, messages
from tests.campaigns.reference import unlike_reference
from tests.campaigns.scenarios import FIRST, QUEUED, SCENARIOS, Shown, mixed, populate, shown, thinned
from tests.campaigns.victims import Fate, Killed, in_process, make_steps

AGAIN = "start after "
"""A scenario that begins so is a start that is killed, after a process that was killed in the middle of a change."""
REMOVING = "collect what was planned"
"""Its grace is over."""
GRACE = 8 * 86400.0
STARTS = tuple(AGAIN + name for name in ("put one", "put new, large", "move one new", "three puts at once"))
SENDING = tuple(AGAIN + name for name in QUEUED)
"""Starts with the server there again, after a process that was told that a write is accepted."""
ALWAYS = (*SCENARIOS, *STARTS, REMOVING)
EVERY = dict.fromkeys(ACCOUNTS, ALWAYS) | {"dovecot": (*ALWAYS, *QUEUED, *SENDING), "plain": (REMOVING,)}
"""The scenarios of each account. Only a server that is elsewhere can be out of reach; without UIDPLUS removing alone is
done otherwise."""


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario on an account, and the step that the process does not survive."""

    account: str
    scenario: str
    step: int


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a scenario on an account when nobody is killed."""

    steps: tuple[str, ...]
    before: Shown
    after: Shown


def change_of(scenario: str) -> Callable[[Any], Deferred[Any]]:
    """What is done in a scenario."""
    return {**SCENARIOS, **QUEUED}["collect" if scenario == REMOVING else scenario.removeprefix(AGAIN)]


async def victim(reactor: Any, place: Place, scenario: str, last: int | None, told: int | None = None) -> list[str]:
    """The life of a process that is to be killed; the steps, when it was not.

    :param told: a descriptor to which it writes when the change is told as done.
    """
    fate, start = Fate(last), scenario.startswith(AGAIN)
    make_steps(fate)
    if start:
        fate.arm()
    async with (place.cut_off if scenario in QUEUED else place.device)(reactor) as filesystem:
        if scenario in SCENARIOS:
            await fill(filesystem, scenario)
        fate.arm()
        await (settled(filesystem) if start else change_of(scenario)(filesystem))
        if told is not None:
            os.write(told, b"done")
    return fate.disarm()


async def fill(filesystem: IFilesystem, scenario: str) -> None:
    """What is there before a change."""
    await populate(filesystem)
    if scenario in FIRST:
        await FIRST[scenario](filesystem)


def prepare(place: Place, account: str, scenario: str) -> None:
    """What comes before, when it is more than to fill an empty folder."""

    async def plan(reactor: Any) -> int:
        async with place.device(reactor) as filesystem:
            await populate(filesystem)
            await change_of(scenario)(filesystem)
            return max(await messages(filesystem))

    change = scenario.removeprefix(AGAIN)
    if scenario == REMOVING:
        place.age(in_process(plan), GRACE)
    elif change in QUEUED:
        in_process(lambda reactor: filled(reactor, place, change))
        if scenario != change:
            in_process(lambda reactor: victim(reactor, place, change, None))
    elif scenario != change:
        middle = known(account, change).steps.index("store append") + 1
        with suppress(Killed):
            in_process(lambda reactor: victim(reactor, place, change, middle))


async def filled(reactor: Any, place: Place, scenario: str) -> None:
    """The life of a process that fills the folder."""
    async with place.device(reactor) as filesystem:
        await fill(filesystem, scenario)


async def settled(filesystem: IFilesystem) -> None:
    """Let what was left behind be finished."""
    await filesystem.refresh()
    status = await filesystem.status()
    if status.pending:
        raise AssertionError(f"something is pending for ever: {status}")


async def started(reactor: Any, place: Place) -> None:
    """The life of a process that finishes what was left behind."""
    async with place.device(reactor) as filesystem:
        await settled(filesystem)


@lru_cache
def known(account: str, scenario: str) -> Known:
    """Run a scenario without killing anybody."""
    with _place(account) as place:
        prepare(place, account, scenario)
        before = (
            _populated(account, scenario if scenario in FIRST else "")
            if scenario in SCENARIOS
            else in_process(lambda reactor: fresh_look(reactor, place))
        )
        steps = in_process(lambda reactor: victim(reactor, place, scenario, None))
        if scenario in QUEUED:
            in_process(lambda reactor: started(reactor, place))
        after = in_process(lambda reactor: fresh_look(reactor, place))
    if scenario.startswith(AGAIN):  # who was killed in the middle may have stored anything that he was about to
        change = known(account, scenario.removeprefix(AGAIN))
        before, after = change.before, change.after
    return Known(tuple(steps), before, after)


def _is_settled(look: Shown, after: Shown) -> bool:
    """Of a change that is asked for again there may be two versions; it may end a conflict that was there before."""
    same = (look.files, look.locks) == (after.files, after.locks)
    return same and look.conflicts.items() <= after.conflicts.items()


@lru_cache
def _populated(account: str, scenario: str) -> Shown:
    with _place(account) as place:
        in_process(lambda reactor: filled(reactor, place, scenario))
        return in_process(lambda reactor: fresh_look(reactor, place))


@contextmanager
def _place(account: str) -> Iterator[Place]:
    place = Place(account)
    try:
        yield place
    finally:
        place.remove()


async def fresh_look(reactor: Any, place: Place) -> Shown:
    """What a fresh client shows."""
    async with place.fresh(reactor) as filesystem:
        return await shown(filesystem)


def judged(case: Case) -> tuple[bool, list[str]]:
    """Run one case: whether the step was reached, and what is wrong."""
    found = known(case.account, case.scenario)
    with _place(case.account) as place:
        try:
            prepare(place, case.account, case.scenario)
            reached, done = _kill(case, place)
            now, later = right_after(case, found, done=done)
            look = in_process(lambda reactor: fresh_look(reactor, place))
            wrong = list(_between(case, look, now, "killed after it was done" if done else "killed"))
            wrong += in_process(lambda reactor: _started_again(reactor, place, case, later))
            place.settle()
            wrong += in_process(lambda reactor: _started_once_more(reactor, place, found))
        except RuntimeError as error:
            return True, [f"{case}: {error}"]
    return reached, [f"{case}: {what}" for what in wrong]


def _kill(case: Case, place: Place) -> tuple[bool, bool]:
    """Let a process live until its step: whether it came to it, and whether the change had been told as done."""
    reached = False
    with tempfile.TemporaryFile() as told:
        try:
            in_process(lambda reactor: victim(reactor, place, case.scenario, case.step, told.fileno()))
        except Killed:
            reached = True
        return reached, os.fstat(told.fileno()).st_size > 0


def right_after(case: Case, found: Known, *, done: bool) -> tuple[Known, Known]:
    """What is right at once, and after the next start; what was told as done, or as accepted, is not lost any more."""
    certain = replace(found, before=found.after)
    if case.scenario in QUEUED:
        return replace(found, after=found.before), certain if done else found
    if case.scenario in SENDING:
        return certain if done else found, certain
    told = certain if done and not case.scenario.startswith(AGAIN) else found
    return told, told


def _between(case: Case, look: Shown, found: Known, when: str) -> Iterator[str]:
    """What is neither old nor new; of what is collected any part may be gone, until it is told as done."""
    return (thinned if case.scenario == REMOVING else mixed)(look, found.before, found.after, when)


async def _started_again(reactor: Any, place: Place, case: Case, found: Known) -> list[str]:
    """The device finishes what was left; the same change once more completes what was not begun."""
    async with place.device(reactor) as filesystem:
        await settled(filesystem)
        wrong = list(_between(case, await shown(filesystem), found, "started again"))
        with suppress(CallerError):  # it was done before: what is there says whether
            await change_of(case.scenario)(filesystem)
        look = await shown(filesystem)
        if not _is_settled(look, found.after):
            wrong.append(f"after it was asked again the device shows {look}")
        if case.scenario == REMOVING and look.versions != found.after.versions:
            wrong.append("after it was asked again not all is collected, or too much")
    return wrong


async def _started_once_more(reactor: Any, place: Place, found: Known) -> list[str]:
    """Another start finds nothing to do; a fresh client and the reference see what the device sees."""
    async with place.fresh(reactor) as fresh:
        before, look = await messages(fresh), await shown(fresh)
    wrong = []
    async with place.device(reactor) as filesystem:
        await settled(filesystem)
        if await shown(filesystem) != look or not _is_settled(look, found.after):
            wrong.append(f"after another start the device shows {look}, or not what a fresh client does")
    async with place.fresh(reactor) as fresh:
        after = await messages(fresh)
        if after != before:
            wrong.append(f"another start changed the messages from {sorted(before)} to {sorted(after)}")
    files = {path: content for path, content in look.files.items() if content is not None}
    return [*wrong, *unlike_reference(before, KEY.text, files)]
