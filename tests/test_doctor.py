from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shim.commands.doctor import Finding, _clock, _url_to_look_at, examine
from shim.kuberhealthy import Endpoint
from tests.support.khshim import KHSHIM, Shim, base_environ

pytestmark = pytest.mark.whole_run

Write = Callable[..., str]
GOOD_SCRIPT = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def server() -> Iterator[Callable[..., str]]:
    servers = []

    def start(clock: float = 0.0, status: int = 405, words: str = "") -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(words.encode())

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(time.time() + clock)

            def log_message(self, format: str, *args: object) -> None:
                pass

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(http)
        threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{http.server_address[1]}/check"

    yield start
    for http in servers:
        http.shutdown()
        http.server_close()


def environ(url: str, **changes: str) -> dict[str, str]:
    return {
        "KH_REPORTING_URL": url,
        "KH_RUN_UUID": "x",
        "KH_CHECK_RUN_DEADLINE": str(time.time() + 60),
        **changes,
    }


def found(environ: dict[str, str], *command: str) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(environ, command)}


def test_all_is_right(server: Callable[..., str], script: Write) -> None:
    findings = found(environ(server()), script(GOOD_SCRIPT))
    assert not any(finding.advice for finding in findings.values())
    assert list(findings) == [
        "settings",
        "script",
        "interpreter",
        "text",
        "time",
        "name",
        "server",
        "clock",
    ]


@pytest.mark.parametrize(
    ("changes", "text", "wrong"),
    [
        ({"SHIM_TIMEOUT": "x"}, GOOD_SCRIPT, "settings"),
        ({"SHIM_TIMOUT": "5s"}, GOOD_SCRIPT, "settings"),
        ({"SHIM_ARGS": "-v"}, GOOD_SCRIPT, "settings"),
        ({}, "", "script"),
        ({}, "#!/no/such/shell\n", "interpreter"),
        ({"SHIM_INTERPRETER": "no-such-shell"}, GOOD_SCRIPT, "interpreter"),
        ({}, "#!/bin/sh\r\n", "text"),
        ({}, "#!/usr/bin/env python3\r\n", "text"),
        ({}, "\ufeff#!/bin/sh\n", "text"),
        ({}, "#\0!\0/\0b\0", "text"),
        ({"KH_CHECK_RUN_DEADLINE": "1"}, GOOD_SCRIPT, "time"),
        ({"KH_REPORTING_URL": "http://no-such-host.invalid/check"}, GOOD_SCRIPT, "name"),
        ({"KH_REPORTING_URL": "http://127.0.0.1:1/check"}, GOOD_SCRIPT, "server"),
    ],
)
def test_what_is_wrong(
    server: Callable[..., str], script: Write, changes: dict[str, str], text: str, wrong: str
) -> None:
    findings = found(environ(server(), **changes), script(text))
    assert [finding.what for finding in findings.values() if finding.advice] == [wrong]


@pytest.mark.parametrize(("clock", "wrong"), [(0, False), (60, True), (-60, True)])
def test_the_clock(server: Callable[..., str], script: Write, clock: float, wrong: bool) -> None:
    finding = found(environ(server(clock)), script(GOOD_SCRIPT))["clock"]
    assert bool(finding.advice) is wrong


@pytest.mark.parametrize(("server", "status"), [("v2", 200), ("v3", 405)])
def test_no_report_is_sent(
    make_shim: Callable[..., Shim], script: Write, server: str, status: int
) -> None:
    """Least of all to v2's path, where a GET is a report."""
    shim = make_shim(server)
    result = doctor(shim.environ, script(GOOD_SCRIPT))
    assert [request[:2] for request, _ in shim.receiver.requests] == [("GET", "/check")]
    assert shim.receiver.stored is None
    assert "ok    name: 127.0.0.1 is 127.0.0.1\n" in result.stdout
    answers = f"/check answers {status}, as Kuberhealthy {server} does\n"
    assert answers in result.stdout and result.returncode == 0


@pytest.mark.parametrize(
    ("server", "path", "wanted"),
    [
        ("v2", "/check", "/externalCheckStatus"),
        ("v2", "/externalCheckStatus/", "/externalCheckStatus"),
        ("v2", "/", "/externalCheckStatus"),
        ("v2", "/metrics", "/externalCheckStatus"),
        ("v3", "/externalCheckStatus", "/check"),
        ("v3", "", "/check"),
        ("v3", "/healthz", "/check"),
        ("v3", "/check/?x", "/check"),
    ],
)
def test_a_wrong_address(
    make_shim: Callable[..., Shim], script: Write, server: str, path: str, wanted: str
) -> None:
    """The version is what answers, whatever the path of the reporting URL."""
    shim = make_shim(server)
    base = shim.receiver.endpoint.url.rpartition("/")[0]
    environ = {**shim.environ, "KH_REPORTING_URL": base + path}
    finding = found(environ, script(GOOD_SCRIPT))["server"]
    assert f"as Kuberhealthy {server} does" in finding.found
    assert f"must end in {wanted} for it" in (finding.advice or "")


