from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.commands import pod
from tests.support.khshim import KHSHIM, Shim

pytestmark = pytest.mark.whole_run

Write = Callable[..., str]
INSTALLED = [str(Path(sys.executable).parent / "khshim")]
ISOLATED = [sys.executable, "-I", *INSTALLED]
WAITS = "#!/bin/sh\necho ready >&2\nexec sleep 1000\n"


def command_of(shim: Shim, *words: str, **environ: str) -> list[str]:
    """Start a command that runs the script WAITS, and look at it from beside it."""
    process = subprocess.Popen(
        words,
        env={**shim.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stderr is not None
        try:
            assert "ready\n" in iter(process.stderr.readline, "")
            return pod.command(process.pid)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.stderr.read()  # until the last of them has ended


@pytest.mark.parametrize("khshim", [KHSHIM, INSTALLED, ISOLATED])
@pytest.mark.parametrize("words", [[], ["run"], ["run", "--"], ["--"]])
def test_the_script_on_its_command_line(
    shim: Shim, script: Write, khshim: list[str], words: list[str]
) -> None:
    asked = [script(WAITS), "a b", "", "--", "khshim", "x"]
    assert command_of(shim, *khshim, *words, *asked) == asked


def test_the_script_in_its_environment(shim: Shim, script: Write) -> None:
    assert command_of(shim, *KHSHIM, SHIM_SCRIPT=script(WAITS)) == []
    assert command_of(shim, *KHSHIM, "run", SHIM_SCRIPT=script(WAITS)) == []


def test_an_init_that_starts_it(shim: Shim, script: Write) -> None:
    asked = [script(WAITS), "x"]
    init = ["/bin/sh", "-c", '"$@"; exit', "init"]
    assert command_of(shim, *init, *INSTALLED, *asked) == asked


def test_other_processes(shim: Shim, script: Write) -> None:
    path = script(WAITS)
    assert command_of(shim, path) == []
    assert command_of(shim, *KHSHIM, "try", path) == []
    assert pod.command(2**22 + 1) == []
