"""The resources that run a script as a Kuberhealthy check: its rights, its ConfigMap, the check."""

from __future__ import annotations

from typing import Any

from shim.commands import kubernetes, rbac
from shim.commands.check import Check
from shim.commands.option_values import SecretKey, Variable
from shim.kuberhealthy import Server
from shim.runtime import HOME

MOUNT_PATH = "/checks"
# Runs once a year what v3 shall run once, since it does not read singleRunOnly yet.
ONCE_INTERVAL = "8760h"

# For mktemp and the like on a read-only root; in memory, which counts as the container's.
TEMPORARY_SIZE = "16Mi"
# Measured in a container: 16 MiB for khshim with sh and curl. Besides /tmp the rest is the script's.
MEMORY_REQUEST = "32Mi"
MEMORY_LIMIT = "80Mi"
# The same of a folder: khshim's own processes, and four scripts at a time.
MEMORY_OF_FOLDER = ("64Mi", "160Mi")
# khshim with its runtime has 32 MB, on the node's disk; the rest is for an older one beside it.
RUNTIME_SIZE = "128Mi"
# Where the init container has the volume: at HOME it would hide the khshim that is to be copied.
INSTALL_PATH = "/install"

Resource = dict[str, Any]

# By the restricted Pod Security Standard; and what is not a volume cannot be written to.
RESTRICTED: Resource = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def config_map(check: Check) -> Resource:
    """Return the ConfigMap with the script and its files."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(check),
        "data": {file.name: file.text for file in (check.script, *check.files)},
    }


def other_resources(check: Check) -> list[Resource]:
    """Return what goes with the ConfigMap: service account and roles, then the check itself."""
    found = []
    metadata = _metadata(check)
    if check.account is not None:
        if check.service_account is None:
            found.append(rbac.service_account(metadata))
        if check.role:
            found += rbac.role(metadata, check.account, check.role)
        if check.cluster_role and check.namespace is not None:
            found += rbac.cluster_role(
                check.namespace, check.name, check.account, check.cluster_role
            )
    return [*found, _check(check)]


def _metadata(check: Check) -> Resource:
    metadata = {"name": check.name}
    if check.namespace:
        metadata["namespace"] = check.namespace
    return metadata


def _check(check: Check) -> Resource:
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
    return {"apiVersion": api, "kind": kind, "metadata": _metadata(check), "spec": spec}


def _pod(check: Check) -> Resource:
    volumes: list[Resource] = [
        {"name": "checks", "configMap": {"name": check.name}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": TEMPORARY_SIZE}},
    ]
    init = []
    if check.image_volume:
        volumes.append({"name": "khshim", "image": {"reference": check.khshim_image}})
    elif check.in_image is not None:
        volumes.append({"name": "khshim", "emptyDir": {"sizeLimit": RUNTIME_SIZE}})
        init.append(_init_container(check))
    pod: Resource = {
        "restartPolicy": "Never",
        # The script has the rights of its service account only where one was asked for.
        "automountServiceAccountToken": check.account is not None,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"initContainers": init} if init else {}),
        "containers": [_container(check)],
        "volumes": volumes,
    }
    if check.account is not None:
        pod["serviceAccountName"] = check.account
    if check.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in check.pull_secrets]
    if check.node_selector:
        pod["nodeSelector"] = dict(check.node_selector)
    if check.tolerations:
        pod["tolerations"] = [dict(toleration) for toleration in check.tolerations]
    if check.priority_class is not None:
        pod["priorityClassName"] = check.priority_class
    return pod


def _container(check: Check) -> Resource:
    mounts: list[Resource] = [
        {"name": "checks", "mountPath": MOUNT_PATH, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    security = dict(RESTRICTED)
    request, limit = MEMORY_OF_FOLDER if check.is_folder else (MEMORY_REQUEST, MEMORY_LIMIT)
    entry = {} if check.in_image is None else {"command": [f"{HOME}/bin/khshim"]}
    container: Resource = {
        "name": "check",
        "image": check.in_image or check.image,
        **entry,
        "args": [
            MOUNT_PATH if check.is_folder else f"{MOUNT_PATH}/{check.script.name}",
            *map(kubernetes.literal, check.args),
        ],
        "env": [_variable(one) for one in (Variable("SHIM_CHECK_NAME", check.name), *check.env)],
        "resources": {
            "requests": {"cpu": check.cpu, "memory": check.memory or request},
            "limits": {"memory": check.memory or limit},
        },
        "securityContext": security,
        "volumeMounts": mounts,
    }
    if check.in_image is not None:
        mount = {"name": "khshim", "mountPath": HOME, "readOnly": True}
        mounts.append({**mount, "subPath": HOME.strip("/")} if check.image_volume else mount)
    if check.user is not None:
        security["runAsUser"] = check.user.uid
        if check.user.gid is not None:
            security["runAsGroup"] = check.user.gid
    if check.files:
        container["workingDir"] = MOUNT_PATH  # so that `. ./lib.sh` finds its file
    if check.env_from:
        container["envFrom"] = [{field: {"name": name}} for field, name in check.env_from]
    return container


def _init_container(check: Check) -> Resource:
    """Return what puts khshim into the volume that the script's container has it from."""
    return {
        "name": "khshim",
        "image": check.khshim_image,
        "args": ["install", INSTALL_PATH],
        "resources": {
            "requests": {"cpu": check.cpu, "memory": MEMORY_REQUEST},
            "limits": {"memory": MEMORY_LIMIT},
        },
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": "khshim", "mountPath": INSTALL_PATH}],
    }


def _variable(variable: Variable) -> Resource:
    if isinstance(variable.value, SecretKey):
        reference = {"name": variable.value.secret, "key": variable.value.key}
        return {"name": variable.name, "valueFrom": {"secretKeyRef": reference}}
    return {"name": variable.name, "value": kubernetes.literal(variable.value)}
