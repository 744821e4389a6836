"""Long work as jobs: started by one request, watched and cancelled by others (DESIGN 4.3).

Jobs live in memory: a restart of the node forgets them. What a job does is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as WaitedTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ifap_twisted.control.answers import Answer, HasJson, dump, json_answer, pieces_of
from ifap_twisted.control.call import Call
from ifap_twisted.control.problems import RequestProblem, bad_request, internal_problem, problem
from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON, Event
from ifap_twisted.deferreds import Waiters
from ifap_twisted.errors import IFAPError, Throttled
from ifap_twisted.interfaces import Listener

RUNNING: Final = "running"
Work: TypeAlias = Callable[[Mapping[str, JSON], Callable[[int, int], None]], Deferred[Any]]


class Report(Protocol):
    """A result that is long: a summary and a list."""

    def summary(self) -> dict[str, JSON]:
        """A JSON object of all but the list."""

    def listed(self) -> tuple[str, Sequence[HasJson]]:
        """The list, and its key beside the summary."""


class Job:
    """One piece of long work.

    :ivar state: ``running``, ``done``, ``failed`` or ``cancelled``.
    """

    def __init__(self, number: str, kind: str) -> None:
        self.id = number
        self.kind = kind
        self.state = RUNNING
        self.done = 0
        self.total: int | None = 1
        self.result: Report | None = None
        self.error: JSON = None
        self.work: Deferred[Any] | None = None
        self._waiters = Waiters()

    def to_json(self) -> dict[str, JSON]:
        """The object of DESIGN 4.5 but for its result, which may be long."""
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "unit": None,
            "error": self.error,
        }

    def answer(self, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Answer:
        """All of it."""
        if self.result is None:
            return json_answer({**self.to_json(), "result": None}, status=status, headers=headers)
        name, members = self.result.listed()
        before = f'{dump(self.to_json())[:-1]},"result":{dump(self.result.summary())[:-1]},"{name}":['
        return Answer(
            status=status,
            headers={"Content-Type": "application/json", **(headers or {})},
            body=pieces_of(before, members, "]}}"),
        )

    def ended(self) -> Deferred[None]:
        """Fires when the job has ended."""
        return self._waiters.wait()

    def progress(self, done: int, total: int) -> None:
        """So many of so many are done."""
        self.done, self.total = done, total

    def end(self, state: str) -> None:
        """Set the last state and tell who waits."""
        self.state = state
        self.done = self.total or 1
        self._waiters.tell()


class Jobs:
    """The jobs of a node.

    :param kinds: what does each kind of job, called with the body of the request that starts it, and with a callable
        that is told how far it is.
    :param new_id: makes ids that cannot be guessed.
    :param tell: told of every change, as an event of kind ``job``.
    :param clock: of the requests that wait for the end of a job.
    """

    _log = Logger()

    def __init__(
        self,
        kinds: Mapping[str, Work],
        *,
        new_id: Callable[[], str],
        tell: Listener,
        clock: IReactorTime,
    ) -> None:
        self._kinds = kinds
        self._new_id = new_id
        self._tell = tell
        self._clock = clock
        self._jobs: dict[str, Job] = {}

    def start(self, kind: str, wanted: Mapping[str, JSON]) -> Answer:
        """Begin a job.

        :raises Throttled: ``limits.JOBS_RUNNING`` run already.
        """
        if sum(job.state == RUNNING for job in self._jobs.values()) >= limits.JOBS_RUNNING:
            raise Throttled("Too many jobs are running; wait until one has ended.", seconds=5.0)
        job = Job(self._new_id(), kind)
        self._jobs[job.id] = job
        self._forget_old()
        job.work = self._kinds[kind](wanted, job.progress)
        job.work.addCallbacks(self._done, self._failed, callbackArgs=(job,), errbackArgs=(job,))  # type: ignore[unused-awaitable]
        if job.state == RUNNING:
            self._announce(job)
        return job.answer(HTTPStatus.ACCEPTED, {"Location": f"/v1/jobs/{job.id}"})

    async def get(self, call: Call, number: str) -> Answer:
        """How far a job is; with ``wait`` after its end, or that many seconds."""
        job = self._find(number)
        seconds = _seconds(call.query.get("wait"))
        if seconds and job.state == RUNNING:
            waiting = job.ended()
            waiting.addTimeout(seconds, self._clock)  # type: ignore[unused-awaitable]
            try:
                await waiting
            except WaitedTooLong:
                return job.answer()
        return job.answer()

    async def delete(self, number: str) -> Answer:
        """Cancel a job, or forget it when it has ended."""
        job = self._find(number)
        if job.state == RUNNING and job.work is not None:
            job.work.cancel()
        else:
            del self._jobs[number]
        return job.answer()

    def stop(self) -> None:
        """Cancel all that run."""
        for job in list(self._jobs.values()):
            if job.work is not None:
                job.work.cancel()

    def _find(self, number: str) -> Job:
        if number not in self._jobs:
            raise RequestProblem(HTTPStatus.NOT_FOUND, "no-such-job", "There is no such job, or it is forgotten.")
        return self._jobs[number]

    def _done(self, result: Report | None, job: Job) -> None:
        job.result = result
        job.end("done")
        self._announce(job)

    def _failed(self, failure: Failure, job: Job) -> None:
        if isinstance(failure.value, CancelledError):
            job.end("cancelled")
        else:
            if isinstance(failure.value, IFAPError):
                job.error = problem(failure.value)
            else:
                self._log.failure("a job of kind {kind} failed", failure, kind=job.kind)
                job.error = internal_problem()
            job.end("failed")
        self._announce(job)

    def _announce(self, job: Job) -> None:
        self._tell(Event(kind="job", detail={**job.to_json(), "result": None}))  # it may be long

    def _forget_old(self) -> None:
        ended = [number for number, job in self._jobs.items() if job.state != RUNNING]
        for number in ended[: max(0, len(self._jobs) - limits.JOBS_KEPT)]:
            del self._jobs[number]


def _seconds(text: str | None) -> float:
    if text is None:
        return 0.0
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise bad_request("The parameter 'wait' must be a number of seconds.")
    return min(float(text), limits.JOB_WAIT_SECONDS)
