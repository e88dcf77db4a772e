"""Pictures of a terminal, drawn from real runs: `make pictures`. Needs the extra `docs`: rich."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "pictures"
COLUMNS = 112
PROMPT = "\x1b[1;32m$\x1b[0m"
ERASED = re.compile(r"(?m)^.*\r\x1b\[K")  # the live line of `khshim try`, drawn over and over
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" class="rich-terminal" viewBox="0 0 {width} {height}" role="img">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-family: Helvetica, Arial, sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


class Picture(NamedTuple):
    """A run in a folder that holds `files`: scripts by their names there.

    `command` is what a reader would type, and what is run.
    """

    name: str
    title: str
    command: str
    files: dict[str, str]


def _bundled(name: str) -> str:
    return (ROOT / "scripts" / name).read_text()


PICTURES = [
    Picture(
        "try",
        "a script that hangs",
        "PORT=9 khshim try --timeout 8s wait_for_port.py",
        {"wait_for_port.py": _bundled("wait_for_port.py")},
    ),
    Picture(
        "try-folder",
        "a folder of scripts",
        "khshim try checks/",
        {
            "checks/disk_space.sh": _bundled("disk_space.sh"),
            "checks/orders.py": 'import sys\n\nsys.exit("row 17 is missing")\n',
            "checks/queue.sh": "echo '214 messages wait, at most 100 may' >&2\nexit 1\n",
            "checks/replica.sh": "set -e\nreplica_lag --at-most 10s\n",
        },
    ),
]


def run(picture: Picture) -> str:
    """Return what the command of a picture leaves on a terminal, with its escape sequences."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in picture.files.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environ = {"PATH": path, "HOME": folder, "TERM": "xterm", "LANG": "C.UTF-8"}
        return ERASED.sub("", _on_terminal(["sh", "-c", picture.command], folder, environ))


def _on_terminal(command: list[str], folder: str, environ: dict[str, str]) -> str:
    reader, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, COLUMNS, 0, 0))
    child = subprocess.Popen(
        command, cwd=folder, env=environ, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    data = b""
    with os.fdopen(reader, "rb", buffering=0) as output:
        try:
            while chunk := output.read(65536):
                data += chunk
        except OSError:  # EIO: nobody has the other side open
            pass
    child.wait()
    return data.decode().replace("\r\n", "\n")


def drawn(picture: Picture, text: str) -> str:
    """Return a picture in SVG of a terminal with a prompt, the command, and `text`."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"{PROMPT} {picture.command}\n{text.rstrip()}\n"))
    svg = console.export_svg(title=picture.title, code_format=FORMAT, unique_id=picture.name)
    return svg.rstrip("\n") + "\n"


def main() -> int:
    """Draw every picture anew, and return 0."""
    FOLDER.mkdir(exist_ok=True)
    for picture in PICTURES:
        (FOLDER / f"{picture.name}.svg").write_text(drawn(picture, run(picture)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