@pytest.mark.parametrize(
    ("status", "words"),
    [(200, ""), (200, "<html>OK</html>"), (200, "{}"), (404, ""), (405, "nginx"), (503, "no")],
)
def test_what_is_not_kuberhealthy(
    server: Callable[..., str], script: Write, status: int, words: str
) -> None:
    environment = environ(server(status=status, words=words))
    finding = found(environment, script(GOOD_SCRIPT))["server"]
    assert f"/check answers {status}, as Kuberhealthy does not" in finding.found
    assert "Something else may answer" in (finding.advice or "")


@pytest.mark.parametrize(
    ("url", "looked_at"),
    [
        ("http://kh/check", "http://kh/check"),
        ("http://kh/externalCheckStatus?x=/y", "http://kh/check"),
        ("https://kh:8443/base/externalCheckStatus/", "https://kh:8443/base/check"),
        ("http://[::1]:80/base/other", "http://[::1]:80/check"),
        ("http://user:word@kh", "http://kh/check"),
    ],
)
def test_where_it_looks(url: str, looked_at: str) -> None:
    assert _url_to_look_at(Endpoint(url, "x")) == looked_at


def test_outside_a_pod(script: Write) -> None:
    """Nobody is told to set by hand what Kuberhealthy sets."""
    findings = found(base_environ(), script(GOOD_SCRIPT))
    assert [finding.what for finding in findings.values() if finding.advice] == ["pod"]
    advice = findings["pod"].advice or ""
    assert "kubectl exec" in advice and "khshim try" in advice
    assert not any("KH_" in f"{finding.found} {finding.advice}" for finding in findings.values())


@pytest.mark.parametrize("changes", [{"KH_RUN_UUID": ""}, {"KH_REPORTING_URL": "ftp://kh"}])
def test_what_kuberhealthy_sets(
    server: Callable[..., str], script: Write, changes: dict[str, str]
) -> None:
    finding = found({**environ(server()), **changes}, script(GOOD_SCRIPT))["settings"]
    assert [*changes][0] in finding.found
    assert "Kuberhealthy sets it" in (finding.advice or "")


def doctor(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KHSHIM, "doctor", *words], env=environ, capture_output=True, text=True, check=False
    )


def test_as_a_command(shim: Shim, script: Write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    changes = {"KH_REPORTING_URL": f"http://127.0.0.1:{port}/check"}
    result = doctor({**shim.environ, **changes}, script(GOOD_SCRIPT))
    assert result.returncode == 1
    assert "\nWRONG server: no connection (" in result.stdout
    assert " -> check the Service" in result.stdout
    shown: list[dict[str, Any]] = json.loads(
        doctor({**shim.environ, **changes}, "--json", script(GOOD_SCRIPT)).stdout
    )
    assert [entry["what"] for entry in shown if not entry["ok"]] == ["server"]


def test_an_absurd_date() -> None:
    finding = _clock("Mon, 01 Jan 2002 00:00:00 +99999999999999", 0.0, 0.0)
    assert "no date" in finding.found


def test_every_script_of_a_folder(
    server: Callable[..., str], script: Write, tmp_path: Path
) -> None:
    script("#!/bin/sh\n", "a.sh")
    script("#!/bin/sh\r\n", "b.sh")
    script("#!/nonexistent\n", "c.sh")
    script("", "d.sh")
    script("a README\n", "README")
    findings = found(environ(server(), SHIM_PARALLEL="2"), str(tmp_path))
    assert findings["folder"].found == (
        f"{tmp_path} holds 4 scripts, at most 2 at a time (SHIM_PARALLEL)"
    )
    assert findings["a.sh"] == Finding("a.sh", "/bin/sh, its encoding and line endings are right")
    assert (findings["b.sh"].found, findings["b.sh"].advice) == (
        "text: it has Windows line endings (CRLF), which Unix does not understand",
        "save it with LF, for example by dos2unix",
    )
    assert findings["c.sh"].found == "interpreter: /nonexistent does not exist here"
    assert findings["d.sh"].found == f"script: The script {tmp_path}/d.sh is empty."
    assert "README" not in findings
    assert "arguments" not in findings


def test_what_is_wrong_with_a_folder(server: Callable[..., str], tmp_path: Path) -> None:
    assert "holds no script" in found(environ(server()), str(tmp_path))["folder"].found
    (tmp_path / "a.sh").write_text("exit 0\n")
    assert found(environ(server()), str(tmp_path), "-v")["arguments"].advice
