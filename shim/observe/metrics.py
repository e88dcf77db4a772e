"""Metrics of a run for Prometheus: served while it runs, pushed after the report."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from http.server import HTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, MetricsHandler, push_to_gateway
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

import shim
from shim.delivery.post import Answer, Attempt, Request, one_line, perform
from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker
from shim.metrics_file import MetricsFile
from shim.observe import perfdata
from shim.observe.events import Event, ReportEnded, ScriptEnded, WrongSetting
from shim.observe.perfdata import Value

PUSH_TIMEOUT = 3.0
# Seconds for each step of a client that scrapes: the next one waits meanwhile.
CLIENT_TIMEOUT = 1.0
JOB = "khshim"

HELP = {
    "build_info": "The version of khshim.",
    "script_start_time_seconds": "Unix time at which the script was started.",
    "script_limit_seconds": "How long the script may run, from its start to SIGTERM.",
    "script_duration_seconds": "How long the script ran.",
    "script_exit_code": "The script's exit status; 128 + N where it died of signal N.",
    "attempts": "How many times the script was run.",
    "passed_after_retry": "1 where the script passed after it had failed: it may be flaky.",
    "warning": "1 where the check passed with a warning.",
    "ok": "1 where the check passed, 0 where it failed.",
    "time_left_seconds": "What was left until the deadline when the script had ended.",
    "stderr_lines": "Lines the script wrote to stderr.",
    "stderr_bytes": "Bytes the script wrote to stderr.",
    "script_cpu_seconds": "CPU time of the script and its descendants.",
    "script_peak_memory_bytes": "Resident memory of the script's largest process at its peak.",
    "cgroup_peak_memory_bytes": "Memory of the whole container at its peak.",
    "report_attempts": "Attempts it took to report.",
    "folder_script_ok": "Of a script of a folder: 1 where it passed, 0 where it failed.",
    "folder_script_duration_seconds": "Of a script of a folder: how long it ran.",
    "folder_script_exit_code": "Of a script of a folder: its exit status, as above.",
    "report_latency_seconds": "Time from the first attempt to the end of the delivery.",
    "perfdata": "Performance data of a Nagios plugin, in base units.",
}


class BadLine(NamedTuple):
    """A line of a script's metrics that cannot be used; `number` counts from 1.

    `script` is the script's name where there are several.
    """

    number: int
    reason: str
    script: str = ""


OwnMetrics = Callable[[Collection[str]], tuple[list[Metric], list[BadLine]]]
"""Returns the metrics of scripts, and the bad lines; takes labels that tell no series apart."""


def families(text: str, replaced: Collection[str] = ()) -> tuple[list[Metric], list[BadLine]]:
    """Parse metrics in the text format; bad lines are left out and returned.

    A series that was there before is bad too, since a Pushgateway refuses the whole
    push for it. `replaced` are labels that do not tell series apart.
    """
    good: list[str] = []
    bad: list[BadLine] = []
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for number, line in enumerate(text.split("\n"), 1):
        try:
            parsed = list(text_string_to_metric_families(line + "\n"))
        except Exception as error:  # the parser does not only raise ValueError
            bad.append(BadLine(number, one_line(str(error))))
            continue
        series = {
            (
                sample.name,
                frozenset(item for item in sample.labels.items() if item[0] not in replaced),
            )
            for metric in parsed
            for sample in metric.samples
        }
        if any(metric.name.startswith("khshim_") for metric in parsed):
            bad.append(BadLine(number, "names that begin with khshim_ are khshim's own"))
        elif series & seen:
            bad.append(BadLine(number, "there was a line with this name and these labels before"))
        else:
            seen |= series
            good.append(line)
    try:
        return list(text_string_to_metric_families("\n".join(good) + "\n")), bad
    except Exception as error:  # each line is good, but not with the others
        return [], [*bad, BadLine(1, one_line(str(error)))]


class _Handler(MetricsHandler):
    timeout = CLIENT_TIMEOUT


class _Server(HTTPServer):
    """Serves one client at a time: idle ones must not use up the descriptors of the report.

    Some more wait in the kernel (`request_queue_size`), and beyond these it accepts none.
    """

    def server_bind(self) -> None:
        # HTTPServer's own asks DNS for this host's full name, and waits for the answer.
        TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:  # without a descriptor: the client still waits, so do not ask at once
            time.sleep(CLIENT_TIMEOUT)
            raise

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: a client that goes away is no news."""


