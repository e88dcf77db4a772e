"""The sentences of a report: how a run ended, and what its exit status means."""

from __future__ import annotations

import signal

from shim import signals
from shim.durations import show
from shim.supervise.capture import CUT, END_SIZE
from shim.supervise.escalation import StoppedBy
from shim.supervise.outcome import Ending, Outcome

NO_MESSAGE = "The check failed without saying why."
UNKNOWN = "UNKNOWN: the plugin could not find out (exit status 3), so this may be no outage."
NO_TIME_FOR_ANOTHER = "There was no time for another attempt."
NAGIOS_STATUSES = range(4)

# By convention: timeout(1), and POSIX (Shell Command Language, 2.8.2).
MEANINGS = {
    124: "timeout(1) ended a command",
    126: "a command was found that could not be executed",
    127: "a command was not found",
}


def lines_left_out(count: int) -> str:
    """Return the line that stands for `count` lines."""
    lines = "1 line is" if count == 1 else f"{count:,} lines are"
    return f"{CUT} {lines} left out here; the pod's log has everything {CUT}"


def scripts_left_out(count: int) -> str:
    """Return the line that stands for what `count` scripts of a folder said."""
    scripts = "1 more script" if count == 1 else f"{count:,} more scripts"
    return f"{CUT} what {scripts} said is left out here; the pod's log has everything {CUT}"


def middle_left_out(size: int) -> str:
    """Return the line that stands between the ends of a line of `size` bytes."""
    return (
        f"{CUT} the middle of this line of {size:,} bytes is left out;"
        f" the pod's log has it all {CUT}"
    )


def exit_status(status: int, *, lacks_library: bool) -> str:
    """Return the exit status, and in brackets what it means by convention."""
    if lacks_library:
        meaning = "a shared library is missing"
    elif status - 128 in signal.valid_signals():
        meaning = f"a command in it died of {signals.name(status - 128)}"
    else:
        meaning = MEANINGS.get(status, "")
    return f"status {status} ({meaning})" if meaning else f"status {status}"


def no_plugin_status(status: str) -> str:
    """Return the sentence on a plugin's exit status that has no meaning to Nagios."""
    return f"The plugin exited with {status}, which is not a status of a Nagios plugin (0 to 3)."


def silence(
    subject: str, stream: str, *, was_text: bool, was_cut: bool, other_last_line: str
) -> str:
    """Return the sentence on a script of which `stream` shows nothing.

    `subject` begins it. `was_text` tells that there was nothing, or only blank lines, and
    `was_cut` that only the ends of it are known. `other_last_line` is the last line of the
    other stream, "" where that is blank too.
    """
    what = "nothing" if was_text and not was_cut else "nothing readable"
    where = "stdout or stderr" if stream == "both" else stream
    text = f"{subject} wrote {what} to {where}"
    if was_cut:
        ends = f"its first and last {END_SIZE // 1024} KiB"
        text += f" ({ends} were looked at; the pod's log has everything)"
    if not other_last_line:
        return f"{text}."
    other = "stdout" if stream == "stderr" else "stderr"
    return f"{text}; the last line on {other}: {other_last_line}"


def ending(outcome: Outcome, subject: str = "the script") -> str:
    """Return the sentence on a script, or `subject`, that did not end by itself."""
    if outcome.ending is Ending.DIED and outcome.signal is not None:
        what = signal.strsignal(outcome.signal)
        return (
            f"{subject[0].upper()}{subject[1:]} died of {signals.name(outcome.signal)}"
            f" ({what}) after {show(outcome.duration)}."
        )
    after = show(outcome.stopped_after or 0.0)
    if outcome.stopped_by is StoppedBy.SIGNAL:
        text = f"{told_to_stop(outcome)}, before {subject} had finished."
    elif outcome.stopped_by is StoppedBy.TIMEOUT:
        text = (
            f"Timed out: {subject} was still running after {after}, the limit that"
            " SHIM_TIMEOUT sets."
        )
    elif outcome.stopped_by is StoppedBy.SHARE:
        text = (
            f"Timed out: {subject} was still running after {after} and was stopped, since other"
            " scripts of the folder were waiting for their share of the time."
        )
    else:
        left = outcome.time_left or 0.0
        text = (
            f"Timed out: {subject} was still running after {after} and was stopped"
            f" {show(abs(left))} {'before' if left >= 0 else 'after'} the check's deadline."
        )
        if left < 0:
            text += " khshim was held up: was the node short of CPU, or the container frozen?"
    if outcome.killed_after == 0:
        text += " It was killed at once: there was no time left for a grace period."
    elif outcome.killed_after is not None:
        sent = signals.name(outcome.sent_signal)
        text += f" It did not end within {show(outcome.killed_after)} of {sent} and was killed."
    if outcome.ending is Ending.STUCK:
        text += (
            " Even SIGKILL did not end it: it is stuck in the kernel,"
            " as on a dead network file system."
        )
    elif outcome.exit_status is not None:
        text += f" It then exited with status {outcome.exit_status}, too late to count."
    return text


def exited_when_told(outcome: Outcome) -> str:
    """Return the sentence on a script that failed after khshim was told to stop."""
    return f"{told_to_stop(outcome)}; the script then exited with status {outcome.exit_status}."


def told_to_stop(outcome: Outcome) -> str:
    """Return the beginning of the sentence on a signal that khshim got."""
    signum = outcome.stop_signal or 0
    after = show(outcome.stopped_after or 0.0)
    return f"khshim was told to stop by {signals.name(signum)} after {after}{_sender(signum)}"


def _sender(signum: int) -> str:
    # SIGTERM is what Kubernetes sends; SIGINT comes from a keyboard.
    return " (a deleted or evicted pod?)" if signum == signal.SIGTERM else ""


def told_to_stop_between(signum: int) -> str:
    """Return the sentence on a signal that came between two attempts."""
    return (
        f"khshim was told to stop by {signals.name(signum)}{_sender(signum)},"
        " so there was no further attempt."
    )


def no_time_for_another(longest: float, delay: float, left: float) -> str:
    """Return the sentence on an attempt that would not have ended in time; all in seconds.

    `longest` is the longest attempt so far, and `left` the time before the `delay`.
    """
    return (
        f"{NO_TIME_FOR_ANOTHER[:-1]}: one took {show(longest)},"
        f" SHIM_ATTEMPT_DELAY is {show(delay)}, and {show(left)} were left."
    )


def killed_for_memory(limit: int | None) -> str:
    """Return the sentence on an OOM kill; `limit` is the cgroup's in bytes, None if unknown."""
    shown = f" of {limit / 2**20:,.0f} MiB" if limit else ""
    return (
        f"The kernel killed a process here because the memory limit{shown} was reached:"
        " raise resources.limits.memory, or make the script use less."
    )
