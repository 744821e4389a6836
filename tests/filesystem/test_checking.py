"""Checking a folder: what is not whole is told by its code, and nothing is changed."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope
from ifap_twisted.core.derivation import Derivation
from ifap_twisted.core.dialects import IFAP, MAILFILE
from ifap_twisted.core.findings import DAMAGE, NOTE, WARNING, Checkup, Finding
from ifap_twisted.core.keys import Key
from ifap_twisted.core.records import RECORDS
from ifap_twisted.core.slots import PASSPHRASE, RECOVERY, Unwrapped, wrap
from ifap_twisted.core.values import Draft
from ifap_twisted.errors import CallerError, Unavailable
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.filesystem.unlocking import SLOTS
from ifap_twisted.store.memory import Turnstile
from ifap_twisted.testing import reference_writer
from tests.filesystem.folders import KEY, START, Folder, result
from tests.filesystem.machines import Machine
from tests.messages import mail

WRITER = "zzzzzz"


class CheckCase(SynchronousTestCase):
    """A folder with the files a and b."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.device = self.folder.device()
        self.a = self.put("a", b"hello")
        self.b = self.put("b", b"other")

    def put(self, path: str, content: bytes) -> int:
        result(self.device.put(path, content))
        return max(self.folder.shelf.messages)

    def version(self, uid: int) -> Any:
        head = self.folder.shelf.messages[uid].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        return envelope.read_header(head, dialect=IFAP, keys=(KEY,), home=None)

    def sealed(self, content: bytes = b"c", **changes: Any) -> bytes:
        """A message that a device of this folder could have written."""
        values = {"path": "c", "vid": "c" * 22, "writer": WRITER, "clock": {WRITER: 1}, "modified": START}
        draft = Draft(**{**values, "home": self.version(self.a).home, **changes})
        return envelope.seal(draft, content, dialect=IFAP, key=KEY, now=START, random=self.folder.random).message

    def check(self, device: Filesystem | None = None, share: float = 100) -> Checkup:
        before = dict(self.folder.shelf.messages)
        found: Checkup = result((device or self.device).check(read_data=share))
        self.assertEqual(dict(self.folder.shelf.messages), before, "a check changes nothing")
        return found

    def found(self, *args: Any, **options: Any) -> dict[str, Finding]:
        """The findings by their codes."""
        findings = self.check(*args, **options).findings
        self.assertEqual(len({finding.code for finding in findings}), len(findings), findings)
        return {finding.code: finding for finding in findings}

    def spoil(self, uid: int, cut: int = 100) -> bytes:
        """Cut off the end of a message; gives what it was."""
        before = self.folder.shelf.messages[uid]
        self.folder.shelf.tamper(uid, before[:-cut])
        return before


