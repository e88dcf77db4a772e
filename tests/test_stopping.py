"""Signals, limits, and what is left of a script afterwards."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shim import signals
from shim.signals import FORWARDED
from shim.supervise.loop import LAST_WORDS
from tests.support.khshim import Run, Shim
from tests.support.processes import LISTENER, command_lines, is_alive, lines, pid_1, wait_until_gone

Write = Callable[..., str]
MakeShim = Callable[..., Shim]


def test_every_signal_is_forwarded(shim: Shim, python_script: Write) -> None:
    process = shim.start(python_script(LISTENER), "SIGTERM", "0")
    next_line = lines(process)
    assert next_line() == "ready"
    for sent in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"):
        process.send_signal(getattr(signal, sent))
        assert next_line() == sent
    run = shim.finish(process)
    # A script that exits 0 after a SIGTERM that khshim itself received has passed.
    assert run.ok
    forwarded = [line["signal"] for line in run.log if line["event"] == "signal_forwarded"]
    assert forwarded == ["SIGUSR1", "SIGUSR2", "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"]


# Prints the number of each signal it gets; ends when it gets the one in its argument.
COUNTER = """
import os, signal, sys
got = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
signal.pthread_sigmask(signal.SIG_BLOCK, got)
os.write(1, b"ready\\n")
while True:
    signum = signal.sigwait(got)
    os.write(1, f"{int(signum)}\\n".encode())
    if signum == int(sys.argv[1]):
        sys.exit(0)
