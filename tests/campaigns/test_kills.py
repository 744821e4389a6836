"""A sample of the campaign of kills, and that it would find what it looks for.

It runs in processes of its own: one that has a reactor cannot be forked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns.killing import STARTS, Case, Known, right_after
from tests.campaigns.scenarios import FIRST, SCENARIOS, Shown, mixed, thinned
from tests.examples.programs import environment

ROOT = Path(__file__).parents[2]
SECONDS = 300
PLANTED = """
from tests.campaigns import killing, scenarios

async def torn(filesystem):
    await filesystem.remove("one")
    await filesystem.put("one", b"new")

scenarios.SCENARIOS["put one"] = torn
steps = killing.known("maildir", "put one").steps
second = [number for number, step in enumerate(steps, 1) if step == "store append"][1]
print(killing.judged(killing.Case("maildir", "put one", second)))
"""
HASTY = """
from twisted.internet.defer import succeed
from ifap_twisted.filesystem.filesystem import Filesystem
from tests.campaigns import killing

put = Filesystem.put

def hasty(self, path, *args, **more):
    putting = put(self, path, *args, **more)
    if path != "new":
        return putting
    putting.addErrback(lambda failure: None)
    return succeed(None)

Filesystem.put = hasty
steps = killing.known("maildir", "put new").steps
print(killing.judged(killing.Case("maildir", "put new", steps.index("store append") + 1)))
"""
COLLECTING = """
from tests.campaigns import killing

for account in ("embedded", "plain"):
    found = killing.known(account, killing.REMOVING)
    assert found.before.files == found.after.files
    assert len(found.before.versions["three"]) == 3 and len(found.after.versions["three"]) == 1, found
    changes = [number for number, step in enumerate(found.steps, 1) if step == "imap change"]
    for step in changes[:2]:
        print(killing.judged(killing.Case(account, killing.REMOVING, step)))
"""
QUEUED = """
from tests.campaigns import killing

for scenario in ("queue one", killing.AGAIN + "queue one"):
    steps = killing.known("dovecot", scenario).steps
    last = steps.index("store append answered") + 1 if "store append answered" in steps else len(steps)
    print(killing.judged(killing.Case("dovecot", scenario, last)))
"""
FAILING = """
from tests.campaigns.victims import in_process

async def work(reactor):
    raise ValueError("this is told")

in_process(work)
"""


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python in the checkout."""
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=SECONDS)


class SampleTests(SynchronousTestCase):
    """Some steps of some scenarios, on each kind of account."""

    def test_sample(self):
        """A kill leaves the old or the new state, the next start completes it, and the one after changes nothing."""
        self.assertGreaterEqual(len(SCENARIOS), 40)
        state = Path(self.mktemp()).absolute()
        state.parent.mkdir(parents=True, exist_ok=True)
        done = run("-m", "tests.campaigns.kills", "--count", "12", "--seed", "3", "--state", state)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        kept = json.loads(state.read_text())
        self.assertEqual(sum(kept["done"].values()), 12)
        self.assertEqual({name.partition(":")[0] for name in kept["done"]}, {"dovecot", "maildir", "embedded"})
        self.assertLess(kept["kinds"].get("not reached", 0), 4)

    def test_planted(self):
        """A change that is not whole is found."""
        done = run("-c", PLANTED)
        self.assertIn("one is neither old nor new in its files", done.stdout, done.stderr)

    def test_told_too_early(self):
        """A change that is told as done before it is on the server is found."""
        done = run("-c", HASTY)
        self.assertIn("killed after it was done: new is neither old nor new in its files", done.stdout, done.stderr)

    def test_collecting(self):
        """A collection that is killed before it marks or before it expunges is completed by the next one."""
        done = run("-c", COLLECTING)
        self.assertEqual(done.stdout.splitlines(), ["(True, [])"] * 4, done.stderr)

    def test_queued(self):
        """What was accepted without the server is there after a kill, and after one while it is sent."""
        done = run("-c", QUEUED)
        self.assertEqual(done.stdout.splitlines(), ["(True, [])"] * 2, done.stderr)

    def test_a_failure_is_told(self):
        """What goes wrong in a process is not taken for a kill."""
        done = run("-c", FAILING)
        self.assertEqual(done.returncode, 1)
        self.assertIn("this is told", done.stderr)

    def test_scenarios(self):
        """Starts that are killed, and what is done first, are of changes that there are."""
        for name in (*STARTS, *FIRST):
            self.assertIn(name.removeprefix("start after "), SCENARIOS)


