"""The command line itself: options, help, usage errors, lazy loading."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click

import ifap_twisted
from ifap_twisted import cli
from ifap_twisted.cli.loading import VERBS, Verb
from ifap_twisted.cli.main import program
from ifap_twisted.cli.options import Options
from tests.cli.bench import CommandLineTestCase

SOURCE = Path(ifap_twisted.__file__).parents[1]

DESIGN_4_2 = {
    "login": "--account --folder --dialect --encryption --password-file --password-command --key-file"
    " --passphrase-file --recovery-code-file --ca-file --keyring",  # the last one is of the setting of that name
    "logout": "--forget-key --yes",
    "gc": "--dry-run",
    "check": "--read-data --bind --repair --accept --from",
    "info": "--show-key --show-password --settings",
    "ls": "-l -a -R --at -0",
    "put": "-r --if-absent --if-match --always --queue --exclude --dry-run",
    "get": "-r -f --resume --salvage --version",
    "cat": "--version",
    "mkdir": "-p",
    "rm": "-r",
    "restore": "--version",
    "lock": "--seconds",
    "unlock": "--force",
    "resolve": "--keep --both",
    "passphrase": "--passphrase-file --new-passphrase-file",
    "rekey": "--revoke --passphrase-file --new-passphrase-file",
    "recovery": "--print --passphrase-file",
}
"""What each verb of this version takes, beside the options of ifap itself."""


class VerbTests(CommandLineTestCase):
    """The table of verbs."""

    def test_one_module_each(self) -> None:
        """Each verb has a module, and each such module is a verb."""
        found = {path.stem[4:].replace("_", "-") for path in Path(cli.__file__).parent.glob("cmd_*.py")}
        self.assertEqual(set(VERBS), found)

    def test_options(self) -> None:
        """Each verb has exactly the options of the design."""
        for name, command in _commands():
            options = {flag for option in command.params if _is_own(option) for flag in option.opts}
            self.assertEqual(set(DESIGN_4_2.get(name, "").split()), {flag for flag in options if flag[0] == "-"}, name)

    def test_no_secret_in_arguments(self) -> None:
        """No verb takes a secret from its arguments: what is about one names a file or a command."""
        for name, command in _commands():
            for option in command.params:
                secret = re.search("password|passphrase|key|token|secret|code", option.name or "")
                allowed = isinstance(option, click.Option) and (
                    option.is_flag or (option.name or "").endswith(("_file", "_command"))
                )
                self.assertTrue(not secret or allowed, (name, option.name))

    def test_help(self) -> None:
        """`ifap help VERB` and `ifap VERB --help` say the same: what it does, and an example."""
        for name in VERBS:
            shown = self.ifap("help", name)
            self.assertEqual((0, ""), (shown.status, shown.err))
            self.assertEqual(shown.out, self.ifap(name, "--help").out)
            self.assertIn("Example:", shown.out)
            self.assertRegex(shown.out, rf"    .*ifap.* {name}\b|^ *ifap {name}\b")
            self.assertLessEqual(max(map(len, shown.out.splitlines())), 100)

    def test_overview(self) -> None:
        """`ifap help` lists every verb with its first sentence, and the exit statuses."""
        shown = self.ifap("help").out
        for name in VERBS:
            self.assertRegex(shown, rf"(?m)^  {name} +[A-Z]")
        self.assertIn("130 interrupted", " ".join(shown.split()))

    def test_help_of_nothing(self) -> None:
        """Help for a verb that is not there names all that are."""
        shown = self.ifap("help", "frobnicate")
        self.assertEqual(2, shown.status)
        self.assertIn("create-node", shown.err)

    def test_version(self) -> None:
        """`ifap --version` prints the version."""
        self.assertEqual(f"ifap {ifap_twisted.__version__}\n", self.ifap("--version").out)

    def test_completion(self) -> None:
        """A completion script is printed for each of the shells, and for no other one."""
        for shell in ("bash", "zsh", "fish"):
            shown = self.ifap("completion", shell)
            self.assertIn("_IFAP_COMPLETE", shown.out)
        self.assertEqual(2, self.ifap("completion", "tcsh").status)


class CompletionTests(CommandLineTestCase):
    """What a shell is offered."""

    def offered(self, *words: str) -> set[str]:
        """The completions of the last word."""
        process = subprocess.run(
            [sys.executable, "-c", "from ifap_twisted.cli.main import run; run()"],
            env={
                "PYTHONPATH": str(SOURCE),
                "_IFAP_COMPLETE": "bash_complete",
                "COMP_WORDS": " ".join(["ifap", *words]),
                "COMP_CWORD": str(len(words)),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return set(process.stdout.split())

    def test_verbs(self) -> None:
        """Verbs, also after options."""
        self.assertEqual({"plain,stop", "plain,status", "plain,start"}, self.offered("--json", "st"))

    def test_options(self) -> None:
        """The options of a verb."""
        self.assertLessEqual({"plain,--if-absent", "plain,--if-match"}, self.offered("put", "--if"))

    def test_local_files(self) -> None:
        """Local names where a verb takes them."""
        self.assertEqual({"file,pho"}, self.offered("put", "pho"))


class UsageTests(CommandLineTestCase):
    """Wrong command lines."""

    def test_status(self) -> None:
        """A wrong command line is 2, with the usage of the verb and one line that says what is wrong."""
        for arguments in (("frobnicate",), ("ls", "--frob"), ("mv", "a"), ("vers", "0", "a"), ("--wait", "-1", "ls")):
            shown = self.ifap(*arguments)
            self.assertEqual((2, b""), (shown.status, shown.raw))
            self.assertRegex(shown.err, r"\AUsage: ifap .*\nifap: .+\n\Z")

    def test_no_verb(self) -> None:
        """Without a verb the help is shown, and that is not success."""
        shown = self.ifap()
        self.assertEqual(2, shown.status)
        self.assertIn("create-node", shown.err)

    def test_json(self) -> None:
        """With --json a wrong command line is told as an object, wherever --json stands."""
        for arguments in (("--json", "ls", "--frob"), ("ls", "--json", "--frob"), ("--json", "frobnicate")):
            self.assertEqual("usage", json.loads(self.ifap(*arguments).err)["code"])

    def test_paths(self) -> None:
        """A path with `..`, an empty segment, a control character or that is empty is 2."""
        for path in ("../a", "a/../b", "a//b", "a\nb", ""):
            shown = self.ifap("cat", path)
            self.assertEqual(2, shown.status, path)
            self.assertEqual(1, shown.err.count("\n"), path)
        self.assertEqual("invalid-path", json.loads(self.ifap("--json", "cat", "..").err)["code"])

    def test_quiet_and_verbose(self) -> None:
        """-v and -q exclude each other."""
        self.assertEqual(2, self.ifap("-v", "-q", "ls").status)
        self.assertEqual(2, self.ifap("-v", "ls", "-q").status)

    def test_options_before_and_after(self) -> None:
        """The options of ifap itself may stand before the verb and after it."""
        for arguments in (
            ("--basedir", "/b", "--json", "-v", "--wait", "5", "ls"),
            ("ls", "--basedir", "/b", "--json", "-v", "--wait", "5"),
        ):
            options = Options()
            self.ifap(*arguments, options=options)
            self.assertEqual(
                (Path("/b"), True, 1, 5.0), (options.basedir, options.json, options.verbosity, options.wait)
            )

    def test_short_version_id(self) -> None:
        """A version id of less than four characters is a usage error."""
        self.assertEqual(2, self.ifap("cat", "--version", "abc", "x").status)

    def test_bug(self) -> None:
        """A bug is one line without a traceback; -v shows where."""

        def fail(_options: Options, _work: object) -> int:
            raise ZeroDivisionError

        self.runner = fail  # type: ignore[method-assign]
        plain, loud = self.ifap("ls"), self.ifap("-v", "ls")
        self.assertEqual((1, 1), (plain.status, plain.err.count("\n")))
        self.assertIn("ZeroDivisionError", plain.err)
        self.assertIn("Traceback", loud.err)


class LazinessTests(CommandLineTestCase):
    """What is not imported."""

    HEAVY = ("twisted.internet.reactor", "klein", "treq", "tqdm")

    def test_no_reactor(self) -> None:
        """What needs no reactor imports none, nor HTTP."""
        for arguments in (
            ["--version"],
            ["help"],
            ["help", "put"],
            ["completion", "bash"],
            ["ls", "--frob"],
            ["cat", "../x"],
            ["--json", "cat", "../x"],
            ["--basedir", str(self.local / "node"), "create-node"],
            ["--basedir", str(self.local / "node"), "stop"],
        ):
            self.assertEqual([], self.imported(arguments, self.HEAVY), arguments)

    def test_no_twisted(self) -> None:
        """`--version` and usage errors import nothing of Twisted, and only the verb that was named."""
        self.assertEqual([], self.imported(["--version"], ("twisted", "zope.interface", "cryptography")))
        self.assertEqual([], self.imported(["ls", "--frob"], ("twisted", "ifap_twisted.cli.cmd_put")))

    def imported(self, arguments: list[str], names: tuple[str, ...]) -> list[str]:
        """Which of some modules a fresh process has imported after a run."""
        program = (
            "import sys; from ifap_twisted.cli.main import run; "
            f"run({arguments!r}); sys.stderr.write('\\n' + ' '.join(n for n in {names!r} if n in sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SOURCE)}
        )
        return done.stderr.rpartition("\n")[2].split()


def _commands() -> list[tuple[str, Verb]]:
    group = program()
    context = click.Context(group)
    return [(name, group.get_command(context, name)) for name in VERBS]  # type: ignore[misc]


def _is_own(option: click.Parameter) -> bool:
    return isinstance(option, click.Option) and not option.hidden
