"""Who may come in: the right token, under our own name, and from no other web site (DESIGN 4.3).

A page in a browser of the same machine is the attacker: simple cross-site requests, DNS rebinding, guesses. There are
no cookies and no CORS headers. The gate does not know what is behind it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection
from ipaddress import ip_address
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from ifap_twisted.errors import Forbidden, Unauthorised

_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_SOCKET_HOSTS: Final = frozenset({"localhost", "ifap"})
_DEFAULT_PORTS: Final = {False: 80, True: 443}


class Gate:
    """Admits requests or raises.

    :param token: the bearer token; compared in constant time.
    :param hosts: further values of ``Host`` that are ours, ``name`` (with any port) or ``name:port``.
    """

    def __init__(self, token: str, hosts: Collection[str] = ()) -> None:
        if not token:
            raise ValueError("a control resource without a token would be open to everybody")
        self._token = token.encode("ascii")
        self._hosts = frozenset(host.lower() for host in hosts)

    def admit(self, request: Any, *, with_token: bool = True) -> None:
        """Let a request in.

        :raises Forbidden: it came under a foreign name, or from a foreign web site.
        :raises Unauthorised: the token is missing or wrong.
        """
        hosts = header_values(request, b"Host")
        if len(hosts) != 1 or not self._ours(hosts[0], request):
            raise Forbidden("This node is not known under the name in the Host header.")
        for origin in header_values(request, b"Origin"):
            scheme, _, authority = origin.partition("://")
            if scheme not in {"http", "https"} or not self._ours(authority, request):
                raise Forbidden("Other web sites may not use this node.")
        if with_token:
            self._check_token(header_values(request, b"Authorization"))

    def _ours(self, authority: str, request: Any) -> bool:
        match = _HOST.fullmatch(authority)
        if match is None:
            return False
        name = match["name"].lower()
        if name in self._hosts or authority.lower() in self._hosts:
            return True
        here = request.getHost()
        if isinstance(here, UNIXAddress):
            return name in _SOCKET_HOSTS
        if not isinstance(here, IPv4Address | IPv6Address):
            return False
        port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[bool(request.isSecure())]
        return port == here.port and (name == "localhost" or _same_address(name, here.host))

    def _check_token(self, values: list[str]) -> None:
        scheme, _, given = (values[0] if len(values) == 1 else "").partition(" ")
        right = hmac.compare_digest(given.strip(" ").encode("latin-1"), self._token)
        if scheme.lower() != "bearer" or not right:
            raise Unauthorised("A bearer token is needed: the one in control.token of the basedir.")


def header_values(request: Any, name: bytes) -> list[str]:
    """All values of a header field; bytes above 127 are taken as Latin-1, so that nothing fails here."""
    return [value.decode("latin-1") for value in request.requestHeaders.getRawHeaders(name, [])]


def _same_address(name: str, address: str) -> bool:
    try:
        return ip_address(name.strip("[]")) == ip_address(address.partition("%")[0])
    except ValueError:
        return False
