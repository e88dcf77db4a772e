"""What goes wrong in an observer changes nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.support.gateway import Gateway
from tests.support.khshim import Shim

Write = Callable[..., str]


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
