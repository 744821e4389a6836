"""Importing any module of ours leaves the choice of a reactor to the program."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

import ifap_twisted

CHECK = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "twisted.internet.reactor" in sys.modules:
        sys.exit(f"{name} imports the global reactor")
"""
CLIENT = """
import sys, ifap_twisted.control.client
heavy = {"treq", "klein", "prometheus_client", "twisted.web.client", "twisted.web.server"} & set(sys.modules)
sys.exit(f"imported already: {sorted(heavy)}" if heavy else 0)
"""
VERB = """
import sys, ifap_twisted.service
heavy = {"klein", "prometheus_client", "twisted.web.server", "ifap_twisted.control", "ifap_twisted.server"}
found = heavy & set(sys.modules)
sys.exit(f"imported already: {sorted(found)}" if found else 0)
"""


def run(program: str, *arguments: str) -> str:
    """What a fresh Python says about a program, or nothing when it is content."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


class ImportTests(SynchronousTestCase):
    """In a fresh process."""

    def test_no_global_reactor(self):
        """No module of the package installs a reactor when it is imported."""
        modules = [module.name for module in pkgutil.walk_packages(ifap_twisted.__path__, "ifap_twisted.")]
        self.assertIn("ifap_twisted.control.resource", modules)
        self.assertEqual(run(CHECK, *modules), "")

    def test_light_client(self):
        """Importing the client does not import HTTP: a program may find that no node runs."""
        self.assertEqual(run(CLIENT), "")

    def test_light_service(self):
        """Opening an account imports neither the control interface nor the embedded server."""
        self.assertEqual(run(VERB), "")
