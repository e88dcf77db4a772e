"""Signals as data: the handlers only record, the event loop acts."""

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

# Signals of real time, with Linux's numbers where there are none: macOS can write a manifest.
SIGRTMIN = int(getattr(signal, "SIGRTMIN", 34))
SIGRTMAX = int(getattr(signal, "SIGRTMAX", 64))
# All that signal(7) names, and those of real time that are left to programs.
ALL = frozenset({*range(1, 32), *range(SIGRTMIN, SIGRTMAX + 1)})
# Have no disposition to set (signal(7)).
FIXED = {signal.SIGKILL, signal.SIGSTOP}
# The kernel's answer to what khshim itself does. A handler that returns from a fault would
# fault again for ever, or go on with the wrong result of a system call (SIGSYS).
FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS}
# Those that Python ignores, so that a write fails by its errno instead.
FAILED_WRITES = {signal.SIGPIPE, signal.SIGXFSZ}
# They are for khshim's own terminal, and would not stop a script: its process group is an
# orphaned one, which the kernel does not stop (setpgid(2)).
JOB_CONTROL = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}

FORWARDED = ALL - FIXED - FAULTS - FAILED_WRITES - JOB_CONTROL - {signal.SIGCHLD}
RECORDED = FORWARDED | {signal.SIGCHLD}
TERMINATING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


class SignalInbox:
    """Records the signals of RECORDED from its creation on.

    `fd` becomes readable when one has arrived; `take` returns what has. Inherited
    blocked signals are unblocked, since a blocked SIGTERM would never be seen.
    `terminating` are those that tell khshim to stop: TERMINATING, and SHIM_STOP_SIGNAL.
    `last_child_at` is when the last child ended, on the monotonic clock: a short
    script may have ended while khshim was still importing.
    """

    def __init__(self) -> None:
        self.fd, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.terminating: frozenset[int] = TERMINATING
        self.last_child_at: float | None = None
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for signum in RECORDED:
            try:
                signal.signal(signum, self._record)
            except OSError:
                pass  # kept for itself by what khshim runs under, as SIGRTMAX by valgrind
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def _record(self, signum: int, frame: "FrameType | None") -> None:
        """Note the time only: the interpreter has already written to the wake-up pipe."""
        if signum == signal.SIGCHLD:
            self.last_child_at = time.monotonic()

    def take(self) -> "list[int]":
        """Return the signals that have arrived since the last call, in order."""
        try:
            return list(os.read(self.fd, 65536))
        except BlockingIOError:
            return []

    def put_back(self, signums: "list[int]") -> None:
        """Leave signals that were taken to the next call of `take`."""
        os.write(self._writer, bytes(signums))


def name(signum: int) -> str:
    """Return a signal's name ("SIGTERM", "SIGRTMIN+3"), or "signal 99" for one without."""
    if SIGRTMIN < signum < SIGRTMAX:
        return f"SIGRTMIN+{signum - SIGRTMIN}"
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def parse(text: str) -> int:
    """Return the signal that khshim can forward and that `text` names, or gives the number of.

    Names are written as kill(1) and a Dockerfile's STOPSIGNAL take them: TERM, SIGTERM,
    SIGRTMIN+3, RTMAX-1. Raises ValueError for any other text or signal.
    """
    word = text.strip().upper().removeprefix("SIG")
    base, offset = word[:5], word[5:]
    if word.isdecimal():
        signum = int(word)
    elif base in ("RTMIN", "RTMAX"):
        signum = (SIGRTMIN if base == "RTMIN" else SIGRTMAX) + int(offset or "0")
        if not SIGRTMIN <= signum <= SIGRTMAX:
            raise ValueError(text)
    else:
        try:
            signum = signal.Signals[f"SIG{word}"]
        except KeyError:
            raise ValueError(text) from None
    if signum not in FORWARDED:
        raise ValueError(text)
    return int(signum)
