"""What `khshim doctor --log` says of the logs of real runs, and of what tools make of them."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import signal
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.commands.doctor_log import as_data
from shim.commands.log_advice import ADVICE
from shim.commands.log_events import STEPS
from shim.commands.log_reader import GZIP, NotALog, read
from shim.commands.log_story import EMPTY, NO_RUN, TEXT_FORMAT, Story, story
from shim.commands.log_verdict import Word
from shim.commands.logged_run import read_log
from shim.observe.events import EVENTS, Event, field_names
from shim.observe.timestamp import rfc3339
from tests.support.gateway import Gateway
from tests.support.khshim import KHSHIM, Shim, base_environ
from tests.support.pod_logs import kill_all_of, log_of, send
from tests.support.processes import pid_1
from tests.support.servers import closed_port, raw_server

pytestmark = pytest.mark.whole_run

MakeShim = Callable[..., Shim]
Write = Callable[..., str]

PASSES = "#!/bin/sh\necho looking\n"
FAILS = "#!/bin/sh\necho looking\necho 'row 17 is missing' >&2\necho second >&2\nexit 1\n"
HANGS = "#!/bin/sh\necho 'waiting for port 9'\nexec sleep 1000\n"


def told(log: bytes, now: float | None = None) -> Story:
    return story(read_log(read(io.BytesIO(log))), time.time() if now is None else now)


def events(found: Story) -> list[str]:
    return [step.event for step in found.steps]


def advice(found: Story) -> str:
    return "\n".join(found.advice)


def doctor(*words: str, log: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*KHSHIM, "doctor", *words],
        input=log,
        capture_output=True,
        env=base_environ(),
        check=False,
        **options,
    )


# Every declared event


def test_every_declared_event_is_understood() -> None:
    """Who declares an event decides what its place in a run is, and what is to be done about it."""
    declared = {event.name for event in EVENTS}
    assert set(STEPS) == declared
    assert set(ADVICE) == declared


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_the_words_of_an_event_use_its_fields_or_do_without(event: type[Event]) -> None:
    fields = {name for _, name, _, _ in string.Formatter().parse(STEPS[event.name].words) if name}
    assert fields <= {*field_names(event), "message"}
    # As an older khshim may have written it: without any field.
    for level in ("info", "warning"):
        [step] = told(line(event.name, level=level)).steps
        assert step.event == event.name and step.text


def line(event: str, at: float = 1.8e9, *, level: str = "info", **fields: object) -> bytes:
    """A line of khshim's own, as its log would have it."""
    said = {
        "timestamp": rfc3339(at),
        "level": level,
        "message": f"This is {event}.",
        "event": event,
        "run_uuid": "abc",
        **fields,
    }
    return json.dumps(said).encode() + b"\n"


# Real runs


def test_a_run_that_passed(shim: Shim, script: Write) -> None:
    log = log_of(shim, script(PASSES))
    found = told(log)
    assert found.verdict is Word.OK and found.sentence.startswith("The script passed after 0.")
    assert found.sentence.endswith(" s, and Kuberhealthy took the report.")
    assert events(found) == ["script_started", "script_exited", "report_accepted"]
    assert (found.check, found.namespace) == ("web", "shop")
    assert list(found.time) == ["script", "report", "left"]
    assert found.deadline_s == pytest.approx(sum(found.time.values()), abs=0.01)
    assert found.advice == [] and found.errors == [] and found.has_beginning


def test_a_run_that_failed(shim: Shim, script: Write) -> None:
    path = script(FAILS)
    found = told(log_of(shim, path))
    assert found.verdict is Word.NOT_OK
    assert found.errors[0] == "row 17 is missing" and "1 more" in found.errors[1]
    assert sorted(found.output) == ["looking", "row 17 is missing", "second"]
    assert f"khshim try {path}" in advice(found)


def test_the_lines_that_script_output_is_made_of(shim: Shim, script: Write) -> None:
    found = told(log_of(shim, script(FAILS), env={"SHIM_LOG_SCRIPT": "json"}))
    assert sorted(found.output) == ["looking", "row 17 is missing", "second"]
    assert found.verdict is Word.NOT_OK


