"""What became of a report."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Result(Enum):
    """What became of a report."""

    ACCEPTED = "accepted"
    ASSUMED = "most probably accepted: refused as a second report after a lost answer"
    REFUSED = "refused"
    UNDELIVERED = "not delivered in time"


class FailedAttempt(NamedTuple):
    """An attempt that did not settle it; `number` counts from 1, `time_left` is in seconds.

    `status` is the answer's, None where there was none.
    """

    number: int
    status: int | None
    reason: str
    time_left: float


class Delivery(NamedTuple):
    """The end of a delivery. `status` is the last answer's, None where there was none."""

    result: Result
    attempts: int
    status: int | None
    reason: str
