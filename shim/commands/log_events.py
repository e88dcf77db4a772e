"""What each event of khshim's log means to one who reads the log of a run that is over."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Phase(Enum):
    """Where in a run an event has its place."""

    BEFORE = "before the script"
    STARTED = "the script has been started"
    DURING = "while the script runs or is reported"
    ENDED = "the script ended"
    NOT_RUN = "the script did not run"
    DELIVERED = "the end of the delivery"
    AFTER = "after the delivery, or beside it"
    CRASHED = "khshim itself failed"


class Step(NamedTuple):
    """An event's place, and its words on the line of time, with fields in braces.

    MESSAGE stands for the log's own sentence, which is also taken where a field is missing.
    What is told as an error has short words here.
    """

    phase: Phase
    words: str


MESSAGE = ""

STEPS = {
    "wrong_setting": Step(Phase.NOT_RUN, "A setting is wrong."),
    "unknown_setting": Step(Phase.BEFORE, MESSAGE),
    "doubtful_setting": Step(Phase.BEFORE, MESSAGE),
    "server_reached": Step(Phase.BEFORE, "Kuberhealthy was reached, after {duration_s} s."),
    "server_not_reached": Step(Phase.BEFORE, MESSAGE),
    "script_started": Step(Phase.STARTED, "The script {script} was started."),
    "script_not_started": Step(Phase.NOT_RUN, "The script was not started."),
    "no_deadline": Step(Phase.DURING, MESSAGE),
    "script_output": Step(Phase.DURING, MESSAGE),
    "signal_forwarded": Step(Phase.DURING, "{signal} came from outside; the script got it too."),
    "killed_for_memory": Step(Phase.DURING, MESSAGE),
    "script_exited": Step(Phase.ENDED, MESSAGE),
    "script_timed_out": Step(Phase.ENDED, MESSAGE),
    "folder_started": Step(Phase.STARTED, "The scripts in {script} were started."),
    "folder_ended": Step(Phase.ENDED, "Of {scripts} scripts {passed} have passed."),
    "script_warned": Step(Phase.DURING, MESSAGE),
    "attempt_failed": Step(Phase.DURING, "Attempt {attempt} of {attempts} failed."),
    "no_further_attempt": Step(Phase.DURING, MESSAGE),
    "passed_after_retry": Step(Phase.DURING, MESSAGE),
    "signal_received": Step(Phase.DURING, "{signal} came from outside during the delivery."),
    "report_attempt": Step(Phase.DURING, MESSAGE),
    "report_accepted": Step(Phase.DELIVERED, "Kuberhealthy took the report."),
    "report_assumed": Step(Phase.DELIVERED, MESSAGE),
    "report_refused": Step(Phase.DELIVERED, MESSAGE),
    "report_undelivered": Step(Phase.DELIVERED, MESSAGE),
    "report_impossible": Step(Phase.DELIVERED, MESSAGE),
    "waiting_until_seen": Step(Phase.AFTER, MESSAGE),
    "termination_log_failed": Step(Phase.AFTER, MESSAGE),
    "metrics_failed": Step(Phase.AFTER, MESSAGE),
    "metrics_pushed": Step(Phase.AFTER, MESSAGE),
    "quit_sent": Step(Phase.AFTER, MESSAGE),
    "quit_failed": Step(Phase.AFTER, MESSAGE),
    "bug": Step(Phase.CRASHED, "khshim itself failed."),
    "not_installed": Step(Phase.CRASHED, "khshim cannot work."),
    "crash_reported": Step(Phase.DELIVERED, "The report on that failure was {message}"),
}
# An event of a newer khshim, or of an older one.
UNKNOWN = Step(Phase.AFTER, MESSAGE)


def step(event: str) -> Step:
    """Return what is made of an event."""
    return STEPS.get(event, UNKNOWN)
