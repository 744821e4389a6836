"""One run of a verb: reactor, threads, outputs, Ctrl-C, and the exit status at the end.

What a verb does is not known here, nor how an account is opened.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure

from ifap_twisted.cli.options import Options, Work
from ifap_twisted.cli.printing import Console, OutputClosed
from ifap_twisted.cli.problems import INTERRUPTED, OTHER
from ifap_twisted.cli.progress import waiting
from ifap_twisted.clocks import count_steadily
from ifap_twisted.errors import OutcomeUnknown
from ifap_twisted.garbage import care_for_program
from ifap_twisted.interfaces import IFilesystem
from ifap_twisted.workers import ThreadWorker, Worker

T = TypeVar("T")
THREADS: Final = 4
"""For local files and stdin and stdout, one of which may wait for a person."""
PATIENCE_SECONDS: Final = 3.0
"""How long threads may take to tidy up after Ctrl-C."""


_MAYBE: Final = "Interrupted: what was on its way may be done or not; 'ifap status' tells what still is."


@dataclass(frozen=True, slots=True)
class Session:
    """What a verb works with, beside the filesystem."""

    options: Options
    console: Console
    worker: Worker
    reactor: Any

    async def during(self, text: str, work: Awaitable[T]) -> T:
        """Wait for work that tells nothing of how far it is, with a clock on the terminal."""
        with waiting(self.console, self.reactor, text):
            return await work


def working_on(verb: Callable[[IFilesystem, Session], Awaitable[None]], *, changes: bool = False) -> Work:
    """Open the filesystem, do the verb, and close it however the verb ended.

    :param changes: when it is interrupted say that what was on its way may be done (unknown is not told as not done).
    """

    async def work(session: Session) -> None:
        async with session.options.opener(session) as filesystem:
            try:
                await verb(filesystem, session)
            except CancelledError:
                if changes:
                    session.console.failed(OutcomeUnknown(_MAYBE))
                raise

    return work


def console_for(options: Options) -> Console:
    """The outputs of this process."""
    return Console(as_json=options.json, verbosity=options.verbosity)


def run_on_reactor(options: Options, work: Work) -> int:
    """Run a verb on the global reactor and give its exit status; once per process."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 -- a process of its own, and its only reactor

    count_steadily(reactor)
    care_for_program()
    console = console_for(options)
    begin_logging(console)
    worker = ThreadWorker(reactor, threads=THREADS, name="ifap-files")
    run = Run(Session(options, console, worker, reactor), work, worker)
    reactor.callLater(0, run.begin)
    reactor.run()
    return run.status


class Run:
    """A verb on its way, and what Ctrl-C does to it."""

    def __init__(self, session: Session, work: Work, threads: ThreadWorker) -> None:
        self._threads = threads
        self.status = OTHER
        self.interrupted = False
        self._session = session
        self._work = work
        self._running: Deferred[None] | None = None

    def begin(self) -> None:
        """Start the verb, and take over the signals that the reactor set."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
                signal.signal(number, self._signalled)
        self._running = Deferred.fromCoroutine(self._whole())
        self._running.addBoth(self._ended)  # type: ignore[unused-awaitable]

    async def _whole(self) -> None:
        await self._work(self._session)
        self._session.console.flush()

    def _signalled(self, _number: int, _frame: object) -> None:
        if self.interrupted:  # the second time nothing is waited for
            os._exit(INTERRUPTED)
        self.interrupted = True
        self._session.reactor.callFromThread(self._interrupt)

    def _interrupt(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _ended(self, outcome: Any) -> None:
        self.status = conclude(self._session.console, outcome.value if isinstance(outcome, Failure) else None)
        if self.interrupted:
            leave_at_once(self._threads)
        self._threads.stop()
        self._session.reactor.stop()


def conclude(console: Console, error: BaseException | None) -> int:
    """The exit status of a run that ended so; an error is told here unless it needs no telling."""
    if isinstance(error, OutputClosed):
        return console.status or OTHER
    if isinstance(error, CancelledError | KeyboardInterrupt):
        return INTERRUPTED
    if error is not None:
        console.failed(error)
    return console.status


def leave_at_once(worker: ThreadWorker) -> None:
    """End the process after Ctrl-C: threads may tidy up for a moment, one that waits for a person is not waited for."""
    tidying = threading.Thread(target=worker.stop, daemon=True)
    tidying.start()
    tidying.join(PATIENCE_SECONDS)
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(INTERRUPTED)


def begin_logging(console: Console) -> None:
    """Log everything with ``-vv``, else warnings, in one line each."""
    observer: ILogObserver
    if console.verbosity > 1:
        observer = textFileLogObserver(sys.stderr)
    else:
        observer = FilteringLogObserver(_one_line(console), [LogLevelFilterPredicate(LogLevel.warn)])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)


def _one_line(console: Console) -> ILogObserver:
    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure")
        text = formatEvent(event).strip() or "Something went wrong in the background."
        console.warning(text if failure is None else f"{text.splitlines()[0]} ({type(failure.value).__name__})")

    return observe  # type: ignore[return-value]
