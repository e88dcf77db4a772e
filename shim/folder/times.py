"""How the time until the deadline is divided among the scripts of a folder.

    start                 SIGTERM    SIGKILL      to khshim's own runner     deadline
      |--- scripts' time ----|- grace period -|- steps, at most 1.5 s -|- reserve -|

The runner starts the scripts, and has ended before it would get a SIGTERM itself.
"""

import mmap
import struct

from shim.budget import Budget
from shim.kuberhealthy import LEAST_RESERVE
from shim.settings import Settings

# Seconds from the SIGKILL of the last script to that of the runner, at most so great a part of
# all time. In the first third of them the runner is to end; otherwise it gets SIGTERM.
STEPS = 1.5
MOST_FOR_STEPS = 1 / 20
# When the pod is deleted, the runner gets SIGKILL so many seconds after its scripts.
AFTER_SCRIPTS = 1.0
# No script is stopped for others that wait before it had so many seconds, grace period included.
LEAST_SHARE = 1.5
MOST_FOR_GRACE = 1 / 3
# With less than these seconds until the SIGKILL of all no script is started any more.
LEAST_TIME = 0.1


class RunnerBudget(Budget):
    """The time of the process that runs a folder; SHIM_TIMEOUT is not its, but each script's.

    `end_of_scripts` is the moment of SIGKILL for the last of them, None without a deadline,
    and `grace_of_scripts` what they get from SIGTERM to that, in seconds.
    """

    def __init__(self, settings: Settings, *, unix_now: float, started_at: float) -> None:
        left = None if settings.deadline is None else settings.deadline - unix_now
        super().__init__(
            started_at=started_at,
            left=left,
            grace_period=settings.grace_period,
            reserve=settings.report_reserve,
            least_reserve=LEAST_RESERVE[settings.server],
        )
        self.grace_of_scripts = self.grace_period
        self.end_of_scripts: float | None = None
        if self.kill_at is not None and left is not None:
            steps = min(STEPS, max(left, 0.0) * MOST_FOR_STEPS)
            self.end_of_scripts = self.kill_at - steps
            self.grace_period = steps * 2 / 3
            self.terminate_at = self.kill_at - self.grace_period

    @property
    def terminate_at_latest(self) -> float | None:
        """The moment of SIGTERM for the last script."""
        return None if self.end_of_scripts is None else self.end_of_scripts - self.grace_of_scripts


class Queue:
    """What all processes that are forked can know: how many scripts wait, and what they may need.

    `waiting` is the number of scripts to be started, and `average` how long those took that
    have ended, in seconds, 0 if none has.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)
        self._ended = 0

    @property
    def waiting(self) -> int:
        return int.from_bytes(self._shared[:8], "little")

    @waiting.setter
    def waiting(self, number: int) -> None:
        self._shared[:8] = number.to_bytes(8, "little")

    @property
    def average(self) -> float:
        [seconds] = struct.unpack("d", self._shared[8:16])
        return float(seconds)

    def ended(self, seconds: float) -> None:
        """Note how long a script took."""
        total = self.average * self._ended + seconds
        self._ended += 1
        self._shared[8:16] = struct.pack("d", total / self._ended)

    def turns(self, place: int, empty: int = 0) -> int:
        """Return how many scripts still have to follow one another in a place, the first being 0.

        The next ones to be started are for the `empty` places, and the others for all of
        them in turn.
        """
        return -(-max(self.waiting - empty - place, 0) // self._at_once)


class Share(Budget):
    """One script's part of the time of a folder; moments on the monotonic clock, in seconds.

    At its start it is promised an equal part of what is left until `end`, the moment of
    SIGKILL for all. It may go on after that until what is left is needed by those that have
    to follow it in its place, one after the other: for each half of an equal part, or twice as
    long as scripts have taken on average if that is more, up to a whole one. So a slow script
    is not stopped for nothing, and one that hangs does not take the others' time.
    `turns_at_start` is how many there are to follow it. `timeout` is SHIM_TIMEOUT. `left` are
    the seconds until the check's deadline.
    """

    def __init__(
        self,
        *,
        started_at: float,
        left: float | None,
        end: float | None,
        grace_period: float,
        timeout: float | None,
        queue: Queue,
        place: int,
        turns_at_start: int,
    ) -> None:
        super().__init__(
            started_at=started_at,
            left=None if end is None else end - started_at,
            grace_period=grace_period,
            reserve=0.0,
            timeout=timeout,
        )
        self._end = end
        self._queue = queue
        self._place = place
        self._latest = (self.terminate_at, self.kill_at, self.limited_by_timeout)
        self._equal_part = 0.0
        if end is not None and left is not None:
            self.deadline = started_at + left
            self.reserve = max(self.deadline - end, 0.0)
            self._equal_part = (end - started_at) / (1 + turns_at_start)
        self.has_changed()

    @property
    def terminate_at_latest(self) -> float | None:
        return self._latest[0]

    def has_changed(self) -> bool:
        """Look who still waits; tell whether that has moved the limits."""
        before = self.terminate_at
        self.terminate_at, self.kill_at, self.limited_by_timeout = self._latest
        self.limited_by_share = False
        needed_at = self._needed_at()
        if needed_at is not None:
            grace_period = (needed_at - self.started_at) * MOST_FOR_GRACE
            if self.terminate_at is not None and self.kill_at is not None:
                grace_period = min(grace_period, self.kill_at - self.terminate_at)
            if self.terminate_at is None or needed_at - grace_period < self.terminate_at:
                self.kill_at = needed_at
                self.terminate_at = needed_at - grace_period
                self.limited_by_timeout, self.limited_by_share = False, True
        return self.terminate_at != before

    def _needed_at(self) -> float | None:
        """Return when another script needs the place of this one, None where none does."""
        turns = self._queue.turns(self._place)
        if self._end is None or not turns:
            return None
        need = min(max(2 * self._queue.average, self._equal_part / 2), self._equal_part)
        promised_until = self.started_at + max(self._equal_part, LEAST_SHARE)
        return max(promised_until, self._end - turns * need)
