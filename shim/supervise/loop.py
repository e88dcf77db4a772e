"""The event loop: passes output through, forwards signals, keeps the limits, reaps."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from shim.budget import Budget
from shim.signals import FORWARDED, SignalInbox
from shim.spawn import Child
from shim.supervise.escalation import Escalation, StoppedBy
from shim.supervise.outcome import Ending, Outcome
from shim.supervise.sink import Output

READ_SIZE = 64 * 1024
# Most that can wait in one pipe when the script is gone (pipe-max-size, pipe(7)).
DRAIN_LIMIT = 1024 * 1024
# poll(2) takes its timeout as an int of milliseconds.
LONGEST_WAIT = 2_000_000.0
# A process in an uninterruptible call outlives SIGKILL; the report does not wait for it.
STUCK_AFTER = 1.0


class Stream(NamedTuple):
    """One of the script's output pipes, where its bytes go on to, and who remembers them."""

    fd: int
    sink: Output
    feed: Callable[[bytes], None]


class Supervisor:
    """Runs one started script to its end.

    `on_forward` is told each signal that went on to the script's process group.
    """

    def __init__(
        self,
        child: Child,
        streams: list[Stream],
        inbox: SignalInbox,
        budget: Budget,
        grace_period: float,
        on_forward: Callable[[signal.Signals], None],
    ) -> None:
        self._child = child
        self._streams = streams
        self._inbox = inbox
        self._budget = budget
        self._escalation = Escalation(budget, grace_period)
        self._on_forward = on_forward
        self._selector = selectors.PollSelector()
        self._exited = False
        self._stuck_after = STUCK_AFTER
        if budget.deadline is not None:
            self._stuck_after = min(STUCK_AFTER, budget.reserve / 2)

    def run(self) -> Outcome:
        """Return once the script has ended and its process group has been killed."""
        with self._selector:
            self._selector.register(self._inbox.fd, selectors.EVENT_READ)
            for stream in self._streams:
                self._selector.register(stream.fd, selectors.EVENT_READ, stream)
            while not self._exited and not self._is_stuck():
                for key, _ in self._selector.select(self._wait()):
                    if key.fd != self._inbox.fd:
                        self._pass_on(key.fd, key.data)
                # Always, and last: poll does not tell of a signal that interrupts it when
                # its time is over, and a script that has ended is stopped by nothing any
                # more, however late khshim is to see it.
                self._take_signals()
                signum = None if self._exited else self._escalation.due(time.monotonic())
                if signum is not None:
                    self._signal_group(signum)
        ended_at = self._inbox.last_child_at if self._exited else None
        if ended_at is None:
            ended_at = time.monotonic()
        # The unreaped leader still holds the group's id, so it cannot be anyone else's.
        self._signal_group(signal.SIGKILL)
        if os.getpid() == 1:
            _kill_namespace()
        for stream in self._streams:
            _drain(stream)
        result = os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG)
        return self._outcome(result, ended_at)

    def _wait(self) -> float:
        """Return the seconds until something is due even if nothing happens."""
        at = self._escalation.next_at
        if at is None and self._escalation.killed_at is not None:
            at = self._escalation.killed_at + self._stuck_after
        return LONGEST_WAIT if at is None else max(0.0, min(at - time.monotonic(), LONGEST_WAIT))

    def _is_stuck(self) -> bool:
        killed_at = self._escalation.killed_at
        return killed_at is not None and time.monotonic() >= killed_at + self._stuck_after

    def _take_signals(self) -> None:
        signums = self._inbox.take()
        for position, signum in enumerate(signums, 1):
            if signum in FORWARDED:
                self._signal_group(signum)
                self._escalation.received(signum, time.monotonic())
                self._on_forward(signum)
            elif self._reap_others():
                self._exited = True
                self._inbox.put_back(signums[position:])  # they are the delivery's
                return

    def _reap_others(self) -> bool:
        """Reap adopted orphans; tell whether the script has exited, leaving it unreaped.

        Orphans are reaped one by one by their own pids, since a wait for any child
        would take the script's status with it.
        """
        while True:
            peeked = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if peeked is None:
                return False
            if peeked.si_pid == self._child.pid:
                return True
            os.waitid(os.P_PID, peeked.si_pid, os.WEXITED | os.WNOHANG)

    def _signal_group(self, signum: signal.Signals) -> None:
        try:
            os.killpg(self._child.pid, signum)
            if signum != signal.SIGKILL:
                # A stopped process gets the signal only once it is continued.
                os.killpg(self._child.pid, signal.SIGCONT)
        except (ProcessLookupError, PermissionError):
            pass  # all are gone, or only a set-user-ID program is left

    def _pass_on(self, ready: int, stream: Stream) -> None:
        """Read what the script wrote, or write what a slow reader had left pending.

        While something is pending the script's pipe is not read: it waits for the
        reader just as it would have without khshim.
        """
        if stream.sink.pending:
            stream.sink.flush()
        elif not _read(stream):
            self._selector.unregister(stream.fd)
            return
        if stream.sink.pending:
            wanted, event = stream.sink.fd, selectors.EVENT_WRITE
        else:
            wanted, event = stream.fd, selectors.EVENT_READ
        if ready != wanted:
            self._selector.unregister(ready)
            self._selector.register(wanted, event, stream)

    def _outcome(self, result: os.waitid_result | None, ended_at: float) -> Outcome:
        escalation, budget = self._escalation, self._budget
        exited = result is not None and result.si_code == os.CLD_EXITED
        if result is None:
            ending = Ending.STUCK
        elif escalation.stopped_by in (StoppedBy.DEADLINE, StoppedBy.TIMEOUT):
            ending = Ending.TIMED_OUT
        elif exited:
            ending = Ending.EXITED
        elif escalation.stopped_by is StoppedBy.SIGNAL:
            ending = Ending.STOPPED
        else:
            ending = Ending.DIED
        stopped_at, killed_at = escalation.stopped_at, escalation.killed_at
        return Outcome(
            ending=ending,
            exit_status=result.si_status if result and exited else None,
            signal=result.si_status if result and not exited else None,
            duration=ended_at - budget.started_at,
            stopped_by=escalation.stopped_by,
            stop_signal=None if stopped_at is None else escalation.stop_signal,
            stopped_after=(None if stopped_at is None else stopped_at - budget.started_at),
            killed_after=(None if killed_at is None else killed_at - (stopped_at or killed_at)),
            time_left=None if stopped_at is None else budget.time_left(stopped_at),
        )


def _kill_namespace() -> None:
    """As PID 1, end what left the group by setsid(2): nothing here is anyone else's."""
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _read(stream: Stream) -> int:
    """Read once; return how many bytes there were, 0 at end-of-file."""
    data = os.read(stream.fd, READ_SIZE)
    stream.sink.write(data)
    stream.feed(data)
    return len(data)


def _drain(stream: Stream) -> None:
    """Take what is left in the pipe, without waiting for whoever may still hold it open."""
    taken = 0
    try:
        while taken < DRAIN_LIMIT and (size := _read(stream)):
            taken += size
    except BlockingIOError:
        pass
    os.close(stream.fd)
