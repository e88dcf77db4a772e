"""Settings and budgets that tests begin with."""

from __future__ import annotations

from shim.budget import Budget
from shim.folder.times import Queue, Share
from shim.settings import Settings

GOOD = {
    "KH_REPORTING_URL": "http://kuberhealthy.kuberhealthy.svc.cluster.local/check",
    "KH_RUN_UUID": "4a6c63f2-7f52-4d68-9d3a-6c0a2a0e3c4d",
    "KH_CHECK_RUN_DEADLINE": "1700000000",
    "KH_POD_NAMESPACE": "monitoring",
    "SHIM_SCRIPT": "/checks/check.sh",
}


UNIX_NOW, NOW = 1_700_000_000.0, 500.0


def budget(left: float | None, **changes: str) -> Budget:
    deadline = "" if left is None else str(UNIX_NOW + left)
    settings = Settings({**GOOD, "KH_CHECK_RUN_DEADLINE": deadline, **changes})
    assert settings.problems == []
    return settings.budget(unix_now=UNIX_NOW, started_at=NOW)


def share(
    waiting: int, *, at_once: int = 4, place: int = 0, **changes: float
) -> tuple[Share, Queue]:
    """Return the share of a script with 60 s until the end, and the queue behind it."""
    queue = Queue(at_once)
    queue.waiting = waiting
    one = Share(
        started_at=NOW,
        left=63.0,
        end=NOW + 60,
        grace_period=changes.get("grace_period", 5.0),
        timeout=changes.get("timeout"),
        queue=queue,
        place=place,
        turns_at_start=queue.turns(place),
    )
    return one, queue
