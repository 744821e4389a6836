"""The way to a node: its UNIX socket, after a look at whom it belongs to.

A socket that somebody else could have put there is never spoken to: the token would be told to him.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from ifap_twisted.core import limits
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import Forbidden, Unavailable

LONGEST_ADDRESS: Final = 107
"""Bytes of a path that fit into ``sun_path`` of Linux, without the NUL."""


def check_owner(path: str, user: int | None = None) -> None:
    """Refuse a socket that is not ours, or lies in a directory that others may write to.

    :param user: the number of the user that it has to belong to; by default the one that runs this.
    :raises Unavailable: there is no socket. :raises Forbidden: it is not ours.
    """
    directory = os.path.dirname(path) or "."  # noqa: PTH120 -- may go through a descriptor, kept as it is
    try:
        socket, above = os.lstat(path), os.stat(directory)  # noqa: PTH116 -- as above
    except FileNotFoundError:
        raise Unavailable("The node does not run: there is no control socket.") from None
    except PermissionError:
        raise Forbidden("The directory of the control socket belongs to somebody else.") from None
    if not stat.S_ISSOCK(socket.st_mode):
        raise Forbidden("The control socket is not a socket.")
    wanted = os.geteuid() if user is None else user
    if socket.st_uid != wanted or above.st_uid != wanted:
        raise Forbidden("The control socket or its directory belongs to somebody else.")
    if above.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Forbidden("Others may write to the directory of the control socket.")


@implementer(IStreamClientEndpoint)
class SocketEndpoint:
    """Connects to the control socket of a node, checked each time; its path may be of any length."""

    def __init__(self, reactor: Any, path: str | os.PathLike[str]) -> None:
        self._reactor = reactor
        self._path = os.fspath(path)

    @deferred
    async def connect(self, protocolFactory: IProtocolFactory) -> IProtocol:
        """Connect.

        :raises Unavailable, Forbidden: as :func:`check_owner`.
        """
        check_owner(self._path)
        if len(os.fsencode(self._path)) <= LONGEST_ADDRESS:
            return await self._connect(self._path, protocolFactory)
        directory, name = os.path.split(self._path)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return await self._connect(f"/proc/self/fd/{descriptor}/{name}", protocolFactory)
        finally:
            os.close(descriptor)

    def _connect(self, path: str, factory: IProtocolFactory) -> Deferred[IProtocol]:
        endpoint: Any = UNIXClientEndpoint(self._reactor, path, timeout=int(limits.CONNECT_SECONDS))  # type: ignore[no-untyped-call]
        connecting: Deferred[IProtocol] = endpoint.connect(factory)
        return connecting
