"""The view keeps step with the server, and never takes silence for a deletion (FORMAT 2.3 to 2.6, 5.5)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import Event, Traits
from ifap_twisted.errors import CallerError, MessageGone, Refused, Renumbered
from ifap_twisted.filesystem.refreshing import LOOK_AGAIN_SECONDS
from ifap_twisted.store.memory import Turnstile
from ifap_twisted.workers import InlineWorker
from tests.filesystem.folders import Folder, result
from tests.messages import anything


class ViewTests(SynchronousTestCase):
    """One device that looks on."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.writer = self.folder.device()
        self.store = self.folder.store()
        self.filesystem = self.folder.device(store=self.store)
        for name in ("a", "b", "c"):
            result(self.writer.put(name, name.encode()))

    def names(self) -> list[str]:
        """What the device shows."""
        return [entry.path for entry in result(self.filesystem.list())]

    def missing(self) -> list[str]:
        """What is shown as missing."""
        return [entry.path for entry in result(self.filesystem.list()) if entry.missing]

    def codes(self) -> list[str]:
        """Of the warnings."""
        return [notice.code for notice in result(self.filesystem.status()).warnings]

    def test_what_others_write_shows_without_asking(self) -> None:
        """The server pushes."""
        self.assertEqual(self.names(), ["a", "b", "c"])

    def test_without_push_it_is_looked_at_when_it_is_a_little_old(self) -> None:
        """After two seconds at most."""
        store = self.folder.store(traits=Traits(reports_uid=True, expunges_by_uid=True, pushes=False))
        filesystem = self.folder.device(store=store)
        result(self.writer.put("d", b"d"))
        self.folder.clock.advance(3)
        self.assertIn("d", [entry.path for entry in result(filesystem.list())])

    def test_a_listing_that_leaves_messages_out_deletes_nothing(self) -> None:
        """It is one condition, told once, and heals by itself (FORMAT 5.5)."""
        self.store.hide(2, 3)
        self.store.go_offline()
        self.store.go_online()
        result(self.filesystem.refresh())
        self.assertEqual(self.names(), ["a", "b", "c"])
        self.assertEqual(self.codes(), ["listing-incomplete"])
        self.store.reveal()
        result(self.filesystem.refresh())
        self.assertEqual((self.names(), self.codes()), (["a", "b", "c"], []))

    def test_a_fresh_device_reads_later_what_was_hidden_at_first(self) -> None:
        """A message that was not listed is unknown, not gone (FORMAT 2.5)."""
        store = self.folder.store()
        store.hide(3)
        filesystem = self.folder.device(store=store)
        self.assertEqual([entry.path for entry in result(filesystem.list())], ["a", "c"])
        store.reveal()
        result(filesystem.refresh())
        self.assertEqual([entry.path for entry in result(filesystem.list())], ["a", "b", "c"])

    def test_a_refused_listing_changes_nothing(self) -> None:
        """NO is not an empty folder."""
        self.store.fail_next("poll", Refused("no"))
        self.assertRaises(Refused, result, self.filesystem.refresh())
        self.assertEqual(self.names(), ["a", "b", "c"])

    def test_an_incomplete_listing_makes_no_snapshot(self) -> None:
        """It would hide files from others (FORMAT 6.2)."""
        self.store.hide(2)
        self.store.go_offline()
        self.store.go_online()
        self.assertRaises(CallerError, result, self.filesystem.snapshot())
        self.assertEqual(self.folder.shelf.uidnext, 5)

    def test_renumbering_changes_nothing_that_is_seen(self) -> None:
        """Versions are found again by their ids; watchers are told to look anew."""
        before = {name: result(self.filesystem.stat(name)) for name in "abc"}
        events: list[Event] = []
        self.filesystem.watch(events.append)
        self.folder.shelf.renumber(sorted(self.folder.shelf.messages, reverse=True))
        result(self.filesystem.refresh())
        self.assertEqual({name: result(self.filesystem.stat(name)) for name in "abc"}, before)
        self.assertEqual(result(self.filesystem.get("a")), b"a")
        self.assertIn("renewed", [event.kind for event in events])

    def test_a_message_that_was_expunged_is_told(self) -> None:
        """The server said so, but nobody is known to have removed it (FORMAT 5.5)."""
        other = self.folder.store()
        result(other.open())
        result(other.remove([2], 1, anything))
        self.assertEqual((self.missing(), self.codes()), (["a"], ["vanished"]))

    def test_a_bad_copy_never_hides_a_good_one(self) -> None:
        """Reading tries the places of a version until one verifies (FORMAT 2.3)."""
        good = self.folder.shelf.messages[2]
        self.folder.shelf.tamper(2, good[:-200] + b"A" * 198 + b"\r\n")
        result(self.store.append(good))
        result(self.filesystem.refresh())
        self.assertEqual(result(self.filesystem.get("a")), b"a")

    def test_a_message_that_cannot_be_fetched_is_not_a_missing_file(self) -> None:
        """MessageGone, and the file stays listed (FORMAT 5.5)."""
        self.store.fail_next("message", MessageGone("gone"))
        self.assertRaises(MessageGone, result, self.filesystem.get("a"))
        self.assertIn("a", self.names())

    def test_one_bad_message_stops_nothing(self) -> None:
        """Whatever is in it (FORMAT 2.6)."""
        for message in [b"", b"\xff" * 99, b"X-IFAP:\r\n !\r\n\r\n", b"X-IFAP: e30=\r\n\r\n"]:
            result(self.store.append(message))
        result(self.writer.put("d", b"d"))
        result(self.filesystem.refresh())
        self.assertEqual(self.names(), ["a", "b", "c", "d"])
        self.assertEqual(result(self.filesystem.status()).foreign, 2)

    def test_a_message_that_comes_between_listing_and_counting_is_not_taken_for_gone(self) -> None:
        """Only what was known before the listing can be missing in it (FORMAT 2.5)."""
        self.store.go_offline()
        self.folder.shelf.remove([2])
        self.store.gate = turnstile = Turnstile("poll")
        self.store.go_online()
        turnstile.release(1)
        result(self.filesystem.put("d", b"d"))
        self.folder.shelf.remove([3])  # so that the count agrees again
        turnstile.release()
        self.assertEqual((self.names(), self.missing()), (["a", "b", "c", "d"], ["a", "b"]))

    def test_a_message_that_comes_between_listing_and_counting_makes_no_listing_incomplete(self) -> None:
        """In a busy folder there is one all the time; it is looked again, so that a snapshot can be written."""
        store = self.folder.store(traits=Traits(reports_uid=True, expunges_by_uid=True, pushes=False))
        filesystem = self.folder.device(store=store)
        store.hide(2)
        result(filesystem.refresh())
        store.go_offline()
        store.go_online()
        store.reveal()
        store.gate = turnstile = Turnstile("poll")
        writing = filesystem.snapshot()
        turnstile.release(1)
        self.folder.shelf.add(b"Subject: a letter\r\n\r\n")
        turnstile.release(1)
        turnstile.release()
        result(writing)
        self.assertFalse(filesystem.desk.view.incomplete)

    def test_a_message_that_was_garbled_is_read_again(self) -> None:
        """A refresh that is asked for heals what was damaged (FORMAT 2.6)."""
        good = self.folder.shelf.messages[2]
        bad = good.replace(b"!gAAA", b"!gAAB", 1)
        self.folder.shelf.tamper(2, bad)
        filesystem = self.folder.device()
        self.assertEqual([entry.path for entry in result(filesystem.list())], ["b", "c"])
        self.assertEqual(result(filesystem.status()).damaged, 1)
        result(filesystem.refresh())
        self.assertEqual(result(filesystem.status()).damaged, 1)
        self.folder.shelf.tamper(2, good)
        result(filesystem.refresh())
        self.assertEqual(result(filesystem.get("a")), b"a")
        self.assertEqual(result(filesystem.status()).damaged, 0)

    def test_a_message_without_its_header_is_read_again_after_a_while(self) -> None:
        """It seemed to be a letter of somebody else."""
        good = self.folder.shelf.messages[2]
        self.folder.shelf.tamper(2, b"Subject: hello\r\n\r\nhello\r\n")
        filesystem = self.folder.device()
        self.assertEqual(result(filesystem.status()).foreign, 1)
        self.folder.shelf.tamper(2, good)
        self.folder.clock.advance(LOOK_AGAIN_SECONDS)
        result(filesystem.refresh())
        self.assertEqual((result(filesystem.get("a")), result(filesystem.status()).foreign), (b"a", 0))

    def test_what_cannot_be_looked_at_again_stops_nothing(self) -> None:
        """A server that refuses to show a damaged message shows all others (FORMAT 2.6)."""
        good = self.folder.shelf.messages[2]
        self.folder.shelf.tamper(2, good.replace(b"!gAAA", b"!gAAB", 1))
        store = self.folder.store()
        filesystem = self.folder.device(store=store)
        store.fail_next("headers", Refused("no"))
        result(filesystem.refresh())
        self.assertEqual(result(filesystem.get("b")), b"b")

    def test_what_is_useless_is_looked_at_in_turns(self) -> None:
        """However many there are."""
        shelf = self.folder.shelf
        uids = []
        for number in range(120):
            result(self.writer.put(f"f{number}", b"1"))
            if number % 2:
                uids.append(shelf.uidnext - 1)
        good = {uid: shelf.messages[uid] for uid in uids}
        for uid, message in good.items():
            shelf.tamper(uid, message.replace(b"!gAAA", b"!gAAB", 1))
        filesystem = self.folder.device()
        self.assertEqual(result(filesystem.status()).damaged, 60)
        for uid, message in good.items():
            shelf.tamper(uid, message)
        result(filesystem.refresh())
        self.assertEqual(result(filesystem.status()).damaged, 10)
        result(filesystem.refresh())
        self.assertEqual(result(filesystem.status()).damaged, 0)

    def test_what_came_while_the_folder_was_opened_is_seen(self) -> None:
        """Between the first listing and the first look at news."""
        late: list[bytes] = [b"late"]

        class Slow(InlineWorker):
            def __call__(_self, work: Any) -> Any:
                while late:
                    result(self.writer.put("late", late.pop()))
                return super().__call__(work)

        opened = result(self.folder.opening(worker=Slow()))
        self.assertEqual(result(opened.filesystem.get("late")), b"late")

    def test_what_happened_while_the_first_listing_was_decoded_is_seen(self) -> None:
        """However large the folder is; and what was removed meanwhile makes no listing incomplete (FORMAT 2.5)."""
        for number in range(10):  # more than is decoded at once
            result(self.writer.put(f"f{number}", b"1"))
        works = iter(range(100))

        class Slow(InlineWorker):
            def __call__(_self, work: Any) -> Any:
                if next(works) == 1:  # the key is chosen, the headers are decoded
                    result(self.writer.put("late", b"late"))
                    self.folder.shelf.remove([2])
                return super().__call__(work)

        filesystem = result(self.folder.opening(worker=Slow())).filesystem
        self.assertGreater(next(works), 2)
        shown = {entry.path: entry.missing for entry in result(filesystem.list())}
        self.assertEqual((shown["a"], shown["b"], shown.get("late")), (True, False, False))
        self.assertFalse(filesystem.desk.view.incomplete)

    def test_a_connection_that_broke_while_the_folder_was_opened_is_not_taken_for_one(self) -> None:
        """Neither before nor while the first listing was decoded: what is known may be old, and the status says so."""
        for number in range(10):
            result(self.writer.put(f"f{number}", b"1"))
        membership = result(self.folder.opening()).membership
        for moment in (0, 1):
            store, works = self.folder.store(), iter(range(100))

            class Slow(InlineWorker):
                def __call__(_self, work: Any, store: Any = store, works: Any = works, moment: int = moment) -> Any:
                    if next(works) == moment:
                        store.go_offline()
                    return super().__call__(work)

            filesystem = result(self.folder.opening(membership, store=store, worker=Slow())).filesystem
            self.assertEqual(result(filesystem.status()).state, "offline")
            store.go_online()
            self.assertEqual(result(filesystem.status()).state, "connected")

    def test_news_are_seen_while_a_write_of_our_own_hangs(self) -> None:
        """A long upload doesn't make the device blind."""
        self.store.gate = turnstile = Turnstile("answer")
        putting = self.filesystem.put("large", b"large")
        result(self.writer.put("a", b"new"))
        self.folder.clock.advance(2)
        self.assertEqual(result(self.filesystem.get("a")), b"new")
        turnstile.release()
        result(putting)

    def test_a_renumbering_between_looking_and_fetching_is_survived(self) -> None:
        """The version is found again by its id, and read (FORMAT 2.5)."""
        self.store.gate = turnstile = Turnstile("message")
        reading = self.filesystem.get("a")
        self.folder.shelf.renumber(sorted(self.folder.shelf.messages, reverse=True))
        turnstile.release()
        self.assertEqual(result(reading), b"a")

    def test_what_is_expunged_while_a_renumbered_folder_is_read_anew_is_missing(self) -> None:
        """And nothing else is: the old numbers mean nothing."""
        self.store.gate = turnstile = Turnstile("poll")
        self.folder.shelf.renumber(sorted(self.folder.shelf.messages, reverse=True))
        self.folder.shelf.remove([3])  # a
        turnstile.release()
        self.assertEqual((self.names(), self.missing()), (["a", "b", "c"], ["a"]))

    def test_nothing_is_removed_by_numbers_of_before(self) -> None:
        """Neither before nor after the folder was read anew, nor is anything forgotten (FORMAT 2.5)."""
        view = self.filesystem.desk.view
        generation = view.generation
        self.store.gate = turnstile = Turnstile("poll")
        self.folder.shelf.renumber()
        self.assertRaises(
            Renumbered, result, Deferred.fromCoroutine(view.remove(view.index.sealed_ids([2]), view.generation))
        )
        turnstile.release()
        self.assertRaises(
            Renumbered, result, Deferred.fromCoroutine(view.remove(view.index.sealed_ids([2]), generation))
        )
        self.assertEqual((self.names(), self.missing(), len(self.folder.shelf.messages)), (["a", "b", "c"], [], 4))

    def test_a_removal_during_which_the_server_renumbers_forgets_no_other_message(self) -> None:
        """What was removed had another number by then."""
        view, answered = self.filesystem.desk.view, Deferred[None]()
        self.patch(self.store, "remove", lambda *_call: answered)
        removing = Deferred.fromCoroutine(view.remove(view.index.sealed_ids([2]), view.generation))
        self.folder.shelf.renumber(sorted(self.folder.shelf.messages, reverse=True))
        answered.callback(None)
        result(removing)
        self.assertEqual((self.names(), self.missing()), (["a", "b", "c"], []))

    def test_a_server_that_goes_back_to_the_numbers_of_before_is_read_anew(self) -> None:
        """It was restored from a backup twice, say; nobody knows what it numbered how meanwhile."""
        self.store.gate = turnstile = Turnstile("poll")
        self.folder.shelf.renumber()
        self.folder.shelf.uidvalidity = 0
        self.folder.shelf.renumber()
        turnstile.release()
        result(self.filesystem.refresh())
        self.assertFalse(self.filesystem.desk.view.renumbering)
        self.assertEqual((self.names(), result(self.filesystem.get("a"))), (["a", "b", "c"], b"a"))

    def test_the_state_follows_the_connection(self) -> None:
        """And watchers are told."""
        states: list[Any] = []
        self.filesystem.watch(lambda event: states.append(event.detail) if event.kind == "connection" else None)
        self.store.go_offline()
        self.assertEqual(result(self.filesystem.status()).state, "offline")
        self.store.go_online()
        self.assertEqual(result(self.filesystem.status()).state, "connected")
        self.assertEqual(states, [{"state": "offline"}, {"state": "connected"}])

    def test_what_is_known_can_be_listed_while_the_server_is_away(self) -> None:
        """Names come from the index."""
        self.store.go_offline()
        self.folder.clock.advance(1)
        self.assertEqual(self.names(), ["a", "b", "c"])
