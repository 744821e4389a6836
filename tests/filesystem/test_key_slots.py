"""Key slots in a folder: a new device needs only the account and a passphrase or recovery code (FORMAT 8.4)."""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.core import envelope, limits, recovery_codes
from ifap_twisted.core.derivation import Derivation, argon2id
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import PASSPHRASE, RECOVERY, Unwrapped, wrap
from ifap_twisted.core.values import Draft, Traits
from ifap_twisted.errors import (
    CallerError,
    ForeignFolder,
    IFAPError,
    KeyRequired,
    NotSupported,
    PassphraseRequired,
    ProtocolViolation,
    ReadOnly,
    WeakPassphrase,
    WrongKey,
)
from ifap_twisted.filesystem import unlocking
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership, Opened
from ifap_twisted.filesystem.unlocking import SLOTS, Unlock
from ifap_twisted.secrecy import Secret
from tests.core.strategies import fixed_random
from tests.filesystem.folders import KEY, START, Folder, result
from tests.reference_reader import ReferenceReader

PASSWORDS = ("vier Gurken tanzen am Kanal", "seven grey herons play chess")
CODE = recovery_codes.encode(bytes(range(32)))
EVIL = MemoryWriter(fixed_random).writer
NO_EXPUNGE = Traits(reports_uid=True, expunges_by_uid=False, pushes=True)


def by_passphrase(number: int = 0) -> Unlock:
    """What somebody has who knows a passphrase."""
    return Unlock.by_passphrase(Secret(PASSWORDS[number]))


def by_code(code: str = CODE) -> Unlock:
    """What somebody has who holds a recovery code."""
    return Unlock.by_recovery_code(Secret(code))


def forged(kind: str = PASSPHRASE, content: bytes = b"junk", *, home: str = "AAECAwQF", clock: int = 1) -> bytes:
    """The message of a slot by somebody who may write to the folder and knows no key."""
    draft = Draft(
        path=f"{SLOTS}{kind}-forged", vid="f" * 22, writer=EVIL, clock={EVIL: clock}, home=home, modified=START
    )
    sealed = envelope.seal(draft, content, dialect=IFAP, key=None, now=START, random=fixed_random)
    return sealed.message


