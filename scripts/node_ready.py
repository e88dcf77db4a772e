#!/opt/khshim/bin/python3
"""node_ready.py - are the nodes of the cluster ready, without pressure?

MIN_NODES       how many nodes there must be, all of them ready  (default: 1)
SELECTOR        a label selector for them, as kubectl takes it   (default: none)
TOLERATE        for how long a node may be in another state      (default: 5m)
KUBERNETES_API  where kubectl proxy listens                      (default: the pod's API server)

A node is as it should be when its condition Ready is True and all others (MemoryPressure,
DiskPressure, PIDPressure, NetworkUnavailable, those of a node problem detector) are False. It
ends with 1 for one that is not, with 2 for a wrong value.

Example: khshim manifest node_ready.py --namespace kuberhealthy --interval 2m --timeout 1m --env MIN_NODES=3
"""

# khshim: cluster-role=nodes

import sys
import time

from shim.checks import inputs
from shim.checks import kubernetes_api as api
from shim.checks import verdict, words


def check() -> verdict.Verdict:
    server = api.connect("KUBERNETES_API")
    least = inputs.whole_number("MIN_NODES", "1", 1, 100_000)
    selector = inputs.selector("SELECTOR")
    tolerated = inputs.duration("TOLERATE", "5m")

    count = 0
    problems: "list[tuple[bool, str]]" = []
    for node in server.list(api.NODES, None, labelSelector=selector):
        count += 1
        name = f"The node {api.name_of(node)}"
        conditions = api.parts(node, "status", "conditions")
        if not any(one.get("type") == "Ready" for one in conditions):
            problems.append((False, f"{name} has no condition Ready"))
        for one in conditions:
            kind, status = (api.part(one, str, key) for key in ("type", "status"))
            is_ready = kind == "Ready"
            if status == ("True" if is_ready else "False"):
                continue
            since = api.moment(one, "lastTransitionTime")
            if time.time() - since > tolerated:
                why = ": ".join(
                    filter(
                        None, (api.part(one, str, key, default="") for key in ("reason", "message"))
                    )
                )
                text = f"{name} has had the condition {kind} {status} since {words.date(since)}"
                problems.append((not is_ready, f"{text} ({why})" if why else text))
    if count < least:
        which = f" with {selector}" if selector else ""
        problems.append((False, f"{words.count(count, 'node')}{which} found, wanted are {least}"))
    return verdict.Verdict(
        [problem for _, problem in sorted(problems)],
        f"{words.count(count, 'node')}: ready, without pressure",
    )


if __name__ == "__main__":
    sys.exit(verdict.run(check))
