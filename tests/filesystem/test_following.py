"""What a shelf tells by itself is known soon, whatever fails on the way, without anybody asking (FORMAT 2.5, 5.4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import Refused, Renumbered, Unavailable
from ifap_twisted.filesystem.following import AGAIN_SECONDS
from ifap_twisted.filesystem.freshness import STALE_SECONDS
from ifap_twisted.filesystem.refreshing import LOOK_AGAIN_SECONDS
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import Folder, result

METHODS = ("poll", "headers", "uids", "marked", "unmark")
ERRORS = (Refused("no"), Unavailable("away"), Renumbered())
happenings = st.lists(
    st.one_of(
        st.just(("put",)),
        st.just(("offline",)),
        st.just(("online",)),
        st.just(("renumber",)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("mark"), st.integers(0, 9)),
        st.tuples(st.just("fail"), st.sampled_from(METHODS), st.sampled_from(ERRORS), st.integers(1, 4)),
        st.tuples(st.just("wait"), st.sampled_from((1.0, AGAIN_SECONDS, LOOK_AGAIN_SECONDS))),
    ),
    max_size=25,
)


class Scene:
    """A device that is never asked, and another one that writes."""

    def __init__(self) -> None:
        self.folder = Folder()
        self.shelf = self.folder.shelf
        self.writer = self.folder.device()
        self.store = self.folder.store()
        self.filesystem = self.folder.device(store=self.store)
        self.view = self.filesystem.desk.view
        self.written = 0

    def put(self) -> None:
        """Somebody writes a file."""
        self.written += 1
        result(self.writer.put(f"f{self.written}", b"1"))

    def offline(self) -> None:
        """The connection breaks."""
        if self.store.online:
            self.store.go_offline()

    def online(self) -> None:
        """The connection is there again."""
        if not self.store.online:
            self.store.go_online()

    def renumber(self) -> None:
        """All messages have other numbers."""
        self.shelf.renumber(sorted(self.shelf.messages, reverse=True))

    def remove(self, which: int) -> None:
        """Somebody expunges a message, if it is there."""
        uids = sorted(self.shelf.messages)
        self.shelf.remove(uids[which : which + 1])

    def mark(self, which: int) -> None:
        """A removal is cut short."""
        self.offline()
        self.shelf.marked.update(sorted(self.shelf.messages)[which : which + 1])

    def fail(self, method: str, error: Exception, count: int) -> None:
        """The server will refuse some calls."""
        self.store.fail_next(method, error, count)

    def wait(self, seconds: float) -> None:
        """Nothing happens."""
        self.folder.clock.advance(seconds)


class FollowingTests(SynchronousTestCase):
    """In the end all is known."""

    @given(happenings)
    def test_whatever_happens_is_known_in_the_end(self, steps: list[tuple[str, object]]) -> None:
        """Each message that is there, none that is not, and no mark is left on one of ours."""
        scene = Scene()
        for name, *arguments in steps:
            getattr(scene, name)(*arguments)
        scene.online()
        for _ in range(10 * len(METHODS) * len(steps)):  # as often as something may be refused, and more
            if not any(scene.store._errors.values()):
                break
            scene.wait(AGAIN_SECONDS)
        scene.wait(LOOK_AGAIN_SECONDS)
        self.assertEqual(set(scene.view.index.uids()), set(scene.shelf.messages))
        self.assertEqual((scene.view.state, scene.view.unread, scene.view.incomplete), ("connected", False, False))
        self.assertEqual(scene.shelf.marked, set())

    def test_news_that_could_not_be_read_are_read_for_who_asks(self) -> None:
        """When what is known is a little old, long before the device tries again by itself."""
        scene = Scene()
        scene.fail("poll", Refused("no"), 1)
        scene.put()
        scene.wait(STALE_SECONDS)
        self.assertEqual(result(scene.filesystem.get("f1")), b"1")

    def test_a_server_that_is_away_is_not_asked(self) -> None:
        """Who asks brings the next attempt to reach it forward: nobody did; when it is back, what is new is read."""
        scene = Scene()
        scene.store.gate = turnstile = Turnstile("poll")
        scene.put()
        scene.offline()
        turnstile.release()
        scene.wait(limits.CONNECT_SECONDS)
        asked: list[bool] = []
        poll = scene.store.poll
        self.patch(scene.store, "poll", lambda **how: asked.append(scene.store.online) or poll(**how))
        for _ in range(60):
            scene.wait(60.0)
        self.assertEqual(asked, [])
        scene.online()
        self.assertEqual((scene.view.index.is_file("f1"), scene.view.unread), (True, False))
        self.assertEqual(set(asked), {True})

    def test_a_message_that_was_there_until_the_connection_broke_is_not_taken_for_withdrawn(self) -> None:
        """It was there for longer than its writer takes to take it back, and nobody saw it go (FORMAT 4.4, 5.5)."""
        scene = Scene()
        store = scene.folder.store()
        rival = scene.folder.device(store=store)
        store.gate = turnstile = Turnstile("append")
        late = rival.put("a", b"late")
        result(scene.writer.put("a", b"quicker"))
        turnstile.release()
        lost = result(late).version
        self.assertEqual(len(result(scene.filesystem.conflicts("a"))), 2)
        scene.wait(2 * limits.WITHDRAWAL_SECONDS)
        scene.offline()
        scene.shelf.remove([max(scene.shelf.messages)])
        scene.online()
        self.assertIn(lost, {entry.version for entry in result(scene.filesystem.conflicts("a")) if entry.missing})

    def test_a_filesystem_that_is_closed_leaves_nothing_to_be_done(self) -> None:
        """Not what was to be tried again, nor what fails while it is closed."""
        for early in (True, False):
            scene = Scene()
            result(scene.writer.close())
            others = len(scene.folder.clock.getDelayedCalls())
            if not early:
                scene.store.gate = Turnstile("poll")
            scene.fail("poll", Refused("no"), 1)
            scene.shelf.add(b"Subject: a letter\r\n\r\n")
            self.assertEqual(len(scene.folder.clock.getDelayedCalls()), others + early)
            result(scene.filesystem.close())
            self.assertEqual(len(scene.folder.clock.getDelayedCalls()), others)
