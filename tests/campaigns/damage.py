"""``python -m tests.campaigns.damage``: damage the file of the embedded server everywhere, and read all mail.

A case damages one page of the database, or its log: a flipped bit, some bytes, a zeroed sector or page, a lost end.
Then a client logs in, selects each mailbox and fetches every message, stores one, and looks again. What it is given
must be what was stored; what it is not given must have been told: when the server started, by NO [CORRUPTION], or as a
warning. It leaves mail and no folder of files, so that there is nothing for the model of the reference to read. Exit
status: 1 when something was wrong, or missing without a word.
"""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

from twisted.cred.portal import Portal
from twisted.internet.task import Clock

from ifap_twisted.errors import IFAPError
from ifap_twisted.server import limits, messages, storage
from ifap_twisted.server.account import Shelf
from ifap_twisted.server.connections import Connections
from ifap_twisted.server.credentials import AccountRealm, PasswordChecker, make_verifier
from ifap_twisted.server.database import Database
from ifap_twisted.server.inspection import mark_closed, mark_open
from ifap_twisted.server.messages import Draft
from ifap_twisted.server.schema import log_of, open_database
from ifap_twisted.workers import InlineWorker
from tests.campaigns.ground import in_memory
from tests.campaigns.seeded import command
from tests.filesystem.folders import result
from tests.server.conversation import CHEAP, Client

PAGE = 4096
NAME = "embedded.sqlite"
BOXES = ("INBOX", "IFAP_DATA", "other")
FETCHED = re.compile(rb'\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) INTERNALDATE "([^"]*)" BODY\[\] \{(\d+)\}\r\n')
Shown = dict[int, tuple[bytes, bytes, bytes]]
"""By UID flags, date and content."""


@functools.cache
def originals() -> dict[str, dict[str, bytes]]:
    """The files of a server that was closed, and of the same one killed after some more transactions."""
    directory = Path(tempfile.mkdtemp(prefix="ifap-damage-", dir=in_memory()))
    try:
        path = directory / NAME
        with closing(open_database(path)) as connection:
            _populate(connection, Random("mail"))
        closed = {NAME: path.read_bytes()}
        with closing(open_database(path)) as connection:
            mark_open(connection)
            for number in range(6):
                messages.append(connection, [_draft("IFAP_DATA", b"late %d " % number * 200)])
            killed = {each.name: each.read_bytes() for each in (path, log_of(path))}
            mark_closed(connection)
        return {"closed": closed, "killed": killed}
    finally:
        shutil.rmtree(directory)


def _draft(mailbox: str, text: bytes, flags: tuple[str, ...] = ()) -> Draft:
    header = b"X-IFAP: %b\r\nMessage-ID: <%d@x>\r\n\r\n" % (text[:60], len(text))
    return Draft(user=1, mailbox=mailbox, flags=flags, date=1_700_000_000 + len(text), zone=60, data=header + text)


def _populate(connection, random: Random) -> None:
    """Mailboxes with small and large messages, and holes where some were removed."""
    storage.add_user(connection, "me", make_verifier(b"secret", CHEAP), 100)
    for name in BOXES[1:]:
        storage.create_mailbox(connection, 1, name, 100)
    for number in range(60):
        box = random.choice(BOXES)
        flags = ("\\Deleted",) if number % 7 == 3 else ("\\Seen", "keyword") if number % 3 else ()
        text = random.randbytes(random.choice((10, 300, 1500, 5000, 9000))).hex().encode()
        messages.append(connection, [_draft(box, text, flags)])
    messages.append(connection, [_draft("IFAP_DATA", random.randbytes(limits.PART + 5000))])
    for name in BOXES:
        messages.expunge(connection, storage.find_mailbox(connection, 1, name).id)


def damaged(files: dict[str, bytes], number: int) -> tuple[str, dict[str, bytes | None]]:
    """What the case of a number does to files: how it is called, and what is left."""
    random = Random(f"damage {number}")
    log = f"{NAME}-wal"
    if log in files and number % 3 == 0:
        return _damaged_log(files, log, random)
    content = bytearray(files[NAME])
    pages = len(content) // PAGE
    start = number % pages * PAGE
    kind = random.choice(("bit", "bit", "bit", "bytes", "sector", "page", "stale", "cut"))
    if kind == "bit":
        content[start + random.randrange(PAGE)] ^= 1 << random.randrange(8)
    elif kind == "bytes":
        at = start + random.randrange(PAGE - 8)
        content[at : at + 8] = random.randbytes(8)
    elif kind == "sector":
        at = start + 512 * random.randrange(8)
        content[at : at + 512] = bytes(512)
    elif kind == "page":
        content[start : start + PAGE] = bytes(PAGE)
    elif kind == "stale":
        other = random.randrange(pages) * PAGE
        content[start : start + PAGE] = content[other : other + PAGE]
    else:
        del content[start:]
    return kind, {**files, NAME: bytes(content)}


