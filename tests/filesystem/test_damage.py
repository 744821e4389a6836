"""Contents that cannot be used: told by their codes, counted until they can be used or are gone (FORMAT 2.3, 2.6)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import Oversized, ProtocolViolation, Spliced, Tampered, Truncated
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.expunging import Expunging
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import MemoryStore
from tests.filesystem.folders import Folder, result
from tests.filesystem.test_marking import Ledger


def cut(message: bytes) -> bytes:
    """The message without its last hundred bytes."""
    return message[:-100]


def flipped(message: bytes) -> bytes:
    """The message with another character near the end of its content."""
    other = b"A" if message[-50:-49] != b"A" else b"B"
    return message[:-50] + other + message[-49:]


class DamageTests(SynchronousTestCase):
    """One folder with the files a and b, of which the content of a is damaged on the server."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.device = self.folder.device()
        self.places = {path: self.put(path) for path in ("a", "b")}

    def put(self, path: str, content: bytes = b"hello") -> int:
        result(self.device.put(path, content))
        return max(self.folder.shelf.messages)

    def spoil(self, path: str = "a", how=cut) -> bytes:
        """Damage the message of a file; gives what it was."""
        uid = self.places[path]
        before = self.folder.shelf.messages[uid]
        self.folder.shelf.tamper(uid, how(before))
        return before

    def damage(self) -> dict[str, int]:
        status = result(self.device.status())
        self.assertEqual(sum(status.damage.values()), status.damaged)
        return dict(status.damage)

    def test_kept(self) -> None:
        """What is found when a file is read is counted, once, and told in a warning."""
        self.spoil()
        self.assertEqual(self.damage(), {})
        for _ in range(2):
            self.assertEqual(self.assertRaises(Truncated, result, self.device.get("a")).path, "a")
        self.assertEqual(self.damage(), {"truncated": 1})
        self.assertIn("truncated", [warning.code for warning in result(self.device.status()).warnings])
        self.assertEqual(result(self.device.get("b")), b"hello")

    def unreadable(self) -> list[str | None]:
        """The files that a warning names."""
        warnings = result(self.device.status()).warnings
        return [warning.path for warning in warnings if warning.code == "unreadable"]

    def test_the_file_is_named(self) -> None:
        """Once its newest version was found damaged, until it is written anew; an older version names nothing."""
        result(self.device.put("b", b"newer"))
        self.spoil("a")
        self.spoil("b")
        self.assertEqual(self.unreadable(), [])
        self.assertRaises(Truncated, result, self.device.get("a"))
        older = result(self.device.versions("b"))[-1].version
        self.assertRaises(Truncated, result, self.device.get("b", version=older))
        self.assertEqual(self.unreadable(), ["a"])
        result(self.device.put("a", b"hello"))
        self.assertEqual(self.unreadable(), [])

    def test_what_is_no_file_of_the_user_is_not_named_as_one(self) -> None:
        """Nobody can put a snapshot."""
        result(self.device.snapshot())
        (snapshot,) = self.device.desk.view.index.history("IFAP/metadata").versions
        self.device.desk.view._known.spoil(snapshot.places[0], Truncated())
        self.assertEqual((self.unreadable(), self.damage()), ([], {"truncated": 1}))

    def test_kinds(self) -> None:
        """Each kind of damage has its own code."""
        self.spoil("a")
        self.spoil("b", flipped)
        self.assertRaises(Truncated, result, self.device.get("a"))
        self.assertEqual(type(self.assertRaises(Tampered, result, self.device.get("b"))), Tampered)
        self.assertEqual(self.damage(), {"tampered": 1, "truncated": 1})

    def test_healed(self) -> None:
        """A content that the server gives whole again counts no more."""
        before = self.spoil()
        self.assertRaises(Truncated, result, self.device.get("a"))
        self.folder.shelf.tamper(self.places["a"], before)
        self.assertEqual(result(self.device.get("a")), b"hello")
        self.assertEqual(self.damage(), {})

    def test_nothing_of_the_file_is_collected(self) -> None:
        """While the newest content is damaged the older ones may be all that there is."""
        keeper = self.folder.device(options=Options(keep=1))
        for content in (b"old", b"newer"):
            result(keeper.put("c", content))
        self.places["c"] = max(self.folder.shelf.messages)
        before = self.spoil("c")
        self.assertRaises(Truncated, result, keeper.get("c"))
        self.collect(keeper)
        self.assertEqual(len(result(keeper.versions("c"))), 2)
        self.folder.shelf.tamper(self.places["c"], before)
        self.assertEqual(result(keeper.get("c")), b"newer")
        self.collect(keeper)
        self.assertEqual(len(result(keeper.versions("c"))), 1)

    def test_nor_when_an_earlier_process_found_it_out(self) -> None:
        """A check and a collection are processes of their own where no node runs."""
        ledger = Ledger()

        def start() -> Filesystem:
            return self.folder.device(options=Options(keep=1), marks=lambda *_folder: ledger)

        keeper = start()
        for content in (b"old", b"newer"):
            result(keeper.put("c", content))
        self.places["c"] = max(self.folder.shelf.messages)
        before = self.spoil("c")
        result(keeper.check(read_data=100.0))
        for _ in range(3):
            result(keeper.close())
            keeper = start()
            result(keeper.collect())
            self.folder.clock.advance(8 * 86400.0)
        self.assertEqual(len(result(keeper.versions("c"))), 2)
        self.folder.shelf.tamper(self.places["c"], before)
        self.assertEqual(result(keeper.get("c")), b"newer")
        self.collect(keeper)
        self.assertEqual(len(result(keeper.versions("c"))), 1)

    def test_counted_by_a_later_process(self) -> None:
        """What a check found in an older version, too; until it is whole."""
        ledger = Ledger()

        def start() -> Filesystem:
            return self.folder.device(marks=lambda *_folder: ledger)

        first = start()
        result(first.put("c", b"old"))
        self.places["c"] = max(self.folder.shelf.messages)
        result(first.put("c", b"newer"))
        before = self.spoil("c")
        result(first.check(read_data=100.0))
        result(first.close())
        later = start()
        status = result(later.status())
        self.assertEqual((1, {"truncated": 1}), (status.damaged, status.damage))
        self.assertEqual(["truncated"], [notice.code for notice in status.warnings])
        self.folder.shelf.tamper(self.places["c"], before)
        result(later.check())
        self.assertEqual(0, result(later.status()).damaged)

    def test_nor_when_it_is_found_out_while_it_is_collected(self) -> None:
        """What was found meanwhile counts, too."""
        keeper = self.folder.device(options=Options(keep=1))
        for content in (b"old", b"newer"):
            result(keeper.put("c", content))
        self.places["c"] = max(self.folder.shelf.messages)
        result(keeper.collect())
        self.folder.clock.advance(8 * 86400.0)
        checked = Expunging._checked

        async def found_out(expunging: Expunging, placed: Any) -> Any:
            self.spoil("c")
            self.assertRaises(Truncated, result, keeper.get("c"))
            return await checked(expunging, placed)

        self.patch(Expunging, "_checked", found_out)
        result(keeper.collect())
        self.assertEqual(len(result(keeper.versions("c"))), 2)

    def collect(self, keeper: Filesystem) -> None:
        """Through several graces."""
        for _ in range(3):
            result(keeper.collect())
            self.folder.clock.advance(8 * 86400.0)

    def test_gone(self) -> None:
        """What is gone is not damaged any more."""
        self.spoil()
        self.assertRaises(Truncated, result, self.device.get("a"))
        self.folder.shelf.remove([self.places["a"]])
        result(self.device.refresh())
        self.assertEqual(self.damage(), {})

    def test_renumbered(self) -> None:
        """After a renumbering nothing is held against what has got the number now."""
        self.spoil()
        self.assertRaises(Truncated, result, self.device.get("a"))
        self.folder.shelf.renumber()
        result(self.device.refresh())
        self.assertEqual(self.damage(), {})
        self.assertRaises(Truncated, result, self.device.get("a"))
        self.assertEqual(self.damage(), {"truncated": 1})

    def test_good_copy(self) -> None:
        """A damaged place beside a good one hides nothing, and is counted."""
        whole = self.spoil()
        self.folder.shelf.add(whole)
        result(self.device.refresh())
        self.assertEqual(result(self.device.get("a")), b"hello")
        self.assertEqual(self.damage(), {"truncated": 1})

    def test_swapped(self) -> None:
        """The body of another file under the header is counted as spliced."""
        head = self.folder.shelf.messages[self.places["a"]].partition(b"\r\n\r\n")[0]
        self.put("c", b"jello")
        body = self.folder.shelf.messages[max(self.folder.shelf.messages)].partition(b"\r\n\r\n")[2]
        self.spoil("a", lambda _message: head + b"\r\n\r\n" + body)
        self.assertRaises(Spliced, result, self.device.get("a"))
        self.assertEqual(self.damage(), {"spliced": 1})

    def test_unbound(self) -> None:
        """A refusal by the user's own setting is no damage."""
        device = self.folder.device(options=Options(require_bound=True))
        self.assertEqual(result(device.get("a")), b"hello")
        self.assertEqual(dict(result(device.status()).damage), {})

    def test_broken_answer(self) -> None:
        """A place that the server cannot give within the protocol does not hide another one."""
        self.folder.shelf.add(self.folder.shelf.messages[self.places["a"]])
        store = self.folder.store()
        device = self.folder.device(store=store)
        store.fail_next("message", ProtocolViolation())
        self.assertEqual(result(device.get("a")), b"hello")
        self.assertEqual(dict(result(device.status()).damage), {})


