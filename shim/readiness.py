"""Holding the script back until Kuberhealthy can be reached.

On a fresh node a pod may run before DNS, the CNI or the service mesh does, and a
script that starts then raises a false alarm.
"""

from __future__ import annotations

import signal
import socket
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from shim.patience import Patience
from shim.protocol import Endpoint
from shim.signals import SignalInbox

CONNECT_TIMEOUT = 2.0
PAUSE = 0.2


class Wait(NamedTuple):
    """What came of waiting for `seconds`. `reason` is the last failure, "" if reached."""

    seconds: float
    reason: str
    stopped_by: signal.Signals | None


def wait_for_server(
    endpoint: Endpoint, seconds: float, time_left: float | None, inbox: SignalInbox
) -> Wait:
    """Wait until the reporting URL's host resolves and accepts a connection.

    Waits for at most `seconds`, and a third of the `time_left` until the deadline:
    the script is to have the rest. A terminating signal ends the waiting.
    """
    stopped_by: list[signal.Signals] = []
    started_at = time.monotonic()
    limit = seconds if time_left is None else min(seconds, time_left / 3)
    patience = Patience(started_at + limit, inbox, 0.0, stopped_by.append)
    reason = "there was no time to try"
    while patience.left() > 0:
        late = f"no answer within {patience.left():.1f} s"
        reason = patience.ask(lambda: _try_to_connect(endpoint.url), late)
        if not reason:
            break
        patience.wait(PAUSE)
    return Wait(time.monotonic() - started_at, reason, stopped_by[0] if stopped_by else None)


def _try_to_connect(url: str) -> str:
    """Return "" once connected, else why not."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme.lower() == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_TIMEOUT).close()
    except (OSError, UnicodeError) as error:
        return str(error)
    return ""
