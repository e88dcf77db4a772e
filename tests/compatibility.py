"""A pytest plugin that writes what real servers showed into docs/COMPATIBILITY.md.

    pytest -p tests.compatibility --compatibility=SECTION …

A test belongs to a row by its marker `case("…")`, and to a column by its property
"against" (record_property), such as "Kuberhealthy v3.0.13". SECTION is the name of the
block in the document that the table goes into.
"""

from __future__ import annotations

import platform
from collections import Counter
from datetime import date

import pytest

import shim
from docs.generate import ROOT, filled

DOCUMENT = ROOT / "docs" / "COMPATIBILITY.md"


class Results:
    """How often each case has passed and failed, by what it was run against."""

    def __init__(self, section: str) -> None:
        self._section = section
        self._passed: Counter[tuple[str, str]] = Counter()
        self._failed: Counter[tuple[str, str]] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        if "case" in properties and "against" in properties:
            key = str(properties["case"]), str(properties["against"])
            self._passed[key] += report.when == "call" and report.passed
            self._failed[key] += report.failed

    def pytest_sessionfinish(self) -> None:
        DOCUMENT.write_text(filled(DOCUMENT.read_text(), self._section, self.table()))

    def table(self) -> str:
        """Return the table in Markdown, with the date and versions above it."""
        # In the order of the tests, each name once.
        cases = list(dict.fromkeys(case for case, _ in self._passed))
        columns = sorted({against for _, against in self._passed})
        lines = [
            f"{date.today()}, khshim {shim.__version__}, Python {platform.python_version()},"
            f" Linux {platform.release()}. A number is that of the tests.",
            "",
            f"| case | {' | '.join(columns)} |",
            f"| --- |{' --- |' * len(columns)}",
        ]
        for case in cases:
            cells = (self._cell((case, column)) for column in columns)
            lines.append(f"| {case} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    def _cell(self, key: tuple[str, str]) -> str:
        passed, failed = self._passed[key], self._failed[key]
        if failed:
            return f"**{failed} of {passed + failed} failed**"
        return f"as promised ({passed})" if passed else "–"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--compatibility", metavar="SECTION", help="write docs/COMPATIBILITY.md")


def pytest_configure(config: pytest.Config) -> None:
    section = config.getoption("--compatibility")
    if section:
        config.pluginmanager.register(Results(section))


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("case")
    if marker:
        item.user_properties.append(("case", marker.args[0]))
