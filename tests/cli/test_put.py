"""``ifap put``, over the real filesystem."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.internet.defer import Deferred, fail

from ifap_twisted.cli.localfiles import BLOCK
from ifap_twisted.cli.uploading import FILES_IN_FLIGHT
from ifap_twisted.core.limits import MAX_FILE_SIZE, WITHDRAWAL_SECONDS
from ifap_twisted.core.values import Entry
from ifap_twisted.errors import Conflict, OutcomeUnknown, QuotaExceeded
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.interfaces import IFilesystem
from ifap_twisted.store.memory import Turnstile
from tests.cli.bench import CommandLineTestCase
from tests.filesystem.test_marking import Ledger


class Passing:
    """A filesystem in front of another one, for what goes wrong on the way."""

    def __init__(self, real: IFilesystem) -> None:
        self.real = real
        self.puts: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def put(self, path: str, data: object, **more: object) -> Deferred[Entry]:
        self.puts.append(path)
        return self.real.put(path, data, **more)  # type: ignore[arg-type]


class PlaceTests(CommandLineTestCase):
    """Where files go: as with ``cp``."""

    def setUp(self) -> None:
        """Two files, one of them in a directory."""
        super().setUp()
        self.file = self.write("a.txt", b"hello")
        self.write("d/b.txt", b"b")
        self.tree = self.local / "d"

    def test_to_a_name(self) -> None:
        """DEST is the file's new name; no leading slash is needed."""
        shown = self.ifap("put", self.file, "x/new.txt")
        self.assertEqual((0, ""), (shown.status, shown.err))
        self.assertRegex(shown.out, r"\A/x/new\.txt [\w-]{22}\n\Z")
        self.assertEqual(b"hello", self.content("x/new.txt"))

    def test_into_a_directory(self) -> None:
        """DEST is a directory when it ends in a slash or exists as one."""
        self.ifap("put", self.file, "x/")
        self.assertEqual(["x", "x/a.txt"], self.names())
        self.ifap("put", self.tree / "b.txt", "/x")
        self.assertEqual(b"b", self.content("x/b.txt"))

    def test_into_the_root(self) -> None:
        """The root is always a directory."""
        self.ifap("put", self.file, "/")
        self.assertEqual(["a.txt"], self.names())

    def test_several(self) -> None:
        """With several SRC DEST is a directory."""
        self.assertEqual(0, self.ifap("put", self.file, self.tree / "b.txt", "x").status)
        self.assertEqual(["x", "x/a.txt", "x/b.txt"], self.names())

    def test_tree(self) -> None:
        """`put -r d /x/` makes /x/d/..., also when /x exists; else `put -r d /x` makes /x a copy of d."""
        self.ifap("put", "-r", self.tree, "/x/")
        self.assertEqual(["x", "x/d", "x/d/b.txt"], self.names())
        self.ifap("put", "-r", self.tree, "/x/d")
        self.assertIn("x/d/d/b.txt", self.names())
        self.ifap("put", "-r", self.tree, "/y")
        self.assertIn("y/b.txt", self.names())

    def test_contents(self) -> None:
        """With a final slash on SRC, or `.`, its contents go to DEST."""
        self.ifap("put", "-r", f"{self.tree}/", "/x/")
        self.assertEqual(["x", "x/b.txt"], self.names())
        here = Path.cwd()
        os.chdir(self.tree)
        self.addCleanup(os.chdir, here)
        self.ifap("put", "-r", ".", "/y/")
        self.assertIn("y/b.txt", self.names())

    def test_tree_without_r(self) -> None:
        """A directory without -r is refused with what to do, and the others go on."""
        shown = self.ifap("put", self.tree, self.file, "/x/")
        self.assertEqual((2, ["x", "x/a.txt"]), (shown.status, self.names()))
        self.assertIn("-r", shown.err)

    def test_same_name_twice(self) -> None:
        """Two SRC of the same name do not overwrite each other: the second one fails."""
        self.write("e/a.txt", b"other")
        shown = self.ifap("put", self.file, self.local / "e/a.txt", "/x/")
        self.assertEqual(4, shown.status)
        self.assertEqual(b"hello", self.content("x/a.txt"))

    def test_file_with_slash(self) -> None:
        """A final slash on a SRC that is a file is an error."""
        self.assertEqual(2, self.ifap("put", f"{self.file}/", "x").status)

    def test_missing(self) -> None:
        """A SRC that is not there is 3, and the others go on."""
        shown = self.ifap("put", self.local / "gone", self.file, "/x/")
        self.assertEqual((3, ["x", "x/a.txt"]), (shown.status, self.names()))
        self.assertIn(f"{self.local}/gone: No such file", shown.err)

    def test_bad_name(self) -> None:
        """A SRC that is not UTF-8 is refused, the others go on."""
        name = os.fsdecode(b"b\xff")
        shown = self.ifap("put", self.local / name, self.file, "/x/")
        self.assertEqual((2, ["x", "x/a.txt"]), (shown.status, self.names()))
        self.assertIn("not UTF-8", shown.err)

    def test_reserved(self) -> None:
        """A reserved name is refused."""
        shown = self.ifap("put", self.file, "IFAP/x")
        self.assertEqual((2, []), (shown.status, self.names()))


