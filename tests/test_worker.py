from __future__ import annotations

import threading
import time

import pytest

from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker


def limit(seconds: float) -> TimeLimit:
    return TimeLimit(time.monotonic() + seconds)


def until(event: threading.Event) -> None:
    event.wait()


def test_a_job_that_outlives_its_time_keeps_its_thread_and_the_next_gets_another() -> None:
    worker, release, ran = Worker(), threading.Event(), []
    worker.call(lambda: until(release), limit(0.1), 0.1)
    worker.call(lambda: ran.append(threading.current_thread()), limit(10), 10)
    assert ran and ran[0] is not threading.main_thread()
    release.set()
    worker.close()


def test_where_no_other_thread_can_be_started_the_next_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Called in the main thread, name resolution could not be bounded."""
    worker, release, ran = Worker(), threading.Event(), []
    worker.call(lambda: until(release), limit(0.1), 0.1)

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    started_at = time.monotonic()
    worker.call(lambda: ran.append("too late to be waited for"), limit(0.1), 0.1)
    assert not ran and time.monotonic() - started_at < 5
    release.set()
    worker.call(lambda: ran.append(threading.current_thread().name), limit(10), 10)
    assert ran[-1] != threading.main_thread().name
    worker.close()
