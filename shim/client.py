"""The client for checks written in Python, the counterpart of Go's checkclient.

It reads the variables that Kuberhealthy sets in the pod. In a script that khshim
runs, the exit status is the report, and these variables are withheld.
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

    An exception is reported by its type and text, and bytes are taken for UTF-8. Blank
    errors are left out, and a generic one stands in where none remains, since
    Kuberhealthy refuses a failure without a reason. What is too long is cut.
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
    """Return the moment at which the report must have arrived, or None where it is not set.

    In seconds of unix time, like time.time().
    """
    return Settings(os.environ).deadline


def _report(report: Report | list[str]) -> None:
    from shim.delivery.deliver import deliver_quietly  # `import shim.client` stays quick

    settings = Settings(os.environ)
    if settings.endpoint is None:
        problems = [problem for problem in settings.problems if problem.startswith("KH_")]
        raise ReportError(
            f"{' '.join(problems)} Outside a Kuberhealthy check there is nobody to report to; in a"
            " script that khshim runs, exit with a status instead, or set SHIM_PASS_CREDENTIALS."
        )
    if isinstance(report, list):
        editor = Editor(settings.endpoint.server, Masker(os.environ, settings.mask))
        report = failure([], editor, lines_of(report))
    delivery = deliver_quietly(settings.endpoint, report.body(), settings.deadline)
    if delivery.result not in (Result.ACCEPTED, Result.ASSUMED):
        raise ReportError(f"The report was {delivery.result.value}. {delivery.reason}")
