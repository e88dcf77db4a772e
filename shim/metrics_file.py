"""The file that a script writes metrics of its own to."""

import os

# More than this is not read.
SIZE_LIMIT = 64 * 1024


class MetricsFile:
    """A file in memory (memfd_create(2)), since a check may have no place to write.

    `path` can be opened by every process of the same user in the pod.
    """

    def __init__(self) -> None:
        self._fd = os.memfd_create("khshim-metrics", os.MFD_CLOEXEC)
        self.path = f"/proc/{os.getpid()}/fd/{self._fd}"

    def text(self) -> str:
        """Return what was written so far."""
        return os.pread(self._fd, SIZE_LIMIT, 0).decode("utf-8", "replace")
