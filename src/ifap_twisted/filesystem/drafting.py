"""A version before it is sent: what it says, inherited or asked for, its number, and the message sealed of it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ifap_twisted.clocks import date_by
from ifap_twisted.core import capacity, envelope, leases, limits, planning
from ifap_twisted.core.chunks import chunk_draft
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.values import JSON, Draft, Lease, Sealed
from ifap_twisted.errors import IFAPError, InvalidPath, TooLarge
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.slices import Slices
from ifap_twisted.filesystem.view import View
from ifap_twisted.interfaces import IWriterIdentity
from ifap_twisted.workers import Worker

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a new version says otherwise than the version it replaces; None inherits.

    :ivar size: of the whole file, where the content is its manifest (FORMAT 7.1); never inherited.
    :ivar replaced: the vids of the heads that it descends from; None: all (FORMAT 5.2), but under a lock not those that
        came too late under an older one, unless ``late_too`` (FORMAT 10.2).
    """

    modified: float | None = None
    mode: int | None = None
    mime: str | None = None
    keep: int | None = None
    directory: bool = False
    deleted: bool = False
    moved_from: str | None = None
    size: int | None = None
    extra: Mapping[str, JSON] | None = None
    replaced: Collection[str] | None = None
    late_too: bool = False


class Drafting:
    """Drafts and seals this device's versions.

    :param keep: how many versions a file keeps when nobody said otherwise.
    :param compat: refuse what the reference programs would not see (FORMAT 1.6).
    :ivar slices: gives the reactor its turn between many small works.
    :ivar unseen: paths written that the reference programs do not see.
    """

    _log = Logger()

    def __init__(
        self,
        view: View,
        *,
        identity: IWriterIdentity,
        clock: IReactorTime,
        worker: Worker,
        random: Random,
        backlog: Backlog,
        keep: int,
        compat: bool,
    ) -> None:
        self._view = view
        self._identity = identity
        self._clock = clock
        self._worker = worker
        self.random = random
        self._backlog = backlog
        self._keep = keep
        self._compat = compat
        self.slices = Slices(clock)
        self.unseen: set[str] = set()

    def stop(self) -> None:
        """Leave nothing behind, once nobody asks any more."""
        self.slices.stop()

    def new_vid(self) -> str:
        """A version's id (:func:`new_vid`)."""
        return new_vid(self.random)

    async def sealed(
        self,
        path: str,
        history: History,
        replaced: Sequence[Placed],
        change: Change,
        lock: str | None,
        content: bytes,
        vid: str | None = None,
    ) -> Sealed:
        """The next version of a path, ready to be sent.

        :param history: what it continues; ``replaced`` what it descends from.
        :param vid: its id; None draws one.
        :raises InvalidPath: the reference programs could not see it, and that was asked for.
        :raises TooLarge: for the mail server.
        """
        draft = await self._draft(path, history, replaced, change, lock)
        if vid is not None:
            draft = replace(draft, vid=vid)
        if envelope.exceeds_reference(draft, self._view.dialect, length=len(content)):
            if self._compat:
                raise InvalidPath("The reference programs could not see a path of this length (compat).", path=path)
            self.unseen.add(path)
        return await self._seal(draft, content)

    async def sealed_lease(self, vid: str, lease: Lease) -> Sealed:
        """A lock object, ready to be sent (FORMAT 10.1).

        :raises InvalidPath: it would be too long for the reference programs, which plaintext of that kind stops.
        """
        number = await self._number()
        draft = Draft(
            path=leases.object_path(vid),
            vid=vid,
            writer=self._identity.writer,
            clock={self._identity.writer: number},
            home=self._view.home or "",
            modified=float(int(date_by(self._clock))),
            lease=lease,
        )
        if not self._view.keys and envelope.exceeds_reference(draft, self._view.dialect, length=0):
            raise InvalidPath("A path of this length cannot be locked in an unencrypted folder.", path=lease.path)
        return await self._seal(draft, b"")

    async def sealed_chunk(self, name: str, content: bytes) -> Sealed:
        """A chunk, ready to be sent (FORMAT 7.1); ``content`` is padded."""
        return await self._seal(chunk_draft(name, self._view.home or ""), content)

    async def _draft(
        self, path: str, history: History, replaced: Sequence[Placed], change: Change, lock: str | None
    ) -> Draft:
        number = await self._number()
        if planning.would_hide_own(history, replaced, self._identity.writer):
            await self._identity.renew()  # FORMAT 3.2: this is a sibling
            number = await self._identity.take(1)
        place = planning.ancestry(history, replaced, writer=self._identity.writer, number=number)
        before = history.current.version if history.current is not None else None
        known = before if before is not None and before.understood else None
        return Draft(
            path=path,
            vid=self.new_vid(),
            writer=self._identity.writer,
            clock=place.clock,
            parents=place.parents,
            home=self._view.home or "",
            modified=date_by(self._clock) if change.modified is None else change.modified,
            mode=_first(change.mode, known.mode if known and not known.directory else None, 0o644),
            mime=_first(change.mime, known.mime if known else None, None),
            directory=change.directory,
            deleted=change.deleted,
            keep=_first(change.keep, known.keep if known and (known.ours or known.keep > 1) else None, self._keep),
            moved_from=change.moved_from,
            lock=lock,
            size=change.size,
            extra=_first(change.extra, known.extra if known else None, {}),
        )

    async def draw_name(self) -> None:
        """Take another name if an earlier life wrote, or may have sent, what nobody shows and may turn up (FORMAT 3.2).

        :raises IFAPError: it cannot be stored; nothing is written before it is.
        """
        if self._backlog.unclean:
            await self._identity.renew()
            self._backlog.unclean = False

    async def keep_name(self) -> None:
        """Let the next process of this device go on under its name: all that this one wrote is known to it."""
        if self._backlog.unclean:
            return
        try:
            await self._identity.settle()
        except IFAPError as error:  # it draws another name
            self._log.warn("the name of this device could not be kept: {why}", why=str(error))

    async def _number(self) -> int:
        """This device's next number; of a new writer when the folder knows a greater one (FORMAT 3.2)."""
        await self.draw_name()
        number = await self._identity.take(1)
        if number > self._view.index.greatest(self._identity.writer):
            return number
        await self._identity.renew()
        return await self._identity.take(1)

    async def _seal(self, draft: Draft, content: bytes) -> Sealed:
        key = self._view.keys[0] if self._view.keys else None
        now = date_by(self._clock)
        work = partial(envelope.seal, draft, content, dialect=self._view.dialect, key=key, now=now, random=self.random)
        if len(content) <= limits.INLINE_BYTES:
            await self.slices.next()
            sealed = work()
        else:
            sealed = await self._worker(work)
        self._check_size(sealed, len(content))
        return sealed

    def _check_size(self, sealed: Sealed, size: int) -> None:
        most = self._view.store.traits.max_message
        if most is not None and len(sealed.message) > most:
            raise TooLarge(
                f"Sealed it has {len(sealed.message)} bytes; the mail server takes at most {most}.",
                path=sealed.version.path,
                limit=capacity.largest_file(sealed, most),
                size=size,
            )


def replaced_by(history: History, change: Change, *, locked: bool) -> list[Placed]:
    """The versions of a path that a change replaces.

    :param locked: its writer holds a lock on the path.
    """
    if change.replaced is None:
        return list(history.timely_heads if locked and not change.late_too else history.heads)
    return [placed for placed in history.versions if placed.version.vid in change.replaced]


def new_vid(random: Random) -> str:
    """128 random bits as base64url (FORMAT 1, ``vid``)."""
    return urlsafe_b64encode(random(16)).rstrip(b"=").decode("ascii")


def _first(*values: Any) -> Any:
    """The first that is not None, else the last."""
    return next((value for value in values if value is not None), values[-1])
