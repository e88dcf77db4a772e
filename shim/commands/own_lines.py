"""Telling khshim's own lines from the script's, which share stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shim.commands.terminal import Style

BEGINNING = b'{"timestamp": '
# A longer line is the script's; khshim's own hold at most one error and a traceback.
LONGEST = 256 * 1024
# What every line has, or what says nothing in a run on this machine.
COMMON = {"timestamp", "level", "message", "event", "check", "namespace", "run_uuid"}
# What the verdict says as well.
IN_THE_VERDICT = {
    "wrong_setting",
    "script_not_started",
    "script_exited",
    "script_timed_out",
    "folder_ended",
    "script_warned",
    "passed_after_retry",
    "killed_for_memory",
    "report_accepted",
}
COLOUR_OF_LEVEL = {"debug": "dim", "info": "dim", "warning": "yellow", "error": "red"}

Line = Mapping[str, Any]


class Separator:
    """Divides the bytes of stderr into khshim's own lines and the rest.

    khshim's own have the run's uuid, which the script does not know. Bytes are held back
    only while they may become such a line.
    """

    def __init__(self, run_uuid: str) -> None:
        self._run_uuid = run_uuid
        self._held = b""
        self._is_within_line = False

    def feed(self, data: bytes) -> Iterator[tuple[bytes, Line | None]]:
        """Yield the bytes in order, those of an own line together and with what it says."""
        *lines, last = (self._held + data).split(b"\n")
        self._held = b""
        for line in lines:
            own = None if self._is_within_line else self._own(line)
            self._is_within_line = False
            yield line + b"\n", own
        if not self._is_within_line and _may_become_own(last):
            self._held = last
        elif last:
            self._is_within_line = True
            yield last, None

    def rest(self) -> bytes:
        """Return what is held back at the end."""
        held, self._held = self._held, b""
        return held

    def _own(self, line: bytes) -> Line | None:
        if not line.startswith(BEGINNING):
            return None
        try:
            said = json.loads(line)
        except ValueError:
            return None
        is_own = said.get("run_uuid") == self._run_uuid and said.get("event") != "script_output"
        return said if is_own else None


def _may_become_own(line: bytes) -> bool:
    return len(line) < LONGEST and (
        line.startswith(BEGINNING) if len(line) >= len(BEGINNING) else BEGINNING.startswith(line)
    )


def shown(line: Line, style: Style, *, verbose: bool) -> str:
    """Return a line of khshim's own for a person, "" where the verdict will say it."""
    level, message = str(line["level"]), str(line["message"]).replace("\n", " ")
    if verbose:
        time = str(line["timestamp"])[11:23]
        fields = "".join(f" {key}={line[key]}" for key in line if key not in COMMON)
        text = f"{time} khshim {level:7} {message}{fields}"
    elif line["event"] in IN_THE_VERDICT:
        return ""
    else:
        text = f"khshim{'' if level == 'info' else f' {level}'}: {message}"
    return style(COLOUR_OF_LEVEL.get(level, "dim"), text) + "\n"
