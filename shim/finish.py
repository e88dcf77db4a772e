"""The second half of a run: from the started script to the exit status.

What is slow to import is imported by this module and, in a thread, below it: the
script is running meanwhile.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import threading
import time
import traceback
from typing import TYPE_CHECKING

from shim import exit_status, signals
from shim.cgroup import MemoryCgroup
from shim.crash import describe, kill_script
from shim.delivery.result import Result
from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker
from shim.executable import WINDOWS_LINE_ENDINGS
from shim.kuberhealthy import Server
from shim.observe.log import open_log
from shim.observe.observer import Observer
from shim.observe.script_log import ScriptLines
from shim.report.build import Editor, Report, failure, judge, lines_of
from shim.report.mask import Masker
from shim.signals import SignalInbox
from shim.spawn import Child
from shim.start import Start
from shim.suggest import unknown_setting
from shim.supervise.capture import ScriptOutput
from shim.supervise.escalation import StoppedBy
from shim.supervise.loop import Stream, Supervisor
from shim.supervise.outcome import Ending, Outcome
from shim.supervise.resources import Usage, usage_of_children
from shim.supervise.sink import Output, Sink

if TYPE_CHECKING:
    from shim.delivery.wait_for_server import Wait

# Seconds that a slow reader of khshim's own output gets at the very end.
OUTPUT_DRAIN = 1.0
# At least so many seconds are left for the report after a signal that came before it,
AFTER_STOP = 5.0
# and for one that is being delivered already when the signal comes.
SHORTEST_GRACE = 1.0
# v2 looks for a report every 5 s, and forgets it if it sees the pod's deletion first.
SEEN_BY_V2 = 6.0


def finish(begun: Start, inbox: SignalInbox) -> int:
    """See the script to its end, report, and return khshim's exit status."""
    # Started before the script can reach the limit on processes.
    worker = Worker()
    preloaded = threading.Event()
    try:
        worker.submit(lambda: _preload(preloaded))
    except RuntimeError:
        gc.enable()  # the limit is reached already: it is imported when it is needed
        preloaded.set()
    run = _Run(begun, inbox, worker)
    report, status = run.report_or_bug()
    preloaded.wait()
    delivered = run.deliver_and_quit(report)
    run.drain_output()
    return status or delivered


def _preload(done: threading.Event) -> None:
    """Import what delivers, while the script runs."""
    try:
        importlib.import_module("shim.delivery.deliver")
        importlib.import_module("encodings.idna")  # what a host's name is encoded with
    except Exception:
        pass  # it will fail again where it is needed, and be told there
    finally:
        gc.freeze()  # or the next collection would look at all of it
        gc.enable()
        done.set()


