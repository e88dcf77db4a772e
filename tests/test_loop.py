"""The event loop by itself, where only its own process can be late."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from shim.settings import Settings
from shim.signals import SignalInbox
from shim.spawn import Child, spawn
from shim.supervise import loop
from shim.supervise.loop import Stream, Supervisor
from shim.supervise.outcome import Ending, Outcome
from shim.supervise.sink import Sink
from tests.support.processes import wait_until_gone
from tests.support.settings import GOOD

pytestmark = pytest.mark.whole_run

Write = Callable[..., str]
# Holds the pipes after the script's end, for as long as it is let.
HOLDER = "#!/bin/sh\n(trap '' TERM; exec sleep 1000) &\nexit 0\n"


def supervise(
    child: Child,
    inbox: SignalInbox,
    *,
    timeout: float = 60,
    started_at: float | None = None,
    feed: Callable[[bytes], None] = lambda data: None,
) -> Outcome:
    now = time.monotonic()
    settings = Settings({**GOOD, "KH_CHECK_RUN_DEADLINE": str(time.time() + timeout)})
    budget = settings.budget(unix_now=time.time(), started_at=started_at or now)
    sink = Sink(2)
    streams = [Stream(fd, sink, feed) for fd in (child.stdout, child.stderr)]
    return Supervisor(
        child, streams, inbox, budget, budget.started_at, 5.0, signal.SIGTERM, lambda *_: None
    ).run()


def test_the_end_is_when_it_ended_and_not_when_it_was_seen(
    script: Write, inbox: SignalInbox
) -> None:
    """A short script may end while khshim is still importing."""
    started_at = time.monotonic()
    child = spawn([script("#!/bin/sh\nexit 0\n")], {"PATH": "/bin"})
    wait_until_gone(child.pid)
    threading.Event().wait(1.0)  # so late khshim comes to look
    assert 0 < supervise(child, inbox, started_at=started_at).duration < 1.0


def test_a_script_that_ended_in_time_passes_however_late_khshim_is(
    script: Write, inbox: SignalInbox
) -> None:
    """As in a container that was frozen, or has no CPU time left."""
    past = time.monotonic() - 100  # a budget that was over long ago
    child = spawn([script("#!/bin/sh\nexit 0\n")], {"PATH": "/bin"})
    wait_until_gone(child.pid)
    outcome = supervise(child, inbox, started_at=past)
    assert (outcome.ending, outcome.exit_status, outcome.stopped_by) == (Ending.EXITED, 0, None)


def test_a_signal_that_is_seen_with_the_scripts_end_did_not_stop_it(
    script: Write, inbox: SignalInbox
) -> None:
    """Where khshim was stopped meanwhile, it may find the signal before the end."""
    child = spawn([script("#!/bin/sh\nexit 1\n")], {"PATH": "/bin"})
    wait_until_gone(child.pid)
    inbox.take()
    inbox.put_back([signal.SIGTERM, signal.SIGCHLD])
    outcome = supervise(child, inbox)
    assert (outcome.ending, outcome.exit_status, outcome.stopped_by) == (Ending.EXITED, 1, None)
    assert inbox.take() == [signal.SIGTERM]


def test_the_deadline_bounds_the_wait_for_last_words(
    script: Write, inbox: SignalInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LAST_WORDS", 50.0)
    child = spawn([script(HOLDER)], {"PATH": "/bin"})
    started_at = time.monotonic()
    outcome = supervise(child, inbox, timeout=3)
    assert 2 < time.monotonic() - started_at < 3  # what the reserve leaves
    # It was the holder that had no time left, and not the script.
    assert (outcome.ending, outcome.stopped_by) == (Ending.EXITED, None)
    assert outcome.duration < 2


def test_a_terminating_signal_ends_the_wait_for_last_words(
    script: Write, inbox: SignalInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LAST_WORDS", 50.0)
    child = spawn([script(HOLDER)], {"PATH": "/bin"})

    def stop_then() -> None:
        wait_until_gone(child.pid)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop_then)
    thread.start()
    started_at = time.monotonic()
    outcome = supervise(child, inbox)
    thread.join()
    assert time.monotonic() - started_at < 20
    # It came too late to have stopped the script, and is left to the delivery.
    assert (outcome.ending, outcome.stopped_by) == (Ending.EXITED, None)
    assert sorted(inbox.take()) == [signal.SIGUSR1, signal.SIGTERM]


def test_after_its_sigkill_nothing_is_waited_for(
    script: Write, inbox: SignalInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What left the group holds the pipes even then."""
    monkeypatch.setattr(loop, "LAST_WORDS", 50.0)
    text = "#!/bin/sh\nsetsid sleep 1000 &\necho $! >&2\ntrap '' TERM\nwhile :; do :; done\n"
    child = spawn([script(text)], {"PATH": "/bin:/usr/bin"})
    read = b""
    while not read.endswith(b"\n"):
        try:
            read += os.read(child.stderr, 100)
        except BlockingIOError:
            pass
    started_at = time.monotonic()
    try:
        outcome = supervise(child, inbox, timeout=2)
        assert time.monotonic() - started_at < 20
        assert (outcome.ending, outcome.signal) == (Ending.TIMED_OUT, signal.SIGKILL)
    finally:
        os.kill(int(read), signal.SIGKILL)


def test_what_is_left_in_the_pipe_is_taken_within_a_time(
    python_script: Write, inbox: SignalInbox
) -> None:
    path = python_script(
        "import fcntl, os\n"
        "fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20)\n"
        "os.write(1, bytes(1 << 20))\n"
    )
    child = spawn([path], {"PATH": "/bin"})
    wait_until_gone(child.pid)
    chunks: list[int] = []

    def feed(data: bytes) -> None:
        chunks.append(len(data))
        threading.Event().wait(0.2)  # as slow as where there is hardly any CPU time

    started_at = time.monotonic()
    assert supervise(child, inbox, timeout=3, feed=feed).exit_status == 0
    assert time.monotonic() - started_at < 1.5 and len(chunks) < 16
