"""What can happen in a run: one class an event, with its fields and its sentence.

The log writes each event as a line; the metrics and the termination log take what they
need from some. The documents' table of events is made from these classes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from shim.report.build import Report
from shim.supervise.capture import Captured
from shim.supervise.outcome import Outcome

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**options: object) -> Callable[[type], type]:
        """Declare to type checkers alone: dataclasses themselves import slowly."""
        return lambda cls: cls


# Words for an event's sentence, and what subscribers other than the log need.
NOT_LOGGED = frozenset(
    {"reason", "suggestion", "result", "line", "report", "delivered", "outcome", "stdout"}
)


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Event:
    """One thing that happened.

    A subclass declares its fields as annotations. Its name in the log is the class's own,
    in lower case with underscores; `when` tells a reader of the documents when it comes.
    `text` is the sentence, with fields in braces. The end of a field's name is its unit:
    `_s` are seconds, `_bytes` bytes. A field that is None, or one of NOT_LOGGED, is not
    written to the log as a field.
    """

    name: ClassVar[str] = ""
    when: ClassVar[str] = ""
    text: ClassVar[str] = ""
    severity: ClassVar[int] = logging.INFO

    def __init_subclass__(cls) -> None:
        parts = ("_" + letter.lower() if letter.isupper() else letter for letter in cls.__name__)
        cls.name = "".join(parts).lstrip("_")

    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)

    @property
    def level(self) -> int:
        """The severity of this one event, as a level of the logging module."""
        return self.severity

    def message(self) -> str:
        """Return the sentence that tells a person what happened, and what to do."""
        return self.text.format_map(vars(self))

    def fields(self) -> dict[str, object]:
        """Return what is written as fields, by name."""
        return {
            name: value
            for name, value in vars(self).items()
            if value is not None and name not in NOT_LOGGED
        }


Subscriber = Callable[[Event], None]


# Before the script


class WrongSetting(Event):
    when = "a setting is wrong: one line for each, and the script is not started"
    severity = logging.ERROR
    text = "{reason}"
    reason: str


class UnknownSetting(Event):
    when = "a variable `SHIM_…` is none of khshim's settings: misspelt? It has no effect"
    severity = logging.WARNING
    text = "{setting} is no setting of khshim and has no effect.{suggestion}"
    setting: str
    suggestion: str


class DoubtfulSetting(Event):
    when = "a setting is probably not meant as it is"
    severity = logging.WARNING
    text = "{reason}"
    reason: str


class ServerReached(Event):
    when = "`SHIM_WAIT_FOR_SERVER`: Kuberhealthy was reached before the script"
    text = "Kuberhealthy can be reached."
    duration_s: float


class ServerNotReached(Event):
    when = "it was not reached in that time, and the script runs all the same"
    severity = logging.WARNING
    text = "Kuberhealthy could not be reached before the script: {reason}."
    duration_s: float
    reason: str


# The script


class ScriptStarted(Event):
    when = "the script has been started"
    script: str
    pid: int
    attempt: int | None
    time_left_s: float | None

    def message(self) -> str:
        attempt = "" if self.attempt is None else f" (attempt {self.attempt})"
        return f"The script {self.script} is running{attempt}."


class ScriptNotStarted(Event):
    when = "the script could not be started; the message says why"
    severity = logging.ERROR
    text = "{reason}"
    script: str
    reason: str


class NoDeadline(Event):
    when = "Kuberhealthy set no deadline"
    severity = logging.WARNING
    text = "KH_CHECK_RUN_DEADLINE is not set: the script runs without a deadline."


class ScriptOutput(Event):
    when = "the script wrote a line (with `SHIM_LOG_SCRIPT=json`)"
    text = "{line}"
    stream: str
    line: str


class SignalForwarded(Event):
    """`sent` is the signal that the script got where that is another one (SHIM_STOP_SIGNAL)."""

    when = "a signal was forwarded to the script"
    signal: str
    sent: str | None

    def message(self) -> str:
        sent = f" as {self.sent}, by SHIM_STOP_SIGNAL" if self.sent else ""
        return f"Forwarded {self.signal} to the script's process group{sent}."


class KilledForMemory(Event):
    when = "the kernel killed a process of the script"
    severity = logging.WARNING
    text = "{reason}"
    reason: str


class ScriptEnded(Event):
    """The end of a script that ran; `report` is the verdict on it.

    `attempt` is None where there is only one. `stdout` is what a Nagios plugin wrote, with
    its performance data; else None.
    """

    script: str
    attempt: int | None
    exit_code: int | None
    signal: str | None
    duration_s: float
    time_left_s: float | None
    errors: int
    stderr_lines: int
    stderr_bytes: int
    cpu_s: float
    peak_memory_bytes: int
    cgroup_peak_memory_bytes: int | None
    report: Report
    outcome: Outcome
    stdout: Captured | None

    @property
    def level(self) -> int:
        return logging.INFO if self.report.ok else logging.WARNING

    def message(self) -> str:
        if self.report.warnings:
            return "The script passed with a warning."
        if self.report.ok:
            return "The script passed."
        return f"The script failed: {self.report.errors[0]}"


class ScriptExited(ScriptEnded):
    when = (
        "the script ended; `peak_memory_bytes` is that of its largest process, and the kernel"
        " never counts less than khshim's 10 MB, or 30 MB from a second attempt on"
    )


class ScriptTimedOut(ScriptEnded):
    when = "the script ended after a limit was reached"


class FolderStarted(Event):
    when = "`SHIM_SCRIPT` is a folder: its scripts are being run, each with events of its own"
    text = "The scripts in {script} are running, at most {parallel} at a time."
    script: str
    pid: int
    parallel: int
    time_left_s: float | None


class FolderEnded(ScriptEnded):
    when = "all scripts of the folder have ended, or were stopped"
    scripts: int
    passed: int

    def message(self) -> str:
        if self.report.ok:
            with_warnings = ", some with a warning" if self.report.warnings else ""
            return f"All {self.scripts} scripts passed{with_warnings}."
        return self.report.errors[0]


class ScriptWarned(Event):
    when = "the script passed with a status of `SHIM_WARN_EXIT_CODES`; `warnings` are its words"
    severity = logging.WARNING
    text = "The script warns: {reason}"
    warnings: list[str]
    reason: str


class AttemptFailed(Event):
    when = "an attempt failed, and the script will be run again (`SHIM_ATTEMPTS`)"
    severity = logging.WARNING
    text = "Attempt {attempt} of {attempts} failed, the next one follows in {delay_s:g} s: {reason}"
    attempt: int
    attempts: int
    delay_s: float
    reason: str


class NoFurtherAttempt(Event):
    when = "the script failed, and is not run again although `SHIM_ATTEMPTS` allows it"
    severity = logging.WARNING
    text = "{reason}"
    attempt: int
    attempts: int
    reason: str


class PassedAfterRetry(Event):
    when = "an attempt passed after others had failed: is the check flaky?"
    severity = logging.WARNING
    text = "The script passed in attempt {attempt} of {attempts}, so it may be flaky."
    attempt: int
    attempts: int


# The report


class SignalReceived(Event):
    when = "a signal arrived while the report was being delivered"
    severity = logging.WARNING
    text = "Got {signal} while reporting: going on for the grace period."
    signal: str


class ReportAttempt(Event):
    when = "an attempt to deliver failed; another one follows if there is time"
    severity = logging.WARNING
    text = "Attempt {attempt} to report failed: {reason}"
    attempt: int
    status: int | None
    time_left_s: float
    reason: str


class ReportEnded(Event):
    """The end of a delivery; `latency_s` counts from the first attempt to the last answer.

    `delivered` says in words what became of the report, for the termination log.
    """

    prefix: ClassVar[str] = ""
    ok: bool
    attempt: int
    status: int | None
    latency_s: float
    time_left_s: float | None
    reason: str
    delivered: str
    report: Report

    def message(self) -> str:
        is_late = self.time_left_s is not None and self.time_left_s < 0
        late = "The check's deadline had passed. " if is_late else ""
        return f"{self.prefix}{late}{self.reason}"


class ReportAccepted(ReportEnded):
    when = "Kuberhealthy took the report"


class ReportAssumed(ReportEnded):
    when = "refused as a second report after an answer was lost, so most probably taken"
    severity = logging.WARNING


class ReportRefused(ReportEnded):
    when = "Kuberhealthy refused the report; the message says what to check"
    severity = logging.ERROR
    prefix = "The report was refused. "


class ReportUndelivered(ReportEnded):
    when = "no attempt succeeded before the deadline"
    severity = logging.ERROR
    prefix = "The report could not be delivered in time. Last: "


class ReportImpossible(Event):
    when = "there is no address to report to"
    severity = logging.ERROR
    text = (
        "Nothing can be reported without KH_REPORTING_URL and KH_RUN_UUID. To try a script"
        " outside a cluster: khshim try SCRIPT"
    )


class WaitingUntilSeen(Event):
    when = "on v2, in a pod that is being deleted: khshim stays until its report is seen"
    text = (
        "Staying for {duration_s:.1f} s: Kuberhealthy v2 would replace the report by"
        ' "pod deleted unexpectedly" if it saw the pod end first.'
    )
    duration_s: float


# Beside the report


class TerminationLogFailed(Event):
    when = "the summary could not be written to the termination log"
    severity = logging.WARNING
    text = "The termination log could not be written: {reason}."
    reason: str


class MetricsFailed(Event):
    when = "metrics could not be served, read or pushed; the verdict stays"
    severity = logging.WARNING
    text = "Metrics: {reason}."
    reason: str


class MetricsPushed(Event):
    when = "the Pushgateway took the metrics (level `debug`)"
    severity = logging.DEBUG
    text = "The Pushgateway took the metrics."


class QuitSent(Event):
    when = "the sidecar took `SHIM_QUIT_URL` (level `debug`)"
    severity = logging.DEBUG
    text = "Told the sidecar at SHIM_QUIT_URL to quit."


class QuitFailed(Event):
    when = "the sidecar did not take `SHIM_QUIT_URL`"
    severity = logging.WARNING
    text = "SHIM_QUIT_URL: {reason}."
    reason: str


class Bug(Event):
    when = "khshim itself failed"
    severity = logging.ERROR
    text = "{reason}"
    reason: str
    traceback: str


class NotInstalled(Event):
    when = "a Python package that khshim needs is missing"
    severity = logging.ERROR
    text = "{reason}"
    reason: str
    traceback: str


class CrashReported(Event):
    when = "what became of the report on a bug"
    severity = logging.ERROR
    text = "{result}: {reason}"
    result: str
    reason: str


def field_names(kind: type[Event]) -> list[str]:
    """Return the names of the fields that an event has in the log, those it may have included."""
    declared = [name for base in reversed(kind.__mro__[:-2]) for name in base.__annotations__]
    return [name for name in declared if name not in NOT_LOGGED and not hasattr(kind, name)]


# In the order of the table in the documents; classes without `when` only hold what others share.
EVENTS = tuple(
    kind
    for kind in list(vars().values())
    if isinstance(kind, type) and issubclass(kind, Event) and kind.when
)
