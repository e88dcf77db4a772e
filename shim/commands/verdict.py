"""What a person is told at the end of a trial."""

from __future__ import annotations

from collections.abc import Iterator

from shim import durations, signals
from shim.budget import Budget
from shim.commands.fake_kuberhealthy import OVERWRITTEN_SECONDS
from shim.commands.terminal import Style
from shim.commands.timeline import drawn
from shim.commands.trial import Trial


def verdict(trial: Trial, style: Style) -> str:
    """Return the verdict, the errors, and how the time was divided."""
    return "\n".join(["", *_lines(trial, style), ""])


def silence(trial: Trial) -> str:
    """Return that no report was accepted, what was answered, and how khshim ended."""
    receiver = trial.receiver
    server = receiver.endpoint.server.value
    lines = [f"\nNOT OK   Kuberhealthy {server} got no report that it could accept"]
    for request, reply in receiver.requests:
        body = request.body.decode("utf-8", "replace")
        lines.append(f"  it answered {reply.status} {reply.text or reply.why} to {body}")
    status = trial.status
    ended = f"with exit status {status}" if status >= 0 else f"by {signals.name(-status)}"
    lines.append(f"  khshim run ended {ended}; its log above says why\n")
    return "\n".join(lines)


def timeline(budget: Budget) -> str:
    """Return how the time until the deadline is divided, to scale: script, grace, report."""
    if budget.deadline is None or budget.terminate_at is None or budget.kill_at is None:
        return ""
    parts = [
        ("script", budget.terminate_at),
        ("grace", budget.kill_at - budget.terminate_at),
        ("unused" if budget.limited_by_timeout else "report", budget.deadline - budget.kill_at),
    ]
    return f"{drawn(parts, budget.deadline)} deadline {durations.show(budget.deadline)}"


def warnings(trial: Trial) -> list[str]:
    """Return what a script that has passed warns of, which is in no report."""
    if not trial.ok:
        return []
    is_folder = "folder_ended" in trial.said  # then its warnings tell that as well
    retried = None if is_folder else trial.said.get("passed_after_retry", {}).get("message")
    return [*filter(None, [retried]), *trial.said.get("script_warned", {}).get("warnings", [])]


def unreported_words(trial: Trial) -> str:
    """Return that a script has passed and what it wrote to stderr is lost, "" elsewhere."""
    ended = trial.said.get("script_exited", {})
    lines = ended.get("stderr_lines", 0)
    if not trial.ok or not lines or warnings(trial) or "folder_ended" in trial.said:
        return ""
    words = "its 1 line on stderr is" if lines == 1 else f"its {lines} lines on stderr are"
    return f"It exited with {ended.get('exit_code')}; {words} not reported."


def _lines(trial: Trial, style: Style) -> Iterator[str]:
    receiver = trial.receiver
    if receiver.stored is None or receiver.stored_at is None:
        yield from silence(trial).strip("\n").split("\n")
        return
    took = durations.show(receiver.stored_at - trial.started_at)
    had = durations.show(receiver.deadline - trial.started_at)
    warned = warnings(trial)
    passed = style("yellow", "OK, with a warning") if warned else style("green", "OK")
    word = passed if trial.ok else style("red", "NOT OK")
    server = receiver.endpoint.server.value
    yield f"{word}   reported after {took} of the {had} it had (Kuberhealthy {server})"
    for number, error in enumerate(receiver.stored[1], 1):
        yield f"  {number}. {error}"
    for warning in warned:
        yield f"  {warning}"
    if words := unreported_words(trial):
        yield f"  {words}"
    if trial.budget is not None and (line := timeline(trial.budget)):
        yield style("dim", f"  {line}")
    if receiver.overwritten():
        before = durations.show(receiver.deadline - receiver.stored_at)
        [instead] = receiver.at_the_end()[1]
        yield (
            f"  But Kuberhealthy v2 overwrites a report in about the last {OVERWRITTEN_SECONDS:g} s"
            f" before the deadline, and this came {before} before it: in the end it shows"
            f' "{instead}". Give the check a longer timeout.'
        )
