"""Adopting what a script leaves behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, subprocess, sys
from shim.subreaper import adopt_orphans
{before}
print(adopt_orphans())
shell = "sleep 1000 >&- 2>&- & echo $!"
orphan = int(subprocess.run(["sh", "-c", shell], stdout=subprocess.PIPE).stdout)
with open(f"/proc/{{orphan}}/stat") as file:
    parent = int(file.read().rpartition(")")[2].split()[1])
os.kill(orphan, 9)
print(parent == os.getpid())
"""


@pytest.mark.parametrize(
    ("before", "adopts"), [("", True), ("sys.modules['ctypes'] = None", False)]
)
def test_orphans_are_adopted_where_that_is_said(before: str, adopts: bool) -> None:
    code = CODE.format(before=before)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == [str(adopts)] * 2, result.stderr
