"""khshim in a real cluster, under the real Kuberhealthy v2 and v3: see README.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shim.kuberhealthy import Server
from tests.cluster.checks import EXAMPLES, TIMEOUTS, generate
from tests.cluster.kuberhealthy import Kuberhealthy, container_state
from tests.cluster.kubernetes import ClusterError, Resource
from tests.cluster.site import Site

# Seconds for each wait; the first ones are for both servers to start, and for all checks at once.
TIMEOUT_S = 300
pytestmark = pytest.mark.timeout(TIMEOUT_S + 60)

Record = Callable[[str, object], None]


class Run(NamedTuple):
    """A run that is over: its pod as it began, and khshim's log."""

    pod: Resource
    log: list[dict[str, Any]]

    def event(self, name: str) -> dict[str, Any]:
        [line] = [line for line in self.log if line["event"] == name]
        return line

    def pace(self) -> str:
        """Tell when the report was accepted, and how long the server took for it."""
        accepted = self.event("report_accepted")
        created = time_of(self.pod["metadata"]["creationTimestamp"])
        after = time_of(accepted["timestamp"]) - created
        return f"after {after:.1f} s, answered within {accepted['latency_s']:.2f} s"


def time_of(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()


def events(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Return khshim's lines of a pod's log, which has the script's as well."""
    return [json.loads(line) for line in lines if line.startswith('{"timestamp"')]


def run_of(server: Kuberhealthy, check: str) -> Run:
    """Return a check's run when it is over."""
    pod = server.wait_for_pod(check, TIMEOUT_S)
    with server.follow(pod) as log:
        assert log.stdout is not None
        return Run(pod, events(log.stdout.readlines()))


def assert_shown(server: Kuberhealthy, check: str, patterns: Sequence[str]) -> None:
    """Assert what kubectl and the status page show when a run is over: no errors means OK."""
    state = server.wait_until_over(check, TIMEOUT_S)
    assert state.ok is not bool(patterns), state.errors
    assert len(state.errors) == len(patterns), state.errors
    for error, pattern in zip(state.errors, patterns):
        assert re.match(pattern, error)
    assert server.column_ok(check) == str(state.ok).lower()
    assert server.status_page(check) == (state.ok, state.errors)


@pytest.mark.parametrize(
    ("check", "patterns"),
    [
        pytest.param("passing", [], marks=pytest.mark.case("a script that passes")),
        pytest.param(
            "hanging",
            [r"Timed out: .* before the check's deadline\.$", "waiting for the tide$"],
            marks=pytest.mark.case("a script that hangs"),
        ),
        pytest.param(
            "stubborn",
            ["Timed out: .* was killed", "not listening$"],
            marks=pytest.mark.case("a script that ignores SIGTERM at its deadline"),
        ),
        pytest.param(
            "hungry",
            [r"The kernel killed .* the memory limit of \d+ MiB", "Killed$"],
            marks=pytest.mark.case("a program of the script over the memory limit"),
        ),
        pytest.param(
            "derived",
            ["node b is down$"],
            marks=pytest.mark.case("an image with a script of its own"),
        ),
        pytest.param(
            "elsewhere",
            ["user 65532 has BusyBox$"],
            marks=pytest.mark.case("`khshim manifest --in`: another image, by an init container"),
        ),
        pytest.param("dns-check", [], marks=pytest.mark.case("`khcheck.yaml`, `healthcheck.yaml`")),
    ],
)
def test_verdicts(
    server: Kuberhealthy, check: str, patterns: list[str], record_property: Record
) -> None:
    assert_shown(server, check, patterns)
    run = run_of(server, check)
    accepted = run.event("report_accepted")
    assert accepted["attempt"] == 1
    seen = run.pace()
    if check in TIMEOUTS:
        seen += f", {accepted['time_left_s']:.1f} s before the deadline"
    record_property("seen", seen)


@pytest.mark.parametrize(
    ("check", "patterns"),
    [
        # Those that are there are Kuberhealthy's own.
        ("pod-status", [r"There is no pod in the namespace checks-v\d$"]),
        ("node-ready", []),
        ("dns-check-py", []),
    ],
)
def test_bundled_checks_with_the_rights_of_their_manifests(
    server: Kuberhealthy, check: str, patterns: list[str]
) -> None:
    assert_shown(server, check, patterns)


@pytest.mark.case("a script that fails, with quotes, a backslash and an umlaut")
def test_every_character_arrives(server: Kuberhealthy, record_property: Record) -> None:
    quote = "'" if server.server is Server.V2 else '"'
    assert_shown(server, "failing", [re.escape(f"the price of {quote}Käse{quote} is C:\\\\5")])
    record_property("seen", run_of(server, "failing").pace())


@pytest.mark.case("`khshim manifest --once`")
def test_once(server: Kuberhealthy, tmp_path: Path) -> None:
    # v2 has to be the master before, as it is when it has run a check.
    server.wait_until_over("passing", TIMEOUT_S)
    server.apply(generate("once", server.server, tmp_path))
    assert_shown(server, "once", ["once is enough$"])


@pytest.mark.case("`examples/kustomize`")
@pytest.mark.parametrize("server", [Server.V3], indirect=True, ids=["v3"])
def test_kustomize(server: Kuberhealthy) -> None:
    assert_shown(server, "certificate-files", [])


@pytest.mark.parametrize(
    "check",
    [
        pytest.param("deleted", marks=pytest.mark.case("a pod that is deleted")),
        pytest.param("evicted", marks=pytest.mark.case("a pod that is evicted")),
    ],
)
def test_a_pod_that_is_taken_away(
    server: Kuberhealthy, check: str, record_property: Record
) -> None:
    pod = server.wait_for_pod(check, TIMEOUT_S)
    name = pod["metadata"]["name"]
    with server.follow(pod) as log:
        assert log.stdout is not None
        assert "counting\n" in log.stdout
        if check == "deleted":
            server.kubectl("delete", "--wait=false", f"pod/{name}")
        else:
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
            path = f"/api/v1/namespaces/{server.namespace}/pods/{name}/eviction"
            server.kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction))
        run = Run(pod, events(log.stdout.readlines()))
    told, accepted = (run.event(name) for name in ("signal_forwarded", "report_accepted"))
    seconds = time_of(accepted["timestamp"]) - time_of(told["timestamp"])
    record_property("seen", f"{seconds:.1f} s after SIGTERM")
    assert_shown(server, check, ["khshim was told to stop by SIGTERM", "counting$"])


