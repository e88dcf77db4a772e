"""What a script used, so that requests and limits can be set from facts."""

from __future__ import annotations

import resource
from typing import NamedTuple

from shim.cgroup import MemoryCgroup


class Usage(NamedTuple):
    """CPU time of the script and all its reaped descendants in seconds, and memory in bytes.

    `peak_memory` is the largest single process's (ru_maxrss, getrusage(2)), and never
    less than khshim's own at the spawn, since it includes what a process was before
    its exec. `cgroup_peak_memory` is the whole container's, None where it cannot be read.
    """

    cpu_seconds: float
    peak_memory: int
    cgroup_peak_memory: int | None


def usage_of_children(memory: MemoryCgroup | None) -> Usage:
    """Return what the children reaped so far have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = memory.peak_bytes() if memory else None
    return Usage(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, peak)
