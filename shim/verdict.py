"""From a started script to the verdict on it: each attempt is supervised and judged."""

from __future__ import annotations

import time

from shim.delivery.waiting import TimeLimit
from shim.observe import events, telling
from shim.observe.events import Subscriber
from shim.observe.outputs import Outputs
from shim.report import wording
from shim.report.attempts import all_failed, passed_after
from shim.report.build import Report, failure, judge
from shim.report.excerpt import Editor
from shim.signals import SignalInbox
from shim.spawn import Child
from shim.start import NotStarted, Started, start_script
from shim.supervise.attempts import Attempts
from shim.supervise.capture import ScriptOutput
from shim.supervise.escalation import StoppedBy
from shim.supervise.loop import Stream, Supervisor
from shim.supervise.outcome import Ending, Outcome
from shim.supervise.resources import usage_of_children


def supervise(
    start: Started,
    output: ScriptOutput,
    inbox: SignalInbox,
    outputs: Outputs,
    tell: Subscriber,
    grace_period: float,
) -> Outcome:
    """See what was started to its end; `output` remembers what it wrote, `outputs` pass it on."""
    child, run = start.child, start.run
    outcome = Supervisor(
        child,
        [
            Stream(child.stdout, outputs.for_stdout, output.feed_stdout),
            Stream(child.stderr, outputs.for_stderr, output.feed_stderr),
        ],
        inbox,
        run.budget,
        start.started_at,
        grace_period,
        run.settings.stop_signal,
        lambda received, sent: tell(telling.forwarded(received, sent)),
    ).run()
    outputs.script_has_ended()
    return outcome


class Verdict:
    """Runs a script to its end, and again where that is asked for.

    `child` is the process that was started last. `was_told_to_stop` is whether a
    terminating signal came from outside.
    """

    def __init__(
        self,
        start: Started,
        inbox: SignalInbox,
        outputs: Outputs,
        editor: Editor,
        tell: Subscriber,
    ) -> None:
        self._start = start
        self._run = start.run
        self._settings = start.run.settings
        self._inbox = inbox
        self._outputs = outputs
        self._editor = editor
        self._tell = tell
        settings = self._settings
        self._attempts = Attempts(settings.attempts, settings.attempt_delay, self._run.budget)
        self.was_told_to_stop = False

    @property
    def child(self) -> Child:
        return self._start.child

    def find(self) -> Report:
        """Return the report on the attempt that passed, or on all of them."""
        if self._run.budget.deadline is None:
            self._tell(events.NoDeadline())
        attempts = self._attempts
        failed: list[Report] = []
        while True:
            report, outcome = self._attempt()
            if report.ok and not failed:
                return report
            if report.ok:
                self._tell(events.PassedAfterRetry(attempt=attempts.number, attempts=attempts.most))
                return passed_after(failed, report)
            failed.append(report)
            why_no_more = self._why_no_more(outcome)
            if why_no_more is None:
                why_no_more = self._wait_for_next(report)
            if why_no_more is not None:
                return all_failed(failed, attempts.most, why_no_more)
            again = self._start_again()
            if again is not None:
                return all_failed([*failed, again], attempts.most, "")

    def once(self, number: int) -> tuple[Report, Outcome]:
        """Run the script a single time, as attempt `number`; the others are the caller's."""
        self._attempts.number = number
        return self._attempt()

    def _why_no_more(self, outcome: Outcome) -> str | None:
        """Return why there is no further attempt, "" where that goes without saying, or None."""
        attempts = self._attempts
        was_stopped = outcome.stopped_by is not None or outcome.ending is Ending.STUCK
        if was_stopped or attempts.number == attempts.most:
            return ""
        attempts.ended(outcome.duration)
        left = attempts.time_left(time.monotonic())
        if left is None or left > attempts.delay + attempts.longest:
            return None
        return self._tell_no_more(
            wording.no_time_for_another(attempts.longest, attempts.delay, left)
        )

    def _wait_for_next(self, report: Report) -> str | None:
        """Wait for the next attempt; return a sentence where a signal has come meanwhile."""
        attempts = self._attempts
        self._tell(
            events.AttemptFailed(
                attempt=attempts.number,
                attempts=attempts.most,
                delay_s=attempts.delay,
                reason=report.errors[0],
            )
        )
        received: list[int] = []
        until = time.monotonic() + attempts.delay
        TimeLimit(until, self._inbox, 0.0, received.append).wait(attempts.delay)
        if not received:
            return None
        self.was_told_to_stop = True
        return self._tell_no_more(wording.told_to_stop_between(received[0]))

    def _tell_no_more(self, reason: str) -> str:
        attempts = self._attempts
        self._tell(
            events.NoFurtherAttempt(attempt=attempts.number, attempts=attempts.most, reason=reason)
        )
        return reason

    def _start_again(self) -> Report | None:
        """Begin the next attempt; return a report where the script cannot be started any more."""
        metrics_file = self._run.metrics_file
        if metrics_file is not None:
            metrics_file.clear()
        self._attempts.number += 1
        start = start_script(self._run, self._inbox, self._start.memory)
        if isinstance(start, NotStarted):
            self.was_told_to_stop = start.stopped_by is not None
            reason = start.reason or ""
            self._tell(events.ScriptNotStarted(script=self._settings.script, reason=reason))
            return failure([reason], self._editor)
        self._start = start
        return None

    def _attempt(self) -> tuple[Report, Outcome]:
        """Run the script to its end, once; return the report on this attempt, and its outcome."""
        settings, start, budget = self._settings, self._start, self._run.budget
        attempt = self._attempts.number if self._attempts.most > 1 else None
        left = budget.time_left(time.monotonic())
        self._tell(
            events.ScriptStarted(
                script=start.path, pid=start.child.pid, attempt=attempt, time_left_s=left
            )
        )
        output = ScriptOutput(merged=settings.errors_from == "both")
        outcome = supervise(
            start, output, self._inbox, self._outputs, self._tell, settings.grace_period
        )
        self.was_told_to_stop = outcome.stopped_by is StoppedBy.SIGNAL
        chosen, other = output.captured(settings.errors_from)
        report = judge(
            outcome,
            ok_exit_codes=settings.ok_exit_codes,
            warn_exit_codes=settings.warn_exit_codes,
            editor=self._editor,
            stream=settings.errors_from,
            output=chosen,
            other_output=other,
            hints=self._likely_causes(start),
            is_plugin=settings.is_plugin,
        )
        usage = usage_of_children(start.memory)
        self._tell(
            telling.script_ended(
                start.path, outcome, report, output, usage, budget,
                is_plugin=settings.is_plugin, attempt=attempt,
            )  # fmt: skip
        )
        if report.warnings:
            self._tell(telling.warned(report))
        return report, outcome

    def _likely_causes(self, start: Started) -> list[str]:
        """Return sentences on what probably made the script fail, if it did."""
        causes = []
        if start.memory and start.was_killed_for_memory():
            causes.append(wording.killed_for_memory(start.memory.limit_bytes()))
            self._tell(events.KilledForMemory(reason=causes[0]))
        if start.text_problem is not None:
            causes.append(start.text_problem.sentence())
        return causes
