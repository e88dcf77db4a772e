"""The declarations of events."""

from __future__ import annotations

import re
import string

import pytest

from shim.observe.events import EVENTS, Event, SignalForwarded, field_names
from tests.support.manifests import ROOT


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.name)
def test_every_event_is_declared_whole(kind: type[Event]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.name)
    assert kind.when and not kind.when.endswith(".")
    declared = {name for base in kind.__mro__[:-2] for name in base.__annotations__}
    for _, field, _, _ in string.Formatter().parse(kind.text):
        assert field is None or field in declared
    assert set(field_names(kind)) <= declared
    for field in field_names(kind):
        assert not re.search(r"(duration|latency|cpu|time_left)$", field), "without its unit"


def test_names_are_unique() -> None:
    assert len({kind.name for kind in EVENTS}) == len(EVENTS)


def test_what_the_crash_handler_writes_is_declared() -> None:
    """It writes without the classes, since these may be what has failed."""
    text = (ROOT / "shim" / "crash.py").read_text()
    written = set(re.findall(r'_write\(\s*"([a-z_]+)"', text))
    assert written and written <= {kind.name for kind in EVENTS}


def test_a_field_without_a_value_is_left_out() -> None:
    event = SignalForwarded(signal="SIGTERM", sent=None)
    assert event.fields() == {"signal": "SIGTERM"}
    assert event.message() == "Forwarded SIGTERM to the script's process group."
    changed = SignalForwarded(signal="SIGTERM", sent="SIGINT")
    assert changed.message().endswith("process group as SIGINT, by SHIM_STOP_SIGNAL.")
