"""The bundled checks that read from the API server, against what a real one answered.

tests/cluster/test_bundled.py does the same with a real one, and records its answers: of Kubernetes
1.33.13, by a kubelet with containerd.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import trustme

from docs.bundled import bundled
from shim.checks import kubernetes_api
from shim.checks.kubernetes_api import PODS, QUOTAS, in_pod
from shim.checks.verdict import CheckError
from tests.support.bundled import SCRIPTS as SCRIPTS_FOLDER
from tests.support.bundled import run
from tests.support.kubernetes import NAMESPACE, ApiServer, Recording, api_server, recorded
from tests.support.manifests import load, manifest
from tests.support.servers import closed_port

pytestmark = pytest.mark.whole_run

SCRIPTS = {one.name: one.rights for one in bundled() if one.rights}
OF_SHOP = f"/namespaces/{NAMESPACE}/"


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with api_server(recorded()) as server:
        yield server


def check(api: ApiServer, script: str, **env: str) -> tuple[int, list[str], str]:
    """Run a script against a server: its exit status, its problems, and what it says that passed."""
    env = {"KUBERNETES_API": api.url, "NAMESPACE": NAMESPACE, **env}
    result = run(script, **env)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stderr.splitlines(), result.stdout


def items(api: ApiServer, plural: str) -> list[dict[str, Any]]:
    [path] = [path for path in api.lists if path.endswith(f"/{plural}")]
    found: list[dict[str, Any]] = api.lists[path]["items"]
    return found


def one(api: ApiServer, plural: str, name: str) -> dict[str, Any]:
    """Return the first object that a name begins like, and leave no other of its kind."""
    every = items(api, plural)
    found = next(item for item in every if item["metadata"]["name"].startswith(name))
    every[:] = [found]
    return found


@pytest.mark.parametrize(
    ("script", "env", "problems", "passed"),
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
            "",
        ),
        ("pod_status.py", {}, [], "7 pods in the namespace shop: all as they should be\n"),
        (
            "pod_status.py",
            {"SELECTOR": "app=web", "TOLERATE": "0"},
            [],
            "2 pods in the namespace shop",
        ),
        (
            "pod_status.py",
            {"SELECTOR": "app=x"},
            ["There is no pod in the namespace shop with app=x"],
            "",
        ),
        ("pod_status.py", {"SELECTOR": "app=x", "ALLOW_NONE": "true"}, [], "0 pods"),
        (
            "pod_restarts.py",
            {"MAX_RESTARTS": "1"},
            ["The container main of the pod shop/crashing has restarted 2 times, last at 20"],
            "",
        ),
        ("pod_restarts.py", {"MAX_RESTARTS": "1", "WITHIN": "1s"}, [], ""),
        ("pod_restarts.py", {}, [], "5 containers of 7 pods in the namespace shop: none that has"),
        (
            "pod_restarts.py",
            {"SELECTOR": "app=x"},
            ["There is no pod in the namespace shop with app=x"],
            "",
        ),
        (
            "pod_restarts.py",
            {"SELECTOR": "app=x", "ALLOW_NONE": "true"},
            [],
            "0 containers of 0 pods",
        ),
        (
            "namespace_quota.py",
            {},
            ["The quota shop/objects has 100 % of secrets used (2 of 2), allowed are 90 %"],
            "",
        ),
        (
            "namespace_quota.py",
            {"MAX_PERCENT": "50"},
            [
                "The quota shop/objects has 100 % of secrets used (2 of 2), allowed are 50 %",
                "The quota shop/objects has 51 % of requests.memory used (5",
            ],
            "",
        ),
        (
            "namespace_quota.py",
            {"MAX_PERCENT": "100"},
            [],
            "4 resources in 1 quota in the namespace shop: no",
        ),
        ("node_ready.py", {}, [], "1 node: ready, without pressure\n"),
        ("node_ready.py", {"MIN_NODES": "2"}, ["1 node found, wanted are 2"], ""),
        (
            "node_ready.py",
            {"SELECTOR": "disk=ssd"},
            ["0 nodes with disk=ssd found, wanted are 1"],
            "",
        ),
        (
            "deployment_rollout.py",
            {"WAIT": "0s"},
            [
                "The deployment shop/stuck has the condition Progressing False (ProgressDeadlineExceeded: "
            ],
            "",
        ),
        (
            "deployment_rollout.py",
            {"WAIT": "0s", "NAMES": "web gone idle"},
            ["There is no deployment gone in the namespace shop"],
            "",
        ),
        (
            "deployment_rollout.py",
            {"NAMES": "web idle rolling"},
            [],
            "3 deployments in the namespace shop, of 3 replicas: all as they should be\n",
        ),
        (
            "deployment_rollout.py",
            {"SELECTOR": "app=x", "WAIT": "0"},
            ["There is no deployment in the namespace shop with app=x"],
            "",
        ),
        ("deployment_rollout.py", {"SELECTOR": "app=x", "ALLOW_NONE": "true"}, [], "0 deployments"),
        (
            "image_pull.py",
            {"IMAGE": "pause"},
            [],
            "2 pulls in the namespace shop within 1 h, the slowest took",
        ),
        (
            "image_pull.py",
            {"MAX_TIME": "0s"},
            [
                "The image localhost:5000/missing:9 for the pod shop/stuck-",
                "The image localhost:5000/pause:1 for the pod shop/web-",
                "The image localhost:5000/pause:1 for the pod shop/web-",
            ],
            "",
        ),
        (
            "image_pull.py",
            {"IMAGE": "nginx"},
            ["No image with nginx was pulled in the namespace shop"],
            "",
        ),
        ("image_pull.py", {"IMAGE": "nginx", "ALLOW_NONE": "true"}, [], "0 pulls"),
        (
            "image_pull.py",
            {"WITHIN": "1s"},
            ["No image was pulled in the namespace shop within 1.0 s"],
            "",
        ),
        ("tls_secrets.py", {}, ["The certificate in the secret shop/stale expired at 20"], ""),
        (
            "tls_secrets.py",
            {"NAMES": "fresh"},
            [],
            "1 certificate in 1 place: valid for 14 days or longer\n",
        ),
        (
            "tls_secrets.py",
            {"NAMES": "fresh", "DAYS": "36500"},
            ["The certificate in the secret shop/fresh expires at 21"],
            "",
        ),
        (
            "tls_secrets.py",
            {"NAMES": "gone fresh", "ALLOW_NONE": "true"},
            ["There is no secret named gone in the namespace shop"],
            "",
        ),
        (
            "tls_secrets.py",
            {"SELECTOR": "app=x"},
            ["There is no secret of type kubernetes.io/tls in the namespace shop with app=x"],
            "",
        ),
        (
            "tls_secrets.py",
            {"SELECTOR": "app=x", "ALLOW_NONE": "true"},
            [],
            "0 certificates in 0 places",
        ),
    ],
)
def test_what_a_real_server_answered(
    api: ApiServer, script: str, env: dict[str, str], problems: list[str], passed: str
) -> None:
    status, lines, stdout = check(api, script, **env)
    assert len(lines) == len(problems), lines
    assert all(line.startswith(words) for line, words in zip(lines, problems)), lines
    assert status == (1 if problems else 0)
    assert stdout.startswith(passed) and bool(stdout) is not bool(problems)


Change = Callable[[ApiServer], object]


def pod(name: str, **status: object) -> Change:
    return lambda api: one(api, "pods", name)["status"].update(status)


# As the kubelet writes it where the container's data are gone.
OF_UNKNOWN_END = {
    "name": "main",
    "restartCount": 99,
    "lastState": {
        "terminated": {
            "exitCode": 137,
            "reason": "ContainerStatusUnknown",
            "startedAt": None,
            "finishedAt": None,
        }
    },
}


def gone_since(api: ApiServer) -> None:
    one(api, "pods", "web")["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z"


def node(kind: str, status: str) -> Change:
    def changed(api: ApiServer) -> None:
        for condition in items(api, "nodes")[0]["status"]["conditions"]:
            if condition["type"] == kind:
                condition.update(
                    status=status,
                    lastTransitionTime="2020-01-01T00:00:00Z",
                    message="Kubelet stopped",
                )

    return changed


def no_condition(api: ApiServer) -> None:
    items(api, "nodes")[0]["status"]["conditions"] = []


def deployment(**status: object) -> Change:
    return lambda api: one(api, "deployments", "web")["status"].update(status)


def new_generation(api: ApiServer) -> None:
    one(api, "deployments", "web")["metadata"]["generation"] = 7


def quota(key: str, used: object) -> Change:
    return lambda api: items(api, "resourcequotas")[0]["status"]["used"].update({key: used})


def no_usage(api: ApiServer) -> None:
    items(api, "resourcequotas")[0]["status"] = {}


def secret(text: bytes | None) -> Change:
    def changed(api: ApiServer) -> None:
        data = one(api, "secrets", "fresh")["data"]
        del data["tls.crt"]
        if text is not None:
            data["tls.crt"] = base64.b64encode(text).decode()

    return changed


def pulled(message: str) -> Change:
    def changed(api: ApiServer) -> None:
        every = items(api, "events")
        event = next(one for one in every if one["message"].startswith("Successfully pulled"))
        event["message"] = message
        every[:] = [event]

    return changed


def later_pulled(api: ApiServer) -> None:
    """The image that failed comes in the end."""
    every = items(api, "events")
    failed = next(one for one in every if one["message"].startswith("Failed to pull"))
    later = deepcopy(failed)
    later.update(
        reason="Pulled", message='Successfully pulled image "localhost:5000/missing:9" in 2s (3s'
    )
    every[:] = [later, failed]
    failed["lastTimestamp"] = "2020-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("script", "change", "words"),
    [
        ("pod_status.py", gone_since, "should have been gone by 2020-01-01 00:00 UTC"),
        ("pod_status.py", pod("web", phase="Unknown"), "shop/web-"),
        ("pod_status.py", pod("web", phase="Sleeping"), "has the phase Sleeping"),
        ("pod_status.py", pod("web", phase="Succeeded"), ""),
        (
            "pod_status.py",
            pod("web", conditions=[]),
            "runs, and has not been ready since",
        ),
        ("pod_status.py", pod("web", phase=None), "has no right status.phase"),
        ("pod_status.py", pod("web", phase=5), "has no right status.phase"),
        ("pod_status.py", pod("web", conditions="x"), "has no right status.conditions"),
        (
            "pod_status.py",
            pod("web", conditions=["x"]),
            "has something else than objects in",
        ),
        (
            "pod_status.py",
            pod("web", phase="Failed", reason="Evicted", message="The node was low\non memory"),
            "has the phase Failed (Evicted: The node was low on memory)",
        ),
        (
            "pod_restarts.py",
            pod("web", containerStatuses=[{}]),
            "has no right restartCount",
        ),
        (
            "pod_restarts.py",
            pod("web", containerStatuses=[OF_UNKNOWN_END]),
            "has restarted 99 times",
        ),
        (
            "node_ready.py",
            node("Ready", "Unknown"),
            "has had the condition Ready Unknown since 2020-01-01",
        ),
        (
            "node_ready.py",
            node("Ready", "False"),
            "since 2020-01-01 00:00 UTC (KubeletReady: Kubelet stopped)",
        ),
        ("node_ready.py", node("DiskPressure", "True"), "the condition DiskPressure True since"),
        ("node_ready.py", no_condition, "The node node has no condition Ready"),
        (
            "deployment_rollout.py",
            new_generation,
            "its controller has not seen it (generation 7, observed 1)",
        ),
        (
            "deployment_rollout.py",
            deployment(availableReplicas=1),
            "is not complete: 1 of 2 replicas are",
        ),
        (
            "deployment_rollout.py",
            deployment(updatedReplicas=0),
            "2 of 2 replicas are available, 0 are up",
        ),
        (
            "deployment_rollout.py",
            deployment(conditions=[], availableReplicas=None),
            "0 of 2 replicas",
        ),
        (
            "deployment_rollout.py",
            deployment(availableReplicas="2"),
            "has no right status.availableRep",
        ),
        ("namespace_quota.py", quota("services", "1"), "has 100 % of services used (1 of 0)"),
        (
            "namespace_quota.py",
            quota("secrets", "many"),
            "has odd values for secrets in its status",
        ),
        ("namespace_quota.py", quota("secrets", None), "has odd values for secrets in its status"),
        ("namespace_quota.py", no_usage, "has no status for secrets yet"),
        ("tls_secrets.py", secret(None), "the secret shop/fresh holds no certificate"),
        ("tls_secrets.py", secret(b"\xff rubbish"), "the secret shop/fresh holds no certificate"),
        (
            "tls_secrets.py",
            secret(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "the secret shop/fresh holds a certificate, number 1, that cannot be read",
        ),
        (
            "image_pull.py",
            pulled('Successfully pulled image "x:1" in 61s (70s incl'),
            "took 61.0 s to pull",
        ),
        (
            "image_pull.py",
            pulled('Successfully pulled image "x:1" in 1m0.5s'),
            "took 60.5 s to pull",
        ),
        (
            "image_pull.py",
            pulled('Successfully pulled image "x:1"'),
            "does not say how long it took",
        ),
        (
            "image_pull.py",
            pulled('Successfully pulled image "x:1" in a while'),
            "does not say how long it",
        ),
        ("image_pull.py", later_pulled, ""),
    ],
)
def test_what_a_server_could_answer(
    api: ApiServer, script: str, change: Change, words: str
) -> None:
    """Real answers, in each of which one thing is changed."""
    change(api)
    status, lines, _ = check(api, script, WAIT="0s", TOLERATE="0s")
    assert status == (1 if words else 0)
    assert any(words in line for line in lines) if words else lines == []


def test_a_replica_that_comes_while_it_waits(api: ApiServer) -> None:
    web = one(api, "deployments", "web")
    web["status"]["availableReplicas"] = 1

    def change(answer: dict[str, Any]) -> bytes:
        body = json.dumps(answer).encode()
        web["status"]["availableReplicas"] = 2
        return body

    api.change = change
    assert check(api, "deployment_rollout.py", WAIT="20s")[0] == 0
    assert len(api.requests) == 2


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_page_is_read(api: ApiServer, script: str) -> None:
    """What is wrong with the last object is found, however many pages there are."""
    env = {"TOLERATE": "0s", "WAIT": "0s", "MAX_RESTARTS": "1", "MAX_TIME": "0s", "DAYS": "36500"}
    if script == "node_ready.py":
        second = deepcopy(items(api, "nodes")[0])
        items(api, "nodes").append(second)
        env["MIN_NODES"] = "3"
    if script == "namespace_quota.py":
        items(api, "resourcequotas").insert(0, deepcopy(items(api, "resourcequotas")[0]))
    whole = check(api, script, **env)
    requests = len(api.requests)
    api.largest_page = 1
    assert check(api, script, **env) == whole
    assert whole[0] == 1
    assert len(api.requests) > 2 * requests


ODD_ANSWERS = [
    (403, b"", "khshim manifest {option} {plural} gives it a role"),
    (401, b"", "does not accept the token of the pod's service account (status 401: "),
    (302, b"", "answered with status 302 to the request for {plural} "),
    (404, b"", "answered with status 404 to the request for {plural} "),
    (410, b"", "answered with status 410 to the request for {plural} "),
    (200, b"<html>", "but not with a {kind}: '<html>'"),
    (200, b"", "but not with a {kind}: nothing"),
    (200, b"null", "but not with a {kind}: 'null'"),
    (200, b"[" * 100_000, "but not with a {kind}: "),
    (200, b'{"kind": "Status", "status": "Failure"}', "but not with a {kind}"),
    (200, b'{"kind": "{kind}", "items": 5}', "the list has no right items"),
    (
        200,
        b'{"kind": "{kind}", "items": [5]}',
        "the list has something else than objects in items",
    ),
    (
        200,
        b'{"kind": "{kind}", "items": [{}]}',
        "In the API server's answer an object has no right metadata.name",
    ),
    (200, b'{"kind": "{kind}", "items": [{"metadata": 5}]}', "has no right "),
    (200, b'{"kind": "{kind}", "metadata": {"continue": 5}}', "has no right metadata.continue"),
]


# How an answer is read is the same in all of them: one of each kind is for every script.
@pytest.mark.parametrize(
    ("script", "status", "body", "words"),
    [("pod_status.py", *odd) for odd in ODD_ANSWERS]
    + [(script, *odd) for script in SCRIPTS for odd in ODD_ANSWERS[::5]],
)
def test_odd_answers(api: ApiServer, script: str, status: int, body: bytes, words: str) -> None:
    right = SCRIPTS[script]
    option, _, plural = right.partition("=")
    [resource] = [
        one
        for one in vars(kubernetes_api).values()
        if isinstance(one, kubernetes_api.Resource) and one.plural == plural
    ]
    api.status = status
    api.change = lambda answer: body.replace(b"{kind}", resource.kind.encode())
    code, lines, stdout = check(api, script, WAIT="0s")
    assert (code, stdout) == (1, "")
    wanted = words.format(option=f"--{option}", plural=plural, kind=resource.kind)
    assert any(wanted in line for line in lines), lines


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_server_is_asked_again(api: ApiServer, status: int) -> None:
    api.status = status
    code, [line], _ = check(api, "pod_status.py")
    assert code == 1 and f"answered with status {status} to the request for pods" in line
    assert len(api.requests) == 4


def test_a_redirect_is_not_followed(
    tls_api: ApiServer, authority: trustme.CA, tmp_path: Path
) -> None:
    """It could lead the token elsewhere."""
    tls_api.status = 302
    account = Account(tmp_path, tls_api.url, authority)
    with pytest.raises(CheckError, match="answered with status 302 to the request for pods"):
        list(in_pod(account.environ, account.folder).list(PODS, NAMESPACE))
    assert [path for path, _, _ in tls_api.requests] == [f"/api/v1{OF_SHOP}pods"]


def test_where_nobody_listens(api: ApiServer) -> None:

    url = f"http://127.0.0.1:{closed_port()}"
    code, [line], _ = check(api, "pod_status.py", KUBERNETES_API=url)
    assert code == 1
    assert line == (
        f"The API server {url} could not be asked for pods in the namespace shop: Connection refused"
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_rights_are_those_that_a_script_needs(api: ApiServer, script: str) -> None:
    """The role that `khshim manifest` writes names what was asked for, and nothing else."""
    check(api, script, WAIT="0s")
    asked = {path.rpartition("/")[2] for path, _, _ in api.requests}
    options = ["--namespace=shop", "--interval=5m", "--timeout=1m"]
    written = load(manifest(script, *options).stdout)
    roles = [one for one in written if one["kind"] in ("Role", "ClusterRole")]
    [rule] = roles[0]["rules"]
    assert len(roles) == 1 and set(rule["resources"]) == asked
    assert rule["verbs"] == ["get", "list", "watch"]
    group = "apps" if "deployments" in asked else ""
    assert rule["apiGroups"] == [group]
    assert (roles[0]["kind"] == "ClusterRole") is (asked == {"nodes"})
    assert {"ServiceAccount", f"{roles[0]['kind']}Binding"} <= {one["kind"] for one in written}
    # A wrong one is refused.
    assert all(path.startswith("/api") for path, _, _ in api.requests)


def test_a_wrong_right_in_a_script_is_refused(tmp_path: Path) -> None:
    text = (SCRIPTS_FOLDER / "pod_status.py").read_text()
    script = tmp_path / "pod_status.py"
    script.write_text(text.replace("# khshim: role=pods", "# khshim: role=pod"))
    result = manifest(str(script), "--interval=5m", "--timeout=1m")
    assert result.returncode == 1
    number = text.split("\n").index("# khshim: role=pods") + 1
    assert f"line {number}: role: pod is no resource that Kubernetes has" in result.stderr


def test_all_namespaces(api: ApiServer) -> None:
    """As the list of all is elsewhere, it takes another right."""
    for path in list(api.lists):
        api.lists[path.replace(OF_SHOP, "/")] = api.lists[path]
    code, _, stdout = check(api, "pod_status.py", NAMESPACE="*")
    assert (code, stdout) == (0, "7 pods in all namespaces: all as they should be\n")
    assert api.requests[-1][0] == "/api/v1/pods"
    api.status = 403
    _, [line], _ = check(api, "pod_status.py", NAMESPACE="*")
    assert "no right to list pods in all namespaces: khshim manifest --cluster-role pods" in line


class Account:
    """A pod's service account: its folder, and the variables of the cluster."""

    def __init__(self, folder: Path, url: str, authority: trustme.CA) -> None:
        self.folder = str(folder)
        authority.cert_pem.write_to_path(str(folder / "ca.crt"))
        (folder / "token").write_text("letmein\n")
        (folder / "namespace").write_text(NAMESPACE)
        host, _, port = url.removeprefix("https://").partition(":")
        self.environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_api(authority: trustme.CA) -> Iterator[ApiServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with api_server(recorded(), context=context) as server:
        yield server


def test_in_a_pod(tls_api: ApiServer, authority: trustme.CA, tmp_path: Path) -> None:
    account = Account(tmp_path, tls_api.url, authority)
    api = in_pod(account.environ, account.folder)
    assert len(list(api.list(PODS, api.namespace("NAMESPACE")))) == 8
    [(path, query, headers)] = tls_api.requests
    assert (path, query) == (f"/api/v1{OF_SHOP}pods", {"limit": "100"})
    assert headers["authorization"] == "Bearer letmein"


def test_another_authority_gets_no_token(tls_api: ApiServer, tmp_path: Path) -> None:
    account = Account(tmp_path, tls_api.url, trustme.CA())
    api = in_pod(account.environ, account.folder)
    with pytest.raises(CheckError, match="could not be asked for resourcequotas .*certificate"):
        list(api.list(QUOTAS, NAMESPACE))
    assert tls_api.requests == []


@pytest.mark.parametrize("name", ["token", "ca.crt", "namespace"])
@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_a_pod_without_an_account(tmp_path: Path, name: str, content: bytes | None) -> None:
    account = Account(tmp_path, "https://127.0.0.1:1", trustme.CA())
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckError, match="no service account token: .* khshim manifest --role"):
        in_pod(account.environ, account.folder)


@pytest.mark.parametrize("script", SCRIPTS)
def test_outside_a_pod(script: str) -> None:
    result = run(script, NAMESPACE=NAMESPACE)
    assert result.returncode == 1
    assert "this is no pod: elsewhere start kubectl proxy and set KUBERNETES_API=" in result.stderr


def test_the_recording_says_where_it_is_from() -> None:
    assert recorded().version == "v1.33.13"
    assert isinstance(recorded(), Recording)
