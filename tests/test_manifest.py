from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shim
from shim.commands.kubernetes import literal
from shim.commands.manifest_options import parser
from shim.settings import Settings
from tests.support.go_parsers import GoParsers
from tests.support.khshim import KHSHIM
from tests.support.manifests import (
    ROOT,
    assert_restricted,
    expand,
    load,
    manifest,
    pod_spec,
    validate,
)
from tests.support.settings import GOOD

pytestmark = pytest.mark.whole_run

Write = Callable[..., str]
IMAGE = "registry.example/khshim:1"
SCRIPT = "#!/bin/sh\n\techo tab\t; echo 'blank at the end' \n\n  echo ümlaut\n"


@pytest.fixture
def common(script: Write) -> list[str]:
    return [script(SCRIPT), "--name", "my-check", "--timeout", "1m"]


def test_it_is_the_command(common: list[str]) -> None:
    """The other tests call its function, which takes milliseconds."""
    words = [*common, "--interval", "5m", "--env", "A=$x"]
    command = [*KHSHIM, "manifest", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    here = manifest(*words)
    assert (result.returncode, result.stdout, result.stderr) == here


@pytest.mark.parametrize(
    ("words", "kind", "spec"),
    [
        (["--interval", "5m"], "HealthCheck", {"runInterval": "5m", "timeout": "1m"}),
        (
            ["--interval", "5m", "--server", "v2"],
            "KuberhealthyCheck",
            {"runInterval": "5m", "timeout": "1m"},
        ),
        (["--once", "--server", "v2"], "KuberhealthyJob", {"timeout": "1m"}),
        (
            ["--once"],
            "HealthCheck",
            {"singleRunOnly": True, "runInterval": "8760h", "timeout": "1m"},
        ),
        (
            [
                "--interval=5m",
                "--label",
                "team=a",
                "--label",
                "example.org/on=y",
                "--annotation",
                "note=b c",
            ],
            "HealthCheck",
            {
                "runInterval": "5m",
                "timeout": "1m",
                "extraLabels": {"team": "a", "example.org/on": "y"},
                "extraAnnotations": {"note": "b c"},
            },
        ),
    ],
)
def test_what_is_written(
    common: list[str], words: list[str], kind: str, spec: dict[str, object]
) -> None:
    result = manifest(*common, *words)
    assert result.returncode == 0, result.stderr
    config_map, check = load(result.stdout)
    assert config_map["data"] == {"check.sh": SCRIPT}
    assert check["kind"] == kind
    assert {key: value for key, value in check["spec"].items() if key != "podSpec"} == spec
    validate(check)
    assert_restricted(pod_spec(check))
    assert ("singleRunOnly" in result.stderr) == ("--once" in words and kind == "HealthCheck")


def test_everything_that_can_be_said(common: list[str]) -> None:
    result = manifest(
        *common, "--interval", "5m", "--namespace", "shop", "--image", "registry.example/khshim:1",
        "--env", "URL=http://x/?a=b", "--env", "EMPTY=", "--secret-env", "TOKEN=my.secret/the.key",
        "--", "arg one", "--flag", "--", "-x",
    )  # fmt: skip
    config_map, check = load(result.stdout)
    assert config_map["metadata"] == check["metadata"] == {"name": "my-check", "namespace": "shop"}
    [container] = pod_spec(check)["containers"]
    assert container["image"] == "registry.example/khshim:1"
    assert container["args"] == ["/checks/check.sh", "arg one", "--flag", "--", "-x"]
    assert container["env"] == [
        {"name": "SHIM_CHECK_NAME", "value": "my-check"},
        {"name": "URL", "value": "http://x/?a=b"},
        {"name": "EMPTY", "value": ""},
        {
            "name": "TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "my.secret", "key": "the.key"}},
        },
    ]
    validate(check)


def test_it_is_readable_and_deterministic(common: list[str]) -> None:
    first, second = (manifest(*common, "--interval", "5m").stdout for _ in range(2))
    assert first == second
    assert (
        "  check.sh: |\n    #!/bin/sh\n    \techo tab\t; echo 'blank at the end' \n\n      echo ümlaut\n---\n"
        in first
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--interval", "30s"], "--interval 30s is shorter than --timeout 1m"),
        (
            ["--timeout", "20s"],
            "--timeout 20s is too short: 5s for the script to end (SHIM_GRACE_PERIOD) and 2s for"
            " the report on v3 (SHIM_REPORT_RESERVE) are 7s, and where that is more than a third"
            " of the time khshim has to shorten both: it should be 21s or more",
        ),
        (["--timeout", "50s", "--server", "v2"], "it should be 51s or more"),
        (["--timeout", "2s", "--env", "SHIM_GRACE_PERIOD=500ms"], "it should be 7.5s or more"),
        (["--env", "SHIM_REPORT_RESERVE=1m"], "it should be 195s or more"),
        (
            ["--timeout", "0s", "--env", "SHIM_GRACE_PERIOD=0", "--env", "SHIM_REPORT_RESERVE=0s"],
            "--timeout 0s is too short",
        ),
        (["--env", "A=1", "--env", "A=2"], "the variable A is given twice"),
        (["--env", "A=1", "--secret-env", "A=s/k"], "the variable A is given twice"),
        (["--label", "a=b", "--label", "a=c"], "--label a is given twice"),
        (["--annotation", "a=", "--annotation", "a=c"], "--annotation a is given twice"),
        (["--node-selector", "a=", "--node-selector", "a=c"], "--node-selector a is given twice"),
        (["--cluster-role", "nodes"], "--cluster-role needs --namespace"),
        (["--file", "/no/such"], "/no/such cannot be read: No such file or directory"),
        (["--file", "/proc"], "/proc cannot be read: Is a directory"),
        (["--file", "/bin/true"], "/bin/true is not text"),
        (["--file", "SCRIPT"], "a file named check.sh is given twice"),
    ],
)
def test_what_does_not_fit_together(common: list[str], words: list[str], sentence: str) -> None:
    words = [common[0] if word == "SCRIPT" else word for word in words]
    result = manifest(*common, "--interval", "5m", *words)
    assert result.returncode == 1
    assert f"{common[0]}: " in result.stderr
    assert sentence in result.stderr and result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--interval", "1d"], "--interval: 1d is not a duration to Go"),
        (["--interval", "300"], "--interval: 300 is not a duration to Go"),
        (["--timeout", "30"], "--timeout: 30 is not a duration to Go"),
        (["--name", "My_Check"], "--name: My_Check: Kubernetes wants"),
        (["--name", "x" * 64], "Kubernetes wants at most 63"),
        (["--namespace=-x"], "--namespace: -x: Kubernetes wants"),
        (["--image", ""], "--image: '': an image's name is written like"),
        (["--image", " khshim"], "--image: ' khshim': an image's name"),
        (["--image", "Khshim:1"], "an image's name"),
        (["--image", "khshim:"], "an image's name"),
        (["--image", "https://example.org/khshim"], "an image's name"),
        (["--env", "A"], "--env: A is not written as NAME=VALUE"),
        (["--env", "=a"], "--env: =a is not written as NAME=VALUE"),
        (["--env", "a b=c"], "a b is not a name for an environment variable"),
        (["--env", "..a=c"], "..a is not a name for an environment variable"),
        (["--env", "SHIM_CHECK_NAME=x"], "SHIM_CHECK_NAME is set to the check's name"),
        (["--secret-env", "KH_RUN_UUID=s/k"], "KH_RUN_UUID is set by Kuberhealthy"),
        (["--env", "SHIM_TIMEOUT=1d"], 'SHIM_TIMEOUT is "1d"; expected a duration'),
        (["--secret-env", "A=s"], "--secret-env: A=s is not written as NAME=SECRET/KEY"),
        (["--secret-env", "A=My_Secret/k"], "--secret-env: A=My_Secret/k: a secret's name"),
        (["--secret-env", "A=s/k/l"], "--secret-env: A=s/k/l: a secret's key"),
        (["--secret-env", "A=s/.."], "a secret's key"),
        (["--env-from", "vault/x"], "vault/x is not written as secret/NAME or configmap/NAME"),
        (["--env-from", "secret/"], "secret/ is not written as secret/NAME"),
        (["--env-from", "secret/A"], "--env-from: A: such a name is made of"),
        (["--label", "a"], "--label: a is not written as KEY=VALUE"),
        (["--label", "a b=c"], "--label: a b=c: a key is at most 63"),
        (["--label", "a/b/c=d"], "--label: a/b/c=d: a key is at most 63"),
        (["--label", "Example.org/a=d"], "a key is at most 63"),
        (["--label", f"{'x' * 64}=d"], "a key is at most 63"),
        (["--label", "a=b c"], "--label: a=b c: a value is at most 63"),
        (["--label", "a=-b"], "a value is at most 63"),
        (["--label", f"a={'x' * 64}"], "a value is at most 63"),
        (["--annotation", "a b=c"], "--annotation: a b=c: a key is at most 63"),
        (["--", b"\xff"], "is not UTF-8"),
        (["--env", b"A=\xff"], "is not UTF-8"),
        (["--annotation", b"a=\xff"], "is not UTF-8"),
        (["--memory", "128MB"], "--memory: 128MB is not a quantity to Kubernetes; write 128Mi"),
        (["--memory", ""], " is not a quantity to Kubernetes"),
        (["--memory=-1Gi"], "is not a quantity"),
        (["--memory", "128m"], "--memory: 128m is too little: khshim with a shell needs 32Mi"),
        (["--memory", "31Mi"], "31Mi is too little"),
        (["--cpu", "half"], "--cpu: half is not a quantity to Kubernetes; write 100m or 0.5"),
        (["--cpu", "0"], "--cpu: 0 is less than 1m"),
        (["--cpu", "1e-4"], "1e-4 is less than 1m"),
        (["--service-account", "My_Account"], "--service-account: My_Account: such a name"),
        (["--pull-secret", "a b"], "--pull-secret: a b: such a name"),
        (["--priority-class", "-x"], "--priority-class"),
        (["--priority-class", "X"], "--priority-class: X: such a name"),
        (["--node-selector", "a"], "--node-selector: a is not written as KEY=VALUE"),
        (["--toleration", "a b"], "a b is not written as KEY[=VALUE][:EFFECT]"),
        (["--toleration", ""], "is not written as KEY[=VALUE][:EFFECT]"),
        (["--toleration", "a=b c"], "--toleration: a=b c: b c cannot be the value of a taint"),
        (
            ["--toleration", "a:NoWay"],
            "an effect is one of NoSchedule, PreferNoSchedule, NoExecute",
        ),
        (["--role", ""], "'' is not a resource such as pods"),
        (["--role", "pods,"], "'' is not a resource"),
        (["--role", "*"], "'*' is not a resource"),
        (["--role", "pod"], "pod is no resource that Kubernetes has of itself"),
        (["--role", "pod"], "Did you mean pods?"),
        (["--role", "certificates"], "write its group too, as in certificates.cert-manager.io"),
        (["--role", "pods,nodes"], "--role: nodes are in no namespace: --cluster-role nodes"),
        (["--server", "v4"], "--server: invalid choice: 'v4'"),
        (["--once"], "--once: not allowed with"),
        (["--in", "Postgres:17"], "'Postgres:17': an image's name is written like"),
        (["--user", "root"], "root is not written as UID or UID:GID, in numbers"),
        (["--user", "1:"], "1: is not written as UID or UID:GID, in numbers"),
        (["--user", "0:5"], "0:5 is root, which the restricted Pod Security Standard forbids"),
        (["--user", "2147483648"], "2147483648: such a number is at most 2147483647"),
        (["--intervall", "5m"], "there is no option --intervall. Did you mean --interval?"),
    ],
)
def test_what_a_cluster_would_refuse(
    common: list[str], words: list[str | bytes], sentence: str
) -> None:
    result = manifest(*common, "--interval", "5m", *words)
    assert result.returncode == 64
    assert sentence in result.stderr and result.stderr.count("\n") == 1
    assert result.stderr.lower().endswith(" see khshim manifest --help\n")
    assert result.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ["--image", "Registry.example:5000/a_b/c--d/e.f__g:V1.0_x"],
        ["--image", f"[fd00::1]:5000/khshim:1@sha256:{'0a' * 32}"],
        ["--label", f"{'a.' * 100}b/{'x' * 63}={'y' * 63}", "--label", "A_b.c="],
        ["--annotation", "Example.org/a=any: text\n $(x) \x85"],
        ["--secret-env", "A=a.b-c/_.k"],
        ["--env", "SHIM_CA_FILE=/in/the/pod", "--env", "SHIM_TIMEOUT=10s"],
        ["--timeout", "21s"],
        ["--timeout", "51s", "--server", "v2"],
        ["--timeout", "3s", "--env", "SHIM_GRACE_PERIOD=0", "--env", "SHIM_REPORT_RESERVE=1"],
        ["--in", "postgres:17", "--user", "2147483647:0"],
        ["--memory", "32Mi", "--cpu", "1m"],
        ["--memory", "1e9", "--cpu", ".5"],
        ["--memory", "33554432", "--cpu", "2."],
    ],
)
def test_what_can_be_a_check(common: list[str], words: list[str]) -> None:
    result = manifest(*common, "--interval", "5m", "--image", IMAGE, *words)
    assert (result.returncode, result.stderr) == (0, "")
    validate(load(result.stdout)[1])


