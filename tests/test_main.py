"""The first steps of the process: its search path and its standard descriptors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.khshim import KHSHIM, Shim

Write = Callable[..., str]


def test_a_module_beside_the_script_is_never_imported(
    shim: Shim, script: Write, tmp_path: Path
) -> None:
    for name in ("urllib3", "pythonjsonlogger", "selectors", "logging"):
        script("raise SystemExit('imported from the working directory')\n", f"{name}.py")
    path = script("#!/bin/sh\necho $PYTHONPATH\n")
    run = shim.run(path, cwd=tmp_path)
    assert run.ok
    run_again = shim.start(path, env={"PYTHONPATH": str(tmp_path)}, cwd="/")
    stdout, stderr = run_again.communicate()
    assert b"imported from" not in stderr
    assert stdout.decode().strip() == str(tmp_path)  # the script still gets it


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(shim: Shim, script: Write, closed: str) -> None:
    path = script("#!/bin/sh\necho out; echo err >&2; exit 1\n")
    command = f'exec "{sys.executable}" -m shim "{path}" {closed}'
    status = subprocess.run(["/bin/sh", "-c", command], env=shim.environ, check=False).returncode
    assert status == 0
    assert shim.receiver.stored == (False, ["err"])


def test_the_module_runs_as_a_command() -> None:
    version = subprocess.run([*KHSHIM, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("khshim ")
