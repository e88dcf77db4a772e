"""`khshim install`: copies khshim with its own runtime into a folder, such as an init container's volume."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence

import shim
from shim.commands.arguments import Parser
from shim.commands.output import complain, put
from shim.runtime import CONTENTS, HOME, is_own

STAGING = ".khshim-install"
# It appears last and goes first: who can start khshim finds everything else in place.
COMMANDS = "bin"
BLOCK = 1 << 20


class InstallError(Exception):
    """khshim cannot be copied; the message is a sentence."""


def main(words: Sequence[str]) -> int:
    """Copy this khshim into the folder that `words` name; return 0, or 1 where that failed."""
    folder = parser().parse_args(words).folder
    try:
        if not is_own():
            raise InstallError(
                f"this khshim runs in a Python of this machine, and only one in {HOME} can be"
                " copied: take the image khshim:VERSION-runtime"
            )
        files = install(folder)
    except InstallError as error:
        complain(f"khshim install: {error}\n")
        return 1
    except OSError as error:
        complain(f"khshim install: {error.filename or folder}: {error.strerror}\n")
        return 1
    done = f"khshim {shim.__version__} is in {folder}: {files} files, each verified."
    return put(f"{done} It works at {HOME}.\n", 0)


def parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        "khshim install",
        description="Copy khshim with its own runtime into a folder, such as an init container's volume.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", help="an empty folder, or one that holds khshim")
    return parser


def install(folder: str, source: str = HOME) -> int:
    """Copy the runtime at `source` into `folder`, and return of how many files it consists.

    A folder that holds khshim already gets this one in its place; one that holds anything
    else is refused. Raises InstallError, OSError.
    """
    sums = _read_sums(source)
    if os.path.isdir(folder) and os.path.samefile(folder, source):
        _verify(folder, sums)
        return len(sums)
    os.makedirs(folder, exist_ok=True)
    own = {path.partition("/")[0] for path in sums}
    others = set(os.listdir(folder)) - own - {STAGING, "lost+found"}
    if others:
        raise InstallError(
            f"{folder} holds other files ({', '.join(sorted(others)[:5])}): expected an empty folder"
        )
    staging = os.path.join(folder, STAGING)
    shutil.rmtree(staging, ignore_errors=True)  # one that was interrupted
    try:
        _copy(sums, source, os.path.join(staging, "new"))
        _verify(os.path.join(staging, "new"), sums)
        _put_in_place(sorted(own, key=lambda name: name == COMMANDS), staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return len(sums)


def _read_sums(source: str) -> dict[str, str]:
    """Return the hash of each file of a runtime, by its path, the list itself included."""
    sums = {}
    path = os.path.join(source, CONTENTS)
    with open(path) as file:
        for line in file:
            digest, _, name = line.rstrip("\n").partition("  ")
            sums[name] = digest
    sums[CONTENTS] = _digest(path)
    return sums


def _copy(names: Iterable[str], source: str, target: str) -> None:
    for name in names:
        copy = os.path.join(target, name)
        folder = os.path.dirname(copy)
        if not os.path.isdir(folder):
            os.makedirs(folder)
        shutil.copyfile(os.path.join(source, name), copy)
        shutil.copystat(os.path.join(source, name), copy)
    for folder, _, _ in os.walk(target):
        os.chmod(folder, 0o755)  # whatever the umask is: the script's user may be another


def _verify(folder: str, sums: dict[str, str]) -> None:
    for name, digest in sums.items():
        path = os.path.join(folder, name)
        if _digest(path) != digest:
            raise InstallError(f"{path} is not what was built: its SHA-256 is another")


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _put_in_place(names: Sequence[str], staging: str, folder: str) -> None:
    """Move each of `names`, the commands last, out of the way of its successor and that into place."""
    old = os.path.join(staging, "old")
    os.mkdir(old)
    for name in reversed(names):
        if os.path.lexists(os.path.join(folder, name)):
            os.rename(os.path.join(folder, name), os.path.join(old, name))
    for name in names:
        os.rename(os.path.join(staging, "new", name), os.path.join(folder, name))
