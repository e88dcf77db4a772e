"""What others are told of a run besides the report: metrics and the pod's termination log.

Nothing here can change the verdict or hold up the report: what goes wrong is logged.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from shim.delivery.result import Delivery
from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker
from shim.observe.log import Log
from shim.observe.termination_log import summary, write_summary
from shim.report.build import Report
from shim.signals import SignalInbox
from shim.start import Start
from shim.supervise.capture import Captured
from shim.supervise.outcome import Outcome
from shim.supervise.resources import Usage

if TYPE_CHECKING:
    from shim.metrics_file import MetricsFile
    from shim.observe.metrics import RunMetrics

P = ParamSpec("P")


# Of many bad lines in a script's metrics, so many get a warning each.
BAD_LINES_LOGGED = 10


def _harmless(
    method: Callable[Concatenate[Observer, P], None],
) -> Callable[Concatenate[Observer, P], None]:
    """Make a method log what goes wrong in it instead of raising it."""

    def guarded(self: Observer, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self._warn(f"{method.__name__} failed: {error!r}")

    return guarded


class Observer:
    """Told of a run's steps as they happen."""

    def __init__(self, begun: Start, log: Log) -> None:
        self._settings = begun.settings
        self._log = log
        self._metrics: RunMetrics | None = None
        if begun.metrics_file is not None:
            self._open_metrics(begun, begun.metrics_file)

    @_harmless
    def _open_metrics(self, begun: Start, file: MetricsFile) -> None:
        settings = self._settings
        try:
            from shim.observe.metrics import RunMetrics  # the extra khshim[metrics]
        except ImportError:
            self._warn("they need prometheus-client: pip install 'khshim[metrics]'")
            return
        # The label is part of the group that a push replaces: without it all checks of a
        # namespace would replace each other's.
        check = settings.check_name or os.path.basename(settings.script)
        labels = {"check": check, "namespace": settings.namespace or ""}
        if file.problem:
            self._warn(f"the script cannot add its own: {file.problem}")
        metrics = RunMetrics(labels, file)
        metrics.set(script_start_time_seconds=begun.unix_now)
        if settings.metrics_port is not None:
            problem = metrics.serve(settings.metrics_port)
            if problem:
                self._warn(f"port {settings.metrics_port} cannot be served: {problem}")
        self._metrics = metrics

    @_harmless
    def script_ended(
        self,
        outcome: Outcome,
        report: Report,
        usage: Usage,
        stderr_count: tuple[int, int],
        stdout: Captured,
        time_left: float | None,
    ) -> None:
        if self._metrics is None:
            return
        exit_code = outcome.exit_status
        if exit_code is None and outcome.signal is not None:
            exit_code = 128 + outcome.signal
        self._metrics.set(
            script_duration_seconds=outcome.duration,
            script_exit_code=exit_code,
            ok=float(report.ok),
            time_left_seconds=time_left,
            stderr_lines=stderr_count[0],
            stderr_bytes=stderr_count[1],
            script_cpu_seconds=usage.cpu_seconds,
            script_peak_memory_bytes=usage.peak_memory,
            cgroup_peak_memory_bytes=usage.cgroup_peak_memory,
        )
        if self._settings.errors_from == "stdout":
            from shim.observe import perfdata  # for metrics of plugins only

            self._metrics.set_performance(perfdata.parse([*stdout.head, *stdout.tail]))

    @_harmless
    def delivered(self, report: Report, delivery: Delivery, latency: float) -> None:
        text = f"{delivery.result.value} ({delivery.reason})"
        problem = write_summary(self._settings.termination_log, summary(report, text))
        if problem:
            message = f"The termination log could not be written: {problem}."
            self._log("termination_log_failed", message, logging.WARNING)
        if self._metrics is None:
            return
        self._metrics.set(
            ok=float(report.ok),
            report_attempts=delivery.attempts,
            report_latency_seconds=latency,
        )
        bad = self._metrics.bad_lines()
        for line in bad[:BAD_LINES_LOGGED]:
            self._warn(f"line {line.number} of SHIM_METRICS_FILE is left out: {line.reason}")
        if len(bad) > BAD_LINES_LOGGED:
            self._warn(f"{len(bad) - BAD_LINES_LOGGED} more such lines are left out")

    @_harmless
    def push(self, inbox: SignalInbox, worker: Worker) -> None:
        """Push the metrics, after the report."""
        url = self._settings.pushgateway_url
        if self._metrics is None or url is None:
            return
        from shim.observe.metrics import PUSH_TIMEOUT

        limit = TimeLimit(time.monotonic() + PUSH_TIMEOUT, inbox, PUSH_TIMEOUT)
        problem = self._metrics.push(url, self._settings.ca_file, limit, worker)
        if problem:
            self._warn(f"they could not be pushed: {problem}")
        else:
            self._log("metrics_pushed", "The Pushgateway took the metrics.", logging.DEBUG)

    def _warn(self, problem: str) -> None:
        self._log("metrics_failed", f"Metrics: {problem}.", logging.WARNING)