class SlotCase(SynchronousTestCase):
    """A folder with two files, and the slots in it."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.opened = self.open(Membership(keys=(KEY,)))
        self.filesystem = self.opened.filesystem
        result(self.filesystem.put("a", b"one"))
        result(self.filesystem.put("d/b", b"two"))

    def open(self, membership: Membership, **options: Any) -> Opened:
        """Another device."""
        opened: Opened = result(self.folder.opening(membership, **options))
        return opened

    def write(self, unlock: Unlock, opened: Opened | None = None) -> int:
        """Write a slot; gives its UID."""
        uid: int = result(Deferred.fromCoroutine((opened or self.opened).slots.write(unlock)))
        return uid

    def retire(self, kind: str, newest: int, opened: Opened | None = None) -> bool:
        """Remove the slots that are older."""
        gone: bool = result(Deferred.fromCoroutine((opened or self.opened).slots.retire(kind, newest)))
        return gone

    def unlocked(self, unlock: Unlock, **options: Any) -> Opened:
        """A new device that knows nothing but this; it reads everything."""
        opened = self.open(Membership(unlock=unlock, **options))
        self.reads_everything(opened.filesystem)
        return opened

    def reads_everything(self, filesystem: Filesystem) -> None:
        """Both files are there."""
        self.assertEqual((b"one", b"two"), (result(filesystem.get("a")), result(filesystem.get("d/b"))))

    def refused(self, kind: type[IFAPError], unlock: Unlock | None, **options: Any) -> IFAPError:
        """It does not open, and the folder is as it was."""
        before = dict(self.folder.shelf.messages)
        with self.assertRaises(kind) as caught:
            self.open(Membership(unlock=unlock, **options))
        self.assertEqual(before, dict(self.folder.shelf.messages))
        error: IFAPError = caught.exception
        return error


class NewDeviceTests(SlotCase):
    """What a device without a key can do."""

    def test_with_the_passphrase_only(self) -> None:
        """It reads everything, writes under the same key, and knows whose folder it is."""
        self.write(by_passphrase())
        opened = self.unlocked(by_passphrase())
        self.assertEqual((KEY,), opened.membership.keys)
        self.assertEqual(self.opened.membership.home, opened.membership.home)
        result(opened.filesystem.put("c", b"three"))
        result(self.filesystem.refresh())
        self.assertEqual(b"three", result(self.filesystem.get("c")))

    def test_with_the_recovery_code_only(self) -> None:
        """It does, too; as the code was typed."""
        self.write(by_code())
        self.unlocked(by_code(CODE.lower().replace(" ", "-")))

    def test_passphrase_and_code_are_independent(self) -> None:
        """Each has its own slot; a new one of one kind leaves the other as it is."""
        self.write(by_passphrase())
        self.write(by_code())
        newest = self.write(by_passphrase(1))
        self.assertTrue(self.retire(PASSPHRASE, newest))
        self.unlocked(by_code())
        self.unlocked(by_passphrase(1))
        self.refused(WrongKey, by_passphrase(0))

    def test_wrong(self) -> None:
        """Another passphrase or code is a wrong key, and nothing of the folder is changed."""
        self.write(by_passphrase())
        self.write(by_code())
        self.refused(WrongKey, by_passphrase(1))
        self.refused(WrongKey, by_code(recovery_codes.encode(b"x" * 32)))

    def test_no_slot(self) -> None:
        """Where no passphrase is set none opens, and the error says what does."""
        self.assertIn("ifap passphrase", self.refused(KeyRequired, by_passphrase()).detail)
        self.assertIn("No recovery code", self.refused(KeyRequired, by_code()).detail)

    def test_nothing_given(self) -> None:
        """Without anything the error names what the folder can be opened with."""
        self.assertIn("--key-file", self.refused(KeyRequired, None).detail)
        self.write(by_code())
        self.assertIn("--recovery-code-file", self.refused(KeyRequired, None).detail)
        self.write(by_passphrase())
        self.assertIn("--passphrase-file", self.refused(PassphraseRequired, None).detail)

    def test_mistyped_code(self) -> None:
        """It is told which row, before anything is asked of the server."""
        with self.assertRaises(CallerError) as caught:
            by_code("7" + CODE[1:])
        self.assertIn("Row 1", caught.exception.detail)

    def test_another_folder(self) -> None:
        """Slots that were copied from another folder do not make this one pass for it."""
        self.write(by_passphrase())
        other = Folder(seed=1)
        there: Opened = result(other.opening(Membership(keys=(KEY,))))
        result(there.filesystem.put("x", b"x"))
        for uid, message in self.folder.shelf.messages.items():
            if uid == max(self.folder.shelf.messages):
                other.shelf.add(message)
        with self.assertRaises(ForeignFolder):
            result(other.opening(Membership(unlock=by_passphrase())))


class EmptyFolderTests(SynchronousTestCase):
    """What is given at the very first login."""

    def refused(self, kind: type[IFAPError], unlock: Unlock) -> IFAPError:
        """Nothing is made."""
        folder = Folder()
        with self.assertRaises(kind) as caught:
            result(folder.opening(Membership(unlock=unlock), make_key=True))
        self.assertEqual({}, dict(folder.shelf.messages))
        error: IFAPError = caught.exception
        return error

    def test_weak_passphrase(self) -> None:
        """It is refused with the reason before a key is made."""
        weak = Unlock.by_passphrase(Secret("password password"), known=("me@example.org",))
        self.assertIn("a common word", self.refused(WeakPassphrase, weak).detail)

    def test_recovery_code(self) -> None:
        """There is nothing that it could open."""
        self.refused(KeyRequired, by_code())

    def test_strong_passphrase(self) -> None:
        """A key is made."""
        opened: Opened = result(Folder().opening(Membership(unlock=by_passphrase()), make_key=True))
        self.assertTrue(opened.made_key)


class ShownTests(SlotCase):
    """A slot is neither a file nor damage nor foreign mail, to any device and to the reference."""

    def test_nobody_sees_it(self) -> None:
        """It is in no list and no count."""
        before = result(self.filesystem.status())
        self.write(by_passphrase())
        self.write(by_code())
        for filesystem in (self.filesystem, self.folder.device()):
            result(filesystem.refresh())
            status = result(filesystem.status())
            self.assertEqual((0, 0, before.warnings), (status.damaged, status.foreign, status.warnings))
            names = {entry.path for entry in result(filesystem.list("/", recursive=True, everything=True))}
            self.assertFalse([name for name in names if name.startswith(SLOTS)])

    def test_forged_slots_bring_nothing(self) -> None:
        """No numbers, no home, no files and no damage come from what anybody can write."""
        for _ in range(3):
            self.folder.shelf.add(forged(home="ZZZZZZZZ", clock=2**52))
        device = self.folder.device()
        self.reads_everything(device)
        self.assertEqual(0, device.desk.view.index.greatest(EVIL))
        self.assertEqual(0, result(device.status()).damaged)
        self.assertEqual(self.opened.membership.home, device.desk.view.home)

    def test_without_encryption(self) -> None:
        """In a folder without encryption a slot is none of the files either, and none is written."""
        folder = Folder()
        opened: Opened = result(folder.opening(Membership(encrypted=False)))
        result(opened.filesystem.put("a", b"one"))
        folder.shelf.add(forged(clock=2**52))
        result(opened.filesystem.refresh())
        self.assertEqual(0, opened.filesystem.desk.view.index.greatest(EVIL))
        self.assertRaises(NotSupported, self.write, by_passphrase(), opened)

    def test_the_reference_survives(self) -> None:
        """The reference program reads its folder as before."""
        for unlock in (by_passphrase(), by_code()):
            self.write(unlock)
        reader = ReferenceReader(dict(self.folder.shelf.messages), "ifaplib", KEY.text)
        reader.synchronize()
        self.assertEqual({b"one", b"two"}, {content for content in reader.contents().values() if len(content) == 3})

    def test_mailfile(self) -> None:
        """In a folder of the other dialect it is the same."""
        folder = Folder()
        opened: Opened = result(folder.opening(Membership(keys=(KEY,), dialect="mailfile")))
        result(opened.filesystem.put("a", b"one"))
        self.write(by_passphrase(), opened)
        result(opened.filesystem.refresh())
        status = result(opened.filesystem.status())
        self.assertEqual((0, 0), (status.damaged, status.foreign))
        other: Opened = result(folder.opening(Membership(unlock=by_passphrase())))
        self.assertEqual(("mailfile", b"one"), (other.membership.dialect, result(other.filesystem.get("a"))))
        reader = ReferenceReader(dict(folder.shelf.messages), "mailfile", KEY.text)
        reader.synchronize()
        self.assertIn(b"one", reader.contents().values())

    def test_no_secret_in_the_folder(self) -> None:
        """Neither key nor passphrase nor code is in any message, in whatever spelling."""
        for unlock in (by_passphrase(), by_code()):
            self.write(unlock)
        everything = b"".join(self.folder.shelf.messages.values())
        for secret in (KEY.text.encode(), PASSWORDS[0].encode(), bytes(range(32))):
            for spelt in (secret, b64encode(secret)[:-4], secret.hex().encode()):
                self.assertNotIn(spelt, everything)
        self.assertNotIn(CODE.split("\n")[0].encode(), everything)


class HostileTests(SlotCase):
    """What a server, or anybody who can append, can do to somebody who has no key yet."""

    def test_junk(self) -> None:
        """Fifty slots on top that are none are passed over."""
        self.write(by_passphrase())
        for number in range(50):
            self.folder.shelf.add(forged(content=b"junk %d" % number))
        self.unlocked(by_passphrase())

    def test_replayed(self) -> None:
        """A slot that lies there many times is derived once."""
        message = self.folder.shelf.messages[self.write(by_passphrase())]
        for _ in range(30):
            self.folder.shelf.add(message)
        derived: list[Derivation] = []

        def counted(secret: bytes, how: Derivation) -> bytes:
            derived.append(how)
            return argon2id(secret, how)

        self.patch(unlocking, "argon2id", counted)
        self.unlocked(by_passphrase())
        self.assertEqual(1, len(derived))

    def test_hundred_gigabytes(self) -> None:
        """A slot that asks for too much is refused without being tried, and the others are not held up."""
        self.write(by_passphrase())
        keys = Unwrapped(keys=(KEY,), home="AAECAwQF", generation=9, dialect="ifap")
        how = Derivation(salt=b"s" * 16, memory=100 * 2**20, passes=2, lanes=1)
        slot = wrap(keys, PASSPHRASE, b"p", how=how, random=fixed_random, derive=lambda _secret, _how: b"d" * 32)
        self.folder.shelf.add(forged(content=slot.encode()))
        self.unlocked(by_passphrase())

    def test_huge_messages(self) -> None:
        """What is longer than any slot is not even fetched."""
        self.write(by_passphrase())
        self.folder.shelf.add(forged(content=b"x" * 3 * limits.SLOT_BYTES))
        store = self.folder.store()
        fetched: list[int] = []
        message = store.message
        store.message = lambda uid: fetched.append(uid) or message(uid)  # type: ignore[method-assign,func-returns-value]
        self.open(Membership(unlock=by_passphrase()), store=store)
        self.assertNotIn(max(self.folder.shelf.messages), fetched)

    def slot(self, generation: int, *keys: Key) -> bytes:
        """A slot by somebody who knows the passphrase."""
        home = self.opened.membership.home or ""
        found = Unwrapped(keys=keys or (KEY,), home=home, generation=generation, dialect="ifap")
        how = Derivation(salt=b"s" * 16, memory=limits.KDF_MEMORY_LEAST, passes=2, lanes=1)
        secret = by_passphrase().secret.reveal_bytes()
        slot = wrap(found, PASSPHRASE, secret, how=how, random=fixed_random)
        return forged(content=slot.encode(), home=home)

    def test_the_highest_generation_counts(self) -> None:
        """An older slot that is put on top is passed over; its key would not be the newest."""
        newer = Key.from_text("newer")
        self.folder.shelf.add(self.slot(3, newer, KEY))
        self.folder.shelf.add(self.slot(2))
        opened = self.unlocked(by_passphrase())
        self.assertEqual(((newer, KEY), 3), (opened.membership.keys, opened.membership.generation))

    def test_older_than_seen(self) -> None:
        """A device that saw a newer generation does not go back."""
        self.folder.shelf.add(self.slot(2))
        self.assertIn("older", self.refused(WrongKey, by_passphrase(), generation=3).detail)
        self.unlocked(by_passphrase(), generation=2)

    def test_only_slots_left(self) -> None:
        """A folder of which nothing but slots is left is not taken for one that is not encrypted."""
        self.write(by_passphrase())
        last = max(self.folder.shelf.messages)
        self.folder.shelf.remove([uid for uid in self.folder.shelf.messages if uid != last])
        self.refused(PassphraseRequired, None)
        self.refused(WrongKey, by_passphrase())


class WritingTests(SlotCase):
    """A new slot is read back and opened before a former one goes."""

    def test_replaced(self) -> None:
        """Of each kind one is left."""
        for number in (0, 1, 0):
            newest = self.write(by_passphrase(number))
            self.assertTrue(self.retire(PASSPHRASE, newest))
        self.assertEqual([newest], self.opened.filesystem.desk.view.index.key_slots())

    def test_nothing_else_is_written(self) -> None:
        """A passphrase is one message, and every other stays as it is."""
        before = dict(self.folder.shelf.messages)
        uid = self.write(by_passphrase())
        self.retire(PASSPHRASE, uid)
        after = dict(self.folder.shelf.messages)
        self.assertEqual({uid}, after.keys() - before.keys())
        self.assertEqual(before, {other: after[other] for other in before})

    def test_slots_of_others_stay(self) -> None:
        """Only what says that it is of this folder is removed."""
        foreign = self.folder.shelf.add(forged(home="ZZZZZZZZ"))
        other_kind = self.folder.shelf.add(forged("later-kind"))
        result(self.filesystem.refresh())
        self.assertTrue(self.retire(PASSPHRASE, self.write(by_passphrase())))
        self.assertLessEqual({foreign, other_kind}, set(self.folder.shelf.messages))

    def test_where_nothing_can_be_removed(self) -> None:
        """The former slots stay, and that is told."""
        opened = self.open(Membership(keys=(KEY,)), store=self.folder.store(traits=NO_EXPUNGE))
        self.write(by_passphrase(0), opened)
        self.assertFalse(self.retire(PASSPHRASE, self.write(by_passphrase(1), opened), opened))
        self.unlocked(by_passphrase(0))
        self.unlocked(by_passphrase(1))

    def test_read_only(self) -> None:
        """That is said before anything is tried."""
        opened = self.open(Membership(keys=(KEY,)), store=self.folder.store(read_only=True))
        self.assertRaises(ReadOnly, self.write, by_passphrase(), opened)

    def test_cut_at_every_step(self) -> None:
        """Whenever the server goes away, the former passphrase or the new one opens."""
        for calls in range(12):
            with self.subTest(calls=calls):
                self.setUp()
                self.retire(PASSPHRASE, self.write(by_passphrase(0)))
                store = self.folder.store()
                opened = self.open(Membership(keys=(KEY,)), store=store)
                left = [calls]

                def gate(_method: str, left: list[int] = left, store: Any = store) -> Deferred[None]:
                    left[0] -= 1
                    if left[0] < 0:
                        store.go_offline()
                    return Deferred.fromCoroutine(_nothing())

                store.gate = gate
                with contextlib.suppress(IFAPError, AssertionError):
                    self.retire(PASSPHRASE, self.write(by_passphrase(1), opened), opened)
                self.opens_with_one_of_them()

    def opens_with_one_of_them(self) -> None:
        """A new device reads everything with the former or the new passphrase."""
        for number in (0, 1):
            try:
                self.unlocked(by_passphrase(number))
            except WrongKey:
                continue
            return
        self.fail("neither opens")

    def test_a_server_that_garbles(self) -> None:
        """A slot that was not kept as it was given is told, and the former one is left alone."""
        self.write(by_passphrase(0))
        store = self.folder.store()
        opened = self.open(Membership(keys=(KEY,)), store=store)
        append = store.append

        def garbled(message: bytes) -> Any:
            head, body = message.split(b"\r\n\r\n", 1)
            return append(head + b"\r\n\r\n" + body[:40].swapcase() + body[40:])

        store.append = garbled  # type: ignore[method-assign]
        self.assertRaises(ProtocolViolation, self.write, by_passphrase(1), opened)
        self.unlocked(by_passphrase(0))

    def test_format(self) -> None:
        """The content of a slot is what the specification says."""
        uid = self.write(by_code())
        message = self.folder.shelf.messages[uid]
        version, content = envelope.read_message(message, dialect=IFAP, keys=(), home=None)
        self.assertTrue(version.path.startswith(f"{SLOTS}{RECOVERY}-"))
        self.assertLess(message.index(b"\r\nTo:"), 1024)
        value = json.loads(content)
        self.assertEqual(
            (1, "recovery", version.home, 1), tuple(value[name] for name in ("v", "type", "home", "generation"))
        )
        self.assertEqual({"name", "salt"}, value["kdf"].keys())


async def _nothing() -> None:
    """Go on."""
