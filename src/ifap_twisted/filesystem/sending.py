"""Bringing a sealed message to the server: journalled, appended, read back, and only then done (FORMAT 4.1 to 4.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ifap_twisted.core import envelope, limits, paths
from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.frozen import Frozen
from ifap_twisted.core.history import Placed
from ifap_twisted.core.revocations import NOTICES
from ifap_twisted.core.values import Expect, Sealed
from ifap_twisted.errors import (
    ChunkLost,
    Damaged,
    DataError,
    IFAPError,
    KeyChanged,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    QuotaExceeded,
    ReadOnly,
    Refused,
    StoreError,
    Throttled,
    TimedOut,
    TooLarge,
    Unavailable,
)
from ifap_twisted.filesystem.backlog import BEYOND, Backlog
from ifap_twisted.filesystem.readback import ReadBack
from ifap_twisted.filesystem.view import View
from ifap_twisted.interfaces import IJournal, IWriterIdentity

PAUSES = (0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each look for an appended message: most servers show it at once, some after NOOP, one after SELECT."""

SENDINGS = 3
"""So often one attempt sends a message whose answers are lost. After so many copies that the server changed, or that it
took and does not show, no more are sent: each may be another message in the mailbox."""

NOT_STORED = (CancelledError, Damaged, QuotaExceeded, ReadOnly, Refused, Throttled, TooLarge, Unavailable)
"""After these a message was certainly not stored; after anything else that is not known."""

AWAY = (OutcomeUnknown, TimedOut, Unavailable)
"""The server cannot be asked now, or says that it shall not be: what was accepted waits for it."""


