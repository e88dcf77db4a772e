"""Numbers and moments in the sentences of the bundled checks.

A sentence about the same fault should not change from run to run: it is a label of a metric.
So it tells since when something is so, rather than for how long.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone


def date(moment: float) -> str:
    """Return a unix time as a person reads it."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "es" if what.endswith("s") else "s")


def listed(words: Sequence[str]) -> str:
    return ", ".join(words) if words else "none"
