"""The lines of khshim's own in a pod's log, as kubectl, container runtimes and files hand it on.

Such a log holds the script's output as well: lines of any bytes, half lines, lines of JSON.
What tools put before a line (a time, the pod's name) may be anything, so that a line of
khshim's own is looked for within it.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from shim.commands.own_lines import BEGINNING, LONGEST
from shim.observe.events import EVENTS

CHUNK_SIZE = 1 << 20
# Of lines without a word of khshim's only these last ones are handed on.
KEPT_LINES = 20

GZIP = b"\x1f\x8b"
# How a file begins that Windows PowerShell's `>` has written.
UTF_16 = codecs.BOM_UTF16_LE

OWN = re.compile(rb'\{\s?"timestamp"\s?:\s?"')
# A script's line of JSON may hold as much; a line is looked at in no more places.
MOST_PLACES = 8
# SHIM_LOG_FORMAT=text, on a terminal with colour.
TEXT = re.compile(
    rb"(?:^|[\s\x1b|\]])(?:\x1b\[\d+m)?\d\d:\d\d:\d\d\.\d{3} khshim (?:debug|info|warning|error) "
)
# A container runtime's file (Kubernetes, "CRI: log format"): P marks a part of a line, F its end.
CRI = re.compile(rb"^\d{4}-\d\d-\d\dT\S+ (stdout|stderr) ([PF]) ?(.*)$", re.DOTALL)
DOCKER = b'{"log":"'
# What is in no line without them, so that others need not be looked at one by one.
MARKS = (b"timestamp", b" khshim ", b" stdout P ", b" stderr P ", DOCKER)

# No count of a run is larger, and no time in seconds; NaN and infinity are no numbers here either.
LARGEST = 1e15
LONGEST_TIME = 1e10

KNOWN = frozenset(event.name for event in EVENTS)


class Entry(NamedTuple):
    """A line of khshim's own; `at` is in unix time, None where the line does not tell it."""

    at: float | None
    event: str
    level: str
    message: str
    fields: Mapping[str, Any]

    def number(self, field: str) -> float | None:
        """Return the number in a field, None where there is none."""
        value = self.fields.get(field)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return None
        largest = LONGEST_TIME if field.endswith("_s") else LARGEST
        return float(value) if abs(value) < largest else None

    def word(self, field: str) -> str | None:
        """Return the text in a field, None where there is none."""
        value = self.fields.get(field)
        return value if isinstance(value, str) else None


class Other(NamedTuple):
    """A line that is not khshim's own, most probably the script's."""

    line: bytes


class TextLine(NamedTuple):
    """A line of khshim's own in the format for people (SHIM_LOG_FORMAT=text)."""

    line: bytes


class HalfLine(NamedTuple):
    """The log ends within a line of khshim's own."""


Part = Entry | Other | TextLine | HalfLine


class NotALog(Exception):
    """The bytes cannot be a log as they are; the message says what to do."""


def read(stream: BinaryIO) -> Iterator[Part]:
    """Yield what a log consists of, in its order, in bounded memory.

    Of many lines in a row that are not khshim's only the last ones are yielded. Raises
    NotALog for a compressed file, and OSError.
    """
    joined = _Joined()
    for block, is_whole in _blocks(_decoded(stream)):
        if not any(mark in block for mark in MARKS) and not joined.is_waiting:
            lines = block.rstrip(b"\n").rsplit(b"\n", KEPT_LINES)
            yield from map(Other, lines[-KEPT_LINES:])
            if not is_whole and _is_half(lines[-1]):
                yield HalfLine()
            continue
        lines = block.split(b"\n")
        last = lines.pop()
        for line in joined.lines(lines):
            yield _part(line)
        if last:
            yield from _last(last, joined)