"""


def test_all_that_can_be_caught_is_forwarded(shim: Shim, python_script: Write) -> None:
    process = shim.start(python_script(COUNTER), str(int(signal.SIGTERM)))
    next_line = lines(process)
    assert next_line() == "ready"
    last = {signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM}
    for signum in [*sorted(FORWARDED - last), *sorted(last)]:
        process.send_signal(signum)
        # With SIGCONT behind it where a stopped script is to end.
        assert next_line() == str(int(signum))
        if signum in last and signum != signal.SIGTERM:
            assert next_line() == str(int(signal.SIGCONT))
    run = shim.finish(process)
    assert run.ok
    forwarded = [line["signal"] for line in run.log if line["event"] == "signal_forwarded"]
    assert {"SIGWINCH", "SIGXCPU", "SIGSTKFLT", "SIGABRT", "SIGTRAP", "SIGRTMIN+3"} < {*forwarded}
    assert len(forwarded) == len(FORWARDED)


@pytest.mark.parametrize(
    ("setting", "received", "sent"),
    [
        ("SIGRTMIN+3", signal.SIGTERM, signal.SIGRTMIN + 3),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3, signal.SIGRTMIN + 3),
        ("WINCH", signal.SIGWINCH, signal.SIGWINCH),
        ("WINCH", signal.SIGINT, signal.SIGINT),
    ],
)
def test_a_stop_signal_of_its_own(
    shim: Shim, python_script: Write, setting: str, received: int, sent: int
) -> None:
    """The script's own stands in for SIGTERM; from an image's STOPSIGNAL it stops khshim too."""
    env = {"SHIM_STOP_SIGNAL": setting, "SHIM_GRACE_PERIOD": "300ms"}
    process = shim.start(python_script(COUNTER), "0", env=env)
    next_line = lines(process)
    assert next_line() == "ready"
    process.send_signal(received)
    assert {next_line(), next_line()} == {str(int(sent)), str(int(signal.SIGCONT))}
    run = shim.finish(process)
    assert run.errors[0].startswith(f"khshim was told to stop by {signals.name(received)} after")
    assert f" of {signals.name(sent)} and was killed." in run.errors[0]
    message = run.event("signal_forwarded")["message"]
    assert (f" as {signals.name(sent)}, by SHIM_STOP_SIGNAL" in message) is (received != sent)


def test_a_limit_sends_the_scripts_own_stop_signal(shim: Shim, python_script: Write) -> None:
    env = {"SHIM_STOP_SIGNAL": "SIGUSR2", "SHIM_TIMEOUT": "500ms"}
    run = shim.run(python_script(LISTENER), "SIGUSR2", "0", env=env)
    assert run.stdout == b"ready\nSIGUSR2\n"
    assert run.errors[0].startswith("Timed out")


def test_an_images_stop_signal_during_the_delivery(shim: Shim) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/check"
        env = {"KH_REPORTING_URL": url, "SHIM_GRACE_PERIOD": "500ms"}
        process = shim.start("/bin/true", env={**env, "SHIM_STOP_SIGNAL": "RTMIN+3"})
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(65536).startswith(b"POST /check")
            process.send_signal(signal.SIGRTMIN + 3)
            stdout, stderr = process.communicate()
    run = Run(process.returncode, stdout, stderr, None)
    assert run.event("signal_received")["signal"] == "SIGRTMIN+3"
    assert run.event("report_undelivered")["latency_s"] < 10


def test_as_pid_1_an_images_stop_signal_is_not_dropped(shim: Shim, python_script: Write) -> None:
    path = python_script("import os, signal\nos.kill(1, signal.SIGRTMIN + 3)\nsignal.pause()\n")
    env = {"SHIM_STOP_SIGNAL": "SIGRTMIN+3"}
    run = shim.run(path, prefix=pid_1(), env=env)
    assert "told to stop by SIGRTMIN+3" in run.errors[0]


def test_a_signal_that_ends_nothing_continues_nothing(shim: Shim, script: Write) -> None:
    """A script that is stopped stays so at a SIGUSR1, and goes on to end at a SIGTERM."""
    path = script(
        "#!/bin/bash\n"
        "trap 'echo usr1' USR1\n"
        "trap 'echo bye; exit 0' TERM\n"
        "echo $$\n"
        "kill -STOP $$\n"
        "while :; do sleep 0.1; done\n"
    )
    process = shim.start(path)
    next_line = lines(process)
    pid = int(next_line())
    wait_until_stopped(pid)
    process.send_signal(signal.SIGUSR1)
    assert process.stderr is not None
    while b"signal_forwarded" not in process.stderr.readline():
        pass
    assert is_stopped(pid)
    process.terminate()
    # Both are delivered once it goes on; the shell runs their traps in the order of numbers.
    assert [next_line(), next_line()] == ["usr1", "bye"]
    assert shim.finish(process).ok


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_until_stopped(pid: int) -> None:
    while not is_stopped(pid):
        pass


def test_a_signal_goes_to_the_whole_group(shim: Shim, script: Write) -> None:
    process = shim.start(
        script(
            "#!/bin/bash\n"
            "(trap 'echo child; exit 0' TERM; sleep 1000 & echo ready; wait) &\n"
            # In every other run bash 5.3 complains of the wait in the trap, whose child has just ended.
            "trap 'wait 2>/dev/null; echo parent; exit 4' TERM\n"
            "wait; wait\n"
        )
    )
    next_line = lines(process)
    assert next_line() == "ready"
    process.terminate()
    assert [next_line(), next_line()] == ["child", "parent"]
    [first, second] = shim.finish(process).errors
    assert first.startswith("khshim was told to stop by SIGTERM after ")
    assert first.endswith("(a deleted or evicted pod?); the script then exited with status 4.")
    assert second == "It wrote nothing to stderr; the last line on stdout: parent"


def test_on_v2_a_deleted_pod_stays_until_its_report_is_seen(
    make_shim: MakeShim, script: Write
) -> None:
    """v2 polls every 5 s, and replaces the report if it sees the pod's deletion first."""
    shim = make_shim("v2")
    process = shim.start(script("#!/bin/sh\necho ready\nexec sleep 60\n"))
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    process.terminate()
    run = shim.finish(process)
    ended_at = time.time()
    assert not run.ok
    assert "5" < run.event("waiting_until_seen")["message"][12:] < "7"
    assert shim.receiver.stored_at is not None
    assert 5.9 < ended_at - shim.receiver.stored_at < 20


