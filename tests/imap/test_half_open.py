"""A connection that is open on our side only (bar R19)."""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from tests.contract.message_store import Ear
from tests.imap.serving import REFUSED, SILENT, Scene
from tests.messages import letter

IDLE = ["+ idling"]
EVERYTHING = {"IDLE", "DONE", "NOOP", "UID FETCH", "SELECT", "CAPABILITY", "APPEND", "UID SEARCH", "LOGOUT"}


class HalfOpenTests(SynchronousTestCase):
    """A server that goes silent while the client idles, for fifteen minutes; meanwhile something arrives."""

    def scene(self):
        """An idling store, with an ear, on a server that then says nothing any more."""
        scene = Scene(self)
        scene.server.capabilities += " IDLE"
        scene.server.answers["IDLE"] = IDLE
        store = scene.opened()
        ear = Ear()
        store.listen(ear)
        scene.go(5)
        self.assertEqual(scene.server.words[-1], "IDLE")
        scene.server.mute |= EVERYTHING
        scene.server.answers.clear()
        scene.server.messages[1] = letter("meanwhile")
        return scene, ear

    def wait(self, scene, seconds):
        """Let seconds pass one by one; returns after how many the connection was given up, if it was."""
        noticed = None
        for second in range(1, seconds + 1):
            scene.go(1)
            if noticed is None and scene.connector.state != "connected":
                noticed = second
        return noticed

    def heal(self, scene):
        """The server is itself again; an IDLE it ends at once."""
        scene.endpoint.always = None
        scene.server.mute.clear()

    def test_noticed(self):
        """It is noticed within ten minutes; attempts are no storm; what arrived is seen after them."""
        for fate in (REFUSED, SILENT, None):
            scene, ear = self.scene()
            scene.endpoint.always = fate
            noticed = self.wait(scene, 900)
            self.assertIsNotNone(noticed, fate)
            self.assertLessEqual(noticed, 600, fate)
            _first, *again = scene.endpoint.attempts
            self.assertTrue(again, fate)
            gaps = [after - before for before, after in pairwise(again)]
            self.assertTrue(all(gap >= limits.RECONNECT_SECONDS for gap in gaps), (fate, gaps))
            self.heal(scene)
            self.wait(scene, int(limits.RECONNECT_MAX_SECONDS) + 120)
            self.assertEqual(scene.connector.state, "connected", fate)
            self.assertEqual([ear.words()[0], ear.words()[-1]], ["disconnected", "connected"], fate)
            self.assertEqual(list(scene.result(scene.store.headers(1))), [1], fate)
