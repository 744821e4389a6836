"""What every ``IMessageStore`` promises: one test per sentence of ``ifap_twisted.interfaces``.

A concrete class mixes :class:`MessageStoreContract` into ``twisted.trial.unittest.TestCase`` and says how to make a
store. How shelves differ is data (:class:`Quirks`): a promise that a shelf cannot keep is a refusal to be asserted,
never a skipped test.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ifap_twisted.core import limits
from ifap_twisted.core.values import FolderState, HeaderBlock, Receipt, Traits
from ifap_twisted.errors import MessageGone, NotFound, NotSupported, OutcomeUnknown, Renumbered, Unavailable
from ifap_twisted.interfaces import IFolderListener, IMessageStore
from tests.messages import anything, is_letter, letter, mail, metadata_of


async def places_of(store, name):
    """Where a shelf shows the message of a name, by its metadata header."""
    blocks = (await store.headers(1)).values()
    return [one.uid for one in blocks if b"".join(one.fields.partition(b":")[2].split()) == metadata_of(name)]


SIGNATURES = {
    "open": "(*, create=True)",
    "poll": "(*, thorough=False)",
    "uids": "(first, last=None)",
    "headers": "(first, last=None)",
    "message": "(uid)",
    "dates": "(uids)",
    "append": "(message)",
    "remove": "(uids, uidvalidity, is_expected, due=None)",
    "marked": "()",
    "unmark": "(uids, uidvalidity, is_expected)",
    "listen": "(listener)",
    "close": "()",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How a shelf differs.

    :ivar keeps_bytes: a message comes back byte for byte; otherwise with the changes that FORMAT 4.5 allows.
    :ivar tells_uidnext: the state has the next UID.
    :ivar reports_uid, removes, pushes: what ``Traits`` must say, and what must be true.
    :ivar silent: it says that it pushes and does not.
    """

    keeps_bytes: bool = True
    tells_uidnext: bool = True
    reports_uid: bool = True
    removes: bool = True
    pushes: bool = True
    silent: bool = False


