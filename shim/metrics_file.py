"""The file to which a script writes its own metrics."""

import os

# Bytes; khshim reads no more than this.
SIZE_LIMIT = 64 * 1024


class MetricsFile:
    """A file in memory (memfd_create(2)), since a container may have no writable directory.

    Every process of the same user in the pod can open `path`. If the file cannot be
    created, `path` is None and `problem` says why.
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
        """Delete what was written so far."""
        if self.path is not None:
            os.ftruncate(self._fd, 0)

    def text(self) -> str:
        """Return what was written so far, at most SIZE_LIMIT bytes of it."""
        if self.path is None:
            return ""
        return os.pread(self._fd, SIZE_LIMIT, 0).decode("utf-8", "replace")