def looks_like_a_log(path: str) -> bool:
    """Tell whether a file begins as a log of khshim's does."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            beginning = file.read(64 * 1024)
    except OSError:
        return False
    is_own = (
        OWN.search(line) and isinstance(_part(line), Entry) for line in beginning.split(b"\n")
    )
    return any(is_own)


def _last(line: bytes, joined: _Joined) -> Iterator[Part]:
    """Yield what the last line of a log is, which has no newline."""
    for whole in joined.lines([line]):
        yield _part(whole)
        if _is_half(whole):
            yield HalfLine()


def _is_half(line: bytes) -> bool:
    """Tell whether a line without a newline can be the beginning of one of khshim's own."""
    match = OWN.search(line)
    if match is not None:
        return _object(line[match.start() :]) is None
    return BEGINNING.startswith(line[line.rfind(b'{"') :]) and b'{"' in line


def _decoded(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of a stream, in UTF-8 where it is in UTF-16."""
    chunk = stream.read(CHUNK_SIZE)
    if chunk.startswith(GZIP):
        raise NotALog("it is compressed by gzip: zcat FILE | khshim doctor --log -")
    decoder = None
    if chunk.startswith(UTF_16):
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
    while chunk:
        yield chunk if decoder is None else decoder.decode(chunk).encode("utf-8", "replace")
        chunk = stream.read(CHUNK_SIZE)


def _blocks(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield whole lines, many at a time, and last the rest, which is not whole.

    Of a line that is longer than any of khshim's own only the beginning is kept.
    """
    held, is_too_long = b"", False
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if not end:
            room = max(LONGEST - len(held), 0)
            held, is_too_long = held + chunk[:room], is_too_long or len(chunk) > room
            continue
        if is_too_long:
            first = chunk.index(b"\n")
            yield held + b"\n", True
            held, is_too_long, chunk, end = b"", False, chunk[first + 1 :], end - first - 1
        if end:
            yield held + chunk[:end], True
            held = b""
        held += chunk[end:]
    if held:
        yield held, False


class _Joined:
    """Joins the parts into which a container runtime's file divides long lines."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    @property
    def is_waiting(self) -> bool:
        return bool(self._held)

    def lines(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield each line that is whole, without what a runtime's file puts before it."""
        for line in lines:
            found = self._cri(line) or self._docker(line)
            if found is None:
                yield line
                continue
            stream, text, is_end = found
            text = self._held.pop(stream, b"") + text
            if is_end:
                yield text
            else:
                self._held[stream] = text[:LONGEST]

    def _cri(self, line: bytes) -> tuple[str, bytes, bool] | None:
        match = CRI.match(line)
        return match and (match[1].decode(), match[3], match[2] == b"F")

    def _docker(self, line: bytes) -> tuple[str, bytes, bool] | None:
        """Return what a line of Docker's json-file driver says, which has the newline within."""
        said = _object(line) if line.startswith(DOCKER) else None
        if said is None or not isinstance(said.get("log"), str):
            return None
        text = said["log"].encode("utf-8", "replace")
        return str(said.get("stream")), text.rstrip(b"\n"), text.endswith(b"\n")


def _part(line: bytes) -> Part:
    for match in islice(OWN.finditer(line), MOST_PLACES):
        said = _object(line[match.start() :])
        if said is not None and _is_own(said):
            return _entry(said)
    return TextLine(line) if TEXT.search(line) else Other(_script_line(line))


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _is_own(said: Mapping[str, Any]) -> bool:
    """Tell khshim's own line from one that the script wrote, or that SHIM_LOG_SCRIPT made of it.

    An event that this khshim does not know may be that of a newer one.
    """
    texts = (said.get(name) for name in ("timestamp", "level", "message", "event"))
    if not all(isinstance(text, str) for text in texts) or "stream" in said:
        return False
    return said["event"] in KNOWN or isinstance(said.get("run_uuid"), str)


def _entry(said: Mapping[str, Any]) -> Entry:
    return Entry(_unix_time(said["timestamp"]), said["event"], said["level"], said["message"], said)


def _unix_time(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _script_line(line: bytes) -> bytes:
    """Return what the script wrote, where SHIM_LOG_SCRIPT=json has made JSON of it."""
    match = OWN.search(line)
    said = _object(line[match.start() :]) if match else None
    if said is not None and said.get("event") == "script_output":
        return str(said.get("message")).encode("utf-8", "replace")
    return line
