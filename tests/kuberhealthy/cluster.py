"""A real Kuberhealthy server before an API server of the tests (see apiserver/main.go).

Waiting is always for an event of the API: a watch, as Kubernetes' own clients have it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import urllib3

from shim.kuberhealthy import PATHS, Server
from tests.kuberhealthy.build import helper, kuberhealthy

KHSHIM = str(Path(sys.executable).with_name("khshim"))
# A command that does nothing, so that a test can report in its place.
IDLE = ["sleep", "infinity"]
# Seconds to wait for anything, unless told otherwise.
WAIT = 100.0
NO_VARIABLES: Mapping[str, str] = {}
Object = dict[str, Any]

# Where each server keeps its checks, and what it knows of them.
CHECKS = {
    Server.V2: "apis/comcast.github.io/v1/namespaces/checks/khchecks",
    Server.V3: "apis/kuberhealthy.github.io/v2/namespaces/checks/healthchecks",
}
STATES = {
    Server.V2: "apis/comcast.github.io/v1/namespaces/checks/khstates",
    Server.V3: CHECKS[Server.V3],
}
JOBS = "apis/comcast.github.io/v1/namespaces/checks/khjobs"
PODS = "api/v1/namespaces/checks/pods"
# The label that a check's pods have.
NAME_LABEL = {Server.V2: "kuberhealthy-check-name", Server.V3: "healthcheck"}


class Check(NamedTuple):
    """A check whose pod runs a command; what is None is left to Kubernetes' defaults.

    `grace_period` is the pod's, in seconds.
    """

    name: str
    command: Sequence[str]
    timeout: str = "1000h"
    restart_policy: str | None = "Never"
    grace_period: int | None = None

    def manifest(self, server: Server) -> Object:
        pod = pod_spec(
            self.command,
            restartPolicy=self.restart_policy,
            terminationGracePeriodSeconds=self.grace_period,
        )
        spec = {"runInterval": "1000h", "timeout": self.timeout, "podSpec": pod}
        if server is Server.V3:
            spec["podSpec"] = {"spec": pod}
        return {"metadata": {"name": self.name}, "spec": spec}


def pod_spec(
    command: Sequence[str], env: Mapping[str, str] = NO_VARIABLES, **more: str | int | None
) -> Object:
    """Return the specification of a pod; fields of `more` that are None are left out."""
    variables = [{"name": name, "value": value} for name, value in env.items()]
    container = {"name": "main", "image": "none", "command": list(command), "env": variables}
    return {
        "containers": [container],
        **{name: value for name, value in more.items() if value is not None},
    }


class State(NamedTuple):
    """What Kuberhealthy knows of a check; `is_over` once its controller is done with the run."""

    ok: bool
    errors: list[str]
    is_over: bool

    @property
    def report(self) -> tuple[bool, list[str]]:
        return self.ok, self.errors


def state_of(found: Object, server: Server) -> State:
    """Return what a khstate (v2) or a HealthCheck (v3) says."""
    if server is Server.V2:
        spec = found["spec"]
        errors = spec.get("Errors") or []
        # The controller's last word has a duration, or is an error of its own.
        failed = any(error.startswith("Check execution error: ") for error in errors)
        return State(spec["OK"], errors, failed or spec["RunDuration"] not in ("", "0s"))
    status = found.get("status") or {}
    is_over = not status.get("currentUUID") and "lastRunUnix" in status
    return State(status.get("ok", False), status.get("errors") or [], is_over)


class Metrics(NamedTuple):
    """What three parsers object to, and each check's label "error" as Prometheus reads it."""

    problems: dict[str, str]
    errors: dict[str, str]


