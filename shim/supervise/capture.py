"""What is remembered of the script's output: the first and the last of it, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

# Bytes kept at either end. A report has room for 16 KiB; the rest is for what
# cleaning removes, such as colour codes and progress meters.
END_SIZE = 64 * 1024
# Stands where a line was cut.
CUT = "…"
CUT_BYTES = CUT.encode()


class Captured(NamedTuple):
    """The lines of a stream, without their newlines.

    Between `head` and `tail`, `lines_left_out` lines were dropped. Where the whole
    stream was one line too long to keep, `one_line_of` is its size in bytes, else 0.
    A line that was cut ends, or begins, with CUT.
    """

    head: list[bytes]
    lines_left_out: int = 0
    one_line_of: int = 0
    tail: list[bytes] = []


class Capture:
    """Keeps the first and last END_SIZE bytes of what it is fed, and counts the lines between.

    Works on whole chunks, never line by line, so that it keeps up with a flood.
    """

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._newlines_dropped = 0
        self._bytes_dropped = 0

    def feed(self, data: bytes) -> None:
        room = END_SIZE - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * END_SIZE:
            self._drop(len(self._tail) - END_SIZE)

    def count(self) -> tuple[int, int]:
        """Return how many lines and bytes there were in all."""
        ends = bytes(self._head + self._tail)
        lines = ends.count(b"\n") + self._newlines_dropped
        unfinished = ends != b"" and not ends.endswith(b"\n")
        return lines + unfinished, len(ends) + self._bytes_dropped

    def captured(self) -> Captured:
        head, tail = bytes(self._head), bytes(self._tail)
        if not self._bytes_dropped:
            return Captured(_lines(head + tail))
        # The lines at the two edges of the gap are fragments. Each counts among the
        # lines left out, unless it is all that is known of its end.
        whole, head_newline, _ = head.rpartition(b"\n")
        head_lines = whole.split(b"\n") if head_newline else [_without_last_state(head) + CUT_BYTES]
        end, tail_newline, rest = tail.removesuffix(b"\n").partition(b"\n")
        tail_lines = rest.split(b"\n") if tail_newline else [CUT_BYTES + end]
        left_out = self._newlines_dropped + bool(tail_newline)
        size = 0
        if not head_newline and left_out:
            left_out -= 1
        elif not head_newline:
            size = len(head) + self._bytes_dropped + len(end)
        return Captured(head_lines, left_out, size, tail_lines)

    def _drop(self, size: int) -> None:
        if self._tail.find(b"\n", 0, size) >= 0:  # many times faster than to count none
            self._newlines_dropped += self._tail.count(b"\n", 0, size)
        self._bytes_dropped += size
        del self._tail[:size]


class WholeLines:
    """Passes chunks of one stream on in whole lines, so that two streams can share a Capture.

    A line longer than END_SIZE is passed on in parts, each as a line: the other stream's
    must not go on in it.
    """

    def __init__(self, feed: Callable[[bytes], None]) -> None:
        self._feed = feed
        self._rest = b""
        self._was_cut = False

    def feed(self, data: bytes) -> None:
        if self._was_cut and data:
            data = data[1:] if data.startswith(b"\n") else CUT_BYTES + data
            self._was_cut = False
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        if len(data) - end > END_SIZE:
            data += CUT_BYTES + b"\n"
            end = len(data)
            self._was_cut = True
        self._rest = data[end:]
        if end:
            self._feed(data[:end])

    def close(self) -> None:
        """Pass on a last line that has no newline."""
        if self._rest:
            self._feed(self._rest + b"\n")
            self._rest = b""


class ScriptOutput:
    """Remembers a script's two streams, apart or, `merged`, both in the order of arrival."""

    def __init__(self, *, merged: bool) -> None:
        self._captures = {"stdout": Capture(), "stderr": Capture(), "both": Capture()}
        self._merging = []
        self.feed_stdout = self._captures["stdout"].feed
        self.feed_stderr = self._captures["stderr"].feed
        if merged:
            both = self._captures["both"].feed
            self._merging = [WholeLines(both), WholeLines(both)]
            stdout, stderr = self._merging

            def feed_stderr(data: bytes) -> None:
                self._captures["stderr"].feed(data)  # for its count
                stderr.feed(data)

            self.feed_stdout, self.feed_stderr = stdout.feed, feed_stderr

    def count_stderr(self) -> tuple[int, int]:
        """Return how many lines and bytes there were on stderr."""
        return self._captures["stderr"].count()

    def captured(self, stream: str) -> tuple[Captured, Captured]:
        """Return what is known of "stdout", "stderr" or "both", and of the other stream."""
        for lines in self._merging:
            lines.close()
        other = "stdout" if stream == "stderr" else "stderr"
        return self._captures[stream].captured(), self._captures[other].captured()


def _without_last_state(line: bytes) -> bytes:
    """Drop what a cut line was being rewritten with, behind a carriage return or backspaces.

    It would be what is shown, and could end in half of a secret.
    """
    last = max(line.rfind(b"\r"), line.rfind(b"\b"))
    return line[:last].rstrip(b"\b") if last >= 0 else line


def _lines(data: bytes) -> list[bytes]:
    return data.removesuffix(b"\n").split(b"\n") if data else []
