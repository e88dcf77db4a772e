"""The option parser of the commands that have options."""

from __future__ import annotations

import argparse
from typing import NoReturn

from shim import exit_status
from shim.commands.output import complain


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that answers wrong usage with one line and sysexits' status."""

    def error(self, message: str) -> NoReturn:
        complain(f"{self.prog}: {message}; see khshim --help\n")
        raise SystemExit(exit_status.WRONG_USAGE)
