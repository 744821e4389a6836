"""The local Maildir: held to the contract, and what only a directory of files can do."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from errno import EACCES, EIO, ENOSPC, EXDEV
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import (
    BadSettings,
    Malformed,
    MessageGone,
    NewerVersionNeeded,
    OutcomeUnknown,
    QuotaExceeded,
    Refused,
    Renumbered,
    TooLarge,
    Unavailable,
)
from ifap_twisted.store.maildir import MaildirStore
from ifap_twisted.store.maildir_files import SETTLED_SECONDS
from ifap_twisted.store.maildir_numbers import load, save
from ifap_twisted.workers import InlineWorker, ThreadWorker
from tests.contract.message_store import Ear, MessageStoreContract, Quirks
from tests.messages import anything, letter, mail, metadata_of


class MaildirContractTests(MessageStoreContract, TestCase):
    """With all file work done at once."""

    quirks = Quirks(pushes=False)
    worker = InlineWorker()
    base = ""

    def make_store(self):
        """Another store on the folder."""
        return self.on("FOLDER")

    def make_elsewhere(self):
        """A store on another folder."""
        return self.on("OTHER")

    def on(self, folder):
        """A store on a folder below this test's directory."""
        from twisted.internet import reactor  # noqa: TID251 -- the clock for waits between threads

        self.base = self.base or self.mktemp()
        return MaildirStore(self.base, folder, worker=self.worker, clock=reactor)


class ThreadedMaildirContractTests(MaildirContractTests):
    """With file work in threads, several at a time."""

    async def setUp(self):
        """Start threads."""
        from twisted.internet import reactor  # noqa: TID251 -- threads report to it

        self.worker = ThreadWorker(reactor, 3)
        self.addCleanup(self.worker.stop)
        await super().setUp()


class Folder(SynchronousTestCase):
    """A folder with three messages, two stores on it, and a stand-in for the reference."""

    def setUp(self):
        """Open."""
        self.clock = Clock()
        self.base = Path(self.mktemp())
        self.folder = self.base / "FOLDER"
        self.store, self.other = self.make(), self.make()
        self.first = self.now(self.store.open())
        self.ear = Ear()
        for name in "abc":
            self.now(self.store.append(letter(name)))
        self.now(self.other.open())
        self.other.listen(self.ear)

    def make(self, worker=None, **options):
        """Another store on the folder."""
        return MaildirStore(self.base, "FOLDER", worker=worker or InlineWorker(), clock=self.clock, **options)

    def now(self, call):
        """The result of a call that has ended."""
        return self.successResultOf(call)

    def reference_appends(self, message, *, age=60):
        """Append as the reference does: the highest number that is there + 1, LF, in place, without a lock."""
        names = os.listdir(self.folder / "cur") + os.listdir(self.folder / "new")
        number = max([int(name[4:].split(":")[0], 16) for name in names if name.startswith("eml-")], default=0) + 1
        path = self.folder / "cur" / f"eml-{number:08x}:2,"
        path.write_bytes(message.replace(b"\r\n", b"\n"))
        self.make_older(path, age)
        return number

    def make_older(self, path, seconds):
        """Let a file be as old as this."""
        found = path.stat()
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns - seconds * 10**9))

    def path(self, uid):
        """The file of a message."""
        return self.folder / "cur" / f"eml-{uid:08x}:2,"


class NewFilesTests(Folder):
    """A folder of files that are too new to be complete, if others made them."""

    def test_who_opens_it_waits_for_them(self):
        """A removal was cut before it was noted, so that nobody knows whose they are: it never looks empty at first."""
        self.path(3).unlink()
        opening = self.make().open()
        self.assertNoResult(opening)
        for uid in (1, 2):
            self.make_older(self.path(uid), 3)
        self.clock.advance(SETTLED_SECONDS)
        self.assertEqual(self.now(opening).exists, 2)

    def test_only_once(self):
        """One that is written again and again holds up nobody for longer."""
        self.reference_appends(letter("d"), age=0)
        opening = self.make().open()
        self.assertNoResult(opening)
        self.clock.advance(SETTLED_SECONDS)
        self.assertEqual(self.now(opening).exists, 3)

    def test_what_was_stored_here_is_not_waited_for(self):
        """Its files are known to be complete."""
        self.assertEqual(self.now(self.make().open()).exists, 3)


