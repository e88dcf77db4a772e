"""Scripts run as checks: by the real controllers, in pods that are local processes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from shim.exit_status import REFUSED as EXIT_REFUSED
from shim.kuberhealthy import Server
from tests.kuberhealthy.cluster import (
    JOBS,
    KHSHIM,
    Cluster,
    events,
    exit_code,
    is_running,
    label_of,
    script_path,
)
from tests.kuberhealthy.scripts import AGAIN, DELETED, HOSTILE, LAST_WORDS, PLAIN, Script, says
from tests.support.khshim import base_environ

GOOD_AND_BAD = "scripts that pass, fail, say nothing, crash"
HOSTILE_TEXT = "hostile text: stored as sent, shown, and the metrics of the whole server readable"

# What test_timeouts.py waits for begins meanwhile.
pytestmark = [pytest.mark.timeout(150), pytest.mark.usefixtures("undisturbed_clusters")]


def without_durations(report: tuple[bool, list[str]]) -> tuple[bool, list[str]]:
    return report[0], [re.sub(r"\d+\.\d+ s", "… s", error) for error in report[1]]


def tried(path: str, server: Server) -> tuple[bool, list[str]]:
    """Return what khshim reports of a script, by its own account."""
    command = [KHSHIM, "try", "--json", f"--server={server.value}", path]
    run = subprocess.run(command, env=base_environ(), check=False, stdout=subprocess.PIPE)
    report = json.loads(run.stdout)
    return report["OK"], report["Errors"]


@pytest.mark.parametrize(
    "script",
    [
        *(pytest.param(script, marks=pytest.mark.case(GOOD_AND_BAD)) for script in PLAIN),
        *(pytest.param(script, marks=pytest.mark.case(HOSTILE_TEXT)) for script in HOSTILE),
    ],
    ids=lambda script: script.name,
)
def test_what_is_reported_is_stored_and_shown(cluster: Cluster, script: Script) -> None:
    state = cluster.wait_for_state(script.name)
    pod = cluster.wait_for_end(script.name)
    assert without_durations(state.report) == without_durations(
        tried(script_path(pod), cluster.server)
    )
    assert exit_code(pod) == 0
    names = [event["event"] for event in events(cluster.pod_log(pod))]
    assert names.count("report_accepted") == 1 and "report_attempt" not in names
    assert cluster.status_page()[script.name] == state.report
    metrics = cluster.metrics()
    assert metrics.problems == {}
    assert metrics.errors[script.name] == label_of(state.errors)


@pytest.mark.case("pods that are deleted")
def test_the_words_of_deleted_pods_are_kept(cluster: Cluster) -> None:
    pods = [cluster.wait_for_pod(script.name, is_running) for script in DELETED]
    for pod in pods:
        Path(f"{script_path(pod)}.fifo").read_text()
    for pod in pods:
        cluster.delete_pod(pod)
    for script in DELETED:
        state = cluster.wait_for_state(script.name)
        assert "SIGTERM" in state.errors[0] and state.errors[1:] == [LAST_WORDS]


@pytest.mark.case("a pod without a restart policy")
def test_a_check_without_a_restart_policy(cluster: Cluster) -> None:
    """v2 sets Never; on v3 the script runs again, and khshim says what to do about it."""
    expected = 0 if cluster.server is Server.V2 else EXIT_REFUSED
    pod = cluster.wait_for_pod(AGAIN.name, lambda pod: exit_code(pod) == expected)
    refused = [
        event for event in events(cluster.pod_log(pod)) if event["event"] == "report_refused"
    ]
    assert bool(refused) is (cluster.server is Server.V3)
    assert all("restartPolicy: Never" in event["message"] for event in refused)
    assert cluster.state(AGAIN.name).report == (True, [])


@pytest.mark.only(Server.V2)
@pytest.mark.case("hostile text from a khjob")
def test_a_khjob(cluster: Cluster, tmp_path: Path) -> None:
    """v2 escapes even less of what a job says; its quotes are khshim's to take care of."""
    script = says("job", b'\\"} 1\n\\')
    cluster.wait_for_pod(PLAIN[0].name, lambda pod: True)  # v2 takes jobs only once it runs checks
    cluster.call("POST", JOBS, script.check(tmp_path).manifest(Server.V2))
    state = cluster.wait_for_state(script.name)
    assert state.report == (False, ["\\\\'} 1", "\\\\"])
    metrics = cluster.metrics()
    assert metrics.problems == {}
    assert metrics.errors[script.name] == "\\'} 1|\\|"
