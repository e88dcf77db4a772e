"""The commands that the documents tell a reader to type."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from shim.commands.fake_kuberhealthy import Receiver
from shim.kuberhealthy import Server
from tests.support.khshim import KHSHIM

ROOT = Path(__file__).parent.parent.parent
# What somebody reads who uses khshim, and who works on it.
PATHS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
# What there is in the folder that a reader is in.
SCRIPTS = {
    "my_check.sh": "echo checked\n",
    "my_script.sh": "echo fine\n",
    "postgres.sh": "psql -c 'select 1'\n",
    "checks/web_shop.sh": "#!/bin/sh\n# khshim: env=URL=http://web\nexit 0\n",
    "checks/orders.py": "import sys\n",
}
BLOCK = re.compile(r"(?ms)^( *)```(\S*)\n(.*?)^ *```$")


class Block(NamedTuple):
    """A fenced block of a document: what its fence names, and its lines."""

    document: str
    language: str
    lines: list[str]

    def name(self) -> str:
        """Return what a test of it is called."""
        return f"{self.document}-{self.lines[0][:40]}"


def blocks() -> list[Block]:
    """Return all fenced blocks, in the order of the documents."""
    return [
        Block(
            str(path.relative_to(ROOT)),
            match[2],
            [line.removeprefix(match[1]) for line in match[3].splitlines()],
        )
        for path in PATHS
        for match in BLOCK.finditer(path.read_text())
    ]


def commands() -> list[str]:
    """Return every command, each once: the lines of the blocks that a shell runs."""
    lines = [line for block in blocks() if block.language == "sh" for line in block.lines]
    return list(dict.fromkeys(line for line in lines if line))


def prepare(folder: Path) -> Path:
    """Make `folder` one that the commands can be typed in, and return it."""
    for name, text in SCRIPTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (folder / "share").symlink_to(ROOT / "share")
    program = folder / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.support.kubectl "$@"\n'
    )
    program.chmod(0o755)
    return folder


@contextmanager
def pod(folder: Path) -> Iterator[dict[str, str]]:
    """Enter a pod whose script has run; yield the environment of one who types commands there."""
    with Receiver(Server.V3, 60) as receiver:
        environ = {
            **os.environ,
            **receiver.environment(),
            "PATH": f"{folder}/bin:{folder}/.venv/bin:{os.environ['PATH']}",
            "REAL_KUBECTL": shutil.which("kubectl") or "",
            "POD_LOG": str(folder / "pod.log"),
            "SHIM_SCRIPT": str(folder / "my_check.sh"),
            "PASSWORD": "secret",
        }
        ran = subprocess.run(KHSHIM, env=environ, capture_output=True, check=True)
        (folder / "pod.log").write_bytes(ran.stderr)
        yield environ
