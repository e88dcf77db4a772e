"""The first half of a run: from the environment to a started script.

Nothing that is imported here may be slow to import: the script waits for it.
"""

import errno
import os
import time
from signal import SIGKILL

from shim import executable
from shim.durations import show
from shim.hang import Hang, call
from shim.settings import Settings, script_environment
from shim.signals import name
from shim.spawn import Child, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shim.cgroup import MemoryCgroup
    from shim.delivery.wait_for_server import Wait
    from shim.folder.launch import ResultsFile
    from shim.metrics_file import MetricsFile
    from shim.signals import SignalInbox

# Seconds.
LONGEST_END_OF_A_THREAD = 0.2


class Run:
    """What a run has before its script: the settings, its time, and what was asked for.

    `started_at` is the moment from which the time is counted, in unix time. `wait` is how
    waiting for the server ended, and `metrics_file` is where the script writes metrics of
    its own, each None where it was not asked for.
    """

    def __init__(self, environ: "Mapping[str, str]", settings: Settings) -> None:
        self.environ = environ
        self.settings = settings
        self.wait: Wait | None = None
        self.metrics_file: MetricsFile | None = None
        self.count_time_from_now()

    def count_time_from_now(self) -> None:
        """Divide what is left until the deadline."""
        self.started_at = time.time()
        self.budget = self.settings.budget(unix_now=self.started_at, started_at=time.monotonic())

    def terminate_at_unix(self) -> "float | None":
        """Return the unix time of the script's SIGTERM."""
        at = self.budget.terminate_at_latest
        return None if at is None else at - self.budget.started_at + self.started_at

    def script_limit(self) -> "float | None":
        """Return the seconds from the script's start to its SIGTERM."""
        at = self.budget.terminate_at_latest
        return None if at is None else at - self.budget.started_at


class Started:
    """A script that runs.

    `text_problem` is what is wrong with the way it was saved, if anything is. `started_at`
    is when it was started, on the monotonic clock in seconds. `memory` is this process's
    cgroup, in which `kills_before` processes were killed before the script. Of a folder,
    `results` is what its scripts have come to.
    """

    def __init__(
        self,
        run: Run,
        child: Child,
        path: str,
        text_problem: "executable.TextProblem | None",
        started_at: float,
        results: "ResultsFile | None" = None,
    ) -> None:
        self.run = run
        self.child = child
        self.path = path
        self.text_problem = text_problem
        self.started_at = started_at
        self.results = results
        self.memory: MemoryCgroup | None = None
        self.kills_before = 0

    def was_killed_for_memory(self) -> bool:
        """Tell whether the kernel has killed a process for memory since the script's start."""
        return self.memory is not None and self.memory.kills() > self.kills_before


class NotStarted:
    """A script that does not run.

    `reason` is a sentence, None where `run.settings.problems` are the reason. `stopped_by`
    is the terminating signal that came before the script was started, if one did.
    """

    child = None
    results = None

    def __init__(self, run: Run, reason: "str | None", stopped_by: "int | None" = None) -> None:
        self.run = run
        self.reason = reason
        self.stopped_by = stopped_by


def start(
    environ: "Mapping[str, str]", command: "Sequence[str]", inbox: "SignalInbox"
) -> "Started | NotStarted":
    """Read the settings and start the script, or find out why it cannot be started."""
    run = Run(environ, Settings(environ, command))
    settings = run.settings
    inbox.terminating |= {settings.stop_signal}
    if settings.metrics_port or settings.pushgateway_url:
        from shim.metrics_file import MetricsFile  # seldom asked for

        run.metrics_file = MetricsFile()
    if settings.problems:
        return NotStarted(run, None)
    left = run.budget.time_left(run.budget.started_at)
    if left is not None and left <= 0:
        return NotStarted(
            run,
            f"The check's deadline had passed {show(-left)} before khshim began, so the script was"
            " not started: scheduling and pulling the image took longer than the check's timeout.",
        )
    if settings.wait_for_server and settings.endpoint is not None:
        # Slow to import, and seldom asked for.
        from shim.delivery.wait_for_server import wait_for_server

        run.wait = wait_for_server(settings.endpoint, settings.wait_for_server, left, inbox)
        if run.wait.stopped_by is not None:
            return NotStarted(
                run,
                f"khshim was told to stop by {name(run.wait.stopped_by)} while it waited for"
                " Kuberhealthy, so the script was not started.",
                run.wait.stopped_by,
            )
        run.count_time_from_now()
    return start_script(run, inbox)


def start_script(
    run: Run, inbox: "SignalInbox", memory: "MemoryCgroup | None" = None
) -> "Started | NotStarted":
    """Start the script within what is left of the run's time.

    `memory` is this process's cgroup, if an earlier attempt has found it.
    """
    try:
        return _start_script(run, inbox, memory)
    except executable.StartError as error:
        return NotStarted(run, str(error))
    except Hang as hang:
        return NotStarted(run, _hang_sentence(run, hang), hang.stopped_by)


