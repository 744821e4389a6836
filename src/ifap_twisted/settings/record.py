"""The settings of one node as a frozen value, however they were given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ifap_twisted.accounts import EMBEDDED, Account
from ifap_twisted.basedir import expanded
from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings
from ifap_twisted.settings.registry import KEYS

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a node is told to do (DESIGN 4.6); never a secret.

    Values are checked however the object is made. None means: ``dialect``: the one that the folder has;
    ``limits_commands_per_second`` and the daily bytes: no limit; ``embedded_listen``: the UNIX socket alone;
    ``collect_every``: never.

    :ivar max_file_size: in bytes, as are ``chunk_threshold`` and the daily limits.
    :ivar retention_within: in seconds, as are ``retention_grace`` and ``collect_every``.
    :ivar check_share_per_day: in percent.
    :ivar basedir: None keeps nothing on the disk.
    :ivar sources: where each value came from, by the name of the setting: ``default``, ``file``, ``environment`` or
        ``option``.
    :raises BadSettings: a value is not what is wanted.
    """

    account: Account = EMBEDDED
    folder: str = "IFAP_DATA"
    dialect: str | None = None
    control: str = "tcp:4327:interface=127.0.0.1"
    encryption: str = "required"
    embedded_listen: str | None = None
    compat: bool = False
    require_bound: bool = False
    expunge: str = "uid"
    max_file_size: int = limits.MAX_FILE_SIZE
    chunk_threshold: int = limits.CHUNK_THRESHOLD
    retention_keep: int = limits.WIRE_VERSIONS
    retention_within: int = 0
    retention_daily: int = 0
    retention_weekly: int = 0
    retention_monthly: int = 0
    retention_grace: int = int(limits.GRACE_SECONDS)
    collect_every: int | None = limits.COLLECT_SECONDS
    check_share_per_day: float = limits.CHECKED_PER_DAY
    limits_connections: int = limits.CONNECTIONS
    limits_commands_per_second: float | None = None
    limits_upload_per_day: int | None = None
    limits_download_per_day: int | None = None
    log_level: str = "info"
    password_file: Path | None = None
    password_command: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    passphrase_file: Path | None = None
    keyring: bool = False
    ca_file: Path | None = None
    basedir: Path | None = None
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for key in KEYS.values():
            value = key.value(getattr(self, key.attribute), "given to Settings", Path.cwd())
            object.__setattr__(self, key.attribute, value)
        if self.password_file is not None and self.password_command is not None:
            raise BadSettings("password_file and password_command exclude each other: give one of them.")
        if self.basedir is not None:
            object.__setattr__(self, "basedir", expanded(self.basedir))
        given = {key.name: "option" for key in KEYS.values() if getattr(self, key.attribute) != key.default}
        sources = {**dict.fromkeys(KEYS, "default"), **given, **self.sources}
        object.__setattr__(self, "sources", MappingProxyType(sources))

    @property
    def largest_file(self) -> int:
        """So many bytes a file may have."""
        return limits.CHUNKED_SIZE if self.chunk_threshold else self.max_file_size

    def is_given(self, name: str) -> bool:
        """Whether somebody chose the value of a setting, even if it is the default."""
        return self.sources[name] != "default"

    def rows(self) -> list[tuple[str, str | None, str]]:
        """Name, text and source of every setting, as ``ifap info --settings`` shows them."""
        values = [(key, getattr(self, key.attribute)) for key in KEYS.values()]
        return [(key.name, None if one is None else key.show(one), self.sources[key.name]) for key, one in values]
