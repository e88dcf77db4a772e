"""The runner of a folder and the process of one script, when khshim itself is at fault."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from shim.folder import one, runner
from shim.folder.launch import ResultsFile
from shim.folder.results import Results


def run(
    folder: Path, *moments: str, before: Callable[[], None] = lambda: None
) -> tuple[int, Results]:
    """Run a folder in a process of its own; return how that ended, and what was noted."""
    file = ResultsFile()
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        before()
        runner.main(str(folder), str(file.fd), *moments)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), Results(file.read())


def test_a_bug_in_the_runner_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("exit 0\n")
    assert run(tmp_path, "5", "", "")[0] == 0
    status, results = run(tmp_path, "five", "", "")
    assert status == runner.BUG
    assert results.scripts is None
    assert "khshim itself failed, which is a bug in it" in results.problem


def test_a_bug_in_the_process_of_a_script_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("exit 0\n")
    (tmp_path / "b.sh").write_text("exit 0\n")

    def broken(*_: object) -> None:
        raise RuntimeError("broken on purpose")

    def breaks() -> None:
        vars(one)["start_script"] = broken

    status, results = run(tmp_path, "5", "", "", before=breaks)
    assert status == 1
    assert results.scripts is not None
    errors = [script.ends[0].report.errors for script in results.scripts]
    assert (
        errors
        == [["khshim's own process for this script ended with status 70, so its end is not known."]]
        * 2
    )
