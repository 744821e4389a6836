"""What a server left behind when it ended, and what is wrong with it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from ifap_twisted.errors import IFAPError, NotFound
from ifap_twisted.server import messages, storage
from ifap_twisted.server.inspection import inspect
from ifap_twisted.server.rows import Box
from ifap_twisted.server.schema import open_database
from tests.campaigns.ground import in_memory
from tests.server.sending import Sent

NAME = "embedded.sqlite"
Mail = dict[int, bytes]


@contextmanager
def placed(files: dict[str, bytes]) -> Iterator[Path]:
    """Files in a directory; the path of the database."""
    directory = Path(tempfile.mkdtemp(prefix="ifap-power-", dir=in_memory()))
    try:
        for name, content in files.items():
            (directory / name).write_bytes(content)
        yield directory / NAME
    finally:
        shutil.rmtree(directory)


def found(path: Path) -> tuple[Mail, Box | None]:
    """What a fresh server shows, and the mailbox; None before it was made.

    :raises IFAPError: it does not open it, or a message is not whole.
    """
    inspect(path)
    with closing(open_database(path)) as connection:
        try:
            opened = storage.open_mailbox(connection, 1, "INBOX", claim_recent=False)
        except NotFound:
            return {}, None
        pairs = list(enumerate(opened.uids, 1))
        return {
            each.uid: each.header + each.text for each in messages.read(connection, opened.box.id, pairs)
        }, opened.box


def differences(path: Path, sent: Sent, required: Mapping[int, bytes], known: Collection[bytes]) -> list[str]:
    """What is wrong with it.

    :param sent: what its client was told; ``required``: what has to be there by UID; ``known``: all that may be there.
    """
    try:
        there, box = found(path)
    except IFAPError as error:
        return [f"it is refused: {error.detail}"]
    whole = frozenset(known)
    wrong = [f"UID {uid} is not as acknowledged" for uid, message in required.items() if there.get(uid) != message]
    wrong += [f"UID {uid} was expunged and is back" for uid in sent.expunged & there.keys()]
    wrong += [f"UID {uid} is no message that was sent" for uid, message in there.items() if message not in whole]
    numbers = None if box is None else ({box.uidvalidity}, box.uidnext > max(sent.acknowledged, default=0))
    if sent.acknowledged and numbers != (sent.uidvalidity, True):
        wrong.append(f"the numbers do not go on: {box}")
    return wrong
