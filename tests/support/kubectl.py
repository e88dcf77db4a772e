"""Stands in for kubectl where a document's commands are tried without a cluster.

It takes what these commands give it, and refuses what a cluster would refuse: a check that its
schema does not allow, a kustomization whose files are not there, a patch of what is not there.
REAL_KUBECTL names the real one, which does what needs no cluster, if it is there. The pod that
this one tells of has its own environment, and its log is the file that POD_LOG names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.manifests import CRDS, assert_restricted, load, pod_spec, validate

CHECKS = {
    "KuberhealthyCheck": "khcheck.comcast.github.io",
    "HealthCheck": "healthcheck.kuberhealthy.github.io",
}


def main(words: Sequence[str]) -> int:
    match list(words):
        case ["apply", "-f", "-"]:
            return apply(sys.stdin.read())
        case ["apply", "-k", folder]:
            return apply(built(Path(folder)))
        case ["exec", "POD", "--", *command]:
            os.execvp(command[0], command)
        case ["logs", "POD"]:
            sys.stdout.write(Path(os.environ["POD_LOG"]).read_text())
            return 0
        case ["create", "secret", "docker-registry", *_]:
            command = [os.environ["REAL_KUBECTL"] or "true", *words, "--dry-run=client"]
            return subprocess.run(command, check=False).returncode
        case ["patch", "crd", name, "--type", "json", "-p", patch]:
            return amend(name, json.loads(patch))
    print(f"error: this stand-in knows no kubectl {' '.join(words)}", file=sys.stderr)
    return 1


def apply(text: str) -> int:
    """Refuse what the API server would refuse, else say what was made."""
    resources = load(text)
    assert resources, "error: no objects passed to apply"
    for resource in resources:
        kind, name = resource["kind"], resource["metadata"]["name"]
        if kind in CHECKS:
            assert_restricted(pod_spec(resource))
            if CRDS:
                validate(resource)
        print(f"{CHECKS.get(kind, kind.lower())}/{name} created")
    return 0


def built(folder: Path) -> str:
    """Return the resources of a kustomization."""
    if real := os.environ["REAL_KUBECTL"]:
        return subprocess.check_output([real, "kustomize", folder], text=True)
    [kustomization] = load((folder / "kustomization.yaml").read_text())
    for generator in kustomization["configMapGenerator"]:
        for file in generator["files"]:
            assert (folder / file.rpartition("=")[2]).is_file()
    return "".join((folder / name).read_text() for name in kustomization["resources"])


def amend(name: str, patch: list[dict[str, Any]]) -> int:
    """See that a JSON patch of a resource definition finds what it adds to."""
    plural, _, group = name.partition(".")
    definitions = [
        crd
        for path in CRDS
        for crd in load(path.read_text())
        if crd.get("metadata", {}).get("name") == f"{plural}.{group}"
    ]
    for operation in patch:
        assert operation["op"] == "add"
        for crd in definitions:
            found: Any = crd
            for key in operation["path"].strip("/").split("/")[:-1]:
                found = found[int(key) if isinstance(found, list) else key]
    print(f"customresourcedefinition.apiextensions.k8s.io/{name} patched")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
