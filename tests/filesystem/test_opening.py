"""Opening a folder: keys, dialects, the folder object, and what must leave it untouched (FORMAT 4.5, 8.2, 8.6)."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.dialects import IFAP, MAILFILE
from ifap_twisted.core.index import Index
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Receipt, Traits, Version
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import (
    ForeignFolder,
    IFAPError,
    KeyRequired,
    Malformed,
    NewerVersionNeeded,
    Plaintext,
    ProtocolViolation,
    ReadOnly,
    Renumbered,
    Unavailable,
    UnsupportedDialect,
    WrongKey,
)
from ifap_twisted.filesystem.folder import FOLDER_OBJECTS, FolderObject, home_of_versions
from ifap_twisted.filesystem.opening import Membership, Opened
from ifap_twisted.store.memory import FULL_TRAITS, MemoryShelf, MemoryStore, Turnstile
from ifap_twisted.testing.reference_writer import encode
from tests.core.strategies import json_values
from tests.filesystem.folders import KEY, Folder, result

POOR = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
OTHER = Key.from_text("another key entirely")
MAIL = b"From: a@example.org\r\nSubject: hello\r\n\r\nnot ours\r\n"


def reference(path: str, content: bytes = b"x", dialect: Any = IFAP, key: Key | None = KEY) -> bytes:
    """A message as a reference program writes it."""
    name = "ifaplib" if dialect is IFAP else dialect.name
    return encode(path, content, {"ts": 1_573_400_000}, dialect=name, key=None if key is None else key.text)


class Opening(SynchronousTestCase):
    """A folder with messages in it."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.store = self.folder.store()
        result(self.store.open())

    def add(self, *messages: bytes) -> None:
        """Messages of somebody else."""
        for message in messages:
            result(self.store.append(message))

    def contents(self) -> dict[int, bytes]:
        """Everything that lies in the folder."""
        return {uid: result(self.store.message(uid)) for uid in result(self.store.uids(1))}

    def open(self, membership: Membership, **options: Any) -> Opened:
        """Open the folder on a device."""
        opened: Opened = result(self.folder.opening(membership, **options))
        return opened

    def assertRefusedUntouched(self, kind: type[IFAPError], membership: Membership, **options: Any) -> None:
        """Opening fails, and nothing of the folder is changed."""
        before = self.contents()
        self.assertRaises(kind, self.open, membership, **options)
        self.assertEqual(self.contents(), before)


class KeyTests(Opening):
    """Which key opens what."""

    def test_a_key_is_made_in_an_empty_folder_when_asked(self) -> None:
        """And the device is told it before anything is written under it."""
        told: list[tuple[Membership, int]] = []

        @deferred
        async def remember(membership: Membership) -> None:
            told.append((membership, len(self.contents())))

        opened = self.open(Membership(), make_key=True, remember=remember)
        self.assertTrue(opened.made_key)
        self.assertEqual([(bool(known.keys), known.home is None, count) for known, count in told], [
            (True, True, 0), (True, False, 1)])  # fmt: skip
        self.assertEqual(told[-1][0], opened.membership)

    def test_no_key_is_made_unless_asked(self) -> None:
        """The user has to log in."""
        self.assertRefusedUntouched(KeyRequired, Membership())

    def test_no_key_is_made_where_a_message_of_either_dialect_is(self) -> None:
        """Even if it is only one (FORMAT 8.2)."""
        for dialect in (IFAP, MAILFILE):
            self.add(reference("a", dialect=dialect))
            self.assertRefusedUntouched(KeyRequired, Membership(), make_key=True)

    def test_foreign_mail_is_in_nobody_s_way(self) -> None:
        """It is counted, and stays."""
        self.add(MAIL)
        opened = self.open(Membership(), make_key=True)
        self.assertEqual(result(opened.filesystem.status()).foreign, 1)
        self.assertEqual(self.contents()[1], MAIL)

    def test_a_wrong_key_is_refused(self) -> None:
        """Nothing is written with it."""
        self.folder.device()
        self.assertRefusedUntouched(WrongKey, Membership(keys=(OTHER,)))

    def test_one_of_several_keys_is_enough(self) -> None:
        """They are tried in order."""
        result(self.folder.device().put("a", b"1"))
        opened = self.open(Membership(keys=(OTHER, KEY)))
        self.assertEqual(result(opened.filesystem.get("a")), b"1")

    def test_a_folder_of_the_reference_opens_with_its_key(self) -> None:
        """And gets a folder object (FORMAT 8.2)."""
        self.add(reference("dir/a.txt", b"hello"))
        filesystem = self.open(Membership(keys=(KEY,))).filesystem
        self.assertEqual(result(filesystem.get("dir/a.txt")), b"hello")
        self.assertFalse(result(filesystem.stat("dir/a.txt")).bound)
        self.assertEqual(len(self.contents()), 2)

    def test_plaintext_in_the_only_messages_is_not_taken_for_a_folder_of_ours(self) -> None:
        """Encryption is required unless somebody says otherwise (FORMAT 8.6)."""
        self.add(reference("a", key=None))
        self.assertRefusedUntouched(Plaintext, Membership(keys=(KEY,)))
        self.assertRefusedUntouched(Plaintext, Membership())

    def test_encryption_cannot_be_off_where_files_are_encrypted(self) -> None:
        """Or new files would lie in the open (FORMAT 8.6)."""
        self.folder.device()
        self.assertRefusedUntouched(KeyRequired, Membership(encrypted=False))

    def test_plaintext_in_an_encrypted_folder_is_never_served(self) -> None:
        """It is counted and reported (WIRE-FORMAT 7.1)."""
        filesystem = self.folder.device()
        result(filesystem.put("a", b"ours"))
        self.add(reference("a", b"injected", key=None), reference("b", b"injected", key=None))
        result(filesystem.refresh())
        self.assertEqual(result(filesystem.get("a")), b"ours")
        self.assertEqual([entry.path for entry in result(filesystem.list())], ["a"])
        status = result(filesystem.status())
        self.assertEqual((status.damaged, [notice.code for notice in status.warnings]), (2, ["plaintext"]))

    def test_a_read_only_folder_without_a_folder_object_is_refused(self) -> None:
        """There is nothing that says whose it is."""
        store = self.folder.store(read_only=True)
        self.assertRaises(ReadOnly, result, self.folder.opening(store=store))


