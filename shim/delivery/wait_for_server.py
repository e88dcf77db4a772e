"""Holding the script back until Kuberhealthy can be reached.

On a fresh node a pod may run before DNS, the CNI or the service mesh does, and a
script that starts then raises a false alarm.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from shim.delivery.connect import connect, resolve
from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker
from shim.kuberhealthy import Endpoint
from shim.signals import SignalInbox

CONNECT_TIMEOUT = 2.0
PAUSE = 0.2


class Wait(NamedTuple):
    """How waiting for `seconds` ended. `reason` is the last failure, None if it was reached."""

    seconds: float
    reason: str | None
    stopped_by: int | None


def wait_for_server(
    endpoint: Endpoint, seconds: float, time_left: float | None, inbox: SignalInbox
) -> Wait:
    """Wait until the reporting URL's host resolves and accepts a connection.

    Waits for at most `seconds`, and a third of the `time_left` until the deadline:
    the script is to have the rest. A terminating signal ends the waiting.
    """
    stopped_by: list[int] = []
    started_at = time.monotonic()
    at_most = seconds if time_left is None else min(seconds, time_left / 3)
    limit = TimeLimit(started_at + at_most, inbox, 0.0, stopped_by.append)
    worker = Worker()
    reason: str | None = "there was no time to try"
    while limit.left() > 0:
        reason = worker.ask(lambda: _try_to_connect(endpoint), limit)
        if reason is None:
            break
        limit.wait(PAUSE)
    worker.close()
    return Wait(time.monotonic() - started_at, reason, stopped_by[0] if stopped_by else None)


def _try_to_connect(endpoint: Endpoint) -> str | None:
    """Return None once connected, else why not."""
    try:
        connect(resolve(endpoint.host, endpoint.port), CONNECT_TIMEOUT).close()
    except OSError as error:
        return str(error)
    return None
