"""The file that a script writes metrics of its own to."""

import os

# More than this is not read.
SIZE_LIMIT = 64 * 1024


class MetricsFile:
    """A file in memory (memfd_create(2)), since a check may have no place to write.

    `path` can be opened by every process of the same user in the pod. Where there can
    be no such file, `path` is None and `problem` tells why, and nothing is ever written.
    """

    def __init__(self) -> None:
        self.path: str | None = None
        self.problem: str | None = None
        try:
            self._fd = os.memfd_create("khshim-metrics", os.MFD_CLOEXEC)
        except OSError as error:
            self.problem = f"memfd_create: {error.strerror}"
        else:
            self.path = f"/proc/{os.getpid()}/fd/{self._fd}"

    def clear(self) -> None:
        """Forget what was written so far."""
        if self.path is not None:
            os.ftruncate(self._fd, 0)

    def text(self) -> str:
        """Return what was written so far."""
        if self.path is None:
            return ""
        return os.pread(self._fd, SIZE_LIMIT, 0).decode("utf-8", "replace")