class DialectTests(Opening):
    """Which dialect a folder has (DESIGN 4.1)."""

    def test_an_empty_folder_gets_the_one_asked_for(self) -> None:
        """``ifap`` when nobody asks."""
        self.assertEqual(self.open(Membership(keys=(KEY,))).membership.dialect, "ifap")
        other = Folder()
        opened = result(other.opening(Membership(dialect="mailfile", keys=(KEY,))))
        self.assertEqual(opened.membership.dialect, "mailfile")

    def test_the_only_one_present_is_taken(self) -> None:
        """Without asking."""
        self.add(reference("a", dialect=MAILFILE))
        self.assertEqual(self.open(Membership(keys=(KEY,))).membership.dialect, "mailfile")

    def test_the_other_one_asked_for_is_a_warning(self) -> None:
        """Not a conversion."""
        self.add(reference("a", dialect=MAILFILE))
        opened = self.open(Membership(dialect="ifap", keys=(KEY,)))
        self.assertEqual(opened.membership.dialect, "mailfile")
        self.assertEqual([n.code for n in result(opened.filesystem.status()).warnings], ["other-dialect"])

    def test_both_present_needs_a_choice(self) -> None:
        """Two file systems in one folder."""
        self.add(reference("a", b"1", MAILFILE), reference("a", b"2", IFAP))
        self.assertRefusedUntouched(UnsupportedDialect, Membership(keys=(KEY,)))
        opened = self.open(Membership(dialect="mailfile", keys=(KEY,)))
        self.assertEqual(result(opened.filesystem.get("a")), b"1")

    def test_a_message_that_is_not_authentic_decides_nothing(self) -> None:
        """Anybody can drop a plaintext message of the other dialect into the folder (FORMAT 8.6)."""
        self.add(reference("a", dialect=IFAP), reference("a", dialect=MAILFILE, key=None))
        self.assertEqual(self.open(Membership(keys=(KEY,))).membership.dialect, "ifap")

    def test_a_dialect_that_there_is_not_is_refused(self) -> None:
        """With the names of those that there are."""
        self.assertRefusedUntouched(UnsupportedDialect, Membership(dialect="gopher", keys=(KEY,)))


