"""Adopting what a script leaves behind, so that it can be found and ended."""

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt_orphans() -> bool:
    """Have descendants whose parents end become children of this process; tell if they do.

    Otherwise they become the children of PID 1 (prctl(2), PR_SET_CHILD_SUBREAPER).
    """
    try:
        import ctypes  # 2 ms: not before the script runs

        arguments = map(ctypes.c_ulong, (1, 0, 0, 0))
        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, *arguments) == 0)
    except (ImportError, OSError, AttributeError):
        return False  # an interpreter without ctypes
