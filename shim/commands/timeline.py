"""A line of time, drawn to scale in text."""

from __future__ import annotations

from collections.abc import Iterable

from shim import durations

# Characters that are shared out in proportion to the time.
DASHES = 15


def drawn(parts: Iterable[tuple[str, float]], total: float) -> str:
    """Return the named parts of `total` seconds: "|--- script 5.3 s ---|- report 0.75 s -|"."""
    shown = []
    for name, seconds in parts:
        dashes = max(2, round(DASHES * seconds / total))
        before = "-" * (dashes // 2)
        shown.append(f"{before} {name} {durations.show(seconds)} {'-' * (dashes - len(before))}")
    return f"|{'|'.join(shown)}|"