class Cluster:
    """A server with the checks it begins with, from entering the context to leaving it.

    v2 starts no check in its first 20 s, and all of them anew where one is added later.
    """

    def __init__(self, server: Server, checks: Sequence[Check], folder: Path) -> None:
        self.server = server
        self._checks = checks
        self._folder = folder
        self._environments: dict[str, dict[str, str]] = {}
        self._http = urllib3.PoolManager(headers={"User-Agent": "tests"}, maxsize=8)

    def __enter__(self) -> Cluster:
        with ExitStack() as stack:
            api_server = stack.enter_context(_start("apiserver"))
            self._parsers = stack.enter_context(_start("parsers"))
            assert api_server.stdout is not None
            self._api = f"http://{api_server.stdout.readline().strip()}"
            for check in self._checks:
                self.call("POST", CHECKS[self.server], check.manifest(self.server))
            self._start_kuberhealthy()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _start_kuberhealthy(self) -> None:
        """Run the server itself as a pod, as in a cluster, and wait until it answers."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": {"server": self._api}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests"}}],
            "current-context": "tests",
        }
        kubeconfig_file = self._folder / "kubeconfig"
        kubeconfig_file.write_text(json.dumps(kubeconfig))
        # For v2, which removes pods after half a minute where it is not told otherwise.
        config = {
            "listenAddress": self.address,
            "maxCheckPodAge": "72h",
            "maxCompletedPodCount": 4,
            "maxErrorPodCount": 4,
        }
        config_file = self._folder / "kuberhealthy.yaml"
        config_file.write_text(json.dumps(config))
        environ = {
            "POD_NAME": "kuberhealthy",
            "POD_NAMESPACE": "kuberhealthy",
            "KUBECONFIG": str(kubeconfig_file),
            # v2
            "UNTHROTTLED_CONFIG": str(config_file),
            "KH_EXTERNAL_REPORTING_URL": f"http://{self.address}{PATHS[Server.V2]}",
            # v3
            "KH_LISTEN_ADDRESS": self.address,
            "KH_CHECK_REPORT_URL": f"http://{self.address}",
            "KH_LEADER_ELECTION_ENABLED": "false",
        }
        command = [str(kuberhealthy(self.server))]
        manifest = {
            "metadata": {"name": "kuberhealthy", "labels": {"app": "kuberhealthy"}},
            "spec": pod_spec(
                command, environ, restartPolicy="Never", terminationGracePeriodSeconds=1
            ),
        }
        self.call("POST", "api/v1/namespaces/kuberhealthy/pods", manifest)
        patient = urllib3.Retry(total=None, connect=100, backoff_factor=0.1, backoff_max=0.2)
        self._http.request("GET", f"http://{self.address}/metrics", retries=patient)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API and return its answer."""
        response = self._http.request(method, f"{self._api}/{path}", json=body)
        assert response.status < 300, f"{method} {path}: {response.status} {response.data!r}"
        return response.json() if response.data else None

    def watch(self, path: str, until: Callable[[Object], bool], seconds: float = WAIT) -> Object:
        """Return the first object of a list that is as it is waited for, when it is."""
        deadline = time.monotonic() + seconds
        separator = "&" if "?" in path else "?"
        url = f"{self._api}/{path}{separator}watch=true"
        timeout = urllib3.Timeout(read=seconds)
        response = self._http.request("GET", url, preload_content=False, timeout=timeout)
        last = None
        try:
            for line in _lines(response):
                found: Object = json.loads(line)["object"]
                if until(found):
                    return found
                last = found
                if time.monotonic() > deadline:
                    break
        except urllib3.exceptions.ReadTimeoutError:
            pass
        finally:
            response.close()
        raise AssertionError(f"{path} did not become as expected within {seconds} s: {last}")

    def state(self, name: str) -> State:
        return state_of(self.call("GET", f"{STATES[self.server]}/{name}"), self.server)

    def states(self) -> dict[str, State]:
        items = self.call("GET", STATES[self.server])["items"]
        return {item["metadata"]["name"]: state_of(item, self.server) for item in items}

    def wait_for_state(self, name: str) -> State:
        """Return what is known of a check once its run is over."""
        found = self.watch_state(name, lambda found: state_of(found, self.server).is_over)
        return state_of(found, self.server)

    def watch_state(self, name: str, until: Callable[[Object], bool]) -> Object:
        return self.watch(f"{STATES[self.server]}?fieldSelector=metadata.name={name}", until)

    def wait_for_pod(
        self, name: str, until: Callable[[Object], bool], *, gone: bool = False
    ) -> Object:
        """Return a check's pod once it is as waited for, with `gone` also one that was so."""
        since = "&resourceVersion=1" if gone else ""
        return self.watch(f"{PODS}?labelSelector={NAME_LABEL[self.server]}={name}{since}", until)

    def wait_for_end(self, name: str, *, gone: bool = False) -> Object:
        """Return a check's pod once its process has ended."""
        return self.wait_for_pod(name, lambda pod: exit_code(pod) is not None, gone=gone)

    def pod_log(self, pod: Object) -> bytes:
        path = f"{self._api}/{PODS}/{pod['metadata']['name']}/log"
        return self._http.request("GET", path).data

    def delete_pod(self, pod: Object) -> None:
        self.call("DELETE", f"{PODS}/{pod['metadata']['name']}")

    def fail(self, *faults: Mapping[str, Any]) -> None:
        """Let requests of the server to the API fail (see apiserver/faults.go)."""
        self.call("POST", "faults", list(faults))

    def environment(self, name: str) -> dict[str, str]:
        """Return what the controller has given to a check's running pod, the first it had."""
        if name not in self._environments:
            pod = self.wait_for_pod(name, is_running)
            if self.server is Server.V3:
                # Its last write when it starts a run.
                self.watch_state(name, lambda found: "lastRunUnix" in found.get("status", {}))
            variables = pod["spec"]["containers"][0]["env"]
            self._environments[name] = {
                variable["name"]: variable.get("value", "checks") for variable in variables
            }
        return dict(self._environments[name])

    def new_run(
        self,
        name: str,
        last_run: float | None = None,
        known: tuple[bool, list[str]] = (True, []),
    ) -> dict[str, str]:
        """Let a check expect a report, with `known` as what it has now, and return its environment.

        On v3 that takes a new run, for its first report ends one; `last_run` is when it
        began, in unix seconds, now where it is None. On v2 a run takes any number of reports.
        """
        environ = self.environment(name)
        path = f"{STATES[self.server]}/{name}"
        found = self.call("GET", path)
        if self.server is Server.V2:
            found["spec"] |= {"OK": known[0], "Errors": known[1]}
            self.call("PUT", path, found)
        else:
            environ["KH_RUN_UUID"] = str(uuid4())
            found["status"] |= {
                "ok": known[0],
                "errors": known[1],
                "currentUUID": environ["KH_RUN_UUID"],
                "lastRunUnix": int(time.time() if last_run is None else last_run),
            }
            self.call("PUT", f"{path}/status", found)
        return environ

    def post(self, environ: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Report as a run; return the status and the body of the answer."""
        headers = {"Content-Type": "application/json", "kh-run-uuid": environ["KH_RUN_UUID"]}
        response = self._http.request(
            "POST", environ["KH_REPORTING_URL"], body=body, headers=headers, timeout=130.0
        )
        return response.status, response.data

    def post_as_unknown_run(self) -> tuple[int, bytes]:
        url = f"http://{self.address}{PATHS[self.server]}"
        environ = {"KH_REPORTING_URL": url, "KH_RUN_UUID": str(uuid4())}
        return self.post(environ, b'{"OK": true, "Errors": []}')

    def give_address(self, name: str) -> None:
        """Give a check's pod the address that reports come from, by which v2 finds it as well."""
        pod = self.wait_for_pod(name, is_running)
        pod["status"]["podIP"] = "127.0.0.1"
        self.call("PUT", f"{PODS}/{pod['metadata']['name']}/status", pod)

    def status_page(self) -> dict[str, tuple[bool, list[str]]]:
        """Return what the status page shows of each check."""
        path = "" if self.server is Server.V2 else "json"
        page = self._http.request("GET", f"http://{self.address}/{path}").json()
        ok, errors = ("OK", "Errors") if self.server is Server.V2 else ("ok", "errors")
        return {
            name.removeprefix("checks/"): (detail[ok], detail.get(errors) or [])
            for name, detail in page["CheckDetails"].items()
        }

    def metrics(self) -> Metrics:
        assert self._parsers.stdin is not None and self._parsers.stdout is not None
        self._parsers.stdin.write(f"http://{self.address}/metrics\n")
        self._parsers.stdin.flush()
        verdict = json.loads(self._parsers.stdout.readline())
        errors = {name.removeprefix("checks/"): text for name, text in verdict["errors"].items()}
        return Metrics(verdict["problems"], errors)


def _start(name: str) -> subprocess.Popen[str]:
    """Start a helper, which ends where its standard input does."""
    return subprocess.Popen(
        [helper(name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def label_of(errors: Sequence[str]) -> str:
    """Return the label that Prometheus is to read for errors: joined, with what is escaped as meant."""
    return "|".join(errors).replace('"', "'").replace("\\\\", "\\")


def is_running(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running"


def exit_code(pod: Object) -> int | None:
    """Return the exit status of a pod's process, None where it has not ended."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    code: int | None = statuses[0].get("state", {}).get("terminated", {}).get("exitCode")
    return code


def script_path(pod: Object) -> str:
    """Return the path of the script that a pod runs."""
    path: str = pod["spec"]["containers"][0]["command"][-1]
    return path


def events(log: bytes) -> list[Object]:
    """Return khshim's own lines in a pod's log."""
    return [json.loads(line) for line in log.split(b"\n") if line.startswith(b'{"timestamp"')]


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream():
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
