"""``create-node``, ``start``, ``stop``, ``restart``, and verbs that find a node running."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ifap_twisted.basedir import Basedir
from ifap_twisted.cli import nodes
from ifap_twisted.cli.creating import template
from ifap_twisted.settings import load_settings
from tests.cli.processes import ProcessTestCase


class CreateTests(ProcessTestCase):
    """``create-node``."""

    def test_made(self) -> None:
        """A private directory with an ifap.toml that sets nothing."""
        self.succeeds("create-node", "there")
        made = self.home / "there"
        self.assertEqual(0o700, made.stat().st_mode & 0o777)
        self.assertEqual(load_settings(), load_settings(config=made / "ifap.toml"))

    def test_default(self) -> None:
        """Without DIR it is the basedir that other verbs take."""
        found = json.loads(self.succeeds("--json", "create-node"))
        self.assertEqual({"basedir": str(self.basedir)}, found)
        self.assertTrue((self.basedir / "ifap.toml").exists())

    def test_exists(self) -> None:
        """What is there is not touched (4)."""
        self.basedir.mkdir(0o700)
        (self.basedir / "ifap.toml").write_text("folder = 'MINE'\n")
        self.assertEqual(4, self.ifap("create-node").returncode)
        self.assertEqual("folder = 'MINE'\n", (self.basedir / "ifap.toml").read_text())

    def test_template(self) -> None:
        """Each line of the template with a default says that default when it is made to count."""
        lines = [line.removeprefix("# ") for line in template().splitlines() if not line.startswith("# The")]
        text = "\n".join(line for line in lines if not line.endswith("=") and not line.startswith("Secrets"))
        path = Path(self.mktemp())
        path.write_text(text)
        self.assertEqual(load_settings(), load_settings(config=path))
        self.assertIn("[limits]", text)


class NodeTests(ProcessTestCase):
    """A node in the background."""

    def setUp(self) -> None:
        """Whatever happens the node is stopped."""
        super().setUp()
        self.addCleanup(self.ifap, "stop")
        self.basedir.mkdir(0o700)
        (self.basedir / "ifap.toml").write_text('control = "tcp:0:interface=127.0.0.1"\n')

    def test_life(self) -> None:
        """`start` returns when the node answers; verbs go through it; `stop` waits for its end."""
        started = json.loads(self.succeeds("--json", "start"))
        self.assertEqual((True, True), (started["running"], started["started"]))
        self.assertEqual(started["pid"], int((self.basedir / "node.pid").read_text()))
        self.succeeds("put", "-", "x/a", given=b"hello")
        self.assertEqual(b"hello", self.succeeds("cat", "x/a"))
        self.assertEqual("connected", json.loads(self.succeeds("--json", "status"))["state"])
        again = json.loads(self.succeeds("--json", "start"))
        self.assertEqual((started["pid"], False), (again["pid"], again["started"]))
        self.assertEqual({"running": False, "pid": started["pid"]}, json.loads(self.succeeds("--json", "stop")))
        self.assertTrue(nodes.has_ended(started["pid"]))
        self.assertEqual({"running": False, "pid": None}, json.loads(self.succeeds("--json", "stop")))
        self.assertEqual(b"hello", self.succeeds("cat", "x/a"))

    def test_restart(self) -> None:
        """`restart` starts a node where none runs, and another one where one does."""
        first = json.loads(self.succeeds("--json", "restart").splitlines()[-1])
        second = json.loads(self.succeeds("--json", "restart").splitlines()[-1])
        self.assertTrue(second["started"])
        self.assertNotEqual(first["pid"], second["pid"])

    def test_log(self) -> None:
        """The node logs into its basedir, privately, and no names of files."""
        self.succeeds("start")
        self.succeeds("put", "-", "very-private-name", given=b"x")
        self.succeeds("stop")
        log = self.basedir / "node.log"
        self.assertEqual(0o600, log.stat().st_mode & 0o777)
        self.assertIn("Server Shut Down", log.read_text())
        self.assertNotIn("very-private-name", log.read_text())
        self.assertFalse((self.basedir / "twistd.pid").exists())

    def test_wrong_settings(self) -> None:
        """A node that cannot start is 2 for wrong settings, and the log's last lines are shown."""
        (self.basedir / "ifap.toml").write_text("foldre = 'x'\n")
        done = self.ifap("start")
        self.assertEqual(2, done.returncode, done.stderr)
        self.assertIn(b"foldre", done.stderr)
        self.assertEqual(0, self.ifap("stop").returncode)

    def test_login_and_logout(self) -> None:
        """What would change the node's account behind its back is refused (8) while it runs."""
        self.succeeds("start")
        for verb in ("login", "logout"):
            done = self.ifap(verb)
            self.assertEqual((8, True), (done.returncode, b"ifap stop" in done.stderr), verb)

    def test_socket_of_nobody(self) -> None:
        """A socket that was left behind is not taken for a node."""
        self.succeeds("start")
        leftover = self.basedir / "control.socket"
        kept = leftover.stat().st_ino
        self.succeeds("stop")
        if not leftover.exists() or leftover.stat().st_ino != kept:
            leftover.touch()
        with Basedir(self.basedir) as basedir:
            self.assertFalse(nodes.answers(basedir))


