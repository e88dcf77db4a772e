"""`khshim try` with several scripts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from shim import exit_status
from shim.commands.try_many import at_once
from tests.support.khshim import KHSHIM, base_environ
from tests.support.terminals import terminal
from tests.test_terminal import on_a_terminal
from tests.test_try_script import try_script

pytestmark = pytest.mark.whole_run

Write = Callable[..., str]


@pytest.fixture
def folder(script: Write, tmp_path: Path) -> Path:
    """A folder of three scripts, one of which passes, and of what is none."""
    script("#!/bin/sh\nexit 0\n", "a_good.sh")
    script("#!/bin/sh\necho 'no\x01 luck' >&2; echo more >&2; exit 1\n", "b_bad")
    script("import sys; sys.exit('raised')\n", "c_raises.py", mode=0o644)
    script("Read me.\n", "README", mode=0o755)
    script("#!/bin/sh\nexit 1\n", ".hidden.sh")
    (tmp_path / "sub").mkdir()
    return tmp_path


def test_a_folder_as_a_table(folder: Path) -> None:
    result = try_script(f"{folder}/")
    assert (result.returncode, result.stderr) == (1, "")
    head, *rows, last = result.stdout.splitlines()
    assert head.split() == ["SCRIPT", "VERDICT", "TIME", "FIRST", "ERROR"]
    assert [row.split()[0] for row in rows] == [
        f"{folder}/{name}" for name in ("a_good.sh", "b_bad", "c_raises.py")
    ]
    assert "  OK " in rows[0] and rows[0].endswith(" s")
    assert "  NOT OK " in rows[1] and rows[1].endswith(" s  no luck")
    assert rows[2].endswith("  raised")
    assert last == "1 of 3 OK"


def test_json_of_several(folder: Path) -> None:
    result = try_script("--json", str(folder))
    found = json.loads(result.stdout)
    assert [(one["ok"], one["errors"]) for one in found] == [
        (True, []),
        (False, ["no luck", "more"]),
        (False, ["raised"]),
    ]


def test_junit(folder: Path, tmp_path: Path) -> None:
    result = try_script("--junit", str(tmp_path / "report.xml"), str(folder))
    assert result.returncode == 1 and result.stdout.endswith("1 of 3 OK\n")
    [suite] = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    failures = [case.find("failure") for case in suite]
    assert failures[0] is None and failures[1] is not None
    assert failures[1].get("message") == "no luck" and failures[1].text == "no luck\nmore"
    assert "no\ufffd luck" in (suite[1].findtext("system-out") or "")


def test_junit_of_one_script_with_arguments(script: Write, tmp_path: Path) -> None:
    path = script('#!/bin/sh\n[ "$1" = yes ]\n')
    assert try_script("--junit", str(tmp_path / "report.xml"), path, "yes").returncode == 0
    [[case]] = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert case.get("name") == path and case.find("failure") is None


def test_a_file_that_cannot_be_written(script: Write) -> None:
    result = try_script("--junit", "/no/such/folder/x.xml", "/bin/true")
    assert result.returncode == 1
    assert (
        result.stderr
        == "khshim try: /no/such/folder/x.xml cannot be written: No such file or directory\n"
    )


def test_scripts_by_name(folder: Path) -> None:
    good = str(folder / "a_good.sh")
    result = try_script("--all", good, good)
    assert result.returncode == 0 and result.stdout.endswith("2 of 2 OK\n")
    assert try_script("--all", good, str(folder / "b_bad")).returncode == 1


def test_they_run_side_by_side(script: Write, tmp_path: Path) -> None:
    """Each waits for the other, so that one after the other they would not end."""
    os.mkfifo(tmp_path / "fifo")
    first = script(f"#!/bin/sh\necho x > {tmp_path}/fifo\n", "first.sh")
    second = script(f"#!/bin/sh\nread x < {tmp_path}/fifo\n", "second.sh")
    assert try_script("--all", first, second).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [(["FOLDER", "x"], "whose scripts get no arguments"), (["FOLDER/sub"], "holds no script")],
)
def test_wrong_usage_of_a_folder(folder: Path, words: list[str], said: str) -> None:
    result = try_script(*(word.replace("FOLDER", str(folder)) for word in words))
    assert result.returncode == exit_status.WRONG_USAGE and said in result.stderr


def test_no_script_at_all() -> None:
    result = try_script("--all", SHIM_SCRIPT="/bin/true")
    assert result.returncode == exit_status.WRONG_USAGE and "no SCRIPT" in result.stderr


def test_v2_shows_a_missing_report(script: Write) -> None:
    path = script("#!/bin/sh\nkill -9 $PPID\n")
    result = try_script("--all", path)
    assert result.returncode == 1 and "timed out" in result.stdout


def test_progress_on_a_terminal(script: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = script(f"#!/bin/sh\nread x < {tmp_path}/fifo\n")
    with terminal([*KHSHIM, "try", "--all", path, "/bin/true"], on_a_terminal()) as screen:
        screen.read_until("1 of 2 done, 0 not OK, 1 running")
        (tmp_path / "fifo").write_text("x\n")
        result = screen.end()
    assert result.status == 0 and "\x1b[32mOK     \x1b[0m" in result.text


def test_a_signal_reaches_every_script(script: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = script(
        "#!/bin/bash\ntrap 'echo stopped >&2; exit 3' TERM\n"
        f"echo ready > {tmp_path}/fifo\nuntil false; do sleep 0.1; done\n"
    )
    with subprocess.Popen(
        [*KHSHIM, "try", "--json", "--all", path, path],
        stdout=subprocess.PIPE, env=base_environ(),
    ) as process:  # fmt: skip
        ready = ""
        while ready.count("ready") < 2:
            ready += (tmp_path / "fifo").read_text()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
    assert process.returncode == 1
    assert all("stopped" in one["errors"] for one in json.loads(output))


def test_after_a_signal_no_other_is_started(script: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = script(
        "#!/bin/bash\ntrap 'exit 3' TERM\n"
        f"echo ready > {tmp_path}/fifo\nuntil false; do sleep 0.1; done\n"
    )
    with subprocess.Popen(
        [*KHSHIM, "try", "--json", "--all", *[path] * (at_once() + 2)],
        stdout=subprocess.PIPE, env=base_environ(),
    ) as process:  # fmt: skip
        (tmp_path / "fifo").read_text()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
    assert process.returncode == 1
    last = json.loads(output)[-2:]
    assert [one["errors"] for one in last] == [["khshim try was stopped before it"]] * 2
