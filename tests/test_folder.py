"""All scripts of a folder in one pod: real scripts, real runs, one report."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shim.report.excerpt import MAX_LINES
from tests.support.gateway import Gateway
from tests.support.khshim import MAX_BODY_SIZE, Run, Shim
from tests.support.processes import LISTENER, is_alive, pid_1, wait_until_gone

MakeShim = Callable[..., Shim]
PASS = "#!/bin/sh\nexit 0\n"
HANG = "#!/bin/sh\necho waiting for godot >&2\nexec sleep 1000\n"


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Write scripts into a folder, by name and text, and return it."""
    path = tmp_path / "checks"
    path.mkdir()

    def write(scripts: dict[str, str]) -> Path:
        for name, text in scripts.items():
            (path / name).write_text(text)
            (path / name).chmod(0o755)
        return path

    return write


Folder = Callable[[dict[str, str]], Path]


def failing(words: str, status: int = 1) -> str:
    return f"#!/bin/sh\ncat >&2 <<'END'\n{words}\nEND\nexit {status}\n"


def run(shim: Shim, path: Path, **env: str) -> Run:
    return shim.run(env={"SHIM_SCRIPT": f"{path}/", **env})


def events_of(run: Run, name: str) -> list[dict[str, Any]]:
    return [line for line in run.log if line["event"] == name]


def scripts_of(run: Run, event: str) -> list[str]:
    return [os.path.basename(line["script"]) for line in events_of(run, event)]


def wait_for(path: Path) -> None:
    """Wait until a script has written its file."""
    until = time.monotonic() + 30
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_all_pass(shim: Shim, folder: Folder) -> None:
    path = folder({"a.sh": "#!/bin/sh\necho out\necho err >&2\n", "b.py": "print('b')\n"})
    (path / "b.py").chmod(0o644)
    result = run(shim, path)
    assert result.report == (True, [])
    assert result.exit_status == 0
    assert sorted(result.stdout.decode().splitlines()) == ["a.sh: out", "b.py: b"]
    assert b"\na.sh: err\n" in result.stderr
    assert sorted(scripts_of(result, "script_started")) == ["a.sh", "b.py"]
    assert sorted(scripts_of(result, "script_exited")) == ["a.sh", "b.py"]
    ended = result.event("folder_ended")
    assert (ended["scripts"], ended["passed"], ended["stderr_lines"]) == (2, 2, 1)
    assert ended["message"] == "All 2 scripts passed."


def test_on_the_command_line(shim: Shim, folder: Folder) -> None:
    result = shim.run(str(folder({"a.sh": PASS, "b.sh": failing("bad")})))
    assert result.errors == ["1 of 2 scripts failed: b.sh.", "b.sh: bad"]


def test_some_fail(shim: Shim, folder: Folder) -> None:
    path = folder({"a.sh": failing("row 17\nrow 18"), "b.sh": PASS, "c.sh": failing("", 3)})
    result = run(shim, path)
    assert result.exit_status == 0
    assert result.errors == [
        "2 of 3 scripts failed: a.sh, c.sh.",
        "a.sh: row 17",
        "a.sh: row 18",
        "c.sh: The script exited with status 3 and wrote nothing to stderr.",
    ]
    assert result.event("folder_ended")["message"] == result.errors[0]


def test_what_goes_wrong_is_said_as_for_a_script_alone(make_shim: MakeShim, folder: Folder) -> None:
    scripts = {
        "crlf.sh": "#!/bin/sh\r\nexit 0\r\n",
        "interpreter.sh": "#!/nonexistent\n",
        "killed.sh": "#!/bin/sh\nkill -KILL $$\n",
        "empty.sh": "",
        "traceback.py": f"#!{sys.executable}\nraise ValueError('x')\n",
        "missing.sh": "#!/bin/sh\nno_such_command\n",
    }
    path = folder(scripts)
    together = run(make_shim(), path)
    assert together.errors[0] == f"6 of 6 scripts failed: {', '.join(sorted(scripts))}."
    duration = re.compile(r"0\.\d\d s")
    for name in scripts:
        alone = make_shim().run(str(path / name)).errors
        said = [error for error in together.errors if error.startswith(f"{name}: ")]
        assert [duration.sub("0 s", error) for error in said] == [
            f"{name}: {duration.sub('0 s', error)}" for error in alone
        ]


