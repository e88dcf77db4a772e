"""Nagios plugins: their exit statuses and their text, and what becomes of their performance data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import Gateway
from tests.support.khshim import Shim

Write = Callable[..., str]


@pytest.fixture
def web() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 500)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("plugin", "args", "errors"),
    [
        ("check_http", "-I 127.0.0.1 -p {port} -u /", None),
        ("check_http", "-I 127.0.0.1 -p {port} -u /bad", "HTTP CRITICAL"),
        ("check_tcp", "-H 127.0.0.1 -p {port}", None),
        (
            "check_tcp",
            "-H 127.0.0.1 -p 1",
            "connect to address 127.0.0.1 and port 1: Connection refused",
        ),
        ("check_dummy", "1 careful", None),
        ("check_dummy", "2 broken", "CRITICAL: broken"),
        ("check_dummy", "3 lost", "UNKNOWN: the plugin could not find out"),
        ("check_disk", "-w 0% -c 0% -p /", None),
        ("check_procs", "-w 100000 -c 200000", None),
    ],
)
def test_real_plugins(
    shim: Shim, plugins: Path, web: int, plugin: str, args: str, errors: str | None
) -> None:
    env = {"SHIM_PRESET": "nagios", "SHIM_ARGS": args.format(port=web)}
    run = shim.run(env={**env, "SHIM_SCRIPT": str(plugins / plugin)})
    if errors is None:
        assert run.ok
    else:
        assert run.errors[0].startswith(errors)


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        (
            "echo DISK OK; exit 4",
            [
                "The plugin exited with status 4, which is not a status of a Nagios plugin (0 to 3).",
                "DISK OK",
            ],
        ),
        (
            "exit 255",
            [
                "The plugin exited with status 255, which is not a status of a Nagios plugin (0 to 3).",
                "It wrote nothing to stdout.",
            ],
        ),
        (
            "no-such-command",
            [
                "The plugin exited with status 127 (a command was not found), which is not a status"
                " of a Nagios plugin (0 to 3).",
                "It wrote nothing to stdout; the last line on stderr: {script}: 2:"
                " no-such-command: not found",
            ],
        ),
        (
            "timeout 0.1 sleep 9; exit $?",
            [
                "The plugin exited with status 124 (timeout(1) ended a command), which is not a"
                " status of a Nagios plugin (0 to 3).",
                "It wrote nothing to stdout.",
            ],
        ),
        (
            "exit 3",
            [
                "UNKNOWN: the plugin could not find out (exit status 3), so this may be no outage.",
                "It wrote nothing to stdout.",
            ],
        ),
        ("echo DISK CRITICAL; exit 2", ["DISK CRITICAL"]),
        ("exit 2", ["The script exited with status 2 and wrote nothing to stdout."]),
    ],
)
def test_exit_statuses(shim: Shim, script: Write, text: str, errors: list[str]) -> None:
    path = script(f"#!/bin/sh\n{text}\n")
    run = shim.run(path, env={"SHIM_PRESET": "nagios"})
    assert run.errors == [error.format(script=path) for error in errors]
    assert run.event("script_exited")["message"] == f"The script failed: {run.errors[0]}"


def test_a_plugin_that_crashes_has_not_warned(shim: Shim, python_script: Write) -> None:
    """An exception ends Python with a warning's status, but a plugin that warns says so."""
    run = shim.run(python_script("raise OSError('no such luck')\n"), env={"SHIM_PRESET": "nagios"})
    assert run.errors == [
        "The script exited with status 1 and wrote nothing to stdout; the last line on stderr:"
        " OSError: no such luck"
    ]


def test_a_status_beyond_nagios_may_pass(shim: Shim, script: Write) -> None:
    env = {"SHIM_PRESET": "nagios", "SHIM_OK_EXIT_CODES": "0,4"}
    assert shim.run(script("#!/bin/sh\nexit 4\n"), env=env).ok


@pytest.mark.parametrize(
    ("output", "errors"),
    [
        ("HTTP CRITICAL - 500 |time=0.008261s;;;0.0 size=87B;;;0", ["HTTP CRITICAL - 500"]),
        (
            "DISK | /=2MB\\nlong 1\\nlong 2 | /a=1MB;2\\n/b=3MB;4 'c d'=5%%\\n/c=U;",
            ["DISK", "long 1", "long 2"],
        ),
        # Nagios would not show the last one.
        (
            "BAD\\nmore |a=1\\nthe disk is gone, a=1 too",
            ["BAD", "more", "the disk is gone, a=1 too"],
        ),
        ("BAD|a=1\\nb=2", ["BAD", "b=2"]),
        ("BAD|a=1\\nlong\\nb=2", ["BAD", "long", "b=2"]),
        ("BAD\\nlong|a=1\\nb=2", ["BAD", "long"]),
        ("BAD|a=1\\nlong|b=2\\nlonger|c=3", ["BAD", "long", "longer"]),
        ("a | b | c", ["a"]),
        ("| a=1", ["The script exited with status 2 and wrote nothing readable to stdout."]),
        ("BAD|a=1\\nBAD|a=1", ["BAD (2 times)"]),
        ("BAD: $TOKEN|a=1", ["BAD: [masked]"]),
    ],
)
def test_performance_data_is_not_reported(
    shim: Shim, script: Write, output: str, errors: list[str]
) -> None:
    env = {"SHIM_PRESET": "nagios", "TOKEN": "pipe|in-a-secret"}
    run = shim.run(script(f'#!/bin/sh\nprintf "{output}\\n"; exit 2\n'), env=env)
    assert run.errors == errors
    assert b"|" in run.stdout  # the log has it


@pytest.mark.parametrize(
    "env", [{}, {"SHIM_PRESET": "nagios", "SHIM_ERRORS_FROM": "stderr"}], ids=["plain", "stderr"]
)
def test_a_bar_elsewhere_is_no_performance_data(
    shim: Shim, script: Write, env: dict[str, str]
) -> None:
    path = script("#!/bin/sh\necho 'ps | grep x: a=1' >&2; exit 2\n")
    assert shim.run(path, env=env).errors == ["ps | grep x: a=1"]


def test_a_plugins_performance_data_becomes_metrics(shim: Shim, plugins: Path, web: int) -> None:
    with Gateway() as gateway:
        env = {"SHIM_PRESET": "nagios", "SHIM_PUSHGATEWAY_URL": gateway.url}
        shim.run(str(plugins / "check_tcp"), "-H", "127.0.0.1", "-p", str(web), env=env)
    [(_, _, body)] = gateway.pushed
    [time] = [
        sample
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if sample.name == "khshim_perfdata"
    ]
    assert time.labels.items() >= {"label": "time", "unit": "seconds", "namespace": "try"}.items()
    assert 0 < time.value < 10


def test_settings_win_over_the_preset(shim: Shim, script: Write) -> None:
    env = {"SHIM_PRESET": "nagios", "SHIM_ERRORS_FROM": "stderr", "SHIM_OK_EXIT_CODES": "0"}
    run = shim.run(script("#!/bin/sh\necho out; echo err >&2; exit 1\n"), env=env)
    assert run.errors == ["err"]
