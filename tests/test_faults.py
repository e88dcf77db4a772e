"""Hostile scripts, hostile surroundings: each fault of docs/RELIABILITY.md that has no file of its own."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shim import exit_status
from tests.support.khshim import KHSHIM, Shim
from tests.support.processes import LISTENER, lines, pid_1, wait_until_gone

Write = Callable[..., str]
MakeShim = Callable[..., Shim]
Hang = Callable[[str, str], "subprocess.Popen[bytes]"]


# Scripts


def test_a_thousand_children_that_ignore_sigterm(shim: Shim, python_script: Write) -> None:
    path = python_script(
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pids = []\n"
        "for _ in range(1000):\n"
        "    if (pid := os.fork()) == 0:\n"
        "        while True: signal.pause()\n"
        "    pids.append(pid)\n"
        "print(*pids, flush=True)\n"
        "while True: signal.pause()\n"
    )
    env = {"SHIM_GRACE_PERIOD": "200ms"}
    process = shim.start(path, env=env)
    pids = lines(process)().split()
    process.terminate()
    run = shim.finish(process)
    assert "was killed" in run.errors[0]
    for pid in pids:
        wait_until_gone(int(pid))


@pytest.mark.parametrize("megabytes", [200])
@pytest.mark.parametrize(
    ("chunk", "shown"),
    [("x" * 100, 3), ("\\n", 1), ("\\0", 1), ("line\\n", 3), ("\\0\\xff\\n", 3)],
)
def test_floods(shim: Shim, python_script: Write, megabytes: int, chunk: str, shown: int) -> None:
    path = python_script(
        f"import os, sys\nchunk = (b'{chunk}' * 65536)[:65536]\n"
        f"for _ in range({megabytes} * 16): os.write(2, chunk)\n"
        "sys.exit(1)\n"
    )
    run = shim.run(path, stderr=subprocess.DEVNULL)
    assert len(run.errors) in (shown, shown + 1)


@pytest.mark.parametrize("filler", ["\\0", "\\x1b[0m"])
def test_what_cannot_be_read_is_not_called_nothing(
    shim: Shim, python_script: Write, filler: str
) -> None:
    path = python_script(
        "import os, sys\n"
        f"for _ in range(320): os.write(2, (b'{filler}' * 65536)[:65536])\n"
        "sys.exit(1)\n"
    )
    assert shim.run(path, stderr=subprocess.DEVNULL).errors == [
        "The script exited with status 1 and wrote nothing readable to stderr (its first and last"
        " 64 KiB were looked at; the pod's log has everything)."
    ]


def test_words_behind_what_cannot_be_read(shim: Shim, python_script: Write) -> None:
    path = python_script(
        "import os, sys\n"
        "for _ in range(320): os.write(2, b'\\0' * 65536)\n"
        "sys.exit('the disk is gone')\n"
    )
    assert shim.run(path, stderr=subprocess.DEVNULL).errors == [
        f"… the middle of this line of {320 * 65536 + 16:,} bytes is left out;"
        " the pod's log has it all …",
        "…the disk is gone",
    ]


@pytest.mark.parametrize(
    ("output", "errors"),
    [
        ("b'\\xff\\xfe\\xfd'", ["\ufffd\ufffd\ufffd"]),
        ("'\\ud800'.encode('utf-8', 'surrogatepass')", ["\ufffd\ufffd\ufffd"]),
        ("b'a\\0b'", ["ab"]),
        ("b'\\x1b[31m' * 10_000 + b'red'", ["red"]),
        (
            "b''.join(b'%d%%\\r' % n for n in range(5000)) + b'\\nfailed'",
            ["4999%", "failed"],
        ),
        ("'€'.encode()[:2], '€'.encode()[2:]", ["€"]),
        (
            "b'\\r\\n' * 100",
            ["The script exited with status 1 and wrote nothing to stderr."],
        ),
    ],
)
def test_odd_bytes(shim: Shim, python_script: Write, output: str, errors: list[str]) -> None:
    path = python_script(
        f"import os, sys\noutput = {output}\n"
        "for part in output if isinstance(output, tuple) else [output]:\n"
        "    while part: part = part[os.write(2, part):]\n"
        "sys.exit(1)\n"
    )
    assert shim.run(path).errors == errors


def test_a_script_that_reads_stdin_gets_none(shim: Shim, script: Write) -> None:
    run = shim.run(script("#!/bin/sh\ncat; read x || echo none\n"), stdin=subprocess.PIPE)
    assert run.stdout == b"none\n"


def test_a_script_that_deletes_itself_and_goes_away(shim: Shim, script: Write) -> None:
    run = shim.run(script('#!/bin/sh\ncd /; rm -- "$0"; echo gone >&2; exit 1\n'))
    assert run.errors == ["gone"]


def test_a_script_that_puts_a_fifo_in_its_place(shim: Shim, script: Write) -> None:
    """Nothing of the script is opened once it has ended: its volume may hang by then."""
    run = shim.run(script('#!/bin/sh\nrm -f "$0"; mkfifo "$0"; echo gone >&2; exit 1\n'))
    assert run.errors == ["gone"]


def test_a_deleted_working_directory(shim: Shim, script: Write, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    prefix = ["sh", "-c", f'cd {tmp_path}/gone && rmdir {tmp_path}/gone && exec "$@"', "sh"]
    path = script("#!/bin/sh\necho failed >&2; exit 1\n")
    khshim = str(Path(sys.executable).parent / "khshim")
    process = subprocess.run(
        [*prefix, khshim, path],
        env=shim.environ,
        capture_output=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert shim.receiver.stored is not None and shim.receiver.stored[1][-1] == "failed"


@pytest.mark.parametrize("name", ["TERM", "HUP", "USR1", "ALRM", "IO"])
def test_a_script_that_signals_its_parent(shim: Shim, script: Write, name: str) -> None:
    run = shim.run(script(f"#!/bin/sh\nkill -{name} $PPID\nexec sleep 1000\n"))
    word = f"told to stop by SIG{name}" if name in ("TERM", "HUP") else f"died of SIG{name}"
    assert word in run.errors[0]


def test_a_script_that_stops_pid_1(shim: Shim, script: Write) -> None:
    """The kernel does not stop PID 1 from inside; elsewhere nobody could continue it."""
    run = shim.run(script("#!/bin/sh\nkill -STOP $PPID\nexit 0\n"), prefix=pid_1())
    assert run.ok


@pytest.mark.parametrize("status", [1, 2, 77, 125, 126, 127, 128, 129, 143, 255])
def test_exit_statuses(shim: Shim, script: Write, status: int) -> None:
    run = shim.run(script(f"#!/bin/sh\nexit {status}\n"))
    assert f"exited with status {status}" in run.errors[0]


# Time


def test_ends_milliseconds_before_or_after_its_limit(make_shim: MakeShim, script: Write) -> None:
    for delay in ("0.28", "0.30", "0.32"):
        shim = make_shim()
        run = shim.run(script(f"#!/bin/sh\nsleep {delay}\n"), env={"SHIM_TIMEOUT": "300ms"})
        timed_out = [line for line in run.log if line["event"] == "script_timed_out"]
        assert run.ok is not bool(timed_out)


@pytest.mark.parametrize("jump", [3600, -3600])
def test_the_wall_clock_jumps_during_the_run(
    make_shim: MakeShim, python_script: Write, tmp_path: Path, jump: int
) -> None:
    """The interpreter's clock is set once the script runs; the budget must not notice."""
    shim = make_shim(timeout=6)
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "if 'shim' in ' '.join(sys.orig_argv):\n"
        "    real = time.time\n"
        f"    time.time = lambda: real() + ({jump} if os.path.exists({str(tmp_path / 'started')!r}) else 0)\n"
    )
    path = python_script(f"open({str(tmp_path / 'started')!r}, 'w')\n" + LISTENER)
    run = shim.run(path, "SIGTERM", "1", env={"PYTHONPATH": str(hook)})
    assert run.errors[0].startswith("Timed out: the script was still running after ")
    assert 1 < run.event("script_timed_out")["duration_s"] < 6


