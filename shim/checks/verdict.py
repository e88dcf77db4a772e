"""How a bundled check written in Python ends: its words, and its exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

PASSED, FAILED, WRONG_INPUT = 0, 1, 2
BLANKS = str.maketrans("\n\r\t", "   ")


class InputError(Exception):
    """A variable has not the value that was expected; the message is a sentence."""


class CheckError(Exception):
    """Nothing could be judged; the message is a sentence that says what and where."""


class Verdict(NamedTuple):
    """What was found: a sentence a problem, the most important first, and what was looked at."""

    problems: Sequence[str]
    summary: str


def run(check: Callable[[], Verdict]) -> int:
    """Do a check, say what it found, and return its exit status.

    A problem is a line on stderr; where there is none, the summary is the line on stdout.
    """
    try:
        if len(sys.argv) > 1:
            raise InputError(
                f"'{sys.argv[1]}' is an argument: expected none, but variables to be set"
            )
        verdict = check()
    except InputError as error:
        return _say([str(error)], WRONG_INPUT)
    except CheckError as error:
        return _say([str(error)], FAILED)
    if verdict.problems:
        return _say(verdict.problems, FAILED)
    print(_line(verdict.summary))
    return PASSED


def _say(problems: Sequence[str], status: int) -> int:
    for problem in problems:
        print(_line(problem), file=sys.stderr)
    return status


def _line(text: str) -> str:
    return text.translate(BLANKS)
