"""Files on a volume that does not answer."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shim.hang import Hang, call
from shim.signals import SignalInbox
from tests.support import hung_volume
from tests.support.khshim import Shim

Write = Callable[..., str]


MakeShim = Callable[..., Shim]


MakeHang = Callable[[str, str], "subprocess.Popen[bytes]"]


@pytest.fixture
def hang() -> Iterator[MakeHang]:
    """Make a file hang for who opens or executes it, until the returned process ends."""
    with ExitStack() as stack:

        def start(kind: str, path: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, hung_volume.__file__, kind, path]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.enter_context(process)  # which closes its stdin, and so ends it
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                pytest.skip("needs fanotify's permission events, and root")
            return process

        yield start


def wait_until_asked(volume: subprocess.Popen[bytes]) -> None:
    assert volume.stdout is not None and volume.stdout.readline() == b"asked\n"


@pytest.mark.parametrize("mode", [0o755, 0o644])
@pytest.mark.parametrize("server", ["v2", "v3"])
def test_a_hung_volume_is_reported_in_time(
    make_shim: MakeShim, script: Write, hang: MakeHang, mode: int, server: str
) -> None:
    shim = make_shim(server, timeout=9)
    path = script("#!/bin/sh\necho started\n", mode=mode)
    hang("open", path)
    run = shim.run(path)
    assert run.stdout == b""
    [error] = run.errors
    assert error.startswith(f"The script was not started: to open and execute {path} took longer")
    assert run.event("report_accepted")["time_left_s"] > 0


def test_the_volume_of_the_interpreter_hangs(
    make_shim: MakeShim, script: Write, hang: MakeHang, tmp_path: Path
) -> None:
    interpreter = tmp_path / "interpreter"
    shutil.copy("/bin/sh", interpreter)
    hang("open", str(interpreter))
    run = make_shim(timeout=9).run(script(f"#!{interpreter}\necho started\n"))
    assert run.stdout == b""
    assert "Does its volume hang" in run.errors[0]


def test_sigterm_while_the_volume_hangs(shim: Shim, script: Write, hang: MakeHang) -> None:
    path = script("#!/bin/sh\necho started\n")
    volume = hang("open", path)
    process = shim.start(path)
    wait_until_asked(volume)
    process.terminate()
    run = shim.finish(process)
    assert run.stdout == b""
    [error] = run.errors
    assert error == (
        f"khshim was told to stop by SIGTERM while the volume of the script {path} did not"
        " answer, so the script was not started."
    )


def test_a_volume_that_comes_back_in_time_is_no_failure(
    shim: Shim, script: Write, hang: MakeHang
) -> None:
    path = script("#!/bin/sh\necho started\n")
    volume = hang("open", path)
    process = shim.start(path)
    wait_until_asked(volume)
    threading.Event().wait(0.2)  # several looks at the clock
    assert volume.stdin is not None
    volume.stdin.close()
    run = shim.finish(process)
    assert run.ok and run.stdout == b"started\n"


def test_a_script_that_exec_brings_too_late_is_not_run(
    make_shim: MakeShim, python_script: Write, hang: MakeHang
) -> None:
    """posix_spawn(3) waits for exec, and the whole interpreter with it."""
    shim = make_shim(timeout=60)
    path = python_script("print('started')")
    volume = hang("exec", path)
    process = shim.start(path, env={"SHIM_TIMEOUT": "1s"})
    wait_until_asked(volume)
    threading.Event().wait(1.5)  # beyond the moment of its SIGTERM
    assert volume.stdin is not None
    volume.stdin.close()
    run = shim.finish(process)
    assert run.stdout == b""
    assert re.search(r"was not started.* longer than the \d\.\d s there were", run.errors[0])


def test_what_a_call_returns_or_raises(inbox: SignalInbox) -> None:
    assert call(lambda: "text", None, inbox) == "text"
    with pytest.raises(ZeroDivisionError):
        call(lambda: 1 // 0, None, inbox)


@pytest.fixture
def never() -> Iterator[Callable[[], bytes]]:
    """A call that hangs until the end of the test."""
    reader, writer = os.pipe()
    yield lambda: os.read(reader, 1)
    os.close(writer)


def test_a_call_that_hangs_ends_at_its_time(inbox: SignalInbox, never: Callable[[], bytes]) -> None:
    with pytest.raises(Hang) as caught:
        call(never, time.monotonic() + 0.1, inbox)
    assert caught.value.stopped_by is None


def test_a_call_that_hangs_ends_at_a_terminating_signal(
    inbox: SignalInbox, never: Callable[[], bytes]
) -> None:
    signal.raise_signal(signal.SIGUSR1)  # is no reason to end
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(Hang) as caught:
        call(never, None, inbox)
    assert caught.value.stopped_by == signal.SIGINT


def test_a_hung_folder_is_reported_in_time(
    make_shim: MakeShim, script: Write, hang: MakeHang, tmp_path: Path
) -> None:
    shim = make_shim(timeout=9)
    script("#!/bin/sh\n", "a.sh")
    hang("open", script("#!/bin/sh\n", "check"))  # opened to see whether it is a script
    run = shim.run(str(tmp_path))
    assert run.errors == [
        f"The folder {tmp_path} did not answer in time, so no script of it was run."
    ]
    assert shim.receiver.stored_at is not None
    assert shim.receiver.stored_at < shim.receiver.deadline


def test_a_script_of_a_folder_that_hangs_is_reported(
    make_shim: MakeShim, script: Write, hang: MakeHang, tmp_path: Path
) -> None:
    shim = make_shim(timeout=9)
    script("#!/bin/sh\necho failed >&2\nexit 1\n", "a.sh")
    hang("exec", script("#!/bin/sh\n", "b.sh"))
    run = shim.run(str(tmp_path), env={"SHIM_PARALLEL": "1"})
    # Nothing in the process that waits in exec can act, but the others can.
    assert run.errors[0].startswith("Timed out: the runner of the scripts was still running after")
    assert run.errors[1:] == [
        "1 of 2 scripts failed: a.sh.",
        "1 of 2 scripts had not ended: b.sh.",
        "a.sh: failed",
    ]
