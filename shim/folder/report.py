"""The report on a folder: first what came of it in all, then what each script said that failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shim.file_names import visible
from shim.folder.results import Results, Script
from shim.report import wording
from shim.report.attempts import all_failed, passed_after
from shim.report.build import PASSED, Report, failure, fits
from shim.report.excerpt import MAX_LINE_LENGTH, MAX_LINES, Editor, cut
from shim.supervise.capture import Captured
from shim.supervise.escalation import StoppedBy
from shim.supervise.outcome import Ending, Outcome

# Characters of a line of names.
NAMES_LENGTH = 600
# However many have failed, so many characters of a line are shown.
SHORTEST_LINE = 125


class Verdicts:
    """The scripts by what came of them, and of each that has ended the report on it."""

    def __init__(self, scripts: Sequence[Script], most_attempts: int) -> None:
        self.reports: dict[str, Report] = {}
        self.passed: list[Script] = []
        self.failed: list[Script] = []
        self.stopped: list[Script] = []
        self.not_run: list[Script] = []
        for script in scripts:
            if not script.ends:
                (self.stopped if script.started else self.not_run).append(script)
                continue
            self.reports[script.name] = report = _verdict(script, most_attempts)
            if report.ok:
                self.passed.append(script)
            else:
                was_told = script.ends[-1].was_told and len(script.ends) == 1
                (self.stopped if was_told else self.failed).append(script)


def _verdict(script: Script, most_attempts: int) -> Report:
    """Return the report on all attempts of a script that were noted."""
    last = script.ends[-1].report
    failed = [end.report for end in script.ends if not end.report.ok]
    if last.ok:
        return passed_after(failed, last) if failed else last
    return all_failed(failed, most_attempts, script.no_more)


def judge(
    outcome: Outcome,
    results: Results,
    *,
    most_attempts: int,
    editor: Editor,
    stderr: Captured,
    hints: Sequence[str],
) -> Report:
    """Return the report on a folder whose runner ended with `outcome`.

    It passes only where the runner has come to its end and every script has passed. `hints`
    are sentences on what may have ended it, and `stderr` is what it wrote.
    """
    by_itself = outcome.ending is Ending.EXITED and outcome.stopped_by is None
    scripts = results.scripts
    if scripts is None:
        first = [results.problem or _runner_ended(outcome)]
        return failure([*first, *hints], editor, Captured([]) if results.problem else stderr)
    verdicts = Verdicts(scripts, most_attempts)
    has_ended_well = outcome.ending is Ending.EXITED and outcome.exit_status == 0
    if has_ended_well and not results.problem and len(verdicts.passed) == len(scripts):
        return PASSED._replace(warnings=_warnings(verdicts, editor))
    first = list(_summary(verdicts, len(scripts), by_itself=by_itself))
    if results.problem:
        first.insert(0, results.problem)
    elif not by_itself:
        first.insert(0, _runner_ended(outcome))
        first[1:1] = hints
    elif not first:  # all have passed, and it has failed all the same
        first.append(_runner_ended(outcome))
    said = [
        _labelled(script, verdicts.reports[script.name].errors, editor)
        for script in [*verdicts.failed, *verdicts.stopped]
        if script.name in verdicts.reports
    ]
    return Report(False, _fitting([editor.sentence(text) for text in first], said))


def _runner_ended(outcome: Outcome) -> str:
    if outcome.stopped_by is StoppedBy.SIGNAL:
        return f"{wording.told_to_stop(outcome)}, before all scripts had ended."
    if outcome.ending is Ending.EXITED:
        status = wording.exit_status(outcome.exit_status or 0, lacks_library=False)
        return f"khshim's own runner of the scripts exited with {status}."
    return wording.ending(outcome, "the runner of the scripts")


def _summary(verdicts: Verdicts, number: int, *, by_itself: bool) -> Iterable[str]:
    """Yield a sentence for each thing that came of scripts which have not passed."""
    scripts = f"{number} {'script' if number == 1 else 'scripts'}"
    if verdicts.failed:
        yield f"{len(verdicts.failed)} of {scripts} failed: {_names(verdicts.failed)}."
    if verdicts.stopped:
        yield f"{len(verdicts.stopped)} of {scripts} had not ended: {_names(verdicts.stopped)}."
    if verdicts.not_run:
        why = " in the time there was" if by_itself else ""
        yield f"{len(verdicts.not_run)} of {scripts} were not run{why}: {_names(verdicts.not_run)}."


def _names(scripts: Sequence[Script]) -> str:
    """Return as many names as fit into a line, and how many more there are."""
    names = [visible(script.name) for script in scripts]
    shown = names[:1]
    for name in names[1:]:
        if len(", ".join([*shown, name])) > NAMES_LENGTH:
            break
        shown.append(name)
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _labelled(script: Script, lines: Iterable[str], editor: Editor) -> list[str]:
    """Return lines that are edited already, each with the script's name before it."""
    label = editor.sentence(visible(script.name))
    return [f"{label}: {line}" for line in lines]


def _warnings(verdicts: Verdicts, editor: Editor) -> list[str]:
    said = [
        _labelled(script, verdicts.reports[script.name].warnings, editor)
        for script in verdicts.passed
    ]
    return _fitting([], [*filter(None, said)])


def _fitting(first: list[str], said: Sequence[Sequence[str]]) -> list[str]:
    """Return `first`, and of what each script said as much as there is room for.

    Each gets a line before one gets its second, and so on.
    """
    if not said:
        return first
    length = MAX_LINE_LENGTH
    heads = [lines[0] for lines in said[: MAX_LINES - len(first) - 1]]
    while length > SHORTEST_LINE and not fits([*first, *(cut(line, length) for line in heads)]):
        length //= 2
    counts = [0] * len(said)

    def errors() -> list[str]:
        shown = list(first)
        for lines, count in zip(said, counts):
            more = len(lines) - count
            behind = f" (and {more:,} more {'line' if more == 1 else 'lines'})" if more else ""
            for number, line in enumerate(lines[:count], 1):
                end = behind if number == count else ""
                shown.append(cut(line, length - len(end)) + end)
        left_out = counts.count(0)
        if left_out:
            shown.append(wording.scripts_left_out(left_out))
        return shown

    for turn in range(max(map(len, said))):
        for index, lines in enumerate(said):
            if len(lines) > turn:
                counts[index] += 1
                if not fits(errors()):
                    counts[index] -= 1
                    return errors()
    return errors()