class FolderObjectTests(Opening):
    """Whose folder it is (FORMAT 8.2)."""

    def test_all_devices_agree_on_the_home(self) -> None:
        """The second adopts the first one's."""
        first = self.open(Membership(keys=(KEY,)))
        second = self.open(Membership(keys=(KEY,)))
        self.assertEqual(first.membership.home, second.membership.home)
        self.assertEqual(len(self.contents()), 1)

    def test_of_two_that_are_made_at_once_the_lowest_uid_wins(self) -> None:
        """The loser takes its own back and adopts the winner's."""
        rival = Folder(shelf=self.folder.shelf, seed=1)
        store = Racing(self.folder.shelf, lambda: result(rival.opening()))
        opened: Opened = result(self.folder.opening(store=store))
        self.assertEqual(len(self.contents()), 1)
        self.assertEqual(result(rival.opening()).membership.home, opened.membership.home)

    def test_the_loser_s_stays_the_loser_s_when_the_server_changes_the_order(self) -> None:
        """It could not be removed (no UIDPLUS); the files written so far are still this folder's (FORMAT 2.5)."""
        rival = Folder(shelf=self.folder.shelf, seed=1)
        poor = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
        store = Racing(self.folder.shelf, lambda: result(rival.opening()), traits=poor)
        opened: Opened = result(self.folder.opening(store=store))
        result(opened.filesystem.put("a", b"1"))
        self.folder.shelf.renumber([2, 4, 1, 3])
        self.assertEqual(result(self.folder.device().get("a")), b"1")

    def test_nor_before_anything_was_written(self) -> None:
        """Whoever finds two equal ones says which it took, by another message of it (FORMAT 8.2)."""
        rival = Folder(shelf=self.folder.shelf, seed=1)
        poor = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
        store = Racing(self.folder.shelf, lambda: result(rival.opening()), traits=poor)
        opened: Opened = result(self.folder.opening(store=store))
        self.assertEqual(len(self.contents()), 3)
        self.folder.shelf.renumber([2, 1, 3])
        late = self.folder.device()
        self.assertEqual(len(self.contents()), 3)
        result(late.put("a", b"1"))
        result(opened.filesystem.refresh())
        self.assertEqual(result(opened.filesystem.get("a")), b"1")

    def test_a_winner_whose_object_is_there_twice_stays_the_winner(self) -> None:
        """A rival has said so while it still reads back what it stored."""
        rival = Folder(seed=1)
        result(rival.opening(Membership(keys=(KEY,))))
        store = self.folder.store()
        store.gate = turnstile = Turnstile("message")
        opening = self.folder.opening(Membership(keys=(KEY,)), store=store)
        (own,) = self.folder.shelf.messages.values()
        self.folder.shelf.add(next(iter(rival.shelf.messages.values())))
        self.folder.shelf.add(own)
        turnstile.release()
        opened: Opened = result(opening)
        self.assertIn(1, self.folder.shelf.messages)
        result(opened.filesystem.put("a", b"1"))
        self.assertEqual(result(self.folder.device().get("a")), b"1")

    def test_files_count_more_than_folder_objects(self) -> None:
        """However many messages of those there are."""
        index = Index()
        for uid, home in enumerate(["AAAAAAAA", "BBBBBBBB", "AAAAAAAA", "AAAAAAAA"], 1):
            index.observe(uid, named(FOLDER_OBJECTS + home, home))
        self.assertEqual(home_of_versions(index), "AAAAAAAA")
        index.observe(5, named("a", "BBBBBBBB"))
        self.assertEqual(home_of_versions(index), "BBBBBBBB")

    def test_numbers_that_change_while_the_folder_is_opened_are_not_used(self) -> None:
        """What was listed under them means nothing; opening again helps (FORMAT 2.5)."""
        result(self.folder.device().put("a", b"1"))
        for method in ("headers", "message"):
            store = self.folder.store()
            store.gate = turnstile = Turnstile(method)
            worker = Held()
            opening = self.folder.opening(store=store, worker=worker)
            turnstile.release()
            self.folder.shelf.renumber([2, 1])
            worker.release()
            self.failureResultOf(opening, Renumbered)
            self.assertEqual(result(self.folder.device().get("a")), b"1")

    def test_the_loser_that_cannot_open_the_winner_s_fails(self) -> None:
        """Two keys were made for one folder: the second user must be told."""
        rival = Folder(shelf=self.folder.shelf, seed=1)
        store = Racing(self.folder.shelf, lambda: result(rival.opening(Membership(keys=(OTHER,)))))
        self.assertRaises(WrongKey, result, self.folder.opening(store=store))
        self.assertEqual(len(self.contents()), 1)

    def test_a_renumbering_between_the_two_decides_nothing(self) -> None:
        """The loser's object has the lower number now: it is withdrawn all the same, and opening again is refused."""
        rival = Folder(shelf=self.folder.shelf, seed=1)
        store = self.folder.store()
        store.gate = turnstile = Turnstile("append", "answer")
        opening = self.folder.opening(store=store)
        result(rival.opening(Membership(keys=(OTHER,))))
        turnstile.release(1)
        self.assertEqual(turnstile.held, ["answer"])
        self.folder.shelf.renumber([2, 1])
        turnstile.release()
        self.failureResultOf(opening, Renumbered)
        self.assertEqual(len(self.contents()), 1)
        self.failureResultOf(self.folder.opening(), WrongKey)

    def test_what_others_may_have_adopted_stays(self) -> None:
        """The numbers changed before its writer saw that it was first; another has the folder open under it."""
        store = self.folder.store()
        store.gate = turnstile = Turnstile("answer")
        opening = self.folder.opening(store=store)
        other = self.open(Membership(keys=(KEY,)))
        self.folder.shelf.renumber()
        turnstile.release()
        self.failureResultOf(opening, Renumbered)
        result(other.filesystem.put("a", b"1"))
        self.assertEqual(result(self.folder.device().get("a")), b"1")
        self.assertEqual(self.open(Membership(keys=(KEY,))).membership.home, other.membership.home)

    def test_a_loser_that_could_not_take_its_own_back_has_lost(self) -> None:
        """Without UIDPLUS its folder object stays; opened again with the key that it made, it is refused still."""
        rival = Folder(shelf=self.folder.shelf, seed=1)
        poor = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
        store = Racing(self.folder.shelf, lambda: result(rival.opening(Membership(keys=(OTHER,)))), traits=poor)
        self.assertRaises(WrongKey, result, self.folder.opening(store=store))
        self.assertEqual(len(self.contents()), 2)
        self.failureResultOf(self.folder.opening(), WrongKey)
        winner = rival.device(Membership(keys=(OTHER,)))
        result(winner.put("a", b"1"))
        self.failureResultOf(self.folder.opening(), WrongKey)

    def test_who_is_quicker_between_the_listing_and_the_writing_wins(self) -> None:
        """Two keys were made for one folder; the news of the other's come before one's own is written."""
        worker = Held()
        opening = self.folder.opening(Membership(), make_key=True, worker=worker)
        rival: Opened = result(Folder(shelf=self.folder.shelf, seed=1).opening(Membership(), make_key=True))
        worker.release()
        self.failureResultOf(opening, WrongKey)
        self.assertEqual(len(self.contents()), 1)
        result(rival.filesystem.put("a", b"1"))

    def test_the_loser_whose_object_stays_loses_again(self) -> None:
        """It could not be removed (no UIDPLUS), and it opens; the folder is the winner's all the same."""
        rival = Folder(shelf=self.folder.shelf, seed=1)
        poor = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
        store = Racing(self.folder.shelf, lambda: result(rival.opening(Membership(keys=(OTHER,)))), traits=poor)
        self.assertRaises(WrongKey, result, self.folder.opening(store=store))
        self.assertEqual(len(self.contents()), 2)
        self.assertRaises(WrongKey, result, self.folder.opening())
        result(rival.device(Membership(keys=(OTHER,))).put("a", b"1"))
        self.assertRaises(WrongKey, result, self.folder.opening())

    def test_messages_of_another_folder_under_the_same_key_are_refused(self) -> None:
        """``home`` tells (FORMAT 1, table)."""
        elsewhere = Folder(seed=5)
        result(elsewhere.device().put("a", b"from elsewhere"))
        ours = self.folder.device()
        moved = elsewhere.store()
        result(moved.open())
        self.add(result(moved.message(2)))
        result(ours.refresh())
        self.assertEqual(list(result(ours.list())), [])
        self.assertEqual([n.code for n in result(ours.status()).warnings], ["foreign-folder"])

    def test_another_folder_in_the_place_of_the_known_one_is_refused(self) -> None:
        """The server swapped it."""
        known = self.open(Membership(keys=(KEY,))).membership
        swapped = Folder(seed=5)
        swapped.device()
        self.assertRaises(ForeignFolder, result, swapped.opening(known))

    def test_a_listing_without_the_folder_object_founds_no_second_folder(self) -> None:
        """What is not listed is not absent: the devices would never see each other's files (FORMAT 2.5)."""
        result(self.folder.device().put("a", b"1"))
        store = self.folder.store()
        store.hide(1)
        self.assertRefusedUntouched(Unavailable, Membership(keys=(KEY,)), store=store)
        store.reveal()
        self.assertEqual(result(self.folder.device(store=store).get("a")), b"1")

    def rivals(self, *, poor: bool) -> tuple[Opened, MemoryStore, Deferred[Opened]]:
        """A device that sets the folder up; the store of another, which is not shown that; and its opening."""
        store = MemoryStore(self.folder.shelf, clock=self.folder.clock, traits=POOR if poor else FULL_TRAITS)
        store.gate = turnstile = Turnstile("append")
        opening = self.folder.opening(store=store)
        store.hide(1)
        first = self.open(Membership(keys=(KEY,)))
        turnstile.release()
        return first, store, opening

    def test_a_rival_that_is_not_listed_may_have_won(self) -> None:
        """Whoever writes a folder object and is not shown all messages waits until it is (FORMAT 2.5, 8.2)."""
        first, store, opening = self.rivals(poor=False)
        self.assertRaises(Unavailable, result, opening)
        store.reveal()
        self.assertEqual(self.open(Membership(keys=(KEY,)), store=store).membership.home, first.membership.home)

    def test_nor_does_a_loser_win_by_trying_again(self) -> None:
        """Its own folder object is there, and would be found alone the next time."""
        first, store, opening = self.rivals(poor=True)
        self.assertRaises(Unavailable, result, opening)
        self.assertRaises(Unavailable, result, self.folder.opening(store=store))
        self.assertEqual(len(self.folder.shelf.messages), 2)
        result(first.filesystem.put("a", b"1"))
        self.assertRaises(Unavailable, result, self.folder.opening(store=store))
        store.reveal()
        self.assertEqual(result(self.folder.device(store=store).get("a")), b"1")

    def test_no_key_is_made_on_the_word_of_an_incomplete_listing(self) -> None:
        """The folder may be somebody's."""
        self.folder.device()
        store = self.folder.store()
        store.hide(1)
        self.assertRefusedUntouched(Unavailable, Membership(), store=store, make_key=True)

    def test_a_lost_folder_object_is_made_anew_for_the_same_folder(self) -> None:
        """The files that are there say whose folder it is."""
        first = self.open(Membership(keys=(KEY,)))
        result(first.filesystem.put("a", b"1"))
        self.folder.shelf.remove([1])
        second = self.open(Membership(keys=(KEY,)))
        self.assertEqual(result(second.filesystem.get("a")), b"1")
        self.assertEqual(second.membership.home, first.membership.home)
        self.assertEqual(self.open(first.membership).membership, first.membership)

    def test_a_folder_object_survives_its_encoding(self) -> None:
        """Canonical JSON."""
        drawn = FolderObject.draw(KEY, self.folder.random)
        self.assertEqual(FolderObject.decode(drawn.encode()), drawn)

    def test_a_damaged_folder_object_is_a_data_error(self) -> None:
        """Whatever it is."""
        for content in [b"", b"{}", b"[]", b"\xff", b'{"home":1}', b"[" * 9999, b'{"v":1}', b"1" * 5000]:
            self.assertRaises(Malformed, FolderObject.decode, content)
        good = FolderObject.draw(KEY, self.folder.random).encode()
        self.assertRaises(Malformed, FolderObject.decode, good[:-1] + b',"v":1}')
        self.assertRaises(Malformed, FolderObject.decode, good + b" " * 5000)

    @given(st.sampled_from(["chunks", "generation", "home", "key", "v"]), json_values)
    def test_hostile_values_in_a_folder_object(self, name: str, value: Any) -> None:
        """Each field is right, or the object is refused; no other error is met, and nothing is taken for another."""
        good = json.loads(FolderObject.draw(KEY, random.Random(1).randbytes).encode())
        try:
            found = FolderObject.decode(json.dumps({**good, name: value}).encode())
        except (Malformed, NewerVersionNeeded):
            return
        self.assertEqual(json.loads(found.encode()), {**good, name: value})
        self.assertEqual([type(one) for one in json.loads(found.encode()).values()], [str, int, str, str, int])

    @given(json_values)
    def test_any_json_for_a_folder_object(self, value: Any) -> None:
        """Is none."""
        self.assertRaises(Malformed, FolderObject.decode, json.dumps(value).encode())

    def test_odd_values_in_a_folder_object(self) -> None:
        """Those that other readers might take for right."""
        good = json.loads(FolderObject.draw(KEY, self.folder.random).encode())
        odd: dict[str, list[Any]] = {
            "generation": [True, 1.0, 0, -1, 2**53, "1"],
            "home": ["", "AAAAAAA", "AAAAAAAA=", "AAAA\nAAA", "AAAA/AAA", ["A"] * 8],
            "chunks": ["", "A" * 43, "A" * 44, "A" * 42 + "B=", "!" * 43 + "="],
            "key": ["A" * 16, "0" * 15, "0" * 17, None],
            "v": [True, 0, 1.0, "1", None],
        }
        for name, values in odd.items():
            for value in values:
                self.assertRaises(Malformed, FolderObject.decode, json.dumps({**good, name: value}).encode())
        newer = json.dumps({**good, "v": 2}).encode()
        self.assertRaises(NewerVersionNeeded, FolderObject.decode, newer)
        more = json.dumps({**good, "more": 1}).encode()
        self.assertEqual(json.loads(FolderObject.decode(more).encode()), good)

    def test_one_copy_of_the_folder_object_is_damaged(self) -> None:
        """A bad copy never hides a good one (FORMAT 2.3)."""
        first = self.open(Membership(keys=(KEY,)))
        good = self.folder.shelf.messages[1]
        self.folder.shelf.add(good)
        self.folder.shelf.tamper(1, good[:-80] + b"\r\n")
        second = self.open(Membership(keys=(KEY,)))
        self.assertEqual(second.membership.home, first.membership.home)
        self.assertEqual(len(self.folder.shelf.messages), 2)

    def test_a_server_that_changes_messages_is_refused(self) -> None:
        """Header and body are read back; the folder object is taken back (FORMAT 4.5)."""
        for change in (lambda m: m.replace(b"\r\n\r\n!", b"\r\n\r\n?"), lambda m: m[: len(m) // 2]):
            folder = Folder()
            store = Changing(folder.shelf, change)
            self.assertRaises(ProtocolViolation, result, folder.opening(store=store))

    def test_what_a_server_calls_ours_is_removed_only_when_it_is(self) -> None:
        """One that stores nothing and names somebody's letter as the new message loses nobody's letter."""
        folder = Folder()
        letter = b"Subject: hello\r\n\r\nA letter.\r\n"
        folder.shelf.add(letter)
        store = folder.store()
        store.append = lambda _message: succeed(Receipt(uidvalidity=folder.shelf.uidvalidity, uid=1))
        self.assertRaises(ProtocolViolation, result, folder.opening(store=store))
        self.assertEqual(list(folder.shelf.messages.values()), [letter])

    def test_a_final_line_end_and_a_blank_after_the_colon_are_allowed(self) -> None:
        """Courier and mailutils add them (FORMAT 4.5)."""
        for change in (lambda m: m + b"\r\n", lambda m: m.replace(b"X-IFAP:\r\n", b"X-IFAP: \r\n", 1)):
            folder = Folder()
            opened: Opened = result(folder.opening(store=Changing(folder.shelf, change)))
            result(opened.filesystem.put("a", b"1"))
            self.assertEqual(result(opened.filesystem.get("a")), b"1")


class Held:
    """A worker whose results come when they are released."""

    def __init__(self) -> None:
        self._held: list[tuple[Deferred[Any], Any]] | None = []

    def __call__(self, work: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        if self._held is None:
            done.callback(work())
        else:
            self._held.append((done, work))
        return done

    def release(self) -> None:
        """From now on nothing is held."""
        held, self._held = self._held, None
        for done, work in held or ():
            done.callback(work())


class Racing(MemoryStore):
    """A session in which somebody else is quicker with the first append."""

    def __init__(self, shelf: MemoryShelf, before: Any, **options: Any) -> None:
        super().__init__(shelf, **options)
        self._before = before

    def append(self, message: bytes) -> Any:
        before, self._before = self._before, None
        if before is not None:
            before()
        return super().append(message)


def named(path: str, home: str) -> Version:
    """A version that names a home."""
    return Version(
        path=path, vid=f"{path} {home}", sealed_id=path, ours=True, encrypted=True, length=0, size=0, modified=0.0,
        writer="w", clock={"w": 1}, home=home,
    )  # fmt: skip


class Changing(MemoryStore):
    """A session of a server that changes what it is given."""

    def __init__(self, shelf: MemoryShelf, change: Any) -> None:
        super().__init__(shelf)
        self._change = change

    @deferred
    async def append(self, message: bytes) -> Receipt:
        return await super().append(self._change(message))
