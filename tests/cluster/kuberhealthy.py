"""The real Kuberhealthy, each version as a process beside the cluster's parts."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shim.kuberhealthy import Server
from tests.cluster.kubernetes import FOLDER, KUBECONFIG, Kubernetes, Resource

ADDRESSES = {Server.V2: "10.96.0.2", Server.V3: "10.96.0.3"}
# The names that the servers tell their checks to report to, unless they are told otherwise.
HOSTS = {
    f"kuberhealthy.kuberhealthy-{server.value}.svc.cluster.local": address
    for server, address in ADDRESSES.items()
}
# The label with the check's name that its pods have.
LABELS = {Server.V2: "kuberhealthy-check-name", Server.V3: "healthcheck"}
# The resources that hold the states of the checks.
STATES = {
    Server.V2: "comcast.github.io/v1/namespaces/{}/khstates",
    Server.V3: "kuberhealthy.github.io/v2/namespaces/{}/healthchecks",
}
# v2 takes its settings and its kubeconfig from one file.
V2_SETTINGS = """
listenAddress: {}:80
enableForceMaster: true
maxCheckPodAge: 1h
maxCompletedPodCount: 20
maxErrorPodCount: 20
"""
# v2 looks whether it is the master only when a pod with this label changes: one stands for the process.
V2_POD = """
apiVersion: v1
kind: Pod
metadata: {name: kuberhealthy, labels: {app: kuberhealthy}}
spec:
  containers: [{name: kuberhealthy, image: "localhost/pause:1", imagePullPolicy: Never}]
"""


class State(NamedTuple):
    """What is known of a check's last run. `is_over`: its server waits for nothing more of it."""

    ok: bool
    errors: list[str]
    is_over: bool


class Kuberhealthy:
    """A server, and the namespace of its checks, which enforces the restricted Pod Security Standard."""

    def __init__(self, server: Server, program: Path, kubernetes: Kubernetes) -> None:
        self.server = server
        self.program = program
        self.kubernetes = kubernetes
        self.name = f"kuberhealthy-{server.value}"
        self.namespace = f"checks-{server.value}"

    def install(self, definitions: Path) -> None:
        """Make its namespaces and its resources, which `definitions` describes."""
        kubectl = self.kubernetes.kubectl
        for namespace in (self.name, self.namespace):
            kubectl("create", "namespace", namespace)
        standard = "pod-security.kubernetes.io/enforce=restricted"
        kubectl("label", "namespace", self.namespace, standard)
        kubectl("apply", "--server-side", f"--filename={definitions}")
        kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        if self.server is Server.V2:
            kubectl("wait", "--for=create", f"--namespace={self.name}", "serviceaccount/default")
            kubectl("apply", f"--namespace={self.name}", "--filename=-", stdin=V2_POD)

    def start(self) -> None:
        home = FOLDER / self.name
        (home / ".kube").mkdir(parents=True, exist_ok=True)
        config = home / ".kube" / "config"
        config.write_text(KUBECONFIG.read_text() + V2_SETTINGS.format(ADDRESSES[self.server]))
        env = {
            "HOME": str(home),
            "POD_NAMESPACE": self.name,
            "POD_NAME": "kuberhealthy",
            "KH_LISTEN_ADDRESS": f"{ADDRESSES[self.server]}:80",
        }
        options = [f"--config={config}"] if self.server is Server.V2 else []
        self.process = self.kubernetes.run(self.name, str(self.program), *options, env=env)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def kubectl(self, *args: str, stdin: str = "") -> str:
        """Run kubectl in the namespace of the checks."""
        return self.kubernetes.kubectl(f"--namespace={self.namespace}", *args, stdin=stdin)

    def apply(self, manifests: str, *options: str) -> str:
        """Apply manifests as they are, unknown fields refused."""
        options = ("--server-side", "--validate=strict", *options)
        return self.kubectl("apply", *options, "--filename=-", stdin=manifests)

    def wait_until_over(self, check: str, timeout_s: int) -> State:
        """Return what the check's resource says when the run is over."""
        resource = self.kubernetes.wait_for(
            f"/apis/{STATES[self.server].format(self.namespace)}",
            lambda resource: self.state(resource).is_over,
            timeout_s,
            fieldSelector=f"metadata.name={check}",
        )
        return self.state(resource)

    def state(self, resource: Resource) -> State:
        if self.server is Server.V2:
            spec = resource["spec"]
            # Written with the report, and once more with the time that the run took.
            is_over = bool(spec.get("LastRun")) and spec["RunDuration"] != "0s"
            return State(spec["OK"], spec["Errors"] or [], is_over)
        status = resource.get("status", {})
        runs = status.get("successCount", 0) + status.get("failureCount", 0)
        is_over = runs > 0 and not status["currentUUID"]
        return State(status.get("ok", False), status.get("errors", []), is_over)

    def column_ok(self, check: str) -> str:
        """Return what `kubectl get` shows in the column OK."""
        kind = {Server.V2: "khstate", Server.V3: "healthcheck"}[self.server]
        heads, row = self.kubectl("get", kind, check).splitlines()
        return row.split()[heads.split().index("OK")]

    def status_page(self, check: str) -> tuple[bool, list[str]]:
        path, name = "json", check
        if self.server is Server.V2:
            path, name = "", f"{self.namespace}/{check}"
        with urllib.request.urlopen(f"http://{ADDRESSES[self.server]}/{path}", timeout=30) as page:
            state = json.load(page)
        details = {**state["CheckDetails"], **state.get("JobDetails", {})}[name]
        details = {key.lower(): value for key, value in details.items()}
        return details["ok"], details.get("errors") or []

    def wait_for_pods(
        self, check: str, accept: Callable[[Resource], bool], timeout_s: int
    ) -> Resource:
        """Watch a check's pods, as they are and with each change, for the first to accept."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        selector = f"{LABELS[self.server]}={check}"
        return self.kubernetes.wait_for(path, accept, timeout_s, labelSelector=selector)

    def wait_for_pod(self, check: str, timeout_s: int) -> Resource:
        """Return the check's pod when its container runs, or has ended."""
        return self.wait_for_pods(
            check, lambda pod: "waiting" not in container_state(pod), timeout_s
        )

    def follow(self, pod: Resource) -> subprocess.Popen[str]:
        """Return a process whose output is the pod's log from its beginning to its end."""
        return subprocess.Popen(
            [
                "kubectl",
                "logs",
                "--follow",
                f"--namespace={self.namespace}",
                pod["metadata"]["name"],
            ],
            env=self.kubernetes.environ,
            stdout=subprocess.PIPE,
            text=True,
        )


def container_state(pod: Resource) -> Resource:
    """Return `waiting`, `running` or `terminated` of a pod's only container, with its details."""
    [status] = pod["status"].get("containerStatuses") or [{"state": {"waiting": {}}}]
    state: Resource = status["state"]
    return state
