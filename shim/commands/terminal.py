"""Drawing for people: colours, and a line that is drawn again on a terminal."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping

COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}
ERASE_LINE = b"\r\x1b[K"


class Style:
    """Colours text for one descriptor, or leaves it as it is."""

    def __init__(self, fd: int, environ: Mapping[str, str]) -> None:
        self._is_on = _has_colour(fd, environ)

    def __call__(self, colour: str, text: str) -> str:
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self._is_on else text


class Screen:
    """stdout and stderr, with a live line below what is written to either.

    The live line is drawn where stderr is a terminal, and goes before anything is written.
    It is not drawn behind half a line of the script's.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._can_draw = os.isatty(2) and environ.get("TERM") != "dumb"
        self._is_drawn = False
        self._at_line_start = True

    def write(self, fd: int, data: bytes) -> None:
        """Write to a descriptor; what cannot be written is lost, as there is nobody to tell."""
        self.erase()
        self._at_line_start = data.endswith(b"\n") if data else self._at_line_start
        _write(fd, data)

    def live(self, text: str) -> None:
        """Draw the live line anew."""
        if self._can_draw and self._at_line_start:
            # A line that wraps could not be erased. A terminal may not know its width.
            columns = os.get_terminal_size(2).columns or 80
            shown = text[: columns - 1].encode("ascii", "replace")
            _write(2, ERASE_LINE + shown)
            self._is_drawn = True

    def erase(self) -> None:
        """Take the live line away."""
        if self._is_drawn:
            _write(2, ERASE_LINE)
            self._is_drawn = False

    def end_line(self) -> None:
        """Begin a new line where the script left half a one."""
        self.erase()
        if not self._at_line_start:
            self.write(1, b"\n")


def _has_colour(fd: int, environ: Mapping[str, str]) -> bool:
    """Tell by NO_COLOR (no-color.org), FORCE_COLOR (force-color.org) and the descriptor."""
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or (environ.get("TERM") != "dumb" and os.isatty(fd))


def _write(fd: int, data: bytes) -> None:
    try:
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:  # whom it is shared with has set O_NONBLOCK
                select.select([], [fd], [])
    except OSError:  # EPIPE, ENOSPC
        pass
