"""Performance data of Nagios plugins, by the Monitoring Plugins Development Guidelines."""

from __future__ import annotations

import re
from typing import NamedTuple

# 'label'=value[UOM];[warn];[crit];[min];[max]; a quote in a label is doubled. That an
# item begins after a space keeps the search linear in a long word that is none.
ITEM = re.compile(
    r"(?<!\S)(?:'((?:[^']|'')*)'|([^\s='|]+))=([-+]?[0-9]+(?:[.,][0-9]+)?)([a-zA-Z%]*)(?:;\S*)?(?=\s|$)"
)
# Base units, as Prometheus wants them.
UNITS = {
    "": ("", 1.0),
    "s": ("seconds", 1.0),
    "ms": ("seconds", 1e-3),
    "us": ("seconds", 1e-6),
    "%": ("ratio", 1e-2),
    "B": ("bytes", 1.0),
    "KB": ("bytes", 1e3),
    "MB": ("bytes", 1e6),
    "GB": ("bytes", 1e9),
    "TB": ("bytes", 1e12),
    "c": ("total", 1.0),
}


class Value(NamedTuple):
    """One figure in base units; `unit` is "" for a plain or an unknown one."""

    label: str
    unit: str
    value: float


def parse(lines: list[bytes]) -> list[Value]:
    """Return the performance data in a plugin's output.

    It stands behind a `|` in the first line, and from a second `|` on in the lines
    of the long output.
    """
    text = [line.decode("utf-8", "replace") for line in lines]
    first, *rest = text or [""]
    data = [first.partition("|")[2]]
    long_output = "\n".join(rest)
    data += long_output.partition("|")[2].split("\n")
    values = []
    for quoted, plain, number, uom in (
        match.groups() for part in data for match in ITEM.finditer(part)
    ):
        unit, factor = UNITS.get(uom, ("", 1.0))
        label = quoted.replace("''", "'") if quoted is not None else plain
        values.append(Value(label, unit, float(number.replace(",", ".")) * factor))
    return values