class HeaderTests(CheckCase):
    """What is told without reading contents."""

    def test_whole(self) -> None:
        """A whole folder has no finding."""
        found = self.check(share=0)
        self.assertEqual((found.findings, found.complete), ((), True))
        self.assertEqual((found.headers, found.bodies), (len(self.folder.shelf.messages), 0))

    def test_contents_are_not_read(self) -> None:
        """Without a share a damaged content is not found."""
        self.spoil(self.a)
        self.assertEqual(self.found(share=0), {})

    def test_forged(self) -> None:
        """Each kind of message that cannot be used is damage, with how many there are."""
        self.folder.shelf.add(reference_writer.encode("x", b"plain"))
        for number in range(2):
            self.folder.shelf.add(reference_writer.encode(f"x{number}", b"foreign", key="another key"))
        self.folder.shelf.add(self.sealed(home="x" * 8))
        found = self.found()
        self.assertEqual(
            {code: (one.severity, one.path, one.places) for code, one in found.items()},
            {
                "foreign-folder": (DAMAGE, "c", 1),
                "foreign-key": (DAMAGE, None, 2),
                "plaintext": (DAMAGE, None, 1),
            },
        )

    def test_a_changed_header(self) -> None:
        """A flipped bit in it is told apart from a foreign key, by the id under which the message was sent."""
        message = self.folder.shelf.messages[self.a]
        self.folder.shelf.tamper(self.a, message.replace(b"gAAAAA", b"gAAAAB", 1))
        foreign = Key.from_text("another key")
        draft = Draft(path="c", vid="c" * 22, writer=WRITER, clock={WRITER: 1}, home="x" * 8, modified=START)
        strange = envelope.seal(draft, b"c", dialect=IFAP, key=foreign, now=START, random=self.folder.random).message
        self.folder.shelf.add(strange)
        self.folder.shelf.add(reference_writer.encode("x", b"foreign", key="another key"))
        found = self.found(self.folder.device(), share=0)
        self.assertEqual(
            {code: (one.severity, one.places) for code, one in found.items()},
            {
                "tampered": (DAMAGE, 1),
                "foreign-key": (DAMAGE, 2),
            },
        )
        self.assertIn("header", found["tampered"].text)

    def test_a_changed_header_that_cannot_be_read_now(self) -> None:
        """Then nobody knows better."""
        message = self.folder.shelf.messages[self.a]
        self.folder.shelf.tamper(self.a, message.replace(b"gAAAAA", b"gAAAAB", 1))
        device = self.folder.device()
        device.desk.view.store.message = Unreadable(self.a).of(device.desk.view.store.message)  # type: ignore[method-assign]
        self.assertEqual(list(self.found(device, share=0)), ["foreign-key"])

    def test_strangers(self) -> None:
        """Mail of others and the other dialect are noted apart."""
        for number in range(3):
            self.folder.shelf.add(mail(b"letter %d\r\n" % number))
        self.folder.shelf.add(reference_writer.encode("x", b"x", dialect="mailfile", key=KEY.text))
        found = self.found()
        self.assertEqual(
            {code: (one.severity, one.places) for code, one in found.items()},
            {"foreign": (NOTE, 3), "other-dialect": (NOTE, 1)},
        )

    def test_a_message_of_the_other_dialect_that_was_garbled(self) -> None:
        """What seemed to be mail of somebody else is looked at again."""
        message = reference_writer.encode("x", b"x", dialect="mailfile", key=KEY.text)
        uid = self.folder.shelf.add(message.replace(b"X-Mailfile", b"X-Nailfile"))
        device = self.folder.device()
        self.assertEqual(list(self.found(device)), ["foreign"])
        self.folder.shelf.tamper(uid, message)
        self.assertEqual(list(self.found(device)), ["other-dialect"])

    def test_vanished(self) -> None:
        """A version that went without a word is damage."""
        self.folder.shelf.remove([self.a])
        found = self.found()["vanished"]
        self.assertEqual((found.severity, found.path), (DAMAGE, "a"))

    def test_rolled_back(self) -> None:
        """An older state than this device has seen before is damage."""
        machine = Machine(self.folder)
        newest = self.put("a", b"newer")
        machine.look()
        self.folder.shelf.forget(newest)
        found = self.found(machine.start())["rolled-back"]
        self.assertEqual((found.severity, found.path), (DAMAGE, "a"))

    def test_conflict(self) -> None:
        """So that somebody decides it."""
        self.folder.shelf.add(self.sealed(path="a"))
        self.assertEqual({one.code: one.severity for one in self.check().findings}, {"conflict": WARNING})

    def test_one_vid_twice(self) -> None:
        """Two versions of one id are damage."""
        self.folder.shelf.add(self.sealed(vid=self.version(self.a).vid))
        self.assertEqual(self.found()["vid-collision"].severity, DAMAGE)

    def test_one_number_twice(self) -> None:
        """A device that was cloned wrote two versions under one number."""
        self.folder.shelf.add(self.sealed(path="c", vid="c" * 22))
        self.folder.shelf.add(self.sealed(path="d", vid="d" * 22))
        found = self.found()["number-used-twice"]
        self.assertEqual((found.severity, found.places), (WARNING, 2))
        self.assertIn(WRITER, found.text)

    def test_doubled(self) -> None:
        """Copies of a version are a note."""
        self.folder.shelf.add(self.folder.shelf.messages[self.a])
        found = self.found()["doubled"]
        self.assertEqual((found.severity, found.places), (NOTE, 1))

    def test_unbound(self) -> None:
        """What the reference wrote is a note, and damage for who refuses it."""
        self.folder.shelf.add(reference_writer.encode("r", b"reference", {"ts": int(START)}, key=KEY.text))
        self.assertEqual(self.found()["unbound"].severity, NOTE)
        strict = self.folder.device(options=Options(require_bound=True))
        self.assertEqual(self.found(strict)["unbound"].severity, DAMAGE)

    def test_names(self) -> None:
        """Names that nobody can write here, and a file with the name of a directory, are noted."""
        self.folder.shelf.add(reference_writer.encode("../x", b"odd", {"ts": int(START)}, key=KEY.text))
        self.folder.shelf.add(self.sealed(path="a/c"))
        found = self.found()
        self.assertEqual((found["odd-name"].path, found["name-clash"].path), ("../x", "a"))

    def test_incomplete(self) -> None:
        """What the server does not list is not called whole."""
        store = self.folder.store()
        device = self.folder.device(store=store)
        store.hide(self.a)
        found = self.check(device)
        self.assertEqual({one.code for one in found.findings}, {"listing-incomplete", "not-readable-now"})
        self.assertFalse(found.complete)


