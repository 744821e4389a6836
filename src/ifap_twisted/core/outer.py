"""What the header of a message says of itself beside what is sealed: hints, which nothing is ever decided by.

They tell a person more of a message that was changed on its way or in its place (FORMAT 1.1, 2.4).
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Final

from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.mime import head_end
from ifap_twisted.core.values import Version
from ifap_twisted.errors import DataError

__all__ = ["is_changed", "is_redated"]

_NAMED: Final = re.compile(rb"^message-id:\s*<([A-Za-z0-9_-]{22})@ifap\.invalid>", re.IGNORECASE | re.MULTILINE)
_DATE: Final = re.compile(rb"^date:[ \t]*([^\r\n]{0,80})", re.IGNORECASE | re.MULTILINE)


def is_changed(message: bytes, dialect: Dialect) -> bool:
    """Whether the metadata of a message is not that with which it was sent, going by its Message-ID.

    One without a Message-ID of ours, as those of the reference programs are, does not tell.
    """
    named = _NAMED.search(message, 0, head_end(message)[0])
    if named is None:
        return False
    try:
        return envelope.sealed_id_of(message, dialect) != named[1].decode("ascii")
    except DataError:
        return True


def is_redated(message: bytes, version: Version) -> bool:
    """Whether a message of ours has another date in its header than the one at which it was sealed.

    :param version: what its sealed metadata say. One without a date does not tell, nor one of a reference program.
    """
    found = _DATE.search(message, 0, head_end(message)[0])
    if found is None or not (version.ours and version.encrypted):
        return False
    try:
        moment = parsedate_to_datetime(found[1].decode("ascii"))
        return int(moment.timestamp()) != int(version.written)
    except (ValueError, TypeError, OverflowError):
        return True
