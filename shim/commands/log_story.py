"""What a log tells of its last run, ready to be shown to a person or as data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from shim.commands.log_advice import advice
from shim.commands.log_events import MESSAGE, Phase, step
from shim.commands.log_reader import Entry
from shim.commands.log_verdict import Word, has_info_lines, verdict
from shim.commands.logged_run import Log, LoggedRun
from shim.observe.timestamp import rfc3339
from shim.report.clean import clean

# Characters of a sentence of the log's, or of a line of the script's.
LONGEST = 400
FAILED = "The script failed: "
TRACEBACK_LINES = 3

NO_STEPS = "SHIM_LOG_LEVEL=warning or error leaves out all that a run that went well has to say."
EMPTY = "The log is empty."
TEXT_FORMAT = (
    "The log is in text (SHIM_LOG_FORMAT=text), which says too little for khshim to read it."
)
NO_RUN = "There is no line of khshim's in this log."
ADVICE_WITHOUT_A_RUN = {
    EMPTY: [
        "Was the container started? kubectl describe pod POD says why not: its image, its volumes,"
        " the node.",
        "kubectl logs POD --previous shows the container before a restart, and -c NAME another one.",
        NO_STEPS,
    ],
    TEXT_FORMAT: [
        "Read khshim's own lines above.",
        "Without SHIM_LOG_FORMAT, or with `json`, the next run's log can be read here.",
    ],
    NO_RUN: [
        "Is it the log of a check's pod, and of the right container? kubectl logs POD -c NAME",
        "Does the container start khshim? Its command may name the script alone.",
        NO_STEPS,
    ],
}


class Told(NamedTuple):
    """A step of the run; `at_s` counts from its beginning, None where the log has no time.

    Of `times` like ones in a row the last one was at `until_s`.
    """

    at_s: float | None
    until_s: float | None
    times: int
    event: str
    level: str
    text: str


class Story(NamedTuple):
    """What is known of a run, and what to do about it; times in seconds.

    `time` are the parts of the run, one after the other: "wait", "script", "report", and
    "left" until the deadline, which came `deadline_s` after the beginning. `output` are the
    last lines in the log that are not khshim's.
    """

    verdict: Word
    sentence: str
    check: str | None = None
    namespace: str | None = None
    run_uuid: str | None = None
    began: str | None = None
    has_beginning: bool = True
    steps: list[Told] = []
    steps_left_out: int = 0
    time: dict[str, float] = {}
    deadline_s: float | None = None
    errors: list[str] = []
    output: list[str] = []
    advice: list[str] = []
    other_runs: list[str] = []


def story(log: Log, now: float) -> Story:
    """Return what a log tells of its last run, at `now` in unix time."""
    if not log.runs:
        return _without_a_run(log)
    run, found = log.runs[-1], verdict(log.runs[-1])
    others = [other for other in log.runs if other is not run]
    ran_before = run.run_uuid is not None and run.run_uuid in {other.run_uuid for other in others}
    began, deadline = run.began_at, run.deadline
    return Story(
        found.word,
        _capital(found.sentence),
        _word(run.check),
        _word(run.namespace),
        _word(run.run_uuid),
        None if began is None else rfc3339(began),
        _has_beginning(run),
        list(_steps(run)),
        run.left_out,
        dict(_parts(run)),
        None if began is None or deadline is None else round(deadline - began, 3),
        _errors(run),
        _output(run.output),
        [*map(_printable, advice(run, found, now, ran_before=ran_before))],
        [*_left_out(log), *map(_in_a_line, others)],
    )


def _has_beginning(run: LoggedRun) -> bool:
    begins = any(run.last_in(phase) for phase in (Phase.STARTED, Phase.NOT_RUN, Phase.CRASHED))
    return begins or not has_info_lines(run)


def _without_a_run(log: Log) -> Story:
    sentence = TEXT_FORMAT if log.text else NO_RUN if log.output else EMPTY
    output = _output(log.text or log.output)
    return Story(Word.UNKNOWN, sentence, output=output, advice=ADVICE_WITHOUT_A_RUN[sentence])


def _steps(run: LoggedRun) -> Iterator[Told]:
    """Yield the steps; those in a row that differ in numbers alone are one."""
    for _, alike in groupby(run.steps, _likeness):
        entries = list(alike)
        first, last = entries[0], entries[-1]
        at, until = _after(run, first), _after(run, last)
        text = _words(first)
        if run.is_folder and first.event.startswith("script_"):
            text = f"{_file_name(first)}: {text}"
        yield Told(at, until, len(entries), first.event, first.level, text)


def _likeness(entry: Entry) -> tuple[str, str | None, str]:
    words = "".join(letter for letter in _words(entry) if not letter.isdigit())
    return entry.event, entry.word("script"), words


def _file_name(entry: Entry) -> str:
    """Return the name of the script that a line is about."""
    return _cut(os.path.basename(entry.word("script") or "the script"))


def _after(run: LoggedRun, entry: Entry) -> float | None:
    if entry.at is None or run.began_at is None:
        return None
    return round(entry.at - run.began_at, 3)


def _words(entry: Entry) -> str:
    known = step(entry.event)
    if known.phase is Phase.ENDED and entry.message.startswith(FAILED):
        return _how_it_ended(entry)
    words = known.words
    if words != MESSAGE:
        try:
            return _cut(words.format_map({**entry.fields, "message": entry.message}))
        except KeyError:  # a field that another khshim does not write
            pass
    return _cut(entry.message)


def _how_it_ended(entry: Entry) -> str:
    """Return how a script ended that has failed; why is told among the errors."""
    code, killer = entry.number("exit_code"), entry.word("signal")
    stopped = "was stopped and " if entry.event == "script_timed_out" else ""
    if killer is not None:
        return _cut(f"The script {stopped or 'failed: it '}ended by {killer}.")
    return f"The script {stopped or 'failed: it '}ended with status {code or 0:.0f}."


def _parts(run: LoggedRun) -> Iterator[tuple[str, float]]:
    """Yield what the run did one after the other, each with its seconds, and what was left."""
    before = run.began_at
    if before is None:
        return
    for name, entry in (
        ("wait", run.last("server_reached") or run.last("server_not_reached")),
        ("script", run.last_in(Phase.ENDED)),
        ("report", run.last_in(Phase.DELIVERED)),
    ):
        if entry is not None and entry.at is not None and entry.at >= before:
            yield name, round(entry.at - before, 3)
            before = entry.at
    has_parts = before > (run.began_at or before)
    if has_parts and run.deadline is not None and run.deadline > before:
        yield "left", round(run.deadline - before, 3)


def _errors(run: LoggedRun) -> list[str]:
    """Return the errors that the log names: of a failed script's it has the first one alone."""
    crashed, not_run = run.last_in(Phase.CRASHED), run.last_in(Phase.NOT_RUN)
    if crashed is not None:
        traceback = (crashed.word("traceback") or "").strip().split("\n")
        return [_cut(crashed.message), *map(_cut, traceback[-TRACEBACK_LINES:])]
    if not_run is not None:
        return [_cut(entry.message) for entry in run.steps if entry.event == not_run.event]
    ended = run.last_in(Phase.ENDED)
    if run.is_folder:
        return _errors_of_folder(run, ended)
    if ended is None or not ended.message.startswith(FAILED):
        return []
    errors = [_cut(ended.message.removeprefix(FAILED))]
    more = (ended.number("errors") or 1) - 1
    if more >= 1:
        errors.append(f"(and {more:.0f} more, which `kubectl describe pod` and Kuberhealthy show)")
    return errors