class JudgementTests(SynchronousTestCase):
    """What the judge calls wrong."""

    def wrong(self, found, before, after):
        """What is wrong with a listing, and with the versions, that are the same here."""
        shown = (Shown(one, {path: (content,) for path, content in one.items()}) for one in (found, before, after))
        return list(mixed(*shown, "now"))

    def test_mixed(self):
        """A path with a content that is neither the old nor the new one, or with none."""
        before, after = {"a": b"old"}, {"a": b"new"}
        self.assertEqual(self.wrong(before, before, after), [])
        self.assertEqual(self.wrong(after, before, after), [])
        for found in ({"a": b"ol"}, {}, {"a": b"old", "b": b"old"}):
            self.assertEqual(len(self.wrong(found, before, after)), 2)

    def test_doubled(self):
        """A version that is there twice."""
        before, after = Shown({"a": b"x"}, {"a": (b"x",)}), Shown({"a": b"y"}, {"a": (b"y", b"x")})
        found = Shown({"a": b"y"}, {"a": (b"y", b"y", b"x")})
        self.assertEqual(list(mixed(found, before, after, "now")), ["now: a is neither old nor new in its versions"])

    def test_what_was_told(self):
        """What was told as done is right at once; what was accepted, after the next start and not before."""
        old, new = Shown({"a": b"old"}, {}), Shown({"a": b"new"}, {})
        found = Known((), old, new)
        either, before, after = (old, new), (old, old), (new, new)
        for scenario, done, *right in (
            ("put one", False, either, either),
            ("put one", True, after, after),
            ("queue one", False, before, either),
            ("queue one", True, before, after),
            ("start after queue one", False, either, after),
            ("start after queue one", True, after, after),
            ("start after put one", True, either, either),
        ):
            told = right_after(Case("dovecot", scenario, 1), found, done=done)
            self.assertEqual([(one.before, one.after) for one in told], right, scenario)

    def test_locks_and_conflicts(self):
        """They are judged as files are."""
        before, after = Shown({}, {}, {"a": (b"1", b"2")}, {}), Shown({}, {}, {}, {"a": 60})
        self.assertEqual(list(mixed(before, before, after, "now")), [])
        self.assertEqual(len(list(mixed(Shown({}, {}, {"a": (b"1",)}, {"a": 30}), before, after, "now"))), 2)

    def test_lost_in_a_move(self):
        """A content that is at neither end of a move."""
        before, after = {"a": b"content"}, {"b": b"content"}
        self.assertEqual(self.wrong({**before, **after}, before, after), [])
        self.assertEqual(len(self.wrong({}, before, after)), 1)

    def test_collected(self):
        """Collecting may be half done, but takes nothing that stays, adds nothing and changes no file."""
        before, after = (Shown({"a": b"3"}, {"a": versions}) for versions in ((b"3", b"2", b"1"), (b"3",)))

        def found(*versions):
            return list(thinned(Shown({"a": b"3"}, {"a": versions}), before, after, "now"))

        for right in ((b"3",), (b"3", b"2"), (b"3", b"2", b"1"), (b"3", b"1")):
            self.assertEqual(found(*right), [])
        for wrong in ((), (b"2", b"1"), (b"3", b"3"), (b"1", b"3"), (b"4", b"3")):
            self.assertEqual(len(found(*wrong)), 1, wrong)
        self.assertEqual(len(list(thinned(Shown({}, before.versions), before, after, "now"))), 1)
