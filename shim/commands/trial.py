"""One run of a script as in the cluster, against a stand-in for Kuberhealthy of its own."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

import shim
from shim import signals
from shim.budget import Budget
from shim.commands.declared import Plan
from shim.commands.fake_kuberhealthy import Receiver
from shim.commands.own_lines import Line, Separator
from shim.settings import Settings

# Seconds for what is still in the pipe; a process that was left behind may hold it for ever.
OUTPUT_DRAIN = 1.0
# Seconds of silence after which `on_silence` is called, and again each time.
SILENCE = 1.0

OnOutput = Callable[[int, bytes, "Line | None"], None]
"""Takes the descriptor (1 or 2), bytes, and what they say where they are a line of khshim's own."""


class Runs:
    """The runs of khshim that are going on: each gets every signal that this process gets.

    A context, entered by the main thread. `stopped_by` is the terminating signal that came,
    if one did, after which no further run is to be started.
    """

    def __init__(self) -> None:
        self.stopped_by: int | None = None
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.RLock()

    def __enter__(self) -> Runs:
        self._previous = {
            signum: signal.signal(signum, self._forward) for signum in signals.FORWARDED
        }
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def start(
        self, argv: Sequence[str], environ: Mapping[str, str], folder: str | None
    ) -> subprocess.Popen[bytes]:
        """Start a run in `folder`, whose stdout and stderr are pipes."""
        with self._lock:
            # Blocked until there is somebody to hand them on to, and the run itself listens.
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signals.FORWARDED)
            # In a session of its own: what a terminal sends to a whole process group, as for
            # Ctrl-C, reaches the run once and from here, like any other signal.
            child = subprocess.Popen(
                argv,
                env=environ,
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            self._running.add(child)
            if self.stopped_by is not None:
                child.send_signal(self.stopped_by)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return child

    def ended(self, child: subprocess.Popen[bytes]) -> int:
        """Reap a run that has ended; return its exit status (negative: its signal)."""
        with self._lock:
            self._running.discard(child)
            return child.wait()

    def _forward(self, signum: int, frame: FrameType | None) -> None:
        if signum in signals.TERMINATING:
            self.stopped_by = signum
        with self._lock:
            for child in self._running:
                child.send_signal(signum)


class Trial:
    """One run, and what is known of it; `start` and `run` belong together.

    `started_at` is in unix time, `budget` counts from it, and is None where the settings
    are wrong. `said` holds khshim's own lines by their events. `status` is khshim's.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.receiver = Receiver(plan.server, plan.timeout)
        self.started_at = 0.0
        self.budget: Budget | None = None
        self.said: dict[str, Line] = {}
        self.status = 0

    @property
    def ok(self) -> bool:
        """Whether Kuberhealthy shows the check as OK in the end."""
        return self.receiver.at_the_end()[0]

    @property
    def body(self) -> str | None:
        """The report that was stored, as it was sent."""
        bodies = [req.body for req, reply in self.receiver.requests if reply.stored is not None]
        return bodies[-1].decode("utf-8", "replace") if bodies else None

    def run(
        self,
        runs: Runs,
        on_output: OnOutput,
        on_silence: Callable[[float], None] = lambda elapsed: None,
    ) -> None:
        """Run the script to its end."""
        environ = {**os.environ, **self.plan.env, **self.receiver.environment()}
        with self.receiver:
            self.started_at = time.time()
            settings = Settings(environ, self.plan.command)
            if not settings.problems:
                self.budget = settings.budget(unix_now=self.started_at, started_at=0.0)
            child = runs.start(_argv(self.plan.command), environ, self.plan.folder)
            self._pump(child, on_output, on_silence)
            self.status = runs.ended(child)

    def _pump(
        self,
        child: subprocess.Popen[bytes],
        on_output: OnOutput,
        on_silence: Callable[[float], None],
    ) -> None:
        """Hand on what the run writes until it has ended."""
        assert child.stdout is not None and child.stderr is not None
        separator = Separator(self.receiver.endpoint.run_uuid)

        def take(fd: int, data: bytes) -> None:
            if fd == 1:
                on_output(1, data, None)
                return
            for part, line in separator.feed(data):
                if line is not None:
                    self.said[str(line["event"])] = line
                on_output(2, part, line)

        has_ended, notice = os.pipe()
        threading.Thread(target=_notice_end, args=(child.pid, notice), daemon=True).start()
        began = time.monotonic()
        with selectors.DefaultSelector() as selector, child.stdout, child.stderr:
            selector.register(child.stdout, selectors.EVENT_READ, 1)
            selector.register(child.stderr, selectors.EVENT_READ, 2)
            selector.register(has_ended, selectors.EVENT_READ, 0)
            until: float | None = None
            while until is None or time.monotonic() < until:
                ready = selector.select(SILENCE if until is None else 0)
                if not ready:
                    if until is not None:
                        break
                    on_silence(time.monotonic() - began)
                for key, _ in ready:
                    if key.data == 0:
                        until = time.monotonic() + OUTPUT_DRAIN
                        selector.unregister(has_ended)
                    elif data := os.read(key.fd, 65536):
                        take(key.data, data)
                    else:
                        selector.unregister(key.fileobj)
        os.close(has_ended)
        if held := separator.rest():
            on_output(2, held, None)


def _notice_end(pid: int, notice: int) -> None:
    """Close `notice` when a child has ended, which is left to be reaped."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    os.close(notice)


def _argv(command: Sequence[str]) -> list[str]:
    """Return what runs `khshim run` by this interpreter."""
    isolated = ["-I"] if sys.flags.isolated else []
    # Not by -m, which would look for a module of this name in the working directory first.
    own = os.path.dirname(os.path.dirname(os.path.abspath(shim.__file__)))
    begin = (
        f"import sys; sys.path.insert(0, {own!r}); from shim.__main__ import main; sys.exit(main())"
    )
    return [sys.executable, *isolated, "-c", begin, "run", "--", *command]
