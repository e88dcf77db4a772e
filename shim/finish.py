"""The second half of a run: from the started script to the exit status.

What is slow to import is imported by this module and, in a thread, below it: the
script is running meanwhile.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import threading
import time
import traceback

from shim import exits, signals
from shim.capture import Capture, WholeLines
from shim.log import Log, open_log
from shim.outcome import Ending, Outcome
from shim.report import Report, failure, judge, lines_of
from shim.script import WINDOWS_LINE_ENDINGS, has_windows_line_endings
from shim.signals import SignalInbox
from shim.sink import Sink
from shim.spawn import Child
from shim.start import Start
from shim.supervise import Stream, Supervisor

# Seconds that a slow reader of khshim's own output gets at the very end.
OUTPUT_DRAIN = 1.0


def finish(begun: Start, inbox: SignalInbox) -> int:
    """See the script to its end, report, and return khshim's exit status."""
    settings = begun.settings
    if begun.child is not None:
        _import_in_background("shim.delivery")
    stdout, stderr = Sink(1), Sink(2)
    log = open_log(
        stderr,
        level=settings.log_level,
        style=settings.log_format,
        colour=os.isatty(2),
        namespace=settings.namespace,
        run_uuid=settings.endpoint and settings.endpoint.run_uuid,
    )
    try:
        report, status = _report(begun, inbox, stdout, stderr, log)
    except Exception as error:
        report, status = _bug_report(begun, error, log), exits.BUG
    delivered = _deliver(report, begun, inbox, log)
    for sink in (stdout, stderr):
        sink.drain(OUTPUT_DRAIN)
    return status or delivered


def _import_in_background(module: str) -> None:
    try:
        threading.Thread(
            target=importlib.import_module, args=(module,), daemon=True
        ).start()
    except RuntimeError:
        pass  # the limit on processes is reached: it is imported when it is needed


def _report(
    begun: Start, inbox: SignalInbox, stdout: Sink, stderr: Sink, log: Log
) -> tuple[Report, int]:
    """Return the report, and an exit status that outweighs the delivery's, or 0."""
    server = begun.server
    if begun.settings.problems:
        for problem in begun.settings.problems:
            log("wrong_setting", problem, logging.ERROR)
        return (
            failure([], server, lines_of(begun.settings.problems)),
            exits.WRONG_SETTINGS,
        )
    if begun.child is None:
        log("script_not_started", begun.obstacle, logging.ERROR, script=begun.path)
        return failure([begun.obstacle], server), 0
    return _supervise(begun, begun.child, inbox, stdout, stderr, log), 0


def _supervise(
    begun: Start, child: Child, inbox: SignalInbox, stdout: Sink, stderr: Sink, log: Log
) -> Report:
    settings, budget = begun.settings, begun.budget
    log(
        "script_started",
        f"The script {begun.path} is running.",
        script=begun.path,
        pid=child.pid,
        time_left_s=budget.time_left(time.monotonic()),
    )
    if budget.deadline is None:
        log(
            "no_deadline",
            "KH_CHECK_RUN_DEADLINE is not set: the script runs without a deadline.",
            logging.WARNING,
        )
    captures = {"stdout": Capture(), "stderr": Capture(), "both": Capture()}
    source = settings.errors_from
    feeds = {name: capture.feed for name, capture in captures.items()}
    merged = [WholeLines(captures["both"].feed) for _ in range(2)]
    if source == "both":
        feeds["stdout"], feeds["stderr"] = merged[0].feed, merged[1].feed
    outcome = Supervisor(
        child,
        [
            Stream(child.stdout, stdout, feeds["stdout"]),
            Stream(child.stderr, stderr, feeds["stderr"]),
        ],
        inbox,
        budget,
        settings.grace_period,
        lambda signum: log(
            "signal_forwarded",
            f"Forwarded {signum.name} to the script's process group.",
            signal=signum.name,
        ),
    ).run()
    for lines in merged:
        lines.close()
    report = judge(
        outcome,
        ok_exit_codes=settings.ok_exit_codes,
        server=begun.server,
        stream=source,
        output=captures[source].captured(),
        other_output=captures["stdout" if source == "stderr" else "stderr"].captured(),
        hint=WINDOWS_LINE_ENDINGS if has_windows_line_endings(begun.path) else "",
    )
    _log_outcome(outcome, report, begun, log)
    return report


def _log_outcome(outcome: Outcome, report: Report, begun: Start, log: Log) -> None:
    timed_out = outcome.ending in (Ending.TIMED_OUT, Ending.STUCK)
    log(
        "script_timed_out" if timed_out else "script_exited",
        "The script passed." if report.ok else f"The script failed: {report.errors[0]}",
        logging.INFO if report.ok else logging.WARNING,
        script=begun.path,
        exit_code=outcome.exit_status,
        signal=None if outcome.signal is None else signals.name(outcome.signal),
        duration_s=outcome.duration,
        time_left_s=begun.budget.time_left(time.monotonic()),
        errors=len(report.errors),
    )


def _deliver(report: Report, begun: Start, inbox: SignalInbox, log: Log) -> int:
    """Deliver the report and return the exit status for what became of it."""
    endpoint = begun.settings.endpoint
    if endpoint is None:
        log(
            "report_impossible",
            "Nothing can be reported without KH_REPORTING_URL and KH_RUN_UUID. To try a script"
            " outside a cluster: khshim try SCRIPT",
            logging.ERROR,
        )
        return exits.WRONG_SETTINGS
    # Here it is either loaded already, or this waits for the thread that loads it.
    from shim.delivery import Result, deliver, time_to_deliver
    from shim.patience import Patience

    started_at = time.monotonic()
    patience = Patience(
        time_to_deliver(begun.budget.deadline, started_at),
        inbox,
        begun.settings.grace_period,
        lambda signum: log(
            "signal_received",
            f"Got {signum.name} while reporting: going on for the grace period.",
            logging.WARNING,
            signal=signum.name,
        ),
    )
    delivery = deliver(endpoint, report.body(), patience, log)
    status, event, level, message = {
        Result.ACCEPTED: (exits.DELIVERED, "report_accepted", logging.INFO, ""),
        Result.ASSUMED: (exits.DELIVERED, "report_assumed", logging.WARNING, ""),
        Result.REFUSED: (
            exits.REFUSED,
            "report_refused",
            logging.ERROR,
            "The report was refused. ",
        ),
        Result.UNDELIVERED: (
            exits.UNDELIVERED,
            "report_undelivered",
            logging.ERROR,
            "The report could not be delivered in time. Last: ",
        ),
    }[delivery.result]
    log(
        event,
        message + delivery.reason,
        level,
        ok=report.ok,
        attempt=delivery.attempts,
        status=delivery.status,
        latency_s=time.monotonic() - started_at,
        time_left_s=begun.budget.time_left(time.monotonic()),
    )
    return status


def _bug_report(begun: Start, error: Exception, log: Log) -> Report:
    if begun.child is not None:
        try:
            os.killpg(begun.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    frame = traceback.extract_tb(error.__traceback__)[-1]
    sentence = (
        f"khshim itself failed, which is a bug in it, not in the script: {type(error).__name__}:"
        f" {error} ({os.path.basename(frame.filename)}, line {frame.lineno}). The pod's log says more."
    )
    log("bug", sentence, logging.ERROR, traceback=traceback.format_exc())
    return failure([sentence], begun.server)
