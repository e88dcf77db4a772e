"""What khshim does when it fails itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shim import exit_status
from shim.commands.fake_kuberhealthy import Receiver
from shim.crash import describe
from shim.kuberhealthy import Server
from shim.settings import Settings
from tests.support.khshim import Shim, base_environ
from tests.support.manifests import ROOT
from tests.support.processes import is_alive, wait_until_gone

Write = Callable[..., str]


def test_a_bug_is_reported_and_nothing_is_left(shim: Shim, script: Write, tmp_path: Path) -> None:
    # A library that breaks under khshim, put in its way by the site's own hook.
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import sys\n"
        "if sys.argv and 'shim' in ' '.join(sys.orig_argv):\n"
        "    import selectors\n"
        "    class Broken(selectors.PollSelector):\n"
        "        def select(self, timeout=None): raise RuntimeError('broken on purpose')\n"
        "    selectors.PollSelector = Broken\n"
    )
    path = script("#!/bin/sh\nsetsid sleep 1000 &\necho $! > pid\nexec sleep 1000\n")
    run = shim.run(path, cwd=tmp_path, env={"PYTHONPATH": str(hook)})
    assert run.exit_status == 70
    [error] = run.errors
    assert "khshim itself failed" in error and "broken on purpose" in error
    assert "Traceback" in run.event("bug")["traceback"]
    wait_until_gone(run.event("script_started")["pid"])
    assert not is_alive(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    "broken",
    [
        "shim.start",
        "shim.settings",
        "shim.finish",
        "shim.observe.log",
        "shim.supervise.capture",
        "shim.supervise.loop",
        "shim.report.build",
    ],
)
def test_a_bug_anywhere_is_reported_or_logged(
    shim: Shim, script: Write, tmp_path: Path, broken: str
) -> None:
    """A module that cannot be imported stands for any bug in it."""
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'shim' in ' '.join(sys.orig_argv):\n"
        "    class Broken:\n"
        "        def find_spec(self, name, path=None, target=None):\n"
        f"            if name == {broken!r}: raise RuntimeError('broken on purpose')\n"
        "    sys.meta_path.insert(0, Broken())\n"
    )
    run = shim.run(script("#!/bin/sh\nexec sleep 1000\n"), env={"PYTHONPATH": str(hook)})
    assert run.exit_status == 70
    assert "broken on purpose" in run.event("bug")["message"]
    if run.report is not None:
        assert "khshim itself failed" in run.errors[0]
    else:  # what is broken is needed for a report as well
        assert "could not be reported" in run.event("report_undelivered")["message"]


def test_without_urllib3(shim: Shim, script: Write, tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import sys\nif 'shim' in ' '.join(sys.orig_argv): sys.modules['urllib3'] = None\n"
    )
    run = shim.run(script("#!/bin/sh\nexit 0\n"), env={"PYTHONPATH": str(hook)})
    assert run.exit_status == 78
    assert "urllib3" in run.event("not_installed")["message"]


def test_a_bug_is_described_with_its_place() -> None:
    try:
        Settings({"SHIM_ARGS": 7})  # type: ignore[dict-item]  # a bug of the caller's
    except Exception as error:
        sentence = describe(error)
    assert sentence.startswith("khshim itself failed, which is a bug in it, not in the script: ")
    assert re.search(r"\(\w+\.py, line \d+\)", sentence)


@pytest.mark.parametrize(("server", "late"), [("v2", False), ("v3", False), ("v2", True)])
def test_a_bug_is_logged_and_reported(server: str, late: bool) -> None:
    with Receiver(Server(server), -1 if late else 20) as receiver:
        result = give_up({**base_environ(), **receiver.environment()})
        assert receiver.stored is not None
        ok, [error] = receiver.stored
    assert not ok and "broken on purpose" in error
    bug, reported = [json.loads(line) for line in result.stderr.splitlines()]
    assert bug["event"] == "bug" and "Traceback" in bug["traceback"]
    assert (reported["event"], reported["level"]) == ("crash_reported", "error")


def test_a_bug_that_has_nowhere_to_go_is_logged() -> None:
    result = give_up(base_environ())
    [bug] = [json.loads(line) for line in result.stderr.splitlines()]
    assert "broken on purpose" in bug["message"]


def test_a_bug_that_cannot_even_be_logged() -> None:
    assert give_up(base_environ(), "2>/dev/full").stderr == b""


def give_up(environ: dict[str, str], redirection: str = "") -> subprocess.CompletedProcess[bytes]:
    code = """
import os
from shim.crash import give_up
try:
    raise RuntimeError("broken on purpose")
except RuntimeError as error:
    os._exit(give_up(error, os.environ, None))
"""
    command = ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", code]
    result = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True)
    assert result.returncode == exit_status.BUG, result.stderr
    return result
