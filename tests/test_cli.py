from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shim import exit_status
from shim.settings import SETTINGS
from tests.support.khshim import KHSHIM, Shim, base_environ

Write = Callable[..., str]


def khshim(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KHSHIM, *words],
        capture_output=True,
        text=True,
        check=False,
        env=base_environ(),
    )


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["try", "--help"]])
def test_help_fits_on_one_screen_and_has_an_example(words: list[str]) -> None:
    result = khshim(*words)
    assert result.returncode == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert "Example:" in lines


def test_version() -> None:
    assert re.fullmatch(r"khshim \d+\.\d+\.\d+\n", khshim("--version").stdout)


@pytest.mark.parametrize(
    "words",
    [
        ["--frobnicate"],
        ["run", "-x"],
        ["try", "--server", "v4", "a"],
        ["try"],
        ["try", "--timeout", "1d", "a"],
    ],
)
def test_wrong_usage(words: list[str]) -> None:
    result = khshim(*words)
    assert result.returncode == exit_status.WRONG_USAGE
    assert result.stderr.count("\n") == 1 and "see khshim --help" in result.stderr


@pytest.mark.parametrize("words", [[], ["run"], ["run", "--"], ["--"]])
def test_everything_can_come_from_the_environment(
    shim: Shim, script: Write, words: list[str]
) -> None:
    path = script('#!/bin/sh\necho "$1|$2"\n')
    environ = {**shim.environ, "SHIM_SCRIPT": path, "SHIM_ARGS": "'a b' c"}
    result = subprocess.run([*KHSHIM, *words], env=environ, capture_output=True, check=False)
    assert result.stdout == b"a b|c\n"
    assert shim.receiver.stored == (True, [])


@pytest.mark.parametrize("words", [[], ["run"], ["run", "--"], ["--"]])
def test_arguments_win_over_the_environment(shim: Shim, script: Write, words: list[str]) -> None:
    path = script('#!/bin/sh\necho "$*"\n')
    environ = {**shim.environ, "SHIM_SCRIPT": "/other", "SHIM_ARGS": "x"}
    result = subprocess.run(
        [*KHSHIM, *words, path, "--help", "y"], env=environ, capture_output=True
    )
    assert result.stdout == b"--help y\n"


def test_the_installed_command(shim: Shim) -> None:
    command = Path(sys.executable).parent / "khshim"
    result = subprocess.run([command, "/bin/true"], env=shim.environ, check=False)
    assert result.returncode == 0
    assert shim.receiver.stored == (True, [])


def test_the_help_of_run_names_every_setting_and_exit_status() -> None:
    result = khshim("run", "--help")
    assert result.returncode == 0 and max(map(len, result.stdout.splitlines())) <= 80
    assert not set("`|") & set(result.stdout), "it is plain text"
    for setting in SETTINGS:
        assert f"  {setting.name}" in result.stdout
    for status, meaning in exit_status.MEANINGS.items():
        assert f"  {status:<3} {meaning}" in result.stdout