class ContentTests(CommandLineTestCase):
    """What of a file is stored."""

    def test_mode_and_time(self) -> None:
        """Permissions and time go along, never setuid."""
        path = self.write("a", b"x", mode=0o4750)
        os.utime(path, (1000, 2000.5))
        self.ifap("put", path, "a")
        entry = self.successResultOf(self.filesystem.stat("a"))
        self.assertEqual((0o750, 2000.5), (entry.mode, entry.modified))

    def test_sizes(self) -> None:
        """Files are stored exactly, whether they are read whole or in blocks, and empty ones."""
        for size in (0, 1, BLOCK, BLOCK + 1, 3 * BLOCK):
            data = os.urandom(size)
            self.assertEqual(0, self.ifap("put", self.write("a", data), "a").status)
            self.assertEqual(data, self.content("a"), size)

    def test_named_link(self) -> None:
        """A symbolic link named as SRC is followed, to a file and to a directory."""
        self.write("d/a", b"x")
        (self.local / "file").symlink_to("d/a")
        (self.local / "tree").symlink_to("d")
        self.assertEqual(0, self.ifap("put", "-r", self.local / "file", self.local / "tree", "/").status)
        self.assertEqual(["file", "tree", "tree/a"], self.names())

    def test_named_fifo(self) -> None:
        """A FIFO named as SRC is an error that says what to do; nothing waits for a writer."""
        os.mkfifo(self.local / "fifo")
        shown = self.ifap("put", self.local / "fifo", "/x")
        self.assertEqual(1, shown.status)
        self.assertIn("`-`", shown.err)

    def test_json(self) -> None:
        """With --json the Entry of each file is printed."""
        found = json.loads(self.ifap("--json", "put", self.write("a", b"abc"), "/x/").out)
        self.assertEqual(("/x/a", 3, "file"), (found["path"], found["size"], found["type"]))

    def test_quiet(self) -> None:
        """With -q nothing is printed."""
        shown = self.ifap("-q", "put", "-r", self.write("a", b"abc"), "/x/")
        self.assertEqual((0, "", ""), (shown.status, shown.out, shown.err))


