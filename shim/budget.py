"""How the time until the deadline is divided."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shim.config import Settings


class Budget:
    """The moments of one run, on the monotonic clock in seconds; None means never.

    `terminate_at` is the script's SIGTERM and `kill_at` its SIGKILL, whichever of
    the deadline and SHIM_TIMEOUT asks for it first. `limited_by_timeout` tells
    which. `deadline` is Kuberhealthy's. `grace_period` and `reserve` are what they
    came to be: where time is short they shrink in proportion, so that together
    they take no more than a third of what was left at the start.
    """

    def __init__(self, settings: "Settings", *, unix_now: float, monotonic_now: float) -> None:
        self.started_at = monotonic_now
        self.deadline: float | None = None
        self.grace_period = settings.grace_period
        self.reserve = settings.report_reserve
        self.terminate_at: float | None = None
        self.kill_at: float | None = None
        self.limited_by_timeout = False

        if settings.deadline is not None:
            left = settings.deadline - unix_now
            self.deadline = monotonic_now + left
            wanted = self.grace_period + self.reserve
            if wanted > left / 3:
                share = max(left, 0.0) / 3 / wanted
                self.grace_period *= share
                self.reserve *= share
            self.kill_at = self.deadline - self.reserve
            self.terminate_at = self.kill_at - self.grace_period

        if settings.timeout is not None:
            timeout_at = monotonic_now + settings.timeout
            if self.terminate_at is None or timeout_at < self.terminate_at:
                self.limited_by_timeout = True
                self.terminate_at = timeout_at
                timeout_kill = timeout_at + self.grace_period
                self.kill_at = (
                    timeout_kill if self.kill_at is None else min(self.kill_at, timeout_kill)
                )

    def time_left(self, now: float) -> "float | None":
        """Return the seconds from `now` to the deadline, negative after it."""
        return None if self.deadline is None else self.deadline - now
