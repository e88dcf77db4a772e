"""What to do about what a run's log tells: for each event, or for its absence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shim.commands.fake_kuberhealthy import OVERWRITTEN_SECONDS
from shim.commands.log_events import Phase
from shim.commands.log_reader import Entry
from shim.commands.log_verdict import (
    DELIVERED,
    PASSING,
    Fate,
    Script,
    Verdict,
    has_info_lines,
    stopping_signal,
)
from shim.commands.logged_run import LoggedRun
from shim.durations import show
from shim.kuberhealthy import PATHS, Server

Advice = Callable[[LoggedRun, Entry], str]
"""Takes a run and the last line of an event in it; returns a sentence, or "" for nothing to do."""

# After so many seconds behind the deadline nothing of khshim's runs any more.
AFTER_DEADLINE = 60.0
# Seconds; v2 makes no check pass that has less time (see docs/RELIABILITY.md).
SHORTEST_OF_V2 = 15.0
KUBERHEALTHYS_LOG = "kubectl logs -n kuberhealthy deployment/kuberhealthy --since 1h"
RAISE_TIMEOUT = "raise the check's timeout (`timeout` in the khcheck or HealthCheck)"


def _nothing(run: LoggedRun, entry: Entry) -> str:
    """Nothing has to be done: it is as it should be, or another event's advice covers it."""
    return ""


def _the_message_says_it(run: LoggedRun, entry: Entry) -> str:
    return entry.message


def _wrong_setting(run: LoggedRun, entry: Entry) -> str:
    count = run.count(entry.event)
    what = "this variable" if count == 1 else f"these {count} variables"
    if entry.message.startswith("KH_"):
        return (
            "Kuberhealthy sets the variables that begin with KH_ in the pods that it makes. Was this"
            " pod made by somebody else, or is such a variable set in its spec or image as well?"
        )
    return (
        f"Correct {what} in the pod's spec or image. `khshim manifest` and `khshim doctor` find"
        " such a value before the check runs."
    )


def _unknown_setting(run: LoggedRun, entry: Entry) -> str:
    return f"Correct or remove the variable {entry.word('setting') or 'SHIM_…'}: it has no effect."


def _server_not_reached(run: LoggedRun, entry: Entry) -> str:
    return (
        "The network of the pod was not ready in that time: is DNS, the CNI or a mesh's sidecar slow"
        " on this node? A longer SHIM_WAIT_FOR_SERVER waits longer, up to a third of the time."
    )


def _script_not_started(run: LoggedRun, entry: Entry) -> str:
    if run.is_folder:
        return ""  # the scripts' own errors are above
    if "deadline had passed" in entry.message:
        return (
            f"The pod came too late: {RAISE_TIMEOUT}, and see what took the time: kubectl describe"
            " pod POD shows when it was scheduled and how long the image took."
        )
    if "told to stop" in entry.message:
        return _pod_was_stopped(run)
    if "volume hang" in entry.message or "did not answer" in entry.message:
        return "Look at the volume that the script is in, and at the node's mounts of it."
    return (
        "Compare SHIM_SCRIPT, or the pod's `args`, with what the volume (a ConfigMap?) or the image"
        " holds, and see that the interpreter in the script's #! line is in the image. The same"
        " without a cluster: khshim try SCRIPT"
    )


def _no_deadline(run: LoggedRun, entry: Entry) -> str:
    return (
        "Kuberhealthy sets KH_CHECK_RUN_DEADLINE since v2.2: update it, or set SHIM_TIMEOUT, so that"
        " a script that hangs is stopped."
    )


def _killed_for_memory(run: LoggedRun, entry: Entry) -> str:
    ended = run.last_in(Phase.ENDED)
    peak = ended and ended.number("cgroup_peak_memory_bytes")
    used = f" At its peak the container used {peak / 2**20:,.0f} MiB." if peak else ""
    return f"Raise resources.limits.memory, or make the script use less.{used}"


