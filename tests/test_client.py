from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import shim
from shim import ReportError, deadline, report_failure, report_success
from tests.support.khshim import MAX_BODY_SIZE, Shim


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.fixture(autouse=True)
def in_a_pod(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in shim.receiver.environment().items():
        monkeypatch.setenv(name, value)


def test_success(shim: Shim) -> None:
    report_success()
    assert shim.receiver.stored == (True, [])


@pytest.mark.parametrize(
    ("errors", "reported"),
    [
        ("one", ["one"]),
        (["one", "two"], ["one", "two"]),
        ("two\nlines", ["two", "lines"]),
        (["", " ", "one"], ["one"]),
        ([], ["The check failed without saying why."]),
        ("", ["The check failed without saying why."]),
        (iter(["one"]), ["one"]),
        (None, ["The check failed without saying why."]),
        ([None, "one"], ["one"]),
        (b"boom", ["boom"]),
        (bytearray(b"gr\xc3\xbc\xc3\x9fe \xff"), ["gr\u00fc\u00dfe \ufffd"]),
        (ValueError("x"), ["ValueError: x"]),
        (KeyError("x"), ["KeyError: 'x'"]),
        (TimeoutError(), ["TimeoutError"]),
        (OSError(2, "No such file", "a"), ["FileNotFoundError: [Errno 2] No such file: 'a'"]),
        (ValueError("two\nlines"), ["ValueError: two", "lines"]),
        ([ValueError("x"), b"y", "z", None], ["ValueError: x", "y", "z"]),
        ((str(number) for number in range(2)), ["0", "1"]),
        (404, ["404"]),
        ([404, 1.5], ["404", "1.5"]),
        (Path("/a"), ["/a"]),
        (["back\\slash"], ["back\\\\slash"]),
    ],
)
def test_failure(shim: Shim, errors: Any, reported: list[str]) -> None:
    report_failure(errors)
    assert shim.receiver.stored == (False, reported)


def test_an_exception_without_a_text(shim: Shim) -> None:
    report_failure(Unprintable())
    assert shim.receiver.stored is not None
    [error] = shim.receiver.stored[1]
    assert error.startswith("tests.test_client.Unprintable: <")


def test_in_an_except_clause(shim: Shim) -> None:
    try:
        int("x")
    except ValueError as error:
        report_failure(error)
    message = "ValueError: invalid literal for int() with base 10: 'x'"
    assert shim.receiver.stored == (False, [message])


def test_failure_without_an_argument(shim: Shim) -> None:
    report_failure()
    assert shim.receiver.stored == (False, ["The check failed without saying why."])


def test_a_flood_is_cut(shim: Shim) -> None:
    report_failure(["x" * 5000] * 5000)
    [(request, _)] = shim.receiver.requests
    assert len(request.body) <= MAX_BODY_SIZE
    assert shim.receiver.stored is not None


def test_a_second_report_is_refused(shim: Shim) -> None:
    report_success()
    with pytest.raises(ReportError, match="refused.*restartPolicy"):
        report_failure("too late")


def test_outside_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KH_REPORTING_URL")
    with pytest.raises(ReportError, match="KH_REPORTING_URL is not set.*SHIM_PASS_CREDENTIALS"):
        report_success()


def test_an_undelivered_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KH_REPORTING_URL", "http://127.0.0.1:1/check")
    monkeypatch.setenv("KH_CHECK_RUN_DEADLINE", str(time.time() + 0.5))
    with pytest.raises(ReportError, match="not delivered in time. No connection"):
        report_success()


def test_the_deadline(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deadline() == shim.receiver.deadline
    monkeypatch.delenv("KH_CHECK_RUN_DEADLINE")
    assert deadline() is None


def test_import_alone_loads_no_http_client() -> None:
    code = "import sys, shim; print('urllib3' in sys.modules, 'shim.client' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False False\n"


def test_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'report_maybe'"):
        shim.report_maybe