class LayoutTests(Folder):
    """What lies on the disk."""

    def test_names(self):
        """Messages lie in ``cur`` under the names of the reference, and nothing is left in ``tmp``."""
        names = ["eml-00000001:2,", "eml-00000002:2,", "eml-00000003:2,"]
        self.assertEqual(sorted(os.listdir(self.folder / "cur")), names)
        self.assertEqual(os.listdir(self.folder / "tmp") + os.listdir(self.folder / "new"), [])

    def test_line_ends(self):
        """Files have LF, so that the reference, which puts a CR before every LF, reads what was sent."""
        stored = self.path(1).read_bytes()
        self.assertNotIn(b"\r", stored)
        self.assertEqual(stored.replace(b"\n", b"\r\n"), letter("a"))

    def test_file_with_crlf(self):
        """A file that has CRLF is read as it is, with its true size."""
        path = self.folder / "cur" / "eml-0000000a:2,"
        path.write_bytes(letter("d", size=5000))
        self.make_older(path, 60)
        self.assertEqual(self.now(self.store.headers(10))[10].size, len(letter("d", size=5000)))
        self.assertEqual(self.now(self.store.message(10)), letter("d", size=5000))

    def test_bare_line_ends_are_refused(self):
        """A message with a bare CR or LF is refused, because it would not come back as it was."""
        for bad in (b"\n", b"\r", b"\r\r\n", b"x\n\r"):
            self.failureResultOf(self.store.append(mail(b"text" + bad + b"\r\n")), Refused)
        self.assertEqual(self.now(self.store.poll()).exists, 3)

    def test_private(self):
        """Nobody else can read the folder or its files."""
        for path in (self.folder, self.folder / "cur", self.path(1), self.folder / ".ifap-uids"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_foreign_files_are_left_alone(self):
        """Files of others are neither listed nor touched, whatever they are."""
        foreign = [
            "eml-x:2,",
            "1700000000.M1P2.host:2,S",
            "eml-00000009",
            ".hidden",
            "eml-000000001:2,",
            "eml-00000000:2,",
        ]
        for name in foreign:
            (self.folder / "cur" / name).write_bytes(mail())
        (self.folder / "tmp" / "1700000000.M1P2.host").write_bytes(mail())
        self.assertEqual(self.now(self.store.uids(1)), [1, 2, 3])
        self.now(self.store.append(letter("d")))
        self.now(self.store.remove([1, 2, 3], self.first.uidvalidity, anything))
        self.now(self.store.open())
        self.assertEqual(sorted(os.listdir(self.folder / "cur")), sorted([*foreign, "eml-00000004:2,"]))
        self.assertEqual(os.listdir(self.folder / "tmp"), ["1700000000.M1P2.host"])

    def test_links_and_pipes_are_not_followed(self):
        """A link, a pipe or a directory under the name of a message is not read, and nothing hangs."""
        secret = self.base / "secret"
        secret.write_bytes(letter("secret"))
        (self.folder / "cur" / "eml-0000000a:2,").symlink_to(secret.absolute())
        os.mkfifo(self.folder / "cur" / "eml-0000000b:2,")
        (self.folder / "cur" / "eml-0000000c:2,").mkdir()
        for name in ("eml-0000000a:2,", "eml-0000000b:2,", "eml-0000000c:2,"):
            os.utime(self.folder / "cur" / name, (1, 1), follow_symlinks=False)
        self.assertEqual(sorted(self.now(self.store.headers(1))), [1, 2, 3])
        for uid in (10, 11, 12):
            self.failureResultOf(self.store.message(uid), MessageGone)

    def test_seen_by_a_mail_program(self):
        """A message that another program flagged or moved keeps its UID and can be read."""
        self.path(2).rename(self.folder / "cur" / "eml-00000002:2,S")
        self.path(1).rename(self.folder / "new" / "eml-00000001:2,")
        self.assertEqual(self.now(self.store.message(2)), letter("b"))
        self.assertEqual(self.now(self.store.uids(1)), [1, 2, 3])
        self.assertEqual(self.now(self.store.poll()).uidvalidity, self.first.uidvalidity)

    def test_twice_the_same_number(self):
        """Of two files with one number that in ``cur`` counts."""
        (self.folder / "new" / "eml-00000002:2,").write_bytes(mail())
        self.assertEqual(self.now(self.store.message(2)), letter("b"))
        self.assertEqual(self.now(self.store.poll()).exists, 3)

    def test_stale_temporary_files(self):
        """What crashed processes of ours left in ``tmp`` is removed after 36 hours, and nothing else is."""
        old, young, foreign = (self.folder / "tmp" / name for name in ("ifap-1-1", "ifap-1-2", "other"))
        for path in (old, young, foreign):
            path.write_bytes(b"")
        self.make_older(old, 37 * 3600)
        self.make_older(foreign, 37 * 3600)
        self.now(self.store.open())
        self.assertEqual(sorted(os.listdir(self.folder / "tmp")), ["ifap-1-2", "other"])

    def test_headers_without_reading_bodies(self):
        """A message that is larger than any that is read is listed, and its content is ``Malformed``."""
        path = self.folder / "cur" / "eml-0000000a:2,"
        with path.open("wb") as file:
            file.write(letter("d").replace(b"\r\n", b"\n"))
            file.truncate(limits.LITERAL + 1)
        self.make_older(path, 60)
        block = self.now(self.store.headers(10))[10]
        self.assertEqual(block.size, limits.LITERAL + 1)
        self.assertEqual(b"".join(block.fields.partition(b":")[2].split()), metadata_of("d"))
        self.failureResultOf(self.store.message(10), Malformed)

    def test_endless_header(self):
        """A header without an end is that of foreign mail."""
        path = self.folder / "cur" / "eml-0000000a:2,"
        path.write_bytes(b"X-IFAP: x\n" + b"A: b\n" * 100_000)
        self.make_older(path, 60)
        self.assertEqual(self.now(self.store.headers(10))[10].fields, b"")


class NumberTests(Folder):
    """Numbers are never given twice, whatever happens."""

    def test_counter_survives(self):
        """After the newest messages were removed, another process goes on above them."""
        self.now(self.store.remove([2, 3], self.first.uidvalidity, anything))
        self.now(self.store.close())
        store = self.make()
        self.assertEqual(self.now(store.open()).uidnext, 4)
        self.assertEqual(self.now(store.append(letter("d"))).uid, 4)
        self.assertEqual(self.now(store.poll()).uidvalidity, self.first.uidvalidity)

    def test_reference_appends(self):
        """What the reference appends above our messages is adopted under its number."""
        self.assertEqual(self.reference_appends(letter("d")), 4)
        self.assertEqual(self.now(self.store.poll()).exists, 4)
        self.assertEqual(self.now(self.store.message(4)), letter("d"))
        self.assertEqual(self.now(self.store.append(letter("e"))).uid, 5)
        self.assertEqual(self.now(self.store.poll()).uidvalidity, self.first.uidvalidity)

    def test_reference_is_still_writing(self):
        """A file that the reference may be writing still is not shown, and nobody gets its number."""
        self.reference_appends(letter("d")[:100], age=0)
        self.assertEqual(self.now(self.store.uids(1)), [1, 2, 3])
        self.assertEqual(self.now(self.store.append(letter("e"))).uid, 5)
        self.assertEqual(self.now(self.store.uids(1)), [1, 2, 3, 5])
        self.path(4).write_bytes(letter("d").replace(b"\r\n", b"\n"))
        self.make_older(self.path(4), 3)
        self.assertEqual(self.now(self.store.uids(1)), [1, 2, 3, 4, 5])
        self.assertEqual(self.now(self.store.message(4)), letter("d"))
        self.assertEqual(self.now(self.store.poll()).uidvalidity, self.first.uidvalidity)

    def test_reference_uses_our_number_again(self):
        """When we removed the newest and the reference uses its number again, UIDVALIDITY changes."""
        self.now(self.store.remove([3], self.first.uidvalidity, anything))
        self.assertEqual(self.reference_appends(letter("d")), 3)
        state = self.now(self.other.poll())
        self.assertNotEqual(state.uidvalidity, self.first.uidvalidity)
        self.assertEqual(self.ear.words(), ["renumbered"])
        self.assertEqual(self.now(self.other.message(3)), letter("d"))

    def test_reference_is_still_writing_under_our_number(self):
        """A file with a number that was given again is not shown before it is complete either."""
        self.now(self.store.remove([3], self.first.uidvalidity, anything))
        for uid in (1, 2):
            self.make_older(self.path(uid), 60)
        self.reference_appends(letter("d")[:100], age=0)
        self.now(self.other.poll())
        self.assertEqual(self.ear.words(), ["renumbered"])
        self.assertEqual(self.now(self.other.uids(1)), [1, 2])
        self.make_older(self.path(3), 60)
        self.assertNotEqual(self.now(self.other.poll()).uidvalidity, self.first.uidvalidity)
        self.assertEqual(self.now(self.other.uids(1)), [1, 2, 3])

    def test_reference_uses_its_own_number_again(self):
        """So it does when the reference itself removed the newest and used its number again between two looks."""
        self.reference_appends(letter("d"))
        self.now(self.other.poll())
        self.path(4).unlink()
        self.assertEqual(self.reference_appends(letter("e")), 4)
        self.assertNotEqual(self.now(self.other.poll()).uidvalidity, self.first.uidvalidity)

    def test_removed_by_the_reference(self):
        """It does too when the newest is gone and was not removed by us: its number may have been used meanwhile."""
        self.path(3).unlink()
        state = self.now(self.store.poll())
        self.assertNotEqual(state.uidvalidity, self.first.uidvalidity)
        self.assertEqual(self.now(self.store.append(letter("d"))).uid, 4)
        self.assertEqual(self.now(self.store.poll()).uidvalidity, state.uidvalidity)

    def test_older_removed_by_the_reference(self):
        """An older message that the reference removed has vanished, and the numbers stay."""
        self.path(1).unlink()
        self.assertEqual(self.now(self.other.poll()).uidvalidity, self.first.uidvalidity)
        self.assertEqual(self.ear.gone(), [1])

    def test_overwritten_newest(self):
        """A newest message that was written over is another message."""
        self.path(3).write_bytes(letter("z").replace(b"\r\n", b"\n") + b"\n")
        self.assertNotEqual(self.now(self.store.poll()).uidvalidity, self.first.uidvalidity)

    def test_reading_never_mixes_numberings(self):
        """A call with UIDs of before fails as ``Renumbered``; nothing is removed and no other message is given."""
        for call in (
            lambda: self.other.message(3),
            lambda: self.other.headers(1),
            lambda: self.other.uids(1),
            lambda: self.other.remove([3], self.first.uidvalidity, anything),
        ):
            self.path(3).unlink()
            self.reference_appends(letter("d"))
            self.failureResultOf(call(), Renumbered)
            self.assertTrue(self.path(3).exists())
        self.assertEqual(self.now(self.other.message(3)), letter("d"))

    def test_lost_numbers(self):
        """When the file with the numbers is lost or damaged, UIDVALIDITY changes and the messages stay."""
        seen = {self.first.uidvalidity}
        for damage in (
            b"",
            b"{",
            b"[]",
            b'{"format": 1}',
            b'{"format":1,"uidvalidity":0,"last":1,"anchor":null}',
            None,
        ):
            path = self.folder / ".ifap-uids"
            path.unlink() if damage is None else path.write_bytes(damage)
            for uid in (1, 2, 3):
                self.make_older(self.path(uid), 60)
            state = self.now(self.store.poll())
            self.assertNotIn(state.uidvalidity, seen)
            seen.add(state.uidvalidity)
            self.assertEqual(state.exists, 3)

    def test_uidvalidity_differs_from_the_last(self):
        """A new UIDVALIDITY is never the one before, even when chance gives it, and is a number that IMAP allows."""
        values = iter([b"\xff\xff\xff\xfe", b"\xff\xff\xff\xfe", b"\xff\xff\xff\xff"])
        self.base = Path(self.mktemp())
        self.folder = self.base / "FOLDER"
        store = self.make(random=lambda _count: next(values))
        seen = [self.now(store.open()).uidvalidity]
        for name in "ab":
            self.now(store.append(letter(name)))
            self.path(max(self.now(store.uids(1)))).unlink()
            seen.append(self.now(store.poll()).uidvalidity)
        self.assertEqual(seen, [2**32 - 1, 1, 1 + 1])

    def test_newer_numbers(self):
        """Numbers of a newer version are refused and left untouched."""
        newer = b'{"format": 2}'
        (self.folder / ".ifap-uids").write_bytes(newer)
        self.failureResultOf(self.make().open(), NewerVersionNeeded)
        self.assertEqual((self.folder / ".ifap-uids").read_bytes(), newer)

    def test_a_folder_of_the_reference(self):
        """A folder that the reference made opens with all its messages, and goes on above them."""
        for name in ("tmp", "new", "cur"):
            (self.base / "THEIRS" / name).mkdir(parents=True)
        self.folder = self.base / "THEIRS"
        for name in "xyz":
            self.reference_appends(letter(name))
        store = MaildirStore(self.base, "THEIRS", worker=InlineWorker(), clock=self.clock)
        self.assertEqual(self.now(store.open(create=False)).exists, 3)
        self.assertEqual([self.now(store.message(uid)) for uid in (1, 2, 3)], [letter(name) for name in "xyz"])
        self.assertEqual(self.now(store.append(letter("d"))).uid, 4)

    def test_a_folder_without_its_empty_directories(self):
        """A folder that lost its empty directories, as copies do, is completed when it is opened."""
        (self.folder / "tmp").rmdir()
        (self.folder / "new").rmdir()
        store = self.make()
        self.assertEqual(self.now(store.open(create=False)).exists, 3)
        self.now(store.remove([1], self.first.uidvalidity, anything))
        self.assertEqual(self.now(store.append(letter("d"))).uid, 4)

    def test_no_number_left(self):
        """When the last number is taken, appends fail and store nothing."""
        (self.folder / "cur" / "eml-ffffffff:2,").write_bytes(mail())
        self.make_older(self.folder / "cur" / "eml-ffffffff:2,", 60)
        self.failureResultOf(self.store.append(letter("d")), Unavailable)
        self.assertEqual(len(os.listdir(self.folder / "cur")), 4)
        self.assertEqual(os.listdir(self.folder / "tmp"), [])

    def test_numbers_come_back(self):
        """What is saved is loaded."""
        view = load(self.folder)
        save(self.folder, view)
        self.assertEqual(load(self.folder), view)
        self.assertEqual((view.last, view.anchor[0]), (3, 3))


class NameTests(SynchronousTestCase):
    """Names of folders."""

    def test_leading_elsewhere(self):
        """A name that leads out of the directory, or into a Maildir's own, is refused."""
        for name in ("", "..", ".", "/etc", "a/../../b", "a//b", "a/", "cur", "a/tmp", "a\0b", "a\nb", "../x"):
            with self.assertRaises(BadSettings, msg=name):
                MaildirStore("/tmp", name, worker=InlineWorker(), clock=Clock())

    def test_levels(self):
        """A slash separates levels, and names may be of any script."""
        base = self.mktemp()
        store = MaildirStore(base, "Größe/IFAP DATA", worker=InlineWorker(), clock=Clock())
        self.successResultOf(store.open())
        self.assertTrue((Path(base) / "Größe" / "IFAP DATA" / "cur").is_dir())


class FailingFiles:
    """Files of which one method fails."""

    def __init__(self, files, method, error):
        self._files, self._method, self._error = files, method, error

    def __getattr__(self, name):
        """The method, or the failure."""
        if name == self._method:
            return self._fail
        return getattr(self._files, name)

    def _fail(self, *_args):
        raise self._error


class FailureTests(Folder):
    """The disk fails."""

    def failing(self, method, error):
        """A store whose files fail so."""
        store = self.make()
        self.now(store.open())
        store._files = FailingFiles(store._files, method, error)
        return store

    def test_disk_full(self):
        """A full disk is ``QuotaExceeded``, and nothing is stored."""
        store = self.failing("write_all", OSError(ENOSPC, "no space"))
        self.failureResultOf(store.append(letter("d")), QuotaExceeded)
        self.assertEqual(self.now(self.other.poll()).exists, 3)

    def test_not_permitted(self):
        """A folder that may not be written to refuses."""
        store = self.failing("write_all", OSError(EACCES, "denied"))
        error = self.failureResultOf(store.append(letter("d")), Refused).value
        self.assertEqual(error.response_code, "NOPERM")

    def test_other_failures(self):
        """Any other failure of the disk is ``Unavailable``."""
        store = self.failing("look", OSError(EXDEV, "odd"))
        self.failureResultOf(store.poll(), Unavailable)
        self.failureResultOf(store.uids(1), Unavailable)

    def test_failure_in_a_batch(self):
        """When one of several messages cannot be moved into place, those before it are stored and it is not."""
        (self.folder / "cur" / "eml-fffffffe:2,").write_bytes(mail())
        self.make_older(self.folder / "cur" / "eml-fffffffe:2,", 60)
        waiting = Waiting()
        store = self.make(worker=waiting)
        opening = store.open()
        waiting.run_all()
        self.now(opening)
        calls = [store.append(letter(name)) for name in "def"]
        waiting.run_all()
        self.assertEqual(self.now(calls[0]).uid, 0xFFFFFFFF)
        self.failureResultOf(calls[1], Unavailable)
        self.failureResultOf(calls[2], Unavailable)
        self.assertEqual(os.listdir(self.folder / "tmp"), [])

    def test_temporary_file_that_cannot_be_removed(self):
        """A message that is in the folder was stored, whatever becomes of its temporary file."""
        unlink = Path.unlink

        def failing(path, *args, **kwargs):
            if path.parent.name == "tmp":
                raise OSError(EIO, "broken")
            unlink(path, *args, **kwargs)

        self.patch(Path, "unlink", failing)
        calls = [self.store.append(letter(name)) for name in "de"]
        self.assertEqual([self.now(call).uid for call in calls], [4, 5])
        self.assertEqual(self.now(self.other.poll()).exists, 5)

    def test_folder_taken_away(self):
        """A folder that is taken away while open is ``Unavailable``, and is not made again behind the user's back."""
        self.folder.rename(self.base / "AWAY")
        self.failureResultOf(self.store.poll(), Unavailable)
        self.failureResultOf(self.store.append(letter("d")), Unavailable)
        self.assertFalse(self.folder.exists())
        (self.base / "AWAY").rename(self.folder)
        self.assertEqual(self.now(self.store.poll()).exists, 3)

    def test_too_large(self):
        """A message above the limit is refused with limit and size."""
        store = self.make(max_message=1000)
        self.now(store.open())
        self.assertEqual(store.traits.max_message, 1000)
        error = self.failureResultOf(store.append(letter("d", size=2000)), TooLarge).value
        self.assertEqual((error.limit, error.size), (1000, len(letter("d", size=2000))))


class Waiting:
    """A worker that works when told."""

    def __init__(self):
        self.jobs = []

    def __call__(self, work):
        """Keep the job."""
        result = Deferred()
        self.jobs.append((work, result))
        return result

    def run(self):
        """Do the oldest job."""
        work, result = self.jobs.pop(0)
        try:
            value = work()
        except Exception as error:
            if not result.called:
                result.errback(error)
        else:
            if not result.called:
                result.callback(value)

    def run_all(self):
        """Do all jobs, and those that they lead to."""
        while self.jobs:
            self.run()


class Late:
    """A worker that works at once, as a thread may; what the next one found is delivered when told."""

    def __init__(self):
        self.holds = False
        self.held = []

    def __call__(self, work):
        """Work."""
        found = work()
        result = Deferred()
        deliver = partial(result.callback, found)
        if self.holds:
            self.holds = False
            self.held.append(deliver)
        else:
            deliver()
        return result


class LateTests(Folder):
    """What a thread saw is told after what another one saw later."""

    def setUp(self):
        """Begin a look that is delivered late."""
        super().setUp()
        self.late = Late()
        self.slow = self.make(worker=self.late)
        self.now(self.slow.open())
        self.said = Ear()
        self.slow.listen(self.said)
        self.late.holds = True
        self.poll = self.slow.poll()

    def test_nothing_is_gone_that_came_since(self):
        """The message that was stored meanwhile is there, and counted."""
        self.assertEqual(self.now(self.slow.append(letter("d"))).uid, 4)
        self.late.held.pop()()
        self.assertEqual((self.now(self.poll).exists, self.said.words()), (4, ["arrived"]))
        self.assertEqual(self.now(self.slow.uids(1)), [1, 2, 3, 4])

    def test_nothing_comes_back_that_is_gone_since(self):
        """Nor does its number."""
        uidvalidity = self.now(self.other.poll()).uidvalidity
        self.now(self.slow.remove([3], uidvalidity, anything))
        self.late.held.pop()()
        self.assertEqual((self.now(self.poll).exists, self.said.heard), (2, [("vanished", [3])]))

    def test_the_numbers_do_not_become_the_old_ones_again(self):
        """The folder is numbered anew once."""
        self.path(3).unlink()
        self.reference_appends(letter("d"))
        fresh = self.now(self.slow.poll()).uidvalidity
        self.late.held.pop()()
        self.assertEqual((self.now(self.poll).uidvalidity, self.said.heard), (fresh, [("renumbered", fresh)]))


class WaitingTests(Folder):
    """Work takes its time."""

    def setUp(self):
        """Open a third store on a slow worker."""
        super().setUp()
        self.worker = Waiting()
        self.slow = self.make(worker=self.worker)
        opening = self.slow.open()
        self.worker.run_all()
        self.now(opening)

    def test_appends_go_together(self):
        """Appends that come while others are being stored are stored together, in their order."""
        calls = [self.slow.append(letter(f"n{number}")) for number in range(10)]
        jobs = 0
        while self.worker.jobs:
            self.worker.run()
            jobs += 1
        self.assertEqual([self.now(call).uid for call in calls], list(range(4, 14)))
        self.assertEqual(jobs, 6)

    def test_batches_are_bounded(self):
        """Not more bytes than ``BYTES_IN_FLIGHT`` go together, but a larger message goes alone."""
        sizes = [limits.BYTES_IN_FLIGHT * 2, limits.BYTES_IN_FLIGHT // 2, limits.BYTES_IN_FLIGHT // 2, 10]
        calls = [self.slow.append(letter(f"n{size}", body=b"x" * size + b"\r\n")) for size in sizes]
        batches = []
        while self.worker.jobs:
            if self.worker.jobs[0][0].func.__name__ == "write_all":
                batches.append(len(self.worker.jobs[0][0].args[0]))
            self.worker.run()
        self.assertEqual([self.now(call).uid for call in calls], [4, 5, 6, 7])
        self.assertEqual(batches, [1, 1, 2])

    def test_cancel_in_line(self):
        """An append cancelled in the line is not stored."""
        first, second = self.slow.append(letter("d")), self.slow.append(letter("e"))
        second.cancel()
        self.failureResultOf(second)
        self.worker.run_all()
        self.assertEqual(self.now(first).uid, 4)
        self.assertEqual(self.now(self.store.poll()).exists, 4)

    def test_cancel_in_the_worker(self):
        """An append cancelled while it is being stored is ``OutcomeUnknown``, and the next one is stored."""
        first = self.slow.append(letter("d"))
        first.cancel()
        self.failureResultOf(first, OutcomeUnknown)
        second = self.slow.append(letter("e"))
        self.worker.run_all()
        self.assertEqual(self.now(second).uid, 5)

    def test_cancel_one_of_a_batch(self):
        """Of a batch in the worker one that is cancelled is ``OutcomeUnknown``; the others get their own receipts."""
        calls = [self.slow.append(letter(name)) for name in "def"]
        while len(self.slow._batch) != 2:
            self.worker.run()
        calls[1].cancel()
        self.failureResultOf(calls[1], OutcomeUnknown)
        self.worker.run_all()
        self.assertEqual((self.now(calls[0]).uid, self.now(calls[2]).uid), (4, 6))

    def test_close_meanwhile(self):
        """Closing ends reading as ``Unavailable``, and appends in the worker as ``OutcomeUnknown``."""
        calls = [self.slow.append(letter("d")), self.slow.append(letter("e")), self.slow.uids(1), self.slow.message(1)]
        self.now(self.slow.close())
        self.failureResultOf(calls[0], OutcomeUnknown)
        for call in calls[1:]:
            self.failureResultOf(call, Unavailable)
        self.worker.run_all()
        self.assertIn(self.now(self.store.poll()).exists, (3, 4))

    def test_removed_while_reading(self):
        """A message that is removed while it is being read is ``MessageGone``."""
        call = self.slow.message(2)
        self.now(self.store.remove([2], self.first.uidvalidity, anything))
        self.worker.run_all()
        self.failureResultOf(call, MessageGone)

    def test_renumbered_while_reading(self):
        """A message whose number was given again while it was being read is ``Renumbered``."""
        call = self.slow.message(3)
        self.path(3).unlink()
        self.reference_appends(letter("d"))
        self.worker.run_all()
        self.failureResultOf(call, Renumbered)

    def test_renumbered_while_listing(self):
        """Headers and places that were read while numbers were given again are ``Renumbered``."""
        for read in (lambda: self.slow.headers(1), lambda: self.slow.dates([1, 2, 3])):
            call = read()
            self.worker.run()
            self.path(3).unlink()
            self.reference_appends(letter("d"))
            self.worker.run_all()
            self.failureResultOf(call, Renumbered)


class LockTests(Folder):
    """Another process holds the folder."""

    def held(self):
        """Hold the lock as another process would."""
        handle = os.open(self.folder / ".ifap-lock", os.O_RDWR)
        fcntl.flock(handle, fcntl.LOCK_EX)
        return handle

    def test_waits(self):
        """Calls wait until the other one lets go."""
        handle = self.held()
        calls = [self.store.uids(1), self.store.append(letter("d"))]
        self.clock.pump([0.01] * 100)
        self.assertNoResult(calls[0])
        os.close(handle)
        self.clock.pump([0.01] * 20)
        self.assertEqual(self.now(calls[0]), [1, 2, 3])
        self.assertEqual(self.now(calls[1]).uid, 4)

    def test_gives_up(self):
        """After ``COMMAND_SECONDS`` they fail as ``Unavailable``, and nothing was stored."""
        handle = self.held()
        calls = [self.store.uids(1), self.store.append(letter("d"))]
        self.clock.pump([1] * 70)
        for call in calls:
            self.failureResultOf(call, Unavailable)
        os.close(handle)
        self.assertEqual(self.now(self.store.uids(1)), [1, 2, 3])
        self.assertEqual(os.listdir(self.folder / "tmp"), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_ends_the_wait(self):
        """Closing ends the wait, and leaves nothing to be called later."""
        handle = self.held()
        calls = [self.store.uids(1), self.store.append(letter("d"))]
        self.now(self.store.close())
        for call in calls:
            self.failureResultOf(call, Unavailable, OutcomeUnknown)
        self.clock.pump([0.1] * 3)
        os.close(handle)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.now(self.other.uids(1)), [1, 2, 3])
        self.assertEqual([name for name in os.listdir(self.folder / "tmp") if re.match("ifap", name)], [])


class ProcessTests(Folder):
    """Several processes on one folder."""

    def start(self, name, count):
        """Start a process that appends."""
        command = [sys.executable, "-m", "tests.store.maildir_writer", str(self.base.absolute()), name, str(count)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        root = Path(__file__).parents[2]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=root)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def test_appending_at_once(self):
        """Every message of every process is stored, each under its own number."""
        processes = [self.start(name, 25) for name in "xyz"]
        told = [int(line) for process in processes for line in process.communicate()[0].split()]
        self.assertEqual([process.returncode for process in processes], [0, 0, 0])
        self.assertEqual(sorted(told), list(range(4, 79)))
        self.assertEqual(self.now(self.store.uids(4)), sorted(told))
        self.assertEqual(self.now(self.store.poll()).uidvalidity, self.first.uidvalidity)

    def test_killed(self):
        """What was acknowledged before a process was killed is there and whole, and its number stays taken."""
        process = self.start("k", 1_000_000)
        told = [int(process.stdout.readline()) for _line in range(20)]
        process.kill()
        process.wait()
        for number, uid in enumerate(told):
            self.assertEqual(self.now(self.store.message(uid)), letter(f"k{number}", size=20_000))
        self.assertGreater(self.now(self.store.append(letter("d"))).uid, told[-1])
        self.assertEqual(self.now(self.store.poll()).uidvalidity, self.first.uidvalidity)
