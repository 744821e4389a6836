"""Inputs that are small, or cheap to send, and grow: ``python -m tests.fuzz.bombs [NAME…]``.

For each it prints how it was answered, the most memory in MiB that the process has taken so far (bar R11: 256), and the
seconds of its time (bar R11: 10 on a machine with nothing else to do).
"""

from __future__ import annotations

import resource
import sys
import zlib
from collections.abc import Callable, Iterable
from math import ceil
from pathlib import Path
from time import process_time
from typing import Any, Final

from twisted.internet.defer import Deferred, ensureDeferred

from ifap_twisted.core import snapshot
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.envelope import read_header, read_message, seal
from ifap_twisted.core.limits import HEADER_FIELDS, LINE, MIB
from ifap_twisted.core.metadata import decode
from ifap_twisted.core.values import Draft
from ifap_twisted.errors import IFAPError
from ifap_twisted.imap.folder import Folder
from tests.fuzz.targets.imap import talking

PATIENCE: Final = 60
"""Seconds after which an input counts as one that never ends: far above the bar, as machines differ and are shared."""
_PIECE: Final = 64 * 1024


def _packed(pieces: Iterable[bytes]) -> bytes:
    """Compressed without ever being held whole."""
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(piece) for piece in pieces), packer.flush()])


def _message(text: bytes) -> None:
    read_message(text, dialect=IFAP, keys=(), home=None)


_DRAFT: Final = Draft(path="a", vid="v" * 22, writer="w" * 6, clock={"w" * 6: 1}, home="h" * 8, modified=0.0)
_GOOD: Final = seal(_DRAFT, b"", dialect=IFAP, key=None, now=0.0, random=bytes).message.split(b"To:")[0]
"""A metadata field that can be read, so that what follows it is looked at."""


def _header(value: bytes) -> None:
    read_header(b"X-IFAP: " + value + b"\r\n\r\n", dialect=IFAP, keys=(), home=None)


def _metadata(text: bytes) -> None:
    decode(text, sealed_id="A" * 22, written=None)


def _says(command: Callable[[Folder], Any], pieces: Iterable[bytes]) -> None:
    """A server that goes on and on while a command waits."""
    talk: Any = talking()
    asked: Deferred[Any] = ensureDeferred(command(talk.folder))
    ended: list[Any] = []
    asked.addBoth(ended.append)
    for piece in pieces:
        if talk.transport.protocol is not None:
            talk.wire.dataReceived(piece)
    talk.loses()
    ended[0].raiseException()


def _in_pieces(block: bytes, total: int) -> Iterable[bytes]:
    piece = block * (_PIECE // len(block))
    return (piece for _ in range(total // len(piece)))


def _million() -> Iterable[bytes]:
    """A snapshot with a million entries."""
    yield b'{"seen": [1], "tree": {"0": [1, {}, [1]]'
    yield from (b', "%d": [1, {}, [1]]' % number for number in range(1, 1_000_000))
    yield b"}}"


BOMBS: Final[dict[str, Callable[[], object]]] = {
    "snapshot-of-blanks": lambda: dict(snapshot.entries(_packed(b" " * MIB for _ in range(256)))),
    "snapshot-twice-packed": lambda: dict(snapshot.entries(_packed([_packed(b"\0" * MIB for _ in range(256))]))),
    "snapshot-nested": lambda: dict(snapshot.entries(_packed([b"[" * MIB]))),
    "snapshot-of-lists": lambda: dict(snapshot.entries(_packed([b'{"seen": [', *[b"[]," * (MIB // 3)] * 40]))),
    "snapshot-of-a-million": lambda: sum(1 for _ in snapshot.entries(_packed(_million()))),
    "metadata-nested": lambda: _metadata(b'{"a":' * 12_000),
    "metadata-digits": lambda: _metadata(b'{"bytes":' + b"9" * (HEADER_FIELDS - 20) + b"}"),
    "metadata-wide": lambda: _metadata(b'{"a":[' + b"[]," * 20_000 + b"[]]}"),
    "header-long": lambda: _header(b"A" * 8 * MIB),
    "header-folded": lambda: _header(b"\r\n A" * 2 * MIB),
    "header-often": lambda: read_header(b"X-IFAP: e30=\r\n" * 500_000 + b"\r\n", dialect=IFAP, keys=(), home=None),
    "parts-nested": lambda: _message(_GOOD + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n' * 100_000),
    "parts-many": lambda: _message(
        _GOOD + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\n" * 1_000_000
    ),
    "type-folded": lambda: _message(_GOOD + b"Content-Type: a" + b"\r\n ;" * 2 * MIB + b"\r\n\r\nb"),
    "type-quoted": lambda: _message(_GOOD + b'Content-Type: multipart/a; boundary="' + b"\\" * 8 * MIB + b"\r\n\r\n"),
    "type-blank": lambda: _message(_GOOD + b"Content-Type: a" + b"; boundary \t" * 700_000 + b"\r\n\r\n"),
    "content-blank": lambda: _message(_GOOD + b"Content-Type: application/x-ifap\r\n\r\n" + b" \r\n" * 4 * MIB),
    "line-quoted": lambda: _says(lambda folder: folder.uids(1, None), [b'* FLAGS "' + b"a" * (LINE - 90) + b'"\r\n']),
    "line-escaped": lambda: _says(
        lambda folder: folder.uids(1, None), [b'* FLAGS "' + b'\\"' * (LINE // 2 - 90) + b'"\r\n']
    ),
    "line-section": lambda: _says(
        lambda folder: folder.message(5), [b"* 1 FETCH (BODY[" + b'""' * (LINE // 2 - 90) + b"] x)\r\n"]
    ),
    "line-code": lambda: _says(lambda folder: folder.message(5), [b"* OK [A " + b"[" * (LINE - 90) + b"\r\n"]),
    "line-endless": lambda: _says(lambda folder: folder.uids(1, None), _in_pieces(b"A", 4 * LINE)),
    "line-nested": lambda: _says(
        lambda folder: folder.uids(1, None), [b"* FLAGS " + b"(" * (LINE - 100) + b"\r\n", b"* 1 EXISTS\r\n"]
    ),
    "literals-small": lambda: _says(
        lambda folder: folder.headers(1, None), [b"* 1 FETCH (X {0}\r\n", *_in_pieces(b" {0}\r\n" * 100, 8 * MIB)]
    ),
    "headers-unasked": lambda: _says(
        lambda folder: folder.headers(4, 9),
        _in_pieces(b"* 1 FETCH (UID 77 BODY[HEADER.FIELDS (X-IFAP)] {4}\r\nA\r\n\r\n)\r\n", 64 * MIB),
    ),
    "search-endless": lambda: _says(
        lambda folder: folder.marked(), _in_pieces(b"* SEARCH " + b"4294967295 " * 2000 + b"\r\n", 64 * MIB)
    ),
    "expunge-endless": lambda: _says(lambda folder: folder.marked(), _in_pieces(b"* 1 EXPUNGE\r\n", 8 * MIB)),
}


def answer(name: str) -> str:
    """How an input is answered; the process is ended when that takes more of its time than ``PATIENCE``."""
    patience = ceil(process_time()) + PATIENCE
    resource.setrlimit(resource.RLIMIT_CPU, (patience, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    try:
        BOMBS[name]()
    except IFAPError as error:
        return error.code
    return "taken"


def most_memory() -> int:
    """The most that this program ever held, in MiB; ``getrusage`` would count what its parent held when it forked."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    for given in sys.argv[1:] or BOMBS:
        began = process_time()
        print(given, answer(given), most_memory(), f"{process_time() - began:.1f}", flush=True)
