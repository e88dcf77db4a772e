"""Why a script could not be started, in a sentence: imported only where one is needed."""

import errno
import os

from shim.executable import first_line, head_of, text_problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def start_failure(error: OSError, path: str, argv: "Sequence[str]") -> str:
    """Return the sentence for an exec of `argv` that failed with `error`."""
    if error.errno == errno.E2BIG:
        reason = "its arguments and environment are larger than the kernel allows."
    elif error.errno == errno.EAGAIN:
        reason = "the limit on processes is reached (the pod's pids limit, or the user's)."
    elif error.errno == errno.ENOENT:
        problem = text_problem(path)
        hint = f" {problem.sentence()}" if problem else ""
        reason = f"{_missing(path, argv)} does not exist here.{hint}"
    elif error.errno == errno.EACCES:
        reason = f"{_missing(path, argv)} may not be executed by user {os.geteuid()}."
    else:
        reason = f"{error.strerror}."
    return f"The script {path} could not be started: {reason}"


def _missing(path: str, argv: "Sequence[str]") -> str:
    """Return what exec did not find, or could not execute, for a script that exists."""
    if argv[0] != path:
        return f"its interpreter {argv[0]}"
    first = first_line(head_of(path))
    if first.startswith(b"#!"):
        return f"the interpreter in its first line, {os.fsdecode(first[2:]).strip()},"
    if first.startswith(b"\x7fELF"):
        return "the loader of this program (was it built for another C library?)"
    return path