POD_OPTIONS: list[tuple[list[str], dict[str, object]]] = [
    (["--service-account", "a.b"], {"serviceAccountName": "a.b", "automountServiceAccountToken": True}),
    (["--role", "pods"], {"serviceAccountName": "my-check", "automountServiceAccountToken": True}),
    (
        ["--pull-secret", "a", "--pull-secret", "b.c"],
        {"imagePullSecrets": [{"name": "a"}, {"name": "b.c"}]},
    ),
    (
        ["--node-selector", "kubernetes.io/os=linux", "--node-selector", "gpu="],
        {"nodeSelector": {"kubernetes.io/os": "linux", "gpu": ""}},
    ),
    (
        [
            "--toleration=a", "--toleration=b=c", "--toleration=d:NoExecute",
            "--toleration=e.f/g=:NoSchedule",
        ],
        {
            "tolerations": [
                {"key": "a", "operator": "Exists"},
                {"key": "b", "operator": "Equal", "value": "c"},
                {"key": "d", "operator": "Exists", "effect": "NoExecute"},
                {"key": "e.f/g", "operator": "Equal", "value": "", "effect": "NoSchedule"},
            ]
        },
    ),
    (["--priority-class", "high"], {"priorityClassName": "high"}),
]  # fmt: skip
CONTAINER_OPTIONS: list[tuple[list[str], dict[str, object]]] = [
    (
        ["--memory", "128Mi"],
        {
            "resources": {
                "requests": {"cpu": "10m", "memory": "128Mi"},
                "limits": {"memory": "128Mi"},
            }
        },
    ),
    (
        ["--cpu", "0.5"],
        {"resources": {"requests": {"cpu": "0.5", "memory": "32Mi"}, "limits": {"memory": "80Mi"}}},
    ),
    (
        ["--env-from", "secret/a.b", "--env-from", "configmap/c"],
        {"envFrom": [{"secretRef": {"name": "a.b"}}, {"configMapRef": {"name": "c"}}]},
    ),
]


