"""The `khshim` command and `python -m shim`: makes the interpreter safe, then runs the command line."""

import os
import sys


def main() -> int:
    """Run the command line of this process and return its exit status."""
    distrust_working_directory()
    open_standard_descriptors()
    from shim import cli  # not before the search path is safe

    return cli.main()


def open_standard_descriptors() -> None:
    """Open /dev/null for each of descriptors 0 to 2 that is closed.

    Otherwise the next pipe would get such a number and be mistaken for stdin, stdout or stderr.
    """
    try:
        while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(fd)
    except OSError:
        pass  # without /dev/null the script cannot be started either, and the report will say so


def distrust_working_directory() -> None:
    """Remove the working directory and PYTHONPATH from the module search path.

    They belong to the script: khshim must not import a urllib3.py that lies beside it.
    The directory that khshim itself was imported from stays. `python -I` does the same, earlier.
    """
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    untrusted = {_absolute(folder) for folder in ["", *named]} - {own}
    sys.path[:] = [folder for folder in sys.path if _absolute(folder) not in untrusted]


def _absolute(folder: str) -> str:
    try:
        return os.path.abspath(folder)
    except FileNotFoundError:  # the working directory has been deleted
        return ""


if __name__ == "__main__":
    sys.exit(main())
