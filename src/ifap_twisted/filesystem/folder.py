"""Opening a folder: which dialect, which key, whose folder it is (FORMAT 8.2, 8.6).

Nothing is written to a folder that no known key opens; a key is only ever made for a folder that has no message of
either dialect.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ifap_twisted.core import envelope, limits
from ifap_twisted.core.dialects import DIALECTS, IFAP, Dialect, dialects_of
from ifap_twisted.core.history import Placed
from ifap_twisted.core.index import Index
from ifap_twisted.core.keys import Key, new_key_text
from ifap_twisted.core.slots import PASSPHRASE, RECOVERY
from ifap_twisted.core.strictjson import strict_json
from ifap_twisted.core.values import JSON, Draft, HeaderBlock, Sealed, Version
from ifap_twisted.core.vocabulary import is_right
from ifap_twisted.errors import (
    DataError,
    ForeignFolder,
    ForeignKey,
    KeyRequired,
    Malformed,
    NewerVersionNeeded,
    PassphraseRequired,
    Plaintext,
    ProtocolViolation,
    ReadOnly,
    StoreError,
    UnsupportedDialect,
    WrongKey,
)
from ifap_twisted.filesystem.unlocking import without_key
from ifap_twisted.interfaces import IMessageStore

Random = Callable[[int], bytes]
FOLDER_OBJECTS = "IFAP/keys/folder-"
KEY_OBJECTS = "IFAP/keys/"
HOME_BYTES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderObject:
    """What makes a folder this folder (FORMAT 8.2).

    :ivar home: 48 random bits that every message of ours carries.
    :ivar chunk_key: the sub-key for the names of chunks, fixed for the folder's life.
    :ivar key_id: the fingerprint of the data key; ``generation`` counts data keys.
    """

    home: str
    chunk_key: str
    key_id: str
    generation: int = 1

    @property
    def path(self) -> str:
        """Its reserved name."""
        return FOLDER_OBJECTS + self.home

    def encode(self) -> bytes:
        """Canonical JSON."""
        value = {
            "chunks": self.chunk_key,
            "generation": self.generation,
            "home": self.home,
            "key": self.key_id,
            "v": 1,
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, content: bytes) -> FolderObject:
        """The inverse of :meth:`encode`; what a later release says besides is left out.

        :raises Malformed: anything odd, or more than ``limits.FOLDER_OBJECT_BYTES``.
        :raises NewerVersionNeeded: a later release made the folder.
        """
        try:
            if len(content) > limits.FOLDER_OBJECT_BYTES:
                raise ValueError("it is too long")
            value = strict_json(content.decode("ascii"))
            if not isinstance(value, dict) or type(value.get("v")) is not int or value["v"] < 1:
                raise ValueError("it has the wrong shape")
        except ValueError as error:
            raise _damaged(error) from None
        if value["v"] > 1:
            raise NewerVersionNeeded("A newer version of ifap-twisted set up this folder.", path=FOLDER_OBJECTS)
        for name, is_right_one in _FIELDS.items():
            if not is_right_one(value.get(name)):
                raise _damaged(ValueError("it has the wrong shape"))
        return cls(home=value["home"], chunk_key=value["chunks"], key_id=value["key"], generation=value["generation"])

    @classmethod
    def draw(cls, key: Key | None, random: Random, home: str | None = None, generation: int = 1) -> FolderObject:
        """A new one; with the ``home`` of a folder whose object was lost, and the generation of its newest key."""
        return cls(
            home=home or urlsafe_b64encode(random(HOME_BYTES)).decode("ascii"),
            chunk_key=urlsafe_b64encode(random(32)).decode("ascii"),
            key_id=key.fingerprint if key is not None else "",
            generation=max(1, generation),
        )


def _damaged(why: ValueError) -> Malformed:
    return Malformed(f"The folder object is damaged: {why}.", section="body", path=FOLDER_OBJECTS)


def _text_like(pattern: str) -> Callable[[JSON], bool]:
    matches = re.compile(pattern, re.ASCII).fullmatch
    return lambda value: isinstance(value, str) and matches(value) is not None


_FIELDS: Final[Mapping[str, Callable[[JSON], bool]]] = {
    "chunks": _text_like(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]="),
    "generation": lambda value: type(value) is int and 0 < value <= limits.WRITER_NUMBER,
    "home": lambda value: is_right("home", value),
    "key": _text_like(r"([0-9a-f]{16})?"),
}
"""What the content of a folder object must have."""


def choose_dialect(
    blocks: Mapping[int, HeaderBlock], wanted: str | None, keys: Sequence[Key], revoked: Container[str] = ()
) -> tuple[Dialect, bool]:
    """The dialect of a folder, decided from authenticated messages only (DESIGN 4.1, FORMAT 8.6).

    :param revoked: fingerprints of keys that say something only where no other one does (FORMAT 8.5).
    :return: the dialect, and whether it is another than the one wanted: a warning, not a conversion.
    :raises UnsupportedDialect: both are there and none was asked for.
    """
    counting = [key for key in keys if key.fingerprint not in revoked] or keys
    present = _dialects(blocks, counting) or _dialects(blocks, keys)
    if wanted is not None and wanted not in DIALECTS:
        raise UnsupportedDialect(f"There is no dialect {wanted!r}; there are: {', '.join(DIALECTS)}.")
    if len(present) > 1 and wanted is None:
        raise UnsupportedDialect("The folder holds both dialects; say which one with --dialect ifap or mailfile.")
    if not present or wanted in present:
        return (DIALECTS[wanted] if wanted else IFAP), False
    return DIALECTS[present[0]], wanted is not None


def _dialects(blocks: Mapping[int, HeaderBlock], keys: Sequence[Key]) -> list[str]:
    return [name for name in DIALECTS if any(_authentic(block, DIALECTS[name], keys) for block in blocks.values())]


def _authentic(block: HeaderBlock, dialect: Dialect, keys: Sequence[Key]) -> bool:
    if dialect.header.encode().lower() not in block.fields.lower():  # quicker than to find that it does not parse
        return False
    try:
        envelope.read_header(block.fields, dialect=dialect, keys=keys, home=None)
    except DataError:
        return False
    return True


def check_keys(blocks: Mapping[int, HeaderBlock], keys: Sequence[Key], *, encrypted: bool) -> None:
    """Refuse to open a folder with no key or a wrong one, before anything is written (FORMAT 8.2, 8.6).

    :raises KeyRequired: there are sealed messages and no key is known.
    :raises WrongKey: none of the sealed messages opens.
    :raises Plaintext: encryption is required but all that is there is not encrypted.
    """
    if (
        encrypted
        and keys
        and any(_authentic(block, kind, keys) for block in blocks.values() for kind in DIALECTS.values())
    ):
        return
    if may_make_key(blocks):
        return
    sealed = any(envelope.is_sealed(block.fields) for block in blocks.values())
    if not encrypted:
        if sealed:
            raise KeyRequired("The folder holds encrypted files; encryption cannot be off here.")
        return
    if not sealed and not without_key(blocks):
        raise Plaintext("The folder holds only files that are not encrypted; open it with --encryption off.")
    if not keys:
        raise _key_required(blocks)
    raise WrongKey("The key does not open any file of this folder; nothing was written.")


def _key_required(blocks: Mapping[int, HeaderBlock]) -> KeyRequired:
    kinds = without_key(blocks)
    if PASSPHRASE in kinds:
        return PassphraseRequired(
            "The folder is encrypted; `ifap login --passphrase-file F` opens it with its passphrase."
        )
    other = " or a recovery code with --recovery-code-file" if RECOVERY in kinds else ""
    return KeyRequired(f"The folder is encrypted and no key for it is known here; give one with --key-file{other}.")


def may_make_key(blocks: Mapping[int, HeaderBlock]) -> bool:
    """A key is made only where there is no message of either dialect (FORMAT 8.2)."""
    return not any(dialects_of(block.fields) for block in blocks.values())


def make_key(random: Random) -> Key:
    """A strong new key."""
    return Key.from_text(new_key_text(random))


def folder_objects(index: Index) -> list[Placed]:
    """The folder objects that are there, lowest UID first: it wins (FORMAT 8.2)."""
    found = [
        placed
        for path in index.paths()
        if path.startswith(FOLDER_OBJECTS)
        for placed in index.history(path).versions
        if not placed.version.deleted and placed.version.ours
    ]
    return sorted(found, key=lambda placed: placed.rank)


def winner(index: Index, found: Sequence[Placed]) -> Placed:
    """The folder object whose home most versions name; when they name several equally, that of the lowest UID.

    Losers of a race stay where single messages cannot be removed (FORMAT 8.2); a renumbering that changes the order
    would make one of them the lowest, and everything written so far another folder's.
    """
    home = home_of_versions(index)
    return next((placed for placed in found if placed.version.home == home), found[0])


def home_of_versions(index: Index) -> str | None:
    """The home that most versions of ours name: a folder without its object is still the folder of these files.

    While there is nothing but folder objects, each message of one counts; the lowest UID decides between equals.
    """
    files, objects = _named(index)
    return _most_named(files, objects)


def home_named(blocks: Mapping[int, HeaderBlock], keys: Sequence[Key], wanted: str | None) -> str | None:
    """Likewise, before there is an index: of the messages that these keys open.

    :param wanted: the dialect that was asked for; where it is not there, or none was, messages of any count.
    """
    found = [(name, version) for uid in sorted(blocks) for name, version in _authentic_versions(blocks[uid], keys)]
    asked = [version for name, version in found if name == wanted]
    return _most_named(*_counted(asked or [version for _name, version in found]))


def _authentic_versions(block: HeaderBlock, keys: Sequence[Key]) -> Iterator[tuple[str, Version]]:
    for name in dialects_of(block.fields):
        with suppress(DataError):
            yield name, envelope.read_header(block.fields, dialect=DIALECTS[name], keys=keys, home=None)


def _most_named(files: Counter[str], objects: Counter[str]) -> str | None:
    homes = [*objects, *files] if files else [*objects]
    return max(homes, key=lambda home: (files[home], objects[home]), default=None)


def is_tied(index: Index) -> bool:
    """Whether nothing but the order of the messages tells which of several folder objects counts."""
    files, objects = _named(index)
    first, *others = [count for _home, count in objects.most_common(2)]
    return not files and others == [first]


def _named(index: Index) -> tuple[Counter[str], Counter[str]]:
    """How many files and other versions name each home, and how many folder objects, in the order of the UIDs."""
    versions = (index.at(uid) for uid in sorted(index.uids()))
    return _counted(version for version in versions if version is not None)


def _counted(versions: Iterable[Version]) -> tuple[Counter[str], Counter[str]]:
    files: Counter[str] = Counter()
    objects: Counter[str] = Counter()
    for version in versions:
        if version.ours and version.home:
            (objects if version.path.startswith(FOLDER_OBJECTS) else files)[version.home] += 1
    return files, objects


def is_used(index: Index, home: str) -> bool:
    """Whether a file, or anything but a folder object, names a home: no device writes one before it is certain."""
    versions = (index.at(uid) for uid in index.uids())
    return any(
        version is not None and version.ours and version.home == home and not version.path.startswith(FOLDER_OBJECTS)
        for version in versions
    )


def check_alone(index: Index, listed: Container[int], before: int | None = None) -> None:
    """Nobody set up the folder under an unknown key since it was listed, below a UID: who did has won (FORMAT 8.2).

    :param listed: the UIDs that were there when the key was chosen.
    :param before: the UID of one's own folder object; None: it is not written yet.
    :raises WrongKey:
    """
    for uid, error in index.rejected().items():
        if isinstance(error, ForeignKey) and uid not in listed and (before is None or uid < before):
            raise WrongKey("Somebody else set up this folder at the same time, with a key that is not known here.")


def check_won(index: Index, found: Sequence[Placed]) -> None:
    """A loser whose folder object could not be removed does not found the folder by trying again (FORMAT 8.2).

    :param found: the folder objects that open; while nothing else does, whoever was there before has won.
    :raises WrongKey:
    """
    versions = [version for uid in index.uids() if (version := index.at(uid)) is not None]
    if found and all(version.path.startswith(FOLDER_OBJECTS) for version in versions):
        listed = [uid for uid in index.rejected() if uid > found[0].rank]
        check_alone(index, listed)


async def read_object(store: IMessageStore, placed: Placed, dialect: Dialect, keys: Sequence[Key]) -> FolderObject:
    """Read a folder object, from the first place that verifies (FORMAT 2.3), and hold it against its own name.

    :raises Malformed: and the other ``DataError``s.
    """
    *others, last = placed.places
    for uid in others:
        with suppress(DataError, StoreError):
            return _held_against_its_name(await store.message(uid), dialect, keys)
    return _held_against_its_name(await store.message(last), dialect, keys)


def _held_against_its_name(message: bytes, dialect: Dialect, keys: Sequence[Key]) -> FolderObject:
    version, content = envelope.read_message(message, dialect=dialect, keys=keys, home=None)
    found = FolderObject.decode(content)
    if found.path != version.path or version.home != found.home:
        raise Malformed("The folder object does not belong to its name.", section="body", path=version.path)
    return found


async def read_winner(
    store: IMessageStore, index: Index, found: Sequence[Placed], dialect: Dialect, keys: Sequence[Key]
) -> FolderObject:
    """Read the folder object that counts; where it is damaged, any other copy or version of it (FORMAT 2.3).

    :param found: at least one.
    :raises DataError: none can be read.
    """
    home = winner(index, found).version.home
    failures = []
    for placed in found:
        if placed.version.home == home:
            try:
                return await read_object(store, placed, dialect, keys)
            except DataError as error:
                failures.append(error)
    raise failures[0]


async def objects_of(store: IMessageStore, index: Index, dialect: Dialect, keys: Sequence[Key]) -> list[FolderObject]:
    """What the folder objects of the folder's home say, lowest UID first: one for each data key it had.

    :raises DataError: there are some, and none can be read.
    """
    found = folder_objects(index)
    home = winner(index, found).version.home if found else None
    objects: list[FolderObject] = []
    failures: list[DataError] = []
    for one in found:
        if one.version.home == home and not one.missing:
            try:
                objects.append(await read_object(store, one, dialect, keys))
            except DataError as error:
                failures.append(error)
    if failures and not objects:
        raise failures[0]
    return objects


def seal_object(
    found: FolderObject,
    *,
    dialect: Dialect,
    key: Key | None,
    writer: str,
    number: int,
    now: float,
    vid: str,
    random: Random,
) -> Sealed:
    """The message of a folder object."""
    draft = Draft(
        path=found.path, vid=vid, writer=writer, clock={writer: number}, home=found.home, modified=float(int(now))
    )
    return envelope.seal(draft, found.encode(), dialect=dialect, key=key, now=now, random=random)


def check_faithful(sealed: Sealed, block: HeaderBlock | None, body: bytes, dialect: Dialect) -> None:
    """Refuse a server that does not keep messages as they are (FORMAT 4.5).

    :raises ProtocolViolation:
    """
    kept = block is not None and envelope.same_bytes(sealed, block.fields, block.size, dialect)
    if not kept or _unfolded(body).find(_payload(sealed.message)) < 0:
        raise ProtocolViolation(
            "The mail server does not keep messages as they are given to it; "
            "a file stored there could not be read back."
        )


def _payload(message: bytes) -> bytes:
    return _unfolded(message.split(b"\r\n\r\n", 1)[1])


def _unfolded(data: bytes) -> bytes:
    return data.translate(None, b"\r\n \t")


def check_writable(read_only: bool) -> None:
    """A folder that cannot be written to gets no folder object.

    :raises ReadOnly:
    """
    if read_only:
        raise ReadOnly("The folder can only be read, and it holds no folder object yet.")


def check_home(remembered: str | None, found: Sequence[Placed]) -> None:
    """A folder that was known here must still be the same one.

    :raises ForeignFolder:
    """
    if remembered is None or not found:
        return
    if not any(placed.version.home == remembered for placed in found):
        raise ForeignFolder("The server shows another folder than the one that was known here under this name.")