def test_the_server_is_down(make_shim: MakeShim, script: Write) -> None:
    url = f"http://127.0.0.1:{closed_port()}/check"
    found = told(log_of(make_shim(timeout=3), script(PASSES), env={"KH_REPORTING_URL": url}))
    assert found.verdict is Word.NOT_REPORTED
    assert found.sentence.endswith("but the report could not be delivered in time.")
    assert "The check is well" in advice(found) and "Nobody answered." in advice(found)
    [attempts] = [step for step in found.steps if step.event == "report_attempt"]
    assert attempts.times > 1 and attempts.until_s is not None and attempts.at_s is not None
    assert attempts.until_s > attempts.at_s


@pytest.mark.parametrize("server", ["v2", "v3"])
def test_the_report_is_refused(make_shim: MakeShim, script: Write, server: str) -> None:
    """As the second one of a run is."""
    shim = make_shim(server, timeout=5)
    found = told(log_of(shim, script(PASSES), env={"KH_RUN_UUID": "unknown"}))
    assert found.verdict is Word.NOT_REPORTED
    assert found.sentence.endswith("but Kuberhealthy refused the report (status 400).")
    assert "must say Never and 0" in advice(found)


def test_the_address_is_wrong(make_shim: MakeShim, script: Write) -> None:
    shim = make_shim()
    url = shim.receiver.endpoint.url.replace("/check", "/other")
    found = told(log_of(shim, script(PASSES), env={"KH_REPORTING_URL": url}))
    assert found.verdict is Word.NOT_REPORTED
    assert "Look where KH_REPORTING_URL leads" in advice(found)


def test_the_report_is_late(make_shim: MakeShim, script: Write) -> None:
    """By the clock of v3, which answers 410, and not by the pod's."""
    gone = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with raw_server(gone) as port:
        env = {"KH_REPORTING_URL": f"http://127.0.0.1:{port}/check"}
        found = told(log_of(make_shim(timeout=3), script(PASSES), env=env))
    assert found.sentence.endswith("Kuberhealthy refused the report (status 410).")
    assert "The report came after the deadline: raise" in advice(found)


def test_a_script_that_hangs(make_shim: MakeShim, script: Write) -> None:
    found = told(log_of(make_shim(timeout=4), script(HANGS)))
    assert found.verdict is Word.NOT_OK and found.sentence.startswith("The script timed out after ")
    assert "raise the check's timeout" in advice(found)
    assert "v2" not in advice(found), "this was v3, which takes what comes before the deadline"
    assert found.output == ["waiting for port 9"]
    assert found.time["script"] > 1


def test_a_limit_of_its_own(shim: Shim, script: Write) -> None:
    """The advice is on the setting that stopped it, and on the grace period it used up."""
    stubborn = "#!/bin/sh\ntrap '' TERM\necho on\nwhile :; do sleep 0.1; done\n"
    limits = {"SHIM_TIMEOUT": "0.5s", "SHIM_GRACE_PERIOD": "0.2s"}
    found = told(log_of(shim, script(stubborn), env=limits))
    assert "raise SHIM_TIMEOUT" in advice(found) and "SHIM_GRACE_PERIOD" in advice(found)
    assert "The script was stopped and ended by SIGKILL." in [step.text for step in found.steps]


def test_a_pod_that_is_deleted(shim: Shim, script: Write) -> None:
    found = told(log_of(shim, script(HANGS), act=send(signal.SIGTERM)))
    assert found.sentence.startswith("The pod was told to stop before the script had finished, and")
    assert "SIGTERM came from outside" in " ".join(step.text for step in found.steps)
    assert "kubectl get events -n shop" in advice(found)


def test_a_pod_that_is_deleted_while_it_reports(make_shim: MakeShim, script: Write) -> None:
    url = f"http://127.0.0.1:{closed_port()}/check"
    log = log_of(
        make_shim(), script(PASSES), env={"KH_REPORTING_URL": url, "SHIM_GRACE_PERIOD": "1s"},
        act=send(signal.SIGTERM), until=b"report_attempt",
    )  # fmt: skip
    found = told(log)
    assert found.verdict is Word.NOT_REPORTED and "signal_received" in events(found)
    assert "the pod was told to stop" in advice(found)


