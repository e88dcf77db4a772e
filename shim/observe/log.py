"""khshim's own log: one JSON object a line, or text for people, on stderr."""

from __future__ import annotations

import logging
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from shim.observe.events import Event, Subscriber
from shim.observe.timestamp import rfc3339
from shim.supervise.sink import Sink

COLOURS = {
    logging.DEBUG: "2",
    logging.INFO: "36",
    logging.WARNING: "33",
    logging.ERROR: "31",
}

# What is in every record, and the event, which the text format leaves out.
RECORD_FIELDS = vars(logging.makeLogRecord({})).keys() | {"event"}


def open_log(sink: Sink, *, level: str, style: str, colour: bool, **common: object) -> Subscriber:
    """Return a subscriber that writes each event to `sink` as a line of JSON, or as text.

    Durations get three decimals. `common` fields go into every JSON line.
    """
    formatter = _json_formatter(common) if style == "json" else _TextFormatter(colour)
    # Not from getLogger(): nothing of the process's logging is shared or changed.
    logger = logging.Logger("khshim", level.upper())
    handler = _SinkHandler(sink)
    handler.setFormatter(formatter)
    logger.addHandler(handler)

    def log(event: Event) -> None:
        extra = {name: _rounded(value) for name, value in event.fields().items()}
        logger.log(event.level, "%s", event.message(), extra={"event": event.name, **extra})

    return log


class _SinkHandler(logging.Handler):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        self._sink.write_line(self.format(record).encode("utf-8", "replace"))


class _JsonLineFormatter(JsonFormatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return rfc3339(record.created)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        log_data["level"] = log_data["level"].lower()
        return log_data


def _json_formatter(common: dict[str, object]) -> logging.Formatter:
    return _JsonLineFormatter(
        "%(asctime)s %(levelname)s %(message)s %(event)s",
        rename_fields={"asctime": "timestamp", "levelname": "level"},
        static_fields={key: value for key, value in common.items() if value is not None},
        json_ensure_ascii=False,
    )


class _TextFormatter(logging.Formatter):
    def __init__(self, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        fields = {key: value for key, value in vars(record).items() if key not in RECORD_FIELDS}
        line = f"{rfc3339(record.created)[11:23]} khshim {record.levelname.lower():7} {record.getMessage()}"
        line += "".join(f" {key}={value}" for key, value in fields.items())
        line = line.replace("\n", " ")
        return f"\x1b[{COLOURS.get(record.levelno, '0')}m{line}\x1b[0m" if self._colour else line


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
