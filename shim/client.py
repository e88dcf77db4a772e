"""The client for checks written in Python, the counterpart of Kuberhealthy's checkclient in Go.

It reads the variables that Kuberhealthy sets in the pod. A script that khshim runs does not
get these variables: its exit status is the report.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable

from shim.delivery.result import Result
from shim.report.build import PASSED, Report, failure, lines_of
from shim.report.excerpt import Editor
from shim.report.mask import Masker
from shim.settings import Settings

Error = str | bytes | bytearray | BaseException | None
ONE_ERROR = (str, bytes, bytearray, BaseException)


class ReportError(Exception):
    """The report could not be delivered; the message says why and what to check."""


def report_success() -> None:
    """Report that the check passed. Raises ReportError."""
    _report(PASSED)


def report_failure(errors: Error | Iterable[Error] = None) -> None:
    """Report that the check failed, with one error or several. Raises ReportError.

    An exception is reported as its type and message; bytes are decoded as UTF-8. Blank
    errors are left out. If none remains, a generic error is reported, since Kuberhealthy
    refuses a failure without an error. Long errors are cut.
    """
    if isinstance(errors, ONE_ERROR) or not isinstance(errors, Iterable):
        errors = [errors]
    _report([_text(error) for error in errors])


def _text(error: object) -> str:
    if isinstance(error, BaseException):
        return "".join(traceback.format_exception_only(error)).rstrip("\n")
    if isinstance(error, (bytes, bytearray)):
        return error.decode("utf-8", "replace")
    return "" if error is None else str(error)


def deadline() -> float | None:
    """Return the deadline for the report in seconds of unix time, None if none is set."""
    return Settings(os.environ).deadline


def _report(report: Report | list[str]) -> None:
    from shim.delivery.deliver import deliver_quietly  # `import shim.client` stays quick

    settings = Settings(os.environ)
    if settings.endpoint is None:
        problems = [problem for problem in settings.problems if problem.startswith("KH_")]
        raise ReportError(
            f"{' '.join(problems)} Only a pod that Kuberhealthy started can report. A script that"
            " khshim runs reports by its exit status, or needs SHIM_PASS_CREDENTIALS=true."
        )
    if isinstance(report, list):
        editor = Editor(settings.endpoint.server, Masker(os.environ, settings.mask))
        report = failure([], editor, lines_of(report))
    delivery = deliver_quietly(settings.endpoint, report.body(), settings.deadline)
    if delivery.result not in (Result.ACCEPTED, Result.ASSUMED):
        raise ReportError(f"The report was {delivery.result.value}. {delivery.reason}")
