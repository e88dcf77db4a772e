"""The seam: what is imported before the script is spawned, and that folders do not depend in circles."""

from __future__ import annotations

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

from tests.support.khshim import Shim
from tests.support.manifests import ROOT

# Everything that a run imports before the script is spawned, besides what the bare
# interpreter has. Each module delays the script: extend the list only for a reason.
BEFORE_THE_SPAWN = {
    "shim",
    "shim.__main__",
    "shim.budget",
    # Outside a container, where kills for memory before the script do not count.
    "shim.cgroup",
    "shim.cli",
    "shim.durations",
    "shim.executable",
    "shim.exit_status",
    "shim.kuberhealthy",
    "shim.hang",
    "shim.runtime",
    "shim.settings",
    "shim.signals",
    "shim.spawn",
    "shim.start",
    "shim.values",
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

# In C from Python 3.14 on, where the bare interpreter has some of the others already.
MAYBE = {"_types"}

# And where SHIM_SCRIPT is a folder, before what runs its scripts is spawned.
FOR_A_FOLDER = {
    "shim.folder",
    "shim.folder.launch",
    "shim.folder.times",
    # built in, or in C; struct is a few lines above it:
    "_struct",
    "fcntl",
    "mmap",
    "struct",
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
    _assert_imported(set(result.stdout.split()), result.stderr)


def test_little_more_is_imported_before_what_runs_a_folder(shim: Shim) -> None:
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", AT_THE_SPAWN, str(ROOT), "run", str(ROOT / "scripts")],
        env=shim.environ,
        capture_output=True,
        check=True,
        text=True,
    )
    _assert_imported(set(result.stdout.split()) - FOR_A_FOLDER, result.stderr)


def _assert_imported(names: set[str], said: str) -> None:
    """Assert that no module but the known ones was imported, and every one of khshim's own."""
    assert names <= BEFORE_THE_SPAWN | MAYBE, said
    assert {name for name in BEFORE_THE_SPAWN - names if name.startswith("shim")} == set()


def _folder(module: str) -> str:
    """Return the folder of a module's name, "" for the top level of the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / "shim" / parts[1]).is_dir() else ""


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shim"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_folders_do_not_import_each_other_in_circles() -> None:
    graph: dict[str, set[str]] = {}
    for path in (ROOT / "shim").rglob("*.py"):
        folder = path.parent.name
        if folder != "shim":
            needed = graph.setdefault(folder, set())
            needed |= {_folder(name) for name in _imports(path)} - {folder, ""}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("delivery") < order.index("commands")


def test_the_fast_half_imports_nothing_slow() -> None:
    """What must be loaded before the script starts stays small."""
    code = "import shim.signals, shim.start, sys; print(*sys.modules)"
    modules = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.append({os.getcwd()!r}); {code}",
        ],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    slow = {
        "urllib3",
        "logging",
        "pythonjsonlogger",
        "json",
        "re",
        "typing",
        "selectors",
        "subprocess",
        "threading",
        "argparse",
        "socket",
    }
    assert not slow.intersection(modules)