def _script_ended(run: LoggedRun, entry: Entry) -> str:
    if entry.level == "info" or entry is not run.last_in(Phase.ENDED):
        return ""
    if stopping_signal(run) is not None:
        return _pod_was_stopped(run)
    if run.count("killed_for_memory"):
        return ""
    killer = entry.word("signal")
    if killer == "SIGKILL":
        return (
            "Something outside of khshim killed the script. Was the node short of memory?"
            " kubectl describe node NODE shows its events."
        )
    if killer is not None:
        return f"The program crashed ({killer}): this is a fault in the script or its interpreter."
    if entry.number("exit_code") in (126, 127):
        return "A command is missing in the image, or cannot be executed there: is its name right?"
    return (
        "This is the script's own verdict: look at what it checks. Its words are above, and in the"
        f" pod's log. By hand, without a cluster: khshim try {entry.word('script') or 'SCRIPT'}"
    )


def _folder_ended(run: LoggedRun, entry: Entry) -> str:
    if entry.level == "info":
        return ""
    if stopping_signal(run) is not None:
        return _pod_was_stopped(run)
    folder = entry.word("script") or "FOLDER"
    time = ""
    if run.count("script_timed_out") or "were not run" in entry.message:
        time = f" Where the time was too short for all, {RAISE_TIMEOUT}, or SHIM_PARALLEL."
    return (
        "Look at what each script that failed checks; its first error is above, and its words are in"
        f" the pod's log.{time} By hand, without a cluster: khshim try {folder}"
    )


def _script_timed_out(run: LoggedRun, entry: Entry) -> str:
    if entry is not run.last_in(Phase.ENDED):
        return ""
    took = entry.number("duration_s")
    had = f"It had {show(max(took, 0))}. " if took is not None else ""
    if "khshim was held up" in entry.message:
        return (
            "The container got no CPU for a while: raise resources.requests.cpu, and see whether the"
            " node is overloaded."
        )
    if "the limit that SHIM_TIMEOUT sets" in entry.message:
        more = "raise SHIM_TIMEOUT"
    else:
        more = (
            f"{RAISE_TIMEOUT}; of it SHIM_GRACE_PERIOD and SHIM_REPORT_RESERVE are kept for the end"
        )
    killed = ""
    if entry.word("signal") == "SIGKILL":
        killed = (
            " It did not end by SIGTERM and was killed: if it needs time to clean up, raise"
            " SHIM_GRACE_PERIOD."
        )
    return (
        f"{had}Where it honestly needs more, {more}. Where it should have been quick, the last lines"
        f" of its output tell what it waited for: give that a time limit of its own.{killed}"
    )


def _no_further_attempt(run: LoggedRun, entry: Entry) -> str:
    if stopping_signal(run) is not None:
        return ""
    return (
        "SHIM_ATTEMPTS asks for more attempts than there was time for:"
        f" {RAISE_TIMEOUT}, or ask for fewer."
    )


def _script_warned(run: LoggedRun, entry: Entry) -> str:
    if run.count("passed_after_retry"):
        return ""
    return (
        "A warning pages nobody: Kuberhealthy shows the check as passing. Look at it before it"
        " becomes a failure; khshim_warning has an alert rule in examples/prometheus."
    )


def _passed_after_retry(run: LoggedRun, entry: Entry) -> str:
    return (
        "Find out why the attempts before it failed (attempt_failed in the log): a check that often"
        " needs several is flaky, or what it looks at is. khshim_passed_after_retry counts them."
    )


def _signal(run: LoggedRun, entry: Entry) -> str:
    ended = run.last_in(Phase.ENDED)
    is_told_already = ended is not None and ended.level != "info"
    return "" if is_told_already or stopping_signal(run) is None else _pod_was_stopped(run)


def _pod_was_stopped(run: LoggedRun) -> str:
    where = f" -n {run.namespace}" if run.namespace else ""
    return (
        "The check itself did not fail: the pod was told to stop. Was it deleted or evicted, its node"
        " drained, the check changed, or Kuberhealthy restarted? kubectl get events"
        f"{where} --field-selector involvedObject.name=POD"
    )


def _report_attempt(run: LoggedRun, entry: Entry) -> str:
    delivered = run.last_in(Phase.DELIVERED)
    if delivered is None or delivered.event != "report_accepted":
        return ""  # what it ended with is told
    count = run.count(entry.event)
    failed = "an attempt" if count == 1 else f"{count} attempts"
    return (
        f"The report arrived after {failed} had failed. If that happens often, look at Kuberhealthy's"
        " own pod, at DNS and at the network between them."
    )


