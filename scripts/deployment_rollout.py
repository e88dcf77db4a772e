#!/opt/khshim/bin/python3
"""deployment_rollout.py - are deployments rolled out, with all their replicas available?

NAMES           the deployments, separated by blanks              (default: all)
NAMESPACE       their namespace, or * for all                     (default: the pod's)
SELECTOR        a label selector for them, as kubectl takes it    (default: none)
WAIT            for how long to look again where one is not as it
                should be, which replacing a pod may take         (default: 30s)
ALLOW_NONE      true: it passes where there is no deployment      (default: false)
KUBERNETES_API  where kubectl proxy listens                       (default: the pod's API server)

A rollout that is under way within its progressDeadlineSeconds is as it should be. It creates
nothing: it tells of the deployments that matter, and needs no right to write. It ends with 1 for
a deployment that is not as it should be, with 2 for a wrong value.

Example: khshim manifest deployment_rollout.py --interval 5m --timeout 2m --env 'NAMES=web api'
Replaces: deployment-check
"""

# khshim: role=deployments

import sys
import time

from shim.checks import inputs
from shim.checks import kubernetes_api as api
from shim.checks import verdict, words

PAUSE_S = 2


def check() -> verdict.Verdict:
    server = api.connect("KUBERNETES_API")
    namespace = server.namespace("NAMESPACE")
    names = inputs.items("NAMES", inputs.an_object, "names of deployments, separated by blanks", "")
    selector = inputs.selector("SELECTOR")
    wait = inputs.duration("WAIT", "30s")
    allow_none = inputs.flag("ALLOW_NONE")

    deadline = time.monotonic() + wait
    while True:
        found = look(server, namespace, names, selector, allow_none)
        left = deadline - time.monotonic()
        if not found.problems or left <= 0:
            return found
        time.sleep(min(PAUSE_S, left))


def look(
    server: api.Api, namespace: "str | None", names: "list[str]", selector: str, allow_none: bool
) -> verdict.Verdict:
    """Look at all deployments once."""
    count = replicas = 0
    missing = dict.fromkeys(names)
    problems = []
    for deployment in server.list(api.DEPLOYMENTS, namespace, labelSelector=selector):
        name = api.part(deployment, str, "metadata", "name")
        if names and name not in names:
            continue
        missing.pop(name, None)
        count += 1
        replicas += api.part(deployment, int, "spec", "replicas")
        problem = problem_of(deployment)
        if problem:
            problems.append(f"The deployment {api.name_of(deployment)} {problem}")
    place = api.where(namespace, selector)
    problems += [f"There is no deployment {name} {place}" for name in missing]
    if not count and not names and not allow_none:
        problems.append(f"There is no deployment {place}")
    return verdict.Verdict(
        problems,
        f"{words.count(count, 'deployment')} {place}, of {words.count(replicas, 'replica')}:"
        " all as they should be",
    )


def problem_of(deployment: api.Item) -> "str | None":
    """Return what is wrong with a deployment, as words to follow its name."""
    generation = api.part(deployment, int, "metadata", "generation")
    observed = api.part(deployment, int, "status", "observedGeneration", default=0)
    if observed < generation:
        return (
            f"was changed, and its controller has not seen it (generation {generation},"
            f" observed {observed})"
        )
    wanted = api.part(deployment, int, "spec", "replicas")
    available = api.part(deployment, int, "status", "availableReplicas", default=0)
    updated = api.part(deployment, int, "status", "updatedReplicas", default=0)
    numbers = f"{available} of {wanted} replicas are available, {updated} are up to date"
    conditions = {
        api.part(one, str, "type"): one for one in api.parts(deployment, "status", "conditions")
    }
    for kind, is_bad in (
        ("ReplicaFailure", "True"),
        ("Progressing", "False"),
        ("Available", "False"),
    ):
        one = conditions.get(kind, {})
        if api.part(one, str, "status", default="") == is_bad:
            reason = api.part(one, str, "reason", default="no reason")
            message = api.part(one, str, "message", default="no message")
            return f"has the condition {kind} {is_bad} ({reason}: {message}): {numbers}"
    progressing = conditions.get("Progressing", {})
    is_over = api.part(progressing, str, "reason", default="") == "NewReplicaSetAvailable"
    # One that has no deadline for its progress has no such condition.
    is_under_way = bool(progressing) and not is_over and wanted > 0
    if (available < wanted or updated < wanted) and not is_under_way:
        return f"is not complete: {numbers}"
    return None


if __name__ == "__main__":
    sys.exit(verdict.run(check))
