"""Long work as jobs: started by one request, watched and cancelled by others (DESIGN 4.3).

Jobs live in memory: a restart of the node forgets them. What a job does is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as WaitedTooLong
from twisted.logger import Logger
from twisted.python.failure import Failure

from ifap_twisted.control.answers import Answer, json_answer
from ifap_twisted.control.call import Call
from ifap_twisted.control.problems import RequestProblem, bad_request, internal_problem, problem
from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON, Event
from ifap_twisted.errors import IFAPError, Throttled
from ifap_twisted.interfaces import Listener

RUNNING: Final = "running"


class Job:
    """One piece of long work.

    :ivar state: ``running``, ``done``, ``failed`` or ``cancelled``.
    """

    def __init__(self, number: str, kind: str) -> None:
        self.id = number
        self.kind = kind
        self.state = RUNNING
        self.result: JSON = None
        self.error: JSON = None
        self.work: Deferred[None] | None = None
        self._waiters: list[Deferred[None]] = []

    def to_json(self) -> dict[str, JSON]:
        """The object of DESIGN 4.5."""
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "done": 0 if self.state == RUNNING else 1,
            "total": 1,
            "unit": None,
            "result": self.result,
            "error": self.error,
        }

    def ended(self) -> Deferred[None]:
        """Fires when the job has ended."""
        waiter: Deferred[None] = Deferred(self._waiters.remove)
        self._waiters.append(waiter)
        return waiter

    def end(self, state: str) -> None:
        """Set the last state and tell who waits."""
        self.state = state
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)


class Jobs:
    """The jobs of a node.

    :param new_id: makes ids that cannot be guessed.
    :param tell: told of every change, as an event of kind ``job``.
    :param clock: of the requests that wait for the end of a job.
    """

    _log = Logger()

    def __init__(
        self,
        kinds: Mapping[str, Callable[[], Deferred[None]]],
        *,
        new_id: Callable[[], str],
        tell: Listener,
        clock: Any,
    ) -> None:
        self._kinds = kinds
        self._new_id = new_id
        self._tell = tell
        self._clock = clock
        self._jobs: dict[str, Job] = {}

    def start(self, kind: str) -> Answer:
        """Begin a job.

        :raises Throttled: ``limits.JOBS_RUNNING`` run already.
        """
        if sum(job.state == RUNNING for job in self._jobs.values()) >= limits.JOBS_RUNNING:
            raise Throttled("Too many jobs are running; wait until one has ended.", seconds=5.0)
        job = Job(self._new_id(), kind)
        self._jobs[job.id] = job
        self._forget_old()
        job.work = self._kinds[kind]()
        job.work.addCallbacks(self._done, self._failed, callbackArgs=(job,), errbackArgs=(job,))  # type: ignore[unused-awaitable]
        if job.state == RUNNING:
            self._announce(job)
        return json_answer(job.to_json(), status=HTTPStatus.ACCEPTED, headers={"Location": f"/v1/jobs/{job.id}"})

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
                return json_answer(job.to_json())
        return json_answer(job.to_json())

    async def delete(self, number: str) -> Answer:
        """Cancel a job, or forget it when it has ended."""
        job = self._find(number)
        if job.state == RUNNING and job.work is not None:
            job.work.cancel()
        else:
            del self._jobs[number]
        return json_answer(job.to_json())

    def stop(self) -> None:
        """Cancel all that run."""
        for job in list(self._jobs.values()):
            if job.work is not None:
                job.work.cancel()

    def _find(self, number: str) -> Job:
        if number not in self._jobs:
            raise RequestProblem(HTTPStatus.NOT_FOUND, "no-such-job", "There is no such job, or it is forgotten.")
        return self._jobs[number]

    def _done(self, _result: object, job: Job) -> None:
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
        self._tell(Event(kind="job", detail=job.to_json()))

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
