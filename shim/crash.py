"""Handling a bug in khshim itself: end the script, log the bug and report it."""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from collections.abc import Mapping

from shim import exit_status
from shim.observe.timestamp import rfc3339
from shim.spawn import Child
from shim.supervise.processes import Processes

# Seconds; a process that outlives SIGKILL is left behind.
TIME_TO_KILL = 0.5

# The packages that khshim depends on, by the names they are imported by.
DEPENDENCIES = ("urllib3", "pythonjsonlogger")


def not_installed(error: Exception) -> str:
    """Return a sentence if `error` is that a dependency is not installed, "" for other errors."""
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    if missing.partition(".")[0] not in DEPENDENCIES:
        return ""
    return f"khshim is not installed: it needs {missing}, which is missing. pip install khshim"


def describe(error: Exception) -> str:
    """Return a sentence about a bug, with its file and line, or about a missing package."""
    if sentence := not_installed(error):
        return sentence
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        "khshim itself failed, which is a bug in it, not in the script:"
        f" {type(error).__name__}: {error} ({os.path.basename(frame.filename)},"
        f" line {frame.lineno}). The pod's log says more."
    )


def kill_script(child: Child | None) -> None:
    """Kill and reap the script, if it was started, and its descendants."""
    if child is None:
        return
    processes = Processes(child)
    processes.kill()
    until = time.monotonic() + TIME_TO_KILL
    while processes.reap_others() and time.monotonic() < until:
        processes.kill_others()
        time.sleep(0.01)  # nobody reads the wake-up fd any more, so there is no event to wait for


def give_up(error: Exception, environ: Mapping[str, str], child: Child | None) -> int:
    """End the script, log the bug and try to report it; return the exit status.

    This uses as few modules as possible: the failure may be in the logger or in an import.
    """
    kill_script(child)
    # Nobody reads signals any more, and a connection may soon get the number of the wake-up fd.
    signal.set_wakeup_fd(-1)
    event = "not_installed" if not_installed(error) else "bug"
    _write(event, describe(error), "".join(traceback.format_exception(error)))
    try:
        _report(describe(error), environ)
    except Exception as second:
        _write("report_undelivered", f"This could not be reported: {second!r}")
    return exit_status.WRONG_SETTINGS if not_installed(error) else exit_status.BUG


def _write(event: str, message: str, details: str = "") -> None:
    line = {
        "timestamp": rfc3339(time.time()),
        "level": "error",
        "message": message,
        "event": event,
        "traceback": details,
    }
    try:
        os.write(2, f"{json.dumps(line)}\n".encode())
    except OSError:
        pass  # stderr cannot be written; the exit status still tells of the bug


def _report(sentence: str, environ: Mapping[str, str]) -> None:
    # Imported here and not above, since one of these may be the module that failed.
    from shim.delivery.deliver import deliver_quietly
    from shim.report.build import failure
    from shim.report.excerpt import Editor
    from shim.report.mask import Masker
    from shim.settings import Settings

    settings = Settings(environ)
    if settings.endpoint is None:
        return
    report = failure([sentence], Editor(settings.endpoint.server, Masker(environ, settings.mask)))
    delivery = deliver_quietly(settings.endpoint, report.body(), settings.deadline)
    _write("crash_reported", f"{delivery.result.value}: {delivery.reason}")
