"""Every command ends cleanly, whatever its output is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence

import pytest

from tests.support.khshim import KHSHIM, base_environ

pytestmark = pytest.mark.whole_run

Write = Callable[..., str]
COMMANDS = [
    (["--help"], 0),
    (["run", "--help"], 0),
    (["--version"], 0),
    (["try", "SCRIPT"], 1),
    (["try", "--json", "SCRIPT"], 1),
    (["manifest", "SCRIPT", "--name", "x", "--interval", "5m", "--timeout", "1m"], 0),
    (["doctor", "SCRIPT"], 1),
    (["doctor", "--json", "SCRIPT"], 1),
]


def khshim(
    words: Sequence[str], script: Write, redirection: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    path = script("#!/bin/sh\necho bad >&2\nexit 1\n")
    command = [*KHSHIM, *(path if word == "SCRIPT" else word for word in words)]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *command],
        env={**base_environ(), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("words", "status"), COMMANDS)
def test_a_stdout_that_is_full(script: Write, words: list[str], status: int) -> None:
    result = khshim(words, script, ">/dev/full")
    assert result.returncode == 1
    assert result.stderr.endswith(
        "khshim: the output could not be written: No space left on device\n"
    )
    assert "Traceback" not in result.stderr and "Exception" not in result.stderr


@pytest.mark.parametrize(("words", "status"), COMMANDS)
@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-"])
def test_a_stdout_that_is_closed(
    script: Write, words: list[str], status: int, redirection: str
) -> None:
    result = khshim(words, script, redirection)
    assert result.returncode == status
    assert "Traceback" not in result.stderr and "Exception" not in result.stderr


@pytest.mark.parametrize(("words", "status"), COMMANDS)
def test_a_reader_that_has_gone(script: Write, words: list[str], status: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    path = script("#!/bin/sh\necho bad >&2\nexit 1\n")
    command = [*KHSHIM, *(path if word == "SCRIPT" else word for word in words)]
    result = subprocess.run(
        command, env=base_environ(), stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert result.returncode == status
    assert "Traceback" not in result.stderr and "Exception" not in result.stderr


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
@pytest.mark.parametrize("words", [["--frobnicate"], ["try"], ["doctor", "--frobnicate"]])
def test_a_stderr_that_cannot_be_written(script: Write, words: list[str], redirection: str) -> None:
    assert khshim(words, script, redirection).returncode == 64


@pytest.mark.parametrize(("words", "status"), [(["try", "SCRIPT"], 1), (["doctor", "SCRIPT"], 1)])
def test_an_encoding_that_has_not_all(script: Write, words: list[str], status: int) -> None:
    environ = {"PYTHONIOENCODING": "ascii", "SHIM_TIMEOUT": "gr\u00fc\u00dfe"}
    result = khshim(words, script, "", environ)
    assert result.returncode == status
    assert "gr\\xfc\\xdfe" in result.stdout and "Traceback" not in result.stderr
