"""Waiting for news."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import TimedOut
from tests.imap.conversation import Case, selected

IDLE = "IMAP4rev1 IDLE LITERAL+"


class IdlingTests(Case, SynchronousTestCase):
    """IDLE, and NOOP where there is none."""

    def watching(self, capabilities=IDLE):
        """A folder that is watched; the next tag is ``A2``."""
        talk = selected(self, capabilities)
        talk.session.watch()
        talk.silent()
        return talk

    def idling(self):
        """A folder on a connection that idles under ``A2``."""
        talk = self.watching()
        talk.clock.advance(1)
        talk.hears("A2 IDLE")
        talk.says("+ idling")
        talk.silent()
        return talk

    def test_begins_after_a_pause(self):
        """IDLE begins when it has been quiet for a moment, and news are told."""
        talk = self.idling()
        talk.says("* 4 EXISTS")
        self.assertEqual(talk.notes.told, [("arrived", 4)])

    def test_not_between_commands(self):
        """A series of commands does not go in and out of IDLE."""
        talk = self.watching()
        for tag in (2, 3, 4):
            done = self.started(talk.folder.noop())
            talk.hears(f"A{tag} NOOP")
            talk.says(f"A{tag} OK")
            self.successResultOf(done)
            talk.clock.advance(0.1)
        talk.silent()

    def test_dead_when_it_began(self):
        """A connection that died as IDLE began is found dead, however often somebody comes to wait behind it."""
        talk = self.watching()
        talk.clock.advance(1)
        talk.hears("A2 IDLE")
        calls = []
        for _second in range(int(limits.COMMAND_SECONDS) + 1):
            calls.append(self.started(talk.folder.noop()))
            talk.clock.advance(1)
        self.assertFalse(talk.wire.alive)
        for call in calls:
            self.refusal(call, TimedOut)

    def test_dead_when_it_began_and_nobody_waits(self):
        """Also when nobody waits: news would never come."""
        talk = self.watching()
        talk.clock.advance(1)
        talk.hears("A2 IDLE")
        for _minute in range(3):
            talk.clock.advance(limits.COMMAND_SECONDS)
        self.assertFalse(talk.wire.alive)

    def test_invited_twice(self):
        """A server that says twice that it waits gets one DONE."""
        talk = self.idling()
        done = self.started(talk.folder.noop())
        talk.hears("DONE", "A3 NOOP")
        talk.says("+ still idling")
        talk.silent()
        talk.says("A2 OK", "A3 OK")
        self.successResultOf(done)

    def test_gives_way_at_once(self):
        """DONE and the command that waits go out together; the command does not wait for the end of IDLE."""
        talk = self.idling()
        first, second = self.started(talk.folder.append(b"x")), self.started(talk.folder.uids(1, None))
        talk.hears("DONE", 'A3 APPEND "box" {1+}', "x", "A4 UID FETCH 1:* (UID)")
        talk.says("A2 OK idle ended", "A3 OK", "A4 OK")
        self.successResultOf(first)
        self.successResultOf(second)
        talk.clock.advance(1)
        talk.hears("A5 IDLE")

    def test_gives_way_when_the_server_is_ready(self):
        """A command that comes before the server has said that it waits goes out when it has."""
        talk = self.watching()
        talk.clock.advance(1)
        talk.hears("A2 IDLE")
        done = self.started(talk.folder.noop())
        talk.silent()
        talk.says("+ idling")
        talk.hears("DONE", "A3 NOOP")
        talk.says("A2 OK", "A3 OK")
        self.successResultOf(done)

    def test_renewed(self):
        """IDLE is renewed before a NAT forgets the connection."""
        talk = self.idling()
        talk.clock.advance(limits.IDLE_SECONDS - 1)
        talk.silent()
        talk.clock.advance(1)
        talk.hears("DONE")
        talk.says("A2 OK")
        talk.clock.advance(1)
        talk.hears("A3 IDLE")

    def test_quiet_idle_is_no_silence(self):
        """An IDLE without news does not time out."""
        talk = self.idling()
        for _turn in range(8):
            talk.clock.advance(limits.COMMAND_SECONDS)
        self.assertTrue(talk.session.alive)

    def test_dead_connection_is_noticed(self):
        """A connection that died in IDLE is noticed when IDLE is renewed (bar R19: within 10 minutes)."""
        talk = self.idling()
        for _turn in range(10):
            talk.clock.advance(60)
        talk.clock.advance(1)
        self.assertFalse(talk.session.alive)
        self.assertIsInstance(self.successResultOf(talk.session.ended()), TimedOut)
        self.assertEqual(talk.clock.getDelayedCalls(), [])

    def test_dead_connection_is_noticed_by_a_command(self):
        """A command out of IDLE has its usual time."""
        talk = self.idling()
        talk.clock.advance(300)
        done = self.started(talk.folder.noop())
        talk.clock.advance(limits.COMMAND_SECONDS - 1)
        self.assertNoResult(done)
        talk.clock.advance(limits.COMMAND_SECONDS)
        self.refusal(done, TimedOut)

    def test_server_that_never_gets_ready(self):
        """A server that does not answer IDLE keeps nobody waiting for ever."""
        talk = self.watching()
        talk.clock.advance(1)
        done = self.started(talk.folder.noop())
        talk.clock.advance(limits.COMMAND_SECONDS)
        self.refusal(done, TimedOut)

    def test_refused(self):
        """A server that refuses IDLE, though it offered it, is polled."""
        for answer in ("NO", "BAD"):
            talk = self.watching()
            talk.clock.advance(1)
            waiting = self.started(talk.folder.noop())
            talk.hears("A2 IDLE")
            talk.says(f"A2 {answer} no")
            talk.hears("A3 NOOP")
            talk.says("A3 OK")
            self.successResultOf(waiting)
            talk.clock.advance(limits.POLL_SECONDS)
            talk.hears("A4 NOOP")

    def test_refused_for_now(self):
        """A server that cannot idle just now is asked again."""
        talk = self.watching()
        talk.clock.advance(1)
        talk.says("A2 NO [UNAVAILABLE] later")
        talk.heard()
        talk.clock.advance(1)
        talk.hears("A3 IDLE")

    def test_command_comes_in_the_pause(self):
        """A command that comes just before IDLE is not idled over."""
        talk = self.watching()
        talk.clock.advance(0.4)
        done = self.started(talk.folder.noop())
        talk.clock.advance(1)
        talk.hears("A2 NOOP")
        talk.says("A2 OK")
        self.successResultOf(done)

    def test_ended_by_the_server(self):
        """A server that ends IDLE by itself gets another one."""
        talk = self.idling()
        talk.says("A2 OK enough")
        talk.clock.advance(1)
        talk.hears("A3 IDLE")

    def test_without_idle(self):
        """Without IDLE there is a NOOP from time to time."""
        talk = self.watching("IMAP4rev1")
        for tag in (2, 3, 4):
            talk.clock.advance(limits.POLL_SECONDS - 1)
            talk.silent()
            talk.clock.advance(1)
            talk.hears(f"A{tag} NOOP")
            talk.says("* 4 EXISTS", f"A{tag} OK")
        self.assertEqual(talk.notes.told, [("arrived", 4)])

    def test_logout(self):
        """LOGOUT, which stands alone, goes out when IDLE has ended."""
        talk = self.idling()
        ended = self.started(talk.session.end())
        talk.hears("DONE")
        talk.says("A2 OK")
        talk.hears("A3 LOGOUT")
        talk.says("* BYE", "A3 OK")
        self.successResultOf(ended)
        self.assertEqual(talk.clock.getDelayedCalls(), [])

    def test_lost(self):
        """A connection that is lost in IDLE leaves nothing behind."""
        talk = self.idling()
        talk.loses()
        self.assertEqual(talk.clock.getDelayedCalls(), [])