@pytest.mark.parametrize("server", ["v2", "v3"])
@pytest.mark.parametrize(("words", "expected"), POD_OPTIONS)
def test_what_a_pod_is_given(
    common: list[str], server: str, words: list[str], expected: dict[str, object]
) -> None:
    result = manifest(*common, "--interval=5m", f"--server={server}", *words)
    assert result.returncode == 0, result.stderr
    check = load(result.stdout)[-1]
    validate(check)
    pod = pod_spec(check)
    assert {name: pod[name] for name in expected} == expected
    assert_restricted(pod, has_token="serviceAccountName" in expected)


@pytest.mark.parametrize("server", ["v2", "v3"])
@pytest.mark.parametrize(("words", "expected"), CONTAINER_OPTIONS)
def test_what_a_container_is_given(
    common: list[str], server: str, words: list[str], expected: dict[str, object]
) -> None:
    result = manifest(*common, "--interval=5m", f"--server={server}", *words)
    assert result.returncode == 0, result.stderr
    check = load(result.stdout)[-1]
    validate(check)
    [container] = pod_spec(check)["containers"]
    assert {name: container[name] for name in expected} == expected


def test_files_are_beside_the_script(common: list[str], tmp_path: Path) -> None:
    """As in `. ./lib.sh` and in `. "$(dirname "$0")/lib.sh"`."""
    (tmp_path / "lib.sh").write_text("greet() { echo hello; }\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "dos.ini").write_bytes(b"[a]\r\nb=c\r\n")
    names = ["lib.sh", "empty.txt", "dos.ini"]
    words = [f"--file={tmp_path / name}" for name in names]
    config_map, check = load(manifest(*common, "--interval", "5m", *words).stdout)
    assert config_map["data"] == {
        name: (tmp_path / name).read_bytes().decode() for name in ["check.sh", *names]
    }
    [container] = pod_spec(check)["containers"]
    assert container["workingDir"] == "/checks"


def test_files_that_are_too_large_together(common: list[str], tmp_path: Path) -> None:
    words = []
    for name in ("a", "b"):
        (tmp_path / name).write_text("x" * 600_000)
        words.append(f"--file={tmp_path / name}")
    result = manifest(*common, "--interval", "5m", *words)
    assert result.returncode == 1
    assert "the script and its files are together larger than the 1 MiB" in result.stderr


def rules(*groups: tuple[str, list[str]]) -> list[dict[str, list[str]]]:
    verbs = ["get", "list", "watch"]
    return [{"apiGroups": [group], "resources": names, "verbs": verbs} for group, names in groups]


RBAC = "rbac.authorization.k8s.io"


@pytest.mark.timeout(300)
def test_a_role_is_the_least_that_is_needed(common: list[str], go: GoParsers) -> None:
    result = manifest(
        *common, "--interval=5m", "--namespace=shop", "--role=pods,deployments,pods/log",
        "--role=certificates.cert-manager.io,pods", "--cluster-role=nodes,nodes.metrics.k8s.io",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    documents = go.read(result.stdout)
    assert documents == load(result.stdout)
    _, account, role, binding, cluster_role, cluster_binding, check = documents
    metadata = {"name": "my-check", "namespace": "shop"}
    subject = {"kind": "ServiceAccount", **metadata}
    assert account == {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    assert role == {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": rules(
            ("", ["pods", "pods/log"]),
            ("apps", ["deployments"]),
            ("cert-manager.io", ["certificates"]),
        ),
    }
    assert binding == {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "my-check"},
        "subjects": [subject],
    }
    # In no namespace, so that its name has to tell it from another namespace's.
    assert cluster_role == {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "khshim:shop:my-check"},
        "rules": rules(("", ["nodes"]), ("metrics.k8s.io", ["nodes"])),
    }
    assert cluster_binding == {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "khshim:shop:my-check"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "khshim:shop:my-check"},
        "subjects": [subject],
    }
    assert pod_spec(check)["serviceAccountName"] == "my-check"


