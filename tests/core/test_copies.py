"""Which messages are copies of one version (FORMAT 2.2), whichever release remembers them."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import metadata
from ifap_twisted.core.copies import same_version
from ifap_twisted.core.values import Draft, Version
from tests.core.strategies import drafts

HASH: Final = "A" * 43
DRAFT: Final = Draft(
    path="a",
    vid="v" * 22,
    writer="wwwwww",
    clock={"wwwwww": 7},
    home="hhhhhhhh",
    modified=1573400100,
    size=10**12,
    extra={"x": 1, "kept": True},
)


def read(draft: Draft, **place: Any) -> Version:
    """As this release reads it."""
    text = metadata.encode(draft, length=12, sha256=HASH, sealed=True)
    return metadata.decode(text, **{"sealed_id": "s" * 22, "written": 1_573_400_200, **place})


def as_before(version: Version) -> Version:
    """As a release remembers it that knew no chunks."""
    extra = {name: value for name, value in version.extra.items() if len(name) > 1}
    return version._replace(understood=False, chunks=0, extra=extra)


class UnderstandingTests(SynchronousTestCase):
    """A version that was listed only, and is understood since."""

    @given(drafts())
    def test_remembered_by_a_former_release(self, draft: Draft) -> None:
        """What it remembers of a large file is the version that is read now, whichever is asked first."""
        version = read(draft)
        if version.chunked:
            before = as_before(version)
            self.assertTrue(same_version(before, version))
            self.assertTrue(same_version(version, before))

    @given(drafts())
    def test_sealed_anew(self, draft: Draft) -> None:
        """Another sealing of the same text is a place of the same version."""
        other = read(draft, sealed_id="t" * 22, written=1_600_000_000)
        self.assertTrue(same_version(read(draft), other))

    def test_another_version(self) -> None:
        """What differs in anything else is another one, understood or not."""
        version = read(DRAFT)
        for changes in (
            {"vid": "w" * 22},
            {"size": 99},
            {"length": 13},
            {"sha256": "B" * 42 + "A"},
            {"clock": {"wwwwww": 8}},
            {"needs": ("chunks", "later")},
            {"path": "b"},
            {"extra": {"kept": False}},
        ):
            self.assertFalse(same_version(version, as_before(version)._replace(**changes)), changes)
            self.assertFalse(same_version(version, version._replace(**changes)), changes)

    def test_equally_understood(self) -> None:
        """Two messages that are both understood, or both not, are compared in all that they say."""
        version = read(DRAFT)
        for changes in ({"chunks": 2}, {"chunks": 0}, {"extra": {}}):
            self.assertFalse(same_version(version, version._replace(**changes)), changes)
            before = as_before(version)
            self.assertEqual(same_version(before, before._replace(**changes)), changes == {"chunks": 0}, changes)
