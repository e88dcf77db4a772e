"""The headline of a Python failure: the exception itself, not what every traceback begins with."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from shim.report.headline import take_headline
from tests.support.khshim import Shim

Write = Callable[..., str]
BEGIN = "Traceback (most recent call last):"


@pytest.mark.parametrize(
    ("text", "headline"),
    [
        ("raise ValueError('no such host')", "ValueError: no such host"),
        ("raise ValueError", "ValueError"),
        ("raise ValueError('a\\nb')", "ValueError: a"),
        ("def f():\n    f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        (
            "try:\n    {}['first']\nexcept KeyError:\n    raise OSError('second')",
            "OSError: second",
        ),
        (
            "try:\n    {}['first']\nexcept KeyError as e:\n    raise OSError('second') from e",
            "OSError: second",
        ),
        ("if True print", "SyntaxError: invalid syntax"),
        ("if True:\nprint(1)", "IndentationError: expected an indented block after"),
        (
            "def f():\n    class E(Exception): pass\n    raise E('x')\nf()",
            "f.<locals>.E: x",
        ),
        ("import urllib.error\nraise urllib.error.URLError('x')", "urllib.error.URLError: "),
        ("e = ValueError('x')\ne.add_note('a note')\nraise e", "ValueError: x"),
        ("print('starting', file=sys.stderr)\nraise OSError('x')", "OSError: x"),
        (
            "import atexit\natexit.register(lambda: print('cleaned up: yes', file=sys.stderr))\n"
            "raise OSError('x')",
            "OSError: x",
        ),
        (
            "class C:\n    def __del__(self): raise KeyError('late')\nc = C()\nraise OSError('x')",
            "OSError: x",
        ),
        (
            "raise ExceptionGroup('several', [ValueError('a'), TypeError('b')])",
            "ExceptionGroup: several (2 sub-exceptions)",
        ),
        (
            "try:\n    raise ValueError('a')\nexcept ValueError as e:\n"
            "    raise ExceptionGroup('several', [e, ExceptionGroup('in', [e])]) from e",
            "ExceptionGroup: several (2 sub-exceptions)",
        ),
    ],
    ids=lambda value: value[:30],
)
def test_the_exception_is_the_headline(
    shim: Shim, python_script: Write, text: str, headline: str
) -> None:
    if ("Group" in text or "add_note" in text) and sys.version_info < (3, 11):
        pytest.skip("needs Python 3.11")
    run = shim.run(python_script(f"import sys\n{text}\n"))
    assert run.errors[0].startswith(headline)
    assert run.event("script_exited")["message"] == f"The script failed: {run.errors[0]}"
    # Nothing is lost, and the rest keeps its order.
    shown = [line for line in run.stderr.decode().split("\n") if not line.startswith('{"time')]
    shown = [line.rstrip().replace("\\", "\\\\") for line in shown if line.strip()]
    shown.remove(next(n for n in shown if n.removeprefix("  | ") == run.errors[0]))
    assert run.errors[1:] == shown[: len(run.errors) - 1]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Traceback"],
        [BEGIN],
        [BEGIN, '  File "x.py", line 3, in <module>'],
        [BEGIN, "killed here"],
        ["ValueError: not raised, only told"],
        ['  File "x.py" was not found', "    perhaps"],
        ["Exception ignored in: f", BEGIN, '  File "x"', "KeyError: 1"],
    ],
)
def test_no_headline(lines: list[str]) -> None:
    assert take_headline(lines) == ("", lines)


def test_the_headline_of_a_flood_is_found(shim: Shim, python_script: Write) -> None:
    path = python_script(
        "import sys\nfor n in range(50_000): print('progress', n, file=sys.stderr)\n"
        "raise OSError('x')\n"
    )
    run = shim.run(path)
    assert run.errors[:2] == ["OSError: x", "progress 0"]
    assert BEGIN in run.errors


def test_a_timeout_comes_before_the_headline(
    make_shim: Callable[..., Shim], python_script: Write
) -> None:
    path = python_script(
        "import signal, time\n"
        "def stop(*_): raise TimeoutError('waited for the queue')\n"
        "signal.signal(signal.SIGTERM, stop)\ntime.sleep(60)\n"
    )
    run = make_shim(timeout=6).run(path)
    assert run.errors[0].startswith("Timed out")
    assert run.errors[1:3] == ["TimeoutError: waited for the queue", BEGIN]


def test_two_tracebacks_that_follow_each_other() -> None:
    lines = [BEGIN, '  File "x"', "KeyError: 1", BEGIN, '  File "y"', "OSError: 2", "bye"]
    headline, rest = take_headline(lines)
    assert headline == "OSError: 2"
    assert rest == [*lines[:5], "bye"]


def test_what_is_ignored_later_changes_nothing() -> None:
    lines = [BEGIN, '  File "y"', "OSError: 2", "Exception ignored in: f"]
    assert take_headline(lines)[0] == "OSError: 2"


def test_an_interrupted_traceback_begins_anew() -> None:
    lines = [BEGIN, BEGIN, '  File "y"', "OSError: 2"]
    assert take_headline(lines)[0] == "OSError: 2"
