"""Writing to khshim's own stdout and stderr without ever being held up by them."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Sized
from typing import Protocol

# A pipe that poll(2) calls writable has room for at least this much (PIPE_BUF, pipe(7)).
SAFE_WRITE = 4096
# Beyond this, what nobody reads is dropped rather than kept in memory.
PENDING_LIMIT = 2 * 1024 * 1024


class Output(Protocol):
    """Where a script's bytes go on to: a Sink, or what writes to one."""

    @property
    def fd(self) -> int: ...

    @property
    def pending(self) -> Sized: ...

    def write(self, data: bytes) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def drain(self, seconds: float) -> None: ...


class Sink:
    """One output descriptor; writes what it can at once and keeps the rest pending.

    A reader that stalls or goes away must not stop the report. The descriptor's own
    O_NONBLOCK flag is left alone, since other processes share it: a pipe or terminal
    is opened anew through /proc. Where that cannot be had only SAFE_WRITE bytes at a
    time are written, after poll said that there is room; on a terminal, where that says
    nothing, the flag is set for the moment of a write.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.pending = bytearray()
        self.at_line_start = True
        self._own_fd = _open_anew(fd)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._always_ready = _is_regular(fd)
        self._is_terminal = os.isatty(fd)
        self._broken = False

    def write(self, data: bytes) -> None:
        """Write `data`, or keep what does not fit now for `flush`."""
        if data:
            self.at_line_start = data.endswith(b"\n")
        if not self.pending:
            data = data[self._write_now(data) :]
        if data and not self._broken:
            self.pending += data[: PENDING_LIMIT - len(self.pending)]

    def write_line(self, line: bytes) -> None:
        """Write a line of khshim's own, beginning it on a line of its own."""
        self.write((b"" if self.at_line_start else b"\n") + line + b"\n")

    def flush(self) -> None:
        """Write as much of what is pending as fits without waiting."""
        written = self._write_now(self.pending)
        del self.pending[:written]

    def close(self) -> None:
        """Tell that the script writes no more. The descriptor stays open for khshim's log."""

    def drain(self, seconds: float) -> None:
        """Write what is pending, waiting for a slow reader for at most `seconds`."""
        until = time.monotonic() + seconds
        while self.pending and (left := until - time.monotonic()) > 0:
            self._poll.poll(left * 1000)
            self.flush()

    def _write_now(self, data: bytes | bytearray) -> int:
        """Return how many bytes are done with, which is all of them once the reader is gone."""
        done = 0
        view = memoryview(data)
        try:
            while done < len(data):
                if self._own_fd is not None:
                    done += os.write(self._own_fd, view[done:])
                elif self._always_ready:
                    done += os.write(self.fd, view[done:])
                elif self._is_terminal:
                    done += _write_to_terminal(self.fd, view[done:])
                elif self._poll.poll(0):
                    done += os.write(self.fd, view[done : done + SAFE_WRITE])
                else:
                    break
        except BlockingIOError:
            pass
        except OSError:  # EPIPE, EBADF, ENOSPC: nobody will ever see it
            self._broken = True
            done = len(data)
        finally:
            view.release()
        return done


def _open_anew(fd: int) -> int | None:
    """Return a non-blocking descriptor of the pipe or terminal behind `fd`, or None."""
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        pass
    return None


def _write_to_terminal(fd: int, data: memoryview) -> int:
    os.set_blocking(fd, False)
    try:
        return os.write(fd, data)
    finally:
        os.set_blocking(fd, True)


def _is_regular(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False
