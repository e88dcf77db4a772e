from __future__ import annotations

import signal

import pytest

from shim.supervise.escalation import Escalation, StoppedBy
from tests.support.settings import NOW, budget, share

TERM, KILL = signal.SIGTERM, signal.SIGKILL


def drive(escalation: Escalation, until: float = 1e6) -> list[tuple[float, int]]:
    """Return the signals that fall due, with the seconds after NOW."""
    sent = []
    while (at := escalation.next_at) is not None and at < until:
        assert escalation.due(at - 0.001) is None
        signum = escalation.due(at)
        assert signum is not None
        sent.append((round(at - NOW, 3), signum))
    return sent


def test_by_the_deadline() -> None:
    escalation = Escalation(budget(60), 5)
    assert drive(escalation) == [(53, TERM), (58, KILL)]
    assert escalation.stopped_by is StoppedBy.DEADLINE
    assert escalation.stopped_at == NOW + 53
    assert escalation.killed_at == NOW + 58


def test_a_limit_that_has_passed_outweighs_a_signal_that_is_seen_with_it() -> None:
    """As when khshim was frozen, and both were there when it went on."""
    escalation = Escalation(budget(60), 5)
    escalation.received(TERM, NOW + 59)
    assert escalation.due(NOW + 59) == KILL
    assert (escalation.stopped_by, escalation.stopped_at) == (StoppedBy.DEADLINE, NOW + 59)


def test_by_a_timeout() -> None:
    escalation = Escalation(budget(60, SHIM_TIMEOUT="10s"), 5)
    assert drive(escalation) == [(10, TERM), (15, KILL)]
    assert escalation.stopped_by is StoppedBy.TIMEOUT


def test_without_limits_nothing_falls_due() -> None:
    assert drive(Escalation(budget(None), 5)) == []


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_terminating_signal_starts_the_grace_period(signum: signal.Signals) -> None:
    escalation = Escalation(budget(None), 5)
    escalation.received(signum, NOW + 1)
    assert drive(escalation) == [(6, KILL)]
    assert (escalation.stopped_by, escalation.stop_signal) == (StoppedBy.SIGNAL, signum)


@pytest.mark.parametrize(
    ("received", "sent", "stops"),
    [
        (signal.SIGTERM, signal.SIGWINCH, True),
        (signal.SIGWINCH, signal.SIGWINCH, True),
        (signal.SIGINT, signal.SIGINT, True),
        (signal.SIGUSR1, signal.SIGUSR1, False),
    ],
)
def test_a_stop_signal_of_the_scripts_own(received: int, sent: int, stops: bool) -> None:
    """It stands in for SIGTERM, and a runtime that sends it to khshim means to stop it."""
    escalation = Escalation(budget(60), 5, signal.SIGWINCH)
    assert escalation.received(received, NOW + 1) == sent
    assert escalation.is_to_end(received) is stops
    if stops:
        assert (escalation.stopped_by, escalation.stop_signal) == (StoppedBy.SIGNAL, received)
        assert escalation.sent_signal == sent
        assert drive(escalation) == [(6, KILL)]
    else:
        assert drive(escalation) == [(53, signal.SIGWINCH), (58, KILL)]
        assert escalation.sent_signal == signal.SIGWINCH


def test_after_another_signal_the_limit_still_sends_the_scripts_own() -> None:
    escalation = Escalation(budget(60), 5, signal.SIGUSR2)
    escalation.received(signal.SIGINT, NOW + 52)
    assert drive(escalation) == [(53, signal.SIGUSR2), (57, KILL)]
    assert escalation.sent_signal == signal.SIGUSR2


def test_a_second_one_does_not_prolong_it() -> None:
    escalation = Escalation(budget(None), 5)
    escalation.received(signal.SIGTERM, NOW + 1)
    escalation.received(signal.SIGINT, NOW + 4)
    assert drive(escalation) == [(6, KILL)]
    assert escalation.stop_signal is signal.SIGTERM


@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGUSR2])
def test_other_signals_stop_nothing(signum: signal.Signals) -> None:
    escalation = Escalation(budget(None), 5)
    escalation.received(signum, NOW)
    assert escalation.next_at is None and escalation.stopped_by is None


def test_a_signal_never_postpones_the_deadline() -> None:
    escalation = Escalation(budget(60), 5)
    escalation.received(signal.SIGTERM, NOW + 52)
    assert drive(escalation) == [(53, TERM), (57, KILL)]
    assert escalation.stopped_by is StoppedBy.DEADLINE


def test_late_wake_ups_send_both_signals_in_order() -> None:
    escalation = Escalation(budget(60, SHIM_GRACE_PERIOD="0"), 0)
    assert escalation.due(NOW + 100) is KILL
    assert escalation.due(NOW + 100) is None
    assert escalation.stopped_by is StoppedBy.DEADLINE


def test_after_sigkill_a_signal_changes_nothing() -> None:
    escalation = Escalation(budget(60), 5)
    drive(escalation)
    escalation.received(signal.SIGTERM, NOW + 59)
    assert escalation.next_at is None


def test_by_its_share() -> None:
    """The script is to end 60 s after NOW, or 45 s after it where another one waits."""
    one, queue = share(1, at_once=1)
    escalation = Escalation(one, 5)
    assert escalation.due(NOW + 40) == TERM
    assert escalation.stopped_by is StoppedBy.SHARE
    queue.waiting = 0  # too late
    assert drive(escalation) == [(45, KILL)]
    assert escalation.stopped_by is StoppedBy.SHARE


def test_a_share_that_grows_before_it_is_over() -> None:
    one, queue = share(1, at_once=1)
    escalation = Escalation(one, 5)
    queue.waiting = 0
    assert escalation.due(NOW + 40) is None
    assert drive(escalation) == [(55, TERM), (60, KILL)]
    assert escalation.stopped_by is StoppedBy.DEADLINE
