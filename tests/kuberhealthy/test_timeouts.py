"""Scripts that are stopped for their deadline, in clusters that do nothing else meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shim.kuberhealthy import Server
from tests.kuberhealthy.cluster import Cluster, exit_code
from tests.kuberhealthy.conftest import Clusters, StartClusters
from tests.kuberhealthy.scripts import LAST_WORDS, Script

pytestmark = pytest.mark.timeout(150)

HANGING = [
    Script(f"hanging-{timeout}s", f"echo '{LAST_WORDS}' >&2; exec sleep 1000", f"{timeout}s")
    for timeout in range(10, 61, 5)
]
DEAF = Script("deaf", f"trap '' TERM; echo '{LAST_WORDS}' >&2; sleep 1000; sleep 1000", "40s")
QUICK = Script("quick", "exit 0", "15s")


@pytest.fixture(scope="module")
def clusters(start_clusters: StartClusters) -> Iterator[Clusters]:
    scripts = [*HANGING, DEAF, QUICK]
    with start_clusters("timeouts", lambda folder: [s.check(folder) for s in scripts]) as started:
        yield started


@pytest.mark.case("a script that hangs, at each timeout from 10 s to 60 s")
@pytest.mark.parametrize("script", HANGING, ids=lambda script: script.name)
def test_the_words_of_a_script_that_hangs_are_kept(cluster: Cluster, script: Script) -> None:
    state = cluster.wait_for_state(script.name)
    pod = cluster.wait_for_end(script.name)
    log = cluster.pod_log(pod).decode()
    assert exit_code(pod) == 0, log
    if cluster.server is Server.V2 and script.timeout == "10s":
        # v2 makes the pod 5 s after the time has begun and looks for a report 5 s after that,
        # so that a check of 10 s is timed out for it whatever the check reports.
        assert "timed out waiting for checker pod to report in" in state.errors[0], log
    else:
        assert state.errors[0].startswith("Timed out: the script was still running after"), log
        assert state.errors[1:] == [LAST_WORDS]


@pytest.mark.case("a script that hangs and ignores SIGTERM")
def test_the_words_of_a_script_that_ignores_sigterm_are_kept(cluster: Cluster) -> None:
    state = cluster.wait_for_state(DEAF.name)
    assert "It did not end within" in state.errors[0]
    assert state.errors[1:] == [LAST_WORDS]


@pytest.mark.case("a script that passes, with a timeout of 15 s")
def test_a_short_timeout(cluster: Cluster) -> None:
    assert cluster.wait_for_state(QUICK.name).report == (True, [])