@pytest.mark.parametrize("server", ["v2", "v3"])
def test_a_second_sigterm_ends_the_stay(make_shim: MakeShim, script: Write, server: str) -> None:
    shim = make_shim(server)
    process = shim.start(script("#!/bin/sh\necho ready\nexec sleep 60\n"))
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    process.terminate()
    last = b"waiting_until_seen" if server == "v2" else b"report_accepted"
    assert process.stderr is not None
    read = b""
    while last not in read:
        line = process.stderr.readline()
        assert line, read.decode()
        read += line
    process.terminate()
    shim.finish(process)
    assert shim.receiver.stored_at is not None
    assert time.time() - shim.receiver.stored_at < 5


def test_on_v2_a_script_that_ended_by_itself_is_not_waited_for(
    make_shim: MakeShim, script: Write
) -> None:
    run = make_shim("v2").run(script("#!/bin/sh\nexit 1\n"))
    assert "waiting_until_seen" not in [line["event"] for line in run.log]


def test_sigint_is_no_deleted_pod(shim: Shim, script: Write) -> None:
    process = shim.start(script("#!/bin/sh\necho ready\nexec sleep 60\n"))
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    [error, *_] = shim.finish(process).errors
    assert "told to stop by SIGINT" in error and "pod" not in error


def test_a_script_that_dies_of_the_forwarded_signal(shim: Shim, script: Write) -> None:
    process = shim.start(script("#!/bin/sh\necho ready\nexec sleep 1000\n"))
    assert lines(process)() == "ready"
    process.terminate()
    run = shim.finish(process)
    assert run.exit_status == 0
    assert run.errors[0].startswith("khshim was told to stop by SIGTERM after ")
    assert run.errors[0].endswith("before the script had finished.")
    assert run.event("script_exited")["signal"] == "SIGTERM"


def test_a_script_that_ignores_sigterm_is_killed_after_the_grace_period(
    shim: Shim, python_script: Write
) -> None:
    process = shim.start(python_script(LISTENER), env={"SHIM_GRACE_PERIOD": "300ms"})
    next_line = lines(process)
    assert next_line() == "ready"
    process.terminate()
    assert next_line() == "SIGTERM"
    run = shim.finish(process)
    # At least the grace period, and a little more on a machine that is busy.
    assert re.search(r"did not end within 0\.[3-9]\d s of SIGTERM and was killed", run.errors[0])
    assert run.event("script_exited")["signal"] == "SIGKILL"


def test_a_signal_as_early_as_it_can_be(shim: Shim, python_script: Write) -> None:
    """SIGTERM right after the script's start, while khshim is importing."""
    process = shim.start(
        python_script("import os, signal\nos.kill(os.getppid(), signal.SIGTERM)\nsignal.pause()\n")
    )
    run = shim.finish(process)
    assert run.exit_status == 0
    assert "told to stop by SIGTERM" in run.errors[0]


def test_the_deadline_stops_the_script_in_time(make_shim: MakeShim, python_script: Write) -> None:
    shim = make_shim(timeout=8)
    run = shim.run(python_script(LISTENER), "SIGTERM", "0")
    # It exited with 0, but only after the deadline's SIGTERM.
    assert run.errors[0].startswith("Timed out: the script was still running after ")
    assert run.errors[0].endswith("It then exited with status 0, too late to count.")
    event = run.event("script_timed_out")
    assert event["exit_code"] == 0
    assert event["time_left_s"] > 0


@pytest.mark.parametrize("server", ["v2", "v3"])
def test_a_script_that_ignores_the_deadline_is_killed(
    make_shim: MakeShim, python_script: Write, server: str
) -> None:
    shim = make_shim(server, timeout=8)
    run = shim.run(python_script(LISTENER))
    assert "of SIGTERM and was killed." in run.errors[0]
    assert run.stdout == b"ready\nSIGTERM\n"
    assert run.event("report_accepted")["time_left_s"] > 0