def test_khshim_is_killed(shim: Shim, script: Write) -> None:
    log = log_of(shim, script(HANGS), act=kill_all_of)
    found = told(log)
    assert found.verdict is Word.UNKNOWN
    assert found.sentence == "The log ends too early, while the script was running."
    assert "killed from outside" in advice(found) and "still runs" in advice(found)
    assert "resources.limits.memory" in advice(found)
    later = told(log, time.time() + 3600)
    assert "still runs" not in advice(later), "the deadline is an hour ago"


def test_the_memory_limit(shim: Shim, script: Write, limited: Path) -> None:
    path = script("#!/bin/sh\nexec python3 -c 'x = bytearray(200_000_000)'\n")
    join = f'echo $$ > {limited}/cgroup.procs && exec "$@"'
    found = told(log_of(shim, path, prefix=["sh", "-c", join, "sh"]))
    assert found.verdict is Word.NOT_OK
    assert "Raise resources.limits.memory" in advice(found)
    assert "Something outside" not in advice(found)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("kill -SEGV $$", "The program crashed (SIGSEGV)"),
        ("kill -KILL $$", "Something outside of khshim killed the script"),
        ("no-such-command", "A command is missing in the image"),
    ],
)
def test_how_a_script_ends(shim: Shim, script: Write, text: str, word: str) -> None:
    found = told(log_of(shim, script(f"#!/bin/sh\n{text}\n")))
    assert found.verdict is Word.NOT_OK and word in advice(found)


@pytest.mark.parametrize(
    ("env", "errors", "word"),
    [
        ({"SHIM_TIMEOUT": "x", "SHIM_GRACE_PERIOD": "y"}, 2, "Correct these 2 variables"),
        ({"SHIM_TIMEOUT": "x"}, 1, "Correct this variable"),
        ({"KH_REPORTING_URL": "", "KH_RUN_UUID": ""}, 2, "Was this pod made by somebody else"),
    ],
)
def test_wrong_settings(
    shim: Shim, script: Write, env: dict[str, str], errors: int, word: str
) -> None:
    found = told(log_of(shim, script(PASSES), env=env))
    assert "the settings are wrong" in found.sentence.lower()
    assert len(found.errors) == errors and word in advice(found)


def test_a_script_that_is_not_there(shim: Shim) -> None:
    found = told(log_of(shim, "/checks/no_such.sh"))
    assert found.sentence == "The script could not be started, and Kuberhealthy took the report."
    assert found.errors[0].startswith("There is no script /checks/no_such.sh")
    assert "Compare SHIM_SCRIPT" in advice(found)


def test_a_pod_that_comes_too_late(shim: Shim, script: Write) -> None:
    found = told(log_of(shim, script(PASSES), env={"KH_CHECK_RUN_DEADLINE": "1700000000"}))
    assert "The pod came too late" in advice(found)


def test_a_pod_that_is_deleted_before_the_script(make_shim: MakeShim, script: Write) -> None:
    """While it waits for the server; as PID 1, which has its handlers from the beginning."""
    url = f"http://127.0.0.1:{closed_port()}/check"
    shim, path = make_shim(), script(PASSES)
    env = {"KH_REPORTING_URL": url, "SHIM_WAIT_FOR_SERVER": "30s", "SHIM_GRACE_PERIOD": "1s"}
    tells = 'sleep 0.5; kill -TERM "$1"'
    prefix = [*pid_1(), "sh", "-c", f"(sh -c '{tells}' sh $$ &) ; exec \"$@\"", "sh"]
    found = told(log_of(shim, path, env=env, prefix=prefix))
    assert "could not be started" in found.sentence and "told to stop" in advice(found)


def test_metrics_that_cannot_be_pushed(shim: Shim, script: Write) -> None:
    with Gateway(status=500) as gateway:
        found = told(log_of(shim, script(PASSES), env={"SHIM_PUSHGATEWAY_URL": gateway.url}))
    assert found.verdict is Word.OK and "The verdict stays, but metrics" in advice(found)


def test_a_misspelt_setting(shim: Shim, script: Write) -> None:
    found = told(log_of(shim, script(PASSES), env={"SHIM_TIMOUT": "5s"}))
    assert found.verdict is Word.OK
    assert "remove the variable SHIM_TIMOUT" in advice(found)


