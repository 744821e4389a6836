"""What hypothesis draws for tests of the format: names, JSON, drafts, keys and hostile bytes."""

from __future__ import annotations

import json
import string

from hypothesis import strategies as st

from ifap_twisted.core import limits
from ifap_twisted.core.dialects import DIALECTS
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Draft, Lease
from ifap_twisted.core.vocabulary import FORMAT_KEYS

URLSAFE = string.ascii_letters + string.digits + "-_"

_CONTROLS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))

segments = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=_CONTROLS + "/"), min_size=1, max_size=40)
    | st.sampled_from(["a", "b", "x.txt", "IFAP", "metadata", "é", "e\u0301", "日本", 'q"; \\', "~", "-r", "...", " "])
).filter(lambda segment: segment not in {".", ".."})
"""Segments that we write."""

paths = st.lists(segments, min_size=1, max_size=5).map("/".join)
"""Canonical paths, reserved ones among them."""

hostile_paths = st.text(max_size=60) | st.lists(
    st.sampled_from(["..", ".", "", "/", "\0", "\r\n", "a", "\ud800", "C:\\", "\u202e", "x" * 300, "IFAP", "\x9b"]),
    max_size=6,
).map("/".join)
"""Any name that a message may hold."""

integers = st.integers(-(2**63) + 1, 2**63 - 1)
numbers = integers | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=20) | st.text(st.characters(), max_size=8).map(lambda text: json.loads(json.dumps(text)))
"""Texts as JSON can give them, lone surrogates among them."""
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
"""JSON values that are carried along."""


def ids(length: int) -> st.SearchStrategy[str]:
    """Texts of so many characters of urlsafe base64."""
    return st.text(URLSAFE, min_size=length, max_size=length)


vids = ids(22)
writers = ids(6)
homes = ids(8)
media_types = st.sampled_from(["text/plain", "image/png", "text/html; charset=utf-8", 'a/b;x="y z"', "x-y/z+json"])
extras = st.dictionaries(texts.filter(lambda name: name not in FORMAT_KEYS), json_values, max_size=3)
moments = st.integers(-(10**9), 10**11) | st.floats(-1e9, 1e11)


ordinals = st.integers(0, 2**53 - 1)
leases = st.builds(
    Lease,
    path=paths,
    of=vids,
    number=ordinals,
    seconds=st.integers(0, limits.LEASE_MOST),
    holder=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    over=st.dictionaries(vids, ordinals, max_size=limits.LOCKS_OVER),
    validity=st.integers(1, 2**32 - 1),
)


@st.composite
def drafts(draw: st.DrawFn, content: bool = True) -> Draft:
    """Drafts that can be written; ``content``: of files that may have any."""
    writer = draw(writers)
    clock = draw(st.dictionaries(writers, st.integers(1, 2**53 - 1), max_size=limits.CLOCK_ENTRIES))
    return Draft(
        path=draw(paths),
        vid=draw(vids),
        writer=writer,
        clock=clock | {writer: draw(st.integers(1, 2**53 - 1))},
        home=draw(homes),
        modified=draw(moments),
        parents=tuple(draw(st.lists(vids, max_size=3, unique=True))),
        mode=draw(st.sampled_from([0o644, 0o600, 0o755, 0, 0o7777])),
        mime=draw(st.none() | media_types),
        directory=not content and draw(st.booleans()),
        deleted=not content and draw(st.booleans()),
        keep=draw(st.integers(1, 9) | st.just(2**31 - 1)),
        moved_from=draw(st.none() | vids),
        lock=draw(st.none() | vids),
        lease=draw(st.none() | leases),
        size=draw(st.none() | st.integers(0, limits.CHUNKED_SIZE)) if content else None,
        extra=draw(extras),
    )


contents = st.binary(max_size=100) | st.builds(
    lambda pattern, length: (pattern * length)[:length],
    st.binary(min_size=1, max_size=3),
    st.sampled_from([2046, 2047, 2048, 2049, 4095, 4096, 20_000, 250_000]),
)
"""Contents around the lengths at which the format changes, and some that are handled in pieces."""

dialects = st.sampled_from(sorted(DIALECTS)).map(DIALECTS.__getitem__)
keys = st.sampled_from(["", "abc", "passphrase é", "k" * 44]).map(Key.from_text)


def fixed_random(count: int) -> bytes:
    """What a test hands over for randomness, where it does not matter."""
    return bytes(range(count))
