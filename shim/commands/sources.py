"""The scripts that `khshim manifest` is given: finding them, reading them, naming their checks."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from typing import NamedTuple

from shim import executable
from shim.commands import kubernetes
from shim.folder.find import RULE, Contents, look_into

STDIN = "-"


class ManifestError(Exception):
    """What was asked for cannot be a check; the message is a sentence that says why."""


class File(NamedTuple):
    """A file of a ConfigMap: where it was found, its name there, and what is in it."""

    path: str
    name: str
    text: str


class Found(NamedTuple):
    """Paths of scripts that were named, of those in folders, and of what else is in these."""

    named: list[str]
    in_folders: list[str]
    others: list[str]

    @property
    def scripts(self) -> list[str]:
        """All scripts, each once."""
        return list(dict.fromkeys([*self.named, *self.in_folders]))


def find(words: Sequence[str]) -> Found:
    """Return the paths of what `words` name.

    A word is a path, a folder of scripts, the name of a bundled script, or "-" for stdin.
    Raises ManifestError where one of them leads to no script.
    """
    found = Found([], [], [])
    for word in words:
        if word == STDIN:
            found.named.append(word)
        elif os.path.isdir(word):
            scripts, others = _in_folder(word)
            if not scripts:
                raise ManifestError(f"the folder {word} holds no script: {RULE}")
            found.in_folders.extend(scripts)
            found.others.extend(others)
        else:
            found.named.append(_find_file(word))
    return found


def read_script(path: str) -> File:
    """Read a script; raises ManifestError where it cannot be one in a ConfigMap."""
    data = _read_stdin() if path == STDIN else _read(path)
    shown = "stdin" if path == STDIN else path
    # A ConfigMap's files are not executable.
    head = data[: executable.FIRST_LINE_LIMIT]
    problem = executable.text_problem_of(head, path, is_executable=False)
    if problem is not None:
        raise ManifestError(f"{shown} {problem.found}: {problem.advice}")
    text = _text(data, shown)
    if not text.strip():
        raise ManifestError(f"{shown} is empty")
    return File(path, os.path.basename(path), text)


def read_file(path: str) -> File:
    """Read a file that a script needs; raises ManifestError where it cannot be in a ConfigMap."""
    return File(path, os.path.basename(path), _text(_read(path), path))


def check_name(file_name: str) -> str:
    """Return a name for a check by its script's: web_shop.sh becomes web-shop.

    Raises ManifestError where Kubernetes would not take it.
    """
    name = os.path.splitext(file_name)[0].replace("_", "-").lower()
    if not kubernetes.is_label(name):
        raise ManifestError(
            "the file's name makes no name for a check, which is at most 63 letters, digits and"
            " dashes, with a letter or digit at both ends: give one by --name, or by a line"
            " '# khshim: name=…' in the script"
        )
    return name


def _find_file(word: str) -> str:
    try:
        return executable.find(word).removeprefix("./")
    except executable.StartError as error:
        raise ManifestError(str(error).removesuffix(".")) from None


def _in_folder(folder: str) -> Contents:
    """Return what is in a folder."""
    try:
        found = look_into(folder)
    except OSError as error:
        raise ManifestError(f"the folder {folder} cannot be listed: {error.strerror}") from error
    return Contents(*([path.removeprefix("./") for path in paths] for paths in found))


def _read(path: str) -> bytes:
    try:
        # A FIFO would wait for its writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ManifestError(f"{path} is not a regular file")
            return file.read(kubernetes.CONFIG_MAP_LIMIT + 1)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error


def _read_stdin() -> bytes:
    if sys.stdin is None:  # so Python tells that descriptor 0 was closed
        raise ManifestError("stdin is closed, so no script can be read from it")
    return sys.stdin.buffer.read(kubernetes.CONFIG_MAP_LIMIT + 1)


def _text(data: bytes, shown: str) -> str:
    if len(data) > kubernetes.CONFIG_MAP_LIMIT:
        raise ManifestError(
            f"{shown} is larger than the 1 MiB of a ConfigMap: put it into an image"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ManifestError(f"{shown} is not text: put it into an image")
    return text
