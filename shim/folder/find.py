"""The scripts in a folder: which of its files are to be run."""

from __future__ import annotations

import errno
import os
import re
import shlex
import stat
from collections.abc import Iterator
from typing import NamedTuple

SUFFIXES = (".sh", ".py")
# A script's own line about its check; shim.commands.header reads all of what follows.
HEADER = re.compile(r"#[ \t]*khshim:(.*)", re.ASCII)
# More of a file is not read: it would fit into no ConfigMap.
READ_LIMIT = 1024 * 1024
# What makes a file a script, as it is told.
MARKS = "begins with #!, is named .sh or .py, or has a line # khshim:"
RULE = f"no file in it {MARKS}"


class Contents(NamedTuple):
    """The paths of the scripts in a folder, and of its other files, each in order of their names."""

    scripts: list[str]
    others: list[str]


def look_into(folder: str) -> Contents:
    """Return what is in `folder`; raises OSError where it cannot be listed.

    Hidden files and the folders in it are left out: `..data` in a mounted ConfigMap is one.
    A file is a script by its name or its text. Not by its mode, which some file systems have
    not: a README would be a script there. What cannot be read counts as a script, so that
    whoever runs it says what is wrong.
    """
    scripts: list[str] = []
    others: list[str] = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if not name.startswith(".") and not os.path.isdir(path):
            (scripts if _is_script(path) else others).append(path)
    return Contents(scripts, others)


def needed_files(script: str) -> Iterator[str]:
    """Yield the paths of what `script` says it needs beside it: `# khshim: file=lib.sh`."""
    try:
        text = _text(script)
    except OSError:
        return
    for line in text.split("\n"):
        match = HEADER.match(line)
        if match is not None:
            try:
                words = shlex.split(match[1])
            except ValueError:
                continue  # quotes that do not match: khshim manifest says so
            for word in words[: words.index("--") if "--" in words else None]:
                key, _, value = word.partition("=")
                if key == "file":
                    # A ConfigMap has it beside the script, wherever it was.
                    for name in {value, os.path.basename(value)}:
                        yield os.path.join(os.path.dirname(script), name)


def to_run(folder: str) -> Contents:
    """Return the same as `look_into`, without the scripts that only others of them need."""
    found = look_into(folder)
    needed = {os.path.realpath(path) for script in found.scripts for path in needed_files(script)}
    scripts = [path for path in found.scripts if os.path.realpath(path) not in needed]
    others = [path for path in found.others if os.path.realpath(path) not in needed]
    return Contents(scripts, others)


def _is_script(path: str) -> bool:
    try:
        return path.endswith(SUFFIXES) or is_script(path, _text(path))
    except OSError:
        return True


def is_script(name: str, text: str) -> bool:
    """Tell whether a file of a folder is a script, by its name and its text."""
    lines = text.split("\n")
    return name.endswith(SUFFIXES) or text.startswith("#!") or any(map(HEADER.match, lines))


def _text(path: str) -> str:
    """Return the text of a regular file; raises OSError."""
    # A FIFO would wait for its writer.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read(READ_LIMIT).decode("latin-1")
