"""The resources that run a script as a Kuberhealthy check: a ConfigMap and the check."""

from __future__ import annotations

from typing import Any

from shim import executable
from shim.commands import kubernetes
from shim.commands.check import Check, ManifestError, validate
from shim.kuberhealthy import Server

MOUNT_PATH = "/checks"
# Runs once a year what v3 shall run once, since it does not read singleRunOnly yet.
ONCE_INTERVAL = "8760h"

# For mktemp and the like on a read-only root; in memory, which counts as the container's.
TEMPORARY_SIZE = "16Mi"
# Measured in a container: 16 MiB for khshim with sh and curl. Besides /tmp the rest is the script's.
RESOURCES = {
    "requests": {"cpu": "10m", "memory": "32Mi"},
    "limits": {"memory": "80Mi"},
}

Resource = dict[str, Any]


def resources(check: Check) -> list[Resource]:
    """Return the ConfigMap and the check; raises ManifestError."""
    validate(check)
    metadata: Resource = {"name": check.name}
    if check.namespace:
        metadata["namespace"] = check.namespace
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {check.file_name: _read(check.script)},
    }
    spec: Resource = {"runInterval": check.interval, "timeout": check.timeout}
    if check.server is Server.V3:
        kind, api = "HealthCheck", "kuberhealthy.github.io/v2"
        if not check.interval:
            spec = {
                "singleRunOnly": True,
                "runInterval": ONCE_INTERVAL,
                "timeout": check.timeout,
            }
    else:
        kind, api = "KuberhealthyCheck", "comcast.github.io/v1"
        if not check.interval:
            kind, spec = "KuberhealthyJob", {"timeout": check.timeout}
    if check.labels:
        spec["extraLabels"] = dict(check.labels)
    if check.annotations:
        spec["extraAnnotations"] = dict(check.annotations)
    pod = _pod(check)
    spec["podSpec"] = {"spec": pod} if check.server is Server.V3 else pod
    return [
        config_map,
        {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec},
    ]


def _read(path: str) -> str:
    """Return the script's text; raises ManifestError where it can be none of a ConfigMap."""
    try:
        with open(path, "rb") as file:
            data = file.read(kubernetes.CONFIG_MAP_LIMIT + 1)
        # A ConfigMap's files are not executable.
        head = data[: executable.FIRST_LINE_LIMIT]
        problem = executable.text_problem_of(head, path, is_executable=False)
        if problem is not None:
            raise ManifestError(f"{path} {problem.found}: {problem.advice}")
        text = data.decode()
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        text = "\0"
    if len(data) > kubernetes.CONFIG_MAP_LIMIT:
        raise ManifestError(f"{path} is larger than the 1 MiB of a ConfigMap: put it into an image")
    if "\0" in text:
        raise ManifestError(f"{path} is not text: put it into an image")
    if not text.strip():
        raise ManifestError(f"{path} is empty")
    return text


def _pod(check: Check) -> Resource:
    variables = [("SHIM_CHECK_NAME", check.name), *check.env]
    env: list[Resource] = [
        {"name": name, "value": kubernetes.literal(value)} for name, value in variables
    ]
    for name, secret, key in check.secret_env:
        env.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    container: Resource = {
        "name": "check",
        "image": check.image,
        "args": [f"{MOUNT_PATH}/{check.file_name}", *map(kubernetes.literal, check.args)],
        "env": env,
        "resources": RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "checks", "mountPath": MOUNT_PATH, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "checks", "configMap": {"name": check.name}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": TEMPORARY_SIZE}},
        ],
    }
