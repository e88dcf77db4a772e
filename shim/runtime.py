"""The runtime of khshim's own: an interpreter with all that it needs, in one folder.

runtime/build.py makes it. It works in any image, and at this place only.
"""

import os
import sys

HOME = "/opt/khshim"
PYTHON = f"{HOME}/bin/python3"
# What the image says to its own loader, C library and OpenSSL must not reach khshim's:
# the launcher (runtime/launcher.c) puts this before such variables' names.
KEPT = "KHSHIM_KEPT_"
# The list of all files in it, as sha256sum(1) reads it.
CONTENTS = "SHA256SUMS"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def is_own() -> bool:
    """Tell whether this process runs in khshim's own runtime."""
    return sys.base_prefix == HOME


def original_environ(environ: "Mapping[str, str]") -> "dict[str, str]":
    """Return the environment as image and pod have it, without the launcher's changes."""
    return {name.removeprefix(KEPT): value for name, value in environ.items()}


def own_python() -> str:
    """Return the interpreter that has khshim's modules, for a script whose `#!` line is PYTHON.

    The bundled checks in Python are such: a line that the kernel understands in every image
    that khshim was put into, and that means the installed khshim elsewhere.
    """
    return PYTHON if is_own() else sys.executable


def python_for_scripts() -> str:
    """Return the interpreter of a Python script that names none.

    Where khshim has a runtime of its own that is the image's `python3`, since there the
    script's libraries are, if PATH has one. Otherwise it is the one that runs khshim.
    """
    if is_own():
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            candidate = os.path.join(folder, "python3")
            if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
                return candidate
    return sys.executable
