"""Bugs planted into filesystems, so that the judgement of simulated runs can be seen to find each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ifap_twisted.core import envelope
from ifap_twisted.core.collection import COLLECTED, KEPT, WAITING
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.history import History, Placed
from ifap_twisted.deferreds import deferred
from ifap_twisted.filesystem.backlog import BEYOND
from ifap_twisted.filesystem.guarding import Unguarded
from ifap_twisted.filesystem.surveying import _to_plan
from ifap_twisted.testing.device import KEY


def loses_what_it_acknowledged(filesystem: Any) -> None:
    """The server says that the second message is stored, shows it, and forgets it a moment later."""
    line = filesystem.desk.view.store
    append = line.store.append
    seen: list[int] = []

    def forget(shelf: Any, message: bytes) -> None:
        shelf.forget(*[uid for uid, stored in shelf.messages.items() if stored == message])

    @deferred
    async def losing(message: bytes) -> Any:
        receipt = await append(message)
        seen.append(receipt.uid)
        if len(seen) == 2 and receipt.uid is not None:
            line._lifetime.callLater(1.0, forget, line.store.shelf, message)
        return receipt

    line.store.append = losing


def doubles_under_another_name(filesystem: Any) -> None:
    """Each write is stored once more, as a version of its own."""
    writer = filesystem.desk.writer
    stored, drafting = writer.sending.stored, writer.drafting

    async def doubling(sealed: Any, sent: Any) -> Any:
        done = await stored(sealed, sent)
        version, content = envelope.read_message(sealed.message, dialect=IFAP, keys=(KEY,), home=None)
        if not version.deleted and not version.directory:
            draft = _draft_of(version)
            again = envelope.seal(
                draft, content, dialect=IFAP, key=KEY, now=drafting._clock.seconds(), random=drafting.random
            )
            await filesystem.desk.view.store.append(again.message)
        return done

    writer.sending.stored = doubling


def _draft_of(version: Any) -> Any:
    from ifap_twisted.core.values import Draft

    return Draft(
        path=version.path,
        vid=version.vid[::-1],
        writer=version.writer[::-1],
        clock={version.writer[::-1]: 1},
        home=version.home,
        modified=version.modified,
    )


def serves_another_file(filesystem: Any) -> None:
    """Reading a file gives the content of another one."""
    reader = filesystem.desk.reader
    content = reader.content

    async def mixing(placed: Any) -> bytes:
        index = filesystem.desk.view.index
        others = [p for p in sorted(index.paths()) if not p.startswith("IFAP/") and p != placed.version.path]
        for path in others:
            other = index.history(path).current
            if other is not None and not (other.version.deleted or other.version.directory):
                return await content(other)
        return await content(placed)

    reader.content = mixing
    object.__setattr__(filesystem.desk, "reader", reader)


def believes_any_listing(filesystem: Any) -> None:
    """What a listing leaves out is taken for removed."""
    view = filesystem.desk.view

    async def believing(now: Any) -> Any:
        listed = set(await view.store.uids(1))
        view.following.vanished(set(view.index.uids()) - listed)
        return now

    view.refreshing._compare_with_listing = believing


def acknowledges_before_storing(filesystem: Any) -> None:
    """Every second write is taken for stored, and never sent."""
    store = filesystem.desk.view.store
    append = store.append
    seen: list[bytes] = []

    @deferred
    async def lying(message: bytes) -> Any:
        from ifap_twisted.core.values import Receipt

        seen.append(message)
        if len(seen) % 2:
            return await append(message)
        filesystem.desk.view.index.observe(10**6 + len(seen), _version(message))
        return Receipt()

    store.append = lying
    filesystem.desk.view.found_own = lambda sealed: _place_of(filesystem, sealed)


def _version(message: bytes) -> Any:
    return envelope.read_header(message, dialect=IFAP, keys=(KEY,), home=None)


def _place_of(filesystem: Any, sealed: Any) -> int | None:
    versions = filesystem.desk.view.index.history(sealed.version.path).versions
    return next((placed.places[0] for placed in versions if placed.version.vid == sealed.version.vid), None)


def descends_from_what_it_never_saw(filesystem: Any) -> None:
    """A version claims to know a number of every writer that it has heard of anywhere."""
    drafting = filesystem.desk.writer.drafting
    draft = drafting._draft

    async def claiming(*arguments: Any) -> Any:
        made = await draft(*arguments)
        writers = {v.writer for uid in filesystem.desk.view.index.uids() if (v := filesystem.desk.view.index.at(uid))}
        return replace(made, clock={**dict.fromkeys(sorted(writers - {""}), 10**6), **made.clock})

    drafting._draft = claiming


def keeps_quiet_about_conflicts(filesystem: Any) -> None:
    """A conflict is not listed."""
    view = filesystem.desk.view
    conflicts = view.index.conflicts

    def none() -> list[str]:
        assert isinstance(view.index.history("a"), History)
        return conflicts()[:0]

    view.index.conflicts = none


def forgets_what_was_journalled(filesystem: Any) -> None:
    """What an earlier process left in the journal is taken for stored."""

    async def lying(sealed: Any, _terms: Any, arrived: Any) -> None:
        arrived(Placed(sealed.version, (0,)))

    filesystem.desk.writer.finishing.finish = lying


def _surveying(filesystem: Any, change: Any) -> None:
    """Change what each survey of a collection finds about files."""
    surveyor = filesystem._collector._surveyor
    survey = surveyor.survey

    async def surveying(now: float | None) -> Any:
        found = await survey(now)
        disposals = tuple(one if one.path.startswith("IFAP/") else change(found, one) for one in found.disposals)
        due, to_plan = [one for one in disposals if one.going], _to_plan(disposals, found.known)
        return replace(found, disposals=disposals, due=due, to_plan=to_plan)

    surveyor.survey = surveying


def _fated(disposal: Any, fate: Any) -> Any:
    return replace(disposal, cases=tuple(case._replace(fate=fate(case)) for case in disposal.cases))


def ignores_the_grace(filesystem: Any) -> None:
    """What is planned goes with the same collection."""
    _surveying(
        filesystem,
        lambda _found, disposal: _fated(disposal, lambda case: COLLECTED if case.fate == WAITING else case.fate),
    )


def collects_heads(filesystem: Any) -> None:
    """What may go takes the newest version with it."""
    _surveying(filesystem, lambda _found, one: _fated(one, lambda _case: COLLECTED) if one.going else one)


def forgets_the_record(filesystem: Any) -> None:
    """What is removed is not on record."""

    async def nothing(_found: Any) -> None:
        return None

    filesystem._collector._record = nothing


def collects_what_hides_an_older_one(filesystem: Any) -> None:
    """Of what the reference wrote the newest goes first, and nothing hides what it had replaced (FORMAT 5.6)."""

    def newest_first(found: Any, disposal: Any) -> Any:
        history = found.histories[disposal.path]
        theirs = [one for one in history.versions if not one.version.ours]
        ready = {one.rank for one in theirs[1:] if not found.known.unplanned(one) and found.known.left(one) <= 0}
        fates = {**dict.fromkeys(ready, COLLECTED), **({theirs[0].rank: KEPT} if ready else {})}
        return _fated(disposal, lambda case: fates.get(case.placed.rank, case.fate))

    _surveying(filesystem, newest_first)


def collects_needed_chunks(filesystem: Any) -> None:
    """No manifest is asked which chunks it names (FORMAT 7.2)."""
    surveyor = filesystem._collector._surveyor
    manifests = surveyor._manifests
    look = manifests.look

    async def looking(histories: Any) -> Any:
        found = await look(histories)
        chunks = frozenset(path for path in histories if path.startswith("IFAP/chunks/"))
        return replace(found, unneeded=chunks)

    manifests.look = looking


def writes_through_locks(filesystem: Any) -> None:
    """No lock is asked for."""
    filesystem.desk.writer.guard = Unguarded()


def gives_a_lock_to_two(filesystem: Any) -> None:
    """Whoever asks for a lock gets it."""
    claims = filesystem.desk.locking._claims
    claims._book.holding = lambda _path: None

    async def at_once(path: str, lease: Any) -> Any:
        return claims.find_open(path, lease.of)

    claims._settled = at_once


def lets_no_lock_end(filesystem: Any) -> None:
    """A lease never runs out."""
    book = filesystem.desk.book
    book.has_ended = lambda _claim: False
    book.surely_lasts = lambda _claim: True
    book.holding = lambda path: next(iter(book.at(path).open), None)


def forgets_what_it_accepted(filesystem: Any) -> None:
    """What waits for the server is kept nowhere."""

    async def forgetting(sealed: Any, _terms: Any) -> Any:
        filesystem.desk.writer.backlog._accepted.setdefault(sealed.version.path, {})["gone"] = sealed.version
        return Placed(sealed.version, (BEYOND,))

    filesystem.desk.writer.sending.accepted = forgetting


def loses_what_is_numbered_anew(filesystem: Any) -> None:
    """What was accepted under a number that turns out to be doubtful is dropped."""

    async def dropping(_sealed: Any, _terms: Any) -> None:
        return None

    filesystem.desk.writer.finishing._number_anew = dropping


def tells_numbers_that_nobody_misses(filesystem: Any) -> None:
    """Its checkpoints count locks, plans and snapshots."""

    async def everything() -> Any:
        return dict(filesystem.desk.view.index._greatest)

    filesystem._checkpointing._numbers = everything


PLANTS = [
    forgets_what_was_journalled,
    loses_what_it_acknowledged,
    doubles_under_another_name,
    serves_another_file,
    believes_any_listing,
    acknowledges_before_storing,
    descends_from_what_it_never_saw,
    keeps_quiet_about_conflicts,
    forgets_what_it_accepted,
]
ABOVE_THE_SHELF = [
    ignores_the_grace,
    collects_heads,
    forgets_the_record,
    tells_numbers_that_nobody_misses,
]
"""What a wire makes no easier or harder to find."""
