"""What a mail server says: cut into responses, read, and answered to commands that are under way (RFC 9051)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.errors import IFAPError, ProtocolViolation
from ifap_twisted.imap.folder import Folder
from ifap_twisted.imap.grammar import parse
from ifap_twisted.imap.replies import Parts, Splitter, joined
from tests.imap.conversation import POOR, RICH, Case, selected

POOR_SERVER: Final = 128
"""In the first byte: no extension at all. The lower bits choose the command that waits for an answer."""
MESSAGE: Final = b"X-IFAP: !\r\n\r\nbody\r\n"

COMMANDS: Final[tuple[Callable[[Folder], Awaitable[Any]], ...]] = (
    lambda folder: folder.headers(1, None),
    lambda folder: folder.headers(4, 9),
    lambda folder: folder.message(5),
    lambda folder: folder.uids(1, None),
    lambda folder: folder.poll(thorough=True),
    lambda folder: folder.dates([2, 5]),
    lambda folder: folder.append(MESSAGE),
    lambda folder: folder.remove([2, 5], 7, lambda _block: True),
    lambda folder: folder.marked(),
    lambda folder: folder.unmark([5], 7, lambda _block: True),
)
_TAIL: Final = 8


class _Talks(Case, SynchronousTestCase):
    """What conversations ask of a test case."""

    def runTest(self) -> None:
        """There is nothing to run."""


_CASE: Final = _Talks()
WORDS: Final = tuple(
    b"* |+ go|A2 |A3 OK|A3 NO |A3 BAD |A4 OK |\r\n| FETCH (|UID |RFC822.SIZE |BODY[]|BODY[HEADER.FIELDS (X-IFAP)]"
    b"|INTERNALDATE |FLAGS (\\Deleted)|{3}|{0}|NIL|EXISTS|EXPUNGE|SEARCH|[APPENDUID |[UIDVALIDITY |[UIDNEXT "
    b"|[LIMIT]|BYE |STATUS|CAPABILITY |4294967295|~{2}|[READ-ONLY]|[NONEXISTENT]".split(b"|")
)
"""What such inputs are made of."""


def one(data: bytes) -> None:
    """However it is cut up it means the same; each command ends, with a value or one of our errors."""
    flags, said = (data[0], data[1:]) if data else (0, b"")
    _same_however_cut(said)
    noted: list[Any] = []

    def note(event: Any) -> None:
        if "log_failure" in event:
            noted.append(event["log_failure"])

    globalLogPublisher.addObserver(note)
    try:
        _converse(flags, said)
    finally:
        globalLogPublisher.removeObserver(note)
    for failure in noted:
        raise failure.value


def seeds() -> Iterator[bytes]:
    """A good answer to each command, some that are not, and all kinds of responses."""
    head = b"X-IFAP: !abc\r\n\r\n"
    answers = (
        (0, _fetch(1, b"UID 5 RFC822.SIZE 900 BODY[HEADER.FIELDS (X-IFAP X-Mailfile)]", head)),
        (0, _fetch(1, b"UID 5 FLAGS (\\Seen) BODY[HEADER.FIELDS (X-IFAP)]", head).replace(b"\r\n)", b"\r\n UID 6)")),
        (1, _fetch(2, b"UID 4 RFC822.SIZE 900 BODY[HEADER.FIELDS (X-IFAP X-Mailfile)]", b"")),
        (2, _fetch(2, b"UID 5 BODY[]", MESSAGE)),
        (2, b'* 2 FETCH (UID 5 BODY[] NIL)\r\n* 2 FETCH (UID 5 BODY[] "x")\r\n'),
        (3, b"* 1 FETCH (UID 2)\r\n* 2 FETCH (UID 5)\r\n* 3 FETCH (UID 9)\r\n"),
        (4, b"* 4 EXISTS\r\n* 2 EXPUNGE\r\n* OK [UIDNEXT 11] next\r\n* OK [UIDVALIDITY 8] new\r\n"),
        (5, b'* 1 FETCH (UID 2 INTERNALDATE "17-Jul-1996 02:44:25 -0700")\r\n'),
        (6, b"+ go on\r\n"),
        (7, b"* 1 FETCH (FLAGS (\\Deleted) UID 2)\r\n* SEARCH 2 5\r\n* 2 EXPUNGE\r\n"),
        (8, b"* SEARCH 2 5 (MODSEQ 917162500)\r\n"),
        (9, b"* 2 FETCH (UID 5 FLAGS ())\r\n"),
    )
    for command, answer in answers:
        for poor in (0, POOR_SERVER):
            ok = b"".join(b"A%d OK [APPENDUID 7 10] done\r\n" % number for number in range(2, 8))
            yield bytes([command | poor]) + answer + ok
            yield bytes([command | poor]) + answer + b"A%d NO [LIMIT] no\r\n" % (2 if poor else 3)
    for line in (
        b"* BYE [UNAVAILABLE] gone",
        b"* BAD what",
        b'* LIST (\\HasNoChildren) "/" {3}\r\nbox',
        b"* FLAGS (\\Answered " + b"(" * 40 + b")" * 40 + b")",
        b'* STATUS box (MESSAGES 3 UIDNEXT 10)\r\n* QUOTA "" (STORAGE 1 2)\r\n* ID NIL',
        b"* CAPABILITY IMAP4rev1 IDLE\r\n* ENABLED X",
        b"* 1 FETCH (UID 5 BODY[] {99999999999}\r\n",
        b"* 1 FETCH (UID 4294967296)\r\n* 99999999999 EXISTS",
        b"* 3 VANISHED\r\n* 3 RECENT\r\n* 4294967295 EXISTS",
    ):
        yield b"\0" + line + b"\r\nA3 OK done\r\n"


def talking(capabilities: str = RICH) -> Any:
    """A conversation with a folder open on it: :func:`tests.imap.conversation.selected`."""
    return selected(_CASE, capabilities)


def _fetch(sequence: int, items: bytes, literal: bytes) -> bytes:
    return b"* %d FETCH (%b {%d}\r\n%b)\r\n" % (sequence, items, len(literal), literal)


def _same_however_cut(said: bytes) -> None:
    whole, pieces = _responses([said]), _responses(said[at : at + 1] for at in range(len(said)))
    assert whole == pieces
    for response in whole:
        if isinstance(response, list):
            try:
                parse(response)
            except ProtocolViolation:
                continue
            joined(response)


def _responses(blocks: Iterable[bytes]) -> list[Parts | str]:
    """The responses that are complete, and why there are no more."""
    splitter = Splitter(line=4096, literal=65536)
    found: list[Parts | str] = []
    try:
        for block in blocks:
            for response in splitter.feed(block):
                found.append(response)
    except ProtocolViolation as refused:
        found.append(refused.detail)
    return found


def _converse(flags: int, said: bytes) -> None:
    """One command, and an answer that comes in two pieces; then the server is silent, and then gone."""
    talk: Any = talking(POOR if flags & POOR_SERVER else RICH)
    command = COMMANDS[(flags & ~POOR_SERVER) % len(COMMANDS)]
    ended: list[Any] = []
    asked: Deferred[Any] = ensureDeferred(command(talk.folder))
    asked.addBoth(ended.append)
    cut = max(len(said) - _TAIL, 0)
    for block in (said[:cut], said[cut:]):
        if talk.transport.protocol is not None:
            talk.wire.dataReceived(block)
    for _ in range(3):
        talk.clock.advance(limits.COMMAND_SECONDS + 1)
    talk.loses()
    (what,) = ended
    if isinstance(what, Failure) and not what.check(IFAPError):
        raise what.value
    assert not talk.wire.alive
