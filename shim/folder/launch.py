"""Starting khshim's own runner for a folder of scripts.

It is khshim's child in place of a script. Before the spawn, so nothing slow is imported.
"""

import fcntl
import os
import sys
import time

import shim
from shim.executable import StartError
from shim.folder.times import RunnerBudget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shim.start import Run


class ResultsFile:
    """A file in memory (memfd_create(2)) in which the runner and its children note what happened.

    It outlives them. Its descriptor is inherited by the runner, and what is written goes to
    the end. Without O_APPEND two writes at once could have the same place: the kernel does not
    lock the shared offset of such a file as it does for others.
    """

    def __init__(self) -> None:
        try:
            self.fd = os.memfd_create("khshim-results", 0)
            fcntl.fcntl(self.fd, fcntl.F_SETFL, os.O_APPEND)
        except OSError as error:
            raise StartError(
                "The scripts of the folder cannot be run, since there is no file in memory for"
                f" their results (memfd_create: {error.strerror})."
            ) from error

    def read(self) -> bytes:
        """Return all that was noted so far."""
        return os.pread(self.fd, os.fstat(self.fd).st_size, 0)


class Launch:
    """The command that runs the scripts of `folder`, its environment, and where it notes results.

    The runner gets the time until its own SIGTERM, which becomes the run's budget.
    """

    def __init__(self, run: "Run", folder: str) -> None:
        if run.settings.args:
            raise StartError(
                f"{folder} is a folder, whose scripts get no arguments: leave them out, or give"
                " them by variables."
            )
        run.started_at = time.time()
        run.budget = budget = RunnerBudget(
            run.settings, unix_now=run.started_at, started_at=time.monotonic()
        )
        self.results = ResultsFile()
        # As the launcher of khshim's runtime has left it: this is khshim again.
        self.environ = dict(os.environ)
        # The monotonic clock is the same for all processes.
        moments = (budget.deadline, budget.end_of_scripts)
        self.argv = [
            *(*_interpreter(), "-c", _BEGIN.format(paths=_search_path())),
            *(folder, str(self.results.fd), str(budget.grace_of_scripts)),
            *("" if at is None else str(at) for at in moments),
        ]


# Its modules are looked for where this process has found its own.
_BEGIN = (
    "import sys; sys.path[:] = {paths!r}; from shim.folder.runner import main; main(*sys.argv[1:])"
)


def _search_path() -> "list[str]":
    own = os.path.dirname(os.path.dirname(os.path.abspath(shim.__file__)))
    return [own, *(folder for folder in sys.path if folder != own)]


def _interpreter() -> "list[str]":
    """Return this interpreter with the options that it was started with, and isolated."""
    options = ["-I"]
    if sys.flags.no_site:
        options.append("-S")
    if sys.flags.utf8_mode:
        options += ["-X", "utf8"]
    return [sys.executable, *options]
