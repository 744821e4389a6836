"""Mail of other people in the same folder (R13; promise P6; FORMAT 5.4)."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import envelope
from ifap_twisted.core.collection import COLLECTED
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Draft
from ifap_twisted.errors import Conflict
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import FULL_TRAITS, MemoryShelf, Turnstile
from tests.campaigns.reference import unlike_reference
from tests.filesystem.folders import KEY, Folder, result
from tests.messages import mail

LETTERS = 1000
DAY = 86400.0
OTHER = Key.from_text("somebody else's")
ODD = (
    b"X-IFAP: !\r\n\r\nhello\r\n",
    b"X-IFAP: !" + b"A" * 5000 + b"\r\n\r\n",
    b'X-IFAP: {"fn":"f1","bytes":1,"ts":1}\r\nSubject: in clear\r\n\r\nx\r\n',
    b"X-IFAP:\r\n folded\r\n\ttwice\r\nX-IFAP: twice\r\n\r\n",
    b"X-Mailfile: !!!!\r\nX-IFAP: \xff\xfe\x00\r\n\r\n",
    b"Subject: =?utf-8?q?X-IFAP=3A?=\r\nMessage-ID: <f1@ifap.invalid>\r\n\r\nX-IFAP: !body\r\n",
    b"no header at all",
    b"\r\n\r\n",
    b": nameless\r\nX-IFAP !\r\n\r\n",
    b"X-IFAP: " + b"9" * 900 + b"\r\nFrom " + b"(" * 2000 + b"\r\n\r\n",
)
"""Headers that are broken, hostile, or nearly ours."""


class ForeignMailTests(SynchronousTestCase):
    """A thousand letters between ours, a part of them odd, sealed by strangers, or marked as deleted by their owner."""

    def setUp(self) -> None:
        self.shelf = MemoryShelf()
        self.folder = Folder(shelf=self.shelf)
        self.letters = self.written()
        self.given: list[bytes] = []

    def written(self) -> list[bytes]:
        """All letters, mixed, no two alike."""
        sealed = [self.sealed(f"f{number % 50}", number) for number in range(LETTERS // 5)]
        odd = [ODD[number % len(ODD)] + b"%d\r\n" % number for number in range(LETTERS // 5)]
        plain = [mail(b"letter %d\r\n" % number) for number in range(LETTERS - len(sealed) - len(odd))]
        letters = [*sealed, *odd, *plain]
        self.assertEqual(LETTERS, len(set(letters)))
        return letters[::3] + letters[1::3] + letters[2::3]

    def sealed(self, path: str, number: int) -> bytes:
        """What another folder's device wrote under one of our names, with a key that is not ours."""
        draft = Draft(
            path=path,
            vid=f"{number:022d}",
            writer="abcdef",
            clock={"abcdef": number + 1},
            home="AAAAAAAA",
            modified=1.0,
        )
        return envelope.seal(draft, b"x", dialect=IFAP, key=OTHER, now=1.0, random=self.folder.random).message

    def arrive(self, count: int) -> None:
        """Some more letters; the owner marks every fifth as deleted and does not expunge it."""
        rest = iter(self.letters[len(self.given) :])
        for letter in islice(rest, count):
            self.given.append(letter)
            uid = self.shelf.add(letter)
            if len(self.given) % 5 == 0:
                self.shelf.marked.add(uid)

    def assert_untouched(self) -> None:
        """Each letter is there once, byte for byte, and the marks are on the same letters."""
        ours = set(self.given)
        there = {uid: message for uid, message in self.shelf.messages.items() if message in ours}
        self.assertEqual(sorted(self.given), sorted(there.values()))
        self.assertEqual({there[uid] for uid in self.shelf.marked}, set(self.given[4::5]))

    def unlike_reference(self, device: Filesystem) -> list[str]:
        """What the reference reads otherwise than a device, among all these letters."""
        entries = [entry for entry in result(device.list("/", recursive=True)) if entry.type == "file"]
        files = {entry.path: result(device.get(entry.path)) for entry in entries}
        return unlike_reference(self.shelf.messages, KEY.text, files)

    def work(self, device: Filesystem, round_: int) -> None:
        """All that a device can do."""
        for number in range(10):
            result(device.put(f"f{number}", b"%d %d" % (round_, number)))
            self.arrive(10)
        vid = result(device.stat("f1")).version
        result(device.put("f1", b"more", expect=vid))
        result(device.move("f1", f"g{round_}"))
        result(device.remove("f2"))
        result(device.undelete("f2"))
        result(device.remove("f3"))
        result(device.keep("f4", 1))
        result(device.restore("f5", result(device.versions("f5"))[-1].version))
        result(device.make_directory(f"empty{round_}"))
        lock = result(device.lock("f6"))
        result(device.lock("f6", renew=lock.id))
        result(device.unlock("f6"))
        result(device.lock("f7"))
        result(device.unlock("f7", force=True))
        result(device.snapshot())
        result(device.refresh())

    def overtake(self, device: Filesystem) -> None:
        """Two devices expect the same and write at once; the later one takes its write back."""
        store = self.folder.store()
        other = self.folder.device(store=store)
        store.gate = gate = Turnstile("append")
        late = other.put("f8", b"late", expect=result(device.stat("f8")).version)
        result(device.put("f8", b"first"))
        before = len(self.shelf.messages)
        gate.release()
        self.assertRaises(Conflict, result, late)
        self.assertEqual(before, len(self.shelf.messages))
        result(other.close())

    def test_a_thousand(self) -> None:
        """None is changed, marked or removed by puts, withdrawals, locks, renumberings, plans and collections."""
        device = self.folder.device(options=Options(keep=1))
        self.arrive(200)
        collected = 0
        for round_ in range(8):
            self.work(device, round_)
            self.overtake(device)
            if round_ % 3 == 2:
                self.shelf.renumber(list(self.shelf.messages)[:: -1 if round_ == 5 else 1])
            for _ in range(2):
                self.assert_untouched()
                self.folder.clock.advance(8 * DAY)
                collected += result(device.collect()).counts()[COLLECTED]
            self.assert_untouched()
        self.assertLess(50, collected)
        self.assertEqual(LETTERS, len(self.given))
        status = result(device.status())
        self.assertEqual(LETTERS, status.foreign + status.damaged)
        self.assertEqual([], self.unlike_reference(device))

    def test_without_uidplus(self) -> None:
        """While letters are marked as deleted nothing is expunged, not even where plain EXPUNGE is allowed."""
        store = self.folder.store(traits=replace(FULL_TRAITS, expunges_by_uid=False))
        device = self.folder.device(store=store, options=Options(keep=1, expunges_plainly=True))
        self.arrive(900)
        self.work(device, 0)
        result(device.collect())
        self.folder.clock.advance(8 * DAY)
        found = result(device.collect())
        self.assertEqual(["marked-by-others"], [notice.code for notice in found.messages])
        self.assertEqual(0, found.counts()[COLLECTED])
        self.assert_untouched()
