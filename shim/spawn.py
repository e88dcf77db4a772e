"""Starting the script as the leader of its own session and process group."""

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# SIGKILL and SIGSTOP have no disposition to reset (signal(7)).
RESETTABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


class Child:
    """A started script: its pid, also its group's id, and the read ends of its pipes."""

    def __init__(self, pid: int, stdout: int, stderr: int) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr


def spawn(argv: "list[str]", environ: "Mapping[str, str]") -> Child:
    """Start `argv` with stdin from /dev/null and default signal dispositions.

    Raises OSError, with exec's own errno where exec is what failed: posix_spawn(3)
    returns only when the new program runs or could not be run.
    """
    stdout, stdout_writer = os.pipe()
    stderr, stderr_writer = os.pipe()
    stdin = os.open(os.devnull, os.O_RDONLY)
    try:
        pid = os.posix_spawnp(
            argv[0],
            argv,
            environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, stdin, 0),
                (os.POSIX_SPAWN_DUP2, stdout_writer, 1),
                (os.POSIX_SPAWN_DUP2, stderr_writer, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=RESETTABLE,
        )
    except BaseException:
        os.close(stdout)
        os.close(stderr)
        raise
    finally:
        os.close(stdin)
        os.close(stdout_writer)
        os.close(stderr_writer)
    os.set_blocking(stdout, False)
    os.set_blocking(stderr, False)
    return Child(pid, stdout, stderr)
