"""Preconditions of a request (RFC 9110 13) in terms of the filesystem: ``expect`` for writes, 304 and 412 for reads.

Time of check is time of use wherever one version id says it all: the filesystem compares it (FORMAT 4.4). Where the
present version must be looked at first (lists, dates, ``*``), the write then expects exactly what was seen.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from ifap_twisted.control.call import Call
from ifap_twisted.control.problems import bad_request
from ifap_twisted.core.values import ABSENT, Entry, Expect
from ifap_twisted.errors import Conflict, NotFound
from ifap_twisted.interfaces import IFilesystem

_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_ANY: Final = "*"


class Tags:
    """The value of ``If-Match`` or ``If-None-Match``.

    :ivar any: it is ``*``.
    :ivar strong: the tags that name exactly one version; ``weak`` those marked as weak.
    """

    def __init__(self, text: str) -> None:
        self.any = text == _ANY
        self.strong: list[str] = []
        self.weak: list[str] = []
        for part in [] if self.any else text.split(","):
            match = _TAG.fullmatch(part.strip())
            if match is None:
                raise bad_request("If-Match and If-None-Match take '*' or version ids in double quotes.")
            (self.weak if match[1] else self.strong).append(match[2])

    def match(self, entry: Entry | None, *, weakly: bool = False) -> bool:
        """Whether a present file is one of them (RFC 9110 8.8.3.2)."""
        if entry is None:
            return False
        return self.any or entry.version in self.strong or (weakly and entry.version in self.weak)


async def expectation(call: Call, filesystem: IFilesystem, *, looking: bool = False) -> Expect:
    """What a write shall expect, from the preconditions of its request.

    :param looking: check them here in any case, because the write is one that knows no ``expect`` (directories).
    :raises Conflict: one of them fails already.
    """
    wanted, unwanted = _tags(call, "If-Match"), _tags(call, "If-None-Match")
    since = _date(call, "If-Unmodified-Since") if wanted is None else None
    if wanted is None and unwanted is None and since is None:
        return None
    call.conditional = True
    if not looking:
        if wanted is not None and unwanted is None and len(wanted.strong) == 1 and not wanted.weak:
            return wanted.strong[0]
        if wanted is None and since is None and unwanted is not None and unwanted.any:
            return ABSENT
    entry = await present(call, filesystem)
    _require(call, entry, wanted, unwanted, since)
    return ABSENT if entry is None else entry.version


async def present(call: Call, filesystem: IFilesystem) -> Entry | None:
    """The live entry at the path of a call, or None."""
    try:
        entry = await filesystem.stat(call.path or "/")
    except NotFound:
        return None
    return None if entry.deleted else entry


def _require(
    call: Call, entry: Entry | None, wanted: Tags | None, unwanted: Tags | None, since: datetime | None
) -> None:
    failed = (
        (wanted is not None and not wanted.match(entry))
        or (since is not None and (entry is None or modified(entry) > since))
        or (unwanted is not None and unwanted.match(entry, weakly=True))
    )
    if failed:
        raise Conflict(path=call.path, found=None if entry is None else entry.version)


def has_read_conditions(call: Call) -> bool:
    """Whether it is worth while to look at the entry before the content is read."""
    names = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
    return any(call.header(name) is not None for name in names)


def unchanged(call: Call, entry: Entry) -> bool:
    """Whether the client has this already (304); in the order of RFC 9110 13.2.2.

    :raises Conflict: ``If-Match`` or ``If-Unmodified-Since`` fails.
    """
    wanted, unwanted = _tags(call, "If-Match"), _tags(call, "If-None-Match")
    call.conditional = True
    _require(call, entry, wanted, None, _date(call, "If-Unmodified-Since") if wanted is None else None)
    if unwanted is not None:
        return unwanted.match(entry, weakly=True)
    since = _date(call, "If-Modified-Since")
    return since is not None and modified(entry) <= since


def range_allowed(call: Call, entry: Entry) -> bool:
    """Whether ``Range`` counts: without ``If-Range``, or when it names exactly this version."""
    value = call.header("If-Range")
    return value is None or value == f'"{entry.version}"'


def modified(entry: Entry) -> datetime:
    """The modification time of an entry as HTTP has it: in whole seconds, of a year that a date can hold."""
    bounded = min(max(entry.modified, -62135596800.0), 253402300799.0)
    return datetime.fromtimestamp(bounded, UTC).replace(microsecond=0)


def http_date(entry: Entry) -> str:
    """The value of ``Last-Modified``."""
    return format_datetime(modified(entry), usegmt=True)


def parse_http_date(text: str) -> datetime | None:
    """An HTTP date, or None when it is none."""
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _tags(call: Call, name: str) -> Tags | None:
    value = call.header(name)
    return None if value is None else Tags(value)


def _date(call: Call, name: str) -> datetime | None:
    # RFC 9110 13.1.3: a value that is no date is as if the field were not there.
    value = call.header(name)
    return None if value is None else parse_http_date(value)
