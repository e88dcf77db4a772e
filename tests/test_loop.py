"""The event loop by itself, where only its own process can be late."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from shim.settings import Settings
from shim.signals import RECORDED, SignalInbox
from shim.spawn import spawn
from shim.supervise.loop import Stream, Supervisor
from shim.supervise.outcome import Ending
from shim.supervise.sink import Sink
from tests.conftest import wait_until_gone
from tests.test_settings import GOOD


def ignore(*_: object) -> None: ...


@pytest.fixture
def inbox() -> Iterator[SignalInbox]:
    handlers = {signum: signal.getsignal(signum) for signum in RECORDED}
    yield SignalInbox()
    signal.set_wakeup_fd(-1)
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


def test_the_end_is_when_it_ended_and_not_when_it_was_seen(
    script: Callable[..., str], inbox: SignalInbox
) -> None:
    """A short script may end while khshim is still importing."""
    settings = Settings({**GOOD, "KH_CHECK_RUN_DEADLINE": str(time.time() + 60)})
    budget = settings.budget(unix_now=time.time(), started_at=time.monotonic())
    child = spawn([script("#!/bin/sh\nexit 0\n")], {"PATH": "/bin"})
    wait_until_gone(child.pid)
    threading.Event().wait(1.0)  # so late khshim comes to look
    streams = [Stream(fd, Sink(2), lambda data: None) for fd in (child.stdout, child.stderr)]
    outcome = Supervisor(child, streams, inbox, budget, 5.0, signal.SIGTERM, ignore).run()
    assert 0 < outcome.duration < 1.0


def test_a_script_that_ended_in_time_passes_however_late_khshim_is(
    script: Callable[..., str], inbox: SignalInbox
) -> None:
    """As in a container that was frozen, or has no CPU time left."""
    settings = Settings({**GOOD, "KH_CHECK_RUN_DEADLINE": str(time.time() + 60)})
    past = time.monotonic() - 100  # a budget that was over long ago
    budget = settings.budget(unix_now=time.time(), started_at=past)
    child = spawn([script("#!/bin/sh\nexit 0\n")], {"PATH": "/bin"})
    wait_until_gone(child.pid)
    sink = Sink(2)
    streams = [Stream(fd, sink, lambda data: None) for fd in (child.stdout, child.stderr)]
    outcome = Supervisor(child, streams, inbox, budget, 5.0, signal.SIGTERM, ignore).run()
    assert (outcome.ending, outcome.exit_status, outcome.stopped_by) == (Ending.EXITED, 0, None)
