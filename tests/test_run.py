"""What a script gets, what is passed through, and what is reported of a script that ends by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.khshim import Shim
from tests.support.processes import is_alive, wait_until_gone

Write = Callable[..., str]


def test_a_passing_script(shim: Shim, script: Write) -> None:
    run = shim.run(script("#!/bin/sh\necho fine; echo warning >&2\n"))
    assert run.report == (True, [])
    assert run.exit_status == 0
    assert run.stdout == b"fine\n"
    assert b"warning\n" in run.stderr
    assert [line["event"] for line in run.log] == [
        "script_started",
        "script_exited",
        "report_accepted",
    ]


def test_a_failing_script(shim: Shim, script: Write) -> None:
    run = shim.run(
        script("#!/bin/sh\necho progress; echo one >&2; echo >&2; echo '  two ' >&2; exit 3\n")
    )
    assert run.report == (False, ["one", "  two"])
    assert run.exit_status == 0
    assert run.event("script_exited")["exit_code"] == 3


def test_the_request_is_what_kuberhealthy_wants(shim: Shim) -> None:
    shim.run("/bin/true")
    [(request, reply)] = shim.receiver.requests
    assert reply.status == 200
    assert request.body == b'{"OK": true, "Errors": []}'
    assert request.headers["kh-run-uuid"] == shim.receiver.endpoint.run_uuid
    assert request.headers["user-agent"].startswith("khshim/0.")


@pytest.mark.parametrize(
    ("text", "env", "errors"),
    [
        (
            "exit 3",
            {},
            ["The script exited with status 3 and wrote nothing to stderr."],
        ),
        (
            "echo a; echo b; echo; exit 3",
            {},
            [
                "The script exited with status 3 and wrote nothing to stderr; the last line on stdout: b"
            ],
        ),
        (
            "exit 126",
            {},
            [
                "The script exited with status 126 (a command was found that could not be"
                " executed) and wrote nothing to stderr."
            ],
        ),
        (
            "timeout 0.1 sleep 9; exit $?",
            {},
            [
                "The script exited with status 124 (timeout(1) ended a command) and wrote nothing"
                " to stderr."
            ],
        ),
        (
            "no-such-command 2>/dev/null",
            {},
            [
                "The script exited with status 127 (a command was not found) and wrote nothing"
                " to stderr."
            ],
        ),
        (
            "exit 137",
            {},
            [
                "The script exited with status 137 (a command in it died of SIGKILL)"
                " and wrote nothing to stderr."
            ],
        ),
        ("echo out; echo err >&2; exit 1", {"SHIM_ERRORS_FROM": "stdout"}, ["out"]),
        (
            "echo err >&2; exit 1",
            {"SHIM_ERRORS_FROM": "stdout"},
            [
                "The script exited with status 1 and wrote nothing to stdout; the last line on stderr: err"
            ],
        ),
        (
            "exit 1",
            {"SHIM_ERRORS_FROM": "both"},
            ["The script exited with status 1 and wrote nothing to stdout or stderr."],
        ),
        (
            "printf 'a\\033[31mb\\033[0m\\n1%%\\r50%%\\r100%%\\r\\n\\377x\\n' >&2; exit 1",
            {},
            ["ab", "100%", "\ufffdx"],
        ),
        ("echo 'C:\\dir\\' >&2; exit 1", {}, ["C:\\\\dir\\\\"]),
    ],
)
def test_errors(
    shim: Shim, script: Write, text: str, env: dict[str, str], errors: list[str]
) -> None:
    assert shim.run(script(f"#!/bin/bash\n{text}\n"), env=env).errors == errors


def test_a_missing_shared_library_is_named(shim: Shim, script: Write, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes().replace(b"libc.so.6\0", b"libc.so.9\0"))
    program.chmod(0o755)
    path = script(f"#!/bin/sh\n{program}\n")
    [error] = shim.run(path, env={"SHIM_ERRORS_FROM": "stdout"}).errors
    assert error.startswith(
        "The script exited with status 127 (a shared library is missing) and wrote nothing to"
        f" stdout; the last line on stderr: {program}: error while loading shared libraries: libc"
    )


def test_errors_from_both_streams_keep_their_order(shim: Shim, python_script: Write) -> None:
    path = python_script(
        "import os, sys\n"
        "for line in range(6):\n"
        "    os.write(1 + line % 2, b'half ')\n"
        "    os.write(1 + line % 2, f'{line}\\n'.encode())\n"
        "sys.exit(1)\n"
    )
    run = shim.run(path, env={"SHIM_ERRORS_FROM": "both"})
    assert sorted(run.errors) == [f"half {line}" for line in range(6)]


def test_a_last_line_without_a_newline_counts_from_both(shim: Shim, script: Write) -> None:
    run = shim.run(
        script("#!/bin/sh\nprintf out; printf err >&2; exit 1\n"),
        env={"SHIM_ERRORS_FROM": "both"},
    )
    assert sorted(run.errors) == ["err", "out"]


@pytest.mark.parametrize(("status", "ok"), [(0, True), (1, True), (2, False)])
def test_other_exit_codes_can_be_ok(shim: Shim, script: Write, status: int, ok: bool) -> None:
    assert (
        shim.run(script(f"#!/bin/sh\nexit {status}\n"), env={"SHIM_OK_EXIT_CODES": "0,1"}).ok is ok
    )


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGPIPE"])
def test_death_by_a_signal_is_named(shim: Shim, script: Write, name: str) -> None:
    run = shim.run(script(f"#!/bin/sh\necho last words >&2\nulimit -c 0\nkill -{name[3:]} $$\n"))
    assert run.errors[0].startswith(f"The script died of {name} (")
    assert run.errors[1] == "last words"
    assert run.event("script_exited")["signal"] == name


def test_v2_gets_no_quotes(make_shim: Callable[..., Shim], script: Write) -> None:
    shim = make_shim("v2")
    run = shim.run(script("#!/bin/sh\necho 'say \"hi\"' >&2; exit 1\n"))
    assert run.errors == ["say 'hi'"]


def test_what_the_script_gets(shim: Shim, python_script: Write, tmp_path: Path) -> None:
    path = python_script(
        "import json, os, signal, sys\n"
        "print(json.dumps({\n"
        "  'argv': sys.argv[1:], 'cwd': os.getcwd(), 'env': dict(os.environ),\n"
        "  'leader': [os.getsid(0), os.getpgid(0)] == [os.getpid()] * 2,\n"
        "  'stdin': os.readlink('/proc/self/fd/0'),\n"
        "  'fds': len(os.listdir('/proc/self/fd')),\n"
        "  'blocked': len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),\n"
        "  'status': open('/proc/self/status').read(),\n"
        "}))\n"
    )
    # The shim itself inherits ignored and blocked signals, as from nohup.
    wrapper = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'shim', *sys.argv[1:]])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", wrapper, path, "a b", "--c"],
        env={**shim.environ, "PASSED": "on"},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    got = json.loads(result.stdout)
    assert got["argv"] == ["a b", "--c"]
    assert got["cwd"] == str(tmp_path)
    assert got["leader"] is True
    assert got["stdin"] == "/dev/null"
    assert got["fds"] == 4  # 0, 1, 2 and the listing's own
    assert got["blocked"] == 0
    [ignored] = [line for line in got["status"].splitlines() if line.startswith("SigIgn")]
    mask = int(ignored.split()[1], 16)
    # The two that Python itself ignores, in any Python program.
    assert {signum for signum in signal.valid_signals() if mask >> signum - 1 & 1} == {
        signal.SIGPIPE,
        signal.SIGXFSZ,
    }
    assert got["env"]["PASSED"] == "on"
    assert "KH_RUN_UUID" not in got["env"] and "KH_REPORTING_URL" not in got["env"]
    assert int(got["env"]["SHIM_DEADLINE"]) == pytest.approx(shim.receiver.deadline - 7, abs=1)


def test_the_credentials_are_passed_when_asked_for(shim: Shim, script: Write) -> None:
    run = shim.run(script("#!/bin/sh\necho $KH_RUN_UUID\n"), env={"SHIM_PASS_CREDENTIALS": "true"})
    assert run.stdout.decode().strip() == shim.receiver.endpoint.run_uuid


def test_output_is_passed_through_live_and_byte_for_byte(shim: Shim, python_script: Write) -> None:
    path = python_script(
        "import os, sys\n"
        "os.write(1, b'no newline \\xff\\0\\r')\n"
        "os.write(2, b'\\x1b[31mred')\n"
        "open(sys.argv[1]).read()\n"
        "os.write(1, bytes(range(256)) * 4096)\n"
    )
    fifo = os.path.join(os.path.dirname(path), "fifo")
    os.mkfifo(fifo)
    process = shim.start(path, fifo)
    assert process.stdout is not None and process.stderr is not None
    # These arrive while the script is still waiting for the fifo to be opened.
    assert os.read(process.stdout.fileno(), 100) == b"no newline \xff\0\r"
    while not (seen := os.read(process.stderr.fileno(), 1000)).endswith(b"\x1b[31mred"):
        assert seen, "stderr ended without the script's bytes"
    with open(fifo, "w"):
        pass
    run = shim.finish(process)
    assert run.stdout == bytes(range(256)) * 4096
    assert run.stderr.startswith(b'\n{"timestamp"')  # the log begins on a line of its own


def test_a_background_process_that_holds_the_pipes_is_not_waited_for(
    shim: Shim, script: Write
) -> None:
    run = shim.run(script("#!/bin/sh\nsleep 1000 &\necho $! >&1\necho failed >&2; exit 1\n"))
    assert run.errors == ["failed"]
    assert run.event("script_exited")["duration_s"] < 10
    wait_until_gone(int(run.stdout))


def test_output_written_after_the_parent_exited_does_not_hold_it_up(
    shim: Shim, python_script: Write
) -> None:
    path = python_script(
        "import os\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    print(os.getpid(), flush=True)\n"
        "    while True: os.write(2, b'x' * 100 + b'\\n')\n"
        "os.write(2, b'parent\\n')\n"
        "os._exit(1)\n"
    )
    run = shim.run(path, stderr=subprocess.DEVNULL)
    assert not run.ok
    wait_until_gone(int(run.stdout or 0)) if run.stdout else None


def test_a_script_that_closes_its_stderr_lives_on(shim: Shim, script: Write) -> None:
    run = shim.run(script("#!/bin/sh\nexec 2>&-\necho on; exit 1\n"))
    assert run.errors == [
        "The script exited with status 1 and wrote nothing to stderr; the last line on stdout: on"
    ]


def test_wrong_settings_are_reported_and_the_script_not_started(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\necho started\n")
    run = shim.run(path, env={"SHIM_TIMEOUT": "5 minutes", "SHIM_GRACE_PERIOD": "x"})
    assert run.exit_status == 78
    assert run.stdout == b""
    assert run.errors == [
        'SHIM_TIMEOUT is "5 minutes"; expected a duration of more than 0, such as 90s, 2m or 1m30s.',
        'SHIM_GRACE_PERIOD is "x"; expected a duration such as 90s, 2m or 1m30s.',
    ]


def test_a_misspelt_setting_is_a_warning(shim: Shim) -> None:
    run = shim.run("/bin/true", env={"SHIM_TIMOUT": "5s", "SHIM_SERVICE_HOST": "10.0.0.1"})
    assert run.ok and run.exit_status == 0
    assert run.event("unknown_setting")["message"] == (
        "SHIM_TIMOUT is no setting of khshim and has no effect. Did you mean SHIM_TIMEOUT?"
    )
    assert run.event("unknown_setting")["level"] == "warning"


def test_a_doubtful_setting_is_a_warning(shim: Shim) -> None:
    run = shim.run("/bin/true", env={"SHIM_ARGS": "-v"})
    assert run.ok
    assert run.event("doubtful_setting")["message"].startswith("SHIM_ARGS is ignored")


@pytest.mark.parametrize("metrics", [{}, {"SHIM_METRICS_PORT": "1"}])
def test_metrics_never_change_a_verdict(shim: Shim, script: Write, metrics: dict[str, str]) -> None:
    path = script('#!/bin/sh\nset -eu\necho "queue 1" >> "$SHIM_METRICS_FILE"\n')
    assert shim.run(path, env=metrics).errors == []


@pytest.mark.parametrize("name", ["KH_REPORTING_URL", "KH_RUN_UUID"])
def test_without_credentials_the_log_and_the_exit_status_say_so(shim: Shim, name: str) -> None:
    run = shim.run("/bin/true", env={name: "UNSET"})
    assert run.exit_status == 78
    assert run.report is None
    assert run.event("wrong_setting")["message"].startswith(f"{name} is not set")
    assert "khshim try" in run.event("report_impossible")["message"]


def test_without_a_deadline_it_runs_and_says_so(shim: Shim) -> None:
    run = shim.run("/bin/true", env={"KH_CHECK_RUN_DEADLINE": "UNSET"})
    assert run.ok
    assert "without a deadline" in run.event("no_deadline")["message"]


@pytest.mark.parametrize("deadline", [-5, 0])
def test_a_deadline_already_past_is_the_report(
    make_shim: Callable[..., Shim], script: Write, deadline: int
) -> None:
    shim = make_shim("v2", deadline)
    run = shim.run(script("#!/bin/sh\necho started\n"))
    assert run.stdout == b""
    [error] = run.errors
    assert error.startswith("The check's deadline had passed")
    assert run.exit_status == 0


def test_far_deadlines_do_not_overflow(shim: Shim) -> None:
    assert shim.run("/bin/true", env={"KH_CHECK_RUN_DEADLINE": "12345678901234567890"}).ok


def test_memory_stays_bounded(shim: Shim, python_script: Write) -> None:
    path = python_script(
        "import os, sys\n"
        "lines = b''.join(b'%099d\\n' % number for number in range(1000))\n"
        "for _ in range(1000): os.write(2, lines)\n"
        "print(open(f'/proc/{os.getppid()}/status').read())\n"
        "sys.exit(1)\n"
    )
    run = shim.run(path, stderr=subprocess.DEVNULL)
    [peak] = [line for line in run.stdout.decode().splitlines() if line.startswith("VmHWM")]
    assert int(peak.split()[1]) < 48 * 1024
    assert len(run.errors) == 64 or len(json.dumps(run.errors)) > 15_000
    [marker] = [error for error in run.errors if error.startswith("…")]
    shown = len(run.errors) - 1
    assert f" {1_000_000 - shown:,} lines are left out" in marker


def test_a_reader_that_went_away_does_not_stop_the_report(shim: Shim, script: Write) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = shim.run(
        script("#!/bin/sh\necho out; echo err >&2; exit 1\n"),
        stdout=writer,
        stderr=writer,
    )
    os.close(writer)
    assert run.errors == ["err"]


def test_a_reader_that_stalls_stops_neither_the_limits_nor_the_report(
    make_shim: Callable[..., Shim], python_script: Write
) -> None:
    shim = make_shim(timeout=8)
    path = python_script("import os\nwhile True: os.write(2, b'flood ' * 1000 + b'\\n')\n")
    reader, writer = os.pipe()
    run = shim.run(path, stdout=writer, stderr=writer)
    os.close(writer)
    assert run.errors[0].startswith("Timed out")
    assert run.exit_status == 0
    with os.fdopen(reader, "rb") as rest:
        assert b"flood" in rest.read()


def test_is_alive_can_tell(script: Write) -> None:
    process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    assert is_alive(process.pid)
    process.communicate()
    assert not is_alive(process.pid)


def test_the_log_counts_seconds(shim: Shim, script: Write) -> None:
    before = time.monotonic()
    run = shim.run(script("#!/bin/sh\nexit 0\n"))
    assert 0 < run.event("script_exited")["duration_s"] < time.monotonic() - before
    assert 0 < run.event("script_started")["time_left_s"] < 60
