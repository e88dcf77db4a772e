"""The rights a check has towards the Kubernetes API: to read what it names, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from shim.suggest import did_you_mean

# Reading; `kubectl wait` and `kubectl rollout status` watch.
VERBS = ["get", "list", "watch"]
API = "rbac.authorization.k8s.io"

# Kubernetes' own resources that a check may look at, by their API groups.
NAMESPACED = {
    "": "pods services endpoints events configmaps secrets persistentvolumeclaims resourcequotas"
    " limitranges serviceaccounts replicationcontrollers",
    "apps": "deployments daemonsets statefulsets replicasets",
    "autoscaling": "horizontalpodautoscalers",
    "batch": "jobs cronjobs",
    "coordination.k8s.io": "leases",
    "discovery.k8s.io": "endpointslices",
    "networking.k8s.io": "ingresses networkpolicies",
    "policy": "poddisruptionbudgets",
}
IN_NO_NAMESPACE = {
    "": "nodes namespaces persistentvolumes componentstatuses",
    "apiextensions.k8s.io": "customresourcedefinitions",
    "apiregistration.k8s.io": "apiservices",
    "certificates.k8s.io": "certificatesigningrequests",
    "networking.k8s.io": "ingressclasses",
    "scheduling.k8s.io": "priorityclasses",
    "storage.k8s.io": "storageclasses volumeattachments csinodes csidrivers",
}

_RESOURCE = re.compile(r"([a-z0-9]+)(?:\.([a-z0-9][-a-z0-9.]*[a-z0-9]))?(/[a-z]+)?")


class ApiResource(NamedTuple):
    """A resource of the API, with its subresource if one is meant, as in pods/log.

    `is_namespaced` is None where that is not known.
    """

    name: str
    group: str
    is_namespaced: bool | None


def api_resource(text: str) -> ApiResource:
    """Return the resource of RESOURCE[.GROUP][/SUBRESOURCE], for example ingresses.

    Raises ValueError, with a sentence, where it is written otherwise or its group is not known.
    """
    match = _RESOURCE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"'{text}' is not a resource such as pods, pods/log or certificates.cert-manager.io"
        )
    plural, group, subresource = match.groups(default="")
    known = [resource for resource in _KNOWN if resource.name == plural]
    if group:
        known = [resource for resource in known if resource.group == group]
    elif not known:
        hint = did_you_mean(plural, [resource.name for resource in _KNOWN])
        raise ValueError(
            f"{plural} is no resource that Kubernetes has of itself: write its group too, as in"
            f" certificates.cert-manager.io.{hint}"
        )
    found = known[0] if known else ApiResource(plural, group, None)
    return found._replace(name=f"{plural}{subresource}")


def _known() -> Iterator[ApiResource]:
    for groups, is_namespaced in ((NAMESPACED, True), (IN_NO_NAMESPACE, False)):
        for group, names in groups.items():
            yield from (ApiResource(name, group, is_namespaced) for name in names.split())


_KNOWN = list(_known())


def service_account(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a service account that exists for one check."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def role(
    metadata: dict[str, Any], account: str, resources: Sequence[ApiResource]
) -> list[dict[str, Any]]:
    """Return a role that may read the resources in its own namespace, and its binding."""
    subject = {"kind": "ServiceAccount", "name": account}
    if "namespace" in metadata:
        subject["namespace"] = metadata["namespace"]
    return _bound("Role", metadata, subject, resources)


def cluster_role(
    namespace: str, check: str, account: str, resources: Sequence[ApiResource]
) -> list[dict[str, Any]]:
    """Return a role that may read the resources in the whole cluster, and its binding.

    The two are in no namespace, so the check's is a part of their name.
    """
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    return _bound("ClusterRole", {"name": f"khshim:{namespace}:{check}"}, subject, resources)


def _bound(
    kind: str, metadata: dict[str, Any], subject: dict[str, str], resources: Sequence[ApiResource]
) -> list[dict[str, Any]]:
    groups: dict[str, list[str]] = {}
    for resource in resources:
        names = groups.setdefault(resource.group, [])
        if resource.name not in names:
            names.append(resource.name)
    rules = [
        {"apiGroups": [group], "resources": names, "verbs": VERBS}
        for group, names in groups.items()
    ]
    binding = {
        "roleRef": {"apiGroup": API, "kind": kind, "name": metadata["name"]},
        "subjects": [subject],
    }
    return [
        {"apiVersion": f"{API}/v1", "kind": kind, "metadata": metadata, "rules": rules},
        {"apiVersion": f"{API}/v1", "kind": f"{kind}Binding", "metadata": metadata, **binding},
    ]
