"""A thousand lost answers: each put is one version, however the server showed it (FORMAT 4.2; bar R3)."""

from __future__ import annotations

import random
from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import Traits
from ifap_twisted.errors import OutcomeUnknown
from ifap_twisted.store.memory import FULL_TRAITS, Fate, Visibility
from tests.campaigns.reference import unlike_reference
from tests.filesystem.folders import KEY, Folder, result

ANSWERS = 1000
"""Lost answers in all the kinds of servers together."""
FATES = (Fate.CUT_AFTER, Fate.CUT_BEFORE, Fate.CUT_LATE)
POOR = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
SERVERS = [(traits, visibility) for traits in (FULL_TRAITS, POOR) for visibility in Visibility]


class LostAnswerTests(SynchronousTestCase):
    """The connection breaks before the answer; the message was stored, was not, or comes up to a minute later."""

    def check(self, number: int, traits: Traits, visibility: Visibility) -> Counter[str]:
        """So many lost answers on one kind of server."""
        draw = random.Random(number)
        folder = Folder(seed=number)
        folder.device()
        store = folder.store(traits=traits, visibility=visibility)
        device = folder.device(store=store)
        told: Counter[str] = Counter()
        for count in range(ANSWERS // len(SERVERS) + 1):
            fate = draw.choice(FATES)
            store.doom_next(fate)
            content = b"%d" % count
            putting = device.put(f"d/{count % 40}", content)
            store.go_offline()
            away = draw.uniform(0.1, 55.0)
            late = draw.uniform(0.1, 60.0)
            folder.clock.callLater(away, store.go_online)
            folder.clock.callLater(late, folder.shelf.deliver_late)
            outcome: list[object] = []
            putting.addBoth(outcome.append)
            for _ in range(70):
                folder.clock.advance(1.0)
            self.assertTrue(outcome, "every put ends")
            unknown = getattr(outcome[0], "value", None)
            told["unknown" if isinstance(unknown, OutcomeUnknown) else "stored"] += 1
            if unknown is not None:
                self.assertIsInstance(unknown, OutcomeUnknown)
        self.check_folder(folder, told["stored"])
        return told

    def check_folder(self, folder: Folder, stored: int) -> None:
        """What a fresh device sees: one version for each put, in one line, none lost and none doubled.

        The reference reads the same: no message of an older version came above a newer one.
        """
        fresh = folder.device()
        contents: list[bytes] = []
        current: dict[str, bytes] = {}
        for entry in result(fresh.list("/", recursive=True)):
            if entry.type == "file":
                current[entry.path] = result(fresh.get(entry.path))
                versions = result(fresh.versions(entry.path))
                contents += [result(fresh.get(entry.path, version=one.version)) for one in versions]
        self.assertEqual(len(contents), len(set(contents)), "no put is there twice")
        self.assertGreaterEqual(len(contents), stored, "what was told as stored is there")
        self.assertEqual(unlike_reference(folder.shelf.messages, KEY.text, current), [])

    def test_each_is_one_version(self) -> None:
        """On every kind of server; all were found or sent again, so that none stayed unknown."""
        told: Counter[str] = Counter()
        for number, (traits, visibility) in enumerate(SERVERS):
            told += self.check(number, traits, visibility)
        self.assertGreaterEqual(sum(told.values()), ANSWERS)
        self.assertEqual(told["unknown"], 0, dict(told))
