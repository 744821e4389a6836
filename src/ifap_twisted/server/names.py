"""Names of mailboxes: which are allowed, and which a pattern of LIST means.

Names stay in the modified UTF-7 of RFC 3501 section 5.1.3 in which clients send them.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.mail.imap4 import decoder, encoder

from ifap_twisted.errors import InvalidPath
from ifap_twisted.server import limits
from ifap_twisted.server.storage import INBOX

DELIMITER = "/"


def parse_name(name: bytes) -> str:
    """The name as it is kept; INBOX in any case is one name.

    :raises InvalidPath: no mailbox can have it.
    """
    try:
        text = name.decode("ascii")
        canonical = encoder(decoder(name)[0])[0] == name
    except (UnicodeError, ValueError) as error:
        raise InvalidPath("The name is not in modified UTF-7.") from error
    if not canonical:
        raise InvalidPath("The name is not in modified UTF-7.")
    first, slash, rest = text.partition(DELIMITER)
    if first.upper() == INBOX:
        text = INBOX + slash + rest
    if not text or len(text) > limits.MAILBOX_BYTES or "" in text.split(DELIMITER):
        raise InvalidPath("The name is empty, too long or has an empty part.")
    if any(character < " " or character in "*%\x7f" for character in text):
        raise InvalidPath("The name holds a wildcard or control character.")
    return text


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern of LIST means a name: ``*`` is any text, ``%`` any without the delimiter.

    Takes time in proportion to the product of the lengths, whatever the pattern.
    """
    reached = {0}
    for character in pattern:
        if character in "*%":
            reached = _stretched(reached, name, character)
        else:
            reached = {at + 1 for at in reached if at < len(name) and name[at] == character}
        if not reached:
            return False
    return len(name) in reached


def with_case_of_inbox(pattern: str) -> str:
    """A pattern that starts with INBOX in any case, with its usual spelling."""
    first, slash, rest = pattern.partition(DELIMITER)
    return INBOX + slash + rest if first.upper() == INBOX else pattern


def parents(names: Iterable[str]) -> set[str]:
    """All that has mailboxes below it."""
    found: set[str] = set()
    for name in names:
        above = name.rpartition(DELIMITER)[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition(DELIMITER)[0]
    return found


def quoted(name: str) -> bytes:
    """A name as a quoted string."""
    return b'"' + name.encode("ascii").replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _stretched(reached: set[int], name: str, wildcard: str) -> set[int]:
    stretched: set[int] = set()
    for start in sorted(reached):
        at = start
        while at not in stretched:
            stretched.add(at)
            if at == len(name) or (wildcard == "%" and name[at] == DELIMITER):
                break
            at += 1
    return stretched
