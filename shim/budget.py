"""How the time until the deadline is divided."""


class Budget:
    """The moments of one run, in seconds on the monotonic clock; None means never.

    `left` is the number of seconds from `started_at` to Kuberhealthy's deadline, `timeout`
    is SHIM_TIMEOUT; each is None if it is not set. The script gets SIGTERM at `terminate_at`
    and SIGKILL at `kill_at`, as the earlier of the deadline and the timeout demands.
    `limited_by_timeout` tells that the timeout is earlier, `limited_by_share` that other
    scripts of a folder need the time before both (shim.folder.times).

    If time is short, `grace_period` and `reserve` shrink so that together they take SHARE of
    it. The reserve does not shrink below `least_reserve`, since the server would overwrite a
    later report, except to leave the script a quarter of the time.
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
                self.kill_at = timeout_at + self.grace_period  # also before that of the deadline

    @property
    def terminate_at_latest(self) -> "float | None":
        """The latest moment of SIGTERM: a script of a folder may get it earlier (`Share`)."""
        return self.terminate_at

    def has_changed(self) -> bool:
        """Update the moments of SIGTERM and SIGKILL; tell whether they have changed.

        They are fixed here; those of a script of a folder (`Share`) can change while it runs.
        """
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
