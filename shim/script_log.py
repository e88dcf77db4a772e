"""`SHIM_LOG_SCRIPT=json`: each line the script writes becomes a line of JSON."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Sized
from datetime import datetime, timezone

from shim.sink import Sink

# A longer line is logged in parts.
LONGEST_LINE = 64 * 1024
LINES_AT_ONCE = 100


class ScriptLines:
    """Takes a stream's bytes in place of its Sink, and writes JSON lines to that Sink.

    A line that is a JSON object already keeps its fields, its level among them;
    what is missing there is added.
    """

    def __init__(self, sink: Sink, stream: str, common: dict[str, object]) -> None:
        self._sink = sink
        self._common = {"event": "script_output", "stream": stream, **common}
        self._lines: deque[bytes] = deque()
        self._rest = b""

    @property
    def fd(self) -> int:
        return self._sink.fd

    @property
    def pending(self) -> Sized:
        return self._lines or self._sink.pending

    def write(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        self._lines.extend(lines)
        self._advance()

    def flush(self) -> None:
        self._sink.flush()
        self._advance()

    def close(self) -> None:
        """Write a last line that has no newline."""
        if self._rest:
            self.write(b"\n")

    def drain(self, seconds: float) -> None:
        """Write what is pending, waiting for a slow reader for at most `seconds`."""
        until = time.monotonic() + seconds
        while self.pending and (left := until - time.monotonic()) > 0:
            self._sink.drain(left)
            self._advance()

    def _advance(self) -> None:
        """Wrap as many lines as the reader takes: short ones grow a hundredfold."""
        while self._lines and not self._sink.pending:
            count = min(len(self._lines), LINES_AT_ONCE)
            self._sink.write(b"".join(self._wrapped(self._lines.popleft()) for _ in range(count)))

    def _wrapped(self, line: bytes) -> bytes:
        text = line.decode("utf-8", "replace")
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        base = {
            "timestamp": now.replace("+00:00", "Z"),
            "level": "info",
            **self._common,
        }
        if text.lstrip().startswith("{"):
            try:
                return _json(base | json.loads(text))
            except (ValueError, RecursionError):
                pass  # no JSON after all, or with numbers that JSON does not have
        return _json(base | {"message": text})


def _json(fields: dict[str, object]) -> bytes:
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"