def test_waiting_for_the_server(shim: Shim, script: Write) -> None:
    found = told(log_of(shim, script(PASSES), env={"SHIM_WAIT_FOR_SERVER": "3s"}))
    assert list(found.time) == ["wait", "script", "report", "left"]


def test_a_flaky_script(shim: Shim, script: Write, tmp_path: Path) -> None:
    path = script(f"#!/bin/sh\n[ -e {tmp_path}/again ] && exit 0\n> {tmp_path}/again\nexit 1\n")
    found = told(log_of(shim, path, env={"SHIM_ATTEMPTS": "3", "SHIM_ATTEMPT_DELAY": "0.1s"}))
    assert found.verdict is Word.OK and found.other_runs == []
    assert events(found).count("script_started") == 2
    assert "flaky" in advice(found) and "the script's own verdict" not in advice(found)


def test_a_warning(shim: Shim, script: Write) -> None:
    found = told(log_of(shim, script(FAILS), env={"SHIM_WARN_EXIT_CODES": "1"}))
    assert found.verdict is Word.OK and "passed with a warning" in found.sentence
    assert "A warning pages nobody" in advice(found)


def test_a_bug(shim: Shim, script: Write, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'shim.supervise.loop': raise RuntimeError('broken on purpose')\n"
        "if 'shim' in ' '.join(sys.orig_argv): sys.meta_path.insert(0, Broken())\n"
    )
    found = told(log_of(shim, script(PASSES), env={"PYTHONPATH": str(tmp_path)}))
    assert found.verdict is Word.NOT_OK and found.sentence.startswith("khshim itself failed")
    assert "File an issue" in advice(found)
    assert "broken on purpose" in found.errors[0] and len(found.errors) > 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (FAILS, "The script failed, and the log has warnings and errors alone: it does not say"),
        (PASSES, "There is no line of khshim's in this log."),
    ],
)
def test_a_log_without_its_quiet_lines(shim: Shim, script: Write, text: str, sentence: str) -> None:
    found = told(log_of(shim, script(text), env={"SHIM_LOG_LEVEL": "warning"}))
    assert found.verdict is Word.UNKNOWN and found.sentence.startswith(sentence)
    assert "SHIM_LOG_LEVEL" in advice(found)


@pytest.mark.parametrize("colour", ["", "\x1b[33m"])
def test_a_log_in_text(shim: Shim, script: Write, colour: str) -> None:
    log = log_of(shim, script(FAILS), env={"SHIM_LOG_FORMAT": "text"})
    shown = b"".join(
        colour.encode() + one if b" khshim " in one else one for one in log.splitlines(True)
    )
    found = told(shown)
    assert (found.verdict, found.sentence) == (Word.UNKNOWN, TEXT_FORMAT)
    assert len(found.output) == 3 and "accepted" in found.output[-1]


# What becomes of a log on its way


@pytest.fixture(scope="module")
def failed() -> bytes:
    """A log as a run that failed writes it, with half a line of the script's before khshim's."""
    return b"".join(
        [
            line("script_started", 1.8e9, script="/checks/web.sh", time_left_s=60),
            b"looking \xff\xfe\0\n",
            b'{"timestamp": "2026-11-23", "event": "order", "message": "the script\'s"}\n',
            b"half a line " + line("script_exited", 1.8e9 + 2, level="warning", exit_code=1,
                                   duration_s=2, message="The script failed: no rows"),
            line("report_accepted", 1.8e9 + 3, ok=False, status=200),
        ]
    )  # fmt: skip


def kubectl_timestamps(log: bytes) -> bytes:
    return b"".join(b"2026-11-25T01:46:29.123456789Z " + one for one in log.splitlines(True))


def kubectl_prefix(log: bytes) -> bytes:
    return b"".join(b"[pod/web-1/web] " + one for one in log.splitlines(True))


def container_runtime(log: bytes) -> bytes:
    """The file on the node, where long lines are divided."""
    lines = []
    for one in log.split(b"\n")[:-1]:
        parts = [one[at : at + 40] for at in range(0, len(one), 40)] or [b""]
        for part in parts[:-1]:
            lines.append(b"2026-11-25T01:46:29.1+01:00 stderr P " + part)
        lines.append(b"2026-11-25T01:46:29.1+01:00 stderr F " + parts[-1])
    return b"\n".join(lines) + b"\n"


