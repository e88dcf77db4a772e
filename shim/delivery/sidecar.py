"""Ending a service mesh's sidecar, which keeps a finished pod alive."""

from __future__ import annotations

from shim.delivery.post import Answer, Attempt, Request, perform
from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker

QUIT_TIMEOUT = 1.0


def quit_sidecar(url: str, ca_file: str | None, limit: TimeLimit, worker: Worker) -> str | None:
    """POST to `url` once, within `limit`; return None, or why it did not work."""
    attempt = Attempt()
    request = Request("POST", url, {}, b"", QUIT_TIMEOUT, ca_file)
    try:
        worker.call(lambda: perform(request, attempt), limit, QUIT_TIMEOUT)
    except OSError as error:
        return str(error)
    outcome = attempt.abandon()
    if not isinstance(outcome, Answer):
        return outcome.reason
    return None if outcome.status < 300 else f"it answered {outcome.status}"
