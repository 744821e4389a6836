"""Changing the data key of a folder so that whoever has the former one gets no other (FORMAT 8.5).

In this order: the new key is kept here, and under the new passphrase; a notice under the former key, at which its
holders stop; when that is there, a look at everything; a record under the new key of all that was found, so that
nothing counts that comes later; then what gives the new key to its owner again, and the slot under the new key, which
shows that this was done; and everything is sealed anew. A write that its device told as stored was there before the
notice, so that it is on record. Cut anywhere, it is gone on with by whoever has the new key.
"""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

from ifap_twisted.core import limits
from ifap_twisted.core.keys import Key
from ifap_twisted.core.revocations import ID_LENGTH, NOTICES, RECORDS, Revocation, notice_in, notice_kind
from ifap_twisted.errors import (
    KeyChanged,
    MarkedByOthers,
    NotSupported,
    ProtocolViolation,
    ReadOnly,
    StoreError,
    TooLarge,
)
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.newer_keys import Followed
from ifap_twisted.filesystem.rekeying import Rekeyed, Rekeying
from ifap_twisted.interfaces import Progress

SEALED_SHARE = 2
"""A record that is sealed has less than so many times its bytes: base64 twice."""


class Securing(Protocol):
    """What gives the new key to the owner of the folder: passphrase and recovery code of before lead to the former."""

    async def check(self) -> None:
        """It will be possible.

        :raises CallerError: not with what was given.
        """

    async def prepare(self) -> None:
        """Before anybody is stopped: its owner finds the new key even if this device is lost then."""

    async def secure(self) -> None:
        """Do it, once or again."""


class Revoking(Rekeying):
    """Revokes the key of one open folder."""

    _log = Logger()

    async def revoke(self, securing: Securing, progress: Progress = None) -> Rekeyed:
        """Finish an earlier revocation; where there is none, make a new key, and let no former one count any more.

        :raises CallerError: as :meth:`Securing.check`; nothing was done.
        :raises KeyChanged: another device revokes it.
        :raises NotSupported, ReadOnly, TooLarge, Unavailable, StoreError: as :meth:`run`.
        """
        await self._look()
        if self._is_begun():
            gone_on = await self._come_over(securing)
            done = await self._finished(progress, drawn=False)
            if gone_on or done.sealed or done.planned or done.waiting:
                return done
        await securing.check()
        await self._give_up(securing)
        await self._come_over(securing)
        return await self._finished(progress, drawn=True)

    async def _finished(self, progress: Progress, *, drawn: bool) -> Rekeyed:
        done = await self._sealed(progress)
        return self._told(done, await self._rest(done), drawn=drawn)

    def _is_begun(self) -> bool:
        """The newest key came instead of one that was given up."""
        newest = self._desk.view.keys[0].fingerprint
        found = (notice_in(one.version.path) for one in self._desk.view.index.objects(NOTICES))
        return any(one is not None and one.newer == newest for one in found)

    # The former key

    async def _give_up(self, securing: Securing) -> None:
        """Keep a new key here and for its owner, then tell the holders of the former one to stop."""
        view = self._desk.view
        if view.newer_keys.failure is not None:  # it may hold a newer key
            raise view.newer_keys.failure
        self._check_size()
        former, key = view.keys[0], folder.make_key(self._surroundings.random)
        view.hold_key(key)
        await self._remember(Followed(tuple(view.keys), view.newer_keys.generation, view.revocation.keys))
        try:
            await securing.prepare()
            await self._desk.writer.add_object(notice_kind(former, key), b"")
            await self._look()
        except KeyChanged:
            await self._withdraw(key)
            raise
        if view.keys[0] != key:
            raise ProtocolViolation("The mail server does not show the notice of the new key that was just stored.")

    def _check_size(self) -> None:
        """What is to be on record can be, before anybody is stopped.

        :raises TooLarge:
        """
        count, most = len(self._desk.view.index), self._desk.view.store.traits.max_message
        room = limits.REVOCATION_IDS if most is None else most // (SEALED_SHARE * ID_LENGTH)
        if count >= min(room, limits.REVOCATION_IDS):
            raise TooLarge("The folder holds too many messages for the record of its revoked keys.")

    async def _withdraw(self, key: Key) -> None:
        """Another device was first: one's own notice means nothing."""
        view = self._desk.view
        own = [
            uid
            for placed in view.index.objects(NOTICES)
            if (notice := notice_in(placed.version.path)) is not None and notice.newer == key.fingerprint
            for uid in placed.places
        ]
        try:
            await view.remove(view.index.sealed_ids(own), view.generation)
        except (NotSupported, MarkedByOthers, ReadOnly, StoreError) as error:
            self._log.info("a notice that came second stays: {why}", why=str(error))

    # The new one

    async def _come_over(self, securing: Securing) -> bool:
        """Put on record what counts under the former keys, and give the new one out; whether that was left to do."""
        recorded = await self._record()
        if await self._slots.has_own():
            return recorded
        await securing.secure()
        await self._slots.write_own()
        await self._look()
        return True

    async def _record(self) -> bool:
        """Put on record what counts under the former keys; whether that was left to do."""
        view, revoked_keys = self._desk.view, self._desk.view.revoked_keys
        former = frozenset(key.fingerprint for key in view.keys[1:])
        recorded = not (revoked_keys.is_on_record() or former <= view.revocation.keys)
        if recorded:
            await view.refreshing.look_at_all()  # the server may have garbled some for a while only
            there = (view.index.at(uid) for uid in view.index.uids())
            revocation = Revocation(
                keys=former,
                accepted=frozenset(version.sealed_id for version in there if version is not None),
            )
            await self._desk.writer.add_object(RECORDS, revocation.encode())
            await self._look()
            if not revoked_keys.is_on_record():
                raise ProtocolViolation(
                    "The mail server does not show the record of revoked keys that was just stored."
                )
        return recorded
