"""The file in memory for metrics of the script's own."""

from __future__ import annotations

import resource

from shim.metrics_file import MetricsFile


def test_no_file_for_metrics_of_the_scripts_own() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        file = MetricsFile()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (file.path, file.text()) == (None, "")
    assert file.problem is not None and "Too many open files" in file.problem