@pytest.mark.parametrize("deadline", ["abc", "nan", "1e999", "--1", "0x10"])
def test_a_deadline_that_is_no_number(shim: Shim, deadline: str) -> None:
    run = shim.run("/bin/true", env={"KH_CHECK_RUN_DEADLINE": deadline})
    assert run.exit_status == 78
    assert run.errors[0].startswith(f'KH_CHECK_RUN_DEADLINE is "{deadline}"; expected unix seconds')


@pytest.mark.parametrize("seconds", [0.5, 1.0, 100 * 365 * 86400.0])
def test_near_and_far_deadlines(make_shim: MakeShim, seconds: float) -> None:
    shim = make_shim(timeout=60)
    run = shim.run("/bin/true", env={"KH_CHECK_RUN_DEADLINE": str(time.time() + seconds)})
    assert run.exit_status == 0


# khshim itself


def test_no_file_descriptors_left(make_shim: MakeShim, script: Write) -> None:
    """Each run says what happened: by a report, or by its log and exit status."""
    path = script("#!/bin/sh\nexit 0\n")
    endings = set()
    for limit in range(4, 16):
        shim = make_shim(timeout=3)
        process = shim.start(path, prefix=["prlimit", f"--nofile={limit}"])
        _, stderr = process.communicate()
        shim.check_requests()
        endings.add(process.returncode)
        if shim.receiver.stored is None:
            assert process.returncode != 0 and stderr, limit
            # With fewer not even the interpreter can start.
            assert limit < 6 or process.returncode in (
                exit_status.UNDELIVERED,
                exit_status.REFUSED,  # on a busy machine, after the deadline
                exit_status.BUG,
            ), stderr
    assert 0 in endings  # enough at last


