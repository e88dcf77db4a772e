"""What operators see besides the report: logs, the termination log, metrics, resource use."""

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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from shim.metrics_file import MetricsFile
from shim.observe.metrics import RunMetrics, families
from shim.observe.script_log import ScriptLines
from shim.observe.termination_log import summary, write_summary
from shim.report.build import Report
from shim.supervise.sink import Sink
from tests.conftest import Shim
from tests.manifests import ROOT

Write = Callable[..., str]
README = (ROOT / "README.md").read_text()


# Logs


def test_a_quiet_run_is_three_lines(shim: Shim) -> None:
    run = shim.run("/bin/true", env={"SHIM_CHECK_NAME": "web"})
    assert run.stderr.count(b"\n") == 3
    for line in run.log:
        assert line["check"] == "web" and line["namespace"] == "try"
        assert line["run_uuid"] == shim.receiver.endpoint.run_uuid
        assert line["level"] == "info" and line["timestamp"].endswith("Z")


def test_resource_use_is_in_the_log(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\npython3 -c 'x = bytearray(60_000_000); sum(range(3_000_000))'\n")
    event = shim.run(path).event("script_exited")
    assert event["cpu_s"] > 0.02
    assert event["peak_memory_bytes"] > 60_000_000


def test_every_line_of_the_script_as_json(shim: Shim, script: Write) -> None:
    path = script(
        "#!/bin/sh\n"
        'echo plain; echo \'{"level": "error", "msg": "own", "stream": 7}\' >&2\n'
        "echo '{broken'; echo '{\"a\": NaN}'; echo '{\"a\": 1e999}'; printf 'last \\377'; exit 1\n"
    )
    run = shim.run(path, env={"SHIM_LOG_SCRIPT": "json", "SHIM_CHECK_NAME": "web"})
    out = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["message"] for line in out] == [
        "plain",
        "{broken",
        '{"a": NaN}',
        '{"a": 1e999}',
        "last \ufffd",
    ]
    assert all(
        (line["stream"], line["level"], line["event"], line["check"])
        == ("stdout", "info", "script_output", "web")
        for line in out
    )
    [own] = [line for line in map(json.loads, run.stderr.splitlines()) if "msg" in line]
    assert (own["level"], own["msg"], own["stream"]) == ("error", "own", 7)
    # The report is made of the lines themselves.
    assert run.errors[0].startswith('{"level": "error"')


def test_all_lines_have_the_same_time_format_and_no_nulls(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\necho plain; echo '{\"a\": 1}'; echo err >&2; exit 1\n")
    run = shim.run(path, env={"SHIM_LOG_SCRIPT": "json", "KH_POD_NAMESPACE": "UNSET"})
    lines = [json.loads(line) for line in (run.stdout + run.stderr).splitlines()]
    assert len(lines) == 6
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
        assert None not in line.values() and "check" not in line


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_any_bytes_become_lines_of_json(chunks: list[bytes]) -> None:
    reader, writer = os.pipe()
    try:
        lines = ScriptLines(Sink(writer), "stdout", {})
        for chunk in chunks:
            lines.write(chunk)
        lines.close()
        os.write(writer, b"end")
        written = os.read(reader, 1_000_000).split(b"\n")
    finally:
        os.close(reader)
        os.close(writer)
    assert written.pop() == b"end"
    data = b"".join(chunks)
    assert len(written) == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    assert all(isinstance(json.loads(line), dict) for line in written)


# The pod's own status


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (Report(True, []), "OK\nReport: accepted"),
        (Report(False, ["one", "two"]), "NOT OK\nReport: accepted\none\ntwo"),
    ],
)
def test_the_summary(report: Report, text: str) -> None:
    assert summary(report, "accepted") == text.encode()


def test_a_long_summary_is_cut_between_characters() -> None:
    text = summary(Report(False, ["€" * 1000] * 16), "accepted")
    assert 4000 < len(text) <= 4096
    assert text.decode().endswith("€\n…")