def test_one_that_hangs_takes_nothing_from_the_others(make_shim: MakeShim, folder: Folder) -> None:
    others = {f"{number}.sh": failing(f"words {number}") for number in range(8)}
    result = run(make_shim(timeout=8), folder({"a_hang.sh": HANG, **others}), SHIM_PARALLEL="2")
    assert result.errors[0].startswith("9 of 9 scripts failed: 0.sh, 1.sh, ")
    for number in range(8):
        assert f"{number}.sh: words {number}" in result.errors
    timed_out, words = [error for error in result.errors if error.startswith("a_hang.sh: ")]
    assert re.fullmatch(
        r"a_hang.sh: Timed out: the script was still running after [\d.]+ s and was stopped"
        r" [\d.]+ s before the check's deadline\.",
        timed_out,
    )
    assert words == "a_hang.sh: waiting for godot"
    # It had all the time that the others did not need, and the runner was not stopped.
    [hung] = events_of(result, "script_timed_out")
    assert hung["duration_s"] > 3
    assert result.event("folder_ended")["exit_code"] == 1
    assert not events_of(result, "signal_forwarded")


def test_where_others_wait_for_its_place_it_gets_no_more_than_its_share(
    make_shim: MakeShim, folder: Folder
) -> None:
    path = folder({"a.sh": HANG, "b.sh": HANG, "c.sh": failing("the last words")})
    result = run(make_shim(timeout=12), path, SHIM_PARALLEL="1")
    assert "c.sh: the last words" in result.errors
    waited = "was stopped, since other scripts of the folder were waiting for their share"
    assert [waited in error for error in result.errors if "Timed out" in error] == [True, True]
    first, second = (line["duration_s"] for line in events_of(result, "script_timed_out"))
    assert 3 < first < 6  # none had ended yet, so it had the time of two
    assert 1 < second < 4


def test_a_flood_takes_nothing_from_the_others(shim: Shim, folder: Folder) -> None:
    flood = "#!/bin/sh\nyes 12345678901234567890 | head -c 20000000 >&2\nexit 1\n"
    scripts = {f"flood{number}.sh": flood for number in range(3)}
    result = run(shim, folder({**scripts, "words.sh": failing("row 17\nrow 18")}))
    assert result.errors[0].startswith("4 of 4 scripts failed: flood0.sh, flood1.sh")
    assert result.errors[-2:] == ["words.sh: row 17", "words.sh: row 18"]
    lines = result.stderr.split(b"\n")
    flooded = [line for line in lines if b".sh: 1234567" in line]
    assert len(flooded) >= 3 * 20000000 // 21
    # Each line is whole, whoever else writes.
    assert {re.sub(rb"\d\.sh: .*", b"", line) for line in flooded} == {b"flood"}
    assert max(map(len, flooded)) == len(b"flood0.sh: 12345678901234567890")


def test_each_script_is_heard_before_one_is_heard_at_length(shim: Shim, folder: Folder) -> None:
    many = "\n".join(f"line {number}" for number in range(100))
    scripts = {f"{number:02}.sh": failing(many) for number in range(12)}
    result = run(shim, folder(scripts))
    counts = [
        sum(error.startswith(f"{number:02}.sh: ") for error in result.errors)
        for number in range(12)
    ]
    assert min(counts) >= 5 and max(counts) - min(counts) <= 1
    assert len(result.errors) <= MAX_LINES
    assert re.search(r"^00.sh: line \d+ \(and \d+ more lines\)$", "\n".join(result.errors), re.M)


def test_more_failures_than_there_is_room_for(shim: Shim, folder: Folder) -> None:
    scripts = {f"{number:03}.sh": failing("x" * 900) for number in range(150)}
    result = run(shim, folder(scripts))
    assert result.errors[0].startswith("150 of 150 scripts failed: 000.sh, 001.sh, ")
    assert result.errors[0].endswith(" more.")
    assert len(result.errors) <= MAX_LINES
    heard = [error for error in result.errors if error.endswith("x…")]
    assert len(heard) > 50
    assert f"what {150 - len(heard)} more scripts said" in result.errors[-1]


def test_at_most_so_many_at_a_time(shim: Shim, folder: Folder, tmp_path: Path) -> None:
    # Each notes who runs while it does.
    text = f"""#!/bin/sh
touch {tmp_path}/running.$$
ls {tmp_path} | grep -c running >> {tmp_path}/counts
sleep 0.1
rm {tmp_path}/running.$$
"""
    result = run(shim, folder({f"{n}.sh": text for n in range(9)}), SHIM_PARALLEL="3")
    assert result.ok
    counts = (tmp_path / "counts").read_text().split()
    assert len(counts) == 9
    assert max(map(int, counts)) <= 3