@pytest.mark.case("a pod that is deleted by force")
@pytest.mark.parametrize("server", [Server.V3], indirect=True, ids=["v3"])
def test_a_pod_that_is_deleted_by_force(server: Kuberhealthy) -> None:
    """v2 takes no report from a pod that the API server does not know any more."""
    pod = server.wait_for_pod("forced", TIMEOUT_S)
    with server.follow(pod) as log:
        assert log.stdout is not None
        assert "counting\n" in log.stdout
        server.kubectl("delete", "--force", "--grace-period=0", f"pod/{pod['metadata']['name']}")
    assert_shown(server, "forced", ["khshim was told to stop by SIGTERM", "counting$"])


@pytest.mark.case("ten runs in a row")
def test_ten_runs_in_a_row(server: Kuberhealthy) -> None:
    exits: dict[str, int] = {}

    def ten_ended(pod: Resource) -> bool:
        ended = container_state(pod).get("terminated")
        if ended:
            exits[pod["metadata"]["name"]] = ended["exitCode"]
        return len(exits) == 10

    server.wait_for_pods("repeated", ten_ended, TIMEOUT_S)
    assert set(exits.values()) == {0}
    assert_shown(server, "repeated", [])


@pytest.mark.case("unknown fields are refused, and the manifests have none")
def test_unknown_fields_are_refused(server: Kuberhealthy) -> None:
    """All that the tests apply is applied this way."""
    wrong = EXAMPLES[server.server].read_text().replace("runInterval:", "runinterval:")
    with pytest.raises(ClusterError, match="runinterval.*field not declared"):
        server.apply(wrong, "--dry-run=server")


@pytest.mark.case("the restricted Pod Security Standard is enforced, and the manifests pass")
def test_pods_that_are_not_restricted_are_refused(server: Kuberhealthy) -> None:
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        server.kubectl("run", "unrestricted", "--image=none", "--dry-run=server")


@pytest.mark.case("Kuberhealthy is away when the report is due")
def test_kuberhealthy_away_when_the_report_is_due(
    server: Kuberhealthy, site: Site, record_property: Record
) -> None:
    """Last, since a Kuberhealthy that starts begins all checks anew."""
    path = f"/lonely/{server.server.value}"
    assert site.waiting[path].wait(TIMEOUT_S)
    pod = server.wait_for_pod("lonely", TIMEOUT_S)
    with server.follow(pod) as log:
        assert log.stdout is not None
        server.kill()
        site.open[path].set()
        lines = []
        for line in log.stdout:
            lines.append(line)
            if sum('"event": "report_attempt"' in line for line in lines) == 3:
                break
        server.start()
        run = Run(pod, events(lines + log.stdout.readlines()))
    last = run.log[-1]
    # v3 begins a run of its own at once, and then does not know the old one any more.
    assert last["event"] in ("report_accepted", "report_refused")
    record_property("seen", f"{last['event']} at attempt {last['attempt']}; the next run is OK")
    assert_shown(server, "lonely", [])
