"""The name that was probably meant by a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# SequenceMatcher.ratio(): two of eight letters wrong is still taken for a slip.
LEAST_SIMILARITY = 0.75


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean X?" where a known name is like `name`, else "".

    The same letters in another order are alike, however short the name is.
    """
    candidates = sorted(known)
    names = [other for other in candidates if sorted(other) == sorted(name)]
    names += difflib.get_close_matches(name, candidates, 1, LEAST_SIMILARITY)
    return f" Did you mean {names[0]}?" if names else ""
