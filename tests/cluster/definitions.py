"""Builds the Kuberhealthy servers, and keeps the definitions of their resources beside the other builds.

python -m tests.cluster.definitions
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from shim.kuberhealthy import Server
from tests.kuberhealthy.build import VERSIONS, NotHere, fetch, kuberhealthy


def definitions(server: Server) -> Path:
    """Return the folder with the resources' definitions of a version. Raises NotHere."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "khshim" / "cluster" / f"definitions-{VERSIONS[server]}"
    if not folder.exists():
        with tempfile.TemporaryDirectory() as temporary:
            source = Path(temporary) / "source"
            fetch(server, source)
            unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
            shutil.copytree(source / "deploy" / "helm" / "kuberhealthy" / "crds", unfinished)
            unfinished.rename(folder)
    return folder


def main() -> int:
    try:
        for server in Server:
            kuberhealthy(server)
            definitions(server)
    except NotHere as error:
        print(f"The cluster cannot be tested here: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
