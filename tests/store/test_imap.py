"""The shelf on an IMAP server that is scripted, over connections that come and go."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ifap_twisted.core import limits
from ifap_twisted.core.values import FolderState, Receipt, Traits
from ifap_twisted.errors import (
    AuthenticationRefused,
    MessageGone,
    NotFound,
    OutcomeUnknown,
    ProtocolViolation,
    Renumbered,
    Throttled,
    TooLarge,
    Unavailable,
)
from ifap_twisted.interfaces import IMessageStore
from ifap_twisted.store.imap import ImapStore
from tests.contract.message_store import Ear
from tests.imap.serving import REFUSED, SILENT, Scene
from tests.messages import anything


class ImapStoreTests(SynchronousTestCase):
    """With a scripted server."""

    def setUp(self):
        self.scene = Scene(self)
        self.server, self.store = self.scene.server, self.scene.store

    def opened(self):
        """Open the store, with an ear."""
        self.scene.opened()
        self.ear = Ear()
        self.store.listen(self.ear)

    def fails(self, waiting, kind):
        """The error of a call, after the server has answered."""
        self.scene.go()
        return self.failureResultOf(waiting, kind).value

    def test_provides(self):
        """It is a shelf."""
        self.assertTrue(verifyObject(IMessageStore, self.store))

    def test_everything(self):
        """Open, append, list, read, close."""
        self.opened()
        receipt = self.scene.result(self.store.append(b"hello\r\n"))
        self.assertEqual(receipt, Receipt(uidvalidity=7, uid=1))
        self.assertEqual(self.scene.result(self.store.uids(1)), [1])
        self.assertEqual(self.scene.result(self.store.headers(1))[1].size, 7)
        self.assertEqual(self.scene.result(self.store.message(1)), b"hello\r\n")
        self.assertEqual(
            self.scene.result(self.store.poll()), FolderState(uidvalidity=7, uidnext=100, exists=1, read_only=False)
        )
        self.assertEqual(self.scene.result(self.store.open()).exists, 1)
        self.assertIsNone(self.scene.result(self.store.remove([], 7, anything)))
        self.assertIsNone(self.scene.result(self.store.close()))
        self.assertEqual(self.scene.clock.getDelayedCalls(), [])

    def test_traits(self):
        """The traits are those of the server, once it is open."""
        self.server.capabilities += " IDLE APPENDLIMIT=50"
        self.opened()
        self.assertEqual(self.store.traits, Traits(reports_uid=True, expunges_by_uid=True, pushes=True, max_message=50))
        self.fails(self.store.append(b"x" * 51), TooLarge)

    # Before, without and after a connection

    def test_before_open(self):
        """What is not open cannot be used, and nothing is tried."""
        for waiting in (self.store.poll(), self.store.uids(1), self.store.append(b"x")):
            self.fails(waiting, Unavailable)
        self.assertEqual(self.scene.endpoint.attempts, [])

    def test_calls_wait_for_the_server(self):
        """Calls wait until the server can be reached."""
        self.scene.endpoint.fates = [REFUSED]
        opening = self.store.open()
        appending = self.store.append(b"x")
        self.scene.go()
        self.assertNoResult(opening)
        self.scene.go(limits.RECONNECT_SECONDS)
        self.successResultOf(opening)
        self.assertEqual(self.successResultOf(appending).uid, 1)

    def test_calls_do_not_wait_for_ever(self):
        """After a while calls fail as ``Unavailable`` with the reason; the shelf goes on trying."""
        for fate in (REFUSED, SILENT):
            scene = Scene(self)
            scene.endpoint.always = fate
            waiting = [scene.store.open(), scene.store.append(b"x")]
            for _turn in range(int(limits.CONNECT_SECONDS)):
                scene.go(1)
            for one in waiting:
                self.assertIn("reach", str(self.failureResultOf(one, Unavailable).value).lower())
            scene.endpoint.always = None
            scene.go(limits.RECONNECT_MAX_SECONDS)
            self.assertEqual(scene.store.state, "connected")

    def test_throttled(self):
        """A server that asks for patience is named as such."""
        self.server.greeting = "BYE Too many connections"
        opening = self.store.open()
        for _turn in range(int(limits.CONNECT_SECONDS)):
            self.scene.go(1)
        self.failureResultOf(opening, Throttled)

    def test_wrong_password(self):
        """A refused login is told at once, observable, and mended by ``retry``."""
        self.server.greeting = "OK"
        self.server.answers["AUTHENTICATE"] = ["TAG NO [AUTHENTICATIONFAILED] no"]
        self.fails(self.store.open(), AuthenticationRefused)
        self.assertEqual(self.store.state, "stopped")
        self.assertIsInstance(self.store.last_error, AuthenticationRefused)
        self.fails(self.store.poll(), AuthenticationRefused)
        del self.server.answers["AUTHENTICATE"]
        self.store.retry()
        self.assertEqual(self.scene.result(self.store.poll()).exists, 0)
        self.assertIsNone(self.store.last_error)

    def test_absent_folder(self):
        """An absent folder is ``NotFound`` without ``create``, and created with it."""
        self.server.answers["SELECT"] = ["TAG NO [NONEXISTENT] no"]
        self.fails(self.store.open(create=False), NotFound)
        self.assertNotIn("CREATE", self.server.words)
        self.fails(self.store.open(), NotFound)
        self.assertIn("CREATE", self.server.words)

    def test_after_close(self):
        """After the close everything fails, and nothing is tried any more."""
        self.opened()
        self.scene.result(self.store.close())
        for waiting in (self.store.poll(), self.store.message(1), self.store.append(b"x")):
            self.fails(waiting, Unavailable)
        self.scene.go(10_000)
        self.assertEqual(len(self.scene.endpoint.attempts), 1)

    def test_opened_again(self):
        """What was closed can be opened again."""
        self.opened()
        self.scene.result(self.store.close())
        self.assertEqual(self.scene.result(self.store.open()).uidvalidity, 7)
        self.assertEqual(self.scene.result(self.store.uids(1)), [])

    def test_close_ends_calls(self):
        """Calls that are pending at the close end: unknown for an append that went out, else unavailable."""
        self.opened()
        self.server.mute = {"UID FETCH", "APPEND", "LOGOUT", "NOOP"}
        self.server.messages[1] = b"x"
        reading, appending = self.store.message(1), self.store.append(b"x")
        self.scene.go()
        closing = self.store.close()
        self.scene.go(limits.LOGOUT_SECONDS)
        self.successResultOf(closing)
        self.failureResultOf(reading, Unavailable)
        self.failureResultOf(appending, OutcomeUnknown)

    # Lost connections

    def lose(self, *after):
        """Break the connection when the server has heard these commands."""
        self.server.mute = set(after)
        self.scene.go()
        self.server.mute = set()
        self.scene.talk.loses()
        self.scene.go()

    def test_reading_is_tried_again(self):
        """Reading goes on on a new connection; the listener hears of the loss and of the new connection."""
        self.server.messages = {1: b"one"}
        self.opened()
        reading = self.store.message(1)
        self.lose("UID FETCH")
        self.assertEqual(self.successResultOf(reading), b"one")
        self.assertEqual(self.ear.words()[:2], ["disconnected", "connected"])
        self.assertEqual(self.server.words.count("UID FETCH"), 2)

    def test_reading_is_not_tried_for_ever(self):
        """A message over which each connection breaks fails in the end."""
        self.server.messages = {1: b"one"}
        self.opened()
        self.server.mute = {"UID FETCH"}
        reading = self.store.message(1)
        for _turn in range(100):
            self.scene.go(1)
            if self.server.words and self.server.words[-1] == "UID FETCH":
                self.scene.talk.loses()
        self.failureResultOf(reading, Unavailable)
        self.assertEqual(self.server.words.count("UID FETCH"), 3)

    def test_append_is_never_sent_twice(self):
        """An append that may have left is of unknown outcome, and not sent again."""
        self.opened()
        appending = self.store.append(b"one")
        self.lose("APPEND")
        self.failureResultOf(appending, OutcomeUnknown)
        self.scene.go(100)
        self.assertEqual(self.server.words.count("APPEND"), 1)

    def test_append_that_has_not_begun_is_sent(self):
        """An append of which no byte has left goes out on the new connection, in the order of the calls."""
        self.opened()
        self.server.mute = {"NOOP"}
        polling = self.store.poll(thorough=True)
        self.scene.go()
        self.server.mute = {"SELECT"}
        self.scene.talk.says("A2 OK")
        appending = [self.store.append(b"one"), self.store.append(b"two")]
        self.scene.go()
        self.server.mute = set()
        self.scene.talk.loses()
        self.scene.go()
        self.assertEqual([self.successResultOf(one).uid for one in appending], [1, 2])
        self.assertEqual(self.server.messages, {1: b"one", 2: b"two"})
        self.successResultOf(polling)

    def test_silent_server(self):
        """A server that falls silent is left for a new connection."""
        self.server.messages = {1: b"one"}
        self.opened()
        reading = self.store.message(1)
        self.server.mute = {"UID FETCH"}
        self.scene.go()
        self.server.mute = set()
        self.scene.go(limits.COMMAND_SECONDS)
        self.assertEqual(self.successResultOf(reading), b"one")

    def test_violation(self):
        """A server that breaks the protocol is not asked the same again for this call; the next call goes on."""
        self.server.messages = {1: b"one"}
        self.opened()
        self.server.answers["UID FETCH"] = ["* 1 FETCH ("]
        self.fails(self.store.message(1), ProtocolViolation)
        del self.server.answers["UID FETCH"]
        self.assertEqual(self.scene.result(self.store.message(1)), b"one")

    def test_refusals_on_a_living_connection(self):
        """A refusal is no loss: it is told, not tried again."""
        self.opened()
        for answer, kind in (("NO [UNAVAILABLE] later", Unavailable), ("NO [THROTTLED] slow", Throttled)):
            self.server.answers["APPEND"] = [f"TAG {answer}"]
            self.fails(self.store.append(b"x"), kind)
        self.assertEqual(self.server.words.count("APPEND"), 2)

    def test_gone(self):
        """A message that is not there is gone."""
        self.server.messages = {5: b"five"}
        self.opened()
        self.fails(self.store.message(4), MessageGone)

    def test_renumbered_on_a_new_connection(self):
        """Another UIDVALIDITY on a new connection is told, and old UIDs are not used there (FORMAT 2.5)."""
        self.server.messages = {1: b"one"}
        self.opened()
        reading, removing, polling = self.store.message(1), self.store.remove([1], 7, anything), self.store.poll()
        self.server.uidvalidity = 8
        self.lose("UID FETCH", "NOOP")
        self.failureResultOf(reading, Renumbered)
        self.failureResultOf(removing, Renumbered)
        self.assertEqual(self.successResultOf(polling).uidvalidity, 8)
        self.assertEqual(self.ear.words()[:3], ["disconnected", "renumbered", "connected"])
        self.assertNotIn("UID EXPUNGE", self.server.words)
        self.assertEqual(self.scene.result(self.store.message(1)), b"one")

    def test_renumbered_on_this_connection(self):
        """So is one that a thorough poll finds."""
        self.opened()
        self.server.uidvalidity = 8
        self.assertEqual(self.scene.result(self.store.poll(thorough=True)).uidvalidity, 8)
        self.assertEqual(self.ear.heard, [("renumbered", 8)])
        self.scene.talk.loses()
        self.scene.go()
        self.assertEqual(self.ear.words()[1:], ["disconnected", "connected"])

    # Listeners and cancelling

    def test_listeners(self):
        """All listeners are told; one that breaks is logged and stops nobody."""

        class Broken(Ear):
            def arrived(self, state):
                raise ValueError("a listener's mistake")

        self.store.listen(Broken())
        self.opened()
        self.scene.talk.says("* 5 EXISTS")
        self.assertEqual(self.ear.words(), ["arrived"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.store.state, "connected")

    def test_stop_listening(self):
        """Who has stopped hears no more, and stopping again stops nobody else."""
        self.opened()
        twice = self.store.listen(self.ear)
        twice()
        twice()
        self.scene.talk.says("* 5 EXISTS")
        self.assertEqual(self.ear.words(), ["arrived"])

    def test_cancel(self):
        """Calls can be given up while they wait for the server and while they are in flight."""
        self.scene.endpoint.fates = [SILENT]
        opening = self.store.open()
        opening.cancel()
        self.fails(opening, CancelledError)
        self.scene.go(limits.CONNECT_SECONDS)
        self.scene.go(limits.RECONNECT_SECONDS)
        reading = self.store.uids(1)
        reading.cancel()
        self.fails(reading, CancelledError)
        self.assertEqual(self.scene.result(self.store.uids(1)), [])

    def test_cancel_appending(self):
        """An append that is given up after it went out is of unknown outcome."""
        self.opened()
        appending = self.store.append(b"x")
        appending.cancel()
        self.failureResultOf(appending, OutcomeUnknown)
        self.assertEqual(self.scene.result(self.store.append(b"y")).uid, 2)

    def test_nothing_secret(self):
        """No repr of anything reachable from a store shows the password."""
        self.opened()
        shown = repr(self.store) + repr(vars(self.store)) + repr(vars(self.scene.connector))
        self.assertNotIn("secret", shown)
        self.assertIsInstance(self.store, ImapStore)
