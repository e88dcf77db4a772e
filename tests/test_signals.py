from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from shim import signals
from shim.signals import FORWARDED


@pytest.mark.parametrize(
    ("text", "signum"),
    [
        ("SIGTERM", signal.SIGTERM),
        ("term", signal.SIGTERM),
        (" SigWinch ", signal.SIGWINCH),
        ("10", 10),
        ("SIGRTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("rtmin+3", signal.SIGRTMIN + 3),
        ("RTMAX", signal.SIGRTMAX),
        ("SIGRTMAX-1", signal.SIGRTMAX - 1),
        ("37", 37),
    ],
)
def test_a_signal_is_named_as_for_kill_or_a_dockerfile(text: str, signum: int) -> None:
    assert signals.parse(text) == signum


@pytest.mark.parametrize(
    "text",
    ["", "SIG", "SIGFOO", "SIG_IGN", "0", "-1", "99", "SIGRTMIN-1", "SIGRTMAX+1", "RTMIN+x"]
    + ["SIGKILL", "9", "SIGSTOP", "SIGCHLD", "SIGSEGV", "SIGPIPE", "SIGTSTP", "²"],
)
def test_what_no_script_can_be_stopped_by_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        signals.parse(text)


def test_every_name_that_the_log_shows_is_understood() -> None:
    assert signals.name(signal.SIGRTMIN + 3) == "SIGRTMIN+3"
    assert signals.name(99) == "signal 99"
    assert [signals.parse(signals.name(signum)) for signum in FORWARDED] == list(FORWARDED)


def test_names_are_those_of_the_shell() -> None:
    table = "for n in $(seq 1 64); do echo $n $(kill -l $n); done"
    shell = subprocess.run(["bash", "-c", table], capture_output=True, text=True, check=True)
    for line in shell.stdout.splitlines():
        number, *name = line.split()
        if int(number) in FORWARDED:
            assert signals.parse(name[0]) == int(number)


CATCHES = """
import os, signal
for signum in signal.valid_signals():
    if os.fork() == 0:
        try:
            signal.signal(signum, lambda *_: os._exit(0))
            os.kill(os.getpid(), signum)
        finally:
            os._exit(1)
    if os.wait()[1] == 0:
        print(int(signum))
"""


def test_all_that_can_be_caught_is_forwarded_but_what_is_khshims_own() -> None:
    run = subprocess.run([sys.executable, "-c", CATCHES], capture_output=True, check=True)
    own = {"SEGV", "BUS", "FPE", "ILL", "SYS", "PIPE", "XFSZ", "TSTP", "TTIN", "TTOU", "CHLD"}
    caught = set(map(int, run.stdout.split()))
    assert caught - {signal.Signals[f"SIG{name}"] for name in own} == FORWARDED
