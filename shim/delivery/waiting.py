"""Waiting with a time limit that a terminating signal brings forward."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

from shim.signals import SignalInbox

# poll(2) takes its timeout as an int of milliseconds.
LONGEST_POLL = 2_000_000.0


class TimeLimit:
    """A moment on the monotonic clock, in seconds, at which all waiting ends.

    A terminating signal that arrives while waiting leaves `grace_period` seconds;
    `on_signal` is told of the first one. Without an inbox signals are not looked at.
    """

    def __init__(
        self,
        until: float,
        inbox: SignalInbox | None = None,
        grace_period: float = 0.0,
        on_signal: Callable[[int], None] | None = None,
    ) -> None:
        self._until = until
        self._inbox = inbox
        self._grace_period = grace_period
        self._on_signal = on_signal

    def left(self) -> float:
        """Return the seconds left, negative when they are over."""
        return self._until - time.monotonic()

    def wait(self, seconds: float, fd: int | None = None) -> None:
        """Wait for `seconds`, or until `fd` is readable or closed at its other end."""
        end = time.monotonic() + seconds
        poll = select.poll()
        if fd is not None:
            poll.register(fd, select.POLLIN)
        if self._inbox is not None:
            poll.register(self._inbox.fd, select.POLLIN)
        while (left := min(end - time.monotonic(), self.left())) > 0:
            ready = [ready_fd for ready_fd, _ in poll.poll(min(left, LONGEST_POLL) * 1000)]
            if fd in ready:
                return
            if ready:
                self._take_signals()

    def _take_signals(self) -> None:
        if self._inbox is None:
            return
        for signum in self._inbox.terminating.intersection(self._inbox.take()):
            self._until = min(self._until, time.monotonic() + self._grace_period)
            if self._on_signal is not None:
                self._on_signal(signum)
                self._on_signal = None


def no_answer_within(seconds: float) -> str:
    """Return the words for a wait of `seconds` that brought no answer, as part of a sentence."""
    return f"no answer within {seconds:.3g} s"
