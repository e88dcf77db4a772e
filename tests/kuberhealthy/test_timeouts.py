"""Scripts that are stopped for their deadline, in clusters that do nothing else meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from datetime import datetime

import pytest

from shim.budget import Budget
from shim.commands.fake_kuberhealthy import GONE_SECONDS, Receiver
from shim.kuberhealthy import LEAST_RESERVE, Server
from tests.kuberhealthy.cluster import Cluster, Object, events, exit_code, state_of
from tests.kuberhealthy.conftest import Clusters
from tests.kuberhealthy.scripts import DEAF, HANGING, LAST_WORDS, LATE, QUICK, TEN_SECONDS, Script

pytestmark = pytest.mark.timeout(150)

OK = b'{"OK": true, "Errors": []}'
EPOCH = "1970-01-01T00:00:00Z"

# Seconds before the deadline up to which v2 sees a report and, a second later, the pod's end.
SEEN_BEFORE_DEADLINE = 6.5
# Seconds that a busy machine may take to stop a script.
SLACK = 2.0


@pytest.fixture
def cluster(undisturbed_clusters: Clusters, server: Server) -> Cluster:
    return undisturbed_clusters[server]


@pytest.mark.case("a report after the deadline")
def test_a_report_after_the_deadline(cluster: Cluster) -> None:
    """v3 has forgotten the run; v2 takes the report, in place of its own error."""
    state = cluster.wait_for_state(LATE.name)
    assert not state.ok and "timed out" in state.errors[0]
    expected = 400 if cluster.server is Server.V3 else 200
    assert cluster.post(cluster.environment(LATE.name), OK)[0] == expected
    assert cluster.state(LATE.name).ok is (cluster.server is Server.V2)
    with Receiver(cluster.server, timeout=-GONE_SECONDS) as receiver:
        assert cluster.post(receiver.environment(), OK)[0] == expected


@pytest.mark.case("a script that hangs, at each timeout from 15 s to 60 s")
@pytest.mark.parametrize("script", HANGING, ids=lambda script: script.name)
def test_the_words_of_a_script_that_hangs_are_kept(cluster: Cluster, script: Script) -> None:
    state = cluster.wait_for_state(script.name)
    assert not state.ok
    log = log_of(cluster, script)
    stopped, accepted = event(log, "script_timed_out"), event(log, "report_accepted")
    if cluster.server is Server.V2:
        left = stopped["duration_s"] + stopped["time_left_s"]
        reserve = min(LEAST_RESERVE[Server.V2], left * Budget.MOST_FOR_RESERVE)
        assert stopped["time_left_s"] > reserve - SLACK, log
    if is_seen_in_time(cluster, accepted):
        assert state.errors[0].startswith("Timed out: the script was still running after"), log
        assert state.errors[1:] == [LAST_WORDS]


@pytest.mark.only(Server.V3)
@pytest.mark.case("a script that hangs, with a timeout of 10 s")
def test_ten_seconds_are_enough(cluster: Cluster) -> None:
    assert cluster.wait_for_state(TEN_SECONDS.name).errors[1:] == [LAST_WORDS]


@pytest.mark.only(Server.V2)
@pytest.mark.case("a timeout of 10 s, which is too short for v2 itself")
def test_ten_seconds_are_too_short(cluster: Cluster) -> None:
    """v2 makes the pod 5 s after the time has begun and first looks for a report 5 s later."""
    state = state_of(cluster.watch_state(TEN_SECONDS.name, is_after_ten_seconds), Server.V2)
    accepted = event(log_of(cluster, TEN_SECONDS), "report_accepted")
    if accepted["time_left_s"] > 0:
        [error] = state.errors
        assert error.endswith("timed out waiting for checker pod to report in")
    else:  # this machine is too busy: the report was late, which v2 takes
        assert state.errors[1:] == [LAST_WORDS]


def is_after_ten_seconds(state: Object) -> bool:
    """Tell whether a state was written after the time of a check of 10 s, which begins 1 s late."""
    written, made = (
        datetime.fromisoformat(when.replace("Z", "+00:00"))
        for when in (state["spec"].get("LastRun", EPOCH), state["metadata"]["creationTimestamp"])
    )
    return (written - made).total_seconds() >= 11


@pytest.mark.case("a script that hangs and ignores SIGTERM")
def test_the_words_of_a_script_that_ignores_sigterm_are_kept(cluster: Cluster) -> None:
    state = cluster.wait_for_state(DEAF.name)
    assert "It did not end within" in state.errors[0]
    assert state.errors[1:] == [LAST_WORDS]


@pytest.mark.case("a script that passes, with a timeout of 15 s")
def test_a_short_timeout(cluster: Cluster) -> None:
    state = cluster.wait_for_state(QUICK.name)
    log = log_of(cluster, QUICK)
    assert state.report == (True, []) or not is_seen_in_time(cluster, event(log, "report_accepted"))


def log_of(cluster: Cluster, script: Script) -> bytes:
    pod = cluster.wait_for_end(script.name, gone=True)
    log = cluster.pod_log(pod)
    assert exit_code(pod) == 0, log
    return log


def event(log: bytes, name: str) -> Object:
    [found] = [event for event in events(log) if event["event"] == name]
    return found


def is_seen_in_time(cluster: Cluster, accepted: Object) -> bool:
    """Tell whether v2 can have seen a report, and the pod's end, before the deadline.

    It looks every 5 s for either. Only where this machine is too busy to start or end a
    pod in time it cannot.
    """
    return cluster.server is Server.V3 or accepted["time_left_s"] > SEEN_BEFORE_DEADLINE


@pytest.mark.case("a report of an unknown run")
def test_an_unknown_run(
    cluster: Cluster, unknown_runs: Mapping[Server, Future[tuple[int, bytes]]]
) -> None:
    """v2 looks for it for two minutes, which began with the tests."""
    assert unknown_runs[cluster.server].result()[0] == 400
    with Receiver(cluster.server, timeout=60) as receiver:
        environ = {**receiver.environment(), "KH_RUN_UUID": "unknown"}
        assert cluster.post(environ, OK)[0] == 400
