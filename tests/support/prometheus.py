"""A real Prometheus and a real Pushgateway on loopback, from Debian's packages."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests.support.servers import closed_port

CONFIG = """\
global: {{scrape_interval: {interval}s, evaluation_interval: {interval}s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: pushgateway
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
PATIENCE = 30.0

Labels = Mapping[str, str]


class Sample(NamedTuple):
    """A series and its values: (unix time, value)."""

    labels: dict[str, str]
    values: list[tuple[float, float]]


class Monitoring:
    """A Prometheus that scrapes a Pushgateway, with its HTTP API."""

    def __init__(self, url: str, gateway: str) -> None:
        self.url = url
        self.gateway = gateway

    def query(self, expr: str) -> list[Sample]:
        """Return what an expression is at this moment."""
        return _samples(self.get("query", query=expr))

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[Sample]:
        return _samples(self.get("query_range", query=expr, start=start, end=end, step=step))

    def label_values(self, label: str, selector: str) -> list[str]:
        values: list[str] = self.get(f"label/{label}/values", **{"match[]": selector})
        return values

    def firing(self) -> dict[str, set[str]]:
        """Return the names of the alerts that fire, by their checks."""
        found: dict[str, set[str]] = {}
        for alert in self.alerts():
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["check"], set()).add(alert["labels"]["alertname"])
        return found

    def alerts(self) -> list[dict[str, Any]]:
        alerts: list[dict[str, Any]] = self.get("alerts")["alerts"]
        return alerts

    def get(self, path: str, **query: object) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urlencode(query)}") as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return found["data"]


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds: it is in another process, which tells nobody."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.1)


def without_durations(rules: str) -> str:
    """Return the rules with each alert firing as soon as its expression is true."""
    return re.sub(r"(?m)^(\s+for:) \S+$", r"\1 0s", rules)


@contextmanager
def monitoring(rules: str, folder: Path, interval: float = 1) -> Iterator[Monitoring]:
    """Start both with these rules; each check is scraped and evaluated every `interval` seconds."""
    port, own_port = closed_port(), closed_port()
    (folder / "rules.yaml").write_text(rules)
    config = folder / "prometheus.yaml"
    config.write_text(
        CONFIG.format(port=port, rules=folder / "rules.yaml", interval=f"{interval:g}")
    )
    gateway = [
        "prometheus-pushgateway",
        f"--web.listen-address=127.0.0.1:{port}",
        "--persistence.file=",  # Debian's keeps what was pushed from one test to the next
    ]
    prometheus = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own_port}",
    ]
    with ExitStack() as stack:
        stack.enter_context(_running(gateway, port, folder / "pushgateway.log"))
        stack.enter_context(_running(prometheus, own_port, folder / "prometheus.log"))
        yield Monitoring(f"http://127.0.0.1:{own_port}", f"http://127.0.0.1:{port}")


@contextmanager
def _running(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Run a server from the moment it says it is ready to the end of the context."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        eventually(lambda: process.poll() is not None or _is_ready(port), f"{command}, see {log}")
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _samples(data: Any) -> list[Sample]:
    return [
        Sample(
            series["metric"],
            [
                (float(at), float(value))
                for at, value in series.get("values", [series.get("value")])
            ],
        )
        for series in data["result"]
    ]
