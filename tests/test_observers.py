"""What goes wrong in an observer changes nothing."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

import pytest

from shim.delivery.result import Delivery, Result
from shim.delivery.worker import Worker
from shim.metrics_file import MetricsFile
from shim.observe.events import Event
from shim.observe.observers import Observers
from shim.observe.telling import report_ended
from shim.report.build import Report
from shim.settings import Settings
from shim.signals import SignalInbox
from tests.support.gateway import Gateway
from tests.support.khshim import Shim
from tests.support.settings import GOOD

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


def test_an_observer_that_fails_is_logged_and_changes_nothing() -> None:
    logged: list[Event] = []
    settings = Settings({**GOOD, "SHIM_TERMINATION_LOG": "/no\0path"})
    observers = Observers(settings, logged.append, MetricsFile(), {})
    observers(report_ended(Report(True, []), Delivery(Result.ACCEPTED, 1, 200, "x"), 0.1, None))
    told, failed = logged
    assert (told.name, failed.name) == ("report_accepted", "metrics_failed")
    assert "report_accepted failed: ValueError" in failed.message()


def test_without_metrics_nothing_is_pushed(inbox: SignalInbox) -> None:
    logged: list[Event] = []
    settings = Settings({**GOOD, "SHIM_PUSHGATEWAY_URL": "http://127.0.0.1:1"})
    Observers(settings, logged.append, None, {}).push(inbox, Worker())
    assert logged == []


def test_a_push_is_logged(inbox: SignalInbox) -> None:
    logged: list[Event] = []
    with Gateway() as gateway:
        settings = Settings({**GOOD, "SHIM_PUSHGATEWAY_URL": gateway.url})
        Observers(settings, logged.append, MetricsFile(), {}).push(inbox, Worker())
    assert [event.name for event in logged] == ["metrics_pushed"]
    assert "khshim_build_info" in gateway.pushed[0][2]


def test_without_a_file_for_its_own_metrics_the_script_is_told_of() -> None:
    logged: list[Event] = []
    file = MetricsFile()
    file.problem = "memfd_create: Function not implemented"  # as on a kernel without it
    Observers(Settings(GOOD), logged.append, file, {})
    [event] = logged
    assert "Function not implemented" in event.message()


def test_without_prometheus_client_the_log_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "shim.observe.metrics", raising=False)
    logged: list[Event] = []
    Observers(Settings(GOOD), logged.append, MetricsFile(), {})
    [event] = logged
    assert "pip install 'khshim[metrics]'" in event.message()
