"""The seam: what is imported before the script is spawned."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import Shim
from tests.manifests import ROOT

# Everything that a run imports before the script is spawned, besides what the bare
# interpreter has. Each module delays the script: extend the list only for a reason.
BEFORE_THE_SPAWN = {
    "shim",
    "shim.__main__",
    "shim.budget",
    "shim.cli",
    "shim.durations",
    "shim.executable",
    "shim.exit_status",
    "shim.kuberhealthy",
    "shim.settings",
    "shim.values",
    "shim.signals",
    "shim.spawn",
    "shim.start",
    # signal, and enum below it:
    "_collections",
    "_functools",
    "_operator",
    "collections",
    "enum",
    "functools",
    "itertools",
    "keyword",
    "operator",
    "reprlib",
    "signal",
    "types",
    # built in, or a few constants:
    "errno",
    "gc",
}

# Prints the names of all modules at the moment of the first spawn, and ends there.
AT_THE_SPAWN = """
import os, sys
bare = set(sys.modules)
def hook(event, arguments):
    if event == "os.posix_spawn":
        os.write(1, " ".join(sorted(set(sys.modules) - bare)).encode())
        os._exit(0)
sys.addaudithook(hook)
sys.path.insert(0, sys.argv.pop(1))
from shim.__main__ import main
main()
"""


def test_only_these_modules_are_imported_before_the_script(shim: Shim) -> None:
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", AT_THE_SPAWN, str(ROOT), "run", "/bin/true"],
        env=shim.environ,
        capture_output=True,
        check=True,
        text=True,
    )
    assert set(result.stdout.split()) == BEFORE_THE_SPAWN, result.stderr
