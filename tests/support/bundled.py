"""Running the bundled scripts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from tests.support.khshim import base_environ
from tests.support.manifests import ROOT

SCRIPTS = ROOT / "scripts"


def run(
    name: str, *args: str, prefix: Sequence[str] = (), **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a bundled script as khshim does, by `prefix` if it is not by its own interpreter."""
    interpreter = [sys.executable] if name.endswith(".py") else []
    return subprocess.run(
        [*(prefix or interpreter), SCRIPTS / name, *args],
        env={**base_environ(), **env},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
