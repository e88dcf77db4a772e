#!/opt/khshim/bin/python3
"""image_pull.py - are the images of a namespace's pods pulled, and soon enough?

MAX_TIME        how long a pull may take                        (default: 1m)
WITHIN          how far to look back; Kubernetes keeps its
                events for an hour, if not told otherwise       (default: 1h)
IMAGE           a text that the image's name must contain       (default: any image)
NAMESPACE       the pods' namespace, or * for all               (default: the pod's)
ALLOW_NONE      true: it passes where nothing was pulled        (default: false)
KUBERNETES_API  where kubectl proxy listens                     (default: the pod's API server)

It creates nothing and pulls nothing: it reads from the events what the nodes have pulled, by
their own mirrors and credentials. It ends with 1 for a pull that failed or took longer, with 2
for a wrong value.

Example: khshim manifest image_pull.py --interval 10m --timeout 1m --env MAX_TIME=30s --env ALLOW_NONE=true
Replaces: image-download-check
"""

# khshim: role=events

import re
import sys
import time
from typing import NamedTuple

from shim import durations
from shim.checks import inputs
from shim.checks import kubernetes_api as api
from shim.checks import verdict, words

# The kubelet's words. Since 1.27 a longer time follows, which includes waiting for other pulls.
PULLED = re.compile(r'Successfully pulled image "([^"]+)"(?: in (\S+))?')
FAILED = re.compile(r'Failed to pull image "([^"]+)": (.*)', re.DOTALL)


class Pull(NamedTuple):
    """The last that is known of a pod's image: when it was, and how long it took or what failed."""

    ago: float
    seconds: "float | None"
    problem: str


def check() -> verdict.Verdict:
    server = api.connect("KUBERNETES_API")
    namespace = server.namespace("NAMESPACE")
    most = inputs.duration("MAX_TIME", "1m")
    within = inputs.duration("WITHIN", "1h")
    wanted = inputs.text("IMAGE", "a part of an image's name") if inputs.is_set("IMAGE") else ""
    allow_none = inputs.flag("ALLOW_NONE")

    pulls: "dict[tuple[str, str], Pull]" = {}
    for reason in ("Pulled", "Failed"):
        field = f"involvedObject.kind=Pod,reason={reason}"
        for event in server.list(api.EVENTS, namespace, fieldSelector=field):
            found = PULLED if reason == "Pulled" else FAILED
            match = found.match(api.part(event, str, "message", default=""))
            if match is None or wanted not in match[1]:
                continue  # it was on the node, or something else failed
            pod = "/".join(
                api.part(event, str, "involvedObject", key) for key in ("namespace", "name")
            )
            ago = seconds_ago(event)
            key = pod, match[1]
            if ago <= within and (key not in pulls or ago < pulls[key].ago):
                pulls[key] = pull_of(match, ago)

    problems: "list[tuple[float, str]]" = []
    slowest = 0.0
    for (pod, image), pull in pulls.items():
        text = f"The image {image} for the pod {pod}"
        if pull.seconds is None:
            problems.append((float("inf"), f"{text} {pull.problem}"))
            continue
        slowest = max(slowest, pull.seconds)
        if pull.seconds > most:
            took = f"{text} took {durations.show(pull.seconds)} to pull"
            problems.append((pull.seconds, f"{took}, allowed are {durations.show(most)}"))
    place = f"{api.where(namespace)} within {durations.show(within)}"
    if not pulls and not allow_none:
        which = f" with {wanted}" if wanted else ""
        problems.append((0, f"No image{which} was pulled {place}"))
    return verdict.Verdict(
        [problem for _, problem in sorted(problems, reverse=True)],
        f"{words.count(len(pulls), 'pull')} {place}, the slowest took {durations.show(slowest)}",
    )


def pull_of(match: "re.Match[str]", ago: float) -> Pull:
    if match.re is FAILED:
        return Pull(ago, None, f"was not pulled: {match[2]}")
    try:
        return Pull(ago, durations.parse_go(match[2] or ""), "")
    except ValueError:
        return Pull(ago, None, "was pulled, and the node does not say how long it took")


def seconds_ago(event: api.Item) -> float:
    """Return how long ago an event was the last time; older and newer ones say it elsewhere."""
    for keys in (("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",)):
        if api.part(event, str, *keys, default=""):
            return time.time() - api.moment(event, *keys)
    return time.time() - api.moment(event, "metadata", "creationTimestamp")


if __name__ == "__main__":
    sys.exit(verdict.run(check))
