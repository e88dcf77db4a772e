#!/opt/khshim/bin/python3
"""namespace_quota.py - is there room left in the resource quotas of a namespace?

MAX_PERCENT     how much of each resource may be used, 1 to 100 percent   (default: 90)
NAMESPACE       the namespace, or * for all                               (default: the pod's)
ALLOW_NONE      true: it passes where there is no quota                   (default: false)
KUBERNETES_API  where kubectl proxy listens                               (default: the pod's API server)

All that a quota limits is looked at: processors, memory, numbers of objects. It ends with 1 where
too much of it is used, with 2 for a wrong value.

Example: khshim manifest namespace_quota.py --interval 10m --timeout 1m --env MAX_PERCENT=80
Replaces: resource-quota-check
"""

# khshim: role=resourcequotas

import sys

from shim.checks import inputs
from shim.checks import kubernetes_api as api
from shim.checks import verdict, words
from shim.commands.kubernetes import quantity


def check() -> verdict.Verdict:
    server = api.connect("KUBERNETES_API")
    namespace = server.namespace("NAMESPACE")
    most = inputs.number("MAX_PERCENT", "90", 1, 100)
    allow_none = inputs.flag("ALLOW_NONE")

    count = resources = 0
    problems: "list[tuple[float, str]]" = []
    for quota in server.list(api.QUOTAS, namespace):
        count += 1
        name = f"The quota {api.name_of(quota)}"
        hard = api.part(quota, dict, "spec", "hard", default={})
        used = api.part(quota, dict, "status", "used", default={})
        for resource, limit in hard.items():
            resources += 1
            try:
                percent = percentage(used[resource], limit)
            except KeyError:
                problems.append((1000, f"{name} has no status for {resource} yet"))
            except (ValueError, TypeError):
                problems.append((1000, f"{name} has odd values for {resource} in its status"))
            else:
                if percent > most:
                    text = f"{name} has {percent:.0f} % of {resource} used"
                    text += f" ({used[resource]} of {limit}), allowed are {most:g} %"
                    problems.append((percent, text))
    place = api.where(namespace)
    if not resources and not allow_none:
        problems.append((0, f"There is no quota {place}"))
    return verdict.Verdict(
        [problem for _, problem in sorted(problems, reverse=True)],
        f"{words.count(resources, 'resource')} in {words.count(count, 'quota')} {place}:"
        f" no more than {most:g} % used",
    )


def percentage(used: str, limit: str) -> float:
    """Return how much of a limit is used; of 0 nothing is used, or all."""
    part, whole = quantity(used), quantity(limit)
    if not whole:
        return 100.0 if part else 0.0
    return float(100 * part / whole)


if __name__ == "__main__":
    sys.exit(verdict.run(check))
