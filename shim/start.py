"""The first half of a run: from the environment to a started script.

Nothing that is imported here may be slow to import: the script waits for it.
"""

import errno
import time

from shim import script
from shim.budget import Budget
from shim.config import Settings, script_environment
from shim.durations import show
from shim.protocol import Server
from shim.spawn import Child, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Start:
    """What the second half goes on with.

    `child` is None where the script was not started: because settings are wrong
    (`settings.problems`), or for the reason that the sentence `obstacle` gives.
    """

    def __init__(self, settings: Settings, budget: Budget) -> None:
        self.settings = settings
        self.budget = budget
        self.path = settings.script
        self.server = settings.endpoint.server if settings.endpoint else Server.V3
        self.child: Child | None = None
        self.obstacle = ""


def start(environ: "Mapping[str, str]", command: "Sequence[str]") -> Start:
    """Read the settings and start the script, or find out why it cannot be started."""
    settings = Settings(environ, command)
    unix_now = time.time()
    begun = Start(
        settings, Budget(settings, unix_now=unix_now, monotonic_now=time.monotonic())
    )
    if settings.problems:
        return begun
    budget = begun.budget
    left = budget.time_left(budget.started_at)
    if left is not None and left <= 0:
        begun.obstacle = (
            f"The check's deadline had passed {show(-left)} before khshim began, so the script was"
            " not started: scheduling and pulling the image took longer than the check's timeout."
        )
        return begun
    terminate_at = budget.terminate_at
    if terminate_at is not None:
        terminate_at += unix_now - budget.started_at
    child_environ = script_environment(
        environ, pass_credentials=settings.pass_credentials, terminate_at=terminate_at
    )
    try:
        begun.path = script.find(settings.script)
        begun.child = _spawn(begun.path, settings, child_environ)
    except script.StartError as error:
        begun.obstacle = str(error)
    return begun


def _spawn(path: str, settings: Settings, environ: "Mapping[str, str]") -> Child:
    argv = script.command(path, settings.args, settings.interpreter)
    try:
        try:
            return spawn(argv, environ)
        except OSError as error:
            if error.errno != errno.ENOEXEC or argv[0] != path:
                raise
            argv = script.interpreted(path, settings.args)
            return spawn(argv, environ)
    except OSError as error:
        raise script.StartError(script.start_failure(error, path, argv)) from error
