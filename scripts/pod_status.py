#!/opt/khshim/bin/python3
"""pod_status.py - do the pods of a namespace run, and are they ready?

NAMESPACE       their namespace, or * for all                   (default: the pod's)
SELECTOR        a label selector for them, as kubectl takes it  (default: none)
TOLERATE        for how long a pod may be in another state      (default: 10m)
ALLOW_NONE      true: it passes where there is no pod           (default: false)
KUBERNETES_API  where kubectl proxy listens                     (default: the pod's API server)

A pod is as it should be when it has succeeded, or when it runs and is ready. Kuberhealthy's own
pods are left out. A failed pod of a job stays until the job goes: SELECTOR=!job-name leaves such
out. It ends with 1 for a pod that is not, with 2 for a wrong value.

Example: khshim manifest pod_status.py --interval 5m --timeout 1m --env SELECTOR=app=web
Replaces: pod-status-check
"""

# khshim: role=pods

import sys
import time

from shim.checks import inputs
from shim.checks import kubernetes_api as api
from shim.checks import pods, verdict, words

# What is worst comes first.
ORDER = ("Failed", "Unknown", "Pending", "Running")


def check() -> verdict.Verdict:
    server = api.connect("KUBERNETES_API")
    namespace = server.namespace("NAMESPACE")
    selector = inputs.selector("SELECTOR")
    tolerated = inputs.duration("TOLERATE", "10m")
    allow_none = inputs.flag("ALLOW_NONE")

    count = 0
    problems: "list[tuple[int, str]]" = []
    for pod in pods.pods(server, namespace, selector):
        count += 1
        phase = api.part(pod, str, "status", "phase")
        problem = problem_of(pod, phase, tolerated)
        if problem:
            rank = ORDER.index(phase) if phase in ORDER else 0
            problems.append((rank, f"The pod {api.name_of(pod)} {problem}"))
    place = api.where(namespace, selector)
    if not count and not allow_none:
        problems.append((0, f"There is no pod {place}"))
    return verdict.Verdict(
        [problem for _, problem in sorted(problems)],
        f"{words.count(count, 'pod')} {place}: all as they should be",
    )


def problem_of(pod: api.Item, phase: str, tolerated: float) -> "str | None":
    """Return what is wrong with a pod, as words to follow its name."""
    if api.part(pod, str, "metadata", "deletionTimestamp", default=""):
        # The moment by which it is to be gone.
        end = api.moment(pod, "metadata", "deletionTimestamp")
        is_late = time.time() - end > tolerated
        return f"should have been gone by {words.date(end)}" if is_late else None
    created = api.moment(pod, "metadata", "creationTimestamp")
    if phase == "Succeeded":
        return None
    if phase == "Running":
        ready = condition(pod, "Ready")
        if api.part(ready, str, "status", default="none") == "True":
            return None
        since = api.moment(ready, "lastTransitionTime") if ready else created
        if time.time() - since <= tolerated:
            return None
        return f"runs, and has not been ready since {words.date(since)}{pods.waiting(pod)}"
    if time.time() - created <= tolerated:
        return None
    if phase == "Pending":
        return f"has been pending since {words.date(created)}{reason(pod)}{pods.waiting(pod)}"
    return f"has the phase {phase}{reason(pod)}{pods.waiting(pod)}"


def reason(pod: api.Item) -> str:
    """Return why a pod was not scheduled, or was evicted."""
    scheduled = condition(pod, "PodScheduled")
    of = (
        scheduled if api.part(scheduled, str, "status", default="True") != "True" else pod["status"]
    )
    words = [api.part(of, str, key, default="") for key in ("reason", "message")]
    text = ": ".join(filter(None, words))
    return f" ({text})" if text else ""


def condition(pod: api.Item, kind: str) -> api.Item:
    for one in api.parts(pod, "status", "conditions"):
        if one.get("type") == kind:
            return one
    return {}


if __name__ == "__main__":
    sys.exit(verdict.run(check))
