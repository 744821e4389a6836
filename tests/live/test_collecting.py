"""Collecting on real servers: exactly what was planned goes, and nobody else's mail (FORMAT 5.3, 5.4; promise P6)."""

from __future__ import annotations

import imaplib
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.trial.unittest import TestCase

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.core.collection import COLLECTED, KEPT, PLANNED
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import Unavailable
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.opening import Membership, Surroundings, open_folder
from ifap_twisted.imap.expunging import Marks
from ifap_twisted.workers import InlineWorker
from tests.filesystem.folders import KEY
from tests.live.embedded import EmbeddedCase
from tests.live.servers import fresh_folder, server
from tests.live.stores import imap_store
from tests.messages import mail

DAY = 86400.0
FOREIGN = 20
FILES = 8
VERSIONS = 3


class CollectingContract:
    """A folder with files of several versions between other people's mail, some of it marked as deleted."""

    options = Options(keep=1)
    addCleanup: Any
    assertEqual: Any
    assertLessEqual: Any
    assertTrue: Any

    async def store_of(self) -> Any:
        """Another connection to the folder."""
        raise NotImplementedError

    async def device(self) -> Any:
        """A filesystem that keeps one version of each file, on a server whose clock can be set forward."""
        store = await self.store_of()
        dates = store.dates

        async def earlier(uids: Any) -> Any:
            found = await dates(uids)
            return {uid: date - (DAY * 8 if uid <= self.mark else 0.0) for uid, date in found.items()}

        store.dates = deferred(earlier)
        opened = await open_folder(
            store,
            Membership(keys=(KEY,)),
            Surroundings(clock=reactor, worker=InlineWorker(), random=os.urandom, identity=MemoryWriter(os.urandom)),
            options=self.options,
        )
        self.addCleanup(opened.filesystem.close)
        return opened.filesystem

    async def later(self, filesystem: Any) -> Any:
        """Eight days go by since the last message, as far as the dates tell; a device that did not see them before."""
        await filesystem.refresh()
        self.mark = filesystem.desk.view.index.highest
        return await self.device()

    async def test_exactly_what_was_planned(self) -> None:
        """All but the newest version of each file goes; all foreign mail stays, the marked one too."""
        self.mark = 0
        other = await self.store_of()
        await other.open()
        one = await self.device()
        for number in range(max(FILES, FOREIGN)):
            if number < FOREIGN:
                await other.append(mail(b"%d\r\n" % number))
            if number < FILES:
                for version in range(VERSIONS):
                    await one.put(f"d/{number}", b"%d %d" % (number, version))
        await one.remove("d/0")
        await one.refresh()
        index = one.desk.view.index
        foreign = {uid for uid in index.uids() if index.at(uid) is None}
        self.assertEqual(FOREIGN, len(foreign))
        await self.mark_deleted(sorted(foreign)[::5])

        planned = (await one.collect()).counts()
        self.assertEqual((FILES * (VERSIONS - 1), 0), (planned[PLANNED], planned[COLLECTED]))
        collected = await (await self.later(one)).collect()
        self.assertEqual((), collected.messages)
        self.assertEqual(FILES * (VERSIONS - 1), collected.counts()[COLLECTED])

        fresh = await self.device()
        left = set(fresh.desk.view.index.uids())
        self.assertLessEqual(foreign, left)
        for number in range(1, FILES):
            versions = await fresh.versions(f"d/{number}")
            self.assertEqual(1, len(versions))
            self.assertEqual(b"%d %d" % (number, VERSIONS - 1), await fresh.get(f"d/{number}"))
        self.assertEqual([True, False], [entry.deleted for entry in await fresh.versions("d/0")])
        self.assertTrue(
            all(fresh.desk.view.index.is_collected(v.vid) for v in collected.verdicts if v.fate == COLLECTED)
        )
        self.assertEqual({KEPT}, {v.fate for v in (await fresh.collect(dry_run=True)).verdicts if v.path[:2] == "d/"})

    async def mark_deleted(self, uids: list[int]) -> None:
        """Another client marks mail as deleted, and does not expunge it."""
        raise NotImplementedError


class LiveCollecting(CollectingContract):
    """On a server of its own process."""

    server = "dovecot"
    settings: Mapping[str, str] = MappingProxyType({})

    async def setUp(self) -> None:
        """Choose the folder."""
        self.folder, self.live = fresh_folder(), server(self.server, **self.settings)

    async def store_of(self) -> Any:
        """Another connection."""
        store = imap_store(self.live, self.folder)
        self.addCleanup(store.close)
        return store

    async def mark_deleted(self, uids: list[int], sign: str = "+") -> None:
        """By Python's own client."""
        client = imaplib.IMAP4(self.live.host, self.live.port, timeout=10)
        client.login(self.live.user, self.live.password)
        client.select(self.live.prefix + self.folder)
        client.uid("STORE", ",".join(map(str, uids)), f"{sign}FLAGS", "(\\Deleted)")
        client.logout()


_mark_set = Marks.mark_set


async def _cut(*_anything: Any) -> None:
    """The connection is there no more."""
    raise Unavailable("The connection is cut.")


async def _only_marking(marks: Marks, uid_set: bytes, *, deleted: bool) -> None:
    """It is there until the messages are marked."""
    if not deleted:
        raise Unavailable("The connection is cut.")
    await _mark_set(marks, uid_set, deleted=True)


