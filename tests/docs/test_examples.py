"""Every example of README.rst and of the documents does what it shows."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.testing import reference_writer
from tests.docs.examples import ROOT, Block, Shell, blocks, run_document, settled
from tests.live import servers

ACCOUNT = "imaps://me@imap.example.org"
PAGES = ("tutorial", "backup", "keys", "recovery-drill", "retention", "systemd")
STANDALONE = {"specification", "reference", "_build", "_extensions", "examples"}


def documents() -> list[Path]:
    """README.rst and the pages that have examples of their own."""
    pages = [path for path in (ROOT / "docs").rglob("*.rst") if not STANDALONE & set(path.parts)]
    return [ROOT / "README.rst", *sorted(page for page in pages if blocks(page))]


class ExampleTests(SynchronousTestCase):
    """Each document is run from its beginning to its end, as a reader would."""

    def run_page(self, name: str) -> None:
        """Run a document in a home of its own, next to the files of the checkout that it speaks of."""
        document = ROOT / name
        home = Path(self.mktemp()).resolve() / "home"
        dovecot = self.account(name) if ACCOUNT in document.read_text("utf-8") else {}
        variables = {"IFAP_CA_FILE": dovecot.pop("ca", "")} if dovecot else {}
        shell = Shell(home, dovecot, variables)
        self.addCleanup(shell.close)
        (home / "docs").mkdir()
        shutil.copy(ROOT / "README.rst", home)
        shutil.copy(ROOT / "docs" / "ifap.service", home / "docs")
        (home / "mail-password").write_text(dovecot.pop("password", ""))
        (home / "mail-password").chmod(0o600)
        self.leave_a_folder_of_the_reference(home)
        self.assertGreater(run_document(document, shell), 0)

    def leave_a_folder_of_the_reference(self, home: Path) -> None:
        """A Maildir as python-ifaplib leaves it, and its key."""
        key = "b2YgcHl0aG9uLWlmYXBsaWI6IDMyIHJhbmRvbSBieXRlcy4="
        message = reference_writer.encode("notes/from-ifaplib.txt", b"written by python-ifaplib\n", key=key)
        for name in ("cur", "new", "tmp"):
            (home / "ifaplib-mail" / "IFAP_DATA" / name).mkdir(parents=True)
        (home / "ifaplib-mail" / "IFAP_DATA" / "cur" / "eml-00000001:2,").write_bytes(message)
        (home / "ifaplib-key.txt").write_text(key + "\n")
        (home / "ifaplib-key.txt").chmod(0o600)

    def account(self, page: str) -> dict[str, str]:
        """What stands for the account of the documents: a user of a Dovecot, who has no folder yet."""
        server = servers.server("dovecot", IFAP_DOCS_EXAMPLES=page)
        return {
            f'"{ACCOUNT}"': f'"imaps://{server.user}@localhost:{server.tlsport}", ca_file="{server.cafile}"',
            ACCOUNT: f"imaps://{server.user}@localhost:{server.tlsport}",
            "ca": str(server.cafile),
            "password": server.password,
        }

    def test_readme(self) -> None:
        """The tour of the README works, on the embedded account and on a Dovecot with TLS."""
        self.run_page("README.rst")

    def test_tutorial(self) -> None:
        """The tutorial works from its first line to its last."""
        self.run_page("docs/tutorial.rst")

    def test_backup(self) -> None:
        """What the page about backups says brings everything back."""
        self.run_page("docs/backup.rst")

    def test_keys(self) -> None:
        """What the page about keys says opens a folder opens it, on new devices and after losses."""
        self.run_page("docs/keys.rst")

    def test_recovery_drill(self) -> None:
        """What is lost and damaged there comes back as the page says."""
        self.run_page("docs/recovery-drill.rst")

    def test_retention(self) -> None:
        """What the page about retention says is planned, and nothing is removed at once."""
        self.run_page("docs/retention.rst")

    def test_systemd(self) -> None:
        """The unit starts a node that answers, and stops it."""
        self.run_page("docs/systemd.rst")

    def test_setup(self) -> None:
        """The commands for developers exist."""
        self.run_page("docs/development/setup.rst")

    def test_every_page_with_examples_is_run(self) -> None:
        """No page has examples that nobody runs."""
        run = {"README.rst", "setup.rst"} | {f"{name}.rst" for name in PAGES}
        self.assertEqual({page.name for page in documents()}, run)


class ExtractionTests(SynchronousTestCase):
    """The mechanism sees what is there, and is not pleased by everything."""

    def page(self, text: str) -> Path:
        """A document with this text."""
        path = Path(self.mktemp())
        path.write_text(text, encoding="utf-8")
        return path

    def shell(self) -> Shell:
        """A shell of its own."""
        shell = Shell(Path(self.mktemp()).resolve(), {"ANSWER": "42"}, {})
        self.addCleanup(shell.close)
        return shell

    def test_commands_and_outputs_are_told_apart(self) -> None:
        """A session gives each command, with continuation lines, and the output below it."""
        block = Block("x", "console", "", "$ a\n$ b \\\n>   c\nd\n\ne\n")
        self.assertEqual(list(block.commands()), [("a", ""), ("b \\\n  c", "d\n\ne")])

    def test_wrong_output_is_an_error(self) -> None:
        """A session that shows something else than what is written fails."""
        page = self.page("Text\n\n.. code-block:: console\n\n   $ echo one\n   two\n\nText\n")
        self.assertRaises(AssertionError, run_document, page, self.shell())

    def test_failing_command_is_an_error(self) -> None:
        """A command that fails makes the document fail."""
        page = self.page("\n.. code-block:: console\n\n   $ false\n")
        self.assertRaises(AssertionError, run_document, page, self.shell())

    def test_failing_program_is_an_error(self) -> None:
        """A Python example that raises makes the document fail."""
        page = self.page("\n.. code-block:: python\n\n   assert 1 == 2\n")
        self.assertRaises(AssertionError, run_document, page, self.shell())

    def test_blocks_run_in_order_and_names_are_replaced(self) -> None:
        """Later blocks see what earlier ones did, and what exists nowhere is replaced."""
        page = self.page(
            "\n.. code-block:: console\n\n   $ answer=ANSWER\n\n.. code-block:: python\n\n   print(ANSWER)\n\n"
            ".. code-block:: console\n\n   $ echo $answer; python example.py\n   42\n   42\n"
        )
        self.assertEqual(run_document(page, self.shell()), 3)

    def test_what_varies_is_settled(self) -> None:
        """Versions, times, writers and large numbers do not have to be those shown."""
        one = settled("  " + "A" * 22 + "  2026-01-01 00:00  1234  abcDEF")
        self.assertEqual(one, settled("  " + "B" * 22 + "  2027-12-31 23:59  9876  x-_123"))
        self.assertNotEqual(one, settled("  " + "B" * 22 + "  2027-12-31 23:59  12  x-_123"))

    def test_interpreter_is_the_one_of_the_tests(self) -> None:
        """``python`` in an example is the interpreter that runs the tests."""
        status, output = self.shell().run("python -c 'import sys; print(sys.prefix)'")
        self.assertEqual((status, output.strip()), (0, sys.prefix))
