"""The passphrase in the keyring of the system, where the user asks for it (setting ``keyring``, extra ``keyring``).

A keyring may wait for a person who unlocks it, or for a program that does not answer: everything here blocks, for a
bounded time, so call it in a worker. What it says, and what it is told, is never logged or repeated. Keyrings that hide
nothing are not used.
"""

from __future__ import annotations

import os.path
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings, PassphraseRequired
from ifap_twisted.secrecy import Secret
from ifap_twisted.settings import Settings

__all__ = ["SERVICE", "Backend", "Keyring", "keyring_of"]

T = TypeVar("T")
SERVICE: Final = "ifap-twisted"
"""Under which all entries of ours are found in a keyring."""
PROTECTS: Final = 1
"""The least priority of what the package keyring recommends: backends below keep secrets in the open, or not at all."""


class Backend(Protocol):
    """What is used of the package keyring; ``keyring.get_keyring()`` gives one."""

    def get_password(self, service: str, username: str) -> str | None:
        """The secret of an entry, or None."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Make or replace an entry."""

    def delete_password(self, service: str, username: str) -> None:
        """Remove an entry."""


class Keyring:
    """The entry for the passphrase of one folder and basedir.

    :param backend: None is the one of the system, which the package keyring chooses.
    :param seconds: how long it is waited for.
    """

    def __init__(
        self, settings: Settings, backend: Backend | None = None, *, seconds: float = limits.KEYRING_SECONDS
    ) -> None:
        place = "" if settings.basedir is None else f" in {os.path.realpath(settings.basedir)}"
        self._name = f"{settings.account.key} {settings.folder}{place}"
        self._backend = backend
        self._seconds = seconds

    def require(self) -> None:
        """See that there is a keyring to be used.

        :raises BadSettings: the extra is not installed, or what is configured protects nothing.
        """
        package = None if self._backend is not None else _package()
        try:
            if package is not None:
                self._backend = self._ask(lambda _none: package.get_keyring())
            priority = self._ask(lambda backend: getattr(backend, "priority", PROTECTS))
        except _Failed as error:
            raise BadSettings(f"The keyring of this system cannot be used ({error}).") from None
        if priority < PROTECTS:
            kind = type(self._backend).__module__
            raise BadSettings(
                f"There is no keyring on this system that protects what it keeps (only {kind}): set one up (`keyring "
                "diagnose` tells where), or set keyring = false."
            )

    def find(self) -> Secret | None:
        """The passphrase, or None when none is kept.

        :raises PassphraseRequired: the keyring cannot be asked now.
        :raises BadSettings: as :meth:`require`.
        """
        self.require()
        try:
            found = self._ask(lambda backend: backend.get_password(SERVICE, self._name))
        except _Failed as error:
            raise PassphraseRequired(f"The keyring did not give the passphrase ({error}): is it unlocked?") from None
        return Secret(found) if isinstance(found, str) and found else None

    def keep(self, passphrase: Secret) -> None:
        """Keep a passphrase, in the place of what was kept, and see that it was.

        :raises BadSettings: it was not kept.
        """
        self.require()
        try:
            self._ask(lambda backend: backend.set_password(SERVICE, self._name, passphrase.reveal()))
            kept = self._ask(lambda backend: backend.get_password(SERVICE, self._name))
        except _Failed as error:
            raise BadSettings(f"The keyring did not keep the passphrase ({error}): is it unlocked?") from None
        if kept != passphrase.reveal():
            raise BadSettings("The keyring did not keep the passphrase as it was given: set keyring = false.")

    def forget(self) -> bool:
        """Remove what is kept; False when there was nothing.

        :raises BadSettings: it was not removed.
        """
        self.require()
        try:
            if self._ask(lambda backend: backend.get_password(SERVICE, self._name)) is None:
                return False
            self._ask(lambda backend: backend.delete_password(SERVICE, self._name))
        except _Failed as error:
            raise BadSettings(f"The keyring did not remove the passphrase ({error}): is it unlocked?") from None
        return True

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Ask in a thread that is left to itself when it takes too long: it keeps no process from ending.

        :raises _Failed: told by kind only, because the words of a backend could hold what it was told.
        """
        answers: list[T] = []
        failures: list[str] = []

        def asked() -> None:
            try:
                answers.append(question(self._backend))
            except Exception as error:  # noqa: BLE001 -- backends raise what the system raises
                failures.append(type(error).__name__)

        thread = threading.Thread(target=asked, name="ifap-keyring", daemon=True)
        thread.start()
        thread.join(self._seconds)
        if answers:
            return answers[0]
        raise _Failed(failures[0] if failures else f"no answer within {self._seconds:g} seconds")


class _Failed(Exception):
    """The keyring did not do what it was asked for."""


def keyring_of(settings: Settings, backend: Backend | None = None) -> Keyring | None:
    """The keyring, if it is to be used."""
    return Keyring(settings, backend) if settings.keyring else None


def _package() -> Any:
    try:
        import keyring  # noqa: PLC0415 -- an extra, which only those need who ask for it
    except ImportError:
        raise BadSettings(
            "The setting keyring needs a package that is not installed: pip install 'ifap-twisted[keyring]', or set "
            "keyring = false."
        ) from None
    return keyring
