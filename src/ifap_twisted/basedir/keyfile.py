"""The keys of folders: ``key.json`` (FORMAT 8.3).

An entry per account and folder, only ever added to: a key that is replaced moves to the entry's earlier keys, and only
:meth:`KeyFile.forget` drops an entry. Keys are kept here, never made, judged or used. Everything here blocks: call it
at start, or in a worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType, NoneType
from typing import Any, Final

from ifap_twisted.accounts import Account
from ifap_twisted.basedir.basedir import Basedir
from ifap_twisted.basedir.versioned import Upgrades, read_versioned, write_versioned
from ifap_twisted.basedir.wrapping import Wrapping
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import BadSettings, Malformed, WrongKey
from ifap_twisted.secrecy import Secret

__all__ = ["KeyEntry", "KeyFile"]

NAME: Final = "key.json"
CLEAR_FORMAT: Final = 1
FORMAT: Final = 2
"""Of a file in which keys are wrapped; one without is written as before, and no copy of clear keys is ever made."""
UPGRADES: Final[Upgrades] = {CLEAR_FORMAT: lambda content: content}
TEXTS: Final = ("key", "home", "dialect", "key_id", "fingerprint")
WRAPPED: Final = ("wrapped", "earlier_wrapped", "generation")
OWN_NAMES: Final = frozenset({"account", "folder", "encryption", "earlier_keys", *WRAPPED, *TEXTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """What is known of the key of one folder.

    :ivar account: ``Account.key``.
    :ivar key: the data key as the text that the reference takes, or None where encryption is off.
    :ivar earlier_keys: those that were replaced, oldest first.
    :ivar wrapped: both under a passphrase, in their place (FORMAT 8.4); ``earlier_wrapped``: under a passphrase that
        was not known when others were stored: nothing of it is thrown away.
    :ivar home: of the folder object (FORMAT 8.2).
    :ivar dialect: ``ifap`` or ``mailfile``, once decided (FORMAT 8.6).
    :ivar encryption: ``required`` or ``off``.
    :ivar generation: the greatest of the keys that was seen (FORMAT 8.4), or None.
    :ivar key_id: names the key in the journal; ``fingerprint`` is for people.
    :ivar extra: fields of other versions of this program; they survive.
    """

    account: str
    folder: str
    key: Secret | None = None
    earlier_keys: tuple[Secret, ...] = ()
    wrapped: Mapping[str, JSON] | None = field(default=None, repr=False)
    earlier_wrapped: tuple[Mapping[str, JSON], ...] = field(default=(), repr=False)
    home: str | None = None
    dialect: str | None = None
    encryption: str = "required"
    key_id: str | None = None
    fingerprint: str | None = None
    generation: int | None = None
    extra: Mapping[str, JSON] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> dict[str, JSON]:
        """The object in the file; the one place where a key is written out."""
        known: dict[str, JSON] = {
            "account": self.account,
            "folder": self.folder,
            "encryption": self.encryption,
            "key": None if self.key is None else self.key.reveal(),
            "earlier_keys": [key.reveal() for key in self.earlier_keys],
            "wrapped": self.wrapped,
            "earlier_wrapped": list(self.earlier_wrapped),
            "home": self.home,
            "dialect": self.dialect,
            "key_id": self.key_id,
            "fingerprint": self.fingerprint,
            "generation": self.generation,
        }
        return {**self.extra, **{name: value for name, value in known.items() if value not in (None, [])}}

    @classmethod
    def from_json(cls, value: JSON) -> KeyEntry:
        """The inverse of :meth:`to_json`.

        :raises ValueError: it is no entry; the text shows nothing of it.
        """
        if not isinstance(value, dict):
            raise ValueError("an entry is not an object")  # noqa: TRY004 -- told as one fault of the file
        fields: dict[str, Any] = {name: _text(value.get(name), optional=True) for name in TEXTS}
        key = fields.pop("key")
        earlier, wrapped = value.get("earlier_keys", []), value.get("wrapped")
        generation = value.get("generation")
        if generation is not None and (type(generation) is not int or generation < 1):
            raise ValueError("an entry is malformed")
        before = value.get("earlier_wrapped", [])
        if not (isinstance(wrapped, (dict, NoneType)) and isinstance(before, list) and isinstance(earlier, list)):
            raise ValueError("an entry is malformed")  # noqa: TRY004 -- told as one fault of the file
        if value.get("encryption", "required") not in ("required", "off"):
            raise ValueError("an entry is malformed")
        return cls(
            account=_text(value.get("account")),
            folder=_text(value.get("folder")),
            key=None if key is None else Secret(key),
            earlier_keys=tuple(Secret(_text(one)) for one in earlier),
            wrapped=wrapped,
            generation=generation,
            earlier_wrapped=tuple(before),
            encryption=value.get("encryption", "required"),
            extra={name: one for name, one in value.items() if name not in OWN_NAMES},
            **fields,
        )


def _text(value: JSON, *, optional: bool = False) -> Any:
    if (value is None and optional) or (isinstance(value, str) and value):
        return value
    raise ValueError("an entry is malformed")


class KeyFile:
    """``key.json`` of a basedir; changed only by the process that holds the basedir."""

    def __init__(self, basedir: Basedir) -> None:
        self._basedir = basedir
        self._files = basedir.files

    def entries(self) -> tuple[KeyEntry, ...]:
        """All entries, in the order in which they were made.

        :raises BadSettings, NewerVersionNeeded: the file is damaged or of a newer version.
        """
        return self._read()[1]

    def find(self, account: Account, folder: str) -> KeyEntry | None:
        """The entry of one folder, or None."""
        return next((entry for entry in self.entries() if _names(entry, account.key, folder)), None)

    def store(self, entry: KeyEntry, wrapping: Wrapping | None = None, former: Wrapping | None = None) -> KeyEntry:
        """Add or update the entry of a folder, durably; gives what is in the file then.

        What the new entry leaves open keeps its value, and a key that it replaces is kept among the earlier ones. Keys
        that are wrapped and that nobody opens here are kept as they are.

        :param wrapping: the keys are written under its passphrase; those of before have to open with it, or stay
            beside. None: they are written in the clear.
        :param former: with which they open now, when the passphrase is to be another one.
        """
        with self._files.changing:
            content, entries = self._read()
            old = next((one for one in entries if _names(one, entry.account, entry.folder)), None)
            new = KeyEntry.from_json(_updated(old, entry, wrapping, former).to_json())  # as it will be read
            if new == old:  # it is on the disk, which may be full
                return new
            others = [one for one in entries if one is not old]
            self._write(content, [*others, new] if old is None else [new if one is old else one for one in entries])
        return new

    def forget(self, account: Account, folder: str) -> bool:
        """Drop the entry of a folder with all its keys, durably; False when there is none. Nothing else drops one."""
        with self._files.changing:
            content, entries = self._read()
            kept = [entry for entry in entries if not _names(entry, account.key, folder)]
            if len(kept) == len(entries):
                return False
            self._write(content, kept)
        return True

    def _read(self) -> tuple[dict[str, JSON], tuple[KeyEntry, ...]]:
        content = read_versioned(self._files, NAME, FORMAT, UPGRADES, store=False) or {}
        entries = content.get("entries", [])
        fault = BadSettings(f"{self._files.path / NAME} is damaged: put a good copy of it back.")
        if not isinstance(entries, list):
            raise fault
        try:
            return content, tuple(KeyEntry.from_json(entry) for entry in entries)
        except ValueError as error:
            raise fault from error

    def _write(self, content: dict[str, JSON], entries: list[KeyEntry]) -> None:
        self._basedir.require_hold()
        content = {**content, "entries": [entry.to_json() for entry in entries]}
        wrapped = any(entry.wrapped is not None or entry.earlier_wrapped for entry in entries)
        write_versioned(self._files, NAME, content, FORMAT if wrapped else CLEAR_FORMAT)


def _names(entry: KeyEntry, account: str, folder: str) -> bool:
    return (entry.account, entry.folder) == (account, folder)


def _updated(old: KeyEntry | None, entry: KeyEntry, wrapping: Wrapping | None, former: Wrapping | None) -> KeyEntry:
    """The entry as it is to be written."""
    before = None if old is None else _opened(old, former or wrapping, replaced=entry.key is not None)
    before = before if before is None or wrapping is None else _cleared(before, wrapping)
    new = entry if before is None else _merged(before, entry)
    if wrapping is None or new.key is None:
        return new
    keys = (new.key, *reversed(new.earlier_keys))
    kept = None if old is None or former is not None else old.wrapped
    if kept is None or before is None or keys != _keys(before):
        kept = wrapping.wrap(keys)
    return replace(new, key=None, earlier_keys=(), wrapped=kept)


def _opened(old: KeyEntry, wrapping: Wrapping | None, *, replaced: bool) -> KeyEntry:
    """An entry with its keys in the clear; what does not open is kept beside when other keys take its place."""
    if old.wrapped is None:
        return old
    try:
        keys = () if wrapping is None else wrapping.open(old.wrapped)
    except (WrongKey, Malformed):
        keys = ()
    if keys:
        return replace(old, key=keys[0], earlier_keys=tuple(reversed(keys[1:])), wrapped=None)
    if not replaced:
        return old
    return replace(old, wrapped=None, earlier_wrapped=(*old.earlier_wrapped, old.wrapped))


def _cleared(entry: KeyEntry, wrapping: Wrapping) -> KeyEntry:
    """What was kept beside and opens now goes in among the earlier keys: it is wrapped with them from then on."""
    kept, keys = [], list(entry.earlier_keys)
    for wrapped in entry.earlier_wrapped:
        try:
            keys += [key for key in wrapping.open(wrapped) if key not in (entry.key, *keys)]
        except (WrongKey, Malformed):
            kept.append(wrapped)
    return replace(entry, earlier_keys=tuple(keys), earlier_wrapped=tuple(kept))


def _keys(entry: KeyEntry) -> tuple[Secret, ...]:
    """Of an entry in the clear, the newest first."""
    return () if entry.key is None else (entry.key, *reversed(entry.earlier_keys))


def _merged(old: KeyEntry, new: KeyEntry) -> KeyEntry:
    key = old.key if new.key is None else new.key
    earlier = [*old.earlier_keys, *new.earlier_keys, *([] if old.key is None else [old.key])]
    same_key = key == old.key
    return KeyEntry(
        account=new.account,
        folder=new.folder,
        key=key,
        earlier_keys=tuple(dict.fromkeys(one for one in earlier if one != key)),
        wrapped=old.wrapped,
        earlier_wrapped=old.earlier_wrapped,
        generation=max(old.generation or 0, new.generation or 0) or None,
        home=new.home or old.home,
        dialect=new.dialect or old.dialect,
        encryption=new.encryption,
        key_id=new.key_id or (old.key_id if same_key else None),
        fingerprint=new.fingerprint or (old.fingerprint if same_key else None),
        extra={**old.extra, **new.extra},
    )
