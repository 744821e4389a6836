"""What is at work while a key is revoked, and what its thief does then and later (FORMAT 8.5)."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred, fail

from ifap_twisted.core.revocations import RECORDS, Revocation
from ifap_twisted.core.slots import RECOVERY
from ifap_twisted.errors import KeyChanged, NotFound, OutcomeUnknown, Unavailable
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.filesystem.unlocking import Unlock
from ifap_twisted.secrecy import Secret
from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.filesystem.folders import KEY, result
from tests.filesystem.test_rekeying import Disk
from tests.filesystem.test_revoking import RevokingCase, deaf


class MeanwhileTests(RevokingCase):
    """What comes while it is done."""

    def test_a_write_of_the_same_device_that_arrives_late(self) -> None:
        """Sealed before, and there after the record: it is not called stored, which nobody else would see."""
        fs, held = self.first.filesystem, Deferred[None]()
        sending = fs.desk.writer.sending
        stored = sending.stored

        async def slowly(*what: Any) -> Any:
            await held
            return await stored(*what)

        with patch.object(sending, "stored", slowly):
            putting = fs.put("z", b"late")
        self.assertNoResult(putting)
        before = self.seen(self.alone(KEY))
        self.revoke()
        held.callback(None)
        self.failureResultOf(putting, OutcomeUnknown)
        for device in (fs, self.alone()):
            self.assertEqual(self.seen(device), before)
            self.assertEqual([one.path for one in device.desk.view.late.values()], ["z"])
            self.failureResultOf(device.get("z"), NotFound)

    def test_a_header_that_is_garbled_while_it_is_looked_at(self) -> None:
        """It is read once more: what a device was told to be stored is on record."""
        other = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        vid = result(other.put("late/garbled", b"mine")).version
        (placed,) = other.desk.view.index.history("late/garbled").versions
        uid = placed.places[0]
        message = self.folder.shelf.messages[uid]
        self.folder.shelf.tamper(uid, message.replace(b"!gAAAA", b"!hAAAA", 1))
        self.first = self.opened(self.disk)
        fs = self.first.filesystem
        self.assertIsNone(fs.desk.view.index.at(uid))
        self.folder.shelf.tamper(uid, message)
        self.revoke()
        for device in (fs, self.alone()):
            result(device.refresh())
            self.assertEqual(device.desk.view.late, {})
            self.assertEqual(result(device.get("late/garbled", version=vid)), b"mine")

    def test_a_change_of_the_key_that_came_at_the_last_moment(self) -> None:
        """It leads nobody away from the new key, and what was stored under it is on record."""
        other = self.opened(Disk(Membership(keys=(KEY,))))
        store = self.first.filesystem.desk.view.store
        append, early = store.append, list[Any]()

        def appended(message: bytes) -> Any:
            if not early:
                early.append(self.rekey(other))
                early.append(result(other.filesystem.put("a", b"at the last moment")))
            return append(message)

        with patch.object(store, "append", appended):
            self.assertTrue(self.revoke().drawn)
        middle = other.filesystem.desk.view.keys[0]
        self.assertNotEqual(middle, KEY)
        self.assertEqual(self.first.filesystem.desk.view.revocation.keys, {KEY.fingerprint, middle.fingerprint})
        for fs in (self.first.filesystem, self.alone()):
            result(fs.refresh())
            self.assertEqual(result(fs.get("a")), b"at the last moment")
            self.assertEqual(fs.desk.view.late, {})
        for key in (KEY, middle):
            with self.assertRaises(KeyChanged):
                self.alone(key)

    def test_a_slot_of_another_device(self) -> None:
        """Who sets passphrase or code when the key is revoked is told that it leads nowhere."""
        other = self.opened(Disk(Membership(keys=(KEY,))))
        self.revoke()
        code = Unlock(kind=RECOVERY, secret=Secret(b"c" * 32))
        with self.assertRaises(KeyChanged):
            result(Deferred.fromCoroutine(other.slots.write(code)))


class ThiefTests(RevokingCase):
    """What comes from who has the former key, and can store messages."""

    def setUp(self) -> None:
        super().setUp()
        self.before = self.seen(self.first.filesystem)
        self.thief = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        deaf(self.thief)

    def store(self, message: bytes) -> None:
        store = self.folder.store()
        result(store.open())
        result(store.append(message))

    def forged(self, path: str, content: bytes, dialect: str = "ifaplib") -> bytes:
        stamps = (Stamp(iv=self.folder.random(16)), Stamp(iv=self.folder.random(16)))
        message: bytes = encode(path, content, {"ts": 1_573_400_000}, dialect=dialect, key=KEY.text, stamps=stamps)
        return message

    def test_messages_of_the_other_dialect(self) -> None:
        """They keep nobody who has the new key from opening the folder."""
        self.revoke()
        for number in range(3):
            self.store(self.forged(f"x{number}", b"forged", "mailfile"))
        self.assertEqual(self.seen(self.alone()), self.before)

    def test_a_file_that_looks_like_a_record(self) -> None:
        """What somebody was given to store is none, wherever the server shows it."""
        self.revoke()
        fs = self.first.filesystem
        vid = result(self.thief.put("a", b"forged")).version
        (late,) = [one for one in self.thief.desk.view.index.history("a").versions if one.version.vid == vid]
        content = Revocation(keys=frozenset({KEY.fingerprint}), accepted=frozenset({late.version.sealed_id})).encode()
        result(fs.put("given", content))
        (given,) = fs.desk.view.index.history("given").versions
        (record,) = fs.desk.view.index.objects(RECORDS)
        device = self.alone()
        store = device.desk.view.store
        asked = store.message
        device.desk.view.revoked_keys._records.clear()
        with patch.object(store, "message", lambda uid: asked(given.places[0] if uid == record.places[0] else uid)):
            result(device.refresh())
        self.assertEqual(result(device.get("a")), self.before["current"]["a"])

    def test_a_record_that_was_garbled(self) -> None:
        """A device that runs reads it again after a while."""
        cut = patch.object(type(self.first.rekeying), "_sealed", side_effect=KeyChanged)
        with cut, self.assertRaises(KeyChanged):
            self.revoke()
        (record,) = self.first.filesystem.desk.view.index.objects(RECORDS)
        uid = record.places[0]
        message = self.folder.shelf.messages[uid]
        self.folder.shelf.tamper(uid, message[:-40] + b"A" * 38 + message[-2:])
        device = self.alone()
        self.assertTrue(device.desk.view.late)
        self.folder.shelf.tamper(uid, message)
        self.folder.clock.advance(301)
        result(device.refresh())
        self.assertEqual(device.desk.view.late, {})
        self.assertEqual(self.seen(device), self.before)

    def test_another_content_for_a_file_of_the_reference(self) -> None:
        """Nothing but its key bound that to its header; a header of before is no leave for a new content."""
        placed = self.thief.desk.view.index.history("r").versions[-1]
        early = self.folder.shelf.messages[placed.places[0]]
        head = early.split(b"\r\n\r\n", 1)[0]
        other = self.forged("r", b"xx")
        self.revoke()
        self.over()
        self.store(head + b"\r\n\r\n" + other.split(b"\r\n\r\n", 1)[1])
        for fs in (self.first.filesystem, self.alone()):
            result(fs.refresh())
            self.assertEqual(result(fs.get("r")), b"r2")
            self.assertEqual(result(fs.get("r", version=placed.version.vid)), b"r2")

    def test_a_record_that_he_made_before(self) -> None:
        """It lets nothing in that comes later, not even where it was read before the key was revoked."""
        elsewhere = self.folder.shelf.messages
        forged = result(self.thief.put("a", b"forged"))
        (late,) = [one for one in self.thief.desk.view.index.history("a").versions if one.version.vid == forged.version]
        message = elsewhere[late.places[0]]
        self.folder.shelf.remove(late.places)
        self.first = self.opened(self.disk)
        content = Revocation(keys=frozenset({"0" * 16}), accepted=frozenset({late.version.sealed_id})).encode()
        result(Deferred.fromCoroutine(self.thief.desk.writer.add_object(RECORDS, content)))
        fs = self.first.filesystem
        self.before = self.seen(fs)
        self.assertEqual(fs.desk.view.revocation.accepted, {late.version.sealed_id})
        self.revoke()
        self.store(message)
        for device in (fs, self.alone()):
            self.assertEqual(self.seen(device), self.before)
            self.assertEqual([one.path for one in device.desk.view.late.values()], ["a"])

    def test_a_record_at_which_the_connection_breaks(self) -> None:
        """What it says is taken in with the next look."""
        cut = patch.object(type(self.first.rekeying), "_sealed", side_effect=KeyChanged)
        with cut, self.assertRaises(KeyChanged):
            self.revoke()
        (record,) = self.first.filesystem.desk.view.index.objects(RECORDS)
        uid = record.places[0]
        message = self.folder.shelf.messages[uid]
        self.folder.shelf.tamper(uid, message[:-40] + b"A" * 38 + message[-2:])
        device = self.alone()
        self.folder.shelf.tamper(uid, message)
        view = device.desk.view
        view.revoked_keys.look_again()
        lost = Unavailable("The connection was lost.")
        with patch.object(view.store, "headers", lambda *_uids: fail(lost)):
            self.failureResultOf(Deferred.fromCoroutine(view.revoked_keys.look()), Unavailable)
        result(Deferred.fromCoroutine(view.revoked_keys.look()))
        self.assertEqual(device.desk.view.late, {})
        self.assertEqual(self.seen(device), self.before)
