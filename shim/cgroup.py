"""The memory limit, peak and OOM kills of this process's cgroup: v1 and v2, cgroups(7)."""

ROOT = "/sys/fs/cgroup"
# v1 shows "no limit" as a number of this size (PAGE_COUNTER_MAX).
UNLIMITED = 1 << 60


class MemoryCgroup:
    """The files of the memory cgroup of this process."""

    def __init__(self, events: str, limit: str, peak: str) -> None:
        self.events = events
        self.limit = limit
        self.peak = peak

    def kills(self) -> int:
        """Return the number of OOM kills, 0 if it cannot be read."""
        for line in _read(self.events).splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def limit_bytes(self) -> "int | None":
        """Return the limit, None if there is none or it cannot be read."""
        return _number(self.limit)

    def peak_bytes(self) -> "int | None":
        """Return the peak memory use, None if it cannot be read."""
        return _number(self.peak)


def memory_cgroup() -> "MemoryCgroup | None":
    """Return this process's memory cgroup, or None if there is none or it is not mounted.

    In a container /proc/self/cgroup may name a path of the host, while the
    container's own cgroup is mounted at the root.
    """
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            base = f"{ROOT}/memory"
            names = (
                "memory.oom_control",
                "memory.limit_in_bytes",
                "memory.max_usage_in_bytes",
            )
        elif controllers == "":
            base = ROOT
            names = ("memory.events", "memory.max", "memory.peak")
        else:
            continue
        for folder in (base + path, base):
            group = MemoryCgroup(*(f"{folder}/{name}" for name in names))
            if _read(group.events):
                return group
    return None


def _number(path: str) -> "int | None":
    text = _read(path).strip()
    return int(text) if text.isdecimal() and int(text) < UNLIMITED else None


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
