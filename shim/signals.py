"""Signals as data: the handlers only record, the event loop acts."""

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

TERMINATING = frozenset(
    {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT},
)
# Without a handler each of these would end khshim, and not the script.
FORWARDED = TERMINATING | {
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGPWR,
}
RECORDED = FORWARDED | {signal.SIGCHLD}


class SignalInbox:
    """Records the signals of RECORDED from its creation on.

    `fd` becomes readable when one has arrived; `take` returns what has. Inherited
    blocked signals are unblocked, since a blocked SIGTERM would never be seen.
    `last_child_at` is when the last child ended, on the monotonic clock: a short
    script may have ended while khshim was still importing.
    """

    def __init__(self) -> None:
        self.fd, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.last_child_at: float | None = None
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for signum in RECORDED:
            signal.signal(signum, self._record)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def _record(self, signum: int, frame: "FrameType | None") -> None:
        """Note the time only: the interpreter has already written to the wake-up pipe."""
        if signum == signal.SIGCHLD:
            self.last_child_at = time.monotonic()

    def take(self) -> "list[signal.Signals]":
        """Return the signals that have arrived since the last call, in order."""
        try:
            return [signal.Signals(number) for number in os.read(self.fd, 65536)]
        except BlockingIOError:
            return []

    def put_back(self, signums: "list[signal.Signals]") -> None:
        """Leave signals that were taken to the next who takes some."""
        os.write(self._writer, bytes(signums))


def name(signum: int) -> str:
    """Return a signal's name ("SIGTERM"), or "signal 34" for one without a name."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"
