"""Calling what takes no timeout of its own, such as name resolution, with a time limit."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue

from shim.delivery.waiting import TimeLimit, no_answer_within

Job = Callable[[], None]


class Worker:
    """A thread that calls one job after another.

    It can be started before it is needed, since the limit on processes may be reached
    by then. A job that outlives its time keeps its thread, and the next one gets another,
    or has to wait for it where no other can be started.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] | None = None
        self._kept: SimpleQueue[Job | None] | None = None

    def submit(self, job: Job) -> None:
        """Have `job`, which must not raise, called behind what was submitted before.

        Raises RuntimeError where no thread can be started.
        """
        if self._jobs is None:
            jobs: SimpleQueue[Job | None] = SimpleQueue()
            try:
                threading.Thread(target=_work_on, args=(jobs,), daemon=True).start()
            except RuntimeError:
                if self._kept is None:
                    raise
                jobs = self._kept
            self._jobs = jobs
        self._jobs.put(job)

    def call(self, job: Job, limit: TimeLimit, seconds: float) -> None:
        """Have `job` called, and come back when it is done or its time is over.

        Raises OSError where there is no file descriptor left.
        """
        done = threading.Event()
        reader, writer = os.pipe()

        def run() -> None:
            try:
                job()
            finally:
                done.set()
                os.close(writer)

        try:
            self.submit(run)
        except RuntimeError:
            os.close(writer)
            os.close(reader)
            _call_here(job, min(seconds, limit.left()))
            return
        limit.wait(seconds, reader)
        os.close(reader)
        if not done.is_set():
            self._kept, self._jobs = self._jobs, None

    def ask(self, question: Callable[[], str | None], limit: TimeLimit) -> str | None:
        """Return what `question` returns, or the sentence that it took too long, or cannot be asked."""
        seconds = limit.left()
        answers: list[str | None] = [no_answer_within(seconds)]
        try:
            self.call(lambda: answers.append(question()), limit, seconds)
        except OSError as error:
            return str(error)
        return answers[-1]

    def close(self) -> None:
        """End the thread once it has nothing to do."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None


def _work_on(jobs: SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job()


class _TimeIsUp(BaseException):
    """Passes through a job's own handling of errors."""


def _call_here(job: Job, seconds: float) -> None:
    """Call `job` in this, the main thread, since no other can be started.

    An alarm interrupts it (setitimer(2)). Only the C library's name resolution does not let
    itself be interrupted: it is told to ask each name server once, for a second.
    """

    def stop(*_: object) -> None:
        raise _TimeIsUp

    os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:1")  # resolv.conf(5)
    previous = signal.signal(signal.SIGALRM, stop)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
            job()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _TimeIsUp:
        pass
    finally:
        signal.signal(signal.SIGALRM, previous)