@implementer(IFolderListener)
class Ear:
    """Notes all it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def arrived(self, state: FolderState) -> None:
        """Note it."""
        self.heard.append(("arrived", state))

    def vanished(self, uids: Collection[int]) -> None:
        """Note it."""
        self.heard.append(("vanished", sorted(uids)))

    def renumbered(self, uidvalidity: int) -> None:
        """Note it."""
        self.heard.append(("renumbered", uidvalidity))

    def connected(self) -> None:
        """Note it."""
        self.heard.append(("connected", None))

    def disconnected(self, reason: BaseException) -> None:
        """Note it."""
        self.heard.append(("disconnected", reason))

    def words(self) -> list[str]:
        """What kinds of things were told."""
        return [word for word, _what in self.heard]

    def gone(self) -> list[int]:
        """All UIDs that vanished."""
        return sorted(uid for word, uids in self.heard if word == "vanished" for uid in uids)


def same_message(sent: bytes, got: bytes) -> bool:
    """Whether they differ by what FORMAT 4.5 allows only: a final CRLF, a blank after a colon."""
    return _reduced(sent) == _reduced(got)


def _reduced(message: bytes) -> tuple[bytes, bytes]:
    head, _blank, body = message.partition(b"\r\n\r\n")
    return re.sub(rb"(?m)^([!-9;-~]+:)[ \t]+\r$", rb"\1\r", head + b"\r\n"), body.removesuffix(b"\r\n")


class MessageStoreContract:
    """The promises; ``self.store`` is open on an empty folder of its own."""

    quirks = Quirks()

    def make_store(self) -> Any:
        """Another store (session, process) on this test's folder; not open yet."""
        raise NotImplementedError

    def make_elsewhere(self) -> Any:
        """A store on a folder that does not exist; a second call gives another on the same folder."""
        raise NotImplementedError

    async def setUp(self) -> None:
        """Open the folder."""
        self.store = await self.opened()

    # Help for the tests

    def watch_over(self, store: Any) -> Any:
        """Close a store at the end of the test."""
        self.addCleanup(store.close)
        return store

    async def opened(self) -> Any:
        """Another store on the folder, open."""
        store = self.watch_over(self.make_store())
        await store.open()
        return store

    async def put(self, message: bytes, store: Any = None) -> int:
        """Append a message; gives its UID, also on a shelf that does not tell it."""
        (uid,) = await self.put_messages([message], store or self.store)
        return uid

    async def put_all(self, *names: str) -> list[int]:
        """Append messages of ours; gives their UIDs."""
        return await self.put_messages([letter(name) for name in names], self.store)

    async def put_messages(self, messages: list[bytes], store: Any) -> list[int]:
        """Append messages one after the other; gives the UIDs that are new then."""
        await store.poll(thorough=True)
        before = set(await store.uids(1))
        for message in messages:
            await store.append(message)
        await store.poll(thorough=True)
        new = [uid for uid in await store.uids(1) if uid not in before]
        self.assertEqual(len(new), len(messages))
        return new

    async def removed(self, *uids: int, store: Any = None) -> bool:
        """Remove messages; False when the shelf cannot, which is asserted together with its effects."""
        store = store or self.store
        validity = (await store.poll()).uidvalidity
        if self.quirks.removes:
            await store.remove(uids, validity, anything)
            return True
        before = await store.uids(1)
        await self.fails(store.remove(uids, validity, anything), NotSupported)
        await store.poll(thorough=True)
        self.assertEqual(await store.uids(1), before)
        return False

    async def fails(self, call: Awaitable[Any], *kinds: type[BaseException]) -> BaseException:
        """The failure of a call, which must be one of these kinds."""
        try:
            result = await call
        except kinds as error:
            return error
        raise AssertionError(f"{kinds} was not raised; the result is {result!r}")

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait up to 10 seconds for something that happens by itself."""
        from twisted.internet import reactor  # noqa: TID251 -- only where a real server pushes

        for _turn in range(1000):
            if true():
                return
            await deferLater(reactor, 0.01)
        raise AssertionError("It did not happen within 10 seconds.")

    def assert_same(self, sent: bytes, got: bytes) -> None:
        """The message came back as well as this shelf can."""
        if self.quirks.keeps_bytes:
            self.assertEqual(got, sent)
        self.assertTrue(same_message(sent, got), got)

    # The interface

    def test_provides_the_interface(self) -> None:
        """It has every method and attribute of the interface."""
        self.assertTrue(verifyObject(IMessageStore, self.store))

    def test_signatures(self) -> None:
        """Every method takes the arguments of the interface by the same names, with the same defaults."""
        for name, promised in SIGNATURES.items():
            parameters = inspect.signature(getattr(self.store, name)).parameters.values()
            plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
            self.assertEqual(str(inspect.Signature(plain)), promised, name)
        self.assertEqual(set(SIGNATURES) | {"traits"}, set(IMessageStore.names()))

    async def test_returns_deferreds(self) -> None:
        """Every asynchronous method returns a Deferred."""
        calls = [self.store.poll(), self.store.uids(1), self.store.headers(1)]
        for call in calls:
            self.assertIsInstance(call, Deferred)
            await call

    # Traits

    async def test_traits_are_right(self) -> None:
        """Once the folder is open, the traits say what the shelf can do."""
        traits = self.store.traits
        self.assertIsInstance(traits, Traits)
        self.assertEqual(
            (traits.reports_uid, traits.expunges_by_uid, traits.pushes),
            (self.quirks.reports_uid, self.quirks.removes, self.quirks.pushes),
        )

    async def test_largest_message(self) -> None:
        """The largest message is unknown or a sensible number."""
        largest = self.store.traits.max_message
        self.assertTrue(largest is None or largest >= limits.MIB, largest)

    # open

    async def test_open_creates(self) -> None:
        """Opening an absent folder creates it, empty."""
        state = await self.watch_over(self.make_elsewhere()).open()
        self.assertEqual(state.exists, 0)
        again = await self.watch_over(self.make_elsewhere()).open(create=False)
        self.assertEqual(again.uidvalidity, state.uidvalidity)

    async def test_open_without_create(self) -> None:
        """Opening an absent folder without creating it is ``NotFound``, and it stays absent."""
        await self.fails(self.watch_over(self.make_elsewhere()).open(create=False), NotFound)
        await self.fails(self.watch_over(self.make_elsewhere()).open(create=False), NotFound)

    async def test_open_existing_without_create(self) -> None:
        """An existing folder opens without ``create`` and shows its messages."""
        await self.put_all("a", "b")
        store = self.watch_over(self.make_store())
        self.assertEqual((await store.open(create=False)).exists, 2)

    async def test_open_twice(self) -> None:
        """Opening an open folder again gives its present state."""
        await self.put(letter("a"))
        self.assertEqual((await self.store.open()).exists, 1)
        self.assertEqual(len(await self.store.uids(1)), 1)

    async def test_state_is_complete(self) -> None:
        """The state has a positive UIDVALIDITY, the next UID where the server tells it, and may be written to."""
        uids = await self.put_all("a", "b")
        state = await self.watch_over(self.make_store()).open()
        self.assertGreater(state.uidvalidity, 0)
        self.assertIs(state.read_only, False)
        self.assertEqual(state.uidnext is not None, self.quirks.tells_uidnext)
        self.assertTrue(state.uidnext is None or state.uidnext > uids[-1])

    async def test_uidvalidity_is_the_same_for_all(self) -> None:
        """Two stores on one folder see one UIDVALIDITY, before and after appends."""
        first = await self.store.poll()
        await self.put(letter("a"))
        second = await self.watch_over(self.make_store()).open()
        self.assertEqual(first.uidvalidity, second.uidvalidity)

    # poll

    async def test_poll_counts(self) -> None:
        """The state that a poll gives counts the messages."""
        await self.put_all("a", "b", "c")
        self.assertEqual((await self.store.poll()).exists, 3)

    async def test_poll_shows_what_others_appended(self) -> None:
        """After a thorough poll the messages of others are listed."""
        other = await self.opened()
        uid = await self.put(letter("a"), other)
        self.assertEqual((await self.store.poll(thorough=True)).exists, 1)
        self.assertEqual(await self.store.uids(1), [uid])

    async def test_thorough_poll_shows_own_appends(self) -> None:
        """After a thorough poll every acknowledged append of this store is listed, however many there were."""
        for name in "abcde":
            await self.store.append(letter(name))
        self.assertEqual((await self.store.poll(thorough=True)).exists, 5)
        self.assertEqual(len(await self.store.uids(1)), 5)

    async def test_poll_tells_what_vanished_first(self) -> None:
        """What others removed has been told to the listeners when a poll fires."""
        uids = await self.put_all("a", "b", "c")
        other = await self.opened()
        ear = Ear()
        self.store.listen(ear)
        if await self.removed(uids[1], store=other):
            state = await self.store.poll()
            self.assertEqual(ear.gone(), [uids[1]])
            self.assertEqual(state.exists, 2)

    async def test_poll_of_a_quiet_folder(self) -> None:
        """Polling a folder in which nothing happens changes nothing and reports nothing gone."""
        await self.put_all("a", "b")
        ear = Ear()
        self.store.listen(ear)
        first = await self.store.poll(thorough=True)
        second = await self.store.poll(thorough=True)
        self.assertEqual(first, second)
        self.assertEqual([word for word in ear.words() if word not in ("arrived", "connected")], [])

    # uids

    async def test_uids_ascend(self) -> None:
        """UIDs are given in ascending order, which is the order of the appends."""
        uids = await self.put_all("a", "b", "c")
        self.assertEqual(await self.store.uids(1), sorted(uids))
        self.assertEqual(uids, sorted(uids))

    async def test_uids_of_an_empty_folder(self) -> None:
        """An empty folder has no UIDs."""
        self.assertEqual(list(await self.store.uids(1)), [])

    async def test_uids_in_a_range(self) -> None:
        """Both ends of a range belong to it."""
        uids = await self.put_all("a", "b", "c", "d")
        self.assertEqual(await self.store.uids(uids[1], uids[2]), uids[1:3])
        self.assertEqual(await self.store.uids(uids[3], uids[3]), uids[3:])

    async def test_uids_from_one_to_the_highest(self) -> None:
        """Without an end the range goes to the highest UID."""
        uids = await self.put_all("a", "b", "c")
        self.assertEqual(await self.store.uids(uids[1]), uids[1:])

    async def test_uids_above_the_highest(self) -> None:
        """A range above the highest UID is empty, though ``n:*`` would name the last message."""
        uids = await self.put_all("a", "b")
        self.assertEqual(list(await self.store.uids(uids[-1] + 1)), [])
        self.assertEqual(list(await self.store.uids(uids[-1] + 5, uids[-1] + 9)), [])

    async def test_uids_in_a_range_the_wrong_way_round(self) -> None:
        """A range that ends before it begins is empty."""
        uids = await self.put_all("a", "b", "c")
        self.assertEqual(list(await self.store.uids(uids[2], uids[0])), [])

    async def test_uids_in_a_wide_range(self) -> None:
        """A range may be far wider than the folder."""
        uids = await self.put_all("a", "b")
        self.assertEqual(await self.store.uids(1, 2**31), uids)

    async def test_uids_of_what_was_removed(self) -> None:
        """A removed message is not listed."""
        uids = await self.put_all("a", "b", "c")
        if await self.removed(uids[1]):
            self.assertEqual(await self.store.uids(1), [uids[0], uids[2]])
            self.assertEqual(list(await self.store.uids(uids[1], uids[1])), [])

    async def test_uids_in_a_range_with_gaps(self) -> None:
        """Only UIDs inside the range are given in a folder of many gaps, too."""
        uids = await self.put_all(*"abcdefgh")
        if await self.removed(*uids[1:6]):
            self.assertEqual(await self.store.uids(uids[0] + 1, uids[6]), [uids[6]])
            self.assertEqual(sorted(await self.store.headers(uids[0] + 1)), uids[6:])

    # headers

    async def test_headers_of_ours(self) -> None:
        """The metadata header of a message of ours comes whole."""
        uid = await self.put(letter("a"))
        block = (await self.store.headers(uid))[uid]
        self.assertIsInstance(block, HeaderBlock)
        self.assertEqual(block.uid, uid)
        name, _colon, value = block.fields.partition(b":")
        self.assertEqual(name.lower(), b"x-ifap")
        self.assertEqual(b"".join(value.split()), metadata_of("a"))

    async def test_headers_of_the_other_dialect(self) -> None:
        """So does that of the dialect ``mailfile``."""
        uid = await self.put(letter("a", header=b"X-Mailfile"))
        name, _colon, value = (await self.store.headers(uid))[uid].fields.partition(b":")
        self.assertEqual(name.lower(), b"x-mailfile")
        self.assertEqual(b"".join(value.split()), metadata_of("a"))

    async def test_headers_in_any_case(self) -> None:
        """The name of the header may be written in any case."""
        uid = await self.put(letter("a", header=b"x-iFaP"))
        fields = (await self.store.headers(uid))[uid].fields
        self.assertEqual(b"".join(fields.partition(b":")[2].split()), metadata_of("a"))

    async def test_long_headers(self) -> None:
        """A metadata header of 12 KiB in many lines comes whole (FORMAT 1.4)."""
        uid = await self.put(letter("a", lines=160))
        fields = (await self.store.headers(uid))[uid].fields
        self.assertEqual(b"".join(fields.partition(b":")[2].split()), metadata_of("a", lines=160))

    async def test_headers_of_foreign_mail(self) -> None:
        """A foreign message has no metadata headers, but it is there."""
        uid = await self.put(mail())
        self.assertEqual((await self.store.headers(uid))[uid].fields.strip(), b"")

    async def test_headers_only_of_metadata(self) -> None:
        """No other header is given."""
        uid = await self.put(letter("a"))
        fields = (await self.store.headers(uid))[uid].fields.lower()
        self.assertNotIn(b"subject", fields)
        self.assertNotIn(b"message-id", fields)

    async def test_both_metadata_headers(self) -> None:
        """Of several metadata headers all come, in their order."""
        uid = await self.put(b"X-IFAP: one\r\nX-Mailfile: two\r\nX-IFAP: three\r\n" + mail())
        fields = (await self.store.headers(uid))[uid].fields
        self.assertEqual(re.findall(rb":[ ]*(\w+)", fields), [b"one", b"two", b"three"])

    async def test_size(self) -> None:
        """The size is that of the message as it is read back, and near that of what was sent."""
        sent = letter("a", size=5000)
        uid = await self.put(sent)
        block = (await self.store.headers(uid))[uid]
        self.assertEqual(block.size, len(await self.store.message(uid)))
        self.assertTrue(0 <= block.size - len(sent) <= limits.SIZE_SLACK)

    async def test_headers_in_a_range(self) -> None:
        """Headers come for exactly the messages in the range."""
        uids = await self.put_all("a", "b", "c", "d")
        self.assertEqual(sorted(await self.store.headers(uids[1], uids[2])), uids[1:3])
        self.assertEqual(sorted(await self.store.headers(1)), uids)

    async def test_headers_belong_to_their_uid(self) -> None:
        """Each header stands under the UID of its message."""
        uids = await self.put_all("a", "b", "c")
        blocks = await self.store.headers(1)
        for name, uid in zip("abc", uids, strict=True):
            self.assertEqual(b"".join(blocks[uid].fields.partition(b":")[2].split()), metadata_of(name))

    async def test_headers_of_what_is_not_there(self) -> None:
        """A UID above the highest is an absent key, never another message."""
        uids = await self.put_all("a", "b")
        self.assertEqual(dict(await self.store.headers(uids[-1] + 1)), {})
        self.assertEqual(dict(await self.store.headers(uids[-1] + 1, uids[-1] + 3)), {})

    async def test_headers_in_a_gap(self) -> None:
        """A removed message is an absent key."""
        uids = await self.put_all("a", "b", "c")
        if await self.removed(uids[1]):
            self.assertEqual(sorted(await self.store.headers(uids[0], uids[2])), [uids[0], uids[2]])
            self.assertEqual(dict(await self.store.headers(uids[1], uids[1])), {})

    # message

    async def test_message_comes_back(self) -> None:
        """A message comes back as it was sent, as well as the server can (FORMAT 4.5)."""
        sent = letter("a", size=3000)
        self.assert_same(sent, await self.store.message(await self.put(sent)))

    async def test_large_message_comes_back(self) -> None:
        """So does one of 3 MiB."""
        sent = letter("a", size=3 * limits.MIB)
        self.assert_same(sent, await self.store.message(await self.put(sent)))

    async def test_message_with_hard_lines(self) -> None:
        """Lines that look like protocol, dots and parentheses survive."""
        sent = letter("a", body=b".\r\n..\r\nA1 OK done\r\n* BYE\r\n)\r\n{5}\r\n\r\n\r\n)\r\n")
        self.assert_same(sent, await self.store.message(await self.put(sent)))

    async def test_message_without_body(self) -> None:
        """A message with an empty body comes back."""
        sent = letter("a", body=b"")
        self.assert_same(sent, await self.store.message(await self.put(sent)))

    async def test_message_is_immutable(self) -> None:
        """Reading twice, and others' work meanwhile, gives the same bytes."""
        uid = await self.put(letter("a"))
        first = await self.store.message(uid)
        other = await self.opened()
        await self.put(letter("b"), other)
        await self.store.poll(thorough=True)
        self.assertEqual(await self.store.message(uid), first)

    async def test_message_above_the_highest(self) -> None:
        """A UID that was never given is ``MessageGone``, and never another message."""
        uids = await self.put_all("a", "b")
        await self.fails(self.store.message(uids[-1] + 1), MessageGone)
        await self.fails(self.store.message(uids[-1] + 1000), MessageGone)

    async def test_message_in_an_empty_folder(self) -> None:
        """In an empty folder every message is gone."""
        await self.fails(self.store.message(1), MessageGone)

    async def test_message_removed(self) -> None:
        """A removed message is ``MessageGone``; those around it are not."""
        uids = await self.put_all("a", "b", "c")
        if await self.removed(uids[1]):
            await self.fails(self.store.message(uids[1]), MessageGone)
            self.assert_same(letter("a"), await self.store.message(uids[0]))
            self.assert_same(letter("c"), await self.store.message(uids[2]))

    # dates

    async def test_dates_ascend(self) -> None:
        """Each message has the moment when it was received: not before those that were there."""
        uids = await self.put_all("a", "b", "c")
        dates = await self.store.dates(uids)
        self.assertEqual(sorted(dates), uids)
        self.assertEqual([dates[uid] for uid in uids], sorted(dates.values()))
        self.assertTrue(all(isinstance(date, float) for date in dates.values()))

    async def test_dates_are_those_that_were_asked_for(self) -> None:
        """An absent UID is an absent key, and no other is added."""
        first, second, _third = await self.put_all("a", "b", "c")
        self.assertEqual(set(await self.store.dates({second, 4_000_000, 0})), {second})
        self.assertEqual(await self.store.dates([]), {})
        if await self.removed(first):
            self.assertEqual(set(await self.store.dates([first, second])), {second})

    async def test_dates_in_an_empty_folder(self) -> None:
        """There are none."""
        self.assertEqual(await self.store.dates([1, 2]), {})

    async def test_dates_are_the_same_for_all(self) -> None:
        """Another session sees the same ones."""
        uids = await self.put_all("a", "b")
        other = await self.opened()
        self.assertEqual(await other.dates(uids), await self.store.dates(uids))

    # append

    async def test_receipt(self) -> None:
        """A receipt names the place of the message, or nothing where the server does not tell."""
        receipt = await self.store.append(letter("a"))
        state = await self.store.poll(thorough=True)
        if self.quirks.reports_uid:
            self.assertEqual(receipt.uidvalidity, state.uidvalidity)
            self.assert_same(letter("a"), await self.store.message(receipt.uid))
        else:
            self.assertEqual(receipt, Receipt())

    async def test_append_is_durable(self) -> None:
        """When an append has fired, others read the message even if this store ends."""
        await self.store.append(letter("a"))
        await self.store.close()
        other = await self.opened()
        (uid,) = await other.uids(1)
        self.assert_same(letter("a"), await other.message(uid))

    async def test_appends_in_the_order_of_the_calls(self) -> None:
        """Appends that overlap are stored in the order of the calls."""
        names = [f"n{number}" for number in range(12)]
        await DeferredList([self.store.append(letter(name)) for name in names], fireOnOneErrback=True)
        await self.store.poll(thorough=True)
        blocks = await self.store.headers(1)
        found = [b"".join(blocks[uid].fields.partition(b":")[2].split()) for uid in sorted(blocks)]
        self.assertEqual(found, [metadata_of(name) for name in names])

    async def test_the_same_message_twice(self) -> None:
        """Two appends of the same bytes are two messages."""
        first, second = await self.put(letter("a")), await self.put(letter("a"))
        self.assertNotEqual(first, second)
        self.assertEqual(len(await self.store.uids(1)), 2)

    async def test_uids_are_never_used_again(self) -> None:
        """A UID is not given again, even after the newest message was removed."""
        uids = await self.put_all("a", "b", "c")
        if await self.removed(uids[1], uids[2]):
            self.assertGreater(await self.put(letter("d")), uids[2])
            other = await self.opened()
            self.assertGreater(await self.put(letter("e"), other), uids[2] + 1)

    async def test_uids_are_not_used_again_in_an_emptied_folder(self) -> None:
        """A UID is not given again under the same UIDVALIDITY, even when the folder was emptied and opened anew."""
        uids = await self.put_all("a", "b")
        before = await self.store.poll()
        if await self.removed(*uids):
            await self.store.close()
            other = await self.opened()
            uid = await self.put(letter("c"), other)
            self.assertGreater(((await other.poll()).uidvalidity, uid), (before.uidvalidity, uids[-1]))

    async def test_two_stores_append_at_once(self) -> None:
        """Appends of two stores at the same time are all stored, each under its own UID."""
        other = await self.opened()
        await DeferredList(
            [store.append(letter(f"{who}{n}")) for n in range(8) for who, store in (("a", self.store), ("b", other))],
            fireOnOneErrback=True,
        )
        await self.store.poll(thorough=True)
        blocks = await self.store.headers(1)
        found = {b"".join(block.fields.partition(b":")[2].split()) for block in blocks.values()}
        self.assertEqual(len(blocks), 16)
        self.assertEqual(found, {metadata_of(f"{who}{n}") for who in "ab" for n in range(8)})

    # remove

    async def test_remove_exactly_these(self) -> None:
        """Exactly the named messages are removed, for all who look."""
        uids = await self.put_all("a", "b", "c", "d", "e")
        foreign = await self.put(mail())
        if await self.removed(uids[0], uids[3]):
            other = await self.opened()
            self.assertEqual(await other.uids(1), [uids[1], uids[2], uids[4], foreign])

    async def test_remove_what_is_absent(self) -> None:
        """Removing an absent message is no error and touches no other (UIDs above the highest included)."""
        uids = await self.put_all("a", "b", "c")
        if await self.removed(uids[1]):
            await self.removed(uids[1], uids[-1] + 1, uids[-1] + 100)
            await self.store.poll(thorough=True)
            self.assertEqual(await self.store.uids(1), [uids[0], uids[2]])

    async def test_remove_where_all_is_allowed(self) -> None:
        """Where plain EXPUNGE may be used, any shelf removes, and exactly the named messages (FORMAT 5.4)."""
        uids = await self.put_all("a", "b", "c")
        foreign = await self.put(mail())
        validity = (await self.store.poll()).uidvalidity
        await self.store.remove([uids[0], uids[1]], validity, is_letter("ab"), [uids[2]])
        await self.store.poll(thorough=True)
        self.assertEqual(await self.store.uids(1), [uids[2], foreign])

    async def test_remove_under_another_numbering(self) -> None:
        """UIDs of another UIDVALIDITY name nothing here: nothing is removed (FORMAT 2.5)."""
        uids = await self.put_all("a", "b", "c")
        another = (await self.store.poll()).uidvalidity - 1
        await self.fails(self.store.remove([uids[0], uids[2]], another, anything, []), Renumbered)
        await self.store.poll(thorough=True)
        self.assertEqual(await self.store.uids(1), uids)

    async def test_remove_what_is_another_message(self) -> None:
        """Where one of the UIDs is that of another message than was expected, nothing is removed or left marked."""
        uids = await self.put_all("a", "b", "c")
        foreign = await self.put(mail())
        validity = (await self.store.poll()).uidvalidity
        for wrong in ([uids[0], uids[1]], [uids[0], foreign], [foreign]):
            await self.fails(self.store.remove(wrong, validity, is_letter("ac"), []), Renumbered)
        await self.store.poll(thorough=True)
        self.assertEqual((await self.store.uids(1), list(await self.store.marked())), ([*uids, foreign], []))

    async def test_remove_looks_at_what_is_removed(self) -> None:
        """The headers of the named messages that are there are looked at, and no others."""
        uids = await self.put_all("a", "b", "c", "d")
        seen: list[int] = []
        validity = (await self.store.poll()).uidvalidity

        def look(block: HeaderBlock) -> bool:
            seen.append(block.uid)
            return is_letter("ac")(block)

        await self.store.remove([uids[2], uids[0], uids[3] + 1], validity, look, [])
        self.assertEqual(sorted(seen), [uids[0], uids[2]])
        await self.store.poll(thorough=True)
        self.assertEqual(await self.store.uids(1), [uids[1], uids[3]])

    async def test_nothing_is_marked_after_removing(self) -> None:
        """Whether it was removed or not (FORMAT 5.4)."""
        uids = await self.put_all("a", "b")
        await self.removed(uids[0])
        self.assertEqual(list(await self.store.marked()), [])

    async def test_unmark(self) -> None:
        """Taking marks off what has none, or is absent, changes nothing; under another UIDVALIDITY it is refused."""
        uids = await self.put_all("a", "b")
        validity = (await self.store.poll()).uidvalidity
        self.assertIsNone(await self.store.unmark([uids[0], uids[1] + 100], validity, is_letter("a")))
        await self.fails(self.store.unmark(uids, validity - 1, anything), Renumbered)
        self.assertEqual((await self.store.uids(1), list(await self.store.marked())), (uids, []))

    async def test_unmark_what_is_another_message(self) -> None:
        """Where one of the UIDs is that of another message than was expected, that is told, as by a removal."""
        uids = await self.put_all("a", "b")
        foreign = await self.put(mail())
        validity = (await self.store.poll()).uidvalidity
        for wrong in (uids, [uids[0], foreign], [foreign]):
            await self.fails(self.store.unmark(wrong, validity, is_letter("a")), Renumbered)

    async def test_unmark_looks_at_what_is_unmarked(self) -> None:
        """The headers of the named messages that are there are looked at, and no others."""
        uids = await self.put_all("a", "b", "c")
        seen: list[int] = []
        validity = (await self.store.poll()).uidvalidity
        await self.store.unmark([uids[2], uids[0], uids[2] + 1], validity, lambda block: not seen.append(block.uid))
        self.assertEqual(sorted(seen), [uids[0], uids[2]])

    async def test_remove_nothing(self) -> None:
        """Removing no message changes nothing."""
        uids = await self.put_all("a", "b")
        await self.removed()
        await self.store.poll(thorough=True)
        self.assertEqual(await self.store.uids(1), uids)

    async def test_remove_any_collection(self) -> None:
        """UIDs may come as a set, in any order."""
        uids = await self.put_all("a", "b", "c")
        if await self.removed(uids[2]):
            await self.store.remove({uids[1], uids[0]}, (await self.store.poll()).uidvalidity, anything)
            self.assertEqual(list(await self.store.uids(1)), [])

    # listen

    async def test_told_of_arrivals(self) -> None:
        """A listener is told when others append, at a poll at the latest."""
        ear = Ear()
        self.store.listen(ear)
        other = await self.opened()
        await other.append(letter("a"))
        await self.store.poll(thorough=True)
        self.assertIn("arrived", ear.words())
        state = next(what for word, what in ear.heard if word == "arrived")
        self.assertIsInstance(state, FolderState)

    async def test_told_without_polling(self) -> None:
        """Where the shelf pushes, a listener is told of appends without a poll; elsewhere at a poll, not before."""
        ear = Ear()
        self.store.listen(ear)
        other = await self.opened()
        await other.append(letter("a"))
        if self.quirks.pushes and not self.quirks.silent:
            await self.until(lambda: "arrived" in ear.words())
        else:
            self.assertNotIn("arrived", ear.words())
            await self.store.poll(thorough=True)
        self.assertIn("arrived", ear.words())

    async def test_told_of_removals(self) -> None:
        """A listener is told exactly which messages others removed."""
        uids = await self.put_all("a", "b", "c", "d")
        ear = Ear()
        self.store.listen(ear)
        other = await self.opened()
        if await self.removed(uids[0], uids[2], store=other):
            await self.store.poll()
            self.assertEqual(ear.gone(), [uids[0], uids[2]])

    async def test_every_listener_is_told(self) -> None:
        """Several listeners all hear."""
        ears = [Ear(), Ear()]
        for ear in ears:
            self.store.listen(ear)
        other = await self.opened()
        await other.append(letter("a"))
        await self.store.poll(thorough=True)
        self.assertEqual(["arrived" in ear.words() for ear in ears], [True, True])

    async def test_stop_listening(self) -> None:
        """The callable that ``listen`` returns stops it, may be called again, and stops nobody else."""
        stopped, listening = Ear(), Ear()
        stop = self.store.listen(stopped)
        self.store.listen(listening)
        stop()
        stop()
        other = await self.opened()
        await other.append(letter("a"))
        await self.store.poll(thorough=True)
        self.assertEqual(stopped.heard, [])
        self.assertIn("arrived", listening.words())

    # Overlapping, cancelling, closing

    async def test_calls_overlap(self) -> None:
        """Calls of all kinds may overlap, and each gets its own answer."""
        uids = await self.put_all("a", "b", "c")
        calls = [
            self.store.message(uids[0]),
            self.store.uids(1, uids[-1]),
            self.store.append(letter("d")),
            self.store.headers(uids[1], uids[1]),
            self.store.message(uids[2]),
            self.store.poll(),
        ]
        first, listed, receipt, blocks, third, state = [await call for call in calls]
        self.assert_same(letter("a"), first)
        self.assertEqual(listed, uids)
        self.assertIsInstance(receipt, Receipt)
        self.assertEqual(list(blocks), [uids[1]])
        self.assert_same(letter("c"), third)
        self.assertIsInstance(state, FolderState)

    async def test_many_messages_at_once(self) -> None:
        """Many bodies asked for at once come back each as itself."""
        names = [f"m{number}" for number in range(20)]
        uids = await self.put_all(*names)
        for name, call in zip(names, [self.store.message(uid) for uid in uids], strict=True):
            self.assert_same(letter(name), await call)

    async def test_cancel_reading(self) -> None:
        """A reading call can be cancelled, and the shelf goes on."""
        uids = await self.put_all("a", "b")
        calls = [self.store.message(uids[0]), self.store.headers(1), self.store.uids(1), self.store.poll()]
        for call in calls:
            call.cancel()
        for call in calls:
            try:
                await call
            except CancelledError as error:
                self.assertIsInstance(error, CancelledError)
        self.assert_same(letter("b"), await self.store.message(uids[1]))

    async def test_cancel_appending(self) -> None:
        """A cancelled append is stored, not sent, or unknown, and says which; those after it are stored."""
        calls = [self.store.append(letter(name)) for name in "abc"]
        calls[1].cancel()
        outcome = "stored"
        try:
            await calls[1]
        except CancelledError:
            outcome = "not sent"
        except OutcomeUnknown:
            outcome = "unknown"
        await calls[0]
        await calls[2]
        await self.store.poll(thorough=True)
        places = [await places_of(self.store, name) for name in "abc"]
        self.assertEqual((len(places[0]), len(places[2])), (1, 1))
        self.assertIn(len(places[1]), {"stored": [1], "not sent": [0], "unknown": [0, 1]}[outcome])

    async def test_close_ends_calls(self) -> None:
        """A call that is pending at the close succeeds or fails as ``Unavailable`` or ``OutcomeUnknown``, and ends."""
        await self.put(letter("a"))
        calls = [self.store.uids(1), self.store.headers(1), self.store.append(letter("b", size=100_000))]
        closed = self.store.close()
        for call, kinds in zip(calls, [Unavailable, Unavailable, (Unavailable, OutcomeUnknown)], strict=True):
            try:
                await call
            except kinds as error:
                self.assertTrue(error.retryable)
        await closed

    async def test_calls_after_close(self) -> None:
        """After the close every call fails with ``Unavailable``."""
        uids = await self.put_all("a")
        await self.store.close()
        await self.fails(self.store.poll(), Unavailable)
        await self.fails(self.store.uids(1), Unavailable)
        await self.fails(self.store.headers(1), Unavailable)
        await self.fails(self.store.message(uids[0]), Unavailable)
        await self.fails(self.store.append(letter("b")), Unavailable)

    async def test_close_twice(self) -> None:
        """Closing again, and closing what was never opened, never raises."""
        await self.store.close()
        self.assertIsNone(await self.store.close())
        self.assertIsNone(await self.make_store().close())

    async def test_close_keeps_everything(self) -> None:
        """Closing removes and changes nothing."""
        uids = await self.put_all("a", "b")
        before = await self.store.poll()
        await self.store.close()
        other = self.watch_over(self.make_store())
        after = await other.open(create=False)
        self.assertEqual((after.uidvalidity, after.exists), (before.uidvalidity, 2))
        self.assertEqual(await other.uids(1), uids)
