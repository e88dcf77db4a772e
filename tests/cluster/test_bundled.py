"""The bundled checks that read from the API server, with the rights that `khshim manifest` gives them.

Each runs with the token of its own service account, as it would in its pod. With --record what
the server answers is kept in tests/recorded, for the tests that have no cluster.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trustme

import shim
from docs.bundled import bundled
from shim.checks import kubernetes_api
from tests.cluster.kubernetes import FOLDER, NODE, Kubernetes, Resource
from tests.cluster.registry import registry
from tests.support.khshim import base_environ
from tests.support.kubernetes import RECORDED, Recording
from tests.support.manifests import ROOT, load

NAMESPACE = "shop"
SCRIPTS = [one.name for one in bundled() if one.rights]
TIMEOUT_S = 120
pytestmark = pytest.mark.timeout(TIMEOUT_S + 60)

# A container that fails at once, a pod that no node takes, an image that there is not, rollouts that
# end well, that end badly and that go on, a quota of which all is used, and one of an unlimited kind.
OBJECTS = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: objects}
spec: {hard: {count/configmaps: "4", requests.memory: 1Gi, secrets: "2", services: "0"}}
---
apiVersion: v1
kind: Pod
metadata: {name: crashing, labels: {app: crashing}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "localhost/khshim:VERSION", imagePullPolicy: Never, command: [/bin/false],
     resources: {requests: {memory: 512Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: failed, labels: {app: failed}}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: "localhost/khshim:VERSION", imagePullPolicy: Never, command: [/bin/sh, -c, exit 3],
     resources: {requests: {memory: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: nowhere, labels: {app: nowhere}}
spec:
  nodeSelector: {disk: ssd}
  containers: [{name: main, image: "localhost/pause:1", resources: {requests: {memory: 1Mi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: check, labels: {kh-run-uuid: 635f84b4-dfb7-479e-a227-8e58e96e52fd}}
spec:
  nodeSelector: {disk: ssd}
  containers: [{name: main, image: "localhost/pause:1", resources: {requests: {memory: 1Mi}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: main, image: "localhost:5000/pause:1", imagePullPolicy: Always,
         resources: {requests: {memory: 1Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: stuck, labels: {app: stuck}}
spec:
  replicas: 1
  progressDeadlineSeconds: 2
  selector: {matchLabels: {app: stuck}}
  template:
    metadata: {labels: {app: stuck}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "localhost:5000/missing:9", resources: {requests: {memory: 1Mi}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: rolling, labels: {app: rolling}}
spec:
  replicas: 1
  strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1}}
  selector: {matchLabels: {app: rolling}}
  template:
    metadata: {labels: {app: rolling}}
    spec:
      nodeSelector: {disk: ssd}
      containers: [{name: main, image: "localhost/pause:1", resources: {requests: {memory: 1Mi}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: idle, labels: {app: idle}}
spec:
  replicas: 0
  selector: {matchLabels: {app: idle}}
  template:
    metadata: {labels: {app: idle}}
    spec:
      containers: [{name: main, image: "localhost/pause:1", resources: {requests: {memory: 1Mi}}}]
"""


