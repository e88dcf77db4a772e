"""The second half of a run: from the started script to the exit status.

The script is already running, so this module may import slow modules, and starts a thread
that imports the HTTP client.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

from shim import exit_status
from shim.crash import describe, kill_script, not_installed
from shim.delivery.result import Result
from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker
from shim.kuberhealthy import SEEN_AFTER
from shim.observe import events, telling
from shim.observe.observers import Observers
from shim.observe.outputs import Outputs
from shim.preload import preload
from shim.report.build import Report, failure, lines_of
from shim.report.excerpt import Editor
from shim.report.mask import Masker
from shim.signals import SignalInbox, name
from shim.start import NotStarted, Started
from shim.verdict import Verdict

if TYPE_CHECKING:
    from shim.observe.metrics import OwnMetrics

# The minimum of seconds for the delivery, if a terminating signal came before it began,
AFTER_STOP = 5.0
# and if the signal comes during the delivery.
SHORTEST_GRACE = 1.0

EXIT_STATUS = {
    Result.ACCEPTED: exit_status.DELIVERED,
    Result.ASSUMED: exit_status.DELIVERED,
    Result.REFUSED: exit_status.REFUSED,
    Result.UNDELIVERED: exit_status.UNDELIVERED,
}


def finish(start: Started | NotStarted, inbox: SignalInbox) -> int:
    """Supervise the script until it ends, report, and return khshim's exit status."""
    worker = Worker()
    # The thread is started at once: the script may soon reach the limit on processes.
    preloaded = preload(worker)
    second_half = _SecondHalf(start, inbox, worker)
    report, status = second_half.report_or_bug()
    preloaded.wait()
    delivered = second_half.deliver_and_quit(report)
    second_half.outputs.drain()
    return status or delivered