class RunMetrics(Collector):
    """The metrics of one run. `set` is called as figures come to be known.

    `own` returns those of the scripts, by default what is in the file `script`.
    """

    def __init__(
        self, labels: Mapping[str, str], script: MetricsFile, own: OwnMetrics | None = None
    ) -> None:
        self._labels = dict(labels)
        self._own = own or (lambda replaced: families(script.text(), replaced))
        self._values: dict[str, float] = {}
        self._performance: list[Value] = []
        self._lock = threading.Lock()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def set(self, **values: float | None) -> None:
        """Set figures by their names in HELP; one that is None is left out."""
        with self._lock:
            self._values |= {name: value for name, value in values.items() if value is not None}

    def take(self, event: Event) -> None:
        """Set the figures that an event brings."""
        if isinstance(event, ScriptEnded):
            outcome = event.outcome
            attempt = event.attempt or 1
            died = None if outcome.signal is None else 128 + outcome.signal
            self.set(
                script_duration_seconds=event.duration_s,
                script_exit_code=died if outcome.exit_status is None else outcome.exit_status,
                attempts=attempt,
                passed_after_retry=float(event.report.ok and attempt > 1),
                warning=float(bool(event.report.warnings)),
                ok=float(event.report.ok),
                time_left_seconds=event.time_left_s,
                stderr_lines=event.stderr_lines,
                stderr_bytes=event.stderr_bytes,
                script_cpu_seconds=event.cpu_s,
                script_peak_memory_bytes=event.peak_memory_bytes,
                cgroup_peak_memory_bytes=event.cgroup_peak_memory_bytes,
            )
            if event.stdout is not None:
                self.set_performance(perfdata.parse([*event.stdout.head, *event.stdout.tail]))
        elif isinstance(event, WrongSetting):
            self.set(ok=0.0)  # without an address there will be no report either
        elif isinstance(event, ReportEnded):
            self.set(
                ok=float(event.report.ok),
                report_attempts=event.attempt,
                report_latency_seconds=event.latency_s,
            )

    def set_performance(self, values: Iterable[Value]) -> None:
        with self._lock:
            self._performance = list(values)

    def collect(self) -> Iterator[Metric]:
        names, values = list(self._labels), list(self._labels.values())
        info = GaugeMetricFamily(
            "khshim_build_info", HELP["build_info"], labels=[*names, "version"]
        )
        info.add_metric([*values, shim.__version__], 1)
        yield info
        with self._lock:
            figures, performance = dict(self._values), list(self._performance)
        for name, value in figures.items():
            family = GaugeMetricFamily(f"khshim_{name}", HELP[name], labels=names)
            family.add_metric(values, value)
            yield family
        if performance:
            family = GaugeMetricFamily(
                "khshim_perfdata",
                HELP["perfdata"],
                labels=[*names, "label", "unit"],
            )
            for item in {(item.label, item.unit): item for item in performance}.values():
                family.add_metric([*values, item.label, item.unit], item.value)
            yield family
        for metric in self._own(self._labels)[0]:
            for index, sample in enumerate(metric.samples):
                metric.samples[index] = sample._replace(labels={**sample.labels, **self._labels})
            yield metric

    def bad_lines(self) -> list[BadLine]:
        """Return the lines of the script's own metrics that were left out."""
        return self._own(self._labels)[1]

    def serve(self, port: int) -> str | None:
        """Serve /metrics until the process ends; return None, or why that cannot be."""
        try:
            server = _Server(("", port), _Handler.factory(self.registry))
            threading.Thread(target=server.serve_forever, daemon=True).start()
        except (OSError, RuntimeError) as error:
            return str(error)
        return None

    def push(self, url: str, ca_file: str | None, limit: TimeLimit, worker: Worker) -> str | None:
        """Push to a Pushgateway within `limit`; return None, or why it did not work.

        Sent as khshim sends its report: past proxies, and with khshim's own TLS.
        """

        def handler(
            url: str, method: str, timeout: float | None, headers: list[Any], data: bytes
        ) -> Callable[[], None]:
            def send() -> None:
                attempt = Attempt()
                fields = {str(name): str(value) for name, value in headers}
                perform(Request(method, url, fields, data, PUSH_TIMEOUT, ca_file), attempt)
                outcome = attempt.abandon()
                if not isinstance(outcome, Answer):
                    raise OSError(outcome.reason)
                if outcome.status >= 300:
                    raise OSError(f"it answered {outcome.status} {outcome.words}")

            return send

        def push() -> str | None:
            try:
                push_to_gateway(url, JOB, self.registry, grouping_key=self._labels, handler=handler)
            except Exception as error:  # whatever is wrong with it, the check has its verdict
                return str(error)
            return None

        return worker.ask(push, limit)
