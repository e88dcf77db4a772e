"""One script of a folder, in a process of its own: run, judged and noted like a script alone."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping

from shim.crash import describe, kill_script
from shim.file_names import visible
from shim.folder.outputs import LabelledOutputs
from shim.folder.results import End, Notes
from shim.folder.times import Share
from shim.metrics_file import MetricsFile
from shim.observe import events, perfdata
from shim.report.build import Report, failure
from shim.report.excerpt import Editor, cut
from shim.report.mask import Masker
from shim.settings import Settings
from shim.signals import SignalInbox
from shim.start import NotStarted, Run, Started, start_script
from shim.supervise.escalation import StoppedBy
from shim.verdict import Verdict

PASSED = 0
FAILED = 1
# To run it again would be in vain, or is not wanted.
FAILED_FOR_GOOD = 2
# Characters of a script's warning in the log.
LONGEST_WARNING = 300


class One:
    """What is known of a script before it is started: its path, its time, and which attempt it is.

    `environ` is the environment that khshim has.
    """

    def __init__(
        self, environ: Mapping[str, str], path: str, share: Share, attempt: int, notes: Notes
    ) -> None:
        self._name = os.path.basename(path)
        self._attempt = attempt
        self._notes = notes
        settings = Settings(environ, [path])
        self._run = Run(environ, settings)
        self._run.budget = share
        self._run.started_at = time.time() - (time.monotonic() - share.started_at)
        self._editor = Editor(settings.server, Masker(environ, settings.mask))
        self._outputs = LabelledOutputs(settings, path, visible(self._name))
        self._ended: events.ScriptEnded | None = None
        if settings.metrics_port or settings.pushgateway_url:
            self._run.metrics_file = MetricsFile()

    def run(self) -> int:
        """Run the script once, and note how it ended; return PASSED, FAILED or FAILED_FOR_GOOD."""
        self._notes.started(self._name)
        inbox = SignalInbox()
        inbox.terminating |= {self._run.settings.stop_signal}
        start = start_script(self._run, inbox)
        try:
            end = self._end(start, inbox)
        except Exception as error:
            kill_script(start.child)
            sentence = describe(error)
            self._outputs.log(events.Bug(reason=sentence, traceback=traceback.format_exc()))
            end = End(failure([sentence], self._editor))
        self._notes.ended(self._name, end)
        self._outputs.drain()
        if end.report.ok:
            return PASSED
        return FAILED_FOR_GOOD if end.is_final else FAILED

    def _end(self, start: Started | NotStarted, inbox: SignalInbox) -> End:
        if isinstance(start, NotStarted):
            reason = start.reason or ""
            script = self._run.settings.script
            self._outputs.log(events.ScriptNotStarted(script=script, reason=reason))
            report = failure([reason], self._editor)
            return End(report, was_told=start.stopped_by is not None)
        verdict = Verdict(start, inbox, self._outputs, self._editor, self._tell)
        report, outcome = verdict.once(self._attempt)
        if report.ok and self._attempt > 1:
            most = self._run.settings.attempts
            self._tell(events.PassedAfterRetry(attempt=self._attempt, attempts=most))
        return self._end_of(report, was_told=outcome.stopped_by is StoppedBy.SIGNAL)

    def _tell(self, event: events.Event) -> None:
        if isinstance(event, events.ScriptStarted):
            self._notes.runs(self._name, event.pid)
        if isinstance(event, events.ScriptWarned):
            # A longer line would not stay whole (LineSink). The folder's own event has more.
            reason = cut(event.reason, LONGEST_WARNING)
            event = events.ScriptWarned(warnings=[reason], reason=reason)
        self._outputs.log(event)
        if isinstance(event, events.ScriptEnded):
            self._ended = event

    def _end_of(self, report: Report, *, was_told: bool) -> End:
        event = self._ended
        assert event is not None
        outcome, file = event.outcome, self._run.metrics_file
        values = []
        if event.stdout is not None:
            values = perfdata.parse([*event.stdout.head, *event.stdout.tail])
        return End(
            report,
            exit_code=128 + outcome.signal if outcome.signal is not None else outcome.exit_status,
            duration_s=event.duration_s,
            cpu_s=event.cpu_s,
            stderr_lines=event.stderr_lines,
            stderr_bytes=event.stderr_bytes,
            was_told=was_told and not report.ok,
            is_final=outcome.stopped_by is not None,
            perfdata=values,
            metrics="" if file is None else file.text(),
        )
