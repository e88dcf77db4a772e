"""Writes what the tests have measured in the cluster into docs/COMPATIBILITY.md."""

from __future__ import annotations

import pytest

from docs.generate import filled
from tests.compatibility import DOCUMENT


class Measured:
    """Collects the property "seen" of the tests by their case, what it was against, and on."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], str] = {}
        self._on = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = {name: str(value) for name, value in report.user_properties}
        if report.when == "call" and "seen" in properties:
            self._seen[properties["case"], properties["against"]] = properties["seen"]
            self._on = properties["on"]

    def pytest_sessionfinish(self) -> None:
        DOCUMENT.write_text(filled(DOCUMENT.read_text(), "measured", self.table()))

    def table(self) -> str:
        cases = list(dict.fromkeys(case for case, _ in self._seen))
        columns = sorted({against for _, against in self._seen})
        lines = [
            f"{self._on}. Reports were accepted so long after the pod's creation, whose time is"
            " known to the second:",
            "",
            f"| case | {' | '.join(columns)} |",
            f"| --- |{' --- |' * len(columns)}",
        ]
        for case in cases:
            cells = (self._seen.get((case, column), "–") for column in columns)
            lines.append(f"| {case} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"
