"""Starting the script as the leader of its own session and process group."""

import os

from shim.signals import ALL, FIXED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

RESETTABLE = ALL - FIXED

HIGHEST_OOM_SCORE = 1000  # proc(5)


class RaisedOomScore:
    """A context in which a child is started that the OOM killer prefers to this process.

    A child inherits oom_score_adj (proc(5)). Without this the OOM killer takes the largest
    process, and that is khshim if the script consists of many small ones. Adding 1000
    outweighs any memory use, and khshim may restore its old value without a privilege.
    """

    def __enter__(self) -> None:
        self._own = b""
        try:
            self._fd = os.open("/proc/self/oom_score_adj", os.O_RDWR)
        except OSError:
            return  # no /proc, or one that cannot be written
        try:
            own = os.read(self._fd, 16)
            os.write(self._fd, b"%d" % min(int(own) + 1000, HIGHEST_OOM_SCORE))
            self._own = own
        except OSError:
            os.close(self._fd)

    def __exit__(self, *_: object) -> None:
        if self._own:
            os.write(self._fd, self._own)
            os.close(self._fd)


class Child:
    """A started script: its pid, which is also its process group, and the read ends of its pipes.

    `is_only_child` tells that this process had no other child at the spawn. It can have one
    where a shell started a background process and then replaced itself by khshim (`exec`).
    `orphans_are_adopted` tells that this process is a child subreaper (prctl(2)).
    """

    def __init__(self, pid: int, stdout: int, stderr: int, is_only_child: bool) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.is_only_child = is_only_child
        self.orphans_are_adopted = False


def spawn(argv: "list[str]", environ: "Mapping[str, str]") -> Child:
    """Start `argv` with stdin from /dev/null and default signal dispositions.

    Raises OSError. If exec failed, it has the errno of exec: posix_spawn(3) returns only
    after the new program runs or could not be run.
    """
    stdout, stdout_writer = os.pipe()
    stderr, stderr_writer = os.pipe()
    stdin = os.open(os.devnull, os.O_RDONLY)
    is_only_child = not _has_children()
    try:
        with RaisedOomScore():
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
    return Child(pid, stdout, stderr, is_only_child)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
