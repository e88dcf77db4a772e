"""The report on a script that was run several times (SHIM_ATTEMPTS)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shim.report.build import PASSED, Report, shortened
from shim.report.excerpt import MAX_LINE_LENGTH, MAX_LINES

# How long something took, which differs from one attempt to the next and is no difference.
_SECONDS = r"\d+(?:\.\d+)?\s?(?:[mµun]?s|seconds?|milliseconds?)\b"


def passed_after(failed: Sequence[Report], passed: Report) -> Report:
    """Return the report of an attempt that passed, with what those before it said as warnings."""
    number = len(failed) + 1
    before = [_labelled(f"Attempt {of}: ", report.errors[0]) for of, report in enumerate(failed, 1)]
    lines = [f"Passed in attempt {number}, so it may be flaky.", *before, *passed.warnings]
    return PASSED._replace(warnings=lines)


def all_failed(failed: Sequence[Report], most: int, why_no_more: str) -> Report:
    """Return the report on attempts that all failed, folded where they said the same.

    `most` is how many there might have been, and `why_no_more` a sentence on why there
    were fewer, "" where another one already says so.
    """
    if len(failed) == 1:
        return shortened([], [*failed[0].errors, *filter(None, [why_no_more])])
    groups = _groups(failed)
    share = (MAX_LINES - 2) // len(groups)  # each of them is to be seen
    lines = []
    for numbers, errors in groups:
        shown = shortened([], errors, share).errors
        label = f"{_in_words(numbers)}: " if len(groups) > 1 else ""
        lines += [_labelled(label, shown[0]), *shown[1:]]
    alike = ", all alike" if len(groups) == 1 else ""
    first = [f"{len(failed)} of {most} attempts failed{alike}.", *filter(None, [why_no_more])]
    return shortened(first, lines)


def _groups(failed: Sequence[Report]) -> list[tuple[list[int], list[str]]]:
    """Return the numbers of the attempts that said the same, with the words of the last one."""
    groups: dict[tuple[str, ...], tuple[list[int], list[str]]] = {}
    for number, report in enumerate(failed, 1):
        key = tuple(re.sub(_SECONDS, "", error) for error in report.errors)
        numbers, _ = groups.get(key, ([], []))
        groups[key] = [*numbers, number], report.errors
    return list(groups.values())


def _in_words(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"Attempt {numbers[0]}"
    return f"Attempts {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _labelled(label: str, line: str) -> str:
    """Return `line` with `label` before it, unless that would make it longer than a line may be."""
    return label + line if len(label) + len(line) <= MAX_LINE_LENGTH else line
