"""Errors as answers, and answers as errors: ``application/problem+json`` (RFC 9457, DESIGN 4.5 and 7).

The one table of the HTTP statuses. It knows no request; what only HTTP can get wrong is a :class:`RequestProblem`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Final

from ifap_twisted import errors
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import IFAPError

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:ifap:problem:"
INTERNAL_CODE: Final = "internal-error"

STATUSES: Final[Mapping[type[IFAPError], int]] = {
    errors.IFAPError: 500,
    errors.NoRoom: 507,
    errors.CallerError: 400,
    errors.InvalidPath: 400,
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.IsADirectory: 409,
    errors.NotADirectory: 409,
    errors.DirectoryNotEmpty: 409,
    errors.Conflict: 409,
    errors.StoredAsConflict: 412,
    errors.Locked: 423,
    errors.LeaseLost: 412,
    errors.UnknownVersion: 404,
    errors.TooLarge: 413,
    errors.IncompleteSource: 400,
    errors.BadSettings: 400,
    errors.WeakPassphrase: 400,
    errors.NotSupported: 501,
    errors.MarkedByOthers: 409,
    errors.ReadOnly: 501,
    errors.Unauthorised: 401,
    errors.Forbidden: 403,
    errors.DataError: 502,
    errors.Malformed: 502,
    errors.OtherDialect: 502,
    errors.Oversized: 502,
    errors.Damaged: 502,
    errors.WrongKey: 502,
    errors.KeyRequired: 502,
    errors.PassphraseRequired: 502,
    errors.ForeignKey: 502,
    errors.RevokedKey: 502,
    errors.Tampered: 502,
    errors.Truncated: 502,
    errors.Extended: 502,
    errors.RolledBack: 502,
    errors.Spliced: 502,
    errors.Plaintext: 502,
    errors.Unbound: 502,
    errors.ForeignFolder: 502,
    errors.VidCollision: 502,
    errors.ChunkLost: 502,
    errors.NewerVersionNeeded: 501,
    errors.SnapshotCorrupt: 502,
    errors.UnsupportedDialect: 502,
    errors.StoreError: 502,
    errors.Unavailable: 503,
    errors.Throttled: 503,
    errors.TimedOut: 503,
    errors.OutcomeUnknown: 503,
    errors.Refused: 502,
    errors.AuthenticationRefused: 502,
    errors.NotTrusted: 502,
    errors.KeyChanged: 502,
    errors.QuotaExceeded: 507,
    errors.MessageGone: 503,
    errors.Renumbered: 503,
    errors.ProtocolViolation: 502,
    errors.BasedirInUse: 503,
}
"""Every error of the tree by its exact class (DESIGN 7)."""

PRECONDITIONS: Final = (errors.Conflict, errors.AlreadyExists)
"""What is 412 instead when the request had a precondition: a failed one is never 409 (DESIGN 7)."""


class RequestProblem(Exception):
    """A request that HTTP itself forbids: no error of the filesystem.

    :ivar status: of 400 to 499; ``code`` is stable like those of the errors; ``headers`` go into the answer.
    """

    def __init__(self, status: HTTPStatus, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    def to_json(self) -> dict[str, JSON]:
        """The object of DESIGN 4.5."""
        return _object(self.code, self.status.phrase, self.status, self.detail, None, retryable=False)


def bad_request(detail: str) -> RequestProblem:
    """A request that is not as documented."""
    return RequestProblem(HTTPStatus.BAD_REQUEST, "bad-request", detail)


def status_of(error: IFAPError, *, conditional: bool = False) -> int:
    """The HTTP status of an error.

    :param conditional: the request had a precondition (``If-Match``, ``If-None-Match``, ``expect``).
    """
    if conditional and isinstance(error, PRECONDITIONS):
        return 412
    for cls in type(error).__mro__:
        if issubclass(cls, IFAPError) and cls in STATUSES:
            return STATUSES[cls]
    return 500


def problem(error: IFAPError, *, conditional: bool = False) -> dict[str, JSON]:
    """The object of DESIGN 4.5 for an error, with what its class knows besides (``expected``, ``limit`` …)."""
    path = None if error.path is None else "/" + error.path.lstrip("/")
    status = status_of(error, conditional=conditional)
    found = _object(error.code, error.title(), status, error.detail, path, retryable=error.retryable)
    found["about"] = {name: getattr(error, name) for name in _attributes(type(error))}
    return found


def headers_of(error: IFAPError) -> dict[str, str]:
    """What an error says in the header of the answer (RFC 9110 10.2.3 and 11.6.1)."""
    if isinstance(error, errors.Unauthorised):
        return {"WWW-Authenticate": 'Bearer realm="ifap"'}
    if isinstance(error, errors.Throttled):
        return {"Retry-After": str(max(1, round(error.seconds or 60.0)))}
    return {}


def internal_problem() -> dict[str, JSON]:
    """The answer to a bug: a fixed text, the traceback is in the log only."""
    return _object(
        INTERNAL_CODE,
        "The node made a mistake",
        500,
        "The node made a mistake; its log says more.",
        None,
        retryable=False,
    )


def error_of(found: Mapping[str, JSON]) -> IFAPError:
    """The error that a problem object stands for: the same class, detail and attributes.

    A code that is not known here (a newer node) becomes the nearest general class of its status.
    """
    code, status = found.get("code"), found.get("status")
    detail = str(found.get("detail") or found.get("title") or "")
    path = found.get("path")
    cls = _CLASSES.get(code) if isinstance(code, str) else None
    if cls is None:
        cls = _general(status if isinstance(status, int) else 500)
    about = found.get("about")
    known = about if isinstance(about, dict) else {}
    more = {name: known[name] for name in _attributes(cls) if name in known}
    return cls(detail, path=path.removeprefix("/") if isinstance(path, str) else None, **more)


def _general(status: int) -> type[IFAPError]:
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return errors.Unavailable
    return errors.CallerError if status < HTTPStatus.INTERNAL_SERVER_ERROR else errors.StoreError


def _attributes(cls: type[IFAPError]) -> Iterator[str]:
    """The names that the constructor of a class takes besides ``detail`` and ``path``."""
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "path":
            yield name


def _object(code: str, title: str, status: int, detail: str, path: str | None, *, retryable: bool) -> dict[str, JSON]:
    return {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": int(status),
        "detail": detail,
        "code": code,
        "path": path,
        "retryable": retryable,
    }


_CLASSES: Final[Mapping[str, type[IFAPError]]] = {cls.code: cls for cls in STATUSES}
