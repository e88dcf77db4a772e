"""Waiting for processes, and scripts that tell of the signals they get."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest


def is_alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process that is not a child of this one."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(fd):
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(10_000), f"process {pid} is still there"


# Prints the name of each signal it gets; ends on its own when it gets one named in
# its arguments, with the status that follows the name.
LISTENER = """
import os, signal, sys
on = dict(zip(sys.argv[1::2], map(int, sys.argv[2::2])))
def handle(number, frame):
    name = signal.Signals(number).name
    os.write(1, f"{name}\\n".encode())
    if name in on:
        os._exit(on[name])
for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2"):
    signal.signal(getattr(signal, "SIG" + name), handle)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""


def lines(process: subprocess.Popen[bytes]) -> Callable[[], str]:
    """Return a function that waits for the next line on a process's stdout."""
    assert process.stdout is not None
    stdout = process.stdout

    def next_line() -> str:
        return stdout.readline().decode().strip()

    return next_line


def command_lines() -> Iterator[bytes]:
    """Yield the command line of every process, its words ended by NUL (proc(5))."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            yield path.read_bytes()


def pid_1() -> list[str]:
    """The command that makes what follows PID 1 of a namespace of its own."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare(1)")
    return ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
