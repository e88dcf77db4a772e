"""Scripts that are run again, and scripts that warn, in whole runs of khshim."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import Gateway
from tests.support.khshim import Run, Shim
from tests.support.processes import lines

Write = Callable[..., str]
MakeShim = Callable[..., Shim]

# Counts its attempts in the file $COUNT, and passes in the attempt $PASSES_IN.
COUNTING = """#!/bin/sh
echo x >> "$COUNT"
attempt=$(wc -l < "$COUNT")
echo "orders $attempt" >> "$SHIM_METRICS_FILE"
[ "$attempt" -eq "$PASSES_IN" ] && exit "${STATUS:-0}"
echo "row $attempt is missing" >&2
exit 1
"""


def env(tmp_path: Path, passes_in: int, **more: str) -> dict[str, str]:
    count = {"COUNT": str(tmp_path / "count"), "PASSES_IN": str(passes_in)}
    return {"SHIM_ATTEMPTS": "3", "SHIM_ATTEMPT_DELAY": "0", **count, **more}


def names(run: Run) -> list[str]:
    return [line["event"] for line in run.log]


def metrics(body: str) -> dict[str, float]:
    families = text_string_to_metric_families(body)
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_one_attempt_that_passes_is_enough(shim: Shim, script: Write, tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    with Gateway() as gateway:
        more = {"SHIM_PUSHGATEWAY_URL": gateway.url, "SHIM_TERMINATION_LOG": str(log)}
        run = shim.run(script(COUNTING), env=env(tmp_path, 2, **more))
    assert run.ok and run.errors == []
    assert names(run) == [
        "script_started", "script_exited", "attempt_failed",
        "script_started", "script_exited", "passed_after_retry", "report_accepted",
    ]  # fmt: skip
    assert [line["attempt"] for line in run.log if line["event"] == "script_started"] == [1, 2]
    assert run.event("attempt_failed")["attempts"] == 3
    assert log.read_text().splitlines()[0] == "OK, with a warning"
    assert "Attempt 1: row 1 is missing" in log.read_text()
    [(_, _, body)] = gateway.pushed
    found = metrics(body)
    assert (found["khshim_attempts"], found["khshim_passed_after_retry"]) == (2, 1)
    assert (found["khshim_ok"], found["khshim_warning"]) == (1, 0)
    assert found["orders"] == 2, "the metrics of the attempt that failed are forgotten"


def test_every_attempt_is_told(shim: Shim, script: Write, tmp_path: Path) -> None:
    with Gateway() as gateway:
        more = {"SHIM_PUSHGATEWAY_URL": gateway.url}
        run = shim.run(script(COUNTING), env=env(tmp_path, 0, **more))
    assert run.errors == [
        "3 of 3 attempts failed.",
        "Attempt 1: row 1 is missing",
        "Attempt 2: row 2 is missing",
        "Attempt 3: row 3 is missing",
    ]
    assert names(run).count("attempt_failed") == 2
    [(_, _, body)] = gateway.pushed
    assert (metrics(body)["khshim_attempts"], metrics(body)["khshim_passed_after_retry"]) == (3, 0)


def test_an_attempt_that_could_not_end_in_time_is_not_begun(
    make_shim: MakeShim, script: Write, tmp_path: Path
) -> None:
    shim = make_shim(timeout=9)
    path = script("#!/bin/sh\necho x >> $COUNT; sleep 3.5; echo bad >&2; exit 1\n")
    run = shim.run(path, env=env(tmp_path, 0))
    assert (tmp_path / "count").read_text() == "x\n"
    assert run.errors[0] == "bad"
    assert run.errors[1].startswith("There was no time for another attempt: one took 3.")
    assert run.event("no_further_attempt")["attempts"] == 3


def test_a_timeout_of_the_whole_is_not_retried(shim: Shim, script: Write, tmp_path: Path) -> None:
    path = script("#!/bin/sh\necho x >> $COUNT\n[ $(wc -l < $COUNT) = 2 ] && sleep 60\nexit 1\n")
    run = shim.run(path, env=env(tmp_path, 0, SHIM_TIMEOUT="1s"))
    assert run.errors[0] == "2 of 3 attempts failed."
    assert run.errors[1].startswith("Attempt 1: The script exited with status 1 and wrote nothing")
    assert run.errors[2].startswith("Attempt 2: Timed out: the script was still running after 1.0")


def test_sigterm_between_two_attempts_ends_them(shim: Shim, script: Write, tmp_path: Path) -> None:
    process = shim.start(script(COUNTING), env=env(tmp_path, 0, SHIM_ATTEMPT_DELAY="50s"))
    assert process.stderr is not None
    while b'"attempt_failed"' not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGTERM)
    run = shim.finish(process)
    assert run.errors == [
        "row 1 is missing",
        "khshim was told to stop by SIGTERM (a deleted or evicted pod?), so there was no further"
        " attempt.",
    ]


def test_sigterm_ends_the_attempt_that_runs(shim: Shim, script: Write, tmp_path: Path) -> None:
    path = script(
        "#!/bin/sh\necho x >> $COUNT; wc -l < $COUNT\n"
        "[ $(wc -l < $COUNT) = 2 ] && sleep 60\nexit 1\n"
    )
    process = shim.start(path, env=env(tmp_path, 0))
    next_line = lines(process)
    assert (next_line(), next_line()) == ("1", "2")
    process.send_signal(signal.SIGTERM)
    run = shim.finish(process)
    assert run.errors[0] == "2 of 3 attempts failed."
    assert run.errors[2].startswith("Attempt 2: khshim was told to stop by SIGTERM")
    assert (tmp_path / "count").read_text() == "x\nx\n"


def test_a_script_that_is_gone_in_its_second_attempt(
    shim: Shim, script: Write, tmp_path: Path
) -> None:
    run = shim.run(script('#!/bin/sh\nrm "$0"; echo bad >&2; exit 1\n'), env=env(tmp_path, 0))
    assert run.errors[:2] == ["2 of 3 attempts failed.", "Attempt 1: bad"]
    assert "Attempt 2: " in run.errors[2] and "check.sh" in run.errors[2]
    assert run.event("script_not_started")


def test_a_passing_script_is_not_run_again(shim: Shim, script: Write, tmp_path: Path) -> None:
    run = shim.run(script(COUNTING), env=env(tmp_path, 1))
    assert run.ok and names(run) == ["script_started", "script_exited", "report_accepted"]


def warning(run: Run) -> dict[str, Any]:
    return run.event("script_warned")


def test_a_warning_passes_and_is_told(shim: Shim, script: Write, tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    with Gateway() as gateway:
        run = shim.run(
            script("#!/bin/sh\necho 'disk is 91 % full' >&2; echo more >&2; exit 4\n"),
            env={
                "SHIM_WARN_EXIT_CODES": "4,5",
                "SHIM_TERMINATION_LOG": str(log),
                "SHIM_PUSHGATEWAY_URL": gateway.url,
            },
        )
    assert run.ok and run.errors == []
    assert warning(run)["message"] == "The script warns: disk is 91 % full"
    assert warning(run)["warnings"] == ["disk is 91 % full", "more"]
    assert warning(run)["level"] == "warning"
    assert log.read_text().splitlines() == [
        "OK, with a warning",
        "Report: accepted (The server accepted the report.)",
        "disk is 91 % full",
        "more",
    ]
    [(_, _, body)] = gateway.pushed
    assert (metrics(body)["khshim_ok"], metrics(body)["khshim_warning"]) == (1, 1)


def test_a_plugins_warning(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\necho 'LOAD WARNING - 9.1 | load1=9.1;8;10'; exit 1\n")
    run = shim.run(path, env={"SHIM_PRESET": "nagios"})
    assert run.ok and warning(run)["warnings"] == ["LOAD WARNING - 9.1"]


def test_a_plugins_warning_that_is_a_failure(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\necho 'LOAD WARNING - 9.1'; exit 1\n")
    run = shim.run(path, env={"SHIM_PRESET": "nagios", "SHIM_OK_EXIT_CODES": "0"})
    assert run.errors == ["LOAD WARNING - 9.1"]


def test_secrets_in_a_warning_are_masked(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\necho $DB_PASSWORD is old >&2; exit 1\n")
    run = shim.run(path, env={"SHIM_WARN_EXIT_CODES": "1", "DB_PASSWORD": "swordfish"})
    assert warning(run)["warnings"] == ["[masked] is old"]
    assert "swordfish" not in json.dumps(run.log)
