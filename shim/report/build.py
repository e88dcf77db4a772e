"""From the outcome of a run to the report that Kuberhealthy gets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

from shim.report import wording
from shim.report.excerpt import MAX_LINES, Editor, Excerpt, Line, count, excerpt, last_line
from shim.supervise.capture import Captured
from shim.supervise.escalation import StoppedBy
from shim.supervise.outcome import Ending, Outcome

MAX_BODY_SIZE = 16 * 1024  # bytes of JSON


class Report(NamedTuple):
    """What Kuberhealthy stores: passing with no errors, or failing with at least one.

    `warnings` are the words of a check that passed all the same. Kuberhealthy has no
    place for them; the log and the termination log show them.
    """

    ok: bool
    errors: list[str]
    warnings: Sequence[str] = ()

    def body(self) -> bytes:
        """Return the report as JSON in UTF-8."""
        return json.dumps({"OK": self.ok, "Errors": self.errors}, ensure_ascii=False).encode()


PASSED = Report(True, [])
NOTHING_CAPTURED = Captured([])


def failure(
    sentences: Sequence[str], editor: Editor, output: Captured = NOTHING_CAPTURED
) -> Report:
    """Return a failing report: a few sentences first, then the lines of `output`.

    Whatever goes in, what comes out is within the limits and accepted by both servers:
    sentences and lines are edited alike, blank ones are left out, and where nothing
    remains a generic error stands in.
    """
    return _failure(sentences, editor, excerpt(output, editor))


def lines_of(messages: Sequence[str]) -> Captured:
    """Return messages as output, for `failure`: each of their lines becomes an error."""
    return Captured("\n".join(messages).encode("utf-8", "replace").split(b"\n"))


def shortened(first: Sequence[str], lines: Sequence[str], limit: int = MAX_LINES) -> Report:
    """Return a failing report of lines that are edited already: `first`, and what fits of `lines`.

    It has at most `limit` errors; of more lines both ends are kept.
    """
    errors = [*first, *lines]
    if fits(errors, limit):
        return Report(False, errors)
    shown = Excerpt("", [Line(line) for line in lines], 0, [], 0)
    return Report(False, _shortened(shown, list(first), limit))


def judge(
    outcome: Outcome,
    *,
    ok_exit_codes: frozenset[int],
    warn_exit_codes: frozenset[int],
    editor: Editor,
    stream: str,
    output: Captured,
    other_output: Captured,
    hints: Sequence[str],
    is_plugin: bool,
) -> Report:
    """Return the report on a script that ran.

    `output` is the stream that errors are taken from, named by `stream`;
    `other_output` is looked at where that one is blank. `hints` are further
    sentences, on the likely cause of a failure. A status among `warn_exit_codes` passes,
    and the errors are its warnings. `is_plugin` tells that the script
    is a Nagios plugin, whose exit statuses have a meaning, and its output a form.
    """
    by_itself = outcome.ending is Ending.EXITED
    code = outcome.exit_status or 0
    if by_itself and code in ok_exit_codes - warn_exit_codes:
        return PASSED
    of_plugin = is_plugin and stream != "stderr"
    shown = excerpt(output, editor, of_plugin=of_plugin)
    # A plugin that warns says of what. Nothing but the status is what a crash leaves, as 1 is
    # that of an exception in Python.
    warns = (
        by_itself
        and code in warn_exit_codes
        and outcome.stopped_by is not StoppedBy.SIGNAL
        and not (of_plugin and shown.is_blank)
    )
    lacks_library = code == 127 and _lacks_library(output, other_output)
    status = wording.exit_status(code, lacks_library=lacks_library)
    sentences = []
    if not by_itself:
        sentences.append(wording.ending(outcome))
    elif warns:
        pass
    elif outcome.stopped_by is StoppedBy.SIGNAL:
        sentences.append(wording.exited_when_told(outcome))
    elif is_plugin and code == 3:
        sentences.append(wording.UNKNOWN)
    elif is_plugin and code not in wording.NAGIOS_STATUSES:
        sentences.append(wording.no_plugin_status(status))
    silent = []
    if shown.is_blank:
        subject = "It" if sentences else f"The script exited with {status} and"
        was_text = not any(line.strip() for line in [*output.head, *output.tail])
        other = editor.quote(last_line(other_output))
        silent.append(_silence(subject, stream, shown, was_text=was_text, other_last_line=other))
    # After a plain exit the silence is told first, and otherwise the likely cause.
    rest = [*silent, *hints] if by_itself else [*hints, *silent]
    report = _failure([*sentences, *rest], editor, shown)
    return PASSED._replace(warnings=report.errors) if warns else report


def _silence(
    subject: str, stream: str, shown: Excerpt, *, was_text: bool, other_last_line: str
) -> str:
    was_cut = bool(shown.gap or shown.one_line_of)
    return wording.silence(
        subject, stream, was_text=was_text, was_cut=was_cut, other_last_line=other_last_line
    )


def _lacks_library(*outputs: Captured) -> bool:
    """Tell whether the dynamic loader (ld.so(8), glibc's or musl's) did not find a library."""
    return any(
        b"loading shared librar" in line
        for output in outputs
        for line in [*output.head, *output.tail]
    )


def _failure(sentences: Sequence[str], editor: Editor, shown: Excerpt) -> Report:
    first = [*filter(None, map(editor.sentence, sentences))]
    if shown.is_blank:
        return Report(False, first or [wording.NO_MESSAGE])
    if shown.headline:
        first.append(shown.headline)
    marker = []
    if shown.one_line_of:
        marker.append(wording.middle_left_out(shown.one_line_of))
    elif shown.gap:
        marker.append(wording.lines_left_out(shown.gap))
    errors = [*first, *_texts(shown.head), *marker, *_texts(shown.tail)]
    return Report(False, errors if fits(errors) else _shortened(shown, first))


def _shortened(shown: Excerpt, first: list[str], limit: int = MAX_LINES) -> list[str]:
    """Return `first`, as many lines as fit from both ends, and a line that counts the rest."""
    lines = shown.head + shown.tail
    # No line from the other side of the gap may be counted as coming before it.
    middle = len(shown.head) if shown.gap else (len(lines) + 1) // 2
    pairs = zip_longest([True] * middle, [False] * (len(lines) - middle))
    turns = [is_first for pair in pairs for is_first in pair if is_first is not None]
    errors = first
    for shown_lines in range(len(lines)):
        start = sum(turns[:shown_lines])
        stop = len(lines) - (shown_lines - start)
        marker = wording.lines_left_out(shown.gap + count(lines[start:stop]))
        longer = [*first, *_texts(lines[:start]), marker, *_texts(lines[stop:])]
        if not fits(longer, limit):
            break
        errors = longer
    return errors


def fits(errors: list[str], limit: int = MAX_LINES) -> bool:
    return len(errors) <= limit and len(Report(False, errors).body()) <= MAX_BODY_SIZE


def _texts(lines: Iterable[Line]) -> list[str]:
    return [line.text for line in lines]
