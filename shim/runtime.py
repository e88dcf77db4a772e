"""khshim's own runtime: a Python interpreter with everything that it needs, in one folder.

runtime/build.py makes it. It works in any image, but only at the path HOME.
"""

import os
import sys

HOME = "/opt/khshim"
PYTHON = f"{HOME}/bin/python3"
# Variables that are meant for the image's own loader, C library and OpenSSL must not affect
# those of the runtime: the launcher (runtime/launcher.c) puts this prefix before their names.
KEPT = "KHSHIM_KEPT_"
# The list of all files in the runtime, in the format of sha256sum(1).
CONTENTS = "SHA256SUMS"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def is_own() -> bool:
    """Tell whether this process runs in khshim's own runtime."""
    return sys.base_prefix == HOME


def original_environ(environ: "Mapping[str, str]") -> "dict[str, str]":
    """Return the environment that image and pod set, without the launcher's prefixes."""
    return {name.removeprefix(KEPT): value for name, value in environ.items()}


def own_python() -> str:
    """Return the interpreter that has khshim's modules, for a script whose `#!` line is PYTHON.

    The bundled checks in Python have this line. The kernel can follow it in every image that
    has khshim's runtime; elsewhere khshim runs them with its own interpreter.
    """
    return PYTHON if is_own() else sys.executable


def python_for_scripts() -> str:
    """Return the interpreter for a Python script that has no `#!` line.

    In khshim's own runtime this is the image's `python3` if PATH has one, since that has
    the script's libraries. Otherwise it is the interpreter that runs khshim.
    """
    if is_own():
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            candidate = os.path.join(folder, "python3")
            if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
                return candidate
    return sys.executable
