"""Who is told of a run's events: the log, the termination log, and the metrics where asked for.

None of them can change the verdict or hold up the report: what goes wrong in one is logged.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker
from shim.metrics_file import MetricsFile
from shim.observe.events import (
    Event,
    FolderStarted,
    MetricsFailed,
    MetricsPushed,
    ReportEnded,
    ScriptStarted,
    Subscriber,
)
from shim.observe.termination_log import termination_log
from shim.settings import Settings
from shim.signals import SignalInbox

if TYPE_CHECKING:
    from shim.observe.metrics import OwnMetrics, RunMetrics

# So many bad lines in a script's metrics get a warning each; the rest are counted.
BAD_LINES_LOGGED = 10


class Observers:
    """Tells each observer of an event, the log first.

    `file` is where the script writes metrics of its own, None where no metrics are asked
    for; `at_start` are the metrics that are known when the script has been started. Of
    several scripts `own_metrics` makes what returns theirs.
    """

    def __init__(
        self,
        settings: Settings,
        log: Subscriber,
        file: MetricsFile | None,
        at_start: Mapping[str, float | None],
        own_metrics: Callable[[], OwnMetrics] | None = None,
    ) -> None:
        self._settings = settings
        self._log = log
        self._others = [termination_log(settings.termination_log, log)]
        self._own_metrics = own_metrics
        self._metrics: RunMetrics | None = None
        if file is not None:
            try:
                self._metrics = self._open_metrics(file)
            except Exception as error:
                self._warn(f"they failed: {error!r}")
        if self._metrics is not None:
            self._others.append(self._measure(self._metrics, at_start))

    def __call__(self, event: Event) -> None:
        self._log(event)
        for observer in self._others:
            try:
                observer(event)
            except Exception as error:
                self._warn(f"{event.name} failed: {error!r}")

    def push(self, inbox: SignalInbox, worker: Worker) -> None:
        """Push the metrics to the Pushgateway, where one is set."""
        url = self._settings.pushgateway_url
        if self._metrics is None or url is None:
            return
        from shim.observe.metrics import PUSH_TIMEOUT

        limit = TimeLimit(time.monotonic() + PUSH_TIMEOUT, inbox, PUSH_TIMEOUT)
        try:
            problem = self._metrics.push(url, self._settings.ca_file, limit, worker)
        except Exception as error:
            problem = repr(error)
        self._log(
            MetricsPushed()
            if problem is None
            else MetricsFailed(reason=f"they could not be pushed: {problem}")
        )

    def _open_metrics(self, file: MetricsFile) -> RunMetrics | None:
        settings = self._settings
        try:
            from shim.observe.metrics import RunMetrics  # the extra khshim[metrics]
        except ImportError:
            self._warn("they need prometheus-client: pip install 'khshim[metrics]'")
            return None
        # The label is part of the group that a push replaces: without it all checks of a
        # namespace would replace each other's.
        check = settings.check_name or os.path.basename(settings.script.rstrip("/"))
        labels = {"check": check, "namespace": settings.namespace or ""}
        if file.problem is not None:
            self._warn(f"the script cannot add its own: {file.problem}")
        own = self._own_metrics() if self._own_metrics else None
        metrics = RunMetrics(labels, file, own)
        if settings.metrics_port is not None:
            problem = metrics.serve(settings.metrics_port)
            if problem is not None:
                self._warn(f"port {settings.metrics_port} cannot be served: {problem}")
        return metrics

    def _measure(self, metrics: RunMetrics, at_start: Mapping[str, float | None]) -> Subscriber:
        """Return what keeps `metrics` up to date, and warns of the script's bad lines at the end."""

        def measure(event: Event) -> None:
            metrics.take(event)
            if isinstance(event, (ScriptStarted, FolderStarted)):
                metrics.set(**at_start)
            if isinstance(event, ReportEnded):
                bad = metrics.bad_lines()
                for line in bad[:BAD_LINES_LOGGED]:
                    of = f" of {line.script}" if line.script else ""
                    self._warn(
                        f"line {line.number} of SHIM_METRICS_FILE{of} is left out: {line.reason}"
                    )
                if len(bad) > BAD_LINES_LOGGED:
                    self._warn(f"{len(bad) - BAD_LINES_LOGGED} more such lines are left out")

        return measure

    def _warn(self, problem: str) -> None:
        self._log(MetricsFailed(reason=problem))