Look: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which a message is sent.

    :ivar expect: what its caller expects (FORMAT 4.4); ``replaced`` the vids of the versions that it descends from.
    :ivar queue: its caller takes *accepted* for an answer while the server is away.
    """

    expect: Expect = None
    replaced: tuple[str, ...] = ()
    queue: bool = False


class Sending:
    """Sends what is sealed, and finds out what became of it.

    :param journal: keeps what is on its way, unless None; ``freeze`` makes an entry of a message.
    :param backlog: what has to wait.
    :ivar failing: messages on their way that had to be sent or looked for again.
    """

    _log = Logger()

    def __init__(
        self,
        view: View,
        *,
        identity: IWriterIdentity,
        clock: IReactorTime,
        journal: IJournal | None = None,
        freeze: Callable[[Sealed], Frozen] | None = None,
        backlog: Backlog | None = None,
    ) -> None:
        self._view = view
        self._identity = identity
        self._clock = clock
        self._journal = journal
        self._freeze = freeze
        self._backlog = Backlog() if backlog is None else backlog
        self._read_backs = ReadBack(view.advance, clock)
        self._not_shown: Counter[str] = Counter()
        self.failing = 0

    async def journalled(
        self, sealed: Sealed, sent: Callable[[Sealed], None] | None, terms: Terms, look: Look | None = None
    ) -> tuple[Placed, bool]:
        """As :meth:`stored`; the message is kept until it is known what became of it. No snapshot is worth it (P8).

        While the server is away, what may be queued is accepted: it is placed beyond all that is there.

        :param look: sees to it, once the message is there, that what it names is there too (FORMAT 7.2). What it raises
            as :class:`ChunkLost` is raised, and the message is kept still; otherwise it is kept and looked after later.
        """
        journal = self._journal
        if journal is None or paths.is_reserved(sealed.version.path):
            stored = await self.stored(sealed, sent)
            await self._looked(sealed, look)
            return stored
        frozen = await self._kept(journal, sealed, terms)
        with self._backlog.under_way(frozen):
            stored = await self._sent(frozen, sealed, sent, terms)
            if stored[0].places[0] < BEYOND:
                try:
                    await self._looked(sealed, look)
                except (KeyChanged, OutcomeUnknown):
                    self._waits(frozen, sealed)
                    raise
                journal.settle(frozen)
            return stored

    async def _sent(
        self,
        frozen: Frozen,
        sealed: Sealed,
        sent: Callable[[Sealed], None] | None,
        terms: Terms,
    ) -> tuple[Placed, bool]:
        try:
            return await self.stored(sealed, sent)
        except NOT_STORED as error:
            if terms.queue and isinstance(error, AWAY):
                return self._waits(frozen, sealed), False
            await self._not_stored(frozen, sealed, error)
            raise
        except Exception as error:  # whatever it was: nobody knows what became of the message
            waiting = self._waits(frozen, sealed)
            if terms.queue and isinstance(error, AWAY):
                return waiting, False
            raise

    async def _looked(self, sealed: Sealed, look: Look | None) -> None:
        """See to it that what a message names is there, now that the message is.

        :raises ChunkLost: something is not. :raises KeyChanged, OutcomeUnknown: that cannot be told now.
        """
        if look is None:
            return
        try:
            await look()
        except (ChunkLost, KeyChanged):
            raise
        except Exception as error:
            raise OutcomeUnknown(
                f"The file was stored; whether all its parts are there could not be seen: {error}",
                path=sealed.version.path,
            ) from error

    async def replaced(self, earlier: Sealed, sealed: Sealed, terms: Terms) -> None:
        """Keep another message for later in the place of one that is kept, and that will not be sent again.

        :raises IFAPError: it cannot be kept; the earlier one is.
        """
        assert self._journal is not None  # something is kept
        frozen = await self._kept(self._journal, sealed, terms)
        self._backlog.put_in_place(earlier.sealed_id, frozen, sealed.version)

    async def accepted(self, sealed: Sealed, terms: Terms) -> Placed:
        """Keep a message for later; nothing is sent now.

        :raises NotSupported: there is no journal.
        """
        if self._journal is None:
            raise no_journal_error(sealed.version.path)
        return self._waits(await self._kept(self._journal, sealed, terms), sealed)

    async def _kept(self, journal: IJournal, sealed: Sealed, terms: Terms) -> Frozen:
        assert self._freeze is not None
        frozen = replace(
            self._freeze(sealed), accepted=terms.queue, expect=terms.expect, replaced=tuple(sorted(terms.replaced))
        )
        try:
            await journal.begin(frozen)
        except OutcomeUnknown:
            await self.take_another_name()
            raise
        except Exception as error:  # nothing was sent
            await self._not_stored(frozen, sealed, error)
            raise
        return frozen

    async def _not_stored(self, frozen: Frozen, sealed: Sealed, error: Exception) -> None:
        """See to it that what is told as not stored is never sent.

        :raises OutcomeUnknown: the disk does not take that; so it is tried again, here or in the next process.
        """
        if not await self.forgets(sealed):
            self._waits(frozen, sealed)
            await self.take_another_name()
            raise unforgotten_error(sealed) from error

    async def forgets(self, sealed: Sealed) -> bool:
        """Let the journal forget a message for good, before anybody is told that nothing of it stays.

        :returns: whether it could.
        """
        if self._journal is None:
            return True
        assert self._freeze is not None
        try:
            await self._journal.discard(self._freeze(sealed))
        except Exception as error:  # noqa: BLE001 -- the journal has logged it; whatever it was, the message may be there
            self._log.warn("a write stays in the journal: {reason}", reason=str(error))
            return False
        return True

    def _waits(self, frozen: Frozen, sealed: Sealed) -> Placed:
        self._backlog.add(frozen, sealed.version)
        return Placed(sealed.version, (BEYOND,))

    async def stored(self, sealed: Sealed, sent: Callable[[Sealed], None] | None) -> tuple[Placed, bool]:
        """Append and read back; after an unknown outcome look first, then send the same bytes again.

        Fires with the version, and whether it is certain that no further copy of it can turn up.

        To send again is safe: the same bytes are at worst another place of the same version (FORMAT 4.2).

        :raises OutcomeUnknown: nobody knows whether it is there.
        :raises KeyChanged: the key was revoked before it came, or nobody knows that it was not (FORMAT 8.5).
        :raises ProtocolViolation: it is there, but not as it was sent.
        """
        self._view.own.begin(sealed)
        deadline = self._clock.seconds() + limits.SETTLE_SECONDS
        failing = sent_before = False
        try:
            for _ in range(SENDINGS):
                try:
                    await self._append(sealed, sent)
                except (OutcomeUnknown, TimedOut):  # after either it may be there, or come
                    self.failing += not failing
                    failing = sent_before = True
                    uid = await self._settled(sealed, deadline)
                else:
                    sent_before = True
                    uid = await self._read_back(sealed, deadline)
                if uid is not None:
                    await self._check_counts(sealed, uid)
                    self._not_shown.pop(sealed.sealed_id, None)
                    return self._placed(sealed, uid), not failing
            raise unknown_error(sealed)
        except Exception as error:
            if not sent_before and isinstance(error, NOT_STORED):
                raise
            if not sealed.version.path.startswith(CHUNKS):  # nobody descends from those
                await self.take_another_name()
            if (
                sent_before
                and isinstance(error, (*NOT_STORED, StoreError))
                and not isinstance(error, ProtocolViolation | KeyChanged)
            ):
                raise unknown_error(sealed) from error  # it tells of the last sending only
            raise
        finally:
            self.failing -= failing
            self._view.forget_own(sealed)

    async def _check_counts(self, sealed: Sealed, uid: int) -> None:
        """Nothing is called stored that comes too late for others, because its key was given up meanwhile (FORMAT 8.5).

        :raises KeyChanged: on another device. :raises OutcomeUnknown: here: nobody knows yet whether it is on record.
        """
        view = self._view
        await view.revoked_keys.check()
        if not view.left or sealed.sealed_id in view.revocation.accepted or sealed.version.path.startswith(NOTICES):
            return
        staying = tuple(key for key in view.keys if key.fingerprint not in view.left)
        try:
            envelope.read_header(sealed.message, dialect=view.dialect, keys=staying, home=view.home)
        except DataError:
            view.own.end(sealed)  # what it says is not taken on trust any more
            await view.revoked_keys.read_anew([uid])
            raise unknown_error(sealed) from None

    async def take_another_name(self) -> None:
        """Should a message turn up later, the next version must not seem to descend from it (FORMAT 3.2)."""
        self._backlog.unclean = True
        try:
            await self._identity.renew()
        except IFAPError as error:  # on a full disk, say; then the next version does not begin without it
            self._log.warn("a new name in the history could not be drawn yet: {why}", why=str(error))
        else:
            self._backlog.unclean = False

    async def _append(self, sealed: Sealed, sent: Callable[[Sealed], None] | None) -> None:
        self._view.check_key()
        appending = self._view.store.append(sealed.message)
        if sent is not None:
            sent(sealed)
        self._read_backs.sending()
        try:
            await appending
        finally:
            self._read_backs.sent()

    async def _read_back(self, sealed: Sealed, deadline: float) -> int:
        """Look until the message shows up: success is reported after reading back, never before."""
        pauses = iter(PAUSES)
        polls = 0
        while True:
            pause = next(pauses, PAUSES[-1])
            if pause:
                await self._pause(pause)
            try:
                if polls:
                    await self._view.store.poll(thorough=polls > 1)
                await self._read_backs.next()
            except (StoreError, DataError):  # the connection broke; what was acknowledged is looked for on the next
                self._log.info("reading back is tried again")
            if (uid := self._view.found_own(sealed)) is not None:
                return uid
            if self._clock.seconds() >= deadline:
                self._not_shown[sealed.sealed_id] += 1
                raise changed_error(sealed) if self._view.own.is_changed(sealed) else unknown_error(sealed)
            polls += 1

    async def _settled(self, sealed: Sealed, deadline: float) -> int | None:
        """Whether a message whose answer was lost is there: its UID, or None when a whole look does not find it."""
        while self._clock.seconds() < deadline:
            await self._pause(1.0)
            try:
                await self._view.store.poll(thorough=True)
                await self._view.refresh()
            except KeyChanged:
                raise
            except (StoreError, DataError):
                self._log.info("a write with an unknown outcome is looked for again")
            else:
                return self._view.found_own(sealed)
        raise unknown_error(sealed)

    def _placed(self, sealed: Sealed, uid: int) -> Placed:
        for placed in self._view.index.history(sealed.version.path).versions:
            if uid in placed.places:
                return placed
        raise OutcomeUnknown("The file vanished right after it was stored.", path=sealed.version.path)

    def _pause(self, seconds: float) -> Deferred[None]:
        return deferLater(self._clock, seconds, lambda: None)

    async def found(self, sealed: Sealed) -> Placed | None:
        """The version of a message that is on the server already: its token and its size are equal (FORMAT 4.2).

        :raises ProtocolViolation: it is not, and to send it once more would be of no use.
        """
        changed = 0
        for placed, uid in self._copies(sealed):
            block = (await self._view.store.headers(uid, uid)).get(uid)
            if block is not None and envelope.same_bytes(sealed, block.fields, block.size, self._view.dialect):
                return placed
            changed += block is not None
        if changed >= SENDINGS:
            raise changed_error(sealed)
        if self._not_shown[sealed.sealed_id] >= SENDINGS:
            raise ProtocolViolation(
                "The mail server took the message again and again, and does not show it.", path=sealed.version.path
            )
        return None

    def _copies(self, sealed: Sealed) -> list[tuple[Placed, int]]:
        """Where the index has messages of this sealed id, and of which version."""
        index = self._view.index
        places = [(placed, uid) for placed in index.history(sealed.version.path).versions for uid in placed.places]
        return [
            (placed, uid)
            for placed, uid in places
            if (version := index.at(uid)) is not None and version.sealed_id == sealed.sealed_id
        ]


def changed_error(sealed: Sealed) -> ProtocolViolation:
    """A message is there otherwise than it was sent (FORMAT 4.2, 4.5)."""
    return ProtocolViolation(
        "The mail server changed the message that it was given (a filter that adds to mail, perhaps); "
        "so the file does not count as stored.",
        path=sealed.version.path,
    )


def unknown_error(sealed: Sealed) -> OutcomeUnknown:
    """Nobody knows whether a message is there."""
    return OutcomeUnknown(
        "The connection broke while the file was being stored: it may or may not be there. "
        "Look with 'ifap versions' before trying again.",
        path=sealed.version.path,
    )


def unforgotten_error(sealed: Sealed) -> OutcomeUnknown:
    """A message was not stored, and the journal still has it."""
    return OutcomeUnknown(
        "The file was not stored, but the disk of this machine did not let the journal forget it: so it may be stored "
        "later. Look with 'ifap versions' before trying again.",
        path=sealed.version.path,
    )


def no_journal_error(path: str | None = None) -> NotSupported:
    """Without a basedir nothing can be promised."""
    return NotSupported("A write can be queued only with a basedir: without one there is no journal.", path=path)
