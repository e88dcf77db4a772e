"""How often a script that failed may be run again (SHIM_ATTEMPTS)."""

from __future__ import annotations

from shim.budget import Budget


class Attempts:
    """Counts the attempts of one run; times are in seconds.

    There are at `most` so many, with `delay` between two. One is not to be begun where it
    could not end in time: it may take as long as the `longest` before it.
    """

    def __init__(self, most: int, delay: float, budget: Budget) -> None:
        self.most = most
        self.delay = delay
        self.number = 1
        self.longest = 0.0
        self._terminate_at = budget.terminate_at

    def ended(self, duration: float) -> None:
        """Note how long an attempt took."""
        self.longest = max(self.longest, duration)

    def time_left(self, now: float) -> float | None:
        """Return the seconds from `now` to the script's limit, None without one."""
        return None if self._terminate_at is None else max(self._terminate_at - now, 0.0)