def test_a_timeout_of_its_own(shim: Shim, python_script: Write) -> None:
    run = shim.run(
        python_script(LISTENER),
        env={"SHIM_TIMEOUT": "500ms", "SHIM_GRACE_PERIOD": "200ms"},
    )
    sentence = re.fullmatch(
        r"Timed out: the script was still running after (0\.\d\d) s, the limit that SHIM_TIMEOUT sets\."
        r" It did not end within (0\.\d\d) s of SIGTERM and was killed\.",
        run.errors[0],
    )
    assert sentence
    # What a busy machine adds before SIGTERM the grace period lacks: SIGKILL has its moment.
    terminated, killed = map(float, sentence.groups())
    assert 0.5 <= terminated <= 0.7 and 0.69 <= terminated + killed < 0.9


def test_no_grace_period_at_all(shim: Shim, script: Write) -> None:
    run = shim.run(
        script("#!/bin/sh\nexec sleep 1000\n"),
        env={"SHIM_TIMEOUT": "300ms", "SHIM_GRACE_PERIOD": "0"},
    )
    assert re.match(r"Timed out: the script was still running after 0\.\d+ s, ", run.errors[0])
    assert "killed at once" in run.errors[0]


def test_a_stopped_script_still_gets_its_sigterm(shim: Shim, script: Write) -> None:
    run = shim.run(
        script("#!/bin/sh\ntrap 'echo bye; exit 1' TERM\nkill -STOP $$\n"),
        env={"SHIM_TIMEOUT": "500ms"},
    )
    assert run.stdout == b"bye\n"


def test_what_is_left_of_the_group_is_killed(shim: Shim, script: Write) -> None:
    run = shim.run(
        script(
            "#!/bin/bash\n"
            "for n in 1 2 3; do (trap '' TERM HUP; exec sleep 1000) & echo $!; done\n"
        )
    )
    assert run.ok
    for pid in run.stdout.split():
        wait_until_gone(int(pid))


# A filter between the script, whose pid is its argument, and khshim. Its words are passed
# on only once the script has ended, and is nobody's parent any more.
SLOW_FILTER = """
import os, sys
text = sys.stdin.read()
while os.getppid() == int(sys.argv[1]):
    pass
sys.stdout.write(text.upper() * int(sys.argv[2]))
"""


def test_a_filter_that_is_slower_than_the_script(
    shim: Shim, script: Write, python_script: Write
) -> None:
    slow = python_script(SLOW_FILTER)
    path = script(
        "#!/bin/bash\n"
        f"exec 2> >(exec {slow} $$ 1 >&2) > >(exec {slow} $$ 500000)\n"
        "echo x; echo failed >&2; exit 2\n"
    )
    run = shim.run(path)
    assert run.errors == ["FAILED"]
    assert run.event("script_exited")["exit_code"] == 2
    assert run.stdout == b"X\n" * 500_000  # more than a pipe holds: the log still gets all


def reported_after(shim: Shim, run: Run) -> float:
    """The seconds from the end of a script that printed it to the report."""
    assert shim.receiver.stored_at is not None
    return shim.receiver.stored_at - float(run.stdout.split()[-1])


def test_what_holds_the_pipes_for_ever_costs_a_short_wait(shim: Shim, script: Write) -> None:
    run = shim.run(script("#!/bin/bash\nsleep 1000 &\necho failed >&2\ndate +%s.%N\nexit 1\n"))
    assert run.errors == ["failed"]
    assert LAST_WORDS < reported_after(shim, run) < LAST_WORDS + 10
    # The script itself took no longer.
    assert run.event("script_exited")["duration_s"] < LAST_WORDS