def docker(log: bytes) -> bytes:
    """The json-file driver."""
    lines = log.decode("utf-8", "replace").splitlines(True)
    said = ({"log": one, "stream": "stderr", "time": "x"} for one in lines)
    return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in said)


def windows_lines(log: bytes) -> bytes:
    return log.replace(b"\n", b"\r\n")


def power_shell(log: bytes) -> bytes:
    """`kubectl logs POD > file` in Windows PowerShell."""
    return log.decode("utf-8", "replace").encode("utf-16")


def without_blanks(log: bytes) -> bytes:
    """`jq -c` of khshim's lines."""
    lines = [one[one.index(b'{"timestamp"') :] for one in log.splitlines() if b"run_uuid" in one]
    return b"".join(
        json.dumps(json.loads(one), separators=(",", ":")).encode() + b"\n" for one in lines
    )


@pytest.mark.parametrize(
    "tool",
    [
        bytes,
        kubectl_timestamps,
        kubectl_prefix,
        container_runtime,
        docker,
        windows_lines,
        power_shell,
        without_blanks,
    ],
)
def test_what_tools_make_of_a_log(failed: bytes, tool: Callable[[bytes], bytes]) -> None:
    found = told(tool(failed))
    assert found.verdict is Word.NOT_OK
    assert events(found) == ["script_started", "script_exited", "report_accepted"]
    assert found.errors == ["no rows"]
    assert found.time == {"script": 2, "report": 1, "left": 57}


def test_a_log_that_is_cut_at_its_beginning(failed: bytes) -> None:
    for size in range(1, len(failed)):
        found = told(failed[size:])
        if b"script_started" not in failed[size:] and found.steps:
            assert not found.has_beginning and found.verdict is Word.NOT_OK


def test_a_log_that_is_cut_at_its_end(failed: bytes) -> None:
    """At every byte: no verdict is made up, and a half line is told."""
    for size in range(len(failed) - 1):
        found = told(failed[:size])
        assert found.verdict is Word.UNKNOWN
        half = failed[:size].rpartition(b"\n")[2]
        if b'{"t' in half and not half.endswith(b"}"):
            assert (
                not found.steps or "the log ends in the middle of a line" in found.sentence.lower()
            )
    assert told(failed[:-1]).verdict is Word.NOT_OK, "only the newline is missing"


def test_the_same_container_once_more(shim: Shim, script: Write) -> None:
    """As by restartPolicy: OnFailure. v3 takes the first report alone."""
    path = script(FAILS)
    found = told(log_of(shim, path) + log_of(shim, path))
    assert found.verdict is Word.NOT_REPORTED
    assert "more than once with the same run uuid" in found.advice[0]
    [other] = found.other_runs
    assert "NOT OK: The script failed after" in other
    assert found.output.count("looking") == 1, "of the last run alone"


def test_a_container_that_was_killed_and_began_once_more(shim: Shim, script: Write) -> None:
    killed = log_of(shim, script(HANGS), act=kill_all_of)
    found = told(killed + log_of(shim, script(FAILS)))
    assert found.verdict is Word.NOT_OK and events(found)[0] == "script_started"
    [other] = found.other_runs
    assert "UNKNOWN: The log ends too early" in other


def test_several_pods_side_by_side(failed: bytes) -> None:
    """`kubectl logs -l app=checks --prefix`"""
    other = failed.replace(b'"abc"', b'"def"').splitlines(True)
    mixed = b"".join(a + b for a, b in zip(failed.splitlines(True), other, strict=True))
    found = told(mixed)
    assert found.run_uuid == "def" and len(events(found)) == 3
    assert len(found.other_runs) == 1 and "NOT OK" in found.other_runs[0]


def test_many_runs_in_one_log(failed: bytes) -> None:
    logs = (failed.replace(b'"abc"', b'"%d"' % number) for number in range(50))
    found = told(b"".join(logs))
    assert found.other_runs[0] == "(30 more before these)" and len(found.other_runs) == 20


