"""What hypothesis draws for manifests."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from ifap_twisted.core import limits
from ifap_twisted.core.manifests import Manifest, Piece

names = st.builds(
    str.__add__,
    st.text(string.ascii_letters + string.digits + "-_", min_size=42, max_size=42),
    st.sampled_from("AEIMQUYcgkosw048"),
)
"""Names of chunks."""

pieces = st.builds(Piece, names, st.integers(1, limits.CHUNK_MOST) | st.integers(1, 5))

manifests = st.builds(Manifest, st.lists(pieces, max_size=12).map(tuple), st.integers(0, limits.MANIFEST_DEPTH))
"""Those that can be written."""
