"""The script's processes: which of them a signal reaches, and which are reaped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.processes import is_alive, pid_1, wait_until_gone

# A process of its own does it, since it adopts and kills what is not its own.
BEGIN = """
import os, select, signal, sys
from shim import crash
from shim.spawn import spawn
from shim.subreaper import adopt_orphans
from shim.supervise.processes import Processes
adopts = sys.argv[2] == "adopt" and adopt_orphans()
child = spawn(["/bin/sh", "-c", sys.argv[1]], os.environ)
child.orphans_are_adopted = adopts
poll = select.poll()
poll.register(child.stdout, select.POLLIN)
def line():
    text = b""
    while not text.endswith(b"\\n"):
        poll.poll()
        text += os.read(child.stdout, 100)
    return text.decode().strip()
def ends():
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
processes = Processes(child)
"""
# Prints the pid of what is in a session of its own by then, and has lost its parent.
ESCAPED = """
pid=$( (setsid sh -c 'echo $$; exec sleep 1000 >&- 2>&-' &) )
echo $pid
exec sleep 1000
"""


def run(code: str, script: str, *prefix: str, adopts: bool = False) -> list[str]:
    """Run `code` behind BEGIN, and return the words that it prints."""
    command = [*prefix, sys.executable, "-c", BEGIN + code, script, "adopt" if adopts else ""]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stderr == ""
    return result.stdout.split()


def test_the_script_is_seen_to_end_before_it_is_reaped() -> None:
    code = """
print(processes.has_script_ended(), processes.reap_script())
os.kill(child.pid, signal.SIGKILL)
ends()
print(processes.has_script_ended(), processes.has_script_ended(), processes.reap_script().si_status)
"""
    assert run(code, "exec sleep 1000") == ["False", "None", "True", "True", "9"]


def test_an_orphan_is_reaped_without_the_script() -> None:
    code = """
pid = int(line())
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print(processes.has_script_ended(), os.path.exists(f"/proc/{pid}"))
processes.kill()
"""
    orphan = "pid=$( (true & echo $!) ); echo $pid; exec sleep 1000"
    assert run(code, orphan, adopts=True) == ["False", "False"]


@pytest.mark.parametrize(("adopts", "dies"), [(True, True), (False, False)])
def test_what_left_the_group_is_ended_where_it_was_adopted(adopts: bool, dies: bool) -> None:
    code = """
pid = line()
crash.kill_script(child)
print(pid, child.pid)
"""
    escaped, script = map(int, run(code, ESCAPED, adopts=adopts))
    try:
        wait_until_gone(script)
        assert is_alive(escaped) is not dies
    finally:
        if not dies:
            os.kill(escaped, signal.SIGKILL)


def test_termination_reaches_what_left_the_group_and_continues_what_is_stopped() -> None:
    code = """
pid = int(line())
os.kill(pid, signal.SIGSTOP)
os.waitid(os.P_PID, pid, os.WSTOPPED)
processes.terminate()
for ended in (pid, child.pid):
    print(os.waitid(os.P_PID, ended, os.WEXITED).si_status)
"""
    assert run(code, ESCAPED, adopts=True) == [str(int(signal.SIGTERM))] * 2


def test_a_group_that_is_gone_is_no_error() -> None:
    code = """
ends()
processes.reap_script()
processes.signal_group(signal.SIGTERM, is_to_end=True)
processes.kill()
print(processes.reap_others())
"""
    assert run(code, "exit 0") == ["False"]


def test_pid_1_ends_everything() -> None:
    code = """
pid = int(line())
processes.terminate()
ends()
processes.kill()
processes.reap_script()
while processes.reap_others():
    processes.kill_others()
print(os.path.exists(f"/proc/{pid}"))
"""
    deaf = "(trap '' TERM; exec setsid sleep 1000 >&- 2>&-) & echo $!; exec sleep 1000"
    assert run(code, deaf, *pid_1()) == ["False"]
