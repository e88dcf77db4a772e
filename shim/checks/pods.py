"""The pods of a namespace, and why a container does not run."""

from __future__ import annotations

from collections.abc import Iterator

from shim.checks import kubernetes_api as api

# Kuberhealthy's own pods, by the labels of v3 and v2: what one finds is a report already.
NO_CHECKS = "!kh-run-uuid,!kuberhealthy-check-name"
STATUSES = ("initContainerStatuses", "containerStatuses")


def pods(server: api.Api, namespace: str | None, selector: str) -> Iterator[api.Item]:
    """Yield the pods with a label selector that are no check's."""
    selector = f"{selector},{NO_CHECKS}" if selector else NO_CHECKS
    return server.list(api.PODS, namespace, labelSelector=selector)


def containers(pod: api.Item) -> Iterator[api.Item]:
    """Yield the statuses of all containers of a pod, those that initialise it first."""
    for key in STATUSES:
        yield from api.parts(pod, "status", key)


def waiting(pod: api.Item) -> str:
    """Return why containers of a pod wait or have ended, as words to follow a colon, maybe none."""
    reasons = []
    for container in containers(pod):
        name = api.part(container, str, "name")
        waits = api.part(container, dict, "state", "waiting", default={})
        if waits:
            words = [str(waits[key]) for key in ("reason", "message") if waits.get(key)]
            reasons.append(f"container {name} waits ({', '.join(words) or 'for no reason given'})")
        ended = api.part(container, dict, "state", "terminated", default={})
        if ended.get("exitCode"):
            reasons.append(f"container {name} ended ({ending(ended)})")
    return f": {'; '.join(reasons)}" if reasons else ""


def ending(terminated: api.Item) -> str:
    """Return how a container ended, by its state: OOMKilled, exit status 137."""
    code = api.part(terminated, int, "exitCode")
    reason = api.part(terminated, str, "reason", default="")
    status = f"exit status {code}"
    return f"{reason}, {status}" if reason and reason != "Error" else status
