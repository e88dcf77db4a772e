from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shim import signals
from tests.support.khshim import KHSHIM, base_environ

pytestmark = pytest.mark.whole_run

NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
Write = Callable[..., str]


def try_script(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KHSHIM, "try", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**base_environ(), **env},
    )


def test_a_passing_script(script: Write) -> None:
    path = script('#!/bin/sh\necho "$1"\n')
    result = try_script(path, "an argument")
    assert result.returncode == 0
    assert result.stdout.startswith("an argument\n\nOK   reported after ")
    assert "\n  |----- script " in result.stdout and "| deadline " in result.stdout
    assert f"khshim: The script {path} is running.\n" == result.stderr


def test_a_failing_script(script: Write) -> None:
    result = try_script(script("#!/bin/sh\necho one >&2; echo two >&2; exit 1\n"))
    assert result.returncode == 1
    assert "\nNOT OK   reported after " in result.stdout
    assert "(Kuberhealthy v3)\n  1. one\n  2. two\n  |-" in result.stdout
    assert (result.stdout + result.stderr).count("one") == 2, "live, and in the verdict"
    assert "{" not in result.stdout + result.stderr


@pytest.mark.parametrize(("text", "status"), [("exit 0", 0), ("echo 'a \"b\"' >&2; exit 1", 1)])
@pytest.mark.parametrize("server", ["v2", "v3"])
def test_json_alone(script: Write, server: str, text: str, status: int) -> None:
    path = script(f"#!/bin/sh\necho out\n{text}\n")
    result = try_script("--json", "--server", server, "--timeout=1m", "--", path)
    assert result.returncode == status
    report = json.loads(result.stdout)
    assert report["OK"] is (status == 0)
    assert report["Errors"] == ([] if status == 0 else ["a 'b'" if server == "v2" else 'a "b"'])
    assert result.stderr == ""


def test_a_module_named_like_khshim_is_not_imported(
    script: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script("raise SystemExit('the wrong one')\n", "shim.py")
    path = script("#!/bin/sh\nexit 0\n")
    command = Path(sys.executable).parent / "khshim"
    result = subprocess.run(
        [command, "try", "--json", path], capture_output=True, env=base_environ()
    )
    assert result.returncode == 0, result.stderr


def test_a_hanging_script(script: Write) -> None:
    result = try_script("--timeout", "3s", script("#!/bin/sh\nexec sleep 1000\n"))
    assert result.returncode == 1
    assert "1. Timed out: the script was still running after " in result.stdout


def test_v2_overwrites_a_late_report(script: Write) -> None:
    result = try_script("--server", "v2", "--timeout", "3s", script("#!/bin/sh\nexit 0\n"))
    assert result.returncode == 1
    assert "But Kuberhealthy v2 overwrites a report in about the last 6 s" in result.stdout
    assert 'in the end it shows "timed out waiting for checker pod to report in"' in result.stdout


@NEEDS_CURL
def test_v2_turns_ok_with_errors_into_a_failure(script: Write) -> None:
    # A check that reports by itself, and khshim does not come to it.
    body = '{"OK": true, "Errors": ["but"]}'
    path = script(
        f'#!/bin/sh\ncurl -s -H "kh-run-uuid: $KH_RUN_UUID" -d \'{body}\' "$KH_REPORTING_URL"\n'
        "kill -9 $PPID\n"
    )
    result = try_script("--server", "v2", path, SHIM_PASS_CREDENTIALS="true")
    assert result.returncode == 1
    assert "\nNOT OK   reported after " in result.stdout and "\n  1. but\n" in result.stdout


def test_no_place_to_write_a_file(script: Write) -> None:
    """A read-only root, or a disk that is full."""
    path = script("#!/bin/sh\nexit 0\n")
    command = ["prlimit", "--fsize=0", *KHSHIM, "try", "--json", path]
    # What measures the coverage would write a file as well.
    env = {n: v for n, v in base_environ().items() if not n.startswith("COVERAGE_")}
    result = subprocess.run(command, capture_output=True, text=True, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {"OK": True, "Errors": []}


def test_a_flood_is_not_kept(script: Write) -> None:
    """What holds the output behind the script's back is not waited for either."""
    path = script(
        "#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' 'x'\n"
        "setsid sleep 1000 &\necho $! > $0.pid\nkill -9 $PPID\n"
    )
    result = try_script("--json", path)
    os.kill(int(Path(f"{path}.pid").read_text()), signal.SIGKILL)
    assert result.returncode == 1
    assert 60_000 < len(result.stderr) < 70_000
    assert "khshim run ended by SIGKILL" in result.stderr


def test_the_settings_of_the_environment_count(script: Write) -> None:
    path = script("#!/bin/sh\nexit 1\n")
    result = try_script("--json", SHIM_SCRIPT=path, SHIM_OK_EXIT_CODES="1")
    assert result.returncode == 0


@NEEDS_CURL
def test_a_report_that_never_comes_is_explained(script: Write) -> None:
    # A check that reports by itself: the shim's own report is then the second one.
    path = script(
        "#!/bin/sh\n"
        "curl -s -H \"kh-run-uuid: $KH_RUN_UUID\" -H 'Content-Type: application/json'"
        ' -d \'{"OK":false,"Errors":[]}\' "$KH_REPORTING_URL"; kill -9 $PPID\n'
    )
    for words in ([], ["--json"]):
        result = try_script(*words, path, SHIM_PASS_CREDENTIALS="true")
        assert result.returncode == 1
        assert "not OK without errors" in result.stdout + result.stderr


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "USR1", "RTMIN+3"])
def test_every_signal_reaches_the_script_once(script: Write, name: str) -> None:
    path = script(
        "#!/bin/bash\n"
        f"trap 'echo got {name} >&2; got=1' {name}\n"
        "trap 'echo got TERM >&2; exit 3' TERM\n"
        "echo ready\n"
        'until [ "$got" ]; do sleep 0.1; done\n'
        "exit 3\n"
    )
    command = [*KHSHIM, "try", path]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=base_environ()
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        process.send_signal(signals.parse(name))
        output, log = process.communicate()
    assert process.returncode == 1
    assert b"NOT OK" in output and log.count(f"got {name}\n".encode()) == 1


