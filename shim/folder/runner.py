"""Runs the scripts of a folder, SHIM_PARALLEL at a time: khshim's child in place of one script.

Each script is run by a process that is forked for it, with the code for a script alone; so
one that floods, hangs or dies takes nothing from the others, and no interpreter is started
for it. They are in the process group of this one, and get the signals that it gets.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import time
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from shim.crash import describe
from shim.delivery.waiting import LONGEST_POLL
from shim.file_names import some_of, visible
from shim.folder import find
from shim.folder.one import FAILED, FAILED_FOR_GOOD, PASSED, One
from shim.folder.outputs import LineSink
from shim.folder.results import End, Notes
from shim.folder.times import LEAST_TIME, Queue, Share
from shim.hang import Hang, call
from shim.observe import events
from shim.observe.outputs import Outputs
from shim.report import wording
from shim.report.build import failure
from shim.report.excerpt import Editor
from shim.report.mask import Masker
from shim.runtime import original_environ
from shim.settings import Settings
from shim.signals import RECORDED, SignalInbox
from shim.signals import name as signal_name
from shim.start_failure import start_failure

# Ends a process that has a bug; what is right is one of shim.folder.one.
BUG = 70


def main(folder: str, results: str, grace_period: str, deadline: str, end: str) -> NoReturn:
    """Run the scripts in `folder`; exit with 0 where all have passed, else with 1.

    `results` is the number of the descriptor for the notes. The others are texts of
    what Limits has.
    """
    inbox = SignalInbox()
    os.set_inheritable(int(results), False)
    for fd in (1, 2):
        os.set_blocking(fd, False)  # khshim's pipes: without /proc they cannot be opened anew
    notes = Notes(int(results))
    status = BUG
    try:
        _be_killed_as_late_as_khshim()
        deadline_at, end_at = (float(at) if at else None for at in (deadline, end))
        limits = Limits(float(grace_period), deadline_at, end_at)
        status = Runner(original_environ(os.environ), folder, limits, notes, inbox).run()
    except Exception as error:
        traceback.print_exc()
        notes.problem(describe(error))
    os._exit(status)


class Limits(NamedTuple):
    """What is common to the time of all scripts.

    The grace period in seconds, and on the monotonic clock the check's deadline and when
    the last script is to get SIGKILL, None for never.
    """

    grace_period: float
    deadline: float | None
    end: float | None


class Job(NamedTuple):
    """One attempt of a script that is to be run, not before a moment on the monotonic clock.

    `longest` is what an attempt before it took, in seconds.
    """

    path: str
    attempt: int = 1
    not_before: float = 0.0
    longest: float = 0.0

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


class Running(NamedTuple):
    """A process that runs a job, and when it was started."""

    pid: int
    job: Job
    started_at: float


class Runner:
    """Starts the scripts, in as many places as there may be at a time."""

    def __init__(
        self,
        environ: Mapping[str, str],
        folder: str,
        limits: Limits,
        notes: Notes,
        inbox: SignalInbox,
    ) -> None:
        self._environ = environ
        self._settings = settings = Settings(environ, [folder])
        self._folder = folder
        self._limits = limits
        self._notes = notes
        self._inbox = inbox
        inbox.terminating |= {settings.stop_signal}
        self._log = Outputs(settings, LineSink).log
        self._editor = Editor(settings.server, Masker(environ, settings.mask))
        self._waiting: deque[Job] = deque()
        self._again: deque[Job] = deque()
        self._queue = Queue(settings.parallel)
        self._places: list[Running | None] = [None] * settings.parallel
        self._stopped_by: int | None = None
        self._failed = False

    def run(self) -> int:
        """Run all; return 0 where all have passed, else 1."""
        paths = self._find()
        if not paths:
            return 1
        self._notes.scripts(map(os.path.basename, paths))
        self._waiting.extend(map(Job, paths))
        gc.freeze()  # or each of the processes would copy what a collection looks at
        poll = select.poll()
        poll.register(self._inbox.fd, select.POLLIN)
        while self._fill_places():
            poll.poll(self._milliseconds_to_wait())
            self._take_signals()
        return int(self._failed or bool(self._waiting))

    def _find(self) -> list[str]:
        """Return the paths of the scripts; where there are none, note why."""
        folder = self._folder
        try:
            found = call(lambda: find.to_run(folder), self._limits.end, self._inbox)
        except OSError as error:
            self._notes.problem(
                f"The folder {folder} cannot be listed by user {os.geteuid()} ({error.strerror})."
            )
            return []
        except Hang as hang:
            told = hang.stopped_by is not None
            why = "when khshim was told to stop" if told else "in time"
            self._notes.problem(
                f"The folder {folder} did not answer {why}, so no script of it was run."
            )
            return []
        if not found.scripts:
            self._notes.problem(f"The folder {folder} holds no script: {find.RULE}.")
        if found.others:
            self._log(events.DoubtfulSetting(reason=_left_out(found.others)))
        return found.scripts

    def _fill_places(self) -> bool:
        """Start what may be started; tell whether there is anything left to wait for."""
        for place in range(len(self._places)):
            while self._places[place] is None and (job := self._next()) is not None:
                self._places[place] = self._start(job, place)
        return any(self._places) or bool(self._again)

    def _next(self) -> Job | None:
        """Take the job to start now, None where there is none that may be started."""
        now = time.monotonic()
        if self._stopped_by is not None:
            self._give_up(wording.told_to_stop_between(self._stopped_by))
            return None
        if self._limits.end is not None and self._limits.end - now < LEAST_TIME:
            self._give_up(wording.NO_TIME_FOR_ANOTHER)
            return None
        if self._waiting:
            job = self._waiting.popleft()
            self._queue.waiting = len(self._waiting)
            return job
        while self._again and self._again[0].not_before <= now:
            job = self._again.popleft()
            if self._has_time_for(job):
                return job
        return None

    def _has_time_for(self, job: Job) -> bool:
        """Tell whether a further attempt can still end in time; note where it cannot."""
        limits, now = self._limits, time.monotonic()
        if limits.end is None:
            return True
        left = limits.end - limits.grace_period - now
        if left > job.longest + max(job.not_before - now, 0.0):
            return True
        delay = self._settings.attempt_delay
        self._no_more(job, wording.no_time_for_another(job.longest, delay, max(left, 0.0)))
        return False

    def _give_up(self, reason: str) -> None:
        """Begin no further attempt of any script."""
        while self._again:
            self._no_more(self._again.popleft(), reason)

    def _no_more(self, job: Job, reason: str) -> None:
        self._failed = True
        self._notes.no_more(job.name, reason)
        self._log(
            events.NoFurtherAttempt(
                attempt=job.attempt - 1, attempts=self._settings.attempts, reason=reason
            )
        )

    def _share(self, now: float, place: int) -> Share:
        limits, queue = self._limits, self._queue
        empty = sum(running is None for running in self._places) - 1
        return Share(
            started_at=now,
            left=None if limits.deadline is None else limits.deadline - now,
            end=limits.end,
            grace_period=limits.grace_period,
            timeout=self._settings.timeout,
            queue=queue,
            place=place,
            turns_at_start=queue.turns(place, max(empty, 0)),
        )

    def _start(self, job: Job, place: int) -> Running | None:
        """Fork the process that runs `job`; where that fails, note it."""
        now = time.monotonic()
        share = self._share(now, place)
        # Until the process has an inbox of its own, a signal would go to this one's.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, RECORDED)
        if self._is_told_to_stop():
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            self._put_back(job)
            return None
        try:
            pid = os.fork()
        except OSError as error:
            path = visible(job.path)
            reason = start_failure(error, path, [path])
            self._log(events.ScriptNotStarted(script=path, reason=reason))
            self._note_failure(job, reason)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            return None
        if pid == 0:
            self._be(job, share)
        # What is pending has perhaps come too early for it.
        for signum in signal.sigpending() & (RECORDED - {signal.SIGCHLD}):
            os.kill(pid, signum)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return Running(pid, job, now)

    def _is_told_to_stop(self) -> bool:
        """Tell whether a signal has come that no process started from now on would get."""
        arrived = self._note_signals()
        if arrived:
            self._inbox.put_back(arrived)
        return self._stopped_by is not None

    def _note_signals(self) -> list[int]:
        """Take the signals that have arrived, and note the first that tells khshim to stop."""
        arrived = self._inbox.take()
        for signum in arrived:
            if signum in self._inbox.terminating and self._stopped_by is None:
                self._stopped_by = signum
        return arrived

    def _put_back(self, job: Job) -> None:
        """Leave a job among those that were not run."""
        if job.attempt == 1:
            self._waiting.appendleft(job)
            self._queue.waiting = len(self._waiting)
        else:
            self._again.appendleft(job)

    def _be(self, job: Job, share: Share) -> NoReturn:
        """Run a job in the process that was forked for it."""
        status = BUG
        try:
            status = One(self._environ, job.path, share, job.attempt, self._notes).run()
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _take_signals(self) -> None:
        self._note_signals()
        for place, running in enumerate(self._places):
            if running is not None:
                pid, status = os.waitpid(running.pid, os.WNOHANG)
                if pid:
                    self._places[place] = None
                    self._ended(running, status)

    def _ended(self, running: Running, status: int) -> None:
        job = running.job
        self._queue.ended(time.monotonic() - running.started_at)
        code = os.waitstatus_to_exitcode(status)
        if code == PASSED:
            return
        if code not in (FAILED, FAILED_FOR_GOOD):
            how = f"died of {signal_name(-code)}" if code < 0 else f"ended with status {code}"
            self._kill_what_runs_on(job)
            self._note_failure(
                job, f"khshim's own process for this script {how}, so its end is not known."
            )
        if code == FAILED and job.attempt < self._settings.attempts:
            now = time.monotonic()
            again = Job(
                job.path,
                job.attempt + 1,
                now + self._settings.attempt_delay,
                max(job.longest, now - running.started_at),
            )
            if self._has_time_for(again):
                self._again.append(again)
        else:
            self._failed = True

    def _kill_what_runs_on(self, job: Job) -> None:
        """Kill the process group of a script whose own process of khshim's was killed."""
        pid = self._notes.pid_of(job.name)
        if pid is not None:
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass  # it has ended as well, or only a set-user-ID program is left

    def _note_failure(self, job: Job, sentence: str) -> None:
        self._failed = True
        self._notes.ended(job.name, End(failure([sentence], self._editor)))

    def _milliseconds_to_wait(self) -> float | None:
        """Return the time until a job may be started in an empty place, None for ever."""
        if not self._again or self._waiting or all(self._places):
            return None
        seconds = max(self._again[0].not_before - time.monotonic(), 0.0)
        return min(seconds, LONGEST_POLL) * 1000


def _left_out(paths: Sequence[str]) -> str:
    names = [visible(os.path.basename(path)) for path in paths]
    are_none = "is no script" if len(names) == 1 else "are no scripts"
    return f"{some_of(names)} {are_none} and not run: a script {find.MARKS}"


def _be_killed_as_late_as_khshim() -> None:
    """Undo what makes a script the first that the kernel kills for memory: this is none."""
    try:
        with open(f"/proc/{os.getppid()}/oom_score_adj", encoding="ascii") as file:
            score = file.read()
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(score)
    except OSError:
        pass  # no /proc, or one that cannot be written
