"""From the values of a run to the events that tell of them."""

from __future__ import annotations

import signal

import pytest

from shim.delivery.result import Delivery, FailedAttempt, Result
from shim.delivery.wait_for_server import Wait
from shim.observe import telling
from shim.report.build import Report
from shim.settings import Settings
from shim.supervise.capture import ScriptOutput
from shim.supervise.outcome import Ending, Outcome
from shim.supervise.resources import Usage
from tests.support.settings import GOOD, budget

REPORT = Report(False, ["one", "two"])


def test_doubts() -> None:
    settings = Settings({**GOOD, "SHIM_TIMOUT": "1s", "SHIM_ARGS": "a"}, ["x.sh"])
    unknown, doubtful = telling.doubts(settings)
    assert unknown.fields()["setting"] == "SHIM_TIMOUT"
    assert "Did you mean SHIM_TIMEOUT?" in unknown.message()
    assert "SHIM_ARGS" in doubtful.message()
    assert list(telling.doubts(Settings(GOOD))) == []


@pytest.mark.parametrize(
    ("reason", "name"), [(None, "server_reached"), ("refused", "server_not_reached")]
)
def test_the_wait_for_the_server(reason: str | None, name: str) -> None:
    event = telling.waited(Wait(1.5, reason, None))
    assert event.name == name and event.fields()["duration_s"] == 1.5
    assert (reason or "") in event.message()


def test_a_signal_that_is_forwarded_as_another_is_told_so() -> None:
    same = telling.forwarded(signal.SIGTERM, signal.SIGTERM)
    other = telling.forwarded(signal.SIGTERM, signal.SIGRTMIN + 3)
    assert same.fields() == {"signal": "SIGTERM"}
    assert "as SIGRTMIN+3" in other.message()


@pytest.mark.parametrize(
    ("ending", "status", "signum", "name"),
    [
        (Ending.EXITED, 3, None, "script_exited"),
        (Ending.DIED, None, signal.SIGSEGV, "script_exited"),
        (Ending.STOPPED, None, signal.SIGTERM, "script_exited"),
        (Ending.TIMED_OUT, 0, None, "script_timed_out"),
        (Ending.STUCK, None, None, "script_timed_out"),
    ],
)
def test_the_end_of_the_script(
    ending: Ending, status: int | None, signum: int | None, name: str
) -> None:
    event = telling.script_ended(
        "/x.sh", Outcome(ending, status, signum, 1.25), REPORT, ScriptOutput(merged=False),
        Usage(0.5, 1000, None), budget(None), is_plugin=False, attempt=None,
    )  # fmt: skip
    fields = event.fields()
    assert event.name == name
    assert fields.get("exit_code") == status
    assert fields.get("signal") == (None if signum is None else signal.Signals(signum).name)
    assert (fields["duration_s"], fields["cpu_s"], fields["errors"]) == (1.25, 0.5, 2)
    assert "cgroup_peak_memory_bytes" not in fields


def test_an_attempt_to_deliver_that_failed() -> None:
    event = telling.delivery_attempt_failed(FailedAttempt(2, None, "No connection.", 7.0))
    assert event.fields()["attempt"] == 2 and event.fields()["time_left_s"] == 7.0
    assert "status" not in event.fields() and "No connection." in event.message()


@pytest.mark.parametrize("result", Result)
def test_the_end_of_a_delivery(result: Result) -> None:
    delivery = Delivery(result, 3, 400, "The reason.")
    event = telling.report_ended(REPORT, delivery, 0.5, None)
    assert event.name == f"report_{result.name.lower()}"
    assert event.fields()["attempt"] == 3 and event.fields()["latency_s"] == 0.5
    assert "time_left_s" not in event.fields()
