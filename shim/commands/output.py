"""Writing what a command has to say, whatever has become of stdout and stderr."""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

NOT_WRITTEN = 1
"""Exit status where the output could not be written."""


def put(text: str, status: int) -> int:
    """Write `text` to stdout and return `status`, or NOT_WRITTEN where that cannot be.

    A reader that has gone away has seen all that it wanted to, and a stdout that was
    closed from the beginning has none: then `status` stays.
    """
    out = sys.stdout
    if out is None:  # so Python tells that descriptor 1 was closed
        return status
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")  # a locale may not have it all
    try:
        out.write(text)
        out.flush()
    except OSError as error:
        _discard(out)
        if not isinstance(error, BrokenPipeError):
            complain(f"khshim: the output could not be written: {error.strerror}\n")
            status = NOT_WRITTEN
    return status


def complain(text: str) -> None:
    """Write `text` to stderr if that is possible: where it is not, the exit status is all that is left."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except AttributeError:  # it is None where descriptor 2 was closed
        pass
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Lose what is left in a stream that cannot be written.

    Python flushes once more at its end, and would complain once more, or from 3.14 on
    make the exit status 120.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
