from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shim import exit_status
from shim.settings import SETTINGS
from tests.support.khshim import KHSHIM, Shim, base_environ
from tests.support.terminals import on_terminal

pytestmark = pytest.mark.whole_run

Write = Callable[..., str]


def khshim(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KHSHIM, *words],
        capture_output=True,
        text=True,
        check=False,
        env=base_environ(),
    )


@pytest.mark.parametrize("words", [["--help"], ["-h"]])
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
    command = "try " if words[0] == "try" else ""
    assert result.stderr.count("\n") == 1
    assert f"see khshim {command}--help" in result.stderr.replace("See", "see")


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


@pytest.mark.parametrize("command", ["try", "manifest", "doctor"])
def test_each_command_has_a_help_of_its_own(command: str) -> None:
    result = khshim(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: khshim {command} ")


@pytest.mark.parametrize("command", ["run", "try", "doctor"])
def test_a_help_fits_a_terminal(command: str) -> None:
    assert max(map(len, khshim(command, "--help").stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["--hlep"], "--help"),
        (["try", "--tiemout", "5s", "x.sh"], "--timeout"),
        (["try", "--sever=v2", "x.sh"], "--server"),
        (["doctor", "--jsno"], "--json"),
    ],
)
def test_a_mistyped_option(words: list[str], suggestion: str) -> None:
    result = khshim(*words)
    assert result.returncode == exit_status.WRONG_USAGE
    assert f" Did you mean {suggestion}? See khshim " in result.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 64, "khshim try SCRIPT [ARG...]"),
        (["help"], 0, "khshim try SCRIPT [ARG...]"),
        (["version"], 0, "khshim 0."),
        (["tyr", "x"], 64, "there is no command tyr. Did you mean try?"),
        (["docter"], 64, "Did you mean doctor?"),
        (["./no-such-script"], 64, "There is no script ./no-such-script"),
        (["run", "version"], 64, "version"),
        (["/bin/true", "a b"], 78, "To try the script here: khshim try /bin/true 'a b'"),
        (["run", "/bin/true"], 78, "To try the script here: khshim try /bin/true"),
    ],
)
def test_words_for_a_person_outside_a_cluster(words: list[str], status: int, said: str) -> None:
    result = on_terminal([*KHSHIM, *words], base_environ())
    assert result.status == status
    assert said in result.text and "{" not in result.text


def test_in_a_pod_with_a_terminal_a_run_is_a_run(shim: Shim) -> None:
    result = on_terminal([*KHSHIM, "/bin/true"], shim.environ)
    assert result.status == 0 and '"event": "report_accepted"' in result.text


def test_without_a_terminal_the_log_stays_json() -> None:
    result = khshim("tyr", "x")
    assert result.returncode == exit_status.WRONG_SETTINGS
    assert all(json.loads(line)["level"] for line in result.stderr.splitlines())


# Runs khshim's command line where a package cannot be imported.
WITHOUT_PACKAGES = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from shim import cli
sys.exit(cli.main())
"""


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        ("urllib3", ["try", "/bin/true"]),
        ("urllib3", ["doctor"]),
        ("pythonjsonlogger", ["try", "/bin/true"]),
        ("pythonjsonlogger", ["run", "/bin/true"]),
        ("urllib3,pythonjsonlogger", ["try", "/bin/true"]),
        ("urllib3,pythonjsonlogger", ["run", "/bin/true"]),
    ],
)
def test_a_missing_package_is_no_bug(packages: str, words: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGES, packages, *words],
        capture_output=True, text=True, env=base_environ(),
    )  # fmt: skip
    assert result.returncode == exit_status.WRONG_SETTINGS
    assert "khshim is not installed: it needs " in result.stderr
    assert "pip install khshim" in result.stderr and "a bug in" not in result.stderr
    if words[0] == "run":
        assert json.loads(result.stderr.splitlines()[0])["event"] == "not_installed"
    else:
        assert result.stderr.count("\n") == 1


def test_a_missing_http_client_is_no_bug(make_shim: Callable[[], Shim]) -> None:
    command = [sys.executable, "-c", WITHOUT_PACKAGES, "urllib3", "run", "/bin/true"]
    result = subprocess.run(command, capture_output=True, text=True, env=make_shim().environ)
    assert result.returncode == exit_status.WRONG_SETTINGS
    assert '"event": "not_installed"' in result.stderr and "a bug in" not in result.stderr


def test_a_missing_package_is_reported_where_it_can_be(shim: Shim) -> None:
    command = [sys.executable, "-c", WITHOUT_PACKAGES, "pythonjsonlogger", "run", "/bin/true"]
    result = subprocess.run(command, capture_output=True, env=shim.environ)
    assert result.returncode == exit_status.WRONG_SETTINGS
    assert shim.receiver.stored is not None
    assert "khshim is not installed: it needs pythonjsonlogger" in shim.receiver.stored[1][0]


# Looks like macOS as far as a process can: what is Linux's own is not there.
ON_MACOS = """
import os, select, signal, sys
sys.platform = "darwin"
del os.pipe2, os.pidfd_open, signal.SIGRTMIN, signal.SIGRTMAX, signal.SIGPWR, signal.SIGSTKFLT
del signal.sigtimedwait, signal.pidfd_send_signal
from shim import cli
sys.exit(cli.main())
"""


def on_macos(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ON_MACOS, *words]
    return subprocess.run(command, capture_output=True, text=True, env=base_environ())


@pytest.mark.parametrize("words", [["try", "x.sh"], ["./x.sh"], ["run"], [], ["doctor"]])
def test_elsewhere_than_on_linux_a_run_names_the_image(words: list[str]) -> None:
    result = on_macos(*words)
    assert result.returncode == exit_status.WRONG_USAGE and result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "Linux only: docker run --rm -v" in result.stderr


@pytest.mark.parametrize("words", [["--help"], ["try", "--help"], ["doctor", "-h"], ["--version"]])
def test_elsewhere_than_on_linux_there_is_help(words: list[str]) -> None:
    assert (on_macos(*words).returncode, on_macos(*words).stderr) == (0, "")


def test_elsewhere_than_on_linux_a_manifest_can_be_written(script: Write) -> None:
    result = on_macos(
        "manifest", script("#!/bin/sh\n"), "--name", "web", "--interval", "5m", "--timeout", "1m",
        "--env", "SHIM_STOP_SIGNAL=SIGRTMIN+3", "--image", "registry.example/khshim:1.2",
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert "kind: HealthCheck" in result.stdout
