"""The option parser of the commands that have options."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from shim import exit_status
from shim.commands.output import complain, put
from shim.suggest import did_you_mean

UNKNOWN = "unrecognized arguments: "  # argparse


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that answers wrong usage with one line and sysexits' status."""

    def error(self, message: str) -> NoReturn:
        helper = self.prog if self.add_help else "khshim"
        message = message.removeprefix("argument ")
        if message.startswith(UNKNOWN):
            word = message.removeprefix(UNKNOWN).split()[0].partition("=")[0]
            kind = "option" if word.startswith("-") else "argument"
            message = f"there is no {kind} {word}.{did_you_mean(word, self.options())}"
            complain(f"{self.prog}: {message} See {helper} --help\n")
        else:
            complain(f"{self.prog}: {message}; see {helper} --help\n")
        raise SystemExit(exit_status.WRONG_USAGE)

    def print_help(self, file: Any = None) -> NoReturn:
        raise SystemExit(put(self.format_help(), 0))

    def options(self) -> list[str]:
        """Return the names of the options, such as --help."""
        return [name for name in self._option_string_actions if name.startswith("--")]
