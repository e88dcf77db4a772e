"""What `khshim try` draws for a person, on a terminal and without one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.budget import Budget
from shim.commands.own_lines import Separator
from shim.commands.terminal import Screen
from shim.commands.verdict import timeline
from tests.support.khshim import KHSHIM, base_environ
from tests.support.terminals import on_terminal, terminal
from tests.test_try_script import try_script

pytestmark = pytest.mark.whole_run

Write = Callable[..., str]

GREEN_OK = "\x1b[32mOK\x1b[0m   reported after "
ERASED = "\r\x1b[K"
UUID = "635f84b4-dfb7-479e-a227-8e58e96e52fd"
OWN = f'{{"timestamp": "t", "level": "info", "event": "e", "run_uuid": "{UUID}"}}'.encode()


def on_a_terminal() -> dict[str, str]:
    unset = {"NO_COLOR", "FORCE_COLOR"}
    kept = {name: value for name, value in base_environ().items() if name not in unset}
    return {**kept, "TERM": "xterm"}


def test_a_live_line_while_the_script_is_silent(script: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = script(f'#!/bin/sh\nread line < {tmp_path / "fifo"}\necho "$line"\n')
    with terminal([*KHSHIM, "try", "--timeout", "20s", path], on_a_terminal()) as screen:
        screen.read_until("s left for the script, ")
        screen.read_until("s to the deadline")
        (tmp_path / "fifo").write_text("at last\n")
        result = screen.end()
    assert result.status == 0
    drawn = result.text[: result.text.index("at last")]
    assert drawn.endswith(ERASED), "the live line is gone before the script's own"
    assert GREEN_OK in result.text


def test_no_live_line_behind_half_a_line(script: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = script(f'#!/bin/sh\nprintf "password: "\nread line < {tmp_path / "fifo"}\n')
    with terminal([*KHSHIM, "try", path], on_a_terminal()) as screen:
        screen.read_until("password: ")
        (tmp_path / "fifo").write_text("x\n")
        result = screen.end()
    assert "password: \n\n" in result.text, "the verdict begins on a line of its own"
    assert ERASED not in result.text[result.text.index("password") :]


@pytest.mark.parametrize(
    ("variables", "has_colour"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_on_a_terminal(variables: dict[str, str], has_colour: bool) -> None:
    result = on_terminal([*KHSHIM, "try", "/bin/true"], {**on_a_terminal(), **variables})
    assert result.status == 0
    assert ("\x1b[3" in result.text) is has_colour


def test_plain_lines_without_a_terminal(script: Write) -> None:
    path = script("#!/bin/sh\necho no >&2; exit 1\n")
    plain = try_script(path, TERM="xterm")
    assert "\x1b" not in plain.stdout + plain.stderr and "\r" not in plain.stdout + plain.stderr
    forced = try_script(path, FORCE_COLOR="1", NO_COLOR="")
    assert "\x1b[31mNOT OK\x1b[0m   reported" in forced.stdout


def test_the_whole_log_on_demand(script: Write) -> None:
    result = try_script("-v", script("#!/bin/sh\nexit 3\n"))
    assert " khshim warning The script failed: " in result.stderr
    assert " exit_code=3 " in result.stderr and "run_uuid" not in result.stderr


def test_a_warning_is_shown_and_a_chosen_format_is_kept(script: Write) -> None:
    path = script("#!/bin/sh\nexit 0\n")
    assert "khshim warning: SHIM_SCIRPT is no setting" in try_script(path, SHIM_SCIRPT="x").stderr
    assert '"event": "report_accepted"' in try_script(path, SHIM_LOG_FORMAT="json").stderr


@pytest.mark.parametrize(
    ("lines", "words"), [(1, "its 1 line on stderr is"), (2, "its 2 lines on stderr are")]
)
def test_words_on_stderr_of_a_script_that_passes(script: Write, lines: int, words: str) -> None:
    result = try_script(script(f"#!/bin/sh\nseq {lines} >&2\n"))
    assert result.returncode == 0
    assert f"  It exited with 0; {words} not reported.\n" in result.stdout


def test_an_option_behind_the_script(script: Write) -> None:
    path = script('#!/bin/sh\necho "$@"\n')
    result = try_script(path, "x", "--timeout", "5s", "y")
    assert result.stdout.startswith("x --timeout 5s y\n"), "it is the script's all the same"
    assert f"it comes before: khshim try --timeout 5s {path} x y\n" in result.stderr
    assert "comes before" not in try_script("--", path, "--timeout", "5s").stderr
    assert "comes before" not in try_script(path, "--port", "5").stderr


@pytest.mark.parametrize(
    "data",
    [
        b"plain\n",
        b"no newline",
        b'{"timestamp": 1}\n',
        b'{"timestamp": not json\n',
        OWN.replace(UUID.encode(), b"another") + b"\n",
        b"before " + OWN + b"\n",
        b"\xff\x00\n\n\n{",
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_scripts_bytes_are_left_alone(data: bytes, step: int) -> None:
    separator = Separator(UUID)
    parts = [
        part for at in range(0, len(data), step) for part in separator.feed(data[at : at + step])
    ]
    assert all(line is None for _, line in parts)
    assert b"".join(part for part, _ in parts) + separator.rest() == data


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_own_lines_are_told_by_the_uuid_of_the_run(step: int) -> None:
    separator, data = Separator(UUID), b"a\n" + OWN + b"\nb\n" + OWN + b"\n"
    parts = [
        part for at in range(0, len(data), step) for part in separator.feed(data[at : at + step])
    ]
    assert [line["event"] for _, line in parts if line is not None] == ["e", "e"]
    assert b"".join(part for part, line in parts if line is None) == b"a\nb\n"


def test_half_a_line_is_handed_on_at_once() -> None:
    assert list(Separator(UUID).feed(b"Waiting")) == [(b"Waiting", None)]


def test_the_line_of_time_is_to_scale() -> None:
    budget = Budget(started_at=0.0, left=30.0, grace_period=6.0, reserve=3.0)
    script, grace, report = timeline(budget).split("|")[1:4]
    assert (script.strip("- "), grace.strip("- ")) == ("script 21.0 s", "grace 6.0 s")
    assert report.strip("- ") == "report 3.0 s"
    assert timeline(budget).endswith("| deadline 30.0 s")
    assert [part.count("-") for part in (script, grace, report)] == [10, 3, 2]


def test_a_limit_of_its_own_leaves_time_unused() -> None:
    budget = Budget(started_at=0.0, left=60.0, grace_period=5.0, reserve=2.0, timeout=10.0)
    assert "- script 10.0 s -" in timeline(budget) and "- unused 45.0 s -" in timeline(budget)


def test_no_line_of_time_without_a_deadline() -> None:
    assert timeline(Budget(started_at=0.0, left=None, grace_period=5.0, reserve=2.0)) == ""


def test_what_is_written_to_a_pipe_that_never_blocks_is_not_lost() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data, got = bytes(1024 * 1024), bytearray()

    def read() -> None:
        while part := os.read(reader, 65536):
            got.extend(part)

    thread = threading.Thread(target=read)
    thread.start()
    Screen({}).write(writer, data)
    os.close(writer)
    thread.join()
    os.close(reader)
    assert bytes(got) == data
