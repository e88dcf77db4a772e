"""How often a script is run again, and the report on all of its attempts."""

from __future__ import annotations

import pytest

from shim.report.attempts import all_failed, passed_after
from shim.report.build import MAX_BODY_SIZE, Report
from shim.supervise.attempts import Attempts
from tests.support.settings import NOW, budget

WHY = "There was no time for another attempt."


def failed(*errors: str) -> Report:
    return Report(False, list(errors))


def test_the_time_another_attempt_would_have() -> None:
    attempts = Attempts(3, 5, budget(60))  # SIGTERM at 53 s
    assert attempts.time_left(NOW + 10) == 43
    assert attempts.time_left(NOW + 60) == 0
    attempts.ended(4)
    attempts.ended(2)
    assert attempts.longest == 4
    assert Attempts(3, 5, budget(None)).time_left(NOW) is None


@pytest.mark.parametrize(
    ("reports", "why", "errors"),
    [
        ([failed("bad", "worse")], "", ["bad", "worse"]),
        ([failed("bad", "worse")], WHY, ["bad", "worse", WHY]),
        ([failed("bad"), failed("bad")], "", ["2 of 3 attempts failed, all alike.", "bad"]),
        ([failed("bad")] * 2, WHY, ["2 of 3 attempts failed, all alike.", WHY, "bad"]),
        (
            [failed("no route after 3 ms", "x"), failed("no route after 0.25 s", "x")],
            "",
            ["2 of 3 attempts failed, all alike.", "no route after 0.25 s", "x"],
        ),
        (
            [failed("status 500"), failed("status 503")],
            "",
            ["2 of 3 attempts failed.", "Attempt 1: status 500", "Attempt 2: status 503"],
        ),
        (
            [failed("a", "more"), failed("b"), failed("a", "more"), failed("a", "more")],
            "",
            ["4 of 3 attempts failed.", "Attempts 1, 3 and 4: a", "more", "Attempt 2: b"],
        ),
    ],
)
def test_all_attempts_failed(reports: list[Report], why: str, errors: list[str]) -> None:
    assert all_failed(reports, 3, why) == failed(*errors)


def test_each_attempt_is_seen_within_the_limits() -> None:
    reports = [failed(f"headline {n}", *(f"{n} {line}" for line in range(63))) for n in range(10)]
    errors = all_failed(reports, 10, "").errors
    assert len(errors) <= 64
    for number in range(10):
        assert f"Attempt {number + 1}: headline {number}" in errors
    assert any("lines are left out" in error for error in errors)


def test_two_attempts_at_length_fill_a_report() -> None:
    """Both headlines are there, behind two sentences of khshim's."""
    reports = [failed(f"headline {n}", *(f"{n} {line}" for line in range(99))) for n in range(2)]
    errors = all_failed(reports, 3, WHY).errors
    assert errors[:3] == ["2 of 3 attempts failed.", WHY, "Attempt 1: headline 0"]
    assert errors[33] == "Attempt 2: headline 1"
    assert len(errors) == 64


@pytest.mark.parametrize(("length", "label"), [(989, "Attempt 1: "), (990, "")])
def test_no_line_becomes_too_long(length: int, label: str) -> None:
    errors = all_failed([failed("x" * length), failed("late")], 2, "").errors
    assert errors[1] == label + "x" * length


def test_long_lines_of_many_attempts_fit_a_report() -> None:
    reports = [failed(str(n) + "€" * 999) for n in range(10)]
    report = all_failed(reports, 10, "")
    assert len(report.body()) <= MAX_BODY_SIZE
    assert report.errors[0] == "10 of 10 attempts failed."
    assert report.errors[1].startswith("0€") and report.errors[-1].startswith("9€")


def test_passed_after_others_had_failed() -> None:
    report = passed_after([failed("bad", "worse"), failed("late")], Report(True, [], ["slow"]))
    assert report.ok and report.errors == []
    assert report.warnings == [
        "Passed in attempt 3, so it may be flaky.",
        "Attempt 1: bad",
        "Attempt 2: late",
        "slow",
    ]
