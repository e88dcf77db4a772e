"""Which signal the script's process group gets, and when."""

from __future__ import annotations

import signal
from enum import Enum

from shim.budget import Budget
from shim.signals import TERMINATING


class StoppedBy(Enum):
    """Why khshim ended the script; reaching a limit outweighs a signal before it."""

    DEADLINE = "the deadline"
    TIMEOUT = "SHIM_TIMEOUT"
    SIGNAL = "a signal"


class Escalation:
    """SIGTERM, then SIGKILL, by the budget and by the signals khshim itself gets.

    Decides only: the caller sends what `due` and `received` return. All times are
    on the monotonic clock, in seconds.
    """

    def __init__(self, budget: Budget, grace_period: float) -> None:
        self._budget = budget
        self._grace_period = grace_period
        self._terminate_at = budget.terminate_at
        self._kill_at = budget.kill_at
        self.stopped_by: StoppedBy | None = None
        self.stopped_at: float | None = None
        self.stop_signal = signal.SIGTERM
        self.killed_at: float | None = None

    @property
    def next_at(self) -> float | None:
        """The next moment at which `due` has something to say, or None."""
        moments = [at for at in (self._terminate_at, self._kill_at) if at is not None]
        return min(moments, default=None)

    def due(self, now: float) -> signal.Signals | None:
        """Return the signal that is to be sent at `now`."""
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = self._terminate_at = None
            self.killed_at = now
            if self.stopped_by is None:  # no grace period at all
                self._stop(self._limit(), now)
            return signal.SIGKILL
        if self._terminate_at is not None and now >= self._terminate_at:
            self._terminate_at = None
            self._stop(self._limit(), now)
            return signal.SIGTERM
        return None

    def received(self, signum: signal.Signals, now: float) -> None:
        """Note a signal that is being forwarded; a terminating one starts the grace period."""
        if signum not in TERMINATING:
            return
        if self.stopped_by is None:
            self.stop_signal = signum
            self._stop(StoppedBy.SIGNAL, now)
        if self.killed_at is None:
            kill_at = now + self._grace_period
            self._kill_at = kill_at if self._kill_at is None else min(self._kill_at, kill_at)

    def _limit(self) -> StoppedBy:
        return StoppedBy.TIMEOUT if self._budget.limited_by_timeout else StoppedBy.DEADLINE

    def _stop(self, by: StoppedBy, now: float) -> None:
        self.stopped_by = by
        self.stopped_at = now
