"""From the started runner of a folder to the verdict on all its scripts."""

from __future__ import annotations

import os
import time

from shim.file_names import visible
from shim.folder.launch import ResultsFile
from shim.folder.report import judge
from shim.folder.results import Results
from shim.folder.times import AFTER_SCRIPTS
from shim.observe import events, telling
from shim.observe.events import Subscriber
from shim.observe.outputs import Outputs
from shim.report.build import Report
from shim.report.excerpt import Editor
from shim.report.wording import killed_for_memory
from shim.signals import SignalInbox
from shim.start import Started
from shim.supervise.capture import ScriptOutput
from shim.supervise.escalation import StoppedBy
from shim.supervise.outcome import Outcome
from shim.supervise.resources import usage_of_children
from shim.verdict import supervise


def find_verdict(
    start: Started,
    file: ResultsFile,
    inbox: SignalInbox,
    outputs: Outputs,
    editor: Editor,
    tell: Subscriber,
) -> tuple[Report, bool]:
    """See the runner to its end; return the report, and whether khshim was told to stop."""
    run, settings = start.run, start.run.settings
    left = run.budget.time_left(time.monotonic())
    tell(
        events.FolderStarted(
            script=start.path, pid=start.child.pid, parallel=settings.parallel, time_left_s=left
        )
    )
    if run.budget.deadline is None:
        tell(events.NoDeadline())
    output = ScriptOutput(merged=False)
    outcome = supervise(start, output, inbox, outputs, tell, settings.grace_period + AFTER_SCRIPTS)
    results = Results(file.read())
    hints = []
    if outcome.signal is not None and start.memory and start.was_killed_for_memory():
        hints.append(killed_for_memory(start.memory.limit_bytes()))
    report = judge(
        outcome,
        results,
        most_attempts=settings.attempts,
        editor=editor,
        stderr=output.captured("stderr")[0],
        hints=hints,
    )
    was_told = outcome.stopped_by is StoppedBy.SIGNAL
    for script in results.scripts or []:
        if not script.started and not script.ends:
            path = os.path.join(start.path, visible(script.name))
            reason = f"The script {path} was not run: {_why_not(was_told=was_told)}."
            tell(events.ScriptNotStarted(script=path, reason=reason))
    tell(_ended(start, outcome, report, results))
    if report.warnings:
        tell(telling.warned(report))
    return report, was_told


def _why_not(*, was_told: bool) -> str:
    return "khshim was told to stop before its turn" if was_told else "the time was over"


def _ended(start: Started, outcome: Outcome, report: Report, results: Results) -> events.Event:
    """Return the event for the end of the runner, with the figures of all scripts together."""
    scripts = results.scripts or []
    ends = [end for script in scripts for end in script.ends]
    return telling.folder_ended(
        start.path,
        outcome,
        report,
        usage_of_children(start.memory),
        start.run.budget,
        scripts=len(scripts),
        passed=sum(script.has_passed for script in scripts),
        stderr=(sum(end.stderr_lines for end in ends), sum(end.stderr_bytes for end in ends)),
    )
