"""The filesystem keeps its contract over a shelf in memory, in both dialects and without encryption."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import Traits
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.opening import Membership
from tests.contract.filesystem import FilesystemContract
from tests.filesystem.folders import KEY, Folder


class InMemory(FilesystemContract):
    """How the contract gets its filesystems."""

    membership = Membership(keys=(KEY,))
    traits: ClassVar[dict[str, Any]] = {}
    successResultOf: Any

    def setUp(self) -> None:
        self.folder = Folder()

    def opened(self) -> Awaitable[Any]:
        options = Options(max_file_size=self.max_file_size, chunk_threshold=0)
        return succeed(self.folder.device(self.membership, options=options, store=self.folder.store(**self.traits)))

    def another(self) -> Awaitable[Any]:
        return self.opened()

    def settle(self, work: Deferred[None]) -> None:
        self.successResultOf(work)


class EncryptedFilesystemTests(InMemory, SynchronousTestCase):
    """The dialect ifap, encrypted."""


class MailfileFilesystemTests(InMemory, SynchronousTestCase):
    """The dialect mailfile, encrypted."""

    membership = Membership(dialect="mailfile", keys=(KEY,))
    dialect = "mailfile"


class PlaintextFilesystemTests(InMemory, SynchronousTestCase):
    """With encryption off."""

    membership = Membership(encrypted=False)


class PoorShelfFilesystemTests(InMemory, SynchronousTestCase):
    """On a server that neither reports UIDs, nor expunges by UID, nor pushes, nor tells UIDNEXT."""

    traits: ClassVar[dict[str, Any]] = {
        "tells_uidnext": False,
        "traits": Traits(reports_uid=False, expunges_by_uid=False, pushes=False),
    }
