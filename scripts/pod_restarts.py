#!/opt/khshim/bin/python3
"""pod_restarts.py - do containers of a namespace's pods restart again and again?

MAX_RESTARTS    how often a container may have restarted          (default: 5)
WITHIN          it counts only where the last one is not older    (default: 1h)
NAMESPACE       the pods' namespace, or * for all                 (default: the pod's)
SELECTOR        a label selector for them, as kubectl takes it    (default: none)
ALLOW_NONE      true: it passes where there is no pod             (default: false)
KUBERNETES_API  where kubectl proxy listens                       (default: the pod's API server)

Kubernetes counts a container's restarts over its pod's whole life. Kuberhealthy's own pods are
left out. It ends with 1 for a container with more restarts, with 2 for a wrong value.

Example: khshim manifest pod_restarts.py --interval 5m --timeout 1m --env MAX_RESTARTS=3
Replaces: pod-restarts-check
"""

# khshim: role=pods

import sys
import time

from shim import durations
from shim.checks import inputs
from shim.checks import kubernetes_api as api
from shim.checks import pods, verdict, words


def check() -> verdict.Verdict:
    server = api.connect("KUBERNETES_API")
    namespace = server.namespace("NAMESPACE")
    selector = inputs.selector("SELECTOR")
    most = inputs.whole_number("MAX_RESTARTS", "5", 0, 1_000_000)
    within = inputs.duration("WITHIN", "1h")
    allow_none = inputs.flag("ALLOW_NONE")

    count = containers = 0
    problems: "list[tuple[int, str]]" = []
    for pod in pods.pods(server, namespace, selector):
        count += 1
        for container in pods.containers(pod):
            containers += 1
            restarts = api.part(container, int, "restartCount")
            last = api.part(container, dict, "lastState", "terminated", default={})
            # Without it nobody knows when it was, as where the container's data are gone.
            is_known = last.get("finishedAt") is not None
            ended = api.moment(last, "finishedAt") if is_known else time.time()
            if restarts > most and time.time() - ended <= within:
                name = api.part(container, str, "name")
                how = f", last at {words.date(ended)} ({pods.ending(last)})" if is_known else ""
                text = f"The container {name} of the pod {api.name_of(pod)} has restarted"
                problems.append((restarts, f"{text} {words.count(restarts, 'time')}{how}"))
    place = api.where(namespace, selector)
    if not count and not allow_none:
        problems.append((0, f"There is no pod {place}"))
    return verdict.Verdict(
        [problem for _, problem in sorted(problems, reverse=True)],
        f"{words.count(containers, 'container')} of {words.count(count, 'pod')} {place}: none that"
        f" has restarted more often than {most}, and within {durations.show(within)}",
    )


if __name__ == "__main__":
    sys.exit(verdict.run(check))
