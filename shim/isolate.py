"""Making the interpreter safe to go on in, whatever environment it was started with."""

import os
import sys


def open_standard_descriptors() -> None:
    """Open /dev/null for each of descriptors 0 to 2 that is closed.

    Otherwise the next pipe would take that number, and be mistaken for stdout.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def distrust_working_directory() -> None:
    """Take the working directory and PYTHONPATH out of the module search path.

    They are the script's: a urllib3.py beside it must not be imported by khshim.
    Where khshim itself was found is kept. `python -I` does the same, and earlier.
    """
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    theirs = {os.path.abspath(folder) for folder in ["", *named]} - {own}
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) not in theirs]