def _start_script(run: Run, inbox: "SignalInbox", known: "MemoryCgroup | None") -> Started:
    """Start the script; raises StartError or Hang where that cannot be done."""
    settings, terminate_at = run.settings, run.budget.terminate_at
    started_at = time.monotonic()
    path, argv, problem = call(lambda: _look_at_script(settings), terminate_at, inbox)
    if not argv:
        return _start_folder(run, path, started_at)
    environ = script_environment(
        run.environ,
        pass_credentials=settings.pass_credentials,
        terminate_at=run.terminate_at_unix(),
        metrics_file=run.metrics_file.path if run.metrics_file else None,
    )
    memory = _memory_before(known)
    child = _spawn(path, argv, settings, environ)
    if terminate_at is not None and time.monotonic() >= terminate_at:
        # exec waited for the volume, which cannot be interrupted.
        _undo(child)
        raise Hang(None)
    return _watch(Started(run, child, path, problem, started_at), memory)


def _start_folder(run: Run, path: str, started_at: float) -> Started:
    """Start what runs the scripts of the folder `path`; raises StartError."""
    from shim.folder.launch import Launch  # most runs have one script

    launch = Launch(run, path)
    memory = _memory_before()
    child = _spawn(path, launch.argv, run.settings, launch.environ)
    return _watch(Started(run, child, path, None, started_at, launch.results), memory)


def _memory_before(memory: "MemoryCgroup | None" = None) -> "tuple[MemoryCgroup | None, int]":
    """Return this process's memory cgroup, and how many processes were killed for it so far.

    The script may be killed so soon after its start that the count must be read before it.
    PID 1 looks later for its first script: its container's cgroup begins with it, so that
    every kill until then counts.
    """
    if memory is None:
        if os.getpid() == 1:
            return None, 0
        from shim.cgroup import memory_cgroup

        memory = memory_cgroup()
    return memory, 0 if memory is None else memory.kills()


def _watch(started: Started, memory: "tuple[MemoryCgroup | None, int]") -> Started:
    """Get ready to watch what was started, which does not wait for what is imported here."""
    child = started.child
    started.memory, started.kills_before = memory
    if os.getpid() == 1:
        from shim.cgroup import memory_cgroup

        started.memory = memory_cgroup()
    elif child.is_only_child:
        from shim.subreaper import adopt_orphans

        child.orphans_are_adopted = adopt_orphans()
    return started


def _look_at_script(settings: Settings) -> "tuple[str, list[str], executable.TextProblem | None]":
    """Return the script's path, the command that runs it, and what is wrong with its text.

    A folder of scripts has no command.

    All that exec will read is read here, where it can be waited for: in posix_spawn(3) the
    whole interpreter would wait. It is not left until the script has failed either: by
    then its file may be gone, or its volume hang.
    """
    path, is_folder = executable.find_any(settings.script)
    if is_folder:
        return path, [], None
    argv = executable.command(path, settings.args, settings.interpreter)
    problem = executable.text_problem(path)
    executable.touch_interpreter(path, argv)
    return path, argv, problem


def _spawn(path: str, argv: "list[str]", settings: Settings, environ: "Mapping[str, str]") -> Child:
    try:
        try:
            return _spawn_within_limits(argv, environ)
        except OSError as error:
            if error.errno != errno.ENOEXEC or argv[0] != path:
                raise
            argv = executable.interpreted(path, settings.args)
            return spawn(argv, environ)
    except OSError as error:
        from shim.start_failure import start_failure  # only where a sentence is needed

        raise executable.StartError(start_failure(error, path, argv)) from error


def _spawn_within_limits(argv: "list[str]", environ: "Mapping[str, str]") -> Child:
    """Start `argv`; the thread that looked at it may count as a process for a moment longer."""
    until = time.monotonic() + LONGEST_END_OF_A_THREAD
    while True:
        try:
            return spawn(argv, environ)
        except BlockingIOError:  # EAGAIN
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)


def _undo(child: Child) -> None:
    """Kill and reap a script that was started too late."""
    os.killpg(child.pid, SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED)
    os.close(child.stdout)
    os.close(child.stderr)


def _hang_sentence(run: Run, hang: Hang) -> str:
    script = run.settings.script
    if hang.stopped_by is not None:
        return (
            f"khshim was told to stop by {name(hang.stopped_by)} while the volume of the script"
            f" {script} did not answer, so the script was not started."
        )
    seconds = show(time.monotonic() - run.budget.started_at)
    return (
        f"The script was not started: to open and execute {script} took longer than the"
        f" {seconds} there were. Does its volume hang, as a network file system can?"
    )