class _SecondHalf:
    """The steps of the second half, and the objects that they share."""

    def __init__(self, start: Started | NotStarted, inbox: SignalInbox, worker: Worker) -> None:
        run = start.run
        self._start = start
        self._child = start.child
        self._run = run
        self._settings = run.settings
        self._inbox = inbox
        self._worker = worker
        self._was_told_to_stop = False
        self.outputs = Outputs(run.settings)
        at_start = {
            "script_start_time_seconds": run.started_at,
            "script_limit_seconds": run.script_limit(),
        }
        self._tell = Observers(
            run.settings,
            self.outputs.log,
            run.metrics_file,
            at_start,
            self._folder_metrics if start.results is not None else None,
        )
        # An argument can be a URL with a password too. No variable has a "=" in its name.
        arguments = {"arguments=": " ".join(run.settings.args)}
        self._mask = Masker({**run.environ, **arguments}, run.settings.mask)
        self._editor = Editor(run.settings.server, self._mask)

    def report_or_bug(self) -> tuple[Report, int]:
        """Return the report, and an exit status that takes precedence over the delivery's, or 0."""
        try:
            return self._report()
        except Exception as error:
            kill_script(self._child)
            return failure([self._tell_bug(error)], self._editor), exit_status.BUG

    def deliver_and_quit(self, report: Report) -> int:
        """Deliver the report, then end the sidecar; return the exit status."""
        try:
            result = self._deliver(report)
            self._tell.push(self._inbox, self._worker)
            self._quit_sidecar()
            if result is Result.ACCEPTED and self._was_told_to_stop:
                self._stay_until_seen()
        except Exception as error:  # not reported, since a report may have been delivered already
            self._tell_bug(error)
            return exit_status.WRONG_SETTINGS if not_installed(error) else exit_status.BUG
        return exit_status.WRONG_SETTINGS if result is None else EXIT_STATUS[result]

    def _report(self) -> tuple[Report, int]:
        """Return the report, and the exit status for wrong settings, or 0."""
        for event in telling.doubts(self._settings):
            self._tell(event)
        if self._run.wait is not None:
            self._tell(telling.waited(self._run.wait))
        if isinstance(self._start, NotStarted):
            return self._report_not_started(self._start)
        return self._find_verdict(self._start), 0

    def _report_not_started(self, start: NotStarted) -> tuple[Report, int]:
        self._was_told_to_stop = start.stopped_by is not None
        if start.reason is not None:
            script = self._settings.script
            self._tell(events.ScriptNotStarted(script=script, reason=start.reason))
            return failure([start.reason], self._editor), 0
        problems = self._settings.problems
        for problem in problems:
            self._tell(events.WrongSetting(reason=self._mask(problem)))
        return failure([], self._editor, lines_of(problems)), exit_status.WRONG_SETTINGS

    def _find_verdict(self, start: Started) -> Report:
        if start.results is not None:
            from shim.folder.verdict import find_verdict  # most runs have one script

            report, self._was_told_to_stop = find_verdict(
                start, start.results, self._inbox, self.outputs, self._editor, self._tell
            )
            return report
        verdict = Verdict(start, self._inbox, self.outputs, self._editor, self._tell)
        try:
            return verdict.find()
        finally:
            self._child = verdict.child
            self._was_told_to_stop = verdict.was_told_to_stop

    def _folder_metrics(self) -> OwnMetrics:
        from shim.folder.metrics import FolderMetrics  # the extra khshim[metrics]

        assert self._start.results is not None
        return FolderMetrics(self._start.results)

    def _deliver(self, report: Report) -> Result | None:
        """Deliver the report; return the result, None if there is no address to send it to."""
        endpoint, settings = self._settings.endpoint, self._settings
        if endpoint is None:
            self._tell(events.ReportImpossible())
            return None
        from shim.delivery.deliver import deliver, time_to_deliver

        started_at = time.monotonic()
        until = time_to_deliver(self._run.budget.deadline, started_at)
        if self._was_told_to_stop:  # the kubelet sends SIGKILL when the pod's grace period is over
            until = min(until, started_at + max(settings.grace_period, AFTER_STOP))
        limit = TimeLimit(
            until,
            self._inbox,
            max(settings.grace_period, SHORTEST_GRACE),
            self._told_to_stop_while_reporting,
        )
        time_left = self._run.budget.time_left(started_at)
        delivery = deliver(
            endpoint,
            report.body(),
            limit,
            self._worker,
            lambda attempt: self._tell(telling.delivery_attempt_failed(attempt)),
            late=time_left is not None and time_left < 0,
        )
        latency = time.monotonic() - started_at
        self._tell(telling.report_ended(report, delivery, latency, self._time_left()))
        return delivery.result

    def _told_to_stop_while_reporting(self, signum: int) -> None:
        self._was_told_to_stop = True
        self._tell(events.SignalReceived(signal=name(signum)))

    def _stay_until_seen(self) -> None:
        """Wait until v2 has seen the report, since the pod is being deleted.

        A further signal ends the wait.
        """
        seconds, time_left = SEEN_AFTER[self._settings.server], self._time_left()
        if time_left is not None:
            seconds = min(seconds, max(time_left, 0.0))
        if seconds:
            self._tell(events.WaitingUntilSeen(duration_s=seconds))
            TimeLimit(time.monotonic() + seconds, self._inbox).wait(seconds)

    def _quit_sidecar(self) -> None:
        """Ask the service mesh's sidecar to exit: it would keep the finished pod running."""
        url = self._settings.quit_url
        if url is None:
            return
        from shim.delivery.sidecar import QUIT_TIMEOUT, quit_sidecar

        limit = TimeLimit(time.monotonic() + QUIT_TIMEOUT, self._inbox, QUIT_TIMEOUT)
        problem = quit_sidecar(url, self._settings.ca_file, limit, self._worker)
        self._tell(events.QuitSent() if problem is None else events.QuitFailed(reason=problem))

    def _tell_bug(self, error: Exception) -> str:
        sentence = describe(error)
        kind = events.NotInstalled if not_installed(error) else events.Bug
        self._tell(kind(reason=sentence, traceback=traceback.format_exc()))
        return sentence

    def _time_left(self) -> float | None:
        return self._run.budget.time_left(time.monotonic())