def limited_processes(limit: int) -> list[str]:
    """The command that puts what follows into a cgroup with a limit on processes."""
    group = Path("/sys/fs/cgroup/pids")
    if not os.access(group / "cgroup.procs", os.W_OK):
        pytest.skip("needs a pids cgroup (v1) that can be written")
    own = group / f"khshim-test-{os.getpid()}-{limit}"
    own.mkdir(exist_ok=True)
    (own / "pids.max").write_text(str(limit))
    return ["sh", "-c", f'echo $$ > {own}/cgroup.procs && exec "$@"', "sh"]


@pytest.fixture
def pids_cgroups() -> Iterator[None]:
    yield
    for group in Path("/sys/fs/cgroup/pids").glob(f"khshim-test-{os.getpid()}-*"):
        group.rmdir()


def test_the_limit_on_processes_is_reached(
    make_shim: MakeShim, script: Write, pids_cgroups: None
) -> None:
    path = script("#!/bin/sh\nexit 0\n")
    run = make_shim().run(path, prefix=limited_processes(1))
    assert "the limit on processes is reached" in run.errors[0]
    for limit in (2, 3):
        assert make_shim().run(path, prefix=limited_processes(limit)).ok


def test_the_limit_on_processes_is_reached_by_a_folder(
    make_shim: MakeShim, script: Write, pids_cgroups: None, tmp_path: Path
) -> None:
    for name in "abc":
        script("#!/bin/sh\nexit 0\n", f"{name}.sh")
    run = make_shim().run(str(tmp_path), prefix=limited_processes(2))
    assert "3 of 3 scripts failed: a.sh, b.sh, c.sh." in run.errors
    assert all("the limit on processes is reached" in error for error in run.errors[1:])
    assert len(run.errors) == 4
    # khshim, its thread, the runner, the process of a script, and the script.
    env = {"SHIM_PARALLEL": "1"}
    assert make_shim().run(str(tmp_path), env=env, prefix=limited_processes(5)).ok


def test_scripts_with_odd_names_at_the_limit_on_processes(
    make_shim: MakeShim, pids_cgroups: None, tmp_path: Path
) -> None:
    """What is said of them is fit for the server as anything else."""
    for raw in (b"\xff.sh", b"back\\slash.sh", b"new\nline.sh"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw)).write_text("exit 0\n")
    run = make_shim().run(str(tmp_path), prefix=limited_processes(2))
    assert run.exit_status == 0
    said = run.errors[1:]
    assert len(said) == 3
    for error, name in zip(said, ("back\\\\slash.sh", "new\\\\nline.sh'", "\\\\udcff.sh'")):
        assert f"{name} could not be started: the limit on processes is reached" in error
    logged = [line for line in run.log if line["event"] == "script_not_started"]
    assert len(logged) == 3
    assert all("the limit on processes is reached" in line["message"] for line in logged)


def test_without_threads_no_request_outlives_the_deadline(
    make_shim: MakeShim, script: Write, pids_cgroups: None
) -> None:
    shim = make_shim(timeout=4)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # it never answers
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/check"
        path = script("#!/bin/sh\nexit 0\n")
        run = shim.run(path, env={"KH_REPORTING_URL": url}, prefix=limited_processes(1))
    assert run.exit_status == 69
    assert -1 < run.event("report_undelivered")["time_left_s"] <= 0.5


