"""SIGTERM at a thousand random moments: `make test-faults`."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shim import exit_status
from shim.commands.fake_kuberhealthy import Receiver
from shim.kuberhealthy import Server
from tests.support.khshim import Run, Shim
from tests.support.processes import LISTENER, is_alive

RUNS = int(os.environ.get("KHSHIM_FAULT_RUNS", "1000"))
WORKERS = 4

Write = Callable[..., str]


def pids_of(marker: str) -> list[int]:
    """Return the processes whose environment has the marker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if marker.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("latest", "signals", "kind"),
    [
        (0.03, 1, "before and while it starts"),
        (0.15, 1, "while imports are running, as the script exits, during delivery"),
        (0.3, 2, "twice"),
        (1.2, 1, "together with the deadline"),
    ],
)
def test_no_run_ends_without_a_reason(
    python_script: Write, script: Write, latest: float, signals: int, kind: str
) -> None:
    listener = python_script(LISTENER)
    short = script("#!/bin/sh\nsleep 0.05\necho failed >&2\nexit 1\n")
    seed = random.randrange(10**9)
    print(f"{kind}: seed {seed}")
    rng = random.Random(seed)
    plans = [[rng.uniform(0, latest) for _ in range(signals)] for _ in range(RUNS)]

    def one(number: int) -> str:
        with Receiver(Server.V3, 60) as receiver:
            shim = Shim(receiver)
            marker = f"KHSHIM_TEST_MARKER={os.getpid()}-{number}"
            name, _, value = marker.partition("=")
            env = {name: value, "SHIM_GRACE_PERIOD": "100ms"}
            arguments = [listener, "SIGTERM", "1"] if number % 2 else [short]
            if kind == "together with the deadline":
                env["KH_CHECK_RUN_DEADLINE"] = str(time.time() + 1.2)
            process = shim.start(*arguments, env=env)
            started_at = time.monotonic()
            for at in sorted(plans[number]):
                # The moment is what is tested: there is no event to wait for.
                threading.Event().wait(max(0.0, started_at + at - time.monotonic()))
                process.send_signal(signal.SIGTERM)
            stdout, stderr = process.communicate(timeout=30)
            shim.check_requests()
            run = Run(process.returncode, stdout, stderr, receiver.stored)
            left = [pid for pid in pids_of(marker) if is_alive(pid)]
            assert not left, f"left: {left}"
            if run.report is not None:
                return "reported"
            if run.exit_status == -signal.SIGTERM:
                # Before Python had a handler; nothing had been started.
                assert b"script_started" not in stderr
                return "died of SIGTERM before it began"
            assert run.exit_status in (exit_status.UNDELIVERED, exit_status.REFUSED), (
                run.exit_status,
                stderr,
            )
            assert [line for line in run.log if line["event"].startswith("report_")], stderr
            return f"exit status {run.exit_status}, and a log line"

    with ThreadPoolExecutor(WORKERS) as pool:
        endings = Counter(pool.map(one, range(RUNS)))
    print(dict(endings))
    assert endings["reported"] > 0 or latest < 0.1


@pytest.mark.timeout(1800)
def test_a_folder_that_is_stopped_at_any_moment(tmp_path: Path) -> None:
    """Each script is told of once: it passed, it failed, it had not ended, or it was not run."""
    for number in range(6):
        path = tmp_path / f"{number}.sh"
        path.write_text(f"#!/bin/sh\nsleep 0.0{number}\necho words >&2\nexit {number % 2}\n")
        path.chmod(0o755)
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    rng = random.Random(seed)
    plans = [rng.uniform(0, 0.8) for _ in range(RUNS)]

    def one(number: int) -> str:
        with Receiver(Server.V3, 60) as receiver:
            shim = Shim(receiver)
            name, value = "KHSHIM_TEST_MARKER", f"folder-{os.getpid()}-{number}"
            process = shim.start(str(tmp_path), env={name: value, "SHIM_PARALLEL": "2"})
            # The moment is what is tested: there is no event to wait for.
            threading.Event().wait(plans[number])
            process.send_signal(signal.SIGTERM)
            stdout, stderr = process.communicate(timeout=30)
            shim.check_requests()
            left = [pid for pid in pids_of(f"{name}={value}") if is_alive(pid)]
            assert not left, f"left: {left}"
            run = Run(process.returncode, stdout, stderr, receiver.stored)
            if run.report is None:
                assert run.exit_status == -signal.SIGTERM and b"started" not in stderr
                return "died of SIGTERM before it began"
            if "had ended" not in run.errors[0] and "of 6 scripts" not in run.errors[0]:
                return "told to stop before there was a script"
            told = "\n".join(error for error in run.errors if " of 6 scripts " in error)
            names = [f"{n}.sh" for n in range(6) if f"{n}.sh" in told]
            passed = run.event("folder_ended")["passed"]
            assert len(names) + passed == 6 or not told, run.errors
            return "stopped" if "told to stop" in run.errors[0] else "ended"

    with ThreadPoolExecutor(WORKERS) as pool:
        endings = Counter(pool.map(one, range(RUNS)))
    print(dict(endings))
    assert endings["stopped"] > 0


@pytest.mark.timeout(600)
def test_every_exit_status(script: Write) -> None:
    path = script('#!/bin/sh\nexit "$1"\n')

    def one(status: int) -> None:
        with Receiver(Server.V3, 60) as receiver:
            run = Shim(receiver).run(path, str(status))
            assert run.exit_status == 0
            if status == 0:
                assert run.report == (True, [])
            else:
                [error] = run.errors
                assert error.startswith(f"The script exited with status {status} ") or (
                    status > 125 and f"status {status}" in error
                )

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(one, range(256)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunk", ["x" * 100, "\\n", "line\\n"])
def test_a_gibibyte(python_script: Write, chunk: str) -> None:
    path = python_script(
        "import os, sys\n"
        f"chunk = (b'{chunk}' * 65536)[:65536]\n"
        "for _ in range(16384): os.write(2, chunk)\n"
        "print(open(f'/proc/{os.getppid()}/status').read())\n"
        "sys.exit(1)\n"
    )
    with Receiver(Server.V3, 120) as receiver:
        run = Shim(receiver).run(path, stderr=subprocess.DEVNULL)
    assert not run.ok
    [peak] = [line for line in run.stdout.decode().splitlines() if line.startswith("VmHWM")]
    print(peak)
    assert int(peak.split()[1]) < 40 * 1024


@pytest.mark.timeout(1200)
def test_the_deadline_is_met_with_both_cores_loaded(python_script: Write) -> None:
    """200 scripts that ignore SIGTERM: each report is accepted before the deadline."""
    path = python_script(LISTENER)
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]

    def one(_: int) -> float:
        with Receiver(Server.V3, 4) as receiver:
            run = Shim(receiver).run(path)
            assert run.exit_status == 0 and "was killed" in run.errors[0]
            assert receiver.stored_at is not None
            return receiver.deadline - receiver.stored_at

    try:
        with ThreadPoolExecutor(WORKERS) as pool:
            left = list(pool.map(one, range(min(RUNS, 200))))
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    print(f"time left at the end: at least {min(left):.3f} s")
    assert min(left) > 0
