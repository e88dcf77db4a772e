"""What the runner of a folder and its children note, and khshim reads: one JSON object a line.

Each is written at once, so that it is there whatever happens to who wrote it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from shim.observe.perfdata import Value
from shim.report.build import Report


class End(NamedTuple):
    """How one attempt of a script ended, or could not begin.

    `report` is the verdict on it. `exit_code` is 128 + N where signal N ended the script,
    None where it did not run or is stuck. `was_told` is whether it failed because khshim
    was told to stop, `is_final` whether there is to be no further attempt. `perfdata` is a
    plugin's; `metrics` is what it wrote to SHIM_METRICS_FILE.
    """

    report: Report
    exit_code: int | None = None
    duration_s: float = 0.0
    cpu_s: float = 0.0
    stderr_lines: int = 0
    stderr_bytes: int = 0
    was_told: bool = False
    is_final: bool = True
    perfdata: Sequence[Value] = ()
    metrics: str = ""


class Script:
    """What is known of one script; `name` is its file's.

    `started` counts its attempts. `pid` is the process group of the attempt that runs, None
    before its start and after its end: the kernel may give that number to another process.
    `no_more` is why there was no further attempt although SHIM_ATTEMPTS allows one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.started = 0
        self.pid: int | None = None
        self.ends: list[End] = []
        self.no_more = ""

    @property
    def has_passed(self) -> bool:
        return bool(self.ends) and self.ends[-1].report.ok


class Results:
    """All that was noted. `problem` is why no script was run; "" where some could be.

    `scripts` are in the order of their names, and None where the runner did not get so far.
    """

    def __init__(self, text: bytes) -> None:
        self.problem = ""
        self.scripts: list[Script] | None = None
        by_name: dict[str, Script] = {}
        for note in _notes(text):
            if "problem" in note:
                self.problem = note["problem"]
            elif "scripts" in note:
                by_name = {name: Script(name) for name in note["scripts"]}
                self.scripts = list(by_name.values())
            elif "started" in note:
                by_name[note["started"]].started += 1
                by_name[note["started"]].pid = None
            elif "runs" in note:
                by_name[note["runs"]].pid = note["pid"]
            elif "ended" in note:
                by_name[note["ended"]].ends.append(_end(note["end"]))
                by_name[note["ended"]].pid = None
            elif "no_more" in note:
                by_name[note["no_more"]].no_more = note["reason"]


def _notes(text: bytes) -> Iterator[dict[str, Any]]:
    for line in text.split(b"\n"):
        try:
            note = json.loads(line)
        except ValueError:
            continue  # blank, or cut short by SIGKILL
        yield note


def _end(fields: dict[str, Any]) -> End:
    values = [Value(*value) for value in fields["perfdata"]]
    return End(**{**fields, "report": Report(*fields["report"]), "perfdata": values})


class Notes:
    """Writes notes to the file of the results, whose descriptor is `fd`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def problem(self, sentence: str) -> None:
        """Note why no script is run."""
        self._write(problem=sentence)

    def scripts(self, names: Iterable[str]) -> None:
        """Note which scripts there are, before the first is started."""
        self._write(scripts=list(names))

    def started(self, name: str) -> None:
        self._write(started=name)

    def runs(self, name: str, pid: int) -> None:
        """Note the process of a script, since the process that supervises it may be killed."""
        self._write(runs=name, pid=pid)

    def pid_of(self, name: str) -> int | None:
        """Return the process of a script that runs, None if none was noted."""
        results = Results(os.pread(self._fd, os.fstat(self._fd).st_size, 0))
        return next((one.pid for one in results.scripts or [] if one.name == name), None)

    def ended(self, name: str, end: End) -> None:
        self._write(ended=name, end=end._asdict())

    def no_more(self, name: str, reason: str) -> None:
        """Note why there is no further attempt."""
        self._write(no_more=name, reason=reason)

    def _write(self, **note: object) -> None:
        # Begun on a line of its own: the one before may have been cut short.
        os.write(self._fd, f"\n{json.dumps(note)}\n".encode())