def _report_accepted(run: LoggedRun, entry: Entry) -> str:
    """Warn of a report that v2 may have replaced.

    On v2 a script is stopped earlier than that, and a check of less time is none for it; so
    either the delivery was slow, or this is v3, which takes what comes before the deadline.
    """
    left = entry.number("time_left_s")
    had = None if run.deadline is None or run.began_at is None else run.deadline - run.began_at
    if left is None or left >= OVERWRITTEN_SECONDS or had is None or had < SHORTEST_OF_V2:
        return ""
    ended = run.last_in(Phase.ENDED)
    left_before = ended and ended.number("time_left_s")
    if left_before is None or left_before < OVERWRITTEN_SECONDS:
        return ""
    return (
        f"The report came {show(max(left, 0))} before the deadline. Kuberhealthy v2 replaces one of"
        f' about the last {OVERWRITTEN_SECONDS:g} s by "timed out"; on v2 {RAISE_TIMEOUT}.'
    )


def _report_assumed(run: LoggedRun, entry: Entry) -> str:
    return f"Whether it arrived, Kuberhealthy's status page or its log tells: {KUBERHEALTHYS_LOG}"


TOO_LATE = f"The report came after the deadline: {RAISE_TIMEOUT}, or SHIM_REPORT_RESERVE."
WRONG_ADDRESS = (
    "Look where KH_REPORTING_URL leads, in Kuberhealthy's own settings: its path is"
    f" {PATHS[Server.V3]} on v3 and {PATHS[Server.V2]} on v2."
)
BETWEEN = "Look at what is between this pod and Kuberhealthy: a proxy, a service mesh, a policy."
REPORTED_TWICE = (
    "Does the pod report twice? kubectl get pod POD -o jsonpath='{.spec.restartPolicy}"
    " {.status.containerStatuses[*].restartCount}' must say Never and 0. Did Kuberhealthy restart"
    " during the run? kubectl get pods -n kuberhealthy"
)
# By the status of the last answer.
REFUSED = {
    400: REPORTED_TWICE,
    401: BETWEEN,
    403: BETWEEN,
    404: WRONG_ADDRESS,
    405: WRONG_ADDRESS,
    410: TOO_LATE,
    413: BETWEEN,
    415: BETWEEN,
    200: WRONG_ADDRESS,
}


def _report_refused(run: LoggedRun, entry: Entry) -> str:
    status = entry.number("status")
    if status == 400 and "Is KH_REPORTING_URL the address" in entry.message:
        return WRONG_ADDRESS
    if status is None:
        return BETWEEN
    return REFUSED.get(int(status), WRONG_ADDRESS)


def _report_undelivered(run: LoggedRun, entry: Entry) -> str:
    status = entry.number("status")
    if status is not None:
        return (
            f"Kuberhealthy, or what is before it, answered {status:.0f} to the end. Its own log says"
            f" why: {KUBERHEALTHYS_LOG}"
        )
    return (
        "Nobody answered. Is Kuberhealthy up: kubectl get pods,endpoints -n kuberhealthy? Do DNS and"
        " the network policies of this namespace let the pod reach it? In a pod that still runs:"
        " kubectl exec POD -- khshim doctor"
    )


def _report_impossible(run: LoggedRun, entry: Entry) -> str:
    if run.count("wrong_setting"):
        return ""
    return "Kuberhealthy did not start this pod. Outside of a cluster: khshim try SCRIPT"


def _termination_log_failed(run: LoggedRun, entry: Entry) -> str:
    return (
        "`kubectl describe pod` does not show the verdict: may the container's user write to"
        " SHIM_TERMINATION_LOG?"
    )


def _metrics_failed(run: LoggedRun, entry: Entry) -> str:
    return (
        "The verdict stays, but metrics are missing: see that SHIM_PUSHGATEWAY_URL can be reached and"
        " that SHIM_METRICS_PORT is free; a bad line is the script's own."
    )


def _quit_failed(run: LoggedRun, entry: Entry) -> str:
    return "The sidecar may keep the pod alive: is SHIM_QUIT_URL the address that ends it?"