class SameResultTests(ProcessTestCase):
    """A verb gives the same result through a node and without one (DESIGN 4.2)."""

    VERBS = (
        ("put", "-r", "tree", "/x/"),
        ("put", "-r", "tree", "/x/"),
        ("put", "--if-absent", "tree/a", "x/tree/a"),
        ("put", "tree/big", "x/big"),
        ("ls", "-lR"),
        ("ls", "nope"),
        ("cat", "x/tree/a", "x/nope", "x/big"),
        ("get", "-r", "x", "copy/"),
        ("get", "x/big", "copy/x/big"),
        ("mkdir", "x"),
        ("mkdir", "-p", "new/dir"),
        ("mv", "x/tree/a", "x/moved"),
        ("cp", "x/moved", "x/big"),
        ("rm", "x"),
        ("rm", "-r", "x/tree", "x/nope"),
        ("undelete", "x/tree/.h/b"),
        ("vers", "9", "x/big"),
        ("versions", "x/big"),
        ("conflicts",),
        ("resolve", "x/big", "--both"),
        ("restore", "x/big", "--version", "zzzz"),
        ("sync",),
        ("snapshot",),
        ("status",),
        ("info",),
    )

    def setUp(self) -> None:
        """A local tree, and a Maildir for each way."""
        super().setUp()
        (self.home / "tree/.h").mkdir(parents=True)
        (self.home / "tree/empty").mkdir()
        for name, content in (("a", b"A"), (".h/b", b"B"), ("big", bytes(range(256)) * 4000)):
            self.write(f"tree/{name}", content)

    def ran(self, basedir: Path) -> list[tuple[tuple[str, ...], int, object, object]]:
        """Status, stdout and stderr of each verb, without what differs from run to run."""
        shutil.rmtree(self.home / "copy", ignore_errors=True)
        outcomes = []
        for verb in self.VERBS:
            done = self.ifap("--json", *verb, basedir=basedir)
            out = done.stdout if verb[0] == "cat" else sorted(map(_stable, done.stdout.splitlines()))
            outcomes.append((verb, done.returncode, out, sorted(map(_stable, done.stderr.splitlines()))))
        return outcomes

    def test_same(self) -> None:
        """Status, output and errors of a whole session are the same."""
        alone, through = self.home / "alone", self.home / "through"
        for basedir in (alone, through):
            basedir.mkdir(0o700)
            (basedir / "ifap.toml").write_text('control = "tcp:0:interface=127.0.0.1"\n')
            self.succeeds("login", basedir=basedir)
        self.addCleanup(self.ifap, "stop", basedir=through)
        self.succeeds("start", basedir=through)
        for one, other in zip(self.ran(alone), self.ran(through), strict=True):
            self.assertEqual(one, other)


UNSTABLE = {"version", "parents", "writer", "last_refresh", "key_fingerprint", "modified", "found", "expected"}


def _stable(line: bytes) -> str:
    found = json.loads(line)
    for part in (found, found.get("about") or {}):
        for name in UNSTABLE & set(part):
            part[name] = bool(part[name])
    return json.dumps(found, sort_keys=True)


class StopTests(ProcessTestCase):
    """Details of ``nodes``."""

    def test_log_tail(self) -> None:
        """The last lines of a log, however long it is and whatever is in it."""
        log = self.write("log", b"x" * 200_000 + b"\n" + b"\n".join(b"%d" % n for n in range(100)) + b"\n\xff\n")
        self.assertEqual(["97", "98", "99", "�"], nodes.log_tail(log, 4))
        self.assertEqual(["98", "99", "�"], nodes.log_tail(log, since=log.stat().st_size - 8))
        self.assertEqual("99", nodes.log_tail(log, since=log.stat().st_size + 1)[-2])