class TreeTests(CommandLineTestCase):
    """``put -r``."""

    def setUp(self) -> None:
        """A tree with all that trees have."""
        super().setUp()
        self.tree = self.local / "d"
        self.write("d/a", b"a")
        self.write("d/.hidden/b", b"b", mode=0o600)
        (self.tree / "empty").mkdir()

    def put(self, *options: str, destination: str = "/x/") -> str:
        shown = self.ifap("put", "-r", *options, f"{self.tree}/", destination)
        self.assertEqual(0, shown.status, shown.err)
        return shown.out.splitlines()[-1]

    def test_all_of_it(self) -> None:
        """Hidden files and empty directories are included, and the end says how many files."""
        self.assertEqual("2 new, 0 unchanged, 0 failed", self.put())
        self.assertEqual(["x", "x/.hidden", "x/.hidden/b", "x/a", "x/empty"], self.names())

    def test_again(self) -> None:
        """What is unchanged is not stored again; what differs in content or permissions is."""
        self.put()
        self.assertEqual("0 new, 2 unchanged, 0 failed", self.put())
        self.write("d/a", b"A")
        self.assertEqual("1 new, 1 unchanged, 0 failed", self.put())
        (self.tree / "a").chmod(0o755)
        self.assertEqual("1 new, 1 unchanged, 0 failed", self.put())
        self.assertEqual(3, len(self.successResultOf(self.filesystem.versions("x/a"))))

    def test_again_where_something_is_gone_from_the_server(self) -> None:
        """It is stored anew, an empty directory, too, and can be read again."""
        self.put()
        index = self.filesystem.desk.view.index
        lost = [index.history("x/a").current, *index.markers("x/empty")]
        self.shelf.remove([uid for placed in lost for uid in placed.places])
        self.successResultOf(self.filesystem.refresh())
        self.assertEqual("1 new, 1 unchanged, 0 failed", self.put())
        self.assertEqual(b"a", self.content("x/a"))
        self.assertEqual([], [entry for entry in self.successResultOf(self.filesystem.list("/x")) if entry.missing])
        self.assertEqual("0 new, 2 unchanged, 0 failed", self.put())

    def test_again_where_something_was_found_damaged(self) -> None:
        """It is stored anew."""
        self.put()
        (uid,) = self.filesystem.desk.view.index.history("x/a").current.places
        self.shelf.tamper(uid, self.shelf.messages[uid][:-100])
        self.assertEqual(7, self.ifap("cat", "x/a").status)
        self.assertIn("cannot be read: ", self.ifap("status").out)
        self.assertEqual("1 new, 1 unchanged, 0 failed", self.put())
        self.assertEqual(b"a", self.content("x/a"))
        self.assertEqual("0 new, 2 unchanged, 0 failed", self.put())

    def test_again_where_very_much_was_found_damaged(self) -> None:
        """All of that is stored anew, and nothing else."""
        for number in range(30):
            self.write(f"d/f{number}", b"content of %d" % number)
        self.put()
        for number in range(25):
            (uid,) = self.filesystem.desk.view.index.history(f"x/f{number}").current.places
            self.shelf.tamper(uid, self.shelf.messages[uid][:-100])
        self.successResultOf(self.filesystem.check(read_data=100.0))
        self.assertIn("The newest versions of 5 more cannot be read.", self.ifap("status").out)
        self.assertEqual("25 new, 7 unchanged, 0 failed", self.put())
        self.assertEqual("0 new, 32 unchanged, 0 failed", self.put())

    def test_again_where_an_earlier_process_found_something_damaged(self) -> None:
        """That is remembered."""
        ledger = Ledger()
        self.filesystem = self.folder.device(marks=lambda *_folder: ledger)
        self.put()
        (uid,) = self.filesystem.desk.view.index.history("x/a").current.places
        self.shelf.tamper(uid, self.shelf.messages[uid][:-100])
        self.assertEqual(7, self.ifap("cat", "x/a").status)
        self.successResultOf(self.filesystem.close())
        self.filesystem = self.folder.device(marks=lambda *_folder: ledger)
        self.assertIn("could not be read when that was tried last", self.ifap("status").out)
        self.assertEqual("1 new, 1 unchanged, 0 failed", self.put())
        self.assertEqual(b"a", self.content("x/a"))

    def test_again_where_another_device_may_take_back_what_is_there(self) -> None:
        """Its copy came too late and is the newest for a moment: it counts when its writer was not told otherwise."""
        base = self.stored("x/a", b"base")
        store = self.folder.store()
        other = self.folder.device(store=store)
        store.gate = turnstile = Turnstile("append", "remove")
        late = other.put("x/a", b"a", expect=base)
        self.stored("x/a", b"theirs")
        turnstile.release(1)
        self.assertEqual(b"a", self.content("x/a"))
        self.assertTrue(json.loads(self.ifap("--json", "ls", "x/a").out)["doubtful"])
        self.assertEqual("2 new, 0 unchanged, 0 failed", self.put())
        turnstile.release()
        self.failureResultOf(late, Conflict)
        self.assertEqual(b"a", self.content("x/a"))
        self.assertEqual("0 new, 2 unchanged, 0 failed", self.put())

    def test_again_where_a_conflict_is_old(self) -> None:
        """Nobody takes back what is there: that it stays in conflict is left to the user."""
        store = self.folder.store()
        other = self.folder.device(store=store)
        store.gate = turnstile = Turnstile("append")
        late = other.put("x/a", b"a")
        self.stored("x/a", b"theirs")
        turnstile.release()
        self.successResultOf(late)
        self.clock.advance(WITHDRAWAL_SECONDS)
        self.assertEqual("1 new, 1 unchanged, 0 failed", self.put())
        self.assertTrue(self.successResultOf(self.filesystem.stat("x/a")).conflict)

    def test_again_writes_nothing(self) -> None:
        """The second run appends no message, not even for directories."""
        self.put()
        before = len(self.shelf.messages)
        self.put()
        self.assertEqual(before, len(self.shelf.messages))

    def test_always(self) -> None:
        """--always stores what is unchanged."""
        self.put()
        self.assertEqual("2 new, 0 unchanged, 0 failed", self.put("--always"))

    def test_same_size(self) -> None:
        """A change that leaves size and time as they were is noticed."""
        self.put()
        found = (self.tree / "a").stat()
        self.write("d/a", b"z")
        os.utime(self.tree / "a", ns=(found.st_atime_ns, found.st_mtime_ns))
        self.assertEqual("1 new, 1 unchanged, 0 failed", self.put())

    def test_removed_file(self) -> None:
        """A file that was removed from the folder is stored again, though it is the same."""
        self.put()
        self.successResultOf(self.filesystem.remove("x/a"))
        self.assertEqual("1 new, 1 unchanged, 0 failed", self.put())
        self.assertEqual(b"a", self.content("x/a"))

    def test_single_file(self) -> None:
        """With -r a file named as SRC is skipped too when it is the same."""
        self.put()
        self.assertIn("0 new, 1 unchanged", self.ifap("put", "-r", self.tree / "a", "x/a").out)

    def test_json(self) -> None:
        """With --json an Entry for each, and the counts last."""
        lines = self.ifap("--json", "put", "-r", f"{self.tree}/", "/x/").out.splitlines()
        self.assertEqual({"/x/a", "/x/.hidden/b"}, {json.loads(line)["path"] for line in lines[:-1]})
        self.assertEqual({"new": 2, "unchanged": 0, "failed": 0}, json.loads(lines[-1]))

    def test_links_inside(self) -> None:
        """Symbolic links and FIFOs inside are skipped with a warning, which is no failure."""
        (self.tree / "link").symlink_to("a")
        os.mkfifo(self.tree / "fifo")
        shown = self.ifap("put", "-r", f"{self.tree}/", "/x/")
        self.assertEqual((0, 2), (shown.status, shown.err.count("skipped")))
        self.assertIn("2 new, 0 unchanged, 0 failed", shown.out)

    def test_bad_names(self) -> None:
        """Names that are not UTF-8, or that the folder does not take, fail, are told safely, and the others go on."""
        Path(os.fsdecode(os.fsencode(self.tree) + b"/b\xff")).write_bytes(b"")
        self.write("d/line\nfeed")
        shown = self.ifap("put", "-r", f"{self.tree}/", "/x/")
        self.assertEqual(2, shown.status)
        self.assertIn("2 new, 0 unchanged, 2 failed", shown.out)
        self.assertEqual(2, shown.err.count("\n"))

    def test_exclude(self) -> None:
        """--exclude leaves out what matches, and may be given several times."""
        self.write("d/c.o")
        self.put("--exclude", "*.o", "--exclude", ".hidden")
        self.assertEqual(["x", "x/a", "x/empty"], self.names())

    def test_exclude_named(self) -> None:
        """--exclude is about SRC, too."""
        self.assertEqual(0, self.ifap("put", "--exclude", "a*", self.tree / "a", self.write("b"), "/y/").status)
        self.assertEqual(["y", "y/b"], self.names())

    def test_no_room_for_a_directory(self) -> None:
        """A directory that cannot be made fails with its name, and the files are stored."""
        passing = Passing(self.filesystem)
        passing.make_directory = lambda _path, **_more: fail(QuotaExceeded())  # type: ignore[attr-defined]
        self.filesystem = passing  # type: ignore[assignment]
        shown = self.ifap("put", "-r", f"{self.tree}/", "/x/")
        self.assertEqual((6, "2 new, 0 unchanged, 1 failed\n"), (shown.status, shown.out))
        self.assertIn("/x/empty: ", shown.err)

    def test_dry_run(self) -> None:
        """--dry-run says what would be stored, and stores nothing."""
        self.put()
        self.write("d/a", b"A")
        (self.tree / "more").mkdir()
        before = len(self.shelf.messages)
        shown = self.ifap("put", "-r", "--dry-run", f"{self.tree}/", "/x/")
        self.assertEqual(
            ["would store /x/a", "would make the directory /x/more/", "1 new, 1 unchanged, 0 failed"],
            shown.out.splitlines(),
        )
        self.assertEqual(before, len(self.shelf.messages))

    def test_dry_run_json(self) -> None:
        """With --json --dry-run prints an object for each action."""
        lines = self.ifap("--json", "put", "-r", "--dry-run", f"{self.tree}/", "/x/").out.splitlines()
        actions = {(found["action"], found["path"]) for found in map(json.loads, lines[:-1])}
        self.assertEqual({("put", "/x/a"), ("put", "/x/.hidden/b"), ("mkdir", "/x/empty")}, actions)

    def test_in_one_go(self) -> None:
        """Many puts are on their way at a time, and no more than the bound."""
        for number in range(FILES_IN_FLIGHT + 20):
            self.write(f"d/many/{number}", b"x")
        passing = Passing(self.filesystem)
        held: list[Deferred[None]] = []
        most: list[int] = []

        def put(path: str, data: object, **more: object) -> Deferred[Entry]:
            gate: Deferred[None] = Deferred()
            held.append(gate)
            return gate.addCallback(lambda _none: self.filesystem.put(path, data, **more))  # type: ignore[arg-type]

        passing.put = put  # type: ignore[method-assign]
        self.filesystem, real = passing, self.filesystem  # type: ignore[assignment]

        def release() -> None:
            self.filesystem = real
            while held:
                most.append(len(held))
                held.pop(0).callback(None)

        original = self.runner

        def runner(options: object, work: object) -> int:
            async def both(session: object) -> None:
                running = Deferred.fromCoroutine(work(session))  # type: ignore[operator]
                release()
                await running

            return original(options, both)  # type: ignore[arg-type]

        self.runner = runner  # type: ignore[method-assign]
        shown = self.ifap("put", "-r", f"{self.tree}/", "/x/")
        self.assertIn(f"{FILES_IN_FLIGHT + 22} new, 0 unchanged, 0 failed", shown.out)
        self.assertEqual(FILES_IN_FLIGHT, max(most))


