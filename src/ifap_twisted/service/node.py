"""The node: a basedir held, the filesystem service, and the control site on its socket and on TCP (DESIGN 4.1, 4.3)."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from ifap_twisted.basedir import Basedir
from ifap_twisted.control.resource import control_resource
from ifap_twisted.control.site import control_site
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import BadSettings, IFAPError
from ifap_twisted.server.listening import UnixListener
from ifap_twisted.service.facts import facts
from ifap_twisted.service.service import IFAPService, Random
from ifap_twisted.settings import Settings

CONTROL_SOCKET = "control.socket"
ANY_PORT = "tcp:0:interface=127.0.0.1"


class Node(MultiService):
    """A running node; its parent is the application of ``twistd``.

    :param failed: called with the reason when the node cannot run at all.
    """

    _log = Logger()

    def __init__(
        self, settings: Settings, reactor: Any, *, failed: Callable[[IFAPError], None], random: Random = os.urandom
    ) -> None:
        super().__init__()
        if settings.basedir is None:
            raise BadSettings("A node needs a basedir.")
        check_control(settings.control)
        self.settings = settings
        self._reactor = reactor
        self._random = random
        self._failed = failed
        self._basedir = Basedir(settings.basedir)
        self._socket: UnixListener | None = None
        self._port: IListeningPort | None = None
        self._resource: Any = None
        self._starting: Deferred[None] | None = None
        self.ifap: IFAPService | None = None

    def startService(self) -> None:
        """Hold the basedir, listen, and begin to open the account."""
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())

    @deferred
    async def stopService(self) -> None:
        """Stop listening, finish what was accepted, log out, let go of the basedir."""
        if self._starting is not None:
            await self._starting
        if self._basedir.holds:
            self._basedir.remove_control_url()
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        if self._socket is not None:
            await self._socket.stop()
        if self._resource is not None:
            self._resource.stop()
        await maybeDeferred(super().stopService)
        self._basedir.close()

    async def _start(self) -> None:
        try:
            await self._basedir.hold(0, self._reactor)
            self.ifap = IFAPService(self.settings, reactor=self._reactor, basedir=self._basedir, random=self._random)
            self.ifap.setServiceParent(self)
            await self._listen(self.ifap)
        except IFAPError as error:
            self._failed(error)
        except (OSError, CannotListenError) as error:
            self._failed(BadSettings(f"The control interface cannot listen: {error}"))

    async def _listen(self, ifap: IFAPService) -> None:
        token = self._basedir.new_control_token(self._random)
        self._resource = control_resource(
            ifap.filesystem,
            reactor=self._reactor,
            token=token.reveal(),
            max_file_size=self.settings.largest_file,
            info=lambda: facts(ifap),
        )
        # Two sites, each with its own bound: whoever takes all connections over TCP does not keep the owner out.
        private, public = (control_site(self._resource, reactor=self._reactor, private=one) for one in (True, False))
        self._socket = UnixListener(self._reactor, Path(self._basedir.path / CONTROL_SOCKET), private)
        self._port = await self._listen_on(public)
        self._basedir.write_control_url(control_url(self._port, self.settings.control))
        self._log.info("the control interface listens at {url}", url=self._basedir.read_control_url())

    async def _listen_on(self, site: Any) -> IListeningPort:
        try:
            return await self._listening(self.settings.control, site)
        except CannotListenError:
            if self.settings.is_given("control"):
                raise
        return await self._listening(ANY_PORT, site)

    async def _listening(self, description: str, site: Any) -> IListeningPort:
        port: IListeningPort = await serverFromString(self._reactor, description).listen(site)
        return port


def check_control(description: str) -> None:
    """Refuse a control endpoint that others could listen to (DESIGN 4.1).

    :raises BadSettings: it is neither loopback nor a UNIX socket, and without TLS.
    """
    kind, _, rest = description.partition(":")
    if kind in {"unix", "ssl"}:
        return
    interface = next((part[len("interface=") :] for part in rest.split(":") if part.startswith("interface=")), "")
    if kind == "tcp" and _is_loopback(interface):
        return
    if kind == "tcp6" and "interface=\\:\\:1" in rest:
        return
    raise BadSettings(
        "The control interface may only listen on loopback or a UNIX socket, or with TLS: "
        "tcp:4327:interface=127.0.0.1, unix:PATH or ssl:PORT:…"
    )


def _is_loopback(interface: str) -> bool:
    if interface == "localhost":
        return True
    try:
        return ip_address(interface).is_loopback
    except ValueError:
        return False


def control_url(port: IListeningPort, description: str) -> str:
    """Where browsers and curl find the control interface."""
    address: Any = port.getHost()
    scheme = "https" if description.startswith("ssl:") else "http"
    host = getattr(address, "host", None)
    if host is None:
        return f"unix:{os.fsdecode(address.name)}"
    host = "localhost" if host in {"0.0.0.0", "::"} else f"[{host}]" if ":" in host else host  # noqa: S104 -- compared
    return f"{scheme}://{host}:{address.port}/"


def make_node(settings: Settings, reactor: Any, failed: Callable[[IFAPError], None]) -> Node:
    """The service tree of ``twistd ifap``."""
    return Node(settings, reactor, failed=failed)
