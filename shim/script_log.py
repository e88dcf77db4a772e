"""`SHIM_LOG_SCRIPT=json`: each line the script writes becomes a line of JSON."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from shim.sink import Sink

# A longer line is logged in parts.
LONGEST_LINE = 64 * 1024


class ScriptLines:
    """Takes a stream's bytes in place of its Sink, and writes JSON lines to that Sink.

    A line that is a JSON object already keeps its fields, its level among them;
    what is missing there is added.
    """

    def __init__(self, sink: Sink, stream: str, common: dict[str, object]) -> None:
        self._sink = sink
        self._common = {"event": "script_output", "stream": stream, **common}
        self._rest = b""

    @property
    def fd(self) -> int:
        return self._sink.fd

    @property
    def pending(self) -> bytearray:
        return self._sink.pending

    def flush(self) -> None:
        self._sink.flush()

    def write(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        if lines:
            self._sink.write(b"".join(map(self._wrapped, lines)))

    def close(self) -> None:
        """Write a last line that has no newline."""
        if self._rest:
            self.write(b"\n")

    def _wrapped(self, line: bytes) -> bytes:
        text = line.decode("utf-8", "replace")
        fields: dict[str, object] = {"message": text}
        if text.lstrip().startswith("{"):
            try:
                parsed = json.loads(text)
            except (ValueError, RecursionError):
                parsed = None
            if isinstance(parsed, dict):
                fields = parsed
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        base = {
            "timestamp": now.replace("+00:00", "Z"),
            "level": "info",
            **self._common,
        }
        return json.dumps(base | fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
