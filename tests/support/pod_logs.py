"""The log of a pod: what khshim and its script write, in one stream as `kubectl logs` shows it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.khshim import NO_CHANGES, Shim

Act = Callable[["subprocess.Popen[bytes]"], None]


def nothing(process: subprocess.Popen[bytes]) -> None:
    """Leave a run alone."""


def log_of(
    shim: Shim,
    *args: str,
    env: Mapping[str, str] = NO_CHANGES,
    act: Act = nothing,
    until: bytes = b"script_started",
    prefix: Sequence[str] = (),
) -> bytes:
    """Return the log of one run; `act` gets the process when a line with `until` is there."""
    names = {"KH_POD_NAMESPACE": "shop", "SHIM_CHECK_NAME": "web"}
    process = shim.start(
        *args, env={**names, **env}, prefix=prefix, stderr=subprocess.STDOUT, bufsize=0
    )
    assert process.stdout is not None
    log = b""
    while line := process.stdout.readline():
        log += line
        if until in line:
            act(process)
            act = nothing
    process.wait()
    process.stdout.close()
    return log


def send(signum: signal.Signals) -> Act:
    """Return what sends a signal to khshim."""
    return lambda process: process.send_signal(signum)


def kill_all_of(process: subprocess.Popen[bytes]) -> None:
    """Kill khshim as the kernel does a container: the script, in a group of its own, as well."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    process.kill()
    for pid in children.split():
        os.killpg(int(pid), signal.SIGKILL)
