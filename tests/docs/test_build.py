"""The documents can be built without a warning, and the references hold what the code holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from docutils.core import publish_string
from twisted.trial.unittest import SynchronousTestCase

import ifap_twisted
from ifap_twisted import errors
from ifap_twisted.cli.loading import VERBS
from ifap_twisted.control.routes import ROUTES
from ifap_twisted.settings.registry import KEYS
from tests.docs.examples import ROOT


class BuildTests(SynchronousTestCase):
    """One build for all tests of this class."""

    outcome: tuple[Path, int, str] | None = None

    def page(self, name: str) -> str:
        """A page as it was built."""
        return (self.built() / f"{name}.html").read_text(encoding="utf-8")

    def built(self) -> Path:
        """Build the pages, once; a warning is an error."""
        if BuildTests.outcome is None:
            target = Path(self.mktemp()).resolve()
            command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-b", "html"]
            result = subprocess.run([*command, str(ROOT / "docs"), str(target)], capture_output=True, text=True)
            BuildTests.outcome = target, result.returncode, result.stderr
        pages, *told = BuildTests.outcome
        self.assertEqual(told, [0, ""])
        return pages

    def test_pages_are_built_without_a_warning(self) -> None:
        """``sphinx-build -n -W`` succeeds: no reference leads nowhere, no page is in no table of contents."""
        self.assertTrue((self.built() / "index.html").exists())

    def test_errors_reference_has_every_code(self) -> None:
        """Each code of the tree is on the page."""
        page = self.page("reference/errors")
        codes = {getattr(errors, name).code for name in errors.__all__}
        self.assertEqual([code for code in sorted(codes) if f">{code}<" not in page], [])

    def test_settings_reference_has_every_setting(self) -> None:
        """Each setting and its variable is on the page."""
        page = self.page("reference/settings")
        self.assertEqual([key.name for key in KEYS.values() if key.name not in page or key.variable not in page], [])

    def test_cli_reference_has_every_verb(self) -> None:
        """Each verb is on the page with its usage."""
        page = self.page("reference/cli")
        self.assertEqual([verb for verb in VERBS if f"ifap {verb}" not in page], [])

    def test_http_reference_has_every_route(self) -> None:
        """Each route is on the page."""
        page = self.page("reference/http")
        lost = [route.url for route in ROUTES if f"{' '.join(route.methods)} {route.url}" not in page]
        self.assertEqual(lost, [])

    def test_python_reference_has_every_public_name(self) -> None:
        """Each name that can be imported from ``ifap_twisted`` is described."""
        pages = self.page("reference/python") + self.page("reference/errors")
        told = {name.rpartition(".")[2] for name in re.findall(r'id="(ifap_twisted\.[\w.]+)"', pages)}
        lost = sorted(set(ifap_twisted.__all__) - told - {"__version__"})
        self.assertEqual(lost, [])

    def test_every_example_is_shown(self) -> None:
        """Each program of ``docs/examples`` is on the page about scripts and applications, or on that of its own."""
        pages = [ROOT / "docs" / name for name in ("scripting.rst", "by-hand.rst")]
        text = "".join(page.read_text(encoding="utf-8") for page in pages)
        names = [path.name for path in (ROOT / "docs" / "examples").iterdir() if path.suffix in {".py", ".tac"}]
        self.assertEqual([name for name in sorted(names) if f".. literalinclude:: examples/{name}" not in text], [])


class PackageIndexTests(SynchronousTestCase):
    """What a package index shows, which knows docutils and not Sphinx."""

    def test_readme_and_news_are_plain_rest(self) -> None:
        """README.rst and NEWS.rst have no warning without Sphinx."""
        for name in ("README.rst", "NEWS.rst"):
            text = (ROOT / name).read_text(encoding="utf-8")
            settings = {"halt_level": 2, "report_level": 2, "input_encoding": "unicode"}
            html = publish_string(text, writer="html5", settings_overrides=settings)
            self.assertIn(b"ifap-twisted" if name == "README.rst" else b"0.1.0", html)