class ExpectationTests(CommandLineTestCase):
    """``--if-absent`` and ``--if-match``."""

    def setUp(self) -> None:
        """A file here, another one there."""
        super().setUp()
        self.file = self.write("a", b"new")
        self.version = self.stored("x", b"old")

    def test_if_absent(self) -> None:
        """--if-absent stores where nothing is, and is 4 where something is; with --json the code is conflict."""
        self.assertEqual(0, self.ifap("put", "--if-absent", self.file, "y").status)
        shown = self.ifap("--json", "put", "--if-absent", self.file, "x")
        self.assertEqual((4, "conflict"), (shown.status, json.loads(shown.err)["code"]))
        self.assertEqual(b"old", self.content("x"))

    def test_if_absent_with_r(self) -> None:
        """--if-absent is not satisfied by a file that is the same."""
        self.ifap("put", self.file, "x")
        self.assertEqual(4, self.ifap("put", "-r", "--if-absent", self.file, "x").status)

    def test_if_match(self) -> None:
        """--if-match stores while that version is current, and is 4 afterwards; a beginning of the id will do."""
        self.assertEqual(0, self.ifap("put", "--if-match", self.version[:6], self.file, "x").status)
        self.assertEqual(4, self.ifap("put", "--if-match", self.version, self.file, "x").status)
        self.assertEqual(4, self.ifap("put", "--if-match", self.version, self.file, "absent").status)

    def test_dry_run(self) -> None:
        """--dry-run fails where the real run would."""
        self.assertEqual(4, self.ifap("put", "--dry-run", "--if-absent", self.file, "x").status)
        self.assertEqual(4, self.ifap("put", "--dry-run", "--if-match", "zzzz", self.file, "x").status)
        self.assertEqual(0, self.ifap("put", "--dry-run", "--if-match", self.version[:4], self.file, "x").status)

    def test_nonsense(self) -> None:
        """Options that contradict each other are 2."""
        for options in (
            ["--if-absent", "--if-match", "abcd", self.file],
            ["--if-match", "abcd", self.file, self.file],
            ["-r", "--if-match", "abcd", self.file],
            ["-r", "-"],
            ["-", self.file],
        ):
            self.assertEqual(2, self.ifap("put", *options, "x").status, options)


