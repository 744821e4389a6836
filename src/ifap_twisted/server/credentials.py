"""Logging in: passwords kept as scrypt verifiers, and the twisted.cred portal to accounts."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from collections.abc import Callable

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm
from zope.interface import Interface, implementer

from ifap_twisted.deferreds import deferred
from ifap_twisted.server import storage
from ifap_twisted.server.account import Account, Shelf
from ifap_twisted.server.interfaces import IMailAccount
from ifap_twisted.workers import Worker

__all__ = ["AccountRealm", "PasswordChecker", "make_verifier", "verify"]

_COST = (14, 8, 1)
"""log2 N, r and p of scrypt: 16 MiB and about 50 ms."""
_NOBODY = "scrypt$14$8$1$" + "$".join(b64encode(bytes(size)).decode() for size in (16, 32))
"""Compared with when there is no such user, so that the time tells nothing."""


def make_verifier(password: bytes, cost: tuple[int, int, int] = _COST) -> str:
    """What is kept of a password; takes about 50 ms, so it belongs into a worker."""
    salt = os.urandom(16)
    parts = (b64encode(salt), b64encode(_scrypt(password, salt, *cost)))
    return "$".join(("scrypt", *map(str, cost), *(part.decode() for part in parts)))


def verify(password: bytes, verifier: str) -> bool:
    """Whether it is the password, in constant time; takes about 50 ms."""
    kind, log2n, r, p, salt, digest = verifier.split("$")
    assert kind == "scrypt"
    return hmac.compare_digest(_scrypt(password, b64decode(salt), int(log2n), int(r), int(p)), b64decode(digest))


def _scrypt(password: bytes, salt: bytes, log2n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=2**log2n, r=r, p=p, maxmem=64 * 1024 * 1024, dklen=32)


@implementer(ICredentialsChecker)
class PasswordChecker:
    """Compares passwords; the avatar id is the user's name.

    :param worker: where the hashing is done, apart from the database's.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, shelf: Shelf, worker: Worker) -> None:
        self._shelf = shelf
        self._worker = worker

    @deferred
    async def requestAvatarId(self, credentials: UsernamePassword) -> bytes | tuple[()]:
        """The name again.

        :raises UnauthorizedLogin: name or password are wrong.
        """
        name: bytes = credentials.username
        password: bytes = credentials.password
        verifier = None
        with contextlib.suppress(UnicodeDecodeError):
            verifier = await self._shelf.database.run(storage.verifier_of, name.decode("utf-8"))
        right = await self._worker(lambda: verify(password, verifier or _NOBODY))
        if verifier is None or not right:
            raise UnauthorizedLogin
        return name


@implementer(IRealm)
class AccountRealm:
    """Gives the account to the user who has logged in."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @deferred
    async def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], object, Callable[[], None]]:
        """The account; nothing has to be done at logout."""
        del mind
        if IMailAccount not in interfaces or not isinstance(avatarId, bytes):
            raise NotImplementedError
        user = await self._shelf.database.run(storage.user_id, avatarId.decode("utf-8"))
        return IMailAccount, Account(self._shelf, user), lambda: None
