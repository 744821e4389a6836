"""What a refusal means: one table from response codes and known sentences to our errors.

Text from the server is made safe before it enters an error: one line, bounded, without control characters and without
the secrets of the command that was refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ifap_twisted.errors import (
    AuthenticationRefused,
    Damaged,
    IFAPError,
    NotFound,
    NotTrusted,
    QuotaExceeded,
    ReadOnly,
    Refused,
    Throttled,
    TooLarge,
    Unavailable,
)
from ifap_twisted.imap.grammar import Status

__all__ = ["APPEND", "LOGIN", "SELECT", "refusal", "safe_text"]

APPEND: Final = "store the message"
LOGIN: Final = "log in"
SELECT: Final = "open the folder"

_LONGEST: Final = 200
_MOST: Final = 4096
"""Bytes that are looked at: a server may send a line of a megabyte."""
_PATIENCE: Final = 86400.0
"""A server that asks for more than a day is asked again after a day."""
_NEEDS_OAUTH: Final = (
    "The mail provider does not take this password for programs: it needs OAuth2 or an app password, "
    "which its web page for account security gives out."
)

_BACKOFF: Final = re.compile(r"suggested backoff time:?\s*([0-9]{1,12})\s*milliseconds", re.IGNORECASE)
_NO_PASSWORDS: Final = re.compile(
    r"basic ?auth(?:entication)? ?(?:is )?(?:disabled|blocked)|basicauthblocked"
    r"|app(?:lication)?[- ](?:specific )?password"
    r"|web login required|log in via your web browser|less secure app|oauth",
    re.IGNORECASE,
)
_BUSY: Final = re.compile(
    r"throttl|rate limit|too many|command or bandwidth limits|bandwidth limit|try again later"
    r"|maximum number of connections",
    re.IGNORECASE,
)
_FULL: Final = re.compile(
    r"over ?quota|quota (?:is )?exceeded|exceed\w* (?:\w+ )?quota|(?:mailbox|mail box|account) (?:is )?full"
    r"|not enough (?:disk|space)|out of space",
    re.IGNORECASE,
)
_BIG: Final = re.compile(
    r"(?:message|mail|literal)[\w ]* too (?:large|big|long)|too (?:large|big) (?:a )?message|"
    r"exceeds? [\w ]*(?:size|maximum)|larger than the maximum"
    r"|(?:maximum|allowed) (?:message |mail |allowed )?size|size limit",
    re.IGNORECASE,
)

_UNREADABLE: Final = re.compile(r"\bpars(?:e|ing)\b", re.IGNORECASE)
"""mailutils says TRYCREATE of a message that it cannot read, and of a folder that another process is busy with."""

_LOGIN_CODES: Final = frozenset({"AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "WEBALERT"})
_BUSY_CODES: Final = frozenset({"THROTTLED", "LIMIT", "INUSE"})
_BROKEN_CODES: Final = frozenset({"UNAVAILABLE", "SERVERBUG"})
_ABSENT_CODES: Final = frozenset({"NONEXISTENT", "TRYCREATE"})


def safe_text(text: bytes, secrets: Iterable[bytes] = ()) -> str:
    """Text from the server, fit for an error: printable, on one line, at most 200 characters, without the secrets."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, b"***")
    text = text[:_MOST]
    words = "".join(char if char.isprintable() else " " for char in text.decode("utf-8", "replace"))
    plain = " ".join(words.split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def refusal(what: str, status: Status, secrets: Iterable[bytes] = ()) -> IFAPError:
    """The error for a NO, BAD or BYE.

    :param what: what was wanted, as the end of "The mail server refused to …"; :data:`LOGIN`, :data:`APPEND` and
        :data:`SELECT` make the table look at more.
    """
    text = safe_text(status.text, secrets)
    code = safe_text(status.code)
    told = text or code or status.status.decode("ascii")
    if status.status == b"BYE":
        sentence = f"The mail server closed the connection: {told}"
    else:
        sentence = f"The mail server refused to {what}: {told}"
    if what == APPEND and code != "OVERQUOTA" and (code == "TOOBIG" or _BIG.search(text)):
        return TooLarge(sentence)  # Dovecot calls this [LIMIT]
    found = _by_pace(code, text, sentence) or _by_purpose(what, code, text, sentence, status.status)
    if found is not None:
        return found
    if status.status == b"BYE":
        return Unavailable(sentence)
    return Refused(sentence, status=status.status.decode("ascii"), response_code=code)


def _ended(sentence: str) -> str:
    """With a full stop, so that another sentence can follow."""
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."


def _by_pace(code: str, text: str, sentence: str) -> IFAPError | None:
    """Refusals that have nothing to do with what was asked, but with how often and when."""
    backoff = _BACKOFF.search(text)
    if backoff is not None:
        return Throttled(sentence, seconds=min(int(backoff[1]) / 1000, _PATIENCE))
    if code in _BUSY_CODES or (code in ("", "OVERQUOTA", "ALERT") and _BUSY.search(text)):
        return Throttled(sentence)
    return Unavailable(sentence) if code in _BROKEN_CODES else None


def _by_purpose(what: str, code: str, text: str, sentence: str, status: bytes) -> IFAPError | None:
    if code in _LOGIN_CODES or what == LOGIN:
        return _login(code, text, sentence, status)
    if code == "OVERQUOTA" or (what == APPEND and _FULL.search(text)):
        return QuotaExceeded(f"{_ended(sentence)} Make room in the mailbox, or get more from the provider.")
    if code == "CORRUPTION":
        return Damaged(sentence)
    if code == "READ-ONLY":
        return ReadOnly(sentence)
    if what == APPEND and code in _ABSENT_CODES and not _UNREADABLE.search(text):  # of a folder that is open here
        return Unavailable(sentence)
    return NotFound(sentence) if what == SELECT and code in _ABSENT_CODES else None


def _login(code: str, text: str, sentence: str, status: bytes) -> IFAPError | None:
    if _NO_PASSWORDS.search(text):
        return AuthenticationRefused(f"{_NEEDS_OAUTH} (It says: {text})")
    if code == "PRIVACYREQUIRED":
        return NotTrusted(sentence)
    if status == b"NO" or code in _LOGIN_CODES:
        return AuthenticationRefused(f"{_ended(sentence)} Check the user name and the password (`ifap login`).")
    return None