class OversizedTests(SynchronousTestCase):
    """A message of which RFC822.SIZE is more than is ever read."""

    def setUp(self) -> None:
        self.folder = Folder()
        device = self.folder.device()
        result(device.put("large", bytes(9000)))
        result(device.put("small", b"hello"))
        self.patch(limits, "LITERAL", 9000)

    def test_never_asked_for(self) -> None:
        """The file is listed, counted as damaged, and its content is never fetched."""
        store = Asked(self.folder.shelf, clock=self.folder.clock)
        device = self.folder.device(store=store)
        names = [entry.path for entry in result(device.list())]
        self.assertEqual(names, ["large", "small"])
        store.asked.clear()
        self.assertEqual(self.assertRaises(Oversized, result, device.get("large")).path, "large")
        self.assertEqual(store.asked, [])
        self.assertEqual(result(device.get("small")), b"hello")
        self.assertEqual(dict(result(device.status()).damage), {"oversized": 1})

    def test_arrives(self) -> None:
        """So is one that arrives later, and its older version stays readable by its id."""
        device = self.folder.device()
        old = result(device.stat("small")).version
        result(self.folder.device().put("small", bytes(9000)))
        result(device.refresh())
        self.assertRaises(Oversized, result, device.get("small"))
        self.assertEqual(result(device.get("small", version=old)), b"hello")


class Asked(MemoryStore):
    """A session that notes which messages it was asked for."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.asked: list[int] = []

    def message(self, uid):
        self.asked.append(uid)
        return super().message(uid)
