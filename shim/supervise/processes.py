"""The script's processes: its process group, and what left that by setsid(2) or `set -m`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from shim.spawn import Child


class Processes:
    """What descends from one started script.

    As PID 1 of a namespace that is everything else in it. As a child subreaper it is the
    process group and khshim's other children: what left the group is adopted when its
    parent ends (prctl(2)). Where khshim is neither, it is the group.
    """

    def __init__(self, child: Child) -> None:
        # The id of the script and of its process group. The kernel gives it to no other process
        # until the script is reaped.
        self._leader = child.pid
        self._is_init = os.getpid() == 1
        self._adopts = child.orphans_are_adopted

    def signal_group(self, signum: int, *, is_to_end: bool = False) -> None:
        """Signal the process group; what `is_to_end` by it is continued where it is stopped."""
        try:
            os.killpg(self._leader, signum)
            if is_to_end:
                os.killpg(self._leader, signal.SIGCONT)
        except (ProcessLookupError, PermissionError):
            pass  # all are gone, or only a set-user-ID program is left

    def terminate(self) -> None:
        """Ask every process to end, those that left the group as well."""
        if self._is_init:
            _kill(-1, signal.SIGTERM)
            _kill(-1, signal.SIGCONT)
            return
        self.signal_group(signal.SIGTERM, is_to_end=True)
        if self._adopts:
            for pid, group in _children():
                if group != self._leader:
                    _kill(pid, signal.SIGTERM)
                    _kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the group, and as PID 1 everything."""
        if self._is_init:
            _kill(-1, signal.SIGKILL)
        else:
            self.signal_group(signal.SIGKILL)

    def has_script_ended(self) -> bool:
        """Reap adopted orphans; tell whether the script has ended, leaving it unreaped.

        Orphans are reaped one by one by their own pids, since a wait for any child
        would take the script's status with it.
        """
        while True:
            peeked = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if peeked is None:
                return False
            if peeked.si_pid == self._leader:
                return True
            os.waitid(os.P_PID, peeked.si_pid, os.WEXITED | os.WNOHANG)

    def reap_script(self) -> os.waitid_result | None:
        """Return how the script ended, None where it has not. Its id is anyone's from now on."""
        return os.waitid(os.P_PID, self._leader, os.WEXITED | os.WNOHANG)

    def reap_others(self) -> bool:
        """Reap what has ended; tell whether there is more, which is to be killed."""
        try:
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
                pass
        except ChildProcessError:
            return False
        return self._is_init or self._adopts

    def kill_others(self) -> None:
        """Kill what is left once the script has been reaped.

        Each may leave children of its own behind, which are khshim's by then.
        """
        if self._is_init:
            _kill(-1, signal.SIGKILL)
            return
        for pid, _ in _children():
            _kill(pid, signal.SIGKILL)


def _kill(pid: int, signum: int) -> None:
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass


def _children() -> Iterator[tuple[int, int]]:
    """Yield the pid and the process group of each child of this process, as /proc shows them.

    None of these pids can be another process's meanwhile: a child keeps its until it is
    reaped. /proc may be missing, or another PID namespace's.
    """
    own = str(os.getpid())
    try:
        if os.readlink("/proc/self") != own:
            return
        entries = os.listdir("/proc")
    except OSError:
        return
    for entry in filter(str.isdecimal, entries):
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                # The name, in parentheses, can hold anything; then state, parent, group.
                _, parent, group, *_ = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it has just ended
        if parent == own.encode():
            yield int(entry), int(group)
