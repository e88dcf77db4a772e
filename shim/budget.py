"""How the time until the deadline is divided."""


class Budget:
    """The moments of one run, on the monotonic clock in seconds; None means never.

    `left` are the seconds until Kuberhealthy's deadline at the moment `started_at`, and
    `timeout` is SHIM_TIMEOUT, each None where there is none. `terminate_at` is the
    script's SIGTERM and `kill_at` its SIGKILL, whichever of the deadline and the timeout
    asks for it first; `limited_by_timeout` tells which. `limited_by_share` tells that
    neither does, but other scripts of a folder (shim.folder.times).

    Where time is short `grace_period` and `reserve` shrink in proportion to SHARE of
    what is left. The reserve shrinks no further than to `least_reserve`, since a report
    that comes later would be in vain, but leaves the script a quarter of the time.
    """

    SHARE = 1 / 3
    MOST_FOR_RESERVE = 3 / 4

    def __init__(
        self,
        *,
        started_at: float,
        left: "float | None",
        grace_period: float,
        reserve: float,
        least_reserve: float = 0.0,
        timeout: "float | None" = None,
    ) -> None:
        self.started_at = started_at
        self.deadline: float | None = None
        self.grace_period = grace_period
        self.reserve = reserve
        self.terminate_at: float | None = None
        self.kill_at: float | None = None
        self.limited_by_timeout = False
        self.limited_by_share = False

        if left is not None:
            self.deadline = started_at + left
            self._shrink(max(left, 0.0), least_reserve)
            self.kill_at = self.deadline - self.reserve
            self.terminate_at = self.kill_at - self.grace_period

        if timeout is not None:
            timeout_at = started_at + timeout
            if self.terminate_at is None or timeout_at < self.terminate_at:
                self.limited_by_timeout = True
                self.terminate_at = timeout_at
                self.kill_at = timeout_at + self.grace_period  # before the deadline's, as well

    @property
    def terminate_at_latest(self) -> "float | None":
        """The moment of a script's SIGTERM; of a folder's it may come earlier for another's sake."""
        return self.terminate_at

    def has_changed(self) -> bool:
        """Tell whether the moments of SIGTERM and SIGKILL have been moved: a share's can be."""
        return False

    def time_left(self, now: float) -> "float | None":
        """Return the seconds from `now` to the deadline, negative after it."""
        return None if self.deadline is None else self.deadline - now

    def _shrink(self, left: float, least_reserve: float) -> None:
        wanted = self.grace_period + self.reserve
        if wanted <= left * self.SHARE:
            return
        share = left * self.SHARE / wanted
        least = min(least_reserve, self.reserve, left * self.MOST_FOR_RESERVE)
        self.reserve = max(self.reserve * share, least)
        self.grace_period = min(self.grace_period * share, (left - self.reserve) * self.SHARE)
