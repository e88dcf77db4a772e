"""Calling a function that may hang, for example on a dead network volume, with a time limit."""

import _thread
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from shim.signals import SignalInbox

    T = TypeVar("T")

# Seconds between two checks of the clock and the signals while a call hangs. A module that
# could wait for both would import slowly, and a call that hangs is rare.
INTERVAL = 0.05


class Hang(Exception):
    """A call did not return in time, or before the terminating signal `stopped_by` came."""

    def __init__(self, stopped_by: "int | None") -> None:
        super().__init__(stopped_by)
        self.stopped_by = stopped_by


def call(job: "Callable[[], T]", until: "float | None", inbox: "SignalInbox") -> "T":
    """Return what `job` returns, or raise what it raises.

    Raises Hang if `job` has not returned by `until` (seconds on the monotonic clock) or if a
    terminating signal arrives. The thread that runs `job` is then left behind: no signal
    interrupts a system call in uninterruptible sleep (state D, ps(1)).
    """
    results: list[T] = []
    errors: list[Exception] = []
    done = _thread.allocate_lock()
    done.acquire()

    def run() -> None:
        try:
            results.append(job())
        except Exception as error:
            errors.append(error)
        finally:
            done.release()

    try:
        _thread.start_new_thread(run, ())
    except RuntimeError:
        run()  # the limit on processes is reached, so the script will not start either
    while not done.acquire(timeout=INTERVAL):
        for signum in inbox.terminating.intersection(inbox.take()):
            raise Hang(signum)
        if until is not None and time.monotonic() >= until:
            raise Hang(None)
    for error in errors:
        raise error
    return results[0]