def test_ctrl_c_reaches_the_script_once(script: Write) -> None:
    """A terminal sends it to every process of the group."""
    path = script(
        "#!/bin/bash\ntrap 'echo got it >&2; n=$((n+1))' INT\necho ready\n"
        'until [ "$n" ]; do sleep 0.1; done\nexit 3\n'
    )
    with subprocess.Popen(
        [*KHSHIM, "try", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=base_environ(),
        start_new_session=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)
        _, log = process.communicate()
    assert process.returncode == 1
    assert log.count(b"got it\n") == 1 and log.count(b"Forwarded SIGINT") == 1


def test_a_stdout_that_cannot_show_everything(script: Write) -> None:
    path = script("#!/bin/sh\necho 'gr\u00fc\u00dfe' >&2; exit 1\n")
    result = try_script("--json", path, PYTHONIOENCODING="ascii")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert json.loads(result.stdout.replace("\\x", "\\u00")) == {
        "OK": False,
        "Errors": ["gr\u00fc\u00dfe"],
    }


def test_a_warning_is_shown(script: Write) -> None:
    path = script("#!/bin/sh\necho 'disk is 91 % full' >&2; exit 4\n")
    result = try_script(path, SHIM_WARN_EXIT_CODES="4")
    assert result.returncode == 0
    assert "\nOK, with a warning   reported after " in result.stdout
    assert "\n  disk is 91 % full\n" in result.stdout
    assert "not reported" not in result.stdout


def test_a_script_that_passes_in_its_second_attempt(script: Write, tmp_path: Path) -> None:
    count = tmp_path / "count"
    path = script(f"#!/bin/sh\n[ -e {count} ] && exit 0\n: > {count}; echo bad >&2; exit 1\n")
    result = try_script(path, SHIM_ATTEMPTS="2", SHIM_ATTEMPT_DELAY="0")
    assert result.returncode == 0
    assert "passed in attempt 2 of 2" in result.stdout
    assert "Attempt 1 of 2 failed, the next one follows in 0 s: bad" in result.stderr
