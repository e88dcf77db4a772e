from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator

import pytest

from shim.observe.events import Event, Subscriber
from shim.observe.log import open_log
from shim.supervise.sink import Sink
from tests.support.khshim import Shim


class Said(Event):
    text = "{reason}"
    reason: str
    pid: int | None = None
    duration_s: float | None = None
    signal: str | None = None


class Shouted(Said):
    severity = logging.WARNING


class Screamed(Said):
    severity = logging.ERROR


class Opened:
    def __init__(self, reader: int, writer: int) -> None:
        self._reader = reader
        self._sink = Sink(writer)

    def log(
        self,
        style: str = "json",
        level: str = "info",
        colour: bool = False,
        **common: object,
    ) -> Subscriber:
        return open_log(self._sink, level=level, style=style, colour=colour, **common)

    def written(self) -> str:
        return os.read(self._reader, 65_536).decode()


@pytest.fixture
def opened() -> Iterator[Opened]:
    reader, writer = os.pipe()
    yield Opened(reader, writer)
    os.close(reader)
    os.close(writer)


def test_json(opened: Opened) -> None:
    log = opened.log(namespace="shop", run_uuid=None)
    log(Shouted(reason="Grün — done.", duration_s=1.23456, pid=3, signal=None))
    text = opened.written()
    assert text.endswith("}\n") and "Grün" in text
    line = json.loads(text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "level": "warning",
        "message": "Grün — done.",
        "event": "shouted",
        "duration_s": 1.235,
        "pid": 3,
        "namespace": "shop",
    }


def test_text(opened: Opened) -> None:
    opened.log("text")(Said(reason="Two\nlines.", pid=7))
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} khshim info    Two lines. pid=7\n", opened.written()
    )


def test_colour(opened: Opened) -> None:
    opened.log("text", colour=True)(Screamed(reason="Message."))
    text = opened.written()
    assert text.startswith("\x1b[31m") and text.endswith("\x1b[0m\n")


def test_levels(opened: Opened) -> None:
    log = opened.log("text", "warning")
    log(Said(reason="quiet"))
    log(Shouted(reason="loud"))
    assert "quiet" not in opened.written()


@pytest.mark.parametrize("message", ["100% of it %s", "\ud800"])
def test_any_message_can_be_written(opened: Opened, message: str) -> None:
    opened.log()(Said(reason=message))
    assert json.loads(opened.written())["event"] == "said"


def test_nothing_global_is_changed(opened: Opened, make: Callable[[], None] | None = None) -> None:
    before = list(logging.getLogger().handlers)
    opened.log()(Said(reason="message"))
    assert logging.getLogger().handlers == before
    assert "khshim" not in logging.Logger.manager.loggerDict


def test_a_quiet_run_is_three_lines(shim: Shim) -> None:
    run = shim.run("/bin/true", env={"SHIM_CHECK_NAME": "web"})
    assert run.stderr.count(b"\n") == 3
    for line in run.log:
        assert line["check"] == "web" and line["namespace"] == "try"
        assert line["run_uuid"] == shim.receiver.endpoint.run_uuid
        assert line["level"] == "info" and line["timestamp"].endswith("Z")