def test_what_a_script_gets(shim: Shim, folder: Folder) -> None:
    text = f"""#!{sys.executable}
import json, os, signal, sys, time
print(json.dumps({{
    "session": os.getsid(0) == os.getpid() == os.getpgid(0),
    "stdin": os.readlink("/proc/self/fd/0"),
    "descriptors": len(os.listdir("/proc/self/fd")),
    "term": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
    "environ": {{k: v for k, v in os.environ.items() if k[:2] in ("KH", "SH", "LD")}},
    "time": int(os.environ["SHIM_DEADLINE"]) - time.time(),
}}))
"""
    result = run(shim, folder({"a.py": text, "b.sh": PASS}), LD_LIBRARY_PATH="/theirs")
    said = json.loads(result.stdout.decode().partition("a.py: ")[2])
    assert said["session"] and said["term"]
    assert said["stdin"] == "/dev/null"
    assert said["descriptors"] == 4  # with the one that lists them
    assert not {"KH_RUN_UUID", "KH_REPORTING_URL"} & said["environ"].keys()
    assert said["environ"]["LD_LIBRARY_PATH"] == "/theirs"
    assert said["environ"]["SHIM_METRICS_FILE"] == "/dev/null"
    assert 40 < said["time"] < 52


def test_a_pod_that_is_deleted_half_way(shim: Shim, folder: Folder, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    path = folder(
        {
            "a_bad.sh": failing("row 17"),
            "b_ok.sh": PASS,
            "c_running.sh": f"#!/bin/sh\necho half of it >&2\necho > {ready}\nexec sleep 1000\n",
            "d_waiting.sh": PASS,
            "e_waiting.sh": PASS,
        }
    )
    process = shim.start(env={"SHIM_SCRIPT": str(path), "SHIM_PARALLEL": "1"})
    wait_for(ready)
    process.send_signal(signal.SIGTERM)
    result = shim.finish(process)
    assert result.exit_status == 0
    told = r"khshim was told to stop by SIGTERM after [\d.]+ s \(a deleted or evicted pod\?\)"
    assert re.fullmatch(f"{told}, before all scripts had ended.", result.errors[0])
    assert result.errors[1:4] == [
        "1 of 5 scripts failed: a_bad.sh.",
        "1 of 5 scripts had not ended: c_running.sh.",
        "2 of 5 scripts were not run: d_waiting.sh, e_waiting.sh.",
    ]
    assert result.errors[4] == "a_bad.sh: row 17"
    assert re.fullmatch(f"c_running.sh: {told}, before the script had finished.", result.errors[5])
    assert result.errors[6:] == ["c_running.sh: half of it"]
    assert scripts_of(result, "script_not_started") == ["d_waiting.sh", "e_waiting.sh"]


def test_every_signal_reaches_every_script_once(shim: Shim, folder: Folder, tmp_path: Path) -> None:
    text = "#!{}\nimport sys\nsys.argv[1:] = ['SIGTERM', '0']\nsys.stdout = sys.stderr\n{}"
    script = text.format(sys.executable, LISTENER)
    process = shim.start(env={"SHIM_SCRIPT": str(folder({"a.py": script, "b.py": script}))})
    assert process.stdout is not None
    stdout = process.stdout
    assert sorted(stdout.readline() for _ in "ab") == [b"a.py: ready\n", b"b.py: ready\n"]
    for sent in ("SIGUSR1", "SIGHUP", "SIGTERM"):
        process.send_signal(getattr(signal, sent))
        lines = sorted(stdout.readline().decode() for _ in "ab")
        assert lines == [f"a.py: {sent}\n", f"b.py: {sent}\n"]
    assert shim.finish(process).ok


def test_a_pod_that_is_deleted_while_scripts_are_being_started(shim: Shim, folder: Folder) -> None:
    """Each one that was started gets the signal."""
    path = folder({f"{number:02}.sh": "#!/bin/sh\nexec sleep 25\n" for number in range(40)})
    env = {"SHIM_SCRIPT": str(path), "SHIM_PARALLEL": "40", "SHIM_GRACE_PERIOD": "20s"}
    process = shim.start(env=env)
    assert process.stderr is not None
    while b'"script_started"' not in (line := process.stderr.readline()) or b"00.sh" not in line:
        assert line
    process.send_signal(signal.SIGTERM)
    result = shim.finish(process)
    assert set(scripts_of(result, "script_started")) <= set(scripts_of(result, "script_exited"))
    assert not any("SIGKILL" in error for error in result.errors)


def test_scripts_that_ignore_sigterm_when_the_pod_is_deleted(
    shim: Shim, folder: Folder, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    stubborn = (
        f"#!/bin/sh\ntrap '' TERM\necho stubborn >&2\necho > {ready}\nwhile :; do sleep 9; done\n"
    )
    process = shim.start(
        env={"SHIM_SCRIPT": str(folder({"a.sh": stubborn})), "SHIM_GRACE_PERIOD": "300ms"}
    )
    wait_for(ready)
    process.send_signal(signal.SIGTERM)
    result = shim.finish(process)
    assert re.search(r"It did not end within 0\.\d+ s of SIGTERM and was killed", result.errors[2])
    assert result.errors[3:] == ["a.sh: stubborn"]


def test_the_time_is_too_short_for_all(make_shim: MakeShim, folder: Folder) -> None:
    slow = "#!/bin/sh\necho slow >&2\nsleep 0.6\n"
    path = folder({f"{number:02}.sh": slow for number in range(40)})
    shim = make_shim(timeout=7)
    result = run(shim, path, SHIM_PARALLEL="2")
    assert result.exit_status == 0
    assert shim.receiver.stored_at is not None
    assert shim.receiver.stored_at < shim.receiver.deadline
    ended = result.event("folder_ended")
    assert ended["passed"] >= 4  # none was stopped for the others' sake before it had a second
    assert not any("share of the time" in error for error in result.errors)
    [not_run] = [error for error in result.errors if "were not run" in error]
    number = int(not_run.partition(" ")[0])
    assert number > 10
    assert f"{number} of 40 scripts were not run in the time there was: " in not_run
    assert not_run.endswith(", 38.sh, 39.sh.")
    assert len(scripts_of(result, "script_not_started")) == number


def test_names_as_they_come(make_shim: MakeShim, folder: Folder) -> None:
    names = ["with space.sh", "ünï ☃.sh", 'quote".sh', "back\\slash.sh", "new\nline.sh", "-rf.sh"]
    path = folder({name: failing("bad") for name in names})
    odd = os.fsencode(path) + b"/\xff\xfe.sh"
    with open(odd, "w", encoding="utf-8") as file:
        file.write(failing("worse"))
    for server, quote in (("v3", '"'), ("v2", "'")):
        shown = ["with space.sh", "ünï ☃.sh", f"quote{quote}.sh", "back\\\\slash.sh"]
        shown += ["'new\\\\nline.sh'", "-rf.sh"]
        result = run(make_shim(server), path)
        for name in shown:
            assert f"{name}: bad" in result.errors
            assert name in result.errors[0]
        assert any(error.endswith("\\\\udcfe.sh': worse") for error in result.errors)
        assert "ünï ☃.sh: bad\n".encode() in result.stderr


def test_what_is_a_script(shim: Shim, folder: Folder) -> None:
    path = folder(
        {
            "a.sh": "# khshim: interval=5m file=lib.sh\n. ./lib.sh\n",
            "lib.sh": "echo 'I am no check' >&2; exit 1\n",
            "README.md": "Read me.\n",
            ".hidden.sh": failing("hidden"),
            "data": "{}",
        }
    )
    (path / "folder.sh").mkdir()
    (path / "lib.sh").write_text("# I am no check\n")
    result = shim.run(env={"SHIM_SCRIPT": str(path)}, cwd=path)
    assert result.ok
    assert scripts_of(result, "script_started") == ["a.sh"]
    assert result.event("doubtful_setting")["message"].startswith(
        "README.md, data are no scripts and not run"
    )


def test_mounted_like_a_configmap(shim: Shim, tmp_path: Path) -> None:
    data = tmp_path / "..2026_11_25"
    data.mkdir()
    (tmp_path / "..data").symlink_to(data.name)
    for name, text in (("web.sh", "exit 0\n"), ("db.sh", failing("no route"))):
        (data / name).write_text(text)
        (data / name).chmod(0o644)
        (tmp_path / name).symlink_to(f"..data/{name}")
    result = run(shim, tmp_path)
    assert result.errors == ["1 of 2 scripts failed: db.sh.", "db.sh: no route"]


def test_an_empty_folder(shim: Shim, folder: Folder) -> None:
    path = folder({"README": "no script"})
    assert run(shim, path).errors == [
        f"The folder {path}/ holds no script: no file in it begins with #!, is named .sh or .py,"
        " or has a line # khshim:."
    ]


def test_a_folder_that_cannot_be_listed(shim: Shim, folder: Folder) -> None:
    path = folder({"a.sh": PASS})
    prefix = []
    if os.geteuid() == 0:  # who can list everything, unless that right is taken away
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv(1)")
        prefix = ["setpriv", "--bounding-set=-all"]
    path.chmod(0)
    [error] = shim.run(env={"SHIM_SCRIPT": str(path)}, prefix=prefix).errors
    path.chmod(0o700)
    user = os.geteuid()
    assert error == f"The folder {path} cannot be listed by user {user} (Permission denied)."


def test_a_script_that_cannot_be_read(shim: Shim, folder: Folder) -> None:
    path = folder({"a.sh": PASS})
    (path / "gone.sh").symlink_to("nowhere")
    os.mkfifo(path / "fifo")
    result = run(shim, path)
    assert result.errors == [
        "2 of 3 scripts failed: fifo, gone.sh.",
        f"fifo: The script {path}/fifo is not a regular file.",
        f"gone.sh: The script {path}/gone.sh is a link to a file that does not exist.",
    ]


def test_arguments_are_refused(shim: Shim, folder: Folder) -> None:
    path = folder({"a.sh": PASS})
    [error] = shim.run(str(path), "--verbose").errors
    assert error.startswith(f"{path} is a folder, whose scripts get no arguments")


def test_a_timeout_is_for_each(shim: Shim, folder: Folder) -> None:
    path = folder({"a.sh": HANG, "b.sh": HANG, "c.sh": PASS})
    result = run(shim, path, SHIM_PARALLEL="1", SHIM_TIMEOUT="1s")
    assert result.errors[0] == "2 of 3 scripts failed: a.sh, b.sh."
    assert "b.sh: waiting for godot" in result.errors
    limit = "was still running after 1.0 s, the limit that SHIM_TIMEOUT sets."
    assert sum(error.endswith(limit) for error in result.errors) == 2


def test_without_a_deadline(shim: Shim, folder: Folder) -> None:
    path = folder({"a.sh": PASS, "b.sh": HANG})
    result = run(shim, path, KH_CHECK_RUN_DEADLINE="", SHIM_TIMEOUT="500ms")
    assert result.errors[0] == "1 of 2 scripts failed: b.sh."
    assert result.event("no_deadline")


def test_settings_of_the_script_hold_for_each(make_shim: MakeShim, folder: Folder) -> None:
    path = folder(
        {
            "a_ok.sh": "#!/bin/sh\necho 'OK - fine | time=0.2s'\n",
            "b_warning.sh": "#!/bin/sh\necho 'WARNING - slow | time=3s'; exit 1\n",
            "c_critical.sh": "#!/bin/sh\necho 'CRITICAL - down | time=9s'; exit 2\n",
            "d_unknown.sh": "#!/bin/sh\nexit 3\n",
        }
    )
    result = run(make_shim(), path, SHIM_PRESET="nagios")
    assert result.errors == [
        "2 of 4 scripts failed: c_critical.sh, d_unknown.sh.",
        "c_critical.sh: CRITICAL - down",
        "d_unknown.sh: UNKNOWN: the plugin could not find out (exit status 3), so this may be no"
        " outage.",
        "d_unknown.sh: It wrote nothing to stdout.",
    ]
    result = run(make_shim(), path, SHIM_ERRORS_FROM="both", SHIM_OK_EXIT_CODES="0,1,3")
    assert result.errors == [
        "1 of 4 scripts failed: c_critical.sh.",
        "c_critical.sh: CRITICAL - down | time=9s",
    ]


def test_warnings(shim: Shim, folder: Folder, tmp_path: Path) -> None:
    summary = tmp_path / "termination-log"
    summary.touch()
    path = folder({"a.sh": PASS, "b.sh": failing("disk at 85 %", 1)})
    result = run(shim, path, SHIM_WARN_EXIT_CODES="1", SHIM_TERMINATION_LOG=str(summary))
    assert result.ok
    assert "b.sh: disk at 85 %" in summary.read_text()
    assert result.event("folder_ended")["message"] == "All 2 scripts passed, some with a warning."
    *_, warned = events_of(result, "script_warned")
    assert warned["warnings"] == ["b.sh: disk at 85 %"]


# Fails until it was run as often as the number in its name says.
FLAKY = """#!/bin/sh
name=$(basename "$0" .sh)
echo x >> "$COUNTS/$name"
n=$(wc -l < "$COUNTS/$name")
[ "$n" -ge "$name" ] || { echo "no luck in attempt $n" >&2; exit 1; }
"""


def test_attempts_are_for_each(shim: Shim, folder: Folder, tmp_path: Path) -> None:
    path = folder({f"{number}.sh": FLAKY for number in (1, 2, 3, 9)})
    result = run(shim, path, SHIM_ATTEMPTS="3", SHIM_ATTEMPT_DELAY="50ms", COUNTS=str(tmp_path))
    assert result.errors == [
        "1 of 4 scripts failed: 9.sh.",
        "9.sh: 3 of 3 attempts failed.",
        "9.sh: Attempt 1: no luck in attempt 1",
        "9.sh: Attempt 2: no luck in attempt 2",
        "9.sh: Attempt 3: no luck in attempt 3",
    ]
    counts = {number: len((tmp_path / number).read_text().split()) for number in "1239"}
    assert counts == {"1": 1, "2": 2, "3": 3, "9": 3}
    assert sorted(scripts_of(result, "script_started")) == sorted(
        f"{number}.sh" for number, count in counts.items() for _ in range(count)
    )
    assert len(events_of(result, "folder_started")) == 1


def test_flaky_scripts_pass_with_a_warning(shim: Shim, folder: Folder, tmp_path: Path) -> None:
    path = folder({"1.sh": FLAKY, "2.sh": FLAKY})
    result = run(shim, path, SHIM_ATTEMPTS="2", SHIM_ATTEMPT_DELAY="0", COUNTS=str(tmp_path))
    assert result.ok
    *_, warned = events_of(result, "script_warned")
    assert warned["warnings"] == [
        "2.sh: Passed in attempt 2, so it may be flaky.",
        "2.sh: Attempt 1: no luck in attempt 1",
    ]


def test_no_attempt_is_begun_that_cannot_end_in_time(
    make_shim: MakeShim, folder: Folder, tmp_path: Path
) -> None:
    path = folder({"9.sh": FLAKY})
    result = run(
        make_shim(timeout=6), path, SHIM_ATTEMPTS="9", SHIM_ATTEMPT_DELAY="2s", COUNTS=str(tmp_path)
    )
    count = len((tmp_path / "9").read_text().split())
    assert 1 < count < 4
    assert f"9.sh: {count} of 9 attempts failed." in result.errors
    assert any("There was no time for another attempt" in error for error in result.errors)


def test_secrets_are_masked(shim: Shim, folder: Folder) -> None:
    path = folder({"a.sh": '#!/bin/sh\necho "password is $DB_PASSWORD" >&2\nexit 1\n'})
    result = run(shim, path, DB_PASSWORD="swordfish")
    assert result.errors[1:] == ["a.sh: password is [masked]"]


def test_the_log_as_json(shim: Shim, folder: Folder) -> None:
    text = '#!/bin/sh\necho plain\necho \'{"level": "error", "rows": 17}\' >&2\n'
    result = run(shim, folder({"a.sh": text}), SHIM_LOG_SCRIPT="json")
    lines = [json.loads(line) for line in (result.stdout + result.stderr).splitlines()]
    said = {
        line["message"]: line
        for line in lines
        if line["event"] == "script_output" and "rows" not in line
    }
    assert said["plain"]["script"].endswith("checks/a.sh")
    [own] = [line for line in lines if "rows" in line]
    assert (own["level"], own["rows"], own["stream"]) == ("error", 17, "stderr")
    assert own["script"].endswith("checks/a.sh")


def test_a_long_line_is_divided(shim: Shim, folder: Folder) -> None:
    result = run(shim, folder({"a.sh": "#!/bin/sh\nprintf '%9000d\\n' 1\nprintf end\n"}))
    lines = result.stdout.split(b"\n")
    assert all(len(line) < 4096 and line.startswith(b"a.sh: ") for line in lines[:-1])
    assert b"".join(line.removeprefix(b"a.sh: ") for line in lines) == b"%9000d" % 1 + b"end"


def metrics_of(text: str) -> dict[str, float]:
    """Return the metrics with a script's name, as name{script,...} without the common labels."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            found[re.sub(r'(check|namespace)="[^"]*",?', "", series)] = float(value)
    return found


def test_metrics(shim: Shim, folder: Folder) -> None:
    path = folder(
        {
            "a.sh": "#!/bin/sh\necho 'rows 17' > $SHIM_METRICS_FILE\n",
            "b.sh": "#!/bin/sh\nprintf 'rows{script=\"x\"} 4\\nbad line\\n' > $SHIM_METRICS_FILE\nexit 2\n",
            "c.sh": "#!/bin/sh\necho 'OK | time=200ms'\n",
        }
    )
    with Gateway() as gateway:
        result = run(
            shim, path, SHIM_PUSHGATEWAY_URL=gateway.url, SHIM_CHECK_NAME="x", SHIM_PRESET="nagios"
        )
    [(_, _, body)] = gateway.pushed
    found = metrics_of(body)
    assert found['rows{script="a.sh"}'] == 17
    assert found['rows{script="b.sh"}'] == 4
    assert found['khshim_folder_script_ok{script="a.sh"}'] == 1
    assert found['khshim_folder_script_ok{script="b.sh"}'] == 0
    assert found['khshim_folder_script_exit_code{script="b.sh"}'] == 2
    assert found['khshim_folder_script_duration_seconds{script="a.sh"}'] > 0
    assert found['khshim_perfdata{label="time",script="c.sh",unit="seconds"}'] == 0.2
    assert found["khshim_ok{}"] == 0
    warned = [line["message"] for line in events_of(result, "metrics_failed")]
    assert [text for text in warned if "line 2 of SHIM_METRICS_FILE of b.sh is left out" in text]
    assert body.count("# TYPE rows ") == 1


def test_without_a_name_the_metrics_are_the_folders(shim: Shim, folder: Folder) -> None:
    with Gateway() as gateway:
        run(shim, folder({"a.sh": PASS}), SHIM_PUSHGATEWAY_URL=gateway.url)
    [(url, _, _)] = gateway.pushed
    assert "/check/checks/" in f"{url}/"


def test_metrics_of_one_name_and_other_types(shim: Shim, folder: Folder) -> None:
    text = "#!/bin/sh\nprintf '# TYPE rows %s\\nrows %s\\n' {} > $SHIM_METRICS_FILE\n"
    path = folder({"a.sh": text.format("gauge 1"), "b.sh": text.format("counter 2")})
    with Gateway() as gateway:
        result = run(shim, path, SHIM_PUSHGATEWAY_URL=gateway.url)
    [(_, _, body)] = gateway.pushed
    assert metrics_of(body)['rows{script="a.sh"}'] == 1
    assert "rows_total" not in body
    assert result.ok
    [warning] = events_of(result, "metrics_failed")
    assert (
        "of b.sh is left out: another script's rows is a gauge, not a counter" in warning["message"]
    )


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def test_the_runner_is_killed(shim: Shim, folder: Folder, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    hang = f"#!/bin/sh\necho $$ > {ready}\nexec sleep 1000\n"
    path = folder({"a.sh": failing("row 17"), "b.sh": hang, "c.sh": PASS})
    process = shim.start(env={"SHIM_SCRIPT": str(path), "SHIM_PARALLEL": "1"})
    wait_for(ready)
    [runner] = descendants(process.pid)
    os.kill(runner, signal.SIGKILL)
    result = shim.finish(process)
    assert re.fullmatch(
        r"The runner of the scripts died of SIGKILL \(Killed\) after [\d.]+ s\.", result.errors[0]
    )
    assert result.errors[1] == "1 of 3 scripts failed: a.sh."
    assert "1 of 3 scripts had not ended: b.sh." in result.errors
    assert "1 of 3 scripts were not run: c.sh." in result.errors
    assert "a.sh: row 17" in result.errors
    assert not is_alive(int(ready.read_text()))


def test_the_process_of_one_script_is_killed(shim: Shim, folder: Folder, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    hang = f"#!/bin/sh\necho $$ > {ready}\nexec sleep 1000\n"
    path = folder({"a.sh": hang, "b.sh": failing("row 17")})
    process = shim.start(env={"SHIM_SCRIPT": str(path), "SHIM_PARALLEL": "1"})
    wait_for(ready)
    [runner] = descendants(process.pid)
    [one] = descendants(runner)
    os.kill(one, signal.SIGKILL)
    result = shim.finish(process)
    assert result.errors == [
        "2 of 2 scripts failed: a.sh, b.sh.",
        "a.sh: khshim's own process for this script died of SIGKILL, so its end is not known.",
        "b.sh: row 17",
    ]
    assert not is_alive(int(ready.read_text()))


@pytest.mark.parametrize("as_pid_1", [False, True])
def test_a_script_whose_process_is_killed_does_not_run_on(
    make_shim: MakeShim, folder: Folder, tmp_path: Path, as_pid_1: bool
) -> None:
    pid, go_on = tmp_path / "pid", tmp_path / "go_on"
    go_on.touch()
    first = f"""#!/bin/sh
echo $$ > {pid}
until [ -s {go_on} ]; do sleep 0.01; done
kill -KILL $PPID
exec sleep 1000
"""
    second = f"#!/bin/sh\nwhile kill -0 $(cat {pid}) 2> /dev/null; do sleep 0.01; done\n"
    shim = make_shim(timeout=20)
    process = shim.start(
        env={"SHIM_SCRIPT": str(folder({"a.sh": first, "b.sh": second})), "SHIM_PARALLEL": "1"},
        prefix=pid_1() if as_pid_1 else (),
    )
    assert process.stderr is not None
    while b'"script_started"' not in (line := process.stderr.readline()):
        assert line
    go_on.write_text("now\n")
    assert shim.finish(process).errors == [
        "1 of 2 scripts failed: a.sh.",
        "a.sh: khshim's own process for this script died of SIGKILL, so its end is not known.",
    ]


def test_warnings_at_length(shim: Shim, folder: Folder) -> None:
    """Each script is heard in the folder's warnings, and no line of the log breaks."""
    warning = failing("\n".join(f"{number:0250}" for number in range(64)), 3)
    path = folder({f"{number:03}.sh": warning for number in range(100)})
    result = run(shim, path, SHIM_WARN_EXIT_CODES="3", SHIM_PARALLEL="8")
    assert result.ok
    warned = events_of(result, "script_warned")  # none would be read if another was in it
    assert len(warned) == 101
    assert len(warned[-1]["warnings"]) <= MAX_LINES
    assert len(json.dumps(warned[-1]["warnings"], ensure_ascii=False).encode()) <= MAX_BODY_SIZE
    assert warned[-1]["warnings"][-1].startswith("… what ")


@pytest.mark.parametrize("as_pid_1", [False, True])
def test_what_a_script_leaves_is_ended_with_it(
    shim: Shim, folder: Folder, tmp_path: Path, as_pid_1: bool
) -> None:
    left = tmp_path / "left"
    # The second script looks whether what the first one has left is still there.
    escape = f"setsid sh -c 'echo $$ > {left}; exec sleep 1000' >/dev/null 2>&1 &"
    first = f"#!/bin/sh\n{escape}\nuntil [ -s {left} ]; do sleep 0.01; done\n"
    second = f"#!/bin/sh\n! kill -0 $(cat {left}) || {{ echo it lives >&2; exit 1; }}\n"
    path = folder({"a.sh": first, "b.sh": second})
    result = shim.run(
        env={"SHIM_SCRIPT": str(path), "SHIM_PARALLEL": "1"}, prefix=pid_1() if as_pid_1 else ()
    )
    assert result.report == (True, [])


def test_the_runner_is_not_the_first_to_be_killed_for_memory(
    shim: Shim, folder: Folder, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    hang = f"#!/bin/sh\ncat /proc/self/oom_score_adj > {ready}\nexec sleep 1000\n"
    process = shim.start(env={"SHIM_SCRIPT": str(folder({"a.sh": hang}))})
    wait_for(ready)
    [runner] = descendants(process.pid)
    own = Path(f"/proc/{process.pid}/oom_score_adj").read_text()
    assert Path(f"/proc/{runner}/oom_score_adj").read_text() == own
    assert int(ready.read_text()) > int(own)
    process.send_signal(signal.SIGTERM)
    assert not shim.finish(process).ok


def test_nothing_is_left_and_khshim_is_told_by_a_second_signal(
    shim: Shim, folder: Folder, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    stubborn = f"#!/bin/sh\ntrap '' TERM INT\necho $$ > {ready}\nwhile :; do sleep 9; done\n"
    process = shim.start(
        env={"SHIM_SCRIPT": str(folder({"a.sh": stubborn})), "SHIM_GRACE_PERIOD": "200ms"}
    )
    wait_for(ready)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    result = shim.finish(process)
    assert not result.ok
    wait_until_gone(int(ready.read_text()))


def test_without_proc(shim: Shim, folder: Folder) -> None:
    unmount = ["sh", "-c", 'umount -l /proc && exec "$@"', "sh"]
    path = folder({"a.sh": failing("row 17"), "b.sh": "#!/bin/sh\necho out\n"})
    result = shim.run(str(path), prefix=[*pid_1(), *unmount])
    assert result.errors == ["1 of 2 scripts failed: a.sh.", "a.sh: row 17"]
    assert result.stdout == b"b.sh: out\n"


def test_a_trial_of_a_folder_as_one_check(folder: Folder) -> None:
    path = folder({"a.sh": "#!/bin/sh\necho words >&2\n", "b.sh": failing("bad")})
    result = subprocess.run(
        [sys.executable, "-m", "shim", "try", "--json"],
        env={**os.environ, "SHIM_SCRIPT": str(path)},
        capture_output=True,
        check=False,
    )
    assert json.loads(result.stdout)["Errors"] == ["1 of 2 scripts failed: b.sh.", "b.sh: bad"]
    assert result.returncode == 1


def test_a_report_is_never_too_large(shim: Shim, folder: Folder) -> None:
    wide = "\n".join("☃" * 900 for _ in range(70))
    result = run(shim, folder({f"{n}.sh": failing(wide) for n in range(10)}))
    assert len(json.dumps({"OK": False, "Errors": result.errors}, ensure_ascii=False).encode()) <= (
        MAX_BODY_SIZE
    )
    assert all(any(error.startswith(f"{n}.sh: ☃") for error in result.errors) for n in range(10))