def test_a_role_for_a_service_account_that_is_there(common: list[str]) -> None:
    words = ["--interval=5m", "--service-account=theirs", "--role=pods"]
    documents = load(manifest(*common, *words).stdout)
    kinds = ["ConfigMap", "Role", "RoleBinding", "HealthCheck"]
    assert [document["kind"] for document in documents] == kinds
    # Without a namespace here it is the binding's own.
    assert documents[2]["subjects"] == [{"kind": "ServiceAccount", "name": "theirs"}]
    assert pod_spec(documents[3])["serviceAccountName"] == "theirs"


@pytest.mark.parametrize(
    ("image", "is_noted"),
    [
        ("khshim", True),
        ("khshim:1.0", True),
        ("localhost/khshim:1", True),
        ("localhost:5000/khshim:1", False),
        ("team/khshim:1", False),
        ("registry.example/khshim:1", False),
    ],
)
def test_an_image_that_no_registry_has(common: list[str], image: str, is_noted: bool) -> None:
    result = manifest(*common, "--interval", "5m", "--image", image)
    assert result.returncode == 0
    assert (f"note that the image {image} is in no registry" in result.stderr) == is_noted
    assert (f"kind load docker-image {image}" in result.stderr) == is_noted


def test_the_defaults_image_is_in_no_registry(common: list[str]) -> None:
    result = manifest(*common, "--interval", "5m")
    assert result.stderr.count("\n") == 1 and "is in no registry" in result.stderr


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (["--env", "SHIM_TIMOUT=5s"], "SHIM_TIMOUT is no setting of khshim and has no effect."),
        (["--env", "SHIM_ARGS=x"], "SHIM_ARGS is ignored"),
    ],
)
def test_what_has_no_effect(common: list[str], words: list[str], note: str) -> None:
    result = manifest(*common, "--interval", "5m", *words)
    assert result.returncode == 0
    assert f"khshim manifest: note that {note}" in result.stderr


