"""Keeps one connection to a folder: dials, secures, logs in, selects; and again when it is lost.

Not ``ClientService``: that one tries for ever, but hammering a server with a wrong password locks the account. A
refused login, a server that is not trusted and a folder that is absent stop the attempts until :meth:`Connector.retry`.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from ifap_twisted.core import limits
from ifap_twisted.deferreds import deferred, detach, within
from ifap_twisted.errors import (
    AuthenticationRefused,
    CallerError,
    IFAPError,
    NotTrusted,
    Throttled,
    TimedOut,
    Unavailable,
)
from ifap_twisted.imap.sasl import Authenticate
from ifap_twisted.imap.security import Security
from ifap_twisted.imap.selected import FolderObserver
from ifap_twisted.imap.session import Session
from ifap_twisted.imap.wire import Wire

__all__ = ["Connector", "ConnectorObserver", "EndpointSource"]

T = TypeVar("T")

EndpointSource = IStreamClientEndpoint | Callable[[], IStreamClientEndpoint]
"""An endpoint, or what makes one for each attempt."""

_JITTER: Final = 0.25
_STEEPEST: Final = 10
_FINAL: Final = (AuthenticationRefused, NotTrusted, CallerError)


class ConnectorObserver(FolderObserver, Protocol):
    """Told of connections and of what happens in the folder."""

    def connected(self, session: Session) -> None:
        """The folder is open on a new connection."""

    def disconnected(self, reason: IFAPError) -> None:
        """The connection is lost."""


class _Silent:
    """An observer for a connector that nobody observes yet."""

    def arrived(self, state: object) -> None:
        """Nothing to do."""

    def vanished(self, uids: object) -> None:
        """Nothing to do."""

    def renumbered(self, uidvalidity: int) -> None:
        """Nothing to do."""

    def connected(self, session: Session) -> None:
        """Nothing to do."""

    def disconnected(self, reason: IFAPError) -> None:
        """Nothing to do."""


class Connector:
    """One connection at a time to one folder, for as long as it is wanted.

    :param endpoint: where the server is (TCP or UNIX), without TLS: that is ``security``'s.
    :param authenticate: logs a session in; see :mod:`ifap_twisted.imap.sasl` for the ready-made ones.
    :param folder: the folder's name as the user says it; the personal namespace and the separator are found out.
    :param random: gives numbers from 0 to 1, for the jitter.
    :param identity: what is told with ID to servers that have it; nothing when empty.
    :ivar state: ``connected``, ``connecting``, ``offline`` or ``stopped`` (DESIGN 4.5).
    :ivar last_error: why the last attempt or connection ended, or None while connected.
    :ivar heard: how often something came from the server, over all connections.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        endpoint: EndpointSource,
        *,
        security: Security,
        authenticate: Authenticate,
        folder: str,
        random: Callable[[], float],
        clock: IReactorTime | None = None,
        identity: Mapping[str, str] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._security = security
        self._authenticate = authenticate
        self._folder = folder
        self._random = random
        self.clock: IReactorTime = reactor if clock is None else clock
        self._identity = dict(identity or {})
        self._observer: ConnectorObserver = _Silent()
        self._watchers: list[Callable[[], None]] = []
        self._waiting: list[Deferred[Session]] = []
        self._hasty: list[Deferred[Session]] = []
        self._session: Session | None = None
        self._attempt: Session | None = None
        self._cancel_step: Callable[[], None] | None = None
        self._wanted: object = None
        self._pause: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._polite_from: float | None = None
        self._create = False
        self._failures = 0
        self._hurried = float("-inf")
        self.state = "stopped"
        self.last_error: IFAPError | None = None
        self.heard = 0

    def observe(self, observer: ConnectorObserver) -> None:
        """Tell an observer, instead of the one before."""
        self._observer = observer

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call a callable at each change of the state; returns what stops that."""
        self._watchers.append(watcher)

        def stop() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        return stop

    def start(self, *, create: bool = False) -> None:
        """Begin to connect, or try again at once when the attempts had stopped.

        :param create: create the folder when it is absent on the next connection; later it is not created again.
        """
        self._create = create
        if self._wanted is None:
            self._wanted = object()
            detach(Deferred.fromCoroutine(self._run(self._wanted)), self._log, "keeping the connection")
        elif self.state == "stopped":
            self.retry()

    def retry(self) -> None:
        """Try now, without waiting any longer; nothing happens when connected."""
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.callback(None)

    def session(self, *, hasty: bool = False) -> Deferred[Session]:
        """The connection, or the next one, which is not put off any more than is polite when somebody asks.

        :param hasty: also hear why the next attempt did not reach the server, instead of waiting for a later one.
        :raises IFAPError: why the attempts have stopped, or why one ended that was no matter of reaching the server.
        """
        if self._session is not None and self._session.alive and self.state == "connected":
            return succeed(self._session)
        if self._wanted is None:
            return fail(Unavailable("The folder is not open."))
        if self.state == "stopped" and self.last_error is not None:
            return fail(copy.copy(self.last_error))
        line = self._hasty if hasty else self._waiting
        waiting: Deferred[Session] = Deferred(line.remove)
        line.append(waiting)
        self._sooner()
        return waiting

    @deferred
    async def stop(self) -> None:
        """Log out and stay away; whoever waits gets ``Unavailable``. Never raises."""
        self._wanted = None
        session, self._session = self._session, None
        attempt = self._attempt
        self.retry()
        if self._cancel_step is not None:
            self._cancel_step()
        if session is None and attempt is not None:
            attempt.wire.end(Unavailable("The folder was closed."))
        self._fail_waiting(Unavailable("The folder was closed."))
        self._change("stopped")
        if session is not None:
            await session.end()
        if attempt is not None:
            await attempt.ended()

    # The loop

    # Whoever is called from the loop may stop it, and start it again: ``wanted`` tells a loop that is to end.

    async def _run(self, wanted: object) -> None:
        while self._wanted is wanted:
            self._change("connecting")
            try:
                session = await self._establish()
            except CancelledError:
                await self._after_failure(Unavailable("Logging in was given up."), wanted)
            except IFAPError as failed:
                await self._after_failure(failed, wanted)
            except Exception:  # noqa: BLE001 -- the caller's login may fail in any way; it is logged and tried again
                self._log.failure("while connecting")
                await self._after_failure(Unavailable("Logging in failed; the log says why."), wanted)
            else:
                await self._serve(session, wanted)

    async def _establish(self) -> Session:
        """One attempt, all or nothing."""
        wire = Wire(self.clock)
        wire.heard = self._hear
        connecting = self._make_endpoint().connect(self._factory(wire))
        try:
            await self._take(within(connecting, limits.CONNECT_SECONDS, self.clock, "Reaching the mail server"))
        except (TimedOut, CancelledError):
            raise
        except Exception as failed:  # noqa: BLE001 -- endpoints fail in many ways; all mean that it was not reached
            why = str(failed).strip().rstrip(".") or type(failed).__name__
            raise Unavailable(
                f"The mail server cannot be reached: {why}. Check the network, and host and port of the account."
            ) from None
        session = self._attempt = Session(wire, self.clock, self._security)
        try:
            await session.begin()
            await self._take(Deferred.fromCoroutine(self._log_in(session)))
            await session.identify(self._identity)
            await session.open_folder(self._folder, self._observer, create=self._create)
        except BaseException:
            wire.end(Unavailable("The connection was not to be used."))
            raise
        return session

    def _hear(self) -> None:
        self.heard += 1

    async def _log_in(self, session: Session) -> None:
        await self._authenticate(session)

    async def _take(self, step: Deferred[T]) -> T:
        """Wait for a step that :meth:`stop` may have to cancel."""
        self._cancel_step = step.cancel
        try:
            return await step
        finally:
            self._cancel_step = None

    def _make_endpoint(self) -> IStreamClientEndpoint:
        if IStreamClientEndpoint.providedBy(self._endpoint):
            return self._endpoint
        made: IStreamClientEndpoint = self._endpoint()
        return made

    def _factory(self, wire: Wire) -> Any:
        factory = _OneWire(wire)
        if self._security.kind != "tls":
            return factory
        return TLSMemoryBIOFactory(self._security.creator, True, factory, clock=self.clock)

    async def _serve(self, session: Session, wanted: object) -> None:
        """Have a connection, until it is lost; then wait as long as is polite."""
        if self._wanted is not wanted:
            await session.end()
            return
        began = self.clock.seconds()
        self._session, self._create, self.last_error = session, False, None
        self._change("connected")
        self._observer.connected(session)
        session.watch()
        for one in self._take_waiting():
            one.callback(session)
        reason = await session.ended()
        if self._wanted is not wanted:
            return
        if self.clock.seconds() - began >= limits.RECONNECT_SECONDS:
            self._failures = 0
        self._session, self.last_error = None, reason
        self._change("offline")
        self._observer.disconnected(reason)
        if self._failures or isinstance(reason, Throttled) or not self._may_hurry():
            await self._after_failure(reason, wanted)

    def _may_hurry(self) -> bool:
        """Whether a connection that broke may be made again at once: not twice in a row."""
        now = self.clock.seconds()
        hurry = now - self._hurried >= limits.RECONNECT_SECONDS
        self._hurried = now if hurry else self._hurried
        return hurry

    async def _after_failure(self, error: IFAPError, wanted: object) -> None:
        """Wait before the next attempt, or until told where another attempt would do harm."""
        if self._wanted is not wanted:
            return
        final = isinstance(error, _FINAL)
        self.last_error = error
        self._failures = 0 if final else self._failures + 1
        self._change("stopped" if final else "offline")
        if final or not isinstance(error, (Unavailable, TimedOut)):
            self._fail_waiting(error)
        for one in self._take_hasty():
            one.errback(copy.copy(error))
        if self._wanted is wanted:
            delay = None if final else self._delay(error)
            await self._sleep(delay, may_hurry=not isinstance(error, Throttled))

    def _delay(self, error: IFAPError) -> float:
        """Seconds to the next attempt: doubled with each failure, never less than a server asked for."""
        step = limits.RECONNECT_SECONDS * 2.0 ** (min(self._failures, _STEEPEST) - 1)
        delay = min(step, limits.RECONNECT_MAX_SECONDS / (1 + _JITTER)) * (1 + _JITTER * self._random())
        if isinstance(error, Throttled) and error.seconds is not None:
            return max(delay, error.seconds)
        return delay

    async def _sleep(self, seconds: float | None, *, may_hurry: bool) -> None:
        """Wait, or without a number for ever; :meth:`retry` ends it.

        :param may_hurry: whoever asks for the connection meanwhile waits ``RECONNECT_SECONDS`` of it at most.
        """
        self._polite_from = self.clock.seconds() + limits.RECONNECT_SECONDS if may_hurry else None
        self._timer = timer = None if seconds is None else self.clock.callLater(seconds, self.retry)
        self._pause = Deferred()
        try:
            await self._pause
        finally:
            self._pause = None
            if timer is not None and timer.active():
                timer.cancel()

    def _sooner(self) -> None:
        """Somebody asks: put the next attempt off no longer than is polite."""
        since, self._polite_from = self._polite_from, None
        if since is not None and self._timer is not None and self._timer.active():
            left = since - self.clock.seconds()
            self._timer.reset(min(max(left, 0.0), limits.RECONNECT_SECONDS))  # the clock may have been set meanwhile

    def _change(self, state: str) -> None:
        if state != self.state:
            self.state = state
            for watcher in list(self._watchers):
                watcher()

    def _fail_waiting(self, error: IFAPError) -> None:
        for one in self._take_waiting():
            one.errback(copy.copy(error))

    # Whoever is told may give up others who wait: those are passed over.

    def _take_hasty(self) -> Iterator[Deferred[Session]]:
        hasty, self._hasty = self._hasty, []
        return (one for one in tuple(hasty) if not one.called)

    def _take_waiting(self) -> Iterator[Deferred[Session]]:
        waiting, self._waiting = self._waiting, []
        return itertools.chain((one for one in tuple(waiting) if not one.called), self._take_hasty())


class _OneWire(Factory):
    """Gives the one protocol that it was made for."""

    noisy = False

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def buildProtocol(self, addr: object) -> Wire:  # noqa: ARG002
        """The wire."""
        return self._wire
