"""Suggesting the known name that a misspelt one probably means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# A SequenceMatcher.ratio(): a name with two of eight letters wrong is still a misspelling.
LEAST_SIMILARITY = 0.75


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean X?" if a known name is similar to `name`, else "".

    A name with the same letters in another order is always similar.
    """
    candidates = sorted(known)
    names = [other for other in candidates if sorted(other) == sorted(name)]
    names += difflib.get_close_matches(name, candidates, 1, LEAST_SIMILARITY)
    return f" Did you mean {names[0]}?" if names else ""