class ContentTests(CheckCase):
    """What is told when contents are read."""

    def test_damaged(self) -> None:
        """A version without a whole message is damage, told with its path and id."""
        self.spoil(self.a)
        found = self.found()
        self.assertEqual(set(found), {"truncated"})
        one = found["truncated"]
        self.assertEqual((one.severity, one.path, one.version), (DAMAGE, "a", self.version(self.a).vid))
        self.assertEqual(dict(result(self.device.status()).damage), {"truncated": 1})

    def test_redated(self) -> None:
        """A date in the header that is not that of the sealing is told; the content is served all the same."""
        message = self.folder.shelf.messages[self.a]
        self.folder.shelf.tamper(self.a, re.sub(rb"Date: [^\r]*", b"Date: Mon, 01 Jan 2001 00:00:00 +0000", message))
        self.assertEqual(self.found(share=0), {})
        found = self.found()["redated"]
        self.assertEqual((found.severity, found.places), (WARNING, 1))
        self.assertEqual(result(self.device.get("a")), b"hello")

    def test_beside_a_good_one(self) -> None:
        """A bad copy of a version that is whole elsewhere is a warning, wherever it lies."""
        whole = self.spoil(self.a)
        self.folder.shelf.add(whole)
        self.assertEqual(self.found()["truncated"].severity, WARNING)
        self.folder.shelf.tamper(self.a, whole)
        self.spoil(max(self.folder.shelf.messages))
        self.assertEqual(self.found()["truncated"].severity, WARNING)

    def test_mended(self) -> None:
        """What the server gives whole again is found no more."""
        whole = self.spoil(self.a)
        self.assertIn("truncated", self.found())
        self.folder.shelf.tamper(self.a, whole)
        self.assertEqual(self.found(), {})

    def test_old_versions(self) -> None:
        """Replaced versions are read, too."""
        self.put("a", b"newer")
        self.spoil(self.a)
        self.assertEqual(self.found()["truncated"].version, self.version(self.a).vid)

    def test_share(self) -> None:
        """Of a share so many are read, other ones each time, and together all."""
        for number in range(20):
            self.put(f"f{number}", b"x")
        bad = {self.put(f"bad{number}", b"x") for number in range(10)}
        for uid in bad:
            self.spoil(uid)
        found = self.check(share=25)
        self.assertEqual(found.bodies, -(-len(self.folder.shelf.messages) // 4))
        seen = [{one.path for one in self.check(self.folder.device(), share=25).findings} for _ in range(40)]
        self.assertGreater(len({frozenset(paths) for paths in seen}), 1)
        self.assertEqual(set().union(*seen), {f"bad{number}" for number in range(10)})

    def test_not_now(self) -> None:
        """What the server cannot give now is a warning, and the check is not complete."""
        store = self.folder.store()
        device = self.folder.device(store=store)
        turnstile = Unreadable(self.b)
        store.message = turnstile.of(store.message)  # type: ignore[method-assign]
        found = self.check(device)
        self.assertEqual({one.code: one.places for one in found.findings}, {"not-readable-now": 1})
        self.assertFalse(found.complete)

    def test_progress(self) -> None:
        """It is told how many of how many were read."""
        told: list[tuple[int, int]] = []
        result(self.device.check(read_data=100, progress=lambda *now: told.append(now)))
        total = len(self.folder.shelf.messages)
        self.assertEqual(told, [(number, total) for number in range(1, total + 1)])

    def test_no_percentage(self) -> None:
        """What is no percentage is refused."""
        for share in (-0.1, 100.1, float("nan")):
            self.assertRaises(CallerError, result, self.device.check(read_data=share))

    def test_cancelled(self) -> None:
        """A check that is cancelled reads no further, and the next one is not held up."""
        store = self.folder.store()
        device = self.folder.device(store=store)
        open_gate, turnstile = store.gate, Turnstile("message")
        store.gate = turnstile
        work = device.check(read_data=100)
        self.assertNoResult(work)
        work.cancel()
        while turnstile.held:
            turnstile.release()
        self.failureResultOf(work, CancelledError)
        store.gate = open_gate
        self.assertEqual(self.found(device), {})


class Unreadable:
    """Lets every message be read but one."""

    def __init__(self, uid: int) -> None:
        self._uid = uid

    def of(self, message: Any) -> Any:
        def read(uid: int) -> Deferred[bytes]:
            if uid == self._uid:
                raise Unavailable
            return message(uid)

        return read


class ObjectTests(CheckCase):
    """The objects of the folder."""

    def object_at(self, prefix: str) -> int:
        return next(uid for uid in self.folder.shelf.messages if self.version(uid).path.startswith(prefix))

    def write(self, path: str, content: bytes) -> None:
        result(Deferred.fromCoroutine(self.device.desk.writer.write(path, content, Change())))

    def test_folder_object(self) -> None:
        """One that is damaged or gone is damage, without reading contents."""
        uid = self.object_at("IFAP/keys/folder-")
        device = self.folder.device()
        self.spoil(uid)
        self.assertEqual(self.found(device, share=0)["folder-object"].severity, DAMAGE)
        self.folder.shelf.remove([uid])
        self.assertEqual(self.found(device, share=0)["folder-object"].path, None)

    def test_record(self) -> None:
        """A record that says nothing is damage."""
        self.write(RECORDS + "v" * 22, b"nonsense")
        found = self.found(self.folder.device())["object"]
        self.assertEqual((found.severity, found.path), (DAMAGE, RECORDS + "v" * 22))

    def test_snapshot(self) -> None:
        """A good one has no finding; one that is no snapshot, or names messages of other paths, is a warning."""
        result(self.device.snapshot())
        self.assertEqual(self.found(), {})
        lie = b'{"tree": {"a": [%d, {}, [%d, %d]]}, "seen": []}' % (self.b, self.a, self.b)
        for content, code in ((b"nonsense", "snapshot-corrupt"), (zlib.compress(lie), "snapshot-wrong")):
            self.write(IFAP.snapshot_path, content)
            found = self.found()
            self.assertEqual({one.code: one.severity for one in found.values()}, {code: WARNING})

    def slot(self, change: Any = lambda slot: slot, kind: str = RECOVERY) -> bytes:
        """The message of a slot of this folder, after a change."""
        home = self.device.desk.view.home or ""
        held = Unwrapped(keys=(KEY,), home=home, generation=1, dialect="ifap")
        how = Derivation.draw(self.folder.random, stretched=kind != RECOVERY)
        secret = bytes(range(32))
        slot = wrap(held, RECOVERY, secret, how=how, random=self.folder.random) if kind == RECOVERY else None
        content = b"junk" if slot is None else change(slot).encode()
        draft = Draft(
            path=f"{SLOTS}{kind}-x", vid="f" * 22, writer=WRITER, clock={WRITER: 1}, home=home, modified=START
        )
        return envelope.seal(draft, content, dialect=IFAP, key=None, now=START, random=self.folder.random).message

    def test_key_slots(self) -> None:
        """One that is right has no finding, nor has one that is of a later release."""
        self.folder.shelf.add(self.slot())
        self.assertEqual(self.found(self.folder.device(), share=0), {})

    def test_bad_key_slots(self) -> None:
        """Junk, of another folder, of a key that the folder does not know: a warning beside a good one, else damage."""
        changes: list[Any] = [
            lambda slot: replace(slot, commit=b""),
            lambda slot: replace(slot, home="x" * 8),
            lambda slot: replace(slot, generation=2),
        ]
        for change in changes:
            uid = self.folder.shelf.add(self.slot(change))
            found = self.found(self.folder.device(), share=0)
            self.assertEqual([(one.code, one.severity) for one in found.values()], [("key-slot", DAMAGE)])
            good = self.folder.shelf.add(self.slot())
            found = self.found(self.folder.device(), share=0)
            self.assertEqual([(one.code, one.severity) for one in found.values()], [("key-slot", WARNING)])
            self.folder.shelf.remove([uid, good])
        self.folder.shelf.add(self.slot(kind=PASSPHRASE))
        self.folder.shelf.add(self.slot())
        (found,) = self.found(self.folder.device(), share=0).values()
        self.assertEqual((found.code, found.severity, found.places), ("key-slot", DAMAGE, 1))
        self.assertIn("passphrase", found.text)

    def test_a_huge_key_slot(self) -> None:
        """It is not fetched."""
        uid = self.folder.shelf.add(self.slot() + b" " * 200_000)
        device = self.folder.device()
        device.desk.view.store.message = Unreadable(uid).of(device.desk.view.store.message)  # type: ignore[method-assign]
        self.assertIn("too long", self.found(device, share=0)["key-slot"].text)

    def test_damaged_snapshot(self) -> None:
        """It is disposable: no damage, whatever became of it."""
        result(self.device.snapshot())
        self.spoil(max(self.folder.shelf.messages))
        self.assertEqual({one.code: one.severity for one in self.found().values()}, {"truncated": WARNING})


class DialectTests(SynchronousTestCase):
    """Folders of other kinds."""

    def test_mailfile(self) -> None:
        """A folder of the other dialect is checked like any other."""
        folder = Folder()
        key = Key.from_text("abc")
        folder.shelf.add(reference_writer.encode("a", b"x", {"ts": int(START)}, dialect="mailfile", key=key.text))
        membership = Membership(keys=(key,))
        device = folder.device(membership)
        self.assertEqual(result(device.status()).dialect, MAILFILE.name)
        found = result(device.check(read_data=100))
        self.assertEqual([one.code for one in found.findings], ["unbound"])
