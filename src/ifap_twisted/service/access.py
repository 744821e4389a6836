"""What somebody opens a folder with; what is None was not given, and what the basedir remembers counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from ifap_twisted.keyrings import Keyring
from ifap_twisted.secrecy import Credentials, Secret
from ifap_twisted.service.shelves import Means


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Means and secrets.

    :ivar credentials: those of the account.
    :ivar key: the folder's key string.
    :ivar passphrase: for the wrapped keys of the basedir, and where none are kept for the key slots of the folder;
        without one that of the setting ``passphrase_file``, then that of the keyring.
    :ivar recovery_code: for the key slots of the folder, as it was typed.
    :ivar joining: somebody logs in: what is given counts, whatever is remembered.
    :ivar make_key: make a key when the folder is empty (FORMAT 8.2).
    :ivar means: how to reach the account otherwise than by its URL.
    :ivar keyring: has the passphrase for the wrapped keys, and is given a new one; None is not used.
    """

    credentials: Credentials | None = None
    key: Secret | None = None
    passphrase: Secret | None = None
    recovery_code: Secret | None = None
    joining: bool = False
    make_key: bool = False
    means: Means = field(default_factory=Means)
    keyring: Keyring | None = None
