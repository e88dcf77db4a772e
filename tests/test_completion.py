"""Completion as somebody sees it who presses the tab key, in real shells on a terminal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.manifests import ROOT
from tests.support.terminals import Terminal, terminal

pytestmark = pytest.mark.whole_run

COMPLETIONS = ROOT / "share" / "completions"
READY = "it is ready"
SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        f"source {COMPLETIONS}/khshim; bind 'set show-all-if-ambiguous on'",
    ),
    # As the package installs it: a folder that zsh looks for functions in.
    "zsh": (
        ["zsh", "-f", "-i"],
        f"fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D",
    ),
}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """A shell that waits for a line, in the folder with the bundled scripts."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    command, set_up = SHELLS[request.param]
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "xterm"}
    with ExitStack() as stack:
        opened = stack.enter_context(terminal(command, environ))
        # Written in two parts, so that the echo of the line is not what is waited for.
        opened.type(f"cd {ROOT}/scripts; {set_up}; echo it is' ready'\n")
        opened.read_until(READY)
        yield opened


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("khshim ", ["run", "try", "manifest", "doctor", "install"]),
        ("khshim man", ["ifest"]),
        ("khshim try --serv", ["er"]),
        ("khshim try --server ", ["v2", "v3"]),
        ("khshim manifest --to", ["leration"]),
        ("khshim try disk", ["_space.sh"]),
        ("khshim doctor --log disk", ["_space.sh"]),
    ],
)
def test_the_tab_key(shell: Terminal, typed: str, offered: list[str]) -> None:
    shell.type(typed)
    shell.read_until(typed.split()[-1])
    shell.text = ""
    shell.type("\t\t")
    for words in offered:
        shell.read_until(words)