class Shop:
    """A namespace with all that the checks are to find."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self.kubernetes = kubernetes
        self.tokens: dict[str, str] = {}

    def kubectl(self, *args: str, stdin: str = "") -> str:
        return self.kubernetes.kubectl(f"--namespace={NAMESPACE}", *args, stdin=stdin)

    def fill(self, version: str) -> None:
        self.kubernetes.kubectl("create", "namespace", NAMESPACE)
        self.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        self.kubectl("wait", "--for=create", "configmap/kube-root-ca.crt", "--timeout=60s")
        # The API server learns of new roles within a second or so.
        for script in SCRIPTS:
            self.token(script)
        now = datetime.now(timezone.utc)
        for name, days in (("fresh", 36_500), ("stale", -1)):
            certificate = trustme.CA().issue_cert(
                "shop.example", not_after=now + timedelta(days=days)
            )
            for part, pem in (
                ("crt", certificate.cert_chain_pems[0]),
                ("key", certificate.private_key_pem),
            ):
                pem.write_to_path(FOLDER / f"{name}.{part}")
            files = [f"--cert={FOLDER}/{name}.crt", f"--key={FOLDER}/{name}.key"]
            self.kubectl("create", "secret", "tls", name, *files)
        self.kubectl("create", "-f", "-", stdin=OBJECTS.replace("VERSION", version))
        core = f"/api/v1/namespaces/{NAMESPACE}"
        self.kubernetes.wait_for(
            f"{core}/pods", is_restarted, TIMEOUT_S, labelSelector="app=crashing"
        )
        self.kubernetes.wait_for(f"{core}/pods", is_failed, TIMEOUT_S, labelSelector="app=failed")
        self.kubernetes.wait_for(f"{core}/resourcequotas", is_counted, TIMEOUT_S)
        self.kubernetes.wait_for(
            f"{core}/events", is_failed_pull, TIMEOUT_S, fieldSelector="reason=Failed"
        )
        self.kubectl("rollout", "status", "deployment/web", f"--timeout={TIMEOUT_S}s")
        available = "--for=condition=Progressing=false"
        self.kubectl("wait", available, "deployment/stuck", f"--timeout={TIMEOUT_S}s")

    def token(self, script: str) -> str:
        """Return the token of the service account that `khshim manifest` writes for a script."""
        if script not in self.tokens:
            command = [
                *(sys.executable, "-m", "shim", "manifest", script),
                *(f"--namespace={NAMESPACE}", "--interval=1h", "--timeout=1m"),
            ]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            rights = [one for one in load(text) if one["kind"] not in ("ConfigMap", "HealthCheck")]
            self.kubernetes.kubectl(
                "apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, rights))
            )
            [account] = [one for one in rights if one["kind"] == "ServiceAccount"]
            self.tokens[script] = self.kubectl("create", "token", account["metadata"]["name"])
        return self.tokens[script]

    def run(self, script: str, rights_of: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a script as in a pod, with the rights of one."""
        account = Path(kubernetes_api.SERVICE_ACCOUNT)
        account.mkdir(parents=True, exist_ok=True)
        (account / "token").write_text(self.token(rights_of))
        (account / "namespace").write_text(NAMESPACE)
        (account / "ca.crt").write_bytes((FOLDER / "ca.pem").read_bytes())
        address = {"KUBERNETES_SERVICE_HOST": NODE, "KUBERNETES_SERVICE_PORT": "6443"}
        return subprocess.run(
            [sys.executable, ROOT / "scripts" / script],
            env={**base_environ(), **address, **env},
            capture_output=True,
            text=True,
            check=False,
        )


def is_restarted(pod: Resource) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return any(one["restartCount"] >= 2 and "waiting" in one["state"] for one in statuses)


def is_failed(pod: Resource) -> bool:
    return bool(pod["status"]["phase"] == "Failed")


def is_failed_pull(event: Resource) -> bool:
    return "Failed to pull" in event["message"]


def is_counted(quota: Resource) -> bool:
    used = quota["status"].get("used", {})
    return bool(used.get("secrets") == "2" and used.get("requests.memory", "0") != "0")


@pytest.fixture(scope="module")
def shop(kubernetes: Kubernetes) -> Iterator[Shop]:
    shop = Shop(kubernetes)
    with registry(Path(os.environ["KHSHIM_CLUSTER"]) / "pause"):
        shop.fill(shim.__version__)
        yield shop
    kubernetes.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.mark.parametrize(
    ("script", "env", "problems"),
    [
        (
            "pod_status.py",
            {"TOLERATE": "0s"},
            [
                "The pod shop/failed has the phase Failed: container main ended (exit status 3)",
                "The pod shop/nowhere has been pending since ",
                "The pod shop/rolling-",
                "The pod shop/stuck-",
                "The pod shop/crashing runs, and has not been ready since ",
            ],
        ),
        ("pod_status.py", {"TOLERATE": "0s", "SELECTOR": "app=web"}, []),
        (
            "pod_status.py",
            {"SELECTOR": "app=nothing"},
            ["There is no pod in the namespace shop with"],
        ),
        (
            "pod_restarts.py",
            {"MAX_RESTARTS": "1"},
            ["The container main of the pod shop/crashing has re"],
        ),
        ("pod_restarts.py", {"MAX_RESTARTS": "1", "SELECTOR": "app!=crashing"}, []),
        ("namespace_quota.py", {}, ["The quota shop/objects has 100 % of secrets used"]),
        ("namespace_quota.py", {"MAX_PERCENT": "100"}, []),
        ("node_ready.py", {}, []),
        ("node_ready.py", {"MIN_NODES": "2"}, ["1 node found, wanted are 2"]),
        ("deployment_rollout.py", {"NAMES": "web idle rolling", "WAIT": "0s"}, []),
        ("deployment_rollout.py", {"NAMES": "web idle"}, []),
        (
            "deployment_rollout.py",
            {"NAMES": "stuck gone", "WAIT": "1s"},
            [
                "The deployment shop/stuck has the condition Progressing False (ProgressDeadline",
                "There is no deployment gone in the namespace shop",
            ],
        ),
        ("image_pull.py", {"IMAGE": "pause"}, []),
        (
            "image_pull.py",
            {"MAX_TIME": "0s", "IMAGE": "pause"},
            ["The image localhost:5000/pause:1 for the pod shop/web-"] * 2,
        ),
        ("image_pull.py", {}, ["The image localhost:5000/missing:9 for the pod shop/stuck-"]),
        ("tls_secrets.py", {}, ["The certificate in the secret shop/stale expired at"]),
        ("tls_secrets.py", {"NAMES": "fresh"}, []),
        ("tls_secrets.py", {"NAMES": "fresh gone"}, ["There is no secret named gone"]),
    ],
)
def test_checks_with_their_own_rights(
    shop: Shop, script: str, env: dict[str, str], problems: list[str]
) -> None:
    result = shop.run(script, script, **env)
    lines = result.stderr.splitlines()
    assert len(lines) == len(problems), result
    assert all(line.startswith(words) for line, words in zip(lines, problems)), result
    assert result.returncode == (1 if problems else 0)
    assert bool(result.stdout) is not bool(problems)


