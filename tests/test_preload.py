"""Importing the HTTP client while the script runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

# What is imported stays imported, so each case is a process of its own.
PRELOAD = """
import gc, sys, threading
from shim.delivery.worker import Worker
from shim.preload import preload
gc.disable()
{before}
assert preload(Worker()).wait(20)
print("urllib3" in sys.modules, gc.isenabled(), gc.get_freeze_count() > 0)
"""
NO_THREAD = "threading.stack_size(1 << 47)  # more than a process can address"
BROKEN = "sys.modules['urllib3.connection'] = None"


@pytest.mark.parametrize(
    ("before", "printed"),
    [
        ("", ["True", "True", "True"]),
        (NO_THREAD, ["False", "True", "False"]),
        (BROKEN, ["False", "True", "True"]),
    ],
    ids=["imports", "no thread", "broken"],
)
def test_preload(before: str, printed: list[str]) -> None:
    """Whatever becomes of it, nobody waits for ever, and garbage is collected again."""
    code = PRELOAD.format(before=before)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == printed, result.stderr
    assert result.stderr == ""
