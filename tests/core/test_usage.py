"""How much room files take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.usage import Usage

_counts = st.integers(0, 2**50)


class JsonTests(SynchronousTestCase):
    """What is given to others."""

    @given(
        st.builds(
            Usage,
            path=st.text(),
            type=st.sampled_from(["file", "directory"]),
            files=_counts,
            versions=_counts,
            size=_counts,
            stored=_counts,
            shared=_counts,
            complete=st.booleans(),
        )
    )
    def test_nothing_is_lost(self, usage: Usage) -> None:
        """What is read back is what was told."""
        self.assertEqual(usage, Usage.from_json(usage.to_json()))
