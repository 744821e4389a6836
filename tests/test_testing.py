"""What we give to the tests of others."""

from __future__ import annotations

import doctest
import subprocess
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ifap_twisted import testing
from ifap_twisted.errors import Conflict, QuotaExceeded
from ifap_twisted.interfaces import IFilesystem, IMessageStore
from ifap_twisted.testing import MemoryShelf, MemoryStore, memory_filesystem


class TestingTests(SynchronousTestCase):
    """``ifap_twisted.testing``."""

    def setUp(self):
        """Two devices on one shelf."""
        self.shelf, self.clock = MemoryShelf(), Clock()
        self.stores = [MemoryStore(self.shelf) for _device in range(2)]
        self.devices = [
            self.successResultOf(memory_filesystem(store, clock=self.clock, seed=seed))
            for seed, store in enumerate(self.stores)
        ]

    def tearDown(self):
        """Close them."""
        for device in self.devices:
            self.successResultOf(device.close())

    def test_example(self):
        """The example in its documentation is true."""
        self.assertEqual(doctest.testmod(testing), doctest.TestResults(failed=0, attempted=11))

    def test_interfaces(self):
        """A store and a filesystem are what the interfaces say."""
        self.assertTrue(verifyObject(IMessageStore, self.stores[0]))
        self.assertTrue(verifyObject(IFilesystem, self.devices[0]))

    def test_everything_named_is_there(self):
        """All public names can be imported."""
        for name in testing.__all__:
            self.assertTrue(hasattr(testing, name), name)

    def test_shared(self):
        """What one device puts the other gets, and a write over an unseen one is a conflict."""
        first = self.successResultOf(self.devices[0].put("/a", b"one"))
        self.assertEqual(self.successResultOf(self.devices[1].get("/a")), b"one")
        self.successResultOf(self.devices[1].put("/a", b"two"))
        self.failureResultOf(self.devices[0].put("/a", b"three", expect=first.version), Conflict)

    def test_ordered_failure(self):
        """A failure of the shelf is the one that the filesystem's caller meets."""
        self.stores[0].fail_next("append", QuotaExceeded("The mailbox is full."))
        self.failureResultOf(self.devices[0].put("/a", b"one"), QuotaExceeded)

    def test_no_reactor(self):
        """Importing it installs no reactor."""
        program = "import sys, ifap_twisted.testing; sys.exit('twisted.internet.reactor' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", program]).returncode, 0)
