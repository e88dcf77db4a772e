"""Delivering a report: attempts with backoff, none of which outlives the deadline."""

from __future__ import annotations

import logging
import random
import time

from shim.answers import GATEWAY, Step, meaning, retry_after
from shim.delivery_result import Delivery, Result
from shim.log import Log, silent
from shim.patience import Patience
from shim.post import CONNECT_TIMEOUT, Answer, Lost, post
from shim.protocol import ANSWER_TIMEOUT, Endpoint

WITHOUT_DEADLINE = 30.0
"""Seconds that a delivery may take where no deadline is given."""

AFTER_DEADLINE = 5.0
"""Seconds for a report that is late already: v2 still takes it until the next run."""

# Exponential backoff with full jitter: random between 0 and a ceiling that doubles.
FIRST_CEILING = 0.25
LAST_CEILING = 4.0
# With less time than this left there is no further attempt.
SHORTEST_ATTEMPT = 0.05


def time_to_deliver(deadline: float | None, now: float) -> float:
    """Return when a delivery that begins at `now` must end, on the same clock as both."""
    if deadline is None:
        return now + WITHOUT_DEADLINE
    return deadline if deadline > now else now + AFTER_DEADLINE


def deliver(endpoint: Endpoint, body: bytes, patience: Patience, log: Log) -> Delivery:
    """POST `body` until the server has taken or refused it, or patience is over."""
    attempts, status, reason = 0, None, "There was no time left to try."
    may_have_arrived = False
    ceiling = FIRST_CEILING
    while patience.left() > (SHORTEST_ATTEMPT if attempts else 0):
        attempts += 1
        answer = _attempt(endpoint, body, patience)
        delay = random.uniform(0, min(ceiling, max(patience.left(), 0) / 2))
        ceiling = min(2 * ceiling, LAST_CEILING)
        if isinstance(answer, Lost):
            may_have_arrived |= answer.sent
            # An attempt that only ran out of time says less than the one before it.
            if attempts == 1 or patience.left() > 0:
                status, reason = (
                    None,
                    f"{answer.reason[:1].upper()}{answer.reason[1:]}.",
                )
        else:
            step, reason = meaning(answer, earlier_may_have_arrived=may_have_arrived)
            status = answer.status
            if step is not Step.RETRY:
                return Delivery(Result[step.name], attempts, status, reason)
            may_have_arrived |= status in GATEWAY
            asked = retry_after(answer.retry_after, time.time())
            # Asked to wait beyond the deadline, there is nothing to lose by not waiting.
            if asked is not None and asked < patience.left() - SHORTEST_ATTEMPT:
                delay = max(delay, asked)
        log(
            "report_attempt",
            f"Attempt {attempts} to report failed: {reason}",
            logging.WARNING,
            attempt=attempts,
            status=status,
            time_left_s=patience.left(),
        )
        patience.wait(delay)
    return Delivery(Result.UNDELIVERED, attempts, status, reason)


def deliver_quietly(endpoint: Endpoint, body: bytes, deadline: float | None) -> Delivery:
    """Deliver without a log, and whatever signals come, by a `deadline` in unix time."""
    now = time.monotonic()
    until = None if deadline is None else now + deadline - time.time()
    return deliver(endpoint, body, Patience(time_to_deliver(until, now)), silent)


def _attempt(endpoint: Endpoint, body: bytes, patience: Patience) -> Answer | Lost:
    """POST once, bounded as a whole: a server that drips bytes runs into no timeout."""
    results: list[Answer | Lost] = [Lost("the attempt could not begin", sent=False)]

    def work() -> None:
        try:
            post(endpoint, body, results.append)
        except Exception as error:
            if isinstance(results[-1], Lost):
                results.append(Lost(f"the request failed ({error!r})", sent=results[-1].sent))

    patience.call(work, CONNECT_TIMEOUT + ANSWER_TIMEOUT[endpoint.server])
    return results[-1]
