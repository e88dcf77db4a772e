"""File names in sentences: the one that is not there, and those that are."""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES_SHOWN = 10


def no_such_file(name: str, path: str, error: OSError, folders: "Sequence[str]") -> str:
    """Return why stat(2) of `path` failed, where `name` was looked for in `folders` if it is no path."""
    shown = visible(path)
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return f"The script {shown} cannot be reached: {error.strerror}."
    if "/" not in name:
        places = [f"{place}{holding(place)}" for place in (_working_directory(), *folders)]
        return f"There is no script {visible(name)}: looked in {'; '.join(places)}."
    if os.path.lexists(path):
        return f"The script {shown} is a link to a file that does not exist."
    folder = os.path.dirname(path) or "/"
    return f"There is no script {shown}: the folder {folder}{holding(folder)}."


def visible(name: str) -> str:
    """Return `name`, in quotes and escaped where a newline in it would not be seen."""
    return name if name.isprintable() else repr(name)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "the working directory, which"


def holding(folder: str) -> str:
    """Return what can be said of a folder's files, to go behind its name."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        return " does not exist (is the volume mounted?)"
    except OSError as error:
        return f" cannot be listed ({error.strerror})"
    if not names:
        return " is empty"
    return f" holds {some_of(names)}"


def some_of(names: "Sequence[str]") -> str:
    """Return the first NAMES_SHOWN of `names` as words, and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{', '.join(names[:NAMES_SHOWN])}{more}"
