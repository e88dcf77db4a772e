"""Waiting with a time limit that a terminating signal brings forward."""

from __future__ import annotations

import os
import signal
import time

import pytest

from shim.delivery.waiting import TimeLimit
from shim.signals import SignalInbox

LONG = 1e12  # seconds: poll(2) itself takes no such timeout


def limit(seconds: float) -> TimeLimit:
    return TimeLimit(time.monotonic() + seconds)


@pytest.mark.parametrize(("seconds", "until"), [(0.05, LONG), (LONG, 0.05), (0.05, 0.05)])
def test_the_shorter_of_both_times_ends_it(seconds: float, until: float) -> None:
    started_at = time.monotonic()
    limit(until).wait(seconds)
    assert 0.045 < time.monotonic() - started_at < 10


def test_what_is_over_is_not_waited_for() -> None:
    over = limit(-1)
    over.wait(LONG)
    assert over.left() < -0.9


@pytest.mark.parametrize("data", [b"x", b""], ids=["readable", "closed"])
def test_a_descriptor_ends_it(data: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    limit(LONG).wait(LONG, reader)
    assert os.read(reader, 10) == data
    os.close(reader)


def test_a_terminating_signal_leaves_the_grace_period(inbox: SignalInbox) -> None:
    told: list[int] = []
    waiting = TimeLimit(time.monotonic() + LONG, inbox, 0.1, told.append)
    signal.raise_signal(signal.SIGUSR1)  # is no reason to end
    signal.raise_signal(signal.SIGTERM)
    waiting.wait(LONG)
    assert told == [signal.SIGTERM]
    assert -10 < waiting.left() <= 0


def test_only_the_first_signal_is_told_and_none_makes_the_time_longer(inbox: SignalInbox) -> None:
    told: list[int] = []
    waiting = TimeLimit(time.monotonic() + 0.2, inbox, LONG, told.append)
    signal.raise_signal(signal.SIGINT)
    waiting.wait(0.01)
    signal.raise_signal(signal.SIGTERM)
    waiting.wait(LONG)
    assert told == [signal.SIGINT]


def test_a_signal_that_nobody_asked_to_be_told_of(inbox: SignalInbox) -> None:
    waiting = TimeLimit(time.monotonic() + LONG, inbox)
    signal.raise_signal(signal.SIGHUP)
    waiting.wait(LONG)
    assert waiting.left() <= 0
