"""From the values of a run to the events that tell of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shim.budget import Budget
from shim.delivery.result import Delivery, FailedAttempt, Result
from shim.observe import events
from shim.report.build import Report
from shim.settings import NAMES, Settings
from shim.signals import name
from shim.supervise.capture import ScriptOutput
from shim.supervise.outcome import Ending, Outcome
from shim.supervise.resources import Usage

if TYPE_CHECKING:
    from shim.delivery.wait_for_server import Wait

REPORT_ENDS: dict[Result, type[events.ReportEnded]] = {
    Result.ACCEPTED: events.ReportAccepted,
    Result.ASSUMED: events.ReportAssumed,
    Result.REFUSED: events.ReportRefused,
    Result.UNDELIVERED: events.ReportUndelivered,
}


def doubts(settings: Settings) -> Iterator[events.Event]:
    """Yield an event for each setting that is no failure and probably not what was meant."""
    for setting in settings.unknown:
        from shim.suggest import did_you_mean  # seldom needed

        yield events.UnknownSetting(setting=setting, suggestion=did_you_mean(setting, NAMES))
    for doubt in settings.warnings:
        yield events.DoubtfulSetting(reason=doubt)


def waited(wait: Wait) -> events.Event:
    """Return the event for a wait for the server."""
    if wait.reason is None:
        return events.ServerReached(duration_s=wait.seconds)
    return events.ServerNotReached(duration_s=wait.seconds, reason=wait.reason)


def forwarded(received: int, sent: int) -> events.Event:
    """Return the event for a signal that was forwarded, perhaps as another one."""
    changed = None if sent == received else name(sent)
    return events.SignalForwarded(signal=name(received), sent=changed)


def script_ended(
    path: str, outcome: Outcome, report: Report, output: ScriptOutput, usage: Usage, budget: Budget,
    *, is_plugin: bool, attempt: int | None,
) -> events.Event:  # fmt: skip
    """Return the event for the end of the script, with all figures that are known of it."""
    lines, size = output.count_stderr()
    timed_out = outcome.ending in (Ending.TIMED_OUT, Ending.STUCK)
    event = events.ScriptTimedOut if timed_out else events.ScriptExited
    return event(
        script=path,
        attempt=attempt,
        exit_code=outcome.exit_status,
        signal=None if outcome.signal is None else name(outcome.signal),
        duration_s=outcome.duration,
        time_left_s=budget.time_left(time.monotonic()),
        errors=len(report.errors),
        stderr_lines=lines,
        stderr_bytes=size,
        cpu_s=usage.cpu_seconds,
        peak_memory_bytes=usage.peak_memory,
        cgroup_peak_memory_bytes=usage.cgroup_peak_memory,
        report=report,
        outcome=outcome,
        stdout=output.captured("stdout")[0] if is_plugin else None,
    )


def folder_ended(
    path: str, outcome: Outcome, report: Report, usage: Usage, budget: Budget, *,
    scripts: int, passed: int, stderr: tuple[int, int],
) -> events.Event:  # fmt: skip
    """Return the event for the end of a folder's scripts; `stderr` are their lines and bytes."""
    return events.FolderEnded(
        scripts=scripts,
        passed=passed,
        script=path,
        attempt=None,
        exit_code=outcome.exit_status,
        signal=None if outcome.signal is None else name(outcome.signal),
        duration_s=outcome.duration,
        time_left_s=budget.time_left(time.monotonic()),
        errors=len(report.errors),
        stderr_lines=stderr[0],
        stderr_bytes=stderr[1],
        cpu_s=usage.cpu_seconds,
        peak_memory_bytes=usage.peak_memory,
        cgroup_peak_memory_bytes=usage.cgroup_peak_memory,
        report=report,
        outcome=outcome,
        stdout=None,
    )


def warned(report: Report) -> events.Event:
    """Return the event for a script that passed with a warning."""
    return events.ScriptWarned(warnings=list(report.warnings), reason=report.warnings[0])


def delivery_attempt_failed(attempt: FailedAttempt) -> events.Event:
    """Return the event for an attempt that did not settle the delivery."""
    return events.ReportAttempt(
        attempt=attempt.number,
        status=attempt.status,
        time_left_s=attempt.time_left,
        reason=attempt.reason,
    )


def report_ended(
    report: Report, delivery: Delivery, latency: float, time_left: float | None
) -> events.Event:
    """Return the event for the end of a delivery; `latency` and `time_left` in seconds."""
    return REPORT_ENDS[delivery.result](
        ok=report.ok,
        attempt=delivery.attempts,
        status=delivery.status,
        latency_s=latency,
        time_left_s=time_left,
        reason=delivery.reason,
        delivered=delivery.result.value,
        report=report,
    )
