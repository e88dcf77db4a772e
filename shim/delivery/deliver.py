"""Delivering a report: attempts with backoff, none of which outlives the deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import shim
from shim.delivery.connect import CONNECT_TIMEOUT
from shim.delivery.post import Answer, Attempt, Lost, Request, perform
from shim.delivery.responses import GATEWAY, Meaning, Step, meaning, retry_after
from shim.delivery.result import Delivery, FailedAttempt, Result
from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker
from shim.kuberhealthy import ANSWER_TIMEOUT, Endpoint

WITHOUT_DEADLINE = 30.0
"""Seconds that a delivery may take where no deadline is given."""

AFTER_DEADLINE = 5.0
"""Seconds for a report that is late already: v2 still takes it until the next run."""

# Exponential backoff with jitter: random between a half and the whole of a ceiling that doubles.
FIRST_CEILING = 0.25
LAST_CEILING = 4.0
# Where the next wait would go beyond it, an attempt is made so many seconds before the end,
# and from then on one after each of the shortest waits.
LAST_ATTEMPT = 0.5


def time_to_deliver(deadline: float | None, now: float) -> float:
    """Return when a delivery that begins at `now` must end, on the same clock as both."""
    if deadline is None:
        return now + WITHOUT_DEADLINE
    return deadline if deadline > now else now + AFTER_DEADLINE


def deliver(
    endpoint: Endpoint,
    body: bytes,
    limit: TimeLimit,
    worker: Worker,
    on_failed: Callable[[FailedAttempt], None],
    *,
    late: bool = False,
) -> Delivery:
    """POST `body` until the server has taken or refused it, or the time is over.

    `on_failed` is told of each attempt that did not settle it; `late` tells that the check's
    deadline has passed already.
    """
    attempts, status = 0, None
    last = Meaning(Step.RETRY, "There was no time left to try.")
    may_have_arrived = False
    ceiling = FIRST_CEILING
    delay: float | None = 0.0
    while delay is not None and limit.left() > 0:
        attempts += 1
        outcome = _attempt(endpoint, body, limit, worker)
        delay = _next_delay(ceiling, limit.left())
        ceiling = min(2 * ceiling, LAST_CEILING)
        if isinstance(outcome, Lost):
            may_have_arrived |= outcome.sent
            # An attempt that only ran out of time says less than the one before it.
            if attempts == 1 or limit.left() > 0:
                status, last = None, Meaning(Step.RETRY, _sentence(outcome.reason))
        else:
            status = outcome.status
            last = meaning(outcome, endpoint, earlier_may_have_arrived=may_have_arrived, late=late)
            if last.step in (Step.ACCEPTED, Step.ASSUMED, Step.REFUSED):
                return Delivery(Result[last.step.name], attempts, status, last.sentence)
            may_have_arrived |= status in GATEWAY
            asked = retry_after(outcome.retry_after, time.time())
            # Asked to wait beyond the deadline, there is nothing to lose by not waiting.
            if delay is not None and asked is not None and asked < limit.left() - LAST_ATTEMPT:
                delay = max(delay, asked)
        on_failed(FailedAttempt(attempts, status, last.sentence, limit.left()))
        if delay is not None:
            limit.wait(delay)
    result = Result.REFUSED if last.step is Step.RETRY_REFUSAL else Result.UNDELIVERED
    return Delivery(result, attempts, status, last.sentence)


def deliver_quietly(endpoint: Endpoint, body: bytes, deadline: float | None) -> Delivery:
    """Deliver without a log, and whatever signals come, by a `deadline` in unix time."""
    now = time.monotonic()
    until = None if deadline is None else now + deadline - time.time()
    worker = Worker()
    try:
        limit = TimeLimit(time_to_deliver(until, now))
        late = until is not None and until < now
        return deliver(endpoint, body, limit, worker, lambda attempt: None, late=late)
    finally:
        worker.close()


def _next_delay(ceiling: float, left: float) -> float | None:
    """Return the seconds until the next attempt, None where there is no time for one."""
    delay = random.uniform(ceiling / 2, ceiling)
    if delay > left - LAST_ATTEMPT:
        shortest = random.uniform(FIRST_CEILING / 2, FIRST_CEILING)
        delay = max(left - LAST_ATTEMPT, shortest)
    return delay if delay < left else None


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:]}."


def _attempt(endpoint: Endpoint, body: bytes, limit: TimeLimit, worker: Worker) -> Answer | Lost:
    """POST once, bounded as a whole: a server that drips bytes runs into no timeout."""
    answer_timeout = ANSWER_TIMEOUT[endpoint.server]
    headers = {
        "Content-Type": "application/json",
        "kh-run-uuid": endpoint.run_uuid,
        "User-Agent": f"khshim/{shim.__version__}",
    }
    request = Request("POST", endpoint.url, headers, body, answer_timeout, endpoint.ca_file)
    attempt = Attempt()
    try:
        worker.call(lambda: perform(request, attempt), limit, CONNECT_TIMEOUT + answer_timeout)
    except (OSError, MemoryError) as error:
        # There may be a file descriptor, or memory, again for the next attempt.
        attempt.has_come_to(Lost(f"no request could be made ({error})", sent=False))
    return attempt.abandon()
