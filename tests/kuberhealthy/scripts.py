"""Scripts that checks run: good, bad, and hostile ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tests.kuberhealthy.cluster import IDLE, KHSHIM, Check


class Script(NamedTuple):
    """A script, and the timeout of the check that runs it."""

    name: str
    text: str
    timeout: str = "10m"

    def check(self, folder: Path) -> Check:
        """Write the script into `folder`, and return the check that khshim runs it for."""
        path = folder / self.name
        path.write_text(f"#!/bin/sh\n{self.text}\n")
        path.chmod(0o755)
        return Check(self.name, [KHSHIM, "run", "--", str(path)], self.timeout)


def says(name: str, data: bytes) -> Script:
    """Return a script that fails and writes these bytes to stderr."""
    octal = "".join(f"\\{byte:03o}" for byte in data)
    return Script(name, f"printf '{octal}' >&2; exit 1")


PLAIN = [
    Script("passing", "echo fine"),
    Script("failing", "echo 'no such luck' >&2; exit 1"),
    Script("silent", "exit 3"),
    Script("silent-on-stderr", "echo 'said elsewhere'; exit 2"),
    Script("crashing", "echo 'last words' >&2; kill -SEGV $$"),
    Script("killed", "kill -KILL $$"),
    Script("not-found", "no_such_command"),
]
HOSTILE = [
    says("quotes", b"\"double\" 'single' `back` \xe2\x80\x9ctypographic\xe2\x80\x9d\n"),
    says("backslashes", b'C:\\new\\table\none \\\ntwo \\\\\nthree \\\\\\\n\\"\n\\'),
    says("controls", bytes(range(1, 10)) + b"\x1b[31mred\x1b[0m \x7f\x0b\x0c 10%\r99%\n\x00\n"),
    says("invalid-utf-8", b"\xff\xfe \xc3( \xed\xa0\x80 \xf8\x88 cut \xe2\x82\n\xc0\xaf"),
    says("fake-metrics", b'"} 1\nkuberhealthy_cluster_state 1\n# TYPE x y\n{a="b\\"} NaN\n|||\n'),
    says("separators", "one\u2028two\u2029three\u0085four\ufeff\u202efive".encode()),
    says("json", b'{"OK": true, "Errors": []}\n\\u0000 \\ud800 &amp; <b>&lt;</b>\n'),
    says("percent", b"%s %n %d %!s(MISSING) {{.}} ${jndi:x} $(id)\n"),
    Script("long-lines", "yes | tr -d '\\n' | head -c 3145728 | fold -w 1048576 >&2; exit 1"),
    Script("many-lines", "seq 100000 >&2; exit 1"),
]
LAST_WORDS = "still waiting for Godot"
WAITING = f"echo '{LAST_WORDS}' >&2; exec sleep 1000"
HANGING = [Script(f"hanging-{timeout}s", WAITING, f"{timeout}s") for timeout in range(15, 61, 5)]
DEAF = Script("deaf", f"trap '' TERM; echo '{LAST_WORDS}' >&2; sleep 1000; sleep 1000", "40s")
QUICK = Script("quick", "exit 0", "15s")
TEN_SECONDS = Script("hanging-10s", WAITING, "10s")
# A pod that is still there when its time is over, since it ignores SIGTERM.
IGNORES_SIGTERM = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
LATE = Check("late", IGNORES_SIGTERM, "10s", grace_period=600)

# Checks that say through a FIFO that they run, and take so many seconds to end by SIGTERM:
# v2, which looks for reports every 5 s, looks between the end of one of them and the next.
DELETED = [
    Script(
        f"deleted-{seconds}",
        f"trap 'sleep {seconds}; exit 1' TERM; echo '{LAST_WORDS}' >&2; echo ready >\"$0.fifo\";"
        " sleep 1000 & wait",
    )
    for seconds in (0, 1.25, 2.5, 3.75)
]
# A check without a restart policy, which on v3 means that its pod's script is run again.
AGAIN = Script("again", "exit 0")

# Checks whose pods do nothing, so that tests can report in their place.
CONTENTS = [f"contents-{number}" for number in range(50)]


def checks(folder: Path) -> list[Check]:
    """Return all checks but the next ones, with their scripts in `folder`."""
    for script in DELETED:
        os.mkfifo(folder / f"{script.name}.fifo")
    return [
        *(script.check(folder) for script in [*PLAIN, *HOSTILE, *DELETED]),
        AGAIN.check(folder)._replace(restart_policy=None),
        *(Check(name, IDLE) for name in [*CONTENTS, "requests"]),
    ]


def checks_with_timeouts(folder: Path) -> list[Check]:
    """Return the checks whose time counts."""
    return [*(script.check(folder) for script in [*HANGING, DEAF, QUICK, TEN_SECONDS]), LATE]
