"""The file in memory for metrics of the script's own."""

from __future__ import annotations

import resource
import subprocess

from shim.metrics_file import SIZE_LIMIT, MetricsFile


def test_no_file_for_metrics_of_the_scripts_own() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        file = MetricsFile()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (file.path, file.text()) == (None, "")
    assert file.problem is not None and "Too many open files" in file.problem


def test_another_process_writes_and_khshim_reads() -> None:
    file = MetricsFile()
    assert file.problem is None and file.path is not None
    assert file.text() == ""
    write = f"printf 'a 1\\nb \\377' > {file.path}; echo >> {file.path}"
    subprocess.run(["sh", "-c", write], check=True)
    assert file.text() == file.text() == "a 1\nb \ufffd\n"


def test_no_more_than_the_limit_is_read() -> None:
    file = MetricsFile()
    assert file.path is not None
    with open(file.path, "wb") as writer:
        writer.write(b"x" * (SIZE_LIMIT + 1))
    assert file.text() == "x" * SIZE_LIMIT
