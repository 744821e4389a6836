"""The verbs that change or tell of what is in the folder, over the real filesystem."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from twisted.internet.defer import CancelledError, Deferred, fail

from ifap_twisted.cli.printing import Console
from ifap_twisted.cli.reports import answer, is_uploaded, status_lines
from ifap_twisted.cli.session import Session
from ifap_twisted.core.values import Entry, Event, Notice, Status
from ifap_twisted.errors import Unavailable
from ifap_twisted.store.memory import Turnstile
from tests.cli.bench import CommandLineTestCase, Outcome
from tests.cli.test_get import Replaced


class MoveAndCopyTests(CommandLineTestCase):
    """``mv`` and ``cp``."""

    def setUp(self) -> None:
        """A file and a directory."""
        super().setUp()
        self.stored("a", b"A")
        self.stored("d/b", b"B")

    def test_move(self) -> None:
        """A file gets a new name, a directory takes all that is in it along."""
        shown = self.ifap("mv", "a", "/x/new")
        self.assertEqual((0, "", ""), (shown.status, shown.out, shown.err))
        self.assertEqual(0, self.ifap("mv", "d", "e").status)
        self.assertEqual(["e", "e/b", "x", "x/new"], self.names())

    def test_move_into(self) -> None:
        """With a final slash, or when it is a directory, B is where A goes under its own name."""
        self.ifap("mv", "a", "new/")
        self.ifap("mv", "new/a", "d")
        self.assertIn("d/a", self.names())
        self.ifap("mv", "d/a", "/")
        self.assertIn("a", self.names())

    def test_move_onto(self) -> None:
        """A name that is taken is 4, and nothing changes."""
        self.assertEqual(4, self.ifap("mv", "a", "d/b").status)
        self.assertEqual((b"A", b"B"), (self.content("a"), self.content("d/b")))

    def test_copy(self) -> None:
        """A copy leaves what it was made of; a file that is there gets a new version; a directory is copied whole."""
        self.ifap("cp", "a", "d/b")
        self.ifap("cp", "d", "e")
        self.ifap("cp", "a", "e/")
        self.assertEqual(["a", "d", "d/b", "e", "e/a", "e/b"], self.names())
        self.assertEqual(b"A", self.content("e/b"))
        self.assertEqual(2, len(self.successResultOf(self.filesystem.versions("d/b"))))

    def test_missing(self) -> None:
        """What is not there is 3."""
        for verb in ("mv", "cp"):
            self.assertEqual(3, self.ifap(verb, "nope", "x").status)

    def test_slash_on_a_file(self) -> None:
        """A final slash on an A that is a file is 4."""
        self.assertEqual(4, self.ifap("mv", "a/", "x").status)

    def test_json(self) -> None:
        """With --json the Entry of the new name is printed; -v prints its path and version."""
        self.assertEqual("/c", json.loads(self.ifap("--json", "cp", "a", "c").out)["path"])
        self.assertRegex(self.ifap("-v", "mv", "a", "b").out, r"\A/b [\w-]{22}\n\Z")


class DirectoryTests(CommandLineTestCase):
    """``mkdir`` and ``rmdir``."""

    def test_make_and_remove(self) -> None:
        """An empty directory comes and goes."""
        self.assertEqual("/d", json.loads(self.ifap("--json", "mkdir", "d").out)["path"])
        self.assertEqual(["d"], self.names())
        self.assertEqual({"path": "/d", "removed": True}, json.loads(self.ifap("--json", "rmdir", "d/").out))
        self.assertEqual([], self.names())

    def test_exists(self) -> None:
        """What exists is 4; with -p a directory is not, and those above it are made."""
        self.assertEqual(0, self.ifap("mkdir", "-p", "d/e/f").status)
        self.assertEqual(0, self.ifap("mkdir", "-p", "d/e").status)
        self.assertEqual(4, self.ifap("mkdir", "d").status)

    def test_not_empty(self) -> None:
        """A directory with something in it is 4, one that is not there 3, a file 4."""
        self.stored("d/a", b"")
        self.assertEqual([4, 3, 4], [self.ifap("rmdir", path).status for path in ("d", "nope", "d/a")])


class RemovalTests(CommandLineTestCase):
    """``rm`` and ``undelete``."""

    def setUp(self) -> None:
        """Files and a tree."""
        super().setUp()
        for path in ("a", "b", "d/c", "d/e/f"):
            self.stored(path, path.encode())

    def test_files(self) -> None:
        """Several files are removed; what is missing is told and the others are removed all the same."""
        shown = self.ifap("rm", "a", "nope", "/b")
        self.assertEqual((3, 1), (shown.status, shown.err.count("\n")))
        self.assertNotIn("a", self.names())
        self.assertNotIn("b", self.names())

    def test_tree(self) -> None:
        """A directory needs -r, and without it the error says so."""
        shown = self.ifap("rm", "d")
        self.assertEqual(2, shown.status)
        self.assertIn("-r", shown.err)
        self.assertEqual(0, self.ifap("rm", "-r", "d").status)
        self.assertEqual(["a", "b"], self.names())

    def test_one_after_the_other(self) -> None:
        """A path twice, or one in another one, is removed once: the second is not there any more."""
        self.assertEqual(3, self.ifap("rm", "-r", "d", "d/c").status)
        self.assertEqual(3, self.ifap("rm", "a", "a").status)

    def test_json(self) -> None:
        """With --json an object for each."""
        lines = [json.loads(line) for line in self.ifap("--json", "rm", "a", "b").out.splitlines()]
        self.assertEqual([{"path": "/a", "removed": True}, {"path": "/b", "removed": True}], lines)

    def test_undelete(self) -> None:
        """A removed file comes back as it was; one that is not removed is 4, one that never was 3."""
        self.ifap("rm", "a")
        self.assertEqual(0, self.ifap("undelete", "a").status)
        self.assertEqual(b"a", self.content("a"))
        self.assertEqual([4, 3], [self.ifap("undelete", path).status for path in ("a", "nope")])


class VersionTests(CommandLineTestCase):
    """``versions``, ``vers`` and ``restore``."""

    def setUp(self) -> None:
        """A file with two versions."""
        super().setUp()
        self.old = self.stored("a", b"old")
        self.new = self.stored("a", b"newer")

    def test_du(self) -> None:
        """`du` has the size of the files, what is stored for them, what is shared, and the path; the whole is last."""
        self.assertEqual(3, self.ifap("du", "nope").status)
        lines = [line.split() for line in self.ifap("du").out.splitlines()]
        self.assertEqual(["/a", "/"], [line[-1] for line in lines])
        self.assertEqual(lines[0][:3], lines[1][:3])
        (told,) = [json.loads(line) for line in self.ifap("--json", "du", "a").out.splitlines()]
        self.assertEqual([told["size"], told["stored"], told["shared"]], [int(number) for number in lines[0][:3]])

    def test_versions(self) -> None:
        """Newest first, with time, size, writer and marks."""
        self.ifap("rm", "a")
        lines = self.ifap("versions", "a").out.splitlines()
        self.assertEqual([self.new, self.old], [line.split()[0] for line in lines[1:]])
        self.assertTrue(lines[0].endswith("removed"))
        self.assertRegex(lines[2], rf"^{self.old}  \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d  3  [\w-]{{6}}$")
        self.assertEqual(3, self.ifap("versions", "nope").status)

    def test_json(self) -> None:
        """With --json an Entry on each line."""
        lines = [json.loads(line) for line in self.ifap("--json", "versions", "a").out.splitlines()]
        self.assertEqual([self.new, self.old], [line["version"] for line in lines])
        self.assertEqual([self.old], lines[0]["parents"])

    def test_vers(self) -> None:
        """`vers N PATH...` sets how many versions are kept; less than one is 2; what is missing 3."""
        self.stored("b", b"")
        self.assertEqual(0, self.ifap("vers", "20", "a", "b").status)
        self.assertEqual([20, 20], [self.successResultOf(self.filesystem.stat(path)).keep for path in ("a", "b")])
        self.assertEqual(2, self.ifap("vers", "0", "a").status)
        self.assertEqual(3, self.ifap("vers", "3", "nope").status)

    def test_restore(self) -> None:
        """An old version becomes current again, as a new one; the beginning of its id will do."""
        found = json.loads(self.ifap("--json", "restore", "a", "--version", self.old[:5]).out)
        self.assertEqual(b"old", self.content("a"))
        self.assertNotIn(found["version"], (self.old, self.new))
        self.assertEqual(3, len(self.successResultOf(self.filesystem.versions("a"))))

    def test_restore_what(self) -> None:
        """--version is needed (2), has to be there (3), and has to mean one version (3)."""
        self.assertEqual(2, self.ifap("restore", "a").status)
        self.assertEqual(3, self.ifap("restore", "a", "--version", "zzzz").status)
        twins = [Entry(path="a", version="same-1"), Entry(path="a", version="same-2")]
        replaced = Replaced(self.filesystem)
        replaced.versions = lambda _path: _succeed(twins)  # type: ignore[attr-defined]
        self.filesystem = replaced  # type: ignore[assignment]
        shown = self.ifap("restore", "a", "--version", "same")
        self.assertEqual(3, shown.status)
        self.assertIn("Several", shown.err)


class ConflictTests(CommandLineTestCase):
    """``conflicts`` and ``resolve``."""

    def setUp(self) -> None:
        """Two devices that wrote without seeing each other."""
        super().setUp()
        self.stored("d/a", b"base")
        works = []
        gates = []
        for content in (b"one", b"two"):
            store = self.folder.store()
            device = self.folder.device(store=store)
            store.gate = gate = Turnstile("append")
            gates.append(gate)
            works.append(device.put("d/a", content))
        for gate in gates:
            gate.release()
        self.heads = {self.successResultOf(work).version for work in works}
        self.successResultOf(self.filesystem.refresh())

    def test_list(self) -> None:
        """All versions that nobody joined, with the path; of one tree when it is given."""
        lines = self.ifap("conflicts").out.splitlines()
        self.assertEqual(self.heads, {line.split()[0] for line in lines})
        self.assertTrue(all(line.endswith("conflict  /d/a") for line in lines))
        self.assertEqual(2, len(self.ifap("--json", "conflicts", "d").out.splitlines()))
        self.assertEqual("", self.ifap("conflicts", "e").out)

    def test_status_tells(self) -> None:
        """`status` says that there is a conflict, and `ls -l` marks it."""
        self.assertIn("1 file in conflict", self.ifap("status").out)
        self.assertEqual("!", self.ifap("ls", "-l", "d").out[0])

    def test_keep(self) -> None:
        """--keep makes one of them current and ends the conflict."""
        kept = min(self.heads)
        content = self.successResultOf(self.filesystem.get("d/a", version=kept))
        self.assertEqual(0, self.ifap("resolve", "d/a", "--keep", kept[:6]).status)
        self.assertEqual(content, self.content("d/a"))
        shown = self.ifap("conflicts")
        self.assertEqual(("", "No conflicts.\n"), (shown.out, shown.err))

    def test_both(self) -> None:
        """--both keeps both, under two names."""
        self.assertEqual(0, self.ifap("resolve", "d/a", "--both").status)
        files = [name for name in self.names() if name.startswith("d/")]
        self.assertEqual({b"one", b"two"}, {self.content(name) for name in files})

    def test_either(self) -> None:
        """Neither or both of the options is 2; what is not in conflict 3."""
        self.assertEqual(2, self.ifap("resolve", "d/a").status)
        self.assertEqual(2, self.ifap("resolve", "d/a", "--both", "--keep", min(self.heads)).status)
        self.stored("calm", b"")
        self.assertEqual(3, self.ifap("resolve", "calm", "--both").status)


class StateTests(CommandLineTestCase):
    """``sync``, ``snapshot``, ``status``."""

    def test_sync(self) -> None:
        """What others did is seen."""
        other = self.folder.device()
        self.successResultOf(other.put("theirs", b"x"))
        shown = self.ifap("sync")
        self.assertEqual((0, "", ""), (shown.status, shown.out, shown.err))
        self.assertEqual(["theirs"], self.names())
        self.assertEqual("connected", json.loads(self.ifap("--json", "sync").out)["state"])

    def test_gc(self) -> None:
        """What may go is planned, and gone after its grace; with --dry-run every version has its reason."""
        for content in (b"1", b"2", b"3"):
            self.stored("a", content)
        self.assertEqual(0, self.ifap("vers", "2", "a").status)
        self.folder.clock.advance(8 * 86400)
        shown = self.ifap("--json", "gc", "--dry-run")
        fates = [(verdict["fate"], verdict["reason"]) for verdict in map(json.loads, shown.out.splitlines())]
        self.assertEqual(fates, [("planned", "old"), ("planned", "old"), ("kept", "last"), ("kept", "head")])
        self.assertEqual(4, len(self.successResultOf(self.filesystem.versions("a"))))
        shown = self.ifap("gc")
        self.assertEqual(["planned", "planned"], [line.split()[0] for line in shown.out.splitlines()])
        self.assertEqual("2 planned (2 bytes), 2 kept.", shown.err.splitlines()[-1])
        self.folder.clock.advance(8 * 86400)
        shown = self.ifap("gc")
        self.assertEqual(
            ["collected", "collected"], [line.split()[0] for line in shown.out.splitlines() if "/a " in line]
        )
        self.assertEqual(2, len(self.successResultOf(self.filesystem.versions("a"))))

    def test_snapshot(self) -> None:
        """A snapshot is written."""
        self.stored("a", b"x")
        self.assertEqual(0, self.ifap("snapshot").status)
        self.assertIn(
            "IFAP/metadata", [e.path for e in self.successResultOf(self.filesystem.list("IFAP", everything=True))]
        )

    def test_status(self) -> None:
        """The answer stands first, then everything."""
        lines = self.ifap("status").out.splitlines()
        self.assertEqual("Everything is uploaded.", lines[0])
        self.assertIn("state         connected", lines)

    def test_status_json(self) -> None:
        """With --json the Status of DESIGN 4.5."""
        found = json.loads(self.ifap("--json", "status").out)
        keys = (
            "state account folder dialect pending failing conflicts locks damaged foreign warnings last_refresh checked"
        )
        self.assertLessEqual(set(keys.split()), set(found))

    def test_answers(self) -> None:
        """Whether everything is uploaded is said in one sentence."""
        for more, words in (
            ({"failing": 2, "pending": 3}, "2 writes failed"),
            ({"pending": 1}, "Not everything is uploaded: 1 write on the way"),
            ({"conflicts": 2}, "Everything is uploaded; 2 files in conflict"),
            ({}, "Everything is uploaded."),
            ({"state": "stopped"}, "The folder cannot be used until what the warnings tell is mended."),
            ({"state": "stopped", "pending": 2, "failing": 1}, "2 writes wait until what the warnings tell is mended."),
            ({"state": "offline"}, "Nothing waits to be uploaded, and the mail server is not reached."),
            ({"warnings": (Notice(code="journal-damaged", text=""),)}, "Not everything is uploaded: the journal holds"),
            ({"warnings": (Notice(code="journal-held", text=""),)}, "Not everything is uploaded: the journal holds"),
        ):
            fields = {"state": "connected", "account": "a", "folder": "f", "dialect": None, **more}
            status = Status(**fields)  # type: ignore[arg-type]
            self.assertIn(words, answer(status))
            self.assertEqual(answer(status).startswith("Everything is uploaded"), is_uploaded(status))

    def test_warnings(self) -> None:
        """Warnings are shown with the path that they are about, escaped."""
        warnings = (Notice(code="x", text="Odd.", path="a\x1bb"),)
        status = Status(state="offline", account="a", folder="f", dialect=None, warnings=warnings)
        replaced = Replaced(self.filesystem)
        replaced.status = lambda: _succeed(status)  # type: ignore[attr-defined]
        self.filesystem = replaced  # type: ignore[assignment]
        self.assertEqual("warning: Odd. (/a\\x1bb)", self.ifap("status").out.splitlines()[-1])

    def test_other_dialect(self) -> None:
        """Messages of the other dialect are shown where there are any."""
        status = Status(state="connected", account="a", folder="f", dialect="ifap")
        self.assertNotIn("other dialect", "".join(status_lines(status)))
        self.assertIn("other dialect  3", status_lines(replace(status, other_dialect=3)))

    def test_stopped(self) -> None:
        """What a node cannot mend by itself: both steps are named, and the exit status is 8."""
        warnings = (Notice(code="key-required", text="No key."),)
        status = Status(state="stopped", account="a", folder="f", dialect=None, warnings=warnings)
        replaced = Replaced(self.filesystem)
        replaced.status = lambda: _succeed(status)  # type: ignore[attr-defined]
        self.filesystem = replaced  # type: ignore[assignment]
        done = self.ifap("status")
        self.assertEqual((8, "warning: No key."), (done.status, done.out.splitlines()[-2]))
        self.assertRegex(done.out.splitlines()[-1], "`ifap stop`.*`ifap login`.*`ifap start`")

    def test_unreachable(self) -> None:
        """A server that cannot be reached is 8."""
        replaced = Replaced(self.filesystem)
        replaced.refresh = lambda: fail(Unavailable())  # type: ignore[attr-defined]
        self.filesystem = replaced  # type: ignore[assignment]
        self.assertEqual(8, self.ifap("sync").status)


class InterruptedTests(CommandLineTestCase):
    """Ctrl-C while the mail server has not answered."""

    def interrupted(self, *arguments: str) -> Outcome:
        """What the verb says."""
        for method in ("remove", "versions", "check"):
            self.patch(self.filesystem, method, lambda *_paths, **_more: Deferred())
        original = self.runner

        def runner(options: object, work: object) -> int:
            async def given_up(session: Session) -> None:
                running = Deferred.fromCoroutine(work(session))  # type: ignore[operator]
                running.cancel()
                await running

            return original(options, given_up)  # type: ignore[arg-type]

        self.runner = runner  # type: ignore[method-assign]
        return self.ifap(*arguments)

    def test_a_change(self) -> None:
        """It ends with 130, and says that what was on its way may be done."""
        shown = self.interrupted("rm", "a")
        self.assertEqual((130, ""), (shown.status, shown.out))
        self.assertRegex(shown.err, "^ifap: Interrupted: .* may be done or not.*ifap status")

    def test_what_changes_nothing(self) -> None:
        """It ends with 130, and there is nothing to say."""
        for arguments in (["versions", "a"], ["check", "--read-data"]):
            shown = self.interrupted(*arguments)
            self.assertEqual((130, "", ""), (shown.status, shown.out, shown.err))

    def test_a_check_that_changes_something(self) -> None:
        """Where it was asked to."""
        for option in ("--repair", "--bind", "--accept"):
            shown = self.interrupted("check", option)
            self.assertEqual(130, shown.status)
            self.assertIn("may be done or not", shown.err)


class WatchTests(CommandLineTestCase):
    """``watch``."""

    def watching(self, *options: str) -> list[str]:
        """The lines of a watch during which two things happen and then Ctrl-C."""
        original = self.runner

        def runner(options: object, work: object) -> int:
            async def interrupted(session: Session) -> None:
                running = Deferred.fromCoroutine(work(session))  # type: ignore[operator]
                self.stored("a", b"x")
                self.successResultOf(self.filesystem.remove("a"))
                running.cancel()
                try:
                    await running
                except CancelledError:
                    self.stored("b", b"not told any more")
                    raise

            return original(options, interrupted)  # type: ignore[arg-type]

        self.runner = runner  # type: ignore[method-assign]
        shown = self.ifap(*options, "watch")
        self.assertEqual(130, shown.status)
        return shown.out.splitlines()

    def test_lines(self) -> None:
        """Each event is a line, until Ctrl-C (130)."""
        lines = [line for line in self.watching() if re.match("changed|removed", line)]
        self.assertEqual(["changed", "removed"], [line.split()[0] for line in lines])
        self.assertTrue(all(" /a " in line for line in lines))

    def test_json(self) -> None:
        """With --json each line is an object with event and data."""
        lines = [json.loads(line) for line in self.watching("--json")]
        told = [(line["event"], line["data"]["path"]) for line in lines if "path" in line["data"]]
        self.assertEqual([("changed", "/a"), ("removed", "/a")], told)

    def test_details(self) -> None:
        """An event without an entry is told with its details."""
        from ifap_twisted.cli.cmd_watch import show_event

        console = Recorder()
        show_event(console, Event(kind="connection", detail={"state": "offline"}))  # type: ignore[arg-type]
        self.assertEqual(["connection state=offline"], console.lines)


class Recorder(Console):
    """A console that keeps its lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def _succeed(value: object) -> Deferred[object]:
    done: Deferred[object] = Deferred()
    done.callback(value)
    return done