@pytest.mark.parametrize("server", ["v2", "v3"])
def test_another_image_gets_khshim_by_an_init_container(common: list[str], server: str) -> None:
    words = ["--in", "postgres:17", "--image", IMAGE, "--user", "999:998"]
    result = manifest(*common, "--interval=5m", f"--server={server}", *words, "--", "x")
    assert (result.returncode, result.stderr) == (0, "")
    check = load(result.stdout)[-1]
    validate(check)
    pod = pod_spec(check)
    assert_restricted(pod)
    [container], [init] = pod["containers"], pod["initContainers"]
    assert (container["image"], init["image"]) == ("postgres:17", IMAGE)
    assert container["command"] == ["/opt/khshim/bin/khshim"]
    assert container["args"] == ["/checks/check.sh", "x"]
    assert container["securityContext"]["runAsUser"] == 999
    assert container["securityContext"]["runAsGroup"] == 998
    assert "command" not in init and "env" not in init
    [(volume, installed_at)] = [(m["name"], m["mountPath"]) for m in init["volumeMounts"]]
    assert init["args"] == ["install", installed_at]
    assert {"name": volume, "mountPath": "/opt/khshim", "readOnly": True} in container[
        "volumeMounts"
    ]
    [source] = [found for found in pod["volumes"] if found["name"] == volume]
    assert "medium" not in source["emptyDir"], "in memory it would count as the script's"


