"""Writes what is made from declarations: tables, the version, man page, completions: `make docs`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import shim
from docs import bundled, command_line, time_line
from shim.commands.reference import (
    events_table,
    exit_statuses_table,
    metrics_table,
    settings_table,
)

ROOT = Path(__file__).parent.parent

# The document, the name of the block in it, and what fills the block.
BLOCKS: list[tuple[str, str, Callable[[], str]]] = [
    ("docs/SETTINGS.md", "settings", settings_table),
    ("docs/REPORTS.md", "exit statuses", exit_statuses_table),
    ("docs/LOG.md", "events", events_table),
    ("docs/METRICS.md", "metrics", metrics_table),
    ("docs/COMMANDS.md", "commands", command_line.tables),
    ("README.md", "bundled checks", bundled.overview),
    ("docs/CHECKS.md", "checks", bundled.details),
]
# Files that are made as a whole. What makes those in share/ needs the extra `docs`.
MADE: dict[str, Callable[[], str]] = {
    "share/man/khshim.1": command_line.man_page,
    "share/completions/khshim": lambda: command_line.completion("bash"),
    "share/completions/_khshim": lambda: command_line.completion("zsh"),
    "docs/pictures/time.svg": time_line.picture,
}
# Files that name the image with its version.
NAMES_THE_IMAGE = (
    "README.md",
    "docs/IMAGE.md",
    "docs/MANIFESTS.md",
    "docs/NAGIOS.md",
    "docs/RUNTIME.md",
    "docs/TROUBLESHOOTING.md",
    "Dockerfile",
    "khcheck.yaml",
    "healthcheck.yaml",
    "examples/derived-image/Dockerfile",
    "examples/kustomize/healthcheck.yaml",
)
VERSION = re.compile(r"((?:khshim:|ARG VERSION=))\d+\.\d+\.\d+")


def filled(document: str, name: str, content: str) -> str:
    """Return the text of `document` with `content` between the marks of the block `name`."""
    pattern = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    text, count = pattern.subn(lambda match: match[1] + content + match[2], document)
    if count != 1:
        raise ValueError(f"there are {count} blocks named {name}, expected one")
    return text


def written(path: str) -> str:
    """Return the text that the file `path` is to have."""
    text = (ROOT / path).read_text()
    for document, name, content in BLOCKS:
        if document == path:
            text = filled(text, name, content())
    if path in NAMES_THE_IMAGE:
        text = VERSION.sub(rf"\g<1>{shim.__version__}", text)
    return text


def paths() -> list[str]:
    """Return every file that holds something made here."""
    return list(dict.fromkeys([*(path for path, _, _ in BLOCKS), *NAMES_THE_IMAGE]))


def main() -> int:
    """Write what is made here into every file, and return 0."""
    for path in paths():
        (ROOT / path).write_text(written(path))
    for path, make in MADE.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(make())
    return 0


if __name__ == "__main__":
    sys.exit(main())
