"""The pod's own status: a summary in the termination log, which `kubectl describe pod` shows."""

from __future__ import annotations

import os

from shim.observe.events import Event, ReportEnded, Subscriber, TerminationLogFailed
from shim.report.build import Report

# The kubelet reads no more than this (Kubernetes, "Determine the Reason for Pod Failure").
SUMMARY_SIZE = 4096


def termination_log(path: str, log: Subscriber) -> Subscriber:
    """Return a subscriber that writes a summary of the run's end to the file `path`.

    Where it cannot be written `log` is told.
    """

    def write(event: Event) -> None:
        if isinstance(event, ReportEnded):
            text = summary(event.report, f"{event.delivered} ({event.reason})")
            problem = write_summary(path, text)
            if problem is not None:
                log(TerminationLogFailed(reason=problem))

    return write


def summary(report: Report, delivery: str) -> bytes:
    """Return verdict, delivery and errors or warnings, at most SUMMARY_SIZE bytes of UTF-8."""
    passed = "OK, with a warning" if report.warnings else "OK"
    verdict = passed if report.ok else "NOT OK"
    lines = [verdict, f"Report: {delivery}", *report.errors, *report.warnings]
    text = "\n".join(lines).encode()
    if len(text) > SUMMARY_SIZE:
        text = text[: SUMMARY_SIZE - 4].decode("utf-8", "ignore").encode() + "\n…".encode()
    return text


def write_summary(path: str, text: bytes) -> str | None:
    """Write `text` to the file `path` if it is there; return None, or why it could not be written."""
    try:
        # Not created: the kubelet does that. Nor waited for, as a FIFO's reader would be.
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path}: {error.strerror}"
    with open(fd, "wb", buffering=0) as file:
        try:
            file.write(text)
        except OSError as error:
            return f"{path}: {error.strerror}"
    return None