def test_another_image_gets_khshim_by_a_volume(common: list[str]) -> None:
    words = ["--interval=5m", "--in", "postgres:17", "--image-volume", "--image", IMAGE]
    result = manifest(*common, *words, "--user=999")
    assert result.returncode == 0
    check = load(result.stdout)[-1]
    pod = pod_spec(check)
    assert "initContainers" not in pod
    assert {"name": "khshim", "image": {"reference": IMAGE}} in pod["volumes"]
    [container] = pod["containers"]
    assert container["command"] == ["/opt/khshim/bin/khshim"]
    mount = {"name": "khshim", "mountPath": "/opt/khshim", "readOnly": True}
    assert {**mount, "subPath": "opt/khshim"} in container["volumeMounts"]
    # The note is true, and has to go once Kuberhealthy's schema knows such volumes.
    assert "schema of checks that Kuberhealthy v3.0.13 comes with knows no image" in result.stderr
    with pytest.raises(jsonschema.ValidationError, match="'image' was unexpected"):
        validate(check)


def test_by_default_the_runtimes_image_is_put_into_another(common: list[str]) -> None:
    result = manifest(*common, "--interval=5m", "--in=registry.example/psql:1", "--user=1")
    [init] = pod_spec(load(result.stdout)[-1])["initContainers"]
    assert init["image"] == f"khshim:{shim.__version__}-runtime"
    assert f"the image {init['image']} is in no registry" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("user", [[], ["--user=999"]])
def test_another_images_user_is_kept_unless_told_otherwise(
    common: list[str], user: list[str]
) -> None:
    result = manifest(*common, "--interval=5m", "--in=postgres:17", "--image", IMAGE, *user)
    [container] = pod_spec(load(result.stdout)[-1])["containers"]
    assert ("runAsUser" in container["securityContext"]) == bool(user)
    assert ("no pod of this kind may run as root: if postgres:17 does" in result.stderr) != bool(
        user
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--image-volume"], "--image-volume is a way to bring khshim into another image"),
        (["--in=a/b", "--image-volume", "--server=v2"], "--image-volume needs v3"),
    ],
)
def test_volumes_that_no_check_can_have(common: list[str], words: list[str], sentence: str) -> None:
    result = manifest(*common, "--interval=5m", *words)
    assert result.returncode == 1 and result.stdout == ""
    assert sentence in result.stderr and result.stderr.count("\n") == 1


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.mark.parametrize("character", ["#", "&", "\\", "ü", "\u2028"])
@pytest.mark.timeout(300)
def test_what_kubectl_apply_cannot_keep(script: Write, go: GoParsers, character: str) -> None:
    """`kubectl apply` keeps Go's JSON of the object in an annotation, of at most 256 KiB."""

    def tell(count: int) -> tuple[int, bool]:
        words = [
            script("x" + character * count), "--name=x", "--interval=5m", "--timeout=1m",
            f"--image={IMAGE}",
        ]  # fmt: skip
        result = manifest(*words)
        assert result.returncode == 0
        assert result.stderr == "" or "`kubectl apply --server-side`" in result.stderr
        kept = len(LAST_APPLIED) + len(go.as_json(result.stdout)[0].encode())
        return kept, result.stderr != ""

    one, _ = tell(1)
    each = tell(2)[0] - one
    most = (256 * 1024 - one) // each
    kept, noted = tell(most)
    assert kept <= 256 * 1024 and noted
    # Its own additions to the object are at most this long.
    assert tell(most - 150 // each) == (kept - 150 // each * each, False)


def test_the_text_is_utf_8_in_any_locale(common: list[str]) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    command = [*KHSHIM, "manifest", *common, "--interval", "5m", "--", "ü€"]
    result = subprocess.run(command, env=environ, capture_output=True, check=True)
    assert load(result.stdout.decode())[0]["data"] == {"check.sh": SCRIPT}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("big.sh", b"#" * (1024 * 1024 + 1), "is larger than the 1 MiB of a ConfigMap"),
        ("program", b"\x7fELF\0", "is not text"),
        ("latin1.sh", b"echo \xe4\n", "is not text"),
        ("empty.sh", b"\n", "is empty"),
        ("dos.sh", b"#!/bin/sh\r\necho\r\n", "has Windows line endings"),
        ("dos.py", b"#!/usr/bin/env python3\r\n", "has Windows line endings"),
        ("mark.sh", b"\xef\xbb\xbf#!/bin/sh\n", "begins with a byte order mark"),
        ("wide.sh", "#!/bin/sh\n".encode("utf-16"), "is UTF-16 text"),
        ("my check.sh", b"echo\n", "in a ConfigMap a file's name"),
        ("..sh", b"echo\n", "in a ConfigMap a file's name"),
    ],
)
def test_what_cannot_be_in_a_config_map(
    script: Write, name: str, content: bytes, sentence: str
) -> None:
    path = script(content, name)
    result = manifest(path, "--name", "x", "--interval", "5m", "--timeout", "1m")
    assert result.returncode == 1
    assert sentence in result.stderr


