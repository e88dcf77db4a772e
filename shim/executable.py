"""Finding the script, the command that runs it, and what is wrong with its text."""

import os
import stat
import sys

from shim.runtime import PYTHON, own_python, python_for_scripts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INSTALLED = os.path.join(sys.prefix, "share", "khshim", "scripts")
# An editable installation leaves them where they are.
IN_A_CHECKOUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scripts")

# Where a name without a slash is looked for after the working directory: where a
# ConfigMap is mounted by convention, then the scripts that come with khshim.
FOLDERS = ("/checks", INSTALLED if os.path.isdir(INSTALLED) else IN_A_CHECKOUT)

# The kernel reads no more of a file to find its interpreter (BINPRM_BUF_SIZE).
FIRST_LINE_LIMIT = 256
OWN_PYTHON = f"#!{PYTHON}".encode()
UTF_8_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class TextProblem:
    """A way in which a script was saved that keeps it from being understood.

    `found` completes the sentence "The script …", and `advice` says what to do. An Enum would
    cost each start as much as importing two modules does.
    """

    def __init__(self, found: str, advice: str) -> None:
        self.found = found
        self.advice = advice

    def sentence(self, subject: str = "The script") -> str:
        return f"{subject} {self.found}: {self.advice}."


WINDOWS_LINE_ENDINGS = TextProblem(
    "has Windows line endings (CRLF), which Unix does not understand",
    "save it with LF, for example by dos2unix",
)
BYTE_ORDER_MARK = TextProblem(
    "begins with a byte order mark, so that its first line is not understood",
    "save it as UTF-8 without one",
)
UTF_16 = TextProblem("is UTF-16 text, which nothing here can run", "save it as UTF-8")


class StartError(Exception):
    """The script cannot be started; the message is a sentence for the report."""


def find(name: str) -> str:
    """Return a path to the script `name` that exec will not look up in PATH.

    Raises StartError where there is no such file or it can never be run.
    """
    path, is_folder = find_any(name)
    if is_folder:
        from shim.file_names import holding  # only where a sentence is needed

        raise StartError(f"The script {path} is a folder, which{holding(path)}: name a file in it.")
    return path


def find_any(name: str) -> "tuple[str, bool]":
    """Return the same for a script or a folder of scripts, and whether it is a folder."""
    path = _look_up(name)
    try:
        status = os.stat(path)
    except OSError as error:
        from shim.file_names import no_such_file  # only where a sentence is needed

        raise StartError(no_such_file(name, path, error, FOLDERS)) from error
    if stat.S_ISDIR(status.st_mode):
        return path, True
    if not stat.S_ISREG(status.st_mode):
        raise StartError(f"The script {path} is not a regular file.")
    if status.st_size == 0:
        raise StartError(f"The script {path} is empty.")
    return path, False


def command(path: str, args: "Sequence[str]", interpreter: "Sequence[str]") -> "list[str]":
    """Return the command that runs the script; raises StartError where there is none."""
    if interpreter:
        return [*interpreter, path, *args]
    if os.access(path, os.X_OK) and not _is_for_own_python(path):
        return [path, *args]
    return interpreted(path, args)


def interpreted(path: str, args: "Sequence[str]") -> "list[str]":
    """Return the command for a script that the kernel would not execute by itself.

    Its `#!` line is read as the kernel reads it (execve(2)): the interpreter, then
    at most one argument, which may hold spaces.
    """
    head = head_of(path)
    first = first_line(head)
    if first.startswith(b"#!"):
        if first.rstrip() == OWN_PYTHON:
            return [own_python(), path, *args]
        words = first[2:].strip(b" \t").split(None, 1)
        if words:
            return [os.fsdecode(word.rstrip(b" \t")) for word in words] + [path, *args]
    if _is_utf_16(head):
        raise StartError(UTF_16.sentence(f"The script {path}"))
    if b"\0" in first:
        raise StartError(
            f"The script {path} is a program that this machine cannot execute"
            " (exec format error): was it built for another processor?"
        )
    if path.endswith(".py"):
        return [python_for_scripts(), path, *args]
    return ["/bin/sh", path, *args]


def _is_for_own_python(path: str) -> bool:
    """Tell whether a script names the interpreter in khshim's own runtime, which is not everywhere."""
    return path.endswith(".py") and first_line(head_of(path)).rstrip() == OWN_PYTHON


def interpreter_of(path: str) -> "str | None":
    """Return the interpreter in the `#!` line of an executable, None for a program."""
    first = first_line(head_of(path))
    if not first.startswith(b"#!"):
        return None if b"\0" in first else "/bin/sh"
    words = first[2:].split(None, 1)
    return os.fsdecode(words[0]) if words else "/bin/sh"


def touch_interpreter(path: str, argv: "Sequence[str]") -> None:
    """Read from the interpreter's file, as exec is about to; what is wrong exec will tell."""
    interpreter = argv[0] if argv[0] != path else interpreter_of(path)
    try:
        if interpreter is not None and "/" in interpreter:
            fd = os.open(interpreter, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would wait
            os.read(fd, 1)
            os.close(fd)
    except OSError:
        pass


def text_problem(path: str) -> "TextProblem | None":
    """Return what is wrong with the way the script was saved, None where nothing is."""
    try:
        head = head_of(path)
    except StartError:
        return None
    return text_problem_of(head, path, is_executable=os.access(path, os.X_OK))


def text_problem_of(head: bytes, name: str, *, is_executable: bool) -> "TextProblem | None":
    """Return the same for the file `name` that begins with `head` (FIRST_LINE_LIMIT bytes).

    Python itself takes CRLF and a byte order mark: what stumbles over these is who reads
    the `#!` line, the kernel or env(1), or the shell that runs what has none.
    """
    if _is_utf_16(head):
        return UTF_16
    first = first_line(head)
    is_python = name.endswith(".py")
    if first.startswith(b"#!") and not is_executable:
        words = first[2:].split()
        is_python = len(words) == 1 and b"python" in words[0]
    elif first.startswith(b"#!"):
        is_python = False
    if is_python:
        return None
    if head.startswith(UTF_8_MARK):
        return BYTE_ORDER_MARK
    return WINDOWS_LINE_ENDINGS if first.endswith(b"\r") else None


def _is_utf_16(head: bytes) -> bool:
    """Tell whether `head` begins with a mark of UTF-16, or like ASCII characters in it."""
    if head.startswith(UTF_16_MARKS):
        return True
    return len(head) > 1 and any(head[0:8:2]) != any(head[1:8:2])


def _look_up(name: str) -> str:
    if "/" in name:
        return name
    for folder in (".", *FOLDERS):
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            return path
    return os.path.join(".", name)


def first_line(head: bytes) -> bytes:
    """Return what is before the first newline."""
    return head.partition(b"\n")[0]


def head_of(path: str) -> bytes:
    """Return the first FIRST_LINE_LIMIT bytes of a file; raises StartError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(FIRST_LINE_LIMIT)
    except OSError as error:
        raise StartError(
            f"The script {path} cannot be read by user {os.geteuid()} ({error.strerror});"
            " check its mode, or the ConfigMap volume's defaultMode."
        ) from error
