"""Gate, routing and errors around the actions of the control resource (DESIGN 4.3).

Klein routes. It gets the names of the routes only, never a remote path: that one is read from the raw target, once.
Klein imports the global reactor, so it is imported where a reactor is there already, and not before.
"""

# mypy: allow-untyped-calls
# (twisted.web is hardly annotated; what is ours here is.)

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from ifap_twisted.control.answers import Answer, bug_answer, problem_answer, send
from ifap_twisted.control.call import Call, ICall
from ifap_twisted.control.gate import Gate
from ifap_twisted.control.metrics import Metrics
from ifap_twisted.control.problems import RequestProblem
from ifap_twisted.control.requests import ITakesBodies, Request
from ifap_twisted.control.routes import REMOTE_PATH, ROUTES, Route
from ifap_twisted.deferreds import deferred, detach
from ifap_twisted.errors import IFAPError

Action = Callable[..., Awaitable[Answer | None]]

_REMOTE_AFTER = frozenset(tuple(route.url.strip("/").split("/")[:2]) for route in ROUTES if REMOTE_PATH in route.url)
_OPEN = frozenset((route.url.strip("/"),) for route in ROUTES if route.open)


@implementer(ITakesBodies)
class ControlResource(Resource):
    """All routes behind the gate; made by :func:`ifap_twisted.control.resource.control_resource`.

    :param actions: what each route of the table does, by its name.
    :param stop: called by :meth:`stop`.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self, gate: Gate, actions: Mapping[str, Action], *, stop: Callable[[], None], metrics: Metrics, reactor: Any
    ) -> None:
        super().__init__()
        self._gate = gate
        self._stop = stop
        self._metrics = metrics
        self._reactor = reactor
        self._klein = _routed(actions, self._run, self._unrouted)

    def render(self, request: Any) -> int:
        """Answer one request."""
        self._watch_end(request)
        try:
            self._gate.admit(request, with_token=not _is_open(request))
            call = Call(request, remote_after=_REMOTE_AFTER)
        except (IFAPError, RequestProblem) as error:
            detach(self._refuse(request, error), self._log, "an answer")
            return NOT_DONE_YET
        request.setComponent(ICall, call)
        # Klein sees which route it is; a path of the filesystem is none of its business.
        names = [name.encode("utf-8") for name in call.route_segments]
        request.postpath = [*names, b"-"] if call.route_segments in _REMOTE_AFTER else names
        self._klein.render(request)
        return NOT_DONE_YET

    def stop(self) -> None:
        """End event streams and jobs, and listen to the filesystem no more."""
        self._stop()

    @deferred
    async def _refuse(self, request: Any, error: IFAPError | RequestProblem) -> None:
        await send(request, problem_answer(error), reactor=self._reactor)
        request.finish()

    @deferred
    async def _run(self, request: Any, route: Route, action: Action, variables: Mapping[str, str]) -> None:
        try:
            answer = await _answer(request.getComponent(ICall), route, action, variables)
            if answer is not None:
                await send(request, answer, reactor=self._reactor)
        except CancelledError:
            raise
        except IFAPError as error:  # in the middle: a cut is seen, a short answer would not be
            self._log.warn("an answer was cut off: {code}", code=error.code)
            request.transport.abortConnection()
        except Exception:  # noqa: BLE001 -- a bug must not take the node down
            self._log.failure("the route {route} failed", route=route.name)
            if request.startedWriting:
                request.transport.abortConnection()
                return
            await send(request, bug_answer(), reactor=self._reactor)

    @deferred
    async def _unrouted(self, request: Any, status: int, allowed: Collection[str]) -> None:
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            error = RequestProblem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "This method is not allowed here.",
                headers={"Allow": ", ".join(sorted(allowed))},
            )
        else:
            error = RequestProblem(HTTPStatus.NOT_FOUND, "no-such-route", "There is nothing under this URL.")
        await send(request, problem_answer(error), reactor=self._reactor)

    def _watch_end(self, request: Any) -> None:
        def ended(_result: object) -> None:
            received = request.body.received if isinstance(request, Request) and request.body is not None else 0
            method = request.method.decode("latin-1") if request.method in _METHODS else "other"
            self._metrics.count(method, request.code, received=received, sent=request.sentLength)
            self._log.debug("{method} {path} {code}", method=method, path=request.path, code=request.code)

        detach(request.notifyFinish().addBoth(ended), self._log, "counting requests")


_METHODS = frozenset({b"GET", b"HEAD", b"PUT", b"POST", b"DELETE"})


async def _answer(call: Call, route: Route, action: Action, variables: Mapping[str, str]) -> Answer | None:
    try:
        call.check(route)
        return await action(call, route, **variables)
    except (IFAPError, RequestProblem) as error:
        if call.request.startedWriting:
            raise
        return problem_answer(error, conditional=call.conditional)


def _is_open(request: Any) -> bool:
    below = request.path[1:].split(b"/")[len(request.prepath) :]
    return tuple(segment.decode("latin-1") for segment in below) in _OPEN


def _routed(actions: Mapping[str, Action], run: Callable[..., Deferred[None]], unrouted: Any) -> Any:
    """A Klein resource in which every route of the table runs its action."""
    from klein import Klein  # noqa: PLC0415 -- it imports the global reactor
    from werkzeug.exceptions import HTTPException, MethodNotAllowed  # noqa: PLC0415 -- with Klein

    app = Klein()
    for route in ROUTES:
        rule = route.url.replace("{", "<").replace("}", ">")
        add = app.route(rule, methods=route.methods, endpoint=route.name, strict_slashes=False, merge_slashes=False)
        add(_action(route, actions[route.name], run))

    @app.handle_errors(HTTPException)
    def refuse(request: Any, failure: Any) -> Any:
        error = failure.value
        allowed = error.valid_methods or () if isinstance(error, MethodNotAllowed) else ()
        return unrouted(request, error.code, allowed)

    return app.resource()


def _action(route: Route, action: Action, run: Callable[..., Deferred[None]]) -> Any:
    def act(request: Any, **variables: str) -> Deferred[None]:
        variables.pop("path", None)
        return run(request, route, action, variables)

    return act
