"""Reading manifests as the API server and the kubelet would."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import yaml

from shim.commands.manifest import main

ROOT = Path(__file__).parent.parent.parent
# Beside the project, or beside the folder of its work trees.
CRDS = [path for folder in ROOT.parents for path in folder.glob("shared/crds/*.yaml")]

Resource = dict[str, Any]


class Result(NamedTuple):
    """How `khshim manifest` ended."""

    returncode: int
    stdout: str
    stderr: str


def manifest(*words: str | bytes) -> Result:
    """Run `khshim manifest` in this process."""
    with redirect_stdout(io.StringIO()) as stdout, redirect_stderr(io.StringIO()) as stderr:
        try:
            status = main([os.fsdecode(word) for word in words])
        except SystemExit as end:
            assert isinstance(end.code, int)
            status = end.code
    return Result(status, stdout.getvalue(), stderr.getvalue())


# The same loader in C is ten times as fast, where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str) -> list[Resource]:
    return list(yaml.load_all(text, LOADER))


def pod_spec(resource: Resource) -> Resource:
    spec: Resource = resource["spec"]["podSpec"]
    return spec["spec"] if resource["kind"] == "HealthCheck" else spec


def validate(resource: Resource) -> None:
    """Validate a check against the real schema of its kind, unknown fields included."""
    if not CRDS:
        pytest.skip("the resource schemas are not there")
    jsonschema.validate(resource, schemas()[resource["apiVersion"], resource["kind"]])


@cache
def schemas() -> dict[tuple[str, str], Resource]:
    """Return the schemas of all kinds, by their API version and kind."""
    found = {}
    for path in CRDS:
        for crd in load(path.read_text()):
            if crd.get("kind") == "CustomResourceDefinition":
                group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
                for version in crd["spec"]["versions"]:
                    schema = strict(version["schema"]["openAPIV3Schema"])
                    found[f"{group}/{version['name']}", kind] = schema
    return found


def strict(schema: Resource, *, top: bool = True) -> Resource:
    """Return a structural schema as JSON Schema that refuses what would be pruned."""
    result = dict(schema)
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if "properties" in schema:
        properties = schema["properties"]
        result["properties"] = {
            name: strict(value, top=False) for name, value in properties.items()
        }
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result["additionalProperties"] = False
        if top:  # the API server validates and keeps metadata itself
            result["properties"]["metadata"] = {"type": "object"}
    if "items" in schema:
        result["items"] = strict(schema["items"], top=False)
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = strict(schema["additionalProperties"], top=False)
    return result


def assert_restricted(pod: Resource, *, has_token: bool = False) -> None:
    """Assert the rules of the restricted Pod Security Standard, and what khshim adds to them."""
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is has_token
    assert not any(pod.get(field) for field in ("hostNetwork", "hostPID", "hostIPC"))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"]["type"] in (
        "RuntimeDefault",
        "Localhost",
    )
    for volume in pod["volumes"]:
        assert set(volume) - {"name"} <= {
            "configMap",
            "secret",
            "emptyDir",
            "projected",
            "downwardAPI",
        }
    # Nothing but /tmp can be written to.
    for container in pod["containers"]:
        mounts = container["volumeMounts"]
        assert [m["mountPath"] for m in mounts if not m.get("readOnly")] == ["/tmp"]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert "privileged" not in context


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return what the kubelet makes of a text in `args` or in `env`.

    That is k8s.io/kubernetes/third_party/forked/golang/expansion, which takes a byte behind
    a dollar sign for a character.
    """

    def replace(match: re.Match[bytes]) -> bytes:
        escaped, name, other = match.groups()
        if escaped is not None:
            return b"$"
        if name is not None:
            return variables.get(name.decode(), f"$({name.decode()})").encode()
        return b"$" + chr(other[0]).encode()

    pattern = rb"\$(?:(\$)|\(([^)]*)\)|(.))"
    return re.sub(pattern, replace, text.encode(), flags=re.DOTALL).decode("utf-8", "replace")


def mount_config_map(data: dict[str, str], folder: Path) -> Path:
    """Write a ConfigMap's files as the kubelet does: 0644, behind two symbolic links."""
    version = folder / "..2026_11_23_10_00_00.123456789"
    version.mkdir(parents=True)
    folder.chmod(0o777)
    version.chmod(0o755)
    (folder / "..data").symlink_to(version.name)
    for name, text in data.items():
        (version / name).write_text(text)
        (version / name).chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
        (folder / name).symlink_to(os.path.join("..data", name))
    return folder
