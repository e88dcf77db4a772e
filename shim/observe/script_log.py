"""`SHIM_LOG_SCRIPT=json`: each line the script writes becomes a line of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sized

from shim.observe.timestamp import rfc3339
from shim.supervise.sink import Sink

# A longer line is logged in parts.
LONGEST_LINE = 64 * 1024
# So many bytes of the script's are made into lines of JSON between two looks at the clock.
BATCH_SIZE = 4 * 1024
# Seconds after which the event loop gets its turn: it has signals and limits to look at.
LONGEST_TURN = 0.01

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


class ScriptLines:
    """Takes a stream's bytes in place of its Sink, and writes JSON lines to that Sink.

    A line that is a JSON object already keeps its fields, its level among them;
    what is missing there is added. `common` fields go into every line. No call takes
    much longer than LONGEST_TURN: what it leaves is pending, as for a slow reader.
    """

    def __init__(self, sink: Sink, stream: str, common: Mapping[str, object]) -> None:
        self._sink = sink
        known = {name: value for name, value in common.items() if value is not None}
        self._fields = {"level": "info", "event": "script_output", "stream": stream, **known}
        # A message's line begins with the timestamp and goes on with these fields.
        self._middle = _to_json(self._fields)[1:-1]
        self._buffer = bytearray()  # whole lines, and then the beginning of one
        self._whole = 0  # how many bytes of the buffer are whole lines

    @property
    def fd(self) -> int:
        return self._sink.fd

    @property
    def pending(self) -> Sized:
        return range(self._whole) or self._sink.pending

    def write(self, data: bytes) -> None:
        """Write `data` as lines, or keep it behind what is pending: then it costs no time."""
        must_wait = bool(self.pending)
        self._buffer += data
        last_newline = self._buffer.rfind(b"\n", self._whole)
        if last_newline >= 0:
            self._whole = last_newline + 1
        if len(self._buffer) - self._whole > LONGEST_LINE:
            self._buffer += b"\n"
            self._whole = len(self._buffer)
        if not must_wait:
            self._advance(time.monotonic() + LONGEST_TURN)

    def flush(self) -> None:
        self._sink.flush()
        self._advance(time.monotonic() + LONGEST_TURN)

    def close(self) -> None:
        """Write a last line that has no newline."""
        if len(self._buffer) > self._whole:
            self.write(b"\n")

    def drain(self, seconds: float) -> None:
        """Write what is pending, waiting for a slow reader for at most `seconds`."""
        until = time.monotonic() + seconds
        while self.pending and (left := until - time.monotonic()) > 0:
            self._sink.drain(left)
            self._advance(until)

    def _advance(self, until: float) -> None:
        """Write lines while the reader takes them and there is time."""
        while self._whole and not self._sink.pending:
            size = self._buffer.rfind(b"\n", 0, min(self._whole, BATCH_SIZE)) + 1
            size = size or self._buffer.index(b"\n") + 1
            lines = bytes(self._buffer[: size - 1]).split(b"\n")
            del self._buffer[:size]
            self._whole -= size
            now = rfc3339(time.time())
            self._sink.write(b"".join([self._wrapped(line, now) for line in lines]))
            if time.monotonic() >= until:
                return

    def _wrapped(self, line: bytes, now: str) -> bytes:
        text = line.decode("utf-8", "replace")
        if text.lstrip().startswith("{"):
            try:
                fields = {"timestamp": now, **self._fields, **json.loads(text)}
                return f"{_to_json(fields)}\n".encode("utf-8", "replace")
            except (ValueError, RecursionError):
                pass  # no JSON after all, or with numbers that JSON does not have
        message = _to_json(text)
        return f'{{"timestamp": "{now}", {self._middle}, "message": {message}}}\n'.encode(
            "utf-8", "replace"
        )
