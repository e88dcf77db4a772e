"""What the runner of a folder notes: nothing gets lost, whoever writes and dies."""

from __future__ import annotations

import json
import os
import time

from shim.folder.launch import ResultsFile
from shim.folder.results import End, Notes, Results
from shim.observe.perfdata import Value
from shim.report.build import Report


def test_what_is_written_is_read() -> None:
    file = ResultsFile()
    notes = Notes(file.fd)
    assert Results(file.read()).scripts is None
    notes.scripts(["a b.sh", "\udcff☃\n.sh", "c.sh"])
    notes.started("a b.sh")
    end = End(
        Report(False, ["☃ \\\\"], ["w"]),
        3,
        1.5,
        perfdata=[Value("time", "s", 0.2)],
        metrics="x 1\n",
    )
    notes.ended("a b.sh", end)
    notes.started("\udcff☃\n.sh")
    notes.started("a b.sh")
    notes.no_more("a b.sh", "no time")
    results = Results(file.read())
    assert results.problem == ""
    assert results.scripts is not None
    first, second, third = results.scripts
    assert (first.name, first.started, first.ends, first.no_more) == ("a b.sh", 2, [end], "no time")
    assert (second.name, second.started, second.ends) == ("\udcff☃\n.sh", 1, [])
    assert (third.started, third.has_passed) == (0, False)
    notes.problem("it fell over")
    assert Results(file.read()).problem == "it fell over"


def test_the_process_of_a_script_is_known_only_while_it_runs() -> None:
    """Afterwards the kernel may give its number to another process."""
    file = ResultsFile()
    notes = Notes(file.fd)
    notes.scripts(["a.sh", "b.sh"])
    notes.started("a.sh")
    assert notes.pid_of("a.sh") is None
    notes.runs("a.sh", 7)
    assert (notes.pid_of("a.sh"), notes.pid_of("b.sh")) == (7, None)
    notes.started("a.sh")
    assert notes.pid_of("a.sh") is None
    notes.runs("a.sh", 8)
    notes.ended("a.sh", End(Report(False, ["failed"])))
    assert notes.pid_of("a.sh") is None


def test_a_note_that_was_cut_short_takes_no_other_along() -> None:
    file = ResultsFile()
    notes = Notes(file.fd)
    notes.scripts(["a.sh", "b.sh"])
    os.write(file.fd, b'\n{"ended": "b.sh", "end": {"rep')
    notes.ended("a.sh", End(Report(True, [])))
    scripts = Results(file.read()).scripts
    assert scripts is not None
    assert [script.has_passed for script in scripts] == [True, False]


def test_processes_that_write_at_once_overwrite_nothing() -> None:
    """Their file's offset is shared, and the kernel does not lock it for such a file."""
    file = ResultsFile()
    begin = time.monotonic() + 0.2
    pids = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            notes = Notes(file.fd)
            while time.monotonic() < begin:
                pass
            for _ in range(2000):
                notes.started(f"{number}.sh")
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0
    written = [json.loads(line)["started"] for line in file.read().split(b"\n") if line]
    assert {name: written.count(name) for name in written} == {f"{n}.sh": 2000 for n in range(4)}
