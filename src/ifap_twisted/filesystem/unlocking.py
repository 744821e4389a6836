"""The key slots of a folder, read by whoever has a passphrase or recovery code and no key yet (FORMAT 8.4).

Anybody who can write to the folder can write slots: they are small, few are tried, and what opens is believed only
because it opens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ifap_twisted.core import envelope, limits, passphrases, recovery_codes
from ifap_twisted.core.derivation import Derivation, Derive, argon2id
from ifap_twisted.core.dialects import DIALECTS, Dialect, dialects_of
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import PASSPHRASE, PREVIOUS, RECOVERY, Slot, Unwrapped, earlier_secret
from ifap_twisted.core.values import HeaderBlock
from ifap_twisted.errors import CallerError, DataError, KeyRequired, Malformed, MessageGone, WeakPassphrase, WrongKey
from ifap_twisted.interfaces import IMessageStore
from ifap_twisted.secrecy import Secret
from ifap_twisted.workers import Worker

SLOTS: Final = "IFAP/keys/slot-"
MESSAGE_BYTES: Final = 2 * limits.SLOT_BYTES
"""A longer message is no slot: base64 and headers make less than half more of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlock:
    """What a person has instead of the key.

    :ivar kind: of the slots that it opens.
    :ivar secret: the bytes that :meth:`ifap_twisted.core.slots.Slot.unwrap` takes.
    :ivar known: what everybody may know of its owner, which makes a passphrase weak.
    """

    kind: str
    secret: Secret
    known: tuple[str, ...] = ()

    @classmethod
    def by_passphrase(cls, passphrase: Secret, known: tuple[str, ...] = ()) -> Unlock:
        """A passphrase.

        :raises CallerError: it cannot be one.
        """
        if not passphrase.is_text:
            raise CallerError("The passphrase is not Unicode text.")
        return cls(kind=PASSPHRASE, secret=Secret(passphrases.normalised(passphrase.reveal())), known=known)

    @classmethod
    def by_recovery_code(cls, code: Secret) -> Unlock:
        """A recovery code as it was typed.

        :raises CallerError: it was mistyped, and where.
        """
        return cls(kind=RECOVERY, secret=Secret(recovery_codes.decode(code.reveal() if code.is_text else "")))

    @classmethod
    def by_earlier(cls, key: Key) -> Unlock:
        """The key before, where a newer one was wrapped under it (FORMAT 8.5)."""
        return cls(kind=PREVIOUS, secret=Secret(earlier_secret(key)))

    def check_strength(self) -> None:
        """Refuse a passphrase that is not to protect anything new.

        :raises WeakPassphrase:
        """
        weak = passphrases.weakness(self.secret.reveal(), self.known) if self.kind == PASSPHRASE else None
        if weak is not None:
            raise WeakPassphrase(weak)


class Announced(NamedTuple):
    """A message that says that it is a key slot.

    :ivar size: of the message, in bytes.
    """

    uid: int
    kind: str
    home: str | None
    dialect: Dialect
    size: int


def announced(block: HeaderBlock) -> Announced | None:
    """The slot that a header block announces: a small plaintext object of ours; None for anything else."""
    if envelope.is_sealed(block.fields):
        return None
    for name in dialects_of(block.fields):
        try:
            version = envelope.read_header(block.fields, dialect=DIALECTS[name], keys=(), home=None)
        except DataError:
            continue
        if version.ours and version.path.startswith(SLOTS):
            kind = version.path.removeprefix(SLOTS).partition("-")[0]
            return Announced(block.uid, kind, version.home, DIALECTS[name], block.size)
    return None


def slots_of(blocks: Mapping[int, HeaderBlock]) -> Iterator[Announced]:
    """The slots that are announced, the newest first."""
    for uid in sorted(blocks, reverse=True):
        found = announced(blocks[uid])
        if found is not None:
            yield found


async def unlock(
    store: IMessageStore, blocks: Mapping[int, HeaderBlock], wanted: Unlock, worker: Worker, *, least: int = 0
) -> Unwrapped:
    """What the slots of a folder hold for whoever has this; of several that open the newest of the highest generation.

    :param least: the greatest generation that this device has seen.
    :raises KeyRequired: there is no slot of this kind.
    :raises WrongKey: none opens, or those that do are older than what was seen.
    :raises StoreError: they cannot be read now.
    """
    found = [one for one in slots_of(blocks) if one.kind == wanted.kind and one.size <= MESSAGE_BYTES]
    if not found:
        raise _no_slot(wanted.kind)
    opened, failed = await _opened(store, found[: limits.SLOTS_TRIED], wanted, worker)
    if not opened:
        raise failed
    best = max(opened, key=lambda one: one.generation)
    check_generation(best.generation, least)
    return best


def check_generation(found: int, least: int) -> None:
    """Keys that are older than what was seen are not taken (FORMAT 8.4).

    :raises WrongKey:
    """
    if found < least:
        raise WrongKey("The mail server shows only key slots that are older than those this device has seen.")


async def _opened(
    store: IMessageStore, found: list[Announced], wanted: Unlock, worker: Worker
) -> tuple[list[Unwrapped], DataError]:
    """All that opens, and why the others do not: that the secret is wrong says most."""
    opened: list[Unwrapped] = []
    failed: DataError = WrongKey("The key slots of the folder are gone.")
    derive = _each_once()
    for one in found:  # one derivation at a time: each may take much memory
        try:
            opened.append(await read_slot(store, one, wanted, worker, derive))
        except DataError as error:
            failed = failed if type(failed) is WrongKey and not isinstance(error, WrongKey) else error
        except MessageGone:
            continue
    return opened, failed


def _each_once() -> Derive:
    """The derivation, done once for the same parameters: a slot that is there many times costs no more than one."""
    known: dict[Derivation, bytes] = {}

    def derived(secret: bytes, how: Derivation) -> bytes:
        if how not in known:
            known[how] = argon2id(secret, how)
        return known[how]

    return derived


async def read_slot(
    store: IMessageStore, one: Announced, wanted: Unlock, worker: Worker, derive: Derive = argon2id
) -> Unwrapped:
    """Open one slot.

    :raises WrongKey: it opens with something else.
    :raises Malformed: it is none; and the other ``DataError``s.
    """
    message = await store.message(one.uid)
    secret = wanted.secret.reveal_bytes()
    return await worker(lambda: slot_in(message, one).unwrap(secret, derive))


def slot_in(message: bytes, one: Announced) -> Slot:
    """The slot in a message that announces one.

    :raises Malformed: it is none, or not the one that is announced; and the other ``DataError``s.
    """
    if len(message) > MESSAGE_BYTES:
        raise Malformed("A key slot is too long.", section="slot")
    version, content = envelope.read_message(message, dialect=one.dialect, keys=(), home=None)
    slot = Slot.read(content)
    if slot.kind != one.kind or slot.home != version.home:
        raise Malformed("A key slot does not belong to its name.", section="slot")
    return slot


def _no_slot(kind: str) -> KeyRequired:
    if kind == RECOVERY:
        return KeyRequired("No recovery code was made for this folder: give its key or passphrase.")
    return KeyRequired("No passphrase is set for this folder: give its key, then `ifap passphrase` sets one.")


def without_key(blocks: Mapping[int, HeaderBlock]) -> frozenset[str]:
    """The kinds of the slots with which the folder can be opened without its key."""
    return frozenset(one.kind for one in slots_of(blocks))