def test_without_threads_a_name_that_does_not_resolve_is_not_waited_for(
    make_shim: MakeShim, script: Write, pids_cgroups: None, tmp_path: Path
) -> None:
    """The C library's resolver lets no signal interrupt it."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.79\n")
    bind = f'mount --bind {resolv_conf} /etc/resolv.conf && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", bind, "sh", *limited_processes(1)]
    if os.getuid() != 0:
        pytest.skip("needs root for a resolv.conf of its own")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.79", 53))
        env = {"KH_REPORTING_URL": "http://kuberhealthy.test/check"}
        run = make_shim(timeout=4).run(script("#!/bin/sh\nexit 0\n"), env=env, prefix=prefix)
        assert silent.recv(4096)
    assert run.exit_status == 69
    assert -3 < run.event("report_undelivered")["time_left_s"] <= 0.5


def test_at_the_limit_on_processes_pid_1_reaps_what_it_has_killed(
    make_shim: MakeShim, script: Write, pids_cgroups: None
) -> None:
    """Until then it counts, and leaves no room for a thread."""
    path = script(
        "#!/bin/bash\n"
        "for n in {1..20}; do (setsid sleep 1000 > /dev/null 2>&1 &) ; done\n"
        "exit 1\n"
    )
    limit = limited_processes(12)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/check"
        process = make_shim(timeout=10).start(
            path, env={"KH_REPORTING_URL": url}, prefix=[*pid_1(), *limit]
        )
        connection, _ = listener.accept()
        while not connection.recv(65536):  # an attempt that a busy machine gave up
            connection.close()
            connection, _ = listener.accept()
        with connection:
            [group] = Path("/sys/fs/cgroup/pids").glob(f"khshim-test-{os.getpid()}-12")
            assert int((group / "pids.current").read_text()) <= 2  # khshim and its thread
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            process.communicate()
    assert process.returncode == 0


def test_32_mib_of_memory_are_enough(shim: Shim, script: Write) -> None:
    group = Path("/sys/fs/cgroup/memory")
    if not os.access(group / "cgroup.procs", os.W_OK):
        pytest.skip("needs a memory cgroup (v1) that can be written")
    own = group / f"khshim-test-32-{os.getpid()}"
    own.mkdir()
    (own / "memory.limit_in_bytes").write_text(str(32 * 2**20))
    path = script("#!/bin/sh\nseq 100000000 | head -c 100000000 >&2; exit 1\n")
    try:
        join = f'echo $$ > {own}/cgroup.procs && exec "$@"'
        run = shim.run(path, prefix=["sh", "-c", join, "sh"], stderr=subprocess.DEVNULL)
        assert run.errors[0] == "1" and len(run.errors) == 64
    finally:
        own.rmdir()


def test_without_proc(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\necho out; echo failed >&2; exit 1\n")
    unmount = ["sh", "-c", 'umount -l /proc && exec "$@"', "sh"]
    run = shim.run(path, prefix=[*pid_1(), *unmount])
    assert run.errors == ["failed"]
    assert run.stdout == b"out\n"


# Security


def test_nothing_is_evaluated_by_a_shell(shim: Shim, script: Write, tmp_path: Path) -> None:
    trap = f"$(touch {tmp_path}/pwned) `touch {tmp_path}/pwned`; touch {tmp_path}/pwned"
    path = script("#!/bin/sh\nprintf '%s\\n' \"$@\" >&2; exit 1\n")
    run = shim.run(env={"SHIM_SCRIPT": path, "SHIM_ARGS": f"'{trap}'"})
    assert run.errors == [trap]
    assert not (tmp_path / "pwned").exists()


def test_the_credentials_are_in_no_environment_of_the_script(shim: Shim, script: Write) -> None:
    run = shim.run(script("#!/bin/sh\nenv; cat /proc/self/environ\n"))
    assert shim.receiver.endpoint.run_uuid.encode() not in run.stdout
    assert shim.receiver.endpoint.url.encode() not in run.stdout


def test_the_tests_have_what_they_need() -> None:
    assert shutil.which("unshare") and shutil.which("prlimit") and KHSHIM[0] == sys.executable
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 256


@pytest.mark.parametrize("variable", ["SHIM_TERMINATION_LOG", "SHIM_CA_FILE"])
def test_a_setting_that_names_a_fifo_holds_nothing_up(
    shim: Shim, tmp_path: Path, variable: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    run = shim.run("/bin/true", env={variable: str(tmp_path / "fifo")})
    if variable == "SHIM_CA_FILE":
        assert run.exit_status == exit_status.WRONG_SETTINGS and "SHIM_CA_FILE" in run.errors[0]
    else:
        assert run.ok and "fifo" in run.event("termination_log_failed")["message"]


TERMINAL = """
import os, pty, subprocess, sys
master, slave = pty.openpty()
sys.exit(subprocess.run(sys.argv[1:], stdin=slave, stdout=slave, stderr=slave).returncode)
"""


def test_a_terminal_that_nobody_reads(shim: Shim, script: Write) -> None:
    """Not opened anew either, as without /proc or where it is another user's."""
    path = script("#!/bin/sh\nexec yes\n")
    unmount = ["sh", "-c", 'umount -l /proc && exec "$@"', "sh"]
    prefix = [*pid_1(), *unmount, sys.executable, "-c", TERMINAL]
    run = shim.run(path, prefix=prefix, env={"SHIM_TIMEOUT": "300ms"})
    assert run.exit_status == 0
    assert "Timed out" in run.errors[0]


def test_a_freeze_does_not_turn_a_script_that_passed_into_one_that_timed_out(
    shim: Shim, script: Write, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    path = script(f"#!/bin/sh\necho $$\nread -r line < {fifo}\nexit 0\n")
    process = shim.start(path, env={"SHIM_TIMEOUT": "5s"})
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGSTOP)
    fifo.write_text("go on\n")
    wait_until_gone(pid)
    threading.Event().wait(5.2)  # the limit passes while khshim is frozen
    process.send_signal(signal.SIGCONT)
    assert shim.finish(process).ok
