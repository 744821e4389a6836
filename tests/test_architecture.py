"""The shape of the code: what may import what, and which tables have to be whole."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import ifap_twisted
from ifap_twisted import errors

SOURCE = Path(ifap_twisted.__file__).parent
TESTS = Path(__file__).parent
REACTOR_ROOMS = {"tap.py", "service/service.py"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of ours, by its path below the package."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield str(path.relative_to(SOURCE)), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    """Everything that a module imports, at its top or within."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class ImportTests(SynchronousTestCase):
    """Who may know what; import-linter holds the layers."""

    def test_one_module_drives_twisted_s_imap_client(self) -> None:
        """The client half of ``twisted.mail.imap4`` is imported in one place, the server half in ``server/`` only."""
        for name, tree in modules():
            found = {imported for imported in imports(tree) if imported.startswith("twisted.mail")}
            if name == "imap/wire.py" or name.startswith("server/"):
                continue
            self.assertEqual(found, set(), name)

    def test_the_global_reactor_is_imported_where_a_process_begins(self) -> None:
        """In ``tap``, ``cli`` and for a service that was given none; inside functions."""
        for name, tree in modules():
            top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            self.assertNotIn("twisted.internet.reactor", set(imports(ast.Module(list(top), []))), name)
            if name not in REACTOR_ROOMS and not name.startswith("cli/"):
                self.assertNotIn("twisted.internet.reactor", set(imports(tree)), name)

    def test_the_package_costs_nothing_to_import(self) -> None:
        """No Twisted, no cryptography: ``ifap --version`` must be quick."""
        code = "import sys, ifap_twisted; print([m for m in ('twisted', 'cryptography', 'click') if m in sys.modules])"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(found.stdout.strip(), "[]")


class SurfaceTests(SynchronousTestCase):
    """What programs import from ``ifap_twisted``."""

    def test_every_public_name_is_there(self) -> None:
        """Looked up on first use."""
        for name in ifap_twisted.__all__:
            self.assertIsNotNone(getattr(ifap_twisted, name), name)
        self.assertRaises(AttributeError, getattr, ifap_twisted, "nonesuch")

    def test_every_error_can_be_imported(self) -> None:
        """A caller can name whatever he meets (DESIGN 4.4)."""
        for name in errors.__all__:
            self.assertIs(getattr(ifap_twisted, name), getattr(errors, name))

    def test_every_error_has_a_code_of_its_own_and_a_sentence(self) -> None:
        """Stable, kebab-case, and fit for a person."""
        codes: dict[str, str] = {}
        for name in errors.__all__:
            kind = getattr(errors, name)
            self.assertRegex(kind.code, r"^[a-z]+(-[a-z]+)*$")
            self.assertNotIn(kind.code, codes, name)
            codes[kind.code] = name
            self.assertTrue(kind.title(), name)
            self.assertIn("code", vars(kind), f"{name} inherits its code")


class TestTests(SynchronousTestCase):
    """The tests themselves."""

    def test_no_coroutine_is_a_test_of_a_synchronous_case(self) -> None:
        """It would pass without running."""
        for path in sorted(TESTS.rglob("test_*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                bases = [ast.unparse(base) for base in getattr(node, "bases", ())]
                if not isinstance(node, ast.ClassDef) or "SynchronousTestCase" not in bases:
                    continue
                for item in node.body:
                    bare = isinstance(item, ast.AsyncFunctionDef) and not item.decorator_list
                    self.assertFalse(bare and item.name.startswith("test"), f"{path.name}: {node.name}")

    def test_nothing_is_skipped(self) -> None:
        """A missing server or tool is an error."""
        words = ("pytest." + "skip", "skip" + "Test", "importor" + "skip", "skip" + "if", "x" + "fail", ".sk" + "ip =")
        for path in sorted(TESTS.rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            for word in words:
                self.assertNotIn(word, text, str(path))
