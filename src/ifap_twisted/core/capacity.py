"""How much content a message of a bounded size can hold."""

from __future__ import annotations

from ifap_twisted.core import limits
from ifap_twisted.core.values import Sealed

TOKEN_BYTES = 1 + 8 + 16 + 16 + 32
"""Version, time, IV, a block of PKCS#7 padding and HMAC of a Fernet token."""
HEAD_SLACK = 2 * limits.METADATA_BLOCK
"""By how much the header of another file may be longer: a longer number steps over a block, and is folded."""


def largest_file(sealed: Sealed, most: int) -> int:
    """How many bytes of content a message of ``most`` bytes can hold, with a header like that of ``sealed``."""
    head = len(sealed.message) - body_length(sealed.version.length) + HEAD_SLACK
    blocks = (most - head) // limits.CONTENT_BLOCK
    while blocks > 0 and head + body_length(blocks * limits.CONTENT_BLOCK - 1) > most:
        blocks -= 1
    return max(0, blocks * limits.CONTENT_BLOCK - 1)


def body_length(size: int) -> int:
    """The length of a sealed body: padded, a Fernet token with its mark, folded, and a line end (WIRE-FORMAT 2.2)."""
    token = token_characters(size)
    return token + 2 * -(-token // limits.BODY_COLUMNS)


def token_characters(size: int) -> int:
    """The characters of a sealed body, its ``!`` included and line ends left out: exactly so many for a content."""
    padded = size - size % limits.CONTENT_BLOCK + limits.CONTENT_BLOCK
    return 1 + 4 * -(-(TOKEN_BYTES + padded) // 3)
