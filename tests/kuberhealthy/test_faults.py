"""Faults of the API server behind Kuberhealthy: khshim's report arrives all the same."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shim.kuberhealthy import Server
from tests.kuberhealthy.cluster import CHECKS, Cluster, Object, events
from tests.kuberhealthy.scripts import Script
from tests.support.khshim import base_environ

pytestmark = pytest.mark.timeout(100)

FAILING = "echo 'no such luck' >&2; exit 1"
# What a server asks the API for, to find the run and to store the report.
READ = {
    Server.V2: {"Method": "GET", "Path": "/khstates/faults$"},
    Server.V3: {"Method": "GET", "Path": "/v2/healthchecks$"},
}
STORE = {
    Server.V2: {"Method": "PUT", "Path": "/khstates/faults$"},
    Server.V3: {"Method": "PUT", "Path": "/healthchecks/faults/status$"},
}
READ_CHECK = {"Method": "GET", "Path": "/khchecks/faults$"}


class Run(NamedTuple):
    """A run of khshim that a test has started: the statuses of failed attempts, and its end."""

    exit_status: int
    failed_attempts: list[int | None]
    end: Object


def run(environ: Mapping[str, str], folder: Path) -> Run:
    """Run khshim on a failing script, with what a pod of the check has in its environment."""
    command = Script("failing", FAILING).check(folder).command
    finished = subprocess.run(
        command, env={**base_environ(), **environ}, check=False, stderr=subprocess.PIPE
    )
    log = events(finished.stderr)
    failed = [event.get("status") for event in log if event["event"] == "report_attempt"]
    return Run(finished.returncode, failed, log[-1])


def fault(what: Mapping[Server, Mapping[str, Any]], cluster: Cluster, **how: float) -> Object:
    return {**what[cluster.server], "Count": 1, **how}


def check_report(cluster: Cluster) -> None:
    assert cluster.state("faults").report == (False, ["no such luck"])


@pytest.mark.case("the API server fails when the report is looked up")
def test_reads_fail(faulty_cluster: Cluster, tmp_path: Path) -> None:
    # v2 reads twice for a report, by the run's uuid and by the pod's address, and once for itself.
    faulty_cluster.fail(fault(READ, faulty_cluster, Status=500, Count=3))
    result = run(faulty_cluster.new_run("faults"), tmp_path)
    assert (result.exit_status, set(result.failed_attempts)) == (0, {400})
    assert result.end["event"] == "report_accepted"
    check_report(faulty_cluster)


@pytest.mark.case("the API server fails when the report is stored")
def test_writes_fail(faulty_cluster: Cluster, tmp_path: Path) -> None:
    faulty_cluster.fail(fault(STORE, faulty_cluster, Status=500, Count=2))
    result = run(faulty_cluster.new_run("faults"), tmp_path)
    assert (result.exit_status, result.failed_attempts) == (0, [500, 500])
    check_report(faulty_cluster)


@pytest.mark.case("conflicts when the report is stored")
def test_conflicts(faulty_cluster: Cluster, tmp_path: Path) -> None:
    """The server tries again by itself, in 1 s, 2 s and so on."""
    faulty_cluster.fail(fault(STORE, faulty_cluster, Status=409, Count=2))
    result = run(faulty_cluster.new_run("faults"), tmp_path)
    assert (result.exit_status, result.failed_attempts) == (0, [])
    assert result.end["latency_s"] > 3
    check_report(faulty_cluster)


@pytest.mark.case("a slow API server")
def test_a_delay(faulty_cluster: Cluster, tmp_path: Path) -> None:
    faulty_cluster.fail(fault(READ, faulty_cluster, Delay=3))
    result = run(faulty_cluster.new_run("faults"), tmp_path)
    assert (result.exit_status, result.failed_attempts) == (0, [])
    check_report(faulty_cluster)


@pytest.mark.only(Server.V3)
@pytest.mark.case("an answer that is lost, since the API server is slow")
def test_an_answer_that_comes_too_late(faulty_cluster: Cluster, tmp_path: Path) -> None:
    """The report is stored, and the second attempt is refused for that."""
    faulty_cluster.fail(fault(STORE, faulty_cluster, DelayOfAnswer=17))
    result = run(faulty_cluster.new_run("faults"), tmp_path)
    assert (result.exit_status, result.failed_attempts) == (0, [None])
    assert result.end["event"] == "report_assumed"
    check_report(faulty_cluster)


@pytest.mark.only(Server.V2)
@pytest.mark.case("a handler that panics, since the check cannot be read")
def test_a_handler_that_panics(faulty_cluster: Cluster, tmp_path: Path) -> None:
    """v2 does where it cannot read the check, and the connection is closed."""
    faulty_cluster.fail({**READ_CHECK, "Count": 1, "Status": 500})
    result = run(faulty_cluster.new_run("faults"), tmp_path)
    assert (result.exit_status, result.failed_attempts) == (0, [None])
    check_report(faulty_cluster)


@pytest.mark.only(Server.V3)
@pytest.mark.case("a report before v3 has written when the run began")
def test_an_early_report(faulty_cluster: Cluster, tmp_path: Path) -> None:
    """v3 makes the pod first; its second write of the check's status says when."""
    late = {"Method": "PUT", "Path": "/early/status$", "Skip": 1, "Count": 1, "Delay": 2}
    faulty_cluster.fail(late)
    check = Script("early", FAILING).check(tmp_path)
    faulty_cluster.call("POST", CHECKS[Server.V3], check.manifest(Server.V3))
    state = faulty_cluster.wait_for_state("early")
    assert state.report == (False, ["no such luck"])
    log = events(faulty_cluster.pod_log(faulty_cluster.wait_for_end("early")))
    statuses = [event["status"] for event in log if event["event"] == "report_attempt"]
    assert statuses and set(statuses) == {410}
