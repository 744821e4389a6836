"""Mending a folder: what may be mended is, nothing is removed, and what is in doubt stays as it is."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail

from ifap_twisted.core import limits
from ifap_twisted.core.findings import (
    DAMAGE,
    FOLDER_OBJECT,
    NOTE,
    RESTORE,
    REWRITE,
    SET_ASIDE,
    SNAPSHOT,
    WARNING,
    Checkup,
    Finding,
)
from ifap_twisted.core.records import RECORDS
from ifap_twisted.errors import ReadOnly, Truncated, Unavailable
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import Turnstile
from ifap_twisted.testing import reference_writer
from tests.filesystem.folders import result
from tests.filesystem.machines import Machine
from tests.filesystem.test_checking import CheckCase, Unreadable
from tests.filesystem.uploads import LARGE, noise

OTHER = "yyyyyy"


class MendingCase(CheckCase):
    """A folder with the files a, in two versions, and b; and a machine that has seen it."""

    def setUp(self) -> None:
        super().setUp()
        self.newer = self.put("a", b"newer")
        self.machine = Machine(self.folder)
        self.machine.look(700.0)
        self.device = self.machine.start()

    def repaired(self, device: Filesystem | None = None, share: float = 100) -> Checkup:
        """Mend; every message that was there stays as it was."""
        before = dict(self.folder.shelf.messages)
        found: Checkup = result((device or self.device).check(read_data=share, repair=True))
        after = self.folder.shelf.messages
        self.assertEqual({uid: after[uid] for uid in before}, before, "a repair removes and changes nothing")
        return found

    def one(self, code: str, found: Checkup) -> Finding:
        """The only finding of a code."""
        (finding,) = (finding for finding in found.findings if finding.code == code)
        return finding

    def left_alone(self, code: str, device: Filesystem | None = None) -> Finding:
        """Nothing is written, and the finding is damage afterwards."""
        before = dict(self.folder.shelf.messages)
        finding = self.one(code, self.repaired(device))
        self.assertEqual(dict(self.folder.shelf.messages), before)
        self.assertEqual((finding.severity, finding.mended), (DAMAGE, False))
        return finding


class RemedyTests(MendingCase):
    """What is done about what."""

    def test_restore(self) -> None:
        """The newest whole version becomes current again with all that it said of itself; the damaged one stays."""
        result(self.device.put("c", b"old", mode=0o600, modified=5.0, mime="text/x-old"))
        old = result(self.device.stat("c"))
        bad = result(self.device.put("c", b"new"))
        self.spoil(max(self.folder.shelf.messages))
        found = self.one("truncated", self.check())
        self.assertEqual((found.remedy, found.mended, found.path), (RESTORE, False, "c"))
        self.assertTrue(self.one("truncated", self.repaired()).mended)
        now = result(self.device.stat("c"))
        self.assertEqual(result(self.device.get("c")), b"old")
        self.assertEqual((now.mode, now.modified, now.mime), (old.mode, old.modified, old.mime))
        self.assertIn(bad.version, [one.version for one in result(self.device.versions("c"))])

    def test_restore_the_newest_whole_one(self) -> None:
        """One that turns out to be damaged, too, is passed over, though no check had read it."""
        newest = self.put("a", b"newest")
        self.spoil(newest)
        self.assertRaises(Truncated, result, self.device.get("a"))
        self.spoil(self.newer)
        self.repaired(share=0)
        self.assertEqual(result(self.device.get("a")), b"hello")

    def test_restore_what_lost_its_header(self) -> None:
        """Whose newest message is there, and cannot be told to be its own any more, is known from before."""
        result(self.device.close())
        message = bytearray(self.folder.shelf.messages[self.newer])
        message[60] ^= 1
        self.folder.shelf.tamper(self.newer, bytes(message))
        device = self.machine.start()
        found = self.one("tampered", self.check(device))
        self.assertEqual((found.path, found.remedy), ("a", RESTORE))
        self.repaired(device)
        self.assertEqual(result(device.get("a")), b"hello")
        self.assertEqual([one.severity for one in self.check(device).findings], [NOTE])

    def test_rewrite(self) -> None:
        """Both files of one id get ids of their own."""
        vid = self.version(self.newer).vid
        self.folder.shelf.add(self.sealed(path="c", vid=vid))
        self.assertEqual(self.one("vid-collision", self.check()).remedy, REWRITE)
        self.repaired()
        versions = {result(self.device.stat(path)).version for path in ("a", "c")}
        self.assertEqual((len(versions), vid in versions), (2, False))
        self.assertEqual((result(self.device.get("a")), result(self.device.get("c"))), (b"newer", b"c"))
        self.assertEqual(self.one("vid-collision", self.check()).severity, NOTE)

    def test_rewrite_a_removal(self) -> None:
        """A removed file of that id stays removed."""
        result(self.device.remove("b"))
        vid = self.version(max(self.folder.shelf.messages)).vid
        self.folder.shelf.add(self.sealed(path="c", vid=vid))
        self.assertTrue(self.one("vid-collision", self.repaired()).mended)
        self.assertEqual([entry.path for entry in result(self.device.list())], ["a", "c"])

    def test_replaced_versions_of_one_id(self) -> None:
        """They are of no use to anybody: nothing is written."""
        vid = self.version(self.a).vid
        self.folder.shelf.add(self.sealed(path="c", vid=vid))
        result(self.device.put("c", b"current"))
        self.assertEqual(self.one("vid-collision", self.check()).remedy, SET_ASIDE)
        self.assertEqual(self.repaired().damaged, 0)

    def test_folder_object(self) -> None:
        """It is written again with the name that all messages have; then new devices can join."""
        (uid,) = (uid for uid in self.folder.shelf.messages if self.version(uid).path.startswith("IFAP/keys/folder-"))
        self.spoil(uid)
        self.assertEqual(self.one("folder-object", self.check()).remedy, FOLDER_OBJECT)
        self.repaired()
        self.assertEqual({one.severity for one in self.check().findings}, {NOTE})
        self.assertEqual(result(self.folder.device().get("a")), b"newer")

    def test_folder_object_while_it_is_known(self) -> None:
        """A device that knew the names of chunks by the old one goes by the new one: others can read what it stores."""
        other, content = self.folder.device(options=LARGE), noise(5000)
        result(other.put("large", content))
        (uid,) = (uid for uid in self.folder.shelf.messages if self.version(uid).path.startswith("IFAP/keys/folder-"))
        shelf = self.folder.shelf
        shelf.remove([uid for uid in shelf.messages if self.version(uid).path.startswith(("IFAP/chunks/", "large"))])
        self.spoil(uid)
        self.repaired(self.folder.device())
        result(other.refresh())
        result(other.put("new", content))
        self.assertEqual(result(self.folder.device().get("new")), content)

    def test_folder_object_with_chunks(self) -> None:
        """What later releases keep in chunks could not be checked under another one."""
        (uid,) = (uid for uid in self.folder.shelf.messages if self.version(uid).path.startswith("IFAP/keys/folder-"))
        self.folder.shelf.add(self.sealed(path="IFAP/chunks/x"))
        self.spoil(uid)
        self.assertEqual(self.left_alone_but_aside("folder-object"), "")

    def left_alone_but_aside(self, code: str) -> str:
        """The remedy of a finding that stays."""
        finding = self.one(code, self.repaired())
        self.assertFalse(finding.mended)
        return finding.remedy

    def test_folder_object_of_a_later_release(self) -> None:
        """It is no damage, and is not written over."""
        path = "IFAP/keys/folder-" + self.version(self.a).home
        (uid,) = (uid for uid in self.folder.shelf.messages if self.version(uid).path == path)
        self.folder.shelf.forget(uid)
        result(Deferred.fromCoroutine(self.device.desk.writer.write(path, b'{"v":2}', Change())))
        found = self.one("newer-version-needed", self.repaired())
        self.assertEqual((found.severity, found.remedy), (WARNING, ""))

    def test_snapshot(self) -> None:
        """A bad one is replaced."""
        result(Deferred.fromCoroutine(self.device.desk.writer.write("IFAP/Snapshot/ifap", b"x", Change())))
        path = self.device.desk.view.dialect.snapshot_path
        result(Deferred.fromCoroutine(self.device.desk.writer.write(path, b"nonsense", Change())))
        self.assertEqual(self.one("snapshot-corrupt", self.check()).remedy, SNAPSHOT)
        self.assertTrue(self.one("snapshot-corrupt", self.repaired()).mended)
        self.assertEqual(self.check().findings, ())

    def test_snapshot_while_files_are_missing(self) -> None:
        """A new one would hide that from others."""
        path = self.device.desk.view.dialect.snapshot_path
        result(Deferred.fromCoroutine(self.device.desk.writer.write(path, b"nonsense", Change())))
        self.folder.shelf.remove([self.b])
        self.assertEqual(
            {one.code: one.remedy for one in self.repaired().findings}, {"snapshot-corrupt": "", "vanished": ""}
        )

    def test_set_aside(self) -> None:
        """Forged messages, bad copies, unreadable old versions, removals and records become notes that stay listed."""
        self.folder.shelf.add(reference_writer.encode("x", b"plain"))
        self.folder.shelf.add(self.folder.shelf.messages[self.b])
        self.spoil(self.b)
        self.spoil(self.a)
        result(self.device.remove("b"))
        self.spoil(max(self.folder.shelf.messages), 10)
        result(Deferred.fromCoroutine(self.device.desk.writer.write(RECORDS + "v" * 22, b"nonsense", Change())))
        found = self.check()
        self.assertEqual({one.remedy for one in found.findings if one.code != "doubled"}, {SET_ASIDE})
        before = dict(self.folder.shelf.messages)
        self.assertEqual(self.repaired().damaged, 0)
        self.assertEqual(dict(self.folder.shelf.messages), before, "nothing is written for it")
        after = self.check()
        self.assertEqual({one.severity for one in after.findings}, {NOTE})
        self.assertEqual(after.counts(), found.counts(), "all of it is still listed")


class AsideTests(MendingCase):
    """What was set aside."""

    def setUp(self) -> None:
        super().setUp()
        self.spoil(self.a)
        self.repaired()

    def severities(self, device: Filesystem) -> list[str]:
        """Of all findings."""
        return [one.severity for one in self.check(device).findings]

    def test_other_processes(self) -> None:
        """Is a note for later processes of the device, and damage for another device."""
        self.assertEqual(self.severities(self.device), [NOTE])
        result(self.device.close())
        self.assertEqual(self.severities(self.machine.start()), [NOTE])
        self.assertEqual(self.severities(self.folder.device()), [DAMAGE])

    def test_a_power_cut(self) -> None:
        """Is kept a second later, also when the process never ends."""
        self.folder.clock.advance(1.0)
        self.assertEqual(self.severities(self.machine.start()), [NOTE])

    def test_wrong_in_another_way(self) -> None:
        """Is told anew."""
        other = self.folder.shelf.messages[self.b].split(b"\r\n\r\n", 1)[1]
        head = self.folder.shelf.messages[self.a].split(b"\r\n\r\n", 1)[0]
        self.folder.shelf.tamper(self.a, head + b"\r\n\r\n" + other)
        self.assertEqual([(one.code, one.severity) for one in self.check().findings], [("spliced", DAMAGE)])

    def test_renumbered(self) -> None:
        """Is not known any more under other numbers."""
        self.folder.shelf.renumber()
        self.assertEqual(self.severities(self.device), [DAMAGE])
        result(self.device.close())
        self.assertEqual(self.severities(self.machine.start()), [DAMAGE])

    def test_gone(self) -> None:
        """Is forgotten with its message."""
        self.folder.shelf.remove([self.a])
        result(self.device.refresh())
        self.assertEqual(self.device.desk.view.aside, set())

    def test_current_again(self) -> None:
        """Is damage again when it is the newest version that is left."""
        self.device.desk.view.set_aside([self.newer], "truncated")
        self.spoil(self.newer)
        self.assertEqual(
            {(one.version, one.severity) for one in self.check().findings},
            {(self.version(self.newer).vid, DAMAGE), (self.version(self.a).vid, NOTE)},
        )

    def test_too_many(self) -> None:
        """There is an end to what is remembered; the rest is told again."""
        self.device.desk.view.set_aside(range(1000, 1000 + limits.FAULTS - 1), "foreign-key")
        self.put("b", b"again")
        self.spoil(self.b)
        finding = self.left_alone("truncated")
        self.assertIn("It was not mended: So many", finding.text)

    def left_alone(self, code: str, device: Filesystem | None = None) -> Finding:
        """Of several findings of one code the one that is damage."""
        (finding,) = (one for one in self.repaired(device).findings if one.code == code and one.severity == DAMAGE)
        return finding


class DoubtTests(MendingCase):
    """What is left alone."""

    def test_missing(self) -> None:
        """It may come back."""
        self.folder.shelf.remove([self.newer])
        self.left_alone("vanished")

    def test_conflicts(self) -> None:
        """Which of two versions is meant is for a person, whole or not."""
        self.folder.shelf.add(self.sealed(path="b"))
        self.spoil(self.b)
        self.assertEqual(self.left_alone("truncated").remedy, "")

    def test_nothing_whole(self) -> None:
        """Of what cannot be read in any version nothing can be made."""
        self.spoil(self.b)
        self.assertEqual(self.left_alone("truncated").remedy, "")

    def test_one_id_in_a_conflict(self) -> None:
        """The conflict comes first."""
        self.folder.shelf.add(self.sealed(path="b"))
        self.folder.shelf.add(self.sealed(path="c", vid=self.version(self.b).vid, writer=OTHER, clock={OTHER: 1}))
        self.assertEqual(self.left_alone("vid-collision").remedy, "")

    def test_incomplete(self) -> None:
        """While not all is listed nothing is mended."""
        store = self.folder.store()
        device = self.folder.device(store=store)
        store.hide(self.b)
        self.spoil(self.newer)
        self.folder.shelf.add(reference_writer.encode("x", b"plain"))
        before = dict(self.folder.shelf.messages)
        found = self.repaired(device)
        self.assertEqual(dict(self.folder.shelf.messages), before)
        self.assertEqual((found.mended, found.complete, {one.remedy for one in found.findings}), (0, False, {""}))

    def test_not_given_now(self) -> None:
        """What the server refuses to give is not damaged; what it is about waits, the rest is mended."""
        self.spoil(self.newer)
        self.put_bad_copy()
        store = self.folder.store()
        device = self.folder.device(store=store)
        self.check(device)
        store.message = Unreadable(self.newer).of(store.message)  # type: ignore[method-assign]
        before = dict(self.folder.shelf.messages)
        found = {one.path: one.mended for one in self.repaired(device).findings if one.code == "truncated"}
        self.assertEqual(found, {"a": False, "b": True})
        self.assertEqual(dict(self.folder.shelf.messages), before)

    def test_garbled_once(self) -> None:
        """What a second look finds whole is not mended, and no finding any more."""
        whole = self.spoil(self.newer)
        self.check()
        self.folder.shelf.tamper(self.newer, whole)
        before = dict(self.folder.shelf.messages)
        self.assertEqual(self.repaired(share=0).findings, ())
        self.assertEqual(dict(self.folder.shelf.messages), before)

    def test_two_looks(self) -> None:
        """Also one that reads everything looks twice before it mends."""
        whole, reads = self.spoil(self.newer), []
        store = self.folder.store()
        device = self.folder.device(store=store)
        read = store.message

        def message(uid: int) -> Deferred[bytes]:
            reads.append(uid)
            if reads.count(self.newer) > 1:
                self.folder.shelf.tamper(self.newer, whole)
            return read(uid)

        store.message = message  # type: ignore[method-assign]
        before = self.folder.shelf.uidnext
        found = result(device.check(read_data=100, repair=True))
        self.assertEqual((found.findings, self.folder.shelf.uidnext), ((), before))

    def test_read_only(self) -> None:
        """Nothing can be written."""
        device = self.folder.device(store=self.folder.store(read_only=True))
        self.assertRaises(ReadOnly, result, device.check(repair=True))

    def test_written_meanwhile(self) -> None:
        """What somebody wrote over it is not replaced."""
        self.spoil(self.newer)
        store = self.folder.store()
        device = self.folder.device(store=store)
        store.gate = turnstile = Turnstile("append")
        work = device.check(read_data=100, repair=True)
        result(self.folder.device().put("a", b"theirs"))
        turnstile.release()
        found = self.one("truncated", result(work))
        self.assertFalse(found.mended)
        self.assertIn("It was not mended", found.text)
        self.assertEqual(result(self.folder.device().get("a")), b"theirs")

    def test_locked(self) -> None:
        """A file that somebody holds is not written; the rest is mended."""
        self.spoil(self.newer)
        result(self.folder.device().lock("a"))
        self.put_bad_copy()
        found = {one.path: (one.mended, one.text) for one in self.repaired().findings if one.code == "truncated"}
        self.assertEqual((found["a"][0], found["b"][0]), (False, True))
        self.assertIn("It was not mended: It is locked", found["a"][1])

    def put_bad_copy(self) -> None:
        """Of b, whose other copy is whole."""
        self.folder.shelf.add(self.folder.shelf.messages[self.b])
        self.spoil(self.b)

    def test_the_server_fails(self) -> None:
        """The first failure of the server ends it; what was not done is told with the reason."""
        self.spoil(self.newer)
        self.put_bad_copy()
        store = self.folder.store()
        device = self.folder.device(store=store)
        store.append = lambda _message: fail(Unavailable("The server is away."))  # type: ignore[method-assign]
        found = [one for one in self.repaired(device).findings if one.code == "truncated"]
        self.assertEqual([one.mended for one in found], [False, False])
        self.assertTrue(all("It was not mended" in one.text for one in found))
