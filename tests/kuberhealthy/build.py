"""Builds the real Kuberhealthy servers, and what the tests put before and after them.

    python -m tests.kuberhealthy.build [v2] [v3]

The source comes from KUBERHEALTHY_SOURCE, a path or a URL for git; where that is not set,
from its public repository, or else from Go's module proxy. What is built stays in the
user's cache folder, named by the version and a hash of the Go files of ours that it holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from shim.kuberhealthy import Server

VERSIONS = {Server.V2: "v2.7.1", Server.V3: "v3.0.13"}
PUBLIC_SOURCE = "https://github.com/kuberhealthy/kuberhealthy"
MODULE = "github.com/kuberhealthy/kuberhealthy"
HERE = Path(__file__).parent
# v3 is built as it is; see the file for what v2 gets.
ADDED = {Server.V2: [HERE / "v2" / "unthrottled.go"], Server.V3: []}

# Seconds in which a source must answer, to count as one that can be reached.
REACHABLE_WITHIN = 20
NOT_HERE = 3


class NotHere(Exception):
    """It cannot be built on this machine; the message says what is missing."""


def kuberhealthy(server: Server) -> Path:
    """Return the program of a server's version, built if need be. Raises NotHere."""
    program = _cached(f"kuberhealthy-{VERSIONS[server]}", ADDED[server])
    if not program.exists():
        _need("go")
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            fetch(server, source)
            package = source / "cmd" / "kuberhealthy"
            for file in ADDED[server]:
                shutil.copy(file, package)
            _build(package, program)
    return program


def helper(name: str) -> Path:
    """Return a program of the module in the folder `name`, built if need be. Raises NotHere."""
    program = _cached(name, sorted((HERE / name).iterdir()))
    if not program.exists():
        _need("go")
        _build(HERE / name, program)
    return program


def _cached(name: str, files: Sequence[Path]) -> Path:
    content = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "khshim" / f"{name}-{content[:12]}"


def _need(tool: str) -> None:
    if not shutil.which(tool):
        raise NotHere(f"{tool} is not installed.")


def _build(package: Path, program: Path) -> None:
    """Build a program from the folder of its package main. Raises NotHere."""
    print(f"Building {program.name}, which takes minutes the first time", flush=True)
    program.parent.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_name(f"{program.name}.{os.getpid()}")
    environ = {**os.environ, "CGO_ENABLED": "0"}
    # Go fetches what is missing, and itself where the package needs a newer one.
    fetch_modules = ["go", "list", "-deps", "-buildvcs=false", "."]
    fetched = subprocess.run(
        fetch_modules, cwd=package, env=environ, check=False, capture_output=True, text=True
    )
    if fetched.returncode:
        raise NotHere(f"{program.name} cannot be built: {_in_one_line(fetched.stderr)}")
    command = ["go", "build", "-buildvcs=false", "-o", str(unfinished), "."]
    subprocess.run(command, cwd=package, env=environ, check=True)
    unfinished.rename(program)


def fetch(server: Server, folder: Path) -> None:
    """Put the source of a server's version into `folder`, which must not exist. Raises NotHere."""
    _need("git")
    version = VERSIONS[server]
    own = os.environ.get("KUBERHEALTHY_SOURCE")
    problem = _from_git(own or PUBLIC_SOURCE, version, folder)
    if problem and not own:
        problem = f"{problem} {_from_module_proxy(server, folder)}".strip()
        if folder.exists():
            return
    if problem:
        raise NotHere(f"The source of Kuberhealthy {version} cannot be had: {problem}")


def _from_git(source: str, version: str, folder: Path) -> str:
    """Return "" or why it did not work."""
    environ = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    tag = f"refs/tags/{version}"
    look = ["git", "ls-remote", "--exit-code", source, tag]
    copy = ["git", "clone", "--quiet", "--depth=1", f"--branch={version}", source, str(folder)]
    try:
        for command, limit in ((look, REACHABLE_WITHIN), (copy, None)):
            run = subprocess.run(
                command, env=environ, timeout=limit, check=False, capture_output=True, text=True
            )
            if run.returncode:
                return f"{source}: {_in_one_line(run.stderr) or f'it has no {tag}'}."
    except subprocess.TimeoutExpired:
        return f"{source} does not answer within {REACHABLE_WITHIN} s."
    return ""


def _from_module_proxy(server: Server, folder: Path) -> str:
    """Return "" or why it did not work."""
    module = f"{MODULE}/{server.value}@{VERSIONS[server]}"
    command = ["go", "mod", "download", "-json", module]
    # In no module of ours, whose go.mod might have a say.
    run = subprocess.run(
        command, cwd=folder.parent, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    found = json.loads(run.stdout or "{}")
    if "Dir" not in found:
        return f"Go's module proxy: {_in_one_line(found.get('Error', 'it does not answer'))}"
    # The module cache is read-only.
    shutil.copytree(found["Dir"], folder, copy_function=shutil.copyfile)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return ""


def _in_one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def main(names: Sequence[str]) -> int:
    """Build all, or the servers of these names; return 0, or NOT_HERE where that cannot be."""
    try:
        for name in names or [server.value for server in Server]:
            kuberhealthy(Server(name))
        for name in ("apiserver", "parsers"):
            helper(name)
    except NotHere as error:
        print(error, file=sys.stderr)
        return NOT_HERE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
