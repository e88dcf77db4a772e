"""Waiting, and calling what may block, with a limit that a terminating signal brings forward."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from signal import Signals

from shim.signals import TERMINATING, SignalInbox


class Patience:
    """Waits until a moment on the monotonic clock at the latest.

    A terminating signal that arrives while waiting leaves `grace_period` seconds;
    `on_signal` is told of the first one. Without an inbox signals are not looked at.
    """

    def __init__(
        self,
        until: float,
        inbox: SignalInbox | None = None,
        grace_period: float = 0.0,
        on_signal: Callable[[Signals], None] | None = None,
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
            ready = [ready_fd for ready_fd, _ in poll.poll(min(left, 2_000_000) * 1000)]
            if fd in ready:
                return
            if ready:
                self._take_signals()

    def call(self, work: Callable[[], None], seconds: float) -> None:
        """Call `work`, and come back when it is done or `seconds` are over.

        For what takes no timeout of its own, such as name resolution: it happens in
        a thread, which is left behind when its time is up. `work` must not raise.
        """
        reader, writer = os.pipe()

        def run() -> None:
            try:
                work()
            finally:
                os.close(writer)

        try:
            threading.Thread(target=run, daemon=True).start()
        except RuntimeError:  # the limit on processes is reached
            run()
        self.wait(seconds, reader)
        os.close(reader)

    def ask(self, work: Callable[[], str], otherwise: str) -> str:
        """Return what `work` does, called as by `call`, or `otherwise` if time is up first."""
        outcome = [otherwise]
        self.call(lambda: outcome.append(work()), self.left())
        return outcome[-1]

    def _take_signals(self) -> None:
        if self._inbox is None:
            return
        for signum in TERMINATING.intersection(self._inbox.take()):
            self._until = min(self._until, time.monotonic() + self._grace_period)
            if self._on_signal is not None:
                self._on_signal(signum)
                self._on_signal = None