class FailureTests(CommandLineTestCase):
    """What goes wrong on the way."""

    def failing(self, path: str, error: Exception) -> None:
        passing, real = Passing(self.filesystem), self.filesystem

        def put(name: str, data: object, **more: object) -> Deferred[Entry]:
            return fail(error) if name == path else real.put(name, data, **more)  # type: ignore[arg-type]

        passing.put = put  # type: ignore[method-assign]
        self.filesystem = passing  # type: ignore[assignment]

    def test_one_of_many(self) -> None:
        """One file that fails does not stop the others; it is named, and its status is that of the run."""
        for name in "abc":
            self.write(f"d/{name}")
        self.failing("d/b", QuotaExceeded("The mailbox is full."))
        shown = self.ifap("put", "-r", self.local / "d", "/")
        self.assertEqual((6, "2 new, 0 unchanged, 1 failed\n"), (shown.status, shown.out))
        self.assertEqual("ifap: /d/b: The mailbox is full.\n", shown.err)

    def test_outcome_unknown(self) -> None:
        """An unknown outcome is 8."""
        self.failing("a", OutcomeUnknown())
        self.assertEqual(8, self.ifap("put", self.write("a"), "a").status)

    def test_vanished(self) -> None:
        """A file that vanishes after the scan fails, and the others go on."""
        for name in "abc":
            self.write(f"d/{name}")
        passing = Passing(self.filesystem)
        listed = passing.real.list

        def vanish(*arguments: object, **more: object) -> object:
            (self.local / "d/b").unlink()
            return listed(*arguments, **more)  # type: ignore[arg-type]

        passing.list = vanish  # type: ignore[attr-defined]
        self.filesystem = passing  # type: ignore[assignment]
        shown = self.ifap("put", "-r", self.local / "d", "/")
        self.assertEqual((3, "2 new, 0 unchanged, 1 failed\n"), (shown.status, shown.out))
        self.assertIn("d/b", shown.err)

    def test_changing(self) -> None:
        """A large file that changes while it is read fails with what to do, nothing of it is stored, the others are."""
        self.write("d/big", b"x" * (3 * BLOCK))
        self.write("d/small")
        passing, real = Passing(self.filesystem), self.filesystem

        def put(path: str, data: object, **more: object) -> Deferred[Entry]:
            if path == "d/big":
                with (self.local / "d/big").open("ab") as file:
                    file.write(b"more")
            return real.put(path, data, **more)  # type: ignore[arg-type]

        passing.put = put  # type: ignore[method-assign]
        self.filesystem = passing  # type: ignore[assignment]
        shown = self.ifap("put", "-r", self.local / "d", "/")
        self.assertEqual((8, "1 new, 0 unchanged, 1 failed\n"), (shown.status, shown.out))
        self.assertIn("changed while it was being read", shown.err)
        self.assertEqual(["d", "d/small"], self.names())

    def test_too_large(self) -> None:
        """Without chunks a file larger than can be stored is 6, and it is not read for that."""
        self.filesystem = self.folder.device(options=Options(chunk_threshold=0))
        path = self.write("a")
        os.truncate(path, MAX_FILE_SIZE + 1)
        self.assertEqual((6, []), (self.ifap("put", path, "a").status, self.names()))
