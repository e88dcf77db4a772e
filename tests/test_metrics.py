"""Metrics of a run: served, pushed, and what the examples for Prometheus make of them."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from shim.metrics_file import MetricsFile
from shim.observe.metrics import RunMetrics, families
from tests.support.gateway import Gateway
from tests.support.khshim import Shim
from tests.support.manifests import ROOT

Write = Callable[..., str]


def samples(text: str) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_pushed_after_the_report(shim: Shim, script: Write) -> None:
    path = script(
        "#!/bin/sh\n"
        "echo '# TYPE orders_waiting gauge' >> $SHIM_METRICS_FILE\n"
        'echo \'orders_waiting{shop="a"} 7\' >> "$SHIM_METRICS_FILE"\n'
        "echo 'bad line here' >> $SHIM_METRICS_FILE\n"
        "echo 'khshim_ok 1' >> $SHIM_METRICS_FILE\n"
        "echo 'orders_done_total 3' >> $SHIM_METRICS_FILE\n"
        "echo one >&2; echo two >&2; exit 3\n"
    )
    with Gateway() as gateway:
        env = {"SHIM_PUSHGATEWAY_URL": gateway.url, "SHIM_CHECK_NAME": "web"}
        run = shim.run(path, env=env)
    [(url, kind, body)] = gateway.pushed
    assert (
        url.startswith("/metrics/job/khshim/") and "/check/web" in url and "/namespace/try" in url
    )
    assert kind.startswith("text/plain; version=")
    found = samples(body)
    assert found["khshim_ok"] == 0
    assert found["khshim_script_exit_code"] == 3
    assert found["khshim_stderr_lines"] == 2 and found["khshim_stderr_bytes"] == 8
    assert found["khshim_report_attempts"] == 1
    assert 0 < found["khshim_script_duration_seconds"] < 30
    assert 30 < found["khshim_time_left_seconds"] < 60
    assert found["khshim_script_cpu_seconds"] > 0
    assert found["khshim_script_peak_memory_bytes"] > 500_000
    assert found["khshim_build_info"] == 1
    assert found["orders_waiting"] == 7 and found["orders_done_total"] == 3
    assert 'check="web"' in body and 'namespace="try"' in body
    assert shim.receiver.endpoint.run_uuid not in body
    warnings = [line["message"] for line in run.log if line["event"] == "metrics_failed"]
    assert len(warnings) == 2
    assert "line 3 of SHIM_METRICS_FILE is left out" in warnings[0]
    assert "line 4" in warnings[1] and "khshim's own" in warnings[1]
    if promtool := find_promtool():
        result = subprocess.run(
            [promtool, "check", "metrics"], input=body.encode(), capture_output=True
        )
        assert result.returncode in (
            0,
            3,
        ), result.stderr  # 3: style, which the script's own may break


def test_without_a_name_checks_are_told_apart_by_their_scripts(
    make_shim: Callable[..., Shim], script: Write
) -> None:
    with Gateway() as gateway:
        for name in ("web.sh", "dns.sh"):
            env = {"SHIM_PUSHGATEWAY_URL": gateway.url}
            make_shim().run(script("#!/bin/sh\nexit 0\n", name), env=env)
    (first, _, body), (second, _, _) = gateway.pushed
    assert "/check/web.sh" in first and "/check/dns.sh" in second
    assert 'khshim_ok{check="web.sh",namespace="try"} 1.0' in body


@pytest.mark.parametrize(
    "env",
    [
        {"SHIM_GRACE_PERIOD": "x"},
        {"KH_RUN_UUID": ""},
        {"KH_CHECK_RUN_DEADLINE": "1700000000"},
        {"SHIM_SCRIPT": "/no/such/script"},
    ],
)
def test_a_script_that_was_not_started_is_pushed_as_failed(shim: Shim, env: dict[str, str]) -> None:
    """Otherwise the Pushgateway would show the last run for ever, which may have passed."""
    with Gateway() as gateway:
        settings = {"SHIM_SCRIPT": "/bin/true", "SHIM_PUSHGATEWAY_URL": gateway.url}
        shim.finish(shim.start(env={**settings, **env}))
    [(_, _, body)] = gateway.pushed
    found = samples(body)
    assert found["khshim_ok"] == 0
    assert "khshim_script_duration_seconds" not in found
    assert "khshim_script_start_time_seconds" not in found


@pytest.mark.parametrize(
    ("env", "least", "most"),
    [
        ({}, 50, 60 - 2 - 5),  # without the reserve and the grace period
        ({"SHIM_TIMEOUT": "20s"}, 19, 20),
        ({"KH_CHECK_RUN_DEADLINE": ""}, None, None),
    ],
)
def test_the_time_the_script_has(
    shim: Shim, env: dict[str, str], least: float | None, most: float | None
) -> None:
    with Gateway() as gateway:
        shim.run("/bin/true", env={"SHIM_PUSHGATEWAY_URL": gateway.url, **env})
    limit = samples(gateway.pushed[0][2]).get("khshim_script_limit_seconds")
    if least is None or most is None:
        assert limit is None
    else:
        assert limit is not None and least < limit <= most


def test_a_proxy_is_not_asked_to_push(shim: Shim) -> None:
    with Gateway() as gateway:
        proxies = {name: "http://127.0.0.1:1" for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY")}
        run = shim.run("/bin/true", env={"SHIM_PUSHGATEWAY_URL": gateway.url, **proxies})
    assert run.ok and len(gateway.pushed) == 1


def test_stderr_is_counted_with_errors_from_both(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\necho out; echo err >&2; exit 1\n")
    with Gateway() as gateway:
        env = {"SHIM_PUSHGATEWAY_URL": gateway.url, "SHIM_ERRORS_FROM": "both"}
        shim.run(path, env=env)
    assert samples(gateway.pushed[0][2])["khshim_stderr_lines"] == 1


class Served(NamedTuple):
    """A run that serves metrics on `port`, with a script that waits for a line in `fifo`."""

    process: subprocess.Popen[bytes]
    port: int
    fifo: Path

    def scrape(self) -> dict[str, float]:
        url = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return samples(answer.read().decode())

    def end_script(self) -> None:
        self.fifo.write_text("end\n")


@pytest.fixture
def serve_metrics(shim: Shim, script: Write, tmp_path: Path) -> Callable[..., Served]:
    def serve(*prefix: str) -> Served:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        path = script(
            f"#!/bin/sh\necho 'queue 5' > $SHIM_METRICS_FILE\necho ready; read x < {fifo}\n"
        )
        process = shim.start(path, env={"SHIM_METRICS_PORT": str(port)}, prefix=prefix)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        return Served(process, port, fifo)

    return serve


def test_metrics_are_served_while_it_runs(shim: Shim, serve_metrics: Callable[..., Served]) -> None:
    served = serve_metrics()
    found = served.scrape()
    served.end_script()
    assert shim.finish(served.process).ok
    assert found["queue"] == 5
    assert found["khshim_script_start_time_seconds"] > 1_700_000_000
    assert "khshim_ok" not in found


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nX: "])
def test_idle_connections_take_nothing_from_the_report(
    shim: Shim, serve_metrics: Callable[..., Served], sent: bytes
) -> None:
    """They were accepted without a limit: no descriptor, or no memory, was left to report."""
    served = serve_metrics("prlimit", "--nofile=64")
    with ExitStack() as stack:
        refused = 0
        for _ in range(150):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(0.1)
            try:
                connection.connect(("127.0.0.1", served.port))
                connection.send(sent)
            except TimeoutError:
                refused += 1
                if refused == 10:
                    break
        served.end_script()
        run = shim.finish(served.process)
    assert run.ok and run.exit_status == 0
    assert "report_attempt" not in [line["event"] for line in run.log]


def test_idle_connections_do_not_keep_the_metrics(
    shim: Shim, serve_metrics: Callable[..., Served]
) -> None:
    served = serve_metrics()
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
        assert served.scrape()["queue"] == 5
    served.end_script()
    assert shim.finish(served.process).ok


def test_a_client_that_resets_is_no_news(shim: Shim, serve_metrics: Callable[..., Served]) -> None:
    served = serve_metrics()
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(b"GET /metrics HTTP/1.1\r\n")
    assert served.scrape()["queue"] == 5
    served.end_script()
    run = shim.finish(served.process)
    assert b"Traceback" not in run.stderr and len(run.log) == 3


def test_no_dns_is_asked_to_serve_metrics(
    make_shim: Callable[..., Shim], script: Write, tmp_path: Path
) -> None:
    """Not even for the host's own name: the script is running, and nobody would stop it."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.77\n")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    files = f"for f in resolv.conf hosts; do mount --bind {tmp_path}/$f /etc/$f || exit 99; done"
    prefix = ["unshare", "--mount", "--uts", "sh", "-c"]
    prefix += [f'{files}; hostname node.example || exit 99; exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("needs to be allowed to unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
        dns.bind(("127.0.0.77", 53))  # and never answers
        with socket.create_server(("127.0.0.1", 0)) as listener:
            env = {"SHIM_METRICS_PORT": str(listener.getsockname()[1])}
        run = make_shim(timeout=8).run(script("#!/bin/sh\nexit 0\n"), prefix=prefix, env=env)
        assert run.ok
        dns.setblocking(False)
        with pytest.raises(BlockingIOError):
            dns.recv(1)


def test_a_server_without_descriptors_does_not_spin() -> None:
    metrics = RunMetrics({}, MetricsFile())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert metrics.serve(port) is None
    client = socket.socket()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        client.connect(("127.0.0.1", port))
        used = time.process_time()
        threading.Event().wait(0.5)
        used = time.process_time() - used
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert used < 0.2
    client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert client.recv(100).startswith(b"HTTP/1.0 200 ")
    client.close()


def test_a_series_that_is_given_twice() -> None:
    text = 'a 1\na 2\nb{x="1"} 1\nb{x="2"} 1\nb{check="own"} 1\nb{check="other"} 2\n'
    good, bad = families(text, ["check"])
    assert sum(len(metric.samples) for metric in good) == 4
    assert [line.number for line in bad] == [2, 6]


def test_a_line_that_is_no_metric_is_not_told_at_length() -> None:
    """As the NULs of a file that was written beyond its end."""
    _, [bad] = families("\0" * 64 * 1024)
    assert bad.reason.startswith("invalid metric name")
    assert len(bad.reason) <= 200


@given(st.text())
def test_any_text_in_the_metrics_file_is_survived(text: str) -> None:
    good, bad = families(text)
    assert all(line.number >= 1 for line in bad)


# Examples


def find_promtool() -> str | None:
    from shutil import which

    return which("promtool")


def test_the_alert_rules_are_valid() -> None:
    promtool = find_promtool()
    if promtool is None:
        pytest.skip("needs promtool")
    rules = ROOT / "examples" / "prometheus" / "rules.yaml"
    subprocess.run([promtool, "check", "rules", rules], check=True, capture_output=True)


def test_the_dashboard_and_the_rules_use_metrics_that_exist() -> None:
    from shim.observe.metrics import HELP

    known = {f"khshim_{name}" for name in HELP} | {"khshim_build_info", "khshim_perfdata"}
    folder = ROOT / "examples" / "prometheus"
    dashboard = json.loads((folder / "dashboard.json").read_text())
    assert dashboard["panels"]
    for text in (json.dumps(dashboard), (folder / "rules.yaml").read_text()):
        used = set(re.findall(r"\bkhshim_[a-z_]+", text))
        assert used and used <= known
