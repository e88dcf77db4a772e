"""How a run of the script ended."""

from __future__ import annotations

from enum import Enum
from signal import SIGTERM
from typing import NamedTuple

from shim.supervise.escalation import StoppedBy


class Ending(Enum):
    """The one way in which a run ended."""

    EXITED = "it exited by itself, or after a signal that khshim forwarded"
    DIED = "it died of a signal, and not because khshim was stopping it"
    STOPPED = "khshim was told to stop, and the script died of it or was killed"
    TIMED_OUT = "it reached a limit, whatever it did after that"
    STUCK = "it was still there after SIGKILL"


class Outcome(NamedTuple):
    """The end of a script that had started; times in seconds.

    `exit_status` is None where the script died of a signal, `signal` where it did
    not; both are None where it is STUCK. `duration` counts from the script's start, and
    `stopped_after` from that of the first attempt to khshim's first terminating signal.
    `killed_after` counts from there to SIGKILL, and is 0 where SIGKILL was the first.
    `stop_signal` is what khshim received where it was told to stop, and `sent_signal` what
    the script got first.
    `time_left` is what remained until the deadline when `stopped_after` was over
    (None without a deadline).
    """

    ending: Ending
    exit_status: int | None
    signal: int | None
    duration: float
    stopped_by: StoppedBy | None = None
    stop_signal: int | None = None
    sent_signal: int = SIGTERM
    stopped_after: float | None = None
    killed_after: float | None = None
    time_left: float | None = None
