"""The event loop: passes output through, forwards signals, keeps the limits, reaps."""

from __future__ import annotations

import os
import select
import selectors
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from shim.budget import Budget
from shim.signals import SignalInbox
from shim.spawn import Child
from shim.supervise.escalation import Escalation, StoppedBy
from shim.supervise.outcome import Ending, Outcome
from shim.supervise.processes import Processes
from shim.supervise.sink import Output

READ_SIZE = 64 * 1024
# Most that can wait in one pipe when the script is gone (pipe-max-size, pipe(7)).
DRAIN_LIMIT = 1024 * 1024
# poll(2) takes its timeout as an int of milliseconds.
LONGEST_WAIT = 2_000_000.0
# Seconds that the script gets to end after SIGKILL, which a process in an uninterruptible
# call outlives, and then each step before the report. At most two of them follow one
# another, so that half of the reserve is left to the delivery.
STEP_TIMEOUT = 1.0
SHARE_OF_RESERVE = 1 / 4
# Seconds that a script's filter, as in `exec 2> >(filter >&2)`, may go on after the script.
# One in Python that imports logging needed 0.1 s with a core of its own, 0.5 s with a tenth
# of one, and up to 2 s beside eight busy processes on two cores.
LAST_WORDS = 2.0
# Seconds from SIGTERM to SIGKILL for what holds the pipes open even then.
LAST_FLUSH = 0.2


class Stream(NamedTuple):
    """One of the script's output pipes, where its bytes go on to, and who remembers them."""

    fd: int
    sink: Output
    feed: Callable[[bytes], None]


