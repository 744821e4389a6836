"""The in-memory shelf: held to the contract, and its faults."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from ifap_twisted.core.values import Traits
from ifap_twisted.store.memory import MemoryShelf, MemoryStore, Visibility
from tests.contract.message_store import MessageStoreContract, Quirks


class MemoryContractTests(MessageStoreContract, TestCase):
    """An ideal server."""

    traits = Traits(reports_uid=True, expunges_by_uid=True, pushes=True)
    visibility = Visibility.AT_ONCE

    def make_store(self):
        """Another session on one shelf."""
        self.shelf = getattr(self, "shelf", None) or MemoryShelf(uidvalidity=7)
        return self.session(self.shelf)

    def make_elsewhere(self):
        """A session on another shelf."""
        self.elsewhere = getattr(self, "elsewhere", None) or MemoryShelf()
        return self.session(self.elsewhere)

    def session(self, shelf):
        """A session with the traits and quirks of this class."""
        return MemoryStore(
            shelf, traits=self.traits, visibility=self.visibility, tells_uidnext=self.quirks.tells_uidnext
        )


class PoorMemoryContractTests(MemoryContractTests):
    """A server without UIDPLUS and IDLE that shows appends only when the folder is selected anew (mailutils)."""

    quirks = Quirks(reports_uid=False, removes=False, pushes=False)
    traits = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
    visibility = Visibility.THOROUGH


class LateMemoryContractTests(MemoryContractTests):
    """A server that shows appends after NOOP and does not tell UIDNEXT (Courier)."""

    quirks = Quirks(tells_uidnext=False, pushes=False)
    traits = Traits(reports_uid=True, expunges_by_uid=True, pushes=False)
    visibility = Visibility.POLL
