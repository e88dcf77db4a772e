"""The report on a folder, from what was noted and how its runner ended."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shim.folder.report import judge
from shim.folder.results import End, Results, Script
from shim.kuberhealthy import Server
from shim.report.build import Report
from shim.report.excerpt import Editor
from shim.supervise.capture import Captured
from shim.supervise.escalation import StoppedBy
from shim.supervise.outcome import Ending, Outcome

EXITED_0 = Outcome(Ending.EXITED, 0, None, 3.0)
EXITED_1 = Outcome(Ending.EXITED, 1, None, 3.0)
TOLD = Outcome(Ending.EXITED, 1, None, 3.0, StoppedBy.SIGNAL, 15, 15, 2.0)
KILLED = Outcome(Ending.DIED, None, 9, 3.0)
STOPPED_LATE = Outcome(Ending.TIMED_OUT, 0, None, 58.0, StoppedBy.DEADLINE, 15, 15, 57.0, None, 3.0)
EDITOR = Editor(Server.V3, lambda text: text.replace("swordfish", "[masked]"))
PASSED = Report(True, [])


def script(name: str, *reports: Report, started: int = -1, **fields: bool) -> Script:
    one = Script(name)
    one.ends = [End(report, **fields) for report in reports]  # type: ignore[arg-type]
    one.started = len(reports) if started < 0 else started
    return one


def judged(
    outcome: Outcome, scripts: Sequence[Script] | None, problem: str = "", stderr: bytes = b""
) -> Report:
    results = Results(b"")
    results.scripts = None if scripts is None else list(scripts)
    results.problem = problem
    return judge(
        outcome,
        results,
        most_attempts=3,
        editor=EDITOR,
        stderr=Captured(stderr.split(b"\n")),
        hints=["The kernel killed a process here."] if outcome.signal else [],
    )


def test_it_passes_only_where_all_have_and_the_runner_says_so() -> None:
    good = [script("a", PASSED), script("b", PASSED)]
    assert judged(EXITED_0, good).ok
    told = TOLD._replace(exit_status=0)
    assert judged(told, good).ok
    for outcome in (EXITED_1, KILLED, STOPPED_LATE):
        assert not judged(outcome, good).ok
    assert not judged(EXITED_0, good, problem="It fell over.").ok
    assert not judged(EXITED_0, None).ok
    for other in (
        script("c"),
        script("c", started=1),
        script("c", Report(False, ["bad"])),
        script("c", PASSED, Report(False, ["bad"])),
    ):
        assert not judged(EXITED_0, [*good, other]).ok


@pytest.mark.parametrize(
    ("outcome", "errors"),
    [
        (EXITED_1, ["khshim's own runner of the scripts exited with status 1."]),
        (
            KILLED,
            [
                "The runner of the scripts died of SIGKILL (Killed) after 3.0 s.",
                "The kernel killed a process here.",
            ],
        ),
        (
            STOPPED_LATE,
            [
                "Timed out: the runner of the scripts was still running after 57.0 s and was"
                " stopped 3.0 s before the check's deadline. It then exited with status 0, too"
                " late to count."
            ],
        ),
    ],
)
def test_a_runner_that_failed(outcome: Outcome, errors: list[str]) -> None:
    assert judged(outcome, [script("a", PASSED)]).errors == errors
    assert judged(outcome, None, stderr=b"words\nof it").errors == [*errors, "words", "of it"]


def test_no_script_was_run() -> None:
    assert judged(EXITED_1, None, "There is none.", b"a log").errors == ["There is none."]
    assert judged(TOLD, None).errors == [
        "khshim was told to stop by SIGTERM after 2.0 s (a deleted or evicted pod?), before all"
        " scripts had ended."
    ]


def test_what_came_of_each() -> None:
    scripts = [
        script("a", PASSED),
        script("b", Report(False, ["bad", "worse"])),
        script("c", Report(False, ["told to stop"]), was_told=True),
        script("d", started=1),
        script("e"),
        script("f"),
    ]
    assert judged(TOLD, scripts).errors[1:] == [
        "1 of 6 scripts failed: b.",
        "2 of 6 scripts had not ended: c, d.",
        "2 of 6 scripts were not run: e, f.",
        "b: bad",
        "b: worse",
        "c: told to stop",
    ]
    assert judged(EXITED_1, scripts[4:]).errors == [
        "2 of 2 scripts were not run in the time there was: e, f."
    ]


def test_names_and_secrets() -> None:
    [first, said] = judged(EXITED_1, [script("\\swordfish", Report(False, ["bad"]))]).errors
    assert first == "1 of 1 script failed: \\\\[masked]."
    assert said == "\\\\[masked]: bad"


def test_attempts_are_told_for_each() -> None:
    bad = Report(False, ["bad"])
    one = script("a", bad, bad)
    one.no_more = "There was no time."
    assert judged(EXITED_1, [one]).errors[1:] == [
        "a: 2 of 3 attempts failed, all alike.",
        "a: There was no time.",
        "a: bad",
    ]
    report = judged(EXITED_0, [script("a", bad, PASSED), script("b", Report(True, [], ["w"]))])
    assert report.ok
    assert list(report.warnings) == [
        "a: Passed in attempt 2, so it may be flaky.",
        "a: Attempt 1: bad",
        "b: w",
    ]


def test_lines_are_left_out_fairly() -> None:
    many = Report(False, [f"line {number}" for number in range(100)])
    scripts = [script("a", many), script("b", Report(False, ["one"])), script("c", many)]
    errors = judged(EXITED_1, scripts).errors
    assert len(errors) == 64
    assert errors[1] == "a: line 0"
    assert "b: one" in errors
    of_a, of_c = ([e for e in errors if e.startswith(name)] for name in ("a: ", "c: "))
    assert (len(of_a), len(of_c)) == (31, 31)
    assert of_a[-1] == "a: line 30 (and 33 more lines)"  # its own report had 64


def test_a_line_for_the_scripts_of_which_nothing_is_shown() -> None:
    errors = judged(
        EXITED_1, [script(f"{number:03}", Report(False, ["bad"])) for number in range(80)]
    ).errors
    assert len(errors) == 64
    assert errors[-2:] == [
        "061: bad",
        "… what 18 more scripts said is left out here; the pod's log has everything …",
    ]
    assert errors[0].startswith("80 of 80 scripts failed: 000, 001, ")