class DovecotTests(LiveCollecting, TestCase):
    """Dovecot."""

    async def test_cut_between_marking_and_expunging(self) -> None:
        """What is wanted again by then is not left marked: a plain EXPUNGE of another program removes none of it."""
        self.mark = 0
        one = await self.device()
        for content in (b"1", b"2", b"3"):
            await one.put("a", content)
        await one.collect()
        two = await self.later(one)
        cutting = patch.object(Marks, "expunge_exactly", _cut), patch.object(Marks, "mark_set", _only_marking)
        with cutting[0], cutting[1], self.assertRaises(Unavailable):
            await two.collect()
        self.assertEqual(2, len(self.plainly("SEARCH", "DELETED")[0].split()))
        await two.keep("a", 9)
        self.assertEqual({KEPT}, {v.fate for v in (await two.collect()).verdicts if v.path == "a"})
        self.plainly("EXPUNGE")
        contents = [await two.get("a", version=entry.version) for entry in await (await self.device()).versions("a")]
        self.assertEqual([b"3", b"3", b"2", b"1"], contents)

    def plainly(self, command: str, *words: str) -> Any:
        """Another program works on the folder."""
        client = imaplib.IMAP4(self.live.host, self.live.port, timeout=10)
        client.login(self.live.user, self.live.password)
        client.select(self.live.prefix + self.folder)
        said = client.search(None, *words) if command == "SEARCH" else client.expunge()
        client.logout()
        return said[1]


class CyrusTests(LiveCollecting, TestCase):
    """Cyrus."""

    server = "cyrus"


class CourierTests(LiveCollecting, TestCase):
    """Courier, which shows appends after NOOP and tells no UIDNEXT."""

    server = "courier"


class MailutilsTests(TestCase):
    """GNU mailutils, which has no UIDPLUS."""

    async def test_nothing_is_removed(self) -> None:
        """The collection says why, and writes nothing; the status says it, too."""
        case = LiveCollecting()
        case.addCleanup, case.server, case.mark = self.addCleanup, "mailutils", 0  # type: ignore[attr-defined]
        await case.setUp()
        one = await case.device()
        await one.put("a", b"1")
        await one.put("a", b"2")
        before = len(one.desk.view.index)
        found = await one.collect()
        self.assertEqual(["no-uidplus"], [notice.code for notice in found.messages])
        self.assertIn("no-uidplus", [notice.code for notice in (await one.status()).warnings])
        await one.refresh()
        self.assertEqual(before, len(one.desk.view.index))


class PlainCollecting(LiveCollecting):
    """On a server without UIDPLUS, where plain EXPUNGE is allowed: marked mail of others is in the way (FORMAT 5.4).

    One connection at a time: mailutils gives the messages of a Maildir other UIDs, under the same UIDVALIDITY, while
    several work on it.
    """

    options = Options(keep=1, expunges_plainly=True)

    async def test_exactly_what_was_planned(self) -> None:
        """Nothing goes while mail of others is marked; then the old versions go, and all other mail stays."""
        self.mark = 0
        await self.append_foreign()
        one = await self.device()
        for content in (b"1", b"2", b"3"):
            await one.put("a", content)
        await one.put("b", b"1")
        index = one.desk.view.index
        foreign = [uid for uid in index.uids() if index.at(uid) is None]
        old = [placed.places[0] for placed in index.history("a").versions[:2]]
        self.assertEqual(2, (await one.collect()).counts()[PLANNED])
        await one.refresh()
        self.mark = index.highest
        await one.close()
        await self.mark_deleted(foreign)
        await self.check_refused(3)
        await self.mark_deleted(foreign, "-")
        await self.mark_deleted(old[1:])  # as a removal that was killed leaves it

        two = await self.device()
        collected = await two.collect()
        self.assertEqual(((), 2), (collected.messages, collected.counts()[COLLECTED]))
        await two.close()
        fresh = await self.device()
        left = set(fresh.desk.view.index.uids())
        self.assertEqual((set(foreign), set()), (left.intersection(foreign), left.intersection(old)))
        self.assertEqual((b"3", b"1"), (await fresh.get("a"), await fresh.get("b")))

    async def check_refused(self, versions: int) -> None:
        """A collection removes nothing, and says that others marked mail."""
        device = await self.device()
        refused = await device.collect()
        self.assertEqual(["marked-by-others"], [notice.code for notice in refused.messages])
        self.assertEqual(versions, len(await device.versions("a")))
        await device.close()

    async def append_foreign(self) -> None:
        """Somebody else's mail."""
        store = await self.store_of()
        await store.open()
        await store.append(mail())
        await store.close()


class MailutilsPlainTests(PlainCollecting, TestCase):
    """GNU mailutils."""

    server = "mailutils"


class DovecotPlainTests(PlainCollecting, TestCase):
    """Dovecot that does not say that it has UIDPLUS."""

    settings = MappingProxyType({"IFAP_DOVECOT_CAPABILITY": "IMAP4rev1 LITERAL+ SASL-IR ID IDLE NAMESPACE"})


class EmbeddedTests(CollectingContract, EmbeddedCase):
    """Our own server, over its UNIX socket."""

    async def store_of(self) -> Any:
        """Another connection."""
        store = self.embedded_store("IFAP_DATA")
        self.addCleanup(store.close)
        return store

    async def mark_deleted(self, uids: list[int]) -> None:
        """By a second connection of ours: its wire sends what it is told."""
        store = await self.store_of()
        await store.open()
        session = await store._session()
        text = b"UID STORE %b +FLAGS (\\Deleted)" % ",".join(map(str, uids)).encode()
        await session.folder.removing._change(text, "mark mail")
