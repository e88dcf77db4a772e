"""Finding the line that says what went wrong in a Python traceback, where it stands last."""

from __future__ import annotations

import re
from collections.abc import Sequence

# What a traceback begins with; that of a SyntaxError begins with its frame.
_OPENING = r'(?:Exception Group )?Traceback \(most recent call last\):$|  File "'
# What goes before the lines of an exception group; those of its members are further in.
_MARGIN = "^  [+|] "
# A name with its module, and a message where there is one.
_EXCEPTION = r"[\w.<>]+(?::|$)"


def take_headline(lines: Sequence[str]) -> tuple[str, list[str]]:
    """Return the line of the exception that ended the script, and the other lines.

    Takes lines that are not blank. The headline is "" where there is no traceback. Of
    chained exceptions the last one is meant, and of a group the group itself.
    """
    found = None
    inside = ignored = False
    for number, line in enumerate(lines):
        text = re.sub(_MARGIN, "", line)
        if not inside and re.match(_OPENING, text):
            inside = True
            # Python goes on after an exception where nobody can catch it, as in __del__.
            ignored = number > 0 and lines[number - 1].startswith("Exception ignored")
        elif inside and not text.startswith(" "):
            if re.match(_EXCEPTION, text) and not ignored:
                found = number
            inside = re.match(_OPENING, text) is not None
    if found is None:
        return "", list(lines)
    return re.sub(_MARGIN, "", lines[found]), [*lines[:found], *lines[found + 1 :]]