def test_many_lines_in_one_run() -> None:
    attempts = b"".join(
        line("report_attempt", 1.8e9 + n, level="warning", message=f"{'abc'[n % 3]}: failed")
        for n in range(5000)
    )
    found = told(line("script_started") + attempts + line("report_accepted", ok=True))
    assert len(found.steps) + found.steps_left_out == 5002 and found.steps_left_out == 4902
    assert found.verdict is Word.OK and "5000 attempts" in advice(found)


@pytest.mark.parametrize(
    "forged",
    [
        b'{"timestamp": "x", "level": "info", "message": "m", "event": "login"}\n',
        b'{"timestamp": "2026", "level": 3, "message": [], "event": "report_accepted"}\n',
        b'{"timestamp": "2026", "level": "info", "message": "m", "event": "report_accepted",'
        b' "ok": true, "stream": "stdout", "run_uuid": "abc"}\n',
        b'{"timestamp": ' + b"[" * 100_000 + b"\n",
    ],
)
def test_what_a_script_writes_is_not_taken_for_khshims(forged: bytes, failed: bytes) -> None:
    assert events(told(forged + failed)) == events(told(failed))
    assert told(failed.splitlines(True)[0] + forged).verdict is Word.UNKNOWN


def test_what_a_newer_khshim_writes() -> None:
    log = line("script_started") + line("something_new") + line("report_accepted", ok=True)
    found = told(log)
    assert found.verdict is Word.OK
    assert found.steps[1].text == "This is something_new."


def test_a_line_of_khshims_that_it_never_wrote(failed: bytes) -> None:
    """A script may print anything, so also this."""
    own = next(line for line in failed.split(b"\n") if b'"script_exited"' in line)
    fields = {
        **json.loads(own[own.index(b"{") :]),
        "check": "c\x1b]0;x\x07\x1b[2J",
        "duration_s": 1e14,
    }
    text = doctor("--log", "-", log=failed + json.dumps(fields).encode() + b"\n").stdout
    assert b"\x1b" not in text and b"\x07" not in text and b"NOT OK" in text


def test_terminal_escapes_are_not_passed_on(failed: bytes) -> None:
    evil = failed.replace(b"no rows", b"\\u001b]0;x\\u0007no\\u001b[2J rows")
    text = doctor("--log", "-", log=b"\x1b[2J\x1b]0;y\x07out\n" + evil).stdout
    assert b"\x1b" not in text and b"\x07" not in text and b"no rows" in text


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (b"", EMPTY),
        (b"\n\n", EMPTY),
        (b"hello\nworld", NO_RUN),
        (b"\0\1\2" * 1000, EMPTY),
        (os.urandom(300_000).replace(b"\x1f\x8b", b""), NO_RUN),
        (b'{"a": 1}\n{"timestamp": "2026-11-25T00:00:00Z", "msg": "no"}\n', NO_RUN),
    ],
    ids=["empty", "blank", "text", "nul", "binary", "json"],
)
def test_what_is_no_log_of_khshims(log: bytes, sentence: str) -> None:
    found = told(log)
    assert found.verdict is Word.UNKNOWN and found.advice
    assert found.sentence in {sentence, NO_RUN}


@given(st.binary(max_size=300), st.integers(0, 600), st.integers(0, 50))
def test_any_bytes_are_survived(noise: bytes, at: int, cut: int) -> None:
    log = line("script_started", script="x", time_left_s=5) + line(
        "script_exited", level="warning", duration_s=1e300, time_left_s="x", errors=None
    )
    try:
        found = told(log[:at] + noise + log[at + cut :])
    except NotALog:
        assert noise.startswith(GZIP) and at == 0
    else:
        json.loads(as_data(found))


def test_numbers_and_times_that_are_none() -> None:
    odd = [float("nan"), float("inf"), -5, "5", None, True, [], 10**400]
    for value in odd:
        log = line("script_started", time_left_s=value) + line(
            "script_exited", level="warning", duration_s=value, exit_code=value, errors=value,
            signal=value, message="The script failed: x",
        )  # fmt: skip
        for broken in (log, log.replace(b'"timestamp": "2', b'"timestamp": "x')):
            assert told(broken + line("report_refused", status=value)).steps


# The command