def _bug(run: LoggedRun, entry: Entry) -> str:
    return (
        "This is a fault in khshim, not in the check. File an issue with this log: the traceback in"
        " it shows where."
    )


def _not_installed(run: LoggedRun, entry: Entry) -> str:
    return "Install khshim with its dependencies (pip install khshim), or take its image."


# In the order of importance. A test holds that each declared event is here: whoever adds
# one decides what is to be done about it.
ADVICE: dict[str, Advice] = {
    "bug": _bug,
    "not_installed": _not_installed,
    "wrong_setting": _wrong_setting,
    "report_refused": _report_refused,
    "report_undelivered": _report_undelivered,
    "report_impossible": _report_impossible,
    "report_assumed": _report_assumed,
    "script_not_started": _script_not_started,
    "killed_for_memory": _killed_for_memory,
    "script_timed_out": _script_timed_out,
    "script_exited": _script_ended,
    "folder_ended": _folder_ended,
    "no_further_attempt": _no_further_attempt,
    "signal_forwarded": _signal,
    "signal_received": _signal,
    "script_warned": _script_warned,
    "passed_after_retry": _passed_after_retry,
    "report_accepted": _report_accepted,
    "report_attempt": _report_attempt,
    "server_not_reached": _server_not_reached,
    "no_deadline": _no_deadline,
    "unknown_setting": _unknown_setting,
    "doubtful_setting": _the_message_says_it,
    "metrics_failed": _metrics_failed,
    "quit_failed": _quit_failed,
    "termination_log_failed": _termination_log_failed,
    "server_reached": _nothing,
    "script_started": _nothing,
    "folder_started": _nothing,
    "script_output": _nothing,
    "attempt_failed": _nothing,
    "waiting_until_seen": _nothing,
    "metrics_pushed": _nothing,
    "quit_sent": _nothing,
    "crash_reported": _nothing,
}


def advice(run: LoggedRun, found: Verdict, now: float, *, ran_before: bool) -> list[str]:
    """Return what to do about a run, the most important first, [] where all is well.

    `now` is in unix time; `ran_before` tells that the log has an earlier run with this uuid.
    """
    sentences = list(_on_the_whole(run, found, now, ran_before=ran_before))
    for event, advise in ADVICE.items():
        entry = run.last(event)
        if entry is not None:
            sentences.append(advise(run, entry))
    return list(dict.fromkeys(filter(None, sentences)))


def _on_the_whole(run: LoggedRun, found: Verdict, now: float, *, ran_before: bool) -> Iterator[str]:
    if ran_before:
        yield (
            "This pod ran khshim more than once with the same run uuid. Kuberhealthy v3 takes the"
            " first report alone: set restartPolicy: Never in the pod's spec."
        )
    if found.fate is Fate.UNKNOWN:
        yield from _log_ends_early(run, found, now)
    elif found.script in PASSING and found.fate not in DELIVERED:
        yield (
            "The check is well, and Kuberhealthy shows it as failing all the same, since no report"
            " arrived."
        )


def _log_ends_early(run: LoggedRun, found: Verdict, now: float) -> Iterator[str]:
    if not has_info_lines(run) and not run.ends_in_a_line:
        yield (
            "SHIM_LOG_LEVEL hides the rest. A refusal would be in the log as an error, so the report"
            " was most probably taken. Leave the level at `info` to know."
        )
        return
    over = run.deadline is not None and now > run.deadline + AFTER_DEADLINE
    still = "" if over else ", or the pod still runs"
    yield (
        "khshim logs the report as its last act. So it was killed from outside (for memory, or since"
        f" the time that Kubernetes gives a pod to end was over){still}, or the log was cut."
        " Which of these: kubectl get pod POD -o jsonpath='{.status.containerStatuses[*].state}'"
        " (OOMKilled, exit code 137)."
    )
    if stopping_signal(run) is not None:
        yield (
            "It had been told to stop, so its time was probably over: give the pod a"
            " terminationGracePeriodSeconds longer than SHIM_GRACE_PERIOD and 5 s for the report."
        )
    elif found.script is Script.RUNNING:
        yield (
            "OOMKilled means that the memory limit ended the whole container, khshim with it: raise"
            " resources.limits.memory, or make the script use less."
        )
