"""The passwords of accounts: ``account.json``.

``login`` stores a password here, ``logout`` forgets it; the embedded account's user and password are made here once.
Everything here blocks: call it at start, or in a worker.
"""

from __future__ import annotations

import base64
from typing import Final

from ifap_twisted.accounts import Account
from ifap_twisted.basedir.basedir import Basedir, Random
from ifap_twisted.basedir.versioned import Upgrades, read_versioned, write_versioned
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import BadSettings
from ifap_twisted.secrecy import Credentials, Secret

__all__ = ["PasswordFile"]

NAME: Final = "account.json"
FORMAT: Final = 1
UPGRADES: Final[Upgrades] = {}
EMBEDDED_USER: Final = "ifap"
EMBEDDED_PASSWORD_BYTES: Final = 32


class PasswordFile:
    """``account.json`` of a basedir; changed only by the process that holds the basedir."""

    def __init__(self, basedir: Basedir) -> None:
        self._basedir = basedir
        self._files = basedir.files

    def password(self, account: Account) -> Secret | None:
        """The stored password of an account, or None.

        :raises BadSettings, NewerVersionNeeded: the file is damaged or of a newer version.
        """
        entry = self._read()["accounts"].get(account.key)
        return None if entry is None else Secret(self._text(entry, "password"))

    def store_password(self, account: Account, password: Secret) -> None:
        """Keep the password of an account, durably."""
        with self._files.changing:
            content = self._read()
            entry = content["accounts"].get(account.key, {})
            content["accounts"][account.key] = {**entry, "password": password.reveal()}
            self._write(content)

    def forget_password(self, account: Account) -> bool:
        """Drop the password of an account, durably; False when there is none."""
        with self._files.changing:
            content = self._read()
            if content["accounts"].pop(account.key, None) is None:
                return False
            self._write(content)
        return True

    def embedded(self) -> Credentials | None:
        """What the embedded account is opened with; None before its first start."""
        entry = self._read().get("embedded")
        if entry is None:
            return None
        return Credentials(self._text(entry, "user"), Secret(self._text(entry, "password")))

    def make_embedded(self, random: Random) -> Credentials:
        """What the embedded account is opened with; its password (256 bits) is made when there is none, durably."""
        with self._files.changing:
            found = self.embedded()
            if found is not None:
                return found
            password = base64.urlsafe_b64encode(random(EMBEDDED_PASSWORD_BYTES)).rstrip(b"=").decode("ascii")
            self._write({**self._read(), "embedded": {"user": EMBEDDED_USER, "password": password}})
        return Credentials(EMBEDDED_USER, Secret(password))

    def _read(self) -> dict[str, JSON]:
        content = read_versioned(self._files, NAME, FORMAT, UPGRADES, store=self._basedir.holds) or {}
        accounts = content.setdefault("accounts", {})
        if not isinstance(accounts, dict) or not all(isinstance(entry, dict) for entry in accounts.values()):
            raise self._damaged()
        return content

    def _write(self, content: dict[str, JSON]) -> None:
        self._basedir.require_hold()
        write_versioned(self._files, NAME, content, FORMAT)

    def _text(self, entry: JSON, name: str) -> str:
        value = entry.get(name) if isinstance(entry, dict) else None
        if not isinstance(value, str) or not value:
            raise self._damaged()
        return value

    def _damaged(self) -> BadSettings:
        return BadSettings(f"{self._files.path / NAME} is damaged: move it away and run `ifap login` again.")