def test_the_termination_log(shim: Shim, script: Write, tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    path.write_text("old and longer than what comes\n" * 10)
    shim.run(script("#!/bin/sh\necho bad >&2; exit 1\n"), env={"SHIM_TERMINATION_LOG": str(path)})
    assert path.read_text() == "NOT OK\nReport: accepted (The server accepted the report.)\nbad"


def test_a_termination_log_that_is_not_there_is_skipped(shim: Shim, tmp_path: Path) -> None:
    run = shim.run("/bin/true", env={"SHIM_TERMINATION_LOG": str(tmp_path / "none")})
    assert len(run.log) == 3 and not (tmp_path / "none").exists()


def test_a_termination_log_that_cannot_be_written_is_a_warning(shim: Shim, tmp_path: Path) -> None:
    run = shim.run("/bin/true", env={"SHIM_TERMINATION_LOG": str(tmp_path)})
    assert run.ok and "Is a directory" in run.event("termination_log_failed")["message"]
    assert write_summary("/dev/full", b"x") == "/dev/full: No space left on device"


# Metrics


class Gateway:
    """Speaks the Pushgateway's protocol: PUT of the text format to /metrics/job/…"""

    def __init__(self, status: int = 200) -> None:
        self.pushed: list[tuple[str, str, str]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                gateway.pushed.append((self.path, self.headers["Content-Type"], body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Gateway:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


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


def test_a_proxy_is_not_asked_to_push(shim: Shim) -> None:
    with Gateway() as gateway:
        proxies = {name: "http://127.0.0.1:1" for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY")}
        run = shim.run("/bin/true", env={"SHIM_PUSHGATEWAY_URL": gateway.url, **proxies})
    assert run.ok and len(gateway.pushed) == 1


@pytest.mark.parametrize("line", ["x { , = 1 }", "a{b=", "\\", "é 1 1 1 1"])
def test_no_line_in_the_metrics_file_changes_the_verdict(
    shim: Shim, script: Write, line: str
) -> None:
    path = script(f"#!/bin/sh\necho '{line}' > $SHIM_METRICS_FILE\n")
    with Gateway() as gateway:
        run = shim.run(path, env={"SHIM_PUSHGATEWAY_URL": gateway.url})
    assert run.ok and run.exit_status == 0


def test_many_bad_lines_hold_up_nothing(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\nyes 'bad line here' | head -c 900000 > $SHIM_METRICS_FILE\n")
    with Gateway() as gateway:
        run = shim.run(path, env={"SHIM_PUSHGATEWAY_URL": gateway.url})
    assert run.ok
    events = [entry["event"] for entry in run.log]
    assert events.count("metrics_failed") == 11
    assert events.index("report_accepted") < events.index("metrics_failed")


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


def test_no_file_for_metrics_of_the_scripts_own() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        file = MetricsFile()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (file.path, file.text()) == (None, "")
    assert file.problem is not None and "Too many open files" in file.problem


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


@pytest.mark.parametrize("kind", ["refused", "error", "hangs"])
def test_a_pushgateway_that_fails_changes_nothing(shim: Shim, kind: str) -> None:
    with Gateway(500) as gateway, socket.create_server(("127.0.0.1", 0)) as silent:
        url = {
            "refused": "http://127.0.0.1:1",
            "error": gateway.url,
            "hangs": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }[kind]
        run = shim.run("/bin/true", env={"SHIM_PUSHGATEWAY_URL": url})
    assert run.ok and run.exit_status == 0
    assert "could not be pushed" in run.event("metrics_failed")["message"]
    events = [line["event"] for line in run.log]
    assert events.index("report_accepted") < events.index("metrics_failed")


def test_a_port_in_use_is_a_warning(shim: Shim) -> None:
    with socket.create_server(("", 0)) as listener:
        env = {"SHIM_METRICS_PORT": str(listener.getsockname()[1])}
        run = shim.run("/bin/true", env=env)
    assert run.ok and "cannot be served" in run.event("metrics_failed")["message"]


def test_prometheus_client_is_not_imported_when_unused(shim: Shim) -> None:
    run = shim.run("/bin/true", env={"PYTHONVERBOSE": "1"})
    assert b"import 'urllib3" in run.stderr
    for module in (b"prometheus_client", b"shim.commands"):
        assert b"import '" + module not in run.stderr


def test_a_series_that_is_given_twice() -> None:
    text = 'a 1\na 2\nb{x="1"} 1\nb{x="2"} 1\nb{check="own"} 1\nb{check="other"} 2\n'
    good, bad = families(text, ["check"])
    assert sum(len(metric.samples) for metric in good) == 4
    assert [line.number for line in bad] == [2, 6]


@given(st.text())
def test_any_text_in_the_metrics_file_is_survived(text: str) -> None:
    good, bad = families(text)
    assert all(line.number >= 1 for line in bad)


@pytest.mark.parametrize("command", ["yes ''", "yes '{'", "yes x | tr -d '\\n'"])
def test_a_flood_as_json_does_not_delay_the_report(
    make_shim: Callable[..., Shim], script: Write, command: str
) -> None:
    shim = make_shim(timeout=5)
    path = script(f"#!/bin/sh\n{command} >&2\n")
    run = shim.run(path, env={"SHIM_LOG_SCRIPT": "json"}, stderr=subprocess.DEVNULL)
    assert run.errors[0].startswith("Timed out")
    assert shim.receiver.stored_at is not None
    assert shim.receiver.stored_at < shim.receiver.deadline


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