def _damaged_log(files: dict[str, bytes], log: str, random: Random) -> tuple[str, dict[str, bytes | None]]:
    content = bytearray(files[log])
    kind = random.choice(("bit in the log", "bit in the log", "sector in the log", "no log"))
    if kind == "no log":
        return kind, {**files, log: None}
    at = random.randrange(len(content))
    if kind == "bit in the log":
        content[at] ^= 1 << random.randrange(8)
    else:
        at -= at % 512
        content[at : at + 512] = bytes(len(content[at : at + 512]))
    return kind, {**files, log: bytes(content)}


class Mail:
    """A server on files, and a client of it."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path, InlineWorker())
        result(self.database.open())
        clock = Clock()
        shelf = Shelf(self.database, clock)
        portal = Portal(AccountRealm(shelf), [PasswordChecker(shelf, InlineWorker())])
        self._client = Client(Connections(portal, clock, limits.MESSAGE))
        self._client.received()

    def say(self, line: bytes) -> bytes:
        """What is answered."""
        self._client.send(b"a " + line + b"\r\n")
        return self._client.received()

    def shown(self, name: str) -> tuple[Shown, bool]:
        """What a mailbox shows, and whether it was told that this is not all."""
        selected = self.say(b"SELECT " + name.encode())
        if b"\r\na OK" not in selected:
            return {}, told(selected)
        exists = re.search(rb"\* (\d+) EXISTS", selected)
        assert exists is not None
        if exists[1] == b"0":
            return {}, False
        answer = self.say(b"FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])")
        found: Shown = {}
        for each in FETCHED.finditer(answer):
            content = answer[each.end() : each.end() + int(each[4])]
            found[int(each[1])] = (each[2].replace(b" \\Recent", b"").replace(b"\\Recent", b""), each[3], content)
        return found, told(answer)

    def close(self) -> None:
        """Stop."""
        result(self.database.close())


def told(answer: bytes) -> bool:
    """Whether an answer says that something is wrong with the disk."""
    return any(word in answer for word in (b"a NO [CORRUPTION]", b"a NO [UNAVAILABLE]"))


@contextmanager
def placed(files: dict[str, bytes | None]) -> Iterator[Path]:
    """The files in a directory; the path of the database."""
    directory = Path(tempfile.mkdtemp(prefix="ifap-damage-", dir=in_memory()))
    try:
        for name, content in files.items():
            if content is not None:
                (directory / name).write_bytes(content)
        yield directory / NAME
    finally:
        shutil.rmtree(directory)


@functools.cache
def expected(state: str) -> dict[str, Shown]:
    """What the undamaged server shows."""
    with placed(dict(originals()[state])) as path:
        mail = Mail(path)
        mail.say(b"LOGIN me secret")
        found = {name: mail.shown(name)[0] for name in BOXES}
        mail.close()
    return found


def judged(path: Path, right: dict[str, Shown]) -> tuple[str, list[str]]:
    """How the damage was told, and what is wrong: shown otherwise than it was, or missing without a word."""
    try:
        mail = Mail(path)
    except IFAPError:
        return "told at the start", []
    wrong: list[str] = []
    warned = bool(mail.database.notices)
    login = mail.say(b"LOGIN me secret")
    if b"a OK" not in login:
        return "told at the login", [] if told(login) else [f"the login is {login!r}"]
    said = False
    for when in ("first", "again"):
        for name in BOXES:
            found, of_this = mail.shown(name)
            said = said or of_this
            wrong += [f"{when} {name} {what}" for what in _differences(found, right[name], told=of_this or warned)]
        mail.say(b"APPEND other {4+}\r\nmore")
    mail.close()
    return "told by a command" if said else "told as a warning" if warned else "harmless", wrong


def _differences(found: Shown, right: Shown, *, told: bool) -> Iterator[str]:
    more = {uid: message for uid, message in found.items() if message[2] != b"more"}
    yield from (f"shows UID {uid} wrong" for uid in more if more[uid] != right.get(uid))
    if not told and right.keys() - more.keys():
        yield f"lacks {sorted(right.keys() - more.keys())} without a word"


def case(number: int) -> tuple[Counter[str], list[str]]:
    """Damage a closed database, or in every other case one of a killed server."""
    state = ("closed", "killed")[number % 2]
    kind, files = damaged(dict(originals()[state]), number // 2)
    with placed(files) as path:
        how, wrong = judged(path, expected(state))
    return Counter([how, f"damage: {kind}"]), [f"{kind}, {state}: {what}" for what in wrong]


main = command(case, "Damage the file of the embedded server everywhere, and read all mail.")

if __name__ == "__main__":
    main()
