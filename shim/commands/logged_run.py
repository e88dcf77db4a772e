"""The runs of khshim that a log tells of, put together from its lines in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from shim.commands.log_events import Phase, step
from shim.commands.log_reader import Entry, HalfLine, Part, TextLine

# Of a run's lines the first and the last ones are kept, and of its other output the last.
FIRST_STEPS = 60
LAST_STEPS = 40
KEPT_OUTPUT = 10
LONGEST_OUTPUT = 4096
# Of the runs in one log the last ones are kept, and of the kinds of events in a run so many.
KEPT_RUNS = 20
MOST_KINDS = 200


class LoggedRun:
    """One run; times in seconds, moments in unix time, None where the log does not tell.

    `output` are the last lines that are not khshim's. `began_at` is the earliest moment that
    the lines speak of. `ends_in_a_line` tells that the log ends within a line of khshim's.
    """

    def __init__(self, output: Iterable[bytes] = ()) -> None:
        self.run_uuid: str | None = None
        self.check: str | None = None
        self.namespace: str | None = None
        self.output = deque(output, KEPT_OUTPUT)
        self.began_at: float | None = None
        self.last_at: float | None = None
        self.deadline: float | None = None
        self.left_out = 0
        self.ends_in_a_line = False
        self.levels: set[str] = set()
        self._steps: list[Entry] = []
        self._last_steps: deque[Entry] = deque(maxlen=LAST_STEPS)
        self._first: dict[str, Entry] = {}
        self._last: dict[str, Entry] = {}
        self._by_phase: dict[Phase, Entry] = {}
        self._counts: dict[str, int] = {}

    @property
    def steps(self) -> list[Entry]:
        """The lines of khshim's own; between the first and the last `left_out` are left out."""
        return [*self._steps, *self._last_steps]

    def first(self, event: str) -> Entry | None:
        """Return the first line of an event."""
        return self._first.get(event)

    def last(self, event: str) -> Entry | None:
        """Return the last line of an event."""
        return self._last.get(event)

    def last_in(self, phase: Phase) -> Entry | None:
        """Return the last line of a phase."""
        return self._by_phase.get(phase)

    def count(self, event: str) -> int:
        return self._counts.get(event, 0)

    @property
    def is_folder(self) -> bool:
        """Whether several scripts were run, each of which has events of its own."""
        return "folder_started" in self._first

    def phase(self, entry: Entry) -> Phase:
        """Return where in this run a line has its place: one script of several is no phase."""
        if self.is_folder and entry.event.startswith("script_"):
            return Phase.DURING
        return step(entry.event).phase

    @property
    def has_reported(self) -> bool:
        return Phase.DELIVERED in self._by_phase

    def take(self, entry: Entry) -> None:
        """Add a line of khshim's own."""
        self.run_uuid = self.run_uuid or entry.word("run_uuid")
        self.check = self.check or entry.word("check")
        self.namespace = self.namespace or entry.word("namespace")
        self.levels.add(entry.level)
        self._note_time(entry)
        if entry.event in self._first:
            self._counts[entry.event] += 1
            self._last[entry.event] = entry
        elif len(self._first) < MOST_KINDS:
            self._counts[entry.event] = 1
            self._first[entry.event] = self._last[entry.event] = entry
        self._by_phase[self.phase(entry)] = entry
        if len(self._steps) < FIRST_STEPS:
            self._steps.append(entry)
        else:
            self.left_out += len(self._last_steps) == LAST_STEPS
            self._last_steps.append(entry)

    def _note_time(self, entry: Entry) -> None:
        if entry.at is None:
            return
        left = entry.number("time_left_s")
        if self.deadline is None and left is not None:
            self.deadline = entry.at + left
        begins_at = entry.at
        if self.phase(entry) in (Phase.BEFORE, Phase.ENDED):
            begins_at -= max(entry.number("duration_s") or 0.0, 0.0)
        self.began_at = begins_at if self.began_at is None else min(self.began_at, begins_at)
        self.last_at = entry.at

    def is_another(self, entry: Entry) -> bool:
        """Tell whether a line with this run's uuid, or without one, must be of a further run.

        A container that is started again has the same uuid.
        """
        phase = self.phase(entry)
        if phase is Phase.CRASHED:  # what is left of a khshim that failed knows no uuid
            return entry.word("run_uuid") is None and self.has_reported
        if phase is Phase.BEFORE:
            has_begun = self.first("script_started") is not None
            return self.has_reported or (has_begun and not self.is_folder)
        if phase is Phase.NOT_RUN:
            return self.has_reported
        if phase is Phase.STARTED:
            if entry.event == "folder_started":
                return self.has_reported or self.is_folder
            return self.has_reported or self._runs_already(entry)
        return False

    def _runs_already(self, entry: Entry) -> bool:
        """Tell whether a script is started that was started before and has not ended."""
        started, attempt = self.last("script_started"), entry.number("attempt")
        if started is None or attempt is not None:  # SHIM_ATTEMPTS
            return started is not None and attempt == 1
        has_ended = self.last_in(Phase.ENDED) is not None
        return not has_ended and started.word("script") == entry.word("script")


class Log:
    """What a log tells: the last `runs`, with `left_out` before them, and what else is in it.

    `text` are the last lines in the format for people; `output` what belongs to no run.
    """

    def __init__(self) -> None:
        self.runs: deque[LoggedRun] = deque(maxlen=KEPT_RUNS)
        self.left_out = 0
        self.text: deque[bytes] = deque(maxlen=KEPT_OUTPUT)
        self.output: deque[bytes] = deque(maxlen=KEPT_OUTPUT)

    def take(self, part: Part) -> None:
        """Add a part of the log, in its order."""
        if isinstance(part, Entry):
            self._run_of(part).take(part)
        elif isinstance(part, TextLine):
            self.text.append(part.line[:LONGEST_OUTPUT])
        elif isinstance(part, HalfLine):
            if self.runs:
                self.runs[-1].ends_in_a_line = True
        elif part.line.strip():
            is_between = not self.runs or self.runs[-1].has_reported
            output = self.output if is_between else self.runs[-1].output
            output.append(part.line[:LONGEST_OUTPUT])

    def _run_of(self, entry: Entry) -> LoggedRun:
        """Return the run that a line belongs to: several pods may have written side by side."""
        run_uuid = entry.word("run_uuid")
        run = next(
            (
                run
                for run in reversed(self.runs)
                if run_uuid is None or run.run_uuid in (None, run_uuid)
            ),
            None,
        )
        if run is not None and not run.is_another(entry):
            return run
        self.left_out += len(self.runs) == KEPT_RUNS
        # A script may have written before the line that says it was started.
        run = LoggedRun(self.output)
        self.output.clear()
        self.runs.append(run)
        return run


def read_log(parts: Iterable[Part]) -> Log:
    """Return what a log tells."""
    log = Log()
    for part in parts:
        log.take(part)
    return log
