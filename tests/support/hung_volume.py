"""A file that hangs when it is opened, as on a network volume whose server is down.

    python hung_volume.py open|exec PATH

The kernel asks a process like this one for leave first (fanotify(7), as root), which it
does not give: whoever opens PATH, or only who executes it, waits in an uninterruptible
call. Prints "ready", then "asked" for each. When its stdin ends it lets all of them go on.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys

FAN_CLASS_CONTENT = 0x4
FAN_MARK_ADD = 0x1
FAN_OPEN_PERM = 0x10000
FAN_OPEN_EXEC_PERM = 0x40000
AT_FDCWD = -100


def main(kind: str, path: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.fanotify_init(FAN_CLASS_CONTENT, os.O_RDONLY)
    mask = ctypes.c_uint64(FAN_OPEN_PERM if kind == "open" else FAN_OPEN_EXEC_PERM)
    if fd < 0 or libc.fanotify_mark(fd, FAN_MARK_ADD, mask, AT_FDCWD, path.encode()) < 0:
        print(os.strerror(ctypes.get_errno()), flush=True)
        return 1
    print("ready", flush=True)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(0, select.POLLHUP)
    while {ready for ready, _ in poll.poll()} == {fd}:
        os.read(fd, 4096)
        print("asked", flush=True)
    return 0  # the kernel gives leave for a process that has gone


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
