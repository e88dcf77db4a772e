"""Adopting the processes that a script leaves behind, so that khshim can find and kill them."""

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt_orphans() -> bool:
    """Make this process a child subreaper (prctl(2)); tell whether that worked.

    A descendant whose parent ends then becomes a child of this process, not of PID 1.
    """
    try:
        import ctypes  # takes 2 ms, so not before the script runs

        arguments = map(ctypes.c_ulong, (1, 0, 0, 0))
        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, *arguments) == 0)
    except (ImportError, OSError, AttributeError):
        return False  # an interpreter without ctypes
