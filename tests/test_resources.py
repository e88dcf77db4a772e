"""What a script used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.khshim import Shim

Write = Callable[..., str]


def test_resource_use_is_in_the_log(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\npython3 -c 'x = bytearray(60_000_000); sum(range(3_000_000))'\n")
    event = shim.run(path).event("script_exited")
    assert event["cpu_s"] > 0.02
    assert event["peak_memory_bytes"] > 60_000_000


def test_what_children_used_and_only_once_they_are_reaped(tmp_path: Path) -> None:
    code = """
import os, subprocess, sys
from shim.cgroup import MemoryCgroup
from shim.supervise.resources import usage_of_children
before = usage_of_children(None)
script = "x = bytearray(50_000_000); sum(range(3_000_000)); print(flush=True); input()"
pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child = subprocess.Popen([sys.executable, "-c", script], **pipes)
child.stdout.readline()
during = usage_of_children(None)
child.communicate(b"\\n")
after = usage_of_children(MemoryCgroup("", "", sys.argv[1]))
assert during == before
assert after.cpu_seconds > before.cpu_seconds + 0.02
assert after.peak_memory > 50_000_000
print(before.cgroup_peak_memory, after.cgroup_peak_memory)
"""
    (tmp_path / "memory.peak").write_text("12345\n")
    command = [sys.executable, "-c", code, str(tmp_path / "memory.peak")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.split() == ["None", "12345"], result.stderr
