"""The summary in the pod's own status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shim.observe.termination_log import summary, write_summary
from shim.report.build import Report
from tests.support.khshim import Shim

Write = Callable[..., str]


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (Report(True, []), "OK\nReport: accepted"),
        (Report(False, ["one", "two"]), "NOT OK\nReport: accepted\none\ntwo"),
    ],
)
def test_the_summary(report: Report, text: str) -> None:
    assert summary(report, "accepted") == text.encode()


def test_a_long_summary_is_cut_between_characters() -> None:
    text = summary(Report(False, ["€" * 1000] * 16), "accepted")
    assert 4000 < len(text) <= 4096
    assert text.decode().endswith("€\n…")


def test_the_termination_log(shim: Shim, script: Write, tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    path.write_text("old and longer than what comes\n" * 10)
    shim.run(script("#!/bin/sh\necho bad >&2; exit 1\n"), env={"SHIM_TERMINATION_LOG": str(path)})
    assert path.read_text() == "NOT OK\nReport: accepted (The server accepted the report.)\nbad"


def test_a_termination_log_that_is_not_there_is_skipped(shim: Shim, tmp_path: Path) -> None:
    run = shim.run("/bin/true", env={"SHIM_TERMINATION_LOG": str(tmp_path / "none")})
    assert len(run.log) == 3 and not (tmp_path / "none").exists()


def test_a_termination_log_that_cannot_be_written_is_a_warning(shim: Shim, tmp_path: Path) -> None:
    run = shim.run("/bin/true", env={"SHIM_TERMINATION_LOG": str(tmp_path)})
    assert run.ok and "Is a directory" in run.event("termination_log_failed")["message"]
    assert write_summary("/dev/full", b"x") == "/dev/full: No space left on device"
