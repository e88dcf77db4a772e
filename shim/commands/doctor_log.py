"""`khshim doctor --log`: says what a pod's log tells of a run that is over, and what to do."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator

from shim import durations
from shim.commands.log_reader import NotALog, read
from shim.commands.log_story import Story, Told, story
from shim.commands.log_verdict import Word
from shim.commands.logged_run import Log, read_log
from shim.commands.output import complain, put
from shim.commands.terminal import Style
from shim.commands.timeline import drawn
from shim.exit_status import WRONG_USAGE

STDIN = "-"
COLOURS = {
    Word.OK: "green",
    Word.NOT_OK: "red",
    Word.NOT_REPORTED: "red",
    Word.UNKNOWN: "yellow",
}
COLOUR_OF_LEVEL = {"warning": "yellow", "error": "red"}


def examine_log(path: str, *, as_json: bool) -> int:
    """Say what the log in a file, or in stdin ("-"), tells of its last run.

    Returns 0 where that has passed and Kuberhealthy has taken the report, 1 elsewhere, and
    WRONG_USAGE where there is nothing that could be read.
    """
    try:
        log = _read(path)
    except OSError as error:
        complain(f"khshim doctor: {path} cannot be read: {error.strerror}\n")
        return WRONG_USAGE
    except NotALog as error:
        complain(f"khshim doctor: {path}: {error}\n")
        return WRONG_USAGE
    told = story(log, time.time())
    shown = as_data(told) if as_json else _text(told, Style(1, os.environ))
    return put(shown, 0 if told.verdict is Word.OK else 1)


def _read(path: str) -> Log:
    if path != STDIN:
        with open(path, "rb") as file:
            return read_log(read(file))
    if sys.stdin is None:  # so Python tells that descriptor 0 was closed
        return Log()
    if sys.stdin.isatty():
        complain("khshim doctor: reading the log from the terminal, until Ctrl-D\n")
    return read_log(read(sys.stdin.buffer))


def as_data(told: Story) -> str:
    """Return what a log tells as one JSON object."""
    fields = {**told._asdict(), "verdict": told.verdict.value, "ok": told.verdict is Word.OK}
    return json.dumps({**fields, "steps": [step._asdict() for step in told.steps]}) + "\n"


def _text(told: Story, style: Style) -> str:
    lines = [f"{style(COLOURS[told.verdict], told.verdict.value)}: {told.sentence}"]
    if about := _about(told):
        lines.append(style("dim", about))
    if told.steps:
        lines += ["", *_steps(told, style), *_line_of_time(told, style)]
    lines += _listed("Errors", told.errors, "  ")
    if told.verdict is not Word.OK:
        title = "The last lines that are not khshim's own" if told.steps else "Its last lines"
        lines += _listed(title, told.output, "  | ")
    lines += _listed("What to do", told.advice, "  - ")
    lines += _listed("Other runs in this log", told.other_runs, "  ")
    return "\n".join([*lines, ""])


def _about(told: Story) -> str:
    parts = {"check": told.check, "namespace": told.namespace, "run": told.run_uuid}
    named = [f"{name} {value}" for name, value in parts.items() if value]
    return ", ".join([*named, *([f"begun {told.began}"] if told.began else [])])


def _steps(told: Story, style: Style) -> Iterator[str]:
    if not told.has_beginning:
        yield "  (the beginning of the run is not in this log)"
    for step in told.steps:
        line = f"{_at(step.at_s):>10}  {step.text}{_repeated(step)}"
        colour = COLOUR_OF_LEVEL.get(step.level)
        yield f"  {style(colour, line) if colour else line}"
    if told.steps_left_out:
        yield f"  ({told.steps_left_out} lines between these are left out)"


def _at(seconds: float | None) -> str:
    return "?" if seconds is None else f"+{durations.show(max(seconds, 0.0))}"


def _repeated(step: Told) -> str:
    return "" if step.times == 1 else f" ({step.times} times, until {_at(step.until_s)})"


def _line_of_time(told: Story, style: Style) -> list[str]:
    total = sum(told.time.values())
    if total <= 0:
        return []
    line = drawn(told.time.items(), total)
    if told.deadline_s is not None:
        line += f" deadline {durations.show(max(told.deadline_s, 0.0))}"
    return [style("dim", f"  {line}")]


def _listed(title: str, lines: Iterable[str], before: str) -> list[str]:
    shown = [f"{before}{line}" for line in lines]
    return ["", f"{title}:", *shown] if shown else []
