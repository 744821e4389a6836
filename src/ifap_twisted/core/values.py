"""The values that pass between the rooms: frozen, slotted, keyword-only; tuples where there are tens of thousands."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

JSON: TypeAlias = Any
"""What ``json.loads`` can give."""


class Absent(enum.Enum):
    """The type of :data:`ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""``expect=ABSENT``: the write is wanted only when there is no live file at the path."""


class NoVersion(enum.Enum):
    """The type of :data:`KEY_SLOT` and :data:`OTHER_DIALECT`: no version, no damage, and nobody else's mail."""

    KEY_SLOT = "key slot"
    OTHER_DIALECT = "other dialect"


KEY_SLOT: Final = NoVersion.KEY_SLOT
"""A message that says it is a key slot (FORMAT 8.4)."""
OTHER_DIALECT: Final = NoVersion.OTHER_DIALECT
"""A message that says it is of the other dialect, of which a file system may lie in the same folder."""

Expect: TypeAlias = str | Absent | None
"""What a write expects to find: None anything, :data:`ABSENT` no file, else the id of the current version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderState:
    """What a shelf says of itself when opened or polled.

    :ivar uidvalidity: when it changes, all UIDs known before mean nothing (FORMAT 2.5).
    :ivar uidnext: the UID that the next message gets, or None where the server does not tell (Courier).
    :ivar exists: how many messages are there.
    """

    uidvalidity: int
    uidnext: int | None
    exists: int
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a shelf can do: quirks are data, not subclasses.

    :ivar reports_uid: a receipt of an append carries the UID (UIDPLUS).
    :ivar expunges_by_uid: single messages can be removed (UID EXPUNGE).
    :ivar pushes: changes by others are announced without polling (IDLE).
    :ivar max_message: the largest message in bytes (APPENDLIMIT), or None when unknown.
    """

    reports_uid: bool
    expunges_by_uid: bool
    pushes: bool
    max_message: int | None = None


class HeaderBlock(NamedTuple):
    """The metadata headers of one message, as the server gave them (FORMAT 1.4).

    :ivar size: RFC822.SIZE, in bytes.
    :ivar fields: the X-IFAP and X-Mailfile fields, raw; empty for foreign mail.
    """

    uid: int
    size: int
    fields: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The place of an appended message; ``uid`` is None where the server does not tell it (no UIDPLUS)."""

    uidvalidity: int | None = None
    uid: int | None = None


class Lease(NamedTuple):
    """What a lock object says (FORMAT 10.1).

    :ivar path: what is locked.
    :ivar of: the id of the lock: the vid of its first message; later messages renew or end it.
    :ivar number: counts the messages of a lock, from 0.
    :ivar seconds: the length of the lease; 0 ends the lock, or claims nothing.
    :ivar holder: a name for people.
    :ivar over: locks that are over by the knowledge of its writer, and up to which number of theirs it knew them.
    :ivar validity: the UIDVALIDITY under which it was written: after a renumbering it is void.
    """

    path: str
    of: str
    number: int = 0
    seconds: int = 0
    holder: str = ""
    over: Mapping[str, int] = MappingProxyType({})
    validity: int = 0


class Version(NamedTuple):
    """The decoded metadata of one message: one version of one file (FORMAT 1).

    :ivar path: ``fn`` exactly as in the message; possibly one that we would refuse to write (FORMAT 11.1).
    :ivar vid: the version's identity; for a message of the reference its sealed id (FORMAT 2.1).
    :ivar sealed_id: 22 characters that name these sealed bytes (FORMAT 2.1).
    :ivar ours: one that a program of ours wrote (FORMAT 1.3); not so a message of the reference that was sealed anew.
    :ivar encrypted: the metadata is sealed.
    :ivar length: ``bytes``, the length of the body's content as sent; ``size`` is that of the whole file.
    :ivar modified: Unix time, from ``t`` or ``ts``.
    :ivar clock: for ours the version's place in history (FORMAT 3.1), for the reference the inherited one (1.3).
    :ivar parents: vids of the versions of the reference that it replaces.
    :ivar inherits: for the reference, the inherited ``vid``: the version it was started from.
    :ivar sha256: of the content; of a version of the reference only where it was sealed anew, bound (FORMAT 8.5).
    :ivar keep: how many versions the user wants kept (``keep``, else ``versions``).
    :ivar needs: words that a reader must understand to serve the content.
    :ivar chunks: the scheme of the manifest that the body is; 0: the body is the file itself (FORMAT 7.1).
    :ivar lock: the id of the lock under which it was written (FORMAT 10.2).
    :ivar lease: of a lock object.
    :ivar written: Unix time of the sealing, in whole seconds, from the token; ``modified`` when not encrypted.
    :ivar extra: all keys that are not of the format; they survive an overwrite.
    """

    path: str
    vid: str
    sealed_id: str
    ours: bool
    encrypted: bool
    length: int
    size: int
    modified: float
    writer: str = ""
    clock: Mapping[str, int] = MappingProxyType({})
    parents: tuple[str, ...] = ()
    inherits: str | None = None
    home: str | None = None
    sha256: str | None = None
    mode: int = 0o644
    mime: str | None = None
    directory: bool = False
    deleted: bool = False
    versions: int = 1
    keep: int = 1
    needs: tuple[str, ...] = ()
    chunks: int = 0
    understood: bool = True
    moved_from: str | None = None
    lock: str | None = None
    lease: Lease | None = None
    written: float = 0.0
    extra: Mapping[str, JSON] = MappingProxyType({})

    @property
    def bound(self) -> bool:
        """The header names the hash of the content (FORMAT 1.5)."""
        return self.sha256 is not None

    @property
    def chunked(self) -> bool:
        """The body is a manifest (FORMAT 7.1)."""
        return self.chunks > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a new version shall say; the envelope turns it into a message.

    :ivar path: canonical (``core.paths``), or a reserved one.
    :ivar clock: complete, the writer's own number included (FORMAT 3.1).
    :ivar size: of the whole file, where the content is its manifest; None: the content is the file (FORMAT 7.1).
    :ivar extra: unknown keys inherited from the version before.
    """

    path: str
    vid: str
    writer: str
    clock: Mapping[str, int]
    home: str
    modified: float
    parents: tuple[str, ...] = ()
    mode: int = 0o644
    mime: str | None = None
    directory: bool = False
    deleted: bool = False
    keep: int = 5
    moved_from: str | None = None
    lock: str | None = None
    lease: Lease | None = None
    size: int | None = None
    extra: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A message ready to be appended, and what is needed to recognise it on the server."""

    message: bytes
    sealed_id: str
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock on a path: an advisory lease of one device (FORMAT 10).

    :ivar path: without a leading slash (JSON shows it with one).
    :ivar id: names this lock among all.
    :ivar holder: a name for people; ``writer`` is the device in the folder's history.
    :ivar mine: this device holds it.
    :ivar seconds: how long it lasts after its last renewal.
    :ivar renewed: when the mail server received the last renewal, by its clock, in Unix time; None when not known.
    """

    path: str
    id: str
    holder: str = ""
    writer: str = ""
    mine: bool = False
    seconds: int = 0
    renewed: float | None = None

    def to_json(self) -> dict[str, JSON]:
        """The object that HTTP and ``--json`` give."""
        return {
            "path": "/" + self.path,
            "id": self.id,
            "holder": self.holder,
            "writer": self.writer,
            "mine": self.mine,
            "seconds": self.seconds,
            "renewed": None if self.renewed is None else timestamp(self.renewed),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Lock:
        """The inverse of :meth:`to_json`; unknown keys are ignored."""
        renewed = value["renewed"]
        return cls(
            path=value["path"].removeprefix("/"),
            id=value["id"],
            holder=value["holder"],
            writer=value["writer"],
            mine=value["mine"],
            seconds=value["seconds"],
            renewed=None if renewed is None else datetime.fromisoformat(renewed).timestamp(),
        )

    @property
    def who(self) -> str:
        """Who holds it, in words that fit into a sentence."""
        if self.holder:
            return self.holder
        return "this device" if self.mine else f"the device {self.writer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file, directory or version as every front end shows it (DESIGN 4.5).

    :ivar path: without a leading slash (JSON shows it with one).
    :ivar version: the version id; empty for a directory without a marker.
    :ivar parents: the newest known versions that it descends from.
    :ivar versions: how many versions are there at present; ``keep`` how many are wanted.
    :ivar locked: the lock that holds on the path, as far as is known.
    :ivar missing: its message is gone from the server and nobody is known to have removed it (FORMAT 5.5).
    :ivar pending: it was accepted, and is not on the server yet.
    :ivar doubtful: nobody should rely on it: its message could not be used when it was read last, or another version
        was there first, and the writer of this one may take it back yet (FORMAT 4.4).
    """

    path: str
    type: str = "file"
    size: int = 0
    modified: float = 0.0
    version: str = ""
    parents: tuple[str, ...] = ()
    versions: int = 1
    keep: int = 5
    deleted: bool = False
    mode: int = 0o644
    mime: str | None = None
    writer: str = ""
    conflict: bool = False
    locked: Lock | None = None
    bound: bool = True
    missing: bool = False
    sha256: str | None = None
    pending: bool = False
    doubtful: bool = False

    def to_json(self) -> dict[str, JSON]:
        """The object of DESIGN 4.5."""
        return {
            "path": "/" + self.path,
            "type": self.type,
            "size": self.size,
            "modified": timestamp(self.modified),
            "version": self.version,
            "parents": list(self.parents),
            "versions": self.versions,
            "keep": self.keep,
            "deleted": self.deleted,
            "mode": self.mode,
            "mime": self.mime,
            "writer": self.writer,
            "conflict": self.conflict,
            "locked": None if self.locked is None else self.locked.to_json(),
            "bound": self.bound,
            "missing": self.missing,
            "sha256": self.sha256,
            "pending": self.pending,
            "doubtful": self.doubtful,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Entry:
        """The inverse of :meth:`to_json`; unknown keys are ignored."""
        return cls(
            path=value["path"].removeprefix("/"),
            type=value["type"],
            size=value["size"],
            modified=datetime.fromisoformat(value["modified"]).timestamp(),
            version=value["version"],
            parents=tuple(value["parents"]),
            versions=value["versions"],
            keep=value["keep"],
            deleted=value["deleted"],
            mode=value["mode"],
            mime=value["mime"],
            writer=value["writer"],
            conflict=value["conflict"],
            locked=None if value["locked"] is None else Lock.from_json(value["locked"]),
            bound=value["bound"],
            missing=value.get("missing", False),
            sha256=value.get("sha256"),
            pending=value.get("pending", False),
            doubtful=value.get("doubtful", False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A file's entry and its content."""

    entry: Entry
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that a person should know: a stable code, a sentence, and the path it is about."""

    code: str
    text: str
    path: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """The object of DESIGN 4.5; the path with its leading slash."""
        return {"code": self.code, "text": self.text, "path": None if self.path is None else "/" + self.path}


class Checked(NamedTuple):
    """What the checks found that a device makes of a folder by itself, a share of the contents after the other.

    :ivar time: when the last one ended, in Unix time; None for never.
    :ivar damaged: how many of its findings were damage.
    :ivar read: how many percent of the contents were read since all of them were, from 0 to below 100.
    :ivar whole: when all of them had been read, in Unix time; None for never.
    """

    time: float | None = None
    damaged: int = 0
    read: float = 0.0
    whole: float | None = None

    def to_json(self) -> dict[str, JSON]:
        """A JSON object."""
        return {
            "time": None if self.time is None else timestamp(self.time),
            "damaged": self.damaged,
            "read": round(self.read, 3),
            "whole": None if self.whole is None else timestamp(self.whole),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a filesystem (DESIGN 4.5).

    :ivar state: ``connected``, ``connecting``, ``offline``: it is tried again, or ``stopped``: not before a person
        mends what the warnings tell.
    :ivar pending: writes accepted that are not yet known to be durable; ``failing``: those that were tried in vain.
    :ivar locks: paths on which a lock holds, as far as is known.
    :ivar damaged: messages of this folder that cannot be used, as far as they were read; ``foreign``: mail of
        somebody else; ``other_dialect``: messages of the other dialect.
    :ivar damage: how many of the damaged have which error, by its code.
    :ivar key: how this device keeps the key: ``wrapped`` under a passphrase, ``clear``, or ``none`` for not at all.
    :ivar last_refresh: Unix time, or None.
    :ivar checked: what the checks found that a node makes by itself.
    """

    state: str
    account: str
    folder: str
    dialect: str | None
    pending: int = 0
    failing: int = 0
    conflicts: int = 0
    locks: int = 0
    damaged: int = 0
    damage: Mapping[str, int] = field(default_factory=dict)
    foreign: int = 0
    other_dialect: int = 0
    key: str = "none"
    warnings: tuple[Notice, ...] = ()
    last_refresh: float | None = None
    checked: Checked = field(default_factory=Checked)

    def to_json(self) -> dict[str, JSON]:
        """The object of DESIGN 4.5."""
        return {
            "state": self.state,
            "account": self.account,
            "folder": self.folder,
            "dialect": self.dialect,
            "pending": self.pending,
            "failing": self.failing,
            "conflicts": self.conflicts,
            "locks": self.locks,
            "damaged": self.damaged,
            "damage": dict(self.damage),
            "foreign": self.foreign,
            "other_dialect": self.other_dialect,
            "key": self.key,
            "warnings": [warning.to_json() for warning in self.warnings],
            "last_refresh": None if self.last_refresh is None else timestamp(self.last_refresh),
            "checked": self.checked.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One notice to a watcher (DESIGN 4.3).

    :ivar kind: ``changed``, ``removed``, ``conflict``, ``vanished``, ``lock``, ``job``, ``connection``, ``pending`` or
        ``renewed``.
    :ivar entry: what it is about, for the first five.
    :ivar detail: a JSON object for the others.
    """

    kind: str
    entry: Entry | None = None
    detail: Mapping[str, JSON] = field(default_factory=dict)

    def to_json(self) -> dict[str, JSON]:
        """The ``data`` of a server-sent event."""
        return self.entry.to_json() if self.entry is not None else dict(self.detail)


def timestamp(unix: float) -> str:
    """Unix time as ISO 8601 in UTC with microseconds, as DESIGN 4.5 shows it; bounded to what a date can hold."""
    bounded = min(max(unix, -62135596800.0), 253402300799.0)
    return datetime.fromtimestamp(bounded, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