@pytest.mark.parametrize("left", ["", "sleep 1000 > /dev/null 2>&1 &", "sleep 1000 >&- 2>&- &"])
def test_what_holds_no_pipe_costs_nothing(shim: Shim, script: Write, left: str) -> None:
    run = shim.run(script(f"#!/bin/bash\n{left}\necho failed >&2\ndate +%s.%N\nexit 1\n"))
    assert run.errors == ["failed"]
    assert reported_after(shim, run) < LAST_WORDS


def test_what_still_holds_the_pipes_is_asked_to_end_before_it_is_killed(
    shim: Shim, script: Write
) -> None:
    path = script(
        "#!/bin/bash\n"
        "(trap 'echo flushed >&2; exit' TERM; echo $BASHPID; while :; do sleep 0.1; done) &\n"
        "(trap '' TERM; echo $BASHPID; while :; do sleep 0.1; done) &\n"
        "read -r line < <(sleep 0.3)\n"
        "exit 1\n"
    )
    run = shim.run(path)
    assert run.errors[-1] == "flushed"
    for pid in run.stdout.split():
        wait_until_gone(int(pid))


def test_sigterm_during_the_delivery_leaves_the_grace_period(script: Write, shim: Shim) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/check"
        process = shim.start(
            "/bin/true", env={"KH_REPORTING_URL": url, "SHIM_GRACE_PERIOD": "500ms"}
        )
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(65536).startswith(b"POST /check")
            process.terminate()
            stdout, stderr = process.communicate()
    run = Run(process.returncode, stdout, stderr, None)
    assert run.exit_status == 69
    assert run.event("signal_received")["signal"] == "SIGTERM"
    assert run.event("report_undelivered")["latency_s"] < 10


def test_sigterm_during_the_delivery_does_not_abort_it(shim: Shim) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/check"
        process = shim.start("/bin/true", env={"KH_REPORTING_URL": url})
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(65536)
            process.terminate()
            assert process.stderr is not None
            while b"signal_received" not in process.stderr.readline():
                pass
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            process.communicate()
    assert process.returncode == 0


def test_as_pid_1_orphans_are_reaped_while_the_script_runs(shim: Shim, script: Write) -> None:
    path = script(
        "#!/bin/bash\n"
        "for n in {1..100}; do (setsid true &) ; done\n"
        "until [ $(ps -e -o ppid=,stat= | grep -c '^ *1 Z') = 0 ] &&"
        " [ $(pgrep -c true) = 0 ]; do :; done\n"
        "ps -e -o stat= | grep -c Z\n"
        "exit 3\n"
    )
    run = shim.run(path, prefix=pid_1())
    assert run.stdout == b"0\n"
    assert run.event("script_exited")["exit_code"] == 3


def test_as_pid_1_nothing_that_escaped_is_left(shim: Shim, script: Write) -> None:
    run = shim.run(
        script(
            "#!/bin/bash\n"
            "setsid bash -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 1000; done' &\n"
            "until [ -s pid ]; do :; done\n"
            "(setsid bash -c 'exec -a escaped-marker sleep 1000' &) \n"
            "echo failed >&2; exit 1\n"
        ),
        prefix=pid_1(),
        cwd=os.path.dirname(script("", "unused")),
    )
    assert run.errors == ["failed"]
    assert run.event("script_exited")["duration_s"] < 10
    assert not [line for line in command_lines() if b"escaped-marker" in line]


def test_as_pid_1_sigterm_is_not_lost(shim: Shim, python_script: Write) -> None:
    process = shim.start(
        python_script("import os, signal\nos.kill(1, signal.SIGTERM)\nsignal.pause()\n"),
        prefix=pid_1(),
    )
    assert "told to stop by SIGTERM" in shim.finish(process).errors[0]


# khshim adopts orphans from a moment after the script's start on, which it then logs.
ESCAPES = """#!/bin/bash
cat > /dev/null < go
{escape}
until [ "$(wc -l < escaped)" = 2 ]; do :; done
exit 3
"""
# Ends neither by signals nor with its parent, and has a child.
SLEEPER = """#!/bin/bash
trap '' TERM HUP
sleep 1000 &
echo $! >> escaped
echo $$ >> escaped
wait
"""


