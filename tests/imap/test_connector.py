"""Connecting, and connecting again."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import (
    AuthenticationRefused,
    BadSettings,
    NotFound,
    NotTrusted,
    ProtocolViolation,
    Refused,
    Throttled,
    Unavailable,
)
from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.security import Security
from tests.imap.serving import REFUSED, SILENT, Scene


class ConnectorTests(SynchronousTestCase):
    """One connection at a time, politely."""

    def scene(self, **kwargs):
        """A scene whose connector has started."""
        scene = Scene(self, **kwargs)
        scene.states = []
        scene.connector.watch(lambda: scene.states.append(scene.connector.state))
        return scene

    def start(self, scene, *, create=False):
        """Start it."""
        scene.connector.start(create=create)
        scene.go()
        return scene

    def test_connects(self):
        """The session is given to all who wait for it, and to those who come later."""
        scene = self.scene()
        self.failureResultOf(scene.connector.session(), Unavailable)
        scene.connector.start()
        waiting = scene.connector.session()
        self.assertNoResult(waiting)
        scene.go()
        session = self.successResultOf(waiting)
        self.assertIs(self.successResultOf(scene.connector.session()), session)
        self.assertEqual(scene.states, ["connecting", "connected"])
        self.assertIsNone(scene.connector.last_error)
        self.assertEqual(len(scene.endpoint.attempts), 1)

    def test_endpoints_may_be_made(self):
        """Instead of an endpoint there may be what makes one for each attempt."""
        scene = self.scene()
        made = []

        def make():
            made.append(1)
            return scene.endpoint

        async def login(session):
            self.assertTrue(session.authenticated)

        connector = Connector(
            scene.clock, make, security=Security.plain(), authenticate=login, folder="box", random=lambda: 0.0
        )
        connector.start()
        scene.go()
        self.successResultOf(connector.session())
        self.assertEqual(made, [1])

    def test_a_dance_of_the_callers_own(self):
        """The caller's login gets the session and may use all of it."""
        seen = []

        async def dance(session):
            seen.append(session.capabilities)
            await session.login("me", "secret")
            await session.wire.noop()

        scene = self.scene(authenticate=dance)
        scene.server.greeting = "OK"
        self.start(scene)
        self.successResultOf(scene.connector.session())
        self.assertIn(b"UIDPLUS", seen[0])
        self.assertEqual(scene.server.words[:2], ["LOGIN", "CAPABILITY"])

    def test_refused_connections_are_tried_again_ever_more_rarely(self):
        """Attempts come at ever longer intervals, from 10 seconds up to 5 minutes, never more often."""
        scene = self.scene(random=lambda: 1.0)
        scene.endpoint.always = REFUSED
        self.start(scene)
        for _turn in range(3000):
            scene.clock.advance(1)
        waiting = scene.connector.session()
        gaps = [b - a for a, b in zip(scene.endpoint.attempts, scene.endpoint.attempts[1:], strict=False)]
        self.assertEqual(gaps[:5], [13, 25, 50, 100, 200])
        self.assertEqual(set(gaps[5:]), {limits.RECONNECT_MAX_SECONDS})
        self.assertEqual(scene.connector.state, "offline")
        self.assertIsInstance(scene.connector.last_error, Unavailable)
        self.assertNoResult(waiting)

    def test_who_asks_after_a_long_outage_does_not_wait_for_the_next_turn(self):
        """The next attempt comes at once, yet 10 seconds after the last at the earliest; unasked ones stay rare."""
        scene = self.scene(random=lambda: 0.0)
        scene.endpoint.always = REFUSED
        self.start(scene)
        self.assertEqual(scene.endpoint.attempts, [0])
        for _turn in range(200):
            scene.clock.advance(1)
        self.assertEqual(scene.endpoint.attempts, [0, 10, 30, 70, 150])
        first = scene.connector.session()
        scene.clock.advance(0)
        self.assertEqual(scene.endpoint.attempts[5:], [200])
        scene.clock.advance(4)
        scene.connector.session()
        scene.clock.advance(5)
        self.assertEqual(scene.endpoint.attempts[5:], [200])
        scene.endpoint.always = None
        scene.go(1)
        self.assertEqual(scene.endpoint.attempts[5:], [200, 210])
        self.successResultOf(first)

    @given(st.sampled_from((-31_536_000.0, -600.0, 600.0, 31_536_000.0)))
    def test_who_asks_after_the_clock_was_set(self, jump):
        """Whoever asks, and asks again all the time, waits 10 seconds at most."""
        scene = self.scene(random=lambda: 0.0)
        scene.endpoint.always = REFUSED
        self.start(scene)
        for _turn in range(100):
            scene.clock.advance(1)
        self.assertEqual(scene.endpoint.attempts, [0, 10, 30, 70])
        scene.endpoint.always = None
        real = scene.connector.clock
        scene.connector.clock = SimpleNamespace(seconds=lambda: real.seconds() + jump, callLater=real.callLater)
        for _turn in range(10):
            scene.connector.session()
            scene.go(1)
        self.assertEqual(len(scene.endpoint.attempts), 5)
        self.assertEqual(scene.connector.state, "connected")

    @given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
    def test_delays_are_bounded(self, failures, random):
        """Whatever the jitter, a delay is between 10 seconds and 5 minutes."""
        scene = Scene(self, random=lambda: random)
        scene.connector._failures = failures
        delay = scene.connector._delay(Unavailable())
        self.assertTrue(limits.RECONNECT_SECONDS <= delay <= limits.RECONNECT_MAX_SECONDS, delay)

    def test_reachable_again(self):
        """Who waits gets the session when the server can be reached again."""
        scene = self.scene()
        scene.endpoint.fates = [REFUSED]
        self.start(scene)
        waiting = scene.connector.session()
        scene.go(limits.RECONNECT_SECONDS)
        self.successResultOf(waiting)
        self.assertEqual(scene.states, ["connecting", "offline", "connecting", "connected"])

    def test_nobody_answers(self):
        """An attempt that gets nowhere is given up."""
        scene = self.scene()
        scene.endpoint.fates = [SILENT]
        self.start(scene)
        scene.go(limits.CONNECT_SECONDS)
        self.assertEqual(scene.connector.state, "offline")
        scene.go(limits.RECONNECT_SECONDS)
        self.assertEqual(scene.connector.state, "connected")

    def test_lost_connection_is_made_again_at_once(self):
        """A connection that breaks is made again at once, but one that breaks again at once only after a while."""
        scene = self.start(self.scene())
        scene.go(100)
        scene.talk.loses()
        scene.go()
        self.assertEqual(scene.connector.state, "connected")
        scene.talk.loses()
        scene.go()
        self.assertEqual(scene.connector.state, "offline")
        scene.go(limits.RECONNECT_SECONDS - 1)
        self.assertEqual(len(scene.endpoint.attempts), 2)
        scene.go(1)
        self.assertEqual(scene.connector.state, "connected")
        self.assertEqual(scene.endpoint.attempts, [0, 100, 110])

    def test_flapping_server(self):
        """A server that takes each connection and drops it is not hammered."""
        scene = self.start(self.scene())
        for _turn in range(600):
            if scene.connector.state == "connected":
                scene.talk.loses()
            scene.go(1)
        self.assertLess(len(scene.endpoint.attempts), 12)

    def test_throttled(self):
        """A server that says how long to wait is not asked before."""
        scene = self.scene()
        scene.server.greeting = "OK"
        scene.server.answers["AUTHENTICATE"] = [
            "TAG NO Request is throttled. Suggested Backoff Time: 400000 milliseconds"
        ]
        self.start(scene)
        self.assertIsInstance(scene.connector.last_error, Throttled)
        scene.go(300)
        scene.connector.session()
        scene.go(99)
        self.assertEqual(len(scene.endpoint.attempts), 1)
        scene.go(1)
        self.assertEqual(len(scene.endpoint.attempts), 2)

    def test_throttled_by_a_goodbye(self):
        """A server that throws us out and says how long to stay away is obeyed."""
        scene = self.start(self.scene())
        scene.go(100)
        scene.talk.says("* BYE throttled. Suggested Backoff Time: 50000 milliseconds")
        scene.go(49)
        self.assertEqual(len(scene.endpoint.attempts), 1)
        scene.go(1)
        self.assertEqual(len(scene.endpoint.attempts), 2)

    def stops(self, scene, kind):
        """It has stopped for this kind of reason; who waits or comes is told; nothing is tried any more."""
        waiting = scene.connector.session()
        scene.go()
        self.failureResultOf(waiting, kind)
        self.assertEqual(scene.connector.state, "stopped")
        self.assertIsInstance(scene.connector.last_error, kind)
        scene.go(100_000)
        self.assertEqual(len(scene.endpoint.attempts), 1)
        self.failureResultOf(scene.connector.session(), kind)
        self.assertTrue(scene.talk.transport.disconnected)

    def test_wrong_password(self):
        """A refused login is not tried again until told, because hammering locks accounts."""
        scene = self.scene()
        scene.server.greeting = "OK"
        scene.server.answers["AUTHENTICATE"] = ["TAG NO [AUTHENTICATIONFAILED] no"]
        scene.connector.start()
        self.stops(scene, AuthenticationRefused)
        del scene.server.answers["AUTHENTICATE"]
        scene.connector.retry()
        waiting = scene.connector.session()
        scene.go()
        self.successResultOf(waiting)

    def test_not_trusted(self):
        """A server that is not trusted is not tried again."""

        async def refuse(_session):
            raise NotTrusted

        scene = self.scene(authenticate=refuse)
        scene.connector.start()
        self.stops(scene, NotTrusted)

    def test_bad_settings(self):
        """A login that cannot succeed as it is set is not tried again."""

        async def refuse(_session):
            raise BadSettings("no password file")

        scene = self.scene(authenticate=refuse)
        scene.connector.start()
        self.stops(scene, BadSettings)

    def test_absent_folder(self):
        """An absent folder that is not to be created stops it; started with ``create`` it goes on."""
        scene = self.scene()
        scene.server.answers["SELECT"] = ["TAG NO [NONEXISTENT] no"]
        scene.connector.start()
        self.stops(scene, NotFound)
        self.assertNotIn("CREATE", scene.server.words)
        scene.connector.start(create=True)
        scene.go()
        self.assertIn("CREATE", scene.server.words)

    def test_folder_that_went_away(self):
        """A folder that was open and is gone is not created again behind the user's back."""
        scene = self.start(self.scene(), create=True)
        scene.server.answers["SELECT"] = ["TAG NO [NONEXISTENT] no"]
        scene.talk.loses()
        scene.go()
        self.assertEqual(scene.connector.state, "stopped")
        self.assertNotIn("CREATE", scene.server.words)

    def test_refusals_are_told_at_once(self):
        """Who waits is told of a refusal at once; it is tried again later."""
        for answer, kind in (("TAG NO [NOPERM] no", Refused), ("TAG OK done", ProtocolViolation)):
            scene = self.scene()
            scene.server.answers["SELECT"] = [answer]
            scene.server.answers["LIST"] = ['* LIST () "/" box', "TAG OK"]
            scene.connector.start()
            waiting = scene.connector.session()
            scene.go()
            self.failureResultOf(waiting, kind)
            self.assertEqual(scene.connector.state, "offline")
            del scene.server.answers["SELECT"]
            scene.go(limits.RECONNECT_SECONDS)
            self.assertEqual(scene.connector.state, "connected")

    def test_login_that_breaks(self):
        """A login of the caller's own that breaks is logged, and tried again."""

        async def broken(_session):
            raise KeyError("hunter2")

        scene = self.start(self.scene(authenticate=broken))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertEqual(scene.connector.state, "offline")
        self.assertNotIn("hunter2", str(scene.connector.last_error))

    def test_retry_now(self):
        """Told to, it tries at once instead of waiting."""
        scene = self.scene()
        scene.endpoint.fates = [REFUSED]
        self.start(scene)
        scene.connector.retry()
        scene.go()
        self.assertEqual(scene.endpoint.attempts, [0, 0])
        self.assertEqual(scene.connector.state, "connected")
        scene.connector.retry()
        scene.go()
        self.assertEqual(len(scene.endpoint.attempts), 2)

    def stopped(self, scene):
        """Stop it; nothing is left behind."""
        stopping = scene.connector.stop()
        scene.go()
        self.successResultOf(stopping)
        self.assertEqual(scene.connector.state, "stopped")
        self.failureResultOf(scene.connector.session(), Unavailable)
        self.assertEqual(scene.clock.getDelayedCalls(), [])
        scene.go(10_000)

    def test_stop_when_connected(self):
        """Stopping logs out."""
        scene = self.start(self.scene())
        self.stopped(scene)
        self.assertEqual(scene.server.words[-1], "LOGOUT")
        self.assertEqual(len(scene.endpoint.attempts), 1)

    def test_stop_at_any_time(self):
        """Stopping while it dials, logs in, selects, waits, or has given up, is the end; who waits is told."""
        for fate, mute in (
            (SILENT, ()),
            (None, ("AUTHENTICATE",)),
            (None, ("SELECT",)),
            (REFUSED, ()),
            (None, ("LOGOUT",)),
        ):
            scene = self.scene()
            scene.server.greeting = "OK"
            scene.server.mute = set(mute)
            scene.endpoint.always = fate
            self.start(scene)
            stopping = scene.connector.stop()
            scene.go(limits.LOGOUT_SECONDS)
            self.successResultOf(stopping)
            self.stopped(scene)
            self.assertTrue(all(talk.transport.disconnected for talk in scene.server.talks))

    def test_stop_from_within(self):
        """Whoever is told of the connection may stop it at once, and so may the login."""
        scene = self.scene()
        waiting = []
        scene.connector.watch(
            lambda: waiting.append(scene.connector.stop()) if scene.connector.state != "stopped" else 0
        )
        self.start(scene)
        self.assertTrue(all(talk.transport.disconnected for talk in scene.server.talks))
        self.stopped(scene)
        scene = self.scene()
        self.start(scene)
        scene.connector.watch(
            lambda: waiting.append(scene.connector.stop()) if scene.connector.state == "offline" else 0
        )
        scene.talk.loses()
        self.stopped(scene)

    def test_stop_and_start(self):
        """It can be started again while the end of the first connection is still waited for."""
        scene = self.start(self.scene())
        stopping = scene.connector.stop()
        scene.connector.start()
        waiting = scene.connector.session()
        scene.go()
        self.successResultOf(stopping)
        self.successResultOf(waiting)
        self.assertEqual(len(scene.endpoint.attempts), 2)
        self.stopped(scene)

    def test_stop_twice_and_unstarted(self):
        """Stopping what never started, and stopping again, is nothing."""
        scene = self.scene()
        self.stopped(scene)
        self.stopped(scene)

    def test_who_waits_is_told_of_the_stop(self):
        """Who waits when it stops is told."""
        scene = self.scene()
        scene.endpoint.always = SILENT
        self.start(scene)
        waiting, given_up = scene.connector.session(), scene.connector.session()
        given_up.cancel()
        self.failureResultOf(given_up)
        self.stopped(scene)
        self.failureResultOf(waiting, Unavailable)

    def test_who_is_told_may_give_up_others(self):
        """One who hears of a failure, or gets the connection, may give up others who wait; the attempts go on."""
        for hasty in (False, True):
            scene = self.scene()
            scene.endpoint.always = REFUSED
            scene.connector.start()
            waiting = [scene.connector.session(hasty=hasty) for _one in range(3)]
            waiting[0].addBoth(lambda _told, others=waiting: others[1].cancel())
            waiting[1].addErrback(lambda failure: failure.trap(CancelledError))
            if not hasty:
                scene.endpoint.always = None
            scene.go(2 * limits.RECONNECT_SECONDS)
            self.successResultOf(waiting[0])
            self.assertIs(self.successResultOf(waiting[1]), CancelledError)
            if hasty:
                self.failureResultOf(waiting[2], Unavailable)
            else:
                self.successResultOf(waiting[2])
            scene.endpoint.always = None
            scene.go(3 * limits.RECONNECT_SECONDS)
            self.assertEqual(scene.connector.state, "connected")

    def test_watchers(self):
        """A watcher that has stopped hears no more."""
        scene = self.scene()
        heard = []
        stop = scene.connector.watch(lambda: heard.append(1))
        stop()
        stop()
        self.start(scene)
        self.assertEqual(heard, [])

    def test_round_trips(self):
        """Logging in and selecting takes three round trips when the server tells what it can do unasked."""
        scene = self.scene()
        scene.server.greeting = "OK"
        scene.server.answers["AUTHENTICATE"] = ["TAG OK [CAPABILITY IMAP4rev1 NAMESPACE] in"]
        self.start(scene)
        self.assertEqual(scene.server.words, ["AUTHENTICATE", "NAMESPACE", "SELECT"])
