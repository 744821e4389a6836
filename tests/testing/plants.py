"""Bugs planted into filesystems, so that the judgement of simulated runs can be seen to find each of them."""

from __future__ import annotations

from typing import Any

from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.history import History, Placed
from ifap_twisted.deferreds import deferred
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
    stored = writer.sending.stored

    async def doubling(sealed: Any, sent: Any) -> Any:
        done = await stored(sealed, sent)
        version, content = envelope.read_message(sealed.message, dialect=IFAP, keys=(KEY,), home=None)
        if not version.deleted and not version.directory:
            draft = _draft_of(version)
            again = envelope.seal(
                draft, content, dialect=IFAP, key=KEY, now=writer._clock.seconds(), random=writer._random
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
        view.vanished(set(view.index.uids()) - listed)
        return now

    view._compare_with_listing = believing


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
    writer = filesystem.desk.writer
    draft = writer._draft

    async def claiming(*arguments: Any) -> Any:
        from dataclasses import replace

        made = await draft(*arguments)
        writers = {v.writer for uid in filesystem.desk.view.index.uids() if (v := filesystem.desk.view.index.at(uid))}
        return replace(made, clock={**dict.fromkeys(sorted(writers - {""}), 10**6), **made.clock})

    writer._draft = claiming


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

    filesystem.desk.writer.finish = lying


PLANTS = [
    forgets_what_was_journalled,
    loses_what_it_acknowledged,
    doubles_under_another_name,
    serves_another_file,
    believes_any_listing,
    acknowledges_before_storing,
    descends_from_what_it_never_saw,
    keeps_quiet_about_conflicts,
]
