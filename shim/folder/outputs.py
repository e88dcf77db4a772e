"""Where the output of one script of several goes: each line with the script's name before it."""

from __future__ import annotations

import os
import select
from collections.abc import Sized

from shim.observe.outputs import Outputs
from shim.settings import Settings
from shim.supervise.sink import Output, Sink


class LineSink(Sink):
    """A Sink for lines, of which other processes write theirs to the same pipe.

    A write(2) of at most PIPE_BUF bytes is not divided (pipe(7)), so that each line stays
    whole; only a longer one may have another's in it.
    """

    def _write_now(self, data: bytes | bytearray) -> int:
        done = 0
        while done < len(data):
            end = data.rfind(b"\n", done, done + select.PIPE_BUF) + 1
            end = end or min(done + select.PIPE_BUF, len(data))
            done += super()._write_now(data[done:end])
            if done < end:
                break
        return done


class LabelledLines:
    """Takes a stream's bytes in place of its Sink, and writes lines that begin with `label`.

    A line that would not fit into one write(2) is written as several.
    """

    def __init__(self, sink: Output, label: str) -> None:
        self._sink = sink
        self._label = os.fsencode(label)
        self._longest = select.PIPE_BUF - len(self._label) - 1
        self._rest = b""

    @property
    def fd(self) -> int:
        return self._sink.fd

    @property
    def pending(self) -> Sized:
        return self._sink.pending

    def write(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        if len(rest) > self._longest:
            *parts, rest = _parts(rest, self._longest)
            lines += parts
        self._rest = rest
        self._write_lines(lines)

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        """Write a last line that has no newline."""
        if self._rest:
            self._write_lines([self._rest])
            self._rest = b""

    def drain(self, seconds: float) -> None:
        self._sink.drain(seconds)

    def _write_lines(self, lines: list[bytes]) -> None:
        whole = [part for line in lines for part in _parts(line, self._longest)]
        self._sink.write(b"".join([self._label + part + b"\n" for part in whole]))


class LabelledOutputs(Outputs):
    """The outputs of one script, whose path is `script` and whose lines begin with `label`."""

    def __init__(self, settings: Settings, script: str, label: str) -> None:
        super().__init__(settings, LineSink, script=os.fsencode(script).decode("utf-8", "replace"))
        if settings.log_script == "raw":
            self.for_stdout = LabelledLines(self.for_stdout, f"{label}: ")
            self.for_stderr = LabelledLines(self.for_stderr, f"{label}: ")


def _parts(line: bytes, size: int) -> list[bytes]:
    return [line[at : at + size] for at in range(0, len(line), size)] or [line]