def _errors_of_folder(run: LoggedRun, ended: Entry | None) -> list[str]:
    """Return what came of a folder, and the first error of each script among the steps."""
    errors = [_cut(ended.message)] if ended is not None and ended.level != "info" else []
    for entry in run.steps:
        if entry.message.startswith(FAILED):
            errors.append(f"{_file_name(entry)}: {_cut(entry.message.removeprefix(FAILED))}")
        elif entry.event == "script_not_started":
            errors.append(_cut(entry.message))
    return errors


def _left_out(log: Log) -> list[str]:
    return [f"({log.left_out} more before these)"] if log.left_out else []


def _in_a_line(run: LoggedRun) -> str:
    found = verdict(run)
    began = "" if run.began_at is None else f"{rfc3339(run.began_at)}  "
    return f"{began}{found.word.value}: {_capital(found.sentence)}"


def _output(lines: Iterable[bytes]) -> list[str]:
    return [shown for line in lines if (shown := _shortened(clean(line)))]


def _cut(text: str) -> str:
    """Return text of the log's as one printable line, shortened."""
    return _shortened(_printable(text))


def _word(text: str | None) -> str | None:
    return None if text is None else _cut(text)


def _printable(text: str) -> str:
    return clean(text.replace("\n", " ").encode("utf-8", "replace"))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _capital(sentence: str) -> str:
    return sentence if sentence.startswith("khshim") else sentence[:1].upper() + sentence[1:]
