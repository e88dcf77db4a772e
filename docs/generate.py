"""Writes the tables that are made from declarations into the documents: `make docs`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from shim.commands.reference import settings_table

ROOT = Path(__file__).parent.parent

# The document, the name of the block in it, and what fills the block.
BLOCKS: list[tuple[str, str, Callable[[], str]]] = [
    ("README.md", "settings", settings_table),
]


def filled(document: str, name: str, content: str) -> str:
    """Return the text of `document` with `content` between the marks of the block `name`."""
    pattern = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    text, count = pattern.subn(lambda match: match[1] + content + match[2], document)
    if count != 1:
        raise ValueError(f"there are {count} blocks named {name}, expected one")
    return text


def main() -> int:
    """Fill every block and return 0."""
    for path, name, content in BLOCKS:
        document = ROOT / path
        document.write_text(filled(document.read_text(), name, content()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
