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
    SHARE = "its share of a folder's time"
    SIGNAL = "a signal"


class Escalation:
    """SIGTERM, then SIGKILL, by the budget and by the signals khshim itself gets.

    Decides only: the caller sends what `due` and `received` return. In place of SIGTERM
    the script gets `script_signal`, which ends it as well when khshim receives it. All
    times are on the monotonic clock, in seconds.
    """

    def __init__(
        self, budget: Budget, grace_period: float, script_signal: int = signal.SIGTERM
    ) -> None:
        self._budget = budget
        self._grace_period = grace_period
        self._script_signal = script_signal
        self._terminating = TERMINATING | {script_signal}
        self._terminate_at = budget.terminate_at
        self.kill_at = budget.kill_at
        self.stopped_by: StoppedBy | None = None
        self.stopped_at: float | None = None
        self.stop_signal: int = signal.SIGTERM
        self.sent_signal = script_signal
        self.killed_at: float | None = None

    @property
    def next_at(self) -> float | None:
        """The next moment at which `due` has something to say, or None."""
        moments = [at for at in (self._terminate_at, self.kill_at) if at is not None]
        return min(moments, default=None)

    def due(self, now: float) -> int | None:
        """Return the signal that is to be sent at `now`."""
        if self.stopped_by is None and self._budget.has_changed():
            self._terminate_at, self.kill_at = self._budget.terminate_at, self._budget.kill_at
        is_over = self._terminate_at is not None and now >= self._terminate_at
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = self._terminate_at = None
            self.killed_at = now
            if is_over:  # no grace period at all, or khshim itself was held up
                self._stop(self._limit(), now)
            return signal.SIGKILL
        if is_over:
            self._terminate_at = None
            self.sent_signal = self._script_signal
            self._stop(self._limit(), now)
            return self._script_signal
        return None

    def received(self, signum: int, now: float) -> int:
        """Note a signal that khshim got, and return the one that the script is to get for it.

        A terminating one starts the grace period.
        """
        to_send = self._script_signal if signum == signal.SIGTERM else signum
        if signum in self._terminating:
            if self.stopped_by is None:
                self.stop_signal, self.sent_signal = signum, to_send
                self._stop(StoppedBy.SIGNAL, now)
            if self.killed_at is None:
                kill_at = now + self._grace_period
                self.kill_at = kill_at if self.kill_at is None else min(self.kill_at, kill_at)
        return to_send

    def is_to_end(self, signum: int) -> bool:
        """Tell whether `signum` is to end the script, a stopped one too."""
        return signum in self._terminating

    def _limit(self) -> StoppedBy:
        if self._budget.limited_by_share:
            return StoppedBy.SHARE
        return StoppedBy.TIMEOUT if self._budget.limited_by_timeout else StoppedBy.DEADLINE

    def _stop(self, by: StoppedBy, now: float) -> None:
        self.stopped_by = by
        self.stopped_at = now