class Supervisor:
    """Runs one started script to its end.

    `started_at` is when it was started, on the monotonic clock in seconds. `stop_signal` is
    what the script gets in place of SIGTERM. `on_forward` is told of each signal that khshim
    got, and which one the script's process group got for it.
    """

    def __init__(
        self,
        child: Child,
        streams: list[Stream],
        inbox: SignalInbox,
        budget: Budget,
        started_at: float,
        grace_period: float,
        stop_signal: int,
        on_forward: Callable[[int, int], None],
    ) -> None:
        self._processes = Processes(child)
        self._streams = streams
        self._inbox = inbox
        self._budget = budget
        self._started_at = started_at
        self._escalation = Escalation(budget, grace_period, stop_signal)
        self._on_forward = on_forward
        self._selector = selectors.PollSelector()
        self._has_ended = False
        # Signals that came when there was no script any more: they are the delivery's.
        self._for_delivery: list[int] = []
        self._step_timeout = STEP_TIMEOUT
        if budget.deadline is not None:
            self._step_timeout = min(STEP_TIMEOUT, budget.reserve * SHARE_OF_RESERVE)

    def run(self) -> Outcome:
        """Return once the script has ended and what it left behind has been killed."""
        with self._selector:
            self._selector.register(self._inbox.fd, selectors.EVENT_READ)
            for stream in self._streams:
                self._selector.register(stream.fd, selectors.EVENT_READ, stream)
            while not self._has_ended and not self._is_stuck():
                self._turn(self._wait())
                # Last: a script that has ended is stopped by nothing any more, however late
                # khshim is to see it.
                signum = None if self._has_ended else self._escalation.due(time.monotonic())
                if signum is not None:
                    self._processes.signal_group(
                        signum, is_to_end=self._escalation.is_to_end(signum)
                    )
            ended_at = self._inbox.last_child_at if self._has_ended else None
            if ended_at is None:
                ended_at = time.monotonic()
            self._hear_last_words()
            result = self._end_processes()
        until = time.monotonic() + self._step_timeout
        for stream in self._streams:
            _drain(stream, until)
        if self._for_delivery:
            self._inbox.put_back(self._for_delivery)
        return self._outcome(result, ended_at)

    def _turn(self, seconds: float) -> None:
        """Wait for at most `seconds` until something happens, and see to it."""
        for key, _ in self._selector.select(seconds):
            if key.fd != self._inbox.fd:
                self._pass_on(key.fd, key.data)
        # Always: poll does not tell of a signal that interrupts it when its time is over.
        self._take_signals()

    def _wait(self) -> float:
        """Return the seconds until something is due even if nothing happens."""
        at = self._escalation.next_at
        if at is None and self._escalation.killed_at is not None:
            at = self._escalation.killed_at + self._step_timeout
        return LONGEST_WAIT if at is None else max(0.0, min(at - time.monotonic(), LONGEST_WAIT))

    def _is_stuck(self) -> bool:
        killed_at = self._escalation.killed_at
        return killed_at is not None and time.monotonic() >= killed_at + self._step_timeout

    def _take_signals(self) -> None:
        # The script's end first: where khshim was held up, signals of several moments are here.
        for signum in sorted(self._inbox.take(), key=lambda signum: signum != signal.SIGCHLD):
            if signum == signal.SIGCHLD:
                self._has_ended = self._has_ended or self._processes.has_script_ended()
            elif self._has_ended:
                self._for_delivery.append(signum)
            else:
                to_send = self._escalation.received(signum, time.monotonic())
                self._processes.signal_group(to_send, is_to_end=self._escalation.is_to_end(signum))
                self._on_forward(signum, to_send)

    def _hear_last_words(self) -> None:
        """Pass on what processes that the script left behind still have to say.

        Once both pipes are closed at their other end there is nothing to wait for.
        """
        if not self._has_ended or self._escalation.killed_at is not None:
            return
        self._listen(LAST_WORDS)
        if self._are_pipes_held():
            self._processes.terminate()
            self._listen(LAST_FLUSH)

    def _listen(self, seconds: float) -> None:
        """Pass output on while the pipes are held, for at most `seconds` of the script's time.

        A terminating signal ends the wait: its sender does not wait either.
        """
        until = time.monotonic() + seconds
        if self._escalation.kill_at is not None:
            until = min(until, self._escalation.kill_at)
        while (
            self._are_pipes_held()
            and (left := until - time.monotonic()) > 0
            and self._inbox.terminating.isdisjoint(self._for_delivery)
        ):
            self._turn(left)

    def _are_pipes_held(self) -> bool:
        """Tell whether a process can still write to a pipe, be it empty or full."""
        poll = select.poll()
        for stream in self._streams:
            poll.register(stream.fd, 0)
        hung_up = [fd for fd, event in poll.poll(0) if event & select.POLLHUP]
        return len(hung_up) < len(self._streams)

    def _end_processes(self) -> os.waitid_result | None:
        """Kill what is left and reap it; return how the script itself ended, or None.

        What is killed counts against a limit on processes until it is reaped, and leaves
        its own children to khshim. The report does not wait for what outlives SIGKILL.
        """
        self._processes.kill()
        result = self._processes.reap_script()
        until = time.monotonic() + (0.0 if result is None else self._step_timeout)
        poll = select.poll()
        poll.register(self._inbox.fd, select.POLLIN)
        while self._processes.reap_others() and (left := until - time.monotonic()) > 0:
            self._processes.kill_others()
            poll.poll(left * 1000)
            self._take_signals()
        return result

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
        elif escalation.stopped_by not in (None, StoppedBy.SIGNAL):
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
            duration=ended_at - self._started_at,
            stopped_by=escalation.stopped_by,
            stop_signal=None if stopped_at is None else escalation.stop_signal,
            sent_signal=escalation.sent_signal,
            stopped_after=(None if stopped_at is None else stopped_at - budget.started_at),
            killed_after=(None if killed_at is None else killed_at - (stopped_at or killed_at)),
            time_left=None if stopped_at is None else budget.time_left(stopped_at),
        )


def _read(stream: Stream) -> int:
    """Read once; return how many bytes there were, 0 at end-of-file."""
    data = os.read(stream.fd, READ_SIZE)
    stream.sink.write(data)
    stream.feed(data)
    return len(data)


def _drain(stream: Stream, until: float) -> None:
    """Read what is left in the pipe, without waiting for a process that still holds it open."""
    taken = 0
    try:
        while taken < DRAIN_LIMIT and (size := _read(stream)) and time.monotonic() < until:
            taken += size
    except BlockingIOError:
        pass
    os.close(stream.fd)
