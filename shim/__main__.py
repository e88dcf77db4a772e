"""The `khshim` command, also as `python -m shim`: makes the interpreter safe to go on in, first."""

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

    Otherwise the next pipe would take that number, and be mistaken for stdout.
    """
    try:
        while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(fd)
    except OSError:
        pass  # without /dev/null no script can be started, and that will be the report


def distrust_working_directory() -> None:
    """Take the working directory and PYTHONPATH out of the module search path.

    They are the script's: a urllib3.py beside it must not be imported by khshim.
    Where khshim itself was found is kept. `python -I` does the same, and earlier.
    """
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    theirs = {_absolute(folder) for folder in ["", *named]} - {own}
    sys.path[:] = [folder for folder in sys.path if _absolute(folder) not in theirs]


def _absolute(folder: str) -> str:
    try:
        return os.path.abspath(folder)
    except FileNotFoundError:  # the working directory has been deleted
        return ""


if __name__ == "__main__":
    sys.exit(main())