def test_a_missing_right_is_named(shop: Shop) -> None:
    result = shop.run("pod_status.py", "namespace_quota.py")
    assert result.returncode == 1
    assert (
        "no right to list pods in the namespace shop: khshim manifest --role pods" in result.stderr
    )
    result = shop.run("pod_status.py", "pod_status.py", NAMESPACE="*")
    assert (
        "no right to list pods in all namespaces: khshim manifest --cluster-role pods"
        in result.stderr
    )


def test_a_token_that_is_none(shop: Shop) -> None:
    shop.tokens["none"] = "none"
    result = shop.run("pod_status.py", "none")
    assert result.returncode == 1 and "does not accept the token" in result.stderr


def test_pages_are_read_to_the_end(shop: Shop) -> None:
    """The server makes its own tokens for what follows."""
    shop.run("pod_status.py", "pod_status.py")
    api = kubernetes_api.Api(
        f"https://{NODE}:6443",
        shop.token("pod_status.py").strip(),
        str(FOLDER / "ca.pem"),
        NAMESPACE,
    )
    names = [kubernetes_api.name_of(pod) for pod in api.list(kubernetes_api.PODS, NAMESPACE)]
    assert len(names) > 5
    small = [
        kubernetes_api.name_of(pod) for pod in api.list(kubernetes_api.PODS, NAMESPACE, limit="2")
    ]
    assert small == names


def test_through_kubectl_proxy(shop: Shop) -> None:
    """As on a laptop: `khshim try`, with one's own rights."""
    proxy = ["kubectl", "proxy", "--port=0"]
    with subprocess.Popen(
        proxy, env=shop.kubernetes.environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().rpartition(" ")[2].strip()
        result = subprocess.run(
            [sys.executable, "-m", "shim", "try", "--json", "pod_status.py"],
            env={**base_environ(), "KUBERNETES_API": f"http://{address}", "NAMESPACE": NAMESPACE},
            capture_output=True,
            text=True,
            check=False,
        )
        process.terminate()
    assert (result.returncode, json.loads(result.stdout)) == (0, {"OK": True, "Errors": []})


def test_record(shop: Shop, request: pytest.FixtureRequest) -> None:
    """Keep what the server answers, for tests/test_kubernetes_checks.py."""
    if not request.config.getoption("--record"):
        pytest.skip("only with --record")
    version = json.loads(shop.kubectl("version", "--output=json"))["serverVersion"]["gitVersion"]
    answers: dict[str, Any] = {}
    for resource in vars(kubernetes_api).values():
        if isinstance(resource, kubernetes_api.Resource):
            folder = "" if resource.plural == "nodes" else f"namespaces/{NAMESPACE}/"
            path = f"{resource.group}/{folder}{resource.plural}"
            query = (
                {"fieldSelector": "type=kubernetes.io/tls"} if resource.plural == "secrets" else {}
            )
            answers[path] = json.loads(shop.kubectl("get", f"--raw={path}?{urlencode(query)}"))
    for answer in answers.values():
        for item in answer["items"]:
            # Half of it, and nobody's business; and what need not be in a repository.
            item["metadata"].pop("managedFields", None)
            item.get("data", {}).pop("tls.key", None)
    refused = shop.run("pod_status.py", "namespace_quota.py")
    message = re.search(r"status 403: (.*)\)", refused.stderr)
    assert message
    text = Recording(version, datetime.now(timezone.utc).timestamp(), message[1], answers).to_json()
    # The recording is no place that a new version has to be written into.
    RECORDED.write_text(text.replace(f"khshim:{shim.__version__}", "khshim:latest"))
