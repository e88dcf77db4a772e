"""What khshim was started with in this pod, for a command that is started beside it."""

from __future__ import annotations

import os

from shim.cli import COMMANDS


def command(pid: int = 1) -> list[str]:
    """Return the script and its arguments on the command line of process `pid`.

    `kubectl exec` gives the container's environment to a process, but not its arguments;
    those PID 1 has, be it khshim or an init that was told to start khshim. [] where it is
    neither, or where it names no script.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = os.fsdecode(file.read()).split("\0")[:-1]
    except OSError:
        return []
    for index, word in enumerate(words):
        if os.path.basename(word) == "khshim" or words[index - 1 : index + 1] == ["-m", "shim"]:
            return _script(words[index + 1 :])
    return []


def _script(words: list[str]) -> list[str]:
    """Return what the words behind `khshim` say is to be run."""
    if words[:1] == ["run"]:
        words = words[1:]
    elif words and words[0] in COMMANDS:
        return []
    return words[1:] if words[:1] == ["--"] else words