class _Run:
    """The rest of one run, and what all of its steps need."""

    def __init__(self, begun: Start, inbox: SignalInbox, worker: Worker) -> None:
        settings = begun.settings
        self._begun = begun
        self._settings = settings
        self._budget = begun.budget
        self._inbox = inbox
        self._worker = worker
        self._was_told_to_stop = begun.stopped_by is not None
        self._was_taken = False
        self._stdout, self._stderr = Sink(1), Sink(2)
        # What writes to these two: they themselves, or what makes lines of JSON before them.
        self._outputs: tuple[Output, Output] = (self._stdout, self._stderr)
        self._common_fields: dict[str, object] = {
            "check": settings.check_name,
            "namespace": settings.namespace,
            "run_uuid": settings.endpoint and settings.endpoint.run_uuid,
        }
        self._log = open_log(
            self._stderr,
            level=settings.log_level,
            style=settings.log_format,
            colour=os.isatty(2),
            **self._common_fields,
        )
        self._observer = Observer(begun, self._log)
        self._editor = Editor(begun.server, Masker(begun.environ, settings.mask))

    def report_or_bug(self) -> tuple[Report, int]:
        """Return the report, and an exit status that outweighs the delivery's, or 0."""
        try:
            return self._report()
        except Exception as error:
            kill_script(self._begun.child)
            return failure([self._log_bug(error)], self._editor), exit_status.BUG

    def deliver_and_quit(self, report: Report) -> int:
        """Deliver the report, then end the sidecar; return the exit status."""
        try:
            status = self._deliver(report)
            self._observer.push(self._inbox, self._worker)
            if self._settings.quit_url is not None:
                self._quit(self._settings.quit_url)
            if self._was_told_to_stop and self._was_taken and self._begun.server is Server.V2:
                self._wait_until_seen()
        except Exception as error:  # not reported: there may be a report already
            self._log_bug(error)
            status = exit_status.BUG
        return status

    def drain_output(self) -> None:
        """Give a slow reader of khshim's own output a last chance."""
        for output in self._outputs:
            output.drain(OUTPUT_DRAIN)

    def _log_bug(self, error: Exception) -> str:
        sentence = describe(error)
        self._log("bug", sentence, logging.ERROR, traceback=traceback.format_exc())
        return sentence

    def _report(self) -> tuple[Report, int]:
        begun, problems = self._begun, self._settings.problems
        self._log_doubts()
        if problems:
            for problem in problems:
                self._log("wrong_setting", problem, logging.ERROR)
            return failure([], self._editor, lines_of(problems)), exit_status.WRONG_SETTINGS
        if begun.wait is not None:
            self._log_wait(begun.wait)
        if begun.child is None:
            self._log("script_not_started", begun.obstacle, logging.ERROR, script=begun.path)
            return failure([begun.obstacle], self._editor), 0
        return self._supervise(begun.child), 0

    def _log_doubts(self) -> None:
        """Log what is no failure and probably not what was meant."""
        for name in self._settings.unknown:
            self._log("unknown_setting", unknown_setting(name), logging.WARNING, setting=name)
        for warning in self._settings.warnings:
            self._log("doubtful_setting", warning, logging.WARNING)

    def _log_wait(self, wait: Wait) -> None:
        if wait.reason:
            message = f"Kuberhealthy could not be reached before the script: {wait.reason}."
            self._log("server_not_reached", message, logging.WARNING, duration_s=wait.seconds)
        else:
            self._log(
                "server_reached",
                "Kuberhealthy can be reached.",
                duration_s=wait.seconds,
            )

    def _supervise(self, child: Child) -> Report:
        settings, path, log = self._settings, self._begun.path, self._log
        log(
            "script_started",
            f"The script {path} is running.",
            script=path,
            pid=child.pid,
            time_left_s=self._time_left(),
        )
        if self._budget.deadline is None:
            log(
                "no_deadline",
                "KH_CHECK_RUN_DEADLINE is not set: the script runs without a deadline.",
                logging.WARNING,
            )
        output = ScriptOutput(merged=settings.errors_from == "both")
        self._outputs = sinks = self._script_sinks()
        outcome = Supervisor(
            child,
            [
                Stream(child.stdout, sinks[0], output.feed_stdout),
                Stream(child.stderr, sinks[1], output.feed_stderr),
            ],
            self._inbox,
            self._budget,
            settings.grace_period,
            settings.stop_signal,
            self._forwarded,
        ).run()
        for sink in sinks:
            sink.close()
        self._was_told_to_stop = outcome.stopped_by is StoppedBy.SIGNAL
        hints = []
        memory = self._begun.memory
        if memory and memory.kills() > self._begun.kills_before:
            hints.append(_killed_for_memory(memory))
            log("killed_for_memory", hints[0], logging.WARNING)
        if self._begun.has_windows_line_endings:
            hints.append(WINDOWS_LINE_ENDINGS)
        chosen, other = output.captured(settings.errors_from)
        report = judge(
            outcome,
            ok_exit_codes=settings.ok_exit_codes,
            editor=self._editor,
            stream=settings.errors_from,
            output=chosen,
            other_output=other,
            hints=hints,
            is_plugin=settings.preset == "nagios",
        )
        usage = usage_of_children(memory)
        self._log_outcome(outcome, report, usage)
        self._observer.script_ended(
            outcome, report, usage, output.count_stderr(), chosen, self._time_left()
        )
        return report

    def _forwarded(self, received: int, sent: int) -> None:
        name, instead = signals.name(received), ""
        if sent != received:
            instead = f" as {signals.name(sent)}, by SHIM_STOP_SIGNAL"
        self._log(
            "signal_forwarded",
            f"Forwarded {name} to the script's process group{instead}.",
            signal=name,
        )

    def _script_sinks(self) -> tuple[Output, Output]:
        """Return where the script's stdout and stderr go on to."""
        if self._settings.log_script == "raw":
            return self._stdout, self._stderr
        return (
            ScriptLines(self._stdout, "stdout", self._common_fields),
            ScriptLines(self._stderr, "stderr", self._common_fields),
        )

    def _log_outcome(self, outcome: Outcome, report: Report, usage: Usage) -> None:
        timed_out = outcome.ending in (Ending.TIMED_OUT, Ending.STUCK)
        self._log(
            "script_timed_out" if timed_out else "script_exited",
            "The script passed." if report.ok else f"The script failed: {report.errors[0]}",
            logging.INFO if report.ok else logging.WARNING,
            script=self._begun.path,
            exit_code=outcome.exit_status,
            signal=None if outcome.signal is None else signals.name(outcome.signal),
            duration_s=outcome.duration,
            time_left_s=self._time_left(),
            errors=len(report.errors),
            cpu_s=usage.cpu_seconds,
            peak_memory_bytes=usage.peak_memory,
            cgroup_peak_memory_bytes=usage.cgroup_peak_memory,
        )

    def _deliver(self, report: Report) -> int:
        """Deliver the report and return the exit status for what became of it."""
        endpoint = self._settings.endpoint
        if endpoint is None:
            self._log(
                "report_impossible",
                "Nothing can be reported without KH_REPORTING_URL and KH_RUN_UUID. To try a script"
                " outside a cluster: khshim try SCRIPT",
                logging.ERROR,
            )
            return exit_status.WRONG_SETTINGS
        from shim.delivery.deliver import deliver, time_to_deliver

        started_at = time.monotonic()
        until = time_to_deliver(self._budget.deadline, started_at)
        if self._was_told_to_stop:  # whoever did will not wait much longer
            until = min(until, started_at + max(self._settings.grace_period, AFTER_STOP))
        limit = TimeLimit(
            until,
            self._inbox,
            max(self._settings.grace_period, SHORTEST_GRACE),
            self._told_to_stop_while_reporting,
        )
        time_left = self._budget.time_left(started_at)
        delivery = deliver(
            endpoint,
            report.body(),
            limit,
            self._worker,
            self._log,
            late=time_left is not None and time_left < 0,
        )
        latency = time.monotonic() - started_at
        status, event, level, prefix = {
            Result.ACCEPTED: (exit_status.DELIVERED, "report_accepted", logging.INFO, ""),
            Result.ASSUMED: (exit_status.DELIVERED, "report_assumed", logging.WARNING, ""),
            Result.REFUSED: (
                exit_status.REFUSED,
                "report_refused",
                logging.ERROR,
                "The report was refused. ",
            ),
            Result.UNDELIVERED: (
                exit_status.UNDELIVERED,
                "report_undelivered",
                logging.ERROR,
                "The report could not be delivered in time. Last: ",
            ),
        }[delivery.result]
        time_left = self._time_left()
        if time_left is not None and time_left < 0:
            prefix = f"{prefix}The check's deadline had passed. "
        self._log(
            event,
            prefix + delivery.reason,
            level,
            ok=report.ok,
            attempt=delivery.attempts,
            status=delivery.status,
            latency_s=latency,
            time_left_s=time_left,
        )
        self._observer.delivered(report, delivery, latency)
        self._was_taken = delivery.result is Result.ACCEPTED
        return status

    def _told_to_stop_while_reporting(self, signum: int) -> None:
        self._was_told_to_stop = True
        name = signals.name(signum)
        self._log(
            "signal_received",
            f"Got {name} while reporting: going on for the grace period.",
            logging.WARNING,
            signal=name,
        )

    def _wait_until_seen(self) -> None:
        """Keep a pod that is being deleted until v2 has seen its report; another signal ends it."""
        time_left = self._time_left()
        seconds = SEEN_BY_V2 if time_left is None else min(SEEN_BY_V2, max(time_left, 0.0))
        self._log(
            "waiting_until_seen",
            f"Staying for {seconds:.1f} s: Kuberhealthy v2 would replace the report by"
            ' "pod deleted unexpectedly" if it saw the pod end first.',
        )
        TimeLimit(time.monotonic() + seconds, self._inbox).wait(seconds)

    def _quit(self, url: str) -> None:
        """Tell the mesh's sidecar to end, which would otherwise keep the pod alive."""
        from shim.delivery.sidecar import QUIT_TIMEOUT, quit_sidecar

        limit = TimeLimit(time.monotonic() + QUIT_TIMEOUT, self._inbox, QUIT_TIMEOUT)
        problem = quit_sidecar(url, self._settings.ca_file, limit, self._worker)
        if problem:
            self._log("quit_failed", f"SHIM_QUIT_URL: {problem}.", logging.WARNING)
        else:
            self._log("quit_sent", "Told the sidecar at SHIM_QUIT_URL to quit.", logging.DEBUG)

    def _time_left(self) -> float | None:
        return self._budget.time_left(time.monotonic())


def _killed_for_memory(memory: MemoryCgroup) -> str:
    limit = memory.limit_bytes()
    shown = f" of {limit / 2**20:,.0f} MiB" if limit else ""
    return (
        f"The kernel killed a process here because the memory limit{shown} was reached:"
        " raise resources.limits.memory, or make the script use less."
    )
