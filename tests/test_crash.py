"""What khshim does when it fails itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.khshim import Shim
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
    assert run.exit_status == 70
    assert "urllib3" in run.event("bug")["message"]