@pytest.mark.parametrize(
    "escape",
    [
        "setsid ./sleeper &",
        "set -m; ./sleeper &",
        "(setsid ./sleeper > /dev/null 2>&1 &)",
        "(setsid bash -c '(setsid ./sleeper &) ; sleep 1000' > /dev/null 2>&1 &)",
        "set -m; exec 2> >(./sleeper > /dev/null 2>&1)",
    ],
)
def test_without_being_pid_1_nothing_that_escaped_is_left(
    shim: Shim, script: Write, tmp_path: Path, escape: str
) -> None:
    script(SLEEPER, "sleeper")
    (tmp_path / "escaped").touch()
    os.mkfifo(tmp_path / "go")
    process = shim.start(script(ESCAPES.format(escape=escape)), cwd=tmp_path)
    let_go_once_started(process, tmp_path / "go")
    run = shim.finish(process)
    assert run.event("script_exited")["exit_code"] == 3
    pids = (tmp_path / "escaped").read_text().split()
    assert len(pids) == 2
    # Reaped already, not only killed.
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def let_go_once_started(process: subprocess.Popen[bytes], fifo: Path) -> None:
    assert process.stderr is not None
    assert b"script_started" in process.stderr.readline()
    fifo.write_bytes(b"")


def test_what_was_there_before_the_script_is_left_alone(
    shim: Shim, script: Write, tmp_path: Path
) -> None:
    """A shell that started something before its `exec` made it khshim its parent."""
    path = script("#!/bin/bash\nsetsid sleep 1000 > /dev/null 2>&1 &\necho $!\nexit 0\n")
    earlier = f"sleep 1000 > /dev/null 2>&1 & echo $! > {tmp_path}/pid"
    run = shim.run(path, prefix=["sh", "-c", f'{earlier}; exec "$@"', "sh"])
    pid = int((tmp_path / "pid").read_text())
    try:
        assert run.ok
        assert is_alive(pid)
    finally:
        for left in (pid, int(run.stdout)):  # as the limits say, nor is what escaped ended here
            os.kill(left, signal.SIGKILL)


def test_without_being_pid_1_orphans_are_reaped_while_the_script_runs(
    shim: Shim, script: Write, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "go")
    path = script(
        "#!/bin/bash\n"
        "cat > /dev/null < go\n"
        "for n in {1..50}; do (setsid true &) ; done\n"
        'until [ -z "$(ps --ppid $PPID -o stat=,comm= | grep true)" ]; do :; done\n'
    )
    process = shim.start(path, cwd=tmp_path)
    let_go_once_started(process, tmp_path / "go")
    assert shim.finish(process).ok


def test_a_process_that_sigkill_does_not_end_is_reported(shim: Shim, script: Write) -> None:
    freezer = "/sys/fs/cgroup/freezer"
    if not os.access(f"{freezer}/cgroup.procs", os.W_OK):
        pytest.skip("needs a freezer cgroup (v1) to hold a process against SIGKILL")
    group = f"{freezer}/khshim-test-{os.getpid()}"
    os.mkdir(group)
    try:
        run = shim.run(
            script(
                "#!/bin/sh\n"
                f"echo $$ > {group}/cgroup.procs\n"
                f"(echo 0 > {freezer}/cgroup.procs\n"
                f"exec setsid sh -c 'echo FROZEN > {group}/freezer.state') &\n"
                "while :; do :; done\n"
            ),
            env={"SHIM_TIMEOUT": "1s", "SHIM_GRACE_PERIOD": "100ms"},
        )
        assert "Even SIGKILL did not end it" in run.errors[0]
        assert run.exit_status == 0
    finally:
        with open(f"{group}/freezer.state", "w") as state:
            state.write("THAWED")
        pid = run.event("script_started")["pid"]
        wait_until_gone(pid)
        os.rmdir(group)
