"""The first steps of the process: its search path and its standard descriptors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.__main__ import distrust_working_directory
from tests.support.khshim import KHSHIM, Shim
from tests.support.manifests import ROOT

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


def test_the_search_path_loses_what_is_the_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = f"{tmp_path}/named{os.pathsep}relative{os.pathsep}{ROOT}"
    theirs = ["", ".", str(tmp_path), f"{tmp_path}/named/", "relative", f"{tmp_path}/relative"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", named)
    monkeypatch.setattr(sys, "path", [*theirs, "/usr/lib/kept", str(ROOT)])
    distrust_working_directory()
    assert sys.path == ["/usr/lib/kept", str(ROOT)]


def test_the_search_path_in_a_directory_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("PYTHONPATH", "relative")
    monkeypatch.setattr(sys, "path", ["", "relative", "/usr/lib/kept"])
    distrust_working_directory()
    assert sys.path == ["/usr/lib/kept"]


@pytest.mark.parametrize("closed", [[], [0], [1], [2], [0, 2], [0, 1, 2]], ids=str)
def test_no_standard_descriptor_stays_closed(closed: list[int]) -> None:
    code = f"""
import os
from shim.__main__ import open_standard_descriptors
out = os.dup(1)
for fd in {closed}:
    os.close(fd)
open_standard_descriptors()
null = [fd for fd in range(3) if os.readlink(f"/proc/self/fd/{{fd}}") == os.devnull]
above = [fd for fd in range(3, 10) if os.path.exists(f"/proc/self/fd/{{fd}}")]
os.write(out, f"{{null}} {{above == [out]}}".encode())
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, input=b"", capture_output=True)
    assert result.stdout.decode() == f"{closed} True", result.stderr.decode()