def test_a_missing_script() -> None:
    result = manifest("/no/such.sh", "--name", "x", "--interval", "5m", "--timeout", "1m")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "There is no script /no/such.sh: the folder /no does not exist" in result.stderr


@pytest.mark.parametrize("words", [[], ["--", "x"], ["--interval", "5m"], ["--frob"]])
def test_wrong_usage(words: list[str]) -> None:
    assert manifest(*words).returncode == 64


@pytest.mark.parametrize(
    ("words", "missing"), [(["--timeout=1m"], "interval"), (["--interval=5m"], "timeout")]
)
def test_what_has_to_be_said(script: Write, words: list[str], missing: str) -> None:
    result = manifest(script(SCRIPT), *words)
    assert result.returncode == 1
    assert f"check.sh: --{missing}" in result.stderr
    assert f"in a line '# khshim: {missing}=…'" in result.stderr


def test_help_tells_of_every_option() -> None:
    result = manifest("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert max(map(len, result.stdout.split("\n"))) <= 90
    for option in parser().options():
        assert f" {option} " in result.stdout or f" {option}\n" in result.stdout


def test_a_bundled_script_by_its_name(tmp_path: Path) -> None:
    command = [*KHSHIM, "manifest", "disk_space.sh", "--interval=5m", "--timeout=1m"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    config_map, check = load(result.stdout)
    assert config_map["data"] == {"disk_space.sh": (ROOT / "scripts/disk_space.sh").read_text()}
    assert check["metadata"]["name"] == "disk-space"


def test_a_script_on_stdin() -> None:
    command = [*KHSHIM, "manifest", "-", "--name=my-check", "--interval=5m"]
    text = "#!/bin/sh\n# khshim: timeout=2m\n"
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    config_map, check = load(result.stdout)
    assert config_map["data"] == {"my-check": text}
    assert check["spec"]["timeout"] == "2m"
    assert pod_spec(check)["containers"][0]["args"] == ["/checks/my-check"]


@pytest.mark.parametrize(
    ("text", "words", "sentence"),
    [
        ("", ["--name=x"], "stdin is empty"),
        ("# khshim: x=y\n", ["--name=x"], "stdin, line 1: there is no x to be said of a check"),
        ("echo\n", [], "stdin: a script from there has no name: --name is missing"),
        ("echo\r\n", ["--name=x"], "stdin has Windows line endings"),
    ],
)
def test_stdin_that_is_no_script(text: str, words: list[str], sentence: str) -> None:
    command = [*KHSHIM, "manifest", "-", "--interval=5m", "--timeout=1m", *words]
    result = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    assert result.returncode == 1
    assert sentence in result.stderr.decode()


@pytest.mark.timeout(300)
def test_go_reads_what_was_asked_for(common: list[str], go: GoParsers) -> None:
    result = manifest(
        *common, "--interval", "5m", "--name", "123e4", "--namespace", "0x1f", "--image", "1e3",
        "--env", "A=y", "--env", "C=08", "--env", "E=1234e56", "--env", "y=", "--env", "_=2001-01-01",
        "--secret-env", "N=1e3/0o17", "--label", "y=n", "--label", "08=1e-3",
        "--annotation", "null=~", "--annotation", "on=- x: #",
        "--", "y", "1e3", "", " ", "12:30:45", "a: b",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    config_map, check = documents = go.read(result.stdout)
    assert documents == load(result.stdout)
    assert config_map["metadata"] == check["metadata"] == {"name": "123e4", "namespace": "0x1f"}
    assert check["spec"]["extraLabels"] == {"y": "n", "08": "1e-3"}
    assert check["spec"]["extraAnnotations"] == {"null": "~", "on": "- x: #"}
    [container] = pod_spec(check)["containers"]
    assert container["image"] == "1e3"
    assert container["args"][1:] == ["y", "1e3", "", " ", "12:30:45", "a: b"]
    assert container["env"] == [
        {"name": "SHIM_CHECK_NAME", "value": "123e4"},
        {"name": "A", "value": "y"},
        {"name": "C", "value": "08"},
        {"name": "E", "value": "1234e56"},
        {"name": "y", "value": ""},
        {"name": "_", "value": "2001-01-01"},
        {"name": "N", "valueFrom": {"secretKeyRef": {"name": "1e3", "key": "0o17"}}},
    ]
    validate(check)


VARIABLES = {"A": "$(B)", "B": "x", "SHIM_CHECK_NAME": "my-check"}


def test_a_container_gets_what_try_gets(common: list[str]) -> None:
    words = ["$(A)", "$$", "$(A", "$", "x$", "$$(A)", "$ü", "a$b", "$(SHIM_CHECK_NAME)"]
    env = [f"--env=V{number}={word}" for number, word in enumerate(words)]
    result = manifest(*common, "--interval", "5m", *env, "--", *words)
    [container] = pod_spec(load(result.stdout)[1])["containers"]
    assert [expand(word, VARIABLES) for word in container["args"][1:]] == words
    assert [expand(entry["value"], VARIABLES) for entry in container["env"][1:]] == words


@given(st.text("$()AB ü\U0001f600") | st.text())
def test_nothing_in_a_text_is_expanded(text: str) -> None:
    assert expand(literal(text), VARIABLES) == text


def test_the_rule_of_expansion() -> None:
    """The examples of Kubernetes' documentation, and its slip with what is not ASCII."""
    assert expand("$(A) $(B) $(C) $$(B) $$$(B) $B $(B $", VARIABLES) == (
        "$(B) x $(C) $(B) $x $B $(B $"
    )
    assert expand("$ü", VARIABLES) != "$ü"


@pytest.mark.parametrize("name", ["khcheck.yaml", "healthcheck.yaml"])
def test_the_examples_are_valid(name: str) -> None:
    config_map, check = load((ROOT / name).read_text())
    assert config_map["kind"] == "ConfigMap"
    validate(check)
    assert_restricted(pod_spec(check))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name", ["khcheck.yaml", "healthcheck.yaml", "examples/kustomize/healthcheck.yaml"]
)
def test_go_reads_the_examples_alike(go: GoParsers, name: str) -> None:
    text = (ROOT / name).read_text()
    assert go.read(text) == load(text)


def test_the_kustomization_is_valid() -> None:
    folder = ROOT / "examples" / "kustomize"
    [kustomization] = load((folder / "kustomization.yaml").read_text())
    [check] = load((folder / kustomization["resources"][0]).read_text())
    [generator] = kustomization["configMapGenerator"]
    validate(check)
    pod = pod_spec(check)
    assert_restricted(pod)
    assert pod["volumes"][0]["configMap"]["name"] == generator["name"]
    env = {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}
    assert env["SHIM_SCRIPT"] in [Path(file).name for file in generator["files"]]
    assert all((folder / file).is_file() for file in generator["files"])
    assert Settings({**GOOD, **env}).problems == []


def test_kustomize_reads_the_example() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    command = [kubectl, "kustomize", str(ROOT / "examples" / "kustomize")]
    built = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [one["kind"] for one in load(built.stdout)] == ["ConfigMap", "HealthCheck"]
