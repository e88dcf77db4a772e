"""What khshim says to a person who calls it where it cannot run a check."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import shim
from shim import exit_status
from shim.commands.output import complain, put
from shim.suggest import did_you_mean


def linux_only(command: str) -> int:
    """Say where a command can be run; return the exit status for wrong usage."""
    complain(
        f'khshim {command} is for Linux only: docker run --rm -v "$PWD:/checks"'
        f" khshim:{shim.__version__} try SCRIPT\n"
    )
    return exit_status.WRONG_USAGE


def outside_a_cluster(words: Sequence[str], named: str, overview: str) -> int:
    """Explain a run in a terminal where Kuberhealthy has set none of its variables.

    `named` is "run" where that was said, and `overview` the help on all commands. Returns
    the exit status: that for wrong settings where a script was named that can be run.
    """
    from shim import executable
    from shim.cli import COMMANDS

    script = [*words] or list(filter(None, [os.environ.get("SHIM_SCRIPT")]))
    if not script:
        complain(overview)
        return exit_status.WRONG_USAGE
    try:
        executable.find_any(script[0])
    except executable.StartError as error:
        if not named and script[0] in ("help", "version"):
            return put(overview if script[0] == "help" else version(), 0)
        meant = "" if named else did_you_mean(script[0], [*COMMANDS, "help", "version"])
        if meant:
            complain(f"khshim: there is no command {script[0]}.{meant} See khshim --help\n")
        else:
            complain(f"khshim: {error} See khshim --help\n")
        return exit_status.WRONG_USAGE
    complain(
        "khshim: this is no pod of a check, since Kuberhealthy has set none of its variables, so"
        f" nobody would get the report. To try the script here: khshim try {shlex.join(script)}\n"
    )
    return exit_status.WRONG_SETTINGS


def version() -> str:
    """Return the line that `khshim --version` prints."""
    return f"khshim {shim.__version__}\n"