def test_the_command(failed: bytes, tmp_path: Path) -> None:
    result = doctor("--log", "-", log=failed)
    assert result.returncode == 1 and result.stderr == b""
    text = result.stdout.decode()
    assert text.startswith("NOT OK: The script failed after 2.0 s, and Kuberhealthy took the")
    assert "\n     +0.00 s  The script /checks/web.sh was started.\n" in text
    assert "\n      +2.0 s  The script failed: it ended with status 1.\n" in text
    assert "\n  |- script 2.0 s -|- report 1.0 s -|------- left 57.0 s -------" in text
    assert "| deadline 60.0 s\n\nErrors:\n  no rows\n" in text
    assert "\nWhat to do:\n  - This is the script's own verdict" in text
    path = tmp_path / "pod.log"
    path.write_bytes(failed)
    assert doctor("--log", str(path)).stdout == result.stdout


def test_the_command_for_machines(failed: bytes) -> None:
    result = doctor("--json", "--log", "-", log=failed)
    found = json.loads(result.stdout)
    assert result.returncode == 1
    assert (found["verdict"], found["ok"], found["check"]) == ("NOT OK", False, None)
    assert found["steps"][1]["event"] == "script_exited" and found["steps"][1]["at_s"] == 2
    assert found["time"] == {"script": 2, "report": 1, "left": 57}
    empty = json.loads(doctor("--json", "--log", "-").stdout)
    assert empty.keys() == found.keys() and empty["verdict"] == "UNKNOWN"


def test_exit_status_of_a_run_that_passed(shim: Shim, script: Write) -> None:
    assert doctor("--log", "-", log=log_of(shim, script(PASSES))).returncode == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--log", "/no/such/file"], b"/no/such/file cannot be read: No such file or directory"),
        (["--log", "/"], b"/ cannot be read: Is a directory"),
        (["--log", "/proc/self/mem"], b"/proc/self/mem cannot be read: Input/output error"),
        (["--log"], b"--log: expected one argument"),
        (["--log", "-", "x.sh"], b"--log takes one file, and x.sh is one more"),
    ],
)
def test_wrong_usage(words: list[str], complaint: bytes) -> None:
    result = doctor(*words)
    assert result.returncode == 64 and complaint in result.stderr and result.stdout == b""


def test_a_compressed_log(failed: bytes) -> None:
    result = doctor("--log", "-", log=gzip.compress(failed))
    assert result.returncode == 64 and b"zcat FILE | khshim doctor --log -" in result.stderr


def test_a_log_in_place_of_a_script(failed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pod log"
    path.write_bytes(b"hello\n" + failed)
    result = doctor(str(path))
    assert result.returncode == 64
    assert f"Did you mean khshim doctor --log '{path}'?".encode() in result.stderr


def test_it_needs_no_linux(failed: bytes) -> None:
    """Whoever reads a log may sit at a Mac."""
    begin = (
        "import sys; sys.platform = 'darwin'; from shim.cli import main\n"
        "sys.exit(main(['doctor', '--log', '-']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", begin], input=failed, capture_output=True, check=False
    )
    assert result.returncode == 1 and result.stdout.startswith(b"NOT OK")


MIB = 1 << 20


def flood(kind: str) -> Iterator[bytes]:
    block = {
        "lines": b"an ordinary line of some words\n" * (MIB // 31),
        "one line": b"x" * MIB,
        "blank": b"\n" * MIB,
        "json": b'{"timestamp": "2026-11-25T00:00:00Z", "msg": "no"}\n' * (MIB // 50),
    }[kind]
    for _ in range(8 if kind == "json" else 64):
        yield block


@pytest.mark.parametrize("kind", ["lines", "one line", "blank", "json"])
def test_a_flood_is_read_in_bounded_memory(failed: bytes, kind: str) -> None:
    first, *rest = failed.splitlines(True)
    memory = 150 * MIB

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    process = subprocess.Popen(
        [*KHSHIM, "doctor", "--log", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=limit, env=base_environ(),
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(first)
    for block in flood(kind):
        process.stdin.write(block)
    process.stdin.write(b"\n" + b"".join(rest))
    stdout, _ = process.communicate()
    assert process.returncode == 1
    assert b"The script failed: it ended with status 1." in stdout
